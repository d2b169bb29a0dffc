// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Disputes} from "./Disputes.sol";
import {Jobs} from "./Jobs.sol";
import {Upkeep} from "./Upkeep.sol";
import {ICurrencies} from "./interfaces/ICurrencies.sol";
import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {BlockHeader} from "./libraries/BlockHeader.sol";
import {JobId} from "./types/Ids.sol";
import {Job, JobLib, RefundReason, State} from "./types/Job.sol";
import {Brief, Level, Request, Terms, Ticket, TicketLib} from "./types/Request.sol";

/// @title Escrow and life of a job that goes well; see IJobMarket
/// @notice A contract has at most 24,576 bytes, so other calls of IJobMarket run the code of Disputes or Upkeep in this contract's
///         place. Both addresses are fixed and their code has no way to change: nobody can point this elsewhere.
contract JobMarket is Jobs {
    /// @dev 1 KiB of output and its HPKE overhead of 48 bytes.
    uint256 public constant MAX_SEALED_OUTPUT = 1072;
    /// @dev Part of what is committed to. A referee's committee has a job of its own.
    uint256 private constant ROUND = 0;

    address public immutable disputes;
    address public immutable upkeep;

    /// @param disputes_ made with the same arguments
    /// @param upkeep_ made with the same arguments
    constructor(
        INodeRegistry nodes_,
        IModelRegistry models_,
        ICurrencies currencies_,
        Parameters memory p,
        Disputes disputes_,
        Upkeep upkeep_
    ) Jobs(nodes_, models_, currencies_, p) {
        if (nodes_.market() != address(this)) revert JobMarket_BadParameters(1);
        bytes32 hash = _fixed();
        if (disputes_.settings() != hash) revert JobMarket_WrongPart(address(disputes_));
        if (upkeep_.settings() != hash) revert JobMarket_WrongPart(address(upkeep_));
        disputes = address(disputes_);
        upkeep = address(upkeep_);
    }

    /// @dev Slashed stake on its way to whom it is credited.
    receive() external payable {
        if (msg.sender != address(nodes)) revert JobMarket_NotRegistry(msg.sender);
    }

    fallback() external payable {
        bytes4 call = msg.sig;
        bool dispute = call == IJobMarket.challenge.selector || call == IJobMarket.judge.selector
            || call == IJobMarket.refer.selector || call == IJobMarket.resolve.selector;
        address part = dispute ? disputes : upkeep;
        assembly ("memory-safe") {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), part, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(ok) { revert(0, returndatasize()) }
            return(0, returndatasize())
        }
    }

    /// @dev See IJobMarket, as for all that follows.
    function request(Request calldata r) external payable returns (JobId id) {
        return _request(r);
    }

    function hire(Request calldata r, bytes calldata sealedKey) external payable returns (JobId id) {
        Terms calldata t = r.terms;
        Job memory j;
        (id, j) = _post(r, JobLib.HIRED);
        if (t.level == Level.Agreed) revert JobMarket_WrongLevel(id);
        address worker = r.brief.worker;
        if (worker == address(0) || r.brief.reputation != 0) revert JobMarket_WrongHire(worker);
        _checkLength(sealedKey, 1);
        address[] memory committee = new address[](1);
        committee[0] = worker;
        _ready(id, j, committee, sealedKey);
        emit JobRequested(id, msg.sender, t.version, r, 0, uint40(block.timestamp));
        emit KeysDelivered(id, 0, committee, sealedKey, j.deadline);
        uint40 until = _lockedUntil(t.level, block.timestamp);
        if (j.has(JobLib.ENROLLED)) {
            nodes.hireEnrolled(worker, t.lockEach, until, _eligibility(t.version, block.timestamp));
        } else {
            nodes.hire(worker, t.lockEach, until);
        }
        _take(t.token, t.escrow(), 0);
    }

    function deliver(
        Request calldata r,
        bytes32 secret,
        bytes calldata header,
        bytes32 committeeHash,
        bytes calldata sealedKeys
    ) external {
        Terms calldata t = r.terms;
        if (t.requester != msg.sender) revert JobMarket_NotRequester(msg.sender, t.requester);
        JobId id = r.id();
        Job memory j = _load(id);
        if (j.state != State.Open) revert JobMarket_WrongState(id, j.state);
        _before(j.deadline);
        _checkSecret(secret, r.brief.secretHash);
        bytes32 seed = keccak256(abi.encode(id, BlockHeader.prevrandao(header, j.moment), secret));
        address[] memory committee = _draw(j, t, seed, r.brief.reputation);
        _checkDraw(committee, committeeHash);
        for (uint256 i = 0; i < committee.length; ++i) {
            if (committee[i] == address(0)) j.excused |= JobLib.bit(i);
        }
        if (j.hopeless(t.seats, t.quorum)) {
            // Nobody was locked and nobody is at fault, which the deadline tells whoever looks later.
            j.excused = 0;
            j.deadline = 0;
            _refund(id, t, j, RefundReason.CommitteeTooSmall, t.escrow());
            return;
        }
        _checkLength(sealedKeys, t.seats - JobLib.count(j.excused));
        _ready(id, j, committee, sealedKeys);
        emit KeysDelivered(id, seed, committee, sealedKeys, j.deadline);
        nodes.lock(committee, t.lockEach, _lockedUntil(t.level, block.timestamp));
    }

    function commit(Ticket calldata t, bytes32 commitment) external {
        (JobId id, Job memory j) = _shownIn(t, State.Ready);
        if (t.terms.level != Level.Agreed) revert JobMarket_WrongLevel(id);
        uint256 seat = _uncommittedSeat(t, j);
        j.committed |= JobLib.bit(seat);
        _seats[id][seat] = commitment;
        emit OutputCommitted(id, msg.sender, commitment);
        _openRevealsIfComplete(id, t, j);
        _save(id, j);
    }

    function reveal(
        Ticket calldata t,
        bytes32 outputCommitment,
        bytes32 salt,
        bytes calldata sealedOutput,
        bytes calldata signature
    ) external {
        (JobId id, Job memory j) = _shown(t);
        if (
            j.state == State.Ready && block.timestamp > j.deadline && JobLib.count(j.committed) >= t.terms.quorum
                && t.terms.level == Level.Agreed
        ) {
            // Seats that never committed hold nobody up; the reveal window follows the commit window.
            j.state = State.Committed;
            j.deadline += _revealWindow;
            emit RevealsOpened(id, j.deadline);
        }
        if (j.state != State.Committed) revert JobMarket_WrongState(id, j.state);
        _before(j.deadline);
        uint256 seat = _seatOf(t);
        uint16 bit = JobLib.bit(seat);
        if (j.committed & bit == 0) revert JobMarket_NotCommitted(msg.sender);
        if (j.revealed & bit != 0) revert JobMarket_AlreadyRevealed(msg.sender);
        _checkOutput(outputCommitment, sealedOutput);
        _checkOpening(id, seat, outputCommitment, salt);
        if (j.has(JobLib.ENROLLED)) _checkResult(id, j.moment, outputCommitment, sealedOutput, signature);

        if (j.revealed == 0) j.lead = uint8(seat);
        j.revealed |= bit;
        if (j.lead == seat) {
            _seats[id][seat] = outputCommitment;
        } else if (_seats[id][j.lead] == outputCommitment) {
            delete _seats[id][seat];
        } else {
            j.dissenting |= bit;
            _seats[id][seat] = outputCommitment;
        }
        emit OutputRevealed(id, msg.sender, outputCommitment, sealedOutput);
        if (j.allRevealed()) _settle(id, t, j);
        else _save(id, j);
    }

    function answer(Ticket calldata t, bytes32 outputCommitment, bytes calldata sealedOutput, bytes calldata signature)
        external
    {
        (JobId id, Job memory j) = _mine(t, Level.Attested);
        _checkOutput(outputCommitment, sealedOutput);
        if (_revoked(j, msg.sender)) revert JobMarket_Revoked(msg.sender);
        _checkResult(id, j.moment, outputCommitment, sealedOutput, signature);
        emit OutputRevealed(id, msg.sender, outputCommitment, sealedOutput);
        _settleAlone(id, t, j, outputCommitment);
    }

    function prove(
        Ticket calldata t,
        Brief calldata brief,
        InputOpening calldata opening,
        bytes calldata masked,
        bytes calldata proof,
        bytes calldata signature
    ) external {
        (JobId id, Job memory j) = _mine(t, Level.Proved);
        bytes32 output = _provedOutput(t, brief, opening, masked);
        _checkProof(t.terms.version, id, opening.inputDigest, output, proof);
        if (j.has(JobLib.ENROLLED)) _checkResult(id, j.moment, output, masked, signature);
        emit JobProved(id, msg.sender, masked);
        _settleAlone(id, t, j, output);
    }

    /// @dev A job of one seat that the caller may settle.
    function _mine(Ticket calldata t, Level level) private view returns (JobId id, Job memory j) {
        (id, j) = _shownIn(t, State.Ready);
        if (t.terms.level != level) revert JobMarket_WrongLevel(id);
        if (t.committee[0] != msg.sender) revert JobMarket_NotSeated(msg.sender);
    }

    /// @dev Pays the only seat for its output.
    function _settleAlone(JobId id, Ticket calldata t, Job memory j, bytes32 output) private {
        j.state = State.Settled;
        j.deadline = SafeCast.toUint32(block.timestamp + (j.has(JobLib.FINAL) ? 0 : _challengeWindow));
        j.committed = j.revealed = 1;
        _save(id, j);
        _seats[id][0] = output;
        emit JobSettled(id, output, 1, j.deadline);
        _pay(id, t, j, 1);
    }

    function _ready(JobId id, Job memory j, address[] memory committee, bytes calldata sealedKeys) private {
        j.state = State.Ready;
        j.deadline = SafeCast.toUint32(block.timestamp + _commitWindow);
        j.moment = SafeCast.toUint32(block.timestamp);
        j.tag = TicketLib.committeeTag(id, committee, keccak256(sealedKeys));
        _save(id, j);
    }

    function _draw(Job memory j, Terms calldata t, bytes32 seed, uint256 floor)
        private
        view
        returns (address[] memory committee)
    {
        uint256 requested = nodes.epochOf(j.moment - _seedDelay);
        uint256 current = nodes.epochOf(block.number);
        if (current > requested + 1) revert JobMarket_SeatsForgotten(requested, current);
        committee = j.has(JobLib.ENROLLED)
            ? nodes.drawEnrolled(
                seed, t.seats, requested, t.lockEach, _eligibility(t.version, j.deadline - _deliverWindow)
            )
            : nodes.draw(seed, t.seats, requested, t.lockEach);
        if (floor == 0) return committee;
        for (uint256 i = 0; i < committee.length; ++i) {
            // Vacant, and not passed over: else a worker could hand its seat on by losing its good name in time.
            if (_accounts[committee[i]].standing.reputation() < floor) committee[i] = address(0);
        }
    }

    function _checkSecret(bytes32 secret, bytes32 committed) private pure {
        bytes32 hash = keccak256(abi.encode(secret));
        if (hash != committed) revert JobMarket_WrongSecret(hash, committed);
    }

    function _checkDraw(address[] memory committee, bytes32 named) private pure {
        bytes32 drawn = keccak256(abi.encode(committee));
        if (drawn != named) revert JobMarket_DrawMismatch(named, drawn);
    }

    function _checkLength(bytes calldata sealedKeys, uint256 seats) private pure {
        if (sealedKeys.length != SEALED_KEY * seats) {
            revert JobMarket_SealedKeysLength(sealedKeys.length, SEALED_KEY * seats);
        }
    }

    function _checkOpening(JobId id, uint256 seat, bytes32 output, bytes32 salt) private view {
        bytes32 opened = keccak256(abi.encode(block.chainid, address(this), id, ROUND, msg.sender, output, salt));
        bytes32 commitment = _seats[id][seat];
        if (opened != commitment) revert JobMarket_WrongOpening(opened, commitment);
    }

    function _checkOutput(bytes32 outputCommitment, bytes calldata sealedOutput) private pure {
        if (outputCommitment == 0) revert JobMarket_ZeroOutput();
        if (sealedOutput.length > MAX_SEALED_OUTPUT) {
            revert JobMarket_SealedOutputTooLong(sealedOutput.length, MAX_SEALED_OUTPUT);
        }
    }
}
