"""A worker's answer to a job, or why it gives none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cloister.domain.errors import CloisterError


class RefusalReason(IntEnum):
    """Why a seat is given up (JOB-16)."""

    COMMITMENT_MISMATCH = 1
    CIPHERTEXT_UNAVAILABLE = 2
    MODEL_UNAVAILABLE = 3
    INVALID_INPUT = 4
    SEALED_KEY_DOES_NOT_OPEN = 5
    OUTPUT_TOO_LARGE = 6
    OTHER = 7


class CannotServe(CloisterError):
    """A job cannot be done, and the fault is not this worker's."""

    def __init__(self, reason: RefusalReason, message: str, signature: bytes = b"") -> None:
        """`signature` is the enclave's word for the reason, where it gives one: the requester then pays (SIG-2)."""
        super().__init__(message)
        self.reason = reason
        self.signature = signature


class CiphertextMissing(CloisterError):
    """No blob store of this worker has the encrypted input."""


class ProofRefused(CloisterError):
    """The market does not take a proof that the prover holds to be right."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker commits to, and what it opens later. The output is sealed to the requester.

    `signature` is that of the worker's result key over EIP-712 Result (SIG-1); looked at in jobs for a version with a
    policy alone.
    """

    commitment: bytes
    output_commitment: bytes
    salt: bytes
    sealed_output: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class ProvedAnswer:
    """What a worker sends for a proved job, and anybody for a disputed one.

    `masked` is the output under the requester's pad.

    `input_binding`, `input_digest` and `pad_digest` open the request's input commitment on chain, without the input.
    `signature` is that of the worker's result key over EIP-712 Result (SIG-1); in a dispute there is none.
    """

    input_binding: bytes
    input_digest: bytes
    pad_digest: bytes
    masked: bytes
    proof: bytes
    signature: bytes = b""

    @property
    def opening(self) -> tuple[bytes, bytes, bytes]:
        """The Solidity struct InputOpening."""
        return self.input_binding, self.input_digest, self.pad_digest
