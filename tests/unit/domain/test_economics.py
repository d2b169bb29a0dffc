"""The formulas of docs/spec/economics.md, beside arithmetic done another way."""

import itertools
from dataclasses import replace
from fractions import Fraction
from math import comb

import pytest

from cloister.domain import economics
from cloister.domain.economics import Holding, StakeTerms
from cloister.domain.errors import InvalidInput

GOOD = StakeTerms(
    stake_ratio=10, wrong_bps=5_000, silent_bps=1_000, fault_bps=1_000, check_bps=2_500, lock_seconds=86_400
)
COMMITTEES = [(seats, quorum) for seats in range(2, 16) for quorum in range(seats // 2 + 1, seats + 1)]


def test_refuses__parameters_that_hold__nothing():
    assert economics.refuses(GOOD) == []
    assert GOOD.slash == 5


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"check_bps": 2_000}, "ECON-1"),
        ({"check_bps": 0}, "ECON-1"),
        ({"check_bps": 10_001}, "ECON-1"),
        ({"silent_bps": 5_000}, "ECON-4"),
        ({"stake_ratio": 9, "check_bps": 10_000}, "ECON-2"),
        ({"wrong_bps": 4_999}, "ECON-2"),
        ({"fault_bps": 54}, "ECON-3"),
        ({"lock_seconds": 86_400 * 19}, "ECON-3"),
    ],
)
def test_refuses__one_parameter_wrong__names_its_rule_alone(change, rule):
    (reason,) = economics.refuses(replace(GOOD, **change))
    assert f"({rule})" in reason


@pytest.mark.parametrize(
    "change",
    [
        {"check_bps": 2_001},
        {"check_bps": 10_000},
        {"silent_bps": 4_999},
        {"stake_ratio": 20, "check_bps": 1_001, "fault_bps": 110},
        {"fault_bps": 55},
        {"lock_seconds": 86_400 * 18},
    ],
)
def test_refuses__at_the_edge__nothing(change):
    assert economics.refuses(replace(GOOD, **change)) == []


def test_refuses__all_wrong__every_reason():
    terms = StakeTerms(1, 5_000, 5_000, 0, 1, 86_400)
    assert len(economics.refuses(terms)) == 4


def test_refuses__no_checks_at_all__says_what_a_share_is():
    """ECON-1"""
    (reason,) = economics.refuses(replace(GOOD, check_bps=0))
    assert "is not between 1 and 10000" in reason


def test_laziness__paid_at_once__the_slash_alone_must_outweigh_the_cost():
    """ECON-1, ECON-1: whoever was paid keeps it, so p(R + S) > C is not enough."""
    p, s, price = Fraction(18, 100), Fraction(5), Fraction(1)
    assert economics.laziness_loses(p, s, price, price, paid_first=False)
    assert not economics.laziness_loses(p, s, price, price)
    # A worker's balance, written out: caught with p, and paid in both cases.
    lazy, honest = price - p * s, price - price
    assert lazy > honest


def test_laziness__at_the_lowest_chance__loses_just_above_it():
    """ECON-1, for every reward and cost up to the price."""
    grain = Fraction(1, 10**9)
    for s, paid_first in itertools.product((Fraction(4), Fraction(5), Fraction(21, 2)), (True, False)):
        p = economics.lowest_chance(s, paid_first=paid_first)
        assert not economics.laziness_loses(p, s, Fraction(1), Fraction(1), paid_first=paid_first)
        for reward in (Fraction(1), Fraction(9, 10), Fraction(1, 100)):
            assert economics.laziness_loses(p + grain, s, reward, reward, paid_first=paid_first)


def test_most_guessed__at_its_edge__laziness_breaks_even():
    """ECON-6"""
    p, s = Fraction(1, 4), Fraction(10)
    guessed = economics.most_guessed(p, s)
    assert guessed == Fraction(3, 5)
    assert p * (1 - guessed) * s == 1
    assert economics.most_guessed(Fraction(1, 20), s) == 0
    assert economics.most_guessed(Fraction(0), s) == 0


