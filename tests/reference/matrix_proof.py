"""The matrix proof's verifier: docs/spec/proofs.md, written from that page alone.

Curve arithmetic is py-ecc's; everything else is plain integers and direct sums, slow and easy to check. `examine`
returns every intermediate value up to the pairing, for debugging a faster verifier against.
"""

from dataclasses import dataclass

from eth_abi import encode
from eth_utils import keccak

from .matrix_circuit import Circuit, Reader, Refused, bits, parse_descriptor
from .matrix_claims import (
    BITS,
    COMMITTED,
    MASK,
    MASKED,
    PUBLIC,
    Functional,
    Shape,
    W,
    X,
    Y,
    combine,
    functionals,
    public_terms,
    table,
)
from .matrix_points import (
    GENERATOR,
    Point,
    R,
    Transcript,
    decode_point,
    field,
    linear_combination,
    powers_sum,
    same_pairing,
)
from .registry import require

__all__ = ["Examined", "Refused", "examine", "functionals", "parse_descriptor", "verify", "verify_weights"]

DOMAIN = keccak(b"cloister/matrix-proof/2")


@dataclass
class Statement:
    """What a proof file says before its messages (section 8)."""

    shape: Shape
    descriptor: bytes
    points: dict[str, bytes]  # by vector: W, X, Y (or the pad)
    inputs: list[int]  # public integers, if the input is public
    words: list[int]  # public integers or masked words

    def digests(self) -> tuple[bytes, bytes, bytes, bytes]:
        """circuit, weights, input, output."""
        shape = self.shape
        output = bytes(32)
        if shape.circuit.stages:
            output = output_digest(shape.output_kind, self.points[Y], self.words)
        given = input_digest(shape.input_kind, shape.beta, self.points[X], self.inputs)
        return keccak(self.descriptor), keccak(self.points[W]), given, output

    def public_at(self, block: int, words: list[int], at_rho: list[int]) -> int:
        """The public words of a block, as a function on all rows, at ρ."""
        rows = [row for row, _ in self.shape.real(block)]
        return sum(at_rho[row] * word for row, word in zip(rows, words, strict=True)) % R


@dataclass
class Messages:
    """Steps 1 to 7, as bytes."""

    first: bytes
    rounds: list[bytes]
    values: bytes
    c_s: bytes
    evaluation: bytes  # 1/z and a1
    c_w: bytes
    c_w2: bytes


@dataclass
class Examined:
    """Everything a verifier computes."""

    statement: Statement
    messages: Messages
    tau: list[int]
    lam: int
    delta: int
    rho: list[int]
    last_claim: int
    values: dict[str, int]  # G_in, G_hid, bias, x, y, and b_0 …
    mu: int
    z: int
    gamma: int
    omega: int
    g: int  # ĝ
    claims: dict[int, tuple[Functional, int]]  # by number: functional and value
    V: int
    U: dict[tuple[str, int], list[int]]
    left: Point  # the pairing's two points
    right: Point


def verify(circuit: bytes, weights: bytes, input: bytes, output: bytes, context: bytes, proof: bytes) -> None:  # noqa: A002
    """Section 8: refuses, or returns."""
    examined = examine(circuit, weights, input, output, context, proof)
    require(same_pairing(examined.left, examined.right), "section 7: the pairing")


def verify_weights(circuit: bytes, weights: bytes, context: bytes, descriptor: bytes, proof: bytes) -> None:
    """Section 9: the weights of the circuit with this descriptor are integers of 16 bits."""
    require(keccak(descriptor) == circuit, "PROOF-6: the descriptor of another circuit")
    of = parse_descriptor(descriptor)
    ranged = range_descriptor(of)
    given = keccak(encode(["uint256", "uint256", "bytes32", "bytes32"], [COMMITTED, 0, weights, bytes(32)]))
    verify(keccak(ranged), keccak(b""), given, bytes(32), context, proof)


def range_descriptor(circuit: Circuit) -> bytes:
    """Section 9."""
    require(circuit.chunks >= 1, "section 9: no weights")
    m = bits(circuit.chunks) + circuit.d
    header = bytes([2, circuit.d, 16, 1, 15, m, 0, 0]) + bytes(4)
    extents = (circuit.chunks, 1, circuit.D)
    require(m <= 20, "PROOF-1: m")
    return header + b"".join(extent.to_bytes(2, "big") for extent in extents) + bytes(4)


# ---------------------------------------------------------------- the proof file


def input_digest(kind: int, beta: int, points: bytes, words: list[int]) -> bytes:
    """The digest of an input (section 8), which says how many rows it has."""
    return keccak(encode(["uint256", "uint256", "bytes32", "bytes32"], [kind, beta, *part_digests(points, words, 4)]))


def output_digest(kind: int, points: bytes, words: list[int]) -> bytes:
    """The digest of an output (section 8)."""
    parts = part_digests(points, words, 32 if kind == MASKED else 4)
    return keccak(encode(["uint256", "bytes32", "bytes32"], [kind, *parts]))


