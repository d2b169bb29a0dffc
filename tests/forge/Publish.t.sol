// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Base, Brief, IJobs, Job, Request, State, vm} from "./Base.t.sol";

contract PublishTest is Base {
    function setUp() public override {
        super.setUp();
        _ready();
        _commit(1, RIGHT);
        vm.warp(block.timestamp + COMMIT_WINDOW);
        _demand(0);
    }

    /// JOB-17: anybody may answer, and earns the deposit; all get a fresh window.
    function test_publish__by_anybody__restarts_the_clock() public {
        vm.warp(block.timestamp + 9);
        vm.expectEmit(address(market));
        emit IJobs.CiphertextPublished(id, stranger, CIPHERTEXT, uint40(block.timestamp + COMMIT_WINDOW));
        vm.expectEmit(address(market));
        emit IJobs.Credited(stranger, id, COIN, DEPOSIT);
        _publish();
        Job memory j = market.job(id);
        vm.assertTrue(j.state == State.Ready);
        vm.assertEq(j.flags, 1);
        vm.assertEq(j.committed, 2);
        vm.assertEq(j.deadline, block.timestamp + COMMIT_WINDOW);
        vm.assertEq(_credit(stranger), DEPOSIT);
        _commit(0, RIGHT);
        _commit(2, RIGHT);
        for (uint256 i = 0; i < 3; ++i) {
            _reveal(i, RIGHT);
        }
        _assertCredits(PRICE, PRICE, PRICE);
        _assertAllSettled();
    }

    /// JOB-17: silence after the publication costs what silence costs.
    function test_publish__then_silence__is_slashed() public {
        _publish();
        _lapse();
        _close();
        _assertLosses(SILENT_PENALTY, 0, SILENT_PENALTY);
        vm.assertEq(_credit(requester), ESCROW);
        _assertAllSettled();
    }

    /// JOB-17, BLOB-1
    function test_publish__other_bytes__revert() public {
        bytes memory other = "another input";
        bytes32 hash = sha256(other);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongCiphertext.selector, hash, ciphertextHash));
        market.publish(_ticket(), _brief(), other);
    }

    /// JOB-17: bytes that a changed request would allow.
    function test_publish__changed_brief__reverts() public {
        bytes memory other = "another input";
        Brief memory b = _brief();
        b.ciphertextHash = sha256(other);
        bytes32 given = keccak256(abi.encode(b));
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongBrief.selector, given, _ticket().brief));
        market.publish(_ticket(), b, other);
    }

    /// JOB-17, JOB-19: whatever can be demanded can be published, below 30% of the 2^24 gas cap with its calldata.
    function test_publish__64_KiB__fits_a_transaction() public {
        bytes memory large = new bytes(65536);
        for (uint256 i = 0; i < large.length; ++i) {
            large[i] = bytes1(uint8(1 + i % 255));
        }
        Request memory r = _default();
        (r.brief.nonce, r.brief.ciphertextSize, r.brief.ciphertextHash) = (2, 65536, sha256(large));
        _ready(r);
        _demand(0);
        uint256 before = gasleft();
        market.publish(_ticket(), r.brief, large);
        uint256 used = before - gasleft();
        uint256 floor = 21_000 + 40 * large.length; // EIP-7623
        uint256 standard = 21_000 + 16 * large.length + used;
        vm.assertLt(standard > floor ? standard : floor, uint256(2 ** 24) * 30 / 100, "gas");
        _assertState(State.Ready);
    }

    /// JOB-17
    function test_publish__around_the_deadline__in_time_or_late() public {
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, deadline + 1, deadline));
        _publish();
        vm.warp(deadline);
        _publish();
    }
}
