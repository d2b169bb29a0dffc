"""Single elements of F, the scalar field of BLS12-381, as Python integers below r."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

R: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""The order of the groups, and of F."""

SCALAR_BYTES: Final = 32


def inverse(x: int) -> int:
    """1/x; ValueError for 0."""
    return pow(x, -1, R)


def eq(point: Sequence[int], index: int) -> int:
    """eq(point, index): docs/spec/proofs.md, section 2."""
    value = 1
    for k, x in enumerate(point):
        value = value * (x if index >> k & 1 else 1 - x) % R
    return value


def eq_points(a: Sequence[int], b: Sequence[int]) -> int:
    """Σ_i eq(a, i)·eq(b, i)."""
    value = 1
    for x, y in zip(a, b, strict=True):
        value = value * (1 - x - y + 2 * x * y) % R
    return value


def eq_values(point: Sequence[int], length: int) -> list[int]:
    """eq(point, i) for i < length."""
    values = [1]
    for x in point:
        high = [value * x % R for value in values]
        values = [(value - up) % R for value, up in zip(values, high, strict=True)] + high
    return values[:length]


def partial_eq(point: Sequence[int], length: int, z: int) -> int:
    """P(point, length; z) = Σ_{i<length} eq(point, i)·z^i, in O(len(point)): section 2."""
    full, part, power = 1, 0, z
    for k, x in enumerate(point):
        upper = x * power % R
        lower = (1 - x) % R
        part = (lower * full + upper * part if length >> k & 1 else lower * part) % R
        full = full * (lower + upper) % R
        power = power * power % R
    return full if length == 1 << len(point) else part


def uniform() -> int:
    """A fresh uniform element, from the operating system's generator."""
    return secrets.randbelow(R)
