"""Why a broker gives no share. Reasons are told to whoever asks, and say nothing about the share (REL-3)."""

from __future__ import annotations

from enum import StrEnum

from cloister.domain.errors import CloisterError


class Reason(StrEnum):
    """What stands against a release, in one word for machines."""

    MALFORMED = "malformed"
    NONCE = "nonce"
    VERSION = "version"
    SHARE = "share"
    WORKER = "worker"
    POLICY = "policy"
    EVIDENCE = "evidence"
    COLLATERAL = "collateral"
    RELEASE_KEY = "release-key"
    LICENCE = "licence"


class Refused(CloisterError):
    """The broker could release the share, and does not. Asking again in the same way does not help."""

    def __init__(self, reason: Reason, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class Unable(CloisterError):
    """The broker cannot tell whether it may release the share, or cannot write it down: it releases none (REL-2)."""


class BadLicence(CloisterError):
    """A licence file says something that no licence can."""


class BrokerStateBroken(CloisterError):
    """Something that a broker keeps on disk is missing, damaged or another broker's."""
