"""Powers of the KZG ceremony."""

import random
from hashlib import sha256
from importlib.resources import files

import pytest
from py_arkworks_bls12381 import GT, G1Point, G2Point
from reference.matrix_points import TAU_H

from cloister.proving import InvalidProof, ceremony
from cloister.proving.curve import INFINITY, encode_point, multi_exponentiation
from cloister.proving.scalars import R


def test_powers__file__is_the_pinned_one():
    data = files("cloister.proving.ceremony").joinpath("g1_monomial.bin").read_bytes()
    assert sha256(data).hexdigest() == ceremony.DIGEST
    assert len(data) == ceremony.POWERS * ceremony.POINT_BYTES
    assert len(ceremony.powers()) == ceremony.POWERS == 4096
    assert ceremony.powers()[0] == G1Point()


def test_powers__every_point__lies_in_the_group():
    """`powers` does not check points one by one: the digest stands for this test."""
    data = files("cloister.proving.ceremony").joinpath("g1_monomial.bin").read_bytes()
    for at in range(0, len(data), ceremony.POINT_BYTES):
        G1Point.from_xy_bytes_be(data[at : at + ceremony.POINT_BYTES])


def test_powers__each__is_tau_times_its_predecessor():
    """e(Σ c_i·G_{i+1}, H) = e(Σ c_i·G_i, τH) for random c: false with probability 1/r if any one is wrong."""
    powers, rng = list(ceremony.powers()), random.Random(1)
    factors = [rng.randrange(R) for _ in powers[1:]]
    upper, lower = multi_exponentiation(powers[1:], factors), multi_exponentiation(powers[:-1], factors)
    assert GT.pairing_check([upper, -lower], [G2Point(), ceremony.tau_g2()])
    factors[17] += 1
    off = multi_exponentiation(powers[1:], factors)
    assert not GT.pairing_check([off, -lower], [G2Point(), ceremony.tau_g2()])


def test_powers__all__differ():
    assert len({encode_point(point) for point in ceremony.powers()}) == 4096
    assert INFINITY not in ceremony.powers()[:5]


def test_tau_g2__bytes__are_the_references():
    coordinates = b"".join(int(c).to_bytes(48, "big") for part in TAU_H[:2] for c in reversed(part.coeffs))
    given = [ceremony.TAU_G2[i : i + 48] for i in range(0, 192, 48)]
    assert sorted(given) == sorted(coordinates[i : i + 48] for i in range(0, 192, 48))
    assert ceremony.tau_g2() == G2Point.from_xy_bytes_be(ceremony.TAU_G2)


class Damaged:
    def __init__(self, data):
        self.data = data

    def joinpath(self, _name):
        return self

    def read_bytes(self):
        return self.data


@pytest.mark.parametrize("damage", ["one bit", "cut", "longer", "two points swapped", "empty"])
def test_powers__damaged_file__refused(monkeypatch, damage):
    data = files("cloister.proving.ceremony").joinpath("g1_monomial.bin").read_bytes()
    size = ceremony.POINT_BYTES
    bad = {
        "one bit": data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        "cut": data[:-size],
        "longer": data + data[:size],
        "two points swapped": data[:size] + data[2 * size : 3 * size] + data[size : 2 * size] + data[3 * size :],
        "empty": b"",
    }[damage]
    monkeypatch.setattr(ceremony, "files", lambda _package: Damaged(bad))
    ceremony.powers.cache_clear()
    try:
        with pytest.raises(InvalidProof, match="ceremony"):
            ceremony.powers()
    finally:
        ceremony.powers.cache_clear()
