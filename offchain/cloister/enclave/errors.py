"""What can go wrong between a host and its enclave."""

from __future__ import annotations

from cloister.domain.errors import CloisterError


class EnclaveError(CloisterError):
    """Something between the host and its enclave went wrong."""


class FrameError(EnclaveError):
    """What came over the socket is no message of this protocol."""


class ChannelClosed(FrameError):
    """The other side is gone."""


class EnclaveFailed(EnclaveError):
    """The enclave has ended, or answers what it must not. It has to be started again, with new keys."""


class QuestionRefused(EnclaveError):
    """The enclave does not do what it was asked: the question contradicts what it knows."""


class ModelRefused(EnclaveError):
    """A package, a share or a licence is not what the version id, the manifest or the broker says."""


class Unprotected(EnclaveError):
    """A protection is missing that the operator has not given up by name."""
