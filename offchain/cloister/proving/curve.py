"""Points of G1: their 128-byte form, sums and commitments. Arithmetic is arkworks', through py-arkworks-bls12381."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from py_arkworks_bls12381 import G1Point, Scalar

from cloister.proving.errors import InvalidProof
from cloister.proving.scalars import R

POINT_BYTES: Final = 128
_PAD: Final = bytes(16)
INFINITY: Final = G1Point.identity()


def encode_point(point: G1Point) -> bytes:
    """EIP-2537's form: two 64-byte coordinates; infinity is all zeros."""
    if point == INFINITY:
        return bytes(POINT_BYTES)
    xy = point.to_xy_bytes_be()
    return _PAD + xy[:48] + _PAD + xy[48:]


def decode_point(data: bytes) -> G1Point:
    """A point on the curve, in the subgroup, with canonical coordinates; InvalidProof otherwise (PROOF-5)."""
    if len(data) != POINT_BYTES or data[:16] != _PAD or data[64:80] != _PAD:
        raise InvalidProof("A point is not in the 128-byte form.", "The proof is damaged.")
    try:
        return G1Point.from_xy_bytes_be(data[16:64] + data[80:])
    except ValueError as error:
        raise InvalidProof(f"A point is refused: {error}.", "The proof is damaged or forged.") from None


def encode_points(points: Iterable[G1Point]) -> bytes:
    """Points joined."""
    return b"".join(map(encode_point, points))


def decode_points(data: bytes) -> list[G1Point]:
    """The points of a string of whole points. Raises InvalidProof."""
    return [decode_point(data[at : at + POINT_BYTES]) for at in range(0, len(data), POINT_BYTES)]


def scalar(value: int) -> Scalar:
    """An element of F for the curve library."""
    return Scalar.from_le_bytes((value % R).to_bytes(32, "little"))


def multi_exponentiation(points: Sequence[G1Point], scalars: Sequence[int]) -> G1Point:
    """Σ scalars_i·points_i. The points must have been checked."""
    return G1Point.multiexp_unchecked(list(points), [scalar(value) for value in scalars])
