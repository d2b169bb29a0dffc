"""The reference verifier's circuits and functionals, against layers that run forward."""

import dataclasses
import random

import pytest
from py_ecc import optimized_bls12_381
from py_ecc.bls.point_compression import decompress_G1
from py_ecc.optimized_bls12_381 import Z1, add, is_inf, multiply
from reference.matrix_circuit import CONV, DENSE, PER_ENTRY, PUBLIC, Block, Circuit, Refused, Stage, Term, Window, bits
from reference.matrix_claims import MASK, Shape, W, X, Y, functionals, public_terms, table
from reference.matrix_networks import encode_descriptor, random_circuit, random_weights, stage_sums
from reference.matrix_points import GENERATOR, R, eq, linear_combination, same_pairing
from reference.matrix_proof import parse_descriptor

SEEDS = range(40)


def challenge(rng, count):
    return [rng.randrange(R) for _ in range(count)]


def case(seed):
    """A circuit, its shape in a batch, weights over the field and random points."""
    rng = random.Random(seed)
    circuit = random_circuit(seed, stages=rng.randint(1, 4))
    shape = Shape(circuit, rng.randint(0, 2), 1, 1)
    return circuit, shape, random_weights(rng, circuit, None), challenge(rng, shape.n), challenge(rng, shape.n), rng


def at_tau(shape, tau, weights, activations, *, bias):
    """Σ eq(τ, i)·(M a + bias)_i over all rows of all instances, layer by layer."""
    circuit, eq_tau = shape.circuit, table(tau)
    return (
        sum(
            eq_tau[instance * 2**circuit.m + position] * z
            for instance in shape.instances
            for stage in range(1, len(circuit.blocks))
            for position, z in stage_sums(
                circuit, stage, weights, part(shape, activations, instance), bias=bias
            ).items()
        )
        % R
    )


def part(shape, vector, instance):
    size = 2**shape.circuit.m
    return vector[instance * size : (instance + 1) * size]


def only(shape, vector, *, block_0):
    """`vector` where it is in block 0, or where it is not, and 0 elsewhere."""
    inside = set(shape.selector(0))
    return [value if (i in inside) == block_0 else 0 for i, value in enumerate(vector)]


def apply(functional, vector, values):
    return sum(coefficient * values[index] for (of, index), coefficient in functional.items() if of == vector) % R


def test_random_circuits__together__have_every_feature():
    terms = [term for seed in SEEDS for stage in case(seed)[0].stages for term in stage.terms]
    kinds = {(term.kind, bool(term.before), bool(term.after)) for term in terms}
    assert kinds >= {(PUBLIC, True, True), (PUBLIC, False, False), (DENSE, True, False), (DENSE, False, False)}
    assert kinds >= {(CONV, True, True), (CONV, True, False), (CONV, False, True), (CONV, False, False)}
    assert {stage.bias_kind for seed in SEEDS for stage in case(seed)[0].stages} == {0, 1}
    assert any(len(stage.terms) > 1 for seed in SEEDS for stage in case(seed)[0].stages)
    assert any(
        term.source < index for seed in SEEDS for index, st in enumerate(case(seed)[0].stages) for term in st.terms
    )
    windows = [term.window for term in terms if term.window]
    assert any(window.stride != (1, 1) and window.padding != (0, 0) for window in windows)
    assert {case(seed)[1].beta for seed in SEEDS} == {0, 1, 2}


@pytest.mark.parametrize("seed", SEEDS)
def test_parse_descriptor__random_circuit__is_what_was_encoded(seed):
    circuit = case(seed)[0]
    assert parse_descriptor(encode_descriptor(circuit)) == circuit


