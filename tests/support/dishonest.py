"""Dishonest provers: each tells one lie, and follows the protocol with it as far as the lie allows.

The lies are those of docs/spec/proofs.md, section 10. A liar adapts whatever it is free to: activations, outputs and
all later messages follow from what it believes, so that few claims are false, and the opening is right for the rest.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from reference.matrix_circuit import Circuit
from reference.matrix_claims import MASKED, Y
from reference.matrix_points import R, Transcript, powers_sum
from reference.matrix_proof import Statement
from support.plain_prover import (
    Chunk,
    Draw,
    Foreseen,
    Prover,
    Run,
    Scene,
    Values,
    Vector,
    combination,
    element,
    interpolated,
    products,
    square_root,
)


class Liar(Prover):
    """A prover of lies, which its keyword arguments describe."""

    def __init__(self, scene: Scene, draw: Draw | None = None, seed: int = 0, **lie: object) -> None:
        vars(self).update(lie)
        super().__init__(scene, draw, seed)


# ---------------------------------------------------------------- the linear map


class OtherWeights(Liar):
    """Runs the network with other weights than C_W's."""

    changes: Mapping[int, int]
    """Index in W -> what is added."""

    def believed_weights(self) -> list[int]:
        return [value + self.changes.get(at, 0) for at, value in enumerate(self.scene.weights)]


class OtherModel(Liar):
    """Runs another model, of the same shape."""

    weights: Sequence[int]

    def believed_weights(self) -> list[int]:
        return list(self.weights)


class OtherCircuit(Liar):
    """Runs another circuit than the declared one, with the same weights."""

    other: Circuit

    def believed_circuit(self) -> Circuit:
        return self.other


class OtherEntries(Liar):
    """Single entries of the linear map are wrong: a kernel that differs in one place, a coefficient in one channel."""

    added: Sequence[tuple[int, int, int]]
    """(row, column, what is added)."""
    of_input: bool
    """Whether the columns lie in block 0."""

    def entries(self, weights: Sequence[int], *, read_input: bool) -> Iterator[tuple[int, int, int]]:
        yield from super().entries(weights, read_input=read_input)
        if read_input == self.of_input:
            yield from self.added


class OtherBias(Liar):
    """A bias on rows that have none, or another one."""

    added_bias: Mapping[int, int]
    """Position -> what is added."""

    def bias_rows(self, weights: Sequence[int]) -> list[int]:
        return [value + self.added_bias.get(at, 0) for at, value in enumerate(super().bias_rows(weights))]


class HiddenNeuron(Liar):
    """One more neuron at a padding position. Its weights lie in the padding of W, or are not in W at all."""

    position: int
    neuron_bias: int
    reads: Mapping[int, int]
    """Column in block 0 -> weight."""
    read_by: Mapping[int, int]
    """Row -> weight."""

    def entries(self, weights: Sequence[int], *, read_input: bool) -> Iterator[tuple[int, int, int]]:
        yield from super().entries(weights, read_input=read_input)
        if read_input:
            yield from ((self.position, column, weight) for column, weight in self.reads.items())
        else:
            yield from ((row, self.position, weight) for row, weight in self.read_by.items())

    def bias_rows(self, weights: Sequence[int]) -> list[int]:
        rows = super().bias_rows(weights)
        rows[self.position] = self.neuron_bias
        return rows

    def order(self) -> Iterator[int]:
        positions = list(super().order())
        if self.position not in positions:  # in no block: before the output
            positions.insert(self.circuit.blocks[-1].offset, self.position)
        return iter(positions)


class HiddenInput(Liar):
    """The padding of X holds a number, and the padding of W a weight that reads it."""

    entry: tuple[int, int, int]
    """(row, padding position of block 0, weight)."""

    def entries(self, weights: Sequence[int], *, read_input: bool) -> Iterator[tuple[int, int, int]]:
        yield from super().entries(weights, read_input=read_input)
        if read_input:
            yield self.entry

    def input_rows(self) -> list[int]:
        rows = super().input_rows()
        for start in range(0, 2**self.n, 2**self.circuit.m):
            rows[start + self.entry[1]] = self.scene.padding
        return rows


class HiddenOutput(OtherBias):
    """A padding row of the output has a bias, and the padding of Y holds what follows."""

    def output_rows(self) -> list[int]:
        rows, block = super().output_rows(), self.circuit.blocks[-1]
        real = {i for i, _ in self.shape.real(-1)}
        for i in self.shape.selector(-1):
            if i not in real:
                inside = i % 2**self.circuit.m - block.offset
                rows[i] = self.vectors[Y].coefficients[(i >> self.circuit.m) * 2**block.bits + inside]
        return rows


