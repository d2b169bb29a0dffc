// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IJobs, JobId, RefundReason, Request, State, Ticket, vm} from "./Base.t.sol";
import {DisputeBase} from "./DisputeBase.t.sol";

/// @notice How disputes end by themselves, and when outvoted seats lose.
contract ResolveTest is DisputeBase {
    /// CHAL-7: a proof may come up to the deadline, so nobody gives up before it, not even the requester.
    function test_resolve__split_vote_with_a_verifier__waits_for_the_deadline() public {
        _voted(WRONG, OTHER, RIGHT);
        uint256 deadline = market.job(id).deadline;
        vm.assertEq(deadline, block.timestamp + DISPUTE_WINDOW);
        address[3] memory who = [requester, stranger, committee[0]];
        Ticket memory t = _ticket();
        for (uint256 i = 0; i < 3; ++i) {
            _expectTooEarly(deadline);
            vm.prank(who[i]);
            market.resolve(t);
        }
        vm.warp(deadline + 1);
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.NoQuorum);
        _resolve();
        vm.assertEq(_credit(requester), ESCROW);
        _assertCredits(0, 0, 0);
        vm.assertEq(_slashed(), 0);
        _seatsFree(true, true, true);
        _assertVerdict();
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(market.reputation(committee[i]), 5000);
        }
    }

    /// CHAL-8: without a verifier only the requester can go on: others wait for it, it does not wait for itself.
    function test_resolve__split_vote_without_verifier__requester_need_not_wait() public {
        _votedAlone(WRONG, OTHER, RIGHT);
        uint256 deadline = market.job(id).deadline;
        _expectTooEarly(deadline);
        _resolve();
        uint256 snapshot = vm.snapshotState();
        vm.warp(deadline + 1);
        _resolve();
        vm.assertEq(_credit(requester), ESCROW);
        vm.revertToState(snapshot);
        vm.warp(deadline - DISPUTE_WINDOW);
        vm.prank(requester);
        market.resolve(_ticket());
        vm.assertEq(_credit(requester), ESCROW);
        _assertVerdict();
        _expectWrongState(State.Refunded);
        _resolve();
    }

    /// CHAL-9: each outvoted seat, once, when the window is over; and the requester need do nothing for it.
    function test_resolve__outvoted_seats__lose_after_the_window() public {
        Request memory r = _defaultVerified();
        (r.terms.seats, r.terms.quorum) = (5, 3);
        _ready(r);
        bytes32[5] memory votes = [WRONG, RIGHT, OTHER, RIGHT, RIGHT];
        for (uint256 i = 0; i < 5; ++i) {
            _commit(i, votes[i]);
        }
        for (uint256 i = 0; i < 5; ++i) {
            _reveal(i, votes[i]);
        }
        uint256 deadline = market.job(id).deadline;
        _expectTooEarly(deadline);
        _resolve();
        vm.warp(deadline + 1);
        _resolve();
        for (uint256 i = 0; i < 5; ++i) {
            bool right = votes[i] == RIGHT;
            vm.assertEq(_loss(committee[i]), right ? 0 : WRONG_PENALTY);
            vm.assertEq(_locked(committee[i]), right ? LOCK : 0);
            vm.assertEq(_credit(committee[i]), right ? PRICE : 0);
            vm.assertEq(market.reputation(committee[i]), right ? 6666 : 1666);
        }
        vm.assertEq(market.result(id), RIGHT);
        vm.assertEq(_credit(burn), 2 * WRONG_PENALTY);
        _assertVerdict();
        _expectWrongState(State.Settled);
        _resolve();
    }

    /// CHAL-9: with nobody outvoted there is nothing to resolve, ever.
    function test_resolve__unanimous__reverts() public {
        _voted(RIGHT, RIGHT, RIGHT);
        _expectWrongState(State.Settled);
        _resolve();
        _lapse();
        _expectWrongState(State.Settled);
        _resolve();
    }

    /// JOB-12: nobody has another worker slashed in an outvoted one's place.
    function test_resolve__other_committee__reverts() public {
        _voted(RIGHT, WRONG, RIGHT);
        _lapse();
        address[] memory forged = committee;
        (forged[1], forged[0]) = (forged[0], forged[1]);
        (Ticket memory shown, bytes memory expected) = _forged(forged);
        vm.expectRevert(expected);
        market.resolve(shown);
    }

    /// CHAL-9, NODE-5: however late it comes: a worker whose lock is over pays from what stake it has, and one that has
    ///                 left has nothing to pay with.
    function test_resolve__a_month_late__takes_what_there_is() public {
        _voted(RIGHT, WRONG, RIGHT);
        vm.prank(committee[1]);
        nodes.announceExit();
        vm.warp(block.timestamp + 30 days);
        uint256 snapshot = vm.snapshotState();
        _resolve();
        _assertLosses(0, WRONG_PENALTY, 0);
        _assertVerdict();
        vm.revertToState(snapshot);
        uint256 stake = nodes.node(committee[1]).stake;
        vm.prank(committee[1]);
        nodes.withdraw();
        vm.assertEq(committee[1].balance, stake);
        _resolve();
        vm.assertEq(_credit(burn), 0);
        vm.assertTrue(market.isFinal(id));
    }

    /// JOB-24, CHAL-15: whoever stops for ever, and wherever: strangers can end the job, and all money leaves.
    ///         States 0 Open, 1 Ready, 2 Demanded, 3 Committed, 4 Settled with an outvoted seat, 5 Disputed, 6 Challenged,
    ///         7 Disputed with a referee, 8 Challenged with a referee.
    function test_everybody_silent__in_each_state__money_leaves() public {
        for (uint256 s = 0; s < 9; ++s) {
            uint256 snapshot = vm.snapshotState();
            _bring(s);
            _windUp();
            _assertVerdict();
            _empty();
            vm.assertEq(address(market).balance, 0, string.concat("money left in state ", vm.toString(s)));
            vm.revertToState(snapshot);
        }
    }

    function _bring(uint256 s) private {
        bool alone = s == 7 || s == 8;
        Request memory r = alone ? _default() : _defaultVerified();
        _request(r);
        if (s == 0) return;
        _deliver(r);
        if (s == 1) return;
        if (s == 2) return _demand(0);
        bool split = s == 5 || s == 7;
        _commitAll(RIGHT, split ? OTHER : RIGHT, WRONG);
        if (s == 3) return;
        _revealAll(RIGHT, split ? OTHER : RIGHT, WRONG);
        if (s == 6) _challengeBy(challenger);
        if (s == 7) _refer(_referee(_default()), 0);
        if (s == 8) _refer(_referee(_default()), BOND);
    }

    /// @dev Only strangers act, each call at the first second in which it is allowed.
    function _windUp() private {
        for (uint256 guard = 0; guard < 6; ++guard) {
            State state = market.job(id).state;
            if (state == State.Refunded) return;
            if (state == State.Settled && market.job(id).dissenting == 0) return;
            JobId referee = market.refereeOf(id);
            if (JobId.unwrap(referee) != 0 && market.job(referee).state == State.Open) {
                vm.warp(uint256(market.job(referee).deadline) + 1);
                market.close(_ticket(referee));
            }
            if (block.timestamp <= market.job(id).deadline) _lapse();
            if (state == State.Disputed || state == State.Challenged || state == State.Settled) {
                _resolve();
            } else {
                _close();
            }
        }
        revert("the job does not end");
    }

    function _empty() private {
        address[5] memory fixedPayees = [requester, burn, challenger, prover, stranger];
        for (uint256 k = 0; k < 5; ++k) {
            if (_credit(fixedPayees[k]) != 0) market.withdraw(fixedPayees[k], COIN);
        }
        for (uint256 k = 0; k < workers.length; ++k) {
            if (_credit(workers[k]) != 0) market.withdraw(workers[k], COIN);
        }
    }
}
