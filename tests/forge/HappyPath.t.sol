// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Request} from "../../contracts/types/Request.sol";
import {Base, Header, State, vm} from "./Base.t.sol";

/// @notice A whole job, AGREED(3, 2), and what its steps cost. `bench/gas.py` measures whole transactions.
contract HappyPathTest is Base {
    event Gas(string step, uint256 used);

    /// JOB-1, JOB-5, JOB-10, JOB-15, JOB-20, MONEY-3, CHAL-1
    function test_job__all_agree__paid_and_settled() public {
        Request memory r = _default();
        uint256 before;

        before = gasleft();
        _request(r);
        emit Gas("request", before - gasleft());
        vm.assertEq(market.job(id).moment, block.number + SEED_DELAY);

        _deliver(r);
        vm.assertEq(committee.length, 3);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_locked(committee[i]), LOCK);
        }
        for (uint256 i = 0; i < 3; ++i) {
            before = gasleft();
            _commit(i, RIGHT);
            emit Gas("commit", before - gasleft());
        }
        _assertState(State.Committed);
        for (uint256 i = 0; i < 3; ++i) {
            before = gasleft();
            _reveal(i, RIGHT);
            emit Gas("reveal", before - gasleft());
        }
        _assertState(State.Settled);
        vm.assertEq(market.result(id), RIGHT);
        vm.assertFalse(market.isFinal(id));
        // No call frees the stake: time does.
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_locked(committee[i]), LOCK);
        }
        vm.warp(block.timestamp + 3 * LOCK_PERIOD + 1);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_locked(committee[i]), 0);
        }
        vm.assertTrue(market.isFinal(id));
        _assertCredits(PRICE, PRICE, PRICE);
        _assertLosses(0, 0, 0);
        vm.assertEq(_credit(requester), 0);
        _assertAllSettled();
    }
}
