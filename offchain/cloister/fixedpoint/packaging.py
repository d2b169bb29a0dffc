"""From a trained PyTorch module to a package, and how far the two agree."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from cloister.fixedpoint.errors import InvalidModelInput, InvalidPackage
from cloister.fixedpoint.graph import Arithmetic, Stage
from cloister.fixedpoint.intervals import prove_ranges
from cloister.fixedpoint.manifest import FORMAT, Accuracy, Manifest, TensorRecord, WeightsRecord
from cloister.fixedpoint.package import SALT, SALT_BYTES, Package, tensor_digest
from cloister.fixedpoint.preprocessing import InputSpec
from cloister.fixedpoint.quantisation import IntegerTensors, quantise_stages
from cloister.fixedpoint.tensorfile import write_tensors
from cloister.fixedpoint.tracing import trace_stages


def package_model(
    model: nn.Module,
    *,
    name: str,
    labels: Sequence[str],
    input_spec: InputSpec,
    arithmetic: Arithmetic,
    description: str = "",
    heldout: tuple[ArrayLike, ArrayLike] | None = None,
    salt: bytes | None = None,
) -> Package:
    """Package a trained module that reads (value - mean) / scale of `input_spec`, in evaluation mode.

    `heldout` is measured rows (n, *shape) and their class numbers (n,); accuracy on them goes into the
    manifest. `salt` (32 bytes) blinds the digests of short tensors; leave it out unless the bytes must be
    reproducible and the weights are public. Raises UnsupportedLayer or RangeExceeded, naming the layer,
    InvalidModelInput for an unusable `input_spec`, InvalidPackage for a bad name or label count.
    """
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    problem = input_spec.problem(arithmetic)
    if problem:
        raise InvalidModelInput(f"The input declaration is refused: {problem}.", "Change the InputSpec or t.")
    stages, tensors = quantise_stages(trace_stages(model, input_spec.shape), arithmetic)
    weights = write_tensors({**tensors, SALT: np.frombuffer(salt, dtype=np.uint8)})
    manifest = Manifest(
        format=FORMAT,
        name=name,
        description=description,
        labels=tuple(labels),
        arithmetic=arithmetic,
        input=input_spec,
        stages=_with_bits(stages, tensors, input_spec, arithmetic),
        tensors=tuple(
            TensorRecord(
                name=key,
                dtype="I16" if array.dtype == np.int16 else "I32",
                shape=array.shape,
                sha256=tensor_digest(salt, array),
            )
            for key, array in sorted(tensors.items())
        ),
        weights=WeightsRecord(bytes=len(weights), sha256=sha256(weights).hexdigest()),
        circuit=None,
        accuracy=None,
    )
    try:
        package = Package.from_bytes(manifest.to_bytes(), weights)
    except InvalidPackage as refusal:
        raise InvalidPackage(refusal.message, "Change what you gave to package_model.") from refusal
    if heldout is None:
        return package
    measured = replace(manifest, accuracy=compare(model, package, *heldout))
    return Package.from_bytes(measured.to_bytes(), weights)


def compare(model: nn.Module, package: Package, rows: ArrayLike, labels: ArrayLike) -> Accuracy:
    """Count right answers and agreement on measured rows (n, *shape) with class numbers (n,).

    A class is the index of the largest output, the first of equals. Raises InvalidModelInput.
    """
    manifest = package.manifest
    truth = np.asarray(labels)
    floating = float_classes(model, package, rows)
    if truth.dtype.kind not in "iu" or truth.shape != floating.shape:
        raise InvalidModelInput(
            f"There are labels of shape {truth.shape} and type {truth.dtype} for {len(floating)} rows.",
            "Give one class number per row.",
        )
    fixed = package.run(manifest.input.quantise(rows, manifest.arithmetic)).argmax(axis=1)
    return Accuracy(
        rows=len(truth),
        float_correct=int((floating == truth).sum()),
        fixed_correct=int((fixed == truth).sum()),
        agree=int((floating == fixed).sum()),
    )


def float_classes(model: nn.Module, package: Package, rows: ArrayLike) -> NDArray[np.int64]:
    """Classes (n,) that the PyTorch model gives to measured rows; `model` itself is left untouched."""
    still = copy.deepcopy(model).eval()
    parameter = next(still.parameters(), None)
    kind = torch.float64 if parameter is None else parameter.dtype
    standard = torch.from_numpy(package.manifest.input.standardise(rows)).to(kind)
    with torch.no_grad():
        scores: torch.Tensor = still(standard)
    return scores.flatten(1).argmax(dim=1).numpy()


def _with_bits(
    stages: Sequence[Stage], tensors: IntegerTensors, input_spec: InputSpec, arithmetic: Arithmetic
) -> tuple[Stage, ...]:
    low, high = (torch.from_numpy(ends.astype(np.float64)) for ends in input_spec.bounds())
    exact = {name: torch.from_numpy(array.astype(np.float64)) for name, array in tensors.items()}
    bounds = prove_ranges(low, high, stages, exact, arithmetic)
    return tuple(replace(stage, bits=proved.bits) for stage, proved in zip(stages, bounds, strict=True))
