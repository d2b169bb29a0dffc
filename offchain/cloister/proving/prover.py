"""The prover: docs/spec/proofs.md, from the committed bits to the last quotient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cloister.proving import field
from cloister.proving.circuit import Block
from cloister.proving.claims import (
    HALF,
    Committed,
    MaskLayout,
    SumcheckChallenges,
    claims,
)
from cloister.proving.field import Vector
from cloister.proving.messages import ClaimedValues, Commitments, Messages, Round, degree_of
from cloister.proving.model import as_chunks, positions
from cloister.proving.opening import open_claims
from cloister.proving.scalars import R, uniform
from cloister.proving.statement import Kind, Statement
from cloister.proving.sumcheck import (
    ANSWER,
    EQ,
    FACTORS,
    G_HIDDEN,
    G_INPUT,
    IN_INPUT,
    IN_OUTPUT,
    INPUT,
    LINEAR,
    LOW,
    TOP,
    Sumcheck,
    U,
)
from cloister.proving.vectors import EMPTY, CommittedVector, commit, commit_bits
from cloister.proving.verifier import draw_sumcheck

Draw = Callable[[], int]


class LinearMap(Protocol):
    """The weights' part in the sumcheck; `CommittedModel` is one."""

    @property
    def bias_rows(self) -> NDArray[np.int64]:
        """Bias of every position, (2^m,)."""

    def transposed(self, tau_rows: Vector) -> tuple[Vector, Vector]:
        """Mᵀ·eq(τ) on the input block, and on the others, (2^m, 4) each."""


@dataclass(frozen=True, slots=True, eq=False)
class Witness:
    """What the prover knows: `bits` (B, 2^n), each z in offset binary; `x`, `y` (2^n,), input and output rows."""

    bits: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    linear: LinearMap | None
    weights: CommittedVector = EMPTY
    inputs: CommittedVector = EMPTY
    outputs: CommittedVector = EMPTY


