"""The fast verifier: succinct in everything but the number of commitments. docs/spec/proofs.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from py_arkworks_bls12381 import GT, G1Point, G2Point

from cloister.proving import ceremony
from cloister.proving.claims import Claims, Committed, SumcheckChallenges, claims, combined, public_at
from cloister.proving.curve import decode_points, encode_point, multi_exponentiation
from cloister.proving.errors import InvalidProof
from cloister.proving.functionals import Part
from cloister.proving.messages import ClaimedValues, Messages, Round, decode_messages, encode_scalars
from cloister.proving.scalars import R
from cloister.proving.statement import DAMAGED, Statement, decode_statement
from cloister.proving.transcript import Transcript

Chunk = tuple[Committed, int]


@dataclass(frozen=True, slots=True)
class Reduced:
    """Where the sumcheck ended: its challenges, and the claim about F + g at ρ."""

    challenges: SumcheckChallenges
    claim: int


def verify(proof: bytes, context: bytes) -> Statement:
    """Check a proof file under a context, and return what it proves.

    The caller compares the statement with what it expects: circuit, weights, input, output. Raises InvalidProof.
    """
    statement, rest = decode_statement(proof, context)
    verify_messages(statement, decode_messages(rest, statement))
    return statement


def verify_messages(statement: Statement, messages: Messages) -> None:
    """Check decoded messages against a statement. Raises InvalidProof."""
    transcript = statement.transcript()
    reduced = sumcheck(transcript, statement, messages)
    values = with_public_words(statement, messages.values, reduced.challenges)
    g = (reduced.claim - combined(statement, values, reduced.challenges)) % R
    transcript.absorb(messages.values.encode(statement))
    checked = claims(statement, messages.values, reduced.challenges, g, transcript.challenge())
    _check_opening(transcript, statement, messages, checked)


def draw_sumcheck(transcript: Transcript, statement: Statement) -> SumcheckChallenges:
    """τ, λ and δ."""
    *tau, lam, delta = transcript.challenges(statement.variables + 2)
    return SumcheckChallenges(tuple(tau), lam, delta)


def sumcheck(transcript: Transcript, statement: Statement, messages: Messages) -> Reduced:
    """Steps 1 and 2."""
    transcript.absorb(messages.commitments.encode())
    drawn = draw_sumcheck(transcript, statement)
    claim, rho = 0, []
    for message in messages.rounds:
        claim, x = next_round(transcript, message, claim)
        rho.append(x)
    return Reduced(SumcheckChallenges(drawn.tau, drawn.lam, drawn.delta, tuple(rho)), claim)


def next_round(transcript: Transcript, message: Round, claim: int) -> tuple[int, int]:
    """The next claim, and ρ_i."""
    transcript.absorb(message.encode())
    x = transcript.challenge()
    return message.at(claim, x), x


def with_public_words(statement: Statement, values: ClaimedValues, challenges: SumcheckChallenges) -> ClaimedValues:
    """The values that F has at ρ: X~ and Y~ where they are public, and Y~ = words - pad of a masked output."""
    inputs, outputs, circuit = statement.inputs, statement.outputs, statement.circuit
    x, y = values.x, values.y
    if inputs.words:
        x = public_at(statement, inputs, circuit.input, challenges.rho)
    if outputs.words:
        y = public_at(statement, outputs, circuit.output, challenges.rho) - values.y
    return replace(values, x=x, y=y)


def draw_z(transcript: Transcript, s: G1Point) -> int:
    """z, after C_S. Raises InvalidProof for the values that have no two distinct evaluation points."""
    transcript.absorb(encode_point(s))
    z = transcript.challenge()
    if z * z % R in (0, 1):
        raise InvalidProof("The challenge z is 0, 1 or -1.", "Prove again.")
    return z


def chunk_evaluations(parts: Iterable[tuple[Committed, Part]], z: int) -> dict[Chunk, int]:
    """U_t(z) for every chunk that some functional reads."""
    found: defaultdict[Chunk, int] = defaultdict(int)
    for name, part in parts:
        base = part.base.at(z)
        for chunk, scalar in zip(part.chunks, part.scalars, strict=True):
            found[name, chunk] = (found[name, chunk] + scalar * base) % R
    return found


def _check_opening(transcript: Transcript, statement: Statement, messages: Messages, checked: Claims) -> None:
    opening = messages.opening
    z = draw_z(transcript, opening.s)
    z_inverse = opening.z_inverse
    if z * z_inverse % R != 1:
        raise InvalidProof("The proof's 1/z is not that.", DAMAGED)
    transcript.absorb(encode_scalars((z_inverse, opening.a1)))
    gamma = transcript.challenge()
    transcript.absorb(encode_point(opening.w))
    omega = transcript.challenge()

    left, right = (omega - z_inverse) % R, gamma * (omega - z) % R
    parts = checked.parts(statement.circuit.chunk_bits)
    at_inverse, at_z = chunk_evaluations(parts, z_inverse), chunk_evaluations(parts, z)
    e1 = 2 * checked.total - opening.a1

    points, scalars = [], []
    for chunk, point in commitments(statement, messages).items():
        points.append(point)
        scalars.append(left * at_inverse.get(chunk, 0) + right * at_z.get(chunk, 0))
    points += [opening.s, ceremony.powers()[0], opening.w, opening.w_prime]
    scalars += [
        -z * left - right * z_inverse,
        -left * opening.a1 - right * e1,
        -(omega - z) * (omega - z_inverse),
        omega,
    ]
    opened = multi_exponentiation(points, scalars)
    if not GT.pairing_check([opened, -opening.w_prime], [G2Point(), ceremony.tau_g2()]):
        raise InvalidProof("The proof does not hold.", "It was made for another statement, or damaged or forged.")


def commitments(statement: Statement, messages: Messages) -> dict[Chunk, G1Point]:
    """Every committed chunk."""
    vectors = {
        Committed.WEIGHTS: decode_points(statement.weights),
        Committed.INPUT: decode_points(statement.inputs.points),
        Committed.OUTPUT: decode_points(statement.outputs.points),
        Committed.BITS: messages.commitments.bits,
        Committed.MASK: (messages.commitments.mask,),
    }
    return {(name, index): point for name, points in vectors.items() for index, point in enumerate(points)}
