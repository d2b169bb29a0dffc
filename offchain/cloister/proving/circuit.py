"""The circuit descriptor: what a proof is about, without its weights. docs/spec/proofs.md, section 4."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

from eth_hash.auto import keccak

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
    """A circuit. `chunk_bits` is d, `bits` B, `shift` s, `input_bits` t, `position_bits` m.

    What comes from outside has gone through `wellformed.checked`.
    """

    chunk_bits: int
    bits: int
    shift: int
    input_bits: int
    position_bits: int
    chunks: int
    blocks: tuple[Block, ...]
    stages: tuple[Stage, ...]

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


# ---------------------------------------------------------------- bytes


def _encode_term(term: Term) -> bytes:
    head = bytes((term.source, term.kind, len(term.before), len(term.after)))
    if term.kind == PUBLIC:
        body = struct.pack(">i", term.coefficient)
    else:
        body = struct.pack(">I", term.offset) + (term.window.encode() if term.window else b"")
    return head + body + b"".join(window.encode() for window in (*term.before, *term.after))
