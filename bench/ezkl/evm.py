"""Gas of checking an EZKL proof on an EVM chain, by the contract that EZKL writes, on a local anvil.

    python bench/ezkl/evm.py FOLDER --srs FILE --solc FOLDER --anvil FILE

FOLDER holds the keys and the proof that measure.py made. EZKL takes no other compiler than an executable in the
home directory, so one is put into a home of its own, which hands over to npm's solc. Prints evm_gas and evm_code_bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ezkl  # type: ignore[import-not-found]  # lives in an environment of its own

ROOT = Path(__file__).resolve().parents[2]
SHIM = ROOT / "scripts" / "toolchain" / "solc_shim.cjs"
SOLC = Path(".svm/0.8.20/solc-0.8.20")
OPTIMIZER_RUNS = 1
PATIENCE = 20.0
"""Seconds that anvil has to start, and to mine a transaction."""


def main() -> None:
    """Compiles, deploys, sends the proof."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--srs", type=Path, required=True)
    parser.add_argument("--solc", type=Path, required=True, help="npm's solc 0.8.20")
    parser.add_argument("--anvil", type=Path, required=True)
    options = parser.parse_args()
    output = os.dup(1)
    os.dup2(2, 1)
    os.environ["HOME"] = str(home_with_solc(options.folder / "home", options.solc))
    with anvil(options.anvil) as port:
        figures = asyncio.run(gas(options.folder, options.srs, port))
    os.write(output, json.dumps(figures).encode() + b"\n")
    # EZKL's runtime aborts where the interpreter shuts down, so it does not get to.
    os._exit(0)


def home_with_solc(home: Path, solc: Path) -> Path:
    """A home directory whose solc is npm's."""
    executable = home.resolve() / SOLC
    executable.parent.mkdir(parents=True, exist_ok=True)
    command = f"exec node --no-warnings {shlex.quote(str(SHIM))}"
    executable.write_text(f'#!/bin/sh\nSOLC_JS={shlex.quote(str(solc.resolve()))} {command} "$@"\n')
    executable.chmod(0o755)
    return home.resolve()


@contextmanager
def anvil(executable: Path) -> Iterator[int]:
    """A chain for as long as the block lasts; yields its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    process = subprocess.Popen([executable, "--silent", "--port", str(port)], stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                call(port, "eth_chainId")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


async def gas(folder: Path, srs: Path, port: int) -> dict[str, int]:
    """Gas of the receipt of one transaction that checks the proof, and the size of the contract."""
    solidity = folder / "verifier.sol"
    keys = (folder / "vk", folder / "settings.json")
    await ezkl.create_evm_verifier(*keys, solidity, folder / "verifier.abi", srs_path=srs, reusable=False)
    await ezkl.deploy_evm(folder / "address", f"http://127.0.0.1:{port}", solidity, "verifier", OPTIMIZER_RUNS)
    ezkl.encode_evm_calldata(folder / "proof.json", folder / "calldata")
    transaction = {
        "from": call(port, "eth_accounts")[0],
        "to": (folder / "address").read_text().strip(),
        "data": "0x" + (folder / "calldata").read_bytes().hex(),
    }
    if int(call(port, "eth_call", transaction, "latest"), 16) != 1:
        raise SystemExit("the contract refuses the proof")
    sent = call(port, "eth_sendTransaction", transaction)
    deadline = time.monotonic() + PATIENCE
    while (receipt := call(port, "eth_getTransactionReceipt", sent)) is None:
        if time.monotonic() > deadline:
            raise SystemExit("anvil does not mine the proof")
        await asyncio.sleep(0.1)
    code = call(port, "eth_getCode", transaction["to"], "latest")
    return {"evm_gas": int(receipt["gasUsed"], 16), "evm_code_bytes": len(code) // 2 - 1}


def call(port: int, method: str, *parameters: Any) -> Any:
    """One JSON-RPC call."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.load(connection.getresponse())
    finally:
        connection.close()
    if "error" in answer:
        raise SystemExit(f"anvil refuses {method}: {answer['error'].get('message')}")
    return answer["result"]


if __name__ == "__main__":
    main()
