"""A packaged model: manifest and weights, verified, ready to run exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cloister.fixedpoint.encoding import check_input
from cloister.fixedpoint.errors import InvalidPackage
from cloister.fixedpoint.execution import apply_maps, broadcast_bias
from cloister.fixedpoint.files import read_capped, write_files
from cloister.fixedpoint.graph import LearnedMap
from cloister.fixedpoint.intervals import StageBounds, prove_ranges
from cloister.fixedpoint.limits import BIAS_BITS, MAX_MANIFEST_BYTES, MAX_WEIGHTS_BYTES
from cloister.fixedpoint.manifest import Manifest, TensorRecord
from cloister.fixedpoint.tensorfile import DTYPES, FETCH_AGAIN, read_tensors

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"
SALT = "salt"
SALT_BYTES = 32
ENTRIES_AT_ONCE = 1 << 22  # float64 entries of the widest intermediate, so that big batches run in bounded memory


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """A model whose bytes, tensors and integer ranges have all been checked.

    Make one with `package_model`, `load_package` or `from_bytes`, never by hand.
    """

    manifest: Manifest
    manifest_bytes: bytes
    weights_bytes: bytes
    """The weights file; empty where nobody may have it again, in an enclave."""
    bounds: tuple[StageBounds, ...]
    salt: bytes
    _tensors: dict[str, Tensor]

    @classmethod
    def from_bytes(cls, manifest: bytes, weights: bytes, *, digest: bytes | None = None) -> Package:
        """Verify both files and prove the ranges again on the actual tensors.

        `digest`, if known, is the SHA-256 that the manifest must have. Raises InvalidPackage for anything
        that does not fit together, RangeExceeded if some input could overflow.
        """
        if digest is not None and len(manifest) <= MAX_MANIFEST_BYTES and sha256(manifest).digest() != digest:
            raise InvalidPackage("The manifest does not have the expected SHA-256.", FETCH_AGAIN)
        parsed = Manifest.from_bytes(manifest)
        if len(weights) != parsed.weights.bytes:
            raise InvalidPackage(
                f"The weights file has {len(weights):,} bytes, the manifest says {parsed.weights.bytes:,}.",
                FETCH_AGAIN,
            )
        if sha256(weights).hexdigest() != parsed.weights.sha256:
            raise InvalidPackage("The weights file does not have the SHA-256 in the manifest.", FETCH_AGAIN)
        return cls.of_checked(parsed, manifest, weights, keep=weights)

    @classmethod
    def of_checked(
        cls, parsed: Manifest, manifest: bytes, weights: bytes | bytearray | memoryview, *, keep: bytes = b""
    ) -> Package:
        """The package of a manifest and of weights whose length and SHA-256 have been compared with it already.

        `weights` is read here and not kept: whoever decrypted it can wipe it. `keep` becomes `weights_bytes`. Raises as
        `from_bytes`.
        """
        salt, tensors = _verified_tensors(parsed, read_tensors(weights))
        low, high = (torch.from_numpy(ends.astype(np.float64)) for ends in parsed.input.bounds())
        bounds = prove_ranges(low, high, parsed.stages, tensors, parsed.arithmetic)
        for number, (stage, proved) in enumerate(zip(parsed.stages, bounds, strict=True), start=1):
            if stage.bits != proved.bits:
                raise InvalidPackage(
                    f"The manifest gives stage {number} {stage.bits} bits, its weights need {proved.bits}.",
                    FETCH_AGAIN,
                )
        return cls(parsed, manifest, keep, bounds, salt, tensors)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the manifest, which fixes everything else."""
        return sha256(self.manifest_bytes).digest()

    def blobs(self) -> tuple[bytes]:
        """What stores must hold beside the manifest."""
        return (self.weights_bytes,)

    def tensor(self, name: str) -> NDArray[np.int64]:
        """One weight or bias as int64."""
        return self._tensors[name].numpy().astype(np.int64)

    def float_tensor(self, name: str) -> Tensor:
        """The same as float64, as exact arithmetic uses it. Not a copy: leave it as it is."""
        return self._tensors[name]

    def run(self, rows: ArrayLike) -> NDArray[np.int64]:
        """Integer rows (n, *input shape) to integer outputs (n, labels) with f fractional bits.

        The result does not depend on batch size, thread count or machine. Raises InvalidModelInput.
        """
        outputs = [z[-1] >> self.manifest.arithmetic.s for z in self._batches(rows)]
        return torch.cat(outputs).flatten(1).numpy()

    def pre_activations(self, rows: ArrayLike) -> tuple[NDArray[np.int64], ...]:
        """The z of every stage, int64 (n, *stage shape), which a proof commits to.

        Raises InvalidModelInput.
        """
        return tuple(torch.cat(stage).numpy() for stage in zip(*self._batches(rows), strict=True))

    def write(self, folder: Path) -> None:
        """Write both files, whole or not at all. Raises PackageNotWritten."""
        write_files(folder, {WEIGHTS_FILE: self.weights_bytes, MANIFEST_FILE: self.manifest_bytes})

    def _batches(self, rows: ArrayLike) -> Iterator[list[Tensor]]:
        integers = check_input(rows, self.manifest)
        step = max(1, ENTRIES_AT_ONCE // self._widest())
        for start in range(0, len(integers), step):
            yield self._stage_sums(torch.from_numpy(integers[start : start + step]))

    def _stage_sums(self, rows: Tensor) -> list[Tensor]:
        blocks, sums = [rows.double()], []
        for stage in self.manifest.stages:
            z = broadcast_bias(self._tensors[stage.bias], stage.shape).expand(len(rows), *stage.shape)
            for term in stage.terms:
                learned = term.learned()
                weight = None if learned is None else self._tensors[learned.weight]
                part = apply_maps(term.maps, blocks[term.source], weight)
                z = z + (part if learned else part * term.coefficient)
            sums.append(z.to(torch.int64))
            blocks.append((sums[-1] >> self.manifest.arithmetic.s).clamp(min=0).double())
        return sums

    def _widest(self) -> int:
        shapes = [self.manifest.input.shape, *(stage.shape for stage in self.manifest.stages)]
        widest = sum(prod(shape) for shape in shapes)
        for stage in self.manifest.stages:
            for term in stage.terms:
                shape = shapes[term.source]
                for step in term.maps:
                    following = step.out_shape(shape)
                    windows = prod(step.weight_shape(shape)[1:]) if isinstance(step, LearnedMap) else 1
                    widest = max(widest, windows * prod(following[1:]), prod(following))
                    shape = following
        return widest


def load_package(folder: Path, *, digest: bytes | None = None) -> Package:
    """Read and verify the package in a folder. Raises as `Package.from_bytes`."""
    manifest = read_capped(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
    weights = read_capped(folder / WEIGHTS_FILE, MAX_WEIGHTS_BYTES)
    return Package.from_bytes(manifest, weights, digest=digest)


def tensor_digest(salt: bytes, array: NDArray[np.generic]) -> str:
    """SHA-256 of salt and little-endian entries, in hex. Without the salt, short tensors could be guessed."""
    digest = sha256(salt)
    digest.update(np.ascontiguousarray(array).data.cast("B"))
    return digest.hexdigest()


def _verified_tensors(manifest: Manifest, arrays: dict[str, NDArray[np.generic]]) -> tuple[bytes, dict[str, Tensor]]:
    salt = arrays.pop(SALT, None)
    if salt is None or salt.dtype != DTYPES["U8"] or salt.shape != (SALT_BYTES,):
        raise InvalidPackage(f"The weights file has no {SALT_BYTES}-byte salt.", FETCH_AGAIN)
    if arrays.keys() != {record.name for record in manifest.tensors}:
        different = sorted(arrays.keys() ^ {record.name for record in manifest.tensors})
        raise InvalidPackage(f"Weights file and manifest list different tensors: {different[:4]}.", FETCH_AGAIN)
    tensors = {}
    for record in manifest.tensors:
        array = arrays[record.name]
        _verify_tensor(record, array, salt.tobytes())
        tensors[record.name] = torch.from_numpy(array.astype(np.float64))
    return salt.tobytes(), tensors


def _verify_tensor(record: TensorRecord, array: NDArray[np.generic], salt: bytes) -> None:
    if array.dtype != DTYPES[record.dtype] or array.shape != record.shape:
        raise InvalidPackage(
            f"Tensor {record.name!r} is {array.dtype} {array.shape}, not {record.dtype} {record.shape} "
            "as in the manifest.",
            FETCH_AGAIN,
        )
    if tensor_digest(salt, array) != record.sha256:
        raise InvalidPackage(f"Tensor {record.name!r} does not have the digest in the manifest.", FETCH_AGAIN)
    limit = 2 ** (BIAS_BITS - 1)
    if record.dtype == "I32" and not (int(array.min()) >= -limit and int(array.max()) < limit):
        raise InvalidPackage(f"Tensor {record.name!r} leaves the [-2^30, 2^30) allowed for biases.", FETCH_AGAIN)
