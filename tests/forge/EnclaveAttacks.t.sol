// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Currencies} from "../../contracts/Currencies.sol";
import {Disputes} from "../../contracts/Disputes.sol";
import {JobMarket} from "../../contracts/JobMarket.sol";
import {ModelRegistry} from "../../contracts/ModelRegistry.sol";
import {NodeRegistry} from "../../contracts/NodeRegistry.sol";
import {Upkeep} from "../../contracts/Upkeep.sol";
import {IEnclaves} from "../../contracts/interfaces/IEnclaves.sol";
import {IJobMarket} from "../../contracts/interfaces/IJobMarket.sol";
import {IJobs} from "../../contracts/interfaces/IJobs.sol";
import {IQuoteVerifier} from "../../contracts/interfaces/IQuoteVerifier.sol";
import {ProofVerifiers} from "../../contracts/proofs/ProofVerifiers.sol";
import {Evidence, Report, TcbStatus} from "../../contracts/types/Evidence.sol";
import {JobId, VersionId} from "../../contracts/types/Ids.sol";
import {State} from "../../contracts/types/Job.sol";
import {Policy} from "../../contracts/types/Policy.sol";
import {Brief, Level, Request, Terms, Ticket} from "../../contracts/types/Request.sol";
import {Offer} from "../../contracts/types/Version.sol";
import {Header} from "./utils/Header.sol";
import {vm} from "./utils/Vm.sol";

interface Signing {
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
}

