// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {JobId, VersionId} from "../types/Ids.sol";
import {RefundReason, State} from "../types/Job.sol";
import {Level, Request} from "../types/Request.sol";

/// @title What a market is set to, what it tells, and what it refuses for
/// @notice What all parts of a market have in common.
interface IJobs {
    /// @notice Windows, rates and prices, all fixed at deployment: a job can rely on those of its request.
    /// @param seedDelay blocks between a request and its seed block
    /// @param deliverWindow seconds to deliver the sealed keys
    /// @param commitWindow seconds to commit, from the delivery
    /// @param revealWindow seconds to reveal, from the last commit or the end of the commit window
    /// @param publishWindow seconds to publish a demanded ciphertext
    /// @param challengeWindow seconds to challenge a result, from its settlement
    /// @param disputeWindow seconds to prove an output, or to have a referee decide, from the beginning of the dispute
    /// @param stakeRatio wei of stake at risk per wei of price
    /// @param silentBps share of the locked stake, in 1/10000, that a worker loses which never commits
    /// @param wrongBps share that it loses for a wrong output, or for a commitment that it does not open
    /// @param faultBps share of the escrow that a requester loses which does not deliver or does not publish
    /// @param checkBps lowest chance, in 1/10000, that a wrong answer of any level is looked into, which this market counts on
    /// @param demandDeposit wei that a demand for publication costs, paid to whoever publishes
    /// @param proofGas gas that a proof takes on chain, for the challenger's bond
    /// @param maxBaseFee wei per gas above which the bond does not follow the base fee
    /// @param provingFee wei for making a proof, for the bond
    struct Parameters {
        uint16 seedDelay;
        uint32 deliverWindow;
        uint32 commitWindow;
        uint32 revealWindow;
        uint32 publishWindow;
        uint32 challengeWindow;
        uint32 disputeWindow;
        uint32 stakeRatio;
        uint16 silentBps;
        uint16 wrongBps;
        uint16 faultBps;
        uint16 checkBps;
        uint96 demandDeposit;
        uint32 proofGas;
        uint64 maxBaseFee;
        uint96 provingFee;
    }

    /// @notice What hashes to the input commitment of a job whose terms name a verifier.
    /// @param inputBinding binds the plaintext and the job secret
    /// @param inputDigest the digest of the committed input: Digest.input
    /// @param padDigest keccak256 of the points of the pad's commitment
    struct InputOpening {
        bytes32 inputBinding;
        bytes32 inputDigest;
        bytes32 padDigest;
    }

    /// @param seedBlock 0 for a hired worker's job, which needs no draw
    event JobRequested(
        JobId indexed id,
        address indexed requester,
        VersionId indexed version,
        Request request,
        uint40 seedBlock,
        uint40 deliverBy
    );
    /// @notice The committee is drawn or hired, its stake locked, its keys delivered: 80 bytes of `sealedKeys` per seated
    ///         worker, in the committee's order.
    event KeysDelivered(JobId indexed id, bytes32 seed, address[] committee, bytes sealedKeys, uint40 commitBy);
    event OutputCommitted(JobId indexed id, address indexed worker, bytes32 commitment);
    /// @notice Every seat has committed or is excused; or the commit window is over with a quorum of commitments, which
    ///         the first reveal notes.
    event RevealsOpened(JobId indexed id, uint40 revealBy);
    event OutputRevealed(JobId indexed id, address indexed worker, bytes32 outputCommitment, bytes sealedOutput);
    /// @notice An output was proved, by the worker of a PROVED job or by whoever settles a dispute. It is public up to the pad
    ///         that the requester knows.
    /// @param masked the output's words, each plus its word of the pad
    event JobProved(JobId indexed id, address indexed prover, bytes masked);
    event SeatRefused(JobId indexed id, address indexed worker, uint8 reason);
    /// @notice The worker's enclave signed that the delivered key or input is bad; `fee` is what the requester lost for it.
    event RefusalCharged(JobId indexed id, address indexed worker, uint256 fee, bytes32 sealedKeyHash);
    event CiphertextDemanded(JobId indexed id, address indexed worker, uint40 publishBy);
    event CiphertextPublished(JobId indexed id, address indexed publisher, bytes ciphertext, uint40 commitBy);
    /// @param outputCommitment what the quorum agreed on, or what was proved
    /// @param agreeing seats that are paid, bit i for seat i
    /// @param challengeBy Unix second up to which the result can be challenged; the present one if it is final
    event JobSettled(JobId indexed id, bytes32 outputCommitment, uint16 agreeing, uint40 challengeBy);
    event JobRefunded(JobId indexed id, RefundReason reason);
    /// @notice No output reached the quorum: a proof decides, or a referee committee, up to `decideBy`.
    event JobDisputed(JobId indexed id, uint40 decideBy);
    event ResultChallenged(JobId indexed id, address indexed challenger, uint256 bond, uint40 decideBy);
    /// @notice The requester posted a job whose larger committee will decide this one.
    event RefereeCalled(JobId indexed id, JobId indexed referee, uint40 decideBy);
    /// @notice The result stands for good, and outvoted seats have lost their stake.
    event ResultUpheld(JobId indexed id);
    /// @notice Another output than the one settled on was proved, or found by the referees.
    /// @param right seats that had revealed it
    /// @param wrong seats that are slashed
    event ResultOverturned(JobId indexed id, bytes32 outputCommitment, uint16 right, uint16 wrong);
    event ConsumerNotified(JobId indexed id, address indexed consumer, bool taken);
    /// @param token 0 for the chain's own coin
    event Credited(address indexed account, JobId indexed id, address indexed token, uint256 amount);
    event Withdrawn(address indexed account, address indexed token, uint256 amount);
    /// @notice A version's owner was credited its share of the prices since the last time.
    event FeesCollected(VersionId indexed version, address indexed owner, address indexed token, uint256 amount);

