"""The reference verifier against a prover as plain as itself, over a ceremony whose secret the test knows.

The prover evaluates the summand on the whole hypercube, round by round, and commits with p(τ)·G1. A test with a lie
in it says which claims do not hold, and which of the four parts of the summand (section 5) do not add up to nothing.
"""

import functools
import random
from dataclasses import dataclass, field

import pytest
from eth_abi import encode
from py_ecc.optimized_bls12_381 import G1, G2, Z1, add, double, eq, multiply, normalize
from reference import matrix_proof
from reference.matrix_circuit import DENSE, Block, Circuit, Stage, Term
from reference.matrix_claims import (
    BITS,
    C_BIAS,
    C_BITS,
    C_GHID,
    C_GIN,
    C_X,
    C_Y,
    MASK,
    Shape,
    W,
    X,
    Y,
    functionals,
    table,
)
from reference.matrix_networks import encode_descriptor, random_circuit, random_weights, run
from reference.matrix_points import R, Transcript, powers_sum, same_pairing
from reference.matrix_proof import DOMAIN, Refused, Statement, examine

SECRET = 0x1F2E3D4C5B6A798877665544332211
CONTEXT = bytes(range(32))
PUBLIC, COMMITTED, MASKED = range(3)
KINDS = [(given, out) for given in range(2) for out in range(3)]
PARTS = ["rows", "bits", "low bits", "outputs"]  # of F, by their power of δ


@functools.cache
def doubled(times):
    """2^times·G1."""
    return double(doubled(times - 1)) if times else G1


def commit(polynomial):
    value = powers_sum(polynomial, SECRET)
    if value == 0:
        return bytes(128)
    point = functools.reduce(add, [doubled(k) for k in range(value.bit_length()) if value >> k & 1], Z1)
    return b"".join(int(c).to_bytes(64, "big") for c in normalize(point))


def scalars(values):
    return b"".join((value % R).to_bytes(32, "big") for value in values)


def divide(polynomial, root):
    """(p - p(root)) / (X - root)."""
    quotient, carry = [], 0
    for coefficient in reversed(polynomial):
        quotient.insert(0, carry)
        carry = (carry * root + coefficient) % R
    return quotient[:-1] or [0]


def combination(*terms):
    """Σ scalar·polynomial."""
    total = [0] * max(len(polynomial) for _, polynomial in terms)
    for scalar, polynomial in terms:
        for i, coefficient in enumerate(polynomial):
            total[i] = (total[i] + scalar * coefficient) % R
    return total


def multiplied(one, other):
    """The product of two polynomials over the integers, through that of two numbers with a slot per coefficient."""
    slot = 80  # bytes: no sum of 2^20 products of two field elements is as long
    product = packed(one, slot) * packed(other, slot)
    data = product.to_bytes(slot * (len(one) + len(other) - 1), "little")
    return [int.from_bytes(data[at : at + slot], "little") for at in range(0, len(data), slot)]


def packed(polynomial, slot):
    return int.from_bytes(b"".join((c % R).to_bytes(slot, "little") for c in polynomial), "little")


def interpolate(values):
    """The coefficients of the polynomial with these values at 0, 1, …"""
    total = [0] * len(values)
    for i, value in enumerate(values):
        basis, scale = [1], 1
        for j in range(len(values)):
            if j != i:
                basis = combination((1, [0, *basis]), (-j, basis))
                scale = scale * (i - j) % R
        total = combination((1, total), (value * pow(scale, -1, R), basis))
    return total


