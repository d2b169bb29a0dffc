// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifier} from "../interfaces/IProofVerifier.sol";
import {Bls12381} from "../libraries/Bls12381.sol";
import {Field, R} from "../libraries/Field.sol";
import {Transcript} from "../libraries/Transcript.sol";
import {Digest, Kind} from "../types/Digest.sol";
import {Claims} from "./Claims.sol";
import {Descriptor} from "./Descriptor.sol";
import {Evaluation} from "./Evaluation.sol";
import {Functionals} from "./Functionals.sol";
import {ProofFile, ProofFileReader} from "./ProofFile.sol";
import {PublicValues} from "./PublicValues.sol";
import {Planes} from "./Planes.sol";
import {Points, Query} from "./Query.sol";
import {Sumcheck, Values} from "./Sumcheck.sol";
import {Terms} from "./Terms.sol";
import {WellFormed} from "./WellFormed.sol";

/// @title Verifier of the matrix proof
/// @notice docs/spec/proofs.md; comments name its sections. One contract without state serves every circuit: a circuit is data,
///         its hash is registered after `verifyWeights` found it well formed, and `verify` trusts the hash.
///
///         A proof is refused by a revert that says why, or by `false` if all that remains wrong is the last equation.
contract MatrixProofVerifier is IProofVerifier {
    /// @dev The weights' digest of a circuit without weights.
    bytes32 private constant NO_WEIGHTS = keccak256("");

    error MatrixProof_WrongDescriptor();
    error MatrixProof_NoWeights();
    error MatrixProof_BadChallenge();

    /// @notice What the last step needs besides the claims' functionals.
    /// @param valuesAt calldata address of the values
    /// @param quotientAt calldata address of C_S, 1/z, a1, C_w and C_w'
    /// @param value V, the weighted sum of the claims' values
    struct Check {
        Values values;
        uint256 valuesAt;
        uint256 quotientAt;
        uint256 value;
        uint256 delta;
        uint256 claim;
        uint256 a1;
        uint256 z;
        uint256 inverse;
        uint256 gamma;
        uint256 omega;
    }

    /// @inheritdoc IProofVerifier
    function verify(
        bytes32 circuit,
        bytes32 weights,
        bytes32 input,
        bytes32 output,
        bytes32 context,
        bytes calldata proof
    ) external view returns (bool) {
        return _verify(circuit, weights, input, output, context, proof);
    }

    /// @inheritdoc IProofVerifier
    function verifyWeights(
        bytes32 circuit,
        bytes32 weights,
        bytes32 context,
        bytes calldata descriptor,
        bytes calldata proof
    ) external view returns (bool) {
        if (keccak256(descriptor) != circuit) revert MatrixProof_WrongDescriptor();
        Descriptor memory c = WellFormed.check(descriptor);
        if (c.chunks == 0) revert MatrixProof_NoWeights();
        bytes32 range = keccak256(_rangeDescriptor(c));
        return _verify(range, NO_WEIGHTS, Digest.input(Kind.Committed, 0, weights, 0), 0, context, proof);
    }

    /// @dev Section 9: the statement that a vector with the chunks of C_W is one of integers of 16 bits.
    function _rangeDescriptor(Descriptor memory c) private pure returns (bytes memory) {
        uint256 positionBits = Field.log2(c.chunks) + c.chunkBits;
        // One block has 16 bits to say how many channels it has, and the largest index limits m anyway.
        if (positionBits > 20) revert MatrixProof_NoWeights();
        return abi.encodePacked(
            uint8(2),
            uint8(c.chunkBits),
            uint8(16), // B
            uint8(1), // s
            uint8(15), // t
            // forge-lint: disable-next-line(unsafe-typecast)
            uint8(positionBits), // at most 20
            uint8(0), // no stage
            uint8(0),
            uint32(0), // no weights
            uint16(c.chunks),
            uint16(1),
            uint16(uint256(1) << c.chunkBits),
            uint32(0)
        );
    }

    function _verify(
        bytes32 circuit,
        bytes32 weights,
        bytes32 input,
        bytes32 output,
        bytes32 context,
        bytes calldata proof
    ) private view returns (bool) {
        (Query memory q, bytes calldata descriptor) = _open(proof);
        ProofFileReader.checkDigests(q.file, descriptor, circuit, weights, input, output);
        Check memory check =
            _interact(q, Transcript.start(circuit, weights, input, output, context, q.file.instanceBits));
        _prepare(q, check);
        _claim(q, check);
        return _opens(q, check);
    }

    function _open(bytes calldata proof) private pure returns (Query memory q, bytes calldata descriptor) {
        descriptor = ProofFileReader.open(q.file, proof);
    }

    /// @dev Section 8: follows the messages in order and draws the challenges.
    function _interact(Query memory q, bytes32 state) private pure returns (Check memory check) {
        unchecked {
            ProofFile memory p = q.file;
            uint256 ptr = p.messagesAt;
            // 1: commitments to the bits and the Mask
            uint256 size = Bls12381.POINT * (p.bitsChunks + 1);
            state = Transcript.absorb(state, ptr, size);
            ptr += size;
            q.tau = Field.allocate(p.indexBits);
            Transcript.challenges(state, 0, p.indexBits, q.tau);
            q.lambda = Transcript.challenge(state, p.indexBits);
            check.delta = Transcript.challenge(state, p.indexBits + 1);
            // 2: the rounds
            q.rho = Field.allocate(p.indexBits);
            (state, ptr, check.claim) = Sumcheck.run(state, ptr, p.indexBits, q.rho);
            // 3: values
            check.valuesAt = ptr;
            size = 32 * ProofFileReader.values(p);
            state = Transcript.absorb(state, ptr, size);
            ptr += size;
            q.mu = Transcript.challenge(state, 0);
            // 4 to 6: C_S, 1/z and a1, C_w. Step 7, C_w', is last: nothing depends on it
            check.quotientAt = ptr;
            (state, check.z) = Transcript.exchange(state, ptr, Bls12381.POINT);
            ptr += Bls12381.POINT;
            check.inverse = Field.fromCalldata(ptr);
            check.a1 = Field.fromCalldata(ptr + 32);
            (state, check.gamma) = Transcript.exchange(state, ptr, 64);
            check.omega = Transcript.challenge(Transcript.absorb(state, ptr + 64, Bls12381.POINT), 0);
        }
    }

    /// @dev What the functionals are evaluated with.
    function _prepare(Query memory q, Check memory check) private pure {
        unchecked {
            Descriptor memory c = q.file.circuit;
            (uint256 z, uint256 omega) = (check.z, check.omega);
            if (mulmod(z, check.inverse, R) != 1 || z == check.inverse) revert MatrixProof_BadChallenge();
            Evaluation.open(q.opening, z, check.inverse, c.chunkBits);
            q.opening.scale = mulmod(check.gamma, Field.sub(omega, z), R);
            q.opening.inverseScale = Field.sub(omega, check.inverse);
            Functionals.prepare(q.functional);

            q.mus = Field.powersOf(Field.power(q.mu, c.rangeBits), q.mu, 7);
            q.biases = Evaluation.digits(q.opening, 1 << 16, Field.load(q.mus, 3));
            uint256 instances = 32 * c.positionBits;
            q.instances = Field.eqPoints(q.tau + instances, q.rho + instances, q.file.instanceBits);
            q.selected = new uint256[](c.stages + 1);
            for (uint256 i = 0; i <= c.stages; ++i) {
                q.selected[i] = Terms.select(c, i, q.rho);
            }
            Points.read(q.scalars, q.file, check.quotientAt);
        }
    }

    /// @dev Section 5: the functionals of all claims go into the scalars, their values into V.
    function _claim(Query memory q, Check memory check) private pure {
        unchecked {
            ProofFile memory p = q.file;
            Values memory v = check.values;
            uint256 committed = _readValues(q, v, check.valuesAt);
            // ĝ, whatever is left of the last claim
            uint256 sum = Field.eqPoints(q.tau, q.rho, p.indexBits);
            sum = Sumcheck.formula(p.circuit, v, sum, check.delta, q.selected);
            sum = mulmod(Field.sub(check.claim, sum), Field.load(q.mus, 6), R);

            uint256[2] memory known = Terms.add(q);
            Planes.add(q);
            Claims.addValues(q);
            Claims.addMask(q);

            sum += v.claimed;
            sum = addmod(sum, mulmod(Field.sub(v.readsInput, known[0]), Field.load(q.mus, 1), R), R);
            sum = addmod(sum, mulmod(Field.sub(v.readsHidden, known[1]), Field.load(q.mus, 2), R), R);
            sum = addmod(sum, mulmod(v.bias, Field.load(q.mus, 3), R), R);
            if (p.inputChunks != 0) sum = addmod(sum, mulmod(v.input, Field.load(q.mus, 4), R), R);
            check.value = addmod(sum, mulmod(committed, Field.load(q.mus, 5), R), R);
        }
    }

    /// @dev Ĝ_in, Ĝ_hid, b̂ias if there are stages, x̂ if the input is committed, ŷ if any of the output is, b̂_0 .. b̂_{B-1}.
    /// @return committed ŷ, or 0
    function _readValues(Query memory q, Values memory v, uint256 ptr) private pure returns (uint256 committed) {
        unchecked {
            ProofFile memory p = q.file;
            Descriptor memory c = p.circuit;
            if (c.stages != 0) {
                v.readsInput = Field.fromCalldata(ptr);
                v.readsHidden = Field.fromCalldata(ptr + 32);
                v.bias = Field.fromCalldata(ptr + 64);
                ptr += 96;
            }
            if (p.inputChunks != 0) {
                v.input = Field.fromCalldata(ptr);
                ptr += 32;
            } else {
                v.input = _publicIntegers(q, 0, p.inputAt, uint256(1) << c.inputBits);
            }
            if (p.outputChunks != 0) {
                committed = Field.fromCalldata(ptr);
                ptr += 32;
            }
            // Y is what is committed, or what is public, or the public words less the committed pad
            v.output = committed;
            if (c.stages != 0 && p.outputKind == Kind.Public) {
                v.output = _publicIntegers(q, c.stages, p.wordsAt, uint256(1) << (c.rangeBits - 1 - c.shift));
            } else if (p.outputKind == Kind.Masked) {
                v.output = Field.sub(_maskedOutput(q), committed);
            }
            Sumcheck.readBits(v, c, ptr, q.lambda, q.mu);
        }
    }

    /// @dev The words w~(ρ) = sel_b(ρ) Σ_instances Σ_real eq(ρ[m:n], instance) eq(ρ[0:e], position) w of block b = `index`.
    function _publicIntegers(Query memory q, uint256 index, uint256 ptr, uint256 bound) private pure returns (uint256) {
        unchecked {
            Descriptor memory c = q.file.circuit;
            uint256 instances = q.rho + 32 * c.positionBits;
            uint256 bits = q.file.instanceBits;
            uint256 sum = PublicValues.sumIntegers(c.blocks[index], ptr, q.rho, instances, bits, bound);
            return mulmod(q.selected[index], sum, R);
        }
    }

    /// @dev The same for the masked words of the output.
    function _maskedOutput(Query memory q) private pure returns (uint256) {
        unchecked {
            ProofFile memory p = q.file;
            Descriptor memory c = p.circuit;
            uint256 instances = q.rho + 32 * c.positionBits;
            uint256 sum = PublicValues.sumElements(c.blocks[c.stages], p.wordsAt, q.rho, instances, p.instanceBits);
            return mulmod(q.selected[c.stages], sum, R);
        }
    }

    /// @dev Section 7: e([L] + ω·C_w', H) = e(C_w', τH).
    function _opens(Query memory q, Check memory check) private view returns (bool) {
        unchecked {
            (uint256 z, uint256 omega) = (check.z, check.omega);
            (uint256 scale, uint256 inverseScale) = (q.opening.scale, q.opening.inverseScale);
            // z(ω - 1/z) + γ(ω - z)/z
            uint256 scalar = mulmod(z, inverseScale, R) + mulmod(scale, check.inverse, R);
            Field.store(q.scalars.quotient, 0, 2 * R - scalar);
            // (ω - z)(ω - 1/z)
            scalar = mulmod(Field.sub(omega, z), inverseScale, R);
            Field.store(q.scalars.witness, 0, R - scalar);
            Field.store(q.scalars.lastWitness, 0, omega);
            // (ω - 1/z)·a1 + γ(ω - z)·e1, where e1 = 2V - a1
            uint256 e1 = Field.sub(2 * check.value, check.a1);
            scalar = mulmod(inverseScale, check.a1, R) + mulmod(scale, e1, R);
            Field.store(q.scalars.generator, 0, 2 * R - scalar);

            bytes memory left = Bls12381.sum(q.scalars.pairs, q.scalars.count);
            return Bls12381.opens(left, check.quotientAt + 2 * Bls12381.POINT + 64);
        }
    }
}
