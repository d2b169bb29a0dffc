"""A development chain in a process of its own: started, awaited, driven and stopped."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

import requests

from ..domain.errors import CloisterError, InvalidInput
from .accounts import CHAIN_ID

HOST = "127.0.0.1"
STOP_TIMEOUT = 5.0
"""Seconds between asking a process to end and ending it."""
CALL_TIMEOUT = 60.0
"""Seconds that one control call may take: py-evm mines some hundred blocks in it."""


class NodeFailed(CloisterError):
    """A development chain did not start, or stopped."""


class NodeProcess:
    """A running chain with id 31337 on the loopback interface. Use it as a context manager, or call `stop`.

    `url` is its JSON-RPC endpoint, `pid` its process. Raises InvalidInput when the port is taken, and
    NodeFailed with the end of its log when it does not answer within `timeout` seconds.
    """

    def __init__(
        self, name: str, command: Sequence[str], port: int, *, log: Path | None = None, timeout: float
    ) -> None:
        self.name = name
        self.url = f"http://{HOST}:{port}"
        _check_free(port)
        # Without a file to keep, an anonymous one: its end explains a failed start. stop() closes it.
        self._log: IO[bytes] = tempfile.TemporaryFile() if log is None else log.open("w+b")  # noqa: SIM115
        self._http = requests.Session()
        self._http.trust_env = False  # a proxy for the world is none for the loopback interface
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in a terminal reaches us, and we stop the chain after all that still uses it.
                process_group=0,
            )
        except OSError as exc:
            self._log.close()
            raise NodeFailed(f"{name} cannot be started: {exc}.") from exc
        try:
            self._await_answer(timeout)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """False once the process has ended, whoever ended it."""
        return self._process.poll() is None

    def mine(self, blocks: int) -> None:
        """Mines blocks at once, without moving the chain's clock."""
        self.control("anvil_mine", hex(blocks))

    def skip(self, seconds: int) -> None:
        """Moves the chain's clock forward and mines a block at the new time."""
        self.control("evm_increaseTime", seconds)
        self.mine(1)

    def control(self, method: str, *parameters: Any) -> Any:
        """One JSON-RPC call. Raises NodeFailed when the chain is gone or refuses."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        try:
            answer = self._http.post(self.url, json=body, timeout=CALL_TIMEOUT).json()
        except requests.RequestException as exc:
            raise NodeFailed(f"{self.name} at {self.url} does not answer: {exc}.", self._log_end()) from exc
        if "error" in answer:
            raise NodeFailed(f"{self.name} refuses {method}: {answer['error'].get('message')}.")
        return answer["result"]

    def stop(self) -> None:
        """Ends the process, and returns when it has ended. Stopping twice does nothing."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _await_answer(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            if not self.running:
                code = self._process.returncode
                raise NodeFailed(f"{self.name} ended at once with status {code}.", self._log_end())
            try:
                chain_id = int(self.control("eth_chainId"), 16)
            except NodeFailed:
                if time.monotonic() > deadline:
                    what = f"{self.name} does not answer at {self.url} after {timeout:.0f} s."
                    raise NodeFailed(what, self._log_end()) from None
                time.sleep(0.01)
                continue
            if chain_id != CHAIN_ID:
                raise NodeFailed(f"{self.name} serves chain {chain_id} instead of {CHAIN_ID}.")
            return

    def _log_end(self) -> str:
        if self._log.closed:
            return ""
        self._log.flush()
        end = self._log.seek(0, 2)
        self._log.seek(max(0, end - 2_000))
        text = self._log.read().decode(errors="replace").strip()
        return f"It said last:\n{text}" if text else "It said nothing."


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still fading away is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as exc:
            raise InvalidInput(
                f"Port {port} of {HOST} cannot be used: {getattr(exc, 'strerror', None) or exc}.",
                "Another chain may be running: stop it, or choose another port (0 picks a free one).",
            ) from exc
