"""`python -m support.teeing_worker …`: `cloister worker` that writes every frame to and from its enclave to a file.

The file is TEED_FRAMES/<pid>.<in|out>. What crosses the socket pair cannot be captured from outside the host. Besides,
the worker keeps the inputs and outputs of all inference in this process, so that a search of its memory finds them by
more than luck: where there is an enclave, there must be none.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cloister.cli import main
from cloister.enclave.frames import Channel
from cloister.fixedpoint import Package
from cloister.inference import Inference

_send, _receive, _run = Channel.send, Channel.receive, Inference.run
_kept: list[tuple[bytes, bytes]] = []


def _written(direction: str, payload: bytes | memoryview) -> None:
    with (Path(os.environ["TEED_FRAMES"]) / f"{os.getpid()}.{direction}").open("ab") as file:
        file.write(payload)


def _send_and_write(self: Channel, payload: bytes, timeout: float | None = None) -> None:
    _written("out", payload)
    _send(self, payload, timeout)


def _receive_and_write(self: Channel, timeout: float | None = None) -> memoryview:
    payload = _receive(self, timeout)
    _written("in", payload)
    return payload


def _run_and_keep(self: Inference, package: Package, plaintext: bytes) -> bytes:
    output = _run(self, package, plaintext)
    _kept.append((plaintext, output))
    return output


if __name__ == "__main__":
    Channel.send = _send_and_write  # type: ignore[method-assign]
    Channel.receive = _receive_and_write  # type: ignore[method-assign]
    Inference.run = _run_and_keep  # type: ignore[method-assign]
    sys.argv[0] = "cloister"
    sys.argv.insert(1, "worker")
    sys.exit(main())