# ---------------------------------------------------------------- bits and activations


class MovedBits(Liar):
    """In one row bit k grows by 2c and bit k + 1 shrinks by c: z is right, and the bits are none."""

    row: int
    k: int
    c: int

    def row_bits(self, i: int, z: int) -> list[int]:
        bits = super().row_bits(i, z)
        if i == self.row:
            bits[self.k] += 2 * self.c
            bits[self.k + 1] -= self.c
        return bits


class BalancedBits(Liar):
    """Bits 0 to 2 of one row are elements of F with the right z, and their squares make up for one another.

    Σ_k (b_k² - b_k) = 0: only the powers of λ tell that they are no bits.
    """

    row: int

    def row_bits(self, i: int, z: int) -> list[int]:
        bits = super().row_bits(i, z)
        if i != self.row:
            return bits
        low = z % 8
        for first in range(2, 100):  # b_0; then b_1 = h - 2·b_2, and b_2 solves a quadratic equation
            h = (low - first) * pow(2, -1, R) % R
            a, b, c = 5, 1 - 4 * h, h * h - h + first * first - first
            root = square_root((b * b - 4 * a * c) % R)
            if root is not None:
                last = (root - b) * pow(2 * a, -1, R) % R
                return [first, (h - 2 * last) % R, last, *bits[3:]]
        raise AssertionError

    def activation(self, i: int, z: int) -> int:
        return super().activation(i, z) if i != self.row else max(z >> self.circuit.s, 0)


class OtherZ(Liar):
    """The bits of some rows are those of another z."""

    added_z: Mapping[int, int]
    """Row among 2^n -> what is added."""

    def row_bits(self, i: int, z: int) -> list[int]:
        return super().row_bits(i, z + self.added_z.get(i, 0))


class TopBitTwo(Liar):
    """A z of 2^(B-1) or more: what does not fit is left in the top bit."""

    def row_bits(self, i: int, z: int) -> list[int]:
        bits, b = super().row_bits(i, z), self.circuit.B
        bits[-1] = (z + 2 ** (b - 1)) >> (b - 1)
        return bits


class HalfBit(Liar):
    """Twice an entry is odd: bit 0 is one half."""

    def row_bits(self, i: int, z: int) -> list[int]:
        if abs(z) < 2**self.circuit.B:
            return super().row_bits(i, z)
        half = pow(2, -1, R)
        assert (z - half) % R < 2**self.circuit.B
        return [half, *super().row_bits(i, (z - half) % R)[1:]]


class WrongActivation(Liar):
    """Some hidden rows give out another activation than max(z >> s, 0), and all rows behind them go on with it."""

    added_activation: Mapping[int, int]
    """Row among 2^n -> what is added."""

    def activation(self, i: int, z: int) -> int:
        return super().activation(i, z) + self.added_activation.get(i, 0)

    def factors(self, tau: list[int]) -> dict[str, list[int]]:
        return super().factors(tau) | {"wrong": [self.added_activation.get(i, 0) for i in range(2**self.n)]}

    def summand(self, values: Values, lam: int, delta: int) -> int:
        return super().summand(values, lam, delta) + values["G_hid"] * values["wrong"]


class Linear(WrongActivation):
    """No ReLU: negative activations are passed on."""

    added_activation: dict[int, int]

    def activation(self, i: int, z: int) -> int:
        passed = super().activation(i, z)
        first = self.circuit.blocks[0]
        if not first.offset <= i % 2**self.circuit.m < first.offset + 2**first.bits:
            self.added_activation[i] = min(z >> self.circuit.s, 0)
            passed = z >> self.circuit.s
        return passed


# ---------------------------------------------------------------- inputs and outputs


class OtherOutputs(OtherZ):
    """Everything is right but the output that is given out."""

    change: Callable[[list[int]], list[int]]
    added_z: Mapping[int, int] = {}

    def outputs(self) -> list[int]:
        self.true = super().outputs()
        return self.change(self.true)


class OtherCommitment(OtherOutputs):
    """C_Y, or the pad, is that of the wrong output; the sumcheck runs with the right one."""

    def output_rows(self) -> list[int]:
        rows = super().output_rows()
        for (i, _), true, told in zip(self.shape.real(-1), self.true, self.results, strict=True):
            rows[i] += (told - true) * (1 if self.shape.output_kind == MASKED else -1)
        return rows


class OtherInputs(Liar):
    """Runs on other inputs than the statement's."""

    change_inputs: Callable[[list[list[int]]], list[list[int]]]

    def inputs(self) -> list[list[int]]:
        return self.change_inputs(super().inputs())


# ---------------------------------------------------------------- values and masks


