"""Puts the parts together: the one module that names both a port and what stands behind it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import structlog
from eth_account.signers.local import LocalAccount

from cloister.chain.connection import Connection
from cloister.chain.deployment import Deployment, verify
from cloister.chain.desk import Desk
from cloister.chain.errors import ContractError, InsufficientFunds, Retryable
from cloister.chain.follower import Follower
from cloister.chain.market import Market, Parameters
from cloister.chain.models import Models
from cloister.chain.nodes import Nodes
from cloister.chain.sender import Receipt, Sender
from cloister.chain.verifiers import Verifiers
from cloister.client import Client
from cloister.config import ConfigError, Settings
from cloister.domain.answer import Answer, ProvedAnswer
from cloister.domain.commitments import FIRST_ROUND
from cloister.domain.decisions import Timing
from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, JobId
from cloister.domain.job import Job
from cloister.inference import PackageCache, PlainInference
from cloister.proved import ProvedInference
from cloister.sealing.keys import WorkerKeys
from cloister.sealing.vault import Vault
from cloister.storage.blobs import BlobStore, BlobStores
from cloister.storage.journal import Journal, StoredCommitment
from cloister.storage.keyfile import STANDARD, Kdf
from cloister.storage.keystore import Keystore, Secrets
from cloister.worker import Worker

log = structlog.get_logger()

GWEI = 10**9
TIMED_BLOCKS = 32
"""Over how many blocks a worker measures the time between two."""
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


@dataclass(frozen=True, slots=True)
class Network:
    """A deployment seen through one endpoint: enough to read everything."""

    settings: Settings
    connection: Connection
    deployment: Deployment
    market: Market
    nodes: Nodes
    models: Models
    verifiers: Verifiers
    blobs: BlobStores


def open_network(settings: Settings) -> Network:
    """Connects and checks that the contracts are there and belong together.

    Raises ConfigError without a deployment, WrongChain, RpcUnavailable, DeploymentFailed.
    """
    deployment = _deployment(settings)
    connection = Connection(settings.rpc_url, settings.chain_id or deployment.chain_id)
    verify(connection.w3, deployment)
    limit = settings.max_blob_mib << 20
    models = Models(connection, deployment.model_registry, deployment.block)
    return Network(
        settings,
        connection,
        deployment,
        Market(connection, deployment.job_market),
        Nodes(connection, deployment.node_registry),
        models,
        Verifiers(connection, models.verifiers()),
        BlobStores([BlobStore(url, max_size=limit) for url in settings.blob_stores]),
    )


@contextmanager
def open_client(network: Network, account: LocalAccount) -> Iterator[Client]:
    """A client that acts for `account`; its journal is held until the end of the block.

    Raises JournalLocked while another process of the same account runs.
    """
    with _journal(network, account) as journal:
        sender = _sender(network, account, journal)
        sender.settle()
        yield Client(
            network.connection,
            network.market,
            network.nodes,
            network.models,
            network.verifiers,
            sender,
            network.blobs,
            journal,
            Vault(bytes(account.key)),
            network.deployment.block,
            network.settings.confirmations,
            verifier=network.deployment.verifier,
            poll_seconds=network.settings.poll_seconds,
        )


@contextmanager
def open_operator(network: Network, account: LocalAccount, password: str) -> Iterator[Operator]:
    """A worker's operator: registers, tops up, rotates keys, exits."""
    with _journal(network, account) as journal:
        sender = _sender(network, account, journal)
        sender.settle()
        yield Operator(network, sender, worker_secrets(network.settings), password)


