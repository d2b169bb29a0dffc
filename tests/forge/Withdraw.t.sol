// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobs, vm} from "./Base.t.sol";

contract WithdrawTest is Base {
    function setUp() public override {
        super.setUp();
        _ready();
        _commitAll(RIGHT, RIGHT, WRONG);
        _reveal(0, RIGHT);
        _reveal(1, RIGHT);
        _reveal(2, WRONG);
        _lapse();
        _resolve();
    }

    /// MONEY-2
    function test_withdraw__own_credit__pays_it_once() public {
        uint256 before = committee[0].balance;
        vm.expectEmit(address(market));
        emit IJobs.Withdrawn(committee[0], COIN, PRICE);
        vm.prank(committee[0]);
        market.withdraw(committee[0], COIN);
        vm.assertEq(committee[0].balance - before, PRICE);
        vm.assertEq(_credit(committee[0]), 0);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NoCredit.selector, committee[0], COIN));
        market.withdraw(committee[0], COIN);
    }

    /// MONEY-2: anybody may call, and the money goes to its owner.
    function test_withdraw__by_a_stranger__pays_the_owner() public {
        uint256 before = committee[1].balance;
        vm.prank(stranger);
        market.withdraw(committee[1], COIN);
        vm.assertEq(committee[1].balance - before, PRICE);
        vm.assertEq(stranger.balance, 0);
    }

    /// MONEY-2
    function test_withdraw__nothing_owed__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NoCredit.selector, committee[2], COIN));
        market.withdraw(committee[2], COIN);
    }

    /// MONEY-1, MONEY-6: burned money leaves for an address that nobody holds.
    function test_withdraw__everything__empties_the_market() public {
        market.withdraw(burn, COIN);
        vm.assertEq(burn.balance, WRONG_PENALTY);
        market.withdraw(committee[0], COIN);
        market.withdraw(committee[1], COIN);
        market.withdraw(requester, COIN);
        vm.assertEq(address(market).balance, 0);
        vm.assertEq(requester.balance, 1000 ether - 2 * uint256(PRICE));
    }
}
