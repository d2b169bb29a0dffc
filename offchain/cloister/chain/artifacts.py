"""The compiled contracts, as the package carries them: their ABIs, their code and their custom errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from eth_utils.abi import abi_to_signature, function_signature_to_4byte_selector

from ..domain.errors import InvalidInput

CONTRACTS = (
    "ProofVerifiers",
    "ModelRegistry",
    "NodeRegistry",
    "Currencies",
    "Disputes",
    "Upkeep",
    "JobMarket",
    "IJobMarket",
    "Sessions",
    "MatrixProofVerifier",
    "TdxQuoteVerifier",
)
"""JobMarket's own ABI lacks what it hands on to Disputes and Upkeep; that of IJobMarket has all."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One contract as solc compiled it.

    `abi` is what web3's `contract(abi=…)` takes; `bytecode` is the creation code, hexadecimal with 0x, of an interface
    0x alone.
    """

    name: str
    abi: list[dict[str, Any]]
    bytecode: str


@dataclass(frozen=True, slots=True)
class ErrorAbi:
    """One custom error: its name and, in order, the name, ABI type and Solidity type of each argument."""

    name: str
    arguments: tuple[str, ...]
    types: tuple[str, ...]
    solidity_types: tuple[str, ...]


@cache
def artifact(name: str) -> Artifact:
    """The packaged artifact of a contract in `CONTRACTS`; raises InvalidInput for any other name.

    The same object is returned every time: callers must not change the ABI.
    """
    if name not in CONTRACTS:
        raise InvalidInput(f"There is no contract {name!r}.", f"There are {', '.join(CONTRACTS)}.")
    content = json.loads(files(__package__).joinpath("artifacts", f"{name}.json").read_text("utf-8"))
    return Artifact(content["contractName"], content["abi"], content["bytecode"])


@cache
def custom_errors() -> Mapping[bytes, ErrorAbi]:
    """Every custom error of every contract, by its 4-byte selector.

    One table for all: an error of the registry or of a library comes up through a call to the market.
    """
    table: dict[bytes, ErrorAbi] = {}
    for name in CONTRACTS:
        for entry in artifact(name).abi:
            if entry["type"] != "error":
                continue
            inputs = entry["inputs"]
            error = ErrorAbi(
                entry["name"],
                tuple(argument["name"] for argument in inputs),
                tuple(argument["type"] for argument in inputs),
                tuple(argument.get("internalType", argument["type"]) for argument in inputs),
            )
            selector = function_signature_to_4byte_selector(abi_to_signature(entry))  # type: ignore[arg-type]
            if table.setdefault(selector, error).name != error.name:
                # Would decode one error as the other; the names are ours to change.
                raise AssertionError(f"{error.name} and {table[selector].name} share a selector")
    return MappingProxyType(table)
