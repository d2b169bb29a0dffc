// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

import {Jobs} from "./Jobs.sol";
import {IAccounts} from "./interfaces/IAccounts.sol";
import {ICurrencies} from "./interfaces/ICurrencies.sol";
import {IJobMarket, IResultConsumer} from "./interfaces/IJobMarket.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {JobId, VersionId} from "./types/Ids.sol";
import {Job, JobLib, RefundReason, State} from "./types/Job.sol";
import {Brief, Request, Terms, Ticket} from "./types/Request.sol";

/// @title What a market does when somebody lets a job down, what it pays out, and what it can be asked; see IJobMarket
/// @notice JobMarket runs this code in its own place. Called at this address it has no jobs and owes nobody.
contract Upkeep is Jobs, IAccounts, IERC165 {
    /// @dev More than it takes to call an address that was not touched yet.
    uint256 private constant CALL_GAS = 5000;

    address private immutable _self = address(this);

    constructor(INodeRegistry nodes_, IModelRegistry models_, ICurrencies currencies_, Parameters memory p)
        Jobs(nodes_, models_, currencies_, p)
    {}

    /// @dev See IJobMarket, as for all that follows.
    function requestWithPermit(Request calldata r, uint256 deadline, uint8 v, bytes32 s1, bytes32 s2)
        external
        returns (JobId id)
    {
        // Else a job could be opened here, by mistake, and nobody would see it.
        if (address(this) == _self) revert JobMarket_WrongPart(_self);
        // Whoever saw the permit in the mempool may have used it: then the allowance is there, and else taking fails.
        try IERC20Permit(r.terms.token).permit(msg.sender, address(this), r.terms.escrow(), deadline, v, s1, s2) {}
            catch {}
        return _request(r);
    }

    function refuse(Ticket calldata t, uint8 reason, bytes calldata sealedKeys, bytes calldata signature) external {
        (JobId id, Job memory j) = _shownIn(t, State.Ready);
        uint256 seat = _uncommittedSeat(t, j);
        emit SeatRefused(id, msg.sender, reason);
        if (signature.length != 0 && j.has(JobLib.ENROLLED) && _provable(reason)) {
            _charge(id, t, j, seat, reason, sealedKeys, signature);
        }
        j.excused |= JobLib.bit(seat);
        address[] memory leaving = new address[](t.committee.length);
        leaving[seat] = msg.sender;
        if (j.hopeless(t.terms.seats, t.terms.quorum)) {
            for (uint256 i = 0; i < leaving.length; ++i) {
                if (j.excused & JobLib.bit(i) == 0) leaving[i] = t.committee[i];
                if (j.committed & JobLib.bit(i) != 0) delete _seats[id][i];
            }
            _refund(id, t.terms, j, RefundReason.Refusals, _left(t.terms, j));
        } else {
            _openRevealsIfComplete(id, t, j);
            _save(id, j);
        }
        _release(t, j, leaving, new uint256[](leaving.length));
    }

    function demand(Ticket calldata t) external payable {
        (JobId id, Job memory j) = _shownIn(t, State.Ready);
        if (j.has(JobLib.UNPUBLISHABLE)) revert JobMarket_Unpublishable(id);
        if (j.has(JobLib.PUBLISHED)) revert JobMarket_AlreadyPublished(id);
        if (msg.value != _demandDeposit) revert JobMarket_WrongDeposit(msg.value, _demandDeposit);
        _uncommittedSeat(t, j);
        j.state = State.Demanded;
        j.deadline = SafeCast.toUint32(block.timestamp + _publishWindow);
        _save(id, j);
        _demanders[id] = msg.sender;
        emit CiphertextDemanded(id, msg.sender, j.deadline);
    }

    function publish(Ticket calldata t, Brief calldata brief, bytes calldata ciphertext) external {
        (JobId id, Job memory j) = _shownIn(t, State.Demanded);
        _checkBrief(t, brief);
        bytes32 hash = sha256(ciphertext);
        if (hash != brief.ciphertextHash) revert JobMarket_WrongCiphertext(hash, brief.ciphertextHash);
        j.state = State.Ready;
        j.flags |= JobLib.PUBLISHED;
        j.deadline = SafeCast.toUint32(block.timestamp + _commitWindow);
        _save(id, j);
        delete _demanders[id];
        emit CiphertextPublished(id, msg.sender, ciphertext, j.deadline);
        _credit(msg.sender, id, _demandDeposit);
    }

    function close(Ticket calldata t) external {
        (JobId id, Job memory j) = _shown(t);
        if (j.state == State.Open) {
            _after(j.deadline);
            uint256 fee = t.terms.escrow() * _faultBps / BPS;
            _credit(BURN, id, t.terms.token, fee);
            _refund(id, t.terms, j, RefundReason.NotDelivered, t.terms.escrow() - fee);
        } else if (j.state == State.Ready) {
            // With a quorum of commitments their owners still have the reveal window.
            bool decidable = JobLib.count(j.committed) >= t.terms.quorum;
            _after(decidable ? j.deadline + _revealWindow : j.deadline);
            _settle(id, t, j);
        } else if (j.state == State.Demanded) {
            _after(j.deadline);
            _void(id, t, j);
        } else if (j.state == State.Committed) {
            _after(j.deadline);
            _settle(id, t, j);
        } else {
            revert JobMarket_WrongState(id, j.state);
        }
    }

    function notify(Ticket calldata t, Brief calldata brief) external {
        (JobId id, Job memory j) = _shown(t);
        _checkBrief(t, brief);
        if (!_final(j)) revert JobMarket_NotFinal(id);
        address consumer = brief.consumer;
        if (consumer == address(0)) revert JobMarket_NoConsumer(id);
        bytes memory message = abi.encodeCall(IResultConsumer.onResult, (id, t.terms.version, _seats[id][j.lead]));
        uint256 allowance = brief.consumerGas;
        // EIP-150 gives a call 63/64 of what there is. Asked before: a consumer that swallows its lack of gas succeeds.
        uint256 required = allowance + allowance / 63 + CALL_GAS;
        if (gasleft() < required) revert JobMarket_GasTooLow(gasleft(), required);
        bool taken;
        assembly ("memory-safe") {
            // Nothing is copied back: what a consumer returns must not cost the caller.
            taken := call(allowance, consumer, 0, add(message, 0x20), mload(message), 0, 0)
        }
        emit ConsumerNotified(id, consumer, taken);
    }

    function withdraw(address account, address token) external nonReentrant {
        uint256 amount = credit(account, token);
        if (amount == 0) revert JobMarket_NoCredit(account, token);
        if (token == COIN) _accounts[account].coins = 0;
        else _tokens[account][token] = 0;
        emit Withdrawn(account, token, amount);
        _send(account, token, amount);
    }

    function collect(VersionId version, address token) external {
        uint256 amount = _fees[version][token];
        address owner = models.ownerOf(version);
        if (amount == 0) revert JobMarket_NoCredit(owner, token);
        _fees[version][token] = 0;
        emit FeesCollected(version, owner, token, amount);
        _credit(owner, JobId.wrap(0), token, amount);
    }

    function credit(address account, address token) public view returns (uint256) {
        return token == COIN ? _accounts[account].coins : _tokens[account][token];
    }

    function fees(VersionId version, address token) external view returns (uint256) {
        return _fees[version][token];
    }

    function reputation(address worker) external view returns (uint256) {
        return _accounts[worker].standing.reputation();
    }

    function job(JobId id) external view returns (Job memory) {
        return JobLib.unpack(_jobs[id]);
    }

    function result(JobId id) external view returns (bytes32) {
        Job memory j = _load(id);
        if (j.state != State.Settled) revert JobMarket_WrongState(id, j.state);
        return _seats[id][j.lead];
    }

    function isFinal(JobId id) external view returns (bool) {
        return _final(_load(id));
    }

    function refereeOf(JobId id) external view returns (JobId) {
        return _referees[id];
    }

    function bond() external view returns (uint256) {
        return _bond();
    }

    function lockFor(uint256 pricePerSeat, address token) external view returns (uint256) {
        return _lockFor(pricePerSeat, token);
    }

    function jobId(Request calldata r) external view returns (JobId) {
        return r.id();
    }

    function parameters() external view returns (Parameters memory) {
        return Parameters({
            seedDelay: _seedDelay,
            deliverWindow: _deliverWindow,
            commitWindow: _commitWindow,
            revealWindow: _revealWindow,
            publishWindow: _publishWindow,
            challengeWindow: _challengeWindow,
            disputeWindow: _disputeWindow,
            stakeRatio: _stakeRatio,
            silentBps: _silentBps,
            wrongBps: _wrongBps,
            faultBps: _faultBps,
            checkBps: _checkBps,
            demandDeposit: _demandDeposit,
            proofGas: _proofGas,
            maxBaseFee: _maxBaseFee,
            provingFee: _provingFee
        });
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 id) external pure returns (bool) {
        return
            id == type(IERC165).interfaceId || id == type(IAccounts).interfaceId || id == type(IJobMarket).interfaceId;
    }

    function _charge(
        JobId id,
        Ticket calldata t,
        Job memory j,
        uint256 seat,
        uint8 reason,
        bytes calldata sealedKeys,
        bytes calldata signature
    ) private {
        bytes32 delivered = keccak256(sealedKeys);
        if (delivered != t.keys) revert JobMarket_WrongSealedKey(delivered, t.keys);
        uint256 offset = 0;
        for (uint256 i = 0; i < seat; ++i) {
            if (t.committee[i] != address(0)) offset += SEALED_KEY;
        }
        bytes32 key = keccak256(sealedKeys[offset:offset + SEALED_KEY]);
        _checkRefusal(id, j.moment, key, reason, signature);
        j.charged += 1;
        uint256 fee = _fee(t.terms);
        emit RefusalCharged(id, msg.sender, fee, key);
        _credit(msg.sender, id, t.terms.token, fee);
    }

    /// @dev The requester withheld the ciphertext: each seat that did not refuse gets its part of the fee.
    function _void(JobId id, Ticket calldata t, Job memory j) private {
        uint256 fee = _fee(t.terms);
        uint256 sum = 0;
        address[] memory leaving = new address[](t.committee.length);
        for (uint256 i = 0; i < leaving.length; ++i) {
            if (j.committed & JobLib.bit(i) != 0) delete _seats[id][i];
            if (j.excused & JobLib.bit(i) != 0) continue;
            sum += fee;
            leaving[i] = t.committee[i];
            _credit(leaving[i], id, t.terms.token, fee);
        }
        _credit(_demanders[id], id, _demandDeposit);
        delete _demanders[id];
        _refund(id, t.terms, j, RefundReason.Unpublished, _left(t.terms, j) - sum);
        _release(t, j, leaving, new uint256[](leaving.length));
    }

    function _final(Job memory j) private view returns (bool) {
        return j.state == State.Settled && (j.has(JobLib.FINAL) || block.timestamp > j.deadline);
    }

    /// @dev Input commitment does not match, input malformed, sealed key does not open: what only the requester can cause.
    function _provable(uint8 reason) private pure returns (bool) {
        return reason == 1 || reason == 4 || reason == 5;
    }
}