def part_digests(points: bytes, words: list[int], size: int) -> tuple[bytes, bytes]:
    """Of the commitment and of the public part; 0 for what is absent."""
    commitment = keccak(points) if points else bytes(32)
    public = keccak(b"".join(word.to_bytes(size, "big", signed=size == 4) for word in words)) if words else bytes(32)
    return commitment, public


def parse(proof: bytes) -> tuple[Statement, Messages]:
    """The proof file of section 8."""
    reader = Reader(proof, "PROOF-5: length")
    beta, input_kind, output_kind, zero = (reader.number(1) for _ in range(4))
    require(zero == 0, "section 8: the reserved byte")
    descriptor = reader.take(reader.number(2))
    circuit = parse_descriptor(descriptor)
    require(beta <= 12 and (circuit.stages or beta == 0), "section 8: β")
    require(1 <= circuit.m + beta <= 20, "section 8: n")
    require(input_kind in {PUBLIC, COMMITTED}, "section 8: kind of input")
    require(output_kind in ({PUBLIC, COMMITTED, MASKED} if circuit.stages else {PUBLIC}), "section 8: kind of output")
    shape = Shape(circuit, beta, input_kind, output_kind)
    points = {W: reader.take(128 * circuit.chunks), X: reader.take(128 * shape.chunks(X)), Y: b""}
    inputs = read_integers(reader, shape, 0, circuit.t) if input_kind == PUBLIC else []
    words: list[int] = []
    if circuit.stages:
        points[Y] = reader.take(128 * shape.chunks(Y))
        if output_kind == PUBLIC:
            words = read_integers(reader, shape, -1, circuit.B - 1 - circuit.s)
        if output_kind == MASKED:
            words = [field(reader.take(32)) for _ in shape.real(-1)]
    values = circuit.B + 3 * bool(circuit.stages) + (input_kind == COMMITTED) + (output_kind != PUBLIC)
    first = reader.take(128 * (shape.chunks(BITS) + 1))
    rounds = [reader.take(32 * degree) for degree in shape.degrees]
    messages = Messages(first, rounds, *(reader.take(size) for size in (32 * values, 128, 64, 128, 128)))
    reader.finish()
    return Statement(shape, descriptor, points, inputs, words), messages


def read_integers(reader: Reader, shape: Shape, block: int, size: int) -> list[int]:
    """int32 for every real entry of a block in every instance, in [-2^size, 2^size)."""
    words = [reader.number(4, signed=True) for _ in shape.real(block)]
    require(all(-(2**size) <= word < 2**size for word in words), "PROOF-5: a public integer out of range")
    return words


def split(message: bytes) -> list[int]:
    return [field(message[at : at + 32]) for at in range(0, len(message), 32)]


# ---------------------------------------------------------------- the argument


def examine(circuit: bytes, weights: bytes, input: bytes, output: bytes, context: bytes, proof: bytes) -> Examined:  # noqa: A002
    """Everything but the pairing."""
    statement, messages = parse(proof)
    digests = statement.digests()
    require(digests == (circuit, weights, input, output), "PROOF-5: the digests of another statement")
    shape, n = statement.shape, statement.shape.n
    points = decode_points(statement, messages)
    last_points = [decode_point(data) for data in (messages.c_s, messages.c_w, messages.c_w2)]

    opened = encode(["bytes32"] * 6 + ["uint256"], [DOMAIN, context, *digests, shape.beta])
    transcript = Transcript(opened)
    transcript.absorb(messages.first)
    tau, lam, delta = transcript.challenges(0, n), transcript.challenge(n), transcript.challenge(n + 1)
    last_claim, rho = sumcheck(transcript, messages.rounds)
    transcript.absorb(messages.values)
    values = name_values(statement, split(messages.values))
    mu = transcript.challenge(0)
    transcript.absorb(messages.c_s)
    z = transcript.challenge(0)
    transcript.absorb(messages.evaluation)
    gamma = transcript.challenge(0)
    transcript.absorb(messages.c_w)
    omega = transcript.challenge(0)
    require(z * z % R != 1, "PROOF-5: z")
    require(split(messages.evaluation)[0] * z % R == 1, "PROOF-5: 1/z")

    g = (last_claim - summand(statement, values, tau, lam, delta, rho)) % R
    sums = functionals(shape, tau, rho)
    targets = claim_values(shape, values, g, table(tau), table(rho))
    claims = {number: (sums[number], targets[number]) for number in sums}
    v = sum(pow(mu, number, R) * value for number, (_, value) in claims.items()) % R
    u = combine(shape, sums, mu)
    left, right = opening(points, last_points, u, v, messages, z, gamma, omega)
    return Examined(
        statement, messages, tau, lam, delta, rho, last_claim, values, mu, z, gamma, omega, g, claims, v, u,
        left, right,
    )  # fmt: skip


