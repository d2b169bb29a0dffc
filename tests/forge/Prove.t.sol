// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IProofVerifiers} from "../../contracts/interfaces/IProofVerifiers.sol";
import {
    Base,
    Brief,
    IJobs,
    IModelRegistry,
    Job,
    JobId,
    JobLib,
    JobMarket,
    RefundReason,
    Request,
    State,
    Ticket,
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
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_InvalidProof.selector, id, answer));
    }

    function _expectWrongState(State state) private {
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, state));
    }

    function _expectWrongLevel() private {
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongLevel.selector, id));
    }

    function _assertRefundedWhole(uint256 loss) private view {
        _assertState(State.Refunded);
        vm.assertEq(_credit(requester), PRICE);
        vm.assertEq(_credit(committee[0]), 0);
        vm.assertEq(_loss(committee[0]), loss);
        vm.assertEq(_credit(burn), loss);
        _assertAllSettled();
    }

    // ------------------------------------------------------------------------------------------------ request

    /// JOB-1, JOB-25
    function test_request__proved__opens_job() public {
        Request memory r = _defaultProved();
        JobId expected = _jobId(r);
        vm.expectEmit(address(market));
        emit IJobs.JobRequested(
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
        vm.assertEq(j.flags, JobLib.FINAL);
        vm.assertEq(address(market).balance, PRICE);
    }

    /// JOB-19, JOB-25
    function test_request__proved_large_ciphertext__has_both_flags() public {
        Request memory r = _defaultProved();
        r.brief.ciphertextSize = 65537;
        _request(r);
        vm.assertEq(market.job(id).flags, JobLib.FINAL | JobLib.UNPUBLISHABLE);
    }

    /// JOB-25: a version with a circuit takes jobs of level AGREED all the same.
    function test_request__agreed_for_a_provable_version__is_agreed() public {
        Request memory r = _default();
        r.terms.version = provable;
        _request(r);
        vm.assertEq(market.job(id).flags, 0);
    }

    /// JOB-25
    function test_request__proved_by_any_other_committee__reverts() public {
        Request memory r = _defaultProved();
        for (uint256 seats = 0; seats <= 17; ++seats) {
            for (uint256 quorum = 0; quorum <= 17; ++quorum) {
                if (seats == 1 && quorum == 1) continue;
                (r.terms.seats, r.terms.quorum) = (uint8(seats), uint8(quorum));
                vm.expectRevert(
                    abi.encodeWithSelector(IJobs.JobMarket_BadCommittee.selector, seats, quorum, uint256(1))
                );
                _request(r);
            }
        }
    }

    /// MODEL-7, JOB-25
    function test_request__proved_without_circuit__reverts() public {
        Request memory r = _defaultProved();
        r.terms.version = version;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongVerifier.selector, verifierId, uint32(0)));
        _request(r);
        r.terms.verifier = 0;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongVerifier.selector, uint32(0), uint32(0)));
        _request(r);
        r = _defaultProved();
        r.terms.verifier = 0;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongVerifier.selector, uint32(0), verifierId));
        _request(r);
        r.terms.version = VersionId.wrap(keccak256("nothing"));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.ModelRegistry_NotPublished.selector, r.terms.version));
        _request(r);
    }

    /// MODEL-7, JOB-25
    function test_request__proved_with_removed_verifier__reverts() public {
        _removeVerifier();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_VerifierRemoved.selector, verifierId));
        _request(_defaultProved());
    }

    /// MODEL-2, JOB-1
    function test_request__proved_deprecated_or_mispriced__reverts() public {
        Request memory r = _defaultProved();
        r.terms.pricePerSeat = PRICE - 1;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_PriceChanged.selector, PRICE - 1, PRICE));
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
        vm.assertEq(_locked(worker), LOCK);
        bytes memory proof = _proof(id, worker);
        vm.expectEmit(address(market));
        emit IJobs.JobProved(id, worker, MASKED);
        vm.expectEmit(address(market));
        emit IJobs.JobSettled(id, _provedOutput(), 1, uint40(block.timestamp));
        vm.expectEmit(address(market));
        emit IJobs.Credited(worker, id, COIN, PRICE);
        _prove(_brief(), proof);

        _assertState(State.Settled);
        Job memory j = market.job(id);
        vm.assertEq(uint256(j.dissenting) + j.excused, 0);
        vm.assertTrue(market.isFinal(id), "nobody can challenge a proof");
        vm.assertEq(market.result(id), _provedOutput());
        vm.assertEq(_credit(worker), PRICE);
        vm.assertEq(_credit(requester) + _credit(burn), 0);
        vm.assertEq(_loss(worker), 0);
        _assertAllSettled();
    }

    /// MONEY-4
    function test_prove__twice__reverts() public {
        _readyProved();
        _prove();
        bytes memory proof = _proof(id, committee[0]);
        _expectWrongState(State.Settled);
        _prove(_brief(), proof);
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
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, deadline + 1, deadline));
        _prove(_brief(), proof);
        vm.warp(deadline);
        _prove(_brief(), proof);
    }

    /// JOB-27: `commit` and `reveal` are not for PROVED jobs, whoever calls them and whenever.
    function test_commit_and_reveal__proved__revert() public {
        _readyProved();
        bytes32 commitment = _commitment(id, committee[0], RIGHT);
        _expectWrongLevel();
        vm.prank(committee[0]);
        market.commit(_ticket(), commitment);
        for (uint256 i = 0; i < 2; ++i) {
            _expectWrongState(State.Ready);
            _reveal(0, RIGHT);
            _lapse();
        }
    }

    /// JOB-27
    function test_prove__agreed_job__reverts() public {
        Request memory r = _default();
        (r.terms.version, r.brief.inputCommitment) = (provable, _defaultProved().brief.inputCommitment);
        _ready(r);
        bytes memory proof = _proof(id, committee[0]);
        _expectWrongLevel();
        _prove(r.brief, proof);
    }

    /// JOB-27
    function test_prove__not_seated_or_other_committee__reverts() public {
        _readyProved();
        bytes memory proof = _proof(id, stranger);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotSeated.selector, stranger));
        vm.prank(stranger);
        market.prove(_ticket(), _brief(), _opening(), MASKED, proof, "");
        address[] memory forged = new address[](1);
        forged[0] = stranger;
        (Ticket memory shown, bytes memory expected) = _forged(forged);
        vm.expectRevert(expected);
        vm.prank(stranger);
        market.prove(shown, _brief(), _opening(), MASKED, proof, "");
    }

    /// JOB-2, JOB-27: the request is the one that was posted, by whom it was posted.
    function test_prove__another_request_or_requester__reverts() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        Request memory r = _defaultProved();
        for (uint256 i = 0; i < 2; ++i) {
            r = _defaultProved();
            if (i == 0) r.terms.version = version;
            else r.terms.requester = stranger;
            Ticket memory t = _ticket();
            t.terms = r.terms;
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_UnknownJob.selector, _jobId(r)));
            vm.prank(committee[0]);
            market.prove(t, _brief(), _opening(), MASKED, proof, "");
        }
        Brief memory b = _brief();
        b.inputCommitment = keccak256("another input");
        vm.expectRevert(
            abi.encodeWithSelector(IJobs.JobMarket_WrongBrief.selector, keccak256(abi.encode(b)), _ticket().brief)
        );
        vm.prank(committee[0]);
        market.prove(_ticket(), b, _opening(), MASKED, proof, "");
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
                    IJobs.JobMarket_WrongInput.selector, bound, _defaultProved().brief.inputCommitment
                )
            );
            vm.prank(committee[0]);
            market.prove(_ticket(), _brief(), IJobs.InputOpening(binding, input, pad), MASKED, proof, "");
        }
    }

    /// JOB-26: a request whose commitment has the form of level AGREED cannot be proved: it costs the requester a wait
    ///         and the worker, which refuses it, nothing.
    function test_prove__request_without_circuit_input__only_refusal_ends_it_early() public {
        Request memory r = _defaultProved();
        r.brief.inputCommitment = keccak256(abi.encode(BINDING, bytes32(0)));
        _ready(r);
        bytes memory proof = _proof(id, committee[0]);
        vm.expectRevert(
            abi.encodeWithSelector(
                IJobs.JobMarket_WrongInput.selector, _defaultProved().brief.inputCommitment, r.brief.inputCommitment
            )
        );
        _prove(r.brief, proof);
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
            market.prove(_ticket(), _brief(), _opening(), words[i], proof, "");
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
                    abi.encodeWithSelector(IJobs.JobMarket_MaskedTooLong.selector, uint256(8193), uint256(8192))
                );
            }
            bytes memory signature = _result(committee[0], keccak256(abi.encode(2, PAD, keccak256(words))), words);
            vm.prank(committee[0]);
            market.prove(_ticket(), _brief(), _opening(), words, proof, signature);
        }
        _assertState(State.Settled);
        vm.assertEq(JobMarket(payable(address(market))).MAX_MASKED(), 8192);
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
            _prove(_brief(), proof);
        }
        bytes memory valid = verifier.proofOf(right[0], right[1], right[2], right[3], right[4]);
        _expectInvalid(NO);
        _prove(_brief(), bytes.concat(valid, hex"00"));
        _expectInvalid(NO);
        _prove(_brief(), "");
        _prove(_brief(), valid);
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
        vm.assertEq(_credit(committee[0]), PRICE);
    }

    // ------------------------------------------------------------------------------------------------ thieves

    /// JOB-28: whoever copies the call from the mempool has no seat; and with the seat of another job it has no proof.
    function test_thief__copies_the_call__gains_nothing() public {
        _readyProved();
        address first = committee[0];
        bytes memory proof = _proof(id, first);
        for (uint256 i = 0; i < WORKERS; ++i) {
            if (workers[i] == first) continue;
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotSeated.selector, workers[i]));
            vm.prank(workers[i]);
            market.prove(_ticket(), _brief(), _opening(), MASKED, proof, "");
        }
        _prove(_brief(), proof);

        // The same input again: every job needs a proof of its own, from the same worker and from others.
        bool same;
        bool other;
        for (uint256 nonce = 2; nonce < 40 && !(same && other); ++nonce) {
            _nextEpoch();
            Request memory r = _defaultProved();
            r.brief.nonce = nonce;
            _ready(r);
            committee[0] == first ? same = true : other = true;
            _expectInvalid(NO);
            _prove(r.brief, proof);
            bytes memory own = _proof(id, committee[0]);
            _prove(r.brief, own);
        }
        vm.assertTrue(same && other, "both kinds of worker were drawn");
    }

    /// JOB-2, JOB-28: on a fork of the chain the same call names another job.
    function test_replay__on_another_chain__reverts() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        vm.chainId(block.chainid + 1);
        JobId there = _jobId(_defaultProved());
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_UnknownJob.selector, there));
        _prove(_brief(), proof);
    }

    // ------------------------------------------------------------------------------------------------ verifiers

    /// VERIFIER-4: whatever a verifier does, only this call fails, with the market's error and no other; the job goes on.
    function test_prove__verifier_goes_rogue__only_the_call_fails() public {
        _readyProved();
        vm.etch(address(verifier), address(new Rogue()).code);
        Rogue rogue = Rogue(address(verifier));
        bytes memory before = abi.encode(market.job(id), address(market).balance, nodes.node(committee[0]));
        bytes memory lie = abi.encodeWithSelector(IJobs.JobMarket_TooLate.selector, 2, 1);
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
            market.prove{gas: 16_000_000}(_ticket(), _brief(), _opening(), MASKED, "", "");
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
        bytes[3] memory calls = [
            abi.encodeCall(market.close, (_ticket(agreed))),
            abi.encodeCall(market.prove, (_ticket(), _brief(), _opening(), MASKED, bytes(""), bytes(""))),
            abi.encodeCall(market.withdraw, (committee[0], COIN))
        ];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 snapshot = vm.snapshotState();
            rogue.set(Rogue.Mode.CallsBack, address(market), calls[i]);
            _prove(_brief(), "");
            vm.assertTrue(market.job(agreed).state == State.Open);
            vm.assertEq(_credit(committee[0]), PRICE);
            vm.assertEq(address(market).balance, ESCROW + PRICE);
            vm.revertToState(snapshot);
        }
        // Outside of the question the first of them works.
        market.close(_ticket(agreed));
    }

    /// VERIFIER-3, JOB-31: no proof counts any more, and nobody is punished for that.
    function test_verifier_removed__while_ready__voids_without_a_slash() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        _removeVerifier();
        vm.expectRevert(abi.encodeWithSelector(IProofVerifiers.ProofVerifiers_Removed.selector, verifierId));
        _prove(_brief(), proof);
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
        _prove(_brief(), proof);
        Request memory r = _defaultProved();
        r.brief.nonce = 2;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_VerifierRemoved.selector, verifierId));
        _request(r);
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

    /// JOB-21: at level AGREED the removal of a verifier excuses no silence.
    function test_verifier_removed__agreed_job__silence_still_costs() public {
        _ready(_defaultVerified());
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
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_TooEarly.selector, deadline, deadline));
        _close();
        vm.warp(deadline + 1);
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.TooFewCommits);
        _close();
        _assertRefundedWhole(SILENT_PENALTY);
    }

    /// JOB-19, JOB-31
    function test_close__unpublishable_and_not_proved__costs_nothing() public {
        Request memory r = _defaultProved();
        r.brief.ciphertextSize = 65537;
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
        vm.assertEq(_credit(burn), fee);
        vm.assertEq(_credit(requester), PRICE - fee);
        _assertAllSettled();
    }

    /// JOB-16
    function test_refuse__proved__refunds_whole_without_a_slash() public {
        _readyProved();
        vm.expectEmit(address(market));
        emit IJobs.SeatRefused(id, committee[0], 1);
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.Refusals);
        _refuse(0);
        _assertRefundedWhole(0);
        bytes memory proof = _proof(id, committee[0]);
        _expectWrongState(State.Refunded);
        _prove(_brief(), proof);
    }

    /// JOB-8: the one drawn worker has too little free stake.
    function test_deliver__proved_and_seat_vacant__refunds_whole() public {
        vm.prank(owner);
        models.setPrice(provable, 10 ether);
        _ready(_priced(_defaultProved(), 10 ether));
        vm.assertEq(committee[0], address(0));
        _assertState(State.Refunded);
        vm.assertEq(_credit(requester), 10 ether);
        _assertAllSettled();
    }

    /// JOB-17: asked for and published, the job goes on.
    function test_demand__proved_and_published__is_proved() public {
        _readyProved();
        bytes memory proof = _proof(id, committee[0]);
        _demand(0);
        _expectWrongState(State.Demanded);
        _prove(_brief(), proof);
        _publish();
        vm.assertEq(market.job(id).flags, JobLib.FINAL | JobLib.PUBLISHED);
        _prove(_brief(), proof);
        vm.assertEq(_credit(committee[0]), PRICE);
        vm.assertEq(_credit(stranger), DEPOSIT);
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
        vm.assertEq(_credit(committee[0]), fee + DEPOSIT);
        vm.assertEq(_credit(requester), PRICE - fee);
        vm.assertEq(_loss(committee[0]), 0);
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
            uint256 income = _credit(requester) + _credit(committee[0]);
            vm.assertLe(income, PRICE + deposit + _loss(committee[0]), "the coalition gained");
            vm.revertToState(snapshot);
        }
    }
}
