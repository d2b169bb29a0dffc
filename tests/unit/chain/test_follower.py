"""The follower: whatever the chain does, what was told and not taken back is what the chain has, once."""

import contextlib
import random
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from web3.exceptions import BlockNotFound

from cloister.chain import follower as module
from cloister.chain.connection import Connection, Head
from cloister.chain.errors import RpcUnavailable
from cloister.chain.follower import Blocks, DeepReorg, Follower, Rollback
from cloister.devnet.anvil import start_anvil
from cloister.domain.ledger import REORG_DEPTH


@dataclass(frozen=True)
class Block:
    """A block whose one event is its own hash."""

    number: int
    hash: bytes
    parent: bytes
    logs: tuple


def grow(parent, fork=0, logs=1):
    number = parent.number + 1 if parent else 0
    hash_ = sha256(f"{number} {fork} {parent.hash.hex() if parent else ''}".encode()).digest()
    entries = tuple({"blockNumber": number, "event": (hash_, index)} for index in range(logs))
    return Block(number, hash_, parent.hash if parent else bytes(32), entries)


class FakeChain:
    """A node: its canonical chain, every block that it ever saw, and what goes wrong."""

    def __init__(self, length=1):
        self.canonical = [grow(None)]
        self.seen = {self.canonical[0].hash: self.canonical[0]}
        self.forks = 0
        self.calls = []
        self.before = lambda call: None
        self.answers_head = None
        self.extend(length - 1)

    def extend(self, count, logs=1):
        for _ in range(count):
            block = grow(self.canonical[-1], self.forks, logs)
            self.canonical.append(block)
            self.seen[block.hash] = block

    def reorg(self, depth, count, forget=True):
        """Takes `depth` blocks back and mines `count` others."""
        self.forks += 1
        gone = self.canonical[len(self.canonical) - depth :]
        del self.canonical[len(self.canonical) - depth :]
        if forget:
            for block in gone:
                self.seen.pop(block.hash, None)
        self.extend(count)
        return gone

    @property
    def events(self):
        return [(log["blockNumber"], log["event"]) for block in self.canonical for log in block.logs]

    # Connection

    def head(self, confirmations="latest"):
        self._call("head")
        depth = confirmations if isinstance(confirmations, int) else 0
        return _head(self.answers_head or self.canonical[max(len(self.canonical) - 1 - depth, 0)])

    def block(self, which):
        self._call("block")
        found = self.seen.get(which) if isinstance(which, bytes) else dict(enumerate(self.canonical)).get(which)
        if found is None:
            raise RpcUnavailable("no such block")
        return _head(found)

    def logs_of_block(self, address, block_hash):
        self._call("logs_of_block")
        if block_hash not in self.seen:
            raise RpcUnavailable("unknown block")
        return self.seen[block_hash].logs

    def logs_of_range(self, address, first, last):
        self._call(f"logs_of_range {first} {last}")
        return [log for block in self.canonical[first : last + 1] for log in block.logs]

    def _call(self, what):
        self.calls.append(what)
        self.before(what)


def _head(block):
    return Head(block.number, block.hash, block.parent, 1000 + block.number)


class FakeMarket:
    address = "0x" + "11" * 20

    def decode(self, log):
        return log["event"]


@dataclass
class Reader:
    """What somebody who believes the follower knows."""

    follower: Follower
    events: list = field(default_factory=list)
    rollbacks: list = field(default_factory=list)
    heads: list = field(default_factory=list)

    def poll(self):
        for update in self.follower.poll():
            if isinstance(update, Rollback):
                self.events = [(number, event) for number, event in self.events if number <= update.last]
                self.rollbacks.append(update.last)
            else:
                assert isinstance(update, Blocks)
                self.events += update.events
                self.heads.append(update.head.number)


def reader(chain, start=0, confirmations="latest"):
    return Reader(Follower(chain, FakeMarket(), start, confirmations))


# ------------------------------------------------------------------ plain growth


def test_poll__growing_chain__tells_each_block_once_and_in_order():
    chain = FakeChain(3)
    told = reader(chain)
    for count in (0, 1, 0, 5, 1):
        chain.extend(count)
        told.poll()
        assert told.events == chain.events
    assert told.heads == list(range(10))
    assert told.rollbacks == []


def test_poll__nothing_new__asks_for_the_head_only():
    chain = FakeChain(3)
    told = reader(chain)
    told.poll()
    chain.calls.clear()
    told.poll()
    assert chain.calls == ["head"]


def test_poll__start__leaves_older_blocks_out():
    chain = FakeChain(10)
    told = reader(chain, start=7)
    told.poll()
    assert told.heads == [7, 8, 9]
    assert told.events == chain.events[7:]


