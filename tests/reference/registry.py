"""Workers, their stake and their operators: rules NODE-* and DRAW-* of docs/spec/protocol.md."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from . import commitments
from .commitments import NOBODY

GWEI = 10**9
SPARE = 16


class Refused(Exception):
    """The rules forbid it; whatever was asked for must change nothing."""


def require(condition: object, rule: str) -> None:
    if not condition:
        raise Refused(rule)


@dataclass
class Worker:
    stake: int = 0
    key_epoch: int = 0
    exit_at: int = 0
    joined: bool = False  # it has a leaf
    operator: str | None = None
    weights: list[tuple[int, int]] = field(default_factory=list)  # (first epoch, gwei), in order of time
    # Job → (wei, second up to which they are needed). A lock that nobody lifts ends by itself, a while after that.
    locks: dict[bytes, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Registry:
    epoch_length: int
    exit_delay: int
    minimum: int
    lock_period: int
    workers: dict[str, Worker] = field(default_factory=dict)  # who registered or joined, leaves in their order
    operators: list[str] = field(default_factory=list)  # number 1 first
    slashes: list[tuple[str, int, int]] = field(default_factory=list)  # of the present call: who, what, what is left

    # ---------------------------------------------------------------- what workers do

    def register(self, who: str, value: int, key: bytes, signer: str, *, now: int, block: int) -> None:
        worker = self.workers.get(who)
        require(self._outside(who), "NODE-1: one place each")
        require(value >= self.minimum, "NODE-1: minimum stake")
        require(any(key) and signer != NOBODY, "NODE-1: keys")
        if worker is None or not worker.joined:
            before, worker = worker, Worker(joined=True)
            worker.operator = before.operator if before else None
            self.workers.pop(who, None)  # leaves are counted in the order of registrations
            self.workers[who] = worker
        else:
            worker.key_epoch += 1
            worker.exit_at = 0
        worker.stake = value
        self._weigh(worker, block)

    def join(self, who: str, operator: str, agreed: bool, *, now: int, block: int) -> None:
        """`agreed`: the operator signed that this worker is its own."""
        known = self.workers.get(who)
        left = known is None or not known.joined or (known.stake == 0 and known.exit_at and now >= known.exit_at)
        require(left, "DRAW-8: not while it can be drawn")
        require(agreed, "DRAW-8: the operator must agree")
        if operator not in self.operators:
            self.operators.append(operator)
        self.workers.setdefault(who, Worker()).operator = operator

    def top_up(self, who: str, value: int, *, now: int, block: int) -> None:
        worker = self._active(who)
        worker.stake += value
        self._weigh(worker, block)

    def replace_keys(self, who: str, key: bytes, signer: str, *, now: int, block: int) -> None:
        worker = self._active(who)
        require(any(key) and signer != NOBODY, "NODE-1: keys")
        worker.key_epoch += 1  # NODE-2

    def announce_exit(self, who: str, *, now: int, block: int) -> None:
        worker = self._active(who)
        worker.exit_at = now + self.exit_delay
        self._weigh(worker, block)

    def withdraw(self, who: str, *, now: int, block: int) -> None:
        worker = self.workers.get(who)
        require(worker is not None and worker.stake, "NODE-3: nothing there")
        require(worker.exit_at, "NODE-3: no exit announced")
        require(now >= worker.exit_at, "NODE-3: exit delay")
        require(self.locked(who, now) == 0, "NODE-3: locked")
        worker.stake = 0

    def _outside(self, who: str) -> bool:
        worker = self.workers.get(who)
        return worker is None or not worker.joined or bool(worker.exit_at and worker.stake == 0)

    def _active(self, who: str) -> Worker:
        worker = self.workers.get(who)
        require(worker is not None and worker.joined, "NODE-1: not registered")
        require(worker.exit_at == 0, "NODE-3: leaving")
        return worker

    # ---------------------------------------------------------------- what the market does

    def locked(self, who: str, now: int) -> int:
        """Stake comes free when the period that its lock ends in is over."""
        known = self.workers.get(who)
        running = now // self.lock_period
        locks = known.locks.values() if known else []
        return sum(amount for amount, until in locks if until // self.lock_period >= running)

    def free(self, who: str, now: int) -> int:
        """A slash can leave less than is locked."""
        return max(0, self.workers[who].stake - self.locked(who, now))

    def lock(self, who: str, job: bytes, amount: int, until: int, now: int) -> None:
        assert self.free(who, now) >= amount, "NODE-5"
        assert amount % GWEI == 0
        self.workers[who].locks[job] = amount, until

    def hireable(self, who: str, amount: int, now: int) -> bool:
        known = self.workers.get(who)
        return known is not None and known.joined and not known.exit_at and self.free(who, now) >= amount

    def release(self, who: str, job: bytes, penalty: int, block: int) -> int:
        """Lifts the job's lock before its time. What is taken: the penalty, or all that earlier ones have left."""
        worker = self.workers[who]
        amount, _ = worker.locks.pop(job)
        assert penalty <= amount, "NODE-5"
        taken = min(penalty, worker.stake)
        worker.stake -= taken
        if penalty:
            self._weigh(worker, block)
            self.slashes.append((who, taken, worker.stake))
        return taken

    # ---------------------------------------------------------------- draws

    def epoch(self, block: int) -> int:
        return block // self.epoch_length

    def _weigh(self, worker: Worker, block: int) -> None:
        """A change counts from the next epoch on: DRAW-3."""
        out = worker.exit_at or worker.stake < self.minimum  # NODE-3, NODE-6
        worker.weights.append((self.epoch(block) + 1, 0 if out else worker.stake // GWEI))

    def weight(self, who: str, epoch: int) -> int:
        known = self.workers.get(who)
        past = [gwei for first, gwei in known.weights if first <= epoch] if known else []
        return past[-1] if past else 0

    def total(self, epoch: int) -> int:
        return sum(self.weight(who, epoch) for who in self.workers)

    def drawn(self, seed: bytes, seats: int, epoch: int) -> Iterator[str]:
        """In the order of the draw, DRAW-4; it looks at 16 more than there are seats."""
        left = {who: self.weight(who, epoch) for who in self.workers}
        for number in range(seats + SPARE):
            total = sum(left.values())
            if total == 0:
                return
            drawn = self._at(left, commitments.point(seed, number) % total)
            del left[drawn]
            yield drawn

    def draw(self, seed: bytes, seats: int, epoch: int, lock: int, now: int) -> list[str]:
        """DRAW-4, DRAW-5, DRAW-8; docs/spec/commitments.md, "Draw"."""
        committee: list[str] = []
        operators: set[str] = set()
        for who in self.drawn(seed, seats, epoch):
            operator = self.workers[who].operator
            if len(committee) < seats and operator not in operators:
                committee.append(who if self.free(who, now) >= lock else NOBODY)
                operators |= {operator} - {None}
        return committee + [NOBODY] * (seats - len(committee))

    @staticmethod
    def _at(weights: dict[str, int], point: int) -> str:
        """Whose weight holds the point, when the weights lie end to end."""
        for who, weight in weights.items():
            if point < weight:
                return who
            point -= weight
        raise ValueError("no such point")
