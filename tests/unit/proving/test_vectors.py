"""The fast verifier over tests/vectors/proofs, and the script that writes them."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from random_networks import make_package, random_rows

from cloister.proving import InvalidProof, Kind, verify

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "tests/vectors/proofs").glob("*.json"))
NAMES = ("circuit", "weights", "input", "output")


def load(file):
    vector = json.loads(file.read_text())
    statement = {name: bytes.fromhex(text[2:]) for name, text in vector["statement"].items()}
    return vector, statement, bytes.fromhex(vector["proof"][2:])


def checked(statement, proof):
    """As a caller does: verify, then compare what was proved with what was expected. Raises InvalidProof."""
    found = verify(proof, statement["context"])
    digests = (found.circuit.digest, found.weights_digest, found.inputs_digest, found.outputs_digest)
    if digests != tuple(statement[name] for name in NAMES):
        raise InvalidProof("Another statement.", "")


def test_vectors__folder__has_accepted_and_refused_proofs():
    verdicts = [load(file)[0]["accepted"] for file in FILES]
    assert verdicts.count(True) >= 10
    assert verdicts.count(False) >= 20


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_verify__vector__verdict_is_the_vectors(file):
    vector, statement, proof = load(file)
    if vector["accepted"]:
        checked(statement, proof)
    else:
        with pytest.raises(InvalidProof):
            checked(statement, proof)


@pytest.mark.parametrize("name", [*NAMES, "context"])
def test_verify__vector_with_another_digest__refused(name):
    file = next(file for file in FILES if load(file)[0]["accepted"])
    _, statement, proof = load(file)
    with pytest.raises(InvalidProof):
        checked(statement | {name: bytes(32)}, proof)


# ---------------------------------------------------------------- the script


@pytest.fixture(scope="module")
def script():
    path = ROOT / "scripts/proof_vectors.py"
    spec = importlib.util.spec_from_file_location("proof_vectors", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses ask for it
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def as_text(proof):
    return json.dumps(proof.record(), indent=1) + "\n"


@pytest.mark.parametrize(
    ("name", "architecture", "seed", "count", "kinds"),
    [
        ("mlp-1-public-public", "mlp", 0, 1, (Kind.PUBLIC, Kind.PUBLIC)),
        ("mlp-3-committed-committed", "mlp", 1, 3, (Kind.COMMITTED, Kind.COMMITTED)),
        ("mlp-2-public-masked", "mlp", 2, 2, (Kind.PUBLIC, Kind.MASKED)),
    ],
)
def test_proof_vectors__same_seed__same_bytes(script, name, architecture, seed, count, kinds):
    package = make_package(architecture, seed=seed)
    proof = script.proof_of(name, package, random_rows(package, seed, count), *kinds)
    assert as_text(proof) == (ROOT / f"tests/vectors/proofs/{name}.json").read_text()


def test_proof_vectors__neighbours__same_bytes_and_refused(script):
    honest = script.range_proof("mlp-weights", make_package("mlp", seed=0))
    for proof in script.neighbours(honest):
        assert not proof.accepted
        assert as_text(proof) == (ROOT / f"tests/vectors/proofs/{proof.name}.json").read_text()
