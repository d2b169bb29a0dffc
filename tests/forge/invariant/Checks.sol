// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Job, JobId, JobLib, Node, State, VersionId, vm} from "../Base.t.sol";
import {Handler} from "./Handler.sol";

/// @notice What holds after every step, read from the contracts' own records, each under the name of the rule that says so.
contract Checks is Handler {
    /// @dev Slots of the market's mappings: SEATS, then demanders and challenges.
    uint256 private constant SEATS = 6;

    /// @dev Whether ended jobs are looked at, too: dear, and their records do not change.
    bool private _all;

    function lookAtAll() external {
        _all = true;
    }

    function _passedOver(uint256 index) private view returns (bool) {
        return !_all && _posted[index].epitaph != 0;
    }

    // ------------------------------------------------------------------------------------------------ money

    /// MONEY-1: escrow of unpaid jobs, deposits, bonds, credits and owners' shares, to the wei.
    function checkCoins() external view {
        uint256 owed = _escrows(COIN);
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            State state = market.job(_posted[i].id).state;
            if (state == State.Demanded) owed += DEPOSIT;
            if (state == State.Challenged) owed += _posted[i].bond;
        }
        vm.assertEq(address(market).balance, owed + _credits(COIN), "MONEY-1: coins of the market");
    }

    /// MONEY-1, in the other currency.
    function checkTokens() external view {
        address token = address(_money);
        vm.assertEq(
            _money.balanceOf(address(market)), _escrows(token) + _credits(token), "MONEY-1: tokens of the market"
        );
    }

    function _escrows(address token) private view returns (uint256 sum) {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            Job memory j = market.job(_posted[i].id);
            if (_posted[i].request.terms.token != token) continue;
            if (j.state == State.Settled || j.state == State.Refunded || j.state == State.Challenged) continue;
            uint256 price = _posted[i].request.terms.pricePerSeat;
            sum += uint256(_posted[i].request.terms.seats) * price;
            sum -= j.charged * (price * FAULT_BPS / 10_000);
        }
    }

    function _credits(address token) private view returns (uint256 sum) {
        for (uint256 i = 0; i < accounts.length; ++i) {
            sum += market.credit(accounts[i], token);
        }
        for (uint256 i = 0; i < _versions.length; ++i) {
            sum += market.fees(_versions[i], token);
        }
    }

    /// MONEY-1
    function checkStakes() external view {
        uint256 stakes = 0;
        for (uint256 i = 0; i < workers.length; ++i) {
            stakes += nodes.node(workers[i]).stake;
        }
        vm.assertEq(address(nodes).balance, stakes, "MONEY-1: registry");
    }

    /// CHAL-13, MONEY-6: of all that was ever slashed, half at least was burned.
    function checkBurned() external view {
        uint256 slashed = _staked - address(nodes).balance;
        vm.assertGe(2 * (_credit(burn) + burn.balance), slashed, "CHAL-13: burned");
    }

    /// MONEY-5: nothing else has come in: neither part of the market has anything of its own.
    function checkNoOtherMoney() external view {
        vm.assertEq(address(models).balance + address(currencies).balance + address(verifiers).balance, 0, "MONEY-5");
    }

    // ------------------------------------------------------------------------------------------------ stake

    /// NODE-5, JOB-10: what is locked is what jobs need, each lock to the end of the period of its last second: no more, no less.
    function checkLocks() external view {
        for (uint256 i = 0; i < workers.length; ++i) {
            uint256 locked = 0;
            for (uint256 k = 0; k < _posted.length; ++k) {
                if (_posted[k].tag == 0 || _posted[k].until / LOCK_PERIOD < block.timestamp / LOCK_PERIOD) continue;
                locked += _lockedIn(_posted[k], workers[i]);
            }
            vm.assertEq(nodes.node(workers[i]).locked, locked, "NODE-5: locked");
        }
    }

    function _lockedIn(Posted storage p, address worker) private view returns (uint256) {
        for (uint256 seat = 0; seat < p.committee.length; ++seat) {
            if (p.committee[seat] != worker) continue;
            Job memory j = market.job(p.id);
            uint16 bit = JobLib.bit(seat);
            bool locked;
            if (j.state == State.Refunded) locked = false;
            else if (uint256(j.state) < uint256(State.Settled)) locked = j.excused & bit == 0;
            else locked = j.revealed & bit != 0;
            return locked && p.until / LOCK_PERIOD >= block.timestamp / LOCK_PERIOD ? p.request.terms.lockEach : 0;
        }
        return 0;
    }

    /// NODE-5: jobs under way are answered for: the stake of every seat that owes an output covers its penalty.
    function checkCover() external view {
        for (uint256 k = 0; k < _live.length; ++k) {
            Posted storage p = _posted[_live[k]];
            if (p.tag == 0) continue;
            for (uint256 seat = 0; seat < p.committee.length; ++seat) {
                address worker = p.committee[seat];
                if (worker == address(0) || _lockedIn(p, worker) == 0) continue;
                vm.assertGe(nodes.node(worker).stake, p.request.terms.lockEach, "NODE-5: an empty lock");
            }
        }
    }

    /// DRAW-2: the tree's totals are the sums of its weights.
    function checkTotals() external view {
        uint256 next = block.number / EPOCH + 1;
        for (uint256 epoch = next - 2; epoch <= next; ++epoch) {
            uint256 sum = 0;
            for (uint256 i = 0; i < workers.length; ++i) {
                sum += nodes.weightAt(workers[i], epoch);
            }
            vm.assertEq(nodes.totalWeightAt(epoch), sum, "DRAW-2: total");
        }
    }

    /// NODE-3, NODE-6: a leaf weighs what its worker's stake says; who leaves or has too little weighs nothing.
    function checkWeights() external view {
        uint256 next = block.number / EPOCH + 1;
        for (uint256 i = 0; i < workers.length; ++i) {
            Node memory n = nodes.node(workers[i]);
            uint256 expected = n.exitAt != 0 || n.stake < MINIMUM_STAKE ? 0 : n.stake / 1 gwei;
            vm.assertEq(nodes.weightAt(workers[i], next), expected, "NODE-6: weight");
        }
    }

    // ------------------------------------------------------------------------------------------------ jobs

    /// JOB-12: committee and keys of a job never change.
    function checkTags() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            Job memory j = market.job(_posted[i].id);
            vm.assertEq(bytes32(j.tag), bytes32(_posted[i].tag), "JOB-12: the tag");
            if (j.tag != 0) {
                vm.assertEq(bytes32(j.tag), bytes32(_tag(_ticket(_posted[i].id))), "JOB-12: of its ticket");
            }
        }
    }

    /// JOB-14, JOB-15, JOB-16: who revealed has committed, who refused has not, and there are no more seats than were asked for.
    function checkMasks() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            Job memory j = market.job(_posted[i].id);
            vm.assertEq(j.revealed & ~j.committed, 0, "JOB-15: revealed without a commitment");
            vm.assertEq(j.dissenting & ~j.revealed, 0, "JOB-20: dissent without a reveal");
            vm.assertEq(j.committed & j.excused, 0, "JOB-16: committed and refused");
            vm.assertEq(uint256(j.committed | j.excused) >> _posted[i].request.terms.seats, 0, "JOB-3: too many seats");
        }
    }

    /// JOB-20: the seat that holds the result is one that is not outvoted.
    function checkLead() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            Job memory j = market.job(_posted[i].id);
            if (j.revealed == 0 || j.state == State.Refunded) continue;
            vm.assertTrue(j.agreeing() & JobLib.bit(j.lead) != 0, "JOB-20: the lead");
        }
    }

    /// JOB-20: what was voted on, and is neither judged nor a single seat's, has its quorum.
    function checkQuorum() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            Job memory j = market.job(_posted[i].id);
            if (j.state != State.Settled && j.state != State.Challenged) continue;
            if (j.flags & JobLib.FINAL != 0 && _posted[i].flags & JobLib.FINAL == 0) continue; // a verdict
            uint256 votes = JobLib.count(j.agreeing());
            vm.assertGe(votes, _posted[i].request.terms.quorum, "JOB-20: quorum");
        }
    }

    /// SIG-2: no more fees than refusals.
    function checkCharged() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            Job memory j = market.job(_posted[i].id);
            vm.assertLe(j.charged, JobLib.count(j.excused), "SIG-2: charged");
        }
    }

    /// JOB-2, CHAL-1: flags are of the request, but for a publication, which is never undone, and finality, which is not either.
    function checkFlags() external view {
        uint8 later = JobLib.PUBLISHED | JobLib.FINAL;
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            uint8 flags = market.job(_posted[i].id).flags;
            vm.assertEq(flags & ~later, _posted[i].flags & ~later, "JOB-2: flags");
            vm.assertEq(_posted[i].flags & ~flags & JobLib.FINAL, 0, "CHAL-1: final no more");
            bool closedVersion = VersionId.unwrap(_posted[i].request.terms.version) == VersionId.unwrap(closed);
            vm.assertTrue((flags & JobLib.ENROLLED != 0) == closedVersion, "JOB-33: enrolled");
        }
    }

    /// CHAL-1: a final result stays, and is final for good.
    function checkResults() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_posted[i].result == 0) continue;
            vm.assertEq(market.result(_posted[i].id), _posted[i].result, "CHAL-1: another result");
            vm.assertTrue(market.isFinal(_posted[i].id), "CHAL-1: final no more");
        }
    }

    /// JOB-24: no state can last longer than its windows.
    function checkDeadlines() external view {
        for (uint256 k = 0; k < _live.length; ++k) {
            Job memory j = market.job(_posted[_live[k]].id);
            uint256 life = 2 * uint256(COMMIT_WINDOW) + PUBLISH_WINDOW;
            uint256 last = block.timestamp + DELIVER_WINDOW;
            if (j.state == State.Ready) last = j.moment + life;
            if (j.state == State.Demanded) last = j.moment + life - COMMIT_WINDOW;
            if (j.state == State.Committed) last = j.moment + life + REVEAL_WINDOW;
            if (j.state == State.Settled) last = block.timestamp + CHALLENGE_WINDOW;
            if (j.state == State.Disputed || j.state == State.Challenged) last = block.timestamp + DISPUTE_WINDOW;
            vm.assertLe(j.deadline, last, "JOB-24: deadline");
        }
    }

    /// CHAL-8: a referee's job is final by itself and decides about one job, which knows it.
    function checkReferees() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            if (_posted[i].decides == 0) continue;
            Posted storage disputed = _posted[_posted[i].decides - 1];
            vm.assertEq(JobId.unwrap(market.refereeOf(disputed.id)), JobId.unwrap(_posted[i].id), "CHAL-8: the referee");
            vm.assertTrue(market.job(_posted[i].id).flags & JobLib.FINAL != 0, "CHAL-8: not final");
            vm.assertGe(_posted[i].request.terms.seats, 2 * disputed.request.terms.seats + 1, "CHAL-8: seats");
            vm.assertEq(JobId.unwrap(market.refereeOf(_posted[i].id)), 0, "CHAL-8: a referee's referee");
        }
    }

    /// CHAL-1, CHAL-2, CHAL-14: proved, inexact and referees' jobs are in no dispute.
    function checkDisputes() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            Job memory j = market.job(_posted[i].id);
            if (j.state != State.Disputed && j.state != State.Challenged) continue;
            vm.assertEq(j.flags & (JobLib.FINAL | JobLib.INEXACT), 0, "CHAL-1: a dispute about a final result");
            vm.assertTrue(j.revealed != 0, "CHAL-2: a dispute about nothing");
        }
    }

    /// MONEY-4: an ended job stays as it ended.
    function checkRecords() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_posted[i].epitaph == 0) continue;
            vm.assertEq(keccak256(abi.encode(market.job(_posted[i].id))), _posted[i].epitaph, "MONEY-4: record changed");
        }
    }

    /// MONEY-4, JOB-24: and nobody ends it, settles it or doubts it again.
    function checkEnded() external {
        for (uint256 i = 0; i < _posted.length; ++i) {
            Posted storage p = _posted[i];
            if (p.epitaph == 0 || i + 3 < _posted.length) continue; // the calls cost time: the latest ones will do
            _refused(abi.encodeCall(market.close, (_ticket(p.id))), 0, "MONEY-4: closed again");
            _refused(abi.encodeCall(market.resolve, (_ticket(p.id))), 0, "MONEY-4: resolved again");
            _refused(abi.encodeCall(market.challenge, (_ticket(p.id))), market.bond(), "CHAL-1: challenged again");
        }
    }

    function _refused(bytes memory call, uint256 value, string memory rule) private {
        vm.deal(address(this), value);
        (bool ok,) = address(market).call{value: value}(call);
        vm.assertFalse(ok, rule);
    }

    // ------------------------------------------------------------------------------------------------ storage

    /// @dev Of a refunded job nothing is left but its slot.
    function checkForgotten() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            Posted storage p = _posted[i];
            if (p.epitaph == 0 || market.job(p.id).state != State.Refunded) continue;
            bytes32 seats = keccak256(abi.encode(JobId.unwrap(p.id), SEATS));
            for (uint256 seat = 0; seat < p.committee.length; ++seat) {
                vm.assertEq(vm.load(address(market), keccak256(abi.encode(seat, seats))), 0, "seats left in storage");
            }
        }
    }

    /// JOB-17: somebody has a deposit back to get exactly while its demand is open.
    function checkDemanders() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            bytes32 slot = keccak256(abi.encode(JobId.unwrap(_posted[i].id), SEATS + 1));
            bool demanded = market.job(_posted[i].id).state == State.Demanded;
            vm.assertTrue((vm.load(address(market), slot) != 0) == demanded, "JOB-17: the demander");
        }
    }

    /// CHAL-1, CHAL-5: somebody has a bond in exactly while its challenge is open.
    function checkChallengers() external view {
        for (uint256 i = 0; i < _posted.length; ++i) {
            if (_passedOver(i)) continue;
            bytes32 slot = keccak256(abi.encode(JobId.unwrap(_posted[i].id), SEATS + 2));
            bool challenged = market.job(_posted[i].id).state == State.Challenged;
            vm.assertTrue((vm.load(address(market), slot) != 0) == challenged, "CHAL-5: the challenger");
        }
    }

    // ------------------------------------------------------------------------------------------------ reputation

    /// REP-1: between nothing and everything, and who never had a seat is in the middle.
    function checkReputation() external view {
        for (uint256 i = 0; i < accounts.length; ++i) {
            uint256 reputation = market.reputation(accounts[i]);
            vm.assertLt(reputation, 10_000, "REP-1: perfect");
        }
        vm.assertEq(market.reputation(requester), 5000, "REP-1: a bystander");
        vm.assertEq(market.reputation(_prover), 5000, "REP-1: who proves for others");
        vm.assertEq(market.reputation(address(0)), 5000, "REP-1: a vacant seat");
    }

    // ------------------------------------------------------------------------------------------------ the end

    /// JOB-24, CHAL-15, MONEY-1, MONEY-2, NODE-3: whatever happened, strangers can end all jobs and all money leaves.
    function windUp() external {
        uint256 guard = 0;
        while (_live.length != 0) {
            // The latest first: referees come before whom they decide about.
            Posted storage p = _posted[_live[_live.length - 1]];
            Job memory j = market.job(p.id);
            uint256 end = uint256(j.deadline) + REVEAL_WINDOW + 1;
            if (block.timestamp < end) vm.warp(end);
            bool closes = uint256(j.state) < uint256(State.Settled);
            if (closes) market.close(_ticket(p.id));
            else if (j.state != State.Settled || j.dissenting != 0) _resolveOrWait(p);
            _bury(p);
            vm.assertLt(++guard, 200, "JOB-24: a job does not end");
        }
        for (uint256 i = 0; i < _versions.length; ++i) {
            if (market.fees(_versions[i], COIN) != 0) market.collect(_versions[i], COIN);
            if (market.fees(_versions[i], address(_money)) != 0) market.collect(_versions[i], address(_money));
        }
        for (uint256 i = 0; i < accounts.length; ++i) {
            if (_credit(accounts[i]) != 0) market.withdraw(accounts[i], COIN);
            if (market.credit(accounts[i], address(_money)) != 0) market.withdraw(accounts[i], address(_money));
        }
        vm.assertEq(address(market).balance, 0, "MONEY-1: money left in the market");
        vm.assertEq(_money.balanceOf(address(market)), 0, "MONEY-1: tokens left in the market");
        for (uint256 i = 0; i < workers.length; ++i) {
            if (nodes.node(workers[i]).exitAt != 0) continue;
            vm.prank(workers[i]);
            nodes.announceExit();
        }
        vm.warp(block.timestamp + EXIT_DELAY);
        for (uint256 i = 0; i < workers.length; ++i) {
            if (nodes.node(workers[i]).stake == 0) continue;
            _staked -= nodes.node(workers[i]).stake;
            vm.prank(workers[i]);
            nodes.withdraw();
        }
        vm.assertEq(address(nodes).balance, 0, "MONEY-1: stake left in the registry");
    }

    /// @dev A referee's job that goes on takes its turn first.
    function _resolveOrWait(Posted storage p) private {
        JobId referee = market.refereeOf(p.id);
        if (JobId.unwrap(referee) != 0) {
            State state = market.job(referee).state;
            if (state != State.Settled && state != State.Refunded) {
                uint256 last = _live.length - 1;
                for (uint256 i = 0; i < last; ++i) {
                    if (_live[i] == _indexOf[referee]) (_live[i], _live[last]) = (_live[last], _live[i]);
                }
                return;
            }
        }
        market.resolve(_ticket(p.id));
    }
}
