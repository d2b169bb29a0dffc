"""Where a job stands."""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """Where a job stands. The numbers are the contract's."""

    NONE = 0
    OPEN = 1
    READY = 2
    DEMANDED = 3
    COMMITTED = 4
    SETTLED = 5
    REFUNDED = 6
    DISPUTED = 7
    CHALLENGED = 8
