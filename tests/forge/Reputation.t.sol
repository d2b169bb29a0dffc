// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Standing} from "../../contracts/types/Standing.sol";
import {Base, IJobs, Request, State, vm} from "./Base.t.sol";

/// @notice The arithmetic of a worker's standing, against one that halves step by step (REP-1).
contract StandingTest {
    uint256 private constant MONTH = 30 days;
    uint256 private constant ONE = 65_536;
    uint256 private constant MOST = 2 ** 48 - 1;

    uint256 private _good;
    uint256 private _bad;

    function setUp() public {
        vm.warp(1_700_000_000);
    }

    function _bps() private view returns (uint256) {
        return (_good + ONE) * 10_000 / (_good + _bad + 2 * ONE);
    }

    /// REP-1
    function testFuzz_standing__any_history__is_the_plain_counts(uint256 entropy) public {
        Standing s;
        for (uint256 step = 0; step < 24; ++step) {
            uint256 dice = uint256(keccak256(abi.encode(entropy, step)));
            uint256 before = block.timestamp / MONTH;
            if (dice & 1 == 0) vm.warp(block.timestamp + (dice >> 8) % (3 * MONTH));
            for (uint256 i = before; i < block.timestamp / MONTH; ++i) {
                (_good, _bad) = (_good / 2, _bad / 2);
            }
            if (dice & 6 == 0) {
                uint256 weight = 1 + (dice >> 16) % 4;
                s = s.blamed(weight);
                _bad += weight * ONE;
            } else if (dice & 6 == 2) {
                s = s.praised();
                _good += ONE;
            }
            (uint256 good, uint256 bad) = s.decayed();
            vm.assertEq(good, _good);
            vm.assertEq(bad, _bad);
            vm.assertEq(s.reputation(), _bps());
        }
    }

    function test_reputation__newcomer__is_one_half() public view {
        vm.assertEq(Standing.wrap(0).reputation(), 5000);
    }

    /// REP-1: to the second at which a month of the calendar that starts with 1970 is over.
    function test_decayed__around_the_end_of_a_period__halves_then_only() public {
        Standing s = Standing.wrap(0).praised().praised();
        vm.warp((block.timestamp / MONTH + 1) * MONTH - 1);
        (uint256 good,) = s.decayed();
        vm.assertEq(good, 2 * ONE);
        vm.warp(block.timestamp + 1);
        (good,) = s.decayed();
        vm.assertEq(good, ONE);
        vm.warp(block.timestamp + 17 * MONTH);
        (good,) = s.decayed();
        vm.assertEq(good, 0);
        vm.assertEq(s.reputation(), 5000);
    }

    /// REP-1: what is full stays full and runs over into nothing beside it.
    function test_praised_and_blamed__full__saturate() public view {
        uint256 now_ = block.timestamp / MONTH << 96;
        Standing full = Standing.wrap(uint128(MOST | MOST << 48 | now_));
        (uint256 good, uint256 bad) = full.praised().blamed(4).decayed();
        vm.assertEq(good, MOST);
        vm.assertEq(bad, MOST);
        vm.assertEq(full.praised().reputation(), 5000);
        Standing angel = Standing.wrap(uint128(MOST | now_));
        vm.assertEq(angel.reputation(), 9999);
        (good, bad) = angel.praised().decayed();
        vm.assertEq(bad, 0);
        Standing devil = Standing.wrap(uint128(MOST << 48 | now_));
        vm.assertEq(devil.reputation(), 0);
        (good, bad) = devil.blamed(4).decayed();
        vm.assertEq(good, 0);
    }

    /// REP-1: a slot that nobody wrote for decades says nothing, by no shift that wraps.
    function testFuzz_decayed__long_ago__is_nothing(uint96 counts, uint16 months) public {
        Standing s = Standing.wrap(uint128(counts | uint256(block.timestamp / MONTH) << 96));
        vm.warp(block.timestamp + (48 + uint256(months)) * MONTH);
        (uint256 good, uint256 bad) = s.decayed();
        vm.assertEq(good + bad, 0);
    }
}

