"""Held-out rows that travel with a model so that a demonstration needs no data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cloister.fixedpoint.errors import InvalidPackage
from cloister.fixedpoint.files import read_capped
from cloister.fixedpoint.limits import MAX_WEIGHTS_BYTES
from cloister.fixedpoint.tensorfile import FETCH_AGAIN, read_tensors, write_tensors

HELDOUT_FILE = "heldout.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """rows: int32 (n, *input shape), ready for `Package.run`; labels and float_classes: int32 (n,)."""

    rows: NDArray[np.int32]
    labels: NDArray[np.int32]
    float_classes: NDArray[np.int32]

    def to_bytes(self) -> bytes:
        """A safetensors file."""
        return write_tensors({"rows": self.rows, "labels": self.labels, "float_classes": self.float_classes})

    @classmethod
    def from_bytes(cls, data: bytes) -> HeldOut:
        """Raises InvalidPackage."""
        tensors = read_tensors(data)
        if tensors.keys() != {"rows", "labels", "float_classes"}:
            raise InvalidPackage(f"Held-out data lists {sorted(tensors)}.", FETCH_AGAIN)
        heldout = cls(*(tensors[name].astype(np.int32) for name in ("rows", "labels", "float_classes")))
        if not heldout.labels.shape == heldout.float_classes.shape == heldout.rows.shape[:1]:
            raise InvalidPackage("Held-out rows, labels and classes differ in number.", FETCH_AGAIN)
        return heldout


def load_heldout(folder: Path) -> HeldOut:
    """The held-out rows beside a package. Raises InvalidPackage."""
    return HeldOut.from_bytes(read_capped(folder / HELDOUT_FILE, MAX_WEIGHTS_BYTES))
