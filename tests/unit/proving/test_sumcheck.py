"""The prover's rounds against sums over the hypercube."""

import random

import numpy as np
import pytest
from support.plain_prover import interpolated as by_differences

from cloister.proving import field
from cloister.proving.messages import Round, degree_of
from cloister.proving.scalars import R
from cloister.proving.sumcheck import EQ, FACTORS, IN_INPUT, IN_OUTPUT, LINEAR, Sumcheck, interpolated

UNMASKED = (EQ, IN_INPUT, IN_OUTPUT)  # public


def summand(rows, delta):
    g_in, a_in, g_hid, top, u, eq, linear, in_input, low, in_output, answer, *bits = rows
    inner = linear + delta * sum(b * b for b in bits) + in_input * low + in_output * answer
    return (g_in * a_in + g_hid * top * u + eq * inner) % R


class Plain:
    """F + g over random factors, by definition."""

    def __init__(self, rng, variables, bits):
        self.n = variables
        self.table = [[rng.randrange(R) for _ in range(2**variables)] for _ in range(FACTORS + bits)]
        self.masks = [rng.randrange(R) if row not in UNMASKED else 0 for row in range(len(self.table))]
        self.delta = rng.randrange(R)
        self.g = [[rng.randrange(R) for _ in range(degree_of(i))] for i in range(variables)]

    def balance(self):
        """Shift the linear row so that F adds up to zero."""
        whole = sum(self.at([i >> k & 1 for k in range(self.n)], mask=False) for i in range(2**self.n))
        weight = sum(self.table[EQ])
        shift = -whole * pow(weight, -1, R) % R
        self.table[LINEAR] = [(value + shift) % R for value in self.table[LINEAR]]

    def factor(self, row, point, *, mask=True):
        column = self.table[row]
        for x in point:
            column = [(a + x * (b - a)) % R for a, b in zip(column[::2], column[1::2], strict=True)]
        return (column[0] + mask * self.masks[row] * point[0] * (1 - point[0])) % R

    def at(self, point, *, mask=True):
        return summand([self.factor(row, point, mask=mask) for row in range(len(self.table))], self.delta)

    def blind(self, point):
        half = pow(2, -1, R)
        return sum(g * (pow(x, e, R) - half) for own, x in zip(self.g, point, strict=True)
                   for e, g in enumerate(own, start=1))  # fmt: skip

    def round(self, rho, x):
        rest = self.n - len(rho) - 1
        points = [[*rho, x, *(i >> k & 1 for k in range(rest))] for i in range(2**rest)]
        return sum(self.at(point) + self.blind(point) for point in points) % R


@pytest.mark.parametrize(("variables", "bits", "seed"), [(1, 2, 0), (2, 3, 1), (3, 1, 2), (4, 5, 3)])
def test_message__random_factors_that_add_up_to_zero__is_the_sum_over_the_rest(variables, bits, seed):
    rng = random.Random(seed)
    plain = Plain(rng, variables, bits)
    plain.balance()
    table = np.stack([field.vector(row) for row in plain.table])
    run = Sumcheck(table, plain.masks, plain.delta, plain.g)
    claim, rho = 0, []
    for i in range(variables):
        message = run.message()
        assert len(message.coefficients) == degree_of(i) == (3 if i else 6)
        for x in (0, 1, 2, rng.randrange(R)):
            assert message.at(claim, x) == plain.round(rho, x)
        x = rng.randrange(R)
        claim = message.at(claim, x)
        rho.append(x)
        run.bind(x)
    assert run.values() == [plain.factor(row, rho) for row in range(len(plain.table))]
    assert claim == (plain.at(rho) + plain.blind(rho)) % R


@pytest.mark.parametrize("degree", range(7))
def test_interpolated__random_values__the_polynomial_through_them(degree):
    rng = random.Random(degree)
    values = [rng.randrange(R) for _ in range(degree + 1)]
    coefficients = interpolated(values)
    assert [sum(c * x**e for e, c in enumerate(coefficients)) % R for x in range(degree + 1)] == values
    assert by_differences(values) == coefficients


@pytest.mark.parametrize("degree", [3, 6])
def test_round__any_coefficients__values_at_0_and_1_add_up_to_the_claim(degree):
    """a_1 is not sent, so no round can be wrong by itself: section 5."""
    rng = random.Random(degree)
    message, claim = Round(tuple(rng.randrange(R) for _ in range(degree))), rng.randrange(R)
    assert (message.at(claim, 0) + message.at(claim, 1)) % R == claim
    assert message.at(claim, 0) == message.coefficients[0]
    values = [message.at(claim, x) for x in range(degree + 1)]
    found = by_differences(values)
    assert (found[0], *found[2:]) == message.coefficients