def test_slash_needed__every_committee__half_pays_for_every_overturned_answer():
    """ECON-2, by adding up what each number of wrong seats costs."""
    for rewards in (Fraction(0), Fraction(1, 2), Fraction(1), Fraction(3, 2), Fraction(4)):
        for seats, quorum in [(1, 1), *COMMITTEES]:
            s = economics.slash_needed(seats, quorum, rewards)
            left = []
            for wrong in range(quorum, seats + 1):
                refund, right = wrong, seats - wrong
                left.append(wrong * s / 2 - refund - right - rewards)
            assert min(left) == left[0] == 0


def test_least_slash__every_committee__leaves_a_price_and_a_half_for_rewards():
    """ECON-2"""
    needed = [economics.slash_needed(*committee, Fraction(3, 2)) for committee in [(1, 1), *COMMITTEES]]
    assert max(needed) == economics.LEAST_SLASH
    assert max(economics.slash_needed(*committee, Fraction(1)) for committee in [(1, 1), *COMMITTEES]) == 4


def test_slash_needed__with_referees__pays_for_them_too():
    """ECON-2, ECON-11: three for an attested worker, seven for three."""
    assert economics.slash_needed(1, 1, Fraction(0), economics.referees_of(1)) == 8
    assert economics.slash_needed(3, 2, Fraction(0), economics.referees_of(3)) == 10
    assert economics.referees_of(9) == 15


def test_longest_lock__windows__to_the_end_of_the_last_dispute():
    """ECON-5"""
    assert economics.longest_lock(1, 10, 100, 1_000, 10_000) == 2 + 10 + 100 + 1_000 + 20_000


def test_lowest_fault_bps__ten_prices_for_a_day__rounded_up():
    """ECON-3: 10 x 20% / 365 of a price is 54.8 of 10,000."""
    assert economics.lowest_fault_bps(10, 86_400) == 55
    assert economics.lowest_fault_bps(10, 0) == 0
    assert economics.lowest_fault_bps(1, economics.YEAR) == 2_000


def test_slash__caught_coalition_with_its_requester__gets_at_most_half_back():
    """ECON-7: whatever the committee, with everything that can come back to it."""
    rewards, s = Fraction(3, 2), Fraction(economics.LEAST_SLASH)
    for seats, quorum in [(1, 1), *COMMITTEES]:
        for wrong in range(quorum, seats + 1):
            lost, back = wrong * s, wrong + rewards
            assert 2 * back <= lost


def test_largest_gain__at_its_edge__a_lie_breaks_even():
    """ECON-9"""
    p, s, held = Fraction(1, 4), Fraction(5), 3
    gain = economics.largest_gain(held, p, s)
    saved, lost = held, p * s * held
    assert saved + (1 - p) * gain == lost
    assert economics.largest_gain(1, Fraction(1), s) is None
    assert economics.largest_gain(1, Fraction(1, 10), s) < 0


