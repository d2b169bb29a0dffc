// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, INodeRegistry, IJobs, JobId, RefundReason, Request, State, Ticket, vm} from "./Base.t.sol";

contract CloseTest is Base {
    uint256 private constant SEATS_SLOT = 6;

    function _expectTooEarly(uint256 deadline) private {
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooEarly.selector, deadline, deadline));
        _close();
        vm.warp(deadline + 1);
    }

    function _expectRefund(RefundReason reason) private {
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, reason);
        _close();
        _assertState(State.Refunded);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, State.Refunded));
        market.result(id);
    }

    /// JOB-18, JOB-24, DRAW-6: the requester is silent.
    function test_close__open__burns_the_fault_fee() public {
        _request();
        _expectTooEarly(market.job(id).deadline);
        uint256 fee = ESCROW * FAULT_BPS / 10_000;
        vm.expectEmit(address(market));
        emit IJobs.Credited(burn, id, COIN, fee);
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.NotDelivered);
        vm.expectEmit(address(market));
        emit IJobs.Credited(requester, id, COIN, ESCROW - fee);
        _close();
        _assertState(State.Refunded);
        vm.assertEq(_credit(burn), fee);
        vm.assertEq(_credit(requester), ESCROW - fee);
        _assertAllSettled();
    }

    /// JOB-21, JOB-22, JOB-23, JOB-24: every worker is silent.
    function test_close__ready_all_silent__slashes_all_and_refunds() public {
        _ready();
        _expectTooEarly(market.job(id).deadline);
        _expectRefund(RefundReason.TooFewCommits);
        _assertLosses(SILENT_PENALTY, SILENT_PENALTY, SILENT_PENALTY);
        _assertCredits(0, 0, 0);
        vm.assertEq(_credit(requester), ESCROW);
        vm.assertEq(_credit(burn), 3 * SILENT_PENALTY);
        _assertAllSettled();
    }

    /// JOB-23: one commitment, which nobody could have opened.
    function test_close__ready_one_commitment__loses_nothing() public {
        _ready();
        _commit(1, RIGHT);
        _expectTooEarly(market.job(id).deadline);
        _expectRefund(RefundReason.TooFewCommits);
        _assertLosses(SILENT_PENALTY, 0, SILENT_PENALTY);
        vm.assertEq(_credit(requester), ESCROW);
        _assertAllSettled();
    }

    /// JOB-14, JOB-22, JOB-24: with a quorum of commitments, their owners have the reveal window before anybody closes.
    function test_close__ready_quorum_committed_none_revealed__waits_then_slashes() public {
        _ready();
        _commit(0, RIGHT);
        _commit(2, RIGHT);
        uint256 deadline = uint256(market.job(id).deadline) + REVEAL_WINDOW;
        vm.warp(market.job(id).deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooEarly.selector, block.timestamp, deadline));
        _close();
        _expectTooEarly(deadline);
        _expectRefund(RefundReason.NoQuorum);
        _assertLosses(WRONG_PENALTY, SILENT_PENALTY, WRONG_PENALTY);
        vm.assertEq(_credit(requester), ESCROW);
        vm.assertEq(_credit(burn), 2 * WRONG_PENALTY + SILENT_PENALTY);
        _assertAllSettled();
    }

    /// JOB-21, JOB-24
    function test_close__committed_one_hides__pays_the_others() public {
        _ready();
        _commitAll(RIGHT, RIGHT, RIGHT);
        _reveal(0, RIGHT);
        _reveal(2, RIGHT);
        _expectTooEarly(market.job(id).deadline);
        _close();
        _assertState(State.Settled);
        _assertCredits(PRICE, 0, PRICE);
        _assertLosses(0, WRONG_PENALTY, 0);
        vm.assertEq(_credit(requester), PRICE);
        _assertAllSettled();
    }

    /// JOB-22, CHAL-2: who hid pays at once; what the one output is worth has to be found out.
    function test_close__committed_two_hide__slashes_them_and_is_disputed() public {
        _ready();
        _commitAll(RIGHT, RIGHT, RIGHT);
        _reveal(0, RIGHT);
        _expectTooEarly(market.job(id).deadline);
        vm.expectEmit(address(market));
        emit IJobs.JobDisputed(id, uint40(block.timestamp + DISPUTE_WINDOW));
        _close();
        _assertState(State.Disputed);
        _assertLosses(0, WRONG_PENALTY, WRONG_PENALTY);
        vm.assertEq(_credit(burn), 2 * WRONG_PENALTY);
        _lapse();
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.NoQuorum);
        _resolve();
        _assertCredits(0, 0, 0);
        _assertLosses(0, WRONG_PENALTY, WRONG_PENALTY);
        vm.assertEq(_credit(requester), ESCROW);
        _assertAllSettled();
    }

    /// JOB-17, JOB-24
    function test_close__demanded__voids() public {
        _ready();
        _demand(0);
        _expectTooEarly(market.job(id).deadline);
        _expectRefund(RefundReason.Unpublished);
        _assertAllSettled();
    }

    /// JOB-19: a large input and silence.
    function test_close__unpublishable_and_silent__costs_nothing() public {
        Request memory r = _default();
        r.brief.ciphertextSize = 65537;
        _ready(r);
        _lapse();
        _expectRefund(RefundReason.TooFewCommits);
        _assertLosses(0, 0, 0);
        _assertAllSettled();
    }

    /// JOB-19: hiding after the commit costs what it always does.
    function test_close__unpublishable_and_hidden__is_slashed() public {
        Request memory r = _default();
        r.brief.ciphertextSize = 65537;
        _ready(r);
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        vm.warp(uint256(market.job(id).deadline) + REVEAL_WINDOW + 1);
        _close();
        _assertLosses(WRONG_PENALTY, WRONG_PENALTY, 0);
    }

    /// JOB-24
    function test_close__other_committee__reverts() public {
        _ready();
        _lapse();
        address[] memory forged = committee;
        forged[2] = stranger;
        (Ticket memory shown, bytes memory expected) = _forged(forged);
        vm.expectRevert(expected);
        market.close(shown);
        _close();
        _ready2();
        _demand(0);
        _lapse();
        forged = committee;
        forged[2] = stranger;
        (shown, expected) = _forged(forged);
        vm.expectRevert(expected);
        market.close(shown);
    }

    function _ready2() private {
        Request memory r = _default();
        r.brief.nonce = 2;
        _nextEpoch();
        _ready(r);
    }

    /// MONEY-4
    function test_close__twice__reverts() public {
        _ready();
        _lapse();
        _close();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, State.Refunded));
        _close();
    }

    /// NODE-3, NODE-4, JOB-10: a worker that announces its exit right after the delivery still pays at the last end there can be.
    function test_close__worker_announced_its_exit__is_still_slashed() public {
        _ready();
        vm.prank(committee[0]);
        nodes.announceExit();
        vm.warp(block.timestamp + EXIT_DELAY - 1);
        vm.expectRevert(
            abi.encodeWithSelector(INodeRegistry.NodeRegistry_TooEarly.selector, block.timestamp, block.timestamp + 1)
        );
        vm.prank(committee[0]);
        nodes.withdraw();
        _close();
        _assertLosses(SILENT_PENALTY, SILENT_PENALTY, SILENT_PENALTY);
        uint256 stake = nodes.node(committee[0]).stake;
        vm.warp(block.timestamp + 1);
        vm.prank(committee[0]);
        nodes.withdraw();
        vm.assertEq(committee[0].balance, stake);
    }

    /// JOB-20, JOB-22: equal commitments that nobody opened are no outputs; copying one and hiding wins nothing.
    function test_close__equal_commitments_never_opened__have_no_winner() public {
        _ready();
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(committee[i]);
            market.commit(_ticket(), keccak256("the same"));
        }
        _lapse();
        _expectRefund(RefundReason.NoQuorum);
        _assertCredits(0, 0, 0);
        _assertLosses(WRONG_PENALTY, WRONG_PENALTY, WRONG_PENALTY);
        vm.assertEq(_credit(requester), ESCROW);
    }

    /// @dev What a job no longer needs is cleared, for the refund of gas; of a settled one the result stays.
    function test_close__settled_job__leaves_the_result_alone_in_storage() public {
        _ready();
        _demand(0);
        vm.assertTrue(_demanderSlot() != 0);
        _publish();
        vm.assertEq(_demanderSlot(), 0);
        _commitAll(RIGHT, RIGHT, WRONG);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertTrue(_seatSlot(i) != 0);
        }
        _reveal(0, RIGHT);
        _reveal(1, RIGHT);
        _lapse();
        _close();
        vm.assertEq(_seatSlot(0), RIGHT);
        vm.assertEq(_seatSlot(1), 0);
        vm.assertEq(_seatSlot(2), 0);
    }

    function test_close__void_job__leaves_no_seats_in_storage() public {
        _ready();
        _commit(1, RIGHT);
        _demand(0);
        _lapse();
        _close();
        vm.assertEq(_demanderSlot(), 0);
        vm.assertEq(_seatSlot(1), 0);
    }

    /// @dev Slots of `_seats` and `_demanders` in the market's storage: three of Accounts, two of EIP712, `_jobs`, these.
    function _seatSlot(uint256 seat) private view returns (bytes32) {
        bytes32 ofJob = keccak256(abi.encode(JobId.unwrap(id), SEATS_SLOT));
        return vm.load(address(market), keccak256(abi.encode(seat, ofJob)));
    }

    function _demanderSlot() private view returns (bytes32) {
        return vm.load(address(market), keccak256(abi.encode(JobId.unwrap(id), SEATS_SLOT + 1)));
    }
}
