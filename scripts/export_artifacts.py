"""Compile the deployable contracts into offchain/cloister/chain/artifacts/, for the Python side to use.

    python scripts/export_artifacts.py            # rewrite the artifacts (`make artifacts`)
    python scripts/export_artifacts.py --check    # fail unless they are up to date (`make artifacts-check`)

The artifacts are committed, so that a worker needs no compiler. The settings are those of
scripts/toolchain/foundry.toml. The code carries no metadata, so that every build of solc gives the same
bytes on every machine and path.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

# every contract that is deployed; the artifact is named after it
DEPLOYABLE = {
    "NodeRegistry": "contracts/NodeRegistry.sol",
    "ModelRegistry": "contracts/ModelRegistry.sol",
    "Currencies": "contracts/Currencies.sol",
    "Disputes": "contracts/Disputes.sol",
    "Upkeep": "contracts/Upkeep.sol",
    "JobMarket": "contracts/JobMarket.sol",
    "Sessions": "contracts/Sessions.sol",
    "ProofVerifiers": "contracts/proofs/ProofVerifiers.sol",
    "MatrixProofVerifier": "contracts/proofs/MatrixProofVerifier.sol",
    "TdxQuoteVerifier": "contracts/attestation/TdxQuoteVerifier.sol",
}
# what several contracts offer together at one address: an ABI without code
INTERFACES = {"IJobMarket": "contracts/interfaces/IJobMarket.sol"}
ARTIFACTS = Path("offchain/cloister/chain/artifacts")
CODE_SIZE_LIMIT = 24_576  # EIP-170


def fail(message: str) -> NoReturn:
    sys.exit(f"export_artifacts: {message}")


@dataclass(frozen=True)
class Compiler:
    """solc and its settings, as forge and (checked by `confirm_brownie_agrees`) Brownie use them."""

    root: Path
    path: Path
    version: str
    settings: dict[str, Any]

    @classmethod
    def of_project(cls, root: Path) -> "Compiler":
        profile = tomllib.loads((root / "scripts/toolchain/foundry.toml").read_text())["profile"]["default"]
        settings = {
            "remappings": profile["remappings"],
            "optimizer": {"enabled": profile["optimizer"], "runs": profile["optimizer_runs"]},
            "evmVersion": profile["evm_version"],
            "viaIR": profile["via_ir"],
            "metadata": {"bytecodeHash": profile["bytecode_hash"], "appendCBOR": profile["cbor_metadata"]},
        }
        path = root / profile["solc"]
        if not path.exists():
            fail(f"{profile['solc']} does not exist; run `make install`")
        return cls(root, path, path.name.removeprefix("solc-v"), settings)

    def compile(self, contracts: dict[str, str]) -> dict[str, dict[str, Any]]:
        """Compile these contracts (name → path) and what they import; returns solc's output by name."""
        wanted = ["abi", "metadata", "evm.bytecode.object", "evm.bytecode.linkReferences"]
        wanted.append("evm.deployedBytecode.object")
        request = {
            "language": "Solidity",
            "sources": {path: {"content": (self.root / path).read_text()} for path in contracts.values()},
            "settings": self.settings | {"outputSelection": {path: {name: wanted} for name, path in contracts.items()}},
        }
        arguments = ["--standard-json", "--base-path", str(self.root), "--allow-paths", str(self.root)]
        answer = subprocess.run(
            [str(self.path), *arguments],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode:
            fail(f"solc failed: {answer.stderr.strip()}")
        output = json.loads(answer.stdout)
        for message in output.get("errors", []):
            if message["severity"] == "error":
                fail(message["formattedMessage"])
        return {name: output["contracts"][path][name] for name, path in contracts.items()}


def confirm_brownie_agrees(root: Path, compiler: Compiler) -> None:
    import yaml  # of the dev extra: the only use of it

    brownie = yaml.safe_load((root / "brownie-config.yaml").read_text())["compiler"]
    ours = compiler.settings
    pairs = {
        "evm_version": (brownie["evm_version"], ours["evmVersion"]),
        "version": (brownie["solc"]["version"], compiler.version),
        "optimizer": (brownie["solc"]["optimizer"], ours["optimizer"]),
        "viaIR": (brownie["solc"]["viaIR"], ours["viaIR"]),
        "remappings": (
            [remapping.replace("=", "/=") + "/" for remapping in brownie["solc"]["remappings"]],
            ours["remappings"],
        ),
    }
    for setting, (theirs, own) in pairs.items():
        if theirs != own:
            fail(f"{setting} is {theirs} in brownie-config.yaml, {own} in scripts/toolchain/foundry.toml")


def artifact(name: str, output: dict[str, Any], compiler: Compiler) -> dict[str, Any]:
    metadata = json.loads(output["metadata"])
    sources = hashlib.sha256()
    for path in sorted(metadata["sources"]):
        sources.update(path.encode() + b"\0" + hashlib.sha256((compiler.root / path).read_bytes()).digest())
    code = output["evm"]["bytecode"]
    exported = {
        "contractName": name,
        "abi": output["abi"],
        "bytecode": "0x" + code["object"],
        "compiler": {"version": metadata["compiler"]["version"], "settings": compiler.settings},
        "sourcesSha256": sources.hexdigest(),
    }
    if code["linkReferences"]:
        exported["linkReferences"] = code["linkReferences"]
    return exported


def code_size(output: dict[str, Any]) -> int:
    return len(output["evm"]["deployedBytecode"]["object"]) // 2


def main() -> None:
    verbatim = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=verbatim)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    options = parser.parse_args()
    root: Path = options.root.resolve()

    compiler = Compiler.of_project(root)
    confirm_brownie_agrees(root, compiler)
    sources = DEPLOYABLE | INTERFACES
    for path in sources.values():
        if not (root / path).exists():
            fail(f"{path} does not exist")
    outputs = compiler.compile(sources)

    stale = []
    for name, output in outputs.items():
        size = code_size(output)
        print(f"{name}: {size:,} of {CODE_SIZE_LIMIT:,} bytes" if name in DEPLOYABLE else f"{name}: an interface")
        if size > CODE_SIZE_LIMIT:
            fail(f"{name} is {size - CODE_SIZE_LIMIT:,} bytes over the limit of EIP-170")
        text = json.dumps(artifact(name, output, compiler), separators=(",", ":")) + "\n"
        file = root / ARTIFACTS / f"{name}.json"
        if options.check:
            if not file.exists() or file.read_text() != text:
                stale.append(file.name)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    unknown = {file.stem for file in (root / ARTIFACTS).glob("*.json")} - set(outputs)
    if unknown:
        fail(f"{ARTIFACTS} holds {', '.join(sorted(unknown))}, which neither DEPLOYABLE nor INTERFACES lists")
    if stale:
        fail(f"{', '.join(stale)} out of date: run `make artifacts` and commit the result")


if __name__ == "__main__":
    main()
