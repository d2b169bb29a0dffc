// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifiers} from "../../contracts/interfaces/IProofVerifiers.sol";
import {
    Base,
    IJobMarket,
    IModelRegistry,
    INodeRegistry,
    Job,
    JobId,
    Level,
    RefundReason,
    Request,
    State,
    VersionId,
    vm
} from "./Base.t.sol";
import {Rogue} from "./utils/Rogue.sol";

/// @notice Level PROVED: one drawn worker, paid on a proof.
contract ProveTest is Base {
    bytes private constant NO = abi.encode(false);

    function _readyProved() private {
        _ready(_defaultProved());
    }

    function _removeVerifier() private {
        vm.prank(steward);
        verifiers.remove(verifierId);
    }

    function _expectInvalid(bytes memory answer) private {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_InvalidProof.selector, id, answer));
    }

    function _expectWrongState(State state) private {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_WrongState.selector, id, state));
    }

    function _expectWrongLevel() private {
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_WrongLevel.selector, id));
    }

    function _assertRefundedWhole(uint256 loss) private view {
        _assertState(State.Refunded);
        vm.assertEq(market.credit(requester), PRICE);
        vm.assertEq(market.credit(committee[0]), 0);
        vm.assertEq(_loss(committee[0]), loss);
        vm.assertEq(market.credit(burn), loss);
        vm.assertEq(_verifierSlot(id), 0);
        _assertAllSettled();
    }

    /// @dev Slot 6: `_verifierIds`.
    function _verifierSlot(JobId of_) private view returns (uint256) {
        return uint256(vm.load(address(market), keccak256(abi.encode(JobId.unwrap(of_), uint256(6)))));
    }

    // ------------------------------------------------------------------------------------------------ request

    /// JOB-1, JOB-25
    function test_request__proved__opens_job() public {
        Request memory r = _defaultProved();
        JobId expected = JobId.wrap(keccak256(abi.encode(block.chainid, address(market), requester, r)));
        vm.expectEmit(address(market));
        emit IJobMarket.JobRequested(
            expected,
            requester,
            provable,
            r,
            uint40(block.number + SEED_DELAY),
            uint40(block.timestamp + DELIVER_WINDOW)
        );
        _request(r);
        Job memory j = market.job(id);
        vm.assertTrue(j.state == State.Open);
        vm.assertEq(j.seats, 1);
        vm.assertEq(j.quorum, 1);
        vm.assertEq(j.flags, 4);
        vm.assertEq(j.lockEach, LOCK);
        vm.assertEq(address(market).balance, PRICE);
        vm.assertEq(_verifierSlot(id), verifierId);
    }

    /// JOB-19, JOB-25
    function test_request__proved_large_ciphertext__has_both_flags() public {
        Request memory r = _defaultProved();
        r.ciphertextSize = 65537;
        _request(r);
        vm.assertEq(market.job(id).flags, 6);
    }

    /// JOB-25: a version with a circuit takes jobs of level AGREED all the same.
    function test_request__agreed_for_a_provable_version__is_agreed() public {
        Request memory r = _default();
        r.version = provable;
        _request(r);
        vm.assertEq(market.job(id).flags, 0);
        vm.assertEq(_verifierSlot(id), 0);
    }

    /// JOB-25
    function test_request__proved_by_any_other_committee__reverts() public {
        Request memory r = _defaultProved();
        for (uint256 seats = 0; seats <= 17; ++seats) {
            for (uint256 quorum = 0; quorum <= 17; ++quorum) {
                if (seats == 1 && quorum == 1) continue;
                (r.seats, r.quorum) = (uint8(seats), uint8(quorum));
                vm.expectRevert(
                    abi.encodeWithSelector(IJobMarket.JobMarket_BadCommittee.selector, seats, quorum, uint256(1))
                );
                _request(r);
            }
        }
    }

    /// MODEL-7, JOB-25
    function test_request__proved_without_circuit__reverts() public {
        Request memory r = _defaultProved();
        r.version = version;
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotProvable.selector, version));
        _request(r);
        r.version = VersionId.wrap(keccak256("nothing"));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, r.version));
        _request(r);
    }

    /// MODEL-7, JOB-25
    function test_request__proved_with_removed_verifier__reverts() public {
        _removeVerifier();
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_VerifierRemoved.selector, verifierId));
        _request(_defaultProved());
    }

    /// MODEL-2, JOB-1
    function test_request__proved_deprecated_or_mispriced__reverts() public {
        Request memory r = _defaultProved();
        r.pricePerSeat = PRICE - 1;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_PriceChanged.selector, PRICE - 1, PRICE));
        _request(r);
        vm.prank(owner);
        models.deprecate(provable);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_Deprecated.selector, provable));
        _request(_defaultProved());
    }

    // ------------------------------------------------------------------------------------------------ prove

    /// JOB-27, JOB-28, JOB-29, JOB-30, MONEY-3
    function test_prove__valid__settles_and_pays() public {
        _readyProved();
        address worker = committee[0];
        vm.assertEq(committee.length, 1);
        vm.assertEq(nodes.node(worker).locked, LOCK);
        bytes memory proof = _proof(id, worker);
        vm.expectEmit(address(market));
        emit IJobMarket.JobProved(id, worker, MASKED);
        vm.expectEmit(address(market));
        emit IJobMarket.JobSettled(id, _provedOutput(), 1);
        vm.expectEmit(address(market));
        emit IJobMarket.Credited(worker, id, PRICE);
        vm.expectEmit(address(nodes));
        emit INodeRegistry.StakesReleased(committee, LOCK);
        _prove(_defaultProved(), proof);

        _assertState(State.Settled);
        Job memory j = market.job(id);
        vm.assertEq(j.digest, _provedOutput());
        vm.assertEq(uint256(j.committed) + j.revealed + j.excused, 0);
        vm.assertEq(market.result(id), _provedOutput());
        vm.assertEq(market.credit(worker), PRICE);
        vm.assertEq(market.credit(requester) + market.credit(burn), 0);
        vm.assertEq(_loss(worker), 0);
        vm.assertEq(_verifierSlot(id), 0);
        _assertAllSettled();
    }

    /// MONEY-4
    function test_prove__twice__reverts() public {
        _readyProved();
        _prove();
        bytes memory proof = _proof(id, committee[0]);
        _expectWrongState(State.Settled);
        _prove(_defaultProved(), proof);
        _lapse();
        _expectWrongState(State.Settled);
        _close();
    }

    /// JOB-27: to the last second.
    function test_prove__deadline__is_the_last_second() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_TooLate.selector, deadline + 1, deadline));
        _prove(_defaultProved(), proof);
        vm.warp(deadline);
        _prove(_defaultProved(), proof);
    }

    /// JOB-27: `commit` and `reveal` are not for PROVED jobs, whoever calls them and whenever.
    function test_commit_and_reveal__proved__revert() public {
        _readyProved();
        bytes32 commitment = _commitment(id, committee[0], RIGHT);
        _expectWrongLevel();
        vm.prank(committee[0]);
        market.commit(id, committee, commitment);
        for (uint256 i = 0; i < 2; ++i) {
            _expectWrongState(State.Ready);
            _reveal(0, RIGHT);
            _lapse();
        }
    }

    /// JOB-27
    function test_prove__agreed_job__reverts() public {
        Request memory r = _default();
        (r.version, r.inputCommitment) = (provable, _defaultProved().inputCommitment);
        _ready(r);
        bytes memory proof = _proof(id, committee[0]);
        _expectWrongLevel();
        _prove(r, proof);
    }

    /// JOB-27
    function test_prove__not_seated_or_other_committee__reverts() public {
        _readyProved();
        bytes memory proof = _proof(id, stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_NotSeated.selector, stranger));
        vm.prank(stranger);
        market.prove(_defaultProved(), requester, committee, _opening(), MASKED, proof, "");
        address[] memory forged = new address[](1);
        forged[0] = stranger;
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobMarket.JobMarket_WrongCommittee.selector,
                keccak256(abi.encode(forged)),
                keccak256(abi.encode(committee))
            )
        );
        vm.prank(stranger);
        market.prove(_defaultProved(), requester, forged, _opening(), MASKED, proof, "");
    }

    /// JOB-2, JOB-27: the request is the one that was posted, by whom it was posted.
    function test_prove__another_request_or_requester__reverts() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        Request memory r = _defaultProved();
        r.version = version;
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_UnknownJob.selector, market.jobId(r, requester)));
        _prove(r, proof);
        JobId theirs = market.jobId(_defaultProved(), stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_UnknownJob.selector, theirs));
        vm.prank(committee[0]);
        market.prove(_defaultProved(), stranger, committee, _opening(), MASKED, proof, "");
    }

    /// JOB-26: another input, pad or binding is another job's; so is one given in the other's place.
    function test_prove__another_input_pad_or_binding__reverts() public {
        _readyProved();
        bytes32[3][4] memory given =
            [[WRONG, INPUT, PAD], [BINDING, WRONG, PAD], [BINDING, INPUT, WRONG], [BINDING, PAD, INPUT]];
        for (uint256 i = 0; i < given.length; ++i) {
            (bytes32 binding, bytes32 input, bytes32 pad) = (given[i][0], given[i][1], given[i][2]);
            // A proof of just this statement does not help.
            bytes memory proof = verifier.proofOf(
                CIRCUIT,
                WEIGHTS,
                input,
                keccak256(abi.encode(2, pad, keccak256(MASKED))),
                keccak256(abi.encode(block.chainid, address(market), id, committee[0]))
            );
            bytes32 bound = keccak256(abi.encode(binding, keccak256(abi.encode(input, pad))));
            vm.expectRevert(
                abi.encodeWithSelector(
                    IJobMarket.JobMarket_WrongInput.selector, bound, _defaultProved().inputCommitment
                )
            );
            vm.prank(committee[0]);
            market.prove(
                _defaultProved(), requester, committee, IJobMarket.InputOpening(binding, input, pad), MASKED, proof, ""
            );
        }
    }

    /// JOB-26: a request whose commitment has the form of level AGREED cannot be proved: it costs the requester a wait
    ///         and the worker, which refuses it, nothing.
    function test_prove__request_without_circuit_input__only_refusal_ends_it_early() public {
        Request memory r = _defaultProved();
        r.inputCommitment = keccak256(abi.encode(BINDING, bytes32(0)));
        _ready(r);
        bytes memory proof = _proof(id, committee[0]);
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobMarket.JobMarket_WrongInput.selector, _defaultProved().inputCommitment, r.inputCommitment
            )
        );
        _prove(r, proof);
        _refuse(0);
        _assertRefundedWhole(0);
    }

    /// JOB-28, JOB-29: the words that are published are those of the proof.
    function test_prove__other_words__reverts() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        bytes[3] memory words = [bytes(""), bytes.concat(MASKED, hex"00"), "other words"];
        for (uint256 i = 0; i < words.length; ++i) {
            _expectInvalid(NO);
            vm.prank(committee[0]);
            market.prove(_defaultProved(), requester, committee, _opening(), words[i], proof, "");
        }
    }

    /// JOB-29
    function test_prove__too_many_words__reverts() public {
        _readyProved();
        for (uint256 length = 8193; length >= 8192; --length) {
            bytes memory words = new bytes(length);
            bytes memory proof = verifier.proofOf(
                CIRCUIT,
                WEIGHTS,
                INPUT,
                keccak256(abi.encode(2, PAD, keccak256(words))),
                keccak256(abi.encode(block.chainid, address(market), id, committee[0]))
            );
            if (length > 8192) {
                vm.expectRevert(
                    abi.encodeWithSelector(IJobMarket.JobMarket_MaskedTooLong.selector, uint256(8193), uint256(8192))
                );
            }
            bytes memory signature = _result(committee[0], keccak256(abi.encode(2, PAD, keccak256(words))), words);
            vm.prank(committee[0]);
            market.prove(_defaultProved(), requester, committee, _opening(), words, proof, signature);
        }
        _assertState(State.Settled);
        vm.assertEq(market.MAX_MASKED(), 8192);
    }

    /// JOB-28, VERIFIER-5: each part of the statement is the registered one, the committed one, or this very job's.
    function test_prove__proof_of_another_statement__reverts() public {
        _readyProved();
        address worker = committee[0];
        bytes32[5] memory right = [
            CIRCUIT, WEIGHTS, INPUT, _provedOutput(), keccak256(abi.encode(block.chainid, address(market), id, worker))
        ];
        bytes32[9] memory wrong = [
            keccak256("another circuit"),
            keccak256("another model's weights"),
            // of an input with the same commitment and more rows
            keccak256(abi.encode(uint256(1), uint256(1), keccak256("points of the input"), bytes32(0))),
            keccak256(abi.encode(uint256(1), PAD, keccak256(MASKED))), // of another kind of output
            keccak256(abi.encode(block.chainid, address(market), id, stranger)),
            keccak256(abi.encode(block.chainid, address(market), keccak256("another job"), worker)),
            keccak256(abi.encode(block.chainid, stranger, id, worker)),
            keccak256(abi.encode(block.chainid + 1, address(market), id, worker)),
            keccak256(abi.encode(block.chainid, address(market), id))
        ];
        for (uint256 i = 0; i < wrong.length; ++i) {
            uint256 part = i < 4 ? i : 4;
            bytes32 kept = right[part];
            right[part] = wrong[i];
            bytes memory proof = verifier.proofOf(right[0], right[1], right[2], right[3], right[4]);
            right[part] = kept;
            _expectInvalid(NO);
            _prove(_defaultProved(), proof);
        }
        bytes memory valid = verifier.proofOf(right[0], right[1], right[2], right[3], right[4]);
        _expectInvalid(NO);
        _prove(_defaultProved(), bytes.concat(valid, hex"00"));
        _expectInvalid(NO);
        _prove(_defaultProved(), "");
        _prove(_defaultProved(), valid);
    }

    /// MODEL-2, MODEL-4: what the owner does after the request changes nothing for it.
    function test_prove__deprecated_or_dearer_meanwhile__is_paid_as_posted() public {
        _request(_defaultProved());
        vm.startPrank(owner);
        models.setPrice(provable, 2 * PRICE);
        models.deprecate(provable);
        vm.stopPrank();
        _deliver(_defaultProved());
        _prove();
        vm.assertEq(market.credit(committee[0]), PRICE);
    }

    // ------------------------------------------------------------------------------------------------ thieves

    /// JOB-28: whoever copies the call from the mempool has no seat; and with the seat of another job it has no proof.
    function test_thief__copies_the_call__gains_nothing() public {
        _readyProved();
        address first = committee[0];
        bytes memory proof = _proof(id, first);
        for (uint256 i = 0; i < WORKERS; ++i) {
            if (workers[i] == first) continue;
            vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_NotSeated.selector, workers[i]));
            vm.prank(workers[i]);
            market.prove(_defaultProved(), requester, committee, _opening(), MASKED, proof, "");
        }
        _prove(_defaultProved(), proof);

        // The same input again: every job needs a proof of its own, from the same worker and from others.
        bool same;
        bool other;
        for (uint256 nonce = 2; nonce < 40 && !(same && other); ++nonce) {
            _nextEpoch();
            Request memory r = _defaultProved();
            r.nonce = nonce;
            _ready(r);
            committee[0] == first ? same = true : other = true;
            _expectInvalid(NO);
            _prove(r, proof);
            bytes memory own = _proof(id, committee[0]);
            _prove(r, own);
        }
        vm.assertTrue(same && other, "both kinds of worker were drawn");
    }

    /// JOB-2, JOB-28: on a fork of the chain the same call names another job.
    function test_replay__on_another_chain__reverts() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        vm.chainId(block.chainid + 1);
        JobId there = market.jobId(_defaultProved(), requester);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_UnknownJob.selector, there));
        _prove(_defaultProved(), proof);
    }

    // ------------------------------------------------------------------------------------------------ verifiers

    /// VERIFIER-4: whatever a verifier does, only this call fails, with the market's error and no other; the job goes on.
    function test_prove__verifier_goes_rogue__only_the_call_fails() public {
        _readyProved();
        vm.etch(address(verifier), address(new Rogue()).code);
        Rogue rogue = Rogue(address(verifier));
        bytes memory before = abi.encode(market.job(id), address(market).balance, nodes.node(committee[0]));
        bytes memory lie = abi.encodeWithSelector(IJobMarket.JobMarket_TooLate.selector, 2, 1);
        for (uint256 i = uint256(Rogue.Mode.No); i <= uint256(Rogue.Mode.Writes); ++i) {
            Rogue.Mode mode = Rogue.Mode(i);
            rogue.set(mode, address(0), lie);
            bytes memory answer = "";
            if (mode == Rogue.Mode.No) answer = NO;
            if (mode == Rogue.Mode.Two) answer = abi.encode(2);
            if (mode == Rogue.Mode.Longer) answer = abi.encode(true, true);
            if (mode == Rogue.Mode.Shorter) answer = new bytes(31);
            if (mode == Rogue.Mode.Reverts) answer = lie;
            _expectInvalid(answer);
            vm.prank(committee[0]);
            market.prove{gas: 16_000_000}(_defaultProved(), requester, committee, _opening(), MASKED, "", "");
            vm.assertEq(abi.encode(market.job(id), address(market).balance, nodes.node(committee[0])), before);
        }
        _lapse();
        _close();
        _assertRefundedWhole(SILENT_PENALTY);
    }

    /// VERIFIER-4, MONEY-4: a verifier cannot act while it is asked, in the market or elsewhere.
    function test_prove__verifier_calls_back__changes_nothing() public {
        Request memory r = _default();
        _request(r); // money and a job that could be touched
        JobId agreed = id;
        vm.warp(block.timestamp + DELIVER_WINDOW - 1 minutes);
        _readyProved();
        vm.etch(address(verifier), address(new Rogue()).code);
        Rogue rogue = Rogue(address(verifier));
        vm.warp(uint256(market.job(agreed).deadline) + 1);
        vm.assertLe(block.timestamp, market.job(id).deadline, "the PROVED job goes on");
        address[] memory none = new address[](0);
        bytes[3] memory calls = [
            abi.encodeCall(market.close, (agreed, none)),
            abi.encodeCall(
                market.prove, (_defaultProved(), requester, committee, _opening(), MASKED, bytes(""), bytes(""))
            ),
            abi.encodeCall(market.withdraw, (committee[0]))
        ];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 snapshot = vm.snapshotState();
            rogue.set(Rogue.Mode.CallsBack, address(market), calls[i]);
            _prove(_defaultProved(), "");
            vm.assertTrue(market.job(agreed).state == State.Open);
            vm.assertEq(market.credit(committee[0]), PRICE);
            vm.assertEq(address(market).balance, ESCROW + PRICE);
            vm.revertToState(snapshot);
        }
        // Outside of the question the first of them works.
        market.close(agreed, none);
    }

    /// VERIFIER-3, JOB-31: no proof counts any more, and nobody is punished for that.
    function test_verifier_removed__while_ready__voids_without_a_slash() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        _removeVerifier();
        vm.expectRevert(abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_Removed.selector, verifierId));
        _prove(_defaultProved(), proof);
        _lapse();
        _close();
        _assertRefundedWhole(0);
    }

    /// VERIFIER-3, JOB-31: even if it is removed only before the close.
    function test_verifier_removed__after_the_deadline__voids_without_a_slash() public {
        _readyProved();
        _lapse();
        _removeVerifier();
        _close();
        _assertRefundedWhole(0);
    }

    /// VERIFIER-2, JOB-31: the same address under a new number is another verifier.
    function test_verifier_removed__and_added_again__helps_nobody() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        _removeVerifier();
        verifiers.add(verifier);
        vm.expectRevert(abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_Removed.selector, verifierId));
        _prove(_defaultProved(), proof);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_VerifierRemoved.selector, verifierId));
        _request(_defaultProved());
    }

    /// JOB-31: the removal of another verifier excuses nobody.
    function test_verifier_removed__another_one__changes_nothing() public {
        _readyProved();
        vm.startPrank(stranger);
        verifiers.remove(verifiers.add(verifier));
        vm.stopPrank();
        _lapse();
        _close();
        _assertRefundedWhole(SILENT_PENALTY);
    }

    /// JOB-21: at level AGREED the removal of a verifier means nothing.
    function test_verifier_removed__agreed_job__silence_still_costs() public {
        Request memory r = _default();
        r.version = provable;
        _ready(r);
        _removeVerifier();
        _lapse();
        _close();
        _assertLosses(SILENT_PENALTY, SILENT_PENALTY, SILENT_PENALTY);
    }

    // ------------------------------------------------------------------------------------------------ other ends

    /// JOB-24, JOB-31
    function test_close__not_proved__slashes_silence_and_refunds_whole() public {
        _readyProved();
        uint256 deadline = market.job(id).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IJobMarket.JobMarket_TooEarly.selector, deadline, deadline));
        _close();
        vm.warp(deadline + 1);
        vm.expectEmit(address(market));
        emit IJobMarket.JobRefunded(id, RefundReason.TooFewCommits);
        _close();
        _assertRefundedWhole(SILENT_PENALTY);
    }

    /// JOB-19, JOB-31
    function test_close__unpublishable_and_not_proved__costs_nothing() public {
        Request memory r = _defaultProved();
        r.ciphertextSize = 65537;
        _ready(r);
        _lapse();
        _close();
        _assertRefundedWhole(0);
    }

    /// JOB-18
    function test_close__not_delivered__burns_the_fault_fee() public {
        _request(_defaultProved());
        _lapse();
        _close();
        uint256 fee = uint256(PRICE) * FAULT_BPS / 10_000;
        vm.assertEq(market.credit(burn), fee);
        vm.assertEq(market.credit(requester), PRICE - fee);
        vm.assertEq(_verifierSlot(id), 0);
        _assertAllSettled();
    }

    /// JOB-16
    function test_refuse__proved__refunds_whole_without_a_slash() public {
        _readyProved();
        vm.expectEmit(address(market));
        emit IJobMarket.SeatRefused(id, committee[0], 1);
        vm.expectEmit(address(market));
        emit IJobMarket.JobRefunded(id, RefundReason.Refusals);
        _refuse(0);
        _assertRefundedWhole(0);
        bytes memory proof = _proof(id, committee[0]);
        _expectWrongState(State.Refunded);
        _prove(_defaultProved(), proof);
    }

    /// JOB-8: the one drawn worker has too little free stake.
    function test_deliver__proved_and_seat_vacant__refunds_whole() public {
        vm.prank(owner);
        models.setPrice(provable, 10 ether);
        Request memory r = _defaultProved();
        r.pricePerSeat = 10 ether;
        _ready(r);
        vm.assertEq(committee[0], address(0));
        _assertState(State.Refunded);
        vm.assertEq(market.credit(requester), 10 ether);
        vm.assertEq(_verifierSlot(id), 0);
        _assertAllSettled();
    }

    /// JOB-17: asked for and published, the job goes on.
    function test_demand__proved_and_published__is_proved() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        _demand(0);
        _expectWrongState(State.Demanded);
        _prove(_defaultProved(), proof);
        _publish(_defaultProved());
        vm.assertEq(market.job(id).flags, 5);
        _prove(_defaultProved(), proof);
        vm.assertEq(market.credit(committee[0]), PRICE);
        vm.assertEq(market.credit(stranger), DEPOSIT);
        _assertAllSettled();
    }

    /// JOB-17: asked for and withheld, the worker has its part and its deposit.
    function test_demand__proved_and_withheld__voids() public {
        _readyProved();
        _demand(0);
        _lapse();
        _close();
        uint256 fee = uint256(PRICE) * FAULT_BPS / 10_000;
        _assertState(State.Refunded);
        vm.assertEq(market.credit(committee[0]), fee + DEPOSIT);
        vm.assertEq(market.credit(requester), PRICE - fee);
        vm.assertEq(_loss(committee[0]), 0);
        vm.assertEq(_verifierSlot(id), 0);
        _assertAllSettled();
    }

    /// MONEY-6: a requester in league with its worker, or with the steward, never gains.
    function test_coalition__of_requester_worker_and_steward__gains_nothing() public {
        for (uint256 act = 0; act < 5; ++act) {
            uint256 snapshot = vm.snapshotState();
            _readyProved();
            if (act == 0) _prove();
            if (act == 1) _refuse(0);
            if (act == 2) _removeVerifier();
            if (act == 3) _demand(0);
            if (act > 1) {
                _lapse();
                _close();
            }
            uint256 deposit = act == 3 ? DEPOSIT : 0;
            uint256 income = market.credit(requester) + market.credit(committee[0]);
            vm.assertLe(income, PRICE + deposit + _loss(committee[0]), "the coalition gained");
            vm.revertToState(snapshot);
        }
    }
}