class MaskWithSum(OtherZ):
    """g has a constant term too, which makes up for what is wrong in the sum."""

    constant: int = 0

    def prepare_sumcheck(self, factors: dict[str, list[int]], lam: int, delta: int) -> None:
        rows = [{name: column[at] for name, column in factors.items()} for at in range(2**self.n)]
        self.constant = -sum(super(MaskWithSum, self).summand(row, lam, delta) for row in rows) * pow(2, -self.n, R)

    def summand(self, values: Values, lam: int, delta: int) -> int:
        return super().summand(values, lam, delta) + self.constant


class Placed(OtherZ):
    """The bits are those of another z, and one value of step 3 hides it: ĝ is what it should be."""

    names: Sequence[str]
    """The first of these that can is changed."""
    placed: str = ""

    def sent_values(self, values: Values, missing: Callable[[Values], int]) -> Values:
        values = super().sent_values(values, missing)
        for name in self.names:
            c, b, a = interpolated([missing(values | {name: x}) for x in range(3)])
            root = -c * pow(b, -1, R) if a == 0 else quadratic(a, b, c)
            if root is not None:
                self.placed = name
                return values | {name: root % R}
        raise AssertionError


def quadratic(a: int, b: int, c: int) -> int | None:
    """A root of a·x² + b·x + c."""
    root = square_root((b * b - 4 * a * c) % R)
    return None if root is None else (root - b) * pow(2 * a, -1, R) % R


class OtherValues(Liar):
    """Honest up to the values of step 3; ĝ follows from what is sent."""

    added_values: Mapping[str, int]

    def sent_values(self, values: Values, missing: Callable[[Values], int]) -> Values:
        values = super().sent_values(values, missing)
        return values | {name: values[name] + more for name, more in self.added_values.items()}


class FalseA1(OtherZ):
    """Tells a1 such that E(1/z) is right and A(z) is not."""

    def sent_a1(self, value: int, wanted: int) -> int:
        return wanted


class FalseInverse(OtherZ):
    """Sends not 1/z but a number that suits it: where A(z) and E add up to 2V, all the same.

    It leaves out all blinding, which makes that the root of a short polynomial; if there is none, it starts again.
    """

    def run(self) -> Run:
        while True:
            with suppress(LookupError):
                return super().run()

    def committed(self, vector: Vector) -> Vector:
        vector.blinding = [0] * len(vector.blinding)
        return super().committed(vector)

    def sent_inverse(self, z: int, s: list[int], u: dict[Chunk, list[int]], total: int) -> int:
        polynomial = combination(
            [(powers_sum(self.chunk(t), z), u[t]) for t in u]
            + [(powers_sum(u[t], z), self.chunk(t)) for t in u]
            + [(-1, [0, *s]), (1, [-z * powers_sum(s, z) - 2 * total])]
        )
        return root_of(polynomial, self.rng)


# ---------------------------------------------------------------- messages chosen after their challenge


class Late(OtherZ):
    """Has one row's bits wrong, knows every challenge before it sends anything, and chooses one message accordingly.

    Under its own challenges the proof is perfect: that is the simulator of section 6. Under the transcript's it is not.
    """

    def transcript(self, statement: Statement) -> Transcript | Foreseen:
        return Foreseen("late")


class LateCommitments(Late):
    """Knows τ, λ and δ: one bit of a row that means nothing is such an element of F that F adds up to zero."""

    spare: int
    """A row in no block."""

    def __init__(self, scene: Scene, draw: Draw | None = None, seed: int = 0, **lie: object) -> None:
        super().__init__(scene, draw, seed, **lie)
        known = Foreseen("late")
        known.absorb(b"")
        tau, lam, delta = known.challenges(0, self.n), known.challenge(self.n), known.challenge(self.n + 1)
        factors = self.factors(tau)

        def total(k: int, x: int) -> int:
            self.bits[k][self.spare] = x
            rows = [{name: column[at] for name, column in factors.items()} for at in range(2**self.n)]
            return sum(self.summand(row, lam, delta) for row in rows) % R

        for k in range(self.circuit.B):
            was = self.bits[k][self.spare]
            c, b, a = interpolated([total(k, x) for x in range(3)])
            root = quadratic(a, b, c)
            self.bits[k][self.spare] = was if root is None else root
            if root is not None:
                return
        raise AssertionError


class LateRound(Late):
    """Knows ρ_0: the first polynomial has the right value there, and its values at 0 and 1 add up to 0 all the same."""

    def sent_round(self, i: int, coefficients: list[int]) -> list[int]:
        message = super().sent_round(i, coefficients)
        if i == 0:
            known = Foreseen("late")
            known.absorb(b"")
            known.absorb(b"")
            x = known.challenge(0)
            linear = -2 * message[0] - sum(message[1:])
            off = powers_sum(coefficients, x) - powers_sum([message[0], linear, *message[1:]], x)
            message[1] += off * pow(x * x - x, -1, R)  # a_2 more makes a_1 less by the same
        return [value % R for value in message]