@dataclass(frozen=True, slots=True)
class Operator:
    """Stake and keys of one worker account."""

    network: Network
    sender: Sender
    secrets: Secrets
    password: str

    def register(self, stake: int, endpoint: str = "") -> Receipt:
        """Makes keys if there are none, and registers with `stake` wei."""
        node = self.network.nodes.node(self.sender.address)
        epoch = node.key_epoch + 1 if node.registered else 0
        keys = self._keys(epoch)
        call = self.network.nodes.register(endpoint, keys.hpke_public_key, keys.signer, stake)
        return self.sender.transact(f"register:{epoch}", call)

    def top_up(self, amount: int) -> Receipt:
        """Adds `amount` wei to the stake."""
        return self.sender.transact(self._intent("top-up"), self.network.nodes.top_up(amount))

    def rotate_keys(self) -> Receipt:
        """Replaces both keys; the old ones stay on disk for jobs under way."""
        epoch = self.network.nodes.node(self.sender.address).key_epoch + 1
        keys = self._keys(epoch)
        call = self.network.nodes.replace_keys(keys.hpke_public_key, keys.signer)
        return self.sender.transact(f"rotate-keys:{epoch}", call)

    def announce_exit(self) -> Receipt:
        """Leaves later draws and starts the exit delay."""
        return self.sender.transact(self._intent("exit"), self.network.nodes.announce_exit())

    def withdraw(self) -> Receipt:
        """Pays the stake out after the exit delay."""
        return self.sender.transact(self._intent("withdraw-stake"), self.network.nodes.withdraw())

    def _intent(self, what: str) -> str:
        # These can be wanted again later: the block tells one wish from the next.
        return f"{what}:{self.network.connection.head().number}"

    def _keys(self, epoch: int) -> WorkerKeys:
        me = self.sender.address
        stored = {secret.epoch for secret in self.secrets.list() if secret.worker == me}
        if epoch in stored:
            return WorkerKeys.from_secret(self.secrets.load(me, epoch, self.password))
        return WorkerKeys.from_secret(self.secrets.create(me, epoch, self.password))


@contextmanager
def open_worker(
    network: Network,
    account: LocalAccount,
    password: str,
    inference: Inference | None = None,
    prover: Prover | None = None,
) -> Iterator[Worker]:
    """A worker that acts for `account`; its journal is held until the end of the block.

    Raises NotRegistered when the account holds no stake, JournalLocked while another process runs it.
    """
    me = Address(account.address)
    if network.nodes.node(me).stake == 0:
        raise NotRegistered(
            f"The account {me} holds no stake and cannot be drawn.", "Register it with: cloister worker register"
        )
    parameters = network.market.parameters()
    with _journal(network, account) as journal:
        sender = _sender(network, account, journal)
        start = journal.cursor()
        if inference is None or prover is None:
            plain = plain_inference(network, me, password)
            inference, prover = inference or plain, prover or proved_inference(network, plain)
        yield Worker(
            me=me,
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


def run_worker(worker: Worker, stop: threading.Event, poll_seconds: float) -> None:
    """Steps until `stop` is set. An endpoint that is away is waited for; any other error ends the worker."""
    pause = poll_seconds
    while not stop.is_set():
        try:
            worker.step()
            pause = poll_seconds
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
    return Timing(max(least.margin, two_blocks), max(least.patience, two_blocks), parameters.reveal_window)


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

    def set_cursor(self, block: int) -> None:
        """Keeps from which block on a restart must read."""
        self._journal.set_cursor(block)


def keystore(settings: Settings) -> Keystore:
    """The accounts of this machine."""
    return Keystore(settings.keystores)


def worker_secrets(settings: Settings, kdf: Kdf = STANDARD) -> Secrets:
    """The worker keys of this machine; `kdf` is for new ones."""
    return Secrets(settings.data_dir / "worker-keys", kdf=kdf)


def _deployment(settings: Settings) -> Deployment:
    overrides = {
        name: address
        for name in ("node_registry", "model_registry", "job_market")
        if (address := getattr(settings, name)) is not None
    }
    if settings.deployment is not None:
        found = Deployment.load(settings.deployment)
        fields = {name: getattr(found, name) for name in ("node_registry", "model_registry", "job_market")}
        return Deployment(found.chain_id, **(fields | overrides), block=found.block, verifier=found.verifier)
    if len(overrides) < 3 or settings.chain_id is None:
        raise ConfigError(
            "No deployment is configured.",
            "Set deployment to the file that `cloister deploy` or `cloister devnet` wrote "
            "(--deployment, CLOISTER_DEPLOYMENT or cloister.toml).",
        )
    return Deployment(settings.chain_id, **overrides, block=0)


def _journal(network: Network, account: LocalAccount) -> Journal:
    connection, market, me = network.connection, network.market.address, Address(account.address)
    chain = f"{connection.chain_id}:{connection.genesis}"
    name = f"{connection.chain_id}-{market.lower()}-{me.lower()}.sqlite"
    return Journal(network.settings.data_dir / "journals" / name, chain, market, me)


def _sender(network: Network, account: LocalAccount, journal: Journal) -> Sender:
    limit = network.settings.max_fee_gwei
    return Sender(
        network.connection,
        account,
        journal,
        max_fee=None if limit is None else int(Decimal(limit) * GWEI),
        confirmations=network.settings.confirmations,
    )
