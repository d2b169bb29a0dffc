"""Workers and their stake: rules NODE-* and DRAW-* of docs/spec/protocol.md."""

from dataclasses import dataclass, field

from . import commitments
from .commitments import NOBODY

GWEI = 10**9


class Refused(Exception):
    """The rules forbid it; whatever was asked for must change nothing."""


def require(condition: object, rule: str) -> None:
    if not condition:
        raise Refused(rule)


@dataclass
class Worker:
    stake: int = 0
    locked: int = 0
    key_epoch: int = 0
    exit_at: int = 0
    weights: list[tuple[int, int]] = field(default_factory=list)  # (first epoch, gwei), in order of time


@dataclass
class Registry:
    epoch_length: int
    exit_delay: int
    minimum: int
    workers: dict[str, Worker] = field(default_factory=dict)  # in the order of their leaves

    # ---------------------------------------------------------------- what workers do

    def register(self, who: str, value: int, key: bytes, signer: str, *, now: int, block: int) -> None:
        worker = self.workers.get(who)
        require(worker is None or (worker.exit_at and worker.stake == 0), "NODE-1: one place each")
        require(value >= self.minimum, "NODE-1: minimum stake")
        require(any(key) and signer != NOBODY, "NODE-1: keys")
        if worker is None:
            worker = self.workers[who] = Worker()
        else:
            worker.key_epoch += 1
            worker.exit_at = 0
        worker.stake = value
        self._weigh(worker, block)

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
        require(worker.locked == 0, "NODE-3: locked")
        worker.stake = 0

    def _active(self, who: str) -> Worker:
        worker = self.workers.get(who)
        require(worker is not None, "NODE-1: not registered")
        require(worker.exit_at == 0, "NODE-3: leaving")
        return worker

    # ---------------------------------------------------------------- what the market does

    def lock(self, who: str, amount: int) -> None:
        worker = self.workers[who]
        worker.locked += amount
        assert worker.locked <= worker.stake, "NODE-5"

    def release(self, who: str, amount: int, penalty: int, block: int) -> None:
        worker = self.workers[who]
        assert penalty <= amount <= worker.locked, "NODE-5"
        worker.locked -= amount
        worker.stake -= penalty
        if penalty:
            self._weigh(worker, block)

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

    def draw(self, seed: bytes, seats: int, epoch: int, lock: int) -> list[str]:
        """DRAW-4, DRAW-5; docs/spec/commitments.md, "Draw"."""
        left = {who: self.weight(who, epoch) for who in self.workers}
        committee = [NOBODY] * seats
        for seat in range(seats):
            total = sum(left.values())
            if total == 0:
                break
            drawn = self._at(left, commitments.point(seed, seat) % total)
            del left[drawn]
            worker = self.workers[drawn]
            if worker.stake - worker.locked >= lock:
                committee[seat] = drawn
        return committee

    @staticmethod
    def _at(weights: dict[str, int], point: int) -> str:
        """Whose weight holds the point, when the weights lie end to end."""
        for who, weight in weights.items():
            if point < weight:
                return who
            point -= weight
        raise ValueError("no such point")
