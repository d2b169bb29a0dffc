"""Loads all that inference and proofs will ever load, since nothing can be once the enclave is closed."""

from __future__ import annotations

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cloister import proving
from cloister.fixedpoint import Package, package_model
from cloister.fixedpoint.graph import Arithmetic
from cloister.fixedpoint.preprocessing import InputSpec
from cloister.sealing import envelope, hpke, hybrid, signatures

ROWS = (1, 2)
"""Batches that are proved: a single one, and one that is folded."""


def warm_up() -> None:
    """Run and prove a small convolution network, and use each cipher once."""
    package = _package()
    model = proving.commit_model(package)
    for count in ROWS:
        rows = np.ones((count, *package.manifest.input.shape), dtype=np.int64)
        package.run(rows)
        proving.prove_job(model, rows, bytes(32), bytes(31) + b"\x01")
    numba.njit()(_compiled)(np.zeros(1))  # so that the compiler itself is loaded
    key = bytes(31) + b"\x01"
    envelope.decrypt_input(envelope.encrypt_input(b"", key, bytes(32)), key, bytes(32))  # type: ignore[arg-type]
    hpke.open_sealed(hpke.seal(b"", hpke.public_key_of(key), b""), key, b"")
    private, public = hybrid.new_pair()
    hybrid.open_sealed(hybrid.seal(b"", public, b""), private, b"")
    signatures.signer_of(bytes(32), signatures.sign(key, bytes(32)))


def _compiled(values: NDArray[np.float64]) -> float:
    return float(values[0])


def _package() -> Package:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(2, 2)).eval()
    spec = InputSpec(shape=(1, 4, 4), mean=("0",), scale=("1",), low=(-64,), high=(64,))
    arithmetic = Arithmetic(t=10, f=6, s=6)
    return package_model(
        network, name="warm-up", labels=("a", "b"), input_spec=spec, arithmetic=arithmetic, salt=bytes(32)
    )
