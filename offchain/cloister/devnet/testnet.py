"""A whole market on this machine: a chain, the contracts, funded accounts and workers in processes of their own.

    with Testnet(Path(".devnet")) as net:
        net.add_worker(); net.add_worker(); net.add_worker()
        net.start()
        with net.client() as client: ...

Everything it writes lies in one folder, which is made anew on every start. Its keys are worth nothing elsewhere.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from web3 import HTTPProvider, Web3

from cloister.bootstrap import Network, open_client, open_network, open_operator, open_worker, worker_secrets
from cloister.chain.artifacts import Artifact
from cloister.chain.deploy import deploy
from cloister.chain.deployment import Deployment, DeployParameters
from cloister.client import Client
from cloister.config import load_settings
from cloister.devnet.accounts import account
from cloister.devnet.network import DevNode, Kind, skip_to_next_epoch, start_node, wait_for_block
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import Address
from cloister.storage.keyfile import LIGHT
from cloister.storage.keystore import Keystore
from cloister.worker import Worker

DEPLOYER, FIRST_WORKER, FIRST_REQUESTER = 0, 1, 16
"""Which development accounts play which part."""
MAX_WORKERS = FIRST_REQUESTER - FIRST_WORKER
DEFAULT_STAKE = 100 * 10**18
"""Wei."""
MARKER = "this-folder-is-a-cloister-devnet"
START_TIMEOUT = 60.0
"""Seconds that the workers may take to be ready, on a busy machine."""
STOP_TIMEOUT = 10.0


class WorkerFailed(CloisterError):
    """A worker process ended by itself or did not start."""


@dataclass(slots=True)
class WorkerProcess:
    """One worker of the testnet. `module` is what its process runs: the worker, or a faulty one."""

    name: str
    address: Address
    folder: Path
    module: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it has said."""
        return self.folder / "worker.log"


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
    ) -> None:
        self.folder = folder.absolute()
        self.kind = kind
        self.workers: list[WorkerProcess] = []
        _make_anew(self.folder)
        self._password = secrets.token_urlsafe(24)
        self._password_file = self.folder / "password"
        self._password_file.touch(0o600)
        self._password_file.write_text(self._password + "\n")
        self.node: DevNode = start_node(kind, port, block_time, log=self.folder / "chain.log")
        try:
            self.w3 = Web3(HTTPProvider(self.node.url))
            self.parameters = DeployParameters.devnet()
            deployer = account(self.w3, DEPLOYER)
            self.deployment: Deployment = deploy(self.w3, deployer, self.parameters, verifier=verifier)
            self.deployment.save(self.folder / "deployment.json")
            self._write_config(self.folder, FIRST_REQUESTER)
        except BaseException:
            self.node.stop()
            raise

    def add_worker(
        self, name: str = "", *, stake: int = DEFAULT_STAKE, module: tuple[str, ...] = ("cloister", "worker")
    ) -> WorkerProcess:
        """Registers another worker with `stake` wei; its process starts with `start`."""
        index = FIRST_WORKER + len(self.workers)
        if len(self.workers) == MAX_WORKERS:
            raise InvalidInput(f"A testnet has at most {MAX_WORKERS} workers.")
        name = name or f"worker-{index}"
        folder = self.folder / name
        key = account(self.w3, index)
        self._write_config(folder, index)
        network = self._network(folder)
        worker_secrets(network.settings, LIGHT).create(key.address, 0, self._password)
        with open_operator(network, key, self._password) as operator:
            operator.register(stake)
        worker = WorkerProcess(name, Address(key.address), folder, module)
        self.workers.append(worker)
        return worker

    def start(self) -> None:
        """Lets the stakes age by an epoch and starts the worker processes; returns when all follow the chain.

        Raises WorkerFailed with the end of a worker's log when one does not.
        """
        self.age_stakes()
        for worker in self.workers:
            self._spawn(worker)
        deadline = time.monotonic() + START_TIMEOUT
        for worker in self.workers:
            while "worker ready" not in worker.log.read_text("utf-8", "replace"):
                self.check()
                if time.monotonic() > deadline:
                    raise WorkerFailed(f"{worker.name} is not ready after {START_TIMEOUT:.0f} s.", _end(worker.log))
                time.sleep(0.05)

    def age_stakes(self) -> None:
        """Moves the chain to the next epoch, from which on the stakes count."""
        skip_to_next_epoch(self.node, self.w3, self.parameters.epoch_length)

    def next_block(self) -> None:
        """Waits until another block is mined."""
        wait_for_block(self.w3, self.w3.eth.block_number + 1)

    def check(self) -> None:
        """Raises WorkerFailed when a worker process has ended by itself."""
        for worker in self.workers:
            if worker.process is not None and (status := worker.process.poll()) is not None:
                raise WorkerFailed(f"{worker.name} ended with status {status}.", _end(worker.log))

    @contextmanager
    def client(self, requester: int = 0) -> Iterator[Client]:
        """A client for one of the funded requesters."""
        index = FIRST_REQUESTER + requester
        folder = self.folder if requester == 0 else self.folder / f"requester-{requester}"
        if requester:
            self._write_config(folder, index)
        with open_client(self._network(folder), account(self.w3, index)) as client:
            yield client

    @contextmanager
    def worker(self, index: int) -> Iterator[Worker]:
        """A registered worker in this process, for whoever wants to step it by hand."""
        registered = self.workers[index]
        key = account(self.w3, FIRST_WORKER + index)
        with open_worker(self._network(registered.folder), key, self._password) as worker:
            yield worker

    @property
    def network(self) -> Network:
        """The deployment as everybody sees it."""
        return self._network(self.folder)

    def name_of(self, address: str) -> str:
        """A worker's name here, or the address itself."""
        return next((worker.name for worker in self.workers if worker.address == address), address)

    def stop(self) -> None:
        """Stops workers, then the chain. Stopping twice does nothing."""
        running = [worker.process for worker in self.workers if worker.process and worker.process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.node.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _spawn(self, worker: WorkerProcess) -> None:
        command = [sys.executable, "-m", *worker.module, "--config", str(worker.folder / "cloister.toml")]
        with worker.log.open("wb") as log:
            # A group of its own: Ctrl-C reaches us first, and we stop the workers in order.
            worker.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, process_group=0
            )

    def _write_config(self, folder: Path, index: int) -> None:
        folder.mkdir(exist_ok=True)
        key = account(self.w3, index)
        store = Keystore([folder / "keystore"], kdf=LIGHT)
        if not store.list():
            store.import_key(bytes(key.key), self._password)
        settings: dict[str, str | list[str]] = {
            "rpc_url": self.node.url,
            "deployment": str(self.folder / "deployment.json"),
            "data_dir": str(folder),
            "blob_stores": [str(self.folder / "blobs")],
            "keystores": [str(folder / "keystore")],
            "password_file": str(self._password_file),
        }
        lines = [f"{name} = {_toml(value)}" for name, value in settings.items()]
        lines += ['confirmations = "latest"', "poll_seconds = 0.25", 'log_format = "json"', ""]
        (folder / "cloister.toml").write_text("\n".join(lines))

    def _network(self, folder: Path) -> Network:
        loaded = load_settings({}, env={}, cwd=folder, config_file=folder / "cloister.toml")
        return open_network(loaded.settings)


def run_devnet(
    folder: Path,
    kind: Kind = "anvil",
    *,
    workers: int = 3,
    block_time: float = 1.0,
    port: int = 8545,
    ready: Callable[[Testnet], None] = lambda _: None,
    stop: threading.Event,
) -> None:
    """Runs a testnet until `stop` is set; `ready` is called once, when jobs can be posted.

    Raises what Testnet raises, and WorkerFailed when a worker ends by itself.
    """
    with Testnet(folder, kind, block_time=block_time, port=port) as net:
        for _ in range(workers):
            net.add_worker()
        net.start()
        ready(net)
        while not stop.wait(0.5):
            net.check()


def _make_anew(folder: Path) -> None:
    if folder.exists():
        if any(folder.iterdir()) and not (folder / MARKER).exists():
            raise InvalidInput(
                f"The folder {folder} holds something that is no testnet, and would be deleted.",
                "Give a folder that is empty or does not exist (--folder).",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    os.close(os.open(folder / MARKER, os.O_CREAT | os.O_WRONLY))


def _toml(value: str | list[str]) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _end(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()[-8:]
    return f"The end of {log}:\n" + "\n".join(lines)
