// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../libraries/Field.sol";
import {DescriptorReader, Term} from "./Descriptor.sol";

/// @title Pools and convolutions along one axis
/// @notice Section 5 of docs/spec/proofs.md, "Terms". Windows are products of their axes, so a spatial map needs vectors along
///         rows and along columns, and nothing two-dimensional. All of it rests on one relation: window j of a map reads
///         entry stride·j + w - padding at its place w.
library Windows {
    error Windows_DoNotFit();

    /// @notice v: what the term's learned map reads, after the pools before it, as a combination of the source's entries.
    /// @param point the coordinates of ρ that index this axis of the source, `bits` of them
    /// @param extent entries of the source along the axis
    function readBy(Term memory term, uint256 axis, uint256 point, uint256 bits, uint256 extent)
        internal
        pure
        returns (uint256[] memory v)
    {
        unchecked {
            v = _eqVector(point, bits, extent);
            for (uint256 i = 0; i < term.poolsBefore; ++i) {
                v = _gather(v, term.before + i * DescriptorReader.WINDOW_BYTES, axis);
            }
        }
    }

    /// @notice u: what the term's learned map writes, before the pools after it, as a combination of the target's entries.
    /// @param point the coordinates of τ that index this axis of the target, `bits` of them
    /// @param target entries of the target along the axis
    /// @param extent entries that the learned map writes along the axis
    function writtenBy(Term memory term, uint256 axis, uint256 point, uint256 bits, uint256 target, uint256 extent)
        internal
        pure
        returns (uint256[] memory u)
    {
        unchecked {
            uint256 count = term.poolsAfter;
            uint256[] memory extents = new uint256[](count);
            for (uint256 i = 0; i < count; ++i) {
                extents[i] = extent;
                extent = slide(extent, term.afterwards + i * DescriptorReader.WINDOW_BYTES, axis);
            }
            u = _eqVector(point, bits, target);
            while (count != 0) {
                --count;
                u = _scatter(u, term.afterwards + count * DescriptorReader.WINDOW_BYTES, axis, extents[count]);
            }
        }
    }

    /// @notice How many windows fit along an axis.
    function slide(uint256 extent, uint256 ptr, uint256 axis) internal pure returns (uint256 count) {
        (uint256 kernel, uint256 stride, uint256 padding) = DescriptorReader.window(ptr, axis);
        count = DescriptorReader.windows(extent, kernel, stride, padding);
        if (count == 0) revert Windows_DoNotFit();
    }

    /// @notice K: the kernel's entries as a combination of what it reads and writes, K[w] = Σ_j u[j] v[stride·j + w - padding].
    function correlate(uint256[] memory u, uint256[] memory v, uint256 ptr, uint256 axis)
        internal
        pure
        returns (uint256[] memory result)
    {
        unchecked {
            (uint256 kernel, uint256 stride, uint256 padding) = DescriptorReader.window(ptr, axis);
            result = new uint256[](kernel);
            for (uint256 w = 0; w < kernel; ++w) {
                result[w] = _dot(u, v, stride, w - padding);
            }
        }
    }

    /// @notice Σ_i u[i] v[i].
    function dot(uint256[] memory u, uint256[] memory v) internal pure returns (uint256) {
        return _dot(u, v, 1, 0);
    }

    /// @dev Σ_j u[j] v[stride·j + start]; entries outside v, of a negative index too, are 0.
    function _dot(uint256[] memory u, uint256[] memory v, uint256 stride, uint256 start)
        private
        pure
        returns (uint256 sum)
    {
        assembly ("memory-safe") {
            let r := R
            let length := mload(v)
            let end := add(u, shl(5, mload(u)))
            v := add(v, 32)
            for {} lt(u, end) { start := add(start, stride) } {
                u := add(u, 32)
                if lt(start, length) { sum := addmod(sum, mulmod(mload(u), mload(add(v, shl(5, start))), r), r) }
            }
        }
    }

    /// @dev v'[j] = Σ_w v[stride·j + w - padding].
    function _gather(uint256[] memory v, uint256 ptr, uint256 axis) private pure returns (uint256[] memory pooled) {
        unchecked {
            (uint256 kernel, uint256 stride, uint256 padding) = DescriptorReader.window(ptr, axis);
            pooled = new uint256[](slide(v.length, ptr, axis));
            uint256 start = 0 - padding;
            for (uint256 j = 0; j < pooled.length; ++j) {
                uint256 sum = 0;
                for (uint256 i = start; i != start + kernel; ++i) {
                    if (i < v.length) sum = addmod(sum, v[i], R);
                }
                pooled[j] = sum;
                start += stride;
            }
        }
    }

    /// @dev The transpose of `_gather` for an axis of `extent` entries: u'[i] = Σ_{j, w: stride·j + w - padding = i} u[j].
    function _scatter(uint256[] memory u, uint256 ptr, uint256 axis, uint256 extent)
        private
        pure
        returns (uint256[] memory spread)
    {
        unchecked {
            (uint256 kernel, uint256 stride, uint256 padding) = DescriptorReader.window(ptr, axis);
            spread = new uint256[](extent);
            uint256 start = 0 - padding;
            for (uint256 j = 0; j < u.length; ++j) {
                for (uint256 i = start; i != start + kernel; ++i) {
                    if (i < extent) spread[i] = addmod(spread[i], u[j], R);
                }
                start += stride;
            }
        }
    }

    /// @dev eq(point, i) for i < length.
    function _eqVector(uint256 point, uint256 bits, uint256 length) private pure returns (uint256[] memory vector) {
        Field.store(Field.allocate(1), 0, length);
        uint256 table = Field.eqTable(point, bits); // right behind the length
        assembly ("memory-safe") {
            vector := sub(table, 32)
        }
    }
}
