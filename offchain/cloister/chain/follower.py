"""Follows the market's logs block by block, by hash, and tells when the chain takes blocks back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cloister.chain.connection import Confirmations, Connection, Head
from cloister.chain.market import Market
from cloister.domain.errors import CloisterError
from cloister.domain.events import JobEvent
from cloister.domain.ledger import REORG_DEPTH

CHUNK = 2_000
"""Blocks per request while catching up with history."""


class DeepReorg(CloisterError):
    """The chain took back more blocks than are remembered."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """New blocks up to `head`, with their events in chain order."""

    head: Head
    events: tuple[tuple[int, JobEvent], ...]


@dataclass(frozen=True, slots=True)
class Rollback:
    """Every block above `last` was taken back."""

    last: int


class Follower:
    """Reads the market's events from block `start` on.

    Raises DeepReorg when more than REORG_DEPTH blocks were taken back.
    """

    def __init__(
        self, connection: Connection, market: Market, start: int, confirmations: Confirmations = "latest"
    ) -> None:
        self._connection = connection
        self._market = market
        self._confirmations = confirmations
        self._next = start
        self._recent: list[Head] = []
        self._trimmed = False

    def poll(self) -> Iterator[Blocks | Rollback]:
        """What happened since the last call; nothing when the head has not moved."""
        head = self._connection.head(self._confirmations)
        if self._recent and head.hash == self._recent[-1].hash:
            return
        # An endpoint behind a load balancer may answer from an older block; only a different chain counts.
        if self._recent and head.number <= self._recent[-1].number and self._knows(head):
            return
        while self._next < head.number - REORG_DEPTH and not self._recent:
            last = min(self._next + CHUNK - 1, head.number - REORG_DEPTH)
            logs = self._connection.logs_of_range(self._market.address, self._next, last)
            events = tuple((log["blockNumber"], event) for log in logs if (event := self._market.decode(log)))
            self._next = last + 1
            yield Blocks(self._connection.block(last), events)
        yield from self._walk(head)

    def _walk(self, head: Head) -> Iterator[Blocks | Rollback]:
        """From the last block in common up to `head`, found backwards along parent hashes."""
        path = [head]
        while path[-1].number > self._next and not self._links(path[-1]):
            path.append(self._connection.block(path[-1].parent))
        while self._recent and not self._links(path[-1]):
            gone = self._recent.pop()
            if not self._recent and self._trimmed:
                raise DeepReorg(
                    f"The chain took back more than {REORG_DEPTH} blocks below {gone.number + REORG_DEPTH}.",
                    "Check the endpoint against a second one. Restart this process when the chain is trusted again.",
                )
            self._next = gone.number
            yield Rollback(gone.number - 1)
            while path[-1].number > self._next:
                path.append(self._connection.block(path[-1].parent))
        for block in reversed(path):
            if block.number < self._next:
                continue
            logs = self._connection.logs_of_block(self._market.address, block.hash)
            events = tuple((block.number, event) for log in logs if (event := self._market.decode(log)))
            self._recent.append(block)
            if len(self._recent) > REORG_DEPTH:
                del self._recent[0]
                self._trimmed = True
            self._next = block.number + 1
            yield Blocks(block, events)

    def _knows(self, head: Head) -> bool:
        return any(head.hash == known.hash for known in self._recent)

    def _links(self, block: Head) -> bool:
        """True when `block` follows the last known one, or there is none to follow."""
        if not self._recent:
            return block.number <= self._next
        return block.parent == self._recent[-1].hash
