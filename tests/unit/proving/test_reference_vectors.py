"""The reference verifier's verdict on every proof of tests/vectors/proofs."""

import functools
import json
from pathlib import Path

import pytest
from eth_utils import keccak
from reference.matrix_circuit import parse_descriptor
from reference.matrix_proof import Refused, input_digest, parse, range_descriptor, verify, verify_weights

FILES = sorted((Path(__file__).parents[2] / "vectors" / "proofs").glob("*.json"))


def unhex(text):
    return bytes.fromhex(text.removeprefix("0x"))


def load(file):
    vector = json.loads(file.read_text())
    for name in ("proof", "descriptor"):
        vector[name] = unhex(vector.get(name, ""))
    vector["statement"] = {name: unhex(text) for name, text in vector["statement"].items()}
    return vector


def is_weights(vector):
    return vector.get("kind") == "weights"


@functools.cache
def weights_digests():
    """Digest of a range statement's input -> digest of the weights in it, from every file that can be read."""
    found = {}
    for vector in filter(is_weights, map(load, FILES)):
        try:
            points = parse(vector["proof"])[0].points["X"]
        except Refused:
            continue
        found[input_digest(1, 0, points, [])] = keccak(points)
    return found


def test_vectors__folder__has_accepted_and_refused_proofs_of_both_kinds():
    found = {(is_weights(vector), vector["accepted"]) for vector in map(load, FILES)}
    assert found == {(False, False), (False, True), (True, False), (True, True)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_verify__vector__verdict_is_the_vectors(file):
    vector = load(file)
    if vector["accepted"]:
        verify(**vector["statement"], proof=vector["proof"])
    else:
        with pytest.raises(Refused):
            verify(**vector["statement"], proof=vector["proof"])


@pytest.mark.parametrize("file", [file for file in FILES if is_weights(load(file))], ids=lambda file: file.stem)
def test_verify_weights__vector__verdict_is_the_vectors(file):
    vector = load(file)
    statement, descriptor = vector["statement"], vector["descriptor"]
    ranged = keccak(range_descriptor(parse_descriptor(descriptor)))
    assert (statement["circuit"], statement["weights"], statement["output"]) == (ranged, keccak(b""), bytes(32))
    weights = weights_digests()[statement["input"]]
    asked = (keccak(descriptor), weights, statement["context"], descriptor, vector["proof"])
    if vector["accepted"]:
        verify_weights(*asked)
    else:
        with pytest.raises(Refused):
            verify_weights(*asked)


@pytest.mark.parametrize("argument", range(4))
def test_verify_weights__another_argument__refused(argument):
    vector = load(next(file for file in FILES if is_weights(load(file)) and load(file)["accepted"]))
    statement, descriptor = vector["statement"], vector["descriptor"]
    weights = weights_digests()[statement["input"]]
    asked = [keccak(descriptor), weights, statement["context"], descriptor, vector["proof"]]
    other = asked[argument]
    asked[argument] = other[:-1] + bytes([other[-1] ^ 1])
    with pytest.raises(Refused):
        verify_weights(*asked)
