"""Opens workers, with an enclave or without, and runs them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import structlog
from eth_account.signers.local import LocalAccount

from cloister.bootstrap.accounts import journal_of, sender_of, worker_secrets
from cloister.chain.connection import Connection
from cloister.chain.desk import Desk
from cloister.chain.errors import ContractError, InsufficientFunds, Retryable
from cloister.chain.follower import Follower
from cloister.chain.market import Parameters
from cloister.chain.sender import Sender
from cloister.domain.answer import Answer, ProvedAnswer
from cloister.domain.commitments import FIRST_ROUND
from cloister.domain.decisions import Timing
from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, JobId
from cloister.domain.job import Job
from cloister.enclave.client import Enclave
from cloister.enclave.launcher import launch
from cloister.enclosure import Enclosure, open_enclosure
from cloister.inference import PackageCache, PlainInference
from cloister.network import Network
from cloister.proved import ProvedInference
from cloister.sealing.keys import WorkerKeys
from cloister.storage.journal import Journal, StoredCommitment, StoredProof
from cloister.worker import Worker

log = structlog.get_logger()

TIMED_BLOCKS = 32
"""Over how many blocks a worker measures the time between two."""
UPKEEP_SECONDS = 3.0
"""Pause between two looks at what an enclave needs, while it needs nothing."""
BACKOFF_SECONDS = 30.0
"""Longest pause between two tries while the endpoint is away."""


class NotRegistered(CloisterError):
    """A worker that holds no stake cannot be drawn."""


class Inference(Protocol):
    """What a worker runs jobs with."""

    def answer(self, job: Job) -> Answer:
        """See `cloister.worker.Inference`."""


class Prover(Protocol):
    """What a worker proves jobs with."""

    def prove(self, job: Job) -> ProvedAnswer | None:
        """See `cloister.worker.Prover`."""


def open_worker(network: Network, account: LocalAccount, password: str) -> AbstractContextManager[Steps]:
    """A worker that acts for `account`, with or without an enclave, as the settings say.

    Raises what the two kinds raise.
    """
    if network.settings.enclave == "on":
        return open_enclosed_worker(network, account)
    return open_plain_worker(network, account, password)


@contextmanager
def open_plain_worker(
    network: Network,
    account: LocalAccount,
    password: str,
    inference: Inference | None = None,
    prover: Prover | None = None,
) -> Iterator[Worker]:
    """A worker in this process that acts for `account`; its journal is held until the end of the block.

    Raises NotRegistered when the account holds no stake, JournalLocked while another process runs it.
    """
    with _worker_journal(network, account) as journal:
        if inference is None or prover is None:
            plain = plain_inference(network, Address(account.address), password)
            inference, prover = inference or plain, prover or proved_inference(network, plain)
        yield _worker(network, journal, sender_of(network, account, journal), inference, prover)


@contextmanager
def open_enclosed_worker(
    network: Network, account: LocalAccount, start: Callable[..., Enclave] = launch
) -> Iterator[EnclosedWorker]:
    """A worker whose keys and models live in an enclave process, which `start` launches and which ends with the block.

    Raises what `open_plain_worker` and `open_enclosure` raise.
    """
    with _worker_journal(network, account) as journal:
        sender = sender_of(network, account, journal)
        sender.settle()
        with open_enclosure(network, Address(account.address), sender, start) as enclosure:
            inference = enclosure.inference
            yield EnclosedWorker(_worker(network, journal, sender, inference, inference), enclosure)


@dataclass(slots=True)
class EnclosedWorker:
    """A worker, and what keeps its enclave in the draws."""

    worker: Worker
    enclosure: Enclosure
    _upkeep_at: float = 0.0

    @property
    def ready(self) -> bool:
        """Whether the chain knows the enclave's keys."""
        return self.enclosure.upkeep.ready

    def step(self) -> bool:
        """Does what there is to do; returns whether anything happened."""
        kept = False
        if time.monotonic() >= self._upkeep_at:
            kept = self.enclosure.upkeep.step()
            # Nothing in it is urgent, and each look costs a question or two to the endpoint.
            self._upkeep_at = time.monotonic() + (UPKEEP_SECONDS if self.ready and not kept else 0.0)
        return self.worker.step() or kept


@contextmanager
def _worker_journal(network: Network, account: LocalAccount) -> Iterator[Journal]:
    me = Address(account.address)
    if network.nodes.node(me).stake == 0:
        raise NotRegistered(
            f"The account {me} holds no stake and cannot be drawn.", "Register it with: cloister worker register"
        )
    with journal_of(network, account) as journal:
        yield journal


def _worker(network: Network, journal: Journal, sender: Sender, inference: Inference, prover: Prover) -> Worker:
    parameters, start = network.market.parameters(), journal.cursor()
    return Worker(
        me=sender.address,
        feed=Follower(
            network.connection,
            network.market,
            network.deployment.block if start is None else max(start, network.deployment.block),
            # Windows are shorter than finality on some chains, and what a worker sends is void on another fork.
            "latest",
        ),
        desk=Desk(network.market, sender, journal, parameters.demand_deposit),
        memory=JournalMemory(journal),
        inference=inference,
        prover=prover,
        timing=_timing(network.connection, parameters),
        trusted_verifier=network.deployment.verifier,
        clock=time.monotonic,
        refusals=(ContractError, InsufficientFunds),
    )


