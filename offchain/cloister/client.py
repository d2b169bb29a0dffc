"""What a requester does: request, deliver, wait, read. `publishing` has what a model owner does.

    job_id = client.request(version, rows, Assurance.parse("agreed(3,2)"))
    result = client.wait(job_id)

`request` writes the job's root secret to the journal before it pays. Whatever stops the process after that, `wait`
takes the job up again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog
from numpy.typing import NDArray

from cloister.chain.call import Call
from cloister.chain.connection import Confirmations, Connection
from cloister.chain.errors import ContractError
from cloister.chain.market import Market, Parameters
from cloister.chain.models import Models, Version
from cloister.chain.nodes import Nodes
from cloister.chain.sender import Receipt, Sender, TransactionFailed
from cloister.chain.verifiers import Verifiers
from cloister.committees import Committees
from cloister.domain.commitments import (
    JobContext,
    circuit_input,
    input_binding,
    input_commitment,
    masked_output,
    output_commitment,
    secret_hash,
    version_id,
)
from cloister.domain.decisions import RequesterAction, decide_as_requester
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import NOBODY, Address, JobId, VersionId, hexed
from cloister.domain.job import Job, State, fold
from cloister.domain.ledger import REORG_DEPTH
from cloister.domain.request import MAX_MASKED, MAX_SEALED_OUTPUT, Assurance, Request
from cloister.fixedpoint import decode_input, decode_output, encode_input
from cloister.fixedpoint.limits import MAX_MANIFEST_BYTES
from cloister.fixedpoint.manifest import Manifest
from cloister.proof_system import (
    NoProofs,
    ProofSystem,
    ProofSystemMissing,
    masked_bytes,
    most_provable_rows,
    proof_system,
)
from cloister.proved import check_proof
from cloister.publishing import Publisher
from cloister.recipients import Recipients
from cloister.sealing.envelope import TAG_BYTES, encrypt_input
from cloister.sealing.errors import SealError
from cloister.sealing.hpke import OVERHEAD_BYTES, open_sealed
from cloister.sealing.keys import JobSecrets, new_secret
from cloister.sealing.vault import Vault
from cloister.storage.blobs import BlobStores
from cloister.storage.journal import Journal, StoredRequest

if TYPE_CHECKING:
    from cloister.proving import Circuit

log = structlog.get_logger()

TRY_AGAIN = ("JobMarket_DrawMismatch", "NodeRegistry_NotEnoughFree", "BlockHeader_HashUnavailable")
"""What `deliver` says when the committee has changed since it was drawn, or to a node that is a block behind."""


class UnknownJob(CloisterError):
    """The market has no such job."""


class NotYourJob(CloisterError):
    """This account's journal has no secret for the job."""


class OutputWithheld(CloisterError):
    """A settled job whose sealed outputs do not open to the agreed result."""


class ResultMismatch(CloisterError):
    """The proved output that an endpoint shows is not the one that the market settled on."""


