// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Field, R} from "../../../contracts/libraries/Field.sol";
import {vm} from "../utils/Vm.sol";

contract FieldHarness {
    function fromCalldata(uint256 element) external pure returns (uint256) {
        assert(element == _word());
        return Field.fromCalldata(4);
    }

    function _word() private pure returns (uint256 word) {
        assembly {
            word := calldataload(4)
        }
    }
}

/// @notice Everything in Field against its definition in section 2 of docs/spec/proofs.md, written out.
contract FieldTest {
    uint256 private constant BITS = 6;
    FieldHarness private _harness = new FieldHarness();

    /// @dev A point of F^BITS.
    function _point(uint256 seed) private pure returns (uint256[] memory point) {
        point = new uint256[](BITS);
        for (uint256 k = 0; k < BITS; ++k) {
            point[k] = uint256(keccak256(abi.encode(seed, k))) % R;
        }
        // edges
        if (seed % 4 == 0) point[seed % BITS] = 0;
        if (seed % 4 == 1) point[seed % BITS] = 1;
        if (seed % 4 == 2) point[seed % BITS] = R - 1;
    }

    function _at(uint256[] memory words) private pure returns (uint256 ptr) {
        assembly {
            ptr := add(words, 32)
        }
    }

    /// @dev Π_k (i_k ? ρ_k : 1 - ρ_k).
    function _eq(uint256[] memory point, uint256 bits, uint256 i) private pure returns (uint256 product) {
        product = 1;
        for (uint256 k = 0; k < bits; ++k) {
            product = mulmod(product, (i >> k) & 1 == 1 ? point[k] : addmod(1, R - point[k], R), R);
        }
    }

    /// PROOF-5
    function test_fromCalldata__edges__below_r_only() public {
        vm.assertEq(_harness.fromCalldata(0), 0);
        vm.assertEq(_harness.fromCalldata(R - 1), R - 1);
        vm.expectRevert(Field.Field_NotCanonical.selector);
        _harness.fromCalldata(R);
        vm.expectRevert(Field.Field_NotCanonical.selector);
        _harness.fromCalldata(type(uint256).max);
    }

    function testFuzz_sub__any__adds_back(uint256 a, uint256 b) public pure {
        b %= R;
        uint256 difference = Field.sub(a, b);
        vm.assertLt(difference, R, "canonical");
        vm.assertEq(addmod(difference, b, R), a % R);
    }

    function testFuzz_power__any__is_repeated_multiplication(uint256 base, uint256 first, uint8 exponent) public pure {
        (base, first) = (base % R, first % R);
        uint256 expected = 1;
        uint256 table = Field.powersOf(first, base, uint256(exponent) + 1);
        for (uint256 i = 0; i <= exponent; ++i) {
            vm.assertEq(Field.load(table, i), mulmod(first, expected, R));
            if (i < exponent) expected = mulmod(expected, base, R);
        }
        vm.assertEq(Field.power(base, exponent), expected);
    }

    function testFuzz_eq__any__is_the_product(uint256 seed, uint256 bits) public pure {
        uint256[] memory point = _point(seed);
        bits %= BITS + 1;
        uint256 table = Field.eqTable(_at(point), bits);
        for (uint256 i = 0; i < 1 << bits; ++i) {
            vm.assertEq(Field.eq(_at(point), bits, i), _eq(point, bits, i));
            vm.assertEq(Field.load(table, i), _eq(point, bits, i));
        }
    }

    /// @dev The table takes all of the memory that it writes.
    function testFuzz_eqTable__next_allocation__lies_behind(uint256 seed, uint256 bits) public pure {
        bits %= BITS + 1;
        uint256[] memory point = _point(seed);
        uint256 table = Field.eqTable(_at(point), bits);
        vm.assertEq(Field.allocate(1), table + (32 << bits));
    }

    /// @dev All lengths of all sizes.
    function testFuzz_prefixes__any__are_the_sums(uint256 seed, uint256 bits) public pure {
        (uint256[] memory a, uint256[] memory b) = (_point(seed), _point(~seed));
        bits %= BITS + 1;
        uint256 both = 0;
        uint256 mass = 0;
        for (uint256 length = 0; length <= 1 << bits; ++length) {
            vm.assertEq(Field.prefixEq(_at(a), _at(b), bits, length), both);
            vm.assertEq(Field.mass(_at(a), bits, length), mass);
            if (length == 1 << bits) break;
            both = addmod(both, mulmod(_eq(a, bits, length), _eq(b, bits, length), R), R);
            mass = addmod(mass, _eq(a, bits, length), R);
        }
        vm.assertEq(Field.eqPoints(_at(a), _at(b), bits), both);
        vm.assertEq(mass, 1);
    }

    function testFuzz_log2__any__is_the_least_that_holds_so_many(uint256 x) public pure {
        x = x % 2 == 0 ? (x >> 1) % 70_000 + 1 : (x >> 1) % (2 ** 32 - 1) + 1;
        uint256 bits = Field.log2(x);
        vm.assertGe(uint256(1) << bits, x, "too small");
        if (bits > 0) vm.assertLt(uint256(1) << (bits - 1), x, "too large");
    }

    function test_log2__powers_of_two_and_neighbours__exact() public pure {
        for (uint256 bits = 1; bits < 32; ++bits) {
            vm.assertEq(Field.log2(uint256(1) << bits), bits);
            vm.assertEq(Field.log2((uint256(1) << bits) + 1), bits + 1);
        }
        vm.assertEq(Field.log2(1), 0);
    }
}
