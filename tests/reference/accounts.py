"""Money that the market owes, and what it has seen of workers: rules MONEY-*, REP-* of docs/spec/protocol.md."""

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from .commitments import COIN
from .registry import require

BURN = "0x000000000000000000000000000000000000dEaD"
HALVING = 30 * 24 * 3600


class Purse:
    """A slash, of which half can be given away, first come, first served."""

    def __init__(self, slashed: int):
        self.burned = slashed
        self._left = slashed // 2
        self.gifts: list[tuple[str, int]] = []

    def give(self, account: str, amount: int) -> None:
        amount = min(amount, self._left)
        self._left -= amount
        self.burned -= amount
        self.gifts.append((account, amount))


@dataclass
class Accounts:
    chain_id: int
    address: str
    credits: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int), kw_only=True)
    fees: dict[tuple[bytes, str], int] = field(default_factory=lambda: defaultdict(int), kw_only=True)
    tokens: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int), kw_only=True)
    # (halvings since 1970, worker) → what was seen of it then: good, bad
    seen: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict, kw_only=True)
    events: list[tuple[str, dict]] = field(default_factory=list, kw_only=True)  # of the present call

    def emit(self, name: str, **facts: object) -> None:
        self.events.append((name, facts))

    # ---------------------------------------------------------------- money

    def owed(self, token: str) -> int:
        whose = sum(amount for (_, of), amount in self.credits.items() if of == token)
        return whose + sum(amount for (_, of), amount in self.fees.items() if of == token)

    def credit(self, account: str, job: bytes, amount: int, token: str = COIN) -> None:
        assert amount >= 0
        if amount:
            self.credits[account, token] += amount
            self.emit("Credited", account=account, id=job, token=token, amount=amount)

    def spend(self, purse: Purse, job: bytes) -> None:
        for account, amount in purse.gifts:
            self.credit(account, job, amount)
        self.credit(BURN, job, purse.burned)

    def take_tokens(self, who: str, token: str, amount: int) -> None:
        require(self.tokens[who, token] >= amount, "CUR-4: too few tokens")
        self.tokens[who, token] -= amount

    def withdraw(self, who: str, account: str, token: str, *, now: int, block: int) -> int:
        require(self.credits.get((account, token)), "MONEY-2: nothing owed")
        amount = self.credits.pop((account, token))
        if token != COIN:
            self.tokens[account, token] += amount
        self.emit("Withdrawn", account=account, token=token, amount=amount)
        return amount

    def owe_owner(self, version: bytes, token: str, amount: int) -> None:
        self.fees[version, token] += amount

    def collect_fees(self, owner: str, version: bytes, token: str) -> None:
        require(self.fees.get((version, token)), "MONEY-2: nothing owed")
        amount = self.fees.pop((version, token))
        self.emit("FeesCollected", version=version, owner=owner, token=token, amount=amount)
        self.credit(owner, bytes(32), amount, token)

    # ---------------------------------------------------------------- standing

    def praise(self, worker: str, now: int) -> None:
        self._see(worker, now, 1, 0)

    def blame(self, worker: str, weight: int, now: int) -> None:
        self._see(worker, now, 0, weight)

    def _see(self, worker: str, now: int, good: int, bad: int) -> None:
        was = self.seen.get((now // HALVING, worker), (0, 0))
        self.seen[now // HALVING, worker] = was[0] + good, was[1] + bad

    def reputation(self, worker: str, now: int) -> int:
        """In 1/10000: one good and one bad from the start, and half of all the rest is forgotten each 30 days."""
        good, bad = Fraction(1), Fraction(1)
        for (halvings, who), (praised, blamed) in self.seen.items():
            if who == worker:
                good += Fraction(praised, 2 ** (now // HALVING - halvings))
                bad += Fraction(blamed, 2 ** (now // HALVING - halvings))
        return int(good * 10_000 / (good + bad))
