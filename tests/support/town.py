"""A chain in one process's hands: a client and workers on it, every block mined by the test, nothing runs by itself."""

import hashlib
from pathlib import Path

from support.proofs import HashProofs, mock_verifier

from cloister.bootstrap import JournalMemory
from cloister.chain.connection import Connection
from cloister.chain.deploy import deploy
from cloister.chain.deployment import DeployParameters
from cloister.chain.desk import Desk
from cloister.chain.errors import ContractError, InsufficientFunds
from cloister.chain.follower import Follower
from cloister.chain.market import Market
from cloister.chain.models import Models
from cloister.chain.nodes import Nodes
from cloister.chain.sender import Sender
from cloister.chain.verifiers import Verifiers
from cloister.client import Client
from cloister.devnet.accounts import key
from cloister.domain.decisions import Timing
from cloister.domain.ids import Address
from cloister.domain.pins import Pins
from cloister.domain.request import Assurance
from cloister.fixedpoint import load_heldout, load_package
from cloister.inference import PackageCache, PlainInference
from cloister.proved import ProvedInference
from cloister.recipients import Recipients
from cloister.sealing.keys import WorkerKeys
from cloister.sealing.vault import Vault
from cloister.storage.blobs import BlobStore, BlobStores
from cloister.storage.journal import Journal
from cloister.worker import Worker

MODELS = Path(__file__).parents[2] / "models"
PACKAGE = load_package(MODELS / "breast-cancer")
ROWS = load_heldout(MODELS / "breast-cancer").rows[:2]
AGREED, PROVED = Assurance.parse("agreed(3,2)"), Assurance.parse("proved")
PRICE = 10**15
STAKE = 10**18
PARAMETERS = DeployParameters.devnet()
OWNER, REQUESTER, FIRST_WORKER, WORKERS = 1, 2, 3, 3


class Crash(BaseException):
    """The process dies here."""


class Town:
    """A chain with a market, a published model, a client and three workers."""

    def __init__(self, folder, node):
        self.folder = folder
        self.node = node
        self.connection = Connection(node.url)
        node.control("evm_setAutomine", True)
        deployment = deploy(self.connection.w3, key(0), PARAMETERS, verifier=mock_verifier())
        node.control("evm_setAutomine", False)
        self.deployment = deployment
        self.market = Market(self.connection, deployment.job_market)
        self.nodes = Nodes(self.connection, deployment.node_registry)
        self.models = Models(self.connection, deployment.model_registry, deployment.block)
        self.verifiers = Verifiers(self.connection, self.models.verifiers())
        self.blobs = BlobStores([BlobStore(str(folder / "blobs"), max_size=1 << 26)])
        self.recipients = Recipients(self.connection.chain_id, self.nodes, self.models, Pins(), deployment.block)
        self.journals = {}
        self.workers = {}
        self.trusted = deployment.verifier
        self.active = []
        with self.client(OWNER) as owner:
            self.version = owner.publisher.publish_provable(PACKAGE, PRICE)
        for index in range(FIRST_WORKER, FIRST_WORKER + WORKERS):
            self.register(index)
        self.next_epoch()

    def next_epoch(self):
        length = PARAMETERS.epoch_length
        self.node.mine(length - self.connection.head().number % length)

    # accounts

    def address(self, index):
        return Address(key(index).address)

    def journal(self, index):
        return Journal(self.folder / f"{index}.sqlite", "chain", self.market.address, self.address(index))

    def sender(self, index, journal, account=None):
        mine = lambda seconds: self.node.mine(1)  # noqa: E731
        return Sender(self.connection, account or key(index), journal, sleep=mine)

    def client(self, index=REQUESTER, **changes):
        return ClientSession(self, index, changes)

    def keys(self, index):
        return WorkerKeys.from_secret(hashlib.sha256(str(index).encode()).digest())

    def register(self, index):
        journal = self.journals[index] = self.journal(index)
        keys = self.keys(index)
        call = self.nodes.register("", keys.hpke_public_key, keys.signer, STAKE)
        self.sender(index, journal).transact("register", call)

    def worker(self, index, kind=PlainInference, blobs=None, prover=ProvedInference, proofs=HashProofs):
        me, journal = self.address(index), self.journals[index]
        packages = PackageCache(blobs or self.blobs, lambda version: self.models.version(version).manifest)
        parts = (self.connection.chain_id, self.market.address, me, lambda: [(0, self.keys(index))], packages)
        inference, honest = (each(*parts, blobs or self.blobs, proofs) for each in (kind, PlainInference))
        return Worker(
            me=me,
            feed=Follower(self.connection, self.market, journal.cursor() or self.deployment.block),
            desk=Desk(self.market, self.sender(index, journal), journal, PARAMETERS.market.demand_deposit),
            memory=JournalMemory(journal),
            inference=inference,
            prover=prover(honest, self.models.circuit_of, self.verifiers.is_removed, self.trusted, proofs),
            timing=Timing(
                reveal_window=PARAMETERS.market.reveal_window,
                challenge_window=PARAMETERS.market.challenge_window,
                dispute_window=PARAMETERS.market.dispute_window,
            ),
            trusted_verifier=self.trusted,
            clock=lambda: 0.0,
            refusals=(ContractError, InsufficientFunds),
        )

    def work(self, *kinds, blobs=None):
        """Starts the three workers, each with its kind of inference; None leaves one away."""
        kinds = kinds or (PlainInference,) * WORKERS
        self.active = [self.worker(FIRST_WORKER + i, kind, blobs) for i, kind in enumerate(kinds) if kind is not None]

    def prove(self, prover=ProvedInference, proofs=HashProofs, blobs=None):
        """Starts the three workers, all with this kind of prover: any of them may be drawn."""
        indices = range(FIRST_WORKER, FIRST_WORKER + WORKERS)
        self.active = [self.worker(index, blobs=blobs, prover=prover, proofs=proofs) for index in indices]

    def tick(self, seconds=0):
        """A block, and a step of everybody."""
        self.node.mine(1)
        for worker in self.active:
            worker.step()

    # money

    def balances(self):
        """Ether of everybody and everything that may have moved; the market's stands for escrow."""
        accounts = [self.address(index) for index in range(OWNER, FIRST_WORKER + WORKERS)]
        return {
            account: self.connection.balance(account)
            for account in [*accounts, self.market.address, self.nodes.address]
        }

    def credit(self, index):
        return self.market.credit(self.address(index))


class ClientSession:
    """A client with its journal open."""

    def __init__(self, town, index, changes):
        self.town, self.index, self.changes = town, index, changes

    def __enter__(self):
        town = self.town
        self.journal = town.journal(self.index)
        client = Client(
            town.connection,
            town.market,
            town.nodes,
            town.models,
            town.verifiers,
            town.recipients,
            town.sender(self.index, self.journal),
            town.blobs,
            self.journal,
            Vault(bytes(key(self.index).key)),
            town.deployment.block,
            verifier=town.deployment.verifier,
            proofs=HashProofs,
            sleep=town.tick,
        )
        for name, value in self.changes.items():
            setattr(client, name, value)
        return client

    def __exit__(self, *exc):
        self.journal.close()
