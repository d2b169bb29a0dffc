"""What can go wrong with keys and sealed messages."""

from __future__ import annotations

from cloister.domain.errors import CloisterError


class SealError(CloisterError):
    """A message cannot be sealed or opened. The text tells neither a secret nor which check failed."""


class UnusableKey(SealError):
    """A key has the wrong length, or is one that anybody could open messages of."""
