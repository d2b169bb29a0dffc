"""Lets a script call commands, with the network that Brownie is connected to when `brownie run` started the script.

On a development chain the scripts act as its funded accounts, which everybody knows; everywhere else as the account
that is configured. Brownie itself is never imported here: it is not among the things that Cloister needs.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister.cli.program import main

DEVELOPMENT_CHAIN = 31337
INTERVAL = 1
"""Seconds between blocks, once a development chain's automatic mining has been replaced."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a script runs. `flags` are settings; `brownie` is the module, None without a connection of its."""

    flags: dict[str, str]
    development: bool
    brownie: Any = None

    def run(self, *arguments: str, **flags: str) -> None:
        """Runs a command. Raises SystemExit when it fails."""
        code = main([*arguments, *self._given(flags)])
        if code:
            raise SystemExit(code)

    def ask(self, *arguments: str, **flags: str) -> dict[str, Any]:
        """A command's document. Raises SystemExit, with the error as text, when it fails."""
        with contextlib.redirect_stdout(io.StringIO()) as written:
            code = main([*arguments, *self._given(flags), "--json"])
        document: dict[str, Any] = json.loads(written.getvalue())
        if code:
            raise SystemExit(f"{document['error']['message']} {document['error']['hint']}")
        return document

    def chain(self, method: str, *parameters: Any) -> Any:
        """Calls the development chain itself, to mine or to set its clock."""
        answer = self.brownie.web3.provider.make_request(method, list(parameters))
        if "error" in answer:
            raise SystemExit(f"The chain refuses {method}: {answer['error']}")
        return answer["result"]

    def _given(self, flags: dict[str, str]) -> list[str]:
        merged = self.flags | flags
        return [part for name, value in merged.items() for part in (f"--{name.replace('_', '-')}", value)]


def here() -> Place:
    """Where this script runs. Under Brownie, the environment still overrides everything but the endpoint."""
    brownie = sys.modules.get("brownie")
    if brownie is None or not brownie.network.is_connected():
        return Place({}, development=False)
    endpoint = {"rpc_url": str(brownie.web3.provider.endpoint_uri)}
    place = Place(endpoint, development=False, brownie=brownie)
    if int(place.chain("eth_chainId"), 16) != DEVELOPMENT_CHAIN:
        return place
    # A fresh chain gets a fresh folder: journals of another one, with the same id and addresses, would be refused.
    folder = Path(".devnet") / f"brownie-{place.chain('eth_getBlockByNumber', '0x0', False)['hash'][2:10]}"
    defaults = {
        "account": "dev:0",
        "data_dir": str(folder),
        "deployment": str(folder / "deployment.json"),
        "confirmations": "latest",
        "poll_seconds": "0.25",
        # Nothing vouches for this machine here, and workers run as threads of one process.
        "enclave": "off",
    }
    flags = {name: value for name, value in defaults.items() if not os.environ.get(f"CLOISTER_{name.upper()}")}
    return Place(endpoint | flags, development=True, brownie=brownie)
