"""Committed vectors: chunks, blinding, points, and the sums of chunks that the opening needs."""

import random

import numpy as np
import pytest
from reference.matrix_claims import R

from cloister.proving import ceremony, field
from cloister.proving.curve import INFINITY, encode_points, multi_exponentiation
from cloister.proving.vectors import EMPTY, commit, commit_bits, commit_field, commit_small

CHUNK = 128


def expected(rows, blinding):
    powers = ceremony.powers()
    return tuple(
        multi_exponentiation(powers[: CHUNK + 1], [value % R for value in (*row, b)])
        for row, b in zip(rows, blinding, strict=True)
    )


def elements(rng, count):
    return [rng.randrange(R) for _ in range(count)]


SMALL = {
    "weights": lambda rng: rng.randint(-(2**15), 2**15 - 1),
    "mostly zero": lambda rng: rng.choice([0] * 9 + [rng.randint(-9, 9)]),
    "negative": lambda rng: -rng.randint(1, 2**15),
    "positive": lambda rng: rng.randint(1, 2**15),
    "zero": lambda _rng: 0,
    "wide": lambda rng: rng.choice([-(2**31), 2**31 - 1, -1, 0, 1, rng.randint(-(2**31), 2**31)]),
}


@pytest.mark.parametrize("name", SMALL)
def test_commit_small__any_signs__is_the_sum_of_section_2(name):
    rng = random.Random(name)
    rows = [[SMALL[name](rng) for _ in range(CHUNK)] for _ in range(3)]
    blinding = elements(rng, 3)
    vector = commit_small(np.array(rows, dtype=np.int64), blinding)
    assert vector.points == expected(rows, blinding)
    assert vector.encoded == encode_points(vector.points)


def test_commit_bits_and_field__random__are_the_sum_of_section_2():
    rng = random.Random(1)
    bits = [[rng.randint(0, 1) for _ in range(CHUNK)] for _ in range(2)] + [[0] * CHUNK]
    blinding = elements(rng, 3)
    assert commit_bits(np.array(bits, dtype=np.int64), blinding).points == expected(bits, blinding)
    wide = [elements(rng, CHUNK), [0] * CHUNK, [0, R - 1] * 64]
    entries = field.vector([value for row in wide for value in row]).reshape(3, CHUNK, field.LIMBS)
    assert commit_field(entries, blinding).points == expected(wide, blinding)


def test_commit__some_coefficients__zero_gives_infinity():
    assert commit(field.zeros(5)) == INFINITY
    assert commit(field.vector([0, 0, 7])) == multi_exponentiation([ceremony.powers()[2]], [7])
    assert EMPTY.points == ()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("chunks", [[0], [4], [0, 1, 2, 3, 4], [1, 2, 3], [4, 0, 2], [3, 1]])
def test_folded__chunks_in_any_order__is_their_weighted_sum_with_blinding(name, chunks):
    rng = random.Random(f"{name} {chunks}")
    rows = [[SMALL[name](rng) for _ in range(CHUNK)] for _ in range(5)]
    blinding, factors = elements(rng, 5), [0, 1, R - 1, *elements(rng, 5)][: len(chunks)][::-1]
    wanted = [
        sum(f * [*rows[chunk], blinding[chunk]][i] for chunk, f in zip(chunks, factors, strict=True)) % R
        for i in range(CHUNK + 1)
    ]
    small = commit_small(np.array(rows, dtype=np.int64), blinding)
    assert field.integers(small.folded(chunks, factors)) == wanted
    entries = field.vector([value % R for row in rows for value in row]).reshape(5, CHUNK, field.LIMBS)
    assert field.integers(commit_field(entries, blinding).folded(chunks, factors)) == wanted


def test_folded__very_many_chunks__products_stay_exact():
    rng = np.random.default_rng(1)
    rows = np.full((40, CHUNK), -(2**31), dtype=np.int64)
    rows[::2] = rng.integers(2**31 - 9, 2**31, size=(20, CHUNK))
    factors = [R - 1 - i for i in range(40)]
    found = field.integers(commit_small(rows, [0] * 40).folded(range(40), factors))
    assert found[:CHUNK] == [sum(f * int(x) for f, x in zip(factors, column, strict=True)) % R for column in rows.T]
    assert found[CHUNK] == 0