class LateValues(Late):
    """Knows τ_out and μ: sends b̂ias such that the claims, all together, add up."""

    def run_with(self, shift: int) -> Run:
        self.shift = shift
        return super().run()

    def run(self) -> Run:
        """Finds the missing part in a first run; the total is linear in b̂ias."""
        state = self.rng.getstate()
        runs = []
        for shift in (0, 1):
            self.rng.setstate(state)
            runs.append(self.run_with(shift))
        off = [one.truth - one.total for one in runs]
        self.rng.setstate(state)
        return self.run_with(-off[0] * pow(off[1] - off[0], -1, R) % R)

    def sent_values(self, values: Values, missing: Callable[[Values], int]) -> Values:
        values = super().sent_values(values, missing)
        return values | {"bias": values["bias"] + self.shift}


class LateS(Late):
    """Knows z: S is off by a constant such that A(z) and E(1/z) add up to 2V."""

    def sent_s(
        self, s: list[int], total: int, transcript: Transcript | Foreseen, u: dict[Chunk, list[int]]
    ) -> list[int]:
        known = Foreseen("late")
        for _ in range(self.n + 3):  # commitments, rounds, values, C_S
            known.absorb(b"")
        z = known.challenge(0)
        inverse = pow(z, -1, R)
        truth = sum(powers_sum(u[t], inverse) * powers_sum(self.chunk(t), z) for t in u)
        truth += sum(powers_sum(u[t], z) * powers_sum(self.chunk(t), inverse) for t in u)
        now = truth - z * powers_sum(s, z) - inverse * powers_sum(s, inverse)
        return [(s[0] + (now - 2 * total) * pow(z + inverse, -1, R)) % R, *s[1:]]


class LateW(Late):
    """Knows ω: w is a constant, which is all that the last division needs."""

    def sent_w(
        self,
        w: list[int],
        a: list[int],
        e: list[int],
        known: tuple[int, int, int, int],
        transcript: Transcript | Foreseen,
    ) -> list[int]:
        z, gamma, a1, e1 = known
        foreseen = Foreseen("late")
        for _ in range(self.n + 5):
            foreseen.absorb(b"")
        omega, inverse = foreseen.challenge(0), pow(z, -1, R)
        numerator = (omega - inverse) * (powers_sum(a, omega) - a1) + gamma * (omega - z) * (powers_sum(e, omega) - e1)
        return [numerator * pow((omega - z) * (omega - inverse), -1, R) % R]


# ---------------------------------------------------------------- roots of polynomials over F


def trimmed(f: Sequence[int]) -> list[int]:
    f = [value % R for value in f]
    while f and not f[-1]:
        f.pop()
    return f


def remainder(f: Sequence[int], g: Sequence[int]) -> list[int]:
    """f mod g."""
    f, scale = trimmed(f), pow(g[-1], -1, R)
    while len(f) >= len(g):
        factor, at = f[-1] * scale % R, len(f) - len(g)
        f = trimmed([value - (factor * g[i - at] if i >= at else 0) for i, value in enumerate(f)])
    return f


def power(f: Sequence[int], exponent: int, g: Sequence[int]) -> list[int]:
    """f^exponent mod g."""
    out = [1]
    for bit in f"{exponent:b}":
        out = remainder(products([(out, out)]), g) or [0]
        if bit == "1":
            out = remainder(products([(out, f)]), g) or [0]
    return out


def divisor(f: Sequence[int], g: Sequence[int]) -> list[int]:
    """The greatest common one."""
    f, g = trimmed(f), trimmed(g)
    while g:
        f, g = g, remainder(f, g)
    return f


def root_of(f: Sequence[int], rng: random.Random) -> int:
    """Some root in F: what f shares with X^r - X, split at random until one linear factor is left."""
    f = trimmed(f)
    f = divisor(f, combination([(1, power([0, 1], R, f)), (-1, [0, 1])]))
    while len(f) > 2:
        half = divisor(f, combination([(1, power([element(rng), 1], (R - 1) // 2, f)), (-1, [1])]))
        if 1 < len(half) < len(f):
            f = half
    if len(f) != 2:
        raise LookupError("no root")
    return -f[0] * pow(f[1], -1, R) % R


def lie(of: type[Liar], **what: object) -> Callable[[Scene], Liar]:
    """A liar that lacks only its scene."""
    return partial(of, **what)
