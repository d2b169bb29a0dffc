"""A prover in plain integers, slow and open: docs/spec/proofs.md step by step, on the reference verifier's index sets.

`Prover` is honest, and a test holds it to the fast prover byte by byte. Each of its methods can be overridden: the
liars of `support.dishonest` do so, and then go on as the protocol says with what they believe. A `Run` says which
claims are false, and whether all the rest holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from eth_abi import encode
from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar
from reference.matrix_circuit import PER_CHANNEL, Circuit
from reference.matrix_claims import (
    BITS,
    C_BITS,
    COMMITTED,
    MASK,
    MASKED,
    PUBLIC,
    Shape,
    W,
    X,
    Y,
    combine,
    functionals,
    table,
)
from reference.matrix_networks import encode_descriptor
from reference.matrix_points import R, Transcript, powers_sum
from reference.matrix_proof import DOMAIN, Statement, claim_values, summand

from cloister.proving import ceremony

Draw = Callable[[], int]
Values = dict[str, int]
Chunk = tuple[str, int]


def element(rng: random.Random) -> int:
    """A field element."""
    return rng.randrange(R)


@dataclass(frozen=True)
class Scene:
    """What everybody tells the truth about: a circuit, the coefficients of C_W, input rows, how they are given.

    `inputs` has 2^β rows of real entries. `padding` goes wherever X and Y have coefficients that nothing reads.
    """

    circuit: Circuit
    weights: tuple[int, ...]
    inputs: tuple[tuple[int, ...], ...]
    input_kind: int = COMMITTED
    output_kind: int = COMMITTED
    context: bytes = bytes(range(32))
    padding: int = 0

    @cached_property
    def shape(self) -> Shape:
        return Shape(self.circuit, (len(self.inputs) - 1).bit_length(), self.input_kind, self.output_kind)

    @cached_property
    def descriptor(self) -> bytes:
        return encode_descriptor(self.circuit)

    def given(self, **kinds: object) -> Scene:
        """The same with other kinds, or anything else changed."""
        return replace(self, **kinds)


@dataclass
class Vector:
    """A committed vector: coefficients, chunk after chunk; one blinding coefficient and one point a chunk."""

    coefficients: list[int]
    blinding: list[int]
    points: list[G1Point] = field(default_factory=list)


@dataclass
class Run:
    """One proof, and the liar's own account of it."""

    statement: Statement
    context: bytes
    first: list[G1Point]
    rounds: list[list[int]]
    values: list[int]
    s: G1Point
    inverse: int
    a1: int
    w: G1Point
    w_prime: G1Point
    challenges: tuple[int, int, int]  # z, γ, ω
    u: dict[Chunk, list[int]]
    points: dict[Chunk, G1Point]
    wrong: dict[int, int]  # claim -> how much is missing; claims that hold are absent
    total: int  # what the claims' values add up to
    truth: int  # what the vectors say

    @property
    def messages(self) -> bytes:
        rounds = b"".join(scalars(message) for message in self.rounds)
        opening = encoded([self.s]) + scalars([self.inverse, self.a1]) + encoded([self.w, self.w_prime])
        return encoded(self.first) + rounds + scalars(self.values) + opening

    @property
    def proof(self) -> bytes:
        """The proof file."""
        statement, shape = self.statement, self.statement.shape
        head = bytes([shape.beta, shape.input_kind, shape.output_kind, 0])
        head += len(statement.descriptor).to_bytes(2, "big") + statement.descriptor
        size = 32 if shape.output_kind == MASKED else 4
        words = b"".join(word.to_bytes(size, "big", signed=size == 4) for word in statement.words)
        inputs = b"".join(word.to_bytes(4, "big", signed=True) for word in statement.inputs)
        points = statement.points
        return b"".join((head, points[W], points[X], inputs, points[Y], words, self.messages))

    def holds(self, total: int) -> bool:
        """The verifier's last check, under the challenges that this prover used, if the claims added up to `total`.

        It takes the prover's word for 1/z.
        """
        (z, gamma, omega), inverse = self.challenges, self.inverse
        left, right = omega - inverse, gamma * (omega - z)
        terms = [(left * powers_sum(u, inverse) + right * powers_sum(u, z), self.points[t]) for t, u in self.u.items()]
        terms.append((-(z * left + right * inverse), self.s))
        terms.append((-(left * self.a1 + right * (2 * total - self.a1)), G1Point()))
        terms.append((-(omega - z) * (omega - inverse), self.w))
        terms.append((omega, self.w_prime))
        opened = linear_combination(terms)
        return GT.pairing_check([opened, -self.w_prime], [G2Point(), ceremony.tau_g2()])


