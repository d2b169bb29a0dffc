"""Functionals against direct sums over indices."""

import random

import numpy as np
import pytest

from cloister.proving import field
from cloister.proving.circuit import bits_for
from cloister.proving.functionals import Base, Eq, Functional, Listed, listed
from cloister.proving.opening import dense
from cloister.proving.scalars import R, eq, eq_points, eq_values, inverse, partial_eq, uniform

SEEDS = range(60)


def elements(rng, count):
    return tuple(rng.choice([0, 1, R - 1, rng.randrange(R), rng.randrange(R)]) for _ in range(count))


def random_axis(rng, most=4):
    kind, bits = rng.randrange(3), rng.randint(0, most)
    if kind == 0:
        return Eq(elements(rng, bits), rng.randint(1, 2**bits))
    if kind == 1:
        return Eq(elements(rng, bits), 2**bits)
    return listed(elements(rng, rng.randint(1, 2**most)))


def weights(axis):
    """The weight of each of the axis's 2^bits digits, by definition."""
    out = [0] * 2**axis.bits
    for digit in range(len(out)):
        match axis:
            case Eq(point, length):
                out[digit] = eq(point, digit) if digit < length else 0
            case Listed(given, _):
                out[digit] = given[digit] if digit < len(given) else 0
    return out


def product(axes):
    """Weight of every index that the axes span, the first axis lowest."""
    total = [1]
    for axis in axes:
        total = [high * low % R for high in weights(axis) for low in total]
    return total


# ---------------------------------------------------------------- single elements


@pytest.mark.parametrize("seed", SEEDS)
def test_partial_eq__every_length__is_the_direct_sum(seed):
    rng = random.Random(seed)
    point, z = elements(rng, rng.randint(0, 6)), rng.randrange(R)
    values = [eq(point, i) for i in range(2 ** len(point))]
    for length in range(1, len(values) + 1):
        assert partial_eq(point, length, z) == sum(values[i] * pow(z, i, R) for i in range(length)) % R
        assert eq_values(point, length) == values[:length]
    other = elements(rng, len(point))
    assert eq_points(point, other) == sum(a * eq(other, i) for i, a in enumerate(values)) % R
    assert sum(values) % R == 1


def test_eq__corner__is_one_there_and_zero_elsewhere():
    for corner in range(8):
        point = [corner >> k & 1 for k in range(3)]
        assert [eq(point, i) for i in range(8)] == [int(i == corner) for i in range(8)]


def test_scalars__small_values__by_hand():
    assert inverse(2) * 2 % R == 1
    with pytest.raises(ValueError, match="not invertible"):
        inverse(0)
    assert len({uniform() for _ in range(20)}) == 20
    assert max(uniform() for _ in range(50)) > R // 2


# ---------------------------------------------------------------- axes


@pytest.mark.parametrize("seed", SEEDS)
def test_axis__random__values_generating_function_and_splits_are_direct_sums(seed):
    rng = random.Random(seed)
    axis, z = random_axis(rng), rng.randrange(R)
    expected = weights(axis)
    values = [value % R for value in axis.values()]
    assert values + [0] * (len(expected) - len(values)) == expected
    assert axis.at(z) == sum(w * pow(z, i, R) for i, w in enumerate(expected)) % R
    for low in range(axis.bits + 1):
        rebuilt = [0] * len(expected)
        for digit, weight, part in axis.split(low):
            assert part.bits <= low
            for i, value in enumerate(weights(part)):
                rebuilt[(digit << low) + i] += weight * value
        assert [value % R for value in rebuilt] == expected


def test_listed__numbers__take_as_few_bits_as_they_need():
    assert [listed([1] * count).bits for count in (1, 2, 3, 4, 5, 8)] == [0, 1, 2, 2, 3, 3]
    assert listed([]).at(5) == 0


# ---------------------------------------------------------------- functionals


def random_functional(rng, most=10):
    axes = []
    while not axes or rng.random() < 0.75:
        axis = random_axis(rng)
        if sum(a.bits for a in axes) + axis.bits > most:
            break
        axes.append(axis)
    return axes


def aligned(rng, axes, chunk_bits):
    """An offset as PROOF-1 wants it: a multiple of min(D, 2^bits)."""
    unit = 1 << min(chunk_bits, sum(axis.bits for axis in axes))
    return unit * rng.randrange(20)


@pytest.mark.parametrize("chunk_bits", range(7))
@pytest.mark.parametrize("seed", SEEDS)
def test_functional__cut_into_chunks_of_any_size__reads_the_same_coefficients(seed, chunk_bits):
    rng = random.Random(f"{seed} {chunk_bits}")
    axes = random_functional(rng)
    offset, scalar, chunk = aligned(rng, axes, chunk_bits), rng.randrange(R), 1 << chunk_bits
    expected = {offset + i: scalar * weight % R for i, weight in enumerate(product(axes)) if weight}
    found, z, sums = {}, rng.randrange(R), {}
    for part in Functional(tuple(axes), offset, scalar).parts(chunk_bits):
        assert len(part.chunks) == len(part.scalars) == len(set(part.chunks))
        inside = product(part.base.axes)
        assert part.base.shift + len(inside) <= chunk
        written = field.integers(dense(part.base, chunk))
        assert written == [0] * part.base.shift + inside + [0] * (chunk - part.base.shift - len(inside))
        assert part.base.at(z) == sum(w * pow(z, i, R) for i, w in enumerate(written)) % R
        for number, factor in zip(part.chunks, part.scalars, strict=True):
            sums[number] = (sums.get(number, 0) + factor * part.base.at(z)) % R
            for i, weight in enumerate(written):
                index = number * chunk + i
                found[index] = (found.get(index, 0) + factor * weight) % R
    assert {index: weight for index, weight in found.items() if weight} == {i: w for i, w in expected.items() if w}
    for number, total in sums.items():
        own = (expected.get(number * chunk + i, 0) * pow(z, i, R) for i in range(chunk))
        assert total == sum(own) % R


def test_parts__same_base_in_many_chunks__come_together():
    """That is what makes the verifier succinct: one base, however many chunks."""
    point = tuple(range(2, 14))
    (part,) = Functional((Eq(point, 2**12),), 0, 1).parts(7)
    assert part.chunks == tuple(range(32))
    cut = Functional((Eq(point, 2**12 - 1),), 0, 1).parts(7)
    assert sorted(len(part.chunks) for part in cut) == [1, 31]


def test_base__shift__moves_every_index():
    base = Base((listed([0, 1]), listed([3, 5])), 4)
    assert field.integers(dense(base, 8)) == [0, 0, 0, 0, 0, 3, 0, 5]
    assert base.at(2) == 3 * 2**5 + 5 * 2**7


def test_dense__field_vector__is_montgomery_like_all_others():
    assert np.array_equal(dense(Base((listed([1]),), 0), 1), field.constant(1))
    assert bits_for(1) == 0
    assert [bits_for(n) for n in (2, 3, 4, 5, 1024, 1025)] == [1, 2, 2, 3, 10, 11]
