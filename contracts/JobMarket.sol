// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Credits} from "./Credits.sol";
import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IProofVerifier} from "./interfaces/IProofVerifier.sol";
import {IProofVerifiers} from "./interfaces/IProofVerifiers.sol";
import {Ask} from "./libraries/Ask.sol";
import {BlockHeader} from "./libraries/BlockHeader.sol";
import {Tally} from "./libraries/Tally.sol";
import {Digest} from "./types/Digest.sol";
import {JobId, VersionId} from "./types/Ids.sol";
import {Job, JobLib, RefundReason, State} from "./types/Job.sol";
import {Level, Request} from "./types/Request.sol";

/// @title Escrow and life of a job; see IJobMarket
contract JobMarket is Credits {
    /// @dev One bit per seat in three 16-bit masks. At 15 seats the dearest call stays below 30% of the 2^24 gas cap.
    uint256 public constant MAX_SEATS = 15;
    /// @dev HPKE: 32 bytes of encapsulated key, 32 of input key, 16 of tag.
    uint256 public constant SEALED_KEY = 80;
    /// @dev 1 KiB of output and its HPKE overhead of 48 bytes.
    uint256 public constant MAX_SEALED_OUTPUT = 1072;
    /// @dev 64 KiB of calldata cost at most 2.7M gas (EIP-7623). Larger inputs cannot be published on demand.
    uint256 public constant MAX_PUBLISHED = 65536;
    /// @dev 256 words of output.
    uint256 public constant MAX_MASKED = 8192;
    /// @dev Later levels count further rounds of the same job with larger committees.
    uint256 private constant ROUND = 0;
    uint256 private constant BPS = 10_000;

    INodeRegistry public immutable nodes;
    IModelRegistry public immutable models;
    IProofVerifiers public immutable verifiers;

    uint16 private immutable _seedDelay;
    uint32 private immutable _deliverWindow;
    uint32 private immutable _commitWindow;
    uint32 private immutable _revealWindow;
    uint32 private immutable _publishWindow;
    uint32 private immutable _stakeRatio;
    uint16 private immutable _silentBps;
    uint16 private immutable _wrongBps;
    uint16 private immutable _faultBps;
    uint96 private immutable _demandDeposit;

    mapping(JobId => Job) private _jobs;
    /// @dev A seat's commitment, and after the reveal its output commitment.
    mapping(JobId => mapping(uint256 seat => bytes32)) private _seats;
    mapping(JobId => address) private _demanders;
    /// @dev Number of the verifier of a live PROVED job: `close` does not get to see the version.
    mapping(JobId => uint32) private _verifierIds;

    constructor(INodeRegistry nodes_, IModelRegistry models_, Parameters memory p) {
        if (
            nodes_.market() != address(this) || address(models_).code.length == 0 || p.seedDelay == 0
                || p.deliverWindow == 0 || p.commitWindow == 0 || p.revealWindow == 0 || p.publishWindow == 0
                || p.stakeRatio == 0 || p.silentBps >= p.wrongBps || p.wrongBps > BPS || p.faultBps == 0
                || p.faultBps > BPS
                // NODE-4: stake outlives every job whose draw it can enter.
                || nodes_.exitDelay()
                    <= uint256(p.deliverWindow) + 2 * uint256(p.commitWindow) + p.publishWindow + p.revealWindow
        ) revert JobMarket_BadParameters();
        nodes = nodes_;
        models = models_;
        verifiers = models_.verifiers();
        _seedDelay = p.seedDelay;
        _deliverWindow = p.deliverWindow;
        _commitWindow = p.commitWindow;
        _revealWindow = p.revealWindow;
        _publishWindow = p.publishWindow;
        _stakeRatio = p.stakeRatio;
        _silentBps = p.silentBps;
        _wrongBps = p.wrongBps;
        _faultBps = p.faultBps;
        _demandDeposit = p.demandDeposit;
    }

    /// @dev Slashed stake on its way to whom it is credited.
    receive() external payable {
        if (msg.sender != address(nodes)) revert JobMarket_NotRegistry(msg.sender);
    }

    /// @inheritdoc IJobMarket
    function request(Request calldata r) external payable returns (JobId id) {
        uint32 verifier = _checkLevel(r);
        uint256 price = models.priceOf(r.version);
        if (r.pricePerSeat != price) revert JobMarket_PriceChanged(r.pricePerSeat, price);
        if (msg.value != r.escrow()) revert JobMarket_WrongPayment(msg.value, r.escrow());
        id = r.id(address(this), msg.sender);
        Job storage j = _jobs[id];
        if (j.state != State.None) revert JobMarket_AlreadyRequested(id);

        uint40 seedBlock = uint40(block.number + _seedDelay);
        uint40 deliverBy = uint40(block.timestamp + _deliverWindow);
        j.state = State.Open;
        j.seats = r.seats;
        j.quorum = r.quorum;
        j.flags = r.ciphertextSize > MAX_PUBLISHED ? JobLib.UNPUBLISHABLE : 0;
        j.deadline = deliverBy;
        j.seedBlock = seedBlock;
        j.pricePerSeat = r.pricePerSeat;
        j.requester = msg.sender;
        j.lockEach = SafeCast.toUint96(price * _stakeRatio);
        if (verifier != 0) {
            j.flags |= JobLib.PROVED;
            _verifierIds[id] = verifier;
        }
        emit JobRequested(id, msg.sender, r.version, r, seedBlock, deliverBy);
    }

    /// @inheritdoc IJobMarket
    function deliver(
        Request calldata r,
        bytes32 secret,
        bytes calldata header,
        bytes32 committeeHash,
        bytes calldata sealedKeys
    ) external {
        JobId id = r.id(address(this), msg.sender);
        Job memory j = _in(id, State.Open);
        _before(j.deadline);
        bytes32 hash = keccak256(abi.encode(secret));
        if (hash != r.secretHash) revert JobMarket_WrongSecret(hash, r.secretHash);

        bytes32 seed = keccak256(abi.encode(id, BlockHeader.prevrandao(header, j.seedBlock), secret));
        address[] memory committee = _draw(j, seed);
        bytes32 drawn = keccak256(abi.encode(committee));
        if (drawn != committeeHash) revert JobMarket_DrawMismatch(committeeHash, drawn);

        for (uint256 i = 0; i < committee.length; ++i) {
            if (committee[i] == address(0)) j.excused |= JobLib.bit(i);
        }
        if (j.hopeless()) {
            // Nobody was locked and nobody is at fault.
            j.excused = 0;
            _refund(id, j, RefundReason.CommitteeTooSmall, j.escrow());
            return;
        }
        uint256 required = SEALED_KEY * (j.seats - JobLib.count(j.excused));
        if (sealedKeys.length != required) revert JobMarket_SealedKeysLength(sealedKeys.length, required);
        j.state = State.Ready;
        j.deadline = uint40(block.timestamp + _commitWindow);
        j.digest = drawn;
        _save(id, j);
        emit KeysDelivered(id, seed, committee, sealedKeys, j.deadline);
        nodes.lock(committee, j.lockEach);
    }

    /// @inheritdoc IJobMarket
    function commit(JobId id, address[] calldata committee, bytes32 commitment) external {
        Job memory j = _in(id, State.Ready);
        if (j.has(JobLib.PROVED)) revert JobMarket_WrongLevel(id);
        _before(j.deadline);
        uint256 seat = _uncommittedSeat(j, committee);
        j.committed |= JobLib.bit(seat);
        _seats[id][seat] = commitment;
        emit OutputCommitted(id, msg.sender, commitment);
        _openRevealsIfComplete(id, j);
        _save(id, j);
    }

    /// @inheritdoc IJobMarket
    function reveal(
        JobId id,
        address[] calldata committee,
        bytes32 outputCommitment,
        bytes32 salt,
        bytes calldata sealedOutput
    ) external {
        Job memory j = _known(id);
        if (j.state == State.Ready && block.timestamp > j.deadline && JobLib.count(j.committed) >= j.quorum) {
            // Seats that never committed hold nobody up; the reveal window follows the commit window.
            _openReveals(id, j, j.deadline + _revealWindow);
        }
        if (j.state != State.Committed) revert JobMarket_WrongState(id, j.state);
        _before(j.deadline);
        uint256 seat = _seatOf(j, committee);
        uint16 bit = JobLib.bit(seat);
        if (j.committed & bit == 0) revert JobMarket_NotCommitted(msg.sender);
        if (j.revealed & bit != 0) revert JobMarket_AlreadyRevealed(msg.sender);
        if (outputCommitment == 0) revert JobMarket_ZeroOutput();
        if (sealedOutput.length > MAX_SEALED_OUTPUT) {
            revert JobMarket_SealedOutputTooLong(sealedOutput.length, MAX_SEALED_OUTPUT);
        }
        bytes32 opened =
            keccak256(abi.encode(block.chainid, address(this), id, ROUND, msg.sender, outputCommitment, salt));
        bytes32 commitment = _seats[id][seat];
        if (opened != commitment) revert JobMarket_WrongOpening(opened, commitment);

        j.revealed |= bit;
        _seats[id][seat] = outputCommitment;
        emit OutputRevealed(id, msg.sender, outputCommitment, sealedOutput);
        if (j.allRevealed()) _settle(id, j, committee);
        else _save(id, j);
    }

    /// @inheritdoc IJobMarket
    function prove(
        Request calldata r,
        address requester,
        address[] calldata committee,
        bytes32 inputBinding,
        bytes32 inputDigest,
        bytes32 padDigest,
        bytes calldata masked,
        bytes calldata proof
    ) external {
        JobId id = r.id(address(this), requester);
        Job memory j = _in(id, State.Ready);
        if (!j.has(JobLib.PROVED)) revert JobMarket_WrongLevel(id);
        _before(j.deadline);
        _seatOf(j, committee);
        if (masked.length > MAX_MASKED) revert JobMarket_MaskedTooLong(masked.length, MAX_MASKED);
        bytes32 input = keccak256(abi.encode(inputBinding, Digest.circuitInput(inputDigest, padDigest)));
        if (input != r.inputCommitment) revert JobMarket_WrongInput(input, r.inputCommitment);

        j.digest = Digest.masked(padDigest, masked);
        _checkProof(id, r.version, inputDigest, j.digest, proof);
        _settleProved(id, j, committee, masked);
    }

    /// @inheritdoc IJobMarket
    function refuse(JobId id, address[] calldata committee, uint8 reason) external {
        Job memory j = _in(id, State.Ready);
        _before(j.deadline);
        j.excused |= JobLib.bit(_uncommittedSeat(j, committee));
        emit SeatRefused(id, msg.sender, reason);
        if (j.hopeless()) {
            _refund(id, j, RefundReason.Refusals, j.escrow());
            _release(j, committee, new uint256[](committee.length));
        } else {
            _openRevealsIfComplete(id, j);
            _save(id, j);
        }
    }

    /// @inheritdoc IJobMarket
    function demand(JobId id, address[] calldata committee) external payable {
        Job memory j = _in(id, State.Ready);
        _before(j.deadline);
        if (j.has(JobLib.UNPUBLISHABLE)) revert JobMarket_Unpublishable(id);
        if (j.has(JobLib.PUBLISHED)) revert JobMarket_AlreadyPublished(id);
        if (msg.value != _demandDeposit) revert JobMarket_WrongDeposit(msg.value, _demandDeposit);
        _uncommittedSeat(j, committee);
        j.state = State.Demanded;
        j.deadline = uint40(block.timestamp + _publishWindow);
        _save(id, j);
        _demanders[id] = msg.sender;
        emit CiphertextDemanded(id, msg.sender, j.deadline);
    }

    /// @inheritdoc IJobMarket
    function publish(Request calldata r, address requester, bytes calldata ciphertext) external {
        JobId id = r.id(address(this), requester);
        Job memory j = _in(id, State.Demanded);
        _before(j.deadline);
        bytes32 hash = sha256(ciphertext);
        if (hash != r.ciphertextHash) revert JobMarket_WrongCiphertext(hash, r.ciphertextHash);
        j.state = State.Ready;
        j.flags |= JobLib.PUBLISHED;
        j.deadline = uint40(block.timestamp + _commitWindow);
        _save(id, j);
        delete _demanders[id];
        emit CiphertextPublished(id, msg.sender, ciphertext, j.deadline);
        _credit(msg.sender, id, _demandDeposit);
    }

    /// @inheritdoc IJobMarket
    function close(JobId id, address[] calldata committee) external {
        Job memory j = _known(id);
        if (j.state == State.Open) {
            _after(j.deadline);
            uint256 fee = j.escrow() * _faultBps / BPS;
            _credit(BURN, id, fee);
            _refund(id, j, RefundReason.NotDelivered, j.escrow() - fee);
        } else if (j.state == State.Ready) {
            // With a quorum of commitments their owners still have the reveal window.
            bool decidable = JobLib.count(j.committed) >= j.quorum;
            _after(decidable ? j.deadline + _revealWindow : j.deadline);
            _settle(id, j, committee);
        } else if (j.state == State.Demanded) {
            _after(j.deadline);
            _void(id, j, committee);
        } else if (j.state == State.Committed) {
            _after(j.deadline);
            _settle(id, j, committee);
        } else {
            revert JobMarket_WrongState(id, j.state);
        }
    }

    /// @inheritdoc IJobMarket
    function job(JobId id) external view returns (Job memory) {
        return _jobs[id];
    }

    /// @inheritdoc IJobMarket
    function result(JobId id) external view returns (bytes32) {
        return _in(id, State.Settled).digest;
    }

    /// @inheritdoc IJobMarket
    function jobId(Request calldata r, address requester) external view returns (JobId) {
        return r.id(address(this), requester);
    }

    /// @inheritdoc IJobMarket
    function parameters() external view returns (Parameters memory) {
        return Parameters({
            seedDelay: _seedDelay,
            deliverWindow: _deliverWindow,
            commitWindow: _commitWindow,
            revealWindow: _revealWindow,
            publishWindow: _publishWindow,
            stakeRatio: _stakeRatio,
            silentBps: _silentBps,
            wrongBps: _wrongBps,
            faultBps: _faultBps,
            demandDeposit: _demandDeposit
        });
    }

    /// @dev Refuses a level that is not offered, and a committee that does not suit the level.
    /// @return verifier number of the verifier of a PROVED job, 0 for any other
    function _checkLevel(Request calldata r) private view returns (uint32 verifier) {
        if (r.level == Level.Proved) {
            // One proof decides, so a second seat would be paid for nothing.
            if (r.seats != 1 || r.quorum != 1) revert JobMarket_BadCommittee(r.seats, r.quorum, 1);
            // What a proof must be about is looked up when one comes.
            // slither-disable-next-line unused-return
            (verifier,,) = models.circuitOf(r.version);
            if (verifiers.isRemoved(verifier)) revert JobMarket_VerifierRemoved(verifier);
            return verifier;
        }
        if (r.level != Level.Agreed) revert JobMarket_LevelNotAvailable(r.level);
        // A quorum of half the seats or less would let two outputs win.
        if (r.seats < 2 || r.seats > MAX_SEATS || r.quorum > r.seats || 2 * uint256(r.quorum) <= r.seats) {
            revert JobMarket_BadCommittee(r.seats, r.quorum, MAX_SEATS);
        }
    }

    /// @dev The context holds the caller, so that a proof is worth nothing to whoever copies it.
    function _checkProof(JobId id, VersionId version, bytes32 input, bytes32 output, bytes calldata proof)
        private
        view
    {
        (uint32 verifier, bytes32 circuit, bytes32 weights) = models.circuitOf(version);
        bytes32 context = keccak256(abi.encode(block.chainid, address(this), id, msg.sender));
        bytes memory question = abi.encodeCall(IProofVerifier.verify, (circuit, weights, input, output, context, proof));
        (bool valid, bytes memory answer) = Ask.that(address(verifiers.verifierOf(verifier)), question);
        if (!valid) revert JobMarket_InvalidProof(id, answer);
    }

    function _settleProved(JobId id, Job memory j, address[] calldata committee, bytes calldata masked) private {
        j.state = State.Settled;
        _save(id, j);
        delete _verifierIds[id];
        emit JobProved(id, msg.sender, masked);
        emit JobSettled(id, j.digest, JobLib.bit(0));
        _credit(msg.sender, id, j.pricePerSeat);
        _release(j, committee, new uint256[](1));
    }

    /// @dev Pays who agreed, takes stake from who was wrong, hid an output or stayed silent, and refunds the rest.
    function _settle(JobId id, Job memory j, address[] calldata committee) private {
        _checkCommittee(j, committee);
        bytes32[] memory outputs = new bytes32[](j.seats);
        for (uint256 i = 0; i < j.seats; ++i) {
            if (j.revealed & JobLib.bit(i) != 0) outputs[i] = _seats[id][i];
            if (j.committed & JobLib.bit(i) != 0) delete _seats[id][i];
        }
        (bytes32 winner, uint16 agreeing) = Tally.count(outputs, j.quorum);
        uint256[] memory penalties = _penalties(id, j, winner != 0, agreeing);
        if (winner != 0) {
            j.state = State.Settled;
            j.digest = winner;
            _save(id, j);
            emit JobSettled(id, winner, agreeing);
            for (uint256 i = 0; i < j.seats; ++i) {
                if (agreeing & JobLib.bit(i) != 0) _credit(committee[i], id, j.pricePerSeat);
            }
            _credit(j.requester, id, j.escrow() - uint256(JobLib.count(agreeing)) * j.pricePerSeat);
        } else {
            bool few = JobLib.count(j.committed) < j.quorum;
            _refund(id, j, few ? RefundReason.TooFewCommits : RefundReason.NoQuorum, j.escrow());
        }

        // MONEY-6: a share for the requester would pay it for colluding with a majority against the other seats. It lost
        // nothing here: it has an answer, or its whole escrow.
        _credit(BURN, id, _release(j, committee, penalties));
    }

    /// @dev What each seat loses. Without a quorum nobody is known to be wrong, yet who hid an output still pays: else
    ///      hiding would be the cheap way out for whoever sees others reveal another output first.
    function _penalties(JobId id, Job memory j, bool decided, uint16 agreeing)
        private
        view
        returns (uint256[] memory penalties)
    {
        uint256 wrong = uint256(j.lockEach) * _wrongBps / BPS;
        uint256 silent = _excusesSilence(id, j) ? 0 : uint256(j.lockEach) * _silentBps / BPS;
        // Before a quorum of commitments nobody could reveal.
        bool couldReveal = JobLib.count(j.committed) >= j.quorum;
        penalties = new uint256[](j.seats);
        for (uint256 i = 0; i < j.seats; ++i) {
            uint16 bit = JobLib.bit(i);
            if (j.excused & bit != 0) continue;
            if (j.committed & bit == 0) penalties[i] = silent;
            else if (j.revealed & bit == 0) penalties[i] = couldReveal ? wrong : 0;
            else if (decided && agreeing & bit == 0) penalties[i] = wrong;
        }
    }

    /// @dev A worker may have lacked the ciphertext without a way to demand it, or had a proof that nobody would check.
    function _excusesSilence(JobId id, Job memory j) private view returns (bool) {
        return j.has(JobLib.UNPUBLISHABLE) || (j.has(JobLib.PROVED) && verifiers.isRemoved(_verifierIds[id]));
    }

    /// @dev The requester withheld the ciphertext: each seat that did not refuse gets its part of the fee.
    function _void(JobId id, Job memory j, address[] calldata committee) private {
        _checkCommittee(j, committee);
        uint256 fee = uint256(j.pricePerSeat) * _faultBps / BPS;
        uint256 fees = 0;
        for (uint256 i = 0; i < j.seats; ++i) {
            if (j.committed & JobLib.bit(i) != 0) delete _seats[id][i];
            if (j.excused & JobLib.bit(i) != 0) continue;
            fees += fee;
            _credit(committee[i], id, fee);
        }
        _credit(_demanders[id], id, _demandDeposit);
        delete _demanders[id];
        _refund(id, j, RefundReason.Unpublished, j.escrow() - fees);
        _release(j, committee, new uint256[](committee.length));
    }

    function _refund(JobId id, Job memory j, RefundReason reason, uint256 amount) private {
        j.state = State.Refunded;
        j.digest = 0;
        _save(id, j);
        if (j.has(JobLib.PROVED)) delete _verifierIds[id];
        emit JobRefunded(id, reason);
        _credit(j.requester, id, amount);
    }

    function _release(Job memory j, address[] calldata committee, uint256[] memory penalties)
        private
        returns (uint256 slashed)
    {
        return nodes.release(committee, j.lockEach, penalties);
    }

    function _openRevealsIfComplete(JobId id, Job memory j) private {
        if (j.allCommitted()) _openReveals(id, j, uint40(block.timestamp + _revealWindow));
    }

    function _openReveals(JobId id, Job memory j, uint40 revealBy) private {
        j.state = State.Committed;
        j.deadline = revealBy;
        emit RevealsOpened(id, revealBy);
    }

    function _draw(Job memory j, bytes32 seed) private view returns (address[] memory) {
        uint256 requested = nodes.epochOf(j.seedBlock - _seedDelay);
        uint256 current = nodes.epochOf(block.number);
        if (current > requested + 1) revert JobMarket_SeatsForgotten(requested, current);
        return nodes.draw(seed, j.seats, requested, j.lockEach);
    }

    function _uncommittedSeat(Job memory j, address[] calldata committee) private view returns (uint256 seat) {
        seat = _seatOf(j, committee);
        if (j.committed & JobLib.bit(seat) != 0) revert JobMarket_AlreadyCommitted(msg.sender);
        if (j.excused & JobLib.bit(seat) != 0) revert JobMarket_Excused(msg.sender);
    }

    function _seatOf(Job memory j, address[] calldata committee) private view returns (uint256 seat) {
        _checkCommittee(j, committee);
        for (; seat < committee.length; ++seat) {
            if (committee[seat] == msg.sender) return seat;
        }
        revert JobMarket_NotSeated(msg.sender);
    }

    function _checkCommittee(Job memory j, address[] calldata committee) private pure {
        bytes32 given = keccak256(abi.encode(committee));
        if (given != j.digest) revert JobMarket_WrongCommittee(given, j.digest);
    }

    function _known(JobId id) private view returns (Job memory j) {
        j = _jobs[id];
        if (j.state == State.None) revert JobMarket_UnknownJob(id);
    }

    function _save(JobId id, Job memory j) private {
        _jobs[id].save(j);
    }

    function _in(JobId id, State state) private view returns (Job memory j) {
        j = _known(id);
        if (j.state != state) revert JobMarket_WrongState(id, j.state);
    }

    function _before(uint256 deadline) private view {
        if (block.timestamp > deadline) revert JobMarket_TooLate(block.timestamp, deadline);
    }

    function _after(uint256 deadline) private view {
        if (block.timestamp <= deadline) revert JobMarket_TooEarly(block.timestamp, deadline);
    }
}
