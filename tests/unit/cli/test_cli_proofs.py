"""`cloister prove` and `cloister verify`: files in, files out, and the exit code that scripts rely on."""

import json
from pathlib import Path

import numpy as np
import pytest

from cloister.cli.program import main
from cloister.fixedpoint import load_heldout, load_package
from cloister.proving import Kind, verify
from cloister.proving.ceremony import powers
from cloister.proving.curve import decode_points

MODELS = Path(__file__).resolve().parents[3] / "models"
MODEL = MODELS / "breast-cancer"
ROWS = load_heldout(MODEL).rows[:2]
OUTPUTS = load_package(MODEL).run(ROWS)


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(ROWS.tolist()))
    return path


def prove(rows, out, capsys, *flags, code=0):
    assert main(["prove", str(MODEL), "--input", str(rows), "--integers", "--out", str(out), "--json", *flags]) == code
    return json.loads(capsys.readouterr().out)


def check(proof, capsys, *flags, model=MODEL, code=0):
    assert main(["verify", str(proof), "--model", str(model), "--json", *flags]) == code
    return json.loads(capsys.readouterr().out)


def test_prove__hidden_input__is_accepted_with_manifest_alone(rows, tmp_path, capsys):
    proof = tmp_path / "a.proof"
    made = prove(rows, proof, capsys)
    assert made["answer"] == OUTPUTS.tolist()
    found = check(proof, capsys, model=MODEL / "manifest.json")
    assert (found["verdict"], found["reason"], found["model"]) == ("accepted", None, "breast-cancer")
    assert found["output"]["rows"] == OUTPUTS.tolist()
    assert found["input"]["kind"] == "committed"
    assert "rows" not in found["input"]
    # Nor do the bytes hold the input in the form in which a shown one stands there.
    assert ROWS.astype(">i4").tobytes() not in proof.read_bytes()


def test_prove__shown_input_and_hidden_output__say_so(rows, tmp_path, capsys):
    proof = tmp_path / "a.proof"
    prove(rows, proof, capsys, "--show-input", "--hide-output")
    found = check(proof, capsys)
    assert found["input"]["rows"] == ROWS.tolist()
    assert found["output"]["kind"] == "committed"
    assert verify(proof.read_bytes(), bytes(32)).outputs.kind == Kind.COMMITTED


def test_prove__blinding_file__makes_the_same_commitment_again(rows, tmp_path, capsys):
    secret = tmp_path / "blinding"
    secret.write_text("0x" + "5a" * 32 + "\n")
    first, second, third = (
        prove(rows, tmp_path / "a.proof", capsys, *flags)["input"]["commitment"]
        for flags in (("--blinding-file", str(secret)), ("--blinding-file", str(secret)), ())
    )
    assert first == second != third


def test_prove__blinding_file__two_inputs_share_no_blinding(rows, tmp_path, capsys):
    """Else the difference of two commitments would be that of the inputs, which anybody could guess and check."""
    secret = tmp_path / "blinding"
    secret.write_text("5a" * 32)
    points = []
    for number, values in enumerate((ROWS, ROWS + np.eye(2, 30, dtype=np.int32))):
        rows.write_text(json.dumps(values.tolist()))
        proof = tmp_path / f"{number}.proof"
        prove(rows, proof, capsys, "--blinding-file", str(secret))
        (point,) = decode_points(verify(proof.read_bytes(), bytes(32)).inputs.points)
        points.append(point)
    changed = powers()[0] + powers()[32 + 1]  # one more at entry 0 of row 0, and at entry 1 of row 1
    assert points[1] - points[0] != changed


def test_verify__another_context__refused(rows, tmp_path, capsys):
    proof, bound = tmp_path / "a.proof", "0x" + "11" * 32
    prove(rows, proof, capsys, "--context", bound)
    assert check(proof, capsys, "--context", bound)["verdict"] == "accepted"
    assert check(proof, capsys, code=1)["verdict"] == "refused"


def test_verify__another_model__refused(rows, tmp_path, capsys):
    proof = tmp_path / "a.proof"
    prove(rows, proof, capsys)
    found = check(proof, capsys, model=MODELS / "digits", code=1)
    assert (found["verdict"], found["reason"]) == ("refused", "The proof is about another circuit.")


def test_verify__other_weights_in_the_manifest__refused(rows, tmp_path, capsys):
    proof, manifest = tmp_path / "a.proof", tmp_path / "manifest.json"
    prove(rows, proof, capsys)
    text = (MODEL / "manifest.json").read_text()
    weights = json.loads(text)["circuit"]["weights"]
    manifest.write_text(text.replace(weights, weights[::-1]))
    assert check(proof, capsys, model=manifest, code=1)["reason"] == "The proof is about other weights."


@pytest.mark.parametrize("damage", [lambda p: b"", lambda p: p[:-1], lambda p: p[:-1] + bytes([p[-1] ^ 1])])
def test_verify__damaged_file__refused_and_never_a_crash(rows, tmp_path, capsys, damage):
    proof = tmp_path / "a.proof"
    prove(rows, proof, capsys)
    proof.write_bytes(damage(proof.read_bytes()))
    assert check(proof, capsys, code=1)["verdict"] == "refused"


def test_verify__missing_file__is_an_error_and_no_verdict(tmp_path, capsys):
    found = check(tmp_path / "none.proof", capsys, code=1)
    assert "cannot be read" in found["error"]["message"]


@pytest.mark.parametrize("context", ["0x11", "zz" * 32, "11" * 33])
def test_prove__context_that_is_none__is_an_error_and_no_file(rows, tmp_path, capsys, context):
    found = prove(rows, tmp_path / "a.proof", capsys, "--context", context, code=1)
    assert "32 bytes" in found["error"]["message"]
    assert not (tmp_path / "a.proof").exists()