class StillRunning(CloisterError):
    """A job was not over when the wait ended."""


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a job.

    `outputs` are integers (n, labels) with the model's fractional bits, and `predictions` the label with the highest
    output of each row; both are None for a refunded job. `proof_checked` tells that the proof of a proved job was
    checked here and not by the chain alone.
    """

    job: Job
    outputs: NDArray[np.int64] | None = None
    predictions: tuple[str, ...] | None = None
    proof_checked: bool = False


@dataclass(slots=True)
class Client:
    """Acts for one account. Methods raise ContractError, RpcUnavailable and InsufficientFunds of `cloister.chain`."""

    connection: Connection
    market: Market
    nodes: Nodes
    models: Models
    verifiers: Verifiers
    recipients: Recipients
    sender: Sender
    blobs: BlobStores
    journal: Journal
    vault: Vault
    first_block: int
    confirmations: Confirmations = "latest"
    verifier: int | None = None
    """The verifier that proved jobs are trusted to: anybody can list one, and a bad one takes any proof."""
    proofs: Callable[[], ProofSystem] = proof_system
    refers: bool = False
    """Whether split votes that no proof can decide wait for a larger committee, and not for the refund."""
    sleep: Callable[[float], None] = time.sleep
    poll_seconds: float = 0.25
    _parameters: Parameters | None = field(default=None, repr=False)

    @property
    def account(self) -> Address:
        """The account that pays and signs."""
        return self.sender.address

    @property
    def publisher(self) -> Publisher:
        """The model owner's part, for this account."""
        return Publisher(self.connection.chain_id, self.models, self.sender, self.blobs, self.verifier, self.proofs)

    @property
    def committees(self) -> Committees:
        """Draws and deliveries."""
        chain = self.connection, self.market, self.nodes, self.models
        return Committees(*chain, self.recipients, self.parameters)

    def manifest(self, version: VersionId) -> Manifest:
        """The manifest of a published version. Raises InvalidInput, BlobMissing or BlobCorrupt."""
        return Manifest.from_bytes(self.blobs.get(self.models.version(version).manifest, MAX_MANIFEST_BYTES))

    def request(
        self,
        version: VersionId,
        rows: Any,
        assurance: Assurance,
        price: int | None = None,
        verifier: int | None = None,
        *,
        worker: Address = NOBODY,
        reputation: int = 0,
    ) -> JobId:
        """Encrypts integer rows (n, *input shape), pays the escrow and posts the job.

        `price` is the wei per agreeing seat that somebody consented to, the present price or more; the market refuses
        the request if the owner asks for more by then. None takes the present price. `verifier` is one that proofs
        about this job are trusted to, other than the client's own. With `worker`, an ATTESTED or PROVED job is that
        worker's at once; else workers are drawn, and seats of those below `reputation` (1/10000) stay vacant.

        Where the version has a circuit that this client trusts, and the rows fit a proof, the job names its verifier: a
        proof can then settle any dispute about it.

        Raises InvalidInput for rows that the model does not take, NotProvable and ProofSystemMissing for a proved job
        that cannot be, and NotEnoughWorkers when no quorum can be drawn now; nothing was paid then. The job goes on
        when `wait` is called, in this process or a later one.
        """
        published = self.models.version(version)
        if published.deprecated:
            raise InvalidInput(f"Model version {hexed(version)} takes no more jobs.", "`cloister models` lists others.")
        self.recipients.check_before_payment(published, assurance)
        manifest = self.manifest(version)
        plaintext = encode_input(rows, manifest)
        self._check_output(manifest, assurance, len(rows))
        circuit = self._judged_by(published, manifest, assurance, verifier, len(rows))
        offered = published.price if price is None else price
        lock_each = self.parameters.lock_for(offered)
        if worker == NOBODY:
            self.committees.check_workers(published, assurance, lock_each, reputation)
        elif assurance.seats > 1:
            raise InvalidInput(f"A committee is drawn: {assurance} takes no named worker.", "Leave the worker out.")
        elif reputation:
            raise InvalidInput("A named worker needs no floor of reputation.", "Leave out the floor, or the worker.")
        else:
            self.committees.check_hired(published, worker)

        root = new_secret()
        derived = JobSecrets.from_root(root)
        ciphertext = encrypt_input(plaintext, derived.job_secret, version)
        request = Request(
            requester=self.account,
            nonce=derived.nonce,
            version=version,
            assurance=assurance,
            verifier=0 if circuit is None else circuit[0],
            owner_percent=published.owner_percent,
            price_per_seat=offered,
            lock_each=lock_each,
            input_commitment=self._commit_input(plaintext, manifest, derived, circuit and circuit[1]),
            ciphertext_hash=self.blobs.put(ciphertext),
            ciphertext_size=len(ciphertext),
            response_key=derived.response_public_key,
            secret_hash=secret_hash(derived.seed_secret),
            worker=worker,
            reputation=reputation,
        )
        call = self.market.request(request)
        if worker != NOBODY:
            call = self.committees.hire(request, published, derived.job_secret)
        self.post(request, root, call)
        log.info("job requested", job=hexed(self._id(request)), escrow_wei=request.escrow, assurance=str(assurance))
        return self._id(request)

    def post(self, request: Request, root: bytes, call: Call) -> None:
        """Sends the call that posts a request, whose root secret the journal has before."""
        job_id = self._id(request)
        # A reorganised chain may mine the request in a lower block than the present one.
        block = max(self.first_block, self.connection.head().number - REORG_DEPTH)
        self.journal.record_request(
            StoredRequest(job_id, self.vault.close(root, job_id), request.ciphertext_hash, block)
        )
        intent = _intent("request", job_id)
        try:
            self.sender.transact(intent, call)
        except CloisterError:
            if self.journal.find(intent) is None:
                self.journal.forget_request(job_id)
            raise

    def job(self, job_id: JobId) -> Job:
        """A job as the chain tells it. Raises UnknownJob."""
        stored = self.journal.request(job_id)
        events = self.market.history(job_id, stored.block if stored else self.first_block)
        if not events:
            raise UnknownJob(
                f"The market {self.market.address} has no job {hexed(job_id)}.",
                "Check the id and the deployment; `cloister jobs` lists those it has.",
            )
        return fold(events)

    def step(self, job_id: JobId) -> Job:
        """Does the requester's next step in a job, if there is one, and returns the job as it was before.

        Delivers the keys when the seed is known, publishes the ciphertext when a worker demands it, and closes the
        job, or a dispute about it, when a deadline has passed.
        """
        self.sender.settle()
        job = self.job(job_id)
        if job.requester != self.account:
            return job
        head = self.connection.head()
        seed_ready = self.connection.head(self.confirmations).number >= job.seed_block
        referee = None if job.referee is None else self.job(job.referee)
        refers = job.referee is not None or self.refers
        action = decide_as_requester(
            job, head.timestamp, seed_ready, self.parameters.reveal_window, referee, refers=refers
        )
        try:
            match action:
                case RequesterAction.DELIVER:
                    call = self.committees.deliver(job, self.secrets(job))
                    self.sender.transact(_intent("deliver", job_id), call)
                case RequesterAction.PUBLISH:
                    ciphertext = self.blobs.get(job.request.ciphertext_hash)
                    call = self.market.publish(job.ticket(), job.request, ciphertext)
                    self.sender.transact(_intent("publish-input", job_id), call)
                case RequesterAction.CLOSE:
                    self.sender.transact(_intent("close", job_id), self.market.close(job.ticket()))
                case RequesterAction.RESOLVE:
                    self.sender.transact(_intent("resolve", job_id), self.market.resolve(job.ticket()))
                case None:
                    pass
        except (ContractError, TransactionFailed) as error:
            # Somebody else may have moved the job first, or locked stake since the draw: the next step sees.
            again = isinstance(error, TransactionFailed) or error.name in TRY_AGAIN
            if not again and self.market.state(job_id) is job.state:
                raise
            log.info("step undone", job=hexed(job_id), error=str(error))
        return job

    def wait(
        self, job_id: JobId, timeout: float | None = None, progress: Callable[[Job], None] = lambda job: None
    ) -> Result:
        """Sees a job through until it has a result, and reads that; `progress` is told whenever the job has moved.

        The result can be challenged for a while longer: `Job.final_by` tells until when.

        Raises StillRunning after `timeout` seconds. Waiting again goes on where it stopped.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        told: Job | None = None
        while (job := self._step_unless_waiting(job_id)) is None or not job.answered:
            if job is not None and job != told:
                progress(job)
                told = job
            if deadline is not None and time.monotonic() > deadline:
                state = "not posted yet" if job is None else job.state.name.lower()
                raise StillRunning(
                    f"Job {hexed(job_id)} is {state} after {timeout:.0f} s.",
                    f"Go on with: cloister result {hexed(job_id)} --wait",
                )
            self.sleep(self.poll_seconds)
        progress(job)
        return self.result(job_id)

    def _step_unless_waiting(self, job_id: JobId) -> Job | None:
        """None while the request itself is signed but not mined."""
        try:
            return self.step(job_id)
        except UnknownJob:
            if self.journal.find(_intent("request", job_id)) is None:
                raise
            return None

    def result(self, job_id: JobId) -> Result:
        """Opens the result of a job that this account requested, checked against what the market settled on.

        Raises StillRunning, NotYourJob, and OutputWithheld when no agreeing worker's sealed output opens to the result.
        A proved output cannot be withheld: ResultMismatch says that the endpoint shows another.
        """
        job = self.job(job_id)
        if not job.answered:
            raise StillRunning(f"Job {hexed(job_id)} is {job.state.name.lower()}.", "Wait for it with --wait.")
        if job.state is State.REFUNDED:
            return Result(job)
        derived = self.secrets(job)
        context = self.context(job_id)
        manifest = self.manifest(job.request.version)
        if job.proved is not None:
            return self._unmask(job, manifest, derived.job_secret)
        for worker in job.agreeing:
            reveal = job.revealed[worker]
            info = context.sealed_output_info(worker, reveal.output_commitment)
            try:
                output = open_sealed(reveal.sealed_output, derived.response_private_key, info)
                outputs = decode_output(output, manifest)
            except (SealError, InvalidInput):
                continue
            if self._commit_output(job, manifest, derived, output) == job.result:
                return _labelled(job, manifest, outputs)
        raise OutputWithheld(
            f"None of the sealed outputs of job {hexed(job_id)} opens to the agreed result.",
            "They hid it from you. Whoever proves the output shows it to you: cloister challenge."
            if job.request.provable
            else "They hid it from you. A larger committee can be asked: cloister refer.",
        )

    def withdraw(self) -> Receipt | None:
        """Pays out this account's credit; None when there is none."""
        if self.market.credit(self.account) == 0:
            return None
        head = self.connection.head().number
        return self.sender.transact(f"withdraw:{head}", self.market.withdraw(self.account))

    def _id(self, request: Request) -> JobId:
        return request.job_id(self.connection.chain_id, self.market.address)

    def _judged_by(
        self, published: Version, manifest: Manifest, assurance: Assurance, verifier: int | None, rows: int
    ) -> tuple[int, Circuit] | None:
        """The verifier that can settle disputes about a job, and the circuit; None if none can be trusted with it."""
        version = published.version_id
        if assurance.proved:
            return self._circuit(version, manifest, verifier)
        # Where equal work can give unequal outputs the market takes no verifier.
        if published.inexact or rows > most_provable_rows(manifest.outputs):
            return None
        try:
            return self._circuit(version, manifest, verifier)
        except (NoProofs, ProofSystemMissing) as error:
            log.info("disputes go to a larger committee", reason=error.message)
            return None

    def _commit_input(
        self, plaintext: bytes, manifest: Manifest, derived: JobSecrets, circuit: Circuit | None
    ) -> bytes:
        binding = input_binding(derived.job_secret, derived.response_public_key, plaintext)
        if circuit is None:
            return input_commitment(binding)
        proofs, secret, rows = self.proofs(), derived.job_secret, decode_input(plaintext, manifest)
        digests = proofs.commit_input(circuit, rows, secret), proofs.commit_pad(circuit, len(rows), secret)
        return input_commitment(binding, circuit_input(*digests))

    def _commit_output(self, job: Job, manifest: Manifest, derived: JobSecrets, output: bytes) -> bytes:
        """What the market calls an output of a job (32 bytes)."""
        if not job.request.provable:
            return output_commitment(job.request.input_commitment, derived.output_secret, output)
        proofs, secret = self.proofs(), derived.job_secret
        circuit, values = proofs.circuit_of(manifest), decode_output(output, manifest)
        return masked_output(proofs.commit_pad(circuit, len(values), secret), proofs.mask(circuit, values, secret))

    @property
    def parameters(self) -> Parameters:
        """The market's parameters; they never change."""
        if self._parameters is None:
            self._parameters = self.market.parameters()
        return self._parameters

    def _check_output(self, manifest: Manifest, assurance: Assurance, rows: int) -> None:
        if assurance.proved:
            output, limit, most = masked_bytes(manifest.outputs, rows), MAX_MASKED, most_provable_rows(manifest.outputs)
        else:
            output, limit = 4 * rows * manifest.outputs, MAX_SEALED_OUTPUT - OVERHEAD_BYTES
            most = limit // (4 * manifest.outputs)
        if output > limit:
            raise InvalidInput(
                f"{rows} rows give an output of {output} bytes; at most {limit} fit a job.",
                f"Send at most {most} rows per job.",
            )

    def _circuit(self, version: VersionId, manifest: Manifest, verifier: int | None) -> tuple[int, Circuit]:
        """A version's verifier and circuit, if a proof about it means something (PROOF-6)."""
        registered = self.models.circuit_of(version)
        if registered is None:
            raise NoProofs(
                f"Model version {hexed(version)} takes no proved jobs.",
                "Ask for agreed(k,q), or for a version that `cloister models` shows with a verifier.",
            )
        trusted = self.verifier if verifier is None else verifier
        if registered.verifier != trusted:
            raise NoProofs(
                f"Proofs about model version {hexed(version)} are checked by verifier {registered.verifier}, "
                "for which this deployment does not vouch.",
                f"A bad verifier takes any proof. If you know this one, trust it: --verifier {registered.verifier}.",
            )
        if self.verifiers.is_removed(registered.verifier):
            raise NoProofs(
                f"Verifier {registered.verifier} was removed: proofs about model version {hexed(version)} are void.",
                "Ask for agreed(k,q), or for another version.",
            )
        circuit = self.proofs().circuit_of(manifest)
        if circuit.digest != registered.circuit:
            raise NoProofs(
                f"The circuit registered for model version {hexed(version)} is not that of its manifest.",
                "Proofs about it would say nothing about this model: ask for agreed(k,q), or for another version.",
            )
        return registered.verifier, circuit

    def _unmask(self, job: Job, manifest: Manifest, job_secret: bytes) -> Result:
        """The output of a proved job. The proof is checked here, too: the endpoint is taken at its word for nothing."""
        proofs, context = self.proofs(), self.context(job.job_id)
        circuit = proofs.circuit_of(manifest)
        rows = (job.request.ciphertext_size - TAG_BYTES) // (4 * prod(manifest.input.shape))
        pad_digest = proofs.commit_pad(circuit, rows, job_secret)
        assert job.proved is not None  # it is settled
        wrong = ""
        if masked_output(pad_digest, job.proved.masked) != job.result:
            wrong = "it is not the one that the market settled on"
        sent = self.market.proved_answer(job.job_id, self.first_block)
        if sent is not None:
            owner = self.models.version(job.request.version).owner
            version = version_id(self.connection.chain_id, self.models.address, owner, manifest.digest())
            if version != job.request.version:
                wrong = wrong or "the manifest is not that of the job's version"
            wrong = wrong or check_proof(proofs, manifest, context, job, sent, pad_digest)
        if wrong:
            raise ResultMismatch(
                f"The output shown for job {hexed(job.job_id)} is refused: {wrong}.",
                "The chain has checked the proof, so the endpoint's answers must be wrong: use another one.",
            )
        outputs = proofs.unmask(circuit, rows, job.proved.masked, job_secret)
        return _labelled(job, manifest, outputs, proof_checked=sent is not None)

    def secrets(self, job: Job) -> JobSecrets:
        """Everything that was derived for a job of this account. Raises NotYourJob."""
        stored = self.journal.request(job.job_id)
        if stored is None:
            raise NotYourJob(
                f"The journal {self.journal.path} has no secret for job {hexed(job.job_id)}.",
                "Only the account and data folder that requested a job can deliver it and read its result.",
            )
        return JobSecrets.from_root(self.vault.open(stored.sealed_root, job.job_id))

    def context(self, job_id: JobId) -> JobContext:
        """Where a job lives."""
        return JobContext(self.connection.chain_id, self.market.address, job_id)


def _labelled(job: Job, manifest: Manifest, outputs: NDArray[np.int64], *, proof_checked: bool = False) -> Result:
    labels = tuple(str(manifest.labels[index]) for index in outputs.argmax(axis=1))
    return Result(job, outputs, labels, proof_checked)


def _intent(what: str, job_id: JobId) -> str:
    return f"{what}:{hexed(job_id)}"
