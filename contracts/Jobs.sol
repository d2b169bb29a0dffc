// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Rules} from "./Rules.sol";
import {Signed} from "./Signed.sol";
import {ICurrencies} from "./interfaces/ICurrencies.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {IProofVerifier} from "./interfaces/IProofVerifier.sol";
import {Ask} from "./libraries/Ask.sol";
import {Digest} from "./types/Digest.sol";
import {JobId, VersionId} from "./types/Ids.sol";
import {Job, JobLib, RefundReason, State} from "./types/Job.sol";
import {Brief, Level, Request, Terms, Ticket, TicketLib} from "./types/Request.sol";
import {Offer} from "./types/Version.sol";

/// @title The jobs of a market, and what happens to one wherever it is called
/// @notice JobMarket, Disputes and Upkeep share this storage: the code of the others runs in the first's place.
abstract contract Jobs is Signed {
    /// @dev Masks have one bit per seat. At 15 seats the dearest call stays below 30% of the 2^24 gas cap.
    uint256 public constant MAX_SEATS = 15;
    /// @dev HPKE: 32 bytes of encapsulated key, 32 of input key, 16 of tag.
    uint256 public constant SEALED_KEY = 80;
    /// @dev 64 KiB of calldata cost at most 2.7M gas (EIP-7623). Larger inputs cannot be published on demand.
    uint256 public constant MAX_PUBLISHED = 65536;
    /// @dev 256 words of output.
    uint256 public constant MAX_MASKED = 8192;
    /// @dev What a wrong or hidden output weighs against a worker; silence weighs one.
    uint256 internal constant WRONG_WEIGHT = 4;

    /// @dev Who challenged a result, and with how much.
    struct Challenge {
        address by;
        uint96 bond;
    }

    mapping(JobId => uint256) internal _jobs;
    /// @dev A seat's commitment; after the reveal its output commitment if it was the first one or differs from that, else
    ///      nothing. Once a job is settled the entry of seat `lead` is the result.
    mapping(JobId => mapping(uint256 seat => bytes32)) internal _seats;
    mapping(JobId => address) internal _demanders;
    mapping(JobId => Challenge) internal _challenges;
    // Written by Disputes.
    // slither-disable-next-line uninitialized-state
    mapping(JobId => JobId) internal _referees;

    constructor(INodeRegistry nodes_, IModelRegistry models_, ICurrencies currencies_, Parameters memory p)
        Rules(nodes_, models_, currencies_, p)
    {}

    /// @notice Hash of all that was fixed at deployment: the three parts of a market agree on it.
    function settings() external view returns (bytes32) {
        return _fixed();
    }

    /// @dev A job that waits for its draw, and its escrow.
    function _request(Request calldata r) internal returns (JobId id) {
        Job memory j;
        (id, j) = _post(r, 0);
        _open(id, j, r);
        _take(r.terms.token, r.terms.escrow(), 0);
    }

    /// @dev A new job, checked and not yet written down.
    /// @param flags FINAL for a referee's job
    function _post(Request calldata r, uint8 flags) internal view returns (JobId id, Job memory j) {
        Terms calldata t = r.terms;
        if (t.requester != msg.sender) revert JobMarket_NotRequester(msg.sender, t.requester);
        (Offer memory offer, uint16 policyRevision) = models.offerOf(t.version, t.token);
        // More is allowed: it bids for attention, and a price that rises meanwhile does not undo the request.
        if (t.pricePerSeat < offer.price) revert JobMarket_PriceChanged(t.pricePerSeat, offer.price);
        if (t.ownerPercent != offer.ownerPercent) {
            revert JobMarket_WrongOwnerPercent(t.ownerPercent, offer.ownerPercent);
        }
        uint256 lock = _lockFor(t.pricePerSeat, t.token);
        if (t.lockEach != lock) revert JobMarket_WrongLock(t.lockEach, lock);
        id = r.id();
        if (_jobs[id] != 0) revert JobMarket_AlreadyRequested(id);
        j.flags = flags | _checkLevel(t, policyRevision != 0, offer.inexact);
        if (r.brief.ciphertextSize > MAX_PUBLISHED) j.flags |= JobLib.UNPUBLISHABLE;
    }

    /// @dev Refuses a level that is not offered, and a committee or a verifier that does not suit the level.
    /// @param closed whether the version has a policy
    function _checkLevel(Terms calldata t, bool closed, bool inexact) private view returns (uint8 flags) {
        if (closed) flags = JobLib.ENROLLED;
        if (inexact) flags |= JobLib.INEXACT | JobLib.FINAL;
        if (t.verifier != 0) {
            uint32 registered = models.verifierOf(t.version);
            // Where equal work can give unequal outputs, no proof of one says that another is wrong.
            if (t.verifier != registered || inexact) revert JobMarket_WrongVerifier(t.verifier, registered);
            if (verifiers.isRemoved(t.verifier)) revert JobMarket_VerifierRemoved(t.verifier);
        }
        if (t.level == Level.Agreed) {
            // A quorum of half the seats or less would let two outputs win.
            if (t.seats < 2 || t.seats > MAX_SEATS || t.quorum > t.seats || 2 * uint256(t.quorum) <= t.seats) {
                revert JobMarket_BadCommittee(t.seats, t.quorum, MAX_SEATS);
            }
            return flags;
        }
        if (t.level == Level.Split) revert JobMarket_LevelNotAvailable(t.level);
        // One answer decides, so a second seat would be paid for nothing.
        if (t.seats != 1 || t.quorum != 1) revert JobMarket_BadCommittee(t.seats, t.quorum, 1);
        if (t.level == Level.Attested) {
            if (!closed) revert JobMarket_OpenVersion(t.version);
            return flags;
        }
        if (t.verifier == 0) revert JobMarket_WrongVerifier(0, models.verifierOf(t.version));
        return flags | JobLib.FINAL;
    }

    /// @dev A job that waits for its draw.
    function _open(JobId id, Job memory j, Request calldata r) internal {
        if (r.brief.worker != address(0)) revert JobMarket_WrongHire(r.brief.worker);
        j.state = State.Open;
        j.deadline = SafeCast.toUint32(block.timestamp + _deliverWindow);
        j.moment = SafeCast.toUint32(block.number + _seedDelay);
        _save(id, j);
        emit JobRequested(id, msg.sender, r.terms.version, r, j.moment, j.deadline);
    }

    /// @dev Pays who agreed, takes stake from who hid an output or stayed silent, and opens a dispute where nothing has a quorum.
    function _settle(JobId id, Ticket calldata t, Job memory j) internal {
        (address[] memory leaving, uint256[] memory penalties) = _absent(id, t, j);
        bool decided = _tally(id, j, t.terms.quorum);
        if (decided) {
            bool last = j.has(JobLib.FINAL);
            j.state = State.Settled;
            j.deadline = SafeCast.toUint32(block.timestamp + (last ? 0 : _challengeWindow));
            uint16 paid = j.agreeing();
            emit JobSettled(id, _seats[id][j.lead], paid, j.deadline);
            _credit(t.terms.requester, id, t.terms.token, _left(t.terms, j) - _pay(id, t, j, paid));
            if (last && j.dissenting != 0) _outvoted(id, t, j, leaving, penalties);
            _save(id, j);
        } else if (j.revealed != 0 && !j.has(JobLib.FINAL)) {
            j.state = State.Disputed;
            j.deadline = SafeCast.toUint32(block.timestamp + _disputeWindow);
            _save(id, j);
            emit JobDisputed(id, j.deadline);
        } else {
            bool few = JobLib.count(j.committed) < t.terms.quorum;
            _dissolve(id, t, j, leaving);
            _refund(id, t.terms, j, few ? RefundReason.TooFewCommits : RefundReason.NoQuorum, _left(t.terms, j));
        }
        // MONEY-6: a share for the requester would pay it for colluding with a majority against the other seats. It lost
        // nothing here: it has an answer, or its whole escrow.
        _credit(BURN, id, _release(t, j, leaving, penalties));
    }

    /// @dev Seats that owe an output and showed none. Without a quorum nobody is known to be wrong, yet who hid an output pays
    ///      all the same: else hiding would be the cheap way out for whoever sees others reveal another output first.
    /// @return leaving addresses of those seats, zero for all others
    function _absent(JobId id, Ticket calldata t, Job memory j)
        private
        returns (address[] memory leaving, uint256[] memory penalties)
    {
        uint256 silent = _excusesSilence(t.terms, j) ? 0 : uint256(t.terms.lockEach) * _silentBps / BPS;
        // Before a quorum of commitments nobody could reveal.
        bool couldReveal = JobLib.count(j.committed) >= t.terms.quorum;
        leaving = new address[](t.committee.length);
        penalties = new uint256[](t.committee.length);
        for (uint256 i = 0; i < leaving.length; ++i) {
            uint16 bit = JobLib.bit(i);
            if ((j.excused | j.revealed) & bit != 0) continue;
            address worker = leaving[i] = t.committee[i];
            if (j.committed & bit == 0) {
                if (silent == 0 || _revoked(j, worker)) continue;
                penalties[i] = silent;
                _blame(worker, 1);
            } else {
                delete _seats[id][i];
                if (!couldReveal) continue;
                penalties[i] = _wrong(t.terms);
                _blame(worker, WRONG_WEIGHT);
            }
        }
    }

    /// @dev Makes the seat `lead` one that holds the winner, if there is one.
    function _tally(JobId id, Job memory j, uint256 quorum) private returns (bool decided) {
        if (JobLib.count(j.agreeing()) >= quorum) return true;
        if (JobLib.count(j.dissenting) < quorum) return false;
        for (uint256 i = 0; i < MAX_SEATS; ++i) {
            if (j.dissenting & JobLib.bit(i) == 0) continue;
            bytes32 candidate = _seats[id][i];
            uint16 same = 0;
            for (uint256 k = i; k < MAX_SEATS; ++k) {
                if (j.dissenting & JobLib.bit(k) != 0 && _seats[id][k] == candidate) same |= JobLib.bit(k);
            }
            if (JobLib.count(same) < quorum) continue;
            // The first output lost: its seats keep it each for themselves, as dissenters do.
            bytes32 first = _seats[id][j.lead];
            uint16 losers = j.agreeing();
            for (uint256 k = 0; k < MAX_SEATS; ++k) {
                if (losers & JobLib.bit(k) != 0) _seats[id][k] = first;
            }
            j.dissenting = j.revealed & ~same;
            j.lead = uint8(i);
            return true;
        }
        return false;
    }

    /// @dev Pays seats their price, and the version's owner its share of it.
    /// @return sum what left the escrow
    function _pay(JobId id, Ticket calldata t, Job memory j, uint16 seats) internal returns (uint256 sum) {
        uint256 price = t.terms.pricePerSeat;
        uint256 share = price * t.terms.ownerPercent / 100;
        uint256 paid = 0;
        for (uint256 i = 0; i < t.committee.length; ++i) {
            if (seats & JobLib.bit(i) == 0) continue;
            ++paid;
            if (!j.has(JobLib.HIRED)) _praise(t.committee[i]);
            _credit(t.committee[i], id, t.terms.token, price - share);
        }
        // Each seat leaves a whole number of units.
        // slither-disable-next-line divide-before-multiply
        if (share != 0) _fees[t.terms.version][t.terms.token] += share * paid;
        return price * paid;
    }

    /// @dev The seats with another output than the result lose, once nothing can be changed any more.
    function _outvoted(JobId id, Ticket calldata t, Job memory j, address[] memory leaving, uint256[] memory penalties)
        internal
    {
        for (uint256 i = 0; i < leaving.length; ++i) {
            if (j.dissenting & JobLib.bit(i) == 0) continue;
            delete _seats[id][i];
            leaving[i] = t.committee[i];
            if (j.has(JobLib.INEXACT)) continue;
            penalties[i] = _wrong(t.terms);
            _blame(leaving[i], WRONG_WEIGHT);
        }
        j.revealed &= ~j.dissenting;
        j.dissenting = 0;
    }

    /// @dev Frees all seats that revealed and forgets what.
    function _dissolve(JobId id, Ticket calldata t, Job memory j, address[] memory leaving) internal {
        for (uint256 i = 0; i < leaving.length; ++i) {
            if (j.revealed & JobLib.bit(i) == 0) continue;
            leaving[i] = t.committee[i];
            delete _seats[id][i];
        }
    }

    function _refund(JobId id, Terms calldata terms, Job memory j, RefundReason reason, uint256 amount) internal {
        j.state = State.Refunded;
        _save(id, j);
        emit JobRefunded(id, reason);
        _credit(terms.requester, id, terms.token, amount);
    }

    /// @dev Unlocks the named workers' stake, and takes the penalties from it.
    function _release(Ticket calldata t, Job memory j, address[] memory leaving, uint256[] memory penalties)
        internal
        returns (uint256 slashed)
    {
        for (uint256 i = 0; i < leaving.length; ++i) {
            if (leaving[i] == address(0)) continue;
            return nodes.release(leaving, t.terms.lockEach, _lockedUntil(t.terms.level, j.moment), penalties);
        }
    }

    /// @dev The digest of the output, if the rest is what the request bound.
    function _provedOutput(
        Ticket calldata t,
        Brief calldata brief,
        InputOpening calldata opening,
        bytes calldata masked
    ) internal pure returns (bytes32) {
        _checkBrief(t, brief);
        if (masked.length > MAX_MASKED) revert JobMarket_MaskedTooLong(masked.length, MAX_MASKED);
        bytes32 circuitInput = Digest.circuitInput(opening.inputDigest, opening.padDigest);
        bytes32 input = keccak256(abi.encode(opening.inputBinding, circuitInput));
        if (input != brief.inputCommitment) revert JobMarket_WrongInput(input, brief.inputCommitment);
        return Digest.masked(opening.padDigest, masked);
    }

    /// @dev The context holds the caller, so that a proof is worth nothing to whoever copies it.
    function _checkProof(VersionId version, JobId id, bytes32 input, bytes32 output, bytes calldata proof)
        internal
        view
    {
        (uint32 verifier, bytes32 circuit, bytes32 weights) = models.circuitOf(version);
        bytes32 context = keccak256(abi.encode(block.chainid, address(this), id, msg.sender));
        bytes memory question = abi.encodeCall(IProofVerifier.verify, (circuit, weights, input, output, context, proof));
        (bool valid, bytes memory said) = Ask.that(address(verifiers.verifierOf(verifier)), question);
        if (!valid) revert JobMarket_InvalidProof(id, said);
    }

    /// @dev A worker may have lacked the ciphertext without a way to demand it, or had a proof that nobody would check.
    function _excusesSilence(Terms calldata t, Job memory j) private view returns (bool) {
        return j.has(JobLib.UNPUBLISHABLE) || (t.level == Level.Proved && verifiers.isRemoved(t.verifier));
    }

    /// @dev ENC-5. In a job for an open version no attestation was asked for, and its end excuses nothing.
    function _revoked(Job memory j, address worker) internal view returns (bool) {
        return j.has(JobLib.ENROLLED) && nodes.revokedAt(worker) >= j.moment;
    }

    function _wrong(Terms calldata terms) internal view returns (uint256) {
        return uint256(terms.lockEach) * _wrongBps / BPS;
    }

    /// @dev What a seat that the requester wronged earns.
    function _fee(Terms calldata terms) internal view returns (uint256) {
        return uint256(terms.pricePerSeat) * _faultBps / BPS;
    }

    /// @dev The escrow less what signed refusals have taken from it.
    function _left(Terms calldata terms, Job memory j) internal view returns (uint256) {
        return terms.escrow() - j.charged * _fee(terms);
    }

    function _openRevealsIfComplete(JobId id, Ticket calldata t, Job memory j) internal {
        if (!j.allCommitted(t.terms.seats)) return;
        j.state = State.Committed;
        j.deadline = SafeCast.toUint32(block.timestamp + _revealWindow);
        emit RevealsOpened(id, j.deadline);
    }

    function _uncommittedSeat(Ticket calldata t, Job memory j) internal view returns (uint256 seat) {
        seat = _seatOf(t);
        if (j.committed & JobLib.bit(seat) != 0) revert JobMarket_AlreadyCommitted(msg.sender);
        if (j.excused & JobLib.bit(seat) != 0) revert JobMarket_Excused(msg.sender);
    }

    function _seatOf(Ticket calldata t) internal view returns (uint256 seat) {
        for (; seat < t.committee.length; ++seat) {
            if (t.committee[seat] == msg.sender) return seat;
        }
        revert JobMarket_NotSeated(msg.sender);
    }

    /// @dev The job of a ticket, whatever its state. From the delivery on committee and keys are checked.
    function _shown(Ticket calldata t) internal view returns (JobId id, Job memory j) {
        id = t.id();
        j = _load(id);
        if (j.tag == 0) return (id, j);
        bytes12 given = t.tag(id);
        if (given != j.tag) revert JobMarket_WrongCommittee(given, j.tag);
    }

    /// @dev The job of a ticket in a state that it has for a while after the delivery.
    function _shownIn(Ticket calldata t, State state) internal view returns (JobId id, Job memory j) {
        (id, j) = _shown(t);
        if (j.state != state) revert JobMarket_WrongState(id, j.state);
        _before(j.deadline);
    }

    function _load(JobId id) internal view returns (Job memory j) {
        j = JobLib.unpack(_jobs[id]);
        if (j.state == State.None) revert JobMarket_UnknownJob(id);
    }

    function _save(JobId id, Job memory j) internal {
        _jobs[id] = j.pack();
    }

    function _checkBrief(Ticket calldata t, Brief calldata brief) internal pure {
        bytes32 given = brief.hash();
        if (given != t.brief) revert JobMarket_WrongBrief(given, t.brief);
    }

    function _before(uint256 deadline) internal view {
        if (block.timestamp > deadline) revert JobMarket_TooLate(block.timestamp, deadline);
    }

    function _after(uint256 deadline) internal view {
        if (block.timestamp <= deadline) revert JobMarket_TooEarly(block.timestamp, deadline);
    }
}
