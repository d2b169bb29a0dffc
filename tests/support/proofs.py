"""A proof system without mathematics, which contracts/mocks/MockVerifier.sol accepts: its proofs are hashes."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from eth_abi.abi import encode
from eth_hash.auto import keccak

from cloister.chain.artifacts import Artifact
from cloister.domain.commitments import masked_output
from cloister.fixedpoint import Package
from cloister.proving import InvalidProof, circuit_of, commit_model

ROOT = Path(__file__).resolve().parents[2]


@cache
def mock_verifier() -> Artifact:
    """The mock, compiled as the deployable contracts are."""
    path = ROOT / "scripts" / "export_artifacts.py"
    spec = importlib.util.spec_from_file_location("export_artifacts", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("export_artifacts", module)  # its dataclasses ask for it
    spec.loader.exec_module(module)
    contracts = {"MockVerifier": "contracts/mocks/MockVerifier.sol"}
    output = module.Compiler.of_project(ROOT).compile(contracts)["MockVerifier"]
    return Artifact("MockVerifier", output["abi"], "0x" + output["evm"]["bytecode"]["object"])


@dataclass(frozen=True)
class Proof:
    """Like `cloister.proving.JobProof`."""

    masked: bytes
    proof: bytes
    input_digest: bytes
    pad_digest: bytes
    outputs: Any


class HashProofs:
    """Like the module `cloister.proving`, with its circuits and weight commitments, and commitments that are hashes."""

    about: ClassVar[dict[bytes, tuple[bytes, Any]]] = {}
    """What each proof is about, since a hash does not tell."""
    circuit_of = staticmethod(circuit_of)
    commit_model = staticmethod(commit_model)

    def commit_input(self, circuit: Any, rows: Any, secret: bytes) -> bytes:
        return keccak(b"input" + secret + np.ascontiguousarray(rows, dtype=np.int64).tobytes())

    def commit_pad(self, circuit: Any, rows: int, secret: bytes) -> bytes:
        return keccak(b"pad" + secret + bytes([(rows - 1).bit_length()]))

    def mask(self, circuit: Any, outputs: Any, secret: bytes) -> bytes:
        count = outputs.shape[1] << (len(outputs) - 1).bit_length()
        words = [int(word) for word in outputs.reshape(-1)] + [0] * (count - outputs.size)
        return b"".join((word + _pad(secret, i)).to_bytes(32, "big") for i, word in enumerate(words))

    def prove_weights(self, model: Any, context: bytes) -> bytes:
        return _hashed("weights", model.circuit.digest, model.digest, context)

    def prove_job(self, model: Any, rows: Any, context: bytes, secret: bytes) -> Proof:
        outputs = self.run(model.package, rows)
        masked = self.mask(model.circuit, outputs, secret)
        digests = self.commit_input(model.circuit, rows, secret), self.commit_pad(model.circuit, len(rows), secret)
        statement = (model.circuit.digest, model.digest, digests[0], masked_output(digests[1], masked), context)
        proof = _hashed("run", *statement)
        circuit, weights, inputs, result, _ = statement
        about = SimpleNamespace(
            circuit=SimpleNamespace(digest=circuit), weights_digest=weights, inputs_digest=inputs, outputs_digest=result
        )
        self.about[proof] = (context, about)
        return Proof(masked, proof, *digests, outputs)

    def verify(self, data: bytes, context: bytes) -> Any:
        made_for, about = self.about.get(data, (None, None))
        if made_for != context:
            raise InvalidProof("The proof does not hold.")
        return about

    def run(self, package: Package, rows: Any) -> Any:
        return package.run(rows)

    def unmask(self, circuit: Any, rows: int, masked: bytes, secret: bytes) -> Any:
        words = [
            int.from_bytes(masked[32 * i : 32 * i + 32], "big") - _pad(secret, i) for i in range(len(masked) // 32)
        ]
        if any(abs(word) > 2**31 for word in words):
            raise InvalidProof("The masked output does not open under this job's pad.")
        return np.array(words[: rows * circuit.outputs], dtype=np.int64).reshape(rows, -1)


def _pad(secret: bytes, index: int) -> int:
    return int.from_bytes(keccak(secret + index.to_bytes(4, "big")), "big") >> 8 | 1 << 200


def _hashed(what: str, *words: bytes) -> bytes:
    inner = keccak(encode(["string", *["bytes32"] * len(words)], [what, *words]))
    return encode(["bytes32"], [inner])
