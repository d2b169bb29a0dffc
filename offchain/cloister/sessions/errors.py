"""What can go wrong in a session off the chain."""

from __future__ import annotations

from enum import StrEnum

from cloister.domain.errors import CloisterError


class Reason(StrEnum):
    """Why a worker gives no receipt, in one word for machines."""

    MALFORMED = "malformed"
    SESSION = "session"
    CLOSING = "closing"
    SEQUENCE = "sequence"
    TOTAL = "total"
    DEPOSIT = "deposit"
    SIGNATURE = "signature"
    PRICE = "price"
    CONFLICT = "conflict"
    JOB = "job"


class OrderRefused(CloisterError):
    """A worker does not do this job. Sending the same order again does not help."""

    def __init__(self, reason: Reason, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class Unable(CloisterError):
    """A worker cannot tell now whether it may do the job, or has too much to do: the same order may be sent again."""


class WorkerFailed(CloisterError):
    """A worker gave no receipt, or none that holds. The order stays open: send it again, or end the session."""


class BadReceipt(WorkerFailed):
    """What a worker answered is no receipt for the order, or its sealed output does not open to what it says."""


class SessionUnusable(CloisterError):
    """A requester must sign no more orders in this session."""


class LedgerError(CloisterError):
    """A ledger of sessions cannot be used as it is."""


class OrderConflict(LedgerError):
    """Another order has this sequence number, or the one before has no receipt yet."""


class SecondReceipt(LedgerError):
    """A second, different receipt for one order: from another, it is proof against who signed it."""
