// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Currencies} from "../../contracts/Currencies.sol";
import {ICurrencies} from "../../contracts/interfaces/ICurrencies.sol";
import {vm} from "./utils/Vm.sol";

/// @notice Who names rates, and from when they count: CUR-*.
contract CurrenciesTest {
    uint256 private constant DELAY = 3 days;

    address private immutable _steward = vm.addr(uint256(keccak256("steward")));
    address private immutable _stranger = vm.addr(uint256(keccak256("stranger")));
    address private _token;
    Currencies private _currencies;

    function setUp() public {
        vm.warp(1_700_000_000);
        _currencies = new Currencies(_steward, DELAY);
        _token = _contract("token");
    }

    /// @dev The list looks for code and for nothing else.
    function _contract(string memory name) private returns (address made) {
        made = vm.addr(uint256(keccak256(bytes(name))));
        vm.etch(made, hex"00");
    }

    function _announce(uint128 rate) private {
        vm.prank(_steward);
        _currencies.announce(_token, rate);
    }

    function _expectNotListed(address token) private {
        vm.expectRevert(abi.encodeWithSelector(ICurrencies.Currencies_NotListed.selector, token));
    }

    function test_lockRate__own_coin__is_one_to_one() public view {
        vm.assertEq(_currencies.lockRate(address(0)), 1e18);
    }

    function test_lockRate__never_announced__reverts() public {
        _expectNotListed(_token);
        _currencies.lockRate(_token);
    }

    /// CUR-2: to the second.
    function test_announce__new_token__counts_after_the_delay_only() public {
        uint256 from = block.timestamp + DELAY;
        vm.expectEmit(address(_currencies));
        emit ICurrencies.RateAnnounced(_token, 7, uint40(from));
        _announce(7);
        vm.warp(from - 1);
        _expectNotListed(_token);
        _currencies.lockRate(_token);
        vm.warp(from);
        vm.assertEq(_currencies.lockRate(_token), 7);
    }

    /// CUR-2: until the new rate counts the old one does, and zero takes the token off the list.
    function test_announce__another_rate__the_old_one_counts_until_then() public {
        _announce(7);
        vm.warp(block.timestamp + DELAY);
        _announce(9);
        vm.assertEq(_currencies.lockRate(_token), 7);
        vm.warp(block.timestamp + DELAY - 1);
        vm.assertEq(_currencies.lockRate(_token), 7);
        vm.warp(block.timestamp + 1);
        vm.assertEq(_currencies.lockRate(_token), 9);
        _announce(0);
        vm.warp(block.timestamp + DELAY - 1);
        vm.assertEq(_currencies.lockRate(_token), 9);
        vm.warp(block.timestamp + 1);
        _expectNotListed(_token);
        _currencies.lockRate(_token);
    }

    /// CUR-2: an announcement that does not count yet is replaced, its delay begins anew, and what counts stays.
    function test_announce__twice_within_the_delay__never_shortens_it() public {
        _announce(7);
        vm.warp(block.timestamp + DELAY);
        _announce(9);
        uint256 first = block.timestamp + DELAY;
        vm.warp(first - 1);
        _announce(11);
        vm.warp(first);
        vm.assertEq(_currencies.lockRate(_token), 7);
        vm.warp(first - 1 + DELAY - 1);
        vm.assertEq(_currencies.lockRate(_token), 7);
        vm.warp(first - 1 + DELAY);
        vm.assertEq(_currencies.lockRate(_token), 11);
    }

    /// CUR-2: against a list of all announcements, whatever the steward announces and when.
    function testFuzz_announce__any_history__the_last_that_is_old_enough_counts(uint256 entropy) public {
        uint256 rate = 0; // what counts
        uint256 next = 0;
        uint256 from = 0; // 0: nothing is under way
        for (uint256 step = 0; step < 12; ++step) {
            uint256 dice = uint256(keccak256(abi.encode(entropy, step)));
            vm.warp(block.timestamp + (dice & 3 == 0 ? DELAY : (dice >> 8) % (2 * DELAY)));
            if (from != 0 && block.timestamp >= from) (rate, from) = (next, 0);
            _check(rate);
            if (dice >> 4 & 1 == 0) continue;
            next = uint128(dice >> 128) * (dice >> 5 & 1);
            _announce(uint128(next));
            from = block.timestamp + DELAY;
            _check(rate);
        }
    }

    function _check(uint256 rate) private {
        if (rate == 0) _expectNotListed(_token);
        uint256 got = _currencies.lockRate(_token);
        if (rate != 0) vm.assertEq(got, rate);
    }

    /// CUR-2: tokens have nothing to do with each other.
    function test_announce__one_token__leaves_the_others() public {
        _announce(7);
        vm.warp(block.timestamp + DELAY);
        address other = _contract("other");
        _expectNotListed(other);
        _currencies.lockRate(other);
        vm.prank(_steward);
        _currencies.announce(other, 8);
        vm.warp(block.timestamp + DELAY);
        vm.assertEq(_currencies.lockRate(_token), 7);
        vm.assertEq(_currencies.lockRate(other), 8);
    }

    /// CUR-1: among accounts without code is the chain's own coin, whose rate nobody names.
    function test_announce__no_contract__reverts() public {
        address[2] memory wrong = [address(0), _stranger];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ICurrencies.Currencies_NotAToken.selector, wrong[i]));
            vm.prank(_steward);
            _currencies.announce(wrong[i], 1);
        }
    }

    /// CUR-1
    function test_announce_and_setSteward__stranger__reverts() public {
        bytes memory expected = abi.encodeWithSelector(ICurrencies.Currencies_NotSteward.selector, _stranger, _steward);
        vm.startPrank(_stranger);
        vm.expectRevert(expected);
        _currencies.announce(_token, 1);
        vm.expectRevert(expected);
        _currencies.setSteward(_stranger);
    }

    /// CUR-1: the office moves at once; handed to nobody it is over, and the rates stay.
    function test_setSteward__handed_on__the_last_one_has_no_say() public {
        _announce(7);
        vm.warp(block.timestamp + DELAY);
        vm.expectEmit(address(_currencies));
        emit ICurrencies.StewardChanged(_stranger);
        vm.prank(_steward);
        _currencies.setSteward(_stranger);
        vm.expectRevert(abi.encodeWithSelector(ICurrencies.Currencies_NotSteward.selector, _steward, _stranger));
        _announce(9);
        vm.startPrank(_stranger);
        _currencies.setSteward(address(0));
        vm.expectRevert(abi.encodeWithSelector(ICurrencies.Currencies_NotSteward.selector, _stranger, address(0)));
        _currencies.announce(_token, 9);
        vm.assertEq(_currencies.lockRate(_token), 7);
    }

    /// DEP-3: a delay that wrapped 40 bits would be none.
    function test_deploy__delay_under_a_day_or_over_ten_years__reverts() public {
        uint256[4] memory wrong = [0, 1 days - 1, 3650 days + 1, uint256(2) ** 40];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(ICurrencies.Currencies_BadDelay.selector);
            new Currencies(_steward, wrong[i]);
        }
        Currencies least = new Currencies(address(0), 1 days);
        vm.assertEq(least.delay(), 1 days);
        vm.assertEq(least.steward(), address(0));
        new Currencies(_steward, 3650 days);
    }
}
