"""The reference verifier against a prover as plain as itself, over a ceremony whose secret the test knows.

The prover evaluates the summand on the whole hypercube, multiplies polynomials coefficient by coefficient and commits
with one multiplication, p(τ)·G1.
"""

import random
from dataclasses import dataclass, field

import pytest
from eth_abi import encode
from py_ecc.optimized_bls12_381 import G1, G2, multiply, normalize
from reference import matrix_proof
from reference.matrix_claims import BITS, C_BIAS, C_BITS, C_GHID, C_GIN, C_X, MASK, Shape, W, X, Y, functionals, table
from reference.matrix_networks import encode_descriptor, random_circuit, random_weights, run
from reference.matrix_points import R, Transcript, powers_sum, same_pairing
from reference.matrix_proof import DOMAIN, Statement, examine

SECRET = 0x1F2E3D4C5B6A798877665544332211
CONTEXT = bytes(range(32))
KINDS = [(given, out) for given in range(2) for out in range(3)]


def commit(polynomial):
    value = powers_sum(polynomial, SECRET)
    if value == 0:
        return bytes(128)
    return b"".join(int(c).to_bytes(64, "big") for c in normalize(multiply(G1, value)))


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
    blindings: dict = field(default_factory=dict)  # by vector and chunk

    @classmethod
    def honest(cls, seed, beta=0, kinds=(0, 0), stages=2):
        rng = random.Random(seed)
        circuit = random_circuit(seed, stages, b=20)
        weights = random_weights(rng, circuit, 3)
        inputs, outputs, z = [], [], []
        for _ in range(2**beta):
            first = circuit.blocks[0]
            row = [rng.randint(-32, 31) for _ in range(first.channels * first.rows * first.columns)]
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
        if shape.output_kind == 1:
            for (_, index), value in zip(shape.real(-1), self.outputs, strict=True):
                free[Y][index] = value
        self.words = list(self.outputs) if shape.output_kind == 0 else []
        if shape.output_kind == 2:
            pairs = zip(shape.real(-1), self.outputs, strict=True)
            self.words = [(value + free[Y][index]) % R for (_, index), value in pairs]
        for i, z in enumerate(self.z):
            for k in range(circuit.B):
                free[BITS][shape.bit(k, i)[1]] = (z + 2 ** (circuit.B - 1)) >> k & 1
        self.vectors |= free

    def proof(self):
        """The statement's digests and the proof file."""
        shape, circuit = self.shape, self.shape.circuit
        b, n, size = circuit.B, shape.n, circuit.D
        p = {
            (v, t): coefficients[t * size : (t + 1) * size] + ([] if v == MASK else [self.blinding(v, t)])
            for v, coefficients in self.vectors.items()
            for t in range(len(coefficients) // size)
        }
        points = {v: b"".join(commit(p[v, t]) for t in range(shape.chunks(v))) for v in (W, X, Y)}
        descriptor = encode_descriptor(circuit)
        given = [] if shape.input_kind else self.inputs
        digests = Statement(shape, descriptor, points, given, self.words).digests()
        wide = 32 if shape.output_kind == 2 else 4
        words = b"".join(word.to_bytes(wide, "big", signed=wide == 4) for word in self.words)
        head = bytes([shape.beta, shape.input_kind, shape.output_kind, 0]) + len(descriptor).to_bytes(2, "big")
        public = b"".join(word.to_bytes(4, "big", signed=True) for word in given)
        message = b"".join(commit(p[BITS, t]) for t in range(shape.chunks(BITS))) + commit(p[MASK, 0])
        file = head + descriptor + points[W] + points[X] + public + points[Y] + words + message

        transcript = Transcript(encode(["bytes32"] * 6 + ["uint256"], [DOMAIN, CONTEXT, *digests, shape.beta]))
        transcript.absorb(message)
        tau, lam, delta = transcript.challenges(0, n), transcript.challenge(n), transcript.challenge(n + 1)
        factors = self.factors(tau)
        mask = self.vectors[MASK]
        masks = {"G_in": mask[C_GIN], "G_hid": mask[C_GHID], "bias": mask[C_BIAS], "eq": 0}
        masks |= {"x": mask[C_X] if shape.input_kind else 0} | {f"b_{k}": mask[C_BITS + k] for k in range(b)}
        g = {(i, e): mask[at] for at, i, e in shape.mask_rounds()}
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
        names = ["G_in", "G_hid", "bias", *(["x"] if shape.input_kind else []), *(f"b_{k}" for k in range(b))]
        message = scalars([factors[name][0] + m_hat * masks[name] for name in names])
        transcript.absorb(message)
        out_bits = circuit.blocks[-1].bits + shape.beta
        tau_out, mu = transcript.challenges(0, out_bits), transcript.challenge(out_bits)
        u = matrix_proof.combine(shape, functionals(shape, tau, lam, rho, tau_out), mu)
        return digests, file + message + self.opening(transcript, p, u)

    def blinding(self, vector, chunk):
        return self.blindings.setdefault((vector, chunk), self.rng.randrange(R))

    def factors(self, tau):
        """Every factor of F on the hypercube."""
        shape, circuit = self.shape, self.shape.circuit
        count, eq_tau = 2**shape.n, table(tau)
        factors = {"eq": eq_tau, "bias": [0] * count, "x": [0] * count}
        for name, read_input in (("G_in", True), ("G_hid", False)):
            factors[name] = [0] * count
            for entry in shape.entries(read_input=read_input):
                value = entry.coefficient * (1 if entry.weight is None else self.weights[entry.weight])
                for start in range(0, count, 2**circuit.m):
                    factors[name][start + entry.column] += eq_tau[start + entry.row] * value
        for (i, _), value in zip(shape.real(0), self.inputs, strict=True):
            factors["x"][i] = value
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

    def round_sum(self, factors, masks, rho, at, lam, delta):
        """Σ of F over the variables that are left, the next one at `at`."""
        first = rho[0] if rho else at
        folded = {name: fold(values, at) for name, values in factors.items()}
        total = 0
        for i in range(len(folded["eq"])):
            values = {name: folded[name][i] + masks[name] * first * (1 - first) for name in folded}
            total += matrix_proof.summand(self.shape.circuit, values, lam, delta, values["eq"])
        return total % R

    def opening(self, transcript, p, u):
        size = self.shape.circuit.D
        laurent = {}  # of Σ P_t(X)·U_t(1/X)
        for t, coefficients in u.items():
            for j, one in enumerate(coefficients):
                if one:
                    for i, other in enumerate(p[t]):
                        laurent[i - j] = laurent.get(i - j, 0) + one * other
        v = laurent[0] % R
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
        transcript.absorb(scalars([a1]))
        gamma = transcript.challenge(0)
        w = combination((1, divide(a, z)), (gamma, divide(e, inverse)))
        transcript.absorb(commit(w))
        omega = transcript.challenge(0)
        first, second = omega - inverse, gamma * (omega - z)
        left = combination((first, a), (second, e), (-(omega - z) * (omega - inverse), w))
        left[0] = (left[0] - first * a1 - second * e1) % R
        assert powers_sum(left, omega) == 0
        return c_s + scalars([a1]) + commit(w) + commit(divide(left, omega))


def fold(values, at):
    return [(low + (high - low) * at) % R for low, high in zip(values[::2], values[1::2], strict=True)]


TAU_H = multiply(G2, SECRET)


def failing(prover):
    """Numbers of the claims that do not hold; the verifier must refuse exactly if there are any."""
    digests, file = prover.proof()
    examined = examine(*digests, CONTEXT, file)
    wrong = {
        number
        for number, (functional, value) in examined.claims.items()
        if (sum(c * prover.vectors[v][i] for (v, i), c in functional.items()) - value) % R
    }
    assert same_pairing(examined.left, examined.right, TAU_H) == (not wrong)
    return wrong


@pytest.mark.parametrize("kinds", KINDS)
def test_verify__honest_prover_of_any_kind__accepted_and_every_claim_holds(kinds):
    assert not failing(Prover.honest(28, 1, kinds))


@pytest.mark.parametrize(("seed", "beta", "stages"), [(1, 2, 1), (4, 2, 2), (7, 0, 3)])
def test_verify__honest_prover_of_any_circuit__accepted_and_every_claim_holds(seed, beta, stages):
    assert not failing(Prover.honest(seed, beta, (1, 2), stages))


# ---------------------------------------------------------------- lies, each refused by the claim that is there for it


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


@pytest.mark.parametrize("read_input", [True, False])
def test_verify__one_weight_changed__refused(read_input):
    prover, circuit = liar()
    weight = next(e.weight for e in prover.shape.entries(read_input=read_input) if e.weight is not None)
    assert failing(computed_with(prover, weight)) == {circuit.B + (1 if read_input else 2)}


def test_verify__one_bias_changed__refused():
    prover, circuit = liar()
    assert failing(computed_with(prover, circuit.stages[1].bias)) == {circuit.B + 3}


def test_verify__a_bit_that_is_no_bit__refused():
    prover, circuit = liar()
    low, high = (prover.shape.bit(k, circuit.blocks[2].offset)[1] for k in (circuit.s, circuit.s + 1))
    bits = prover.vectors[BITS]
    bits[low], bits[high] = bits[low] + 2, bits[high] - 1
    assert failing(prover) == {circuit.B + 7}


@pytest.mark.parametrize("block", [0, 1, 2])
def test_verify__a_z_that_does_not_follow__refused(block):
    prover, circuit = liar()
    at = circuit.blocks[block].offset
    step = 2 ** max(circuit.s, circuit.sigma)
    assert circuit.B + 7 in failing(set_z(prover, at, prover.z[at] + step))


def test_verify__a_neuron_in_the_padding__refused():
    prover, circuit = liar()
    block = circuit.blocks[1]
    padding = set(range(2**block.bits)) - set(block.positions())
    assert failing(set_z(prover, block.offset + min(padding), 2**circuit.s)) == {circuit.B + 7}


@pytest.mark.parametrize(("kinds", "wrong"), [((1, 0), "words"), ((1, 2), "words"), ((1, 1), "Y")])
def test_verify__an_output_off_by_one__refused(kinds, wrong):
    prover, circuit = liar(kinds)
    if wrong == "words":
        prover.words[0] += 1
    else:
        prover.vectors[Y][prover.shape.real(-1)[0][1]] += 1
    assert failing(prover) == {circuit.B + 6}


def test_verify__another_input_committed__refused():
    prover, circuit = liar()
    prover.vectors[X][prover.shape.real(0)[0][1]] += 1
    assert failing(prover) == {circuit.B + 4}


def test_verify__an_input_with_low_bits__refused_by_one_claim_alone():
    """x = 1 / 2^σ in the field: the rows of the input add up, and the bits of z are bits."""
    prover, circuit = liar()
    i, rest = prover.shape.real(0)[0][0], prover.inputs[1 : len(prover.inputs) // 2]
    prover.inputs[0] = pow(2**circuit.sigma, -1, R)  # its activation is 0, as that of 0 would be
    sums, outputs = run(circuit, prover.weights, [0, *rest])
    prover.z[: len(sums)], prover.outputs[: len(outputs)] = sums, outputs
    assert failing(set_z(prover, i, 1)) == {circuit.B + 5}


def test_verify__rows_of_the_output_swapped__refused():
    prover, circuit = liar((1, 0))
    half = len(prover.words) // 2
    prover.words = prover.words[half:] + prover.words[:half]
    assert failing(prover) == {circuit.B + 6}
