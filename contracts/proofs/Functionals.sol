// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../libraries/Field.sol";
import {Block, BlockLib} from "./Descriptor.sol";
import {Evaluation, Functional, Opening} from "./Evaluation.sol";

/// @title Functionals over chunks
/// @notice Section 5 of docs/spec/proofs.md, "Generating functions": the d lowest bits of an index are the exponent, those above
///         them select the chunk. An axis may lie across that border.
library Functionals {
    using BlockLib for Block;
    using Evaluation for Functional;

    uint256 private constant AXIS = Evaluation.AXIS;
    /// @dev Dense weights have the most: columns, rows and channels of what they read and of what they write.
    uint256 private constant MAX_AXES = 6;

    /// @notice Reserves the memory for axes, once for all functionals.
    function prepare(Functional memory f) internal pure {
        f.axes = Field.allocate(3 * (MAX_AXES + 1));
    }

    /// @notice Appends the axis of the next `bits` index bits.
    function axis(Functional memory f, uint256 point, uint256 bits, uint256 length) internal pure {
        if (bits == 0) return;
        assembly ("memory-safe") {
            let ptr := mload(add(f, 0xa0))
            mstore(ptr, point)
            mstore(add(ptr, 0x20), bits)
            mstore(add(ptr, 0x40), length)
            mstore(add(f, 0xa0), add(ptr, 96)) // end
            mstore(add(f, 0x60), add(mload(add(f, 0x60)), bits)) // bits
        }
    }

    /// @notice Appends the axes of a block's positions, whose index bits the first coordinates of a point go with.
    function positions(Functional memory f, Block memory b, uint256 point) internal pure {
        if (b.bits != b.channelBits) {
            axis(f, point, b.columnBits, b.columns);
            axis(f, b.rowsOf(point), b.rowBits, b.rows);
        }
        axis(f, b.channelsOf(point), b.channelBits, b.channels);
    }

    /// @notice Adds the functional to the scalars of a vector's commitment.
    /// @param scalars address of the scalar of the vector's first chunk
    /// @param chunks how many the vector has
    /// @param offset index at which the functional begins. A multiple of its size, or of D if that is less
    function add(Functional memory f, Opening memory o, uint256 scalars, uint256 chunks, uint256 offset) internal pure {
        unchecked {
            uint256 chunk = offset >> o.chunkBits;
            if (chunk >= chunks) return;
            scalars = scalarOf(scalars, chunk);
            if (f.bits > o.chunkBits) {
                _addChunks(f, o, scalars, chunks - chunk);
                return;
            }
            f.multiply(o, f.axes, f.end, f.explicitBits);
            f.place(o, (offset & ((uint256(1) << o.chunkBits) - 1)) >> f.bits, f.bits, scalars);
        }
    }

    /// @dev The functional reaches above the exponent. It begins with a chunk, whose scalar is at `scalars`, and at most `chunks`
    ///      follow in the vector, that one included.
    function _addChunks(Functional memory f, Opening memory o, uint256 scalars, uint256 chunks) private pure {
        unchecked {
            // Up to the axis that crosses the border
            uint256 bit = f.explicitBits;
            uint256 ptr = f.axes;
            while (bit + Field.load(ptr, 1) <= o.chunkBits) {
                bit += Field.load(ptr, 1);
                ptr += AXIS;
            }
            f.multiply(o, f.axes, ptr, f.explicitBits);
            uint256 count = uint256(1) << (f.bits - o.chunkBits);
            // What lies beyond is not real.
            if (count > chunks) count = chunks;
            // What all chunks have in common in which the crossing axis has all its entries
            uint256 whole = _sumOfLow(f, o, ptr, bit, type(uint256).max);
            for (uint256 high = 0; high < count; ++high) {
                (uint256 weight, uint256 length) = _select(f, ptr, o.chunkBits - bit, high);
                uint256 sum = length >> (o.chunkBits - bit) != 0 ? whole : _sumOfLow(f, o, ptr, bit, length);
                addTo(scalarOf(scalars, high), weight, sum);
            }
        }
    }

    /// @dev What the axes from `ptr` on select in one chunk, `high` counted from the functional's first: a weight, and how many
    ///      entries of the first of them are real there. `low` index bits of that one lie in the exponent.
    function _select(Functional memory f, uint256 ptr, uint256 low, uint256 high)
        private
        pure
        returns (uint256 weight, uint256 length)
    {
        unchecked {
            weight = 1;
            uint256 first = ptr;
            for (; ptr != f.end; ptr += AXIS) {
                uint256 bits = Field.load(ptr, 1) - low;
                uint256 index = high & ((uint256(1) << bits) - 1);
                uint256 real = Field.load(ptr, 2);
                if (index << low >= real) return (0, 0);
                if (ptr == first) length = real - (index << low);
                weight = mulmod(weight, Field.eq(Field.load(ptr, 0) + 32 * low, bits, index), R);
                high >>= bits;
                low = 0;
            }
        }
    }

    /// @dev The sum of both sides times the part of the axis at `ptr` that lies in the exponent, of which at most `length` entries
    ///      are real. The sides stay as they are.
    function _sumOfLow(Functional memory f, Opening memory o, uint256 ptr, uint256 bit, uint256 length)
        private
        pure
        returns (uint256 sum)
    {
        unchecked {
            uint256 bits = o.chunkBits - bit;
            (uint256 a, uint256 b) = (f.atZ, f.atInverse);
            uint256 low = f.axes + MAX_AXES * AXIS; // room for one more
            Field.store(low, 0, Field.load(ptr, 0));
            Field.store(low, 1, bits);
            Field.store(low, 2, length >> bits == 0 ? length : uint256(1) << bits);
            f.multiply(o, low, low + AXIS, bit);
            sum = f.atZ + f.atInverse;
            (f.atZ, f.atInverse) = (a, b);
        }
    }

    /// @notice Address of the scalar of chunk `chunk`. Between two scalars lies a point.
    function scalarOf(uint256 scalars, uint256 chunk) internal pure returns (uint256) {
        unchecked {
            return scalars + 160 * chunk;
        }
    }

    /// @notice Adds weight·sum to the scalar at an address; both may be any numbers.
    function addTo(uint256 scalar, uint256 weight, uint256 sum) internal pure {
        assembly ("memory-safe") {
            let r := R
            mstore(scalar, addmod(mload(scalar), mulmod(weight, sum, r), r))
        }
    }
}
