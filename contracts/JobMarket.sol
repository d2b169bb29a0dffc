// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Rules} from "./Rules.sol";
import {Signed} from "./Signed.sol";
import {IJobMarket} from "./interfaces/IJobMarket.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IProofVerifier} from "./interfaces/IProofVerifier.sol";
import {Ask} from "./libraries/Ask.sol";
import {BlockHeader} from "./libraries/BlockHeader.sol";
import {Tally} from "./libraries/Tally.sol";
import {Digest} from "./types/Digest.sol";
import {JobId, VersionId} from "./types/Ids.sol";
import {Job, JobLib, RefundReason, State} from "./types/Job.sol";
import {Level, Request} from "./types/Request.sol";

/// @title Escrow and life of a job; see IJobMarket
contract JobMarket is Signed {
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

    mapping(JobId => Job) private _jobs;
    /// @dev A seat's commitment, and after the reveal its output commitment; before both, in a job for a version with a
    ///      policy, the hash of its sealed key, since a refusal that costs the requester must be about that (SIG-2).
    mapping(JobId => mapping(uint256 seat => bytes32)) private _seats;
    mapping(JobId => address) private _demanders;
    /// @dev Number of the verifier of a live PROVED job: `close` does not get to see the version.
    mapping(JobId => uint32) private _verifierIds;

    constructor(INodeRegistry nodes_, IModelRegistry models_, Parameters memory p) Rules(nodes_, models_, p) {}

    /// @dev Slashed stake on its way to whom it is credited.
    receive() external payable {
        if (msg.sender != address(nodes)) revert JobMarket_NotRegistry(msg.sender);
    }

    /// @inheritdoc IJobMarket
    function request(Request calldata r) external payable returns (JobId id) {
        (uint256 price, uint16 policyRevision) = models.offerOf(r.version);
        (uint32 verifier, uint8 flags) = _checkLevel(r, policyRevision != 0);
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
        j.flags = r.ciphertextSize > MAX_PUBLISHED ? flags | JobLib.UNPUBLISHABLE : flags;
        j.deadline = deliverBy;
        j.seedBlock = SafeCast.toUint32(seedBlock);
        j.pricePerSeat = SafeCast.toUint72(price);
        j.requester = msg.sender;
        j.lockEach = SafeCast.toUint80(price * _stakeRatio);
        if (verifier != 0) _verifierIds[id] = verifier;
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
        address[] memory committee = _draw(j, r.version, seed);
        bytes32 drawn = keccak256(abi.encode(committee));
        if (drawn != committeeHash) revert JobMarket_DrawMismatch(committeeHash, drawn);

        for (uint256 i = 0; i < committee.length; ++i) {
            if (committee[i] == address(0)) j.excused |= JobLib.bit(i);
        }
        if (j.hopeless()) {
            // Nobody was locked and nobody is at fault.
            j.excused = 0;
            _refund(id, j, RefundReason.CommitteeTooSmall);
            return;
        }
        uint256 required = SEALED_KEY * (j.seats - JobLib.count(j.excused));
        if (sealedKeys.length != required) revert JobMarket_SealedKeysLength(sealedKeys.length, required);
        j.state = State.Ready;
        j.deadline = uint40(block.timestamp + _commitWindow);
        j.deliveredAt = SafeCast.toUint32(block.timestamp);
        j.digest = drawn;
        _save(id, j);
        if (j.has(JobLib.ENROLLED)) _noteKeys(id, j, sealedKeys);
        emit KeysDelivered(id, seed, committee, sealedKeys, j.deadline);
        nodes.lock(committee, j.lockEach);
    }

    /// @inheritdoc IJobMarket
    function commit(JobId id, address[] calldata committee, bytes32 commitment) external {
        Job memory j = _in(id, State.Ready);
        if (j.has(JobLib.PROVED | JobLib.ATTESTED)) revert JobMarket_WrongLevel(id);
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
        bytes calldata sealedOutput,
        bytes calldata signature
    ) external {
        Job memory j = _known(id);
        if (j.state == State.Ready && block.timestamp > j.deadline && JobLib.count(j.committed) >= j.quorum) {
            // Seats that never committed hold nobody up; the reveal window follows the commit window.
            _openReveals(id, j, j.deadline + _revealWindow);
        }
        if (j.state != State.Committed) revert JobMarket_WrongState(id, j.state);
        _before(j.deadline);
        uint256 seat = _seatOf(j, committee);
        if (j.committed & JobLib.bit(seat) == 0) revert JobMarket_NotCommitted(msg.sender);
        if (j.revealed & JobLib.bit(seat) != 0) revert JobMarket_AlreadyRevealed(msg.sender);
        _checkOutput(outputCommitment, sealedOutput);
        _checkOpening(id, seat, outputCommitment, salt);
        _checkResult(id, j.deliveredAt, outputCommitment, sealedOutput, signature);

        j.revealed |= JobLib.bit(seat);
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
        InputOpening calldata opening,
        bytes calldata masked,
        bytes calldata proof,
        bytes calldata signature
    ) external {
        (JobId id, Job memory j) = _asked(r, requester, committee);
        j.digest = _provedOutput(r.inputCommitment, opening, masked);
        _checkProof(r.version, id, opening.inputDigest, j.digest, proof);
        _checkResult(id, j.deliveredAt, j.digest, masked, signature);
        emit JobProved(id, msg.sender, masked);
        _settleAlone(id, j, committee);
    }

    /// @inheritdoc IJobMarket
    function answer(
        JobId id,
        address[] calldata committee,
        bytes32 outputCommitment,
        bytes calldata sealedOutput,
        bytes calldata signature
    ) external {
        Job memory j = _in(id, State.Ready);
        if (!j.has(JobLib.ATTESTED)) revert JobMarket_WrongLevel(id);
        _before(j.deadline);
        _seatOf(j, committee);
        _checkOutput(outputCommitment, sealedOutput);
        if (_revoked(j, msg.sender)) revert JobMarket_Revoked(msg.sender);
        _checkResult(id, j.deliveredAt, outputCommitment, sealedOutput, signature);
        j.digest = outputCommitment;
        emit OutputRevealed(id, msg.sender, outputCommitment, sealedOutput);
        _settleAlone(id, j, committee);
    }

    /// @inheritdoc IJobMarket
    function refuse(
        JobId id,
        address[] calldata committee,
        uint8 reason,
        bytes32 sealedKeyHash,
        bytes calldata signature
    ) external {
        Job memory j = _in(id, State.Ready);
        _before(j.deadline);
        uint256 seat = _uncommittedSeat(j, committee);
        emit SeatRefused(id, msg.sender, reason);
        if (signature.length != 0 && j.has(JobLib.ENROLLED) && _provable(reason)) {
            bytes32 delivered = _seats[id][seat];
            if (sealedKeyHash != delivered) revert JobMarket_WrongSealedKey(sealedKeyHash, delivered);
            _checkRefusal(id, j.deliveredAt, sealedKeyHash, reason, signature);
            j.charged |= JobLib.bit(seat);
            _jobs[id].charged = j.charged;
            emit RefusalCharged(id, msg.sender, _fee(j), sealedKeyHash);
            _credit(msg.sender, id, _fee(j));
        }
        j.excused |= JobLib.bit(seat);
        if (j.has(JobLib.ENROLLED)) delete _seats[id][seat];
        if (j.hopeless()) {
            _refund(id, j, RefundReason.Refusals);
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

    /// @dev Refuses a level that is not offered, and a committee that does not suit the level.
    /// @param closed whether the version has a policy
    /// @return verifier number of the verifier of a PROVED job, 0 for any other
    /// @return flags PROVED, ATTESTED and ENROLLED, where they hold
    function _checkLevel(Request calldata r, bool closed) private view returns (uint32 verifier, uint8 flags) {
        if (closed) flags = JobLib.ENROLLED;
        if (r.level == Level.Agreed) {
            // A quorum of half the seats or less would let two outputs win.
            if (r.seats < 2 || r.seats > MAX_SEATS || r.quorum > r.seats || 2 * uint256(r.quorum) <= r.seats) {
                revert JobMarket_BadCommittee(r.seats, r.quorum, MAX_SEATS);
            }
            return (0, flags);
        }
        if (r.level == Level.Split) revert JobMarket_LevelNotAvailable(r.level);
        // One answer decides, so a second seat would be paid for nothing.
        if (r.seats != 1 || r.quorum != 1) revert JobMarket_BadCommittee(r.seats, r.quorum, 1);
        if (r.level == Level.Attested) {
            if (!closed) revert JobMarket_OpenVersion(r.version);
            return (0, flags | JobLib.ATTESTED);
        }
        // What a proof must be about is looked up when one comes.
        // slither-disable-next-line unused-return
        (verifier,,) = models.circuitOf(r.version);
        if (verifiers.isRemoved(verifier)) revert JobMarket_VerifierRemoved(verifier);
        return (verifier, flags | JobLib.PROVED);
    }

    /// @dev A PROVED job that the caller may prove.
    function _asked(Request calldata r, address requester, address[] calldata committee)
        private
        view
        returns (JobId id, Job memory j)
    {
        id = r.id(address(this), requester);
        j = _in(id, State.Ready);
        if (!j.has(JobLib.PROVED)) revert JobMarket_WrongLevel(id);
        _before(j.deadline);
        _seatOf(j, committee);
    }

    /// @dev The digest of the output, if the rest is what the request bound.
    function _provedOutput(bytes32 committed, InputOpening calldata opening, bytes calldata masked)
        private
        pure
        returns (bytes32)
    {
        if (masked.length > MAX_MASKED) revert JobMarket_MaskedTooLong(masked.length, MAX_MASKED);
        bytes32 circuitInput = Digest.circuitInput(opening.inputDigest, opening.padDigest);
        bytes32 input = keccak256(abi.encode(opening.inputBinding, circuitInput));
        if (input != committed) revert JobMarket_WrongInput(input, committed);
        return Digest.masked(opening.padDigest, masked);
    }

    /// @dev The context holds the caller, so that a proof is worth nothing to whoever copies it.
    function _checkProof(VersionId version, JobId id, bytes32 input, bytes32 output, bytes calldata proof)
        private
        view
    {
        (uint32 verifier, bytes32 circuit, bytes32 weights) = models.circuitOf(version);
        bytes32 context = keccak256(abi.encode(block.chainid, address(this), id, msg.sender));
        bytes memory question = abi.encodeCall(IProofVerifier.verify, (circuit, weights, input, output, context, proof));
        (bool valid, bytes memory said) = Ask.that(address(verifiers.verifierOf(verifier)), question);
        if (!valid) revert JobMarket_InvalidProof(id, said);
    }

    /// @dev Pays the only seat for `j.digest`.
    function _settleAlone(JobId id, Job memory j, address[] calldata committee) private {
        j.state = State.Settled;
        _save(id, j);
        if (j.has(JobLib.PROVED)) delete _verifierIds[id];
        if (j.has(JobLib.ENROLLED)) delete _seats[id][0];
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
            _forgetSeat(id, j, i);
        }
        (bytes32 winner, uint16 agreeing) = Tally.count(outputs, j.quorum);
        uint256[] memory penalties = _penalties(id, j, committee, winner != 0, agreeing);
        if (winner != 0) {
            j.state = State.Settled;
            j.digest = winner;
            _save(id, j);
            emit JobSettled(id, winner, agreeing);
            for (uint256 i = 0; i < j.seats; ++i) {
                if (agreeing & JobLib.bit(i) != 0) _credit(committee[i], id, j.pricePerSeat);
            }
            _credit(j.requester, id, _left(j) - uint256(JobLib.count(agreeing)) * j.pricePerSeat);
        } else {
            bool few = JobLib.count(j.committed) < j.quorum;
            _refund(id, j, few ? RefundReason.TooFewCommits : RefundReason.NoQuorum);
        }

        // MONEY-6: a share for the requester would pay it for colluding with a majority against the other seats. It lost
        // nothing here: it has an answer, or its whole escrow.
        _credit(BURN, id, _release(j, committee, penalties));
    }

    /// @dev What each seat loses. Without a quorum nobody is known to be wrong, yet who hid an output still pays: else
    ///      hiding would be the cheap way out for whoever sees others reveal another output first.
    function _penalties(JobId id, Job memory j, address[] calldata committee, bool decided, uint16 agreeing)
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
            if (j.committed & bit == 0) penalties[i] = _revoked(j, committee[i]) ? 0 : silent;
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
        uint256 fee = _fee(j);
        uint256 fees = 0;
        for (uint256 i = 0; i < j.seats; ++i) {
            _forgetSeat(id, j, i);
            if (j.excused & JobLib.bit(i) != 0) continue;
            fees += fee;
            _credit(committee[i], id, fee);
        }
        _credit(_demanders[id], id, _demandDeposit);
        delete _demanders[id];
        _refund(id, j, RefundReason.Unpublished, _left(j) - fees);
        _release(j, committee, new uint256[](committee.length));
    }

    function _refund(JobId id, Job memory j, RefundReason reason) private {
        _refund(id, j, reason, _left(j));
    }

    function _refund(JobId id, Job memory j, RefundReason reason, uint256 amount) private {
        j.state = State.Refunded;
        j.digest = 0;
        _save(id, j);
        if (j.has(JobLib.PROVED)) delete _verifierIds[id];
        emit JobRefunded(id, reason);
        _credit(j.requester, id, amount);
    }

    /// @dev What a seat that the requester wronged earns.
    function _fee(Job memory j) private view returns (uint256) {
        return uint256(j.pricePerSeat) * _faultBps / BPS;
    }

    /// @dev The escrow less what signed refusals have taken from it.
    function _left(Job memory j) private view returns (uint256) {
        return j.escrow() - JobLib.count(j.charged) * _fee(j);
    }

    /// @dev ENC-5. In a job for an open version no attestation was asked for, and its end excuses nothing.
    function _revoked(Job memory j, address worker) private view returns (bool) {
        return j.has(JobLib.ENROLLED) && nodes.revokedAt(worker) >= j.deliveredAt;
    }

    /// @dev Input commitment does not match, input malformed, sealed key does not open: what only the requester can cause.
    function _provable(uint8 reason) private pure returns (bool) {
        return reason == 1 || reason == 4 || reason == 5;
    }

    function _noteKeys(JobId id, Job memory j, bytes calldata sealedKeys) private {
        uint256 offset = 0;
        for (uint256 i = 0; i < j.seats; ++i) {
            if (j.excused & JobLib.bit(i) != 0) continue;
            _seats[id][i] = keccak256(sealedKeys[offset:offset + SEALED_KEY]);
            offset += SEALED_KEY;
        }
    }

    function _forgetSeat(JobId id, Job memory j, uint256 seat) private {
        if (j.has(JobLib.ENROLLED) || j.committed & JobLib.bit(seat) != 0) delete _seats[id][seat];
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
