// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../libraries/Field.sol";
import {Evaluation, Functional, Opening} from "./Evaluation.sol";
import {Functionals} from "./Functionals.sol";
import {Query} from "./Query.sol";

/// @title The claims about bits
/// @notice Section 5 of docs/spec/proofs.md. Bit k of every z is a **plane** of 2^n bits. A plane is smaller than a chunk or
///         takes whole chunks.
library Planes {
    using Evaluation for Functional;
    using Functionals for Functional;

    /// @notice Claims 1..B: every plane k at ρ, times μ^(k+1). The index of b_k(i) is k·2^n + i, so planes differ in nothing but
    ///         their place and a power of μ.
    function add(Query memory q) internal pure {
        unchecked {
            Opening memory o = q.opening;
            Functional memory f = q.functional;
            f.begin(o, q.mu);
            uint256 low = q.file.indexBits < o.chunkBits ? q.file.indexBits : o.chunkBits;
            f.axis(q.rho, low, uint256(1) << low);
            f.multiply(o, f.axes, f.end, 0);
            if (low < o.chunkBits) _addSmall(q);
            else _addLarge(q, q.rho + 32 * low);
        }
    }

    /// @dev A chunk holds 2^(d-n) planes, the last may hold fewer.
    function _addSmall(Query memory q) private pure {
        unchecked {
            uint256 shift = q.opening.chunkBits - q.file.indexBits;
            uint256 planes = q.file.circuit.rangeBits;
            uint256 chunks = planes >> shift;
            if (chunks != 0) _addWholeChunks(q, chunks);
            uint256 rest = planes - (chunks << shift);
            if (rest == 0) return;
            q.functional.geometric(q.opening, q.mu, rest, q.file.indexBits);
            q.functional.place(q.opening, 0, 0, Functionals.scalarOf(q.scalars.bits, chunks));
        }
    }

    /// @dev Whole chunks have the same sum, up to a power of μ for their first planes. Leaves the sides as what follows needs them.
    function _addWholeChunks(Query memory q, uint256 chunks) private pure {
        unchecked {
            uint256 planes = uint256(1) << (q.opening.chunkBits - q.file.indexBits);
            uint256 step = Field.power(q.mu, planes);
            Functional memory f = q.functional;
            (uint256 a, uint256 b) = (f.atZ, f.atInverse);
            f.geometric(q.opening, q.mu, planes, q.file.indexBits);
            uint256 sum = f.atZ + f.atInverse;
            (f.atZ, f.atInverse) = (a, b);
            uint256 weight = 1;
            for (uint256 chunk = 0; chunk < chunks; ++chunk) {
                Functionals.addTo(Functionals.scalarOf(q.scalars.bits, chunk), weight, sum);
                weight = mulmod(weight, step, R);
            }
            f.scale(weight);
        }
    }

    /// @dev A plane takes 2^(n-d) chunks: the bits of i above the exponent, which `point` goes with, select one of them.
    function _addLarge(Query memory q, uint256 point) private pure {
        unchecked {
            uint256 bits = q.file.indexBits - q.opening.chunkBits;
            uint256 table = Field.eqTable(point, bits);
            uint256 factor = q.functional.atZ + q.functional.atInverse;
            uint256 scalar = q.scalars.bits;
            for (uint256 k = 0; k < q.file.circuit.rangeBits; ++k) {
                scalar = _addLargePlane(table, uint256(1) << bits, factor, scalar);
                factor = mulmod(factor, q.mu, R);
            }
        }
    }

    /// @dev Adds factor·table[i] to the scalars of `count` chunks from `scalar` on; returns the address of the next.
    function _addLargePlane(uint256 table, uint256 count, uint256 factor, uint256 scalar)
        private
        pure
        returns (uint256)
    {
        assembly ("memory-safe") {
            let r := R
            for { let end := add(table, shl(5, count)) } lt(table, end) { table := add(table, 32) } {
                mstore(scalar, addmod(mload(scalar), mulmod(factor, mload(table), r), r))
                scalar := add(scalar, 160)
            }
        }
        return scalar;
    }
}
