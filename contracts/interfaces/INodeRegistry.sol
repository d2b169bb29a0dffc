// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Node} from "../types/Node.sol";
import {IEnclaves} from "./IEnclaves.sol";

/// @title Registry of workers: their stake, their keys, their exits
/// @notice A worker registers with stake and two keys, is drawn for jobs in proportion to its aged stake, and gets the
///         stake back after an announced exit. The market, fixed at deployment, is the only caller that may lock or slash.
///         Rules NODE-* and DRAW-* of docs/spec/protocol.md.
///
///         Safety rests on: the market's address being right at deployment. Nothing here has an owner, and nothing can
///         be paused. Liveness rests on nothing: every wei is withdrawn by the worker that put it there.
interface INodeRegistry is IEnclaves {
    event NodeRegistered(address indexed worker, uint32 leaf, string endpoint, bytes32 hpkeKey, address signer);
    event StakeAdded(address indexed worker, uint256 amount, uint256 stake);
    event KeysReplaced(address indexed worker, uint32 keyEpoch, bytes32 hpkeKey, address signer);
    event EndpointChanged(address indexed worker, string endpoint);
    event ExitAnnounced(address indexed worker, uint40 exitAt);
    event StakeWithdrawn(address indexed worker, uint256 amount);
    event StakeSlashed(address indexed worker, uint256 amount, uint256 stake);
    /// @notice The worker belongs to an operator, who agreed.
    event OperatorJoined(address indexed worker, address indexed operator, uint32 number);

    error NodeRegistry_NotMarket(address caller, address market);
    error NodeRegistry_AlreadyRegistered(address worker);
    error NodeRegistry_NotRegistered(address worker);
    error NodeRegistry_StakeTooSmall(uint256 stake, uint256 minimum);
    error NodeRegistry_StakeTooLarge(uint256 stake, uint256 maximum);
    error NodeRegistry_Exiting(address worker, uint40 exitAt);
    error NodeRegistry_NotExiting(address worker);
    error NodeRegistry_TooEarly(uint256 time, uint256 exitAt);
    error NodeRegistry_StakeLocked(address worker, uint256 locked);
    error NodeRegistry_ZeroKey();
    error NodeRegistry_EndpointTooLong(uint256 length, uint256 maximum);
    error NodeRegistry_NotEnoughFree(address worker, uint256 free, uint256 needed);
    error NodeRegistry_PenaltyTooLarge(address worker, uint256 penalty, uint256 locked);
    /// @notice A hired worker cannot take the job: not registered, not enrolled, attested or keyed for long enough, or leaving.
    error NodeRegistry_NotHireable(address worker);
    error NodeRegistry_WrongOperatorSignature(address operator);
    error NodeRegistry_TransferFailed(address to, uint256 amount);
    error NodeRegistry_BadParameters();

    /// @notice Registers the caller with the attached wei as its stake, or again after a completed exit.
    /// @dev Effects: a leaf in the stake tree, whose weight counts from the next epoch on.
    /// @param endpoint URL at which the worker answers, at most 256 bytes
    /// @param hpkeKey X25519 public key to which input keys will be sealed
    /// @param signer address of the key that signs results
    function register(string calldata endpoint, bytes32 hpkeKey, address signer) external payable;

    /// @notice Makes the caller one of an operator's workers, before it registers and until it has left: no committee will have two
    ///         seats of one operator (DRAW-8). Whoever runs several workers says so, or has every wrong one counted as chance.
    /// @param signature by the operator, a contract (ERC-1271) or not, over EIP-712 Membership(address worker,address operator)
    function join(address operator, bytes calldata signature) external;

    /// @notice Adds the attached wei to the caller's stake; they count in draws from the next epoch on.
    function topUp() external payable;

    /// @notice Replaces both keys and ends the attestation (ENC-3). Jobs delivered before keep the old ones, so a worker keeps
    ///         those until they end; until then it can replace the new ones only while none of its stake is locked (ENC-9).
    function replaceKeys(bytes32 hpkeKey, address signer) external;

    function setEndpoint(string calldata endpoint) external;

    /// @notice Takes the caller out of all draws of later epochs and starts the exit delay.
    function announceExit() external;

    /// @notice Pays the caller its whole stake once the delay is over and no job locks any of it.
    function withdraw() external;

    /// @notice Locks `each` wei, a whole number of gweis, of every seated worker to Unix second `until` at least; then they come
    ///         free by themselves. Market only.
    function lock(address[] calldata workers, uint96 each, uint40 until) external;

    /// @notice Locks `each` wei of one worker that was named and not drawn; reverts if it cannot take the job. Market only.
    function hire(address worker, uint96 each, uint40 until) external;

    /// @notice As `hire`, for a version with a policy.
    function hireEnrolled(address worker, uint96 each, uint40 until, Eligibility calldata eligibility) external;

    /// @notice Releases `each` wei, locked to `until`, of every named worker before their time, and takes `penalties[i]` of
    ///         worker i's stake, or all that is left of it. Address 0 is passed over. Market only.
    /// @return slashed sum of what was taken, which is sent to the market with the call's return
    function release(address[] calldata workers, uint96 each, uint40 until, uint256[] calldata penalties)
        external
        returns (uint256 slashed);

    /// @notice The committee that `seed` draws from the stakes of `epoch`: weighted by stake, without replacement.
    ///         A drawn worker whose free stake is below `lockEach` leaves its seat vacant (address 0); nobody is drawn in
    ///         its place, so locking others' stake moves no seat to anyone (DRAW-5). A worker whose operator has been
    ///         drawn already is passed over.
    /// @param epoch the present epoch or the one before
    /// @return workers `seats` entries
    function draw(bytes32 seed, uint256 seats, uint256 epoch, uint96 lockEach)
        external
        view
        returns (address[] memory workers);

    function node(address worker) external view returns (Node memory);

    /// @notice Worker at a leaf of the stake tree.
    function workerAt(uint256 leaf) external view returns (address);

    /// @notice Number of leaves; workers once registered keep theirs.
    function workerCount() external view returns (uint256);

    /// @notice Gwei with which a worker enters the draws of `epoch`.
    function weightAt(address worker, uint256 epoch) external view returns (uint256);

    /// @notice Gwei of all workers together in the draws of `epoch`.
    function totalWeightAt(uint256 epoch) external view returns (uint256);

    /// @notice Epoch of a block: its number divided by `epochLength`.
    function epochOf(uint256 blockNumber) external view returns (uint256);

    function market() external view returns (address);
    function epochLength() external view returns (uint256);
    function exitDelay() external view returns (uint256);
    function minimumStake() external view returns (uint256);
}
