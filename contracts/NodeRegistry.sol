// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
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

    bytes32 private constant MEMBERSHIP = keccak256("Membership(address worker,address operator)");

    /// @dev ENC-11, DRAW-8: a draw looks at so many more workers than it has seats. The bound is on workers that are looked at, not on
    ///      those passed over: else turning a passed-over worker's seat vacant would let another one in.
    uint256 private constant SPARE = 16;

    /// @dev A draw under way: how many leaves were looked at, which seat is next, and the operators of the seats before it.
    struct Drawing {
        bytes32 seed;
        uint256 epoch;
        uint256[] leaves;
        uint256 looked;
        uint256 seat;
        address[] workers;
        uint32[] operators;
    }

    address public immutable market;
    uint256 public immutable minimumStake;

    StakeTree.Tree private _tree;
    mapping(uint256 leaf => address) public workerAt;
    mapping(address operator => uint32) public operatorNumber;
    uint32 private _operators;

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
    function join(address operator, bytes calldata signature) external {
        Place storage n = _nodes[msg.sender];
        // Not while it can be drawn: its coming and going must not move a seat. Slashes can leave it with nothing before its exit.
        bool left = n.stake == 0 && n.exiting() && block.timestamp >= n.exitAt;
        if (n.leaf != 0 && !left) revert NodeRegistry_AlreadyRegistered(msg.sender);
        bytes32 digest = _hashTypedDataV4(keccak256(abi.encode(MEMBERSHIP, msg.sender, operator)));
        if (!SignatureChecker.isValidSignatureNowCalldata(operator, digest, signature)) {
            revert NodeRegistry_WrongOperatorSignature(operator);
        }
        uint32 number = operatorNumber[operator];
        if (number == 0) number = operatorNumber[operator] = ++_operators;
        n.operator = number;
        emit OperatorJoined(msg.sender, operator, number);
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
        uint96 locked = n.locked(_period());
        if (locked != 0) revert NodeRegistry_StakeLocked(msg.sender, locked);
        uint256 amount = n.stake;
        n.stake = 0;
        emit StakeWithdrawn(msg.sender, amount);
        _send(msg.sender, amount);
    }

    /// @inheritdoc INodeRegistry
    function lock(address[] calldata workers, uint96 each, uint40 until) external onlyMarket {
        for (uint256 i = 0; i < workers.length; ++i) {
            if (workers[i] != address(0)) _lock(workers[i], each, until);
        }
    }

    /// @inheritdoc INodeRegistry
    function hire(address worker, uint96 each, uint40 until) external onlyMarket {
        (address signer, uint32 exitAt) = _nodes[worker].membership();
        if (signer == address(0) || exitAt != 0) revert NodeRegistry_NotHireable(worker);
        _lock(worker, each, until);
    }

    /// @inheritdoc INodeRegistry
    function hireEnrolled(address worker, uint96 each, uint40 until, Eligibility calldata who) external onlyMarket {
        // Whoever is enrolled has a signer.
        // slither-disable-next-line unused-return
        (, uint32 exitAt) = _nodes[worker].membership();
        if (exitAt != 0 || _standing(worker, epochOf(block.number), each, who) != Standing.Seated) {
            revert NodeRegistry_NotHireable(worker);
        }
        _lock(worker, each, until);
    }

    /// @inheritdoc INodeRegistry
    function release(address[] calldata workers, uint96 each, uint40 until, uint256[] calldata penalties)
        external
        onlyMarket
        returns (uint256 slashed)
    {
        for (uint256 i = 0; i < workers.length; ++i) {
            if (workers[i] == address(0)) continue;
            Place storage n = _nodes[workers[i]];
            n.locks = n.locks.remove(each / 1 gwei, until / _lockPeriod, _period());
            uint256 penalty = penalties[i];
            if (penalty == 0) continue;
            if (penalty > each) revert NodeRegistry_PenaltyTooLarge(workers[i], penalty, each);
            // Other slashes may have come first.
            if (penalty > n.stake) penalty = n.stake;
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
        Drawing memory d = _drawing(seed, seats, epoch);
        for (address worker = _next(d); worker != address(0); worker = _next(d)) {
            if (_nodes[worker].free(_period()) >= lockEach) d.workers[d.seat] = worker;
            ++d.seat;
        }
        return d.workers;
    }

    function drawEnrolled(bytes32 seed, uint256 seats, uint256 epoch, uint96 lockEach, Eligibility calldata eligibility)
        external
        view
        returns (address[] memory workers)
    {
        Drawing memory d = _drawing(seed, seats, epoch);
        bytes2[] memory platforms = new bytes2[](seats);
        for (address worker = _next(d); worker != address(0); worker = _next(d)) {
            Standing standing = _standing(worker, epoch, lockEach, eligibility);
            if (standing == Standing.PassedOver) continue;
            if (standing == Standing.Seated) {
                bytes2 platform = _platformTag(eligibility.version, worker);
                // Vacant, and not passed over: a worker can move to another machine in time.
                if (!_seated(d, platforms, platform)) {
                    platforms[d.seat] = platform;
                    d.workers[d.seat] = worker;
                }
            }
            ++d.seat;
        }
        return d.workers;
    }

    /// @inheritdoc INodeRegistry
    function node(address worker) external view returns (Node memory) {
        return _nodes[worker].node(_period());
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

    function _drawing(bytes32 seed, uint256 seats, uint256 epoch) private view returns (Drawing memory d) {
        d.seed = seed;
        d.epoch = epoch;
        d.workers = new address[](seats);
        d.operators = new uint32[](seats);
        // Mostly nobody is passed over. A longer draw begins with the shorter one.
        d.leaves = _tree.draw(seed, seats, epoch);
    }

    /// @dev The next drawn worker whose operator has no seat yet; zero when seats or workers are at an end.
    function _next(Drawing memory d) private view returns (address worker) {
        uint256 seats = d.workers.length;
        while (d.seat < seats) {
            if (d.looked == seats && d.leaves.length == seats) {
                d.leaves = _tree.draw(d.seed, seats + SPARE, d.epoch);
            }
            if (d.looked == d.leaves.length) return address(0);
            worker = workerAt[d.leaves[d.looked++]];
            uint32 operator = _nodes[worker].operator;
            bool taken = false;
            // What a worker's operator is was settled before its stake counted, so nobody moves a seat by it.
            for (uint256 i = 0; operator != 0 && i < d.seat; ++i) {
                if (d.operators[i] == operator) taken = true;
            }
            if (taken) continue;
            d.operators[d.seat] = operator;
            return worker;
        }
    }

    /// @dev Whether a seat is held on this platform. A vacant seat has no tag, which looks like that of zero.
    function _seated(Drawing memory d, bytes2[] memory tags, bytes2 tag) private pure returns (bool) {
        for (uint256 i = 0; i < d.seat; ++i) {
            if (d.workers[i] != address(0) && tags[i] == tag) return true;
        }
        return false;
    }

    function _lock(address worker, uint96 each, uint40 until) private {
        Place storage n = _nodes[worker];
        uint256 period = _period();
        uint96 free = n.free(period);
        if (free < each) revert NodeRegistry_NotEnoughFree(worker, free, each);
        n.locks = n.locks.add(each / 1 gwei, until / _lockPeriod, period);
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
