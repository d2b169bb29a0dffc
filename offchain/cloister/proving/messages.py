"""What the prover sends, one dataclass a message, in the order of docs/spec/proofs.md, section 8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from py_arkworks_bls12381 import G1Point

from cloister.proving.curve import POINT_BYTES, decode_point, decode_points, encode_point, encode_points
from cloister.proving.errors import InvalidProof
from cloister.proving.scalars import SCALAR_BYTES, R
from cloister.proving.statement import DAMAGED, Statement

FIRST_DEGREE: Final = 6
DEGREE: Final = 3


def degree_of(round_: int) -> int:
    """Degree of a round's polynomial."""
    return DEGREE if round_ else FIRST_DEGREE


def encode_scalars(values: Sequence[int]) -> bytes:
    """Field elements joined, 32 bytes each."""
    return b"".join(value.to_bytes(SCALAR_BYTES, "big") for value in values)


@dataclass(frozen=True, slots=True)
class Commitments:
    """Step 1: the bits of every z, and the randomness that hides the rest."""

    bits: tuple[G1Point, ...]
    mask: G1Point

    def encode(self) -> bytes:
        """The absorbed bytes."""
        return encode_points((*self.bits, self.mask))


@dataclass(frozen=True, slots=True)
class Round:
    """Step 2: one round of the sumcheck, as coefficients a_0, a_2, a_3, …; a_1 follows from the claim."""

    coefficients: tuple[int, ...]

    def encode(self) -> bytes:
        """The absorbed bytes."""
        return encode_scalars(self.coefficients)

    def at(self, claim: int, x: int) -> int:
        """The round's polynomial at x, if its values at 0 and 1 add up to `claim`."""
        first, *rest = self.coefficients
        linear = claim - 2 * first - sum(rest)
        total = 0
        for coefficient in reversed((first, linear, *rest)):
            total = (total * x + coefficient) % R
        return total


@dataclass(frozen=True, slots=True)
class ClaimedValues:
    """Step 3: the masked factors at ρ. Those that the statement does not have are 0 and not sent."""

    g_input: int
    g_hidden: int
    bias: int
    x: int
    y: int
    bits: tuple[int, ...]

    def encode(self, statement: Statement) -> bytes:
        """The absorbed bytes."""
        linear = (self.g_input, self.g_hidden, self.bias) if statement.circuit.stages else ()
        x = (self.x,) if statement.inputs.points else ()
        y = (self.y,) if statement.outputs.points else ()
        return encode_scalars((*linear, *x, *y, *self.bits))


@dataclass(frozen=True, slots=True)
class Opening:
    """Steps 4 to 7: C_S, 1/z and a1, C_w, C_w'."""

    s: G1Point
    z_inverse: int
    a1: int
    w: G1Point
    w_prime: G1Point


@dataclass(frozen=True, slots=True)
class Messages:
    """All that the prover sends."""

    commitments: Commitments
    rounds: tuple[Round, ...]
    values: ClaimedValues
    opening: Opening

    def encode(self, statement: Statement) -> bytes:
        """The end of a proof file."""
        opening = self.opening
        parts = [self.commitments.encode(), *(message.encode() for message in self.rounds)]
        parts += [
            self.values.encode(statement),
            encode_point(opening.s),
            encode_scalars((opening.z_inverse, opening.a1)),
        ]
        return b"".join((*parts, encode_point(opening.w), encode_point(opening.w_prime)))


def messages_size(statement: Statement) -> int:
    """Bytes of a proof's messages."""
    points = statement.bit_chunks + 4
    scalars = sum(degree_of(i) for i in range(statement.variables)) + statement.circuit.bits + 2
    scalars += 3 * bool(statement.circuit.stages) + bool(statement.inputs.points) + bool(statement.outputs.points)
    return points * POINT_BYTES + scalars * SCALAR_BYTES


def decode_messages(data: bytes, statement: Statement) -> Messages:
    """Messages of a proof about `statement`, every point and scalar checked. Raises InvalidProof (PROOF-5)."""
    if len(data) != messages_size(statement):
        raise InvalidProof(f"The proof has {len(data)} bytes of messages, not {messages_size(statement)}.", DAMAGED)
    reader = _Reader(data)
    commitments = Commitments(tuple(reader.points(statement.bit_chunks)), reader.point())
    rounds = tuple(Round(reader.scalars(degree_of(i))) for i in range(statement.variables))
    g_input, g_hidden, bias = reader.scalars(3) if statement.circuit.stages else (0, 0, 0)
    x = reader.scalars(1)[0] if statement.inputs.points else 0
    y = reader.scalars(1)[0] if statement.outputs.points else 0
    values = ClaimedValues(g_input, g_hidden, bias, x, y, reader.scalars(statement.circuit.bits))
    s, (z_inverse, a1) = reader.point(), reader.scalars(2)
    opening = Opening(s, z_inverse, a1, reader.point(), reader.point())
    return Messages(commitments, rounds, values, opening)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]

    def point(self) -> G1Point:
        return decode_point(self._take(POINT_BYTES))

    def points(self, count: int) -> list[G1Point]:
        return decode_points(self._take(count * POINT_BYTES))

    def scalars(self, count: int) -> tuple[int, ...]:
        data = self._take(count * SCALAR_BYTES)
        values = tuple(int.from_bytes(data[i : i + SCALAR_BYTES], "big") for i in range(0, len(data), SCALAR_BYTES))
        if any(value >= R for value in values):
            raise InvalidProof("A number of the proof is not below the field's order.", DAMAGED)
        return values