class Foreseen:
    """Challenges that do not depend on what was sent: for a prover that chooses its messages after them."""

    def __init__(self, seed: object) -> None:
        self._seed, self._step = seed, 0

    def absorb(self, message: bytes) -> None:
        self._step += 1

    def challenge(self, number: int) -> int:
        return element(random.Random(f"{self._seed}, step {self._step}, challenge {number}"))

    def challenges(self, first: int, count: int) -> list[int]:
        return [self.challenge(first + i) for i in range(count)]


class Prover:
    """An honest prover of a scene. Every method is one step, and one chance to lie."""

    def __init__(self, scene: Scene, draw: Draw | None = None, seed: int = 0) -> None:
        self.scene, self.shape, self.circuit = scene, scene.shape, scene.circuit
        self.believed = self.believed_circuit()
        self.powers: tuple[int, list[int]] = -1, []
        self.rng = random.Random(f"blinding {seed}")
        self.draw = draw or (lambda: element(self.rng))
        self.size, self.n = self.circuit.D, self.shape.n
        weights = self.believed_weights()
        self.matrix = {here: list(self.entries(weights, read_input=here)) for here in (True, False)}
        self.bias = self.bias_rows(weights)
        self.x = self.input_rows()
        self.z = self.forward()
        self.bits = self.bits_of(self.z)
        self.vectors = {W: self.vector(list(scene.weights), W)}
        self.vectors[X] = self.vector(self.input_coefficients(), X)
        self.results = self.outputs() if self.circuit.stages else []
        self.vectors[Y], self.words = self.output_vector()

    # ------------------------------------------------------------ what it believes

    def believed_circuit(self) -> Circuit:
        """The circuit that the network is run with; as large as the declared one."""
        return self.circuit

    def believed_weights(self) -> list[int]:
        """The coefficients of W that the sumcheck runs with."""
        return list(self.scene.weights)

    def entries(self, weights: Sequence[int], *, read_input: bool) -> Iterator[tuple[int, int, int]]:
        """(row, column, value) of the linear map of one instance."""
        for entry in replace(self.shape, circuit=self.believed).entries(read_input=read_input):
            weight = 1 if entry.weight is None else weights[entry.weight]
            yield entry.row, entry.column, entry.coefficient * weight

    def bias_rows(self, weights: Sequence[int]) -> list[int]:
        """The bias of each of the 2^m positions."""
        rows = [0] * 2**self.circuit.m
        for stage, block in zip(self.believed.stages, self.believed.blocks[1:], strict=True):
            for channel, row, column in block.entries():
                inside = block.inside(channel, row, column)
                at = stage.bias + 2 * (channel if stage.bias_kind == PER_CHANNEL else inside)
                rows[block.offset + inside] = weights[at] + 2**16 * weights[at + 1]
        return rows

    def inputs(self) -> list[list[int]]:
        """The input rows that the network is run on."""
        return [list(row) for row in self.scene.inputs]

    def input_rows(self) -> list[int]:
        """x of each of the 2^n rows."""
        rows, real = [0] * 2**self.n, self.shape.real(0)
        for (i, _), value in zip(real, (v for row in self.inputs() for v in row), strict=True):
            rows[i] = value
        return rows

    def order(self) -> Iterator[int]:
        """Positions, each behind all that it reads."""
        for block in self.believed.blocks:
            yield from range(block.offset, block.offset + 2**block.bits)

    def forward(self) -> list[int]:
        """z of each of the 2^n rows."""
        by_row: dict[int, list[tuple[int, int]]] = {}
        for row, column, value in self.matrix[True] + self.matrix[False]:
            by_row.setdefault(row, []).append((column, value))
        z = [0] * 2**self.n
        for start in range(0, 2**self.n, 2**self.circuit.m):
            active: dict[int, int] = {}
            for position in self.order():
                i = start + position
                sums = (value * active[column] for column, value in by_row.get(position, []))
                z[i] = centered(2**self.believed.sigma * self.x[i] + self.bias[position] + sum(sums))
                active[position] = self.activation(i, z[i])
        return z

    def activation(self, i: int, z: int) -> int:
        """Of an input or a hidden row, from its bits."""
        bits, circuit, block = self.row_bits(i, z), self.believed, self.believed.blocks[0]
        if block.offset <= i % 2**circuit.m < block.offset + 2**block.bits:
            return sum(2 ** (k - circuit.sigma) * bits[k] for k in range(circuit.sigma, circuit.B)) - 2**circuit.t
        return bits[-1] * sum(2 ** (k - circuit.s) * bits[k] for k in range(circuit.s, circuit.B - 1))

    def row_bits(self, i: int, z: int) -> list[int]:
        """b_0(i), b_1(i), …"""
        return [(z + 2 ** (self.circuit.B - 1)) >> k & 1 for k in range(self.circuit.B)]

    def bits_of(self, z: Sequence[int]) -> list[list[int]]:
        """b_k(i): by k, then by i."""
        return [list(column) for column in zip(*(self.row_bits(i, value) for i, value in enumerate(z)), strict=True)]

    def outputs(self) -> list[int]:
        """The numbers given out, real entries of all instances."""
        circuit, found = self.believed, []
        for i, _ in self.shape.real(-1):
            bits = self.row_bits(i, self.z[i])
            shifted = sum(2 ** (k - circuit.s) * bits[k] for k in range(circuit.s, circuit.B))
            found.append(shifted - 2 ** (circuit.B - 1 - circuit.s))
        return found

    # ------------------------------------------------------------ what it commits

    def vector(self, coefficients: Sequence[int], name: str) -> Vector:
        count = self.shape.chunks(name)
        padded = [value % R for value in coefficients] + [0] * (count * self.size - len(coefficients))
        return self.committed(Vector(padded[: count * self.size], [element(self.rng) for _ in range(count)]))

    def committed(self, vector: Vector) -> Vector:
        for t, blinding in enumerate(vector.blinding):
            vector.points.append(self.commit([*vector.coefficients[t * self.size : (t + 1) * self.size], blinding]))
        return vector

    def input_coefficients(self) -> list[int]:
        if self.shape.input_kind == PUBLIC:
            return []
        coefficients = [self.scene.padding] * 2 ** (self.circuit.blocks[0].bits + self.shape.beta)
        values = (value for row in self.scene.inputs for value in row)
        for (_, at), value in zip(self.shape.real(0), values, strict=True):
            coefficients[at] = value
        return coefficients

    def output_vector(self) -> tuple[Vector, list[int]]:
        """Y or the pad, and the public words."""
        if not self.circuit.stages or self.shape.output_kind == PUBLIC:
            return Vector([], []), list(self.results)
        coefficients = [self.scene.padding] * 2 ** (self.circuit.blocks[-1].bits + self.shape.beta)
        words = []
        for (_, at), value in zip(self.shape.real(-1), self.results, strict=True):
            coefficients[at] = value
            if self.shape.output_kind == MASKED:
                coefficients[at] = element(self.rng)
                words.append((value + coefficients[at]) % R)
        return self.vector(coefficients, Y), words

    def mask(self) -> list[int]:
        used = C_BITS + self.circuit.B + sum(self.shape.degrees)
        mask = [self.draw() for _ in range(used)]
        if not self.circuit.stages:
            mask[4] = mask[5] = mask[6] = 0
        if self.shape.input_kind == PUBLIC:
            mask[7] = 0
        if self.shape.output_kind == PUBLIC:
            mask[8] = 0
        return mask

    def committed_bits(self) -> Vector:
        count = self.shape.chunks(BITS)
        coefficients = [bit % R for column in self.bits for bit in column]
        coefficients += [0] * (count * self.size - len(coefficients))
        return self.committed(Vector(coefficients, [self.draw() for _ in range(count)]))

    # ------------------------------------------------------------ the protocol

    def run(self) -> Run:
        shape = self.shape
        mask = self.mask()
        self.vectors[BITS] = self.committed_bits()
        mask += [0] * (self.size - len(mask))
        self.vectors[MASK] = self.committed(Vector(mask, [0]))
        statement = self.statement()
        transcript = self.transcript(statement)
        first = [*self.vectors[BITS].points, *self.vectors[MASK].points]
        transcript.absorb(self.encoded(first))
        tau = transcript.challenges(0, self.n)
        lam, delta = transcript.challenge(self.n), transcript.challenge(self.n + 1)

        rounds, rho, values = self.sumcheck(transcript, tau, lam, delta)
        last_claim = claim_after(rounds, rho)
        g_value = dot_pairs(self.g_functional(rho), self.vectors[MASK].coefficients)

        def g_hat(sent: Values) -> int:
            return (last_claim - summand(statement, sent, tau, lam, delta, rho)) % R

        values = self.sent_values(values, lambda sent: (g_hat(sent) - g_value) % R)
        transcript.absorb(scalars(self.sent(values)))
        mu = transcript.challenge(0)

        sums = functionals(shape, tau, rho)
        targets = claim_values(shape, values, g_hat(values), table(tau), table(rho))
        found = {number: self.read(functional) for number, functional in sums.items()}
        wrong = {number: (found[number] - targets[number]) % R for number in sums}
        total = sum(pow(mu, number, R) * targets[number] for number in sums) % R
        truth = sum(pow(mu, number, R) * found[number] for number in sums) % R
        u = combine(shape, sums, mu)
        s, inverse, a1, w, w_prime, challenges = self.opening(transcript, u, total)
        points = {t: self.vectors[t[0]].points[t[1]] for t in u}
        return Run(
            statement=statement,
            context=self.scene.context,
            first=first,
            rounds=rounds,
            values=self.sent(values),
            s=s,
            inverse=inverse,
            a1=a1,
            w=w,
            w_prime=w_prime,
            challenges=challenges,
            u=u,
            points=points,
            wrong={number: missing for number, missing in wrong.items() if missing},
            total=total,
            truth=truth,
        )

    def statement(self) -> Statement:
        points = {name: self.encoded(self.vectors[name].points) for name in (W, X, Y)}
        inputs = [v for row in self.scene.inputs for v in row] if self.shape.input_kind == PUBLIC else []
        return Statement(self.shape, self.scene.descriptor, points, inputs, self.words)

    def transcript(self, statement: Statement) -> Transcript | Foreseen:
        words = [DOMAIN, self.scene.context, *statement.digests(), self.shape.beta]
        return Transcript(encode(["bytes32"] * 6 + ["uint256"], words))

    def factors(self, tau: list[int]) -> dict[str, list[int]]:
        """The factors of F over the hypercube."""
        size, at_tau = 2**self.circuit.m, table(tau)
        columns = {name: [0] * 2**self.n for name in ("G_in", "G_hid")}
        for name, here in (("G_in", True), ("G_hid", False)):
            for row, column, value in self.matrix[here]:
                for start in range(0, 2**self.n, size):
                    at = start + column
                    columns[name][at] = (columns[name][at] + at_tau[start + row] * value) % R
        columns["bias"] = self.bias * len(self.shape.instances)
        columns["x"] = self.x
        columns |= {f"b_{k}": column for k, column in enumerate(self.bits)}
        columns["y"] = self.output_rows()
        columns["words"] = [0] * 2**self.n
        if self.circuit.stages:
            for (i, _), word in zip(self.shape.real(-1), self.words, strict=bool(self.words)):
                columns["words"][i] = word
        for name, block in (("in_input", 0), ("in_output", -1)):
            inside = set(self.shape.selector(block))
            columns[name] = [int(i in inside) for i in range(2**self.n)]
        return columns | {"eq": at_tau}

    def output_rows(self) -> list[int]:
        """What is committed of the output, y or the pad, at each of the 2^n rows."""
        rows = [0] * 2**self.n
        if self.vectors[Y].points:
            for i, at in self.shape.real(-1):
                rows[i] = self.vectors[Y].coefficients[at]
        return rows

    def mask_of(self, name: str) -> int:
        """c_v."""
        place = {"G_in": 4, "G_hid": 5, "bias": 6, "x": 7, "y": 8}
        if name in place or name.startswith("b_"):
            return self.vectors[MASK].coefficients[place[name] if name in place else C_BITS + int(name[2:])]
        return 0

    def summand(self, values: Values, lam: int, delta: int) -> int:
        """F at one point, from its factors."""
        circuit = self.believed
        b, shift, sigma = circuit.B, circuit.s, circuit.sigma
        bit = [values[f"b_{k}"] for k in range(b)]
        weights = self.weights_of(lam)
        read = sum(2 ** (k - sigma) * bit[k] for k in range(sigma, b)) - 2**circuit.t
        rectified = bit[-1] * sum(2 ** (k - shift) * bit[k] for k in range(shift, b - 1))
        row = values["bias"] + 2**sigma * values["x"] + 2 ** (b - 1) - sum(2**k * bit[k] for k in range(b))
        row += delta * sum(weight * (value * value - value) for weight, value in zip(weights, bit, strict=True))
        if circuit.stages:
            low = sum(weights[k] * bit[k] for k in range(sigma))
            said = sum(2 ** (k - shift) * bit[k] for k in range(shift, b)) - 2 ** (b - 1 - shift)
            y = values["y"] if self.shape.output_kind == COMMITTED else values["words"] - values["y"]
            row += delta**2 * values["in_input"] * low + delta**3 * (values["in_output"] * said - y)
        return (values["G_in"] * read + values["G_hid"] * rectified + values["eq"] * row) % R

    def weights_of(self, lam: int) -> list[int]:
        """1, λ², λ⁴, …"""
        if self.powers[0] != lam:
            self.powers = lam, [pow(lam, 2 * k, R) for k in range(self.circuit.B)]
        return self.powers[1]

    def prepare_sumcheck(self, factors: dict[str, list[int]], lam: int, delta: int) -> None:
        """A chance to look at the whole sum before the first round."""

    def sumcheck(
        self, transcript: Transcript | Foreseen, tau: list[int], lam: int, delta: int
    ) -> tuple[list[list[int]], list[int], Values]:
        """Rounds as sent, ρ, and the masked factors at ρ."""
        factors = {name: [value % R for value in column] for name, column in self.factors(tau).items()}
        self.prepare_sumcheck(factors, lam, delta)
        rounds: list[list[int]] = []
        rho: list[int] = []
        for i, degree in enumerate(self.shape.degrees):
            sums = [self.partial_sum(factors, rho, x, lam, delta) for x in range(degree + 1)]
            rounds.append(self.sent_round(i, interpolated(sums)))
            transcript.absorb(scalars(rounds[-1]))
            rho.append(transcript.challenge(0))
            factors = {name: self.at(name, column, i, rho[-1]) for name, column in factors.items()}
        return rounds, rho, {name: column[0] for name, column in factors.items()}

    def at(self, name: str, column: Sequence[int], i: int, x: int) -> list[int]:
        """A factor with variable i fixed."""
        bump = self.mask_of(name) * x * (1 - x) if i == 0 else 0
        pairs = zip(column[::2], column[1::2], strict=True)
        return [(low + x * (high - low) + bump) % R for low, high in pairs]

    def partial_sum(self, factors: dict[str, list[int]], rho: list[int], x: int, lam: int, delta: int) -> int:
        """F + g at (ρ, x), summed over all variables behind."""
        i = len(rho)
        columns = {name: self.at(name, column, i, x) for name, column in factors.items()}
        rest = len(columns["eq"])
        total = sum(
            self.summand({name: column[at] for name, column in columns.items()}, lam, delta) for at in range(rest)
        )
        coefficients, half = self.vectors[MASK].coefficients, pow(2, -1, R)
        for at, j, e in self.shape.mask_rounds():
            if j <= i:  # those behind add up to nothing
                total += rest * coefficients[at] * (pow(x if j == i else rho[j], e, R) - half)
        return total % R

    def sent_round(self, i: int, coefficients: list[int]) -> list[int]:
        return [coefficients[0], *coefficients[2:]]

    def sent_values(self, values: Values, missing: Callable[[Values], int]) -> Values:
        """The values of step 3. `missing` says by how much ĝ will differ from g(ρ) if such values are sent."""
        return {name: values[name] for name in ("G_in", "G_hid", "bias", "x", "y")} | {
            f"b_{k}": values[f"b_{k}"] for k in range(self.circuit.B)
        }

    def sent(self, values: Values) -> list[int]:
        names = ["G_in", "G_hid", "bias"] if self.circuit.stages else []
        names += ["x"] if self.shape.input_kind == COMMITTED else []
        names += ["y"] if self.shape.output_kind != PUBLIC else []
        return [values[name] % R for name in (*names, *(f"b_{k}" for k in range(self.circuit.B)))]

    def g_functional(self, rho: list[int]) -> dict[int, int]:
        half = pow(2, -1, R)
        return {at: pow(rho[i], e, R) - half for at, i, e in self.shape.mask_rounds()}

    def read(self, functional: dict[tuple[str, int], int]) -> int:
        return sum(c * self.vectors[name].coefficients[at] for (name, at), c in functional.items()) % R

    # ------------------------------------------------------------ section 7

    def opening(
        self, transcript: Transcript | Foreseen, u: dict[Chunk, list[int]], total: int
    ) -> tuple[G1Point, int, int, G1Point, G1Point, tuple[int, int, int]]:
        """C_S, 1/z, a1, C_w, C_w', and z, γ, ω."""
        p = {t: self.chunk(t) for t in u}
        s = self.sent_s(self.cross_terms([(p[t], u[t]) for t in u]), total, transcript, u)
        s_point = self.commit(s)
        transcript.absorb(self.encoded([s_point]))
        z = transcript.challenge(0)
        inverse = self.sent_inverse(z, s, u, total)
        a = combination([(powers_sum(u[t], inverse), p[t]) for t in u] + [(-z, s)])
        e = combination([(powers_sum(u[t], z), p[t]) for t in u] + [(-inverse, s)])
        a1 = self.sent_a1(powers_sum(a, z), 2 * total - powers_sum(e, inverse))
        transcript.absorb(scalars([inverse, a1]))
        gamma = transcript.challenge(0)
        w = combination([(1, divided(a, z)), (gamma, divided(e, inverse))])
        w = self.sent_w(w, a, e, (z, gamma, a1, 2 * total - a1), transcript)
        w_point = self.commit(w)
        transcript.absorb(self.encoded([w_point]))
        omega = transcript.challenge(0)
        last = combination([(omega - inverse, a), (gamma * (omega - z), e), (-(omega - z) * (omega - inverse), w)])
        # a1 and e1 are constants, which division by X - ω drops.
        return s_point, inverse, a1, w_point, self.commit(divided(last, omega)), (z, gamma, omega)

    def chunk(self, t: Chunk) -> list[int]:
        vector = self.vectors[t[0]]
        return [*vector.coefficients[t[1] * self.size : (t[1] + 1) * self.size], vector.blinding[t[1]]]

    def cross_terms(self, pairs: list[tuple[list[int], list[int]]]) -> list[int]:
        """S."""
        product = products([(one, other[::-1]) for one, other in pairs])
        middle = self.size - 1
        return [
            (product[middle + j] + (product[middle - j] if j <= middle else 0)) % R for j in range(1, self.size + 1)
        ]

    def sent_s(
        self, s: list[int], total: int, transcript: Transcript | Foreseen, u: dict[Chunk, list[int]]
    ) -> list[int]:
        return s

    def sent_inverse(self, z: int, s: list[int], u: dict[Chunk, list[int]], total: int) -> int:
        """1/z."""
        return pow(z, -1, R)

    def sent_a1(self, value: int, wanted: int) -> int:
        """`value` is A(z); `wanted` is what a verifier makes of E(1/z)."""
        return value

    def sent_w(
        self,
        w: list[int],
        a: list[int],
        e: list[int],
        known: tuple[int, int, int, int],
        transcript: Transcript | Foreseen,
    ) -> list[int]:
        """`known`: z, γ, a1, e1."""
        return w

    # ------------------------------------------------------------ points

    def commit(self, coefficients: Sequence[int]) -> G1Point:
        powers = ceremony.powers()
        return linear_combination([(value, powers[i]) for i, value in enumerate(coefficients) if value % R])

    def encoded(self, points: Sequence[G1Point]) -> bytes:
        return encoded(points)


