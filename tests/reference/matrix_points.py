"""Points and field elements of docs/spec/proofs.md, sections 2 and 8, on py-ecc."""

from collections.abc import Iterable
from functools import cache
from math import prod

from eth_utils import keccak
from py_ecc.optimized_bls12_381 import (
    FQ,
    FQ2,
    FQ12,
    G1,
    G2,
    Z1,
    add,
    b,
    curve_order,
    double,
    field_modulus,
    final_exponentiate,
    is_inf,
    is_on_curve,
    multiply,
    neg,
    pairing,
)

from .registry import require

__all__ = ["TAU_H", "Transcript", "decode_point", "eq", "field", "linear_combination", "powers_sum", "same_pairing"]

R = curve_order
Point = tuple[FQ, FQ, FQ]
GENERATOR: Point = G1  # G_0

# τ·H of Ethereum's ceremony: the second of the 65 monomial G2 points of its trusted setup
TAU_H = (
    FQ2(
        (
            0x185CBFEE53492714734429B7B38608E23926C911CCECEAC9A36851477BA4C60B087041DE621000EDC98EDADA20C1DEF2,
            0x15BFD7DD8CDEB128843BC287230AF38926187075CBFBEFA81009A2CE615AC53D2914E5870CB452D2AFAAAB24F3499F72,
        )
    ),
    FQ2(
        (
            0x014353BDB96B626DD7D5EE8599D1FCA2131569490E28DE18E82451A496A9C9794CE26D105941F383EE689BFBBB832A99,
            0x1666C54B0A32529503432FCAE0181B4BEF79DE09FC63671FDA5ED1BA9BFA07899495346F3D7AC9CD23048EF30D0A154F,
        )
    ),
    FQ2.one(),
)


def field(data: bytes) -> int:
    """A field element of 32 bytes, big-endian, below r."""
    value = int.from_bytes(data, "big")
    require(len(data) == 32 and value < R, "PROOF-5: a field element")
    return value


@cache
def decode_point(data: bytes) -> Point:
    """A point of G1 in 128 bytes (EIP-2537): on the curve, in the subgroup, coordinates below the modulus."""
    require(len(data) == 128, "PROOF-5: a point's length")
    x, y = int.from_bytes(data[:64], "big"), int.from_bytes(data[64:], "big")
    require(x < field_modulus and y < field_modulus, "PROOF-5: a coordinate not below the modulus")
    if x == y == 0:
        return Z1
    point = (FQ(x), FQ(y), FQ.one())
    require(is_on_curve(point, b), "PROOF-5: a point off the curve")
    require(is_inf(multiply(point, R)), "PROOF-5: a point outside the subgroup")
    return point


def linear_combination(terms: Iterable[tuple[int, Point]]) -> Point:
    """Σ coefficient·point: bit by bit from the highest, all terms together."""
    reduced = [(coefficient % R, point) for coefficient, point in terms]
    total = Z1
    for k in reversed(range(R.bit_length())):
        total = double(total)
        for coefficient, point in reduced:
            if coefficient >> k & 1:
                total = add(total, point)
    return total


def same_pairing(left: Point, right: Point, tau_h: tuple[FQ2, FQ2, FQ2] = TAU_H) -> bool:
    """e(left, H) = e(right, τH), as e(left, H)·e(-right, τH) = 1."""
    product = pairing(G2, left, final_exponentiate=False) * pairing(tau_h, neg(right), final_exponentiate=False)
    return final_exponentiate(product) == FQ12.one()


def eq(rho: list[int], index: int) -> int:
    """eq(ρ, index) of section 2, index bits from the lowest."""
    require(index < 2 ** len(rho), "an index outside the hypercube")
    return prod(x if index >> k & 1 else 1 - x for k, x in enumerate(rho)) % R


def powers_sum(coefficients: list[int], z: int) -> int:
    """Σ coefficients[i]·z^i."""
    total = 0
    for coefficient in reversed(coefficients):
        total = (total * z + coefficient) % R
    return total


class Transcript:
    """Section 8."""

    def __init__(self, statement: bytes) -> None:
        self.state = keccak(statement)

    def absorb(self, message: bytes) -> None:
        self.state = keccak(self.state + message)

    def challenge(self, number: int) -> int:
        return int.from_bytes(keccak(self.state + number.to_bytes(32, "big")), "big") % R

    def challenges(self, first: int, count: int) -> list[int]:
        return [self.challenge(first + i) for i in range(count)]
