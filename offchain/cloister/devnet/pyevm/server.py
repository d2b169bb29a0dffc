"""The HTTP server, and the clock that mines."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..process import HOST
from .chain import PyEvmChain
from .rpc import Rpc

MAX_BODY = 4 << 20
"""Bytes of a request."""
IDLE_TIMEOUT = 120.0
"""Seconds after which an idle connection is closed."""


class Server(ThreadingHTTPServer):
    """Serves one chain on the loopback interface and mines a block every `block_time` seconds, 0 for none."""

    daemon_threads = True

    def __init__(self, chain: PyEvmChain, port: int, block_time: float) -> None:
        super().__init__((HOST, port), _Handler)
        self.rpc = Rpc(chain)
        self._chain = chain
        self._block_time = block_time
        self._stopping = threading.Event()
        self.broken = False
        """True when mining failed, which ends `serve`."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.server_port}"

    def serve(self) -> None:
        """Serves until `stop` is called from another thread, or mining fails."""
        miner = threading.Thread(target=self._mine_on_time, name="miner", daemon=True)
        if self._block_time:
            miner.start()
        try:
            self.serve_forever(poll_interval=0.05)
        finally:
            self._stopping.set()
            self.server_close()

    def stop(self) -> None:
        """Makes `serve` return."""
        self._stopping.set()
        self.shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Reports what is not just a client that went away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            traceback.print_exc()

    def _mine_on_time(self) -> None:
        due = time.monotonic() + self._block_time
        try:
            while not self._stopping.wait(max(0.0, due - time.monotonic())):
                with self.rpc.lock:
                    self._chain.mine()
                # After a block that took longer than its time, the next one is not hurried.
                due = max(due + self._block_time, time.monotonic())
        except Exception:  # noqa: BLE001  reported, and the process ends
            # A chain that stands still without a word would be worse than none.
            traceback.print_exc()
            self.broken = True
            self.stop()


@contextmanager
def running(block_time: float = 0.0, seed: bytes = bytes(32)) -> Iterator[Server]:
    """A chain in a thread of this process, for tests that want no other process. It starts in 50 ms."""
    server = Server(PyEvmChain(seed), 0, block_time)
    thread = threading.Thread(target=server.serve, name="py-evm", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT
    # Head and body leave in one packet: in two, the client's delayed acknowledgement costs 40 ms per call.
    wbufsize = -1

    def do_POST(self) -> None:
        """A JSON-RPC request or batch."""
        length = int(self.headers.get("Content-Length") or -1)
        if not 0 <= length <= MAX_BODY:
            self.close_connection = True
            self._send(413 if length > MAX_BODY else 411, b"")
        # Browsers name the page that asks; no page has business here, whatever name it gave to 127.0.0.1.
        elif self.headers.get("Origin"):
            self.close_connection = True
            self._send(403, b"")
        else:
            self._send(200, self._answer(self.rfile.read(length)))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's name
        """Says nothing about single requests."""

    def _answer(self, body: bytes) -> bytes:
        try:
            request = json.loads(body)
        except ValueError:
            fault = {"code": -32700, "message": "the request is not JSON"}
            return json.dumps({"jsonrpc": "2.0", "id": None, "error": fault}).encode()
        answer = self.server.rpc.answer(request)
        return b"" if answer is None else json.dumps(answer).encode()

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