/// @notice What jobs make of reputations, and what floors make of committees (REP-1 to REP-3).
contract ReputationTest is Base {
    function _bps(uint256 good, uint256 bad) private pure returns (uint256) {
        return (good + 1) * 10_000 / (good + bad + 2);
    }

    function _assertReputation(address worker, uint256 good, uint256 bad) private view {
        vm.assertEq(market.reputation(worker), _bps(good, bad));
    }

    /// @dev The same request once more.
    function _again(uint256 nonce) private view returns (Request memory r) {
        r = _default();
        r.brief.nonce = nonce;
    }

    /// REP-1: paid seats; the one outside is as it was.
    function test_settle__agreement__praises_each_seat_once() public {
        _ready();
        _vote(RIGHT, RIGHT, RIGHT);
        for (uint256 i = 0; i < 3; ++i) {
            _assertReputation(committee[i], 1, 0);
        }
        for (uint256 i = 0; i < WORKERS; ++i) {
            address w = workers[i];
            if (w != committee[0] && w != committee[1] && w != committee[2]) _assertReputation(w, 0, 0);
        }
    }

    /// REP-1: silence weighs one, a hidden output four.
    function test_settle__silent_and_hidden__weigh_one_and_four() public {
        _ready();
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        _lapse();
        _reveal(0, RIGHT);
        vm.warp(market.job(id).deadline + 1);
        _close();
        _assertState(State.Disputed); // one of two reveals is no quorum
        _assertReputation(committee[0], 0, 0);
        _assertReputation(committee[1], 0, 4);
        _assertReputation(committee[2], 0, 1);
    }

    /// REP-1: a wrong output weighs four, and not before nothing can be changed.
    function test_resolve__outvoted__weighs_four_after_the_window() public {
        _ready();
        _vote(RIGHT, RIGHT, WRONG);
        _assertReputation(committee[2], 0, 0);
        _lapse();
        _resolve();
        _assertReputation(committee[2], 0, 4);
        _assertReputation(committee[0], 1, 0);
        // Once.
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongState.selector, id, State.Settled));
        _resolve();
    }

    /// REP-1: a split vote that nobody decides says nothing about anybody.
    function test_resolve__given_up__says_nothing() public {
        _ready();
        _vote(RIGHT, WRONG, OTHER);
        vm.prank(requester);
        market.resolve(_ticket());
        for (uint256 i = 0; i < 3; ++i) {
            _assertReputation(committee[i], 0, 0);
        }
    }

    /// REP-1: a proof tells right from wrong whatever the vote said.
    function test_judge__majority_overturned__blames_it() public {
        _ready(_defaultVerified());
        bytes32 right = _provedOutput();
        _vote(WRONG, right, WRONG);
        _judgeBy(stranger);
        _assertReputation(committee[1], 0, 0);
        vm.assertEq(market.reputation(committee[0]), _bps(1, 4)); // it was paid before
        vm.assertEq(market.reputation(committee[2]), _bps(1, 4));
    }

    /// REP-1: whoever refuses, or was vacant, or did not get the input, is as it was.
    function test_refuse_and_void__say_nothing() public {
        _ready();
        _refuse(0);
        _demand(1);
        _lapse();
        _close();
        for (uint256 i = 0; i < 3; ++i) {
            _assertReputation(committee[i], 0, 0);
        }
    }

    /// REP-2: whoever hires itself gains no name by it, though it pays for it; and loses one.
    function test_hire__paid_or_silent__praises_nobody_and_blames_the_silent() public {
        for (uint256 i = 1; i <= 5; ++i) {
            Request memory r = _defaultProved();
            r.brief.nonce = i;
            _hire(_hired(r, workers[3]));
            if (i < 5) _prove();
        }
        vm.assertEq(market.credit(workers[3], COIN), 4 * uint256(PRICE));
        _assertReputation(workers[3], 0, 0);
        _lapse();
        _close();
        _assertReputation(workers[3], 0, 1);
    }

    /// REP-2: a drawn one gains by the same proof.
    function test_prove__drawn__is_praised() public {
        _ready(_defaultProved());
        _prove();
        _assertReputation(committee[0], 1, 0);
    }

    /// REP-1: coins and standing share a slot, and neither touches the other.
    function test_withdraw__coins__leaves_the_standing() public {
        _ready();
        _vote(RIGHT, RIGHT, RIGHT);
        vm.assertEq(market.credit(committee[0], COIN), PRICE);
        market.withdraw(committee[0], COIN);
        vm.assertEq(market.credit(committee[0], COIN), 0);
        _assertReputation(committee[0], 1, 0);
    }

    /// REP-1: within two months what was one weighs a quarter.
    function test_reputation__time_passes__is_forgotten_by_halves() public {
        _ready();
        _vote(RIGHT, RIGHT, RIGHT);
        vm.assertEq(market.reputation(committee[0]), 6666);
        vm.warp((block.timestamp / 30 days + 1) * 30 days);
        vm.assertEq(market.reputation(committee[0]), 6000); // 1.5 of 2.5
        vm.warp(block.timestamp + 30 days);
        vm.assertEq(market.reputation(committee[0]), 5555);
    }

    // ------------------------------------------------------------------------------------------------ floors

    /// REP-3: a drawn worker below the floor leaves its seat vacant; nobody takes it, and it locks nothing.
    function test_deliver__floor__empties_the_seats_below_it() public {
        _ready();
        _commit(0, RIGHT);
        _commit(1, RIGHT);
        _lapse();
        _reveal(0, RIGHT);
        _reveal(1, RIGHT);
        address bad = committee[2];
        vm.assertEq(market.reputation(bad), _bps(0, 1));
        for (uint256 nonce = 2; nonce < 40; ++nonce) {
            uint256 snapshot = vm.snapshotState();
            Request memory r = _again(nonce);
            _request(r);
            address[] memory all = _draw(r);
            vm.revertToState(snapshot);
            uint256 seat = 0;
            while (seat < 3 && all[seat] != bad) ++seat;
            if (seat == 3) continue;
            r.brief.reputation = 3334;
            // Another floor is another job, so another draw; it is the floor's effect that is the same.
            uint256 locked = nodes.node(bad).locked;
            _ready(r);
            for (uint256 i = 0; i < 3; ++i) {
                vm.assertTrue(committee[i] != bad, "seated below the floor");
            }
            vm.assertEq(nodes.node(bad).locked, locked);
            return;
        }
        revert("never drawn");
    }

    /// REP-3: at the floor exactly a worker is seated, one hundredth of a percent above it is not; the draw is the same.
    function test_deliver__floor_at_the_reputation__decides() public {
        Request memory r = _default();
        r.brief.reputation = 5000;
        _ready(r);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertTrue(committee[i] != address(0));
        }
        r.brief.reputation = 5001;
        _ready(r);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(committee[i], address(0));
        }
        // All seats vacant: the whole escrow goes back, and nobody is at fault.
        _assertState(State.Refunded);
        vm.assertEq(market.credit(requester, COIN), ESCROW);
    }

    /// REP-3: what a worker's name is at the delivery counts; losing it in time empties its seat and fills nobody's.
    function test_deliver__name_lost_after_the_request__hands_no_seat_on() public {
        _ready();
        address[] memory first = committee;
        Request memory r = _again(2);
        r.brief.reputation = 5000;
        _request(r);
        address[] memory before = _draw(r);
        _select(_jobId(_default()));
        _lapse();
        _close(); // three silent seats
        _select(_jobId(r));
        vm.warp(market.job(id).deadline);
        _deliver(r);
        for (uint256 i = 0; i < 3; ++i) {
            bool lost = before[i] == first[0] || before[i] == first[1] || before[i] == first[2];
            if (market.job(id).state == State.Ready) vm.assertEq(committee[i], lost ? address(0) : before[i]);
            else vm.assertTrue(lost || before[i] == committee[i]);
        }
        _assertState(State.Refunded); // at least two of three seats are lost
    }

    /// REP-3: for a hired job there is no floor: who hires has chosen.
    function test_hire__floor__reverts() public {
        Request memory r = _hired(_defaultProved(), workers[3]);
        r.brief.reputation = 1;
        address[] memory one = new address[](1);
        one[0] = workers[3];
        bytes memory keys = _sealedKeys(one);
        vm.expectRevert(abi.encodeWithSelector(IJobs.JobMarket_WrongHire.selector, workers[3]));
        vm.prank(requester);
        market.hire{value: PRICE}(r, keys);
    }
}
