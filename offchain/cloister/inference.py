"""One job from sealed key to sealed output: the part of a worker that sees plaintext. `proved` has that of proved jobs.

Nothing here touches the chain or the journal, so that it can move into an enclave as it stands.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Protocol

from cloister.domain.answer import Answer, CannotServe, CiphertextMissing, RefusalReason
from cloister.domain.commitments import (
    NO_PROOF,
    JobContext,
    circuit_input,
    input_binding,
    input_commitment,
    masked_output,
    output_commitment,
)
from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, BlobId, JobId, VersionId, hexed
from cloister.domain.job import Job
from cloister.domain.request import MAX_MASKED, MAX_SEALED_OUTPUT
from cloister.domain.typed import result_digest
from cloister.fixedpoint import (
    InvalidModelInput,
    InvalidPackage,
    Package,
    RangeExceeded,
    decode_input,
    decode_output,
    encode_output,
)
from cloister.fixedpoint.limits import MAX_MANIFEST_BYTES, MAX_WEIGHTS_BYTES
from cloister.fixedpoint.manifest import Manifest
from cloister.proof_system import ProofSystem, ProofSystemMissing, masked_bytes, proof_system
from cloister.sealing.envelope import decrypt_input
from cloister.sealing.errors import SealError
from cloister.sealing.hpke import OVERHEAD_BYTES, open_sealed, seal
from cloister.sealing.keys import WorkerKeys, output_secret
from cloister.storage.blobs import BlobStores
from cloister.storage.errors import BlobCorrupt, BlobMissing, BlobTooLarge, StoreUnavailable

UNREADABLE = (BlobMissing, BlobCorrupt, BlobTooLarge, StoreUnavailable)


class PackageCache:
    """Verified packages by version, the least recently used dropped first.

    `manifest_of` gives a version's manifest hash as the registry has it.
    """

    def __init__(self, blobs: BlobStores, manifest_of: Callable[[VersionId], BlobId], size: int = 8) -> None:
        self._blobs = blobs
        self._manifest_of = manifest_of
        self._size = size
        self._packages: OrderedDict[VersionId, Package] = OrderedDict()

    def get(self, version: VersionId) -> Package:
        """The package of a published version.

        Raises BlobMissing, BlobCorrupt, InvalidPackage and RangeExceeded.
        """
        package = self._packages.get(version)
        if package is None:
            package = fetch_package(self._blobs, self._manifest_of(version))
            self._packages[version] = package
            if len(self._packages) > self._size:
                self._packages.popitem(last=False)
        self._packages.move_to_end(version)
        return package


def fetch_package(blobs: BlobStores, manifest_id: BlobId) -> Package:
    """Reads a package from its manifest's hash, and checks all of it."""
    manifest = blobs.get(manifest_id, MAX_MANIFEST_BYTES)
    weights = blobs.get(BlobId(bytes.fromhex(Manifest.from_bytes(manifest).weights.sha256)), MAX_WEIGHTS_BYTES)
    return Package.from_bytes(manifest, weights, digest=manifest_id)


class AnswerKeys(Protocol):
    """What a worker answers with once an input is open."""

    def salt(self, job_id: JobId) -> bytes:
        """32 bytes that blind the commitment to a job."""

    def sign(self, digest: bytes) -> bytes:
        """65 bytes by the registered result key."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a worker has in hand once it has opened a job. The text form shows no secret and no input."""

    keys: AnswerKeys = field(repr=False)
    job_secret: bytes = field(repr=False)
    package: Package
    plaintext: bytes = field(repr=False)

    @property
    def rows(self) -> int:
        """Rows of input, whole ones."""
        return len(self.plaintext) // (4 * prod(self.package.manifest.input.shape))


