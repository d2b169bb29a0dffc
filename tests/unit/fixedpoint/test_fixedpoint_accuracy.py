"""Accuracy, agreement, and the held-out rows that carry them."""

import numpy as np
import pytest
import torch
from random_networks import ARITHMETIC, package, plain_spec
from torch import nn

from cloister.fixedpoint import (
    Accuracy,
    HeldOut,
    InvalidModelInput,
    InvalidPackage,
    compare,
    float_classes,
    load_heldout,
    package_model,
)
from cloister.fixedpoint.tensorfile import write_tensors

ROWS = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1e-6], [1.0, 1.0]])


def identity():
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(2))
        layer.bias.zero_()
    return layer


def test_compare__known_rows__counts_rights_and_agreement():
    """Row 2 is 1 in floats but ties at 0 in integers; row 3 ties in both, and the first of equals wins."""
    network = identity()
    made = package(network, plain_spec((2,)))
    counts = compare(network, made, ROWS, np.array([0, 1, 1, 1]))
    assert counts == Accuracy(rows=4, float_correct=3, fixed_correct=2, agree=3)
    assert (counts.float_accuracy, counts.fixed_accuracy, counts.agreement) == (0.75, 0.5, 0.75)


@pytest.mark.parametrize("labels", [[0, 1, 1], [[0, 1, 1, 1]], [0.0, 1.0, 1.0, 1.0], 0])
def test_compare__labels_unlike_the_rows__are_refused(labels):
    network = identity()
    with pytest.raises(InvalidModelInput, match="for 4 rows"):
        compare(network, package(network, plain_spec((2,))), ROWS, np.array(labels))


def test_float_classes__module_in_training__is_judged_in_evaluation_and_left_alone():
    network = nn.Sequential(identity(), nn.Dropout(0.99), nn.BatchNorm1d(2)).train()
    made = package_model(
        network,
        name="x",
        labels=["a", "b"],
        input_spec=plain_spec((2,)),
        arithmetic=ARITHMETIC,
        heldout=(ROWS, [0, 1, 1, 0]),
    )
    assert made.manifest.accuracy.float_correct == 4
    assert float_classes(network, made, ROWS).tolist() == [0, 1, 1, 0]
    assert all(layer.training for layer in network.modules())
    assert network[2].num_batches_tracked == 0


def test_load_heldout__written_rows__come_back(tmp_path):
    rows = np.arange(8, dtype=np.int32).reshape(4, 2)
    classes = np.array([0, 1, 1, 0], dtype=np.int32)
    (tmp_path / "heldout.safetensors").write_bytes(HeldOut(rows, classes, 1 - classes).to_bytes())
    loaded = load_heldout(tmp_path)
    assert loaded.rows.tolist() == rows.tolist()
    assert (loaded.labels + loaded.float_classes == 1).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"more": np.zeros(1, np.int32)}, "lists"),
        ({"labels": np.zeros(3, np.int32)}, "differ in number"),
        ({"rows": np.zeros((3, 2), np.int32)}, "differ in number"),
        ({"float_classes": np.zeros((4, 1), np.int32)}, "differ in number"),
    ],
)
def test_load_heldout__tensors_that_do_not_fit__are_refused(change, words):
    tensors = {
        "rows": np.zeros((4, 2), np.int32),
        "labels": np.zeros(4, np.int32),
        "float_classes": np.zeros(4, np.int32),
    }
    HeldOut.from_bytes(write_tensors(tensors))
    with pytest.raises(InvalidPackage, match=words):
        HeldOut.from_bytes(write_tensors({**tensors, **change}))
