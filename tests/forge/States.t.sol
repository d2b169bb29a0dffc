// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobs, Level, Request, State, vm} from "./Base.t.sol";

/// @notice Each state that has a deadline, and what is left when all who act in it stop for ever. Matrix.t.sol has every function in
///         every state, Resolve.t.sol the states of a dispute.
contract StatesTest is Base {
    function _bring(Level level, State target) private {
        Request memory r = level == Level.Proved ? _defaultProved() : _default();
        _request(r);
        if (target == State.Open) return;
        _deliver(r);
        if (target == State.Ready) return;
        if (target == State.Demanded) return _demand(0);
        _commitAll(RIGHT, RIGHT, RIGHT);
    }

    /// JOB-24: each live state ends after its deadline with nobody but a stranger acting, and not a second before.
    function test_close__everybody_silent_in_each_state__money_leaves() public {
        State[4] memory live = [State.Open, State.Ready, State.Demanded, State.Committed];
        for (uint256 i = 0; i < 2 * live.length - 1; ++i) {
            uint256 snapshot = vm.snapshotState();
            _bring(i < live.length ? Level.Agreed : Level.Proved, live[i % live.length]);
            uint256 deadline = market.job(id).deadline;
            vm.warp(deadline);
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooEarly.selector, deadline, deadline));
            _close();
            vm.warp(deadline + 1);
            _close();
            _assertState(State.Refunded);
            _assertAllSettled();
            for (uint256 k = 0; k < WORKERS; ++k) {
                vm.assertEq(_locked(workers[k]), 0, "locked after the end");
            }
            _payEverybody();
            vm.assertEq(address(market).balance, 0, "market");
            _everybodyLeaves();
            vm.assertEq(address(nodes).balance, 0, "registry");
            vm.revertToState(snapshot);
        }
    }

    /// NODE-3, NODE-4, JOB-10: a job that went well holds its workers' stake for a while, and no longer than an exit takes.
    function test_withdraw__after_a_settled_job__stake_leaves_with_the_exit_delay() public {
        _bring(Level.Agreed, State.Committed);
        _revealAll(RIGHT, RIGHT, RIGHT);
        _payEverybody();
        vm.assertEq(address(market).balance, 0, "market");
        _everybodyLeaves();
        vm.assertEq(address(nodes).balance, 0, "registry");
    }

    function _payEverybody() private {
        address[2] memory fixedPayees = [requester, burn];
        for (uint256 k = 0; k < 2; ++k) {
            if (_credit(fixedPayees[k]) != 0) market.withdraw(fixedPayees[k], COIN);
        }
        for (uint256 k = 0; k < WORKERS; ++k) {
            if (_credit(workers[k]) != 0) market.withdraw(workers[k], COIN);
        }
    }

    function _everybodyLeaves() private {
        for (uint256 k = 0; k < WORKERS; ++k) {
            vm.prank(workers[k]);
            nodes.announceExit();
        }
        vm.warp(block.timestamp + EXIT_DELAY);
        for (uint256 k = 0; k < WORKERS; ++k) {
            vm.prank(workers[k]);
            nodes.withdraw();
        }
    }
}
