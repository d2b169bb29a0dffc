// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobMarket, JobId, Level, Request, State, vm} from "./Base.t.sol";

/// @notice Every function in every state: it works, or it says that the state is wrong and changes nothing.
contract StatesTest is Base {
    uint256 private constant COMMIT = 1;
    uint256 private constant CLOSE = 6;
    uint256 private constant PROVE = 8;
    string[9] private _names =
        ["deliver", "commit", "reveal", "refuse", "demand", "publish", "close", "result", "prove"];

    /// @dev Bit f of entry s: function f does its work in state s.
    uint16[7] private _agreed = [
        0, // None
        1 << 0 | 1 << 6, // Open: deliver, close
        1 << 1 | 1 << 3 | 1 << 4 | 1 << 6, // Ready: commit, refuse, demand, close
        1 << 5 | 1 << 6, // Demanded: publish, close
        1 << 2 | 1 << 6, // Committed: reveal, close
        1 << 7, // Settled: result
        0 // Refunded
    ];
    uint16[7] private _proved = [
        0,
        1 << 0 | 1 << 6,
        1 << 3 | 1 << 4 | 1 << 6 | 1 << 8, // Ready: refuse, demand, close, prove
        1 << 5 | 1 << 6,
        0, // Committed: no PROVED job comes here
        1 << 7,
        0
    ];

    bytes private _header;

    function _of(Level level) private view returns (Request memory) {
        return level == Level.Proved ? _defaultProved() : _default();
    }

    function _bring(Level level, State target) private {
        Request memory r = _of(level);
        if (target == State.None) {
            id = market.jobId(r, requester);
            committee = new address[](r.seats);
            return;
        }
        _request(r);
        _header = _seedBlock(market.job(id).seedBlock);
        committee = _draw(id, r.seats);
        if (target == State.Open) return;
        _deliver(r);
        if (target == State.Ready) return;
        if (target == State.Demanded) return _demand(0);
        if (target == State.Refunded) {
            _lapse();
            return _close();
        }
        if (level == Level.Proved) return _prove();
        _commitAll(RIGHT, RIGHT, RIGHT);
        if (target == State.Committed) return;
        for (uint256 i = 0; i < 3; ++i) {
            _reveal(i, RIGHT);
        }
    }

    function _calldata(Level level, uint256 f) private view returns (address sender, uint256 value, bytes memory data) {
        Request memory r = _of(level);
        if (f == 0) {
            data = abi.encodeCall(
                market.deliver, (r, SECRET, _header, keccak256(abi.encode(committee)), _sealedKeys(committee))
            );
            return (requester, 0, data);
        }
        sender = committee[0];
        bytes32 salt = _salt(sender);
        if (f == 1) data = abi.encodeCall(market.commit, (id, committee, RIGHT));
        if (f == 2) data = abi.encodeCall(market.reveal, (id, committee, RIGHT, salt, "", _result(sender, RIGHT, "")));
        if (f == 3) data = abi.encodeCall(market.refuse, (id, committee, 2, 0, ""));
        if (f == 4) (value, data) = (DEPOSIT, abi.encodeCall(market.demand, (id, committee)));
        if (f == 5) data = abi.encodeCall(market.publish, (r, requester, CIPHERTEXT));
        if (f == 6) data = abi.encodeCall(market.close, (id, committee));
        if (f == 7) data = abi.encodeCall(market.result, (id));
        if (f == 8) {
            bytes memory proof = _proof(id, sender);
            bytes memory signature = _result(sender, _provedOutput(), MASKED);
            data = abi.encodeCall(market.prove, (r, requester, committee, _opening(), MASKED, proof, signature));
        }
    }

    /// JOB-6, JOB-12, JOB-15, JOB-16, JOB-17, JOB-24, JOB-27, MONEY-4
    function test_every_function__every_state__works_or_names_the_state() public {
        for (uint256 s = 0; s <= uint256(State.Refunded); ++s) {
            for (uint256 f = 0; f < _names.length; ++f) {
                _try(Level.Agreed, s, f, _agreed[s] & (1 << f) != 0);
                if (State(s) != State.Committed) _try(Level.Proved, s, f, _proved[s] & (1 << f) != 0);
            }
        }
    }

    function _try(Level level, uint256 s, uint256 f, bool allowed) private {
        uint256 snapshot = vm.snapshotState();
        _bring(level, State(s));
        // close is allowed after the deadline only, everything else before it only
        if (f == CLOSE && s != 0) vm.warp(uint256(market.job(id).deadline) + 1);
        bytes memory before = abi.encode(market.job(id), address(market).balance);
        (address sender, uint256 value, bytes memory data) = _calldata(level, f);
        vm.deal(sender, value);
        vm.prank(sender);
        (bool ok, bytes memory answer) = address(market).call{value: value}(data);
        string memory cell =
            string.concat(_names[f], " in state ", vm.toString(s), " at level ", vm.toString(uint256(level)));
        if (allowed) {
            vm.assertTrue(ok, cell);
        } else {
            vm.assertFalse(ok, cell);
            vm.assertEq(keccak256(answer), keccak256(_refusal(level, s, f)), cell);
            vm.assertEq(keccak256(abi.encode(market.job(id), address(market).balance)), keccak256(before), cell);
        }
        vm.revertToState(snapshot);
    }

    function _refusal(Level level, uint256 s, uint256 f) private view returns (bytes memory) {
        if (s == 0) return abi.encodeWithSelector(IJobMarket.JobMarket_UnknownJob.selector, id);
        // The state is right, but the other level's way to an answer was tried.
        if (State(s) == State.Ready && f == (level == Level.Proved ? COMMIT : PROVE)) {
            return abi.encodeWithSelector(IJobMarket.JobMarket_WrongLevel.selector, id);
        }
        return abi.encodeWithSelector(IJobMarket.JobMarket_WrongState.selector, id, State(s));
    }

    /// JOB-24: each live state ends after its deadline with nobody but a stranger acting, and not a second before.
    function test_close__everybody_silent_in_each_state__money_leaves() public {
        State[4] memory live = [State.Open, State.Ready, State.Demanded, State.Committed];
        for (uint256 i = 0; i < 2 * live.length - 1; ++i) {
            uint256 snapshot = vm.snapshotState();
            _bring(i < live.length ? Level.Agreed : Level.Proved, live[i % live.length]);
            uint256 deadline = market.job(id).deadline;
            vm.warp(deadline);
            vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_TooEarly.selector, deadline, deadline));
            _close();
            vm.warp(deadline + 1);
            _close();
            _assertAllSettled();
            address[2] memory fixedPayees = [requester, burn];
            for (uint256 k = 0; k < 2; ++k) {
                if (market.credit(fixedPayees[k]) != 0) market.withdraw(fixedPayees[k]);
            }
            for (uint256 k = 0; k < WORKERS; ++k) {
                if (market.credit(workers[k]) != 0) market.withdraw(workers[k]);
            }
            vm.assertEq(address(market).balance, 0, "market");
            for (uint256 k = 0; k < WORKERS; ++k) {
                vm.prank(workers[k]);
                nodes.announceExit();
            }
            vm.warp(block.timestamp + EXIT_DELAY);
            for (uint256 k = 0; k < WORKERS; ++k) {
                vm.prank(workers[k]);
                nodes.withdraw();
            }
            vm.assertEq(address(nodes).balance, 0, "registry");
            vm.revertToState(snapshot);
        }
    }
}
