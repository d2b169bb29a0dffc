// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobs, Job, Request, State, vm} from "./Base.t.sol";

/// @notice Every combination of what three seats can do, settled and compared with rules JOB-14 to JOB-23 as prose has
///         them.
contract SettleTest is Base {
    enum Act {
        Silent,
        Refuse,
        Hide, // commit and never reveal
        Right,
        Wrong,
        Other
    }

    struct Expected {
        bool settled;
        bool disputed;
        bytes32 winner;
        uint256[3] credits;
        uint256[3] losses;
        /// What is lost when nobody can challenge any more.
        uint256[3] later;
        uint256 refund;
    }

    /// JOB-14, JOB-16, JOB-19, JOB-20, JOB-21, JOB-22, JOB-23, MONEY-1, MONEY-3, MONEY-6
    function test_settle__every_combination_of_acts__as_the_rules_say() public {
        uint256 settled = 0;
        uint256 disputed = 0;
        for (uint256 n = 0; n < 2 * 216; ++n) {
            uint256 snapshot = vm.snapshotState();
            // A call of its own, whose memory is given back.
            State state = this.combination(n);
            if (state == State.Settled) ++settled;
            if (state == State.Disputed) ++disputed;
            vm.revertToState(snapshot);
        }
        // Two or three alike: 3 outputs x (3 pairs x 5 other acts + 1).
        vm.assertEq(settled, 2 * 48);
        // One output (3 seats x 3 outputs x 5 ways of the others to hide), two different ones (3 x 6 x 3), or three (6).
        vm.assertEq(disputed, 2 * 105);
    }

    /// @return state that the votes lead to
    function combination(uint256 n) external returns (State state) {
        Act[3] memory acts = [Act(n % 6), Act(n / 6 % 6), Act(n / 36 % 6)];
        bool large = n >= 216;
        _play(acts, large);
        state = market.job(id).state;
        Expected memory e = _expected(acts, large);
        _compare(e, n);
        _end(e, n);
    }

    function _output(Act act) private pure returns (bytes32) {
        if (act == Act.Wrong) return WRONG;
        if (act == Act.Other) return OTHER;
        return RIGHT;
    }

    function _play(Act[3] memory acts, bool large) private {
        Request memory r = _default();
        if (large) r.brief.ciphertextSize = 65537;
        _ready(r);
        for (uint256 i = 0; i < 3; ++i) {
            if (acts[i] == Act.Refuse && market.job(id).state == State.Ready) _refuse(i);
        }
        if (market.job(id).state == State.Refunded) return;
        for (uint256 i = 0; i < 3; ++i) {
            if (acts[i] > Act.Refuse) _commit(i, _output(acts[i]));
        }
        if (market.job(id).state == State.Ready) _lapse();
        Job memory j = market.job(id);
        uint256 commits = 0;
        for (uint256 i = 0; i < 3; ++i) {
            if (acts[i] > Act.Refuse) ++commits;
        }
        if (commits >= 2) {
            for (uint256 i = 0; i < 3; ++i) {
                if (acts[i] > Act.Hide) _reveal(i, _output(acts[i]));
            }
        }
        j = market.job(id);
        if (j.state == State.Settled || j.state == State.Refunded || j.state == State.Disputed) return;
        vm.warp(uint256(j.deadline) + (j.state == State.Ready && commits >= 2 ? REVEAL_WINDOW : 0) + 1);
        _close();
    }

    /// @dev The rules, one by one, without bit masks.
    function _expected(Act[3] memory acts, bool large) private pure returns (Expected memory e) {
        uint256 refusals = 0;
        uint256 commits = 0;
        for (uint256 i = 0; i < 3; ++i) {
            if (acts[i] == Act.Refuse) ++refusals;
            if (acts[i] > Act.Refuse) ++commits;
        }
        e.refund = ESCROW;
        if (refusals >= 2) return e; // JOB-16
        for (uint256 i = 0; i < 3; ++i) {
            if (acts[i] == Act.Silent && !large) e.losses[i] = SILENT_PENALTY; // JOB-19, JOB-21, JOB-22
        }
        if (commits < 2) return e; // JOB-23
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 k = 0; k < 3; ++k) {
                if (i != k && acts[i] > Act.Hide && acts[i] == acts[k]) {
                    e.settled = true;
                    e.winner = _output(acts[i]); // JOB-20
                }
            }
        }
        for (uint256 i = 0; i < 3; ++i) {
            if (acts[i] == Act.Hide) e.losses[i] = WRONG_PENALTY;
            if (acts[i] > Act.Hide && !e.settled) e.disputed = true;
            if (acts[i] <= Act.Hide || !e.settled) continue;
            if (_output(acts[i]) == e.winner) {
                e.credits[i] = PRICE;
                e.refund -= PRICE;
            } else {
                e.later[i] = WRONG_PENALTY;
            }
        }
        if (e.disputed) e.refund = 0;
    }

    function _compare(Expected memory e, uint256 n) private view {
        string memory label = string.concat("combination ", vm.toString(n));
        Job memory j = market.job(id);
        State state = e.settled ? State.Settled : e.disputed ? State.Disputed : State.Refunded;
        vm.assertEq(uint256(j.state), uint256(state), label);
        if (e.settled) vm.assertEq(market.result(id), e.winner, label);
        _compareMoney(e, label);
    }

    function _compareMoney(Expected memory e, string memory label) private view {
        uint256 losses = 0;
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_credit(committee[i]), e.credits[i], label);
            vm.assertEq(_loss(committee[i]), e.losses[i], label);
            // Who owes nothing any more is free; of the others time frees the stake, or the end of the dispute.
            bool owes = e.credits[i] != 0 || e.later[i] != 0;
            if (!e.disputed) vm.assertEq(_locked(committee[i]), owes ? LOCK : 0, label);
            losses += e.losses[i];
        }
        vm.assertEq(_credit(requester), e.refund, label);
        vm.assertEq(_credit(burn), losses, label);
        if (!e.disputed) _assertAllSettled();
    }

    /// @dev CHAL-7, CHAL-9: what is left when the last window is over.
    function _end(Expected memory e, uint256 n) private {
        string memory label = string.concat("end of combination ", vm.toString(n));
        bool punished = false;
        for (uint256 i = 0; i < 3; ++i) {
            if (e.later[i] != 0) punished = true;
        }
        State state = market.job(id).state;
        _lapse();
        if (!e.disputed && !punished) {
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, state));
            _resolve();
            return;
        }
        _resolve();
        if (e.disputed) (e.disputed, e.refund) = (false, ESCROW);
        for (uint256 i = 0; i < 3; ++i) {
            (e.losses[i], e.later[i]) = (e.losses[i] + e.later[i], 0);
        }
        vm.assertEq(uint256(market.job(id).state), uint256(e.settled ? State.Settled : State.Refunded), label);
        if (e.settled) vm.assertEq(market.result(id), e.winner, label);
        _compareMoney(e, label);
    }
}
