"""Either development chain behind one protocol, and waiting for its blocks."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol, Self

from web3 import Web3

from ..chain.errors import translated
from ..domain.errors import CloisterError, InvalidInput
from .anvil import start_anvil
from .process import NodeProcess, free_port

Kind = Literal["anvil", "py-evm"]
PY_EVM_START_TIMEOUT = 60.0
"""Seconds; it takes 2 on an idle machine."""


class DevNode(Protocol):
    """A running development chain."""

    @property
    def url(self) -> str:
        """JSON-RPC endpoint."""

    def mine(self, blocks: int) -> None:
        """Mines blocks at once."""

    def skip(self, seconds: int) -> None:
        """Moves the chain's clock forward and mines a block."""

    def stop(self) -> None:
        """Ends it; twice does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class PyEvmMissing(CloisterError):
    """The devchain extra is not installed."""


class NoBlocks(CloisterError):
    """The chain mined too few blocks in the time given."""


def start_node(kind: Kind = "anvil", port: int = 0, block_time: float = 1.0, *, log: Path | None = None) -> DevNode:
    """Starts a chain with id 31337 and 20 funded accounts on the loopback interface.

    `port` 0 picks a free one; a block is mined every `block_time` seconds, 0 mines none but by `mine`.

    Raises AnvilMissing or PyEvmMissing, InvalidInput for a port that is taken, NodeFailed when it does not
    start.
    """
    if kind == "anvil":
        return start_anvil(port, block_time, log=log)
    if kind == "py-evm":
        if find_spec("eth") is None:
            raise PyEvmMissing(
                "py-evm is not installed.",
                "Install it with `pip install 'cloister[devchain]'`, or use `--chain anvil`, which needs Node.js.",
            )
        port = port or free_port()
        # A process of its own: mining holds Python's lock for long, and the devchain extra stays out of ours.
        command = [sys.executable, "-m", "cloister.devnet.pyevm", "--port", str(port)]
        command += ["--block-time", f"{block_time:g}"]
        return NodeProcess("py-evm", command, port, log=log, timeout=PY_EVM_START_TIMEOUT)
    raise InvalidInput(f"There is no development chain {kind!r}.", "Take anvil or py-evm.")


def wait_for_block(w3: Web3, number: int, *, timeout: float = 60.0, poll: float = 0.05) -> None:
    """Waits until block `number` is mined. Raises NoBlocks after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        with translated():
            head = w3.eth.block_number
        if head >= number:
            return
        if time.monotonic() > deadline:
            raise NoBlocks(
                f"The chain is at block {head} after {timeout:.0f} s, not at {number}.",
                "See the chain's log, or mine blocks yourself if it was started with block time 0.",
            )
        time.sleep(poll)


def skip_to_next_epoch(node: DevNode, w3: Web3, epoch_length: int) -> int:
    """Mines up to the first block of the next epoch, from which on fresh stake counts (DRAW-3). Returns its number."""
    with translated():
        head = w3.eth.block_number
    start = (head // epoch_length + 1) * epoch_length
    node.mine(start - head)
    wait_for_block(w3, start)
    return start
