"""The bounds of docs/spec/economics.md, exactly: what cheating costs, and which parameters a market refuses.

All amounts are in prices of a seat: a slash of 5 is five times what the seat is paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from cloister.domain.errors import InvalidInput
from cloister.domain.request import MAX_SEATS

BPS = 10_000
YEAR = 365 * 86_400
"""Seconds."""
LEAST_SLASH = 5
"""Prices that a wrong seat loses, at least: half of it pays for whatever an overturned answer costs (ECON-2)."""
RATE_BPS = 2_000
"""What locked stake could have earned in a year, in 1/10000 (ECON-3)."""


@dataclass(frozen=True, slots=True)
class StakeTerms:
    """The constructor's parameters that say what cheating costs."""

    stake_ratio: int
    """Prices of stake locked for a seat."""
    wrong_bps: int
    """Share of the lock that a wrong seat loses."""
    silent_bps: int
    """Share of the lock that a silent seat loses."""
    fault_bps: int
    """Share of the escrow that a request loses which is not delivered."""
    check_bps: int
    """Lowest share of wrong answers that come to light, over all levels of the deployment."""
    lock_seconds: int
    """Longest time for which one job locks stake."""

    @property
    def slash(self) -> Fraction:
        """What a wrong seat loses, in prices: s of docs/spec/economics.md."""
        return slash_of(self.stake_ratio, self.wrong_bps)


@dataclass(frozen=True, slots=True)
class Holding:
    """Equal places in the draw. An operator that declared its workers is one place with the weight of them all."""

    weight: int
    """Of each place."""
    places: int
    colluding: bool = False


def slash_of(stake_ratio: int, wrong_bps: int) -> Fraction:
    """What a wrong seat loses, in prices."""
    return Fraction(stake_ratio * wrong_bps, BPS)


def laziness_loses(
    chance: Fraction, slash: Fraction, reward: Fraction, cost: Fraction, *, paid_first: bool = True
) -> bool:
    """Whether a worker that skips the work, and is caught with `chance`, has less than one that does it: ECON-1.

    p(R + S) > C where a caught seat is not paid. Where it was paid before (`paid_first`) it keeps that: pS > C.
    """
    return chance * (slash if paid_first else reward + slash) > cost


def lowest_chance(slash: Fraction, *, paid_first: bool = True) -> Fraction:
    """Chance of being caught above which laziness loses, for every reward and cost up to the price: ECON-1."""
    return 1 / (slash if paid_first else 1 + slash)


def most_guessed(chance: Fraction, slash: Fraction) -> Fraction:
    """Share of answers that a free guess must stay below for laziness to lose, 0 if it wins without one: ECON-6."""
    return max(Fraction(0), 1 - 1 / (chance * slash)) if chance else Fraction(0)


def largest_gain(held: int, chance: Fraction, slash: Fraction) -> Fraction | None:
    """Gain from outside the market, in prices, above which `held` colluding seats profit from a wrong answer: ECON-9.

    It comes to light with `chance`, after they were paid; None when that is certain, since then no gain is enough. Each
    saves the price, the dearest case. A negative number is what they gain even so.
    """
    return None if chance == 1 else held * (chance * slash - 1) / (1 - chance)


def slash_needed(seats: int, quorum: int, rewards: Fraction, referees: int = 0) -> Fraction:
    """Slash, in prices, half of which pays for whatever an overturned answer of a committee costs: ECON-2.

    That is the price of every seat, back to the requester or on to those who were right, the rewards of prover and
    challenger, and as many `referees`; with the fewest wrong seats that can have decided.
    """
    return 2 * (seats + rewards + referees) / Fraction(quorum)


def referees_of(seats: int) -> int:
    """Fewest seats of the committee that judges one of `seats` (CHAL-8)."""
    return min(2 * seats + 1, MAX_SEATS)


