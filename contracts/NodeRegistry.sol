// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Enclaves} from "./attestation/Enclaves.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IQuoteVerifier} from "./interfaces/IQuoteVerifier.sol";
import {StakeTree} from "./libraries/StakeTree.sol";
import {Node, Place} from "./types/Node.sol";

/// @title Registry of workers: their stake, their keys, their exits; see INodeRegistry
contract NodeRegistry is Enclaves {
    using StakeTree for StakeTree.Tree;

    uint256 public constant MAX_ENDPOINT = 256;

    /// @dev ENC-11: a draw looks at so many more workers than it has seats. The bound is on workers that are looked at, not on
    ///      those passed over: else turning a passed-over worker's seat vacant would let another one in.
    uint256 private constant SPARE = 16;

    address public immutable market;
    uint256 public immutable minimumStake;

    StakeTree.Tree private _tree;
    mapping(uint256 leaf => address) public workerAt;

    modifier onlyMarket() {
        if (msg.sender != market) revert NodeRegistry_NotMarket(msg.sender, market);
        _;
    }

    /// @param market_ address of the JobMarket, which is deployed next and checks that it is meant
    /// @param epochLength_ blocks per epoch: fresh stake waits for the next one
    /// @param exitDelay_ seconds between the announcement of an exit and the withdrawal, less than 2^32
    /// @param minimumStake_ wei below which a worker is drawn for nothing, at least one gwei
    /// @param models_ whose versions' policies workers enrol under
    /// @param quotes_ who judges quotes
    /// @param limits_ none of them zero
    constructor(
        address market_,
        uint256 epochLength_,
        uint256 exitDelay_,
        uint256 minimumStake_,
        IModelRegistry models_,
        IQuoteVerifier quotes_,
        Limits memory limits_
    ) Enclaves(epochLength_, exitDelay_, models_, quotes_, limits_) {
        if (market_ == address(0) || minimumStake_ < 1 gwei) revert NodeRegistry_BadParameters();
        market = market_;
        minimumStake = minimumStake_;
    }

    /// @inheritdoc INodeRegistry
    function register(string calldata endpoint, bytes32 hpkeKey, address signer) external payable {
        Place storage n = _nodes[msg.sender];
        if (n.stake != 0 || (n.leaf != 0 && !n.exiting())) revert NodeRegistry_AlreadyRegistered(msg.sender);
        uint256 stake = msg.value;
        if (stake < minimumStake) revert NodeRegistry_StakeTooSmall(stake, minimumStake);
        _checkStakeFits(stake);
        _checkKeys(hpkeKey, signer);
        _checkEndpoint(endpoint);

        if (n.leaf == 0) {
            uint32 leaf = _tree.append();
            workerAt[leaf] = msg.sender;
            n.leaf = leaf + 1;
            n.hpkeKey = hpkeKey;
            n.signer = signer;
            // Any value but zero: the slot is paid for here, and not when an attestation fills it.
            n.challengeBlock = 1;
        } else {
            n.exitAt = 0;
            _endAttestation(n);
            // The key epoch rises: a sealed key of the first stay must not pass for one of the second.
            _changeKeys(msg.sender, n, hpkeKey, signer);
        }
        // forge-lint: disable-next-line(unsafe-typecast)
        n.stake = uint96(stake); // _checkStakeFits
        n.endpoint = endpoint;
        _reweigh(n);
        emit NodeRegistered(msg.sender, n.leaf - 1, endpoint, hpkeKey, signer);
        emit StakeAdded(msg.sender, stake, stake);
    }

    /// @inheritdoc INodeRegistry
    function topUp() external payable {
        Place storage n = _active(msg.sender);
        uint256 stake = n.stake + msg.value;
        _checkStakeFits(stake);
        // forge-lint: disable-next-line(unsafe-typecast)
        n.stake = uint96(stake); // _checkStakeFits
        _reweigh(n);
        emit StakeAdded(msg.sender, msg.value, stake);
    }

    /// @inheritdoc INodeRegistry
    function replaceKeys(bytes32 hpkeKey, address signer) external {
        Place storage n = _active(msg.sender);
        _checkKeys(hpkeKey, signer);
        _endAttestation(n);
        _changeKeys(msg.sender, n, hpkeKey, signer);
    }

    /// @inheritdoc INodeRegistry
    function setEndpoint(string calldata endpoint) external {
        Place storage n = _active(msg.sender);
        _checkEndpoint(endpoint);
        n.endpoint = endpoint;
        emit EndpointChanged(msg.sender, endpoint);
    }

    /// @inheritdoc INodeRegistry
    function announceExit() external {
        Place storage n = _active(msg.sender);
        n.exitAt = SafeCast.toUint32(block.timestamp + exitDelay);
        _reweigh(n);
        emit ExitAnnounced(msg.sender, n.exitAt);
    }

    /// @inheritdoc INodeRegistry
    function withdraw() external {
        Place storage n = _nodes[msg.sender];
        if (n.stake == 0) revert NodeRegistry_NotRegistered(msg.sender);
        if (!n.exiting()) revert NodeRegistry_NotExiting(msg.sender);
        if (block.timestamp < n.exitAt) revert NodeRegistry_TooEarly(block.timestamp, n.exitAt);
        if (n.locked != 0) revert NodeRegistry_StakeLocked(msg.sender, n.locked);
        uint256 amount = n.stake;
        n.stake = 0;
        emit StakeWithdrawn(msg.sender, amount);
        _send(msg.sender, amount);
    }

    /// @inheritdoc INodeRegistry
    function lock(address[] calldata workers, uint96 each) external onlyMarket {
        for (uint256 i = 0; i < workers.length; ++i) {
            if (workers[i] == address(0)) continue;
            Place storage n = _nodes[workers[i]];
            if (n.free() < each) revert NodeRegistry_NotEnoughFree(workers[i], n.free(), each);
            n.locked += each;
        }
        emit StakesLocked(workers, each);
    }

    /// @inheritdoc INodeRegistry
    function release(address[] calldata workers, uint96 each, uint256[] calldata penalties)
        external
        onlyMarket
        returns (uint256 slashed)
    {
        emit StakesReleased(workers, each);
        for (uint256 i = 0; i < workers.length; ++i) {
            if (workers[i] == address(0)) continue;
            Place storage n = _nodes[workers[i]];
            n.locked -= each;
            uint256 penalty = penalties[i];
            if (penalty == 0) continue;
            if (penalty > each) revert NodeRegistry_PenaltyTooLarge(workers[i], penalty, each);
            slashed += penalty;
            // forge-lint: disable-next-line(unsafe-typecast)
            n.stake -= uint96(penalty); // at most `each`
            _reweigh(n);
            emit StakeSlashed(workers[i], penalty, n.stake);
        }
        if (slashed != 0) _send(market, slashed);
    }

    /// @inheritdoc INodeRegistry
    function draw(bytes32 seed, uint256 seats, uint256 epoch, uint96 lockEach)
        external
        view
        returns (address[] memory workers)
    {
        workers = new address[](seats);
        uint256[] memory leaves = _tree.draw(seed, seats, epoch);
        for (uint256 i = 0; i < leaves.length; ++i) {
            address worker = workerAt[leaves[i]];
            if (_nodes[worker].free() >= lockEach) workers[i] = worker;
        }
    }

    function drawEnrolled(bytes32 seed, uint256 seats, uint256 epoch, uint96 lockEach, Eligibility calldata eligibility)
        external
        view
        returns (address[] memory workers)
    {
        workers = new address[](seats);
        // Mostly nobody is passed over. A longer draw begins with the shorter one.
        uint256[] memory leaves = _tree.draw(seed, seats, epoch);
        uint256 seat = 0;
        for (uint256 i = 0; seat < seats; ++i) {
            if (i == seats) leaves = _tree.draw(seed, seats + SPARE, epoch);
            if (i >= leaves.length) break;
            address worker = workerAt[leaves[i]];
            Standing standing = _standing(worker, epoch, lockEach, eligibility);
            if (standing == Standing.PassedOver) continue;
            if (standing == Standing.Seated) workers[seat] = worker;
            ++seat;
        }
    }

    /// @inheritdoc INodeRegistry
    function node(address worker) external view returns (Node memory) {
        return _nodes[worker].node();
    }

    /// @inheritdoc INodeRegistry
    function workerCount() external view returns (uint256) {
        return _tree.leaves;
    }

    /// @inheritdoc INodeRegistry
    function weightAt(address worker, uint256 epoch) external view returns (uint256) {
        uint256 leaf = _nodes[worker].leaf;
        return leaf == 0 ? 0 : _tree.weightAt(leaf - 1, epoch);
    }

    /// @inheritdoc INodeRegistry
    function totalWeightAt(uint256 epoch) external view returns (uint256) {
        return _tree.totalAt(epoch);
    }

    /// @dev A worker that leaves, or that slashing left with less than the minimum, is drawn no more.
    function _reweigh(Place storage n) private {
        uint256 weight = n.exiting() || n.stake < minimumStake ? 0 : n.stake / 1 gwei;
        _tree.set(n.leaf - 1, weight, epochOf(block.number));
    }

    function _checkStakeFits(uint256 stake) private pure {
        if (stake > type(uint96).max) revert NodeRegistry_StakeTooLarge(stake, type(uint96).max);
    }

    function _checkEndpoint(string calldata endpoint) private pure {
        uint256 length = bytes(endpoint).length;
        if (length > MAX_ENDPOINT) revert NodeRegistry_EndpointTooLong(length, MAX_ENDPOINT);
    }

    // It goes to the worker whose stake it was, or to the market, which is fixed.
    // slither-disable-next-line arbitrary-send-eth
    function _send(address to, uint256 amount) private {
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert NodeRegistry_TransferFailed(to, amount);
    }
}
