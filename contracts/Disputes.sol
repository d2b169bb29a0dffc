// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Jobs} from "./Jobs.sol";
import {ICurrencies} from "./interfaces/ICurrencies.sol";
import {IModelRegistry} from "./interfaces/IModelRegistry.sol";
import {INodeRegistry} from "./interfaces/INodeRegistry.sol";
import {JobId, VersionId} from "./types/Ids.sol";
import {Job, JobLib, RefundReason, State} from "./types/Job.sol";
import {Brief, Level, Request, Terms, Ticket} from "./types/Request.sol";

/// @title How a market finds out who is right; see IJobMarket
/// @notice JobMarket runs this code in its own place. Called at this address it has no jobs and takes no money.
contract Disputes is Jobs {
    /// @dev What is left of a slash to give away, and what of it was given.
    struct Purse {
        uint256 left;
        uint256 given;
    }

    constructor(INodeRegistry nodes_, IModelRegistry models_, ICurrencies currencies_, Parameters memory p)
        Jobs(nodes_, models_, currencies_, p)
    {}

    function challenge(Ticket calldata t) external payable {
        (JobId id, Job memory j) = _challengeable(t);
        if (t.terms.verifier == 0) revert JobMarket_NoVerifier(id);
        if (verifiers.isRemoved(t.terms.verifier)) revert JobMarket_VerifierRemoved(t.terms.verifier);
        _challenge(id, j, msg.value);
        _save(id, j);
    }

    function refer(Ticket calldata t, Brief calldata brief, Request calldata r)
        external
        payable
        returns (JobId refereeId)
    {
        (JobId id, Job memory j) = _shown(t);
        if (t.terms.requester != msg.sender) revert JobMarket_NotRequester(msg.sender, t.terms.requester);
        if (t.terms.verifier != 0) revert JobMarket_NoReferee(id);
        _checkBrief(t, brief);
        _checkReferee(id, t.terms, brief, r);
        uint256 stake = 0;
        if (j.state == State.Disputed) {
            _before(j.deadline);
            if (JobId.unwrap(_referees[id]) != 0) revert JobMarket_NoReferee(id);
            j.deadline = SafeCast.toUint32(block.timestamp + _disputeWindow);
        } else {
            _challengeable(t);
            // What is attached beyond the escrow.
            uint256 escrow = r.terms.token == COIN ? r.terms.escrow() : 0;
            if (msg.value < escrow) revert JobMarket_WrongPayment(msg.value, escrow);
            stake = msg.value - escrow;
            _challenge(id, j, stake);
        }
        _save(id, j);
        Job memory referee;
        (refereeId, referee) = _post(r, JobLib.FINAL);
        _open(refereeId, referee, r);
        _referees[id] = refereeId;
        emit RefereeCalled(id, refereeId, j.deadline);
        _take(r.terms.token, r.terms.escrow(), stake);
    }

    function judge(
        Ticket calldata t,
        Brief calldata brief,
        InputOpening calldata opening,
        bytes calldata masked,
        bytes calldata proof
    ) external {
        (JobId id, Job memory j) = _shown(t);
        if (t.terms.verifier == 0) revert JobMarket_NoVerifier(id);
        bool open = j.state == State.Settled;
        if (open) (id, j) = _challengeable(t);
        else if (j.state != State.Disputed && j.state != State.Challenged) revert JobMarket_WrongState(id, j.state);
        _before(j.deadline);
        bytes32 output = _provedOutput(t, brief, opening, masked);
        if (open && output == _seats[id][j.lead]) revert JobMarket_NothingToDecide(id);
        _checkProof(t.terms.version, id, opening.inputDigest, output, proof);
        emit JobProved(id, msg.sender, masked);
        _decide(id, t, j, output, msg.sender);
    }

    function resolve(Ticket calldata t) external {
        (JobId id, Job memory j) = _shown(t);
        if (j.state == State.Disputed || j.state == State.Challenged) {
            _closeDispute(id, t, j);
        } else if (j.state == State.Settled && j.dissenting != 0) {
            _after(j.deadline);
            _punish(id, t, j);
        } else {
            revert JobMarket_WrongState(id, j.state);
        }
    }

    /// @dev The job of a ticket whose result can be challenged now: CHAL-1.
    function _challengeable(Ticket calldata t) private view returns (JobId id, Job memory j) {
        (id, j) = _shownIn(t, State.Settled);
        if (j.has(JobLib.FINAL)) revert JobMarket_ResultFinal(id);
    }

    /// @dev More than the bond is a larger bond: it follows the base fee, which moves until the call is mined.
    function _challenge(JobId id, Job memory j, uint256 stake) private {
        if (stake < _bond()) revert JobMarket_WrongDeposit(stake, _bond());
        j.state = State.Challenged;
        j.deadline = SafeCast.toUint32(block.timestamp + _disputeWindow);
        _challenges[id] = Challenge(msg.sender, SafeCast.toUint96(stake));
        emit ResultChallenged(id, msg.sender, stake, j.deadline);
    }

    /// @dev CHAL-8: the same question to more workers.
    function _checkReferee(JobId id, Terms calldata t, Brief calldata b, Request calldata r) private pure {
        uint256 seats = 2 * uint256(t.seats) + 1;
        if (seats > MAX_SEATS) seats = MAX_SEATS;
        if (
            r.terms.level != Level.Agreed || r.terms.seats < seats || r.terms.verifier != 0
                || VersionId.unwrap(r.terms.version) != VersionId.unwrap(t.version)
                || r.brief.inputCommitment != b.inputCommitment || r.brief.ciphertextHash != b.ciphertextHash
                || r.brief.ciphertextSize != b.ciphertextSize || r.brief.responseKey != b.responseKey
        ) revert JobMarket_BadReferee(id);
    }

    /// @dev An output is known to be right: seats that revealed it win, others that revealed lose.
    /// @param prover who proved it; zero if referees found it
    function _decide(JobId id, Ticket calldata t, Job memory j, bytes32 output, address prover) private {
        bool unpaid = j.state == State.Disputed;
        uint16 before = j.agreeing();
        uint16 right = _right(id, j, output);
        if (!unpaid && right == before && right != 0) {
            _uphold(id, t, j, prover);
            return;
        }
        uint16 wrong = j.revealed & ~right;
        _rewrite(id, j, right, output);
        emit ResultOverturned(id, output, right, wrong);
        if (unpaid) {
            emit JobSettled(id, output, right, j.deadline);
            _credit(t.terms.requester, id, t.terms.token, _left(t.terms, j) - _pay(id, t, j, right));
        }
        // The registry is this market's own and calls nobody but it, with the slashed coins.
        // slither-disable-next-line reentrancy-no-eth
        uint256 slashed = _slash(t, j, wrong, 0);
        Purse memory purse = Purse(slashed / 2, 0);
        if (!unpaid) _makeGood(id, t, purse, before, right);
        if (prover == address(0)) _give(id, purse, t.terms.requester, _refereeCost(id, t.terms));
        _reward(id, purse, prover);
        _credit(BURN, id, slashed - purse.given);
    }

    /// @dev The seats that revealed `output`.
    function _right(JobId id, Job memory j, bytes32 output) private view returns (uint16 right) {
        bytes32 first = _seats[id][j.lead];
        for (uint256 i = 0; i < MAX_SEATS; ++i) {
            uint16 bit = JobLib.bit(i);
            if (j.revealed & bit == 0) continue;
            if ((j.dissenting & bit == 0 ? first : _seats[id][i]) == output) right |= bit;
        }
    }

    /// @dev Makes `output` the result, for good.
    function _rewrite(JobId id, Job memory j, uint16 right, bytes32 output) private {
        for (uint256 i = 0; i < MAX_SEATS; ++i) {
            if (j.revealed & JobLib.bit(i) != 0) delete _seats[id][i];
        }
        j.lead = 0;
        while (right != 0 && right & JobLib.bit(j.lead) == 0) ++j.lead;
        _seats[id][j.lead] = output;
        j.revealed = right;
        _finish(id, j);
    }

    /// @dev CHAL-6. Whoever proved it has the bond; where referees said it, those who were challenged.
    function _uphold(JobId id, Ticket calldata t, Job memory j, address prover) private {
        Challenge memory c = _challenges[id];
        delete _challenges[id];
        if (prover != address(0)) _credit(prover, id, c.bond);
        else _share(id, t, j.agreeing(), c.bond);
        _punish(id, t, j);
    }

    /// @dev Ends a settled job: its outvoted seats lose.
    function _punish(JobId id, Ticket calldata t, Job memory j) private {
        address[] memory leaving = new address[](t.committee.length);
        uint256[] memory penalties = new uint256[](leaving.length);
        _outvoted(id, t, j, leaving, penalties);
        emit ResultUpheld(id);
        _finish(id, j);
        _credit(BURN, id, _release(t, j, leaving, penalties));
    }

    function _finish(JobId id, Job memory j) private {
        j.dissenting = 0;
        j.state = State.Settled;
        j.flags |= JobLib.FINAL;
        j.deadline = SafeCast.toUint32(block.timestamp);
        _save(id, j);
    }

    /// @dev Nobody proved anything, or the referee has ended, or nobody called one.
    function _closeDispute(JobId id, Ticket calldata t, Job memory j) private {
        bool disputed = j.state == State.Disputed;
        JobId referee = _referees[id];
        if (JobId.unwrap(referee) != 0) {
            Job memory other = _load(referee);
            if (other.state == State.Settled) {
                _decide(id, t, j, _seats[referee][other.lead], address(0));
                return;
            }
            if (other.state != State.Refunded) {
                // It has deadlines of its own, after which anybody can close it.
                revert JobMarket_RefereeUndecided(referee, other.deadline);
            }
            if (disputed) _giveUp(id, t, j);
            else _unrefereed(id, t, j, other);
        } else if (disputed) {
            // Where no proof can come the requester alone could go on, and need not wait for itself.
            if (t.terms.verifier != 0 || msg.sender != t.terms.requester) _after(j.deadline);
            _giveUp(id, t, j);
        } else {
            _after(j.deadline);
            if (verifiers.isRemoved(t.terms.verifier)) _unjudged(id, j);
            else _unproved(id, t, j);
        }
    }

    /// @dev No output of a split vote was shown to be right: nobody is known to be wrong, and the requester has its money.
    function _giveUp(JobId id, Ticket calldata t, Job memory j) private {
        address[] memory leaving = new address[](t.committee.length);
        _dissolve(id, t, j, leaving);
        _refund(id, t.terms, j, RefundReason.NoQuorum, _left(t.terms, j));
        _release(t, j, leaving, new uint256[](leaving.length));
    }

    /// @dev The referees did not decide. If they never had the input, that is the requester's doing.
    function _unrefereed(JobId id, Ticket calldata t, Job memory j, Job memory referee) private {
        Challenge memory c = _challenges[id];
        delete _challenges[id];
        if (referee.tag == 0 && referee.deadline != 0) _share(id, t, j.agreeing(), c.bond);
        else _credit(c.by, id, c.bond);
        _punish(id, t, j);
    }

    /// @dev The verifier is gone, and with it the way to prove: nobody is to blame (VERIFIER-3).
    function _unjudged(JobId id, Job memory j) private {
        Challenge memory c = _challenges[id];
        delete _challenges[id];
        emit ResultUpheld(id);
        _credit(c.by, id, c.bond);
        _finish(id, j);
    }

    /// @dev CHAL-7: who was challenged has the input and the model, and showed nothing.
    function _unproved(JobId id, Ticket calldata t, Job memory j) private {
        uint16 wrong = j.agreeing();
        // As above: the registry calls nobody else.
        // slither-disable-next-line reentrancy-no-eth
        uint256 slashed = _slash(t, j, wrong, j.dissenting);
        for (uint256 i = 0; i < t.committee.length; ++i) {
            if (j.revealed & JobLib.bit(i) != 0) delete _seats[id][i];
        }
        j.state = State.Refunded;
        _save(id, j);
        emit JobRefunded(id, RefundReason.NotProved);
        Purse memory purse = Purse(slashed / 2, 0);
        _makeGood(id, t, purse, wrong, 0);
        _reward(id, purse, address(0));
        _credit(BURN, id, slashed - purse.given);
    }

    /// @dev The requester gets back what wrong seats were paid, and right ones what they were not.
    function _makeGood(JobId id, Ticket calldata t, Purse memory purse, uint16 paid, uint16 right) private {
        uint256 value = _value(t.terms);
        _give(id, purse, t.terms.requester, JobLib.count(paid) * value);
        for (uint256 i = 0; i < t.committee.length; ++i) {
            if (right & JobLib.bit(i) != 0) _give(id, purse, t.committee[i], value);
        }
    }

    /// @dev What the referees were paid, at this job's price.
    function _refereeCost(JobId id, Terms calldata terms) private view returns (uint256) {
        return JobLib.count(_load(_referees[id]).agreeing()) * _value(terms);
    }

    /// @dev CHAL-5. A challenger has its bond back. It and the prover get a bond's worth each, as far as half the slash goes.
    function _reward(JobId id, Purse memory purse, address prover) private {
        Challenge memory c = _challenges[id];
        if (prover != address(0)) _give(id, purse, prover, _bond());
        if (c.by == address(0)) return;
        delete _challenges[id];
        _credit(c.by, id, c.bond);
        // A larger bond earns no more: else it would take what is to be burned.
        _give(id, purse, c.by, c.bond < _bond() ? c.bond : _bond());
    }

    function _give(JobId id, Purse memory purse, address to, uint256 amount) private {
        if (amount > purse.left) amount = purse.left;
        purse.left -= amount;
        purse.given += amount;
        _credit(to, id, amount);
    }

    /// @dev Coins for some seats, in equal parts; what cannot be divided is burned.
    function _share(JobId id, Ticket calldata t, uint16 seats, uint256 amount) private {
        uint256 part = amount / JobLib.count(seats);
        for (uint256 i = 0; i < t.committee.length; ++i) {
            if (seats & JobLib.bit(i) == 0) continue;
            amount -= part;
            _credit(t.committee[i], id, part);
        }
        _credit(BURN, id, amount);
    }

    /// @param free seats that are released and lose nothing
    function _slash(Ticket calldata t, Job memory j, uint16 seats, uint16 free) private returns (uint256) {
        address[] memory leaving = new address[](t.committee.length);
        uint256[] memory penalties = new uint256[](leaving.length);
        for (uint256 i = 0; i < leaving.length; ++i) {
            if ((seats | free) & JobLib.bit(i) == 0) continue;
            leaving[i] = t.committee[i];
            if (seats & JobLib.bit(i) == 0) continue;
            _blame(leaving[i], WRONG_WEIGHT);
            penalties[i] = _wrong(t.terms);
        }
        return _release(t, j, leaving, penalties);
    }
}