def lowest_fault_bps(stake_ratio: int, lock_seconds: int, rate_bps: int = RATE_BPS) -> int:
    """Fee for an undelivered request, in 1/10000 of its escrow, that pays for the stake it could lock: ECON-3."""
    return -(-stake_ratio * lock_seconds * rate_bps // YEAR)


def lowest_bond(proof_gas: int, base_fee_cap: int, proving_fee: int) -> int:
    """Wei that a challenger puts up, so that a challenge of a right answer costs it more than the accused: ECON-10."""
    return -(-3 * (proof_gas * base_fee_cap + proving_fee) // 2)


def longest_lock(commit: int, publish: int, reveal: int, challenge: int, dispute: int) -> int:
    """Seconds for which one job can lock stake: to the end of the last dispute that there can be (ECON-5).

    A demand in the last second of the commit window begins another one; a dispute ends, and its referees' in turn.
    """
    return 2 * commit + publish + reveal + challenge + 2 * dispute


def refuses(terms: StakeTerms) -> list[str]:
    """Why a market refuses these parameters, one sentence each; empty if it takes them."""
    reasons = []
    if not 0 < terms.check_bps <= BPS:
        reasons.append(f"A check share of {terms.check_bps} is not between 1 and {BPS} (ECON-1).")
    elif not laziness_loses(Fraction(terms.check_bps, BPS), terms.slash, Fraction(1), Fraction(1)):
        reasons.append(
            f"If {terms.check_bps} of {BPS} wrong answers come to light, laziness profits from a slash of "
            f"{float(terms.slash):g} prices: more than {float(BPS * lowest_chance(terms.slash)):.0f} must (ECON-1)."
        )
    if terms.silent_bps >= terms.wrong_bps:
        reasons.append(
            f"Silence costs {terms.silent_bps}/{BPS} and a wrong answer {terms.wrong_bps}/{BPS}: a worker that knows "
            "nothing must not do better by answering (ECON-4)."
        )
    if terms.slash < LEAST_SLASH:
        reasons.append(
            f"Half of a slash of {float(terms.slash):g} prices does not pay for an overturned answer: it must be at "
            f"least {LEAST_SLASH} (ECON-2)."
        )
    if terms.fault_bps < (fee := lowest_fault_bps(terms.stake_ratio, terms.lock_seconds)):
        reasons.append(
            f"A fault fee of {terms.fault_bps}/{BPS} does not pay for stake locked {terms.lock_seconds} s: it must be "
            f"at least {fee} (ECON-3)."
        )
    return reasons


def seats_held(holdings: Sequence[Holding], seats: int) -> list[Fraction]:
    """Chance that colluding places get 0, 1, … seats, drawn by weight without replacement (DRAW-4).

    Raises InvalidInput when there are fewer places than seats.
    """
    if sum(holding.places for holding in holdings) < seats:
        raise InvalidInput(f"There are fewer than {seats} places to draw from.", "Add holdings, or take fewer seats.")
    # The order of the seats that were drawn does not matter for the next one, only how many of each holding are gone.
    states = {(0,) * len(holdings): Fraction(1)}
    for _ in range(seats):
        after: dict[tuple[int, ...], Fraction] = {}
        for gone, chance in states.items():
            left = [h.weight * (h.places - g) for h, g in zip(holdings, gone, strict=True)]
            total = sum(left)
            for i, weight in enumerate(left):
                if weight:
                    state = (*gone[:i], gone[i] + 1, *gone[i + 1 :])
                    after[state] = after.get(state, Fraction(0)) + chance * Fraction(weight, total)
        states = after
    chances = [Fraction(0)] * (seats + 1)
    for gone, chance in states.items():
        chances[sum(g for h, g in zip(holdings, gone, strict=True) if h.colluding)] += chance
    return chances


def seats_held_by_share(share: Fraction, seats: int) -> list[Fraction]:
    """The same for a coalition with `share` of the stake in ever smaller places among others that are small, too."""
    chances = [Fraction(1)]
    for _ in range(seats):
        longer = [*(chance * (1 - share) for chance in chances), Fraction(0)]
        for held, chance in enumerate(chances):
            longer[held + 1] += chance * share
        chances = longer
    return chances


def chance_of_quorum(held: Sequence[Fraction], quorum: int) -> Fraction:
    """Chance that a coalition decides a committee: ECON-8. `held` is what `seats_held` gives."""
    return sum(held[quorum:], Fraction(0))


def chance_lazy_caught(held: Sequence[Fraction], check: Fraction) -> Fraction:
    """Chance of a lazy seat to be caught where a proof decides: ECON-1.

    Any honest seat beside it shows it up, by the count or by its proof; a check (chance `check`) does in any case.
    """
    lazy_seats = sum(number * chance for number, chance in enumerate(held))
    return 1 - (1 - check) * (len(held) - 1) * held[-1] / lazy_seats


def chance_of_wrong(
    held: Sequence[Fraction],
    quorum: int,
    check: Fraction,
    referee: Fraction = Fraction(0),
    witness: Fraction = Fraction(1),
) -> Fraction:
    """Chance that a job ends with the wrong answer of a coalition that lies whenever it decides: ECON-8.

    With an honest seat beside the coalition a dispute is opened with chance `witness`, without one with chance `check`.
    It fails with chance `referee`: that of the coalition to decide the referees, 0 where a proof decides.
    """
    witnessed, captured = chance_of_quorum(held[:-1], quorum), held[-1]
    return witnessed * (1 - witness + witness * referee) + captured * (1 - check + check * referee)


def farming_gain(wrong: int, slash: Fraction, referees: Sequence[Fraction], quorum: int) -> Fraction:
    """Most that a requester gains on average, in prices, by having its own coalition overturn a right answer: ECON-11.

    `wrong` is how many honest seats are slashed then, half for the requester; `referees` the chances that the coalition
    holds 0, 1, … of the referees' seats. If it cannot decide, the honest ones among them are paid for nothing.
    """
    won = chance_of_quorum(referees, quorum) * wrong * slash / 2
    seats = len(referees) - 1
    return won - sum((chance * (seats - held) for held, chance in enumerate(referees[:quorum])), Fraction(0))


def redraw_for_free(seats: int, quorum: int) -> bool:
    """Whether there are seats enough to void a job by emptying them, and too few to decide it: ECON-12."""
    return seats - quorum + 1 <= quorum - 1
