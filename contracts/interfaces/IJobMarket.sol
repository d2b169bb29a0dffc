// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {JobId, VersionId} from "../types/Ids.sol";
import {Job, RefundReason, State} from "../types/Job.sol";
import {Level, Request} from "../types/Request.sol";

/// @title Escrow and life of a job
/// @notice Rules JOB-*, DRAW-* and MONEY-* of docs/spec/protocol.md.
///
///         Safety rests on: at level AGREED fewer than `quorum` of a drawn committee colluding, at level ATTESTED
///         the enclaves that the version's policy admits keeping their keys, at level PROVED the verifier
///         that the version names accepting nothing false; the block proposer of the seed block not
///         colluding with the requester and knowing its secret. Liveness rests on nothing: after its deadline anybody may
///         close a job, and every sum it held becomes somebody's credit.
interface IJobMarket {
    /// @notice Windows, rates and prices, all fixed at deployment: a job can rely on those of its request.
    /// @param seedDelay blocks between a request and its seed block
    /// @param deliverWindow seconds to deliver the sealed keys
    /// @param commitWindow seconds to commit, from the delivery
    /// @param revealWindow seconds to reveal, from the last commit or the end of the commit window
    /// @param publishWindow seconds to publish a demanded ciphertext
    /// @param stakeRatio wei of stake at risk per wei of price
    /// @param silentBps share of the locked stake, in 1/10000, that a worker loses which never commits
    /// @param wrongBps share that it loses for a wrong output, or for a commitment that it does not open
    /// @param faultBps share of the escrow that a requester loses which does not deliver or does not publish
    /// @param demandDeposit wei that a demand for publication costs, paid to whoever publishes
    struct Parameters {
        uint16 seedDelay;
        uint32 deliverWindow;
        uint32 commitWindow;
        uint32 revealWindow;
        uint32 publishWindow;
        uint32 stakeRatio;
        uint16 silentBps;
        uint16 wrongBps;
        uint16 faultBps;
        uint96 demandDeposit;
    }

    /// @notice What hashes to the input commitment of a PROVED job.
    /// @param inputBinding binds the plaintext and the job secret
    /// @param inputDigest the digest of the committed input: Digest.input
    /// @param padDigest keccak256 of the points of the pad's commitment
    struct InputOpening {
        bytes32 inputBinding;
        bytes32 inputDigest;
        bytes32 padDigest;
    }

    event JobRequested(
        JobId indexed id,
        address indexed requester,
        VersionId indexed version,
        Request request,
        uint40 seedBlock,
        uint40 deliverBy
    );
    /// @notice The committee is drawn, its stake locked, its keys delivered: 80 bytes of `sealedKeys` per seated worker,
    ///         in the committee's order.
    event KeysDelivered(JobId indexed id, bytes32 seed, address[] committee, bytes sealedKeys, uint40 commitBy);
    event OutputCommitted(JobId indexed id, address indexed worker, bytes32 commitment);
    /// @notice Every seat has committed or is excused; or the commit window is over with a quorum of commitments, which
    ///         the first reveal notes.
    event RevealsOpened(JobId indexed id, uint40 revealBy);
    event OutputRevealed(JobId indexed id, address indexed worker, bytes32 outputCommitment, bytes sealedOutput);
    /// @notice The job's one worker proved its output, which is public up to the pad that the requester knows.
    /// @param masked the output's words, each plus its word of the pad
    event JobProved(JobId indexed id, address indexed worker, bytes masked);
    event SeatRefused(JobId indexed id, address indexed worker, uint8 reason);
    /// @notice The worker's enclave signed that the delivered key or input is bad; `fee` is what the requester lost for it.
    event RefusalCharged(JobId indexed id, address indexed worker, uint256 fee, bytes32 sealedKeyHash);
    event CiphertextDemanded(JobId indexed id, address indexed worker, uint40 publishBy);
    event CiphertextPublished(JobId indexed id, address indexed publisher, bytes ciphertext, uint40 commitBy);
    /// @param outputCommitment what the quorum agreed on; at level PROVED the digest of the proved output
    /// @param agreeing seats that are paid, bit i for seat i
    event JobSettled(JobId indexed id, bytes32 outputCommitment, uint16 agreeing);
    event JobRefunded(JobId indexed id, RefundReason reason);
    event Credited(address indexed account, JobId indexed id, uint256 amount);
    event Withdrawn(address indexed account, uint256 amount);

    error JobMarket_LevelNotAvailable(Level level);
    error JobMarket_BadCommittee(uint256 seats, uint256 quorum, uint256 maxSeats);
    error JobMarket_PriceChanged(uint256 offered, uint256 price);
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
    error JobMarket_WrongCommittee(bytes32 given, bytes32 drawn);
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
    /// @notice `commit` and `reveal` are for jobs of level AGREED, `answer` for ATTESTED, `prove` for PROVED.
    error JobMarket_WrongLevel(JobId id);
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
    error JobMarket_NoCredit(address account);
    error JobMarket_TransferFailed(address to, uint256 amount);
    error JobMarket_NotRegistry(address caller);
    error JobMarket_BadParameters();

