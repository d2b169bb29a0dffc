// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../libraries/Field.sol";
import {Block} from "./Descriptor.sol";

/// @title Public inputs and outputs
/// @notice Section 8 of docs/spec/proofs.md: the values lie in calldata, instance after instance, row-major over the real
///         entries. A sum here is Σ_instances Σ_real eq(instances, instance) eq(positions, position) value.
library PublicValues {
    /// @dev Instead of a bound: the values are field elements of 32 bytes.
    uint256 private constant ELEMENTS = type(uint256).max;

    error PublicValues_OutOfRange();

    /// @notice The values that are still to be read, and eq of the coordinates of each axis.
    /// @param ptr calldata address of the next value
    /// @param bound what integers must lie in, [-bound, bound); ELEMENTS if they are elements
    struct Reader {
        uint256 ptr;
        uint256 bound;
        uint256 channels;
        uint256 rows;
        uint256 columns;
        uint256 ofChannels;
        uint256 ofRows;
        uint256 ofColumns;
    }

    /// @notice The sum over integers of 32 bits. Reverts unless all lie in [-bound, bound) (PROOF-5).
    /// @param ptr calldata address of the values
    /// @param positions point over the block's index bits
    /// @param instances point over the instances, `instanceBits` coordinates
    function sumIntegers(
        Block memory b,
        uint256 ptr,
        uint256 positions,
        uint256 instances,
        uint256 instanceBits,
        uint256 bound
    ) internal pure returns (uint256) {
        return _sum(_reader(b, ptr, positions, bound), instances, instanceBits);
    }

    /// @notice The sum over field elements. Reverts unless all are below r (PROOF-5).
    function sumElements(Block memory b, uint256 ptr, uint256 positions, uint256 instances, uint256 instanceBits)
        internal
        pure
        returns (uint256)
    {
        return _sum(_reader(b, ptr, positions, ELEMENTS), instances, instanceBits);
    }

    /// @dev Axes of extent 1 take no index bits, so a block (n, 1, 1) is read as one row.
    function _reader(Block memory b, uint256 ptr, uint256 point, uint256 bound)
        private
        pure
        returns (Reader memory reader)
    {
        unchecked {
            (reader.ptr, reader.bound) = (ptr, bound);
            (reader.channels, reader.rows, reader.columns) = (b.channels, b.rows, b.columns);
            if (reader.columns == 1) {
                (reader.channels, reader.rows, reader.columns) = (1, reader.channels, reader.rows);
            }
            if (reader.columns == 1) (reader.rows, reader.columns) = (1, reader.rows);
            uint256 bits = Field.log2(reader.columns);
            reader.ofColumns = Field.eqTable(point, bits);
            point += 32 * bits;
            bits = Field.log2(reader.rows);
            reader.ofRows = Field.eqTable(point, bits);
            reader.ofChannels = Field.eqTable(point + 32 * bits, Field.log2(reader.channels));
        }
    }

    function _sum(Reader memory reader, uint256 instances, uint256 instanceBits) private pure returns (uint256 sum) {
        unchecked {
            uint256 table = Field.eqTable(instances, instanceBits);
            for (uint256 i = 0; i < uint256(1) << instanceBits; ++i) {
                for (uint256 c = 0; c < reader.channels; ++c) {
                    uint256 weight = mulmod(Field.load(table, i), Field.load(reader.ofChannels, c), R);
                    sum = addmod(sum, mulmod(weight, _channel(reader), R), R);
                }
            }
        }
    }

    function _channel(Reader memory reader) private pure returns (uint256 sum) {
        unchecked {
            for (uint256 y = 0; y < reader.rows; ++y) {
                (uint256 row, bool valid) = reader.bound == ELEMENTS ? _rowOfElements(reader) : _rowOfIntegers(reader);
                if (!valid) revert PublicValues_OutOfRange();
                sum = addmod(sum, mulmod(row, Field.load(reader.ofRows, y), R), R);
            }
        }
    }

    function _rowOfIntegers(Reader memory reader) private pure returns (uint256 sum, bool valid) {
        (uint256 ptr, uint256 table, uint256 bound) = (reader.ptr, reader.ofColumns, reader.bound);
        uint256 end = ptr + 4 * reader.columns;
        reader.ptr = end;
        valid = true;
        assembly ("memory-safe") {
            let r := R
            for {} lt(ptr, end) { ptr := add(ptr, 4) } {
                let value := signextend(3, shr(224, calldataload(ptr)))
                valid := and(valid, lt(add(value, bound), shl(1, bound)))
                // A negative value plus r wraps to an element; any other becomes one in mulmod.
                sum := addmod(sum, mulmod(add(value, r), mload(table), r), r)
                table := add(table, 32)
            }
        }
    }

    function _rowOfElements(Reader memory reader) private pure returns (uint256 sum, bool valid) {
        (uint256 ptr, uint256 table) = (reader.ptr, reader.ofColumns);
        uint256 end = ptr + 32 * reader.columns;
        reader.ptr = end;
        valid = true;
        assembly ("memory-safe") {
            let r := R
            for {} lt(ptr, end) { ptr := add(ptr, 32) } {
                let value := calldataload(ptr)
                valid := and(valid, lt(value, r))
                sum := addmod(sum, mulmod(value, mload(table), r), r)
                table := add(table, 32)
            }
        }
    }
}