class Inference(ABC):
    """Runs jobs for worker `me`. Where keys, packages and inputs come from is for the kinds of it to say."""

    def __init__(
        self, chain_id: int, market: Address, me: Address, proofs: Callable[[], ProofSystem] = proof_system
    ) -> None:
        self._chain_id = chain_id
        self._market = market
        self.me = me
        self._proofs = proofs

    @abstractmethod
    def open_key(self, job: Job) -> tuple[AnswerKeys, bytes]:
        """What to answer with, and the job secret (32 bytes). Raises CannotServe."""

    @abstractmethod
    def package(self, version: VersionId) -> Package:
        """The package of a version. Raises CannotServe."""

    @abstractmethod
    def ciphertext(self, job: Job) -> bytes:
        """The encrypted input. Raises CiphertextMissing when no store has it."""

    def answer(self, job: Job) -> Answer:
        """The commitment to the model's output on the job's input, and its opening.

        Raises CannotServe with the reason to refuse for, and CiphertextMissing when no store has the input.
        """
        context = self.context(job)
        opened = self.open(job)
        pad = self._checked_pad(job, opened)
        # Whoever asks for what cannot be answered must not get the work for nothing: these two come first.
        self._check_output_size(opened)
        self._seal(b"", job, b"")
        output = self.run(opened.package, opened.plaintext)
        committed = self._committed(job, opened, output, pad)
        salt = opened.keys.salt(job.job_id)
        sealed = self._seal(output, job, context.sealed_output_info(self.me, committed))
        signature = opened.keys.sign(result_digest(self._chain_id, self._market, job.job_id, committed, sealed))
        return Answer(context.commitment(self.me, committed, salt), committed, salt, sealed, signature)

    def _checked_pad(self, job: Job, opened: Opened) -> bytes:
        """The pad's digest if a proof could settle the job, else nothing; the input commitment holds (JOB-13)."""
        if not job.request.verifier:
            self.check_commitment(job, opened)
            return b""
        digests = self.circuit_digests(opened)
        self.check_commitment(job, opened, circuit_input(*digests))
        return digests[1]

    def circuit_digests(self, opened: Opened) -> tuple[bytes, bytes]:
        """Digests of the commitments to a job's input and pad, as the requester should have made them (JOB-26).

        Raises CannotServe.
        """
        try:
            rows = decode_input(opened.plaintext, opened.package.manifest)
        except InvalidModelInput as error:
            raise CannotServe(RefusalReason.INVALID_INPUT, error.message) from None
        size = masked_bytes(opened.package.manifest.outputs, len(rows))
        if size > MAX_MASKED:
            message = f"The masked output would have {size} bytes; at most {MAX_MASKED} can be proved."
            raise CannotServe(RefusalReason.OUTPUT_TOO_LARGE, message)
        try:
            proofs = self._proofs()
            circuit = proofs.circuit_of(opened.package.manifest)
            secret = opened.job_secret
            return proofs.commit_input(circuit, rows, secret), proofs.commit_pad(circuit, len(rows), secret)
        except ProofSystemMissing as error:
            raise CannotServe(RefusalReason.OTHER, error.message) from error
        except CloisterError as error:
            raise CannotServe(RefusalReason.MODEL_UNAVAILABLE, error.message) from error

    def _committed(self, job: Job, opened: Opened, output: bytes, pad: bytes) -> bytes:
        """What the market calls this output: one that a proof can confirm where the request names a verifier."""
        if not pad:
            return output_commitment(job.request.input_commitment, output_secret(opened.job_secret), output)
        proofs, manifest = self._proofs(), opened.package.manifest
        words = proofs.mask(proofs.circuit_of(manifest), decode_output(output, manifest), opened.job_secret)
        return masked_output(pad, words)

    def context(self, job: Job) -> JobContext:
        """Where the job lives."""
        return JobContext(self._chain_id, self._market, job.job_id)

    def open(self, job: Job) -> Opened:
        """The package and the input, as the requester encrypted it. The caller still checks the input commitment.

        Raises CannotServe with the reason to refuse for, and CiphertextMissing when no store has the input.
        """
        keys, job_secret = self.open_key(job)
        package = self.package(job.request.version)
        return Opened(keys, job_secret, package, self._decrypt(job, job_secret))

    def check_commitment(self, job: Job, opened: Opened, circuit_input: bytes = NO_PROOF) -> bytes:
        """Compares what was opened with what the requester committed to (JOB-13); returns the input binding.

        Raises CannotServe when they differ.
        """
        request = job.request
        binding = input_binding(opened.job_secret, request.response_key, opened.plaintext)
        committed = input_commitment(binding, circuit_input)
        if committed != request.input_commitment:
            raise CannotServe(
                RefusalReason.COMMITMENT_MISMATCH,
                f"The input gives commitment {hexed(committed)}, the request says {hexed(request.input_commitment)}.",
            )
        return binding

    def run(self, package: Package, plaintext: bytes) -> bytes:
        """Encoded input rows to encoded output rows. Raises CannotServe for an input that the model does not take."""
        try:
            rows = decode_input(plaintext, package.manifest)
            return encode_output(package.run(rows), package.manifest)
        except InvalidModelInput as error:
            raise CannotServe(RefusalReason.INVALID_INPUT, error.message) from None

    def _check_output_size(self, opened: Opened) -> None:
        size = 4 * opened.rows * opened.package.manifest.outputs
        if size + OVERHEAD_BYTES > MAX_SEALED_OUTPUT:
            raise CannotServe(
                RefusalReason.OUTPUT_TOO_LARGE,
                f"The output would have {size} bytes; at most {MAX_SEALED_OUTPUT - OVERHEAD_BYTES} can be sealed.",
            )

    def _seal(self, output: bytes, job: Job, info: bytes) -> bytes:
        try:
            return seal(output, job.request.response_key, info)
        except SealError as error:
            message = f"The response key cannot be used: {error.message}"
            raise CannotServe(RefusalReason.OTHER, message) from None

    def _decrypt(self, job: Job, job_secret: bytes) -> bytes:
        try:
            return decrypt_input(self.ciphertext(job), job_secret, job.request.version)
        except SealError as error:
            raise CannotServe(RefusalReason.COMMITMENT_MISMATCH, error.message) from None