@pytest.mark.parametrize("seed", SEEDS)
def test_functionals__activations_eq_rho__give_the_extension_of_g(seed):
    """Ĝ(ρ) = Σ_x eq(ρ, x)·G(x), so it is what the layers make of the activations eq(ρ, ·)."""
    circuit, shape, weights, tau, rho, _ = case(seed)
    eq_tau, eq_rho = table(tau), table(rho)
    found = functionals(shape, tau, rho)
    for number, read_input in ((circuit.B + 1, True), (circuit.B + 2, False)):
        learned = apply(found[number], W, weights)
        public = public_terms(shape, eq_tau, eq_rho, read_input=read_input)
        activations = only(shape, eq_rho, block_0=read_input)
        assert (learned + public) % R == at_tau(shape, tau, weights, activations, bias=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_functionals__no_activations__give_the_extension_of_the_biases(seed):
    circuit, shape, weights, tau, rho, _ = case(seed)
    found = functionals(shape, tau, rho)
    nothing = [0] * 2**shape.n
    assert apply(found[circuit.B + 3], W, weights) == at_tau(shape, rho, weights, nothing, bias=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_entries__random_activations__sum_to_what_the_layers_compute(seed):
    circuit, shape, weights, tau, _, rng = case(seed)
    activations, eq_tau, total = challenge(rng, 2**shape.n), table(tau), 0
    for read_input in (True, False):
        for entry in shape.entries(read_input=read_input):
            value = entry.coefficient * (1 if entry.weight is None else weights[entry.weight])
            for start in range(0, 2**shape.n, 2**circuit.m):
                total += eq_tau[start + entry.row] * value * activations[start + entry.column]
    bias = functionals(shape, tau, tau)[circuit.B + 3]
    assert (total + apply(bias, W, weights)) % R == at_tau(shape, tau, weights, activations, bias=True)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("vector", "number"), [(X, 4), (Y, 5)])
def test_functionals__committed_input_or_output__read_real_entries_only(seed, vector, number):
    circuit, shape, _, tau, rho, rng = case(seed)
    values = challenge(rng, shape.chunks(vector) * circuit.D)
    found = functionals(shape, tau, rho)[circuit.B + number]
    laid, block = [0] * 2**shape.n, circuit.blocks[0 if vector == X else -1]
    for instance in shape.instances:
        for c, y, x in block.entries():
            inside = x + 2 ** bits(block.columns) * (y + 2 ** bits(block.rows) * c)
            laid[instance * 2**circuit.m + block.offset + inside] = values[instance * 2**block.bits + inside]
    assert apply(found, vector, values) == sum(e * v for e, v in zip(table(rho), laid, strict=True)) % R


@pytest.mark.parametrize("seed", range(5))
def test_functionals__masks__one_coefficient_each_that_nothing_else_reads(seed):
    circuit, shape, _, tau, rho, _ = case(seed)
    found, m_hat = functionals(shape, tau, rho), rho[0] * (1 - rho[0]) % R
    order = [circuit.B + number for number in range(1, 6)] + list(range(1, circuit.B + 1))
    assert sorted(found) == sorted([*order, circuit.B + 6])
    of_mask = {number: {i: c for (v, i), c in of.items() if v == MASK} for number, of in found.items()}
    assert [of_mask[number] for number in order] == [{4 + at: m_hat} for at in range(len(order))]
    first = 4 + len(order)
    assert set(of_mask[circuit.B + 6]) == set(range(first, first + 6 + 3 * (shape.n - 1)))


@pytest.mark.parametrize("kinds", [(given, out) for given in range(2) for out in range(3)])
def test_functionals__kinds__only_what_is_committed_has_a_claim(kinds):
    circuit, shape, _, tau, rho, _ = case(0)
    found = functionals(Shape(circuit, shape.beta, *kinds), tau, rho)
    assert (circuit.B + 4 in found, circuit.B + 5 in found) == (kinds[0] == 1, kinds[1] != 0)


def test_table__random_point__is_eq_index_by_index():
    rho = challenge(random.Random(0), 6)
    assert table(rho) == [eq(rho, i) for i in range(64)]


@pytest.mark.parametrize("seed", SEEDS)
def test_selector__any_block__extends_as_the_product_of_the_page(seed):
    """sel_b(ρ) = eq(ρ[e:m], o_b / 2^e), also of a block of one position."""
    circuit, shape, _, _, rho, _ = case(seed)
    at_rho = table(rho)
    for index, block in enumerate(circuit.blocks):
        product = eq(rho[block.bits : circuit.m], block.offset >> block.bits)
        assert sum(at_rho[row] for row in shape.selector(index)) % R == product


def test_linear_combination__coefficients_beyond_r_and_points_at_infinity__as_one_by_one():
    rng, total = random.Random(0), Z1
    points = [*(multiply(GENERATOR, rng.randrange(R)) for _ in range(3)), Z1]
    terms = [(rng.randrange(-R, 2 * R), point) for point in [*points, points[0], GENERATOR]]
    for coefficient, point in terms:
        total = add(total, multiply(point, coefficient % R))
    assert optimized_bls12_381.eq(linear_combination(terms), total)
    assert is_inf(linear_combination([(5, GENERATOR), (R - 5, GENERATOR)]))
    assert is_inf(linear_combination([]))


# ---------------------------------------------------------------- PROOF-1

POOL = Window((2, 2), (1, 1), (1, 1))
SAME = Window((3, 3), (1, 1), (1, 1))
# 2 channels of 4 x 4 (positions 0 to 31), a convolution to the same (32 to 63), 3 outputs (64 to 67)
CONVOLUTION = Term(0, CONV, 0, 0, SAME, [], [])
SHORTCUT = Term(0, PUBLIC, 7, 0, None, [], [])
LAST = Term(1, DENSE, 0, 128, None, [], [])
FIRST_STAGE = Stage(64, 0, [CONVOLUTION, SHORTCUT])
LAST_STAGE = Stage(256, 0, [LAST])
BLOCKS = [Block(2, 4, 4, 0), Block(2, 4, 4, 32), Block(3, 1, 1, 64)]
GOOD = Circuit(7, 16, 3, 5, 7, 3, BLOCKS, [FIRST_STAGE, LAST_STAGE])


def replace(circuit=GOOD, **changes):
    return dataclasses.replace(circuit, **changes)


def blocks(index, **changes):
    changed = list(BLOCKS)
    changed[index] = dataclasses.replace(changed[index], **changes)
    return replace(blocks=changed)


def first(*terms, **changes):
    stage = dataclasses.replace(FIRST_STAGE, **({"terms": list(terms)} if terms else {}), **changes)
    return replace(stages=[stage, LAST_STAGE])


def last(term=LAST, **changes):
    stage = dataclasses.replace(LAST_STAGE, **changes)
    return replace(stages=[FIRST_STAGE, dataclasses.replace(stage, terms=[term])])


def term(of, **changes):
    return dataclasses.replace(of, **changes)


def window(kernel=(3, 3), stride=(1, 1), padding=(1, 1)):
    return term(CONVOLUTION, window=Window(kernel, stride, padding))


REFUSED = {
    "d too small": replace(d=6),
    "d too large": replace(d=12),
    "B too small": replace(B=1, s=1, t=1),
    "B too large": replace(B=33),
    "s zero": replace(s=0),
    "s too large": replace(s=16),
    "t zero": replace(t=0),
    "t too large": replace(t=16),
    "m zero": replace(m=0, blocks=[Block(1, 1, 1, 0)], stages=[], chunks=0, t=15),
    "m too large": replace(m=21),
    "m too small for the blocks": replace(m=6),
    "no channels": blocks(2, channels=0),
    "no rows": blocks(2, rows=0),
    "no columns": blocks(2, columns=0),
    "block out of line": blocks(2, offset=66),
    "block outside": blocks(2, offset=128),
    "blocks overlap": blocks(2, offset=32),
    "blocks overlap in the padding": blocks(2, offset=32 + 28),
    "stages without chunks": replace(chunks=0),
    "chunks without stages": replace(blocks=BLOCKS[:1], stages=[], t=15),
    "low bits without stages": replace(blocks=BLOCKS[:1], stages=[], chunks=0),
    "too many chunks": replace(chunks=2**20 + 1),
    "no terms": replace(stages=[Stage(64, 0, []), LAST_STAGE]),
    "too many terms": first(*[CONVOLUTION] * 17),
    "kind of bias": first(bias_kind=2),
    "kind of term": first(term(SHORTCUT, kind=3)),
    "source is the stage": first(term(SHORTCUT, source=1)),
    "source comes later": first(term(CONVOLUTION, source=2)),
    "kernel zero": first(window(kernel=(0, 3))),
    "stride zero": first(window(stride=(1, 0))),
    "window does not fit": first(window(kernel=(7, 3))),
    "chain ends in another shape": first(window(stride=(2, 1))),
    "chain ends in other channels": replace(blocks=[Block(1, 4, 4, 0), *BLOCKS[1:]]),
    "pool's kernel zero": first(term(SHORTCUT, before=[Window((1, 0), (1, 1), (0, 0))])),
    "pool's padding": first(term(SHORTCUT, before=[Window((3, 1), (1, 1), (1, 1))])),
    "five pools": first(term(SHORTCUT, before=[SAME] * 3, after=[SAME] * 2)),
    "pool after dense": last(term(LAST, after=[Window((1, 1), (1, 1), (0, 0))])),
    "bias out of line": first(bias=65),
    "bias outside": last(bias=384),
    "dense out of line": last(term(LAST, weights=64)),
    "dense outside": last(term(LAST, weights=384)),
    "convolution out of line": first(term(CONVOLUTION, weights=32)),
    "convolution outside": first(term(CONVOLUTION, weights=384)),
    "kernel larger than a chunk": dataclasses.replace(first(window(kernel=(9, 9), padding=(4, 4))), chunks=9),
}
ACCEPTED = {
    "as it is": GOOD,
    "as many chunks as there may be": replace(chunks=2**20),
    "last weights": last(term(LAST, weights=256), bias=0),
    "four pools": first(term(SHORTCUT, before=[SAME] * 2, after=[SAME] * 2)),
    "a block moved": blocks(2, offset=124),
    "bias for each entry": last(bias_kind=PER_ENTRY),
    "sixteen terms": first(*[SHORTCUT] * 16),
    "no stages": replace(blocks=BLOCKS[:1], stages=[], chunks=0, t=15),
    "largest shift": replace(s=15),
}
ACCEPTED["kernel as large as a chunk"] = dataclasses.replace(first(window(kernel=(9, 7), padding=(4, 3))), chunks=4)
ACCEPTED["pools that change the shape and back"] = first(
    term(CONVOLUTION, before=[POOL], window=Window((2, 2), (1, 1), (0, 0)))
)


@pytest.mark.parametrize("name", ACCEPTED)
def test_parse_descriptor__good__accepted(name):
    assert parse_descriptor(encode_descriptor(ACCEPTED[name])) == ACCEPTED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_parse_descriptor__rule_broken__refused(name):
    with pytest.raises(Refused, match="PROOF-1"):
        parse_descriptor(encode_descriptor(REFUSED[name]))


def test_parse_descriptor__wrong_length_version_or_reserved_byte__refused():
    good = encode_descriptor(GOOD)
    cut = [good[:size] for size in range(len(good))]
    for bad in [*cut, good + b"\0", b"\1" + good[1:], good[:7] + b"\1" + good[8:]]:
        with pytest.raises(Refused, match="PROOF-1"):
            parse_descriptor(bad)


def test_parse_descriptor__dense_behind_pools_larger_than_a_chunk__refused():
    wide = [Block(1, 16, 16, 0), Block(1, 1, 1, 256)]
    one = Window((1, 1), (1, 1), (0, 0))
    for before, good in (([], True), ([one], False), ([Window((1, 1), (2, 1), (0, 0))], True)):
        circuit = Circuit(7, 16, 3, 5, 9, 3, wide, [Stage(256, 0, [Term(0, DENSE, 0, 0, None, before, [])])])
        if good:
            assert parse_descriptor(encode_descriptor(circuit)) == circuit
        else:
            with pytest.raises(Refused, match="dense behind pools"):
                parse_descriptor(encode_descriptor(circuit))


def test_parse_descriptor__65_stages__refused():
    def chain(count):
        chain_blocks = [Block(1, 1, 1, i) for i in range(count + 1)]
        stages = [Stage(0, 0, [Term(0, PUBLIC, 1, 0, None, [], [])])] * count
        return Circuit(7, 16, 3, 5, 7, 1, chain_blocks, stages)

    assert parse_descriptor(encode_descriptor(chain(64)))
    with pytest.raises(Refused, match="PROOF-1: stages"):
        parse_descriptor(encode_descriptor(chain(65)))


def test_tau_h__against_the_second_g1_point_of_the_ceremony__one_pairing():
    """τ·G1, from the same file: point 1 of its 4096 monomial G1 points."""
    tau_g = bytes.fromhex(
        "ad3eb50121139aa34db1d545093ac9374ab7bca2c0f3bf28e27c8dcd8fc7cb42d25926fc0c97b336e9f0fb35e5a04c81"
    )
    point = decompress_G1(int.from_bytes(tau_g, "big"))
    assert same_pairing(point, GENERATOR)
    assert not same_pairing(GENERATOR, GENERATOR)
    assert not same_pairing(GENERATOR, point)


def test_same_pairing__points_at_infinity__only_with_each_other():
    assert same_pairing(Z1, Z1)
    assert not same_pairing(Z1, GENERATOR)
    assert not same_pairing(GENERATOR, Z1)
