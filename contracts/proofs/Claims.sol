// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../libraries/Field.sol";
import {Evaluation, Functional, Opening} from "./Evaluation.sol";
import {Functionals} from "./Functionals.sol";
import {Query, Scalars} from "./Query.sol";

/// @title The claims about input, output and masks
/// @notice Sections 5 and 6 of docs/spec/proofs.md. Each function adds functionals, weighted with powers of μ, to the scalars of
///         one vector.
library Claims {
    using Evaluation for Functional;
    using Evaluation for Opening;
    using Functionals for Functional;

    uint256 private constant HALF = (R + 1) / 2;
    /// @dev Coefficients of the Mask that nothing reads, and those of c_Gin, c_Ghid, c_bias, c_X and c_Y.
    uint256 private constant MASK_UNREAD = 4;
    uint256 private constant MASK_FACTORS = 5;

    /// @notice Claims B+4 and B+5: a committed input, and what is committed of the output, at ρ.
    function addValues(Query memory q) internal pure {
        Scalars memory s = q.scalars;
        if (q.file.inputChunks != 0) _addBlock(q, 0, 4, s.input, q.file.inputChunks);
        if (q.file.outputChunks != 0) _addBlock(q, q.file.circuit.stages, 5, s.output, q.file.outputChunks);
    }

    /// @dev The index of a value of block `index` is instance·2^e + position.
    function _addBlock(Query memory q, uint256 index, uint256 claim, uint256 scalars, uint256 chunks) private pure {
        unchecked {
            Functional memory f = q.functional;
            f.begin(q.opening, mulmod(Field.load(q.mus, claim), q.selected[index], R));
            f.positions(q.file.circuit.blocks[index], q.rho);
            uint256 instances = q.rho + 32 * q.file.circuit.positionBits;
            f.axis(instances, q.file.instanceBits, uint256(1) << q.file.instanceBits);
            f.add(q.opening, scalars, chunks, 0);
        }
    }

    /// @notice The masks that claims 1..B+5 add to what they read, and claim B+6, which reads g at ρ (section 6).
    function addMask(Query memory q) internal pure {
        unchecked {
            Functional memory f = q.functional;
            Opening memory o = q.opening;
            uint256 x = Field.load(q.rho, 0);
            uint256 bump = mulmod(x, 1 + R - x, R); // m̂

            // c_Gin, c_Ghid, c_bias, c_X and c_Y, as far as their claims are there
            if (q.file.inputChunks != 0 && q.file.outputChunks != 0) {
                _addFactors(q, bump, 0, 5);
            } else {
                if (q.file.circuit.stages != 0) _addFactors(q, bump, 0, 3);
                if (q.file.inputChunks != 0) _addFactors(q, bump, 3, 1);
                if (q.file.outputChunks != 0) _addFactors(q, bump, 4, 1);
            }

            // c_0 .. c_{B-1}
            f.begin(o, mulmod(bump, q.mu, R));
            f.geometric(o, q.mu, q.file.circuit.rangeBits, 0);
            f.place(o, MASK_UNREAD + MASK_FACTORS, 0, q.scalars.mask);

            f.begin(o, Field.load(q.mus, 6));
            (uint256 z, uint256 inverse) = o.powersOf(0);
            f.atZ = mulmod(f.atZ, _rounds(q.rho, q.file.indexBits, z), R);
            f.atInverse = mulmod(f.atInverse, _rounds(q.rho, q.file.indexBits, inverse), R);
            f.place(o, MASK_UNREAD + MASK_FACTORS + q.file.circuit.rangeBits - 1, 0, q.scalars.mask);
        }
    }

    /// @dev Masks of the factors of claims B + 1 + first and so on.
    function _addFactors(Query memory q, uint256 bump, uint256 first, uint256 count) private pure {
        unchecked {
            Functional memory f = q.functional;
            f.begin(q.opening, mulmod(bump, Field.load(q.mus, 1 + first), R));
            f.geometric(q.opening, q.mu, count, 0);
            f.place(q.opening, MASK_UNREAD + first, 0, q.scalars.mask);
        }
    }

    /// @dev z times the generating function of g's coefficients in g(ρ) = Σ_i Σ_e g_{i,e} (ρ_i^e - 1/2): round 0 gives
    ///      Σ_{e <= 6} (ρ_0^e - 1/2) z^e, round i > 0 gives z^(6 + 3(i-1)) Σ_{e <= 3} (ρ_i^e - 1/2) z^e.
    function _rounds(uint256 rho, uint256 rounds, uint256 z) private pure returns (uint256 sum) {
        uint256 half = HALF;
        assembly ("memory-safe") {
            let r := R
            // q + q² + q³
            function three(q, r_) -> value {
                value := mulmod(q, add(mulmod(q, add(q, 1), r_), 1), r_)
            }
            let cube := mulmod(z, mulmod(z, z, r), r)
            let minus := sub(r, mulmod(half, three(z, r), r)) // -(z + z² + z³)/2
            // Horner's rule, from the last round down
            for { let ptr := add(rho, shl(5, sub(rounds, 1))) } gt(ptr, rho) { ptr := sub(ptr, 32) } {
                sum := addmod(mulmod(sum, cube, r), add(three(mulmod(mload(ptr), z, r), r), minus), r)
            }
            sum := mulmod(sum, mulmod(cube, cube, r), r)
            let q := mulmod(mload(rho), z, r)
            let qCube := mulmod(q, mulmod(q, q, r), r)
            sum := addmod(sum, mulmod(three(q, r), add(qCube, 1), r), r)
            sum := addmod(sum, mulmod(minus, add(cube, 1), r), r)
        }
    }
}
