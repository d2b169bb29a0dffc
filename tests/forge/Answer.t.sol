// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {INodeRegistry, IJobs, JobId, JobLib, RefundReason, Request, State, Ticket, vm} from "./Base.t.sol";
import {EnclaveBase} from "./EnclaveBase.t.sol";

/// @notice Level ATTESTED, signed refusals, and AGREED jobs for a version with a policy.
contract AnswerTest is EnclaveBase {
    bytes private constant SEALED = "the sealed output";
    uint256 private constant FEE = uint256(PRICE) * FAULT_BPS / 10_000;

    function setUp() public override {
        super.setUp();
        _enrolAll();
    }

    function _readyAttested() private {
        _readyEnrolled(_defaultAttested());
    }

    function _readyAgreed() private {
        Request memory r = _default();
        r.terms.version = closed;
        _readyEnrolled(r);
    }

    function _answer() private {
        _answer(RIGHT, SEALED, _result(committee[0], RIGHT, SEALED));
    }

    function _answer(bytes32 output, bytes memory sealedOutput, bytes memory signature) private {
        vm.prank(committee[0]);
        market.answer(_ticket(), output, sealedOutput, signature);
    }

    /// @dev keccak256 of what `_sealedKeys` has for one worker.
    function _sealedKeyHash(address worker) private pure returns (bytes32) {
        address[] memory one = new address[](1);
        one[0] = worker;
        return keccak256(_sealedKeys(one));
    }

    function _refuseSigned(uint256 seat, uint8 reason) private {
        address worker = committee[seat];
        bytes32 key = _sealedKeyHash(worker);
        _refuseRaw(
            seat, reason, _sealedKeys(committee), _sign(_signingKey(worker), _refusalDigest(worker, key, reason))
        );
    }

    function _refuseRaw(uint256 seat, uint8 reason, bytes memory keys, bytes memory signature) private {
        vm.prank(committee[seat]);
        market.refuse(_ticket(), reason, keys, signature);
    }

    function _expectWrongSignature(address worker, address signer) private {
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongSignature.selector, worker, signer));
    }

    /// @dev Slot 6: `_seats`.
    function _seatSlot(uint256 seat) private view returns (bytes32) {
        bytes32 ofJob = keccak256(abi.encode(JobId.unwrap(id), uint256(6)));
        return vm.load(address(market), keccak256(abi.encode(seat, ofJob)));
    }

    /// @dev MONEY-1 when the last lock's time is over.
    function _assertAllPaid() private {
        vm.warp(block.timestamp + 4 * LOCK_PERIOD);
        _assertAllSettled();
    }

    // ------------------------------------------------------------------------------------------------ answer

    function test_request__attested__has_its_flags() public {
        _request(_defaultAttested());
        vm.assertEq(market.job(id).flags, JobLib.ENROLLED);
        Request memory r = _defaultAttested();
        r.brief.ciphertextSize = 65537;
        _request(r);
        vm.assertEq(market.job(id).flags, JobLib.ENROLLED | JobLib.UNPUBLISHABLE);
        r = _default();
        r.terms.version = closed;
        _request(r);
        vm.assertEq(market.job(id).flags, JobLib.ENROLLED);
        r.terms.version = version;
        _request(r);
        vm.assertEq(market.job(id).flags, 0);
    }

    /// JOB-33
    function test_request__attested_by_any_other_committee__reverts() public {
        Request memory r = _defaultAttested();
        uint8[2][4] memory wrong = [[0, 0], [2, 1], [1, 0], [3, 2]];
        for (uint256 i = 0; i < 4; ++i) {
            (r.terms.seats, r.terms.quorum) = (wrong[i][0], wrong[i][1]);
            vm.expectRevert(
                abi.encodeWithSelector(IJobs.JobMarket_BadCommittee.selector, r.terms.seats, r.terms.quorum, uint256(1))
            );
            _request(r);
        }
        r = _defaultAttested();
        r.terms.version = version;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_OpenVersion.selector, version));
        _request(r);
    }

    /// JOB-34, JOB-35, SIG-1, MONEY-3
    function test_answer__signed__settles_and_pays() public {
        _readyAttested();
        address worker = committee[0];
        vm.assertEq(market.job(id).moment, block.timestamp);
        bytes memory signature = _result(worker, RIGHT, SEALED);
        vm.expectEmit(address(market));
        emit IJobs.OutputRevealed(id, worker, RIGHT, SEALED);
        vm.expectEmit(address(market));
        emit IJobs.JobSettled(id, RIGHT, 1, uint40(block.timestamp + CHALLENGE_WINDOW));
        vm.expectEmit(address(market));
        emit IJobs.Credited(worker, id, COIN, PRICE);
        _answer(RIGHT, SEALED, signature);
        vm.assertEq(market.result(id), RIGHT);
        vm.assertFalse(market.isFinal(id));
        vm.assertEq(market.credit(worker, COIN), PRICE);
        vm.assertEq(market.job(id).committed, 1);
        vm.assertEq(market.job(id).revealed, 1);
        vm.assertEq(_seatSlot(0), RIGHT);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, State.Settled));
        _answer(RIGHT, SEALED, signature);
        _lapse();
        vm.assertTrue(market.isFinal(id));
        _assertAllPaid();
    }

    /// ENC-10: a hired enclave answers as a drawn one does, and must be one that could have been drawn.
    function test_hire__enrolled_worker__answers_and_is_paid() public {
        Request memory r = _hired(_defaultAttested(), workers[2]);
        _hire(r);
        vm.assertEq(market.job(id).flags, JobLib.ENROLLED | JobLib.HIRED);
        _answer();
        vm.assertEq(market.credit(workers[2], COIN), PRICE);
        vm.assertEq(market.reputation(workers[2]), 5000);
        _assertAllPaid();
    }

    /// ENC-10, JOB-37: whoever would leave a drawn seat vacant cannot be hired, nor who never enrolled.
    function test_hire__not_eligible__reverts() public {
        address[] memory one = new address[](1);
        for (uint256 i = 0; i < 5; ++i) {
            uint256 snapshot = vm.snapshotState();
            address worker = one[0] = i == 4 ? _worker(9) : workers[i];
            if (i == 0) {
                vm.prank(worker);
                nodes.replaceKeys(keccak256("new"), address(9));
            }
            if (i == 1) {
                quotes.setRevoked(evidence[worker].platform, true);
                nodes.revoke(worker, evidence[worker], evidence[worker].platform);
            }
            if (i == 2) {
                vm.prank(worker);
                nodes.announceExit();
            }
            // The prompt key ends a second too early.
            if (i == 3) vm.warp(nodes.promptKey(worker).expiresAt - 2 * COMMIT_WINDOW - PUBLISH_WINDOW + 1);
            if (i == 4) _register(worker, 5 ether);
            Request memory r = _hired(_defaultAttested(), worker);
            bytes memory keys = _sealedKeys(one);
            vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotHireable.selector, worker));
            vm.prank(requester);
            market.hire{value: PRICE}(r, keys);
            vm.revertToState(snapshot);
        }
    }

    /// SIG-1: every member of the Result, every key but the right one, every other form.
    function test_answer__other_signature__reverts() public {
        _readyAttested();
        address worker = committee[0];
        uint256 key = _signingKey(worker);
        bytes32 right = _resultDigest(id, RIGHT, SEALED);
        bytes32[3] memory digests = [
            _resultDigest(JobId.wrap(keccak256("another job")), RIGHT, SEALED),
            _resultDigest(id, WRONG, SEALED),
            _resultDigest(id, RIGHT, "another sealed output")
        ];
        for (uint256 i = 0; i < 3; ++i) {
            bytes memory signature = _sign(key, digests[i]);
            vm.expectPartialRevert(IJobs.JobMarket_WrongSignature.selector);
            _answer(RIGHT, SEALED, signature);
        }
        bytes memory theirs = _sign(_signingKey(stranger), right);
        _expectWrongSignature(worker, _signer(stranger));
        _answer(RIGHT, SEALED, theirs);
        _expectWrongSignature(worker, address(0));
        _answer(RIGHT, SEALED, "");
        bytes memory long = bytes.concat(_sign(key, right), hex"00");
        _expectWrongSignature(worker, address(0));
        _answer(RIGHT, SEALED, long);
        vm.chainId(block.chainid + 1);
        bytes memory elsewhere = _sign(key, _resultDigest(id, RIGHT, SEALED));
        vm.chainId(block.chainid - 1);
        vm.expectPartialRevert(IJobs.JobMarket_WrongSignature.selector);
        _answer(RIGHT, SEALED, elsewhere);
    }

    function test_answer__zero_or_long_output__reverts() public {
        _readyAttested();
        vm.expectRevert(IJobs.JobMarket_ZeroOutput.selector);
        _answer(0, SEALED, "");
        vm.expectRevert(
            abi.encodeWithSelector(IJobs.JobMarket_SealedOutputTooLong.selector, uint256(1073), uint256(1072))
        );
        _answer(RIGHT, new bytes(1073), "");
        _answer(RIGHT, new bytes(1072), _result(committee[0], RIGHT, new bytes(1072)));
    }

    /// JOB-34
    function test_answer__around_the_deadline__in_time_or_late() public {
        _readyAttested();
        bytes memory signature = _result(committee[0], RIGHT, SEALED);
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, deadline + 1, deadline));
        _answer(RIGHT, SEALED, signature);
        vm.warp(deadline);
        _answer(RIGHT, SEALED, signature);
    }

    /// JOB-34
    function test_answer__stranger_or_other_level__reverts() public {
        _readyAttested();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotSeated.selector, stranger));
        vm.prank(stranger);
        market.answer(_ticket(), RIGHT, SEALED, "");
        bytes memory wrongLevel = abi.encodeWithSelector(IJobs.JobMarket_WrongLevel.selector, id);
        vm.expectRevert(wrongLevel);
        vm.prank(committee[0]);
        market.commit(_ticket(), RIGHT);
        vm.expectRevert(wrongLevel);
        vm.prank(committee[0]);
        market.prove(_ticket(), _brief(), _opening(), MASKED, "", "");
        _readyAgreed();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongLevel.selector, id));
        _answer(RIGHT, SEALED, "");
    }

    /// JOB-24, JOB-36, MONEY-6
    function test_close__attested_and_silent__slashes_and_refunds_whole() public {
        _readyAttested();
        _lapse();
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.TooFewCommits);
        _close();
        vm.assertEq(_loss(committee[0]), SILENT_PENALTY);
        vm.assertEq(market.credit(requester, COIN), PRICE);
        vm.assertEq(_seatSlot(0), 0);
        _assertAllPaid();
    }

    /// JOB-17: the clock starts anew, the second of the delivery stays.
    function test_answer__after_a_demand__counts_from_the_delivery() public {
        _readyAttested();
        uint256 delivered = block.timestamp;
        vm.warp(delivered + 10);
        _demand(0);
        vm.warp(delivered + 20);
        _publish();
        vm.assertEq(market.job(id).moment, delivered);
        address worker = committee[0];
        vm.prank(worker);
        nodes.replaceKeys(keccak256("later"), vm.addr(7));
        bytes memory later = _sign(7, _resultDigest(id, RIGHT, SEALED));
        _expectWrongSignature(worker, vm.addr(7));
        _answer(RIGHT, SEALED, later);
        _answer();
        _assertAllPaid();
    }

    // ------------------------------------------------------------------------------------------------ AGREED, enrolled

    /// SIG-1: the seat's place is the commitment's, then the first output's, then nobody's.
    function test_agreed_enrolled__whole_life__settles() public {
        _readyAgreed();
        _commitAll(RIGHT, RIGHT, RIGHT);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_seatSlot(i), _commitment(id, committee[i], RIGHT));
        }
        _revealAll(RIGHT, RIGHT, RIGHT);
        _assertCredits(PRICE, PRICE, PRICE);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(_seatSlot(i), i == 0 ? RIGHT : bytes32(0));
        }
        _assertAllPaid();
    }

    /// SIG-1: in a job for a version with a policy a reveal without the signature of the seat's enclave is none.
    function test_agreed_enrolled__reveal_without_signature__reverts() public {
        _readyAgreed();
        _commitAll(RIGHT, RIGHT, RIGHT);
        bytes[3] memory wrong =
            [bytes(""), _result(committee[1], RIGHT, hex"5ea1ed"), _result(committee[0], RIGHT, "another")];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectPartialRevert(IJobs.JobMarket_WrongSignature.selector);
            vm.prank(committee[0]);
            market.reveal(_ticket(), RIGHT, _salt(committee[0]), hex"5ea1ed", wrong[i]);
        }
        _revealAll(RIGHT, RIGHT, RIGHT);
        _assertCredits(PRICE, PRICE, PRICE);
    }

    /// A seat that did not commit reveals nothing.
    function test_agreed_enrolled__silent_seat__cannot_reveal_and_pays() public {
        _readyAgreed();
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        _lapse();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotCommitted.selector, committee[2]));
        _reveal(2, RIGHT);
        _reveal(0, RIGHT);
        _reveal(1, RIGHT);
        _assertLosses(0, 0, SILENT_PENALTY);
        vm.assertEq(_seatSlot(2), 0);
        _assertAllPaid();
    }

    /// ENC-5: revoked after the delivery, silence is free, in Ready and behind other seats' reveals; a revocation before is not one of
    /// this job.
    function test_agreed_enrolled__revoked_and_silent__loses_nothing() public {
        _readyAgreed();
        vm.warp(block.timestamp + 5);
        bytes32 platform = evidence[committee[2]].platform;
        quotes.setRevoked(platform, true);
        nodes.revoke(committee[2], evidence[committee[2]], platform);
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        _lapse();
        _reveal(0, RIGHT);
        _reveal(1, RIGHT);
        _assertLosses(0, 0, 0);
    }

    function test_agreed_open__revoked_and_silent__pays() public {
        _ready();
        vm.warp(block.timestamp + 5);
        bytes32 platform = evidence[committee[2]].platform;
        quotes.setRevoked(platform, true);
        nodes.revoke(committee[2], evidence[committee[2]], platform);
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        _lapse();
        _reveal(0, RIGHT);
        _reveal(1, RIGHT);
        _assertLosses(0, 0, SILENT_PENALTY);
    }

    // ------------------------------------------------------------------------------------------------ signed refusals

    /// SIG-2
    function test_refuse__signed__each_provable_reason__earns_the_fee() public {
        uint8[3] memory reasons = [1, 4, 5];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 snapshot = vm.snapshotState();
            _readyAttested();
            bytes32 key = _sealedKeyHash(committee[0]);
            vm.expectEmit(address(market));
            emit IJobs.SeatRefused(id, committee[0], reasons[i]);
            vm.expectEmit(address(market));
            emit IJobs.RefusalCharged(id, committee[0], FEE, key);
            _refuseSigned(0, reasons[i]);
            _assertState(State.Refunded);
            vm.assertEq(market.job(id).charged, 1);
            vm.assertEq(market.credit(committee[0], COIN), FEE);
            vm.assertEq(market.credit(requester, COIN), PRICE - FEE);
            _assertAllPaid();
            vm.revertToState(snapshot);
        }
    }

    /// SIG-2: for another reason the signature is not looked at, nor in a job for an open version.
    function test_refuse__signed_for_another_reason_or_an_open_version__costs_nobody() public {
        for (uint8 reason = 0; reason < 9; ++reason) {
            if (reason == 1 || reason == 4 || reason == 5) continue;
            uint256 snapshot = vm.snapshotState();
            _readyAttested();
            _refuseSigned(0, reason);
            vm.assertEq(market.credit(requester, COIN), PRICE);
            vm.assertEq(market.job(id).charged, 0);
            vm.revertToState(snapshot);
        }
        _ready();
        _refuseSigned(0, 1);
        _refuseSigned(1, 1);
        vm.assertEq(market.credit(requester, COIN), ESCROW);
    }

    /// SIG-2: about the delivered key of this seat, by its signer, for the reason that is given, for this market.
    function test_refuse__other_key_or_signature__reverts() public {
        _readyAgreed();
        address worker = committee[0];
        bytes32 key = _sealedKeyHash(worker);
        bytes32 other = _sealedKeyHash(committee[1]);
        uint256 signing = _signingKey(worker);
        bytes memory keys = _sealedKeys(committee);
        bytes memory changed = _sealedKeys(committee);
        changed[3] ^= 0x01;
        bytes memory right = _sign(signing, _refusalDigest(worker, key, 5));
        vm.expectRevert(
            abi.encodeWithSelector(IJobs.JobMarket_WrongSealedKey.selector, keccak256(changed), keccak256(keys))
        );
        _refuseRaw(0, 5, changed, right);
        bytes[4] memory wrong = [
            _sign(signing, _refusalDigest(worker, key, 4)),
            _sign(signing, _refusalDigest(worker, other, 5)),
            _sign(signing, _refusalDigest(committee[1], key, 5)),
            _sign(_signingKey(committee[1]), _refusalDigest(worker, key, 5))
        ];
        for (uint256 i = 0; i < wrong.length; ++i) {
            vm.expectPartialRevert(IJobs.JobMarket_WrongSignature.selector);
            _refuseRaw(0, 5, keys, wrong[i]);
        }
        _refuseSigned(0, 5);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_Excused.selector, worker));
        _refuseSigned(0, 5);
    }

    /// SIG-2: keys are carried for seated workers only, so a vacant seat before another moves that one's key up.
    function test_refuse__vacant_seat_before__is_about_its_own_key() public {
        Request memory r = _default();
        r.terms.version = closed;
        for (uint256 i = 0; i < workers.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            _replaceKeys(workers[i]);
            _readyEnrolled(r);
            if (committee[0] == address(0) && market.job(id).state == State.Ready) {
                _refuseSigned(2, 5);
                vm.assertEq(market.credit(committee[2], COIN), FEE);
                return;
            }
            vm.revertToState(snapshot);
        }
        revert("seat 0 was never vacant");
    }

    function _replaceKeys(address worker) private {
        vm.prank(worker);
        nodes.replaceKeys(keccak256("new"), address(9));
    }

    /// SIG-2, MONEY-3: with a winner, without one, unpublished and refused, each refund is less by what was charged.
    function test_refuse__signed__every_end__adds_up() public {
        for (uint256 end = 0; end < 4; ++end) {
            uint256 snapshot = vm.snapshotState();
            _readyAgreed();
            _refuseSigned(0, 5);
            _assertState(State.Ready);
            uint256 paid = FEE;
            if (end == 0) {
                _commit(1, RIGHT);
                _commit(2, RIGHT);
                _reveal(1, RIGHT);
                _reveal(2, RIGHT);
                paid += 2 * uint256(PRICE);
            } else if (end == 1) {
                _commit(1, RIGHT);
                _commit(2, WRONG);
                _reveal(1, RIGHT);
                _reveal(2, WRONG);
                _assertState(State.Disputed);
                vm.prank(requester); // who calls no referee
                market.resolve(_ticket());
            } else if (end == 2) {
                _demand(1);
                _lapse();
                _close();
                paid += 2 * FEE;
            } else {
                _refuseSigned(1, 4);
                paid += FEE;
            }
            vm.assertEq(market.job(id).charged, end == 3 ? 2 : 1);
            vm.assertEq(market.credit(requester, COIN), ESCROW - paid);
            _assertAllPaid();
            vm.revertToState(snapshot);
        }
    }

    /// JOB-8: nobody is charged or locked, and nothing is stored, when too few are eligible.
    function test_deliver__nobody_eligible__refunds_whole() public {
        for (uint256 i = 0; i < workers.length; ++i) {
            vm.prank(workers[i]);
            nodes.replaceKeys(keccak256("new"), address(9));
        }
        _readyAttested();
        vm.assertEq(committee[0], address(0));
        _assertState(State.Refunded);
        vm.assertEq(market.credit(requester, COIN), PRICE);
        vm.assertEq(_seatSlot(0), 0);
        _assertAllPaid();
    }
}
