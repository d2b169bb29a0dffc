"""The claims of docs/spec/proofs.md, section 5, as direct sums over index sets.

A functional is a dictionary {(vector, index): coefficient}. None of the page's factorisations is used: eq over all
n coordinates, the map entry by entry, instance after instance.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .matrix_circuit import PER_CHANNEL, Circuit, Entry
from .matrix_points import R

__all__ = ["Shape", "combine", "functionals", "public_terms", "table"]

W, X, Y, BITS, MASK = "W", "X", "Y", "bits", "Mask"
PUBLIC, COMMITTED, MASKED = range(3)  # kinds of inputs and outputs
C_GIN, C_GHID, C_BIAS, C_X, C_Y, C_BITS = 4, 5, 6, 7, 8, 9  # in the Mask vector

Functional = Counter[tuple[str, int]]


@dataclass(frozen=True)
class Shape:
    """Everything public that has a size."""

    circuit: Circuit
    beta: int
    input_kind: int
    output_kind: int

    @property
    def n(self) -> int:
        return self.circuit.m + self.beta

    @property
    def instances(self) -> range:
        return range(2**self.beta)

    @property
    def degrees(self) -> list[int]:
        """Of the sumcheck's rounds."""
        return [6] + [3] * (self.n - 1)

    def chunks(self, vector: str) -> int:
        """The table of section 4."""
        circuit = self.circuit
        if vector == W:
            return circuit.chunks
        if vector == MASK:
            return 1
        if (vector == X and self.input_kind == PUBLIC) or (vector == Y and self.output_kind == PUBLIC):
            return 0
        if vector == BITS:
            used = circuit.B * 2**self.n
        else:
            used = 1 + max(index for _, index in self.real(0 if vector == X else -1))
        return ceil_div(used, circuit.D)

    def real(self, block: int) -> list[tuple[int, int]]:
        """(index among 2^n, index in X or Y) of every real entry of a block, in the order of public values."""
        of, m = self.circuit.blocks[block], self.circuit.m
        return [
            (instance * 2**m + of.offset + position, instance * 2**of.bits + position)
            for instance in self.instances
            for position in of.positions()
        ]

    def selector(self, block: int) -> list[int]:
        """Which of the 2^n rows are positions of a block, padding included."""
        of, m = self.circuit.blocks[block], self.circuit.m
        starts = [instance * 2**m + of.offset for instance in self.instances]
        return [start + position for start in starts for position in range(2**of.bits)]

    def bit(self, k: int, i: int) -> tuple[str, int]:
        return BITS, k * 2**self.n + i

    def entries(self, *, read_input: bool) -> Iterator[Entry]:
        """The entries of M that read block 0, or the others."""
        for index, stage in enumerate(self.circuit.stages, start=1):
            for term in stage.terms:
                if (term.source == 0) == read_input:
                    yield from self.circuit.term_entries(index, term)

    def mask_rounds(self) -> list[tuple[int, int, int]]:
        """(index in Mask, i, e) of every g_{i,e} (section 6)."""
        pairs = [(i, e) for i, degree in enumerate(self.degrees) for e in range(1, degree + 1)]
        return [(C_BITS + self.circuit.B + at, i, e) for at, (i, e) in enumerate(pairs)]


def ceil_div(number: int, by: int) -> int:
    return -(-number // by)


def table(rho: list[int]) -> list[int]:
    """eq(ρ, i) for every i: each coordinate is the next higher bit of i."""
    found = [1]
    for x in rho:
        found = [value * (1 - x) % R for value in found] + [value * x % R for value in found]
    return found


def functionals(shape: Shape, tau: list[int], rho: list[int]) -> dict[int, Functional]:
    """Claim number -> functional, without the claims that are absent."""
    circuit, at_tau, at_rho = shape.circuit, table(tau), table(rho)
    b, m_hat = circuit.B, rho[0] * (1 - rho[0]) % R
    found: dict[int, Functional] = {}
    for k in range(b):
        found[1 + k] = Counter({shape.bit(k, i): at_rho[i] for i in range(2**shape.n)})
        found[1 + k][MASK, C_BITS + k] = m_hat
    if circuit.stages:
        found[b + 1] = learned_terms(shape, at_tau, at_rho, read_input=True)
        found[b + 1][MASK, C_GIN] = m_hat
        found[b + 2] = learned_terms(shape, at_tau, at_rho, read_input=False)
        found[b + 2][MASK, C_GHID] = m_hat
        found[b + 3] = biases(shape, at_rho)
        found[b + 3][MASK, C_BIAS] = m_hat
    if shape.input_kind == COMMITTED:
        found[b + 4] = Counter({(X, index): at_rho[i] for i, index in shape.real(0)})
        found[b + 4][MASK, C_X] = m_hat
    if circuit.stages and shape.output_kind != PUBLIC:
        found[b + 5] = Counter({(Y, index): at_rho[i] for i, index in shape.real(-1)})
        found[b + 5][MASK, C_Y] = m_hat
    half = pow(2, -1, R)
    found[b + 6] = Counter({(MASK, at): (pow(rho[i], e, R) - half) % R for at, i, e in shape.mask_rounds()})
    return found


def learned_terms(shape: Shape, at_tau: list[int], at_rho: list[int], *, read_input: bool) -> Functional:
    """Claims B+1 and B+2: Σ over entries of M of eq(τ, row)·eq(ρ, column), for each weight."""
    found: Functional = Counter()
    for entry in shape.entries(read_input=read_input):
        if entry.weight is not None:
            found[W, entry.weight] += entry_sum(shape, entry, at_tau, at_rho)
    return found


def public_terms(shape: Shape, at_tau: list[int], at_rho: list[int], *, read_input: bool) -> int:
    """The same over the entries without a weight: a number."""
    entries = [entry for entry in shape.entries(read_input=read_input) if entry.weight is None]
    return sum(entry_sum(shape, entry, at_tau, at_rho) for entry in entries) % R


def entry_sum(shape: Shape, entry: Entry, at_tau: list[int], at_rho: list[int]) -> int:
    """One entry of M, in all instances."""
    starts = [instance * 2**shape.circuit.m for instance in shape.instances]
    return entry.coefficient * sum(at_tau[start + entry.row] * at_rho[start + entry.column] for start in starts) % R


def biases(shape: Shape, at_rho: list[int]) -> Functional:
    """Claim B+3."""
    found: Functional = Counter()
    for index, stage in enumerate(shape.circuit.stages, start=1):
        block = shape.circuit.blocks[index]
        for instance in shape.instances:
            for channel, row, column in block.entries():
                position = block.inside(channel, row, column)
                weight = at_rho[instance * 2**shape.circuit.m + block.offset + position]
                at = stage.bias + 2 * (channel if stage.bias_kind == PER_CHANNEL else position)
                found[W, at] += weight
                found[W, at + 1] += 2**16 * weight
    return found


def combine(shape: Shape, claims: dict[int, Functional], mu: int) -> dict[tuple[str, int], list[int]]:
    """The coefficients of U_t for every chunk t of every vector: Σ_j μ^j·functional j."""
    size = shape.circuit.D
    chunks = {(vector, t): [0] * size for vector in (W, X, Y, BITS, MASK) for t in range(shape.chunks(vector))}
    for number, functional in claims.items():
        weight = pow(mu, number, R)
        for (vector, index), coefficient in functional.items():
            chunk = chunks[vector, index // size]
            chunk[index % size] = (chunk[index % size] + weight * coefficient) % R
    return chunks
