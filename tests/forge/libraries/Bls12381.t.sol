// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Bls12381} from "../../../contracts/libraries/Bls12381.sol";
import {R} from "../../../contracts/libraries/Field.sol";
import {vm} from "../utils/Vm.sol";

contract BlsHarness {
    /// @dev Points one after the other, and their scalars.
    function sum(bytes calldata points, uint256[] calldata scalars) external view returns (bytes memory) {
        uint256 pairs = Bls12381.allocate(scalars.length);
        uint256 ptr;
        assembly {
            ptr := points.offset
        }
        uint256 end = Bls12381.copy(pairs, ptr, scalars.length);
        for (uint256 i = 0; i < scalars.length; ++i) {
            uint256 scalar = scalars[i];
            assembly {
                mstore(add(add(pairs, mul(i, 160)), 128), scalar)
            }
        }
        assert(end == pairs + 160 * scalars.length);
        return Bls12381.sum(pairs, scalars.length);
    }

    function generator() external view returns (bytes memory) {
        uint256 pair = Bls12381.allocate(1);
        Bls12381.copyGenerator(pair);
        assembly {
            mstore(add(pair, 128), 1)
        }
        return Bls12381.sum(pair, 1);
    }

    function opens(bytes calldata left, bytes calldata right) external view returns (bool) {
        uint256 ptr;
        assembly {
            ptr := right.offset
        }
        return Bls12381.opens(left, ptr);
    }
}

/// @notice The precompiles of EIP-2537 and the ceremony's constants. Points were computed with py-ecc.
contract Bls12381Test {
    bytes private constant G =
        hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1";
    bytes private constant G2 =
        hex"000000000000000000000000000000000572cbea904d67468808c8eb50a9450c9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e00000000000000000000000000000000166a9d8cabc673a322fda673779d8e3822ba3ecb8670e461f73bb9021d5fd76a4c56d9d4cd16bd1bba86881979749d28";
    bytes private constant G5 =
        hex"0000000000000000000000000000000010e7791fb972fe014159aa33a98622da3cdc98ff707965e536d8636b5fcc5ac7a91a8c46e59a00dca575af0f18fb13dc0000000000000000000000000000000016ba437edcc6551e30c10512367494bfb6b01cc6681e8a4c3cd2501832ab5c4abc40b4578b85cbaffbf0bcd70d67c6e2";
    /// @dev τG: the second of the ceremony's points of G1 in monomial form.
    bytes private constant TAU_G =
        hex"000000000000000000000000000000000d3eb50121139aa34db1d545093ac9374ab7bca2c0f3bf28e27c8dcd8fc7cb42d25926fc0c97b336e9f0fb35e5a04c810000000000000000000000000000000017de623f59a3043952d2f637a935fae14b6dee8b255e526304963d58ab6f1a827c7de623d34d394f8a3d0f57d6e972b9";
    /// @dev On the curve, x = 4, but of another order.
    bytes private constant OUTSIDE =
        hex"00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000004000000000000000000000000000000000a989badd40d6212b33cffc3f3763e9bc760f988c9926b26da9dd85e928483446346b8ed00e1de5d5ea93e354abe706c";
    /// @dev The modulus of the base field, as a coordinate: (p, y) would be (0, y).
    bytes private constant P =
        hex"000000000000000000000000000000001a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";
    uint256 private constant LIMIT = 1_000_000;

    BlsHarness private _harness = new BlsHarness();

    function _scalars(uint256 a) private pure returns (uint256[] memory scalars) {
        scalars = new uint256[](1);
        scalars[0] = a;
    }

    function _scalars(uint256 a, uint256 b) private pure returns (uint256[] memory scalars) {
        scalars = new uint256[](2);
        (scalars[0], scalars[1]) = (a, b);
    }

    function test_sum__small_multiples__known_points() public view {
        vm.assertEq(_harness.generator(), G);
        vm.assertEq(_harness.sum(G, _scalars(5)), G5);
        vm.assertEq(_harness.sum(bytes.concat(G, G2), _scalars(1, 2)), G5);
        vm.assertEq(_harness.sum(bytes.concat(G, G2), _scalars(R - 2, 1)), new bytes(128));
        vm.assertEq(_harness.sum(bytes.concat(G, new bytes(128)), _scalars(5, 77)), G5); // infinity is a point
    }

    /// PROOF-5: whatever the scalar is, 0 too.
    function testFuzz_sum__not_a_point_of_the_group__reverts(uint256 scalar, uint8 kind, bool second) public {
        if (kind % 3 == 0) scalar = 0;
        bytes memory bad;
        kind = (kind / 3) % 5;
        if (kind == 0) bad = OUTSIDE;
        if (kind == 1) bad = bytes.concat(P, _half(G, 64)); // x = p
        if (kind == 2) bad = bytes.concat(_half(G, 0), P); // y = p
        if (kind == 3) bad = bytes.concat(_half(G2, 0), _half(G, 64)); // off the curve
        if (kind == 4) {
            bad = bytes.concat(G);
            bad[uint256(scalar >> 8) % 16 + 64 * (scalar % 2)] = 0x01; // bits above the coordinate's 48 bytes
        }
        _refuse(second ? bytes.concat(G, bad) : bytes.concat(bad, G), _scalars(scalar, scalar));
    }

    /// @dev A failed precompile takes all of the gas that it was given.
    function _refuse(bytes memory points, uint256[] memory scalars) private {
        (bool ok, bytes memory answer) =
            address(_harness).call{gas: LIMIT}(abi.encodeCall(_harness.sum, (points, scalars)));
        vm.assertFalse(ok);
        vm.assertEq(bytes32(bytes4(answer)), bytes32(Bls12381.Bls12381_BadPoint.selector));
    }

    function _half(bytes memory point, uint256 from) private pure returns (bytes memory half) {
        half = new bytes(64);
        for (uint256 i = 0; i < 64; ++i) {
            half[i] = point[from + i];
        }
    }

    /// @dev A chain without EIP-2537: the call succeeds and returns nothing.
    function test_sum__no_precompile__reverts() public {
        vm.mockCall(address(0x0c), "", "");
        _refuse(G, _scalars(1));
        vm.mockCall(address(0x0c), "", new bytes(129));
        _refuse(G, _scalars(1));
    }

    /// @dev e(τG, H) = e(G, τH): the constants are what the comments say.
    function test_opens__the_ceremony__holds() public view {
        vm.assertTrue(_harness.opens(TAU_G, G));
        vm.assertFalse(_harness.opens(G, G));
        vm.assertFalse(_harness.opens(G, TAU_G));
        vm.assertFalse(_harness.opens(new bytes(128), G));
        vm.assertTrue(_harness.opens(new bytes(128), new bytes(128)));
    }

    function testFuzz_opens__a_multiple__holds(uint256 scalar) public view {
        vm.assertTrue(_harness.opens(_harness.sum(TAU_G, _scalars(scalar)), _harness.sum(G, _scalars(scalar))));
    }

    /// @dev Only the word 1 counts.
    function test_opens__odd_precompile__false() public {
        bytes[5] memory answers =
            [bytes(""), abi.encode(uint256(2)), abi.encode(1, 1), hex"01", abi.encode(uint256(1) << 255 | 1)];
        for (uint256 i = 0; i < answers.length; ++i) {
            vm.mockCall(address(0x0f), "", answers[i]);
            vm.assertFalse(_harness.opens(TAU_G, G));
        }
        vm.mockCallRevert(address(0x0f), "", abi.encode(uint256(1)));
        vm.assertFalse(_harness.opens(TAU_G, G));
    }
}
