"""A whole market on this machine: a chain, the contracts, funded accounts and workers in processes of their own.

    with Testnet(Path(".devnet")) as net:
        net.add_worker(); net.add_worker(); net.add_worker()
        net.start()
        with net.client() as client: ...

Everything it writes lies in one folder, which is made anew on every start. Its keys are worth nothing elsewhere.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from web3 import HTTPProvider, Web3

from cloister.attestation.collateral import transcribe
from cloister.attestation.development import DevelopmentPki
from cloister.attestation.providers.development import save_device
from cloister.bootstrap import (
    broker_store,
    open_client,
    open_operator,
    open_plain_worker,
    open_sender,
    worker_secrets,
)
from cloister.broker.licences import Licence
from cloister.broker.store import BrokerStore
from cloister.chain.artifacts import Artifact
from cloister.chain.deploy import deploy
from cloister.chain.deployment import Deployment, DeployParameters
from cloister.chain.models import Version
from cloister.chain.quotes import Quotes
from cloister.client import Client
from cloister.config import load_settings
from cloister.devnet.accounts import account
from cloister.devnet.compiled import compiled_ahead
from cloister.devnet.folders import Lines, make_anew, write_config
from cloister.devnet.network import DevNode, Kind, skip_to_next_epoch, start_node, wait_for_block
from cloister.devnet.services import BrokerProcess, WorkerFailed, WorkerProcess, stop_all
from cloister.domain.attested import Policy, TcbStatus
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import Address, VersionId, hexed
from cloister.enclave.isolation import NAMES as PROTECTIONS
from cloister.enclave.launcher import measured
from cloister.fixedpoint import Package
from cloister.network import Network, open_network
from cloister.quoting import teach
from cloister.sealing.package import SealedPackage, seal_package
from cloister.storage.keyfile import LIGHT
from cloister.storage.keystore import Keystore
from cloister.worker import Worker

DEPLOYER, FIRST_WORKER, FIRST_REQUESTER = 0, 1, 16
"""Which development accounts play which part."""
MAX_WORKERS = FIRST_REQUESTER - FIRST_WORKER
DEFAULT_STAKE = 100 * 10**18
"""Wei."""
START_TIMEOUT = 180.0
"""Seconds that the workers may take to be ready, on a busy machine."""


class Testnet:
    """A local testnet in `folder`; `verifier` checks proofs, by default the package's own.

    Raises InvalidInput when the folder holds something else, AnvilMissing or NodeFailed when the chain does not start.
    """

    def __init__(
        self,
        folder: Path,
        kind: Kind = "anvil",
        *,
        block_time: float = 1.0,
        port: int = 0,
        verifier: Artifact | None = None,
        enclaves: bool = True,
    ) -> None:
        self.folder = folder.absolute()
        self.kind = kind
        self.enclaves = enclaves
        self.workers: list[WorkerProcess] = []
        self.brokers: list[BrokerProcess] = []
        make_anew(self.folder)
        self._password = secrets.token_urlsafe(24)
        self._password_file = self.folder / "password"
        self._password_file.touch(0o600)
        self._password_file.write_text(self._password + "\n")
        self.node: DevNode = start_node(kind, port, block_time, log=self.folder / "chain.log")
        try:
            self.w3 = Web3(HTTPProvider(self.node.url))
            self.parameters = DeployParameters.devnet()
            deployer = account(self.w3, DEPLOYER)
            now = int(self.w3.eth.get_block("latest")["timestamp"])
            self.authority = DevelopmentPki.create(now)
            self.collateral = self.authority.collateral_json(now)
            self.deployment: Deployment = deploy(
                self.w3,
                deployer,
                self.parameters,
                verifier=verifier,
                development_root=self.authority.root_public_key,
            )
            self.deployment.save(self.folder / "deployment.json")
            self.measurement: bytes | None = None
            if enclaves:
                self.compiled = compiled_ahead()
                digests = self.folder / "measurement.json"
                self.measurement = measured(compiled=self.compiled, cache=digests).measurement()
            self._write_config(self.folder, FIRST_REQUESTER, self._pins())
            if self.policy is not None:
                self.policy_file.write_text(self.policy.to_json())
                self._post_collateral()
        except BaseException:
            self.node.stop()
            raise

    @property
    def policy(self) -> Policy | None:
        """A policy that admits this testnet's enclaves and no others; None without enclaves."""
        if self.measurement is None:
            return None
        return Policy((self.measurement,), frozenset({TcbStatus.UP_TO_DATE}), development=True)

    @property
    def policy_file(self) -> Path:
        """The policy, for `cloister model publish --policy`."""
        return self.folder / "policy.json"

    def add_worker(
        self,
        name: str = "",
        *,
        stake: int = DEFAULT_STAKE,
        module: tuple[str, ...] = ("cloister", "worker"),
        code: Path | None = None,
    ) -> WorkerProcess:
        """Registers another worker with `stake` wei; its process starts with `start`.

        `code` is another source root to run, the folder that holds `cloister`.
        """
        index = FIRST_WORKER + len(self.workers)
        if len(self.workers) == MAX_WORKERS:
            raise InvalidInput(f"A testnet has at most {MAX_WORKERS} workers.")
        name = name or f"worker-{index}"
        folder = self.folder / name
        key = account(self.w3, index)
        self._write_config(folder, index, self._enclosed(name, folder))
        network = self._network(folder)
        worker_secrets(network.settings, LIGHT).create(key.address, 0, self._password)
        with open_operator(network, key, self._password) as operator:
            operator.register(stake)
        worker = WorkerProcess(name=name, folder=folder, module=module, code=code, address=Address(key.address))
        self.workers.append(worker)
        return worker

    def add_brokers(self, count: int) -> list[BrokerProcess]:
        """Starts key brokers; workers that are added afterwards ask them. Raises WorkerFailed."""
        root = self.folder / "development-root.der"
        root.write_bytes(self.authority.root_der)
        added = []
        for _ in range(count):
            name = f"broker-{len(self.brokers) + 1}"
            folder = self.folder / name
            self._write_config(folder, FIRST_REQUESTER, {"development_authority": str(root)})
            key = broker_store(self._network(folder).settings, LIGHT).create_key(self._password)
            listen = ("--listen", "127.0.0.1:0")
            broker = BrokerProcess(
                name=name, folder=folder, module=("cloister", "broker", "run"), arguments=listen, key=key
            )
            broker.start()
            self.brokers.append(broker)
            added.append(broker)
        for broker in added:
            broker.await_ready(START_TIMEOUT)
        return added

    def seal(self, package: Package, threshold: int, attachments: Mapping[str, bytes] | None = None) -> SealedPackage:
        """Seals a package, and puts a share of its key into the keeping of every broker."""
        keys = [broker.key for broker in self.brokers]
        sealed = seal_package(package, threshold, [key.public for key in keys], attachments)
        for broker, key, deposit in zip(self.brokers, keys, sealed.deposits, strict=True):
            self._store_of(broker).import_share(key, deposit, sealed.manifest_bytes)
        return sealed

    def license(self, version: VersionId, licence: Licence) -> None:
        """Lets every broker release its share of a version's key under these terms."""
        for broker in self.brokers:
            self._store_of(broker).put_licence(version, licence)

    def _store_of(self, broker: BrokerProcess) -> BrokerStore:
        return broker_store(self._network(broker.folder).settings, LIGHT)

    def start(self) -> None:
        """Lets the stakes age by an epoch and starts the processes of new workers; returns when all follow the chain.

        Raises WorkerFailed with the end of a worker's log when one does not.
        """
        self.age_stakes()
        fresh = [worker for worker in self.workers if worker.process is None]
        for worker in fresh:
            worker.start()
        for worker in fresh:
            worker.await_ready(START_TIMEOUT)

    def age_stakes(self) -> None:
        """Moves the chain to the next epoch, from which on stakes and enrolments count."""
        skip_to_next_epoch(self.node, self.w3, self.parameters.epoch_length)

    def next_block(self) -> None:
        """Waits until another block is mined."""
        wait_for_block(self.w3, self.w3.eth.block_number + 1)

    def check(self) -> None:
        """Raises WorkerFailed when a process has ended by itself."""
        for service in (*self.workers, *self.brokers):
            service.check()

    @contextmanager
    def client(self, requester: int = 0) -> Iterator[Client]:
        """A client for one of the funded requesters."""
        index = FIRST_REQUESTER + requester
        folder = self.folder if requester == 0 else self.folder / f"requester-{requester}"
        if requester:
            self._write_config(folder, index, self._pins())
        with open_client(self._network(folder), account(self.w3, index)) as client:
            yield client

    @contextmanager
    def worker(self, index: int) -> Iterator[Worker]:
        """A registered worker in this process, for whoever wants to step it by hand."""
        registered = self.workers[index]
        key = account(self.w3, FIRST_WORKER + index)
        with open_plain_worker(self._network(registered.folder), key, self._password) as worker:
            yield worker

    @property
    def network(self) -> Network:
        """The deployment as everybody sees it."""
        return self._network(self.folder)

    def name_of(self, address: str) -> str:
        """A worker's name here, or the address itself."""
        return next((worker.name for worker in self.workers if worker.address == address), address)

    def stop(self) -> None:
        """Stops workers and brokers, then the chain. Stopping twice does nothing."""
        stop_all(self.workers)
        stop_all(self.brokers)
        self.node.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def await_enrolled(self, version: VersionId, workers: int) -> None:
        """Waits until so many workers have enrolled for a version with a policy; from the next epoch on they are drawn.

        Raises WorkerFailed.
        """
        network = self.network
        published = network.models.version(version)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            enrolled = sum(self._is_enrolled(network, published, worker.address) for worker in self.workers)
            if enrolled >= workers:
                break
            self.check()
            if time.monotonic() > deadline:
                raise WorkerFailed(f"{enrolled} of {workers} workers have enrolled.", self.workers[0].end())
            time.sleep(0.1)

    def _is_enrolled(self, network: Network, version: Version, worker: Address) -> bool:
        evidence = network.nodes.evidence(worker, self.deployment.block)
        enrolment = network.nodes.enrolment(version.version_id, worker)
        return evidence is not None and enrolment.holds(evidence.hash(), version.policy_revision)

    def _post_collateral(self) -> None:
        network = self.network
        with open_sender(network, account(self.w3, DEPLOYER)) as steward:
            quotes = Quotes(network.connection, network.nodes.quotes())
            teach(quotes, steward, transcribe(self.collateral))

    def _pins(self) -> Lines:
        """What a requester on this testnet trusts: its own code, and evidence that protects nothing."""
        if self.measurement is None:
            return {}
        return {"trusted_measurements": [hexed(self.measurement)], "trust_development": "yes"}

    def _enclosed(self, name: str, folder: Path) -> Lines:
        if not self.enclaves:
            return {"enclave": "off"}
        device = self.authority.new_device(name)
        save_device(folder / "device", device, self.collateral)
        # Nothing here is secret, so that whatever the machine lacks may be missing.
        given_up = list(PROTECTIONS)
        return {
            "enclave_compiled": str(self.compiled),
            "evidence_from": "development",
            "development_device": str(folder / "device"),
            "unprotected": given_up,
            **({"brokers": [broker.url for broker in self.brokers]} if self.brokers else {}),
        }

    def _write_config(self, folder: Path, index: int, more: Lines) -> None:
        folder.mkdir(exist_ok=True)
        key = account(self.w3, index)
        store = Keystore([folder / "keystore"], kdf=LIGHT)
        if not store.list():
            store.import_key(bytes(key.key), self._password)
        settings: Lines = {
            "rpc_url": self.node.url,
            "deployment": str(self.folder / "deployment.json"),
            "data_dir": str(folder),
            "blob_stores": [str(self.folder / "blobs")],
            "keystores": [str(folder / "keystore")],
            "password_file": str(self._password_file),
            **more,
        }
        write_config(folder, settings)

    def _network(self, folder: Path) -> Network:
        loaded = load_settings({}, env={}, cwd=folder, config_file=folder / "cloister.toml")
        return open_network(loaded.settings)


def run_devnet(
    folder: Path,
    kind: Kind = "anvil",
    *,
    workers: int = 3,
    brokers: int = 0,
    block_time: float = 1.0,
    port: int = 8545,
    ready: Callable[[Testnet], None] = lambda _: None,
    stop: threading.Event,
) -> None:
    """Runs a testnet until `stop` is set; `ready` is called once, when jobs can be posted.

    Raises what Testnet raises, and WorkerFailed when a worker ends by itself.
    """
    with Testnet(folder, kind, block_time=block_time, port=port) as net:
        net.add_brokers(brokers)
        for _ in range(workers):
            net.add_worker()
        net.start()
        ready(net)
        while not stop.wait(0.5):
            net.check()
