// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobs, Job, RefundReason, Request, State, vm} from "./Base.t.sol";

contract DemandTest is Base {
    function setUp() public override {
        super.setUp();
        _ready();
    }

    /// JOB-17
    function test_demand__seat__stops_the_clock() public {
        vm.warp(block.timestamp + 5);
        vm.expectEmit(address(market));
        emit IJobs.CiphertextDemanded(id, committee[0], uint40(block.timestamp + PUBLISH_WINDOW));
        _demand(0);
        Job memory j = market.job(id);
        vm.assertTrue(j.state == State.Demanded);
        vm.assertEq(j.deadline, block.timestamp + PUBLISH_WINDOW);
        vm.assertEq(address(market).balance, ESCROW + DEPOSIT);
    }

    /// JOB-17
    function test_demand__wrong_deposit__reverts() public {
        uint256[3] memory sent = [uint256(0), DEPOSIT - 1, DEPOSIT + 1];
        for (uint256 i = 0; i < 3; ++i) {
            vm.deal(committee[0], sent[i]);
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongDeposit.selector, sent[i], uint256(DEPOSIT)));
            vm.prank(committee[0]);
            market.demand{value: sent[i]}(_ticket());
        }
    }

    /// JOB-17
    function test_demand__after_commit__reverts() public {
        _commit(0, RIGHT);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_AlreadyCommitted.selector, committee[0]));
        _demand(0);
    }

    /// JOB-17
    function test_demand__after_refusal__reverts() public {
        _refuse(0);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_Excused.selector, committee[0]));
        _demand(0);
    }

    /// JOB-17
    function test_demand__stranger__reverts() public {
        vm.deal(stranger, DEPOSIT);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotSeated.selector, stranger));
        vm.prank(stranger);
        market.demand{value: DEPOSIT}(_ticket());
    }

    /// JOB-17: once per job.
    function test_demand__after_publication__reverts() public {
        _demand(0);
        _publish();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_AlreadyPublished.selector, id));
        _demand(1);
    }

    /// JOB-17
    function test_demand__around_the_deadline__in_time_or_late() public {
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, deadline + 1, deadline));
        _demand(0);
        vm.warp(deadline);
        _demand(0);
    }

    /// JOB-17: unanswered. A seat that committed is paid like one that waited; a seat that refused is not.
    function test_demand__unanswered__voids_at_the_requesters_cost() public {
        uint256 fee = uint256(PRICE) * FAULT_BPS / 10_000;
        _commit(0, RIGHT);
        _refuse(1);
        _demand(2);
        _lapse();
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.Unpublished);
        _close();
        _assertState(State.Refunded);
        _assertCredits(fee, 0, fee + DEPOSIT);
        _assertLosses(0, 0, 0);
        vm.assertEq(_credit(requester), ESCROW - 2 * fee);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_locked(committee[i]), 0);
        }
        _assertAllSettled();
    }

    /// JOB-19
    function test_demand__large_ciphertext__reverts() public {
        Request memory r = _default();
        r.brief.ciphertextSize = 65537;
        _ready(r);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_Unpublishable.selector, id));
        _demand(0);
    }
}
