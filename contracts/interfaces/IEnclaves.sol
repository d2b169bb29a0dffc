// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Evidence} from "../types/Evidence.sol";
import {VersionId} from "../types/Ids.sol";
import {Policy} from "../types/Policy.sol";

/// @title Attested workers: what code they run, to which keys they are sealed, which versions they hold
/// @notice Rules ENC-* of docs/spec/enclaves.md. Part of the node registry.
interface IEnclaves {
    /// @notice Fixed at deployment.
    /// @param attestationPeriod seconds that an attestation lasts at most
    /// @param promptLifetime seconds that a prompt key lasts at most
    /// @param identitiesPerPlatform workers that one physical machine can attest at a time
    /// @param lockPeriod seconds of a period of locks: stake comes free when the period that its lock ends in is over. A job
    ///        is done in less, and no lock holds for more than three
    struct Limits {
        uint32 attestationPeriod;
        uint32 promptLifetime;
        uint32 identitiesPerPlatform;
        uint32 lockPeriod;
    }

    /// @param evidenceTag first 24 bytes of the hash of the worker's Evidence; zero if it was never attested, or vacated
    /// @param until Unix second at which the attestation ends; 0 without one, 1 after a revocation
    /// @param challengeBlock number of the block whose hash the quote answers
    struct Attestation {
        bytes24 evidenceTag;
        uint40 until;
        uint40 challengeBlock;
    }

    /// @notice Key to which inputs are sealed. `epoch` counts from 1.
    struct PromptKey {
        bytes32 key;
        uint32 epoch;
        uint40 expiresAt;
    }

    /// @param evidenceTag first 20 bytes of the evidence hash under which the worker enrolled
    /// @param policyRevision revision of the version's policy that the evidence met
    /// @param since first epoch of whose requests the worker can be drawn for
    /// @param lapsed epoch in which an earlier enrolment ended; 0 if there was none
    /// @param platformTag first 2 bytes of the platform: seats of one committee have different ones (DRAW-9)
    struct Enrolment {
        bytes20 evidenceTag;
        uint16 policyRevision;
        uint32 since;
        uint32 lapsed;
        bytes2 platformTag;
    }

    /// @notice Who may take a seat of a job for a version with a policy.
    /// @param version what must be enrolled for
    /// @param policyRevision the version's present one
    /// @param requestedAt Unix second of the request
    /// @param attestedUntil attestations must last to this second at least
    /// @param promptUntil prompt keys must last to this second at least
    struct Eligibility {
        VersionId version;
        uint16 policyRevision;
        uint40 requestedAt;
        uint40 attestedUntil;
        uint40 promptUntil;
    }

    event WorkerAttested(address indexed worker, Evidence evidence, uint40 until);
    /// @notice The platform's certificate is revoked: the worker's attestation is void from now on.
    event AttestationRevoked(address indexed worker, bytes32 platform);
    event PromptKeyPosted(address indexed worker, uint32 epoch, bytes32 key, uint40 expiresAt);
    event WorkerEnrolled(address indexed worker, VersionId indexed version, uint16 policyRevision, uint32 since);

    /// @notice The worker's place on its platform is free again.
    event PlaceVacated(address indexed worker, bytes32 platform);
    event EnrolmentStruck(address indexed worker, VersionId indexed version);

