"""Trains and packages the models of models/ from scikit-learn's bundled data sets.

    python scripts/train_models.py                    train all, write models/<name>/
    python scripts/train_models.py --only digits      one of them
    python scripts/train_models.py --check            retrain in a temporary folder, compare byte for byte

Training gives the same bits on every machine because no sum in it is ever rounded by order: activations,
gradients and parameters are snapped to power-of-two grids coarse enough that each matrix product is exact in
float64 (the largest sum takes 41 of 53 bits), the loss is a squared error (no exponentials), learning rates
are powers of two, and random numbers come from SHAKE-256.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256, shake_256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cloister.fixedpoint import Arithmetic, HeldOut, InputSpec, Package, float_classes, package_model
from cloister.fixedpoint.files import write_files
from cloister.fixedpoint.heldout import HELDOUT_FILE
from cloister.fixedpoint.package import MANIFEST_FILE, WEIGHTS_FILE
from cloister.proving import with_circuit

MODELS = Path(__file__).resolve().parent.parent / "models"
BATCH = 32
MOMENTUM = 0.875
VALUE_GRID, PARAMETER_GRID, GRADIENT_GRID = 2.0**16, 2.0**20, 2.0**24
LEAST_ACCURACY, LEAST_AGREEMENT = 0.95, 0.99

Rows = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one model is made. `rate` and `decay` are powers of two, which keeps the steps exact."""

    name: str
    description: str
    labels: tuple[str, ...]
    data: Callable[[], tuple[Rows, Labels]]
    input_spec: Callable[[Rows, Arithmetic], InputSpec]
    network: Callable[[], nn.Sequential]
    arithmetic: Arithmetic
    epochs: int
    rate: float
    decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Measured rows (n, *shape) and class numbers (n,), by use."""

    train: Rows
    train_labels: Labels
    test: Rows
    test_labels: Labels


def breast_cancer() -> tuple[Rows, Labels]:
    """569 rows of 30 measurements of cell nuclei (Wisconsin, 1995); class 0 malignant, 1 benign."""
    return _bundled("load_breast_cancer", (-1, 30))


def digits() -> tuple[Rows, Labels]:
    """1,797 handwritten digits (UCI, 1998), 64 pixels from 0 to 16."""
    return _bundled("load_digits", (-1, 64))


def digit_images() -> tuple[Rows, Labels]:
    """The same digits as one channel of 8 by 8."""
    return _bundled("load_digits", (-1, 1, 8, 8))


def pixels(shape: tuple[int, ...]) -> Callable[[Rows, Arithmetic], InputSpec]:
    """Pixels 0 to 16 as 0 to 1: nothing to fit."""
    return lambda _, arithmetic: InputSpec(shape=shape, mean=("0",), scale=("16",), low=(0,), high=(2**arithmetic.f,))


DIGITS = tuple(str(digit) for digit in range(10))

RECIPES = (
    Recipe(
        name="breast-cancer",
        description="Malignant or benign, from 30 measurements of cell nuclei (Wisconsin, 1995); a demo.",
        labels=("malignant", "benign"),
        data=breast_cancer,
        input_spec=InputSpec.fit,
        network=lambda: nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2)),
        arithmetic=Arithmetic(t=10, f=6, s=8),
        epochs=60,
        rate=2.0**-7,
        decay=2.0**-7,
    ),
    Recipe(
        name="digits",
        description="Handwritten digits of 64 pixels from 0 to 16 (UCI, 1998); fully connected.",
        labels=DIGITS,
        data=digits,
        input_spec=pixels((64,)),
        network=lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)),
        arithmetic=Arithmetic(t=8, f=7, s=9),
        epochs=40,
        rate=2.0**-5,
        decay=2.0**-10,
    ),
    Recipe(
        name="digits-cnn",
        description="Handwritten digits of 8 by 8 pixels from 0 to 16 (UCI, 1998); convolutional.",
        labels=DIGITS,
        data=digit_images,
        input_spec=pixels((1, 8, 8)),
        network=lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(256, 10),
        ),
        arithmetic=Arithmetic(t=8, f=7, s=9),
        epochs=24,
        rate=2.0**-6,
        decay=2.0**-10,
    ),
)


def make(recipe: Recipe) -> tuple[Package, HeldOut]:
    """Train one model and package it, with its held-out rows."""
    torch.set_num_threads(1)
    split = stratified(recipe.name, *recipe.data())
    spec = recipe.input_spec(split.train, recipe.arithmetic)
    inputs = torch.from_numpy(spec.quantise(split.train, recipe.arithmetic)).double() / 2**recipe.arithmetic.f
    network = train(recipe, inputs, torch.from_numpy(split.train_labels))
    package = with_circuit(
        package_model(
            network,
            name=recipe.name,
            description=recipe.description,
            labels=recipe.labels,
            input_spec=spec,
            arithmetic=recipe.arithmetic,
            heldout=(split.test, split.test_labels),
            salt=sha256(recipe.name.encode()).digest(),
        )
    )
    heldout = HeldOut(
        rows=spec.quantise(split.test, recipe.arithmetic).astype(np.int32),
        labels=split.test_labels.astype(np.int32),
        float_classes=float_classes(network, package, split.test).astype(np.int32),
    )
    return package, heldout


def stratified(name: str, rows: Rows, labels: Labels) -> Split:
    """A quarter of every class for testing, the rest for training, in an order fixed by the name."""
    order = _order(f"{name}/split", len(labels))
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        test[members[: (len(members) + 2) // 4]] = True
    return Split(train=rows[~test], train_labels=labels[~test], test=rows[test], test_labels=labels[test])


def train(recipe: Recipe, inputs: Tensor, labels: Tensor) -> nn.Sequential:
    """Momentum descent on the squared error of one-hot targets; the rate falls twice by half."""
    network = recipe.network().double()
    _initialise(recipe.name, network)
    parameters = list(network.parameters())
    momenta = [torch.zeros_like(parameter) for parameter in parameters]
    targets = nn.functional.one_hot(labels, len(recipe.labels)).double()
    for epoch in range(recipe.epochs):
        rate = recipe.rate / 2 ** (2 * epoch // recipe.epochs + 4 * epoch // (3 * recipe.epochs))
        order = torch.from_numpy(_order(f"{recipe.name}/epoch/{epoch}", len(labels)))
        for batch in order[: len(order) // BATCH * BATCH].reshape(-1, BATCH):
            outputs = _snapped_forward(network, inputs[batch])
            loss = ((outputs - targets[batch]) ** 2).sum() / (2 * BATCH)
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for parameter, momentum, gradient in zip(parameters, momenta, gradients, strict=True):
                    step = MOMENTUM * momentum + gradient + recipe.decay * parameter
                    momentum.copy_(_snap(step, GRADIENT_GRID))
                    parameter.copy_(_snap(parameter - rate * momentum, PARAMETER_GRID))
    return network


class _Snap(torch.autograd.Function):
    """Rounds values on the way forward and gradients on the way back."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return _snap(value, VALUE_GRID)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _snap(gradients[0], GRADIENT_GRID)


