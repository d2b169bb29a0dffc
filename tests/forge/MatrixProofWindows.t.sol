// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../../contracts/libraries/Field.sol";
import {Term} from "../../contracts/proofs/Descriptor.sol";
import {Windows} from "../../contracts/proofs/Windows.sol";
import {vm} from "./utils/Vm.sol";

/// @dev Windows are calldata: 6 bytes each, kernel, stride and padding for rows and columns.
contract WindowsHarness {
    function readBy(bytes calldata pools, uint256 axis, uint256[] memory point, uint256 extent)
        external
        pure
        returns (uint256[] memory)
    {
        Term memory term;
        term.poolsBefore = pools.length / 6;
        term.before = _at(pools);
        return Windows.readBy(term, axis, _at(point), point.length, extent);
    }

    function writtenBy(bytes calldata pools, uint256 axis, uint256[] memory point, uint256 target, uint256 extent)
        external
        pure
        returns (uint256[] memory)
    {
        Term memory term;
        term.poolsAfter = pools.length / 6;
        term.afterwards = _at(pools);
        return Windows.writtenBy(term, axis, _at(point), point.length, target, extent);
    }

    function slide(bytes calldata window, uint256 axis, uint256 extent) external pure returns (uint256) {
        return Windows.slide(extent, _at(window), axis);
    }

    function correlate(bytes calldata window, uint256 axis, uint256[] memory u, uint256[] memory v)
        external
        pure
        returns (uint256[] memory)
    {
        return Windows.correlate(u, v, _at(window), axis);
    }

    function dot(uint256[] memory u, uint256[] memory v) external pure returns (uint256) {
        return Windows.dot(u, v);
    }

    function _at(bytes calldata data) private pure returns (uint256 ptr) {
        assembly {
            ptr := data.offset
        }
    }

    function _at(uint256[] memory words) private pure returns (uint256 ptr) {
        assembly {
            ptr := add(words, 32)
        }
    }
}