    error JobMarket_LevelNotAvailable(Level level);
    error JobMarket_BadCommittee(uint256 seats, uint256 quorum, uint256 maxSeats);
    error JobMarket_NotRequester(address caller, address requester);
    /// @notice The terms are not what the version's owner asks for now.
    error JobMarket_PriceChanged(uint256 offered, uint256 price);
    error JobMarket_WrongOwnerPercent(uint256 given, uint256 asked);
    error JobMarket_WrongLock(uint256 given, uint256 required);
    error JobMarket_WrongVerifier(uint32 given, uint32 registered);
    error JobMarket_WrongPayment(uint256 sent, uint256 required);
    error JobMarket_AlreadyRequested(JobId id);
    error JobMarket_UnknownJob(JobId id);
    error JobMarket_WrongState(JobId id, State state);
    error JobMarket_TooLate(uint256 time, uint256 deadline);
    error JobMarket_TooEarly(uint256 time, uint256 deadline);
    error JobMarket_WrongSecret(bytes32 hash, bytes32 committed);
    error JobMarket_SeatsForgotten(uint256 requestEpoch, uint256 currentEpoch);
    error JobMarket_DrawMismatch(bytes32 named, bytes32 drawn);
    error JobMarket_SealedKeysLength(uint256 length, uint256 required);
    /// @notice Committee or keys are not those of the delivery.
    error JobMarket_WrongCommittee(bytes12 given, bytes12 drawn);
    error JobMarket_WrongBrief(bytes32 given, bytes32 requested);
    error JobMarket_NotSeated(address caller);
    error JobMarket_AlreadyCommitted(address worker);
    error JobMarket_AlreadyRevealed(address worker);
    error JobMarket_Excused(address worker);
    error JobMarket_NotCommitted(address worker);
    error JobMarket_WrongOpening(bytes32 computed, bytes32 commitment);
    error JobMarket_ZeroOutput();
    error JobMarket_SealedOutputTooLong(uint256 length, uint256 maximum);
    /// @notice A job of level ATTESTED asks for a version with a policy.
    error JobMarket_OpenVersion(VersionId version);
    /// @notice `commit` and `reveal` are for jobs of level AGREED, `answer` for ATTESTED, `prove` for PROVED; `hire` is not for
    ///         AGREED.
    error JobMarket_WrongLevel(JobId id);
    /// @notice The brief names a worker for a job whose workers are drawn, or none for one to be hired, or a floor for the latter.
    error JobMarket_WrongHire(address worker);
    error JobMarket_VerifierRemoved(uint32 verifier);
    error JobMarket_MaskedTooLong(uint256 length, uint256 maximum);
    error JobMarket_WrongInput(bytes32 given, bytes32 committed);
    /// @param answer what the verifier returned or reverted with
    error JobMarket_InvalidProof(JobId id, bytes answer);
    /// @param signer whom the signature gives; zero for none
    error JobMarket_WrongSignature(address worker, address signer);
    error JobMarket_WrongSealedKey(bytes32 given, bytes32 delivered);
    /// @notice The worker's attestation was revoked after the delivery (ENC-5).
    error JobMarket_Revoked(address worker);
    error JobMarket_WrongDeposit(uint256 sent, uint256 required);
    error JobMarket_AlreadyPublished(JobId id);
    error JobMarket_Unpublishable(JobId id);
    error JobMarket_WrongCiphertext(bytes32 given, bytes32 committed);
    error JobMarket_ResultFinal(JobId id);
    /// @notice Where the terms name no verifier, only the requester can have referees decide; where they do, a proof decides.
    error JobMarket_NoReferee(JobId id);
    error JobMarket_NoVerifier(JobId id);
    /// @notice The referee job is not about the same version and input, or its committee is too small.
    error JobMarket_BadReferee(JobId id);
    error JobMarket_RefereeUndecided(JobId referee, uint256 decideBy);
    /// @notice The proof confirms the result, which nobody has challenged.
    error JobMarket_NothingToDecide(JobId id);
    error JobMarket_NoConsumer(JobId id);
    error JobMarket_NotFinal(JobId id);
    error JobMarket_GasTooLow(uint256 left, uint256 required);
    error JobMarket_NotRegistry(address caller);
    error JobMarket_BadParameters(uint256 rule);
    /// @notice A part of the market was made with other arguments.
    error JobMarket_WrongPart(address part);
    error JobMarket_NoCredit(address account, address token);
    error JobMarket_TransferFailed(address to, uint256 amount);
    /// @notice A token moved another amount than it was told to.
    error JobMarket_WrongAmount(address token, uint256 moved, uint256 required);
}
