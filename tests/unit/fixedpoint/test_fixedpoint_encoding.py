"""Bytes of inputs and outputs, and the refusal of inputs outside the declared range."""

import numpy as np
import pytest
import torch
from random_networks import make_package, random_rows

from cloister.domain.errors import InvalidInput
from cloister.fixedpoint import (
    InvalidModelInput,
    check_output,
    decode_input,
    decode_output,
    encode_input,
    encode_output,
)

VECTOR = make_package("linear", 0)
IMAGE = make_package("conv", 0)


def test_encode_input__known_row__has_the_documented_bytes():
    assert encode_input([[1, -1, 256, -1500]], VECTOR.manifest).hex() == "00000001ffffffff00000100fffffa24"


def test_encode_output__known_row__has_the_documented_bytes():
    assert encode_output([[0, -(2**19), 2**19 - 1]], VECTOR.manifest).hex() == "00000000fff800000007ffff"


def test_encode_input__image__puts_entries_at_the_documented_offsets():
    rows = random_rows(IMAGE, 0, 3)
    data = encode_input(rows, IMAGE.manifest)
    for i, c, y, x in [(0, 0, 0, 0), (1, 0, 4, 5), (2, 1, 3, 2)]:
        at = 4 * (i * 60 + (c * 5 + y) * 6 + x)
        assert int.from_bytes(data[at : at + 4], "big", signed=True) == rows[i, c, y, x]


@pytest.mark.parametrize("package", [VECTOR, IMAGE])
def test_encoding__random_rows__come_back(package):
    rows = random_rows(package, 5, 7)
    assert np.array_equal(decode_input(encode_input(rows, package.manifest), package.manifest), rows)
    outputs = package.run(rows)
    decoded = decode_output(encode_output(outputs, package.manifest), package.manifest)
    assert decoded.dtype == np.int64
    assert np.array_equal(decoded, outputs)


@pytest.mark.parametrize("length", [0, 1, 15, 17, 31, 16 * 4097])
def test_decode_input__wrong_length__is_refused(length):
    with pytest.raises(InvalidModelInput, match=rf"has {length:,} bytes, expected 16"):
        decode_input(bytes(length), VECTOR.manifest)


def test_decode_input__most_rows__are_accepted():
    assert decode_input(bytes(16 * 4096), VECTOR.manifest).shape == (4096, 4)


def test_encode_input__too_many_rows__are_refused():
    with pytest.raises(InvalidModelInput, match="at most 4,096"):
        encode_input(np.zeros((4097, 4), dtype=int), VECTOR.manifest)


@pytest.mark.parametrize("value", [-1501, 1501, 2**31 - 1, -(2**31)])
def test_decode_input__value_outside_the_range__is_refused_with_its_place(value):
    data = bytearray(encode_input([[0] * 4, [0] * 4], VECTOR.manifest))
    data[28:32] = value.to_bytes(4, "big", signed=True)
    with pytest.raises(InvalidModelInput, match=rf"Input entry \(1, 3\) is {value}, outside \[-1500, 1500\]"):
        decode_input(bytes(data), VECTOR.manifest)


@pytest.mark.parametrize("value", [2**19, -(2**19) - 1])
def test_decode_output__value_no_z_can_give__is_refused(value):
    data = bytes(8) + value.to_bytes(4, "big", signed=True)
    with pytest.raises(InvalidModelInput, match=rf"Output entry \(0, 2\) is {value}"):
        decode_output(data, VECTOR.manifest)


@pytest.mark.parametrize(
    "entry", [2**63 - 1, -(2**63), 1501, -1501, np.uint64(2**64 - 1), np.uint64(2**63), np.uint64(1501)]
)
def test_run__entry_outside_the_range__is_refused(entry):
    rows = np.zeros((2, 4), dtype=np.asarray(entry).dtype)
    rows[1, 2] = entry
    with pytest.raises(InvalidModelInput, match=rf"\(1, 2\) is {entry}, outside"):
        VECTOR.run(rows)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[0.0] * 4], "float64; integers"),
        ([[True] * 4], "bool; integers"),
        ([["1"] * 4], "integers"),
        ([[2**70, 0, 0, 0]], "object; integers"),
        ([[1, 2, 3, None]], "object; integers"),
        ([[1, 2], [3]], "rectangular"),
        ([1, 2, 3, 4], r"shape \(4,\), expected \(n, 4\)"),
        ([[1, 2, 3]], r"shape \(1, 3\)"),
        (np.zeros((0, 4), dtype=int), r"shape \(0, 4\)"),
        (np.zeros((1, 4, 1), dtype=int), r"shape \(1, 4, 1\)"),
        (5, r"shape \(\)"),
    ],
)
def test_run__not_rows_of_integers__is_refused(rows, words):
    with pytest.raises(InvalidModelInput, match=words) as refusal:
        VECTOR.run(rows)
    assert isinstance(refusal.value, InvalidInput)
    assert refusal.value.hint


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64, list, torch.tensor])
def test_run__any_kind_of_integers__gives_the_same(kind):
    rows = [[1, 2, 3, 100]]
    given = kind(rows) if kind in (list, torch.tensor) else np.array(rows, dtype=kind)
    assert np.array_equal(VECTOR.run(given), VECTOR.run(rows))


def test_check_output__floats__are_refused():
    with pytest.raises(InvalidModelInput, match="output has type float64"):
        check_output([[0.5, 0.5, 0.5]], VECTOR.manifest)
