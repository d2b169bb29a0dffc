// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field} from "../libraries/Field.sol";
import {Block, BlockLib, Descriptor, DescriptorReader, Stage, Term} from "./Descriptor.sol";

/// @title Which descriptors describe a circuit
/// @notice PROOF-1 of docs/spec/proofs.md, all of it. Asked once, at registration: everything else trusts a descriptor whose
///         hash is registered.
library WellFormed {
    using BlockLib for Block;

    uint256 private constant VERSION = 2;
    uint256 private constant MAX_POSITION_BITS = 20;
    uint256 private constant MAX_STAGES = 64;
    uint256 private constant MAX_CHUNKS = 1 << 20;
    uint256 private constant MAX_TERMS = 16;
    /// @dev Each multiplies sums by up to 2^16, and no sum may come near r.
    uint256 private constant MAX_POOLS = 4;

    /// @dev Each names what is wrong, and the block or stage in which.
    error Descriptor_Header();
    error Descriptor_Block(uint256 index);
    error Descriptor_Overlap(uint256 first, uint256 second);
    error Descriptor_Bias(uint256 stage);
    error Descriptor_Terms(uint256 stage);
    error Descriptor_Window(uint256 stage);
    error Descriptor_Shape(uint256 stage);
    error Descriptor_Weights(uint256 stage);
    error Descriptor_End();

    function check(bytes calldata data) internal pure returns (Descriptor memory c) {
        DescriptorReader.read(c, data);
        _checkHeader(c, data);
        _checkBlocks(c);
        (Stage memory stage, Term memory term) = DescriptorReader.scratch();
        uint256 ptr = c.stagesAt;
        for (uint256 i = 1; i <= c.stages; ++i) {
            ptr = DescriptorReader.readStage(ptr, stage);
            _checkBias(c, stage, i);
            if (stage.terms == 0 || stage.terms > MAX_TERMS) revert Descriptor_Terms(i);
            for (uint256 j = 0; j < stage.terms; ++j) {
                ptr = DescriptorReader.readTerm(ptr, term);
                // An acyclic order: a diagonal entry would make any value a fixpoint.
                if (term.source >= i || term.kind > DescriptorReader.CONV) revert Descriptor_Terms(i);
                if (term.poolsBefore + term.poolsAfter > MAX_POOLS) revert Descriptor_Terms(i);
                _checkTerm(c, term, i);
            }
        }
        // Neither too short, and read past its end, nor too long.
        if (ptr != c.end) revert Descriptor_End();
    }

    function _checkHeader(Descriptor memory c, bytes calldata data) private pure {
        bool valid = uint8(data[0]) == VERSION && data[7] == 0;
        valid = valid && c.chunkBits >= 7 && c.chunkBits <= 11;
        valid = valid && c.rangeBits >= 2 && c.rangeBits <= 32;
        valid = valid && c.shift >= 1 && c.shift < c.rangeBits;
        valid = valid && c.inputBits >= 1 && c.inputBits < c.rangeBits;
        valid = valid && c.positionBits >= 1 && c.positionBits <= MAX_POSITION_BITS;
        valid = valid && c.stages <= MAX_STAGES && (c.stages == 0) == (c.chunks == 0);
        valid = valid && c.chunks <= MAX_CHUNKS;
        // Without stages no claim holds an input's low bits down.
        valid = valid && (c.stages != 0 || c.inputBits == c.rangeBits - 1);
        if (!valid) revert Descriptor_Header();
    }

    /// @dev Blocks are aligned to their sizes, powers of two: two of them are disjoint unless one holds the other's offset.
    function _checkBlocks(Descriptor memory c) private pure {
        for (uint256 i = 0; i < c.blocks.length; ++i) {
            Block memory b = c.blocks[i];
            bool valid = b.channels != 0 && b.rows != 0 && b.columns != 0;
            valid = valid && b.bits <= c.positionBits && b.offset >> c.positionBits == 0;
            valid = valid && (b.offset >> b.bits) << b.bits == b.offset;
            if (!valid) revert Descriptor_Block(i);
            for (uint256 j = 0; j < i; ++j) {
                uint256 larger = c.blocks[j].bits > b.bits ? c.blocks[j].bits : b.bits;
                if ((c.blocks[j].offset ^ b.offset) >> larger == 0) revert Descriptor_Overlap(j, i);
            }
        }
    }

    function _checkBias(Descriptor memory c, Stage memory stage, uint256 i) private pure {
        Block memory b = c.blocks[i];
        if (stage.biasKind > 1) revert Descriptor_Bias(i);
        uint256 rows = stage.biasKind == 0 ? b.channels : b.last() + 1;
        // Two digits for each row.
        if (!_fits(c, stage.biasOffset, DescriptorReader.biasBits(stage, b), 2 * rows - 1)) revert Descriptor_Bias(i);
    }

    /// @dev Whether weights of 2^bits indices at `offset`, the last real one of them `last`, are aligned and committed.
    function _fits(Descriptor memory c, uint256 offset, uint256 bits, uint256 last) private pure returns (bool) {
        uint256 aligned = bits < c.chunkBits ? bits : c.chunkBits;
        return (offset >> aligned) << aligned == offset && offset + last < c.chunks << c.chunkBits;
    }

    /// @dev Follows the shape of the source block through the term.
    function _checkTerm(Descriptor memory c, Term memory term, uint256 i) private pure {
        Block memory source = c.blocks[term.source];
        Block memory target = c.blocks[i];
        (uint256 rows, uint256 columns) = _pool(source.rows, source.columns, term.before, term.poolsBefore, i);
        if (term.kind == DescriptorReader.DENSE) {
            if (term.poolsAfter != 0) revert Descriptor_Shape(i);
            _checkDense(c, term, rows, columns, i);
            return;
        }
        if (term.kind == DescriptorReader.CONV) {
            rows = _slide(rows, term.window, DescriptorReader.ROWS, false, i);
            columns = _slide(columns, term.window, DescriptorReader.COLUMNS, false, i);
            _checkConv(c, term, i);
        } else if (source.channels != target.channels) {
            revert Descriptor_Shape(i);
        }
        (rows, columns) = _pool(rows, columns, term.afterwards, term.poolsAfter, i);
        if (rows != target.rows || columns != target.columns) revert Descriptor_Shape(i);
    }

    function _pool(uint256 rows, uint256 columns, uint256 ptr, uint256 count, uint256 i)
        private
        pure
        returns (uint256, uint256)
    {
        for (uint256 j = 0; j < count; ++j) {
            rows = _slide(rows, ptr, DescriptorReader.ROWS, true, i);
            columns = _slide(columns, ptr, DescriptorReader.COLUMNS, true, i);
            ptr += DescriptorReader.WINDOW_BYTES;
        }
        return (rows, columns);
    }

    /// @dev What a window leaves of an axis.
    function _slide(uint256 extent, uint256 ptr, uint256 axis, bool pool, uint256 i)
        private
        pure
        returns (uint256 count)
    {
        (uint256 kernel, uint256 stride, uint256 padding) = DescriptorReader.window(ptr, axis);
        count = DescriptorReader.windows(extent, kernel, stride, padding);
        if (kernel == 0 || stride == 0 || count == 0) revert Descriptor_Window(i);
        if (pool && 2 * padding > kernel) revert Descriptor_Window(i);
    }

    function _checkDense(Descriptor memory c, Term memory term, uint256 rows, uint256 columns, uint256 i) private pure {
        Block memory source = c.blocks[term.source];
        Block memory target = c.blocks[i];
        uint256 columnBits = Field.log2(columns);
        uint256 spatialBits = columnBits + Field.log2(rows);
        // Sums over what pools leave are explicit, so they must stay within a chunk.
        if (term.poolsBefore != 0 && spatialBits > c.chunkBits) revert Descriptor_Weights(i);
        uint256 last = ((source.channels - 1) << spatialBits) | ((rows - 1) << columnBits) | (columns - 1);
        uint256 bits = source.channelBits + spatialBits;
        last |= target.last() << bits;
        if (!_fits(c, term.operand, bits + target.bits, last)) revert Descriptor_Weights(i);
    }

    function _checkConv(Descriptor memory c, Term memory term, uint256 i) private pure {
        Block memory source = c.blocks[term.source];
        Block memory target = c.blocks[i];
        uint256 height = DescriptorReader.kernel(term.window, DescriptorReader.ROWS);
        uint256 width = DescriptorReader.kernel(term.window, DescriptorReader.COLUMNS);
        uint256 widthBits = Field.log2(width);
        uint256 kernelBits = widthBits + Field.log2(height);
        if (kernelBits > c.chunkBits) revert Descriptor_Weights(i);
        uint256 last = ((target.channels - 1) << source.channelBits) | (source.channels - 1);
        last = (last << kernelBits) | ((height - 1) << widthBits) | (width - 1);
        uint256 bits = kernelBits + source.channelBits + target.channelBits;
        if (!_fits(c, term.operand, bits, last)) revert Descriptor_Weights(i);
    }
}