def bits_of(z: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Bit k of z + 2^(B-1), (B, len(z))."""
    return ((z + (1 << bits - 1)) >> np.arange(bits)[:, None]) & 1


def prove(statement: Statement, witness: Witness, draw: Draw = uniform) -> Messages:
    """Prove a statement. `draw` gives uniform field elements and is replaced in tests only (PROOF-3).

    A witness that does not satisfy the statement gives messages that no verifier accepts.
    """
    return _Prover(statement, witness, draw).run()


class _Prover:
    def __init__(self, statement: Statement, witness: Witness, draw: Draw) -> None:
        self._statement = statement
        self._circuit = statement.circuit
        self._witness = witness
        self._layout = MaskLayout(statement.circuit.bits, statement.variables)
        self._transcript = statement.transcript()
        self._mask = self._draw_mask(draw)
        chunks = as_chunks(witness.bits.reshape(-1), statement.circuit.chunk)
        self._bits = commit_bits(chunks, [draw() for _ in chunks])

    def run(self) -> Messages:
        """All messages."""
        mask = self._committed_mask()
        commitments = Commitments(self._bits.points, mask.points[0])
        self._transcript.absorb(commitments.encode())
        drawn = draw_sumcheck(self._transcript, self._statement)
        rounds, challenges, table = self._rounds(drawn)
        values = self._values(table, challenges)
        self._transcript.absorb(values.encode(self._statement))
        g = sum(
            self._mask[self._layout.round(i) + e] * (pow(x, e + 1, R) - HALF)
            for i, x in enumerate(challenges.rho)
            for e in range(degree_of(i))
        )
        checked = claims(self._statement, values, challenges, g % R, self._transcript.challenge())
        vectors = {
            Committed.WEIGHTS: self._witness.weights,
            Committed.INPUT: self._witness.inputs,
            Committed.OUTPUT: self._witness.outputs,
            Committed.BITS: self._bits,
            Committed.MASK: mask,
        }
        opening = open_claims(self._transcript, self._circuit, checked, vectors)
        return Messages(commitments, rounds, values, opening)

    def _draw_mask(self, draw: Draw) -> list[int]:
        mask = [draw() for _ in range(self._layout.end)]
        if not self._circuit.stages:
            mask[self._layout.g_input] = mask[self._layout.g_hidden] = mask[self._layout.bias] = 0
        if not self._statement.inputs.points:
            mask[self._layout.x] = 0
        if not self._statement.outputs.points:
            mask[self._layout.y] = 0
        return mask

    def _committed_mask(self) -> CommittedVector:
        entries = field.zeros(self._circuit.chunk)
        entries[: len(self._mask)] = field.vector(self._mask)
        return CommittedVector(entries[None], (0,), (commit(entries[: len(self._mask)]),))

    # ------------------------------------------------------------ sumcheck

    def _rounds(self, drawn: SumcheckChallenges) -> tuple[tuple[Round, ...], SumcheckChallenges, list[int]]:
        randomness = [
            self._mask[self._layout.round(i) : self._layout.round(i + 1)] for i in range(self._statement.variables)
        ]
        table, masks = self._table(drawn)
        run = Sumcheck(table, masks, drawn.delta, randomness)
        rounds, rho = [], []
        for _ in range(self._statement.variables):
            rounds.append(run.message())
            self._transcript.absorb(rounds[-1].encode())
            rho.append(self._transcript.challenge())
            run.bind(rho[-1])
        return tuple(rounds), replace(drawn, rho=tuple(rho)), run.values()

    def _table(self, drawn: SumcheckChallenges) -> tuple[Vector, list[int]]:
        circuit, bits, delta = self._circuit, self._witness.bits, drawn.delta
        n = bits.shape[1]
        table = np.zeros((FACTORS + circuit.bits, n, field.LIMBS), dtype=np.uint64)
        table[G_INPUT], table[G_HIDDEN] = self._transposed(drawn.tau)
        sigma, shift, top = circuit.sigma, circuit.shift, circuit.bits - 1
        table[INPUT] = field.from_small(_weighted(bits, sigma, circuit.bits) - (1 << circuit.input_bits))
        table[TOP] = field.from_small(np.ascontiguousarray(bits[top]))
        table[U] = field.from_small(_weighted(bits, shift, top))
        table[EQ] = field.eq_table(drawn.tau)
        rows = self._bias_table() + (self._witness.x << sigma) - _weighted(bits, 0, circuit.bits) + (1 << top)
        linear = field.from_small(rows)
        lam = [pow(drawn.lam, k, R) for k in range(circuit.bits)]
        for k in range(circuit.bits):
            column = field.from_small(np.ascontiguousarray(bits[k]))
            table[FACTORS + k] = field.scaled(column, lam[k])
            square = lam[k] * lam[k] % R
            linear = field.sub(linear, field.scaled(column, delta * square % R))
            if circuit.stages and k < sigma:
                table[LOW] = field.add(table[LOW], field.scaled(column, delta * delta % R * square % R))
        if circuit.stages:
            table[IN_INPUT] = self._selector(circuit.input)
            table[IN_OUTPUT] = self._selector(circuit.output)
            answer = _weighted(bits, shift, circuit.bits) - (1 << top - shift)
            table[ANSWER] = field.scaled(field.from_small(answer), pow(delta, 3, R))
            linear = field.sub(linear, field.scaled(field.from_small(self._witness.y), pow(delta, 3, R)))
        table[LINEAR] = linear
        return table, self._row_masks(drawn, lam)

    def _row_masks(self, drawn: SumcheckChallenges, lam: Sequence[int]) -> list[int]:
        """c_v of every row of the table: rows that combine factors combine their masks."""
        circuit, mask, layout, delta = self._circuit, self._mask, self._layout, drawn.delta
        c = mask[layout.first_bit : layout.first_bit + circuit.bits]
        sigma, shift, top = circuit.sigma, circuit.shift, circuit.bits - 1
        masks = [0] * FACTORS
        masks[G_INPUT], masks[G_HIDDEN] = mask[layout.g_input], mask[layout.g_hidden]
        masks[INPUT] = sum(c[k] << k - sigma for k in range(sigma, circuit.bits))
        masks[TOP] = c[top]
        masks[U] = sum(c[k] << k - shift for k in range(shift, top))
        masks[LINEAR] = mask[layout.bias] + (mask[layout.x] << sigma)
        masks[LINEAR] -= sum((c[k] << k) + delta * lam[k] * lam[k] * c[k] for k in range(circuit.bits))
        if circuit.stages:
            sign = -1 if self._statement.outputs.kind == Kind.MASKED else 1
            masks[LINEAR] -= pow(delta, 3, R) * sign * mask[layout.y]
            masks[LOW] = delta * delta * sum(lam[k] * lam[k] * c[k] for k in range(sigma))
            masks[ANSWER] = pow(delta, 3, R) * sum(c[k] << k - shift for k in range(shift, circuit.bits))
        return [value % R for value in (*masks, *(lam[k] * c[k] for k in range(circuit.bits)))]

    def _selector(self, block: Block) -> Vector:
        """1 at every position of a block, in every instance."""
        inside = np.zeros(1 << self._circuit.position_bits, dtype=np.int64)
        inside[block.offset : block.offset + (1 << block.size_bits)] = 1
        return field.from_small(np.tile(inside, self._statement.instances))

    def _transposed(self, tau: Sequence[int]) -> tuple[Vector, Vector]:
        n = self._witness.bits.shape[1]
        if self._witness.linear is None:
            return field.zeros(n), field.zeros(n)
        m = self._circuit.position_bits
        instances = field.eq_table(tau[m:])
        on_input, on_hidden = self._witness.linear.transposed(field.eq_table(tau[:m]))
        return field.outer(instances, on_input), field.outer(instances, on_hidden)

    def _bias_table(self) -> NDArray[np.int64]:
        n = self._witness.bits.shape[1]
        if self._witness.linear is None:
            return np.zeros(n, dtype=np.int64)
        return np.tile(self._witness.linear.bias_rows, self._statement.instances)

    def _values(self, table: Sequence[int], challenges: SumcheckChallenges) -> ClaimedValues:
        mask, layout = self._mask, self._layout
        first = challenges.rho[0]
        factor = first * (1 - first) % R
        weights = field.eq_table(challenges.rho)
        bias = field.dot(field.from_small(self._bias_table()), weights) if self._witness.linear else 0
        x = field.dot(field.from_small(self._witness.x), weights) if self._statement.inputs.points else 0
        y = self._committed_output(weights) if self._statement.outputs.points else 0
        unscale = pow(challenges.lam, -1, R)
        bits = [value * pow(unscale, k, R) % R for k, value in enumerate(table[FACTORS:])]
        return ClaimedValues(
            table[G_INPUT],
            table[G_HIDDEN],
            (bias + factor * mask[layout.bias]) % R,
            (x + factor * mask[layout.x]) % R,
            (y + factor * mask[layout.y]) % R,
            tuple(bits),
        )

    def _committed_output(self, weights: Vector) -> int:
        """What is committed of the output, at ρ: y itself, or the pad, which is the public words less y."""
        y = field.dot(field.from_small(self._witness.y), weights)
        if self._statement.outputs.kind != Kind.MASKED:
            return y
        words = field.zeros(len(weights))
        words[output_places(self._statement)] = field.vector(self._statement.outputs.words)
        return (field.dot(words, weights) - y) % R


def output_places(statement: Statement) -> NDArray[np.int64]:
    """Index of every real output entry in the 2^n positions, instance after instance."""
    starts = np.arange(statement.instances)[:, None] << statement.circuit.position_bits
    return (starts + positions(statement.circuit.output)).reshape(-1)


def _weighted(bits: NDArray[np.int64], first: int, end: int) -> NDArray[np.int64]:
    """Σ_{first <= k < end} 2^(k - first)·b_k, (2^n,)."""
    powers = np.left_shift(np.int64(1), np.arange(end - first, dtype=np.int64))
    return np.asarray(powers @ bits[first:end])
