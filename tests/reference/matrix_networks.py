"""Small random circuits of docs/spec/proofs.md: their descriptors, and what they compute layer by layer.

The layers here run forward on padded arrays; the reference verifier enumerates entries of the linear map instead.
"""

import math
import random
import struct

import numpy as np

from .matrix_circuit import CONV, DENSE, PER_CHANNEL, PER_ENTRY, PUBLIC, Block, Circuit, Stage, Term, Window, bits
from .matrix_points import R

__all__ = ["encode_descriptor", "random_circuit", "random_weights", "run", "stage_sums"]

Place = tuple[int, int]


def encode_descriptor(circuit: Circuit) -> bytes:
    header = [2, circuit.d, circuit.B, circuit.s, circuit.t, circuit.m, len(circuit.stages), 0, circuit.chunks]
    parts = [struct.pack(">8BI", *header)]
    parts += [struct.pack(">3HI", b.channels, b.rows, b.columns, b.offset) for b in circuit.blocks]
    for stage in circuit.stages:
        parts.append(struct.pack(">IBB", stage.bias, stage.bias_kind, len(stage.terms)))
        for term in stage.terms:
            parts.append(bytes([term.source, term.kind, len(term.before), len(term.after)]))
            parts.append(
                struct.pack(">i", term.coefficient) if term.kind == PUBLIC else struct.pack(">I", term.weights)
            )
            windows = ([term.window] if term.kind == CONV else []) + term.before + term.after
            parts += [bytes([*w.kernel, *w.stride, *w.padding]) for w in windows]
    return b"".join(parts)


# ---------------------------------------------------------------- forward


def block_array(circuit: Circuit, block: int, vector: list[int]) -> np.ndarray:
    """The entries of a block among the 2^m positions."""
    of = circuit.blocks[block]
    array = np.zeros((of.channels, of.rows, of.columns), dtype=object)
    for c, y, x in np.ndindex(*array.shape):
        array[c, y, x] = vector[of.offset + ((c << bits(of.rows)) + y << bits(of.columns)) + x]
    return array


def windows(array: np.ndarray, window: Window) -> np.ndarray:
    """(channels, rows, columns, taps down, taps across) of what each place of the output sees."""
    (kh, kw), (sh, sw), (ph, pw) = window.kernel, window.stride, window.padding
    channels, rows, columns = array.shape
    padded = np.zeros((channels, rows + 2 * ph, columns + 2 * pw), dtype=object)
    padded[:, ph : ph + rows, pw : pw + columns] = array
    return np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), axis=(1, 2))[:, ::sh, ::sw]


def pooled(array: np.ndarray, pools: list[Window]) -> np.ndarray:
    for pool in pools:
        array = windows(array, pool).sum(axis=(3, 4))
    return array


def weights_array(weights: list[int], offset: int, extents: list[int]) -> np.ndarray:
    """Padded weights; their padding may reach beyond the last chunk."""
    count = math.prod(extents)
    laid = weights[offset : offset + count]
    return np.array(laid + [0] * (count - len(laid)), dtype=object).reshape(extents)


def dense_matrix(term: Term, target: Block, read: np.ndarray, weights: list[int]) -> np.ndarray:
    (c, h, w), spread = read.shape, [2 ** bits(extent) for extent in read.shape]
    out = [2 ** bits(extent) for extent in (target.channels, target.rows, target.columns)]
    laid = weights_array(weights, term.weights, [*out, *spread])
    return laid[: target.channels, : target.rows, : target.columns, :c, :h, :w]


def conv_kernel(term: Term, out: int, read: int, weights: list[int]) -> np.ndarray:
    kh, kw = term.window.kernel
    spread = [2 ** bits(extent) for extent in (out, read, kh, kw)]
    laid = weights_array(weights, term.weights, spread)
    return laid[:out, :read, :kh, :kw]


def term_sums(circuit: Circuit, stage: int, term: Term, weights: list[int], vector: list[int]) -> np.ndarray:
    target = circuit.blocks[stage]
    read = pooled(block_array(circuit, term.source, vector), term.before)
    if term.kind == PUBLIC:
        mapped = read * term.coefficient
    elif term.kind == DENSE:
        mapped = np.tensordot(dense_matrix(term, target, read, weights), read, axes=3)
    else:
        kernel = conv_kernel(term, target.channels, read.shape[0], weights)
        mapped = np.einsum("oidk,ihwdk->ohw", kernel, windows(read, term.window))
    return pooled(mapped, term.after)


def bias_array(circuit: Circuit, stage: int, weights: list[int]) -> np.ndarray:
    of, at = circuit.blocks[stage], circuit.stages[stage - 1]
    array = np.zeros((of.channels, of.rows, of.columns), dtype=object)
    for c, y, x in np.ndindex(*array.shape):
        inside = ((c << bits(of.rows)) + y << bits(of.columns)) + x
        index = at.bias + 2 * (c if at.bias_kind == PER_CHANNEL else inside)
        array[c, y, x] = weights[index] + 2**16 * weights[index + 1]
    return array


def stage_sums(circuit: Circuit, stage: int, weights: list[int], vector: list[int], *, bias: bool) -> dict[int, int]:
    """Position -> z of one stage of one instance, given the activations of all blocks; with the biases, or without."""
    of = circuit.blocks[stage]
    total = np.zeros((of.channels, of.rows, of.columns), dtype=object)
    for term in circuit.stages[stage - 1].terms:
        total = total + term_sums(circuit, stage, term, weights, vector)
    if bias:
        total = total + bias_array(circuit, stage, weights)
    return {
        of.offset + ((c << bits(of.rows)) + y << bits(of.columns)) + x: total[c, y, x]
        for c, y, x in np.ndindex(*total.shape)
    }


