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

    Raises DeepReorg, at every poll until the chain is back, when more than REORG_DEPTH blocks were taken back.
    """

    def __init__(
        self, connection: Connection, market: Market, start: int, confirmations: Confirmations = "latest"
    ) -> None:
        self._connection = connection
        self._market = market
        self._confirmations = confirmations
        self._next = start
        # Blocks whose events were told, the newest last. What changes here is yielded before anything can fail.
        self._recent: list[Head] = []
        self._forgot = False
        """Events below the first of `_recent` were told."""

    def poll(self) -> Iterator[Blocks | Rollback]:
        """What happened since the last call; nothing when the head has not moved."""
        head = self._connection.head(self._confirmations)
        # An endpoint behind a load balancer may answer from an older block; only a different chain counts.
        if self._recent and (self._knows(head) or head.number < self._recent[0].number):
            return
        final = head.number - REORG_DEPTH
        if self._next <= final and self._is_canonical():
            yield from self._catch_up(final)
        yield from self._walk(head)

    def _catch_up(self, final: int) -> Iterator[Blocks]:
        """History up to block `final`, too old to be taken back, many blocks at a time."""
        while self._next <= final:
            last = min(self._next + CHUNK - 1, final)
            logs = self._connection.logs_of_range(self._market.address, self._next, last)
            events = tuple((log["blockNumber"], event) for log in logs if (event := self._market.decode(log)))
            head = self._connection.block(last)
            self._next, self._recent, self._forgot = last + 1, [head], True
            yield Blocks(head, events)

    def _walk(self, head: Head) -> Iterator[Blocks | Rollback]:
        """From the last block in common up to `head`, found backwards along parent hashes."""
        path = [head]
        kept = len(self._recent)
        first = self._recent[0].number if self._recent else self._next
        while True:
            following = self._recent[kept - 1].number + 1 if kept else first
            while path[-1].number > following:
                path.append(self._connection.block(path[-1].parent))
            if not kept or path[-1].parent == self._recent[kept - 1].hash:
                break
            kept -= 1
        if kept < len(self._recent):
            if not kept and self._forgot:
                raise DeepReorg(
                    f"The chain took back all {len(self._recent)} blocks from {first} on that are remembered.",
                    "Check the endpoint against a second one. Restart this process when the chain is trusted again.",
                )
            self._next = self._recent[kept].number
            del self._recent[kept:]
            yield Rollback(self._next - 1)
        for block in reversed(path):
            if block.number < self._next:
                continue
            logs = self._connection.logs_of_block(self._market.address, block.hash)
            events = tuple((block.number, event) for log in logs if (event := self._market.decode(log)))
            self._recent.append(block)
            if len(self._recent) > REORG_DEPTH + 1:
                del self._recent[0]
                self._forgot = True
            self._next = block.number + 1
            yield Blocks(block, events)

    def _knows(self, head: Head) -> bool:
        return any(head.hash == known.hash for known in self._recent)

    def _is_canonical(self) -> bool:
        """True when no block that was told has been replaced."""
        return not self._recent or self._connection.block(self._recent[-1].number).hash == self._recent[-1].hash
