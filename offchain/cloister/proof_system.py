"""What requester and worker need of the proof system (docs/spec/proofs.md), and where it comes from.

It is loaded when a job names a verifier, so that other jobs run on machines that lack its native part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cloister.domain.errors import CloisterError
from cloister.domain.request import MAX_MASKED
from cloister.fixedpoint import Manifest, Package

if TYPE_CHECKING:
    from cloister.proving import Circuit, CommittedModel, JobProof, Statement

WORD_BYTES = 32
"""Of one number in a masked output: a field element."""


class ProofSystemMissing(CloisterError):
    """What proofs are made with is not installed here."""


class NoProofs(CloisterError):
    """Proofs about a model version cannot be had, or are not to be trusted."""


class ProofSystem(Protocol):
    """What `cloister.proving` offers to requesters, owners and workers."""

    def circuit_of(self, manifest: Manifest) -> Circuit:
        """The circuit of a model. Raises NotProvable."""

    def commit_model(self, package: Package) -> CommittedModel:
        """A package with its weights committed. Raises NotProvable."""

    def commit_input(self, circuit: Circuit, rows: NDArray[np.int64], secret: bytes) -> bytes:
        """Digest of the commitment to input rows (n, *shape), blinded from the job secret."""

    def commit_pad(self, circuit: Circuit, rows: int, secret: bytes) -> bytes:
        """Digest of the commitment to the pad for the outputs of n rows."""

    def mask(self, circuit: Circuit, outputs: NDArray[np.int64], secret: bytes) -> bytes:
        """The masked words of outputs (n, outputs), as a proof of them would show."""

    def prove_weights(self, model: CommittedModel, context: bytes) -> bytes:
        """A proof that all weights are integers of the declared width. Raises NotProvable."""

    def prove_job(self, model: CommittedModel, rows: NDArray[np.int64], context: bytes, secret: bytes) -> JobProof:
        """Runs the model and proves it."""

    def unmask(self, circuit: Circuit, rows: int, masked: bytes, secret: bytes) -> NDArray[np.int64]:
        """Outputs (n, labels) from masked words. Raises InvalidProof."""

    def verify(self, data: bytes, context: bytes) -> Statement:
        """What a proof file proves under a context. Raises InvalidProof."""


def proof_system() -> ProofSystem:
    """The package's own. Raises ProofSystemMissing where a library that it needs is not installed."""
    try:
        from cloister import proving  # noqa: PLC0415  only proved jobs need it
    except ImportError as error:
        raise ProofSystemMissing(
            f"Proofs cannot be made here: {error}.", "Install the missing library: pip install --upgrade cloister"
        ) from error
    return proving


def masked_bytes(outputs: int, rows: int) -> int:
    """Length of a masked output: a batch is filled up to a power of two."""
    return WORD_BYTES * outputs << (rows - 1).bit_length()


def most_provable_rows(outputs: int) -> int:
    """Rows whose masked output fits a job; 0 if not even one does."""
    words = MAX_MASKED // (WORD_BYTES * outputs)
    return 1 << words.bit_length() - 1 if words else 0
