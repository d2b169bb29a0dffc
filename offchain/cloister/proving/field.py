"""Vectors over F, the scalar field of BLS12-381, for the prover.

A vector is a uint64 array (n, 4): little-endian 64-bit limbs of x·2^256 mod r (Montgomery form). Kernels are
compiled by numba on first use and kept on disk. Single elements travel as Python integers below r.

Small integers meet field elements through `limbs16` and `from_limb_sums`: a float64 matrix product over 16-bit
limbs is exact while every sum stays below 2^53, and BLAS does the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cloister.proving.montgomery import arithmetic, jit
from cloister.proving.scalars import R

Vector = NDArray[np.uint64]

LIMBS: Final = 4
_SHIFT: Final = 2**256 % R
times, plus, minus = arithmetic(R, LIMBS)


@jit
def at(vector: Vector, i: int) -> Any:
    return (vector[i, 0], vector[i, 1], vector[i, 2], vector[i, 3])


@jit
def put(vector: Vector, i: int, value: Any) -> None:
    vector[i, 0], vector[i, 1], vector[i, 2], vector[i, 3] = value


# ---------------------------------------------------------------- in and out


def raw(values: Iterable[int]) -> Vector:
    """Integers below r as plain limbs."""
    joined = b"".join(value.to_bytes(32, "little") for value in values)
    return np.frombuffer(joined, dtype="<u8").reshape(-1, LIMBS).copy()


def vector(values: Iterable[int]) -> Vector:
    """Integers below r as a vector."""
    return scaled(raw(values), _SHIFT)


def canonical(a: Vector) -> Vector:
    """The plain limbs of a vector's entries."""
    return _scaled(a, raw([1]))


def integers(a: Vector) -> list[int]:
    """The entries as integers below r."""
    data = canonical(a).tobytes()
    return [int.from_bytes(data[i : i + 32], "little") for i in range(0, len(data), 32)]


def constant(value: int) -> Vector:
    """One element, in Montgomery form, as a vector of length 1."""
    return raw([value * _SHIFT % R])


def from_small(values: NDArray[np.int64]) -> Vector:
    """Signed 64-bit integers as a vector."""
    magnitudes = np.zeros((values.size, LIMBS), dtype=np.uint64)
    flat = values.reshape(-1)
    magnitudes[:, 0] = np.abs(flat).astype(np.uint64)
    lifted = scaled(magnitudes, _SHIFT)
    return np.asarray(np.where((flat < 0)[:, None], sub(zeros(len(flat)), lifted), lifted))


def limbs16(a: Vector) -> NDArray[np.float64]:
    """Entries as float64 (16, n): entry i is Σ_j result[j, i]·2^(16j)."""
    return np.ascontiguousarray(canonical(a).view(np.uint16).reshape(len(a), 4 * LIMBS).T.astype(np.float64))


@jit
def exact_product(limbs: NDArray[np.float64], entries: NDArray[np.float64]) -> NDArray[np.float64]:
    """limbs (16, t) times entries (t, n), exact while every sum stays below 2^53.

    Not BLAS: most products are small, and waking its threads costs more than the work.
    """
    out = np.zeros((limbs.shape[0], entries.shape[1]))
    for t in range(entries.shape[0]):
        for j in range(limbs.shape[0]):
            factor = limbs[j, t]
            for i in range(entries.shape[1]):
                out[j, i] += factor * entries[t, i]
    return out


def from_limb_sums(sums: NDArray[np.float64]) -> Vector:
    """(16, n) signed exact float64 sums to Σ_j sums[j]·2^(16j), as a vector."""
    return _packed16(np.ascontiguousarray(sums.T.astype(np.int64)), constant(_SHIFT), constant(_SHIFT * _SHIFT % R))


