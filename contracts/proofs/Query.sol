// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Bls12381} from "../libraries/Bls12381.sol";
import {Functional, Opening} from "./Evaluation.sol";
import {ProofFile} from "./ProofFile.sol";

/// @notice The opening's one multi-scalar multiplication: addresses of the scalars of each vector's first chunk, then those
///         of C_S, C_w, C_w' and G_0. The scalar of the next chunk is 160 bytes further.
/// @param pairs address of the first pair (point, scalar)
/// @param count number of pairs
struct Scalars {
    uint256 weights;
    uint256 input;
    uint256 output;
    uint256 bits;
    uint256 mask;
    uint256 quotient;
    uint256 witness;
    uint256 lastWitness;
    uint256 generator;
    uint256 pairs;
    uint256 count;
}

/// @notice All that the claims of section 5 depend on. Points are memory addresses, see Field.
/// @param biases the same for claim B+3, its weight and the digits of biases included
/// @param tau τ
/// @param rho ρ
/// @param mu μ
/// @param mus table of μ^(B+j) for j <= 6, the weights of the claims that are not about one bit
/// @param instances eq(τ[m:n], ρ[m:n])
/// @param selected sel_b(ρ) of each block b
struct Query {
    ProofFile file;
    Scalars scalars;
    Opening opening;
    Opening biases;
    Functional functional;
    uint256 tau;
    uint256 rho;
    uint256 mu;
    uint256 mus;
    uint256 lambda;
    uint256 instances;
    uint256[] selected;
}

/// @title The points of a proof, ready for the multi-scalar multiplication
library Points {
    /// @notice Copies every point of the proof, each with scalar 0 (PROOF-5: none is left out, so all are checked).
    /// @param ptr calldata address of C_S; 1/z and a1 lie between it and C_w
    function read(Scalars memory s, ProofFile memory p, uint256 ptr) internal pure {
        unchecked {
            s.count = p.circuit.chunks + p.inputChunks + p.outputChunks + p.bitsChunks + 5;
            s.pairs = Bls12381.allocate(s.count);
            uint256 next = s.pairs;
            (s.weights, next) = _copy(next, p.weightsAt, p.circuit.chunks);
            (s.input, next) = _copy(next, p.inputAt, p.inputChunks);
            (s.output, next) = _copy(next, p.outputAt, p.outputChunks);
            (s.bits, next) = _copy(next, p.messagesAt, p.bitsChunks);
            (s.mask, next) = _copy(next, p.messagesAt + Bls12381.POINT * p.bitsChunks, 1);
            (s.quotient, next) = _copy(next, ptr, 1);
            (s.witness, next) = _copy(next, ptr + Bls12381.POINT + 64, 1);
            (s.lastWitness, next) = _copy(next, ptr + 2 * Bls12381.POINT + 64, 1);
            s.generator = next + Bls12381.POINT;
            Bls12381.copyGenerator(next);
        }
    }

    /// @return scalar address of the first copy's scalar
    /// @return next where the next pair goes
    function _copy(uint256 pair, uint256 ptr, uint256 count) private pure returns (uint256 scalar, uint256 next) {
        unchecked {
            return (pair + Bls12381.POINT, Bls12381.copy(pair, ptr, count));
        }
    }
}
