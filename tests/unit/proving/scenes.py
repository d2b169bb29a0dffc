"""Small statements for the provers, and the same as the fast prover takes them."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import numpy as np
from reference.matrix_circuit import CONV, DENSE, PER_CHANNEL, PER_ENTRY, PUBLIC, Block, Circuit, Stage, Term, Window
from reference.matrix_claims import MASKED, R, W, X, Y
from reference.matrix_networks import random_circuit, random_weights
from reference.matrix_networks import run as run_layers
from support.plain_prover import Prover, Scene

from cloister.proving import InvalidProof, Kind, Statement, Values
from cloister.proving import field as fast_field
from cloister.proving.descriptor import decode
from cloister.proving.messages import degree_of, messages_size
from cloister.proving.prover import Witness, bits_of, prove
from cloister.proving.statement import NOTHING, decode_statement
from cloister.proving.vectors import EMPTY, CommittedVector

ONE = (1, 1)
NONE = (0, 0)


def dense(source: int, weights: int, *before: Window) -> Term:
    return Term(source, DENSE, 0, weights, None, list(before), [])


def conv(source: int, weights: int, window: Window) -> Term:
    return Term(source, CONV, 0, weights, window, [], [])


def public(source: int, coefficient: int, *before: Window) -> Term:
    return Term(source, PUBLIC, coefficient, 0, None, list(before), [])


def vector(entries: int, offset: int) -> Block:
    return Block(entries, 1, 1, offset)


def filled(circuit: Circuit, seed: int, weight: int, bias: int, padding: int = 0) -> tuple[int, ...]:
    """Random numbers wherever the circuit reads (zero in the high digits of biases), `padding` elsewhere."""
    rng, weights = random.Random(seed), [padding] * (circuit.chunks * circuit.D)
    for number, stage in enumerate(circuit.stages, start=1):
        for term in stage.terms:
            for at in {entry.weight for entry in circuit.term_entries(number, term)} - {None}:
                weights[at] = rng.choice([-1, 1]) * rng.randint(1, weight)
        block = circuit.blocks[number]
        for place in block.entries():
            row = place[0] if stage.bias_kind == PER_CHANNEL else block.inside(*place)
            weights[stage.bias + 2 * row : stage.bias + 2 * row + 2] = rng.randint(-bias, bias), 0
    return tuple(weights)


# 3 - 3 - 3: every block, and every map, has one row of padding; positions 12 to 15 belong to no block.
MLP_CIRCUIT = Circuit(
    7, 12, 3, 5, 4, 1,
    [vector(3, 0), vector(3, 4), vector(3, 8)],
    [Stage(32, PER_CHANNEL, [dense(0, 0)]), Stage(40, PER_CHANNEL, [dense(1, 16)])],
)  # fmt: skip
MLP = Scene(MLP_CIRCUIT, filled(MLP_CIRCUIT, 5, 6, 100), ((31, -7, 12), (-32, 20, 3)))

# (2, 3, 3) -conv-> (2, 2, 2) -conv + residual + pooled shortcut-> (2, 2, 2) -pool, dense-> 2
SQUARE = Window((2, 2), ONE, NONE)
IMAGE_CIRCUIT = Circuit(
    7, 20, 3, 4, 6, 1,
    [Block(2, 3, 3, 0), Block(2, 2, 2, 32), Block(2, 2, 2, 40), vector(2, 48)],
    [
        Stage(16, PER_CHANNEL, [conv(0, 0, SQUARE)]),
        Stage(32, PER_ENTRY, [conv(1, 64, Window((3, 3), ONE, ONE)), public(1, 3), public(0, 2, SQUARE)]),
        Stage(52, PER_CHANNEL, [dense(2, 48, SQUARE)]),
    ],
)  # fmt: skip
IMAGE = Scene(
    IMAGE_CIRCUIT, filled(IMAGE_CIRCUIT, 13, 9, 50),
    (tuple(random.Random(1).randint(-16, 15) for _ in range(18)),),
)  # fmt: skip

# The range statement of one chunk of D = 128 weights.
RANGE_CIRCUIT = Circuit(7, 16, 1, 15, 7, 0, [Block(1, 1, 128, 0)], [])
RANGE = Scene(
    RANGE_CIRCUIT, (), ((32767, -32768, *(random.Random(2).randint(-900, 900) for _ in range(126))),),
    output_kind=0,
)  # fmt: skip

KINDS = [(i, o) for i in (0, 1) for o in (0, 1, 2)]


def tiny(m: int, beta: int = 0, input_kind: int = 1, output_kind: int = 1, b: int = 6) -> Scene:
    """The smallest circuits with m + β variables: 1 - 1 (m = 1), 1 - 1 - 1 (m = 2), 2 - 2 - 2 (m = 3)."""
    width = 2 if m == 3 else 1
    count = 2 if m == 1 else 3
    step = 4 if width == 2 else 1
    blocks = [vector(width, i * width) for i in range(count)]
    stages = [
        Stage(64 + 4 * i, PER_CHANNEL, [dense(i, step * i)] + ([public(0, 2)] if i == 1 else []))
        for i in range(count - 1)
    ]
    circuit = Circuit(7, b, 2, 3, m, 1, blocks, stages)
    rng = random.Random(m)
    inputs = tuple(tuple(rng.randint(-3, 3) for _ in range(width)) for _ in range(2**beta))
    return Scene(circuit, filled(circuit, m, 1, 2), inputs, input_kind, output_kind)


def tiny_range() -> Scene:
    """No stages, two positions."""
    return Scene(Circuit(7, 4, 1, 3, 1, 0, [vector(2, 0)], []), (), ((-8, 7),), 1, 0)


@cache
def random_scene(seed: int) -> Scene:
    """A random circuit of any kind of terms, junk in all padding of its vectors, on one to four rows."""
    rng = random.Random(f"scene {seed}")
    for attempt in range(100):
        circuit = random_circuit(1000 * seed + attempt, stages=rng.randint(1, 3), b=20, s=3, t=5)
        if circuit.m > 7:
            continue
        weights = tuple(random_weights(rng, circuit, 3))
        count, entries = 2 ** rng.randint(0, 2), len(circuit.blocks[0].positions())
        inputs = tuple(tuple(rng.randint(-32, 31) for _ in range(entries)) for _ in range(count))
        try:
            for row in inputs:
                run_layers(circuit, list(weights), list(row))
        except OverflowError:
            continue
        return Scene(circuit, weights, inputs, rng.randint(0, 1), rng.randint(0, 2), padding=rng.randint(0, 9))
    raise AssertionError


# ---------------------------------------------------------------- for the fast prover


class SparseMap:
    """A linear map, entry by entry, as the fast prover wants one."""

    def __init__(self, prover: Prover) -> None:
        self._matrix = prover.matrix
        self.bias_rows = np.array(prover.bias, dtype=np.int64)

    def transposed(self, tau_rows):
        tau = fast_field.integers(tau_rows)
        parts = []
        for here in (True, False):
            out = [0] * len(tau)
            for row, column, value in self._matrix[here]:
                out[column] += tau[row] * value
            parts.append(fast_field.vector([value % R for value in out]))
        return tuple(parts)


def fast_vector(prover: Prover, name: str) -> CommittedVector:
    vector = prover.vectors[name]
    if not vector.points:
        return EMPTY
    entries = fast_field.vector(vector.coefficients).reshape(len(vector.points), -1, fast_field.LIMBS)
    return CommittedVector(entries, tuple(vector.blinding), tuple(vector.points))


def fast_statement(prover: Prover) -> Statement:
    """The statement of an honest plain prover."""
    given, shape = prover.statement(), prover.shape
    inputs = Values(Kind(shape.input_kind), given.points[X], tuple(given.inputs))
    outputs = NOTHING
    if prover.circuit.stages:
        outputs = Values(Kind(shape.output_kind), given.points[Y], tuple(given.words))
    return Statement(decode(given.descriptor), given.points[W], shape.beta, inputs, outputs, prover.scene.context)


def fast_witness(prover: Prover) -> Witness:
    z = np.array(prover.z, dtype=np.int64)
    linear = SparseMap(prover) if prover.circuit.stages else None
    x = np.array(prover.x, dtype=np.int64)
    weights, inputs, outputs = (fast_vector(prover, name) for name in (W, X, Y))
    y = np.zeros_like(z)
    if prover.circuit.stages:
        y[[i for i, _ in prover.shape.real(-1)]] = prover.results
    return Witness(bits_of(z, prover.circuit.B), x, y, linear, weights, inputs, outputs)


def fast_proof(prover: Prover, draw=None) -> bytes:
    """What the fast prover makes of the same statement."""
    statement, witness = fast_statement(prover), fast_witness(prover)
    messages = prove(statement, witness) if draw is None else prove(statement, witness, draw)
    return statement.encode() + messages.encode(statement)


def repaired(proof: bytes, context: bytes) -> bytes:
    """The same with the right 1/z, if it can be read: anybody can compute that, so no test should end there."""
    try:
        statement, rest = decode_statement(proof, context)
        size = messages_size(statement)
    except InvalidProof:
        return proof
    if len(rest) != size:
        return proof
    transcript, start = statement.transcript(), len(proof) - size
    ends = [128 * (statement.bit_chunks + 1)]
    ends += [32 * degree_of(i) for i in range(statement.variables)]
    inverse = size - 2 * 128 - 64
    ends += [inverse - 128 - sum(ends), 128]
    at = 0
    for length in ends:
        transcript.absorb(rest[at : at + length])
        at += length
    z = transcript.challenge()
    return proof[: start + at] + pow(z, -1, R).to_bytes(32, "big") + proof[start + at + 32 :]


@cache
def honest(name: str, input_kind: int = 1, output_kind: int = 1) -> bytes:
    """An accepted proof file, made once per test process."""
    scene = {"mlp": MLP, "image": IMAGE, "range": RANGE}[name]
    kinds = {"input_kind": input_kind, "output_kind": 0 if name == "range" else output_kind}
    return fast_proof(Prover(replace(scene, **kinds)))


__all__ = [
    "IMAGE", "KINDS", "MASKED", "MLP", "RANGE", "SparseMap", "fast_proof", "fast_statement", "fast_witness", "honest",
    "random_scene", "tiny", "tiny_range",
]  # fmt: skip
