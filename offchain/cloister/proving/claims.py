"""What the sumcheck leaves to show: docs/spec/proofs.md, section 5, "Claims". Prover and verifier call it alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from cloister.proving import linear
from cloister.proving.circuit import Block
from cloister.proving.functionals import Eq, Fixed, Functional, Listed, Part, listed
from cloister.proving.linear import Coordinates
from cloister.proving.messages import ClaimedValues, degree_of
from cloister.proving.scalars import R, eq, eq_points, eq_values, inverse
from cloister.proving.statement import Kind, Statement, Values

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
    first_bit: int = BLINDERS + 4

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


def public_at(values: Values, block: Block, entries: int, point: Sequence[int]) -> int:
    """Σ over instances and real entries of eq(point, instance·2^e + position)·word."""
    channels, rows, columns = block.shape
    c, y, x = block.bits
    within = [
        first * second % R * third % R
        for first in eq_values(point[x + y : x + y + c], channels)
        for second in eq_values(point[x : x + y], rows)
        for third in eq_values(point[:x], columns)
    ]
    total = 0
    for instance, weight in enumerate(eq_values(point[block.size_bits :], len(values.words) // entries)):
        words = values.words[instance * entries : (instance + 1) * entries]
        total += weight * sum(a * b for a, b in zip(within, words, strict=True))
    return total % R


def public_input(statement: Statement, rho: Sequence[int]) -> int:
    """X~(ρ) of a public input."""
    circuit = statement.circuit
    block = circuit.input
    point = (*rho[: block.size_bits], *rho[circuit.position_bits :])
    selector = Coordinates.of(rho, block, circuit.position_bits).selector
    return selector * public_at(statement.inputs, block, circuit.inputs, point) % R


def combined(statement: Statement, values: ClaimedValues, challenges: SumcheckChallenges) -> int:
    """F at ρ, from the claimed values of its factors."""
    circuit = statement.circuit
    bits, b = circuit.bits, values.bits
    a_input = sum(b[k] << k - circuit.sigma for k in range(circuit.sigma, bits)) - (1 << circuit.input_bits)
    u = sum(b[k] << k - circuit.shift for k in range(circuit.shift, bits - 1))
    row = values.bias + (values.x << circuit.sigma) + (1 << bits - 1) - sum(b[k] << k for k in range(bits))
    square, weight, booleanity = challenges.lam * challenges.lam % R, 1, 0
    for value in b:
        booleanity += weight * (value * value - value)
        weight = weight * square % R
    row += challenges.delta * booleanity
    return (
        values.g_input * a_input
        + values.g_hidden * b[-1] % R * u
        + eq_points(challenges.tau, challenges.rho) * (row % R)
    ) % R


def claims(
    statement: Statement,
    values: ClaimedValues,
    challenges: SumcheckChallenges,
    g: int,
    tau_out: Sequence[int],
    mu: int,
) -> Claims:
    """All claims, claim j times μ^j, as functionals of the committed vectors."""
    return _Builder(statement, values, challenges, g, tau_out, mu).build()


class _Builder:
    def __init__(
        self,
        statement: Statement,
        values: ClaimedValues,
        challenges: SumcheckChallenges,
        g: int,
        tau_out: Sequence[int],
        mu: int,
    ) -> None:
        self._statement = statement
        self._circuit = statement.circuit
        self._values = values
        self._challenges = challenges
        self._g = g
        self._tau_out = tau_out
        self._weights = [pow(mu, j, R) for j in range(statement.circuit.bits + 8)]
        self._mask = [0] * MaskLayout(statement.circuit.bits, statement.variables).end
        self._layout = MaskLayout(statement.circuit.bits, statement.variables)
        self._total = 0

    def build(self) -> Claims:
        first, *_ = rho = self._challenges.rho
        factor = first * (1 - first) % R
        functionals = [(Committed.BITS, f) for f in self._bits(factor)]
        if self._circuit.stages:
            functionals += [(Committed.WEIGHTS, f) for f in self._linear(factor)]
            functionals += [(Committed.BITS, f) for f in (*self._low_input_bits(), self._output_bits())]
        functionals += [(Committed.INPUT, f) for f in self._input(factor)]
        functionals += [(Committed.OUTPUT, f) for f in self._output()]
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
        if self._statement.inputs.kind == Kind.PUBLIC:
            return
        circuit, rho = self._circuit, self._challenges.rho
        weight = self._weight(4)
        self._masked(weight, self._layout.x, factor, self._values.x)
        at = Coordinates.of(rho, circuit.input, circuit.position_bits)
        axes = _block_axes(circuit.input, at.axes, rho[circuit.position_bits :])
        yield Functional(axes, 0, weight * at.selector % R)

    def _low_input_bits(self) -> Iterator[Functional]:
        """Claim B+5: an input's z is a multiple of 2^σ."""
        circuit, tau = self._circuit, self._challenges.tau
        if not circuit.sigma:
            return
        lam = [pow(self._challenges.lam, k, R) for k in range(circuit.sigma)]
        selector = eq(tau[circuit.input.size_bits : circuit.position_bits], self._selected(circuit.input).digit)
        axes = (
            _whole(tau[: circuit.input.size_bits]),
            self._selected(circuit.input),
            _whole(tau[circuit.position_bits :]),
            listed(lam),
        )
        yield Functional(axes, 0, self._weight(5) * selector % R)

    def _output_bits(self) -> Functional:
        """The bits of claim B+6."""
        circuit, point = self._circuit, self._tau_out
        block = circuit.output
        digits = [0] * circuit.shift + [1 << k for k in range(circuit.bits - circuit.shift)]
        axes = (
            _whole(point[: block.size_bits]),
            self._selected(block),
            _whole(point[block.size_bits :]),
            listed(digits),
        )
        return Functional(axes, 0, self._weight(6))

    def _output(self) -> Iterator[Functional]:
        """The committed part of claim B+6, and its value."""
        circuit, outputs = self._circuit, self._statement.outputs
        if not circuit.stages:
            return
        block, point, weight = circuit.output, self._tau_out, self._weight(6)
        value = 1 << circuit.bits - 1 - circuit.shift
        if outputs.words:
            value += public_at(outputs, block, circuit.outputs, point)
        self._total += weight * value
        if outputs.kind != Kind.PUBLIC:
            sign = -1 if outputs.kind == Kind.COMMITTED else 1
            c, y, x = block.bits
            axes = (tuple(point[x + y : x + y + c]), tuple(point[x : x + y]), tuple(point[:x]))
            yield Functional(_block_axes(block, axes, point[block.size_bits :]), 0, sign * weight % R)

    def _rounds(self, rho: Sequence[int]) -> None:
        """Claim B+7."""
        weight = self._weight(7)
        for i, x in enumerate(rho):
            power = 1
            for e in range(degree_of(i)):
                power = power * x % R
                self._mask[self._layout.round(i) + e] = weight * (power - HALF) % R
        self._total += weight * self._g

    def _selected(self, block: Block) -> Fixed:
        size = block.size_bits
        return Fixed(block.offset >> size, self._circuit.position_bits - size)


def _whole(point: Sequence[int]) -> Eq:
    return Eq(tuple(point), 1 << len(point))


def _block_axes(
    block: Block, axes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], instances: Sequence[int]
) -> tuple[Eq, Eq, Eq, Eq]:
    """Real entries of a block in every instance, from the lowest axis up."""
    channels, rows, columns = (Eq(point, extent) for point, extent in zip(axes, block.shape, strict=True))
    return columns, rows, channels, _whole(instances)
