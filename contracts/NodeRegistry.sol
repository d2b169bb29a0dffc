// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {StakeTree} from "./libraries/StakeTree.sol";
import {Node} from "./types/Node.sol";

/// @title Registry of workers: their stake, their keys, their exits; see INodeRegistry
contract NodeRegistry is INodeRegistry {
    using StakeTree for StakeTree.Tree;

    uint256 public constant MAX_ENDPOINT = 256;

    address public immutable market;
    uint256 public immutable epochLength;
    uint256 public immutable exitDelay;
    uint256 public immutable minimumStake;

    StakeTree.Tree private _tree;
    mapping(address worker => Node) private _nodes;
    mapping(uint256 leaf => address) public workerAt;

    modifier onlyMarket() {
        if (msg.sender != market) revert NodeRegistry_NotMarket(msg.sender, market);
        _;
    }

    /// @param market_ address of the JobMarket, which is deployed next and checks that it is meant
    /// @param epochLength_ blocks per epoch: fresh stake waits for the next one
    /// @param exitDelay_ seconds between the announcement of an exit and the withdrawal, less than 2^32
    /// @param minimumStake_ wei below which a worker is drawn for nothing, at least one gwei
    constructor(address market_, uint256 epochLength_, uint256 exitDelay_, uint256 minimumStake_) {
        if (
            market_ == address(0) || epochLength_ == 0 || exitDelay_ == 0 || exitDelay_ > type(uint32).max
                || minimumStake_ < 1 gwei
        ) revert NodeRegistry_BadParameters();
        market = market_;
        epochLength = epochLength_;
        exitDelay = exitDelay_;
        minimumStake = minimumStake_;
    }

    /// @inheritdoc INodeRegistry
    function register(string calldata endpoint, bytes32 hpkeKey, address signer) external payable {
        Node storage n = _nodes[msg.sender];
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
        } else {
            n.keyEpoch += 1; // a sealed key of the first stay must not pass for one of the second
            n.exitAt = 0;
        }
        // forge-lint: disable-next-line(unsafe-typecast)
        n.stake = uint96(stake); // _checkStakeFits
        n.hpkeKey = hpkeKey;
        n.signer = signer;
        n.endpoint = endpoint;
        _reweigh(n);
        emit NodeRegistered(msg.sender, n.leaf - 1, endpoint, hpkeKey, signer);
        emit StakeAdded(msg.sender, stake, stake);
    }

    /// @inheritdoc INodeRegistry
    function topUp() external payable {
        Node storage n = _active(msg.sender);
        uint256 stake = n.stake + msg.value;
        _checkStakeFits(stake);
        // forge-lint: disable-next-line(unsafe-typecast)
        n.stake = uint96(stake); // _checkStakeFits
        _reweigh(n);
        emit StakeAdded(msg.sender, msg.value, stake);
    }

    /// @inheritdoc INodeRegistry
    function replaceKeys(bytes32 hpkeKey, address signer) external {
        Node storage n = _active(msg.sender);
        _checkKeys(hpkeKey, signer);
        n.keyEpoch += 1;
        n.hpkeKey = hpkeKey;
        n.signer = signer;
        emit KeysReplaced(msg.sender, n.keyEpoch, hpkeKey, signer);
    }

    /// @inheritdoc INodeRegistry
    function setEndpoint(string calldata endpoint) external {
        Node storage n = _active(msg.sender);
        _checkEndpoint(endpoint);
        n.endpoint = endpoint;
        emit EndpointChanged(msg.sender, endpoint);
    }

    /// @inheritdoc INodeRegistry
    function announceExit() external {
        Node storage n = _active(msg.sender);
        // forge-lint: disable-next-line(unsafe-typecast)
        n.exitAt = uint40(block.timestamp + exitDelay); // the constructor bounds the delay
        _reweigh(n);
        emit ExitAnnounced(msg.sender, n.exitAt);
    }

    /// @inheritdoc INodeRegistry
    function withdraw() external {
        Node storage n = _nodes[msg.sender];
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
            Node storage n = _nodes[workers[i]];
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
            Node storage n = _nodes[workers[i]];
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

    /// @inheritdoc INodeRegistry
    function node(address worker) external view returns (Node memory) {
        return _nodes[worker];
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

    /// @inheritdoc INodeRegistry
    function epochOf(uint256 blockNumber) public view returns (uint256) {
        return blockNumber / epochLength;
    }

    /// @dev A worker that leaves, or that slashing left with less than the minimum, is drawn no more.
    function _reweigh(Node storage n) private {
        uint256 weight = n.exiting() || n.stake < minimumStake ? 0 : n.stake / 1 gwei;
        _tree.set(n.leaf - 1, weight, epochOf(block.number));
    }

    function _active(address worker) private view returns (Node storage n) {
        n = _nodes[worker];
        if (n.leaf == 0) revert NodeRegistry_NotRegistered(worker);
        if (n.exiting()) revert NodeRegistry_Exiting(worker, n.exitAt);
    }

    function _checkStakeFits(uint256 stake) private pure {
        if (stake > type(uint96).max) revert NodeRegistry_StakeTooLarge(stake, type(uint96).max);
    }

    function _checkKeys(bytes32 hpkeKey, address signer) private pure {
        if (hpkeKey == 0 || signer == address(0)) revert NodeRegistry_ZeroKey();
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