/// @notice Pools and convolutions along one axis against the dense matrices that they stand for.
contract MatrixProofWindowsTest {
    WindowsHarness private _harness = new WindowsHarness();
    uint256 private _seed;

    function _draw() private returns (uint256) {
        return _seed = uint256(keccak256(abi.encode(_seed)));
    }

    function _words(uint256 count) private returns (uint256[] memory words) {
        words = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            words[i] = _draw() % R;
        }
    }

    /// @dev A window that fits `extent` entries on the axis, and any numbers for the other axis.
    function _window(uint256 axis, uint256 extent) private returns (bytes memory window) {
        window = abi.encodePacked(bytes6(uint48(_draw())));
        uint256 padding = _draw() % 3;
        window[axis] = bytes1(uint8(_draw() % (extent + 2 * padding) + 1));
        window[2 + axis] = bytes1(uint8(_draw() % 3 + 1));
        window[4 + axis] = bytes1(uint8(padding));
    }

    /// @dev matrix[j][i] = 1 if window j covers entry i.
    function _matrix(bytes memory window, uint256 axis, uint256 extent)
        private
        view
        returns (uint256[][] memory matrix)
    {
        int256 kernel = int256(uint256(uint8(window[axis])));
        int256 stride = int256(uint256(uint8(window[2 + axis])));
        int256 padding = int256(uint256(uint8(window[4 + axis])));
        uint256 count = uint256((int256(extent) + 2 * padding - kernel) / stride) + 1;
        vm.assertEq(_harness.slide(window, axis, extent), count);
        matrix = new uint256[][](count);
        for (uint256 j = 0; j < count; ++j) {
            matrix[j] = new uint256[](extent);
            int256 first = int256(j) * stride - padding;
            for (int256 i = 0; i < int256(extent); ++i) {
                if (i >= first && i < first + kernel) matrix[j][uint256(i)] = 1;
            }
        }
    }

    function _apply(uint256[][] memory matrix, uint256[] memory v) private pure returns (uint256[] memory result) {
        result = new uint256[](matrix.length);
        for (uint256 j = 0; j < matrix.length; ++j) {
            for (uint256 i = 0; i < v.length; ++i) {
                result[j] = addmod(result[j], mulmod(matrix[j][i], v[i], R), R);
            }
        }
    }

    function _eqVector(uint256[] memory point, uint256 length) private pure returns (uint256[] memory vector) {
        uint256 ptr;
        assembly {
            ptr := add(point, 32)
        }
        vector = new uint256[](length);
        for (uint256 i = 0; i < length; ++i) {
            vector[i] = Field.eq(ptr, point.length, i);
        }
    }

    function _expect(uint256[] memory got, uint256[] memory expected) private pure {
        vm.assertEq(got, expected);
    }

    function testFuzz_readBy__pools__are_the_matrices(uint256 seed) public {
        _seed = seed;
        uint256 axis = _draw() % 2;
        uint256[] memory point = _words(_draw() % 5);
        uint256 extent = _draw() % (1 << point.length) + 1;
        uint256[] memory expected = _eqVector(point, extent);
        bytes memory pools = "";
        for (uint256 left = _draw() % 4; left > 0; --left) {
            bytes memory window = _window(axis, expected.length);
            pools = bytes.concat(pools, window);
            expected = _apply(_matrix(window, axis, expected.length), expected);
        }
        _expect(_harness.readBy(pools, axis, point, extent), expected);
    }

    /// @dev What a target reads through pools of the entries before them: <eq, Pool x> = <written, x> for every x.
    function testFuzz_writtenBy__pools__is_the_transpose(uint256 seed) public {
        _seed = seed;
        uint256 axis = _draw() % 2;
        uint256 extent = _draw() % 16 + 1;
        uint256[] memory x = _words(extent);
        uint256[] memory y = x;
        bytes memory pools = "";
        for (uint256 left = _draw() % 4; left > 0; --left) {
            bytes memory window = _window(axis, y.length);
            pools = bytes.concat(pools, window);
            y = _apply(_matrix(window, axis, y.length), y);
        }
        uint256[] memory point = _words(Field.log2(y.length));
        uint256[] memory written = _harness.writtenBy(pools, axis, point, y.length, extent);
        vm.assertEq(written.length, extent);
        vm.assertEq(_harness.dot(written, x), _harness.dot(_eqVector(point, y.length), y));
    }

    /// @dev <u, conv(v)> = Σ_w K[w]·kernel[w] for every kernel: K[w] is what the kernel's entry w multiplies.
    function testFuzz_correlate__any_window__is_the_sum(uint256 seed) public {
        _seed = seed;
        uint256 axis = _draw() % 2;
        uint256[] memory v = _words(_draw() % 12 + 1);
        bytes memory window = _window(axis, v.length);
        uint256[] memory u = _words(_harness.slide(window, axis, v.length));
        uint256[] memory expected = new uint256[](uint8(window[axis]));
        for (uint256 j = 0; j < u.length; ++j) {
            for (uint256 w = 0; w < expected.length; ++w) {
                uint256 i = uint8(window[2 + axis]) * j + w; // plus the padding
                if (i < uint8(window[4 + axis]) || i - uint8(window[4 + axis]) >= v.length) continue;
                expected[w] = addmod(expected[w], mulmod(u[j], v[i - uint8(window[4 + axis])], R), R);
            }
        }
        _expect(_harness.correlate(window, axis, u, v), expected);
    }

    function test_slide__window_that_does_not_fit__reverts() public {
        vm.expectRevert(Windows.Windows_DoNotFit.selector);
        _harness.slide(hex"040101010000", 0, 3);
        vm.expectRevert(Windows.Windows_DoNotFit.selector);
        _harness.slide(hex"010100010000", 0, 3); // stride 0
        vm.assertEq(_harness.slide(hex"040101010100", 0, 3), 2);
    }
}
