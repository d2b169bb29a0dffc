"""The prover's side of the one sumcheck: docs/spec/proofs.md, sections 5 and 6.

Every factor of F is a row of one table over the hypercube; a round sums F over all pairs and folds the table. Rows:
Ĝ_in, its activation, Ĝ_hid, the top bit, u, eq(τ), the linear part, the input block's selector and δ² times its low
bits, the output block's selector and δ³ times what its bits say, then λ^k·b_k for every k, so that

    F = G_in·a_in + G_hid·top·u + eq·(linear + δ·Σ_k (λ^k·b_k)² + sel_0·low + sel_L·answer).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from cloister.proving import field
from cloister.proving.claims import HALF
from cloister.proving.field import Vector, at, minus, plus, put, times
from cloister.proving.messages import Round, degree_of
from cloister.proving.montgomery import jit
from cloister.proving.scalars import R, inverse

FACTORS: Final = 11
G_INPUT, INPUT, G_HIDDEN, TOP, U, EQ, LINEAR, IN_INPUT, LOW, IN_OUTPUT, ANSWER = range(FACTORS)


class Sumcheck:
    """One run. `table` is (rows, 2^n, 4); `masks` has c_v for each row; `randomness` the g_{i,e} of every round."""

    def __init__(self, table: Vector, masks: Sequence[int], delta: int, randomness: Sequence[Sequence[int]]) -> None:
        self._table = table
        self._masks = masks
        self._delta = field.constant(delta)
        self._randomness = randomness
        self._variables = len(randomness)
        self._claim = 0
        self._bound = 0
        self._round = 0
        self._polynomial: list[int] = []

    def message(self) -> Round:
        """This round's polynomial of F + g, without a_1."""
        degree = degree_of(self._round)
        sums = field.integers(_sums(self._table, self._bumps(degree), self._delta, degree))
        sums[1] = (self._claim - sums[0]) % R
        self._polynomial = interpolated(sums)
        own = self._randomness[self._round]
        scale = pow(2, self._variables - 1 - self._round, R)
        blinded = [(a + scale * g) % R for a, g in zip(self._polynomial, (0, *own), strict=True)]
        blinded[0] = (blinded[0] + scale * (self._bound - HALF * sum(own))) % R
        return Round((blinded[0], *blinded[2:]))

    def bind(self, x: int) -> None:
        """Fix this round's variable."""
        self._claim = sum(a * pow(x, e, R) for e, a in enumerate(self._polynomial)) % R
        own = self._randomness[self._round]
        self._bound = (self._bound + sum(g * (pow(x, e, R) - HALF) for e, g in enumerate(own, start=1))) % R
        self._table = _folded(self._table, field.constant(x))
        if self._round == 0:
            shifts = field.vector([c * x % R * (1 - x) % R for c in self._masks])
            for row in range(len(shifts)):
                self._table[row] = field.add(self._table[row], np.broadcast_to(shifts[row], self._table[row].shape))
        self._round += 1

    def values(self) -> list[int]:
        """Every row at ρ, masked, after the last round."""
        return field.integers(np.ascontiguousarray(self._table[:, 0]))

    def _bumps(self, degree: int) -> Vector:
        """What each mask adds at x_0 = 0, 1, …: c·x_0(1 - x_0) in the first round, nothing later."""
        if self._round:
            return field.zeros((degree + 1) * len(self._masks)).reshape(degree + 1, -1, field.LIMBS)
        values = [c * e * (1 - e) % R for e in range(degree + 1) for c in self._masks]
        return field.vector(values).reshape(degree + 1, -1, field.LIMBS)


def interpolated(values: Sequence[int]) -> list[int]:
    """Coefficients of the polynomial with these values at 0, 1, 2, …"""
    coefficients = [0] * len(values)
    for i, value in enumerate(values):
        basis, denominator = [1], 1
        for j in range(len(values)):
            if j != i:
                basis = [(low - j * high) % R for low, high in zip([0, *basis], [*basis, 0], strict=True)]
                denominator = denominator * (i - j)
        factor = value * inverse(denominator % R)
        coefficients = [(c + factor * b) % R for c, b in zip(coefficients, basis, strict=True)]
    return coefficients


@jit
def _sums(table: Vector, bumps: Vector, delta: Vector, degree: int) -> Vector:
    """Σ over all pairs of F with the lowest variable at 0, 2, 3, … degree; entry 1 stays 0: the claim gives it."""
    rows, n = table.shape[0], table.shape[1]
    zero = np.uint64(0)
    out = np.zeros((degree + 1, 4), dtype=np.uint64)
    current = np.empty((rows, 4), dtype=np.uint64)
    step = np.empty((rows, 4), dtype=np.uint64)
    d = at(delta, 0)
    for i in range(n // 2):
        for row in range(rows):
            low = at(table[row], 2 * i)
            put(current, row, low)
            put(step, row, minus(at(table[row], 2 * i + 1), low))
        for e in range(degree + 1):
            if e > 0:
                for row in range(rows):
                    put(current, row, plus(at(current, row), at(step, row)))
            if e == 1:
                continue
            bump = bumps[e]
            squares = (zero, zero, zero, zero)
            for row in range(FACTORS, rows):
                value = plus(at(current, row), at(bump, row))
                squares = plus(squares, times(value, value))
            linear = plus(at(current, LINEAR), at(bump, LINEAR))
            linear = plus(linear, times(d, squares))
            linear = plus(linear, times(at(current, IN_INPUT), plus(at(current, LOW), at(bump, LOW))))
            linear = plus(linear, times(at(current, IN_OUTPUT), plus(at(current, ANSWER), at(bump, ANSWER))))
            total = times(at(current, EQ), linear)
            g = plus(at(current, G_INPUT), at(bump, G_INPUT))
            a = plus(at(current, INPUT), at(bump, INPUT))
            total = plus(total, times(g, a))
            g = plus(at(current, G_HIDDEN), at(bump, G_HIDDEN))
            a = plus(at(current, TOP), at(bump, TOP))
            u = plus(at(current, U), at(bump, U))
            total = plus(total, times(times(g, a), u))
            put(out, e, plus(at(out, e), total))
    return out


@jit
def _folded(table: Vector, x: Vector) -> Vector:
    rows, n = table.shape[0], table.shape[1]
    out = np.empty((rows, n // 2, 4), dtype=np.uint64)
    factor = at(x, 0)
    for row in range(rows):
        source, target = table[row], out[row]
        for i in range(n // 2):
            low = at(source, 2 * i)
            step = minus(at(source, 2 * i + 1), low)
            put(target, i, plus(low, times(step, factor)))
    return out