def test_lowest_bond__three_halves_of_the_proof__rounded_up():
    """ECON-10"""
    gas, cap, fee = 480_001, 33, 1_000
    assert economics.lowest_bond(gas, cap, fee) == -(-(gas * cap + fee) * 3 // 2)
    assert 2 * economics.lowest_bond(gas, cap, fee) >= 3 * (gas * cap + fee)
    assert economics.lowest_bond(1, 1, 0) == 2


def test_seats_held__equal_places__hypergeometric():
    """ECON-8"""
    ours, others = 7, 23
    for seats in (1, 3, 5, 9):
        held = economics.seats_held([Holding(3, ours, True), Holding(3, others)], seats)
        expected = [Fraction(comb(ours, m) * comb(others, seats - m), comb(30, seats)) for m in range(seats + 1)]
        assert held == expected


def test_seats_held__unequal_places__sum_over_every_order_of_the_draw():
    """ECON-8, ECON-13"""
    places = [(5, True), (1, True), (1, True), (4, False), (2, False), (2, False)]
    expected = [Fraction(0)] * 4
    for order in itertools.permutations(places, 3):
        chance, left = Fraction(1), 15
        for weight, _ in order:
            chance *= Fraction(weight, left)
            left -= weight
        expected[sum(ours for _, ours in order)] += chance
    holdings = [Holding(5, 1, True), Holding(1, 2, True), Holding(4, 1), Holding(2, 2)]
    assert economics.seats_held(holdings, 3) == expected


def test_seats_held__too_few_places__refused():
    with pytest.raises(InvalidInput):
        economics.seats_held([Holding(1, 2, True)], 3)


def test_seats_held__ever_smaller_places__those_of_the_share():
    """ECON-8"""
    near = economics.seats_held([Holding(1, 300_000, True), Holding(1, 700_000)], 5)
    limit = economics.seats_held_by_share(Fraction(3, 10), 5)
    assert sum(limit) == 1
    assert limit[2] == 10 * Fraction(3, 10) ** 2 * Fraction(7, 10) ** 3
    assert max(abs(a - b) for a, b in zip(near, limit, strict=True)) < Fraction(1, 10**5)


def test_seats_held__others_in_few_hands__within_the_bound():
    """ECON-13: f / (1 - (k - 1)g) of each draw."""
    f, g = Fraction(3, 10), Fraction(2, 10)
    held = economics.seats_held([Holding(1, 3_000, True), Holding(2_000, 2), Holding(1, 3_000)], 3)
    mean = sum(m * chance for m, chance in enumerate(held))
    assert 3 * f < mean <= 3 * f / (1 - 2 * g)


def test_chance_of_wrong__each_case__added_up():
    """ECON-8"""
    held = economics.seats_held_by_share(Fraction(1, 2), 3)
    check = Fraction(1, 4)
    assert economics.chance_of_quorum(held, 2) == Fraction(1, 2)
    assert economics.chance_of_wrong(held, 2, check) == Fraction(1, 8) * Fraction(3, 4)
    assert economics.chance_of_wrong(held, 2, Fraction(1)) == 0
    assert economics.chance_of_wrong(held, 2, check, Fraction(1)) == Fraction(1, 2)
    # Where nobody but a checker calls referees, a witness changes nothing.
    alone = economics.chance_of_wrong(held, 2, check, Fraction(1, 3), witness=check)
    assert alone == Fraction(1, 2) * (Fraction(3, 4) + Fraction(1, 4) * Fraction(1, 3))


def test_chance_lazy_caught__by_listing_committees__any_honest_seat_shows_it_up():
    """ECON-1"""
    check = Fraction(1, 4)
    workers = [True] * 4 + [False] * 3
    held = economics.seats_held([Holding(1, 4, True), Holding(1, 3)], 3)
    seats = caught = Fraction(0)
    for committee in itertools.permutations(workers, 3):
        seats += sum(committee)
        caught += sum(committee) * (check if all(committee) else 1)
    assert economics.chance_lazy_caught(held, check) == caught / seats
    assert economics.chance_lazy_caught(economics.seats_held([Holding(1, 1, True), Holding(1, 1)], 1), check) == check


def test_farming_gain__small_coalition_and_half_of_all_stake__loses_and_gains():
    """ECON-11"""

    def gain(share, wrong, slash):
        held = economics.seats_held_by_share(share, economics.referees_of(wrong))
        return economics.farming_gain(wrong, slash, held, economics.referees_of(wrong) // 2 + 1)

    assert gain(Fraction(0), 1, Fraction(5)) == -3
    assert gain(Fraction(1), 3, Fraction(5)) == Fraction(15, 2)
    assert gain(Fraction(3, 10), 1, Fraction(5)) < 0 < gain(Fraction(1, 2), 1, Fraction(5))
    assert gain(Fraction(3, 10), 3, Fraction(5)) < 0 < gain(Fraction(1, 2), 3, Fraction(5))


def test_redraw_for_free__committees__none_where_one_seat_decides():
    """ECON-12: by trying every number of seats."""
    for seats, quorum in [(1, 1), *COMMITTEES]:
        found = any(seats - held < quorum and held < quorum for held in range(seats + 1))
        assert economics.redraw_for_free(seats, quorum) == found == (seats < 2 * quorum - 1)


@pytest.mark.parametrize(("slash", "percent"), [(5, 44), (10, 38), (20, 29)])
def test_farming_gain__coalitions_below_the_stated_share__lose(slash, percent):
    """ECON-11: the shares that docs/spec/economics.md names, over committees with their smallest referees."""
    lowest = 100
    for seats, quorum in [(1, 1), (3, 2), (5, 3), (9, 5)]:
        referees = economics.referees_of(seats)
        for wrong in range(quorum, seats + 1):
            for share in range(20, 60):
                held = economics.seats_held_by_share(Fraction(share, 100), referees)
                if economics.farming_gain(wrong, Fraction(slash), held, referees // 2 + 1) > 0:
                    lowest = min(lowest, share)
                    break
    assert lowest == percent
