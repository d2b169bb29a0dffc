"""anvil, the development chain that behaves most like Ethereum. It comes with `make install`, through npm."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..domain.errors import CloisterError
from .accounts import BALANCE, CHAIN_ID, COUNT, MNEMONIC
from .process import HOST, NodeProcess, free_port

START_TIMEOUT = 15.0
"""Seconds; it takes 0.05 on an idle machine."""


class AnvilMissing(CloisterError):
    """There is no anvil on this machine."""


def start_anvil(
    port: int = 0,
    block_time: float = 1.0,
    *,
    log: Path | None = None,
    arguments: Sequence[str] = (),
    timeout: float = START_TIMEOUT,
) -> NodeProcess:
    """Starts anvil with Osaka's rules, the cap on a transaction's gas included.

    `port` 0 picks a free one. A block is mined every `block_time` seconds, whether or not there are
    transactions; 0 mines none but by `mine`. `arguments` are added to anvil's own, `log` is overwritten.

    Raises AnvilMissing, and what NodeProcess raises.
    """
    port = port or free_port()
    program = find_anvil()
    command = [str(program), "--host", HOST, "--port", str(port), "--chain-id", str(CHAIN_ID)]
    command += ["--hardfork", "osaka", "--mnemonic", MNEMONIC, "--accounts", str(COUNT)]
    command += ["--balance", str(BALANCE // 10**18)]
    command += ["--block-time", f"{block_time:g}"] if block_time else ["--no-mining"]
    if log is None:
        command.append("--quiet")  # else every call is a line in a file that nobody reads
    if not _sets_gas_cap(program):
        command.append("--enable-tx-gas-limit")
    return NodeProcess("anvil", [*command, *arguments], port, log=log, timeout=timeout)


def find_anvil() -> Path:
    """The clone's own anvil, when this package runs from a clone that has one, or else the one on PATH."""
    own = Path(__file__).resolve().parents[3] / ".toolchain" / "bin" / "anvil"
    if os.access(own, os.X_OK):
        return own
    if found := shutil.which("anvil"):
        return Path(found)
    raise AnvilMissing(
        f"anvil is neither at {own} nor on PATH.",
        "Run `make install` in a clone of the repository (it needs Node.js), or use the chain that needs none: "
        "`--chain py-evm`.",
    )


def _sets_gas_cap(program: Path) -> bool:
    """anvil takes the flag once only, and the clone's wrapper script gives it already."""
    with program.open("rb") as file:
        start = file.read(4096)
    return start.startswith(b"#!") and b"--enable-tx-gas-limit" in start
