"""Proofs of jobs, settled by one or disputed: the worker's part, and a reader's check."""

from __future__ import annotations

import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import TYPE_CHECKING, Protocol

import numpy as np
import structlog

from cloister.domain.answer import CannotServe, ProvedAnswer, RefusalReason
from cloister.domain.commitments import JobContext, circuit_input, input_commitment, masked_output
from cloister.domain.errors import CloisterError
from cloister.domain.ids import JobId, VersionId, hexed
from cloister.domain.job import Job
from cloister.domain.typed import result_digest
from cloister.fixedpoint import Manifest, Package, decode_input, decode_output
from cloister.inference import Inference, Opened
from cloister.proof_system import ProofSystem, ProofSystemMissing, proof_system

if TYPE_CHECKING:
    from cloister.proving import CommittedModel

log = structlog.get_logger()

KEPT = 16
"""Finished proofs that a worker remembers, for when sending one fails."""


class Registered(Protocol):
    """What proofs about a version are checked against: see `cloister.chain.models.RegisteredCircuit`."""

    @property
    def verifier(self) -> int: ...
    @property
    def circuit(self) -> bytes: ...
    @property
    def weights(self) -> bytes: ...


def check_proof(
    proofs: ProofSystem, manifest: Manifest, context: JobContext, job: Job, sent: ProvedAnswer, pad_digest: bytes
) -> str:
    """What is wrong with what a job's worker sent; empty if the proof holds and is about this very job.

    The job id binds the request, and that the input, the pad and the version: with this, an answer is right whatever
    the endpoint may say. The caller sees that the manifest is the version's.
    """
    assert job.proved is not None  # it is settled
    request, record = job.request, manifest.circuit
    opened = input_commitment(sent.input_binding, circuit_input(sent.input_digest, sent.pad_digest))
    if request.job_id(context.chain_id, context.market) != context.job_id:
        return "the request is not that of the job"
    if opened != request.input_commitment or sent.pad_digest != pad_digest or sent.masked != job.proved.masked:
        return "input, pad or output are not those of the job"
    try:
        statement = proofs.verify(sent.proof, context.proof_context(job.proved.prover))
    except CloisterError as error:
        return f"the proof does not hold ({error.message.removesuffix('.')})"
    about = (statement.circuit.digest.hex(), statement.weights_digest.hex())
    if record is None or about != (record.descriptor, record.weights):
        return "the proof is about another model"
    if (statement.inputs_digest, statement.outputs_digest) != (sent.input_digest, job.result):
        return "the proof is about another input or output"
    return ""