def test_poll__start_in_the_future__waits_for_it():
    chain = FakeChain(3)
    told = reader(chain, start=5)
    for _ in range(3):
        told.poll()
        chain.extend(1)
    assert told.events == []
    told.poll()
    assert told.heads == [5]


def test_poll__confirmations__stays_that_far_behind():
    chain = FakeChain(10)
    told = reader(chain, confirmations=3)
    told.poll()
    assert told.heads[-1] == 6
    chain.reorg(3, 4)
    told.poll()
    assert told.rollbacks == []
    assert told.events == chain.events[:8]


# ------------------------------------------------------------------ reorganisations


@pytest.mark.parametrize(
    ("depth", "count"),
    [(1, 1), (1, 2), (3, 3), (3, 5), (5, 2), (5, 1), (19, 30), (REORG_DEPTH, REORG_DEPTH + 1)],
)
@pytest.mark.parametrize("forget", [True, False], ids=["forgotten", "still served"])
def test_poll__reorganised__takes_back_and_tells_anew(depth, count, forget):
    chain = FakeChain(REORG_DEPTH + 20)
    told = reader(chain)
    told.poll()
    last = len(chain.canonical) - 1 - depth
    chain.reorg(depth, count, forget)
    told.poll()
    assert told.rollbacks == [last]
    assert told.events == chain.events
    chain.extend(1)
    told.poll()
    assert told.events == chain.events


def test_poll__reorganised_at_the_start_block__tells_it_anew():
    chain = FakeChain(6)
    told = reader(chain, start=5)
    told.poll()
    chain.reorg(3, 4)
    told.poll()
    assert told.rollbacks == [4]
    assert told.events == chain.events[5:]


def test_poll__reorganised_below_the_start_to_a_chain_that_ends_there__waits_and_tells_anew():
    chain = FakeChain(7)
    told = reader(chain, start=5)
    told.poll()
    chain.reorg(4, 1)  # ends at block 3
    told.poll()
    chain.extend(4)
    told.poll()
    assert told.events == chain.events[5:]


def test_poll__lagging_endpoint__takes_nothing_back():
    chain = FakeChain(50)
    told = reader(chain)
    told.poll()
    for behind in (1, 2, 30):
        chain.answers_head = chain.canonical[-1 - behind]
        told.poll()
    chain.answers_head = None
    chain.extend(1)
    told.poll()
    assert told.rollbacks == []
    assert told.events == chain.events


def test_poll__endpoint_far_behind_what_is_remembered__takes_nothing_back():
    chain = FakeChain(3 * REORG_DEPTH)
    told = reader(chain)
    told.poll()
    chain.answers_head = chain.canonical[10]
    told.poll()
    chain.answers_head = None
    chain.extend(1)
    told.poll()
    assert told.rollbacks == []
    assert told.events == chain.events


def test_poll__back_to_the_first_fork__tells_the_first_again():
    chain = FakeChain(10)
    told = reader(chain)
    told.poll()
    first = list(chain.canonical)
    chain.reorg(3, 4, forget=False)
    told.poll()
    chain.canonical = first
    chain.extend(2)
    told.poll()
    assert told.events == chain.events


@pytest.mark.parametrize("slow", [True, False], ids=["block by block", "after catching up"])
def test_poll__deeper_than_remembered__raises_and_tells_nothing_until_the_chain_is_back(slow):
    chain = FakeChain(5 if slow else 400)
    told = reader(chain)
    told.poll()
    if slow:
        for _ in range(400):
            chain.extend(1)
            told.poll()
    before, honest = list(told.events), list(chain.canonical)
    chain.reorg(REORG_DEPTH + 1, REORG_DEPTH + 3, forget=False)
    for _ in range(3):
        with pytest.raises(DeepReorg, match=r"took back"):
            told.poll()
    assert told.events == before
    assert told.rollbacks == []
    chain.canonical = honest
    chain.extend(1)
    told.poll()
    assert told.events == chain.events


# ------------------------------------------------------------------ catching up


def test_poll__long_history__is_read_in_chunks_and_the_rest_by_hash(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 100)
    chain = FakeChain(500)
    told = reader(chain, start=20)
    told.poll()
    final = 499 - REORG_DEPTH
    ranges = [call for call in chain.calls if call.startswith("logs_of_range")]
    assert ranges == [
        "logs_of_range 20 119",
        "logs_of_range 120 219",
        "logs_of_range 220 319",
        f"logs_of_range 320 {final}",
    ]
    assert chain.calls.count("logs_of_block") == REORG_DEPTH
    assert told.events == chain.events[20:]
    assert told.heads[-1] == 499


