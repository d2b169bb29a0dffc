"""Processes of a testnet: workers and key brokers, each with a folder and a log in which it says that it is ready."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address
from cloister.sealing.deposits import BrokerKey

STOP_TIMEOUT = 10.0


class WorkerFailed(CloisterError):
    """A process of the testnet ended by itself, or did not start or do its part in time."""


@dataclass(slots=True, kw_only=True)
class Service:
    """One process. `module` and `arguments` are what it runs, `code` where from: None for this installation."""

    name: str
    folder: Path
    module: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    code: Path | None = None
    ready_word: str = "ready"
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it has said."""
        return self.folder / f"{self.ready_word.partition(' ')[0]}.log"

    @property
    def said(self) -> str:
        """All of its log."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def start(self) -> None:
        """Starts it; its configuration lies in its folder."""
        config = str(self.folder / "cloister.toml")
        command = [sys.executable, "-m", *self.module, "--config", config, *self.arguments]
        environment = dict(os.environ) if self.code is None else {**os.environ, "PYTHONPATH": str(self.code)}
        with self.log.open("wb") as log:
            # A group of its own: Ctrl-C reaches us first, and we stop the processes in order.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
                env=environment,
            )

    def check(self) -> None:
        """Raises WorkerFailed with the end of its log when it has ended by itself."""
        if self.process is not None and (status := self.process.poll()) is not None:
            raise WorkerFailed(f"{self.name} ended with status {status}.", self.end())

    def await_ready(self, seconds: float) -> None:
        """Waits until it says that it is ready. Raises WorkerFailed."""
        deadline = time.monotonic() + seconds
        while self.ready_word not in self.said:
            self.check()
            if time.monotonic() > deadline:
                raise WorkerFailed(f"{self.name} is not ready after {seconds:.0f} s.", self.end())
            time.sleep(0.05)

    def end(self) -> str:
        """The end of its log, for an error."""
        lines = self.said.strip().splitlines()[-8:]
        return f"The end of {self.log}:\n" + "\n".join(lines)


@dataclass(slots=True, kw_only=True)
class WorkerProcess(Service):
    """A registered worker, honest or faulty."""

    address: Address
    ready_word: str = "worker ready"


@dataclass(slots=True, kw_only=True)
class BrokerProcess(Service):
    """A key broker, listening on the loopback interface."""

    key: BrokerKey = field(repr=False)
    ready_word: str = "broker ready"

    @property
    def url(self) -> str:
        """Where it listens. Raises WorkerFailed before it is ready."""
        for line in self.said.splitlines():
            if self.ready_word in line:
                return str(json.loads(line)["url"])
        raise WorkerFailed(f"{self.name} is not ready.", self.end())


def stop_all(services: Iterable[Service]) -> None:
    """Asks all to stop at once, and kills what does not."""
    running = [each.process for each in services if each.process is not None and each.process.poll() is None]
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
