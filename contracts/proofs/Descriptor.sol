// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field} from "../libraries/Field.sol";

/// @notice The values of one layer: where they lie among the 2^m positions, and how.
/// @param bits e, the index bits of a position inside the block: columnBits, then rowBits, then channelBits
struct Block {
    uint256 channels;
    uint256 rows;
    uint256 columns;
    uint256 offset;
    uint256 columnBits;
    uint256 rowBits;
    uint256 channelBits;
    uint256 bits;
}

/// @title Slices of a point over positions
/// @notice Inside a block, which lies at a multiple of its size, a position's lowest bits count columns, then rows, then
///         channels; the bits above them are the block's place.
library BlockLib {
    /// @notice The coordinates for rows.
    function rowsOf(Block memory b, uint256 point) internal pure returns (uint256) {
        unchecked {
            return point + 32 * b.columnBits;
        }
    }

    /// @notice The coordinates for channels.
    function channelsOf(Block memory b, uint256 point) internal pure returns (uint256) {
        unchecked {
            return point + 32 * (b.columnBits + b.rowBits);
        }
    }

    /// @notice The last real position inside the block.
    function last(Block memory b) internal pure returns (uint256) {
        unchecked {
            return (((b.channels - 1) << b.rowBits | (b.rows - 1)) << b.columnBits) | (b.columns - 1);
        }
    }

    /// @notice The coordinates above the block's own.
    function placeOf(Block memory b, uint256 point) internal pure returns (uint256) {
        unchecked {
            return point + 32 * b.bits;
        }
    }
}

/// @notice A circuit descriptor, as far as it has a fixed size. The letters are those of the specification.
/// @param chunkBits d
/// @param rangeBits B, the bits of every z
/// @param shift s
/// @param inputBits t
/// @param positionBits m
/// @param stages L
/// @param chunks chunks of the weights' commitment
/// @param blocks block 0 is the input, block i what stage i leaves
/// @param stagesAt calldata address of the first stage
/// @param end calldata address behind the descriptor
struct Descriptor {
    uint256 chunkBits;
    uint256 rangeBits;
    uint256 shift;
    uint256 inputBits;
    uint256 positionBits;
    uint256 stages;
    uint256 chunks;
    Block[] blocks;
    uint256 stagesAt;
    uint256 end;
}

/// @notice What a stage says about itself before its terms.
struct Stage {
    uint256 biasOffset;
    uint256 biasKind;
    uint256 terms;
}

/// @notice One term of a stage. Pools and the convolution's window are calldata addresses of 6 bytes each: kernel height and
///         width, stride, padding.
/// @param operand the offset of the weights, or the coefficient as a signed number
struct Term {
    uint256 source;
    uint256 kind;
    uint256 operand;
    uint256 window;
    uint256 poolsBefore;
    uint256 before;
    uint256 poolsAfter;
    uint256 afterwards;
}