def _snapped_forward(network: nn.Sequential, x: Tensor) -> Tensor:
    for layer in network:
        x = _Snap.apply(layer(x))  # type: ignore[no-untyped-call]
    return x


def _snap(value: Tensor, grid: float) -> Tensor:
    return torch.round(value * grid) / grid


def _initialise(name: str, network: nn.Sequential) -> None:
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if parameter.dim() == 1:
                parameter.zero_()
                continue
            fan_in = parameter[0].numel()
            uniform = _stream(f"{name}/{key}", parameter.numel()) / 2.0**31 - 1.0
            values = torch.from_numpy(uniform).reshape(parameter.shape) * math.sqrt(3.0 / fan_in)
            parameter.copy_(_snap(values, PARAMETER_GRID))


def _stream(label: str, count: int) -> NDArray[np.uint32]:
    return np.frombuffer(shake_256(label.encode()).digest(4 * count), dtype="<u4")


def _order(label: str, count: int) -> NDArray[np.int64]:
    return np.argsort(_stream(label, count), kind="stable")


def _bundled(loader: str, shape: tuple[int, ...]) -> tuple[Rows, Labels]:
    from sklearn import datasets

    rows, labels = getattr(datasets, loader)(return_X_y=True)
    return np.asarray(rows, dtype=np.float64).reshape(shape), np.asarray(labels, dtype=np.int64)


def _differences(folder: Path, committed: Path) -> Iterator[str]:
    for name in (MANIFEST_FILE, WEIGHTS_FILE, HELDOUT_FILE):
        theirs = committed / name
        if not theirs.exists():
            yield f"{theirs} is missing"
        elif (folder / name).read_bytes() != theirs.read_bytes():
            yield f"{theirs} differs from a fresh training"


def main(arguments: list[str] | None = None) -> int:
    """Returns 1 if a model is too weak or, with --check, differs from the committed one."""
    parser = argparse.ArgumentParser(description="Train and package the models of models/.")
    parser.add_argument("--only", choices=[recipe.name for recipe in RECIPES], help="make just this one")
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    options = parser.parse_args(arguments)
    failures = []
    for recipe in RECIPES:
        if options.only not in (None, recipe.name):
            continue
        started = time.perf_counter()
        package, heldout = make(recipe)
        accuracy = package.manifest.accuracy
        assert accuracy is not None
        print(
            f"{recipe.name}: float {accuracy.float_accuracy:.4f}, fixed {accuracy.fixed_accuracy:.4f}, "
            f"agreement {accuracy.agreement:.4f} on {accuracy.rows} rows; "
            f"bits {[stage.bits for stage in package.manifest.stages]}; "
            f"{time.perf_counter() - started:.1f} s"
        )
        if min(accuracy.float_accuracy, accuracy.fixed_accuracy) < LEAST_ACCURACY:
            failures.append(f"{recipe.name}: accuracy below {LEAST_ACCURACY}")
        if accuracy.agreement < LEAST_AGREEMENT:
            failures.append(f"{recipe.name}: agreement below {LEAST_AGREEMENT}")
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if options.check else MODELS / recipe.name
            write_files(folder, {HELDOUT_FILE: heldout.to_bytes()})
            package.write(folder)
            if options.check:
                failures.extend(_differences(folder, MODELS / recipe.name))
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
