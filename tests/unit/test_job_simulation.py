"""Jobs with lazy and colluding workers, beside the formulas of docs/spec/economics.md and the committed figures."""

import importlib.util
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from reference import draws
from reference.rounds import FORGED, RIGHT, Behaviour, Level, Stakes, _count, play

from cloister.domain import economics
from cloister.domain.economics import Holding

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 20_000
PLACES = 100
STAKES = Stakes(slash=5.0, silent=1.0, check=0.25)
ATTESTED, PROVED = Level("ATTESTED", 1, 1), Level("PROVED", 1, 1, proved=True)
AGREED = Level("AGREED(3, 2)", 3, 2)
REFERRED = Level("AGREED(3, 2)", 3, 2, referees=(7, 4))
WATCHFUL = Level("AGREED(3, 2)", 3, 2, referees=(7, 4), watchful=True)
LEVELS = (
    ATTESTED,
    Level("ATTESTED", 1, 1, referees=(3, 2)),
    AGREED,
    REFERRED,
    WATCHFUL,
    Level("AGREED(5, 3)", 5, 3),
    PROVED,
)


def bench():
    spec = importlib.util.spec_from_file_location("bench_economics", ROOT / "bench" / "economics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def played(level, how, share=30, stakes=STAKES, seed=1):
    rng = np.random.default_rng([seed, share, level.seats])
    return play(draws.crowd(share / 100, share, PLACES - share, rng), level, stakes, how, rng, ROUNDS)


def held_by(share, seats):
    return economics.seats_held([Holding(1, share, True), Holding(1, PLACES - share)], seats)


def near(found, expected, variance):
    """Within four standard deviations of a mean over all rounds."""
    return abs(found - float(expected)) <= 4 * (variance / ROUNDS) ** 0.5 + 1e-12


def profits(outcome):
    seats = outcome.profit
    return seats[~outcome.dishonest].mean(), seats[outcome.dishonest].mean()


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("how", Behaviour)
def test_play__any_setting__every_price_is_accounted_for(level, how):
    """MONEY-3, ECON-2, ECON-7: escrow and slashes go somewhere, and at least half of the slashes is burned."""
    outcome = played(level, how, 50)
    slashes = outcome.slashed.sum(axis=1)
    out = sum(outcome.out.values())
    assert np.allclose(out, outcome.escrow + slashes)
    assert min(amounts.min() for amounts in outcome.out.values()) >= 0
    assert (2 * outcome.out["burned"] >= slashes - 1e-9).all()
    assert (outcome.out["requester"] <= outcome.escrow).all()


@pytest.mark.parametrize("level", LEVELS, ids=str)
def test_play__nobody_dishonest__nobody_loses(level):
    outcome = played(level, Behaviour.BOLD, 0)
    assert not outcome.wrong.any()
    assert not outcome.slashed.any()
    assert np.allclose(outcome.profit, STAKES.reward - STAKES.cost)


def test_play__lazy_at_attested__caught_as_often_as_checked_and_worse_off_by_the_formula():
    """ECON-1: ps - C where pay is kept."""
    outcome = played(ATTESTED, Behaviour.LAZY)
    lies = outcome.lied.sum()
    assert abs(outcome.caught().sum() / lies - STAKES.check) < 4 * (0.25 * 0.75 / lies) ** 0.5
    honest, lazy = profits(outcome)
    expected = STAKES.check * STAKES.slash - STAKES.cost
    assert abs(honest - lazy - expected) < 4 * STAKES.slash * (0.25 * 0.75 / lies) ** 0.5


def test_play__checks_below_and_above_the_bound__laziness_wins_and_loses():
    """ECON-1: with C = R = P the bound is p x s = 1, and not p(1 + s) = 1."""
    bound = float(economics.lowest_chance(Fraction(5)))
    for check, sign in ((0.18, -1), (bound - 0.05, -1), (bound + 0.05, 1)):
        stakes = Stakes(slash=5.0, silent=1.0, check=check, reward=1.0, cost=1.0)
        honest, lazy = profits(played(ATTESTED, Behaviour.LAZY, 50, stakes))
        assert (honest - lazy) * sign > 0


def test_play__lazy_at_agreed__caught_by_any_honest_seat():
    """ECON-1: who is caught was not paid: honest less lazy is pS + R - C."""
    outcome = played(AGREED, Behaviour.LAZY, 50)
    p = float(economics.chance_lazy_caught(held_by(50, 3), Fraction(1, 4)))
    lies = outcome.lied.sum()
    # All three seats of a job are caught or not together.
    assert abs(outcome.caught().sum() / lies - p) < 4 * (3 * p * (1 - p) / lies) ** 0.5
    assert not outcome.wrong.any()
    honest, lazy = profits(outcome)
    assert honest == pytest.approx(STAKES.reward - STAKES.cost)
    assert lazy == pytest.approx(-STAKES.slash * outcome.caught().sum() / lies)


def test_play__lazy_without_proofs__caught_by_a_quorum_or_by_referees():
    """ECON-1, ECON-11: a split vote gives the requester its money back, and it calls referees only if it checks."""
    outcome = played(REFERRED, Behaviour.LAZY, 50)
    held = [float(chance) for chance in held_by(50, 3)]
    right = float(1 - economics.chance_of_quorum(held_by(50, 7), 4))
    expected = held[1] + STAKES.check * right * (2 * held[2] + 3 * held[3])
    per_job = outcome.caught().sum(axis=1)
    assert near(per_job.mean(), expected, per_job.var())


def test_play__lazy_at_proved__unpaid_and_silent():
    outcome = played(PROVED, Behaviour.LAZY)
    assert not outcome.wrong.any()
    honest, lazy = profits(outcome)
    assert honest - lazy == pytest.approx(STAKES.reward - STAKES.cost + STAKES.silent)


def test_play__lazy_before_lazy_referees__caught_when_both_find_the_answer():
    """ECON-11: p is multiplied by the chance that the referees decide rightly."""
    level = LEVELS[1]
    outcome = played(level, Behaviour.LAZY)
    right = 1 - economics.chance_of_quorum(held_by(30, 3), 2)
    expected = STAKES.check * float(right)
    lies = outcome.lied.sum()
    assert abs(outcome.caught().sum() / lies - expected) < 4 * (expected * (1 - expected) / lies) ** 0.5


@pytest.mark.parametrize("level", [ATTESTED, AGREED, REFERRED, WATCHFUL, LEVELS[5]], ids=str)
@pytest.mark.parametrize("share", [10, 30, 50])
def test_play__bold_coalition__wrong_answers_stand_as_often_as_the_formula_says(level, share):
    """ECON-8"""
    outcome = played(level, Behaviour.BOLD, share)
    referee, witness = Fraction(0), Fraction(1)
    if level.referees:
        witness = Fraction(1 if level.watchful else Fraction(1, 4))
        referee = economics.chance_of_quorum(held_by(share, level.referees[0]), level.referees[1])
    expected = economics.chance_of_wrong(held_by(share, level.seats), level.quorum, Fraction(1, 4), referee, witness)
    assert near(outcome.wrong.mean(), expected, float(expected * (1 - expected)))


@pytest.mark.parametrize("how", [Behaviour.BOLD, Behaviour.CAREFUL])
def test_play__coalition_at_agreed__earns_what_its_seats_do(how):
    """ECON-8, ECON-9: by adding up over the seats that it holds."""
    s, reward, cost, check = STAKES.slash, STAKES.reward, STAKES.cost, STAKES.check
    held = [float(chance) for chance in held_by(30, 3)]
    whole = 3 * (reward - check * s)
    two = 2 * (reward - s) if how is Behaviour.BOLD else 2 * (reward - cost)
    expected = held[1] * (reward - cost) + held[2] * two + held[3] * whole
    outcome = played(AGREED, how)
    per_job = (outcome.profit * outcome.dishonest).sum(axis=1)
    assert near(per_job.mean(), expected, per_job.var())
    honest = outcome.profit[~outcome.dishonest]
    assert np.allclose(honest, reward - cost)  # one proof makes the minority whole


def test_play__captured_committee__honest_minority_pays_where_it_cannot_prove():
    """ECON-7, ECON-11: less often if its requester calls referees whenever outputs differ."""
    hurts = []
    for level in (REFERRED, WATCHFUL):
        outcome = played(level, Behaviour.BOLD, 50)
        hurt = (outcome.slashed > 0) & ~outcome.dishonest
        assert outcome.wrong[hurt.any(axis=1)].all()
        hurts.append(hurt.sum())
    assert hurts[0] > 1.5 * hurts[1] > 0
    proved = played(AGREED, Behaviour.BOLD, 50)
    assert not ((proved.slashed > 0) & ~proved.dishonest).any()


def test_count__votes__the_quorum_or_nothing():
    votes = np.array([[RIGHT, RIGHT, FORGED], [RIGHT, 2, 3], [FORGED, 2, FORGED], [RIGHT, RIGHT, RIGHT]])
    assert _count(votes, 2).tolist() == [RIGHT, -1, FORGED, RIGHT]
    assert _count(votes, 3).tolist() == [-1, -1, -1, RIGHT]


def test_page__tables_and_plot__are_those_of_the_committed_results():
    module = bench()
    text = (ROOT / "docs" / "spec" / "economics.md").read_text("utf-8")
    results = json.loads((ROOT / "bench" / "results" / "economics.json").read_text("utf-8"))
    assert module.with_tables(text, results) == text
    assert module.drawn(results) == (ROOT / "docs" / "img" / "economics.svg").read_text("utf-8")
    changed = json.loads(json.dumps(results))
    changed["jobs"][1]["honest_minus_dishonest"][0] += 1
    changed["sweep"][0]["honest_minus_dishonest"][0] += 1
    assert module.with_tables(text, changed) != text
    assert module.drawn(changed) != module.drawn(results)


def test_committed_results__targets__are_met():
    """At least 100,000 rounds of 0 to 50%, and no gain of more than one point over chance."""
    results = json.loads((ROOT / "bench" / "results" / "economics.json").read_text("utf-8"))
    assert results["rounds"] >= 100_000
    assert {row["share"] for row in results["jobs"]} == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}
    assert [row["attack"] for row in results["draws"] if row["limited"] and row["gain"] > 0.01] == []
    control = [row["gain"] for row in results["draws"] if row["attack"].startswith("control")]
    assert min(control) > 0.02


def test_committed_results__first_settings__are_played_again_alike():
    """Seeded: the same rows come out. A bench that was changed must be run again."""
    module = bench()
    results = json.loads((ROOT / "bench" / "results" / "economics.json").read_text("utf-8"))
    for index in (1, 5):
        rng = np.random.default_rng([module.SEED, index])
        row = module.job(module.LEVELS[0], module.STAKES, Behaviour.LAZY, module.SHARES[index], rng, results["rounds"])
        assert row == results["jobs"][index]
