"""From measured numbers to declared integers, exactly."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from cloister.fixedpoint import Arithmetic, InputSpec, InvalidModelInput

ARITHMETIC = Arithmetic(t=10, f=4, s=8)


def spec(**changes):
    return InputSpec(**{"shape": (1,), "mean": ("0",), "scale": ("1",), "low": (-1024,), "high": (1023,), **changes})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 / 32, 0),
        (3 / 32, 2),
        (5 / 32, 2),
        (-1 / 32, 0),
        (-3 / 32, -2),
        (0.1, 2),
        (63.9375, 1023),
        (64, 1023),
        (-1e300, -1024),
    ],
)
def test_quantise__halves_and_ends__round_to_even_and_clip(value, expected):
    assert spec().quantise([[value]], ARITHMETIC).tolist() == [[expected]]


def test_quantise__decimal_mean_and_scale__are_exact():
    """0.1 as a float is above one tenth, so it stands above the mean; float arithmetic would say equal."""
    fine = Arithmetic(t=30, f=30, s=8)
    exact = spec(mean=("0.1",), scale=("0.000000001",), low=(-(2**30),), high=(2**30 - 1,))
    expected = round((Fraction(0.1) - Fraction(1, 10)) * 10**9 * 2**30)
    assert expected != 0
    assert exact.quantise([[0.1]], fine).tolist() == [[expected]]


def test_quantise__just_below_a_half__rounds_down():
    """1.5 - 1.6e-17 is 1.5 as a float, which rounds to 2."""
    assert spec(mean=("0.000000000000000001",)).quantise([[3 / 32]], ARITHMETIC).tolist() == [[1]]


def test_quantise__random_rows__equal_decimal_arithmetic():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(50, 2, 3)) * 10
    means = tuple(f"{value:.6f}" for value in rng.normal(size=6))
    scales = tuple(f"{value:.6f}" for value in rng.uniform(0.5, 3, size=6))
    wide = InputSpec(shape=(2, 3), mean=means, scale=scales, low=(-100,), high=(100,) * 6)
    made = wide.quantise(rows, ARITHMETIC)
    for row, integers in zip(rows.reshape(50, 6), made.reshape(50, 6), strict=True):
        for i in range(6):
            exact = (Fraction(row[i]) - Fraction(Decimal(means[i]))) / Fraction(Decimal(scales[i])) * 16
            assert integers[i] == min(max(round(exact), -100), 100)
    assert np.abs(np.clip(wide.standardise(rows) * 16, -100, 100) - made).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[float("nan")]], r"Entry \(0, 0\) is nan"),
        ([[0.0], [float("-inf")]], r"Entry \(1, 0\) is -inf"),
        ([[1.0, 2.0]], r"shape \(1, 2\), expected \(n, 1\)"),
        ([0.0], "batch"),
        ([], "batch"),
        ([["a"]], "not an array of numbers"),
        ([[1.0], [1.0, 2.0]], "not an array of numbers"),
    ],
)
def test_quantise__unusable_rows__are_refused(rows, words):
    with pytest.raises(InvalidModelInput, match=words):
        spec().quantise(rows, ARITHMETIC)


def test_fit__training_rows__are_standardised_and_inside_the_declared_range():
    rng = np.random.default_rng(8)
    rows = np.concatenate([rng.normal(5, 3, size=(200, 2)), np.full((200, 1), 7.0)], axis=1)
    fitted = InputSpec.fit(rows, Arithmetic(t=12, f=8, s=12))
    assert fitted.problem(Arithmetic(t=12, f=8, s=12)) is None
    standard = fitted.standardise(rows)
    assert np.abs(standard.mean(axis=0)).max() < 1e-6
    assert np.abs(standard[:, :2].std(axis=0) - 1).max() < 1e-6
    assert fitted.scale[2] == "1"
    integers = fitted.quantise(rows, Arithmetic(t=12, f=8, s=12))
    low, high = fitted.bounds()
    assert ((integers > low) & (integers < high))[:, :2].all()


def test_fit__outlier_in_a_narrow_t__declares_no_more_than_t_allows():
    fitted = InputSpec.fit([[0.0]] * 99 + [[1e6]], Arithmetic(t=4, f=4, s=8))
    assert (fitted.low, fitted.high) != ((-16,), (16,))
    assert fitted.problem(Arithmetic(t=4, f=4, s=8)) is None


@pytest.mark.parametrize("magnitude", [1e-9, 1e-3, 1.0, 1e9])
def test_fit__any_magnitude__writes_decimals_the_manifest_accepts(magnitude):
    rows = np.random.default_rng(1).normal(size=(30, 1)) * magnitude
    fitted = InputSpec.fit(rows, Arithmetic(t=12, f=8, s=12))
    assert abs(float(fitted.scale[0]) / rows.std() - 1) < 1e-6
    assert "e" not in (fitted.mean[0] + fitted.scale[0]).lower()