def plain_inference(
    network: Network, me: Address, password: str, kind: type[PlainInference] = PlainInference
) -> PlainInference:
    """Inference in this process, with every key of `me` that is on disk."""
    secrets = worker_secrets(network.settings)
    epochs = sorted((s.epoch for s in secrets.list() if s.worker == me), reverse=True)
    keys = [(epoch, WorkerKeys.from_secret(secrets.load(me, epoch, password))) for epoch in epochs]
    if not keys:
        raise NotRegistered(
            f"There are no keys of worker {me} in {network.settings.data_dir}.",
            "Copy them from where the worker was registered, or replace them with: cloister worker rotate-keys",
        )
    packages = PackageCache(network.blobs, lambda version: network.models.version(version).manifest)
    return kind(network.connection.chain_id, network.market.address, me, lambda: keys, packages, network.blobs)


def proved_inference(
    network: Network, plain: PlainInference, kind: type[ProvedInference] = ProvedInference
) -> ProvedInference:
    """Proofs about what `plain` computes."""
    return kind(plain, network.models.circuit_of, network.verifiers.is_removed, network.deployment.verifier)


class Steps(Protocol):
    """A worker of either kind."""

    @property
    def ready(self) -> bool:
        """Whether it can be drawn for jobs."""

    def step(self) -> bool:
        """Does what there is to do; returns whether anything happened."""


def run_worker(
    worker: Steps, stop: threading.Event, poll_seconds: float, ready: Callable[[], None] = lambda: None
) -> None:
    """Steps until `stop` is set. An endpoint that is away is waited for; any other error ends the worker.

    `ready` is called once, when the worker can be drawn for jobs.
    """
    pause = poll_seconds
    told = False
    while not stop.is_set():
        try:
            worker.step()
            pause = poll_seconds
            if worker.ready and not told:
                told = True
                ready()
        except Retryable as error:
            log.warning("endpoint away", error=str(error), retry_in_seconds=pause)
            pause = min(2 * pause, BACKOFF_SECONDS)
        stop.wait(pause)


def _timing(connection: Connection, parameters: Parameters) -> Timing:
    """A margin of two blocks before a deadline, and for each seat two blocks after it; never less than the least.

    A quarter of the shortest window is the most: on a chain that mines on demand the last blocks say nothing.
    """
    head = connection.head()
    past = connection.block(max(head.number - TIMED_BLOCKS, 0))
    block_seconds = (head.timestamp - past.timestamp) / max(head.number - past.number, 1)
    least, most = Timing(), min(parameters.commit_window, parameters.reveal_window) // 4
    two_blocks = min(2 * math.ceil(block_seconds), most)
    return Timing(
        margin=max(least.margin, two_blocks),
        patience=max(least.patience, two_blocks),
        proving=min(least.proving, parameters.challenge_window // 4),
        reveal_window=parameters.reveal_window,
        challenge_window=parameters.challenge_window,
        dispute_window=parameters.dispute_window,
    )


class JournalMemory:
    """A worker's memory in its journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def answer(self, job_id: JobId) -> Answer | None:
        """What was committed to."""
        found = self._journal.commitment(job_id, FIRST_ROUND)
        if found is None:
            return None
        return Answer(found.commitment, found.output_commitment, found.salt, found.sealed_output, found.signature)

    def remember(self, job_id: JobId, answer: Answer) -> None:
        """Keeps an answer. Raises DoubleCommit."""
        fields = (answer.commitment, answer.output_commitment, answer.salt, answer.sealed_output, answer.signature)
        self._journal.record_commitment(StoredCommitment(job_id, FIRST_ROUND, *fields))

    def proof(self, job_id: JobId) -> ProvedAnswer | None:
        """The proof that was kept for a dispute."""
        found = self._journal.proof(job_id)
        if found is None:
            return None
        opening = found.input_binding, found.input_digest, found.pad_digest
        return ProvedAnswer(*opening, found.masked, found.proof, b"")

    def keep_proof(self, job_id: JobId, proof: ProvedAnswer) -> None:
        """Keeps a proof until the job is final."""
        opening = proof.input_binding, proof.input_digest, proof.pad_digest
        self._journal.record_proof(StoredProof(job_id, *opening, proof.masked, proof.proof))

    def proofs(self) -> list[JobId]:
        """The jobs that proofs are kept for."""
        return self._journal.proofs()

    def drop_proof(self, job_id: JobId) -> None:
        """Forgets the proof of a job that is final."""
        self._journal.forget_proof(job_id)

    def set_cursor(self, block: int) -> None:
        """Keeps from which block on a restart must read."""
        self._journal.set_cursor(block)
