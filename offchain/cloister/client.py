"""What a requester and a model owner do: publish, request, deliver, wait, read.

    client = connect(settings, password)                       # cloister.bootstrap
    job_id = client.request(version, rows, Assurance.parse("agreed(3,2)"))
    result = client.wait(job_id)

`request` writes the job's root secret to the journal before it pays. Whatever stops the process after that, `wait`
takes the job up again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from cloister.chain.call import Call
from cloister.chain.connection import Confirmations, Connection
from cloister.chain.errors import ContractError
from cloister.chain.market import Market, Parameters
from cloister.chain.models import Models, RegisteredCircuit, Version
from cloister.chain.nodes import Eligibility, Nodes
from cloister.chain.sender import Receipt, Sender, TransactionFailed
from cloister.chain.verifiers import Verifiers
from cloister.domain.attested import Policy
from cloister.domain.commitments import (
    NO_PROOF,
    JobContext,
    circuit_input,
    committee_hash,
    input_binding,
    input_commitment,
    masked_output,
    secret_hash,
    seed,
    version_id,
    weights_context,
)
from cloister.domain.decisions import RequesterAction, decide_as_requester
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import NOBODY, Address, JobId, VersionId, hexed
from cloister.domain.job import Job, State, fold
from cloister.domain.ledger import REORG_DEPTH
from cloister.domain.request import MAX_MASKED, MAX_SEALED_OUTPUT, Assurance, Request
from cloister.fixedpoint import Package, decode_input, decode_output, encode_input
from cloister.fixedpoint.limits import MAX_MANIFEST_BYTES
from cloister.fixedpoint.manifest import Manifest
from cloister.proved import ProofSystem, check_proof, masked_bytes, proof_system
from cloister.recipients import Recipients
from cloister.sealing.envelope import TAG_BYTES, encrypt_input
from cloister.sealing.errors import SealError, UnusableKey
from cloister.sealing.hpke import OVERHEAD_BYTES, open_sealed, seal
from cloister.sealing.keys import JobSecrets, new_secret
from cloister.sealing.vault import Vault
from cloister.storage.blobs import BlobStores
from cloister.storage.journal import Journal, StoredRequest

if TYPE_CHECKING:
    from cloister.proving import Circuit

log = structlog.get_logger()

SEALED_KEY_BYTES = 80
TRY_AGAIN = ("JobMarket_DrawMismatch", "NodeRegistry_NotEnoughFree", "BlockHeader_HashUnavailable")
"""What `deliver` says when the committee has changed since it was drawn, or to a node that is a block behind."""


class UnknownJob(CloisterError):
    """The market has no such job."""


class NotYourJob(CloisterError):
    """This account's journal has no secret for the job."""


class NotEnoughWorkers(CloisterError):
    """A committee cannot be drawn now."""


class OutputWithheld(CloisterError):
    """A settled job whose sealed outputs do not open to the agreed result."""


class ResultMismatch(CloisterError):
    """The proved output that an endpoint shows is not the one that the market settled on."""


class NoProofs(CloisterError):
    """Proofs about a model version cannot be had, or are not to be trusted."""


class StillRunning(CloisterError):
    """A job was not over when the wait ended."""


