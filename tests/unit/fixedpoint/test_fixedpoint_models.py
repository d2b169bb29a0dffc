"""The committed models: they load, reach their stated accuracy, and come out of training byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cloister.fixedpoint import load_heldout, load_package

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("breast-cancer", "digits", "digits-cnn")


@pytest.mark.parametrize("name", NAMES)
def test_model__held_out_rows__reach_the_accuracy_in_the_manifest(name):
    package, heldout = load_package(ROOT / "models" / name), load_heldout(ROOT / "models" / name)
    stated = package.manifest.accuracy
    classes = package.run(heldout.rows).argmax(axis=1)
    assert stated.rows == len(heldout.labels)
    assert stated.fixed_correct == (classes == heldout.labels).sum()
    assert stated.float_correct == (heldout.float_classes == heldout.labels).sum()
    assert stated.agree == (classes == heldout.float_classes).sum()
    assert min(stated.float_accuracy, stated.fixed_accuracy) >= 0.95
    assert stated.agreement >= 0.99


@pytest.mark.parametrize("name", NAMES)
def test_model__held_out_rows__cover_every_class(name):
    package, heldout = load_package(ROOT / "models" / name), load_heldout(ROOT / "models" / name)
    counts = np.bincount(heldout.labels, minlength=package.manifest.outputs)
    assert counts.min() >= 40


@pytest.mark.parametrize("name", NAMES)
def test_model__table_in_the_documentation__states_the_manifest(name):
    accuracy = load_package(ROOT / "models" / name).manifest.accuracy
    row = next(
        line for line in (ROOT / "docs" / "models.md").read_text().splitlines() if line.startswith(f"| `{name}`")
    )
    for figure in (accuracy.float_accuracy, accuracy.fixed_accuracy, accuracy.agreement):
        assert f"{100 * figure:.2f} %" in row


def test_documentation__packaging_example__runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = (ROOT / "docs" / "models.md").read_text().split("```python\n")[1].split("```")[0]
    rng = np.random.default_rng(0)
    names = {
        "training_rows": rng.normal(3, 5, size=(40, 4)),
        "test_rows": rng.normal(3, 5, size=(10, 4)),
        "test_labels": rng.integers(0, 2, size=10),
        "train": lambda rows: torch.nn.Sequential(torch.nn.Linear(rows.shape[1], 2)),
    }
    exec(example, names)  # noqa: S102
    assert load_package(tmp_path / "models" / "my-model").manifest.name == "my-model"


@pytest.mark.parametrize("name", NAMES)
def test_model__trained_again__is_the_same_byte_for_byte(name):
    pytest.importorskip("sklearn")
    result = subprocess.run(
        [sys.executable, ROOT / "scripts" / "train_models.py", "--check", "--only", name],
        env={**os.environ, "PYTHONPATH": str(ROOT / "offchain")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_check__another_file_in_place__is_reported(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import train_models

    monkeypatch.setattr(train_models, "MODELS", tmp_path)
    load_package(ROOT / "models" / "breast-cancer").write(tmp_path / "breast-cancer")
    (tmp_path / "breast-cancer" / "manifest.json").write_bytes(b"{}")
    assert train_models.main(["--check", "--only", "breast-cancer"]) == 1
    errors = capsys.readouterr().err
    assert "manifest.json differs" in errors
    assert "heldout.safetensors is missing" in errors
    assert "weights.safetensors" not in errors
