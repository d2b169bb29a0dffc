"""The time inside an enclave, which has only its host to ask."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Unix seconds: what the host said last, and what has passed since by this machine's own count.

    A host can make time run ahead, which only wipes keys early. It cannot stop it: the machine counts on, and what was
    said once is not taken back.
    """

    def __init__(self, count: Callable[[], float] = time.monotonic, start: Callable[[], float] = time.time) -> None:
        self._count = count
        self._said, self._at = start(), count()
        self._told = False

    def tell(self, now: int) -> None:
        """Take the host's word; the first replaces the machine's clock, later ones only ever move time on."""
        self._said = max(now, self.now()) if self._told else now
        self._at, self._told = self._count(), True

    def now(self) -> int:
        """The Unix second."""
        return int(self._said + self._count() - self._at)
