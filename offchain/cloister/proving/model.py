"""A packaged model as the proof system sees it: circuit, committed weights, linear map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import torch
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_hash.auto import keccak
from numpy.typing import NDArray

from cloister.fixedpoint import Package, graph
from cloister.fixedpoint.execution import transposed_maps
from cloister.fixedpoint.manifest import CircuitRecord
from cloister.proving import field
from cloister.proving.circuit import Block, Circuit
from cloister.proving.errors import NotProvable
from cloister.proving.field import Vector
from cloister.proving.layout import Place, circuit_of, places_of
from cloister.proving.scalars import R
from cloister.proving.statement import value_chunks
from cloister.proving.vectors import CommittedVector, commit_small

DIGIT: Final = 1 << 16
_WIDE_BYTES: Final = 48


def derive_scalar(key: bytes, info: str) -> int:
    """HKDF-SHA-256 to 48 bytes, mod r: uniform up to 2^-128. `info` says what for."""
    data = HKDF(algorithm=SHA256(), length=_WIDE_BYTES, salt=None, info=info.encode("ascii")).derive(key)
    return int.from_bytes(data, "big") % R


@dataclass(frozen=True)
class CommittedModel:
    """A package, its circuit, and its weights as committed."""

    package: Package
    circuit: Circuit
    weights: CommittedVector

    @cached_property
    def points(self) -> bytes:
        """C_W, joined."""
        return self.weights.encoded

    @cached_property
    def digest(self) -> bytes:
        """Keccak-256 of C_W."""
        return keccak(self.points)

    @cached_property
    def bias_rows(self) -> NDArray[np.int64]:
        """The bias of every position, int64 (2^m,); 0 where there is none."""
        rows = np.zeros(1 << self.circuit.position_bits, dtype=np.int64)
        for stage, block in zip(self.package.manifest.stages, self.circuit.blocks[1:], strict=True):
            bias = self.package.tensor(stage.bias)
            entries = bias.reshape(bias.shape[0], *[1] * (len(stage.shape) - 1)) if bias.ndim == 1 else bias
            rows[positions(block)] = np.broadcast_to(entries, stage.shape).reshape(-1)
        return rows

    def transposed(self, tau_rows: Vector) -> tuple[Vector, Vector]:
        """Mᵀ applied to eq(τ) of one instance's 2^m positions: the part on the input block, and the rest.

        Exact float64 products over 16-bit limbs.
        """
        outs = (field.zeros(len(tau_rows)), field.zeros(len(tau_rows)))
        limbs = field.limbs16(tau_rows)
        manifest = self.package.manifest
        shapes = [manifest.input.shape, *(stage.shape for stage in manifest.stages)]
        for stage, block in zip(manifest.stages, self.circuit.blocks[1:], strict=True):
            rows = limbs[:, positions(block)]
            for term in stage.terms:
                part = field.from_limb_sums(self._back(term, shapes[term.source], stage.shape, rows))
                if term.coefficient != 1:
                    part = field.scaled(part, term.coefficient % R)
                out = outs[1 if term.source else 0]
                at = positions(self.circuit.blocks[term.source])
                out[at] = field.add(out[at], part)
        return outs

    def _back(
        self, term: graph.Term, shape: Sequence[int], target: Sequence[int], rows: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """One term's maps, transposed and without the coefficient, applied to (16, entries of the stage)."""
        learned = term.learned()
        weight = None if learned is None else self.package.float_tensor(learned.weight)
        if weight is not None and all(isinstance(step, graph.Dense | graph.Flatten) for step in term.maps):
            return field.exact_product(rows, weight.numpy())
        shaped = torch.from_numpy(rows.reshape(-1, *target))
        return transposed_maps(term.maps, shape, weight, shaped).reshape(len(rows), -1).numpy()


def positions(block: Block) -> NDArray[np.int64]:
    """Positions of a block's real entries, in row-major order."""
    channels, rows, columns = block.shape
    _, y, x = block.bits
    grid = (np.arange(channels)[:, None, None] << y) + np.arange(rows)[:, None]
    return block.offset + ((grid << x) + np.arange(columns)).reshape(-1)


def commit_model(package: Package) -> CommittedModel:
    """Lay out and commit a package's weights, blinded from its salt. Raises NotProvable."""
    circuit = circuit_of(package.manifest)
    entries = np.zeros(circuit.chunks * circuit.chunk, dtype=np.int64)
    for place in places_of(package.manifest):
        entries[place.offset + _indices(place)] = _digits(package, place).reshape(-1)
    blinding = [derive_scalar(package.salt, f"cloister/1/weight-blinding/{c}") for c in range(circuit.chunks)]
    model = CommittedModel(package, circuit, commit_small(entries.reshape(circuit.chunks, -1), blinding))
    record = package.manifest.circuit
    if record is not None and record != record_of(model):
        raise NotProvable("The manifest names another circuit or other weight commitments.", "Package it again.")
    return model


def record_of(model: CommittedModel) -> CircuitRecord:
    """What a manifest says of the circuit."""
    return CircuitRecord(descriptor=model.circuit.digest.hex(), weights=model.digest.hex())


def with_circuit(package: Package) -> Package:
    """The package, its manifest naming circuit and weight commitments. Raises NotProvable."""
    plain = Package.from_bytes(replace(package.manifest, circuit=None).to_bytes(), package.weights_bytes)
    record = record_of(commit_model(plain))
    return Package.from_bytes(replace(plain.manifest, circuit=record).to_bytes(), package.weights_bytes)


def _digits(package: Package, place: Place) -> NDArray[np.int64]:
    tensor = package.tensor(place.tensor)
    if not place.bias:
        return tensor
    low = (tensor + DIGIT // 2) % DIGIT - DIGIT // 2
    return np.stack((low, (tensor - low) // DIGIT), axis=-1)


def _indices(place: Place) -> NDArray[np.int64]:
    """Index of every real entry, row-major, its axes padded to powers of two."""
    index = np.zeros(1, dtype=np.int64)
    for extent in place.extents:
        index = ((index[:, None] << (extent - 1).bit_length()) + np.arange(extent)).reshape(-1)
    return index


def pad_rows(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Rows, the last one repeated up to 2^β of them, and β."""
    batch_bits = (len(rows) - 1).bit_length()
    return np.concatenate((rows, np.repeat(rows[-1:], (1 << batch_bits) - len(rows), axis=0))), batch_bits


def block_vector(circuit: Circuit, block: Block, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """X or Y of section 4: entries of all instances at instance·2^e + position, as (chunks, D)."""
    size = 1 << block.size_bits
    flat = np.zeros((len(rows), size), dtype=np.int64)
    flat[:, positions(block) - block.offset] = rows.reshape(len(rows), -1)
    batch_bits = (len(rows) - 1).bit_length()
    return as_chunks(flat.reshape(-1), circuit.chunk)[: value_chunks(circuit, block, batch_bits)]


def as_chunks(flat: NDArray[np.int64], chunk: int) -> NDArray[np.int64]:
    """Cut into rows of D, the last one filled with zeros."""
    count = -(-len(flat) // chunk)
    return np.concatenate((flat, np.zeros(count * chunk - len(flat), dtype=flat.dtype))).reshape(count, chunk)


def scalars_of(key: bytes, purpose: str, count: int) -> Sequence[int]:
    """`count` scalars derived from one key."""
    return [derive_scalar(key, f"cloister/1/{purpose}/{index}") for index in range(count)]
