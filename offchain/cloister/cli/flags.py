"""One flag per setting, the same for every command.

The table repeats names and meanings of `cloister.config.Settings`, because importing the model would double the time
that `cloister --help` takes; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import typer

SETTINGS: dict[str, tuple[str, str]] = {
    "rpc_url": ("URL", "JSON-RPC endpoint of the chain"),
    "chain_id": ("N", "refuse to act when the endpoint serves another chain"),
    "deployment": ("FILE", "JSON file with the chain id and the contracts' addresses"),
    "node_registry": ("ADDRESS", "overrides the deployment file"),
    "model_registry": ("ADDRESS", "overrides the deployment file"),
    "job_market": ("ADDRESS", "overrides the deployment file"),
    "data_dir": ("FOLDER", "keys, journal and blobs of this machine"),
    "blob_stores": ("LIST", "where blobs are read from, in this order; they are written to the first"),
    "max_blob_mib": ("N", "refuse larger blobs (MiB)"),
    "keystores": ("LIST", "folders of key files; new ones are written to the first"),
    "account": ("ACCOUNT", "the account that signs; not needed if there is only one"),
    "password_file": ("FILE", "first line is the account's password; without it the terminal is asked"),
    "confirmations": ("N|TAG", "how settled a block must be before it counts"),
    "poll_seconds": ("SECONDS", "pause between two looks at the chain (s)"),
    "max_fee_gwei": ("GWEI", "never pay more per unit of gas (gwei); without it there is no limit"),
    "enclave": ("on|off", "run models in an enclave process beside the worker"),
    "enclave_compiled": (
        "FOLDER",
        "the enclave's code compiled ahead, which makes it start faster and is measured with it",
    ),
    "unprotected": ("LIST", "protections of the enclave process that may be missing here"),
    "evidence_from": ("KIND", "where evidence about the enclave comes from"),
    "development_device": ("FOLDER", "development device that signs evidence, which protects nothing"),
    "development_authority": ("FILE", "root of DEVELOPMENT evidence that a broker takes, which protects nothing"),
    "collateral_url": ("URL", "provisioning certificate caching service that a worker asks about its platform"),
    "brokers": ("LIST", "key brokers that a worker asks for keys of sealed models"),
    "trusted_measurements": ("LIST", "code that a requester trusts with its inputs"),
    "accepted_tcb": ("LIST", "states of a platform that a requester accepts"),
    "trust_development": ("yes|no", "whether a requester accepts DEVELOPMENT evidence, which protects nothing"),
    "log_format": ("FORMAT", "lines for people or for machines"),
    "log_level": ("LEVEL", "the least important lines to write"),
}
"""Setting: (what the flag takes, what it means)."""


@dataclass(slots=True)
class Session:
    """What one call of the program has been told so far.

    `job` is the id of a job that is under way, so that whatever ends the program can say how to go on with it; `debug`
    asks for the traceback of an error.
    """

    flags: dict[str, str] = field(default_factory=dict)
    config: Path | None = None
    json: bool = False
    job: str | None = None
    debug: bool = False

    def take(self, values: dict[str, Any]) -> dict[str, Any]:
        """Keeps the flags among a command's values; returns the other values. What comes later counts."""
        self.json |= bool(values.pop("json", False))
        self.config = values.pop("config", None) or self.config
        for name in SETTINGS.keys() & values.keys():
            value = values.pop(name)
            if value is not None:
                self.flags[name] = value
        return values


def parameters(*, hidden: bool) -> Iterator[Parameter]:
    """--json, --config and every setting, as parameters for typer. `hidden` leaves the last two out of the help."""
    yield _parameter("json", bool, typer.Option("--json", help="One JSON document on standard output."), default=False)
    config = typer.Option("--config", metavar="FILE", help="Read this file instead of cloister.toml.", hidden=hidden)
    yield _parameter("config", Path | None, config)
    for name, (metavar, meaning) in SETTINGS.items():
        flag = f"--{name.replace('_', '-')}"
        text = f"{meaning[0].upper()}{meaning[1:]}."
        yield _parameter(name, str | None, typer.Option(flag, metavar=metavar, help=text, hidden=hidden))


def _parameter(name: str, kind: Any, option: Any, default: Any = None) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])
