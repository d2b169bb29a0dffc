// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IModelRegistry} from "../interfaces/IModelRegistry.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {IQuoteVerifier} from "../interfaces/IQuoteVerifier.sol";
import {Evidence, Report} from "../types/Evidence.sol";
import {VersionId} from "../types/Ids.sol";
import {Place} from "../types/Node.sol";
import {Policy} from "../types/Policy.sol";

/// @title Attestations, prompt keys and enrolments of registered workers; see IEnclaves
abstract contract Enclaves is INodeRegistry, EIP712 {
    bytes32 private constant REPORT_DATA = keccak256("cloister/1/report-data");
    bytes32 private constant PROMPT_KEY =
        keccak256("PromptKey(address worker,uint32 epoch,bytes32 key,uint40 expiresAt)");
    bytes32 private constant ENROLMENT = keccak256("Enrolment(address worker,bytes32 version,uint32 keyEpoch)");
    /// @dev How many blocks `blockhash` reaches back.
    uint256 private constant CHALLENGES = 256;
    /// @dev `attestedUntil` after a revocation.
    uint32 private constant REVOKED = 1;

    /// @dev What a draw makes of a worker: ENC-11 and ENC-12.
    enum Standing {
        PassedOver,
        Vacant,
        Seated
    }

    /// @dev The signer that was replaced last while stake was locked, and when the attestation was revoked last; one slot.
    struct Former {
        address signer;
        uint40 revokedAt;
    }

    IModelRegistry public immutable models;
    IQuoteVerifier public immutable quotes;
    uint256 public immutable epochLength;
    uint256 public immutable exitDelay;
    uint32 private immutable _attestationPeriod;
    uint32 private immutable _promptLifetime;
    uint32 private immutable _identitiesPerPlatform;
    uint32 internal immutable _lockPeriod;

    mapping(address worker => Place) internal _nodes;
    mapping(address worker => Former) private _former;
    mapping(address worker => PromptKey) private _promptKeys;
    mapping(VersionId => mapping(address worker => Enrolment)) private _enrolments;

    constructor(
        uint256 epochLength_,
        uint256 exitDelay_,
        IModelRegistry models_,
        IQuoteVerifier quotes_,
        Limits memory limits_
    ) EIP712("Cloister", "1") {
        if (
            epochLength_ == 0 || exitDelay_ == 0 || exitDelay_ > type(uint32).max || address(models_).code.length == 0
                || address(quotes_).code.length == 0 || limits_.attestationPeriod == 0 || limits_.promptLifetime == 0
                || limits_.identitiesPerPlatform == 0 || limits_.lockPeriod == 0
        ) revert NodeRegistry_BadParameters();
        epochLength = epochLength_;
        exitDelay = exitDelay_;
        models = models_;
        quotes = quotes_;
        _attestationPeriod = limits_.attestationPeriod;
        _promptLifetime = limits_.promptLifetime;
        _identitiesPerPlatform = limits_.identitiesPerPlatform;
        _lockPeriod = limits_.lockPeriod;
    }

    function attest(
        bytes32 hpkeKey,
        address signer,
        bytes calldata quote,
        bytes32 pck,
        uint40 challengeBlock,
        Evidence calldata previous
    ) external {
        Place storage n = _active(msg.sender);
        _checkKeys(hpkeKey, signer);
        (bytes24 stored, uint32 until, uint32 last) = n.attestation();
        bytes32 challenge = _challenge(challengeBlock, last);
        Report memory report = quotes.verify(quote, pck);
        _checkReport(report, _binding(hpkeKey, signer), challenge);

        if (hpkeKey != n.hpkeKey || signer != n.signer) {
            _changeKeys(msg.sender, n, hpkeKey, signer);
        } else if (until != 0 && until < block.timestamp) {
            n.keyEpoch += 1; // ENC-2: what was enrolled before the lapse must not live again
        }
        until = SafeCast.toUint32(_min(block.timestamp + _attestationPeriod, report.validUntil));
        Evidence memory evidence =
            Evidence(report.measurement, report.platform, report.status, report.development, n.keyEpoch);
        emit WorkerAttested(msg.sender, evidence, until);
        bytes24 tag = bytes24(evidence.hash());
        n.setAttestation(tag, until, SafeCast.toUint32(challengeBlock));
        if (tag != stored) _move(evidence.platform, previous, stored);
    }

    function revoke(address worker, Evidence calldata evidence, bytes32 pck) external {
        Place storage n = _nodes[worker];
        _checkEvidence(evidence, n.evidenceTag);
        (bool revoked, bytes32 platform) = quotes.revocation(pck);
        if (!revoked || platform != evidence.platform || n.attestedUntil == REVOKED) {
            revert Enclaves_NotRevoked(worker);
        }
        n.attestedUntil = REVOKED;
        _former[worker].revokedAt = uint40(block.timestamp);
        emit AttestationRevoked(worker, platform);
    }

    function vacate(address worker, Evidence calldata evidence) external {
        Place storage n = _nodes[worker];
        _checkEvidence(evidence, n.evidenceTag);
        bool gone = n.stake == 0 && n.exiting();
        if (!gone && n.attestedUntil >= block.timestamp) revert Enclaves_StillAttested(worker, n.attestedUntil);
        n.evidenceTag = 0;
        emit PlaceVacated(worker, evidence.platform);
        quotes.leave(evidence.platform);
    }

    function postPromptKey(bytes32 key, uint40 expiresAt, bytes calldata signature) external {
        Place storage n = _active(msg.sender);
        if (key == 0) revert NodeRegistry_ZeroKey();
        PromptKey storage p = _promptKeys[msg.sender];
        // Not before the last one either: a drawn worker could go in and out of a draw with keys that live short and long, and
        // no `deliver` would ever name the right committee.
        uint256 earliest = _max(block.timestamp + 1, p.expiresAt);
        uint256 latest = block.timestamp + _promptLifetime;
        if (expiresAt < earliest || expiresAt > latest) revert Enclaves_PromptLifetime(expiresAt, earliest, latest);
        uint32 epoch = p.epoch + 1;
        _checkSigned(n, keccak256(abi.encode(PROMPT_KEY, msg.sender, epoch, key, expiresAt)), signature);
        p.key = key;
        p.epoch = epoch;
        p.expiresAt = expiresAt;
        emit PromptKeyPosted(msg.sender, epoch, key, expiresAt);
    }

    function enrol(VersionId version, Policy calldata policy, Evidence calldata evidence, bytes calldata signature)
        external
    {
        Place storage n = _active(msg.sender);
        if (n.attestedUntil < block.timestamp) revert Enclaves_NotAttested(msg.sender);
        bytes20 tag = bytes20(n.evidenceTag);
        _checkEvidence(evidence, n.evidenceTag);
        (bytes32 policyHash, uint16 revision) = models.policyOf(version);
        if (revision == 0) revert Enclaves_OpenVersion(version);
        bytes32 given = policy.hash();
        if (given != policyHash) revert Enclaves_WrongPolicy(given, policyHash);
        if (!policy.admits(evidence)) revert Enclaves_NotAdmitted(msg.sender, version);
        _checkSigned(n, keccak256(abi.encode(ENROLMENT, msg.sender, version, n.keyEpoch)), signature);

        Enrolment memory e = _enrolments[version][msg.sender];
        if (e.since != 0 && e.evidenceTag == tag && e.policyRevision == revision) return; // it counts already
        uint32 epoch = SafeCast.toUint32(epochOf(block.number));
        if (e.since != 0 && e.since <= epoch) e.lapsed = epoch;
        (e.evidenceTag, e.policyRevision, e.since) = (tag, revision, epoch + 1);
        e.platformTag = bytes2(evidence.platform);
        _enrolments[version][msg.sender] = e;
        emit WorkerEnrolled(msg.sender, version, revision, e.since);
    }

    function strike(VersionId version, address worker) external {
        Enrolment storage e = _enrolments[version][worker];
        Place storage n = _nodes[worker];
        bool holds = e.evidenceTag == bytes20(n.evidenceTag) && e.policyRevision == models.revisionOf(version)
            && n.attestedUntil >= block.timestamp;
        if (e.since == 0 || holds) revert Enclaves_StillEnrolled(worker, version);
        uint32 epoch = SafeCast.toUint32(epochOf(block.number));
        if (e.since <= epoch) e.lapsed = epoch;
        e.since = 0;
        emit EnrolmentStruck(worker, version);
    }

    function attestation(address worker) external view returns (Attestation memory) {
        Place storage n = _nodes[worker];
        return Attestation(n.evidenceTag, n.attestedUntil, n.challengeBlock);
    }

    function revokedAt(address worker) external view returns (uint40) {
        return _former[worker].revokedAt;
    }

    function promptKey(address worker) external view returns (PromptKey memory) {
        return _promptKeys[worker];
    }

    function enrolment(VersionId version, address worker) external view returns (Enrolment memory) {
        return _enrolments[version][worker];
    }

    function signs(address worker, address signer, uint256 since) external view returns (bool) {
        Place storage n = _nodes[worker];
        return signer != address(0) && signer == (since <= n.replacedAt ? _former[worker].signer : n.signer);
    }

    function limits() external view returns (Limits memory) {
        return Limits(_attestationPeriod, _promptLifetime, _identitiesPerPlatform, _lockPeriod);
    }

    /// @inheritdoc INodeRegistry
    function epochOf(uint256 blockNumber) public view returns (uint256) {
        return blockNumber / epochLength;
    }

    /// @dev Ends the attestation, if there was one: ENC-3.
    function _endAttestation(Place storage n) internal {
        n.attestedUntil = 0;
    }

    /// @dev Raises the key epoch. The replaced signer still signs what jobs under way owe: there are such while stake is
    ///      locked, and no others. A prompt key that it signed is
    ///      worth nothing to a requester, who checks the attested signer (PROMPT-3), so it must win no seat.
    function _changeKeys(address worker, Place storage n, bytes32 hpkeKey, address signer) internal {
        if (n.locked(_period()) == 0) {
            n.replacedAt = 0;
        } else {
            // No job takes longer to be answered, though its lock can last.
            uint256 owedUntil = n.replacedAt + _lockPeriod;
            if (n.replacedAt != 0 && block.timestamp <= owedUntil) revert Enclaves_SignerOwed(worker, owedUntil);
            _former[worker].signer = n.signer;
            n.replacedAt = uint32(block.timestamp);
        }
        n.keyEpoch += 1;
        n.hpkeKey = hpkeKey;
        n.signer = signer;
        if (_promptKeys[worker].expiresAt != 0) _promptKeys[worker].expiresAt = 0;
        emit KeysReplaced(worker, n.keyEpoch, hpkeKey, signer);
    }

    /// @dev ENC-11, ENC-12. Only what was over before the request is passed over. Whatever can still be changed afterwards
    ///      (keys, evidence, enrolment, revocation, stake) can turn a seat vacant and do no more: else it would hand the
    ///      seat to the next in line.
    function _standing(address worker, uint256 epoch, uint96 lockEach, Eligibility calldata who)
        internal
        view
        returns (Standing)
    {
        Enrolment memory e = _enrolments[who.version][worker];
        bool enrolled = e.since != 0 && e.since <= epoch;
        if (!enrolled && (e.lapsed == 0 || e.lapsed < epoch)) return Standing.PassedOver;
        Place storage n = _nodes[worker];
        uint32 until = n.attestedUntil;
        if (until > REVOKED && until < who.requestedAt) return Standing.PassedOver;
        bool ready = enrolled && e.policyRevision == who.policyRevision && until >= who.attestedUntil
            && e.evidenceTag == bytes20(n.evidenceTag) && _promptKeys[worker].expiresAt >= who.promptUntil
            && n.free(_period()) >= lockEach;
        return ready ? Standing.Seated : Standing.Vacant;
    }

    /// @dev Number of the present period of locks.
    function _period() internal view returns (uint256) {
        return block.timestamp / _lockPeriod;
    }

    /// @dev Of an enrolment that holds, so of the machine that the worker is attested on.
    function _platformTag(VersionId version, address worker) internal view returns (bytes2) {
        return _enrolments[version][worker].platformTag;
    }

    function _active(address worker) internal view returns (Place storage n) {
        n = _nodes[worker];
        (address signer, uint32 exitAt) = n.membership();
        if (signer == address(0)) revert NodeRegistry_NotRegistered(worker);
        if (exitAt != 0) revert NodeRegistry_Exiting(worker, exitAt);
    }

    function _checkKeys(bytes32 hpkeKey, address signer) internal pure {
        if (hpkeKey == 0 || signer == address(0)) revert NodeRegistry_ZeroKey();
    }

    /// @dev Moves the caller's place to the platform, if it had another or none: ENC-4.
    /// @param stored tag of the caller's last evidence
    function _move(bytes32 platform, Evidence calldata previous, bytes24 stored) private {
        if (stored != 0) {
            _checkEvidence(previous, stored);
            if (previous.platform == platform) return;
            quotes.leave(previous.platform);
        }
        quotes.enter(platform, _identitiesPerPlatform);
    }

    function _checkEvidence(Evidence calldata evidence, bytes24 stored) private pure {
        bytes24 given = bytes24(evidence.hash());
        if (given != stored) revert Enclaves_WrongEvidence(given, stored);
    }

    function _checkReport(Report memory report, bytes32 binding, bytes32 challenge) private view {
        if (report.binding != binding) revert Enclaves_WrongBinding(report.binding, binding);
        if (report.challenge != challenge) revert Enclaves_WrongChallenge(report.challenge, challenge);
        if (report.validUntil <= block.timestamp) revert Enclaves_Expired(report.validUntil, block.timestamp);
    }

    /// @dev The hash of a block of the last 256, later than the one that served before: ENC-1.
    function _challenge(uint256 number, uint256 last) private view returns (bytes32) {
        if (number >= block.number || number + CHALLENGES < block.number) {
            revert Enclaves_ChallengeTooOld(number, block.number);
        }
        if (number <= last) revert Enclaves_ChallengeUsed(number, last);
        bytes32 hash = blockhash(number);
        // Anybody can quote nothing, and some chains have it for blocks that they remember no longer.
        if (hash == 0) revert Enclaves_ChallengeTooOld(number, block.number);
        return hash;
    }

    function _binding(bytes32 hpkeKey, address signer) private view returns (bytes32) {
        return sha256(abi.encode(REPORT_DATA, block.chainid, address(this), msg.sender, hpkeKey, signer, bytes32(0)));
    }

    function _checkSigned(Place storage n, bytes32 structHash, bytes calldata signature) private view {
        // An error comes with no signer, which no worker has.
        // slither-disable-next-line unused-return
        (address signer,,) = ECDSA.tryRecoverCalldata(_hashTypedDataV4(structHash), signature);
        if (signer != n.signer) revert Enclaves_WrongSignature(signer, n.signer);
    }

    function _max(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
