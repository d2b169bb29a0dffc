"""What a circuit's linear map contributes to the claims: docs/spec/proofs.md, section 5, "Terms" and "Biases".

Everything here is a function of public values and challenges; the prover and the verifier call it alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloister.proving.circuit import (
    CONV,
    PER_CHANNEL,
    PUBLIC,
    Block,
    Circuit,
    Extents,
    Stage,
    Term,
    Window,
)
from cloister.proving.functionals import Axis, Eq, Functional, Listed, listed
from cloister.proving.scalars import R, eq, eq_points, eq_values

DIGIT_WEIGHTS = Listed((1, 1 << 16), 1)


@dataclass(frozen=True, slots=True)
class Coordinates:
    """A point of F^n, seen from one block: instance, block selector, and the block's three axes."""

    selector: int
    axes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    @classmethod
    def of(cls, point: Sequence[int], block: Block, position_bits: int) -> Coordinates:
        """Cut `point` (at least m coordinates) at the block's axes."""
        c, y, x = block.bits
        selector = eq(point[block.size_bits : position_bits], block.offset >> block.size_bits)
        return cls(selector, (tuple(point[x + y : x + y + c]), tuple(point[x : x + y]), tuple(point[:x])))


def learned(
    circuit: Circuit, tau: Sequence[int], rho: Sequence[int], scale_input: int, scale_hidden: int
) -> Iterator[Functional]:
    """Functionals of W for Ĝ_in and Ĝ_hid, each times its scale."""
    m = circuit.position_bits
    instances = eq_points(tau[m:], rho[m:])
    for term, source, target in _terms(circuit):
        if term.kind == PUBLIC:
            continue
        scale = scale_hidden if term.source else scale_input
        at, to = Coordinates.of(rho, source, m), Coordinates.of(tau, target, m)
        scalar = scale * instances % R * at.selector % R * to.selector % R
        axes = (_conv_axes if term.kind == CONV else _dense_axes)(term, source, target, at, to)
        yield Functional(axes, term.offset, scalar)


def public_parts(circuit: Circuit, tau: Sequence[int], rho: Sequence[int]) -> tuple[int, int]:
    """What public terms add to Ĝ_in and Ĝ_hid."""
    m = circuit.position_bits
    parts = [0, 0]
    for term, source, target in _terms(circuit):
        if term.kind != PUBLIC:
            continue
        at, to = Coordinates.of(rho, source, m), Coordinates.of(tau, target, m)
        value = term.coefficient * at.selector % R * to.selector % R
        value = value * _dot(eq_values(at.axes[0], source.shape[0]), eq_values(to.axes[0], target.shape[0])) % R
        for axis in (1, 2):
            value = value * _dot(*_axis_vectors(term, source, target, at, to, axis)) % R
        parts[min(term.source, 1)] += value
    instances = eq_points(tau[m:], rho[m:])
    return parts[0] * instances % R, parts[1] * instances % R


def biases(circuit: Circuit, rho: Sequence[int], scale: int) -> Iterator[Functional]:
    """Functionals of W for b̂ias, each times `scale`."""
    for stage, target in zip(circuit.stages, circuit.blocks[1:], strict=True):
        at = Coordinates.of(rho, target, circuit.position_bits)
        yield _bias(stage, target, at, scale)


def _bias(stage: Stage, target: Block, at: Coordinates, scale: int) -> Functional:
    channels, rows, columns = (Eq(point, extent) for point, extent in zip(at.axes, target.shape, strict=True))
    scalar = scale * at.selector % R
    if stage.bias_kind == PER_CHANNEL:
        scalar = scalar * rows.at(1) % R * columns.at(1) % R
        return Functional((DIGIT_WEIGHTS, channels), stage.bias_offset, scalar)
    return Functional((DIGIT_WEIGHTS, columns, rows, channels), stage.bias_offset, scalar)


def _terms(circuit: Circuit) -> Iterator[tuple[Term, Block, Block]]:
    for stage, target in zip(circuit.stages, circuit.blocks[1:], strict=True):
        for term in stage.terms:
            yield term, circuit.blocks[term.source], target


def _dense_axes(term: Term, source: Block, target: Block, at: Coordinates, to: Coordinates) -> tuple[Axis, ...]:
    out = [Eq(point, extent) for point, extent in zip(to.axes, target.shape, strict=True)]
    columns: list[Axis] = [Eq(at.axes[0], source.shape[0])]
    for axis in (1, 2):
        if term.before:
            columns.append(listed(_pooled(at.axes[axis], source.shape, axis, term.before)))
        else:
            columns.append(Eq(at.axes[axis], source.shape[axis]))
    return (columns[2], columns[1], columns[0], out[2], out[1], out[0])


def _conv_axes(term: Term, source: Block, target: Block, at: Coordinates, to: Coordinates) -> tuple[Axis, ...]:
    assert term.window is not None
    kernels = []
    for axis in (1, 2):
        u, v = _axis_vectors(term, source, target, at, to, axis)
        kernels.append(listed(_correlated(u, v, term.window, axis)))
    return (kernels[1], kernels[0], Eq(at.axes[0], source.shape[0]), Eq(to.axes[0], target.shape[0]))


def _axis_vectors(
    term: Term, source: Block, target: Block, at: Coordinates, to: Coordinates, axis: int
) -> tuple[list[int], list[int]]:
    """u and v of section 5 on the row axis (1) or the column axis (2)."""
    v = _pooled(at.axes[axis], source.shape, axis, term.before)
    u = eq_values(to.axes[axis], target.shape[axis])
    for window, size in reversed(list(zip(term.after, _sizes_after(term, source.shape, axis), strict=True))):
        u = _spread(u, size, window, axis)
    return u, v


def _pooled(point: Sequence[int], shape: Extents, axis: int, pools: Sequence[Window]) -> list[int]:
    v = eq_values(point, shape[axis])
    for window in pools:
        k, s, p = _along(window, axis)
        count = (len(v) + 2 * p - k) // s + 1
        v = [sum(v[max(0, s * j - p) : max(0, s * j - p + k)]) % R for j in range(count)]
    return v


def _sizes_after(term: Term, shape: Extents, axis: int) -> list[int]:
    """What each pool behind the learned map reads, along one axis."""
    size, sizes = shape[axis], []
    middle = [] if term.window is None else [term.window]
    for index, window in enumerate([*term.before, *middle, *term.after]):
        if index >= len(term.before) + len(middle):
            sizes.append(size)
        k, s, p = _along(window, axis)
        size = (size + 2 * p - k) // s + 1
    return sizes


def _spread(u: Sequence[int], size: int, window: Window, axis: int) -> list[int]:
    """The transpose of a pool."""
    k, s, p = _along(window, axis)
    out = [0] * size
    for j, value in enumerate(u):
        for i in range(max(0, s * j - p), min(size, s * j - p + k)):
            out[i] = (out[i] + value) % R
    return out


def _correlated(u: Sequence[int], v: Sequence[int], window: Window, axis: int) -> list[int]:
    """K[d] = Σ_i u[i]·v[stride·i + d - padding]."""
    k, s, p = _along(window, axis)
    return [
        sum(value * v[s * i + d - p] for i, value in enumerate(u) if 0 <= s * i + d - p < len(v)) % R for d in range(k)
    ]


def _along(window: Window, axis: int) -> tuple[int, int, int]:
    return window.kernel[axis - 1], window.stride[axis - 1], window.padding[axis - 1]


def _dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True)) % R