def test_poll__after_a_long_pause__catches_up_in_chunks():
    chain = FakeChain(5)
    told = reader(chain)
    told.poll()
    chain.extend(1000)
    chain.calls.clear()
    told.poll()
    assert len(chain.calls) < 3 * REORG_DEPTH
    assert told.events == chain.events


def test_poll__after_a_long_pause_with_a_reorganisation__takes_back_first():
    chain = FakeChain(20)
    told = reader(chain)
    told.poll()
    chain.reorg(6, 500)
    told.poll()
    assert told.rollbacks == [13]
    assert told.events == chain.events


def test_poll__reorganised_while_catching_up__tells_what_stands():
    chain = FakeChain(400)

    def reorg_once(call):
        if call.startswith("logs_of_range"):
            chain.before = lambda call: None
            chain.reorg(REORG_DEPTH, REORG_DEPTH + 5)

    chain.before = reorg_once
    told = reader(chain)
    with pytest.raises(RpcUnavailable):  # the head that it was walking to is gone
        told.poll()
    told.poll()
    assert told.events == chain.events


# ------------------------------------------------------------------ an endpoint that fails


def test_poll__endpoint_fails_at_any_call__loses_and_doubles_nothing(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 40)

    def script(told, chain):
        for act in (lambda: None, lambda: chain.reorg(4, 6), lambda: chain.extend(3), lambda: chain.extend(300)):
            act()
            told.poll()

    chain = FakeChain(200)
    script(reader(chain), chain)
    for failing in range(len(chain.calls)):
        chain = FakeChain(200)
        count = iter(range(10**6))

        def fail(call, count=count, failing=failing):
            if next(count) == failing:
                raise RpcUnavailable("gone for a moment")

        chain.before = fail
        told = reader(chain)
        for act in (
            lambda: None,
            lambda c=chain: c.reorg(4, 6),
            lambda c=chain: c.extend(3),
            lambda c=chain: c.extend(300),
        ):
            act()
            try:
                told.poll()
            except RpcUnavailable:
                told.poll()
            assert told.events == chain.events, failing


def test_poll__random_chains_and_failures__tells_exactly_the_canonical_events(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 50)
    for seed in range(60):
        rng = random.Random(seed)
        chain = FakeChain(rng.randint(1, 300))
        start = rng.choice([0, 0, rng.randint(0, 320)])
        told = reader(chain, start, rng.choice(["latest", "latest", 2]))
        fails = rng.choice([0, 0, 0.05])
        for _ in range(25):
            act = rng.random()
            if act < 0.5:
                chain.extend(rng.randint(0, 4), logs=rng.randint(0, 2))
            elif act < 0.55:
                chain.extend(rng.randint(100, 300))
            elif act < 0.8:
                depth = rng.randint(1, min(len(chain.canonical) - 1, 10) or 1)
                if depth < len(chain.canonical):
                    chain.reorg(depth, rng.randint(1, 12), forget=rng.random() < 0.5)
            elif act < 0.9:
                chain.answers_head = chain.canonical[max(0, len(chain.canonical) - 1 - rng.randint(0, 5))]

            def flaky(call, rng=rng, fails=fails):
                if rng.random() < fails:
                    raise RpcUnavailable("now and then")

            chain.before = flaky
            for _ in range(rng.randint(0, 2)):
                with contextlib.suppress(RpcUnavailable):
                    told.poll()
            chain.answers_head = None
            assert len(told.events) == len(set(told.events)), seed
        chain.before = lambda call: None
        chain.extend(20)
        told.poll()
        told.follower._confirmations = "latest"
        told.poll()
        assert told.events == [(number, event) for number, event in chain.events if number >= start], seed


# ------------------------------------------------------------------ a real node


def test_poll__anvil_reorg__is_followed():
    with start_anvil(0, 0) as node:
        connection = Connection(node.url)

        class Nothing(FakeMarket):
            def decode(self, log):
                return None

        told = Reader(Follower(connection, Nothing(), 0))
        node.mine(12)
        told.poll()
        node.control("anvil_reorg", 5, [])
        node.mine(1)
        told.poll()
        assert told.rollbacks == [7]
        assert told.heads == [*range(13), 8, 9, 10, 11, 12, 13]
        known = {block.number: block.hash for block in told.follower._recent}
        assert known == {number: connection.block(number).hash for number in range(14)}


def test_connection__block_that_is_not_there__is_unavailable_rather_than_a_surprise():
    with start_anvil(0, 0) as node:
        connection = Connection(node.url)
        for ask in (
            lambda: connection.block(77),
            lambda: connection.block(b"\x11" * 32),
            lambda: connection.header(77),
            lambda: connection.logs_of_block(FakeMarket.address, b"\x11" * 32),
        ):
            with pytest.raises(RpcUnavailable):
                ask()
        with pytest.raises(BlockNotFound):
            connection.w3.eth.get_block(77)