    /// @notice Posts a job and pays its escrow, seats x price, from the caller.
    /// @dev Effects: the seats that can be drawn are those of the present epoch; the seed block is `seedDelay` ahead.
    function request(Request calldata request_) external payable returns (JobId id);

    /// @notice Opens the secret, draws the committee and hands it the input key, sealed to each worker. Requester only: a
    ///         copy of this call from the mempool with other keys must be worth nothing.
    /// @param request_ the parameters of the request
    /// @param secret preimage of `secretHash`
    /// @param header RLP encoding of the seed block's header
    /// @param committeeHash keccak256(abi.encode(committee)) that the keys were sealed for; another draw reverts (JOB-9)
    /// @param sealedKeys 80 bytes per seated worker, in the committee's order
    function deliver(
        Request calldata request_,
        bytes32 secret,
        bytes calldata header,
        bytes32 committeeHash,
        bytes calldata sealedKeys
    ) external;

    /// @notice Commits the caller's seat to an output.
    /// @param commitment keccak256(abi.encode(chain id, market, job, round, worker, output commitment, salt))
    function commit(JobId id, address[] calldata committee, bytes32 commitment) external;

    /// @notice Opens the caller's commitment. The last opening settles the job.
    /// @param sealedOutput the output, sealed to the requester's response key, at most 1,072 bytes
    /// @param signature by the worker's signer over EIP-712 Result(bytes32 job,uint8 stage,bytes32 outputCommitment,bytes32
    ///        sealedOutput), stage 0, the last member being keccak256 of the sealed output (SIG-1)
    function reveal(
        JobId id,
        address[] calldata committee,
        bytes32 outputCommitment,
        bytes32 salt,
        bytes calldata sealedOutput,
        bytes calldata signature
    ) external;

    /// @notice Answers an ATTESTED job, which settles it. By the drawn worker, before the deadline.
    /// @param sealedOutput the output, sealed to the requester's response key, at most 1,072 bytes
    /// @param signature as for `reveal`
    function answer(
        JobId id,
        address[] calldata committee,
        bytes32 outputCommitment,
        bytes calldata sealedOutput,
        bytes calldata signature
    ) external;

    /// @notice Proves the output of a PROVED job, which settles it. By the drawn worker, before the deadline.
    /// @dev    The verifier is somebody else's code: it is asked by staticcall before anything changes. A copy of this call is
    ///         worth nothing, since the proof's context keccak256(abi.encode(chain id, market, job, worker)) holds the worker.
    /// @param opening of the request's input commitment
    /// @param masked the output's words, each plus its word of the pad, at most 8,192 bytes: the requester reads its answer
    ///        here, so nobody is paid for a proof and keeps the output
    /// @param signature as for `reveal`, over the output's digest and keccak256 of `masked`
    function prove(
        Request calldata request_,
        address requester,
        address[] calldata committee,
        InputOpening calldata opening,
        bytes calldata masked,
        bytes calldata proof,
        bytes calldata signature
    ) external;

    /// @notice Gives up the caller's seat before the commit, unpaid and unpunished, because the job cannot be done.
    /// @param reason a code of docs/spec/protocol.md, for people; the market does not judge it
    /// @param sealedKeyHash keccak256 of the caller's sealed key, as it was delivered; read with a signature alone
    /// @param signature empty, or by the worker's signer over EIP-712 Refusal(bytes32 job,address worker,bytes32
    ///        sealedKey,uint8 reason): for reasons 1, 4 and 5 in a job for a version with a policy it earns the worker
    ///        `faultBps` of its price (SIG-2); in any other case it is not looked at
    function refuse(
        JobId id,
        address[] calldata committee,
        uint8 reason,
        bytes32 sealedKeyHash,
        bytes calldata signature
    ) external;

    /// @notice Asks for the ciphertext on chain, with a deposit, and stops the committee's clock until it is there.
    function demand(JobId id, address[] calldata committee) external payable;

    /// @notice Answers a demand; anybody who has the ciphertext may, and earns the deposit.
    function publish(Request calldata request_, address requester, bytes calldata ciphertext) external;

    /// @notice Ends a job whose deadline has passed, whatever its state. Anybody may call it.
    /// @param committee the drawn committee; empty for a job that was never delivered
    function close(JobId id, address[] calldata committee) external;

    /// @notice Pays `account` all that the market owes it. Anybody may call it; the money goes nowhere else.
    function withdraw(address account) external;

    function job(JobId id) external view returns (Job memory);

    /// @notice The output commitment that a settled job agreed on, or the digest of the output that was proved; reverts for
    ///         any other job.
    function result(JobId id) external view returns (bytes32 outputCommitment);

    function credit(address account) external view returns (uint256);
    function parameters() external view returns (Parameters memory);
    function jobId(Request calldata request_, address requester) external view returns (JobId);
}
