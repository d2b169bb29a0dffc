"""Linear functionals of committed vectors, in the one form that prover and verifier share.

A functional reads the coefficients of a vector (section 4 of docs/spec/proofs.md) with weights that are a product
over disjoint ranges of index bits, its axes. Bits from d up select the chunk; the others make a generating
function that is a product of short ones. The prover expands it, the verifier evaluates it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloister.proving.circuit import bits_for
from cloister.proving.scalars import R, eq_values, partial_eq


@dataclass(frozen=True, slots=True)
class Eq:
    """eq(point, i) for i < length, 0 above: the first `length` of 2^len(point) digits."""

    point: tuple[int, ...]
    length: int

    @property
    def bits(self) -> int:
        """Index bits."""
        return len(self.point)

    def values(self) -> list[int]:
        """The weight of each digit."""
        return eq_values(self.point, self.length)

    def at(self, z: int) -> int:
        """Σ_i weight_i·z^i."""
        return partial_eq(self.point, self.length, z)

    def split(self, low: int) -> Iterator[tuple[int, int, Axis]]:
        """(high digit, its weight, the axis of the low bits), for each high digit that is read."""
        unit = 1 << low
        for digit, weight in enumerate(eq_values(self.point[low:], -(-self.length // unit))):
            yield digit, weight, Eq(self.point[:low], min(self.length - digit * unit, unit))


@dataclass(frozen=True, slots=True)
class Listed:
    """Weights given one by one."""

    weights: tuple[int, ...]
    bits: int

    def values(self) -> list[int]:
        """The weight of each digit."""
        return list(self.weights)

    def at(self, z: int) -> int:
        """Σ_i weight_i·z^i."""
        total = 0
        for weight in reversed(self.weights):
            total = (total * z + weight) % R
        return total

    def split(self, low: int) -> Iterator[tuple[int, int, Axis]]:
        """(high digit, 1, the axis of the low bits), for each high digit that is read."""
        unit = 1 << low
        for digit in range(-(-len(self.weights) // unit)):
            part = self.weights[digit * unit : (digit + 1) * unit]
            if any(part):
                yield (digit, part[0], _ONE) if low == 0 else (digit, 1, Listed(part, low))


Axis = Eq | Listed
_ONE = Listed((1,), 0)


def listed(weights: Sequence[int]) -> Listed:
    """Weights given one by one, on as few bits as they need."""
    return Listed(tuple(weights), bits_for(max(1, len(weights))))


@dataclass(frozen=True, slots=True)
class Base:
    """Weights inside one chunk: axes from low to high, the first index being `shift`."""

    axes: tuple[Axis, ...]
    shift: int

    def at(self, z: int) -> int:
        """Σ_i weight_i·z^i."""
        value, power = pow(z, self.shift, R), z
        for axis in self.axes:
            value = value * axis.at(power) % R
            power = pow(power, 1 << axis.bits, R)
        return value


@dataclass(frozen=True, slots=True)
class Part:
    """The same base in several chunks, with a scalar each."""

    chunks: tuple[int, ...]
    scalars: tuple[int, ...]
    base: Base


@dataclass(frozen=True, slots=True)
class Functional:
    """scalar · product of the axes (low to high), on the indices from `offset` on."""

    axes: tuple[Axis, ...]
    offset: int
    scalar: int

    def parts(self, chunk_bits: int) -> list[Part]:
        """The functional, cut into chunks; chunks with the same base come together."""
        low: list[Axis] = []
        free = chunk_bits
        rest = list(self.axes)
        while rest and rest[0].bits <= free:
            free -= rest[0].bits
            low.append(rest.pop(0))
        first, shift = self.offset >> chunk_bits, self.offset & ((1 << chunk_bits) - 1)
        found: dict[Axis, tuple[list[int], list[int]]] = {}
        for digit, weight, axis in _high_digits(rest, free):
            chunks, scalars = found.setdefault(axis, ([], []))
            chunks.append(first + digit)
            scalars.append(self.scalar * weight % R)
        return [
            Part(tuple(chunks), tuple(scalars), Base((*low, axis), shift)) for axis, (chunks, scalars) in found.items()
        ]


def _high_digits(axes: Sequence[Axis], low: int) -> Iterator[tuple[int, int, Axis]]:
    """(chunk, weight, lowest axis cut to `low` bits) for the axes that reach above a chunk."""
    if not axes:
        yield 0, 1, _ONE
        return
    above: list[tuple[int, int]] = [(0, 1)]
    width = axes[0].bits - low
    for axis in axes[1:]:
        digits = [(position << width, value) for position, value in enumerate(axis.values()) if value]
        above = [(upper | digit, weight * value % R) for digit, value in digits for upper, weight in above]
        width += axis.bits
    for upper, weight in above:
        for digit, value, axis in axes[0].split(low):
            yield upper | digit, weight * value % R, axis
