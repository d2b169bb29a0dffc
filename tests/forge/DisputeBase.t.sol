// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, IJobs, JobId, Request, State, vm} from "./Base.t.sol";

/// @notice Jobs whose result is in doubt: more workers, so that referees can be drawn, somebody who challenges and somebody who proves.
abstract contract DisputeBase is Base {
    /// @dev The output that MASKED is: what a proof shows.
    bytes32 internal constant PROVEN = keccak256(abi.encode(uint256(2), PAD, keccak256(MASKED)));
    uint256 internal constant FEE = uint256(PRICE) * FAULT_BPS / 10_000;

    address internal immutable challenger = vm.addr(uint256(keccak256("challenger")));
    address internal immutable prover = vm.addr(uint256(keccak256("prover")));

    function setUp() public virtual override {
        super.setUp();
        for (uint256 i = WORKERS; i < 20; ++i) {
            workers.push(_worker(i));
            _register(_worker(i), _stake(i));
        }
        _nextEpoch();
    }

    /// @dev A job that a proof would decide, voted on.
    function _voted(bytes32 a, bytes32 b, bytes32 c) internal {
        _ready(_defaultVerified());
        _vote(a, b, c);
    }

    /// @dev A job that referees would decide, voted on.
    function _votedAlone(bytes32 a, bytes32 b, bytes32 c) internal {
        _ready();
        _vote(a, b, c);
    }

    /// @dev Plays the referee's job: the first `right` of its seats reveal `output`, the others `other`.
    function _play(JobId referee, Request memory r, uint256 right, bytes32 output, bytes32 other) internal {
        JobId disputed = id;
        _select(referee);
        _deliver(r);
        uint256 seats = committee.length;
        for (uint256 i = 0; i < seats; ++i) {
            _commit(i, i < right ? output : other);
        }
        for (uint256 i = 0; i < seats; ++i) {
            _reveal(i, i < right ? output : other);
        }
        _select(disputed);
    }

    /// @dev What all workers have lost by slashing.
    function _slashed() internal view returns (uint256 sum) {
        for (uint256 i = 0; i < workers.length; ++i) {
            sum += _loss(workers[i]);
        }
    }

    function _owed() internal view returns (uint256) {
        return _allCredits() + _credit(challenger) + _credit(prover);
    }

    /// @dev MONEY-1, to the wei, with no other job open.
    /// @param held escrows and bonds that the market still has
    function _assertBooks(uint256 held) internal view {
        vm.assertEq(address(market).balance, _owed() + held, "MONEY-1: market");
        uint256 stakes = 0;
        for (uint256 i = 0; i < workers.length; ++i) {
            stakes += nodes.node(workers[i]).stake;
        }
        vm.assertEq(address(nodes).balance, stakes, "MONEY-1: registry");
    }

    /// @dev CHAL-13, MONEY-1: the verdict is in and nothing is held.
    function _assertVerdict() internal view {
        _assertBooks(0);
        vm.assertGe(2 * _credit(burn), _slashed(), "CHAL-13: half of every slash is burned");
    }

    function _expectWrongState(State state) internal {
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, state));
    }

    function _expectTooLate(uint256 deadline) internal {
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, deadline + 1, deadline));
    }

    function _expectTooEarly(uint256 deadline) internal {
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooEarly.selector, deadline, deadline));
    }

    function _removeVerifier() internal {
        vm.prank(steward);
        verifiers.remove(verifierId);
    }

    function _seatsFree(bool a, bool b, bool c) internal view {
        vm.assertEq(_locked(committee[0]), a ? 0 : LOCK, "lock of seat 0");
        vm.assertEq(_locked(committee[1]), b ? 0 : LOCK, "lock of seat 1");
        vm.assertEq(_locked(committee[2]), c ? 0 : LOCK, "lock of seat 2");
    }
}
