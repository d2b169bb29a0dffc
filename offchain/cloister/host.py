"""The host's side of an enclave: hands it packages and ciphertexts, and takes answers that it cannot read.

A host sees ciphertext and commitments only (HOST-1). Open packages, which everybody can read, it passes on as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import structlog

from cloister.chain.models import RegisteredCircuit, Version
from cloister.domain.answer import Answer, CannotServe, CiphertextMissing, ProvedAnswer, RefusalReason
from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, BlobId, VersionId, hexed
from cloister.domain.job import Job
from cloister.fixedpoint import InvalidPackage
from cloister.fixedpoint.limits import MAX_MANIFEST_BYTES, MAX_WEIGHTS_BYTES
from cloister.fixedpoint.manifest import Manifest
from cloister.inference import UNREADABLE
from cloister.storage.blobs import BlobStores

log = structlog.get_logger()

CHUNK = 1 << 20
"""Bytes of a package that are handed over at a time."""


class ModelVault(Protocol):
    """What an enclave does with models."""

    def load(self, version: VersionId, owner: Address, manifest: bytes, weights: Iterable[bytes]) -> None:
        """Takes a package in and checks all of it. Raises ModelRefused."""

    def loaded(self) -> frozenset[VersionId]:
        """Versions that it can run now."""


class Inside(ModelVault, Protocol):
    """What an enclave does with jobs. Everything that goes in or comes out may be seen by anybody."""

    def answer(self, job: Job, ciphertext: bytes, *, open_version: bool, key_epochs: tuple[int, ...]) -> Answer:
        """Runs a job. Raises CannotServe."""

    def prove(
        self,
        job: Job,
        ciphertext: bytes,
        circuit: RegisteredCircuit,
        *,
        open_version: bool,
        key_epochs: tuple[int, ...],
    ) -> ProvedAnswer | None:
        """Runs and proves a job; None while that goes on. Raises CannotServe."""


class Packages:
    """Fetches published packages and hands them to an enclave.

    `version_of` reads the registry. Sealed packages need their key first: see `cloister.upkeep`.
    """

    def __init__(self, inside: ModelVault, version_of: Callable[[VersionId], Version], blobs: BlobStores) -> None:
        self._inside = inside
        self._version_of = version_of
        self._blobs = blobs

    def manifest(self, version: Version) -> tuple[Manifest, bytes]:
        """A version's manifest, and its bytes. Raises what blob stores and Manifest raise."""
        data = self._blobs.get(version.manifest, MAX_MANIFEST_BYTES)
        return Manifest.from_bytes(data), data

    def hand_over(self, version: Version) -> None:
        """Loads a version into the enclave. Raises ModelRefused, and what blob stores and Manifest raise."""
        parsed, data = self.manifest(version)
        weights = parsed.weights if parsed.sealing is None else parsed.sealing.weights
        # A sealed file is longer by 16 bytes per MiB.
        found = self._blobs.get(BlobId(bytes.fromhex(weights.sha256)), MAX_WEIGHTS_BYTES + (MAX_WEIGHTS_BYTES >> 15))
        self._inside.load(version.version_id, version.owner, data, chunks(found))

    def ensure(self, version_id: VersionId) -> Version:
        """The version, loaded. Raises CannotServe with the reason to refuse for."""
        version = self._version_of(version_id)
        if version_id in self._inside.loaded():
            return version
        try:
            parsed, _ = self.manifest(version)
            if parsed.sealing is not None:
                raise CannotServe(
                    RefusalReason.MODEL_UNAVAILABLE, f"The key of model version {hexed(version_id)} is not here."
                )
            self.hand_over(version)
        except CannotServe:
            raise
        except (*UNREADABLE, InvalidPackage, CloisterError) as error:
            message = f"Model version {hexed(version_id)} cannot be used: {error.message}"
            raise CannotServe(RefusalReason.MODEL_UNAVAILABLE, message) from error
        return version


class EnclaveInference:
    """A worker's inference and prover, in its enclave.

    `key_epochs` tells under which epochs the enclave's permanent key may have been registered, newest first.
    """

    def __init__(
        self,
        inside: Inside,
        packages: Packages,
        blobs: BlobStores,
        circuit_of: Callable[[VersionId], RegisteredCircuit | None],
        is_removed: Callable[[int], bool],
        trusted: int | None,
        key_epochs: Callable[[], tuple[int, ...]],
    ) -> None:
        self._inside = inside
        self._packages = packages
        self._blobs = blobs
        self._circuit_of = circuit_of
        self._is_removed = is_removed
        self._trusted = trusted
        self._key_epochs = key_epochs

    def answer(self, job: Job) -> Answer:
        """See `cloister.worker.Inference`."""
        version = self._packages.ensure(job.request.version)
        epochs = self._key_epochs() if version.open else ()
        return self._inside.answer(job, self._ciphertext(job), open_version=version.open, key_epochs=epochs)

    def prove(self, job: Job) -> ProvedAnswer | None:
        """See `cloister.worker.Prover`."""
        registered = self._circuit_of(job.request.version)
        if registered is None or self._is_removed(registered.verifier):
            message = f"Nobody checks proofs about model version {hexed(job.request.version)}."
            raise CannotServe(RefusalReason.MODEL_UNAVAILABLE, message)
        if registered.verifier != self._trusted:
            message = f"Verifier {registered.verifier} is none that this worker knows."
            raise CannotServe(RefusalReason.OTHER, message)
        version = self._packages.ensure(job.request.version)
        epochs, ciphertext = self._key_epochs() if version.open else (), self._ciphertext(job)
        return self._inside.prove(job, ciphertext, registered, open_version=version.open, key_epochs=epochs)

    def _ciphertext(self, job: Job) -> bytes:
        if job.ciphertext is not None:
            return job.ciphertext
        try:
            return self._blobs.get(job.request.ciphertext_hash, job.request.ciphertext_size)
        except UNREADABLE as error:
            raise CiphertextMissing(error.message, error.hint) from error


def chunks(data: bytes) -> Iterator[bytes]:
    """A package in pieces that fit a frame."""
    view = memoryview(data)
    for at in range(0, len(data), CHUNK):
        yield bytes(view[at : at + CHUNK])
