"""The circuit descriptor: what a proof is about, without its weights. docs/spec/proofs.md, section 4."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

from eth_hash.auto import keccak

from cloister.proving.errors import InvalidCircuit

VERSION: Final = 2
MIN_CHUNK_BITS: Final = 7
MAX_CHUNK_BITS: Final = 11
MAX_BITS: Final = 32
MAX_VARIABLES: Final = 20
MAX_BATCH_BITS: Final = 12
MAX_STAGES: Final = 64
MAX_TERMS: Final = 16
MAX_POOLS: Final = 4
"""Per term: each multiplies sums by up to 2^16, and no sum may come near r."""
DIGITS: Final = 2
"""A bias is digit0 + 2^16·digit1."""

PUBLIC, DENSE, CONV = range(3)
PER_CHANNEL, PER_ENTRY = range(2)

Extents = tuple[int, int, int]
Pair = tuple[int, int]


def bits_for(extent: int) -> int:
    """ceil(log2 extent)."""
    return (extent - 1).bit_length()


@dataclass(frozen=True, slots=True)
class Block:
    """One block of activations: real extents (channels, rows, columns), and its first position."""

    shape: Extents
    offset: int

    @property
    def bits(self) -> Extents:
        """Index bits of channels, rows and columns."""
        channels, rows, columns = self.shape
        return bits_for(channels), bits_for(rows), bits_for(columns)

    @property
    def size_bits(self) -> int:
        """e: the block occupies 2^e positions."""
        return sum(self.bits)


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window, of a pool or of a convolution: (rows, columns) each."""

    kernel: Pair
    stride: Pair
    padding: Pair

    def slides(self, shape: Extents) -> Extents | None:
        """The shape of what it leaves, or None where it does not fit."""
        sizes = []
        for size, kernel, stride, padding in zip(shape[1:], self.kernel, self.stride, self.padding, strict=True):
            if kernel < 1 or stride < 1 or size + 2 * padding < kernel:
                return None
            sizes.append((size + 2 * padding - kernel) // stride + 1)
        return shape[0], sizes[0], sizes[1]

    def encode(self) -> bytes:
        """Six bytes."""
        return bytes((*self.kernel, *self.stride, *self.padding))


@dataclass(frozen=True, slots=True)
class Term:
    """What one earlier block adds to a stage: pools, at most one learned map, pools.

    `offset` is the weight's place in W for a learned map; `coefficient` scales a public one.
    """

    source: int
    kind: int
    before: tuple[Window, ...] = ()
    after: tuple[Window, ...] = ()
    coefficient: int = 1
    offset: int = 0
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its terms, and where its bias lies in W."""

    bias_offset: int
    bias_kind: int
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Circuit:
    """A well-formed circuit. `chunk_bits` is d, `bits` B, `shift` s, `input_bits` t, `position_bits` m.

    Make one with `Circuit.checked` or `decode`; both raise InvalidCircuit.
    """

    chunk_bits: int
    bits: int
    shift: int
    input_bits: int
    position_bits: int
    chunks: int
    blocks: tuple[Block, ...]
    stages: tuple[Stage, ...]

    @classmethod
    def checked(cls, *args: object, **fields: object) -> Circuit:
        """A circuit that obeys PROOF-1."""
        from cloister.proving.wellformed import problem  # noqa: PLC0415  it reads this module's classes

        circuit = cls(*args, **fields)  # type: ignore[arg-type]
        reason = problem(circuit)
        if reason:
            raise InvalidCircuit(f"The circuit is refused: {reason}.", "Package the model again.")
        return circuit

    @property
    def chunk(self) -> int:
        """D."""
        return 1 << self.chunk_bits

    @property
    def sigma(self) -> int:
        """σ: an input row's z is 2^σ·x."""
        return self.bits - 1 - self.input_bits

    @property
    def input(self) -> Block:
        """Block 0."""
        return self.blocks[0]

    @property
    def output(self) -> Block:
        """Block L."""
        return self.blocks[-1]

    @property
    def inputs(self) -> int:
        """Real entries of one input row."""
        return prod(self.input.shape)

    @property
    def outputs(self) -> int:
        """Real entries of one output row; 0 without stages."""
        return prod(self.output.shape) if self.stages else 0

    @cached_property
    def descriptor(self) -> bytes:
        """The bytes whose Keccak-256 names the circuit."""
        header = bytes(
            (VERSION, self.chunk_bits, self.bits, self.shift, self.input_bits, self.position_bits, len(self.stages), 0)
        )
        parts = [header, struct.pack(">I", self.chunks)]
        parts += [struct.pack(">HHHI", *block.shape, block.offset) for block in self.blocks]
        for stage in self.stages:
            parts.append(struct.pack(">IBB", stage.bias_offset, stage.bias_kind, len(stage.terms)))
            parts += [_encode_term(term) for term in stage.terms]
        return b"".join(parts)

    @cached_property
    def digest(self) -> bytes:
        """Keccak-256 of the descriptor."""
        return keccak(self.descriptor)


def dense_extents(term: Term, source: Extents, target: Extents) -> tuple[int, ...]:
    """Real extents of a dense weight's axes, highest first. Needs windows that fit."""
    for window in term.before:
        slid = window.slides(source)
        assert slid is not None
        source = slid
    return (*target, *source)


def conv_extents(term: Term, source: Extents, target: Extents) -> tuple[int, ...]:
    """Real extents of a convolution's weight: (channels out, channels in, kernel rows, kernel columns)."""
    assert term.window is not None
    return (target[0], source[0], *term.window.kernel)


def bias_extents(stage: Stage, target: Extents) -> tuple[int, ...]:
    """Real extents of a bias: its rows, then two digits."""
    return (target[0], DIGITS) if stage.bias_kind == PER_CHANNEL else (*target, DIGITS)


def weight_extents(term: Term, source: Extents, target: Extents) -> tuple[int, ...]:
    """Real extents of a learned term's weight."""
    return (conv_extents if term.kind == CONV else dense_extents)(term, source, target)


def padded_bits(extents: tuple[int, ...]) -> int:
    """Index bits of axes laid out one above the other, each padded to a power of two."""
    return sum(map(bits_for, extents))


def last_index(extents: tuple[int, ...]) -> int:
    """Index of the last real entry among such axes."""
    index = 0
    for extent in extents:
        index = (index << bits_for(extent)) + extent - 1
    return index


def range_circuit(chunk_bits: int, chunks: int) -> Circuit:
    """The range statement of section 9 for a W of this many chunks. Raises InvalidCircuit."""
    block = Block((chunks, 1, 1 << chunk_bits), 0)
    return Circuit.checked(chunk_bits, 16, 1, 15, bits_for(chunks) + chunk_bits, 0, (block,), ())


# ---------------------------------------------------------------- bytes


def _encode_term(term: Term) -> bytes:
    head = bytes((term.source, term.kind, len(term.before), len(term.after)))
    if term.kind == PUBLIC:
        body = struct.pack(">i", term.coefficient)
    else:
        body = struct.pack(">I", term.offset) + (term.window.encode() if term.window else b"")
    return head + body + b"".join(window.encode() for window in (*term.before, *term.after))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, form: str) -> tuple[int, ...]:
        size = struct.calcsize(form)
        if self._at + size > len(self._data):
            raise InvalidCircuit("The circuit descriptor is cut short.", "Fetch it again.")
        values = struct.unpack_from(form, self._data, self._at)
        self._at += size
        return values

    def window(self) -> Window:
        a, b, c, d, e, f = self.take(">6B")
        return Window((a, b), (c, d), (e, f))

    def term(self) -> Term:
        source, kind, before, after = self.take(">4B")
        coefficient, offset, window = 1, 0, None
        if kind == PUBLIC:
            (coefficient,) = self.take(">i")
        elif kind in (DENSE, CONV):
            (offset,) = self.take(">I")
            window = self.window() if kind == CONV else None
        else:
            raise InvalidCircuit(f"The circuit descriptor has a term of kind {kind}.", "Fetch it again.")
        befores = tuple(self.window() for _ in range(before))
        afters = tuple(self.window() for _ in range(after))
        return Term(source, kind, befores, afters, coefficient, offset, window)

    def stage(self) -> Stage:
        bias_offset, bias_kind, count = self.take(">IBB")
        return Stage(bias_offset, bias_kind, tuple(self.term() for _ in range(count)))

    def block(self) -> Block:
        channels, rows, columns, offset = self.take(">HHHI")
        return Block((channels, rows, columns), offset)

    def end(self) -> None:
        if self._at != len(self._data):
            raise InvalidCircuit("The circuit descriptor has bytes behind its end.", "Fetch it again.")


def decode(data: bytes) -> Circuit:
    """The circuit of a descriptor. Raises InvalidCircuit for anything that PROOF-1 does not allow."""
    reader = _Reader(data)
    version, d, bits, s, t, m, stages, zero, chunks = reader.take(">8BI")
    if version != VERSION or zero != 0 or stages > MAX_STAGES:
        raise InvalidCircuit(f"The circuit descriptor has version {version}, not {VERSION}.", "Update Cloister.")
    blocks = tuple(reader.block() for _ in range(stages + 1))
    wiring = tuple(reader.stage() for _ in range(stages))
    reader.end()
    return Circuit.checked(d, bits, s, t, m, chunks, blocks, wiring)
