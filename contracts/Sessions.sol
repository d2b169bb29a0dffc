// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ICurrencies} from "./interfaces/ICurrencies.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {ISessions} from "./interfaces/ISessions.sol";
import {ReceiptTree} from "./libraries/ReceiptTree.sol";
import {Demand, Flaw, Leaf, LeafState, Order, Receipt, Session, SessionId, Settlement} from "./types/Session.sol";

/// @title Sessions: many jobs by one attested worker for one deposit; see ISessions
contract Sessions is ISessions, EIP712, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice What is left of a forfeited bond is credited here, and anybody can push it there.
    address public constant BURN = 0x000000000000000000000000000000000000dEaD;
    address private constant COIN = address(0);
    /// @dev As for the jobs of the market.
    uint256 private constant MAX_SEALED_OUTPUT = 1072;
    uint256 private constant RATE_UNIT = 1e18;

    INodeRegistry public immutable nodes;
    ICurrencies public immutable currencies;
    uint32 private immutable _challengeWindow;
    uint32 private immutable _answerWindow;
    uint32 private immutable _withdrawDelay;
    uint16 private immutable _bondJobs;
    uint80 private immutable _demandDeposit;

    mapping(SessionId => Session) private _sessions;
    mapping(SessionId => mapping(uint32 first => Settlement)) private _settlements;
    mapping(SessionId => mapping(uint32 sequence => Demand)) private _demands;
    mapping(address token => mapping(address account => uint256)) private _credits;

    constructor(INodeRegistry nodes_, ICurrencies currencies_, Parameters memory p) EIP712("Cloister", "1") {
        bool short = p.withdrawDelay <= uint256(p.challengeWindow) + 2 * uint256(p.answerWindow);
        if (
            address(nodes_).code.length == 0 || address(currencies_).code.length == 0 || p.challengeWindow == 0
                || p.answerWindow == 0 || short || p.bondJobs == 0 || p.demandDeposit == 0
        ) revert Sessions_BadParameters();
        nodes = nodes_;
        currencies = currencies_;
        _challengeWindow = p.challengeWindow;
        _answerWindow = p.answerWindow;
        _withdrawDelay = p.withdrawDelay;
        _bondJobs = p.bondJobs;
        _demandDeposit = p.demandDeposit;
    }

    /// @inheritdoc ISessions
    function open(
        address worker,
        address signer,
        address key,
        address token,
        uint96 price,
        uint96 amount,
        uint256 nonce
    ) external payable nonReentrant returns (SessionId id) {
        id = sessionId(msg.sender, worker, nonce);
        if (_sessions[id].exists()) revert Sessions_AlreadyOpen(id);
        if (price == 0) revert Sessions_ZeroPrice();
        if (key == address(0)) revert Sessions_ZeroKey();
        _checkAttested(worker, signer);

        Session memory s = Session({
            requester: msg.sender,
            price: price,
            worker: worker,
            settled: 0,
            closeAt: 0,
            closed: false,
            signer: signer,
            reserved: amount,
            key: key,
            bond: _bondFor(token, price),
            token: token
        });
        _take(token, amount);
        _sessions[id] = s;
        emit SessionOpened(id, msg.sender, worker, s);
    }

    /// @inheritdoc ISessions
    function topUp(SessionId id, uint96 amount) external payable nonReentrant {
        Session storage s = _session(id);
        if (s.closeAt != 0) revert Sessions_Closing(id, s.closeAt);
        _take(s.token, amount);
        uint256 reserved = uint256(s.reserved) + amount;
        if (reserved > type(uint96).max) revert Sessions_AmountTooLarge(reserved, type(uint96).max);
        // forge-lint: disable-next-line(unsafe-typecast)
        s.reserved = uint96(reserved); // checked above
        emit SessionToppedUp(id, amount, reserved);
    }

    /// @inheritdoc ISessions
    function announceClose(SessionId id) external {
        Session storage s = _session(id);
        if (msg.sender != s.requester) revert Sessions_NotRequester(msg.sender, s.requester);
        if (s.closeAt != 0) revert Sessions_Closing(id, s.closeAt);
        s.closeAt = SafeCast.toUint40(block.timestamp + _withdrawDelay);
        emit CloseAnnounced(id, s.closeAt);
    }

    /// @inheritdoc ISessions
    function close(SessionId id) external {
        Session storage s = _session(id);
        if (s.closeAt == 0 || s.closed) revert Sessions_NotClosing(id);
        if (block.timestamp < s.closeAt) revert Sessions_TooEarly(block.timestamp, s.closeAt);
        uint256 left = s.reserved;
        (s.closed, s.reserved) = (true, 0);
        emit SessionClosed(id, left);
        _credit(s.token, s.requester, id, left);
    }

    /// @inheritdoc ISessions
    function settle(SessionId id, Order calldata last, bytes calldata signature, bytes32 root) external payable {
        Session storage s = _session(id);
        if (msg.sender != s.worker) revert Sessions_NotWorker(msg.sender, s.worker);
        if (s.closeAt != 0 && block.timestamp >= s.closeAt) revert Sessions_TooLate(block.timestamp, s.closeAt);
        if (msg.value != s.bond) revert Sessions_WrongValue(msg.value, s.bond);
        uint32 settled = s.settled;
        _checkLast(s, id, settled, last, signature);
        uint32 count = last.sequence - settled;
        uint256 amount = uint256(count) * s.price;
        if (amount > s.reserved) revert Sessions_DepositTooSmall(s.reserved, amount);

        // forge-lint: disable-next-line(unsafe-typecast)
        s.reserved -= uint96(amount); // checked above
        s.settled = last.sequence;
        uint40 demandUntil = SafeCast.toUint40(block.timestamp + _challengeWindow);
        _settlements[id][settled + 1] = Settlement(root, count, 0, 0, demandUntil, demandUntil, true);
        emit ReceiptsSettled(id, settled + 1, count, root, demandUntil);
    }

    /// @inheritdoc ISessions
    function demand(SessionId id, uint32 first, uint32 sequence) external payable {
        Session storage s = _session(id);
        if (msg.sender != s.requester) revert Sessions_NotRequester(msg.sender, s.requester);
        if (msg.value != _demandDeposit) revert Sessions_WrongValue(msg.value, _demandDeposit);
        Settlement storage m = _settlement(id, first, sequence);
        if (block.timestamp > m.demandUntil) revert Sessions_TooLate(block.timestamp, m.demandUntil);
        if (_demands[id][sequence].state != LeafState.Settled) revert Sessions_LeafTaken(sequence);

        uint40 answerUntil = SafeCast.toUint40(block.timestamp + _answerWindow);
        _demands[id][sequence] = Demand(LeafState.Demanded, answerUntil);
        m.demands += 1;
        // What is shown at the last moment can still be proved a lie.
        uint40 latest = SafeCast.toUint40(uint256(answerUntil) + _answerWindow);
        if (latest > m.payableAt) m.payableAt = latest;
        emit LeafDemanded(id, first, sequence, answerUntil);
    }

    /// @inheritdoc ISessions
    function show(SessionId id, uint32 first, Leaf calldata leaf, bytes32[] calldata proof, bytes calldata sealedOutput)
        external
    {
        uint32 sequence = leaf.order.sequence;
        Settlement storage m = _settlement(id, first, sequence);
        Demand storage d = _demands[id][sequence];
        if (d.state != LeafState.Demanded) revert Sessions_NotDemanded(sequence);
        if (block.timestamp > d.answerUntil) revert Sessions_TooLate(block.timestamp, d.answerUntil);
        _checkInTree(m, first, sequence, leaf, proof);
        Flaw flaw = _flawOf(_sessions[id], id, sequence, leaf);
        if (flaw != Flaw.None) revert Sessions_BadLeaf(flaw);
        _checkOutput(sealedOutput, leaf.receipt.sealedOutputHash);

        d.state = LeafState.Shown;
        m.demands -= 1;
        emit LeafShown(id, first, sequence, leaf.receipt, leaf.receiptSignature, sealedOutput);
        _credit(COIN, _sessions[id].worker, id, _demandDeposit);
    }

    /// @inheritdoc ISessions
    function forfeit(SessionId id, uint32 first, uint32 sequence) external {
        Settlement storage m = _settlement(id, first, sequence);
        Demand storage d = _demands[id][sequence];
        if (d.state != LeafState.Demanded) revert Sessions_NotDemanded(sequence);
        if (block.timestamp <= d.answerUntil) revert Sessions_TooEarly(block.timestamp, uint256(d.answerUntil) + 1);
        _refund(id, first, sequence, m, Fault.Hidden);
    }

    /// @inheritdoc ISessions
    function proveBadLeaf(SessionId id, uint32 first, uint32 sequence, Leaf calldata leaf, bytes32[] calldata proof)
        external
    {
        Settlement storage m = _settlement(id, first, sequence);
        _checkInTree(m, first, sequence, leaf, proof);
        if (_flawOf(_sessions[id], id, sequence, leaf) == Flaw.None) revert Sessions_SoundLeaf(sequence);
        _refund(id, first, sequence, m, Fault.BadLeaf);
    }

    /// @inheritdoc ISessions
    function proveEquivocation(
        SessionId id,
        uint32 first,
        Receipt calldata one,
        bytes calldata signatureOfOne,
        Receipt calldata other,
        bytes calldata signatureOfOther
    ) external {
        uint32 sequence = one.sequence;
        Settlement storage m = _settlement(id, first, sequence);
        (bytes32 hashOfOne, bytes32 hashOfOther) = (one.hash(), other.hash());
        bool same = SessionId.unwrap(one.session) == SessionId.unwrap(id)
            && SessionId.unwrap(other.session) == SessionId.unwrap(id) && other.sequence == sequence;
        address signer = _sessions[id].signer;
        if (
            !same || hashOfOne == hashOfOther || _signerOf(hashOfOne, signatureOfOne) != signer
                || _signerOf(hashOfOther, signatureOfOther) != signer
        ) revert Sessions_NoEquivocation(sequence);
        _refund(id, first, sequence, m, Fault.Equivocation);
    }

    /// @inheritdoc ISessions
    function pay(SessionId id, uint32 first) external {
        Settlement memory m = _settlements[id][first];
        if (m.count == 0) revert Sessions_NoSettlement(id, first);
        if (block.timestamp <= m.payableAt) revert Sessions_TooEarly(block.timestamp, uint256(m.payableAt) + 1);
        if (m.demands != 0) revert Sessions_DemandsOpen(m.demands);
        Session storage s = _sessions[id];
        uint256 amount = uint256(m.count - m.refunded) * s.price;
        (address worker, address token) = (s.worker, s.token);

        delete _settlements[id][first];
        emit SettlementPaid(id, first, amount);
        if (m.bonded) _credit(COIN, worker, id, s.bond);
        _credit(token, worker, id, amount);
    }

    /// @inheritdoc ISessions
    function withdraw(address token, address account) external nonReentrant {
        uint256 amount = _credits[token][account];
        if (amount == 0) revert Sessions_NoCredit(account, token);
        _credits[token][account] = 0;
        emit Withdrawn(account, token, amount);
        _pay(token, account, amount);
    }

    /// @inheritdoc ISessions
    function session(SessionId id) external view returns (Session memory) {
        return _sessions[id];
    }

    /// @inheritdoc ISessions
    function settlement(SessionId id, uint32 first) external view returns (Settlement memory) {
        return _settlements[id][first];
    }

    /// @inheritdoc ISessions
    function leafDemand(SessionId id, uint32 sequence) external view returns (Demand memory) {
        return _demands[id][sequence];
    }

    /// @inheritdoc ISessions
    function credit(address token, address account) external view returns (uint256) {
        return _credits[token][account];
    }

    /// @inheritdoc ISessions
    function parameters() external view returns (Parameters memory) {
        return Parameters(_challengeWindow, _answerWindow, _withdrawDelay, _bondJobs, _demandDeposit);
    }

    /// @inheritdoc ISessions
    function sessionId(address requester, address worker, uint256 nonce) public view returns (SessionId) {
        return SessionId.wrap(keccak256(abi.encode(block.chainid, address(this), requester, worker, nonce)));
    }

    // Refunds

    /// @dev Whatever the fault, a leaf goes back once. The first of a settlement takes the bond: the requester's costs out of
    ///      it, and the rest, at least half, is burned, so that nobody gains by keeping a worker from the chain (SESS-14).
    function _refund(SessionId id, uint32 first, uint32 sequence, Settlement storage m, Fault fault) private {
        Demand storage d = _demands[id][sequence];
        if (d.state == LeafState.Refunded) revert Sessions_LeafTaken(sequence);
        Session storage s = _sessions[id];
        address requester = s.requester;
        uint256 coins = 0;
        if (d.state == LeafState.Demanded) {
            m.demands -= 1;
            coins = _demandDeposit;
        }
        d.state = LeafState.Refunded;
        m.refunded += 1;
        emit LeafRefunded(id, first, sequence, fault);
        if (m.bonded) {
            m.bonded = false;
            coins += _demandDeposit;
            _credit(COIN, BURN, id, s.bond - _demandDeposit);
        }
        _credit(COIN, requester, id, coins);
        _credit(s.token, requester, id, s.price);
    }

    // Checks

    function _session(SessionId id) private view returns (Session storage s) {
        s = _sessions[id];
        if (!s.exists()) revert Sessions_NotOpen(id);
    }

    function _settlement(SessionId id, uint32 first, uint32 sequence) private view returns (Settlement storage m) {
        m = _settlements[id][first];
        if (!m.exists()) revert Sessions_NoSettlement(id, first);
        if (!m.covers(first, sequence)) revert Sessions_NotCovered(sequence, first, m.count);
    }

    function _checkAttested(address worker, address signer) private view {
        uint256 until = nodes.attestation(worker).until;
        if (until < block.timestamp) revert Sessions_NotAttested(worker, until);
        if (!nodes.signs(worker, signer, block.timestamp)) revert Sessions_WrongSigner(worker, signer);
    }

    /// @dev The rate of the opening holds for the session's whole life: what becomes of the token later changes nothing here.
    function _bondFor(address token, uint256 price) private view returns (uint96) {
        uint256 atRisk = _bondJobs * price * currencies.lockRate(token) / RATE_UNIT;
        return SafeCast.toUint96(2 * uint256(_demandDeposit) + atRisk);
    }

    function _checkLast(Session storage s, SessionId id, uint32 settled, Order calldata last, bytes calldata signature)
        private
        view
    {
        if (SessionId.unwrap(last.session) != SessionId.unwrap(id)) revert Sessions_OtherSession(last.session, id);
        if (last.sequence <= settled) revert Sessions_AlreadySettled(last.sequence, settled);
        uint256 total = uint256(last.sequence) * s.price;
        if (last.total != total) revert Sessions_WrongTotal(last.total, total);
        address signer = _signerOf(last.hash(), signature);
        if (signer != s.key) revert Sessions_WrongOrderSignature(signer, s.key);
    }

    function _checkInTree(
        Settlement storage m,
        uint32 first,
        uint32 sequence,
        Leaf calldata leaf,
        bytes32[] calldata proof
    ) private view {
        if (!ReceiptTree.includes(m.root, sequence - first, m.count, leaf.hash(), proof)) {
            revert Sessions_NotInTree(sequence);
        }
    }

    function _checkOutput(bytes calldata sealedOutput, bytes32 required) private pure {
        if (sealedOutput.length > MAX_SEALED_OUTPUT) {
            revert Sessions_OutputTooLong(sealedOutput.length, MAX_SEALED_OUTPUT);
        }
        bytes32 hash = keccak256(sealedOutput);
        if (hash != required) revert Sessions_WrongOutput(hash, required);
    }

    function _flawOf(Session storage s, SessionId id, uint32 sequence, Leaf calldata leaf) private view returns (Flaw) {
        (Order calldata order, Receipt calldata receipt) = (leaf.order, leaf.receipt);
        bytes32 session_ = SessionId.unwrap(id);
        if (SessionId.unwrap(order.session) != session_ || SessionId.unwrap(receipt.session) != session_) {
            return Flaw.Session;
        }
        if (order.sequence != sequence || receipt.sequence != sequence) return Flaw.Sequence;
        uint256 total = uint256(sequence) * s.price;
        if (order.total != total || receipt.total != total) return Flaw.Total;
        if (order.inputCommitment != receipt.inputCommitment) return Flaw.Input;
        if (receipt.outputCommitment == 0) return Flaw.Output;
        if (_signerOf(order.hash(), leaf.orderSignature) != s.key) return Flaw.OrderSignature;
        if (_signerOf(receipt.hash(), leaf.receiptSignature) != s.signer) return Flaw.ReceiptSignature;
        return Flaw.None;
    }

    /// @dev Zero for what is no signature; neither a session's key nor its signer is zero. Never asks a contract: SESS-6.
    function _signerOf(bytes32 structHash, bytes calldata signature) private view returns (address signer) {
        // An error comes with no signer, which signs for nobody.
        // slither-disable-next-line unused-return
        (signer,,) = ECDSA.tryRecoverCalldata(_hashTypedDataV4(structHash), signature);
    }

    // Money

    function _credit(address token, address account, SessionId id, uint256 amount) private {
        if (amount == 0) return;
        _credits[token][account] += amount;
        emit Credited(account, id, token, amount);
    }

    /// @dev A token that moves less, or more, than it is told is no currency here.
    function _take(address token, uint256 amount) private {
        uint256 coins = token == COIN ? amount : 0;
        if (msg.value != coins) revert Sessions_WrongValue(msg.value, coins);
        if (token == COIN) return;
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert Sessions_WrongTransfer(token, received, amount);
    }

    // Whoever is paid has the credit, which `withdraw` has cleared before.
    // slither-disable-next-line arbitrary-send-eth
    function _pay(address token, address to, uint256 amount) private {
        if (token != COIN) {
            IERC20(token).safeTransfer(to, amount);
            return;
        }
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert Sessions_TransferFailed(to, amount);
    }
}