@jit
def _packed16(sums: NDArray[np.int64], lift: Vector, lift_carry: Vector) -> Vector:
    """Carries from digit to digit leave 256 bits and a signed rest above them."""
    n, digits = sums.shape
    out = np.empty((n, 4), dtype=np.uint64)
    zero = np.uint64(0)
    one, above = at(lift, 0), at(lift_carry, 0)
    words = np.empty((1, 4), dtype=np.uint64)
    for i in range(n):
        carry = 0
        words[0] = 0
        for j in range(digits):
            total = sums[i, j] + carry
            words[0, j // 4] |= np.uint64(total & 0xFFFF) << np.uint64(16 * (j % 4))
            carry = total >> 16
        low = times(one, at(words, 0))  # in this order: only the second factor may exceed r
        high = times((np.uint64(abs(carry)), zero, zero, zero), above)
        put(out, i, minus(low, high) if carry < 0 else plus(low, high))
    return out


def zeros(n: int) -> Vector:
    """n zeros."""
    return np.zeros((n, LIMBS), dtype=np.uint64)


# ---------------------------------------------------------------- entry by entry


@jit
def _scaled(a: Vector, one: Vector) -> Vector:
    out = np.empty_like(a)
    factor = at(one, 0)
    for i in range(len(a)):
        put(out, i, times(at(a, i), factor))
    return out


def scaled(a: Vector, factor: int) -> Vector:
    """factor·a."""
    return _scaled(a, constant(factor))


@jit
def mul(a: Vector, b: Vector) -> Vector:
    """a_i·b_i."""
    out = np.empty_like(a)
    for i in range(len(a)):
        put(out, i, times(at(a, i), at(b, i)))
    return out


@jit
def add(a: Vector, b: Vector) -> Vector:
    """a_i + b_i."""
    out = np.empty_like(a)
    for i in range(len(a)):
        put(out, i, plus(at(a, i), at(b, i)))
    return out


@jit
def sub(a: Vector, b: Vector) -> Vector:
    """a_i - b_i."""
    out = np.empty_like(a)
    for i in range(len(a)):
        put(out, i, minus(at(a, i), at(b, i)))
    return out


@jit
def outer(high: Vector, low: Vector) -> Vector:
    """high_i·low_j at index i·len(low) + j."""
    out = np.empty((len(high) * len(low), 4), dtype=np.uint64)
    for i in range(len(high)):
        factor = at(high, i)
        for j in range(len(low)):
            put(out, i * len(low) + j, times(factor, at(low, j)))
    return out


@jit
def _dot(a: Vector, b: Vector) -> Vector:
    total = (np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0))
    for i in range(len(a)):
        total = plus(total, times(at(a, i), at(b, i)))
    out = np.empty((1, 4), dtype=np.uint64)
    put(out, 0, total)
    return out


def dot(a: Vector, b: Vector) -> int:
    """Σ a_i·b_i."""
    return integers(_dot(a, b))[0]


# ---------------------------------------------------------------- tables and polynomials


def eq_table(point: Sequence[int]) -> Vector:
    """eq(point, i) for all i below 2^len(point)."""
    return _eq_table(vector(point), constant(1)) if point else constant(1)


@jit
def _eq_table(point: Vector, one: Vector) -> Vector:
    out = np.empty((1 << len(point), 4), dtype=np.uint64)
    put(out, 0, at(one, 0))
    for k in range(len(point)):
        x = at(point, k)
        half = 1 << k
        for i in range(half):
            low = at(out, i)
            high = times(low, x)
            put(out, half + i, high)
            put(out, i, minus(low, high))
    return out


def powers(x: int, n: int) -> Vector:
    """1, x, …, x^(n-1)."""
    return _powers(constant(x), constant(1), n)


@jit
def _powers(x: Vector, one: Vector, n: int) -> Vector:
    out = np.empty((n, 4), dtype=np.uint64)
    value, step = at(one, 0), at(x, 0)
    for i in range(n):
        put(out, i, value)
        value = times(value, step)
    return out


def evaluate(coefficients: Vector, x: int) -> int:
    """Σ coefficients_i·x^i."""
    return integers(_synthetic(coefficients, constant(x))[:1])[0]


def divide(coefficients: Vector, root: int) -> Vector:
    """(f - f(root)) / (X - root), one coefficient fewer."""
    return _synthetic(coefficients, constant(root))[1:]


@jit
def _synthetic(coefficients: Vector, root: Vector) -> Vector:
    """Horner's rule with every step kept: entry 0 is f(root), the others are the quotient."""
    out = np.empty_like(coefficients)
    x = at(root, 0)
    total = (np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0))
    for i in range(len(coefficients) - 1, -1, -1):
        total = plus(times(total, x), at(coefficients, i))
        put(out, i, total)
    return out


def root_of_unity(size: int) -> int:
    """A generator of the 2-power subgroup of this size; 7 generates F*."""
    return pow(7, (R - 1) // size, R)


def transform(a: Vector, size: int, *, inverse: bool = False) -> Vector:
    """Number-theoretic transform of a, padded with zeros to `size` (a power of two)."""
    padded = zeros(size)
    padded[: len(a)] = a
    root = root_of_unity(size)
    root = pow(root, -1, R) if inverse else root
    out = _transform(padded, powers(root, size // 2))
    return scaled(out, pow(size, -1, R)) if inverse else out


@jit
def _transform(a: Vector, twiddles: Vector) -> Vector:
    n = len(a)
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j |= bit
        if i < j:
            x, y = at(a, i), at(a, j)
            put(a, i, y)
            put(a, j, x)
    length = 2
    while length <= n:
        half, step = length // 2, n // length
        for start in range(0, n, length):
            for k in range(half):
                low = at(a, start + k)
                high = times(at(a, start + half + k), at(twiddles, k * step))
                put(a, start + k, plus(low, high))
                put(a, start + half + k, minus(low, high))
        length *= 2
    return a
