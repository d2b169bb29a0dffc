"""Files of rows: what is read, and what is refused with a line that helps."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from cloister.cli import rows
from cloister.cli.rows import read_rows, to_input
from cloister.domain.errors import InvalidInput
from cloister.fixedpoint import Manifest

MODELS = Path(__file__).resolve().parents[3] / "models"


def manifest(name):
    return Manifest.from_bytes((MODELS / name / "manifest.json").read_bytes())


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "rows"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[1, 2.5], [3, 4]]", [[1, 2.5], [3, 4]]),
        ("[1, 2]", [[1, 2]]),
        ("[[[1]], [[2]]]", [[[1]], [[2]]]),
        ("1,2.5\n3,4\n", [[1, 2.5], [3, 4]]),
        ("width,height\n1,2\n\n3,4", [[1, 2], [3, 4]]),
        ("\ufeffa,b\r\n1,2\r\n", [[1, 2]]),
        ('"1", 2e1\n', [[1, 20]]),
    ],
)
def test_read_rows__measured__are_numbers(write, text, expected):
    assert read_rows(write(text), integers=False) == expected


def test_read_rows__integers__are_kept_exactly(write):
    assert read_rows(write(f"{2**70},-1"), integers=True) == [[2**70, -1]]
    assert read_rows(write(f"[[{2**70}, -1]]"), integers=True) == [[2**70, -1]]


def test_read_rows__dash__is_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"[[1, 2]]")))
    assert read_rows(Path("-"), integers=True) == [[1, 2]]


@pytest.mark.parametrize(
    ("text", "integers", "says"),
    [
        ("", False, "no rows"),
        ("[]", False, "no rows"),
        ("[[1, 2", False, "not JSON"),
        pytest.param("[" * 100_000, False, "not JSON", id="nested"),
        ('{"rows": [[1]]}', False, "no list of rows"),
        ("[[true]]", False, "true, which is no number"),
        ('[["1"]]', False, "which is no number"),
        ("[[null]]", False, "null"),
        ("[[1.0]]", True, "1.0, which is no integer"),
        ("1,2\n3,x", False, "Line 2"),
        ("1,2\n3,4.5", True, "Line 2"),
        ("width,2\n3,4", False, "Line 1"),
        (b"\xff\xfe\x00", False, "not text"),
    ],
)
def test_read_rows__anything_else__is_refused_with_its_place(write, text, integers, says):
    with pytest.raises(InvalidInput, match=says):
        read_rows(write(text), integers=integers)


def test_read_rows__too_long__is_not_read_to_its_end(write, monkeypatch):
    monkeypatch.setattr(rows, "MAX_BYTES", 10)
    with pytest.raises(InvalidInput, match="longer than"):
        read_rows(write("[[1, 2, 3, 4]]"), integers=False)


def test_read_rows__missing_file__is_named(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_rows(tmp_path / "absent.csv", integers=False)


def test_to_input__flat_image__takes_the_models_shape():
    model = manifest("digits-cnn")
    assert to_input([[1] * 64], model, integers=True).shape == (1, 1, 8, 8)
    nested = np.ones((2, 1, 8, 8), dtype=int).tolist()
    assert to_input(nested, model, integers=True).shape == (2, 1, 8, 8)


def test_to_input__measured__is_quantised_as_the_manifest_says():
    model = manifest("breast-cancer")
    row = [float(mean) for mean in model.input.mean]
    assert not to_input([row], model, integers=False).any()


@pytest.mark.parametrize(
    ("given", "integers", "says"),
    [
        ([[1, 2]], True, "shape"),
        ([[1, 2]], False, "shape"),
        ([[0] * 29 + [10**6]], True, "outside"),
        ([[2**70] * 30], True, "type object"),
        ([[1, 2], [3]], True, "differ in length"),
        ([[float("nan")] * 30], False, "nan"),
    ],
)
def test_to_input__rows_the_model_does_not_take__are_refused(given, integers, says):
    with pytest.raises(InvalidInput, match=says):
        to_input(given, manifest("breast-cancer"), integers=integers)


def test_read_rows__nan_in_json__reaches_the_model_and_is_refused(write):
    given = read_rows(write(json.dumps([[float("nan")] * 30])), integers=False)
    with pytest.raises(InvalidInput):
        to_input(given, manifest("breast-cancer"), integers=False)
