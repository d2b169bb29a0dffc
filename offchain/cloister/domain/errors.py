"""The root of every error that Cloister raises on purpose."""

from __future__ import annotations


class CloisterError(Exception):
    """Something went wrong that the reader can act on.

    `message` says what happened, with the values involved; `hint` says what to do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidInput(CloisterError):
    """A value given by the caller breaks a rule that the message states."""
