// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, Job, Request, State, vm} from "./Base.t.sol";

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
        bytes32 winner;
        uint256[3] credits;
        uint256[3] losses;
        uint256 refund;
    }

    /// JOB-14, JOB-16, JOB-19, JOB-20, JOB-21, JOB-22, JOB-23, MONEY-1, MONEY-3, MONEY-6
    function test_settle__every_combination_of_acts__as_the_rules_say() public {
        uint256 settled = 0;
        for (uint256 n = 0; n < 2 * 216; ++n) {
            uint256 snapshot = vm.snapshotState();
            Act[3] memory acts = [Act(n % 6), Act(n / 6 % 6), Act(n / 36 % 6)];
            bool large = n >= 216;
            _play(acts, large);
            _compare(_expected(acts, large), n);
            if (market.job(id).state == State.Settled) ++settled;
            vm.revertToState(snapshot);
        }
        // Two or three alike: 3 outputs x (3 pairs x 5 other acts + 1).
        vm.assertEq(settled, 2 * 48);
    }

    function _output(Act act) private pure returns (bytes32) {
        if (act == Act.Wrong) return WRONG;
        if (act == Act.Other) return OTHER;
        return RIGHT;
    }

    function _play(Act[3] memory acts, bool large) private {
        Request memory r = _default();
        if (large) r.ciphertextSize = 65537;
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
        if (j.state == State.Settled || j.state == State.Refunded) return;
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
            if (acts[i] <= Act.Hide || !e.settled) continue;
            if (_output(acts[i]) == e.winner) {
                e.credits[i] = PRICE;
                e.refund -= PRICE;
            } else {
                e.losses[i] = WRONG_PENALTY;
            }
        }
    }

    function _compare(Expected memory e, uint256 n) private view {
        string memory label = string.concat("combination ", vm.toString(n));
        Job memory j = market.job(id);
        vm.assertEq(uint256(j.state), uint256(e.settled ? State.Settled : State.Refunded), label);
        vm.assertEq(j.digest, e.winner, label);
        uint256 losses = 0;
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(market.credit(committee[i]), e.credits[i], label);
            vm.assertEq(_loss(committee[i]), e.losses[i], label);
            vm.assertEq(nodes.node(committee[i]).locked, 0, label);
            losses += e.losses[i];
        }
        vm.assertEq(market.credit(requester), e.refund, label);
        vm.assertEq(market.credit(burn), losses, label);
        _assertAllSettled();
    }
}
