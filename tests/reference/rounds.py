"""Many jobs at once, with lazy and colluding workers among the drawn: draw, answers, count, checks, appeals, money.

It plays the mechanism of docs/spec/economics.md and knows none of its formulas. Amounts are in prices of a seat.
"""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from reference import draws

RIGHT, FORGED = 0, 1
NONE = -1

Mask = NDArray[np.bool_]
Amounts = NDArray[np.float64]


class Behaviour(Enum):
    LAZY = "lazy"  # makes an answer up, each its own
    BOLD = "bold"  # a coalition that gives one wrong answer wherever its seats decide
    CAREFUL = "careful"  # one that does so only where it holds every seat, so that no seat is a witness


@dataclass(frozen=True)
class Level:
    name: str
    seats: int
    quorum: int
    referees: tuple[int, int] | None = None  # their seats and quorum; None where a proof decides
    proved: bool = False  # verified before payment
    watchful: bool = False  # the requester calls referees whenever outputs differ, and not only when it checked

    def __str__(self) -> str:
        called = " at any dissent" if self.watchful else ""
        return f"{self.name}, referees {self.referees}{called}" if self.referees else self.name


@dataclass(frozen=True)
class Stakes:
    slash: float  # what a wrong seat loses
    silent: float  # what a silent one loses
    check: float  # share of jobs whose right answer somebody else knows: canaries, and requesters who check
    reward: float = 0.9  # of the price, the rest is the owner's
    cost: float = 0.9  # of doing the job
    bounty: float = 1.0  # to prover and challenger of an overturned answer


@dataclass(frozen=True)
class Outcome:
    """What became of each seat, and of each job."""

    dishonest: Mask  # (rounds, seats): held by a lazy or colluding worker
    lied: Mask  # (rounds, seats)
    slashed: Amounts  # (rounds, seats)
    profit: Amounts  # (rounds, seats): pay less cost less slash
    wrong: Mask  # (rounds,): the job ended with a wrong answer
    escrow: float  # what the requester paid for each job
    out: dict[str, Amounts] = field(default_factory=dict)  # (rounds,): where escrow and slashes went

    def caught(self) -> Mask:
        return self.lied & (self.slashed > 0)


def play(
    people: draws.Crowd, level: Level, stakes: Stakes, how: Behaviour, rng: np.random.Generator, rounds: int
) -> Outcome:
    """`rounds` jobs, each with a draw of its own."""
    committees = draws.seated(people, draws.points(rng, rounds, level.seats), level.seats)
    dishonest = people.mine[committees]
    answers = _answers(dishonest, level.quorum, how)
    lied = answers != RIGHT
    if level.proved:
        return _proved(dishonest, lied, stakes)
    result = _count(answers, level.quorum)
    wrong = (result != NONE) & (result != RIGHT)
    checked = rng.random(rounds) < stakes.check
    # Where a proof decides, any seat that is right can show it; only the requester can call referees.
    known = checked if level.referees else checked | ~lied.all(axis=1)
    disputed = ((result == NONE) | wrong) & known
    if level.watchful:
        disputed |= (answers != answers[:, :1]).any(axis=1)
    verdict, agreeing = _verdict(people, level, how, rng, rounds)
    return _settle(answers, dishonest, result, np.where(disputed, verdict, result), agreeing * disputed, stakes)


def _answers(dishonest: Mask, quorum: int, how: Behaviour) -> NDArray[np.int64]:
    seats = dishonest.shape[1]
    if how is Behaviour.LAZY:
        return np.where(dishonest, FORGED + 1 + np.arange(seats), RIGHT)
    # Colluding seats know of each other before they commit.
    held = dishonest.sum(axis=1)
    decides = held >= quorum if how is Behaviour.BOLD else held == seats
    return np.where(dishonest & decides[:, None], FORGED, RIGHT)


def _count(answers: NDArray[np.int64], quorum: int) -> NDArray[np.int64]:
    """What at least `quorum` seats answered, or NONE."""
    votes = (answers[:, :, None] == answers[:, None, :]).sum(axis=2)
    best = votes.argmax(axis=1)
    rows = np.arange(len(answers))
    return np.where(votes[rows, best] >= quorum, answers[rows, best], NONE)


def _verdict(
    people: draws.Crowd, level: Level, how: Behaviour, rng: np.random.Generator, rounds: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What would be found, and how many referees are paid for it.

    Only the right answer has a proof, and an accused that shows none is slashed; referees can be lazy or bought.
    """
    if level.referees is None:
        return np.full(rounds, RIGHT), np.zeros(rounds, np.int64)
    seats, quorum = level.referees
    committees = draws.seated(people, draws.points(rng, rounds, seats), seats)
    answers = _answers(people.mine[committees], quorum, how)
    found = _count(answers, quorum)
    return found, (answers == found[:, None]).sum(axis=1)


def _proved(dishonest: Mask, lied: Mask, stakes: Stakes) -> Outcome:
    """A made-up answer has no proof: its seat is silent, and the requester gets its escrow back."""
    slashed = np.where(lied, stakes.silent, 0.0)
    profit = np.where(lied, 0.0, stakes.reward - stakes.cost) - slashed
    done = (~lied).sum(axis=1).astype(float)
    out = {
        "seats": done * stakes.reward,
        "owner": done * (1 - stakes.reward),
        "requester": lied.sum(axis=1).astype(float),
        "referees": np.zeros(len(lied)),
        "bounty": np.zeros(len(lied)),
        "burned": slashed.sum(axis=1),
    }
    return Outcome(dishonest, lied, slashed, profit, np.zeros(len(lied), bool), float(lied.shape[1]), out)


def _settle(
    answers: NDArray[np.int64],
    dishonest: Mask,
    result: NDArray[np.int64],
    verdict: NDArray[np.int64],
    referees: NDArray[np.int64],
    stakes: Stakes,
) -> Outcome:
    seats = answers.shape[1]
    # Referees without a quorum leave things as they were, and nobody is known to be wrong in a split.
    final = np.where(verdict == NONE, result, verdict)
    decided = final != NONE
    first = (answers == result[:, None]) & (result != NONE)[:, None]
    overturned = (result != NONE) & (final != result)
    paid = first | ((answers == final[:, None]) & decided[:, None])  # whoever was paid at once keeps it
    losers = (answers != final[:, None]) & decided[:, None]
    slashed = np.where(losers, stakes.slash, 0.0)
    profit = paid * stakes.reward - (answers == RIGHT) * stakes.cost - slashed
    # The first count pays from the escrow and gives the rest back. Overturned, the slashes make the requester whole
    # and pay those who were right; after a split the escrow, which is all there still, pays them.
    counted = paid.sum(axis=1).astype(float)
    requester = np.where(overturned, seats, seats - counted)
    made_good = np.where(overturned, counted, 0.0)
    purse = np.where(overturned | (result == NONE), slashed.sum(axis=1) / 2 - made_good, 0.0)
    back = np.minimum(purse, referees)
    bounty = np.minimum(purse - back, stakes.bounty)
    out = {
        "seats": counted * stakes.reward,
        "owner": counted * (1 - stakes.reward),
        "requester": requester.astype(float),
        "referees": back,
        "bounty": bounty,
        "burned": slashed.sum(axis=1) - made_good - back - bounty,
    }
    wrong = decided & (final != RIGHT)
    return Outcome(dishonest, answers != RIGHT, slashed, profit, wrong, float(seats), out)
