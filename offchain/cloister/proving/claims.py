"""What the sumcheck leaves to show: docs/spec/proofs.md, section 5, "Claims". Prover and verifier call it alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from cloister.proving import linear
from cloister.proving.circuit import Block
from cloister.proving.functionals import Eq, Functional, Listed, Part, listed
from cloister.proving.linear import Coordinates
from cloister.proving.messages import ClaimedValues, degree_of
from cloister.proving.scalars import R, eq_points, eq_values, inverse
from cloister.proving.statement import Statement, Values

HALF: Final = inverse(2)
BLINDERS: Final = 4
"""Uniform coefficients at the start of the Mask chunk that nothing reads."""


class Committed(Enum):
    """The committed vectors, in the order of the final multi-exponentiation."""

    WEIGHTS = auto()
    INPUT = auto()
    OUTPUT = auto()
    BITS = auto()
    MASK = auto()


@dataclass(frozen=True, slots=True)
class MaskLayout:
    """Where the Mask chunk keeps what: section 6."""

    bits: int
    variables: int

    g_input: int = BLINDERS
    g_hidden: int = BLINDERS + 1
    bias: int = BLINDERS + 2
    x: int = BLINDERS + 3
    y: int = BLINDERS + 4
    first_bit: int = BLINDERS + 5

    def round(self, index: int) -> int:
        """Place of g_{index,1}."""
        return self.first_bit + self.bits + sum(degree_of(i) for i in range(index))

    @property
    def end(self) -> int:
        """Coefficients in use."""
        return self.round(self.variables)


@dataclass(frozen=True, slots=True)
class SumcheckChallenges:
    """Drawn after the commitments, and one ρ_i a round."""

    tau: tuple[int, ...]
    lam: int
    delta: int
    rho: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Claims:
    """Σ over `functionals` of <vector, functional> must be `total`."""

    functionals: tuple[tuple[Committed, Functional], ...]
    total: int

    def parts(self, chunk_bits: int) -> list[tuple[Committed, Part]]:
        """All functionals, cut into chunks."""
        return [(name, part) for name, functional in self.functionals for part in functional.parts(chunk_bits)]


def selected(block: Block, point: Sequence[int], position_bits: int) -> int:
    """sel_b(point): whether a position lies in the block."""
    return Coordinates.of(point, block, position_bits).selector


def public_at(statement: Statement, values: Values, block: Block, rho: Sequence[int]) -> int:
    """The public words of an input or output, as a function over all positions, at ρ."""
    m, (channels, rows, columns) = statement.circuit.position_bits, block.shape
    at = Coordinates.of(rho, block, m)
    within = [
        first * second % R * third % R
        for first in eq_values(at.axes[0], channels)
        for second in eq_values(at.axes[1], rows)
        for third in eq_values(at.axes[2], columns)
    ]
    total = 0
    for instance, weight in enumerate(eq_values(rho[m:], statement.instances)):
        words = values.words[instance * len(within) : (instance + 1) * len(within)]
        total += weight * sum(a * b for a, b in zip(within, words, strict=True))
    return at.selector * total % R


def combined(statement: Statement, values: ClaimedValues, challenges: SumcheckChallenges) -> int:
    """F at ρ, from the claimed values of its factors."""
    circuit, rho = statement.circuit, challenges.rho
    bits, sigma, b = circuit.bits, circuit.sigma, values.bits
    a_input = sum(b[k] << k - sigma for k in range(sigma, bits)) - (1 << circuit.input_bits)
    u = sum(b[k] << k - circuit.shift for k in range(circuit.shift, bits - 1))
    row = values.bias + (values.x << sigma) + (1 << bits - 1) - sum(b[k] << k for k in range(bits))
    weights = lambda_weights(challenges.lam, bits)
    row += challenges.delta * sum(w * (value * value - value) for w, value in zip(weights, b, strict=True))
    if circuit.stages:
        low = sum(w * value for w, value in zip(weights[:sigma], b, strict=False))
        row += pow(challenges.delta, 2, R) * selected(circuit.input, rho, circuit.position_bits) * low
        answer = sum(b[k] << k - circuit.shift for k in range(circuit.shift, bits)) - (1 << bits - 1 - circuit.shift)
        answer = answer * selected(circuit.output, rho, circuit.position_bits) - values.y
        row += pow(challenges.delta, 3, R) * answer
    return (values.g_input * a_input + values.g_hidden * b[-1] % R * u + eq_points(challenges.tau, rho) * (row % R)) % R


def lambda_weights(lam: int, count: int) -> list[int]:
    """1, λ², λ⁴, …"""
    square, weights = lam * lam % R, [1]
    while len(weights) < count:
        weights.append(weights[-1] * square % R)
    return weights[:count]


def claims(
    statement: Statement,
    values: ClaimedValues,
    challenges: SumcheckChallenges,
    g: int,
    mu: int,
) -> Claims:
    """All claims, claim j times μ^j, as functionals of the committed vectors."""
    return _Builder(statement, values, challenges, g, mu).build()


class _Builder:
    def __init__(
        self,
        statement: Statement,
        values: ClaimedValues,
        challenges: SumcheckChallenges,
        g: int,
        mu: int,
    ) -> None:
        self._statement = statement
        self._circuit = statement.circuit
        self._values = values
        self._challenges = challenges
        self._g = g
        self._weights = [pow(mu, j, R) for j in range(statement.circuit.bits + 7)]
        self._layout = MaskLayout(statement.circuit.bits, statement.variables)
        self._mask = [0] * self._layout.end
        self._total = 0

    def build(self) -> Claims:
        first, *_ = rho = self._challenges.rho
        factor = first * (1 - first) % R
        functionals = [(Committed.BITS, f) for f in self._bits(factor)]
        if self._circuit.stages:
            functionals += [(Committed.WEIGHTS, f) for f in self._linear(factor)]
        functionals += [(Committed.INPUT, f) for f in self._input(factor)]
        functionals += [(Committed.OUTPUT, f) for f in self._output(factor)]
        self._rounds(rho)
        mask = Listed(tuple(self._mask), self._circuit.chunk_bits)
        functionals.append((Committed.MASK, Functional((mask,), 0, 1)))
        return Claims(tuple(functionals), self._total % R)

    def _weight(self, after_bits: int) -> int:
        """μ^(B + after_bits)."""
        return self._weights[self._circuit.bits + after_bits]

    def _masked(self, weight: int, place: int, factor: int, value: int) -> None:
        self._mask[place] = weight * factor % R
        self._total += weight * value

    def _bits(self, factor: int) -> Iterator[Functional]:
        """Claims 1 to B."""
        bits = self._circuit.bits
        weights = self._weights[1 : bits + 1]
        for k, (weight, value) in enumerate(zip(weights, self._values.bits, strict=True)):
            self._masked(weight, self._layout.first_bit + k, factor, value)
        n = self._statement.variables
        yield Functional((Eq(self._challenges.rho, 1 << n), listed(weights)), 0, 1)

    def _linear(self, factor: int) -> Iterator[Functional]:
        """Claims B+1 to B+3."""
        circuit, tau, rho = self._circuit, self._challenges.tau, self._challenges.rho
        public_input_part, public_hidden_part = linear.public_parts(circuit, tau, rho)
        scale_input, scale_hidden, scale_bias = (self._weight(j) for j in (1, 2, 3))
        self._masked(scale_input, self._layout.g_input, factor, self._values.g_input - public_input_part)
        self._masked(scale_hidden, self._layout.g_hidden, factor, self._values.g_hidden - public_hidden_part)
        self._masked(scale_bias, self._layout.bias, factor, self._values.bias)
        yield from linear.learned(circuit, tau, rho, scale_input, scale_hidden)
        yield from linear.biases(circuit, rho, scale_bias)

    def _input(self, factor: int) -> Iterator[Functional]:
        """Claim B+4."""
        if self._statement.inputs.points:
            self._masked(self._weight(4), self._layout.x, factor, self._values.x)
            yield self._entries(self._circuit.input, self._weight(4))

    def _output(self, factor: int) -> Iterator[Functional]:
        """Claim B+5."""
        if self._statement.outputs.points:
            self._masked(self._weight(5), self._layout.y, factor, self._values.y)
            yield self._entries(self._circuit.output, self._weight(5))

    def _entries(self, block: Block, weight: int) -> Functional:
        """Real entries of a block in every instance, at ρ."""
        m, rho = self._circuit.position_bits, self._challenges.rho
        at = Coordinates.of(rho, block, m)
        channels, rows, columns = (Eq(point, extent) for point, extent in zip(at.axes, block.shape, strict=True))
        instances = Eq(tuple(rho[m:]), self._statement.instances)
        return Functional((columns, rows, channels, instances), 0, weight * at.selector % R)

    def _rounds(self, rho: Sequence[int]) -> None:
        """Claim B+6."""
        weight = self._weight(6)
        for i, x in enumerate(rho):
            power = 1
            for e in range(degree_of(i)):
                power = power * x % R
                self._mask[self._layout.round(i) + e] = weight * (power - HALF) % R
        self._total += weight * self._g
