"""What coalitions try against the draw gives them at most one point more than chance, or what the formulas say."""

from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
from reference import commitments, draws

from cloister.domain import economics
from cloister.domain.economics import Holding

DRAWS = 100_000
LIMIT = 0.01
SHARES = (0.1, 0.3, 0.5)


def generator(*seed):
    return np.random.default_rng([13, *(round(1000 * part) for part in seed)])


def decides(share, seats, quorum):
    held = economics.seats_held_by_share(Fraction(share).limit_denominator(100), seats)
    return float(economics.chance_of_quorum(held, quorum))


def share_of(wins, people, seats, quorum):
    """How often committees have a quorum of the coalition."""
    return (draws.held(people, wins) >= quorum).mean()


def error(chance, tries=DRAWS):
    """Four standard deviations."""
    return 4 * (chance * (1 - chance) / tries) ** 0.5 + 1e-9


def walked(weights, numbers):
    """docs/spec/commitments.md, "Draw", one leaf at a time."""
    left = dict(enumerate(weights))
    leaves = []
    for number in numbers:
        point = number % sum(left.values())
        ends = zip(left, accumulate(left.values()), strict=True)
        leaf = next(leaf for leaf, end in ends if point < end)
        leaves.append(leaf)
        del left[leaf]
    return leaves


def test_drawn__random_weights__those_of_a_walk():
    """DRAW-4"""
    rng = generator(1)
    for size in (5, 17, 60):
        weights = rng.integers(1, [2, 10**9, 50][size % 3], size)
        numbers = draws.points(rng, 40, 5)
        found = draws.drawn(weights, numbers)
        assert found.tolist() == [walked(weights.tolist(), [int(n) for n in row]) for row in numbers]


def test_drawn__points_of_the_chain__those_of_a_walk():
    """The chain's points have 256 bits; reduced to what is undrawn they are numbers like these."""
    weights = np.array([7, 1, 30, 2, 2, 9])
    for job in range(20):
        seed = job.to_bytes(32, "big")
        chain = [commitments.point(seed, seat) for seat in range(4)]
        expected, left = walked(weights.tolist(), chain), int(weights.sum())
        reduced = []
        for point, leaf in zip(chain, expected, strict=True):
            reduced.append(point % left)
            left -= int(weights[leaf])
        assert draws.drawn(weights, np.array([reduced], np.uint64))[0].tolist() == expected


def test_seated__declared_operators__one_seat_each_and_the_next_one_is_drawn():
    """ECON-13"""
    people = draws.Crowd(np.array([4, 4, 4, 1, 1]), np.array([True] * 3 + [False] * 2), np.array([9, 9, 9, 1, 2]))
    committees = draws.seated(people, draws.points(generator(2), 5_000, 5), 3)
    assert (draws.held(people, committees) == 1).all()
    assert {tuple(sorted(row)) for row in people.operators[committees].tolist()} == {(1, 2, 9)}
    assert set(committees[:, 0].tolist()) == {0, 1, 2, 3, 4}


def test_seated__too_few_operators__seats_stay_vacant():
    people = draws.Crowd(np.array([4, 4, 4]), np.array([True] * 3), np.array([9, 9, 1]))
    committees = draws.seated(people, draws.points(generator(3), 100, 3), 3)
    assert (committees[:, 2] == draws.NOBODY).all()
    assert (draws.held(people, committees) == 2).all()


def test_seated__declared_operator__is_drawn_like_one_place_of_its_weight():
    """ECON-13: whoever passes over the rest of an operator draws from what is not that operator's."""
    rng = generator(4)
    people = draws.crowd(0.4, 4, 6, rng, declared=True)
    got = share_of(draws.seated(people, draws.points(rng, DRAWS, 6), 3), people, 3, 1)
    one = Holding(int(people.weights[people.mine].sum()), 1, True)
    held = economics.seats_held([one, Holding(draws.GWEI, 6)], 3)
    assert abs(got - float(held[1])) < error(float(held[1]))


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("seats", "quorum"), [(1, 1), (3, 2), (5, 3)])
def test_split__one_stake_in_many_identities__gains_at_most_a_point(share, seats, quorum):
    """ECON-13: over the chance of its stake; and exactly what the formula for its places says."""
    chance = decides(share, seats, quorum)
    for identities in (1, 10, 1000):
        rng = generator(5, share, seats, identities)
        people = draws.crowd(share, identities, 300, rng)
        got = share_of(draws.seated(people, draws.points(rng, DRAWS, seats), seats), people, seats, quorum)
        assert got <= chance + LIMIT
        weight = int(people.weights[people.mine][0])
        exact = economics.seats_held([Holding(weight, identities, True), Holding(draws.GWEI, 300)], seats)
        expected = float(economics.chance_of_quorum(exact, quorum))
        assert abs(got - expected) < error(expected)


