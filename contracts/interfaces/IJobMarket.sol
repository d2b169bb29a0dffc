// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {JobId, VersionId} from "../types/Ids.sol";
import {Job} from "../types/Job.sol";
import {Brief, Request, Ticket} from "../types/Request.sol";
import {IAccounts} from "./IAccounts.sol";
import {ICurrencies} from "./ICurrencies.sol";
import {IJobs} from "./IJobs.sol";
import {IModelRegistry} from "./IModelRegistry.sol";
import {INodeRegistry} from "./INodeRegistry.sol";
import {IProofVerifiers} from "./IProofVerifiers.sol";

/// @title Escrow and life of a job
/// @notice Rules JOB-*, CHAL-*, DRAW-* and MONEY-* of docs/spec/protocol.md. JobMarket has the calls of a job that goes well, Disputes
///         those of one whose result is in doubt, Upkeep all others: together they are this interface, at one address.
///
///         Safety rests on: where the terms name a verifier, that verifier accepting nothing false and one honest party with the
///         job's input and model being awake in the dispute window; else, at level AGREED, fewer than `quorum` of a drawn
///         committee colluding, and at level ATTESTED the enclaves that the version's policy admits keeping their keys;
///         the block proposer of the seed block not colluding with the requester and knowing its secret. Liveness rests on
///         nothing: after its deadline anybody may move a job on, and every sum it held becomes somebody's credit.
interface IJobMarket is IJobs, IAccounts {
    /// @notice Posts a job whose workers will be drawn, and takes its escrow, seats x price, from the caller.
    /// @dev Effects: the seats that can be drawn are those of the present epoch; the seed block is `seedDelay` ahead.
    function request(Request calldata request_) external payable returns (JobId id);

