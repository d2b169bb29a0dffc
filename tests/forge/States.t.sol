// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobMarket, JobId, Request, State, vm} from "./Base.t.sol";

/// @notice Every function in every state: it works, or it says that the state is wrong and changes nothing.
contract StatesTest is Base {
    string[8] private _names = ["deliver", "commit", "reveal", "refuse", "demand", "publish", "close", "result"];

    /// @dev Bit f of entry s: function f does its work in state s.
    uint8[7] private _allowed = [
        0, // None
        1 << 0 | 1 << 6, // Open: deliver, close
        1 << 1 | 1 << 3 | 1 << 4 | 1 << 6, // Ready: commit, refuse, demand, close
        1 << 5 | 1 << 6, // Demanded: publish, close
        1 << 2 | 1 << 6, // Committed: reveal, close
        1 << 7, // Settled: result
        0 // Refunded
    ];

    bytes private _header;

    function _bring(State target) private {
        Request memory r = _default();
        if (target == State.None) {
            id = market.jobId(r, requester);
            committee = new address[](3);
            return;
        }
        _request(r);
        _header = _seedBlock(market.job(id).seedBlock);
        committee = _draw(id, 3);
        if (target == State.Open) return;
        _deliver(r);
        if (target == State.Ready) return;
        if (target == State.Demanded) return _demand(0);
        if (target == State.Refunded) {
            _lapse();
            return _close();
        }
        _commitAll(RIGHT, RIGHT, RIGHT);
        if (target == State.Committed) return;
        for (uint256 i = 0; i < 3; ++i) {
            _reveal(i, RIGHT);
        }
    }

    function _calldata(uint256 f) private view returns (address sender, uint256 value, bytes memory data) {
        Request memory r = _default();
        if (f == 0) {
            data = abi.encodeCall(
                market.deliver, (r, SECRET, _header, keccak256(abi.encode(committee)), _sealedKeys(committee))
            );
            return (requester, 0, data);
        }
        sender = committee[0];
        bytes32 salt = _salt(sender);
        if (f == 1) data = abi.encodeCall(market.commit, (id, committee, RIGHT));
        if (f == 2) data = abi.encodeCall(market.reveal, (id, committee, RIGHT, salt, ""));
        if (f == 3) data = abi.encodeCall(market.refuse, (id, committee, 2));
        if (f == 4) (value, data) = (DEPOSIT, abi.encodeCall(market.demand, (id, committee)));
        if (f == 5) data = abi.encodeCall(market.publish, (r, requester, CIPHERTEXT));
        if (f == 6) data = abi.encodeCall(market.close, (id, committee));
        if (f == 7) data = abi.encodeCall(market.result, (id));
    }

    /// JOB-6, JOB-12, JOB-15, JOB-16, JOB-17, JOB-24, MONEY-4
    function test_every_function__every_state__works_or_names_the_state() public {
        for (uint256 s = 0; s <= uint256(State.Refunded); ++s) {
            for (uint256 f = 0; f < _names.length; ++f) {
                uint256 snapshot = vm.snapshotState();
                _bring(State(s));
                // close is allowed after the deadline only, everything else before it only
                if (f == 6 && s != 0) vm.warp(uint256(market.job(id).deadline) + 1);
                bytes memory before = abi.encode(market.job(id), address(market).balance);
                (address sender, uint256 value, bytes memory data) = _calldata(f);
                vm.deal(sender, value);
                vm.prank(sender);
                (bool ok, bytes memory answer) = address(market).call{value: value}(data);
                string memory cell = string.concat(_names[f], " in state ", vm.toString(s));
                if (_allowed[s] & (1 << f) != 0) {
                    vm.assertTrue(ok, cell);
                } else {
                    vm.assertFalse(ok, cell);
                    vm.assertEq(
                        keccak256(answer),
                        keccak256(
                            s == 0
                                ? abi.encodeWithSelector(IJobMarket.JobMarket_UnknownJob.selector, id)
                                : abi.encodeWithSelector(IJobMarket.JobMarket_WrongState.selector, id, State(s))
                        ),
                        cell
                    );
                    vm.assertEq(keccak256(abi.encode(market.job(id), address(market).balance)), keccak256(before), cell);
                }
                vm.revertToState(snapshot);
            }
        }
    }

    /// JOB-24: each live state ends after its deadline with nobody but a stranger acting, and not a second before.
    function test_close__everybody_silent_in_each_state__money_leaves() public {
        State[4] memory live = [State.Open, State.Ready, State.Demanded, State.Committed];
        for (uint256 i = 0; i < live.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            _bring(live[i]);
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
