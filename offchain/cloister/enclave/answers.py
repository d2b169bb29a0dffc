"""Jobs inside the enclave: what the host says of a job is checked, and what it hears tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from cloister.domain.answer import Answer, CannotServe, ProvedAnswer, RefusalReason
from cloister.domain.ids import JobId, VersionId
from cloister.domain.job import Job, State
from cloister.domain.request import Request
from cloister.domain.typed import refusal_digest
from cloister.enclave.errors import QuestionRefused
from cloister.enclave.keyring import Keyring
from cloister.enclave.messages import Prove, Work
from cloister.enclave.models import ModelVault
from cloister.fixedpoint import Package
from cloister.inference import AnswerKeys, Inference
from cloister.proof_system import ProofSystem
from cloister.proved import ProvedInference

TOLD = {
    RefusalReason.COMMITMENT_MISMATCH: "The input is not the one that the request commits to.",
    RefusalReason.MODEL_UNAVAILABLE: "The model version cannot be used.",
    RefusalReason.INVALID_INPUT: "The model does not take this input.",
    RefusalReason.SEALED_KEY_DOES_NOT_OPEN: "The sealed key opens under none of this enclave's keys.",
    RefusalReason.OUTPUT_TOO_LARGE: "The output would be too large.",
    RefusalReason.OTHER: "The job cannot be done.",
}
"""All that a host hears: the error's own words may quote the input."""
SIGNED = (RefusalReason.COMMITMENT_MISMATCH, RefusalReason.INVALID_INPUT)
"""What only the requester can have done, so that the enclave can vouch for it (SIG-2).

That a key does not open is not among them: the host may have started the enclave again, or made it wipe its keys.
"""


class EnclosedInference(Inference):
    """Inference with the enclave's keys and models. `key_epochs` are those to try the permanent key under."""

    def __init__(self, keyring: Keyring, models: ModelVault, proofs: Callable[[], ProofSystem]) -> None:
        context = keyring.context
        super().__init__(context.chain_id, context.market, context.worker, proofs)
        self._keyring, self._models = keyring, models
        self.key_epochs: tuple[int, ...] = ()

    def open_key(self, job: Job) -> tuple[AnswerKeys, bytes]:
        """See Inference."""
        secret = self._keyring.open_input(job, self.key_epochs)
        if secret is None:
            raise CannotServe(RefusalReason.SEALED_KEY_DOES_NOT_OPEN, "")
        if len(secret) != 32:
            # It was sealed to this very enclave, and is no key: that is the requester's doing.
            reason = RefusalReason.SEALED_KEY_DOES_NOT_OPEN
            raise CannotServe(reason, "", self.sign_refusal(job, reason))
        return self._keyring, secret

    def package(self, version: VersionId) -> Package:
        """See Inference."""
        return self._models.package(version)

    def ciphertext(self, job: Job) -> bytes:
        """What the host brought."""
        assert job.ciphertext is not None  # every job here is made with one
        return job.ciphertext

    def sign_refusal(self, job: Job, reason: RefusalReason) -> bytes:
        """The enclave's word for a reason."""
        context = self._keyring.context
        sealed_key = job.sealed_key_for(context.worker)
        return self._keyring.sign(
            refusal_digest(context.chain_id, context.market, job.job_id, context.worker, sealed_key, reason)
        )


@dataclass(frozen=True, slots=True)
class Circuit:
    """What the host says that proofs are checked against; the enclave compares it with the package."""

    circuit: bytes
    weights: bytes
    verifier: int = 0


class Jobs:
    """Answers and proofs for one enclave."""

    def __init__(self, keyring: Keyring, models: ModelVault, proofs: Callable[[], ProofSystem]) -> None:
        self._keyring, self._models = keyring, models
        self._circuits: dict[VersionId, Circuit] = {}
        self._inference = EnclosedInference(keyring, models, proofs)
        self._proving = ProvedInference(self._inference, self._circuits.get, lambda _: False, trusted=0, proofs=proofs)

    def answer(self, question: Work, ciphertext: bytes) -> Answer:
        """Run a job. Raises CannotServe, with the enclave's word where the requester is at fault."""
        job = self._job(question, ciphertext)
        if job.request.assurance.proved:
            # Its commitment covers more than an answer can check, and would seem to be broken.
            raise QuestionRefused("A proved job is to be proved, not answered.")
        self._inference.key_epochs = self._epochs(question, job.request)
        try:
            return self._inference.answer(job)
        except CannotServe as error:
            raise self._told(job, error) from None

    def prove(self, question: Prove, ciphertext: bytes) -> ProvedAnswer | None:
        """Begin a proof or ask for it; None while it is being made. Raises CannotServe as `answer`."""
        job = self._job(question, ciphertext)
        if not job.request.provable:
            raise QuestionRefused("Only a job whose request names a verifier can be proved.")
        self._circuits[job.request.version] = Circuit(question.circuit, question.weights)
        self._inference.key_epochs = self._epochs(question, job.request)
        try:
            return self._proving.prove(job)
        except CannotServe as error:
            raise self._told(job, error) from None

    def is_begun(self, question: Prove) -> bool:
        """Whether a job's proof is being made or is ready."""
        return self._proving.is_begun(self.job_id(question))

    def job_id(self, question: Work | Prove) -> JobId:
        """The id, from what it hashes: the host is not asked for it."""
        context = self._keyring.context
        return question.request.job_id(context.chain_id, context.market)

    def _epochs(self, question: Work | Prove, request: Request) -> tuple[int, ...]:
        permanent = question.open_version and not self._models.is_sealed(request.version)
        return question.key_epochs if permanent else ()

    def _job(self, question: Work | Prove, ciphertext: bytes) -> Job:
        request, me = question.request, self._keyring.context.worker
        # Otherwise a host could pass rubbish and have the requester pay for it.
        known = isinstance(question, Prove) and not question.begin
        if not known and (len(ciphertext), sha256(ciphertext).digest()) != (
            request.ciphertext_size,
            request.ciphertext_hash,
        ):
            raise QuestionRefused("The ciphertext is not the one that the request names.", "Fetch it again.")
        return Job(
            self.job_id(question),
            request,
            seed_block=0,
            state=State.READY,
            deadline=0,
            committee=(me,),
            sealed_keys=(question.sealed_key,),
            ciphertext=ciphertext,
        )

    def _told(self, job: Job, error: CannotServe) -> CannotServe:
        signature = error.signature
        if error.reason in SIGNED:
            signature = self._inference.sign_refusal(job, error.reason)
        return CannotServe(error.reason, TOLD[error.reason], signature)