    /// @notice As `request` in an ERC-20 token, with the allowance that it needs (ERC-2612). If somebody has used the permit
    ///         first, the allowance is there, and nothing is lost.
    function requestWithPermit(Request calldata request_, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        returns (JobId id);

    /// @notice Posts an ATTESTED or PROVED job for the worker that its brief names, and delivers its key at once. There is nothing to
    ///         draw: whoever it is, an enclave or a proof vouches for the answer.
    /// @param sealedKey 80 bytes
    function hire(Request calldata request_, bytes calldata sealedKey) external payable returns (JobId id);

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
    function commit(Ticket calldata ticket, bytes32 commitment) external;

    /// @notice Opens the caller's commitment. The last opening settles the job.
    /// @param sealedOutput the output, sealed to the requester's response key, at most 1,072 bytes
    /// @param signature in a job for a version with a policy: by the worker's signer over EIP-712 Result(bytes32 job,uint8
    ///        stage,bytes32 outputCommitment,bytes32 sealedOutput), stage 0, the last member being keccak256 of the sealed
    ///        output (SIG-1); in any other it is not looked at
    function reveal(
        Ticket calldata ticket,
        bytes32 outputCommitment,
        bytes32 salt,
        bytes calldata sealedOutput,
        bytes calldata signature
    ) external;

    /// @notice Answers an ATTESTED job, which settles it. By its worker, before the deadline.
    /// @param sealedOutput the output, sealed to the requester's response key, at most 1,072 bytes
    /// @param signature as for `reveal`
    function answer(
        Ticket calldata ticket,
        bytes32 outputCommitment,
        bytes calldata sealedOutput,
        bytes calldata signature
    ) external;

    /// @notice Proves the output of a PROVED job, which settles it for good. By its worker, before the deadline.
    /// @dev    The verifier is somebody else's code: it is asked by staticcall before anything changes. A copy of this call is
    ///         worth nothing, since the proof's context keccak256(abi.encode(chain id, market, job, prover)) holds the worker.
    /// @param opening of the request's input commitment
    /// @param masked the output's words, each plus its word of the pad, at most 8,192 bytes: the requester reads its answer
    ///        here, so nobody is paid for a proof and keeps the output
    /// @param signature as for `reveal`, over the output's digest and keccak256 of `masked`
    function prove(
        Ticket calldata ticket,
        Brief calldata brief,
        InputOpening calldata opening,
        bytes calldata masked,
        bytes calldata proof,
        bytes calldata signature
    ) external;

    /// @notice Gives up the caller's seat before the commit, unpaid and unpunished, because the job cannot be done.
    /// @param reason a code of docs/spec/protocol.md, for people; the market does not judge it
    /// @param sealedKeys what the delivery carried; read with a signature alone
    /// @param signature empty, or by the worker's signer over EIP-712 Refusal(bytes32 job,address worker,bytes32
    ///        sealedKey,uint8 reason): for reasons 1, 4 and 5 in a job for a version with a policy it earns the worker
    ///        `faultBps` of its price (SIG-2); in any other case it is not looked at
    function refuse(Ticket calldata ticket, uint8 reason, bytes calldata sealedKeys, bytes calldata signature) external;

    /// @notice Asks for the ciphertext on chain, with a deposit, and stops the committee's clock until it is there.
    function demand(Ticket calldata ticket) external payable;

    /// @notice Answers a demand; anybody who has the ciphertext may, and earns the deposit.
    function publish(Ticket calldata ticket, Brief calldata brief, bytes calldata ciphertext) external;

    /// @notice Challenges a settled result of level ATTESTED or AGREED whose terms name a verifier, with at least `bond()` wei. Unless
    ///         somebody proves an output in the dispute window, it is void. Anybody may, once per result.
    function challenge(Ticket calldata ticket) external payable;

    /// @notice Proves the output of a disputed or challenged job, or another output than the one that a job settled on while that can
    ///         still be challenged. The proof decides: who revealed this output is right, who revealed another is slashed.
    ///         Anybody may, and is paid for it.
    function judge(
        Ticket calldata ticket,
        Brief calldata brief,
        InputOpening calldata opening,
        bytes calldata masked,
        bytes calldata proof
    ) external;

    /// @notice Has a larger committee decide a disputed job, or challenges a settled one with it, where the terms name no verifier.
    ///         Requester only, once: nobody else can hand the committee the input. For a settled job with at least `bond()` wei more.
    /// @param referee an AGREED request on the same version and input, of at least min(15, 2k + 1) seats; its escrow is paid here
    function refer(Ticket calldata ticket, Brief calldata brief, Request calldata referee)
        external
        payable
        returns (JobId refereeId);

    /// @notice Ends what judges and referees leave: a dispute that nobody decided in time or that its referee has, and, when nobody
    ///         can challenge a settled job any more, the stake of its outvoted seats. Anybody may.
    function resolve(Ticket calldata ticket) external;

    /// @notice Ends a job whose deadline has passed before it was settled, whatever its state. Anybody may.
    function close(Ticket calldata ticket) external;

    /// @notice Tells the brief's consumer a final result, with the gas that the brief names. A consumer that fails can be told again.
    function notify(Ticket calldata ticket, Brief calldata brief) external;

    function job(JobId id) external view returns (Job memory);

    /// @notice The output commitment of a settled job, final or not; reverts for any other job.
    function result(JobId id) external view returns (bytes32 outputCommitment);

    /// @notice Whether a job is settled and nobody can challenge its result any more.
    function isFinal(JobId id) external view returns (bool);

    /// @notice The job that will decide another one; zero for none.
    function refereeOf(JobId id) external view returns (JobId);

    /// @notice Wei that a challenge costs now: one and a half times what a proof does.
    function bond() external view returns (uint256);

    /// @notice Wei of stake that a seat at this price puts at risk.
    function lockFor(uint256 pricePerSeat, address token) external view returns (uint256);

    function parameters() external view returns (Parameters memory);
    function jobId(Request calldata request_) external view returns (JobId);
    function nodes() external view returns (INodeRegistry);
    function models() external view returns (IModelRegistry);
    function verifiers() external view returns (IProofVerifiers);
    function currencies() external view returns (ICurrencies);

    /// @notice Where slashed and forfeited money goes.
    function BURN() external view returns (address);
}

/// @title What a consumer of results implements
interface IResultConsumer {
    /// @notice Called by the market with a final result.
    function onResult(JobId id, VersionId version, bytes32 outputCommitment) external;
}