def run(circuit: Circuit, weights: list[int], inputs: list[int]) -> tuple[list[int], list[int]]:
    """z at all 2^m positions, and the outputs row-major, of one instance; OverflowError if some z needs more bits."""
    z, activations = [0] * 2**circuit.m, [0] * 2**circuit.m
    first, outputs = circuit.blocks[0], []
    for (c, y, x), value in zip(np.ndindex(first.channels, first.rows, first.columns), inputs, strict=True):
        position = first.offset + ((c << bits(first.rows)) + y << bits(first.columns)) + x
        z[position], activations[position] = 2**circuit.sigma * value, value
    for stage in range(1, len(circuit.stages) + 1):
        for position, total in stage_sums(circuit, stage, weights, activations, bias=True).items():
            z[position], activations[position] = total, max(total >> circuit.s, 0)
            if stage == len(circuit.stages):
                outputs.append(total >> circuit.s)
    if not all(-(2 ** (circuit.B - 1)) <= value < 2 ** (circuit.B - 1) for value in z):
        raise OverflowError
    return z, outputs


# ---------------------------------------------------------------- random circuits


def random_window(rng: random.Random, size: Place, *, pool: bool) -> Window:
    kernel, stride, padding = [], [], []
    for extent in size:
        k = rng.randint(1, min(3, extent))
        kernel.append(k)
        stride.append(rng.randint(1, 2))
        padding.append(rng.randint(0, k // 2 if pool else 2))
    return Window(tuple(kernel), tuple(stride), tuple(padding))


class Builder:
    """Lays blocks and weights out as section 4 wants them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.end, self.weights_end = rng, 0, 0
        self.blocks: list[Block] = []
        self.stages: list[Stage] = []

    def block(self, channels: int, size: Place) -> Block:
        step = 2 ** Block(channels, *size, 0).bits
        offset = -(-self.end // step) * step
        self.end = offset + step
        self.blocks.append(Block(channels, *size, offset))
        return self.blocks[-1]

    def take(self, block_bits: int) -> int:
        """An offset for weights."""
        step = min(128, 2**block_bits)
        offset = -(-self.weights_end // step) * step + step * self.rng.randint(0, 1)
        self.weights_end = offset + 2**block_bits
        return offset

    def pools(self, size: Place, most: int) -> tuple[list[Window], Place]:
        found = []
        for _ in range(self.rng.randint(0, most)):
            found.append(random_window(self.rng, size, pool=True))
            size = found[-1].leaves(size)
        return found, size

    def dense(self, source: int, target: Block) -> Term:
        of = self.blocks[source]
        before, size = self.pools(of.size, 1)
        weights = self.take(target.bits + Block(of.channels, *size, 0).bits)
        return Term(source, DENSE, 0, weights, None, before, [])

    def first_term(self, source: int) -> tuple[Term, Block]:
        """A term of a random kind and the block it leads to."""
        of, kind = self.blocks[source], self.rng.choice([PUBLIC, DENSE, CONV, CONV])
        if kind == DENSE:
            target = self.block(self.rng.randint(1, 5), (self.rng.randint(1, 2), self.rng.randint(1, 3)))
            return self.dense(source, target), target
        before, size = self.pools(of.size, 2)
        if kind == PUBLIC:
            after, size = self.pools(size, 1)
            term = Term(source, PUBLIC, self.rng.randint(-3, 3), 0, None, before, after)
            return term, self.block(of.channels, size)
        window, out = random_window(self.rng, size, pool=False), self.rng.randint(1, 3)
        after, size = self.pools(window.leaves(size), 2)
        weights = self.take(bits(out) + bits(of.channels) + sum(bits(k) for k in window.kernel))
        return Term(source, CONV, 0, weights, window, before, after), self.block(out, size)

    def stage(self) -> None:
        term, target = self.first_term(len(self.stages))
        terms = [term]
        for source, of in enumerate(self.blocks[:-1]):
            if (of.channels, of.size) == (target.channels, target.size):
                terms.append(Term(source, PUBLIC, self.rng.randint(-3, 3), 0, None, [], []))
            elif self.rng.random() < 0.3:
                terms.append(self.dense(source, target))
        kind = self.rng.choice([PER_CHANNEL, PER_ENTRY])
        bias = self.take(1 + (bits(target.channels) if kind == PER_CHANNEL else target.bits))
        self.stages.append(Stage(bias, kind, terms))


def random_circuit(seed: int, stages: int, b: int = 16, s: int = 3, t: int = 5) -> Circuit:
    rng = random.Random(seed)
    builder = Builder(rng)
    builder.block(rng.randint(1, 3), (rng.randint(1, 5), rng.randint(1, 5)))
    for _ in range(stages):
        builder.stage()
    chunks = -(-builder.weights_end // 128)
    return Circuit(7, b, s, t, bits(builder.end), chunks, builder.blocks, builder.stages)


def random_weights(rng: random.Random, circuit: Circuit, size: int | None) -> list[int]:
    """Something for every coefficient, read or not: integers in [-size, size], or field elements."""
    count = circuit.chunks * circuit.D
    return [rng.randrange(R) if size is None else rng.randint(-size, size) for _ in range(count)]