/// @title Reading circuit descriptors
/// @notice Section 4 of docs/spec/proofs.md. Reading checks nothing but the length of the fixed part: WellFormed checks a
///         descriptor once, and its hash stands for that from then on. A reader that walks the stages ends at `end` exactly
///         if it has read no byte outside.
library DescriptorReader {
    uint256 internal constant PUBLIC = 0;
    uint256 internal constant DENSE = 1;
    uint256 internal constant CONV = 2;

    uint256 internal constant ROWS = 0;
    uint256 internal constant COLUMNS = 1;

    uint256 internal constant WINDOW_BYTES = 6;
    uint256 private constant HEADER_BYTES = 12;
    uint256 private constant BLOCK_BYTES = 10;
    uint256 private constant STAGE_BYTES = 6;

    error Descriptor_Length(uint256 length);

    function read(Descriptor memory c, bytes calldata data) internal pure {
        unchecked {
            uint256 ptr = _address(data);
            if (data.length < HEADER_BYTES) revert Descriptor_Length(data.length);
            c.chunkBits = _uint(ptr + 1, 1);
            c.rangeBits = _uint(ptr + 2, 1);
            c.shift = _uint(ptr + 3, 1);
            c.inputBits = _uint(ptr + 4, 1);
            c.positionBits = _uint(ptr + 5, 1);
            c.stages = _uint(ptr + 6, 1);
            c.chunks = _uint(ptr + 8, 4);
            c.end = ptr + data.length;
            c.stagesAt = ptr + HEADER_BYTES + BLOCK_BYTES * (c.stages + 1);
            if (c.stagesAt > c.end) revert Descriptor_Length(data.length);
            ptr += HEADER_BYTES;
            c.blocks = _noBlocks(c.stages + 1);
            for (uint256 i = 0; i <= c.stages; ++i) {
                c.blocks[i] = _readBlock(_uint(ptr, BLOCK_BYTES));
                ptr += BLOCK_BYTES;
            }
        }
    }

    /// @dev An array whose elements are yet to be set: `new Block[]` would make a block for each.
    function _noBlocks(uint256 count) private pure returns (Block[] memory blocks) {
        assembly ("memory-safe") {
            blocks := mload(0x40)
            mstore(blocks, count)
            mstore(0x40, add(blocks, shl(5, add(count, 1))))
        }
    }

    function _readBlock(uint256 word) private pure returns (Block memory) {
        unchecked {
            (uint256 channels, uint256 rows, uint256 columns) =
                (word >> 64, (word >> 48) & 0xffff, (word >> 32) & 0xffff);
            (uint256 c, uint256 h, uint256 w) = (Field.log2(channels), Field.log2(rows), Field.log2(columns));
            return Block(channels, rows, columns, word & 0xffffffff, w, h, c, c + h + w);
        }
    }

    /// @notice Memory for what is read next, to be used again and again.
    function scratch() internal pure returns (Stage memory stage, Term memory term) {}

    /// @return next the calldata address of the stage's first term
    function readStage(uint256 ptr, Stage memory stage) internal pure returns (uint256 next) {
        unchecked {
            uint256 word = _uint(ptr, STAGE_BYTES);
            stage.biasOffset = word >> 16;
            stage.biasKind = (word >> 8) & 0xff;
            stage.terms = word & 0xff;
            next = ptr + STAGE_BYTES;
        }
    }

    /// @return next the calldata address behind the term. It goes up with every term.
    function readTerm(uint256 ptr, Term memory term) internal pure returns (uint256 next) {
        unchecked {
            uint256 word = _uint(ptr, 8);
            term.source = word >> 56;
            term.kind = (word >> 48) & 0xff;
            term.poolsBefore = (word >> 40) & 0xff;
            term.poolsAfter = (word >> 32) & 0xff;
            word &= 0xffffffff;
            term.window = ptr + 8;
            next = ptr + 8;
            if (term.kind == PUBLIC) {
                assembly ("memory-safe") {
                    word := signextend(3, word)
                }
            } else if (term.kind == CONV) {
                next += WINDOW_BYTES;
            }
            term.operand = word;
            term.before = next;
            next += WINDOW_BYTES * term.poolsBefore;
            term.afterwards = next;
            next += WINDOW_BYTES * term.poolsAfter;
        }
    }

    /// @notice A window's kernel, stride and padding along one axis, ROWS or COLUMNS.
    function window(uint256 ptr, uint256 axis) internal pure returns (uint256 extent, uint256 stride, uint256 padding) {
        assembly ("memory-safe") {
            let word := calldataload(ptr)
            extent := byte(axis, word)
            stride := byte(add(axis, 2), word)
            padding := byte(add(axis, 4), word)
        }
    }

    /// @notice A window's extent along one axis.
    function kernel(uint256 ptr, uint256 axis) internal pure returns (uint256 extent) {
        assembly ("memory-safe") {
            extent := byte(axis, calldataload(ptr))
        }
    }

    /// @notice How many windows fit along an axis of `extent` values; 0 if none does.
    function windows(uint256 extent, uint256 size, uint256 stride, uint256 padding) internal pure returns (uint256) {
        uint256 padded = extent + 2 * padding;
        return padded < size || stride == 0 ? 0 : (padded - size) / stride + 1;
    }

    /// @notice How many index bits the entry's digits of a bias take: those of a row, and one for the digit.
    function biasBits(Stage memory stage, Block memory b) internal pure returns (uint256) {
        unchecked {
            return 1 + (stage.biasKind == 0 ? b.channelBits : b.bits);
        }
    }

    function _address(bytes calldata data) private pure returns (uint256 ptr) {
        assembly ("memory-safe") {
            ptr := data.offset
        }
    }

    /// @dev The big-endian number of `size` bytes at a calldata address.
    function _uint(uint256 ptr, uint256 size) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, size)), calldataload(ptr))
        }
    }
}
