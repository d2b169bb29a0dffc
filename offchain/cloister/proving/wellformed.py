"""PROOF-1: which circuits are well formed."""

from __future__ import annotations

from itertools import combinations

from cloister.proving.circuit import (
    CONV,
    DENSE,
    MAX_BITS,
    MAX_CHUNK_BITS,
    MAX_POOLS,
    MAX_STAGES,
    MAX_TERMS,
    MAX_VARIABLES,
    MIN_CHUNK_BITS,
    PER_ENTRY,
    PUBLIC,
    Block,
    Circuit,
    Extents,
    Stage,
    Term,
    bias_extents,
    bits_for,
    last_index,
    padded_bits,
    weight_extents,
)
from cloister.proving.errors import InvalidCircuit

MAX_CHUNKS = 1 << 20


def checked(circuit: Circuit) -> Circuit:
    """The circuit itself. Raises InvalidCircuit unless it obeys PROOF-1."""
    reason = problem(circuit)
    if reason:
        raise InvalidCircuit(f"The circuit is refused: {reason}.", "Package the model again.")
    return circuit


def problem(circuit: Circuit) -> str | None:
    """What breaks PROOF-1, or None."""
    numbers = (
        MIN_CHUNK_BITS <= circuit.chunk_bits <= MAX_CHUNK_BITS
        and 2 <= circuit.bits <= MAX_BITS
        and 1 <= circuit.shift < circuit.bits
        and 1 <= circuit.input_bits < circuit.bits
        and 1 <= circuit.position_bits <= MAX_VARIABLES
        and len(circuit.stages) <= MAX_STAGES
        and circuit.chunks <= MAX_CHUNKS
        and (circuit.chunks == 0) == (not circuit.stages)
        and (bool(circuit.stages) or circuit.sigma == 0)
        and len(circuit.blocks) == len(circuit.stages) + 1
    )
    if not numbers:
        return "a number in its header is out of range"
    stages = (_stage_problem(circuit, number) for number in range(1, len(circuit.stages) + 1))
    return _blocks_problem(circuit) or next(filter(None, stages), None)


def _blocks_problem(circuit: Circuit) -> str | None:
    for number, block in enumerate(circuit.blocks):
        if min(block.shape) < 1 or max(block.shape) > 0xFFFF:
            return f"block {number} has shape {block.shape}"
        size = 1 << block.size_bits
        if block.offset % size or block.offset + size > 1 << circuit.position_bits:
            return f"block {number} of 2^{block.size_bits} positions lies at {block.offset}"
    for a, b in combinations(circuit.blocks, 2):
        if _overlap(a, b):
            return f"blocks at {a.offset} and {b.offset} overlap"
    return None


def _overlap(a: Block, b: Block) -> bool:
    return a.offset < b.offset + (1 << b.size_bits) and b.offset < a.offset + (1 << a.size_bits)


def _stage_problem(circuit: Circuit, number: int) -> str | None:
    stage = circuit.stages[number - 1]
    if not 1 <= len(stage.terms) <= MAX_TERMS or stage.bias_kind > PER_ENTRY:
        return f"stage {number} has {len(stage.terms)} terms and bias kind {stage.bias_kind}"
    for term in stage.terms:
        if term.source >= number:
            return f"stage {number} reads block {term.source}, which is not before it"
        reason = _term_problem(circuit, term, circuit.blocks[term.source].shape, circuit.blocks[number].shape)
        if reason:
            return f"stage {number}: {reason}"
    return _bias_problem(circuit, stage, circuit.blocks[number].shape)


def _term_problem(circuit: Circuit, term: Term, source: Extents, target: Extents) -> str | None:
    if term.kind not in (PUBLIC, DENSE, CONV) or (term.kind == CONV) != (term.window is not None):
        return f"a term of kind {term.kind}"
    if len(term.before) + len(term.after) > MAX_POOLS:
        return "a term with too many pools"
    if term.kind == DENSE and term.after:
        return "a pool behind a dense map"
    shape: Extents | None = source
    for window in term.before:
        shape = None if shape is None or _wide_padding(window.kernel, window.padding) else window.slides(shape)
    before = shape
    if shape is not None and term.window is not None:
        slid = term.window.slides(shape)
        shape = None if slid is None else (target[0], *slid[1:])
    for window in term.after:
        shape = None if shape is None or _wide_padding(window.kernel, window.padding) else window.slides(shape)
    if shape is None or before is None:
        return "a window does not fit"
    if term.kind != DENSE and shape != target:
        return f"a term of shape {shape} in a stage of shape {target}"
    if term.kind == PUBLIC:
        return None
    explicit = _explicit_bits(term, before)
    if explicit > circuit.chunk_bits:
        return "a window wider than a chunk"
    return _place_problem(circuit, term.offset, weight_extents(term, source, target))


def _wide_padding(kernel: tuple[int, int], padding: tuple[int, int]) -> bool:
    return any(2 * p > k for p, k in zip(padding, kernel, strict=True))


def _explicit_bits(term: Term, before: Extents) -> int:
    """Index bits of the axes whose values are listed: they must not reach above a chunk."""
    if term.window is not None:
        return padded_bits(term.window.kernel)
    return bits_for(before[1]) + bits_for(before[2]) if term.before else 0


def _bias_problem(circuit: Circuit, stage: Stage, target: Extents) -> str | None:
    return _place_problem(circuit, stage.bias_offset, bias_extents(stage, target))


def _place_problem(circuit: Circuit, offset: int, extents: tuple[int, ...]) -> str | None:
    unit = min(circuit.chunk, 1 << padded_bits(extents))
    if offset % unit or offset + last_index(extents) >= circuit.chunks * circuit.chunk:
        return f"weights of {padded_bits(extents)} index bits at {offset}"
    return None
