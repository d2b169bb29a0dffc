// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../../contracts/libraries/Field.sol";
import {Block} from "../../contracts/proofs/Descriptor.sol";
import {PublicValues} from "../../contracts/proofs/PublicValues.sol";
import {vm} from "./utils/Vm.sol";

contract PublicValuesHarness {
    function sum(
        Block memory b,
        bytes calldata values,
        uint256[] memory positions,
        uint256[] memory instances,
        uint256 bound
    ) external pure returns (uint256) {
        uint256 ptr;
        uint256 p;
        uint256 i;
        assembly {
            ptr := values.offset
            p := add(positions, 32)
            i := add(instances, 32)
        }
        return bound == 0
            ? PublicValues.sumElements(b, ptr, p, i, instances.length)
            : PublicValues.sumIntegers(b, ptr, p, i, instances.length, bound);
    }
}

/// @notice Sums over public values against sums over entries.
contract MatrixProofPublicValuesTest {
    PublicValuesHarness private _harness = new PublicValuesHarness();
    uint256 private _seed;

    function _draw() private returns (uint256) {
        return _seed = uint256(keccak256(abi.encode(_seed)));
    }

    function _point(uint256 bits) private returns (uint256[] memory point) {
        point = new uint256[](bits);
        for (uint256 k = 0; k < bits; ++k) {
            point[k] = _draw() % R;
        }
    }

    function _block(uint256 channels, uint256 rows, uint256 columns) private pure returns (Block memory b) {
        (b.channels, b.rows, b.columns) = (channels, rows, columns);
        (b.channelBits, b.rowBits, b.columnBits) = (Field.log2(channels), Field.log2(rows), Field.log2(columns));
        b.bits = b.channelBits + b.rowBits + b.columnBits;
    }

    function _eq(uint256[] memory point, uint256 index) private pure returns (uint256) {
        uint256 ptr;
        assembly {
            ptr := add(point, 32)
        }
        return Field.eq(ptr, point.length, index);
    }

    function testFuzz_sum__any_block__is_the_sum_over_entries(uint256 seed, bool elements) public {
        _seed = seed;
        // Extents of 1 are frequent: axes of extent 1 are skipped.
        Block memory b = _block(_extent(), _extent(), _extent());
        uint256[] memory instances = _point(_draw() % 3);
        uint256[] memory positions = _point(b.bits);
        uint256 bound = 1 << (_draw() % 31 + 1);
        bytes memory values = "";
        uint256 expected = 0;
        for (uint256 i = 0; i < 1 << instances.length; ++i) {
            for (uint256 entry = 0; entry < b.channels * b.rows * b.columns; ++entry) {
                uint256 element;
                (values, element) = _append(values, elements, bound);
                element = mulmod(element, mulmod(_eq(instances, i), _eq(positions, _position(b, entry)), R), R);
                expected = addmod(expected, element, R);
            }
        }
        vm.assertEq(_harness.sum(b, values, positions, instances, elements ? 0 : bound), expected);
    }

    function _extent() private returns (uint256) {
        return _draw() % 2 == 0 ? 1 : _draw() % 5 + 1;
    }

    /// @dev Entry (c, y, x) in row-major order lies at (c·2^h̄ + y)·2^w̄ + x.
    function _position(Block memory b, uint256 entry) private pure returns (uint256) {
        uint256 x = entry % b.columns;
        uint256 y = entry / b.columns % b.rows;
        uint256 c = entry / b.columns / b.rows;
        return ((c << b.rowBits) + y << b.columnBits) + x;
    }

    function _append(bytes memory values, bool elements, uint256 bound) private returns (bytes memory, uint256) {
        if (elements) {
            uint256 element = _draw() % R;
            return (abi.encodePacked(values, element), element);
        }
        int256 value = int256(_draw() % (2 * bound)) - int256(bound);
        return (abi.encodePacked(values, int32(value)), value < 0 ? R - uint256(-value) : uint256(value));
    }

    /// PROOF-5
    function test_sum__integers_at_the_bound__refused_from_there_on() public {
        uint256[] memory none = new uint256[](0);
        Block memory b = _block(1, 1, 1);
        for (uint256 bits = 0; bits < 32; ++bits) {
            int256 bound = int256(1) << bits;
            _harness.sum(b, abi.encodePacked(int32(-bound)), none, none, uint256(bound));
            _harness.sum(b, abi.encodePacked(int32(bound - 1)), none, none, uint256(bound));
            if (bits == 31) break; // all that 32 bits can say
            vm.expectRevert(PublicValues.PublicValues_OutOfRange.selector);
            _harness.sum(b, abi.encodePacked(int32(-bound - 1)), none, none, uint256(bound));
            vm.expectRevert(PublicValues.PublicValues_OutOfRange.selector);
            _harness.sum(b, abi.encodePacked(int32(bound)), none, none, uint256(bound));
        }
    }

    /// PROOF-5
    function test_sum__element_not_below_r__refused_wherever_it_is() public {
        Block memory b = _block(2, 3, 2);
        bytes memory values = new bytes(12 * 32);
        uint256[] memory none = new uint256[](0);
        uint256[] memory point = _point(4);
        for (uint256 i = 0; i < 12; ++i) {
            uint256 element = i % 2 == 0 ? R : type(uint256).max;
            assembly {
                mstore(add(add(values, 32), mul(i, 32)), element)
            }
            vm.expectRevert(PublicValues.PublicValues_OutOfRange.selector);
            _harness.sum(b, values, point, none, 0);
            assembly {
                mstore(add(add(values, 32), mul(i, 32)), sub(R, 1))
            }
        }
        _harness.sum(b, values, point, none, 0);
    }
}
