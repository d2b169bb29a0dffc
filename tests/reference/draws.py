"""Many draws at once: the draw of docs/spec/commitments.md on arrays, and what people try against it.

Seeds are numbers from a seeded generator in place of keccak: what matters is that they are uniform, and who knows them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.uint64]
Seats = NDArray[np.int64]
NOBODY = -1
GWEI = 10**9  # of each of the others' places


@dataclass(frozen=True)
class Crowd:
    """Places in the order of their leaves, and who owns them."""

    weights: NDArray[np.int64]  # gwei
    mine: NDArray[np.bool_]  # of the coalition
    operators: NDArray[np.int64] | None = None  # by place; places of one operator take one seat between them

    @property
    def share(self) -> float:
        return float(self.weights[self.mine].sum() / self.weights.sum())


def crowd(share: float, mine: int, others: int, rng: np.random.Generator, *, declared: bool = False) -> Crowd:
    """A coalition with `share` of the stake in `mine` equal places, scattered among `others`."""
    theirs = np.full(others, GWEI, np.int64)
    ours = np.full(mine, round(share / (1 - share) * others * GWEI / max(mine, 1)), np.int64)
    order = rng.permutation(mine + others)
    coalition = (np.arange(mine + others) < mine)[order]
    operators = np.arange(mine + others)[order]
    if declared:
        operators = np.where(coalition, 0, operators + 1)
    return Crowd(np.concatenate([ours, theirs])[order], coalition, operators if declared else None)


def points(rng: np.random.Generator, rounds: int, draws: int) -> Points:
    """What the seeds of `rounds` jobs give: one number for each leaf that is drawn."""
    return rng.integers(0, 1 << 63, (rounds, draws), np.uint64)


def drawn(weights: NDArray[np.int64], numbers: Points) -> Seats:
    """DRAW-4: leaf j of a draw holds point `numbers[j]` mod what is undrawn, when that lies end to end."""
    rounds, count = numbers.shape
    ends = np.cumsum(weights)
    starts = ends - weights
    leaves = np.full((rounds, count), NOBODY, np.int64)
    left = np.full(rounds, ends[-1], np.int64)
    for j in range(count):
        point = (numbers[:, j] % left.astype(np.uint64)).astype(np.int64)
        # Walking over the drawn leaves in their order puts the point where it lies when they are still there.
        for gone in np.sort(leaves[:, :j], axis=1).T:
            point += np.where(point >= starts[gone], weights[gone], 0)
        leaves[:, j] = np.searchsorted(ends, point, side="right")
        left -= weights[leaves[:, j]]
    return leaves


def seated(people: Crowd, numbers: Points, seats: int) -> Seats:
    """Committees: a drawn leaf whose operator has a place in this draw already is passed over."""
    leaves = drawn(people.weights, numbers)
    if people.operators is None:
        return leaves[:, :seats]
    owners = people.operators[leaves]
    passed = np.zeros(leaves.shape, bool)
    for j in range(1, leaves.shape[1]):
        passed[:, j] = (owners[:, :j] == owners[:, j, None]).any(axis=1)
    committees = np.full((len(leaves), seats), NOBODY, np.int64)
    rank = np.cumsum(~passed, axis=1) - 1
    for j in range(leaves.shape[1]):
        rows = np.flatnonzero(~passed[:, j] & (rank[:, j] < seats))
        committees[rows, rank[rows, j]] = leaves[rows, j]
    return committees


def held(people: Crowd, committees: Seats) -> NDArray[np.int64]:
    """Seats of the coalition in each committee."""
    return (people.mine[committees] & (committees != NOBODY)).sum(axis=1)


@dataclass(frozen=True)
class Campaign:
    """What a coalition got. A campaign is one job that it wants decided, however many draws it takes."""

    draws: NDArray[np.int64]  # requests that were drawn for, of each campaign
    won: NDArray[np.bool_]
    fees: NDArray[np.float64]  # paid for draws that were dropped, in prices
    skipped: NDArray[np.int64]  # blocks that were given up


def withhold(
    people: Crowd, rng: np.random.Generator, campaigns: int, seats: int, quorum: int, fault: float, tries: int
) -> Campaign:
    """A requester with workers delivers only draws that they decide, and asks again up to `tries` draws (JOB-18)."""
    draws, fees = np.zeros(campaigns, np.int64), np.zeros(campaigns)
    won = np.zeros(campaigns, bool)
    for last in [*[False] * (tries - 1), True]:
        open_ = np.flatnonzero(~won)
        luck = held(people, seated(people, points(rng, len(open_), seats), seats)) >= quorum
        draws[open_] += 1
        won[open_[luck]] = True
        if not last:  # the last one is delivered whatever it is
            fees[open_[~luck]] += fault * seats
    return Campaign(draws, won, fees, np.zeros(campaigns, np.int64))


def skip(
    people: Crowd,
    rng: np.random.Generator,
    campaigns: int,
    seats: int,
    quorum: int,
    proposer: float,
    *,
    knows_secret: bool,
) -> Campaign:
    """A proposer of the seed block, who has `proposer` of the blocks, gives its block up if it does not like the draw.

    Without the requester's secret it can only guess the draw: it sees what another secret would give (DRAW-1).
    """
    skipped = np.zeros(campaigns, np.int64)
    won = np.zeros(campaigns, bool)
    open_ = np.arange(campaigns)
    while len(open_):
        luck = held(people, seated(people, points(rng, len(open_), seats), seats)) >= quorum
        seen = luck if knows_secret else held(people, drawn(people.weights, points(rng, len(open_), seats))) >= quorum
        again = (rng.random(len(open_)) < proposer) & ~seen
        won[open_[~again]] = luck[~again]
        skipped[open_[again]] += 1
        open_ = open_[again]
    return Campaign(np.ones(campaigns, np.int64), won, np.zeros(campaigns), skipped)


def empty_seats(
    people: Crowd, rng: np.random.Generator, campaigns: int, seats: int, quorum: int, tries: int
) -> Campaign:
    """Coalition workers let keys lapse, or refuse, where that voids a job that they cannot decide (JOB-8, JOB-16).

    Nobody is drawn in their place (DRAW-5); the requester gets its escrow back and asks again.
    """
    draws, won = np.zeros(campaigns, np.int64), np.zeros(campaigns, bool)
    open_ = np.arange(campaigns)
    for _ in range(tries):
        got = held(people, seated(people, points(rng, len(open_), seats), seats))
        draws[open_] += 1
        won[open_[got >= quorum]] = True
        open_ = open_[(got < quorum) & (seats - got < quorum)]
        if not len(open_):
            break
    return Campaign(draws, won, np.zeros(campaigns), np.zeros(campaigns, np.int64))


def move_stake(
    people: Crowd, rng: np.random.Generator, rounds: int, seats: int, quorum: int, *, remembered: bool
) -> NDArray[np.bool_]:
    """Once the seed is out the coalition moves its stake to the places that the points hit (DRAW-2, DRAW-3).

    It exits and registers anew where the first points lie, which helps only a draw that takes the weights of the moment
    (`remembered` false: the control, which no deployment does).
    """
    numbers = points(rng, rounds, seats)
    if remembered:
        return held(people, seated(people, numbers, seats)) >= quorum
    # The stake goes to one end of the line of weights or to the other, as the draw favours: two of its many choices.
    others = Crowd(people.weights[~people.mine], np.zeros((~people.mine).sum(), bool))
    ours = people.weights[people.mine]
    theirs = np.zeros(len(ours), bool) | True
    lefts = Crowd(np.concatenate([ours, others.weights]), np.concatenate([theirs, others.mine]))
    rights = Crowd(np.concatenate([others.weights, ours]), np.concatenate([others.mine, theirs]))
    return (held(lefts, seated(lefts, numbers, seats)) >= quorum) | (
        held(rights, seated(rights, numbers, seats)) >= quorum
    )
