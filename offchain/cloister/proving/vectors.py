"""Committed vectors as their owner holds them: chunks of coefficients, blinding, points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from py_arkworks_bls12381 import G1Point

from cloister.proving import ceremony, field
from cloister.proving.curve import INFINITY, encode_points, multi_exponentiation, scalar
from cloister.proving.field import Vector
from cloister.proving.scalars import R

THREADS: Final = 2
_POOL: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="cloister-proving")


@dataclass(frozen=True, eq=False)
class CommittedVector:
    """Chunks of D coefficients, one blinding coefficient each, and their commitments.

    `entries` is (chunks, D): int64 for small integers, or a field vector (chunks, D, 4).
    """

    entries: NDArray[np.int64] | Vector
    blinding: tuple[int, ...]
    points: tuple[G1Point, ...]

    @property
    def encoded(self) -> bytes:
        """The points joined."""
        return encode_points(self.points)

    @cached_property
    def floats(self) -> NDArray[np.float64]:
        """Small integers as float64, ready for exact products."""
        return self.entries.astype(np.float64)

    @cached_property
    def magnitude(self) -> int:
        """The largest absolute value of small integers."""
        return int(np.abs(self.entries).max(initial=0))

    def folded(self, chunks: Sequence[int], scalars: Sequence[int]) -> Vector:
        """Σ scalar_i·P_{chunk_i}: D + 1 coefficients, the last of them blinding."""
        if self.entries.dtype == np.int64:
            data = self._folded_small(chunks, field.limbs16(field.vector(scalars)))
        else:
            data = field.zeros(self.entries.shape[1])
            for chunk, factor in zip(chunks, scalars, strict=True):
                data = field.add(data, field.scaled(self.entries[chunk], factor))
        hidden = sum(factor * self.blinding[chunk] for chunk, factor in zip(chunks, scalars, strict=True)) % R
        return np.concatenate((data, field.vector([hidden])))

    def _folded_small(self, chunks: Sequence[int], limbs: NDArray[np.float64]) -> Vector:
        first, count = chunks[0], len(chunks)
        in_order = list(chunks) == list(range(first, first + count))
        entries = self.floats[first : first + count] if in_order else self.floats[list(chunks)]
        step = max(1, 2**53 // (2**16 * (1 + self.magnitude)))  # so many products stay exact
        total = field.zeros(entries.shape[1])
        for at in range(0, count, step):
            sums = field.exact_product(np.ascontiguousarray(limbs[:, at : at + step]), entries[at : at + step])
            total = field.add(total, field.from_limb_sums(sums))
        return total


EMPTY: Final = CommittedVector(np.zeros((0, 1), dtype=np.int64), (), ())


def commit(coefficients: Vector) -> G1Point:
    """Σ coefficients_i·G_i for a field vector, on both cores."""
    used = np.flatnonzero(coefficients.any(axis=1))
    scalars = field.integers(coefficients[used])
    points = [ceremony.powers()[index] for index in used.tolist()]
    half = len(scalars) // 2
    parts = [(points[:half], scalars[:half]), (points[half:], scalars[half:])]
    first, second = _POOL.map(lambda part: multi_exponentiation(*part), parts)
    return first + second


def commit_small(entries: NDArray[np.int64], blinding: Sequence[int]) -> CommittedVector:
    """Commit chunks (chunks, D) of small signed integers, whose magnitudes stay below 2^32."""
    return _committed(entries, blinding, _small_sum)


def commit_bits(entries: NDArray[np.int64], blinding: Sequence[int]) -> CommittedVector:
    """Commit chunks (chunks, D) of zeros and ones."""
    return _committed(entries, blinding, _bit_sum)


def commit_field(entries: Vector, blinding: Sequence[int]) -> CommittedVector:
    """Commit chunks (chunks, D, 4) of field elements."""
    chunks, chunk = entries.shape[:2]
    points = [commit(entries[i]) + _blinded(chunk, blinding[i]) for i in range(chunks)]
    return CommittedVector(entries, tuple(blinding), tuple(points))


def _committed(
    entries: NDArray[np.int64], blinding: Sequence[int], total: Callable[[NDArray[np.int64]], G1Point]
) -> CommittedVector:
    chunk = entries.shape[1]
    points = _POOL.map(lambda i: total(entries[i]) + _blinded(chunk, blinding[i]), range(len(entries)))
    return CommittedVector(entries, tuple(blinding), tuple(points))


def _blinded(chunk: int, blinding: int) -> G1Point:
    return ceremony.powers()[chunk] * scalar(blinding)


def _bit_sum(entries: NDArray[np.int64]) -> G1Point:
    powers = ceremony.powers()
    total = INFINITY
    for index in np.flatnonzero(entries).tolist():
        total += powers[index]
    return total


def _small_sum(entries: NDArray[np.int64]) -> G1Point:
    """Negative integers are large field elements, so all are lifted by 2^k; what that adds is taken back."""
    used = np.flatnonzero(entries)
    powers = ceremony.powers()
    lift = 1 << max(0, int(-entries.min())).bit_length()
    lifted = multi_exponentiation([powers[index] for index in used.tolist()], (entries[used] + lift).tolist())
    return lifted - _bit_sum(entries) * scalar(lift)