class PlainInference(Inference):
    """Runs jobs in this process, which anybody who controls the machine can look into.

    `keys_of` lists (key epoch, keys) with which sealed input keys may have been made, newest first.
    """

    def __init__(
        self,
        chain_id: int,
        market: Address,
        me: Address,
        keys_of: Callable[[], Sequence[tuple[int, WorkerKeys]]],
        packages: PackageCache,
        blobs: BlobStores,
        proofs: Callable[[], ProofSystem] = proof_system,
    ) -> None:
        super().__init__(chain_id, market, me, proofs)
        self._keys_of = keys_of
        self._packages = packages
        self._blobs = blobs

    def open_key(self, job: Job) -> tuple[AnswerKeys, bytes]:
        """See Inference."""
        sealed = job.sealed_key_for(self.me)
        for key_epoch, keys in self._keys_of():
            info = self.context(job).sealed_key_info(job.request, self.me, key_epoch)
            try:
                job_secret = open_sealed(sealed, keys.hpke_private_key, info)
            except SealError:
                continue
            if len(job_secret) == 32:
                return keys, job_secret
        raise CannotServe(
            RefusalReason.SEALED_KEY_DOES_NOT_OPEN, "The sealed key opens under none of this worker's keys."
        )

    def package(self, version: VersionId) -> Package:
        """See Inference."""
        try:
            return self._packages.get(version)
        except (*UNREADABLE, InvalidPackage, RangeExceeded) as error:
            message = f"Model version {hexed(version)} cannot be used: {error.message}"
            raise CannotServe(RefusalReason.MODEL_UNAVAILABLE, message) from error

    def ciphertext(self, job: Job) -> bytes:
        """See Inference."""
        if job.ciphertext is not None:
            return job.ciphertext
        try:
            return self._blobs.get(job.request.ciphertext_hash, job.request.ciphertext_size)
        except UNREADABLE as error:
            raise CiphertextMissing(error.message, error.hint) from error