class ProvedInference:
    """Makes the proofs of a worker's jobs, one at a time, in a thread of their own: reveals of other jobs cannot wait.

    `circuit_of` gives what proofs about a version are checked against, `is_removed` tells whether a verifier is gone,
    and `trusted` is the number of the one that this worker knows: another may take no proof, and silence costs
    (JOB-32).
    """

    def __init__(
        self,
        plain: Inference,
        circuit_of: Callable[[VersionId], Registered | None],
        is_removed: Callable[[int], bool],
        trusted: int | None,
        proofs: Callable[[], ProofSystem] = proof_system,
    ) -> None:
        self._plain = plain
        self._circuit_of = circuit_of
        self._is_removed = is_removed
        self._trusted = trusted
        self._proofs = proofs
        self._tasks: OrderedDict[JobId, Future[ProvedAnswer]] = OrderedDict()
        self._model: tuple[VersionId, CommittedModel] | None = None
        self._one_at_a_time = Lock()

    def prove(self, job: Job) -> ProvedAnswer | None:
        """The proof of a job, or None while it is being made; the first call starts it.

        Raises CannotServe with the reason to refuse for, and CiphertextMissing when no store has the input. After an
        error the next call starts afresh.
        """
        task = self._tasks.get(job.job_id)
        if task is None:
            task = self._tasks[job.job_id] = self._start(job)
            self._forget_old()
        if not task.done():
            return None
        if task.exception() is not None:
            del self._tasks[job.job_id]
        return task.result()

    def is_begun(self, job_id: JobId) -> bool:
        """Whether `prove` has been called for a job, and its proof is being made or at hand."""
        return job_id in self._tasks

    def _start(self, job: Job) -> Future[ProvedAnswer]:
        registered = self._circuit_of(job.request.version)
        # No market takes a proved job for a version without a circuit; a registry that forgot one would be another's.
        if registered is None or self._is_removed(registered.verifier):
            message = f"Nobody checks proofs about model version {hexed(job.request.version)}."
            raise CannotServe(RefusalReason.MODEL_UNAVAILABLE, message)
        if registered.verifier != self._trusted:
            message = f"Verifier {registered.verifier} is none that this worker knows."
            raise CannotServe(RefusalReason.OTHER, message)
        opened = self._plain.open(job)
        task: Future[ProvedAnswer] = Future()

        def run() -> None:
            with self._one_at_a_time:
                began = time.monotonic()
                try:
                    answer = self.make(job, opened, registered)
                    log.info("proof made", job=hexed(job.job_id), seconds=round(time.monotonic() - began, 3))
                    task.set_result(answer)
                except CannotServe as error:
                    task.set_exception(error)
                except Exception as error:  # noqa: BLE001  a prover that fails must not end its worker
                    # As text: structlog would print the variables, and with them the job's secret.
                    log.warning("prover failed", job=hexed(job.job_id), trace=traceback.format_exc())
                    task.set_exception(CannotServe(RefusalReason.OTHER, f"The proof cannot be made: {error}"))

        # A daemon: a worker that is told to stop does not wait for a proof that it can make again.
        Thread(target=run, name="prover", daemon=True).start()
        return task

    def make(self, job: Job, opened: Opened, registered: Registered) -> ProvedAnswer:
        """The proof itself. Raises CannotServe."""
        try:
            proofs = self._proofs()
            model = self._committed(proofs, job.request.version, opened.package)
        except ProofSystemMissing as error:
            raise CannotServe(RefusalReason.OTHER, error.message) from error
        except CloisterError as error:
            raise CannotServe(RefusalReason.MODEL_UNAVAILABLE, error.message) from error
        if (model.circuit.digest, model.digest) != (registered.circuit, registered.weights):
            message = f"The package of model version {hexed(job.request.version)} has another circuit than registered."
            raise CannotServe(RefusalReason.MODEL_UNAVAILABLE, message)
        digests = self._plain.circuit_digests(opened)
        binding = self._plain.check_commitment(job, opened, circuit_input(*digests))
        # The model itself comes first: it checks every range (PROOF-7), and costs little beside the proof.
        expected = decode_output(self._plain.run(opened.package, opened.plaintext), opened.package.manifest)
        context = self._plain.context(job).proof_context(self._plain.me)
        rows = decode_input(opened.plaintext, opened.package.manifest)
        proved = proofs.prove_job(model, rows, context, opened.job_secret)
        if not np.array_equal(proved.outputs, expected) or (proved.input_digest, proved.pad_digest) != digests:
            raise CannotServe(RefusalReason.OTHER, "The prover and the model differ: this is a defect of Cloister.")
        # A proof that is kept for a dispute is signed by nobody: a host could answer with it in the enclave's name.
        signature = self.sign(job, opened, proved.pad_digest, proved.masked) if job.request.assurance.proved else b""
        return ProvedAnswer(binding, *digests, proved.masked, proved.proof, signature)

    def sign(self, job: Job, opened: Opened, pad_digest: bytes, masked: bytes) -> bytes:
        """The Result signature over a masked output (SIG-1)."""
        where, output = self._plain.context(job), masked_output(pad_digest, masked)
        return opened.keys.sign(result_digest(where.chain_id, where.market, job.job_id, output, masked))

    def _committed(self, proofs: ProofSystem, version: VersionId, package: Package) -> CommittedModel:
        if self._model is None or self._model[0] != version:
            self._model = (version, proofs.commit_model(package))
        return self._model[1]

    def _forget_old(self) -> None:
        for job_id in [job_id for job_id, task in self._tasks.items() if task.done()][:-KEPT]:
            del self._tasks[job_id]