def decode_points(statement: Statement, messages: Messages) -> dict[tuple[str, int], Point]:
    """By vector and chunk."""
    chunks = statement.shape.chunks(BITS)
    encoded = statement.points | {BITS: messages.first[: 128 * chunks], MASK: messages.first[128 * chunks :]}
    return {
        (vector, at // 128): decode_point(data[at : at + 128])
        for vector, data in encoded.items()
        for at in range(0, len(data), 128)
    }


def inner_product(tau: list[int], rho: list[int]) -> int:
    """E = eq(τ, ρ): the extension of eq(τ, ·) at ρ."""
    return sum(one * other for one, other in zip(table(tau), table(rho), strict=True)) % R


def sumcheck(transcript: Transcript, rounds: list[bytes]) -> tuple[int, list[int]]:
    """The last claim, and ρ."""
    claim, rho = 0, []
    for message in rounds:
        constant, *higher = split(message)  # a_0; a_2 …
        coefficients = [constant, claim - 2 * constant - sum(higher), *higher]
        require(
            (powers_sum(coefficients, 0) + powers_sum(coefficients, 1) - claim) % R == 0, "section 5: a round's sum"
        )
        transcript.absorb(message)
        rho.append(transcript.challenge(0))
        claim = powers_sum(coefficients, rho[-1])
    return claim, rho


def name_values(statement: Statement, sent: list[int]) -> dict[str, int]:
    """The values of step 3 by name; absent ones are 0."""
    shape, left = statement.shape, list(sent)
    values = dict.fromkeys(["G_in", "G_hid", "bias", "x", "y"], 0)
    if shape.circuit.stages:
        values |= {name: left.pop(0) for name in ("G_in", "G_hid", "bias")}
    if shape.input_kind == COMMITTED:
        values["x"] = left.pop(0)
    if shape.output_kind != PUBLIC:
        values["y"] = left.pop(0)
    return values | {f"b_{k}": left.pop(0) for k in range(shape.circuit.B)}


def summand(statement: Statement, values: dict[str, int], tau: list[int], lam: int, delta: int, rho: list[int]) -> int:
    """F̂ of section 5."""
    shape, circuit, at_rho = statement.shape, statement.shape.circuit, table(rho)
    b, s, sigma = circuit.B, circuit.s, circuit.sigma
    bit = [values[f"b_{k}"] for k in range(b)]
    read = sum(2 ** (k - sigma) * bit[k] for k in range(sigma, b)) - 2**circuit.t
    rectified = bit[b - 1] * sum(2 ** (k - s) * bit[k] for k in range(s, b - 1))
    x = values["x"] if shape.input_kind == COMMITTED else statement.public_at(0, statement.inputs, at_rho)
    rows = values["bias"] + 2**sigma * x + 2 ** (b - 1) - sum(2**k * bit[k] for k in range(b))
    rows += delta * sum(pow(lam, 2 * k, R) * (bit[k] ** 2 - bit[k]) for k in range(b))
    if circuit.stages:
        low = sum(pow(lam, 2 * k, R) * bit[k] for k in range(sigma))
        answer = sum(2 ** (k - s) * bit[k] for k in range(s, b)) - 2 ** (b - 1 - s)
        in_input, in_output = (sum(at_rho[row] for row in shape.selector(block)) for block in (0, -1))
        rows += delta**2 * in_input * low + delta**3 * (in_output * answer - answered(statement, values["y"], at_rho))
    return (values["G_in"] * read + values["G_hid"] * rectified + inner_product(tau, rho) * rows) % R


def answered(statement: Statement, committed: int, at_rho: list[int]) -> int:
    """Y~(ρ): committed, public, or public less the committed pad."""
    if statement.shape.output_kind == COMMITTED:
        return committed
    return statement.public_at(-1, statement.words, at_rho) - committed


def claim_values(shape: Shape, values: dict[str, int], g: int, at_tau: list[int], at_rho: list[int]) -> dict[int, int]:
    """Claim number -> value (of absent claims too)."""
    b = shape.circuit.B
    found = {1 + k: values[f"b_{k}"] for k in range(b)}
    found[b + 1] = values["G_in"] - public_terms(shape, at_tau, at_rho, read_input=True)
    found[b + 2] = values["G_hid"] - public_terms(shape, at_tau, at_rho, read_input=False)
    found |= {b + 3: values["bias"], b + 4: values["x"], b + 5: values["y"], b + 6: g}
    return found


def opening(
    points: dict[tuple[str, int], Point],
    last_points: list[Point],
    u: dict[tuple[str, int], list[int]],
    v: int,
    messages: Messages,
    z: int,
    gamma: int,
    omega: int,
) -> tuple[Point, Point]:
    """Section 7: [L] + ω·C_w' and C_w'."""
    inverse = pow(z, -1, R)
    first, second = omega - inverse, gamma * (omega - z)  # what multiplies A - a1, and E - e1
    a1 = split(messages.evaluation)[1]
    e1 = 2 * v - a1
    c_s, c_w, c_w2 = last_points
    terms = [(first * powers_sum(u[t], inverse) + second * powers_sum(u[t], z), point) for t, point in points.items()]
    terms.append((-(z * first + second * inverse), c_s))
    terms.append((-(first * a1 + second * e1), GENERATOR))
    terms.append((-(omega - z) * (omega - inverse), c_w))
    terms.append((omega, c_w2))
    return linear_combination(terms), c_w2