    error Enclaves_WrongBinding(bytes32 quoted, bytes32 required);
    error Enclaves_WrongChallenge(bytes32 quoted, bytes32 blockHash);
    error Enclaves_ChallengeTooOld(uint256 challengeBlock, uint256 blockNumber);
    error Enclaves_ChallengeUsed(uint256 challengeBlock, uint256 last);
    error Enclaves_Expired(uint256 validUntil, uint256 time);
    error Enclaves_WrongEvidence(bytes24 given, bytes24 stored);
    error Enclaves_NotAttested(address worker);
    error Enclaves_NotRevoked(address worker);
    error Enclaves_WrongSignature(address signer, address required);
    error Enclaves_PromptLifetime(uint256 expiresAt, uint256 earliest, uint256 latest);
    error Enclaves_OpenVersion(VersionId version);
    error Enclaves_WrongPolicy(bytes32 given, bytes32 published);
    error Enclaves_NotAdmitted(address worker, VersionId version);
    error Enclaves_StillAttested(address worker, uint256 until);
    error Enclaves_StillEnrolled(address worker, VersionId version);
    /// @notice Jobs under way may owe results that only the replaced signer can sign (ENC-9).
    error Enclaves_SignerOwed(address worker, uint256 until);

    /// @notice Attests the caller's enclave and its two keys, which replace the registered ones if they differ.
    /// @param hpkeKey X25519 key that key brokers and requesters may rely on
    /// @param signer address of the key with which the enclave signs results, prompt keys and enrolments
    /// @param quote the first 1,252 bytes of a TDX version 4 quote
    /// @param pck id of the platform certificate
    /// @param challengeBlock one of the last 256 blocks, later than the challenge block of the caller's last attestation
    /// @param previous the caller's last evidence, if it had one and this one differs; else ignored
    function attest(
        bytes32 hpkeKey,
        address signer,
        bytes calldata quote,
        bytes32 pck,
        uint40 challengeBlock,
        Evidence calldata previous
    ) external;

    /// @notice Ends the attestation of a worker whose platform certificate was revoked. Anybody may call it.
    function revoke(address worker, Evidence calldata evidence, bytes32 pck) external;

    /// @notice Frees the place on its platform of a worker that has left, or whose attestation has run out. Anybody may call it.
    function vacate(address worker, Evidence calldata evidence) external;

    /// @notice Posts the key to which inputs for the caller are sealed from now on.
    /// @param signature by the caller's signer over EIP-712 PromptKey(address worker,uint32 epoch,bytes32 key,uint40 expiresAt)
    function postPromptKey(bytes32 key, uint40 expiresAt, bytes calldata signature) external;

    /// @notice Enters the caller into the draws of a version with a policy, from the next epoch on.
    /// @param evidence the caller's, as it was attested
    /// @param signature by the caller's signer over EIP-712 Enrolment(address worker,bytes32 version,uint32 keyEpoch): the
    ///        enclave has loaded the weights and found them to be the version's
    function enrol(VersionId version, Policy calldata policy, Evidence calldata evidence, bytes calldata signature)
        external;

    /// @notice Ends an enrolment that holds no more: for other evidence, an older policy, or an attestation that is over. Anybody
    ///         may call it. From the next epoch on the worker is passed over, where it left its seats vacant before.
    function strike(VersionId version, address worker) external;

    /// @notice As `draw`, among eligible workers only. Who was not eligible when the job was requested is passed over; who
    ///         was and is no more leaves its seat vacant, so that nobody can hand a seat on (ENC-12).
    function drawEnrolled(bytes32 seed, uint256 seats, uint256 epoch, uint96 lockEach, Eligibility calldata eligibility)
        external
        view
        returns (address[] memory workers);

    function attestation(address worker) external view returns (Attestation memory);

    /// @notice Unix second of the last revocation of an attestation of the worker's, whatever came after; 0 if there was none.
    function revokedAt(address worker) external view returns (uint40);

    function promptKey(address worker) external view returns (PromptKey memory);
    function enrolment(VersionId version, address worker) external view returns (Enrolment memory);

    /// @notice Whether `signer` was the worker's at second `since`, that of a job's delivery: neither the key before, which may
    ///         have been extracted by now, nor one that came later, which nobody may have attested, signs for the job (ENC-9).
    ///         Exact for jobs that lock the worker's stake. Within the second in which a key was replaced while stake was
    ///         locked, it is the replaced one.
    function signs(address worker, address signer, uint256 since) external view returns (bool);

    function limits() external view returns (Limits memory);
}
