// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobs, RefundReason, State, vm} from "./Base.t.sol";

contract RefuseTest is Base {
    function setUp() public override {
        super.setUp();
        _ready();
    }

    /// JOB-16
    function test_refuse__one__goes_on_without_it() public {
        vm.expectEmit(address(market));
        emit IJobs.SeatRefused(id, committee[0], 1);
        _refuse(0);
        vm.assertEq(market.job(id).excused, 1);
        // Its stake is free at once; the others' is not.
        vm.assertEq(_locked(committee[0]), 0);
        vm.assertEq(_locked(committee[1]), LOCK);
        _commit(1, RIGHT);
        _commit(2, RIGHT);
        _reveal(1, RIGHT);
        _reveal(2, RIGHT);
        _assertState(State.Settled);
        _assertCredits(0, PRICE, PRICE);
        _assertLosses(0, 0, 0);
        vm.assertEq(_credit(requester), PRICE);
        _assertAllSettled();
    }

    /// JOB-14, JOB-16: the last seat's refusal opens the reveals as a commit would.
    function test_refuse__last_open_seat__opens_reveals() public {
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        vm.expectEmit(address(market));
        emit IJobs.RevealsOpened(id, uint40(block.timestamp + REVEAL_WINDOW));
        _refuse(2);
        _assertState(State.Committed);
    }

    /// JOB-16
    function test_refuse__below_quorum__refunds_whole() public {
        _commit(0, RIGHT);
        _refuse(1);
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.Refusals);
        _refuse(2);
        _assertState(State.Refunded);
        vm.assertEq(_credit(requester), ESCROW);
        _assertCredits(0, 0, 0);
        _assertLosses(0, 0, 0);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_locked(committee[i]), 0);
        }
        _assertAllSettled();
    }

    /// JOB-16
    function test_refuse__after_commit__reverts() public {
        _commit(0, RIGHT);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_AlreadyCommitted.selector, committee[0]));
        _refuse(0);
    }

    /// JOB-16
    function test_refuse__twice__reverts() public {
        _refuse(0);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_Excused.selector, committee[0]));
        _refuse(0);
    }

    /// JOB-16
    function test_refuse__stranger__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotSeated.selector, stranger));
        vm.prank(stranger);
        market.refuse(_ticket(), 1, "", "");
    }

    /// SIG-2: in a job for an open version a signature earns nothing, whatever it is, and is not looked at.
    function test_refuse__open_version_with_a_signature__costs_nobody() public {
        vm.prank(committee[0]);
        market.refuse(_ticket(), 1, _sealedKeys(committee), hex"1234");
        vm.assertEq(market.job(id).charged, 0);
        _assertCredits(0, 0, 0);
    }

    /// JOB-16: a refusal after the deadline would undo the penalty for silence.
    function test_refuse__around_the_deadline__in_time_or_late() public {
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline);
        _refuse(0);
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, deadline + 1, deadline));
        _refuse(1);
    }
}