def test_split__declared__loses_what_the_operator_could_have_had():
    """ECON-13: a quorum of one operator does not happen."""
    rng = generator(6)
    people = draws.crowd(0.5, 50, 100, rng, declared=True)
    held = draws.held(people, draws.seated(people, draws.points(rng, 20_000, 5 + 16), 5))
    assert held.max() == 1


def test_split__others_in_few_hands__gains_as_the_formula_says():
    """ECON-13: this is where more than a point can be had."""
    rng = generator(7)
    weights = np.array([20] * 15 + [200, 200] + [20] * 15)
    people = draws.Crowd(weights, np.arange(32) < 15)
    got = share_of(draws.seated(people, draws.points(rng, DRAWS, 3), 3), people, 3, 2)
    exact = economics.seats_held([Holding(20, 15, True), Holding(200, 2), Holding(20, 15)], 3)
    expected = float(economics.chance_of_quorum(exact, 2))
    assert abs(got - expected) < error(expected)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("seats", "quorum"), [(1, 1), (3, 2)])
def test_withhold__unwanted_draws_dropped__no_better_per_draw_and_paid_for(share, seats, quorum):
    """ECON-14, JOB-18"""
    rng = generator(8, share, seats)
    people = draws.crowd(share, 300, 700, rng)
    chance, fault = decides(share, seats, quorum), 0.1
    campaign = draws.withhold(people, rng, DRAWS // 5, seats, quorum, fault, tries=300)
    per_draw = campaign.won.sum() / campaign.draws.sum()
    assert per_draw <= chance + LIMIT
    assert campaign.won.mean() > 0.99  # that is what it pays for
    price = campaign.fees.mean()
    assert price == pytest.approx(seats * fault * (1 / chance - 1), rel=0.1)


@pytest.mark.parametrize("share", SHARES)
def test_skip__proposer_without_the_secret__gains_nothing(share):
    """ECON-14, DRAW-1: whatever part of the blocks it has."""
    for part in (0.03, 0.3, 0.9):
        rng = generator(9, share, part)
        people = draws.crowd(share, 100, 200, rng)
        campaign = draws.skip(people, rng, DRAWS, 1, 1, part, knows_secret=False)
        assert campaign.skipped.sum() > 0
        assert campaign.won.mean() <= share + LIMIT
        assert abs(campaign.won.mean() - share) < error(share)


@pytest.mark.parametrize("share", SHARES)
def test_skip__proposer_with_the_secret__gains_as_the_formula_says(share):
    """ECON-14: at most a point up to 3.9% of the blocks, and more than that above."""
    for part in (0.039, 0.3):
        rng = generator(10, share, part)
        people = draws.crowd(share, 300, 700, rng)
        campaign = draws.skip(people, rng, DRAWS, 1, 1, part, knows_secret=True)
        expected = share / (1 - part * (1 - share))
        assert abs(campaign.won.mean() - expected) < error(expected)
        assert (expected <= share + LIMIT) == (part < 0.04)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("seats", "quorum"), [(1, 1), (3, 2), (5, 3), (9, 5)])
def test_empty_seats__committees_that_one_seat_decides__gain_at_most_a_point(share, seats, quorum):
    """ECON-12: keys that lapse, refusals, exits between request and delivery."""
    rng = generator(11, share, seats)
    people = draws.crowd(share, 300, 700, rng)
    campaign = draws.empty_seats(people, rng, DRAWS // 2, seats, quorum, tries=50)
    assert campaign.won.mean() <= decides(share, seats, quorum) + LIMIT
    assert campaign.draws.max() == 1  # it never pays to try


@pytest.mark.parametrize(("seats", "quorum"), [(2, 2), (4, 3)])
def test_empty_seats__other_committees__gain_what_the_formula_says(seats, quorum):
    """ECON-12: this is left open, and is not small."""
    rng = generator(12, seats)
    people = draws.crowd(0.3, 3_000, 7_000, rng)
    held = economics.seats_held_by_share(Fraction(3, 10), seats)
    win = float(economics.chance_of_quorum(held, quorum))
    void = float(sum(held[seats - quorum + 1 : quorum]))
    campaign = draws.empty_seats(people, rng, DRAWS // 2, seats, quorum, tries=80)
    assert abs(campaign.won.mean() - win / (1 - void)) < error(win / (1 - void), DRAWS // 2)
    assert campaign.won.mean() > win + LIMIT


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("seats", "quorum"), [(1, 1), (3, 2)])
def test_move_stake__after_the_seed__gains_only_in_the_control(share, seats, quorum):
    """ECON-15, DRAW-2, DRAW-3: the control shows that the same move would be worth much."""
    rng = generator(14, share, seats)
    people = draws.crowd(share, 100, 200, rng)
    chance = decides(share, seats, quorum)
    assert draws.move_stake(people, rng, DRAWS, seats, quorum, remembered=True).mean() <= chance + LIMIT
    assert draws.move_stake(people, rng, DRAWS, seats, quorum, remembered=False).mean() > chance + 2 * LIMIT