@dataclass
class Prover:
    """Everything a prover holds; a lie changes some of it before `proof`."""

    shape: Shape
    rng: random.Random
    weights: list[int]
    inputs: list[int]  # public order, all instances
    outputs: list[int]
    z: list[int]  # of all 2^n rows
    vectors: dict = field(default_factory=dict)  # coefficients
    words: list[int] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)  # what the sumcheck takes for Y's coefficients: outputs, or the pad
    blindings: dict = field(default_factory=dict)  # by vector and chunk
    off: int = 0  # by how much the 1/z that is sent is wrong, as an integer

    @classmethod
    def honest(cls, seed, beta=0, kinds=(0, 0), stages=2):
        circuit = random_circuit(seed, stages, b=20)
        return cls.of(circuit, random.Random(seed), beta, kinds)

    @classmethod
    def of(cls, circuit, rng, beta=0, kinds=(0, 0)):
        weights = random_weights(rng, circuit, 3)
        inputs, outputs, z = [], [], []
        for _ in range(2**beta):
            first = circuit.blocks[0]
            low, high = (-(2**circuit.t), 2**circuit.t - 1) if not circuit.stages else (-32, 31)
            row = [rng.randint(low, high) for _ in range(first.channels * first.rows * first.columns)]
            sums, out = run(circuit, weights, row)
            inputs, outputs, z = inputs + row, outputs + out, z + sums
        self = cls(Shape(circuit, beta, *kinds), rng, weights, inputs, outputs, z)
        self.lay()
        return self

    def lay(self):
        """Coefficients of every vector, from z, inputs and outputs; whatever no functional reads is random."""
        shape, circuit, size = self.shape, self.shape.circuit, self.shape.circuit.D
        free = {v: [self.rng.randrange(R) for _ in range(shape.chunks(v) * size)] for v in (X, Y, BITS, MASK)}
        self.vectors = free | {W: list(self.weights)}
        if shape.input_kind:
            for (_, index), value in zip(shape.real(0), self.inputs, strict=True):
                free[X][index] = value
        if shape.output_kind == COMMITTED:
            for (_, index), value in zip(shape.real(-1), self.outputs, strict=True):
                free[Y][index] = value
        self.hidden = [free[Y][index] for _, index in shape.real(-1)] if shape.output_kind != PUBLIC else []
        self.words = list(self.outputs) if shape.output_kind == PUBLIC else []
        if shape.output_kind == MASKED:
            self.words = [(value + pad) % R for value, pad in zip(self.outputs, self.hidden, strict=True)]
        for i, z in enumerate(self.z):
            for k in range(circuit.B):
                free[BITS][shape.bit(k, i)[1]] = (z + 2 ** (circuit.B - 1)) >> k & 1

    def proof(self):
        """The statement's digests and the proof file."""
        shape, circuit = self.shape, self.shape.circuit
        n, size = shape.n, circuit.D
        p = {
            (v, t): coefficients[t * size : (t + 1) * size] + ([] if v == MASK else [self.blinding(v, t)])
            for v, coefficients in self.vectors.items()
            for t in range(len(coefficients) // size)
        }
        points = {v: b"".join(commit(p[v, t]) for t in range(shape.chunks(v))) for v in (W, X, Y)}
        descriptor = encode_descriptor(circuit)
        given = [] if shape.input_kind else self.inputs
        words = self.words if circuit.stages else []
        digests = Statement(shape, descriptor, points, given, words).digests()
        wide = 32 if shape.output_kind == MASKED else 4
        head = bytes([shape.beta, shape.input_kind, shape.output_kind, 0]) + len(descriptor).to_bytes(2, "big")
        public = b"".join(word.to_bytes(4, "big", signed=True) for word in given)
        answer = points[Y] + b"".join(word.to_bytes(wide, "big", signed=wide == 4) for word in words)
        message = b"".join(commit(p[BITS, t]) for t in range(shape.chunks(BITS))) + commit(p[MASK, 0])
        file = head + descriptor + points[W] + points[X] + public + answer + message

        opened = encode(["bytes32"] * 6 + ["uint256"], [DOMAIN, CONTEXT, *digests, shape.beta])
        transcript = matrix_proof.Transcript(opened)
        transcript.absorb(message)
        tau, lam, delta = transcript.challenges(0, n), transcript.challenge(n), transcript.challenge(n + 1)
        factors, masks, g = self.factors(tau), self.masks(), self.sum_masks()
        half, rho = pow(2, -1, R), []
        for i, degree in enumerate(shape.degrees):
            sums = [self.round_sum(factors, masks, rho, at, lam, delta) for at in range(degree + 1)]
            before = sum(g[j, e] * (pow(rho[j], e, R) - half) for j, e in g if j < i)
            own = [before - half * sum(g[i, e] for e in range(1, degree + 1)), *(g[i, e] for e in range(1, degree + 1))]
            a = combination((1, interpolate(sums)), (2 ** (n - 1 - i), own))
            message = scalars([a[0], *a[2:]])
            file += message
            transcript.absorb(message)
            rho.append(transcript.challenge(0))
            factors = {name: fold(values, rho[-1]) for name, values in factors.items()}
        m_hat = rho[0] * (1 - rho[0])
        message = scalars([factors[name][0] + m_hat * masks[name] for name in self.sent()])
        transcript.absorb(message)
        u = matrix_proof.combine(shape, functionals(shape, tau, rho), transcript.challenge(0))
        return digests, file + message + self.opening(transcript, p, u)

    def blinding(self, vector, chunk):
        return self.blindings.setdefault((vector, chunk), self.rng.randrange(R))

    def sent(self):
        """Names of the values of step 3."""
        shape = self.shape
        learned = ["G_in", "G_hid", "bias"] if shape.circuit.stages else []
        committed = ["x"] * (shape.input_kind != PUBLIC) + ["y"] * (shape.output_kind != PUBLIC)
        return learned + committed + [f"b_{k}" for k in range(shape.circuit.B)]

    def masks(self):
        """c_v of every factor; of what is not hidden, 0."""
        places = {"G_in": C_GIN, "G_hid": C_GHID, "bias": C_BIAS, "x": C_X, "y": C_Y}
        places |= {f"b_{k}": C_BITS + k for k in range(self.shape.circuit.B)}
        none = dict.fromkeys([*places, "eq", "in_0", "in_L", "words"], 0)
        return none | {name: self.vectors[MASK][places[name]] for name in self.sent()}

    def sum_masks(self):
        """g_{i,e}."""
        return {(i, e): self.vectors[MASK][at] for at, i, e in self.shape.mask_rounds()}

    def factors(self, tau):
        """Every factor of F on the hypercube."""
        shape, circuit = self.shape, self.shape.circuit
        count, eq_tau = 2**shape.n, table(tau)
        factors = {"eq": eq_tau} | {name: [0] * count for name in ("bias", "x", "y", "words", "in_0", "in_L")}
        for name, read_input in (("G_in", True), ("G_hid", False)):
            factors[name] = [0] * count
            for entry in shape.entries(read_input=read_input):
                value = entry.coefficient * (1 if entry.weight is None else self.weights[entry.weight])
                for start in range(0, count, 2**circuit.m):
                    factors[name][start + entry.column] += eq_tau[start + entry.row] * value
        of_blocks = [("x", 0, self.inputs)]
        of_blocks += [("y", -1, self.hidden)] if self.hidden else []
        of_blocks += [("words", -1, self.words)] if self.words else []
        for name, block, values in of_blocks:
            for (i, _), value in zip(shape.real(block), values, strict=True):
                factors[name][i] = value
        for name, block in (("in_0", circuit.blocks[0]), ("in_L", circuit.blocks[-1])):
            for i in range(count):
                factors[name][i] = int(block.offset <= i % 2**circuit.m < block.offset + 2**block.bits)
        for index, stage in enumerate(circuit.stages, start=1):
            block = circuit.blocks[index]
            for start in range(block.offset, count, 2**circuit.m):
                for channel, row, column in block.entries():
                    inside = block.inside(channel, row, column)
                    at = stage.bias + 2 * (inside if stage.bias_kind else channel)
                    factors["bias"][start + inside] = self.weights[at] + 2**16 * self.weights[at + 1]
        for k in range(circuit.B):
            factors[f"b_{k}"] = [self.vectors[BITS][shape.bit(k, i)[1]] for i in range(count)]
        return factors

    def parts(self, values, lam):
        """F at one point from its factors there, by powers of δ: section 5."""
        circuit = self.shape.circuit
        b, s, sigma = circuit.B, circuit.s, circuit.sigma
        bit, lams = [values[f"b_{k}"] for k in range(b)], [pow(lam, 2 * k, R) for k in range(b)]
        activation = sum(bit[k] << k - sigma for k in range(sigma, b)) - 2**circuit.t
        rectified = bit[b - 1] * sum(bit[k] << k - s for k in range(s, b - 1))
        row = values["bias"] + (values["x"] << sigma) + 2 ** (b - 1) - sum(bit[k] << k for k in range(b))
        rows = values["G_in"] * activation + values["G_hid"] * rectified + values["eq"] * row
        boolean = sum(lams[k] * (bit[k] * bit[k] - bit[k]) for k in range(b))
        if not circuit.stages:
            return [rows, values["eq"] * boolean]
        low = values["in_0"] * sum(lams[k] * bit[k] for k in range(sigma))
        answer = values["in_L"] * (sum(bit[k] << k - s for k in range(s, b)) - 2 ** (b - 1 - s))
        said = values["y"] if self.shape.output_kind == COMMITTED else values["words"] - values["y"]
        return [rows, values["eq"] * boolean, values["eq"] * low, values["eq"] * (answer - said)]

    def broken(self):
        """Names of the parts of F whose sum over the hypercube is not 0."""
        tau, lam = [self.rng.randrange(R) for _ in range(self.shape.n)], self.rng.randrange(R)
        factors = self.factors(tau)
        points = [dict(zip(factors, point, strict=True)) for point in zip(*factors.values(), strict=True)]
        sums = [sum(of_part) % R for of_part in zip(*(self.parts(point, lam) for point in points), strict=True)]
        return {name for name, total in zip(PARTS, sums, strict=False) if total}

    def round_sum(self, factors, masks, rho, at, lam, delta):
        """Σ of F over the variables that are left, the next one at `at`."""
        first = rho[0] if rho else at
        bump = first * (1 - first) % R
        folded = {name: [v + masks[name] * bump for v in fold(values, at)] for name, values in factors.items()}
        points = zip(*folded.values(), strict=True)
        parts = [self.parts(dict(zip(folded, point, strict=True)), lam) for point in points]
        return sum(powers_sum(of_point, delta) for of_point in parts) % R

    def opening(self, transcript, p, u):
        size = self.shape.circuit.D
        twice = [0] * (2 * size)  # Σ P_t(X)·U_t(1/X)·X^(D-1)
        for t, coefficients in u.items():
            twice = combination((1, twice), (1, multiplied(p[t], coefficients[::-1])))
        v = twice[size - 1]
        laurent = {i - size + 1: value for i, value in enumerate(twice)}
        s = [(laurent.get(k, 0) + laurent.get(-k, 0)) % R for k in range(1, size + 1)]
        c_s = commit(s)
        transcript.absorb(c_s)
        z = transcript.challenge(0)
        inverse = pow(z, -1, R)
        a = combination((-z, s), *((powers_sum(u[t], inverse), p[t]) for t in u))
        e = combination((-inverse, s), *((powers_sum(u[t], z), p[t]) for t in u))
        a1 = powers_sum(a, z)
        e1 = (2 * v - a1) % R
        assert powers_sum(e, inverse) == e1
        evaluation = (inverse + self.off).to_bytes(32, "big") + scalars([a1])
        transcript.absorb(evaluation)
        gamma = transcript.challenge(0)
        w = combination((1, divide(a, z)), (gamma, divide(e, inverse)))
        transcript.absorb(commit(w))
        omega = transcript.challenge(0)
        first, second = omega - inverse, gamma * (omega - z)
        left = combination((first, a), (second, e), (-(omega - z) * (omega - inverse), w))
        left[0] = (left[0] - first * a1 - second * e1) % R
        assert powers_sum(left, omega) == 0
        return c_s + evaluation + commit(w) + commit(divide(left, omega))


def fold(values, at):
    return [(low + (high - low) * at) % R for low, high in zip(values[::2], values[1::2], strict=True)]


def failing(prover):
    """Numbers of the claims that do not hold; the verifier must refuse exactly if there are any.

    With the secret τ, e(left, H) = e(right, τH) is left = τ·right.
    """
    digests, file = prover.proof()
    examined = examine(*digests, CONTEXT, file)
    wrong = {
        number
        for number, (functional, value) in examined.claims.items()
        if (sum(c * prover.vectors[v][i] for (v, i), c in functional.items()) - value) % R
    }
    assert eq(examined.left, multiply(examined.right, SECRET)) == (not wrong)
    return wrong


def assert_caught(prover, *parts):
    """By the claim about g alone, because these parts of F do not add up to nothing."""
    assert prover.broken() == set(parts)
    assert failing(prover) == {prover.shape.circuit.B + 6}


def assert_bound(prover, number):
    """By claim B + number alone: F is what it should be."""
    assert not prover.broken()
    assert failing(prover) == {prover.shape.circuit.B + number}


@pytest.mark.parametrize("kinds", KINDS)
def test_verify__honest_prover_of_any_kind__accepted_and_every_claim_holds(kinds):
    prover = Prover.honest(28, 1, kinds)
    assert not prover.broken()
    assert not failing(prover)


@pytest.mark.parametrize(("seed", "beta", "stages"), [(1, 2, 1), (4, 2, 2), (7, 0, 3)])
def test_verify__honest_prover_of_any_circuit__accepted_and_every_claim_holds(seed, beta, stages):
    assert not failing(Prover.honest(seed, beta, (1, 2), stages))


def tiny(beta, kinds):
    """Two blocks of one position each: their selectors depend on the first variable."""
    stage = Stage(2, 0, [Term(0, DENSE, 0, 0, None, [], [])])
    circuit = Circuit(7, 20, 3, 5, 1, 1, [Block(1, 1, 1, 1), Block(1, 1, 1, 0)], [stage])
    return Prover.of(circuit, random.Random(beta), beta, kinds)


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("beta", [0, 1])
def test_verify__blocks_of_one_position__accepted_and_every_claim_holds(beta, kinds):
    assert not failing(tiny(beta, kinds))


@pytest.mark.parametrize("given", [PUBLIC, COMMITTED])
def test_verify__no_stages__accepted_and_every_claim_holds(given):
    assert not failing(numbers(given))


def numbers(given):
    """That some numbers are of three bits, as section 9 has it for weights."""
    circuit = Circuit(7, 3, 1, 2, 4, 0, [Block(3, 1, 4, 0)], [])
    return Prover.of(circuit, random.Random(given), 0, (given, PUBLIC))


def test_verify__pairings__as_the_secret_says():
    honest, lying = tiny(0, (1, 1)), tiny(0, (1, 1))
    lying.vectors[Y][0] += 1
    for prover, holds in ((honest, True), (lying, False)):
        digests, file = prover.proof()
        examined = examine(*digests, CONTEXT, file)
        assert same_pairing(examined.left, examined.right, multiply(G2, SECRET)) == holds


# ---------------------------------------------------------------- lies, each refused by what is there for it


def liar(kinds=(1, 1)):
    prover = Prover.honest(28, 1, kinds)
    return prover, prover.shape.circuit


def computed_with(prover, index):
    """A prover that computes with another weight than the committed one."""
    prover.weights[index] += 1
    circuit, row = prover.shape.circuit, len(prover.inputs) // 2
    rows = [run(circuit, prover.weights, prover.inputs[at : at + row]) for at in (0, row)]
    prover.z, prover.outputs = [z for sums, _ in rows for z in sums], [y for _, out in rows for y in out]
    committed = prover.vectors[W]
    prover.lay()
    prover.vectors[W] = committed
    return prover


def set_z(prover, i, z):
    """Another z in one row, with the bits that it has."""
    prover.z[i] = z
    prover.lay()
    return prover


def set_output(prover, values):
    """Other outputs than the rows have: in what the statement says and in what is committed."""
    prover.outputs = values
    prover.lay()
    return prover


@pytest.mark.parametrize("read_input", [True, False])
def test_verify__one_weight_changed__refused(read_input):
    prover, _ = liar()
    weight = next(e.weight for e in prover.shape.entries(read_input=read_input) if e.weight is not None)
    assert_bound(computed_with(prover, weight), 1 if read_input else 2)


def test_verify__one_bias_changed__refused():
    prover, circuit = liar()
    assert_bound(computed_with(prover, circuit.stages[1].bias), 3)


def test_verify__a_bit_that_is_no_bit__refused():
    prover, circuit = liar()
    low, high = (prover.shape.bit(k, circuit.blocks[2].offset)[1] for k in (circuit.s, circuit.s + 1))
    bits = prover.vectors[BITS]
    bits[low], bits[high] = bits[low] + 2, bits[high] - 1
    assert_caught(prover, "bits")


def test_verify__a_number_out_of_range__refused():
    prover = numbers(COMMITTED)
    i, index = prover.shape.real(0)[5]
    prover.inputs[5] = prover.vectors[X][index] = 4
    assert_caught(prover, "rows")  # with bits of some other number
    top = prover.shape.bit(2, i)[1]
    prover.vectors[BITS][top - 2 * 2**prover.shape.n : top + 1 : 2**prover.shape.n] = [0, 0, 2]
    assert_caught(prover, "bits")


@pytest.mark.parametrize("block", [0, 1, 2])
def test_verify__a_z_that_does_not_follow__refused(block):
    prover, circuit = liar()
    at = circuit.blocks[block].offset
    step = 2 ** max(circuit.s, circuit.sigma)
    assert_caught(set_z(prover, at, prover.z[at] + step), "rows", *(["outputs"] if block == 2 else []))


def test_verify__a_neuron_in_the_padding__refused():
    prover, circuit = liar()
    block = circuit.blocks[1]
    padding = set(range(2**block.bits)) - set(block.positions())
    assert_caught(set_z(prover, block.offset + min(padding), 2**circuit.s), "rows")


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("off", [1, -1])
def test_verify__an_output_off_by_one__refused(kinds, off):
    prover, _ = liar(kinds)
    assert_caught(set_output(prover, [*prover.outputs[:-1], prover.outputs[-1] + off]), "outputs")


@pytest.mark.parametrize("kinds", KINDS)
def test_verify__answers_of_two_instances_swapped__refused(kinds):
    prover, _ = liar(kinds)
    half = len(prover.outputs) // 2
    assert prover.outputs[:half] != prover.outputs[half:]
    assert_caught(set_output(prover, prover.outputs[half:] + prover.outputs[:half]), "outputs")


@pytest.mark.parametrize("out", [COMMITTED, MASKED])
def test_verify__another_output_or_pad_committed__refused(out):
    prover, _ = liar((1, out))
    prover.vectors[Y][prover.shape.real(-1)[-1][1]] += 1
    assert_bound(prover, 5)


def test_verify__another_pad_used__refused():
    """In the summand too, so that it is the masked words that do not fit."""
    prover, _ = liar((1, MASKED))
    prover.vectors[Y][prover.shape.real(-1)[0][1]] += 1
    prover.hidden[0] += 1
    assert_caught(prover, "outputs")


@pytest.mark.parametrize("out", [PUBLIC, COMMITTED, MASKED])
def test_verify__an_output_row_in_the_padding__refused(out):
    """Its bits would say an output that no word and no coefficient says."""
    prover, circuit = padded(out)
    block = circuit.blocks[-1]
    at = min(set(range(2**block.bits)) - set(block.positions()))
    assert_caught(set_z(prover, block.offset + at, 2**circuit.s), "rows", "outputs")


def padded(out):
    """Three inputs and three outputs."""
    stage = Stage(16, 0, [Term(0, DENSE, 0, 0, None, [], [])])
    circuit = Circuit(7, 20, 3, 5, 3, 1, [Block(3, 1, 1, 4), Block(1, 1, 3, 0)], [stage])
    return Prover.of(circuit, random.Random(out), 0, (1, out)), circuit


def test_verify__another_input_committed__refused():
    prover, _ = liar()
    prover.vectors[X][prover.shape.real(0)[0][1]] += 1
    assert_bound(prover, 4)


@pytest.mark.parametrize("out", [PUBLIC, COMMITTED, MASKED])
def test_verify__a_committed_input_with_low_bits__refused_by_one_part_alone(out):
    """x = 1 / 2^σ in the field: the rows of the input add up, and the bits of z are bits."""
    prover, circuit = liar((COMMITTED, out))
    i, rest = prover.shape.real(0)[0][0], prover.inputs[1 : len(prover.inputs) // 2]
    prover.inputs[0] = pow(2**circuit.sigma, -1, R)  # its activation is 0, as that of 0 would be
    sums, outputs = run(circuit, prover.weights, [0, *rest])
    prover.z[: len(sums)], prover.outputs[: len(outputs)] = sums, outputs
    assert_caught(set_z(prover, i, 1), "low bits")


@pytest.mark.parametrize("low", [0, -1])
def test_verify__every_low_bit_alone__refused(low):
    """The lowest of them, and the highest, in the second instance."""
    prover, circuit = liar()
    k, half = range(circuit.sigma)[low], len(prover.inputs) // 2
    i = prover.shape.real(0)[half][0]
    prover.inputs[half] = 2**k * pow(2**circuit.sigma, -1, R)
    sums, outputs = run(circuit, prover.weights, [0, *prover.inputs[half + 1 :]])
    prover.z[len(sums) :], prover.outputs[len(outputs) :] = sums, outputs
    assert_caught(set_z(prover, i, 2**k), "low bits")


def test_verify__a_public_input_with_low_bits__refused():
    prover, _ = liar((PUBLIC, COMMITTED))
    i = prover.shape.real(0)[0][0]
    assert_caught(set_z(prover, i, prover.z[i] + 1), "rows", "low bits")


def test_verify__low_bits_in_the_padding_of_the_input__refused():
    prover, circuit = padded(COMMITTED)
    assert_caught(set_z(prover, circuit.blocks[0].offset + 3, 1), "rows", "low bits")


# ---------------------------------------------------------------- 1/z


def test_verify__another_1_over_z__refused():
    prover = tiny(0, (1, 1))
    for prover.off in (1, -1):
        digests, file = prover.proof()
        with pytest.raises(Refused, match="PROOF-5: 1/z"):
            examine(*digests, CONTEXT, file)


def test_verify__1_over_z_plus_r__refused():
    prover = tiny(0, (1, 1))
    prover.off = R
    digests, file = prover.proof()
    with pytest.raises(Refused, match="PROOF-5: a field element"):
        examine(*digests, CONTEXT, file)


def with_z(monkeypatch, n, z):
    """A transcript whose z is this one."""

    class Chosen(Transcript):
        absorbed = 0

        def absorb(self, message):
            super().absorb(message)
            self.absorbed += 1

        def challenge(self, number):
            return z if self.absorbed == n + 3 else super().challenge(number)

    monkeypatch.setattr(matrix_proof, "Transcript", Chosen)


@pytest.mark.parametrize("z", [1, R - 1])
def test_verify__z_that_is_its_inverse__refused(monkeypatch, z):
    """A drawn z is that with probability 2/r; everything else about the proof is as it should be."""
    prover = tiny(0, (1, 1))
    with_z(monkeypatch, prover.shape.n, z)
    digests, file = prover.proof()
    with pytest.raises(Refused, match="PROOF-5: z"):
        examine(*digests, CONTEXT, file)


def test_verify__z_without_an_inverse__refused(monkeypatch):
    prover = tiny(0, (1, 1))
    digests, file = prover.proof()
    with_z(monkeypatch, prover.shape.n, 0)
    with pytest.raises(Refused, match="PROOF-5: 1/z"):
        examine(*digests, CONTEXT, file)