Signing constant signing = Signing(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

/// @notice Believes every report, counts places, and takes a platform for its certificate.
contract Judge is IQuoteVerifier {
    mapping(bytes32 platform => uint256) public places;
    mapping(bytes32 platform => bool) private _revoked;

    function verify(bytes calldata quote, bytes32) external pure returns (Report memory) {
        return abi.decode(quote, (Report));
    }

    function enter(bytes32 platform, uint256 cap) external {
        require(places[platform] < cap, "full");
        ++places[platform];
    }

    function leave(bytes32 platform) external {
        --places[platform];
    }

    function revocation(bytes32 pck) external view returns (bool, bytes32) {
        return (_revoked[pck], pck);
    }

    function revoke(bytes32 pck, bool revoked) external {
        _revoked[pck] = revoked;
    }
}

/// @notice Attacks on rules ENC-*, SIG-* of docs/spec/enclaves.md, tried with contracts of its own.
contract EnclaveAttacksTest {
    uint256 private constant EPOCH = 100;
    uint256 private constant EXIT_DELAY = 1 days;
    uint32 private constant PERIOD = 2 days;
    uint32 private constant LIFETIME = 1 days;
    uint32 private constant COMMIT = 30 minutes;
    uint32 private constant REVEAL = 20 minutes;
    uint32 private constant PUBLISH = 40 minutes;
    uint64 private constant PRICE = 0.01 ether;
    uint96 private constant LOCK = uint96(PRICE) * 10;
    uint32 private constant LOCK_PERIOD = 5 hours;
    uint256 private constant FEE = uint256(PRICE) / 5;
    bytes32 private constant SECRET = keccak256("seed secret");
    bytes32 private constant KEY = keccak256("hpke");
    bytes32 private constant CODE = keccak256("an enclave");
    bytes32 private constant OUTPUT = keccak256("output");
    bytes private constant SEALED = "sealed output";
    address private constant OWNER = address(0xA11CE);
    address private constant REQUESTER = address(0xB0B);
    address private constant STRANGER = address(0x57A);

    Judge private judge;
    ModelRegistry private models;
    NodeRegistry private nodes;
    IJobMarket private market;
    VersionId private sealedVersion;
    VersionId private open;

    address[] private workers;
    mapping(address => uint256) private keyOf; // of the enclave
    mapping(address => Evidence) private evidence;

    Request private posted;
    JobId private id;
    address[] private committee;

    function setUp() public {
        vm.roll(1000);
        vm.warp(1_700_000_000);
        models = new ModelRegistry(new ProofVerifiers());
        judge = new Judge();
        Currencies currencies = new Currencies(address(0), 1 days);
        address predicted = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 3);
        nodes = new NodeRegistry(
            predicted, EPOCH, EXIT_DELAY, 1 ether, models, judge, IEnclaves.Limits(PERIOD, LIFETIME, 2, LOCK_PERIOD)
        );
        Disputes disputes = new Disputes(nodes, models, currencies, _parameters());
        Upkeep upkeep = new Upkeep(nodes, models, currencies, _parameters());
        market = IJobMarket(address(new JobMarket(nodes, models, currencies, _parameters(), disputes, upkeep)));
        vm.startPrank(OWNER);
        sealedVersion = models.publish(keccak256("sealed"), _policy(), Offer(PRICE, 0, false), "");
        open = models.publish(keccak256("open"), _nothing(), Offer(PRICE, 0, false), "");
        vm.stopPrank();
        vm.deal(REQUESTER, 100 ether);
        for (uint256 i = 0; i < 3; ++i) {
            address worker = vm.addr(uint256(keccak256(abi.encode("worker", i))));
            workers.push(worker);
            keyOf[worker] = uint256(keccak256(abi.encode("enclave", i)));
            _register(worker);
            _attest(worker);
            _prompt(worker, 1);
            _enrol(worker);
        }
        _nextEpoch();
    }

    // ------------------------------------------------------------------------------------------------ steps

    function _parameters() private pure returns (IJobs.Parameters memory p) {
        (p.seedDelay, p.deliverWindow, p.commitWindow) = (2, 1 hours, COMMIT);
        (p.revealWindow, p.publishWindow) = (REVEAL, PUBLISH);
        (p.challengeWindow, p.disputeWindow) = (1 hours, 4 hours);
        (p.stakeRatio, p.silentBps, p.wrongBps, p.faultBps, p.checkBps) = (10, 1000, 5000, 2000, 2500);
        (p.demandDeposit, p.proofGas, p.maxBaseFee, p.provingFee) = (0.003 ether, 1e6, 20 gwei, 0.001 ether);
    }

    function _policy() private pure returns (Policy memory p) {
        p.measurements = new bytes32[](1);
        p.measurements[0] = CODE;
        p.statuses = 3;
    }

    function _nothing() private pure returns (Policy memory p) {}

    function _register(address worker) private {
        vm.deal(worker, worker.balance + 10 ether);
        vm.prank(worker);
        nodes.register{value: 10 ether}("", KEY, vm.addr(keyOf[worker]));
    }

    function _binding(address worker, bytes32 key, address signer) private view returns (bytes32) {
        return
            sha256(
                abi.encode(keccak256("cloister/1/report-data"), block.chainid, nodes, worker, key, signer, bytes32(0))
            );
    }

    /// @dev What a sound enclave on a machine of its own would show now.
    function _report(address worker) private returns (Report memory r) {
        bytes32 hash = keccak256(abi.encode("block", block.number - 1));
        vm.setBlockhash(block.number - 1, hash);
        bytes32 binding = _binding(worker, KEY, vm.addr(keyOf[worker]));
        uint40 end = uint40(block.timestamp + 30 days);
        return Report(CODE, keccak256(abi.encode(worker)), TcbStatus.UpToDate, false, end, binding, hash);
    }

    function _attest(address worker) private {
        _attest(worker, _report(worker));
    }

    function _attest(address worker, Report memory r) private {
        address signer = vm.addr(keyOf[worker]);
        vm.prank(worker);
        nodes.attest(KEY, signer, abi.encode(r), r.platform, uint40(block.number - 1), evidence[worker]);
        evidence[worker] = Evidence(r.measurement, r.platform, r.status, r.development, nodes.node(worker).keyEpoch);
        vm.roll(block.number + 1);
    }

    /// @dev Not a part of any other call, so that the test can expect it to fail.
    function _attestRaw(address worker, Report memory r, uint256 challenge) private {
        address signer = vm.addr(keyOf[worker]);
        Evidence memory before = evidence[worker];
        vm.prank(worker);
        nodes.attest(KEY, signer, abi.encode(r), r.platform, uint40(challenge), before);
    }

    function _prompt(address worker, uint32 epoch) private {
        uint40 end = uint40(block.timestamp + LIFETIME);
        bytes memory signature = _signPrompt(worker, epoch, end);
        vm.prank(worker);
        nodes.postPromptKey(KEY, end, signature);
    }

    function _enrol(address worker) private {
        bytes memory signature = _signEnrolment(worker, nodes.node(worker).keyEpoch);
        Evidence memory e = evidence[worker];
        vm.prank(worker);
        nodes.enrol(sealedVersion, _policy(), e, signature);
    }

    function _nextEpoch() private {
        vm.roll((block.number / EPOCH + 1) * EPOCH);
    }

    function _eligibility() private view returns (IEnclaves.Eligibility memory) {
        uint40 end = uint40(block.timestamp + 2 * COMMIT + PUBLISH);
        return IEnclaves.Eligibility(
            sealedVersion, models.version(sealedVersion).policyRevision, uint40(block.timestamp), end + REVEAL, end
        );
    }

    function _default() private view returns (Request memory r) {
        r.terms = Terms(REQUESTER, sealedVersion, Level.Attested, 1, 1, 0, 0, address(0), PRICE, LOCK);
        r.brief = Brief({
            nonce: 0,
            inputCommitment: keccak256("input"),
            ciphertextHash: keccak256("ciphertext"),
            ciphertextSize: 100,
            responseKey: keccak256("response"),
            secretHash: keccak256(abi.encode(SECRET)),
            worker: address(0),
            reputation: 0,
            consumer: address(0),
            consumerGas: 0
        });
    }

    /// @dev AGREED(3, 2) for the version with a policy.
    function _three() private view returns (Request memory r) {
        r = _default();
        (r.terms.level, r.terms.seats, r.terms.quorum) = (Level.Agreed, 3, 2);
    }

    function _ticket() private view returns (Ticket memory) {
        return Ticket(posted.terms, keccak256(abi.encode(posted.brief)), committee, keccak256(_keys(_seated())));
    }

    function _seated() private view returns (uint256 seats) {
        for (uint256 i = 0; i < committee.length; ++i) {
            if (committee[i] != address(0)) ++seats;
        }
    }

    /// @dev A request whose draw, as things stand, begins with this worker.
    function _requestFor(address worker, Request memory r) private {
        uint256 seedBlock = block.number + 2;
        for (;; ++r.brief.nonce) {
            bytes32 seed = _seed(market.jobId(r), seedBlock);
            address[] memory drawn = nodes.drawEnrolled(seed, r.terms.seats, block.number / EPOCH, LOCK, _eligibility());
            if (drawn[0] == worker) break;
        }
        posted = r;
        vm.prank(REQUESTER);
        id = market.request{value: uint256(r.terms.seats) * PRICE}(r);
        delete committee;
    }

    function _seed(JobId job, uint256 seedBlock) private pure returns (bytes32) {
        return keccak256(abi.encode(job, keccak256(abi.encode("randao", seedBlock)), SECRET));
    }

    function _keys(uint256 seats) private pure returns (bytes memory keys) {
        return new bytes(80 * seats);
    }

    /// @dev Delivers to whom the contract draws; empty committee when that was a refund.
    function _deliver(uint256 requestedAt) private {
        uint256 seedBlock = market.job(id).moment;
        bytes memory header = Header.encode(seedBlock, keccak256(abi.encode("randao", seedBlock)));
        if (block.number <= seedBlock) vm.roll(seedBlock + 1);
        vm.setBlockhash(seedBlock, keccak256(header));
        IEnclaves.Eligibility memory e = _eligibility();
        e.requestedAt = uint40(requestedAt);
        committee = nodes.drawEnrolled(_seed(id, seedBlock), posted.terms.seats, (seedBlock - 2) / EPOCH, LOCK, e);
        bytes memory keys = _keys(_seated());
        vm.prank(REQUESTER);
        market.deliver(posted, SECRET, header, keccak256(abi.encode(committee)), keys);
    }

    /// @dev A delivered job of this worker.
    function _ready(address worker) private {
        _requestFor(worker, _default());
        _deliver(block.timestamp);
        vm.assertEq(committee[0], worker, "drawn");
    }

    // ------------------------------------------------------------------------------------------------ signatures

    function _digest(address contract_, bytes32 struct_) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Cloister"),
                keccak256("1"),
                block.chainid,
                contract_
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, struct_));
    }

    function _sign(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = signing.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _resultDigest(JobId job) private view returns (bytes32) {
        bytes32 type_ = keccak256("Result(bytes32 job,uint8 stage,bytes32 outputCommitment,bytes32 sealedOutput)");
        return _digest(address(market), keccak256(abi.encode(type_, job, uint8(0), OUTPUT, keccak256(SEALED))));
    }

    function _signResult(uint256 key, JobId job) private view returns (bytes memory) {
        return _sign(key, _resultDigest(job));
    }

    function _signRefusal(uint256 key, address worker, bytes32 sealedKey, uint8 reason)
        private
        view
        returns (bytes memory)
    {
        bytes32 type_ = keccak256("Refusal(bytes32 job,address worker,bytes32 sealedKey,uint8 reason)");
        return _sign(key, _digest(address(market), keccak256(abi.encode(type_, id, worker, sealedKey, reason))));
    }

    function _signPrompt(address worker, uint32 epoch, uint40 end) private view returns (bytes memory) {
        bytes32 type_ = keccak256("PromptKey(address worker,uint32 epoch,bytes32 key,uint40 expiresAt)");
        return _sign(keyOf[worker], _digest(address(nodes), keccak256(abi.encode(type_, worker, epoch, KEY, end))));
    }

    function _signEnrolment(address worker, uint32 epoch) private view returns (bytes memory) {
        bytes32 type_ = keccak256("Enrolment(address worker,bytes32 version,uint32 keyEpoch)");
        bytes32 hash = keccak256(abi.encode(type_, worker, sealedVersion, epoch));
        return _sign(keyOf[worker], _digest(address(nodes), hash));
    }

    function _answer(address worker, bytes memory signature) private {
        vm.prank(worker);
        market.answer(_ticket(), OUTPUT, SEALED, signature);
    }

    function _close() private {
        vm.warp(uint256(market.job(id).deadline) + 1);
        vm.prank(STRANGER);
        market.close(_ticket());
    }

    function _assertState(State expected) private view {
        vm.assertEq(uint256(market.job(id).state), uint256(expected), "state");
    }

    function _places(address worker) private view returns (uint256) {
        return judge.places(keccak256(abi.encode(worker)));
    }

    function _replaceKeys(address worker, uint256 key) private {
        keyOf[worker] = key;
        vm.prank(worker);
        nodes.replaceKeys(KEY, vm.addr(key));
    }

    function _revoke(address worker) private {
        bytes32 platform = evidence[worker].platform;
        judge.revoke(platform, true);
        vm.prank(STRANGER);
        nodes.revoke(worker, evidence[worker], platform);
    }

    /// @dev MONEY-1 with nothing open. Stake is free when the last lock's time is over.
    function _assertAllPaid() private {
        vm.warp(block.timestamp + 4 * LOCK_PERIOD);
        uint256 credits = market.credit(REQUESTER, address(0)) + market.credit(address(0xdEaD), address(0));
        for (uint256 i = 0; i < workers.length; ++i) {
            credits += market.credit(workers[i], address(0));
            vm.assertEq(nodes.node(workers[i]).locked, 0, "locked");
        }
        vm.assertEq(address(market).balance, credits, "MONEY-1");
    }

    // ------------------------------------------------------------------------------------------------ ENC-1

    function test_attest__challengeOfNoBlock__reverts() public {
        address worker = workers[0];
        Report memory r = _report(worker);
        r.challenge = 0; // what blockhash says of a block that it does not know
        for (uint256 i = 0; i < 3; ++i) {
            uint256 challenge = [block.number, block.number + 1, block.number - 257][i];
            vm.expectRevert();
            this.attestRaw(worker, r, challenge);
        }
    }

    function test_attest__challengeOfAnotherBlock__reverts() public {
        Report memory r = _report(workers[0]);
        r.challenge = keccak256("a block of another chain");
        vm.expectRevert();
        this.attestRaw(workers[0], r, block.number - 1);
    }

    function attestRaw(address worker, Report memory r, uint256 challenge) external {
        _attestRaw(worker, r, challenge);
    }

    function test_attest__challengeServedAlready__reverts() public {
        address worker = workers[0];
        Report memory r = _report(worker);
        uint256 challenge = block.number - 1;
        this.attestRaw(worker, r, challenge);
        vm.expectRevert();
        this.attestRaw(worker, r, challenge);
        bytes32 older = keccak256("older");
        vm.setBlockhash(challenge - 1, older);
        r.challenge = older;
        vm.expectRevert();
        this.attestRaw(worker, r, challenge - 1);
    }

    function test_attest__someoneElsesQuote__reverts() public {
        Report memory r = _report(workers[1]);
        vm.expectRevert();
        this.attestRaw(workers[0], r, block.number - 1);
    }

    // ------------------------------------------------------------------------------------------------ ENC-2, ENC-3

    function test_enrolment__attestationLapsed_attestedAnew__isVoid() public {
        address worker = workers[0];
        vm.warp(block.timestamp + PERIOD + 1);
        _attest(worker);
        _assertEnrolmentVoid(worker);
    }

    /// @dev The place is freed in between, and with it, perhaps, the memory of the last attestation.
    function test_enrolment__lapsed_vacated_attestedAnew__isVoid() public {
        address worker = workers[0];
        vm.warp(block.timestamp + PERIOD + 1);
        nodes.vacate(worker, evidence[worker]);
        _attest(worker);
        _assertEnrolmentVoid(worker);
    }

    function test_enrolment__revoked_vacated_attestedAnew__isVoid() public {
        address worker = workers[0];
        _revoke(worker);
        nodes.vacate(worker, evidence[worker]);
        judge.revoke(evidence[worker].platform, false);
        _attest(worker);
        _assertEnrolmentVoid(worker);
    }

    function test_enrolment__leftAndCameBack__isVoid() public {
        address worker = workers[0];
        vm.startPrank(worker);
        nodes.announceExit();
        vm.warp(block.timestamp + EXIT_DELAY);
        nodes.withdraw();
        vm.stopPrank();
        _register(worker);
        vm.assertTrue(nodes.attestation(worker).until < block.timestamp, "an attestation outlives its worker");
        vm.expectRevert();
        this.enrol(worker);
        _attest(worker);
        _assertEnrolmentVoid(worker);
    }

    function enrol(address worker) external {
        _enrol(worker);
    }

    function _assertEnrolmentVoid(address worker) private {
        _nextEpoch();
        IEnclaves.Enrolment memory e = nodes.enrolment(sealedVersion, worker);
        bytes24 tag = nodes.attestation(worker).evidenceTag;
        vm.assertTrue(e.evidenceTag != bytes20(tag), "an old enrolment lives again");
    }

    function test_renewal__beforeTheEnd_sameKeys__keepsEnrolment() public {
        address worker = workers[0];
        vm.warp(block.timestamp + PERIOD / 2);
        _attest(worker);
        vm.assertEq(nodes.enrolment(sealedVersion, worker).evidenceTag, bytes20(nodes.attestation(worker).evidenceTag));
    }

    function test_replaceKeys__attestationEnds() public {
        _replaceKeys(workers[0], 77);
        vm.assertTrue(nodes.attestation(workers[0]).until < block.timestamp, "ENC-3");
        vm.expectRevert();
        this.enrol(workers[0]);
    }

    /// @dev ENC-6, PROMPT-3: a requester must not seal to a prompt key that the present signer did not sign.
    function test_promptKey__signerReplacedBeforeTheDraw__seatIsVacant() public {
        address worker = workers[0];
        _replaceKeys(worker, 77);
        _attest(worker);
        _enrol(worker);
        _nextEpoch();
        for (uint256 i = 1; i < 3; ++i) {
            vm.prank(workers[i]);
            nodes.announceExit();
        }
        _nextEpoch();
        address[] memory drawn = nodes.drawEnrolled(0, 1, block.number / EPOCH, LOCK, _eligibility());
        vm.assertEq(drawn[0], address(0), "drawn with a prompt key of another enclave");
    }

    // ------------------------------------------------------------------------------------------------ ENC-4

    function test_places__renewed_moved_vacated__countedOnce() public {
        address worker = workers[0];
        _attest(worker);
        _attest(worker);
        vm.assertEq(_places(worker), 1);
        Report memory r = _report(worker);
        r.platform = keccak256("elsewhere");
        _attest(worker, r);
        vm.assertEq(_places(worker), 0);
        vm.assertEq(judge.places(r.platform), 1);
        vm.expectRevert();
        nodes.vacate(worker, evidence[worker]);
        vm.warp(block.timestamp + PERIOD + 1);
        nodes.vacate(worker, evidence[worker]);
        vm.assertEq(judge.places(r.platform), 0);
        vm.expectRevert();
        nodes.vacate(worker, evidence[worker]);
    }

    /// @dev Whoever holds no place names as previous the evidence of one who does.
    function test_places__previousEvidenceOfAnother__freesNothing() public {
        address worker = workers[0];
        vm.warp(block.timestamp + PERIOD + 1);
        nodes.vacate(worker, evidence[worker]);
        evidence[worker] = evidence[workers[1]];
        try this.attestRaw(worker, _report(worker), block.number - 1) {} catch {}
        vm.assertEq(_places(workers[1]), 1);
    }

    function test_places__platformFull__reverts() public {
        bytes32 crowded = keccak256(abi.encode(workers[2]));
        for (uint256 i = 0; i < 2; ++i) {
            Report memory r = _report(workers[i]);
            r.platform = crowded;
            if (i == 1) vm.expectRevert();
            this.attestRaw(workers[i], r, block.number - 1);
        }
        vm.assertEq(judge.places(crowded), 2);
    }

    // ------------------------------------------------------------------------------------------------ ENC-5

    function test_revoke__otherPlatformsCertificate__reverts() public {
        bytes32 other = evidence[workers[1]].platform;
        judge.revoke(other, true);
        vm.expectRevert();
        nodes.revoke(workers[0], evidence[workers[0]], other);
        vm.expectRevert();
        nodes.revoke(workers[0], evidence[workers[1]], other);
        vm.expectRevert();
        nodes.revoke(workers[2], evidence[workers[2]], evidence[workers[2]].platform);
    }

    function test_revokedMidJob__noAnswerCounts_silenceIsFree() public {
        address worker = workers[0];
        _ready(worker);
        _revoke(worker);
        bytes memory signature = _signResult(keyOf[worker], id);
        vm.expectRevert();
        this.answer(worker, signature);
        _close();
        _assertState(State.Refunded);
        vm.assertEq(nodes.node(worker).stake, 10 ether);
        _assertAllPaid();
    }

    function answer(address worker, bytes memory signature) external {
        _answer(worker, signature);
    }

    function test_revokedMidJob_vacated__silenceIsFree() public {
        address worker = workers[0];
        _ready(worker);
        _revoke(worker);
        nodes.vacate(worker, evidence[worker]);
        _close();
        vm.assertEq(nodes.node(worker).stake, 10 ether);
    }

    /// @dev A broken machine's keys must not answer after all because the worker moved to a sound one.
    function test_revokedMidJob_attestedElsewhere__oldSignersAnswerDoesNotCount() public {
        address worker = workers[0];
        _ready(worker);
        bytes memory signature = _signResult(keyOf[worker], id);
        _moveAfterRevocation(worker);
        vm.expectRevert();
        this.answer(worker, signature);
    }

    function test_revokedMidJob_attestedElsewhere__silenceIsFree() public {
        address worker = workers[0];
        _ready(worker);
        _moveAfterRevocation(worker);
        _close();
        vm.assertEq(nodes.node(worker).stake, 10 ether);
    }

    function _moveAfterRevocation(address worker) private {
        _revoke(worker);
        keyOf[worker] = 77;
        Report memory r = _report(worker);
        r.platform = keccak256("elsewhere");
        _attest(worker, r);
    }

    // ------------------------------------------------------------------------------------------------ ENC-6

    function test_promptKey__replayedOrForeignOrTooLong__reverts() public {
        address worker = workers[0];
        uint40 end = uint40(block.timestamp + LIFETIME);
        bytes memory used = _signPrompt(worker, 1, end);
        vm.startPrank(worker);
        vm.expectRevert();
        nodes.postPromptKey(KEY, end, used);
        bytes memory foreign = _signPrompt(workers[1], 2, end);
        vm.expectRevert();
        nodes.postPromptKey(KEY, end, foreign);
        bytes memory long = _signPrompt(worker, 2, end + 1);
        vm.expectRevert();
        nodes.postPromptKey(KEY, end + 1, long);
        bytes memory past = _signPrompt(worker, 2, uint40(block.timestamp - 1));
        vm.expectRevert();
        nodes.postPromptKey(KEY, uint40(block.timestamp - 1), past);
        vm.stopPrank();
    }

    function test_promptKey__replacedSigner__reverts() public {
        address worker = workers[0];
        uint40 end = uint40(block.timestamp + LIFETIME);
        bytes memory old = _signPrompt(worker, 2, end);
        _replaceKeys(worker, 77);
        vm.prank(worker);
        vm.expectRevert();
        nodes.postPromptKey(KEY, end, old);
    }

    // ------------------------------------------------------------------------------------------------ ENC-7, ENC-8

    function test_enrol__signatureOfAnEarlierKeyEpoch__reverts() public {
        address worker = workers[0];
        bytes memory old = _signEnrolment(worker, 0);
        vm.warp(block.timestamp + PERIOD + 1);
        _attest(worker);
        Evidence memory e = evidence[worker];
        vm.prank(worker);
        vm.expectRevert();
        nodes.enrol(sealedVersion, _policy(), e, old);
    }

    function test_narrow__wider_open_stranger__reverts() public {
        Policy memory wide = _policy();
        wide.development = true;
        Policy[3] memory bad = [_nothing(), wide, _policy()];
        bad[2].statuses = 7;
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(OWNER);
            vm.expectRevert();
            models.narrowPolicy(sealedVersion, _policy(), bad[i]);
        }
        Policy memory narrow = _policy();
        narrow.statuses = 1;
        vm.prank(STRANGER);
        vm.expectRevert();
        models.narrowPolicy(sealedVersion, _policy(), narrow);
        vm.prank(OWNER);
        vm.expectRevert();
        models.narrowPolicy(open, _nothing(), narrow);
        vm.prank(OWNER);
        models.narrowPolicy(sealedVersion, _policy(), narrow);
        vm.prank(OWNER);
        vm.expectRevert();
        models.narrowPolicy(sealedVersion, _policy(), narrow);
    }

    // ------------------------------------------------------------------------------------------------ ENC-9

    function test_keysTwiceInAJob__secondReverts_firstSignerStillAnswers() public {
        address worker = workers[0];
        uint256 old = keyOf[worker];
        _ready(worker);
        _replaceKeys(worker, 77);
        vm.prank(worker);
        vm.expectRevert();
        nodes.replaceKeys(KEY, vm.addr(78));
        keyOf[worker] = 78;
        Report memory r = _report(worker);
        vm.expectRevert();
        this.attestRaw(worker, r, block.number - 1);
        _answer(worker, _signResult(old, id));
        _assertState(State.Settled);
        _assertAllPaid();
    }

    /// @dev The keys of a broken machine are known to its owner, who has moved to a sound one since: what that one is given
    ///      must be answered by it.
    function test_answer__signerReplacedBeforeTheDelivery__reverts() public {
        address worker = workers[0];
        uint256 old = keyOf[worker];
        _changeByAttesting(worker);
        vm.warp(block.timestamp + 1);
        _prompt(worker, 2);
        _enrol(worker);
        _nextEpoch();
        _ready(worker);
        bytes memory signature = _signResult(old, id);
        vm.expectRevert();
        this.answer(worker, signature);
        _answer(worker, _signResult(keyOf[worker], id));
    }

    function test_signs__oneSignerPerDelivery() public {
        address worker = workers[0];
        address old = vm.addr(keyOf[worker]);
        _ready(worker);
        _replaceKeys(worker, 77);
        uint256 replacedAt = block.timestamp;
        vm.assertTrue(nodes.signs(worker, old, replacedAt));
        vm.assertFalse(nodes.signs(worker, vm.addr(77), replacedAt));
        vm.assertFalse(nodes.signs(worker, old, replacedAt + 1));
        vm.assertTrue(nodes.signs(worker, vm.addr(77), replacedAt + 1));
        vm.assertFalse(nodes.signs(STRANGER, address(0), replacedAt));
        vm.assertFalse(nodes.signs(worker, address(0), 0));
    }

    // ------------------------------------------------------------------------------------------------ ENC-10 to ENC-12

    /// @dev Whoever could have had the seat at the request takes it or leaves it, but hands it to nobody.
    function test_draw__lostBetweenRequestAndDraw__vacant() public {
        for (uint256 what = 0; what < 5; ++what) {
            uint256 snapshot = vm.snapshotState();
            address worker = workers[0];
            _requestFor(worker, _default());
            uint256 requestedAt = block.timestamp;
            vm.warp(requestedAt + 60);
            if (what == 0) _replaceKeys(worker, 77);
            if (what == 1) _revoke(worker);
            if (what == 2) _changeByAttesting(worker);
            if (what == 3) _changeByAttesting(worker);
            if (what == 3) _enrol(worker);
            if (what == 4) _revoke(worker);
            if (what == 4) nodes.vacate(worker, evidence[worker]);
            _deliver(requestedAt);
            vm.assertEq(committee[0], address(0), "the seat was handed on");
            _assertState(State.Refunded);
            vm.assertEq(market.credit(REQUESTER, address(0)), PRICE);
            vm.revertToState(snapshot);
        }
    }

    function _changeByAttesting(address worker) private {
        keyOf[worker] = 77;
        _attest(worker);
    }

    function test_draw__renewedBetweenRequestAndDraw__seated() public {
        _requestFor(workers[0], _default());
        uint256 requestedAt = block.timestamp;
        vm.warp(requestedAt + 60);
        _attest(workers[0]);
        _deliver(requestedAt);
        vm.assertEq(committee[0], workers[0]);
    }

    function test_draw__enrolledAfterTheRequest__passedOver() public {
        address worker = workers[0];
        _changeByAttesting(worker);
        _nextEpoch();
        _nextEpoch();
        _enrol(worker);
        for (uint256 i = 0; i < 20; ++i) {
            bytes32 seed = keccak256(abi.encode("seed", i));
            address[] memory drawn = nodes.drawEnrolled(seed, 1, block.number / EPOCH, LOCK, _eligibility());
            vm.assertTrue(drawn[0] != worker, "drawn in the epoch of the enrolment");
        }
    }

    // ------------------------------------------------------------------------------------------------ SIG-1

    function test_answer__signatureOfAnotherJobOrKeyOrForm__reverts() public {
        address worker = workers[0];
        _ready(worker);
        (uint8 v, bytes32 r, bytes32 s) = signing.sign(keyOf[worker], _resultDigest(id));
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes[7] memory bad = [
            _signResult(keyOf[worker], JobId.wrap(keccak256("another"))),
            _signResult(uint256(keccak256(abi.encode("worker", uint256(0)))), id),
            _signResult(keyOf[workers[1]], id),
            abi.encodePacked(r, order - uint256(s), uint8(55 - v)),
            abi.encodePacked(r, s, uint8(v - 27)),
            abi.encodePacked(r, s),
            new bytes(65)
        ];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert();
            this.answer(worker, bad[i]);
        }
        bytes memory good = _signResult(keyOf[worker], id);
        vm.expectRevert();
        this.answer(workers[1], good);
        _answer(worker, good);
        vm.expectRevert();
        this.answer(worker, good);
        vm.assertEq(market.credit(worker, address(0)), PRICE);
        _assertAllPaid();
    }

    function test_commit__attestedJob__reverts() public {
        _ready(workers[0]);
        Ticket memory ticket = _ticket();
        vm.prank(workers[0]);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongLevel.selector, id));
        market.commit(ticket, keccak256("commitment"));
    }

    function test_request__attestedOpenVersionOrMoreSeats__reverts() public {
        Request memory r = _default();
        vm.startPrank(REQUESTER);
        r.terms.version = open;
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_OpenVersion.selector, open));
        market.request{value: PRICE}(r);
        r = _default();
        (r.terms.seats, r.terms.quorum) = (3, 2);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_BadCommittee.selector, 3, 2, 1));
        market.request{value: 3 * uint256(PRICE)}(r);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------------------------------------ SIG-2

    function refuse(address worker, uint8 reason, bytes memory sealedKeys, bytes memory signature) external {
        Ticket memory ticket = _ticket();
        vm.prank(worker);
        market.refuse(ticket, reason, sealedKeys, signature);
    }

    /// @dev Each delivered key is 80 zero bytes.
    function _delivered() private pure returns (bytes32) {
        return keccak256(new bytes(80));
    }

    function test_signedRefusal__chargesOnce_moneyAddsUp() public {
        address worker = workers[0];
        _ready(worker);
        this.refuse(worker, 5, _keys(_seated()), _signRefusal(keyOf[worker], worker, _delivered(), 5));
        _assertState(State.Refunded);
        vm.assertEq(market.credit(worker, address(0)), FEE);
        vm.assertEq(market.credit(REQUESTER, address(0)), PRICE - FEE);
        _assertAllPaid();
    }

    /// @dev A host gives its enclave another key than the one that was delivered, which of course does not open.
    function test_signedRefusal__ofAKeyThatWasNotDelivered__chargesNothing() public {
        address worker = workers[0];
        _ready(worker);
        bytes memory rubbish = bytes.concat(new bytes(79), hex"01");
        bytes memory signature = _signRefusal(keyOf[worker], worker, keccak256(rubbish), 5);
        vm.expectRevert(
            abi.encodeWithSelector(IJobs.JobMarket_WrongSealedKey.selector, keccak256(rubbish), _delivered())
        );
        this.refuse(worker, 5, rubbish, signature);
        try this.refuse(worker, 5, _keys(1), signature) {} catch {}
        vm.assertEq(
            market.credit(worker, address(0)), 0, "a host can earn the fee of every job with a key of its own making"
        );
    }

    function test_signedRefusal__otherReasonOrForeignSignature__chargesNothing() public {
        address worker = workers[0];
        _ready(worker);
        bytes memory foreign = _signRefusal(keyOf[workers[1]], worker, _delivered(), 5);
        vm.expectRevert();
        this.refuse(worker, 5, _keys(_seated()), foreign);
        bytes memory four = _signRefusal(keyOf[worker], worker, _delivered(), 4);
        vm.expectRevert();
        this.refuse(worker, 5, _keys(_seated()), four);
        bytes memory two = _signRefusal(keyOf[worker], worker, _delivered(), 2);
        this.refuse(worker, 2, _keys(_seated()), two);
        vm.assertEq(market.credit(worker, address(0)), 0);
        vm.assertEq(market.credit(REQUESTER, address(0)), PRICE);
        _assertAllPaid();
    }

    /// @dev Three seats: one is charged for, one demands, nobody publishes.
    function test_signedRefusal_thenUnpublished__moneyAddsUp() public {
        _requestFor(workers[0], _three());
        _deliver(block.timestamp);
        this.refuse(workers[0], 1, _keys(_seated()), _signRefusal(keyOf[workers[0]], workers[0], _delivered(), 1));
        vm.deal(committee[1], 1 ether);
        Ticket memory ticket = _ticket();
        vm.prank(committee[1]);
        market.demand{value: 0.003 ether}(ticket);
        _close();
        vm.assertEq(market.credit(workers[0], address(0)), FEE);
        vm.assertEq(market.credit(committee[1], address(0)), FEE + 0.003 ether);
        vm.assertEq(market.credit(committee[2], address(0)), FEE);
        vm.assertEq(market.credit(REQUESTER, address(0)), 3 * (uint256(PRICE) - FEE));
        _assertAllPaid();
    }

    function test_signedRefusals__twoOfThree__refundIsLessBoth() public {
        _requestFor(workers[0], _three());
        _deliver(block.timestamp);
        for (uint256 i = 0; i < 2; ++i) {
            address w = committee[i];
            this.refuse(w, 4, _keys(_seated()), _signRefusal(keyOf[w], w, _delivered(), 4));
        }
        _assertState(State.Refunded);
        vm.assertEq(market.credit(REQUESTER, address(0)), 3 * uint256(PRICE) - 2 * FEE);
        _assertAllPaid();
    }
}
