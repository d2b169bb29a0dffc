"""The reference verifier's verdict on every proof of tests/vectors/proofs."""

import contextlib
import functools
import json
from pathlib import Path

import pytest
from eth_utils import keccak
from reference import matrix_proof
from reference.matrix_proof import Refused, input_digest, parse, verify, verify_weights

FILES = sorted((Path(__file__).parents[2] / "vectors" / "proofs").glob("*.json"))


def unhex(text):
    return bytes.fromhex(text.removeprefix("0x"))


@functools.cache
def load(file):
    vector = json.loads(file.read_text())
    for name in ("proof", "descriptor"):
        vector[name] = unhex(vector.get(name, ""))
    vector["statement"] = {name: unhex(text) for name, text in vector["statement"].items()}
    return vector


def is_weights(vector):
    return vector.get("kind") == "weights"


WEIGHTS = [file for file in FILES if is_weights(load(file))]

OTHER_TRANSCRIPT = {"another pad", "flipped round", "other context", "point at infinity", "swapped points"}


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


@functools.cache
def asked_of_weights(file):
    """The arguments of verify_weights for a proof of the range statement."""
    vector = load(file)
    weights = weights_digests()[vector["statement"]["input"]]
    descriptor = vector["descriptor"]
    return keccak(descriptor), weights, vector["statement"]["context"], descriptor, vector["proof"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_verify__vector__verdict_is_the_vectors(file):
    """Weights through verify_weights: the next test shows that it asks `verify` for the statement of the vector."""
    vector = load(file)
    with contextlib.nullcontext() if vector["accepted"] else pytest.raises(Refused):
        if is_weights(vector):
            verify_weights(*asked_of_weights(file))
        else:
            verify(**vector["statement"], proof=vector["proof"])


@pytest.mark.parametrize("file", [f for f in FILES if load(f)["why"] in OTHER_TRANSCRIPT], ids=lambda file: file.stem)
def test_verify__other_transcript_with_its_1_over_z__refused_by_the_pairing(file):
    """The vectors carry the 1/z of their own transcript, so the argument itself has to refuse them."""
    vector = load(file)
    with pytest.raises(Refused, match="section 7: the pairing"):
        verify(**vector["statement"], proof=vector["proof"])


@pytest.mark.parametrize("file", WEIGHTS, ids=lambda file: file.stem)
def test_verify_weights__vector__asks_for_the_statement_of_the_vector(file, monkeypatch):
    asked = []
    monkeypatch.setattr(matrix_proof, "verify", lambda *arguments: asked.append(arguments))
    verify_weights(*asked_of_weights(file))
    statement = load(file)["statement"]
    names = ("circuit", "weights", "input", "output", "context")
    assert asked == [(*(statement[name] for name in names), load(file)["proof"])]


@pytest.mark.parametrize("argument", range(4))
def test_verify_weights__another_argument__refused(argument):
    asked = list(asked_of_weights(next(file for file in WEIGHTS if load(file)["accepted"])))
    other = asked[argument]
    asked[argument] = other[:-1] + bytes([other[-1] ^ 1])
    with pytest.raises(Refused):
        verify_weights(*asked)
