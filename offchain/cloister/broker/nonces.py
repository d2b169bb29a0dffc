"""Challenges of a broker: each of them good once, and for two minutes."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from cloister.broker.errors import Reason, Refused

NONCE_BYTES = 32
LIFETIME = 120.0
"""Seconds."""
MOST = 4096
"""At a time. The oldest makes way: who asks for many must not keep others from getting one."""


class Nonces:
    """Nonces that are out. `clock` gives seconds that only grow. Threads may share it."""

    def __init__(
        self, clock: Callable[[], float], *, most: int = MOST, random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._clock, self._most, self._random = clock, most, random
        self._ends: OrderedDict[bytes, float] = OrderedDict()
        self._lock = Lock()

    def new(self) -> bytes:
        """32 random bytes."""
        nonce = self._random(NONCE_BYTES)
        with self._lock:
            now = self._clock()
            while self._ends and (len(self._ends) >= self._most or next(iter(self._ends.values())) <= now):
                self._ends.popitem(last=False)
            self._ends[nonce] = now + LIFETIME
        return nonce

    def use(self, nonce: bytes) -> None:
        """Takes a nonce back, for good. Raises Refused unless this broker gave it out and it is still good."""
        with self._lock:
            end = self._ends.pop(nonce, None)
            now = self._clock()
        if end is None:
            raise Refused(Reason.NONCE, "The nonce is not this broker's, or was used already.", "Ask for another one.")
        if end <= now:
            raise Refused(Reason.NONCE, "The nonce is older than two minutes.", "Ask for another one.")