# ---------------------------------------------------------------- arithmetic


def scalars(values: Sequence[int]) -> bytes:
    return b"".join((value % R).to_bytes(32, "big") for value in values)


def encoded(points: Sequence[G1Point]) -> bytes:
    """EIP-2537."""
    pad, parts = bytes(16), []
    for point in points:
        xy = bytes(96) if point == G1Point.identity() else point.to_xy_bytes_be()
        parts.append(pad + xy[:48] + pad + xy[48:])
    return b"".join(parts)


def linear_combination(terms: Sequence[tuple[int, G1Point]]) -> G1Point:
    if not terms:
        return G1Point.identity()
    numbers, points = zip(*terms, strict=True)
    factors = [Scalar.from_le_bytes((value % R).to_bytes(32, "little")) for value in numbers]
    return G1Point.multiexp_unchecked(list(points), factors)


def centered(value: int) -> int:
    """The residue next to 0."""
    return (value + R // 2) % R - R // 2


def dot(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(a * b for a, b in zip(one, other, strict=True)) % R


def dot_pairs(functional: dict[int, int], coefficients: Sequence[int]) -> int:
    return sum(factor * coefficients[at] for at, factor in functional.items()) % R


def claim_after(rounds: list[list[int]], rho: list[int]) -> int:
    """The verifier's claim when all rounds are over."""
    claim = 0
    for (constant, *higher), x in zip(rounds, rho, strict=True):
        claim = powers_sum([constant, claim - 2 * constant - sum(higher), *higher], x)
    return claim


def combination(terms: Sequence[tuple[int, Sequence[int]]]) -> list[int]:
    """Σ factor·polynomial."""
    out = [0] * max(len(polynomial) for _, polynomial in terms)
    for factor, polynomial in terms:
        for i, value in enumerate(polynomial):
            out[i] += factor * value
    return [value % R for value in out]


def divided(polynomial: Sequence[int], root: int) -> list[int]:
    """(f - f(root)) / (X - root)."""
    quotient, carry = [], 0
    for value in reversed(polynomial[1:]):
        carry = (carry * root + value) % R
        quotient.append(carry)
    return quotient[::-1]


def interpolated(values: Sequence[int]) -> list[int]:
    """Coefficients of the polynomial with these values at 0, 1, 2, …: Newton's differences."""
    differences = [value % R for value in values]
    for order in range(1, len(values)):
        for i in range(len(values) - 1, order - 1, -1):
            differences[i] = (differences[i] - differences[i - 1]) * pow(order, -1, R) % R
    coefficients = [0]
    for i in reversed(range(len(values))):  # times (X - i), plus the difference
        shifted = [0, *coefficients]
        coefficients = [(up - i * low) % R for up, low in zip(shifted, [*coefficients, 0], strict=True)]
        coefficients[0] = (coefficients[0] + differences[i]) % R
    return coefficients[: len(values)]


SLOT = 72  # bytes: room for sums of 2^50 products


def products(pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[int]:
    """Σ f·g, by one multiplication of large integers each."""
    total, length = 0, max(len(f) + len(g) - 1 for f, g in pairs)
    for f, g in pairs:
        packed = [int.from_bytes(b"".join(v.to_bytes(SLOT, "little") for v in poly), "little") for poly in (f, g)]
        total += packed[0] * packed[1]
    data = total.to_bytes(SLOT * (length + 1), "little")
    return [int.from_bytes(data[i * SLOT : (i + 1) * SLOT], "little") % R for i in range(length)]


def square_root(value: int) -> int | None:
    """Tonelli and Shanks; 7 is no square."""
    odd, power = (R - 1) >> 32, 32
    if pow(value, (R - 1) // 2, R) == R - 1:
        return None
    root, rest, step = pow(value, (odd + 1) // 2, R), pow(value, odd, R), pow(7, odd, R)
    while rest not in (0, 1):
        order, square = 0, rest
        while square != 1:
            square, order = square * square % R, order + 1
        factor = pow(step, 1 << power - order - 1, R)
        root, step, power = root * factor % R, factor * factor % R, order
        rest = rest * step % R
    return root
