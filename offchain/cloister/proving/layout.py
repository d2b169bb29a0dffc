"""From a packaged model's manifest to its circuit: where blocks, weights and biases lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import prod
from typing import Final, NamedTuple

from cloister.fixedpoint import graph
from cloister.fixedpoint.manifest import Manifest
from cloister.proving.circuit import (
    CONV,
    DENSE,
    MAX_CHUNK_BITS,
    PER_CHANNEL,
    PER_ENTRY,
    PUBLIC,
    Block,
    Circuit,
    Extents,
    Stage,
    Term,
    Window,
    bias_extents,
    bits_for,
    last_index,
    padded_bits,
    weight_extents,
)
from cloister.proving.errors import InvalidCircuit, NotProvable
from cloister.proving.wellformed import checked

HINT: Final = "The model can still be used for AGREED jobs."


class Place(NamedTuple):
    """Where one tensor lies in W: `extents` are its real axes as W pads them, highest first."""

    tensor: str
    extents: tuple[int, ...]
    offset: int
    bias: bool


def circuit_of(manifest: Manifest) -> Circuit:
    """The circuit of a packaged model: the same manifest gives the same descriptor. Raises NotProvable."""
    return _compiled(manifest)[0]


def places_of(manifest: Manifest) -> tuple[Place, ...]:
    """Where each tensor of a packaged model lies in W. Raises NotProvable."""
    return _compiled(manifest)[1]


def _compiled(manifest: Manifest) -> tuple[Circuit, tuple[Place, ...]]:
    shapes = _block_shapes(manifest)
    blocks, position_bits = _place_blocks(shapes)
    wiring = [_stage(manifest, stage, shapes[number]) for number, stage in enumerate(manifest.stages, start=1)]
    pieces = _pieces(manifest, wiring, shapes)
    chunk_bits = MAX_CHUNK_BITS
    offsets, chunks = _place_weights([extents for _, extents, _ in pieces], chunk_bits)
    places = tuple(
        Place(name, extents, offset, bias) for (name, extents, bias), offset in zip(pieces, offsets, strict=True)
    )
    arithmetic = manifest.arithmetic
    needed = max(stage.bits for stage in manifest.stages)
    try:
        circuit = Circuit(
            chunk_bits,
            max(needed, arithmetic.t + 1, arithmetic.s + 1),
            arithmetic.s,
            arithmetic.t,
            position_bits,
            chunks,
            blocks,
            _placed(manifest, wiring, {place.tensor: place.offset for place in places}),
        )
        checked(circuit)
    except InvalidCircuit as error:
        raise NotProvable(f"This model has no circuit: {error.message}", HINT) from error
    return circuit, places


# ---------------------------------------------------------------- shapes


def _block_shapes(manifest: Manifest) -> list[Extents]:
    """Every block as (channels, rows, columns). A vector that a spatial block is flattened into keeps its shape."""
    shapes = [_spatial(manifest.input.shape)]
    for number, stage in enumerate(manifest.stages, start=1):
        found = {shape for shape in (_end_shape(term, shapes[term.source]) for term in stage.terms) if shape}
        if len(found) > 1:
            raise NotProvable(f"Stage {number} adds vectors flattened from {sorted(found)}.", HINT)
        shapes.append(found.pop() if found else _spatial(stage.shape))
    return shapes


def _spatial(shape: Sequence[int]) -> Extents:
    channels, rows, columns = (*shape, 1, 1)[:3]
    return channels, rows, columns


def _end_shape(term: graph.Term, shape: Extents) -> Extents | None:
    """The (channels, rows, columns) that a chain of maps leaves, or None behind a dense map, which fits any."""
    for step in term.maps:
        match step:
            case graph.Dense():
                return None
            case graph.Flatten():
                continue
            case _:
                shape = _spatial(step.out_shape(shape))
    return shape


def _place_blocks(shapes: Sequence[Extents]) -> tuple[tuple[Block, ...], int]:
    sizes = [1 << Block(shape, 0).size_bits for shape in shapes]
    offsets, end = [0] * len(shapes), 0
    for index in sorted(range(len(shapes)), key=lambda i: (-sizes[i], i)):
        offsets[index] = end
        end += sizes[index]
    blocks = tuple(Block(shape, offset) for shape, offset in zip(shapes, offsets, strict=True))
    return blocks, max(1, bits_for(end))


# ---------------------------------------------------------------- terms


def _stage(manifest: Manifest, stage: graph.Stage, shape: Extents) -> Stage:
    bias = next(record for record in manifest.tensors if record.name == stage.bias)
    per_channel = len(bias.shape) == 1 and (len(stage.shape) > 1 or shape[1:] == (1, 1))
    return Stage(0, PER_CHANNEL if per_channel else PER_ENTRY, tuple(_term(term) for term in stage.terms))


def _term(term: graph.Term) -> Term:
    before: list[Window] = []
    after: list[Window] = []
    kind, window = PUBLIC, None
    for step in term.maps:
        match step:
            case graph.SumPool():
                (before if kind == PUBLIC else after).append(_window(step))
            case graph.Conv2d():
                kind, window = CONV, _window(step)
            case graph.Dense():
                kind = DENSE
            case graph.Flatten():
                pass
    return Term(term.source, kind, tuple(before), tuple(after), term.coefficient, 0, window)


def _window(step: graph.SumPool | graph.Conv2d) -> Window:
    if max(*step.kernel, *step.stride, *step.padding) > 0xFF:
        raise NotProvable("A window is wider than 255.", HINT)
    return Window(step.kernel, step.stride, step.padding)


# ---------------------------------------------------------------- weights


Piece = tuple[str, tuple[int, ...], bool]


def _pieces(manifest: Manifest, wiring: Iterable[Stage], shapes: Sequence[Extents]) -> list[Piece]:
    """(tensor, real axes, is it a bias) of everything that W holds."""
    pieces: list[Piece] = []
    for number, (stage, wired) in enumerate(zip(manifest.stages, wiring, strict=True), start=1):
        for term, compiled in zip(stage.terms, wired.terms, strict=True):
            learned = term.learned()
            if learned is not None:
                extents = weight_extents(compiled, shapes[term.source], shapes[number])
                pieces.append((learned.weight, extents, False))
        pieces.append((stage.bias, bias_extents(wired, shapes[number]), True))
    return pieces


def _place_weights(extents: Sequence[tuple[int, ...]], chunk_bits: int) -> tuple[list[int], int]:
    """Offsets of all pieces, the largest first so that each is aligned without gaps; and the number of chunks."""
    chunk = 1 << chunk_bits
    offsets, end = [0] * len(extents), 0
    for index in sorted(range(len(extents)), key=lambda i: (-padded_bits(extents[i]), i)):
        offsets[index] = end
        if padded_bits(extents[index]) > chunk_bits:
            end += -(-(last_index(extents[index]) + 1) // chunk) * chunk
        else:
            end += 1 << padded_bits(extents[index])
    return offsets, -(-end // chunk)


def _placed(manifest: Manifest, wiring: Iterable[Stage], offsets: dict[str, int]) -> tuple[Stage, ...]:
    placed = []
    for stage, wired in zip(manifest.stages, wiring, strict=True):
        terms = tuple(
            compiled if (learned := term.learned()) is None else replace(compiled, offset=offsets[learned.weight])
            for term, compiled in zip(stage.terms, wired.terms, strict=True)
        )
        placed.append(replace(wired, bias_offset=offsets[stage.bias], terms=terms))
    return tuple(placed)


def real_entries(circuit: Circuit) -> int:
    """Weights and biases that the circuit reads."""
    total = 0
    for number, stage in enumerate(circuit.stages, start=1):
        target = circuit.blocks[number].shape
        total += prod(bias_extents(stage, target)) // 2
        for term in stage.terms:
            if term.kind != PUBLIC:
                total += prod(weight_extents(term, circuit.blocks[term.source].shape, target))
    return total