class Publishable(Protocol):
    """A package, open or sealed: its manifest, what the manifest's hash fixes, and what stores must hold."""

    @property
    def digest(self) -> bytes: ...
    @property
    def manifest_bytes(self) -> bytes: ...
    def blobs(self) -> Iterable[bytes]:
        """Everything but the manifest."""


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
    sleep: Callable[[float], None] = time.sleep
    poll_seconds: float = 0.25
    _parameters: Parameters | None = field(default=None, repr=False)

    @property
    def account(self) -> Address:
        """The account that pays and signs."""
        return self.sender.address

    # The model owner's part

    def publish(self, package: Publishable, price: int, uri: str = "", policy: Policy | None = None) -> VersionId:
        """Stores a package and registers it for `price` wei per agreeing worker; returns the version's id.

        Publishing the same package again stores it again and returns the same id. `policy` says which enclaves may
        run it; without one every worker may.
        """
        version = version_id(self.connection.chain_id, self.models.address, self.account, package.digest)
        for blob in package.blobs():
            self.blobs.put(blob)
        manifest = self.blobs.put(package.manifest_bytes)
        call = self.models.publish(manifest, price, uri, policy or Policy())
        try:
            self.sender.transact(f"publish:{hexed(version)}", call)
        except ContractError as error:
            if error.name != "ModelRegistry_AlreadyPublished":
                raise
        return version

    def publish_provable(
        self,
        package: Package,
        price: int,
        uri: str = "",
        verifier: int | None = None,
        policy: Policy | None = None,
        sealed: Publishable | None = None,
    ) -> VersionId:
        """Publishes a package whose manifest names a circuit, and registers that for proved jobs.

        The proof about the weights is made before anything is sent. `verifier` is another one than this client's.
        `sealed` is the same package sealed, which is published in its place.

        Raises NoProofs and ProofSystemMissing, and what the proof system raises for a model that it cannot carry. Doing
        it again changes nothing, or does what was left.
        """
        published = sealed or package
        version = version_id(self.connection.chain_id, self.models.address, self.account, published.digest)
        registration = self._registration(package, published.manifest_bytes, version, verifier)
        self.publish(published, price, uri, policy)
        if registration is not None:
            self.sender.transact(f"register-circuit:{hexed(version)}", registration)
        return version

    def manifest(self, version: VersionId) -> Manifest:
        """The manifest of a published version. Raises InvalidInput, BlobMissing or BlobCorrupt."""
        return Manifest.from_bytes(self.blobs.get(self.models.version(version).manifest, MAX_MANIFEST_BYTES))

    # The requester's part

    def request(
        self,
        version: VersionId,
        rows: Any,
        assurance: Assurance,
        price: int | None = None,
        verifier: int | None = None,
    ) -> JobId:
        """Encrypts integer rows (n, *input shape), pays the escrow and posts the job.

        `price` is the wei per agreeing worker that somebody consented to; the market refuses the request if the owner
        has changed it since. None takes the present price. `verifier` is one that this proved job is trusted to, other
        than the client's own.

        Raises InvalidInput for rows that the model does not take, NotProvable and ProofSystemMissing for a proved job
        that cannot be, and NotEnoughWorkers when no quorum can be drawn now.
        Nothing was paid in any of these cases. The job goes on when `wait` is called, in this process or a later one.
        """
        published = self.models.version(version)
        if published.deprecated:
            raise InvalidInput(f"Model version {hexed(version)} takes no more jobs.", "`cloister models` lists others.")
        self.recipients.check_before_payment(published, assurance)
        manifest = self.manifest(version)
        plaintext = encode_input(rows, manifest)
        self._check_output(manifest, assurance, len(rows))
        circuit = self._circuit(version, manifest, verifier) if assurance.proved else None
        self._check_workers(published, assurance, published.price * self.parameters.stake_ratio)

        root = new_secret()
        derived = JobSecrets.from_root(root)
        ciphertext = encrypt_input(plaintext, derived.job_secret, version)
        binding = input_binding(derived.job_secret, derived.response_public_key, plaintext)
        on_chain = NO_PROOF
        if circuit is not None:
            proofs, secret = self.proofs(), derived.job_secret
            encoded = decode_input(plaintext, manifest)
            on_chain = circuit_input(
                proofs.commit_input(circuit, encoded, secret), proofs.commit_pad(circuit, len(encoded), secret)
            )
        request = Request(
            nonce=derived.nonce,
            version=version,
            assurance=assurance,
            price_per_seat=published.price if price is None else price,
            input_commitment=input_commitment(binding, on_chain),
            ciphertext_hash=self.blobs.put(ciphertext),
            ciphertext_size=len(ciphertext),
            response_key=derived.response_public_key,
            secret_hash=secret_hash(derived.seed_secret),
        )
        job_id = request.job_id(self.connection.chain_id, self.market.address, self.account)
        # A reorganised chain may mine the request in a lower block than the present one.
        block = max(self.first_block, self.connection.head().number - REORG_DEPTH)
        stored = StoredRequest(job_id, self.vault.close(root, job_id), request.ciphertext_hash, block)
        self.journal.record_request(stored)
        intent = _intent("request", job_id)
        try:
            self.sender.transact(intent, self.market.request(request))
        except CloisterError:
            if self.journal.find(intent) is None:
                self.journal.forget_request(job_id)
            raise
        log.info("job requested", job=hexed(job_id), escrow_wei=request.escrow, assurance=str(assurance))
        return job_id

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
        job when a deadline has passed.
        """
        self.sender.settle()
        job = self.job(job_id)
        if job.requester != self.account:
            return job
        head = self.connection.head()
        seed_ready = self.connection.head(self.confirmations).number >= job.seed_block
        action = decide_as_requester(job, head.timestamp, seed_ready, self.parameters.reveal_window)
        try:
            match action:
                case RequesterAction.DELIVER:
                    self._deliver(job)
                case RequesterAction.PUBLISH:
                    ciphertext = self.blobs.get(job.request.ciphertext_hash)
                    call = self.market.publish(job.request, job.requester, ciphertext)
                    self.sender.transact(_intent("publish-input", job_id), call)
                case RequesterAction.CLOSE:
                    call = self.market.close(job_id, job.committee)
                    self.sender.transact(_intent("close", job_id), call)
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
        """Sees a job through to its end and reads the result; `progress` is told whenever the job has moved.

        Raises StillRunning after `timeout` seconds. Waiting again goes on where it stopped.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        told: Job | None = None
        while (job := self._step_unless_waiting(job_id)) is None or not job.over:
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
        if not job.over:
            raise StillRunning(f"Job {hexed(job_id)} is {job.state.name.lower()}.", "Wait for it with --wait.")
        if job.state is State.REFUNDED:
            return Result(job)
        derived = self._secrets(job)
        context = self._context(job_id)
        manifest = self.manifest(job.request.version)
        if job.request.assurance.proved:
            return self._unmask(job, manifest, derived.job_secret)
        for worker in job.agreeing:
            reveal = job.revealed[worker]
            info = context.sealed_output_info(worker, reveal.output_commitment)
            try:
                output = open_sealed(reveal.sealed_output, derived.response_private_key, info)
            except SealError:
                continue
            if context.output_commitment(derived.output_secret, output) == job.result:
                return _labelled(job, manifest, decode_output(output, manifest))
        raise OutputWithheld(
            f"None of the sealed outputs of job {hexed(job_id)} opens to the agreed result.",
            "The workers agreed on an output and hid it from you. Keep the job id; docs/known-issues.md tells what is "
            "planned.",
        )

    def withdraw(self) -> Receipt | None:
        """Pays out this account's credit; None when there is none."""
        if self.market.credit(self.account) == 0:
            return None
        head = self.connection.head().number
        return self.sender.transact(f"withdraw:{head}", self.market.withdraw(self.account))

    @property
    def parameters(self) -> Parameters:
        """The market's parameters; they never change."""
        if self._parameters is None:
            self._parameters = self.market.parameters()
        return self._parameters

    def _check_output(self, manifest: Manifest, assurance: Assurance, rows: int) -> None:
        if assurance.proved:
            output, limit = masked_bytes(manifest.outputs, rows), MAX_MASKED
            most = 1 << (limit // masked_bytes(manifest.outputs, 1)).bit_length() - 1
        else:
            output, limit = 4 * rows * manifest.outputs, MAX_SEALED_OUTPUT - OVERHEAD_BYTES
            most = limit // (4 * manifest.outputs)
        if output > limit:
            raise InvalidInput(
                f"{rows} rows give an output of {output} bytes; at most {limit} fit a job.",
                f"Send at most {most} rows per job.",
            )

    def _circuit(self, version: VersionId, manifest: Manifest, verifier: int | None) -> Circuit:
        """The circuit of a version, if a proof about it means something (PROOF-6)."""
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
        return circuit

    def _registration(self, package: Package, manifest: bytes, version: VersionId, verifier: int | None) -> Call | None:
        """Makes a version provable; None when it is."""
        number = self.verifier if verifier is None else verifier
        if package.manifest.circuit is None:
            raise NoProofs(
                f"The manifest of {package.manifest.name} names no circuit.",
                "Package the model again, or publish it without a proof (--no-proof): it still takes agreed jobs.",
            )
        if number is None:
            hint = "Name one with --verifier, or publish without a proof (--no-proof)."
            raise NoProofs("This deployment vouches for no verifier.", hint)
        if self.models.circuit_of(version) is not None:
            return None
        proofs = self.proofs()
        model = proofs.commit_model(package)
        context = weights_context(self.connection.chain_id, self.models.address, version)
        registered = RegisteredCircuit(number, model.circuit.digest, model.digest)
        proof = proofs.prove_weights(model, context)
        return self.models.register_circuit(version, manifest, registered, model.circuit.descriptor, proof)

    def _unmask(self, job: Job, manifest: Manifest, job_secret: bytes) -> Result:
        """The output of a proved job. The proof is checked here, too: the endpoint is taken at its word for nothing."""
        proofs, context = self.proofs(), self._context(job.job_id)
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

    def _check_workers(self, published: Version, assurance: Assurance, lock_each: int) -> None:
        head = self.connection.head()
        trial = self._draw(published, secrets.token_bytes(32), assurance, head.number, head.timestamp, lock_each)
        seated = sum(worker != NOBODY for worker in trial)
        if seated < assurance.quorum:
            raise NotEnoughWorkers(
                f"{assurance} needs {assurance.quorum} workers; {seated} can be drawn now.",
                "Wait until stake has aged by one epoch or locked stake is free (`cloister nodes`), or ask for fewer."
                if published.open
                else "Wait until enclaves have enrolled for the version and an epoch has passed (`cloister nodes`).",
            )

    def _deliver(self, job: Job) -> None:
        derived = self._secrets(job)
        header, prevrandao = self.connection.header(job.seed_block)
        drawn = seed(job.job_id, prevrandao, derived.seed_secret)
        lock_each = job.request.price_per_seat * self.parameters.stake_ratio
        version = self.models.version(job.request.version)
        requested_in, requested_at = job.seed_block - self.parameters.seed_delay, self._requested_at(job)
        committee = self._draw(version, drawn, job.request.assurance, requested_in, requested_at, lock_each)
        keys = self._seal_keys(job, version, committee, derived.job_secret)
        call = self.market.deliver(job.request, derived.seed_secret, header, committee_hash(committee), keys)
        self.sender.transact(_intent("deliver", job.job_id), call)
        log.info("keys delivered", job=hexed(job.job_id), committee=[w for w in committee if w != NOBODY])

    def _draw(
        self,
        version: Version,
        drawn_from: bytes,
        assurance: Assurance,
        requested_in: int,
        requested_at: int,
        lock_each: int,
    ) -> tuple[Address, ...]:
        """The committee of a job that was requested in block `requested_in`, at Unix second `requested_at`."""
        epoch = self.nodes.epoch_of(requested_in)
        if version.open:
            return self.nodes.draw(drawn_from, assurance.seats, epoch, lock_each)
        last, prompt = self._deadlines()
        eligible = Eligibility(version.version_id, version.policy_revision, requested_at, last, prompt)
        return self.nodes.draw_enrolled(drawn_from, assurance.seats, epoch, lock_each, eligible)

    def _deadlines(self) -> tuple[int, int]:
        """Unix seconds that attestations and prompt keys must reach in a job that is delivered now (ENC-10)."""
        p = self.parameters
        prompt = self.connection.head().timestamp + 2 * p.commit_window + p.publish_window
        return prompt + p.reveal_window, prompt

    def _requested_at(self, job: Job) -> int:
        return job.deadline - self.parameters.deliver_window

    def _seal_keys(self, job: Job, version: Version, committee: Sequence[Address], job_secret: bytes) -> list[bytes]:
        """One sealed key per seated worker. Raises UntrustedWorker before the first is made (PROMPT-3)."""
        context = self._context(job.job_id)
        policy = self.models.policy(version)
        last, outlasts = self._deadlines()
        targets = [(w, self.recipients.key_for(w, policy, last, outlasts)) for w in committee if w != NOBODY]
        keys = []
        for worker, target in targets:
            info = context.sealed_key_info(job.requester, job.request, worker, target.epoch, prompt=target.prompt)
            try:
                keys.append(seal(job_secret, target.key, info))
            except UnusableKey:
                # Its own doing; the seat stays useless to it and the others must not wait.
                keys.append(secrets.token_bytes(SEALED_KEY_BYTES))
        return keys

    def _secrets(self, job: Job) -> JobSecrets:
        stored = self.journal.request(job.job_id)
        if stored is None:
            raise NotYourJob(
                f"The journal {self.journal.path} has no secret for job {hexed(job.job_id)}.",
                "Only the account and data folder that requested a job can deliver it and read its result.",
            )
        return JobSecrets.from_root(self.vault.open(stored.sealed_root, job.job_id))

    def _context(self, job_id: JobId) -> JobContext:
        return JobContext(self.connection.chain_id, self.market.address, job_id)


def _labelled(job: Job, manifest: Manifest, outputs: NDArray[np.int64], *, proof_checked: bool = False) -> Result:
    labels = tuple(str(manifest.labels[index]) for index in outputs.argmax(axis=1))
    return Result(job, outputs, labels, proof_checked)


def _intent(what: str, job_id: JobId) -> str:
    return f"{what}:{hexed(job_id)}"
