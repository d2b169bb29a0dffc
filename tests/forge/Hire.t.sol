// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {
    IJobs,
    INodeRegistry,
    Job,
    JobId,
    JobLib,
    Level,
    Offer,
    RefundReason,
    Request,
    State,
    Ticket,
    VersionId,
    vm
} from "./Base.t.sol";
import {EnclaveBase} from "./EnclaveBase.t.sol";

/// @notice A named worker instead of a draw: whoever it is, an enclave or a proof vouches for the answer.
contract HireTest is EnclaveBase {
    address private _worker0;

    function setUp() public override {
        super.setUp();
        _enrolAll();
        _worker0 = workers[0];
    }

    function _provedHire() private view returns (Request memory) {
        return _hired(_defaultProved(), _worker0);
    }

    function _attestedHire() private view returns (Request memory) {
        return _hired(_defaultAttested(), _worker0);
    }

    /// @dev The call alone, with as many bytes of key as are told.
    function _call(Request memory r, uint256 key, uint256 value) private {
        vm.prank(r.terms.requester);
        market.hire{value: value}(r, new bytes(key));
    }

    function _expectNotHireable(Request memory r) private {
        vm.expectRevert(abi.encodeWithSelector(INodeRegistry.NodeRegistry_NotHireable.selector, r.brief.worker));
        _call(r, 80, PRICE);
    }

    /// JOB-37: requested and delivered in one call, without a draw.
    function test_hire__proved__is_ready_at_once() public {
        Request memory r = _provedHire();
        address[] memory one = new address[](1);
        one[0] = _worker0;
        JobId expected = _jobId(r);
        vm.expectEmit(address(market));
        emit IJobs.JobRequested(expected, requester, provable, r, 0, uint40(block.timestamp));
        vm.expectEmit(address(market));
        emit IJobs.KeysDelivered(expected, 0, one, _sealedKeys(one), uint40(block.timestamp + COMMIT_WINDOW));
        _hire(r);
        vm.assertEq(JobId.unwrap(id), JobId.unwrap(expected));
        _assertState(State.Ready);
        Job memory j = market.job(id);
        vm.assertEq(j.flags, JobLib.HIRED | JobLib.FINAL);
        vm.assertEq(j.moment, block.timestamp);
        vm.assertEq(j.deadline, block.timestamp + COMMIT_WINDOW);
        vm.assertEq(bytes32(j.tag), bytes32(_tag(_ticket())));
        vm.assertEq(_locked(_worker0), LOCK);
        vm.assertEq(address(market).balance, PRICE);
        _prove();
        vm.assertEq(_credit(_worker0), PRICE);
        vm.assertTrue(market.isFinal(id));
        _assertAllSettled();
    }

    /// JOB-37, SIG-1
    function test_hire__attested__answers_and_is_paid() public {
        _hire(_attestedHire());
        vm.assertEq(market.job(id).flags, JobLib.HIRED | JobLib.ENROLLED);
        _answer(RIGHT);
        _assertState(State.Settled);
        vm.assertEq(market.result(id), RIGHT);
        vm.assertEq(_credit(_worker0), PRICE);
        vm.assertFalse(market.isFinal(id));
        _lapse();
        vm.assertTrue(market.isFinal(id));
    }

    function _answer(bytes32 output) private {
        bytes memory signature = _result(_worker0, output, hex"5ea1ed");
        vm.prank(_worker0);
        market.answer(_ticket(), output, hex"5ea1ed", signature);
    }

    /// JOB-37, JOB-35: the result can be referred like a drawn one's, and its stake answers for it.
    function test_hire__attested_and_wrong__is_referred_and_slashed() public {
        _hire(_attestedHire());
        _answer(WRONG);
        Request memory larger = _referee(_attestedHire());
        larger.brief.worker = address(0);
        vm.assertEq(larger.terms.seats, 3);
        JobId referee = _refer(larger, BOND);
        JobId disputed = id;
        _select(referee);
        _deliverEnrolled(larger);
        for (uint256 i = 0; i < 3; ++i) {
            _commit(i, RIGHT);
        }
        for (uint256 i = 0; i < 3; ++i) {
            _reveal(i, RIGHT);
        }
        _select(disputed);
        _resolve();
        vm.assertEq(market.result(id), RIGHT);
        vm.assertEq(_loss(_worker0), WRONG_PENALTY);
        // Half of it is two prices and a half: one for the answer and one and a half of three for the referees.
        vm.assertEq(_credit(requester), BOND + 25 * uint256(PRICE) / 10);
        vm.assertEq(_credit(burn), WRONG_PENALTY / 2);
        _assertAllSettled();
    }

    function _deliverEnrolled(Request memory r) private {
        uint256 seedBlock = market.job(id).moment;
        bytes memory header = _seedBlock(seedBlock);
        bytes32 seed = keccak256(abi.encode(id, _mixHash(seedBlock), SECRET));
        address[] memory drawn =
            nodes.drawEnrolled(seed, r.terms.seats, (seedBlock - SEED_DELAY) / EPOCH, LOCK, _eligibility());
        _deliver(r, header, drawn);
    }

    /// REP-2: whoever hires itself earns no name, and loses one all the same.
    function test_hire__reputation__can_only_fall() public {
        _hire(_provedHire());
        _prove();
        vm.assertEq(market.reputation(_worker0), 5000);
        Request memory r = _provedHire();
        r.brief.nonce = 2;
        _hire(r);
        _lapse();
        _close();
        vm.assertEq(market.reputation(_worker0), 3333);
        vm.assertEq(_loss(_worker0), SILENT_PENALTY);
    }

    /// JOB-16, JOB-37: being named obliges nobody.
    function test_hire__refused__refunds_whole_and_frees() public {
        _hire(_provedHire());
        vm.expectEmit(address(market));
        emit IJobs.JobRefunded(id, RefundReason.Refusals);
        _refuse(0);
        vm.assertEq(_credit(requester), PRICE);
        vm.assertEq(_locked(_worker0), 0);
        vm.assertEq(market.reputation(_worker0), 5000);
    }

    /// JOB-17, JOB-37
    function test_hire__ciphertext_withheld__costs_the_requester() public {
        _hire(_provedHire());
        _demand(0);
        _lapse();
        _close();
        vm.assertEq(_credit(_worker0), uint256(PRICE) * FAULT_BPS / 10_000 + DEPOSIT);
    }

    /// JOB-37: a vote needs a drawn committee.
    function test_hire__agreed__reverts() public {
        Request memory r = _hired(_default(), _worker0);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongLevel.selector, _jobId(r)));
        _call(r, 240, ESCROW);
        (r.terms.seats, r.terms.quorum) = (1, 1);
        vm.expectRevert(
            abi.encodeWithSelector(IJobs.JobMarket_BadCommittee.selector, uint256(1), uint256(1), uint256(15))
        );
        _call(r, 80, PRICE);
    }

    /// JOB-37
    function test_hire__nobody_named_or_a_floor__reverts() public {
        Request memory r = _provedHire();
        r.brief.worker = address(0);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongHire.selector, address(0)));
        _call(r, 80, PRICE);
        r = _provedHire();
        r.brief.reputation = 1;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongHire.selector, _worker0));
        _call(r, 80, PRICE);
    }

    /// JOB-7
    function test_hire__key_of_another_length__reverts() public {
        uint256[4] memory lengths = [uint256(0), 79, 81, 160];
        for (uint256 i = 0; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_SealedKeysLength.selector, lengths[i], uint256(80)));
            _call(_provedHire(), lengths[i], PRICE);
        }
    }

    /// JOB-1, JOB-2
    function test_hire__wrong_payment_or_twice__reverts() public {
        uint256[3] memory sent = [uint256(0), PRICE - 1, PRICE + 1];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongPayment.selector, sent[i], uint256(PRICE)));
            _call(_provedHire(), 80, sent[i]);
        }
        _hire(_provedHire());
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_AlreadyRequested.selector, id));
        _call(_provedHire(), 80, PRICE);
        vm.deal(stranger, PRICE);
        Request memory r = _provedHire();
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_NotRequester.selector, stranger, requester));
        vm.prank(stranger);
        market.hire{value: PRICE}(r, new bytes(80));
    }

    /// JOB-37: `secretHash` means nothing where nothing is drawn, and the job can never be delivered again.
    function test_hire__then_deliver__reverts() public {
        Request memory r = _provedHire();
        r.brief.secretHash = keccak256(abi.encode(SECRET));
        _hire(r);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, State.Ready));
        vm.prank(requester);
        market.deliver(r, SECRET, "", 0, "");
    }

    /// JOB-37: not registered, or leaving.
    function test_hire__worker_unknown_or_leaving__reverts() public {
        _expectNotHireable(_hired(_defaultProved(), stranger));
        _expectNotHireable(_hired(_defaultAttested(), stranger));
        vm.prank(_worker0);
        nodes.announceExit();
        _expectNotHireable(_provedHire());
        _expectNotHireable(_attestedHire());
        vm.warp(block.timestamp + EXIT_DELAY);
        vm.prank(_worker0);
        nodes.withdraw();
        _expectNotHireable(_provedHire());
    }

    /// JOB-37, DRAW-5: with exactly the lock free it can, with a gwei less it cannot.
    function test_hire__free_stake_at_the_bound__decides() public {
        address[] memory one = new address[](1);
        one[0] = _worker0;
        uint96 stake = nodes.node(_worker0).stake;
        uint40 until = uint40(block.timestamp + LOCK_PERIOD);
        for (uint256 over = 0; over < 2; ++over) {
            uint256 snapshot = vm.snapshotState();
            vm.prank(address(market));
            nodes.lock(one, uint96(stake - LOCK + over * 1 gwei), until);
            if (over == 1) {
                vm.expectRevert(
                    abi.encodeWithSelector(
                        INodeRegistry.NodeRegistry_NotEnoughFree.selector, _worker0, LOCK - 1 gwei, LOCK
                    )
                );
            }
            _call(_provedHire(), 80, PRICE);
            if (over == 1) _expectNotHireable(_attestedHire());
            vm.revertToState(snapshot);
        }
    }

    /// JOB-37, ENC-10: enrolled, attested and with a prompt key to the same second as a drawn worker.
    function test_hire__attested_and_not_ready__reverts() public {
        Request memory r = _attestedHire();
        // The prompt key ends too early.
        uint256 needed = 2 * uint256(COMMIT_WINDOW) + PUBLISH_WINDOW;
        uint256 expires = nodes.promptKey(_worker0).expiresAt;
        uint256 snapshot = vm.snapshotState();
        vm.warp(expires - needed);
        _hire(r);
        vm.revertToState(snapshot);
        vm.warp(expires - needed + 1);
        _expectNotHireable(r);
        vm.revertToState(snapshot);
        // Its platform was revoked.
        quotes.setRevoked(evidence[_worker0].platform, true);
        nodes.revoke(_worker0, evidence[_worker0], evidence[_worker0].platform);
        _expectNotHireable(r);
        vm.revertToState(snapshot);
        // Its keys were replaced.
        vm.prank(_worker0);
        nodes.replaceKeys(keccak256("new"), vm.addr(99));
        _expectNotHireable(r);
        vm.revertToState(snapshot);
        // The policy was narrowed.
        vm.prank(owner);
        VersionId another = models.publish(keccak256("another"), _policy(), _offer(), "");
        r.terms.version = another;
        _expectNotHireable(r);
    }

    /// ENC-10: enrolled in this epoch, it counts from the next on, for hiring as for draws.
    function test_hire__enrolled_just_now__waits_for_the_epoch() public {
        address fresh = vm.addr(1234);
        _register(fresh, 10 ether);
        _attest(fresh);
        _prompt(fresh);
        _enrol(fresh);
        Request memory r = _hired(_defaultAttested(), fresh);
        _expectNotHireable(r);
        _nextEpoch();
        _hire(r);
    }

    /// MODEL-10: the owner's share of a hired worker's price.
    function test_hire__owners_share__is_collected() public {
        VersionId shared = _publishProvable(stranger, verifierId, Offer(PRICE, 25, false));
        Request memory r = _provedHire();
        (r.terms.version, r.terms.ownerPercent) = (shared, 25);
        _hire(r);
        _prove();
        vm.assertEq(_credit(_worker0), 75 * uint256(PRICE) / 100);
        market.collect(shared, COIN);
        vm.assertEq(_credit(stranger), 25 * uint256(PRICE) / 100);
        vm.assertEq(address(market).balance, PRICE);
    }

    /// CHAL-3, CHAL-7: an ATTESTED job whose terms name a verifier is challenged and proved like a vote.
    function test_hire__attested_with_a_verifier__can_be_challenged() public {
        VersionId both = _publishClosedProvable();
        _enrolRaw(_worker0, both, _policy(), _enrolment(_worker0, both, 0));
        _nextEpoch();
        Request memory r = _defaultVerified();
        (r.terms.version, r.terms.level, r.terms.seats, r.terms.quorum) = (both, Level.Attested, 1, 1);
        r = _hired(r, _worker0);
        for (uint256 way = 0; way < 4; ++way) {
            uint256 snapshot = vm.snapshotState();
            _hire(r);
            _answer(way == 0 ? _provedOutput() : WRONG);
            if (way != 1) _challengeBy(stranger);
            if (way < 2) {
                _judgeBy(workers[1]);
            } else if (way == 2) {
                _lapse();
                _resolve();
            } else {
                _judgeBy(workers[1]);
            }
            uint256 penalty = way == 0 ? 0 : WRONG_PENALTY;
            vm.assertEq(_loss(_worker0), penalty);
            vm.assertEq(_credit(_worker0), PRICE);
            vm.assertEq(_credit(requester), way == 0 ? 0 : PRICE);
            vm.assertEq(_credit(workers[1]), way == 2 ? 0 : BOND);
            vm.assertEq(_credit(stranger), way < 2 ? 0 : 2 * BOND);
            vm.assertGe(2 * _credit(burn), penalty, "half of it is burned");
            _assertState(way == 2 ? State.Refunded : State.Settled);
            _assertAllSettled();
            vm.revertToState(snapshot);
        }
    }

    function _publishClosedProvable() private returns (VersionId made) {
        (bytes memory manifest, uint256 offset) = _manifest(CIRCUIT, WEIGHTS);
        vm.startPrank(stranger);
        made = models.publish(sha256(manifest), _policy(), _offer(), "");
        models.registerCircuit(
            made, verifierId, manifest, offset, CIRCUIT, WEIGHTS, DESCRIPTOR, _weightsProof(made, CIRCUIT, WEIGHTS)
        );
        vm.stopPrank();
    }

    /// SIG-1: enrolled, its enclave signs; a vote among enclaves asks every seat for it.
    function test_reveal__enrolled__asks_for_the_signature() public {
        Request memory r = _default();
        r.terms.version = closed;
        _readyEnrolled(r);
        vm.assertEq(market.job(id).flags, JobLib.ENROLLED);
        _commitAll(RIGHT, RIGHT, RIGHT);
        Ticket memory t = _ticket();
        bytes[3] memory wrong =
            [bytes(""), _result(committee[1], RIGHT, hex"5ea1ed"), _result(committee[0], WRONG, hex"5ea1ed")];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectPartialRevert(IJobs.JobMarket_WrongSignature.selector);
            vm.prank(committee[0]);
            market.reveal(t, RIGHT, _salt(committee[0]), hex"5ea1ed", wrong[i]);
        }
        _revealAll(RIGHT, RIGHT, RIGHT);
        _assertCredits(PRICE, PRICE, PRICE);
    }

    /// SIG-1: a proof is signed, too, where there is an enclave.
    function test_prove__enrolled__asks_for_the_signature() public {
        VersionId both = _publishClosedProvable();
        _enrolRaw(_worker0, both, _policy(), _enrolment(_worker0, both, 0));
        _nextEpoch();
        Request memory r = _provedHire();
        r.terms.version = both;
        _hire(r);
        Ticket memory t = _ticket();
        bytes memory proof = _proof(id, _worker0);
        vm.expectPartialRevert(IJobs.JobMarket_WrongSignature.selector);
        vm.prank(_worker0);
        market.prove(t, r.brief, _opening(), MASKED, proof, "");
        _prove();
        vm.assertEq(_credit(_worker0), PRICE);
    }

    /// SIG-1: and without one, a proof is enough.
    function test_prove__open_version__needs_no_signature() public {
        _hire(_provedHire());
        Ticket memory t = _ticket();
        bytes memory proof = _proof(id, _worker0);
        vm.prank(_worker0);
        market.prove(t, _provedHire().brief, _opening(), MASKED, proof, "");
        vm.assertEq(_credit(_worker0), PRICE);
    }
}
