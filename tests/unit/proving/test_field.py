"""The prover's vectors over F against Python integers."""

import random

import numpy as np
import pytest

from cloister.proving import field
from cloister.proving.scalars import R, eq

EDGES = [0, 1, 2, R - 1, R - 2, R // 2, R // 2 + 1, 2**64 - 1, 2**64, 2**128, 2**192 - 1, 2**254]


def numbers(seed, count=40):
    rng = random.Random(seed)
    return EDGES + [rng.randrange(R) for _ in range(count)]


def pairs(seed):
    values = numbers(seed)
    rng = random.Random(seed + 1)
    left = [a for a in EDGES for _ in EDGES] + values
    return left, EDGES * len(EDGES) + rng.sample(values, len(values))


def test_vector__every_edge__round_trip():
    values = numbers(1)
    assert field.integers(field.vector(values)) == values
    assert [field.integers(field.constant(value)) for value in values] == [[value] for value in values]
    assert field.integers(field.zeros(3)) == [0, 0, 0]
    raw = field.canonical(field.vector(values))
    assert [sum(int(limb) << 64 * i for i, limb in enumerate(row)) for row in raw] == values


@pytest.mark.parametrize("seed", range(3))
def test_entry_by_entry__all_pairs_of_edges__as_integers(seed):
    left, right = pairs(seed)
    a, b = field.vector(left), field.vector(right)
    for operation, plain in (
        (field.add, lambda x, y: x + y),
        (field.sub, lambda x, y: x - y),
        (field.mul, lambda x, y: x * y),
    ):
        assert field.integers(operation(a, b)) == [plain(x, y) % R for x, y in zip(left, right, strict=True)]
    assert field.dot(a, b) == sum(x * y for x, y in zip(left, right, strict=True)) % R
    for factor in EDGES:
        assert field.integers(field.scaled(a, factor)) == [factor * x % R for x in left]


def test_entry_by_entry__results__are_canonical():
    """Two equal elements have equal limbs."""
    left, right = pairs(5)
    for operation in (field.add, field.sub, field.mul):
        out = operation(field.vector(left), field.vector(right))
        assert np.array_equal(out, field.vector(field.integers(out)))


def test_outer__two_vectors__the_second_one_lowest():
    high, low = numbers(2, 3), numbers(3, 2)[:5]
    expected = [h * x % R for h in high for x in low]
    assert field.integers(field.outer(field.vector(high), field.vector(low))) == expected


def test_from_small__signed_64_bits__as_field_elements():
    values = [0, 1, -1, 2**62, -(2**62), 2**63 - 1, -(2**63) + 1, 12345, -54321]
    assert field.integers(field.from_small(np.array(values, dtype=np.int64))) == [value % R for value in values]


def test_limbs16__every_edge__rebuild_the_element():
    values = numbers(4)
    limbs = field.limbs16(field.vector(values))
    assert limbs.shape == (16, len(values))
    assert limbs.min() >= 0
    assert limbs.max() < 2**16
    assert [sum(int(limb) << 16 * j for j, limb in enumerate(column)) for column in limbs.T] == values


def test_from_limb_sums__signed_sums_up_to_2_53__as_integers():
    rng = np.random.default_rng(1)
    sums = rng.integers(-(2**53), 2**53, size=(16, 30), endpoint=True)
    sums[:, 0], sums[:, 1], sums[:, 2] = 2**53, -(2**53), 0
    expected = [sum(int(x) << 16 * j for j, x in enumerate(column)) % R for column in sums.T]
    assert field.integers(field.from_limb_sums(sums.astype(np.float64))) == expected


@pytest.mark.parametrize("count", range(6))
def test_eq_table__random_point__is_eq(count):
    point = [random.Random(count).randrange(R) for _ in range(count)]
    assert field.integers(field.eq_table(point)) == [eq(point, i) for i in range(2**count)]


def test_powers_and_polynomials__random__as_integers():
    rng = random.Random(6)
    for length in (1, 2, 5, 17):
        f, x = [rng.randrange(R) for _ in range(length)], rng.randrange(R)
        value = sum(c * pow(x, i, R) for i, c in enumerate(f)) % R
        assert field.integers(field.powers(x, length)) == [pow(x, i, R) for i in range(length)]
        assert field.evaluate(field.vector(f), x) == value
        quotient = field.integers(field.divide(field.vector(f), x))
        # quotient·(X - x) + f(x) = f
        back = [(low - x * high) % R for low, high in zip([0, *quotient], [*quotient, 0], strict=True)]
        back[0] = (back[0] + value) % R
        assert back == f


@pytest.mark.parametrize("size", [1, 2, 8, 64])
def test_transform__any_length__evaluates_at_roots_of_unity_and_inverts(size):
    rng = random.Random(size)
    root = field.root_of_unity(size)
    assert pow(root, size, R) == 1
    assert size == 1 or pow(root, size // 2, R) == R - 1
    for length in {1, size // 2 or 1, size}:
        f = [rng.randrange(R) for _ in range(length)]
        out = field.transform(field.vector(f), size)
        expected = [sum(c * pow(root, i * j, R) for j, c in enumerate(f)) % R for i in range(size)]
        assert field.integers(out) == expected
        assert field.integers(field.transform(out, size, inverse=True)) == f + [0] * (size - length)


def test_transform__product_of_polynomials__is_a_convolution():
    rng = random.Random(9)
    f, g = ([rng.randrange(R) for _ in range(n)] for n in (7, 9))
    values = field.mul(field.transform(field.vector(f), 16), field.transform(field.vector(g), 16))
    expected = [0] * 16
    for i, a in enumerate(f):
        for j, b in enumerate(g):
            expected[i + j] = (expected[i + j] + a * b) % R
    assert field.integers(field.transform(values, 16, inverse=True)) == expected
