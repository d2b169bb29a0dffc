"""The linear map and all claims against direct sums over indices, and against what PyTorch computes."""

import random
from functools import cache

import numpy as np
import pytest
from random_networks import NETWORKS, corner_rows, make_package, random_rows
from reference.matrix_circuit import parse_descriptor
from reference.matrix_claims import Shape, combine, functionals, public_terms, table
from reference.matrix_networks import run as run_layers
from reference.matrix_points import powers_sum
from reference.matrix_proof import claim_values, summand
from scenes import IMAGE, KINDS, MLP, RANGE, R, fast_statement, random_scene, tiny
from support.plain_prover import Prover, Scene

from cloister.proving import commit_model, field, linear
from cloister.proving.claims import SumcheckChallenges, claims, combined
from cloister.proving.descriptor import decode
from cloister.proving.messages import ClaimedValues
from cloister.proving.prover import bits_of
from cloister.proving.verifier import chunk_evaluations, with_public_words
from cloister.proving.witness import inference_witness


@cache
def model(architecture):
    return commit_model(make_package(architecture, 0))


def elements(rng, count):
    return [rng.randrange(R) for _ in range(count)]


def coefficients(vector):
    """A committed vector of small integers, chunk after chunk."""
    return [int(value) for value in vector.entries.reshape(-1)]


# ---------------------------------------------------------------- what PyTorch computes


@pytest.mark.parametrize("architecture", NETWORKS)
def test_circuit__layers_over_the_committed_weights__compute_what_pytorch_does(architecture):
    """Descriptor and C_W are all that the reference has: the package gives the same z and the same outputs."""
    made, package = model(architecture), model(architecture).package
    circuit = parse_descriptor(made.circuit.descriptor)
    rows = np.concatenate([random_rows(package, 1, 1), corner_rows(package, 2, 1)])
    witness = inference_witness(made, rows)
    outputs = package.run(rows)
    weights = coefficients(made.weights)
    for i, row in enumerate(rows):
        z, found = run_layers(circuit, weights, row.reshape(-1).tolist())
        assert found == outputs[i].tolist()
        size = 1 << circuit.m
        assert np.array_equal(bits_of(np.array(z), circuit.B), witness.bits[:, i * size : (i + 1) * size])


@pytest.mark.parametrize("architecture", NETWORKS)
def test_transposed__pytorch_maps_turned_around__are_the_entries_of_the_map(architecture):
    made = model(architecture)
    circuit, weights = parse_descriptor(made.circuit.descriptor), coefficients(made.weights)
    tau = elements(random.Random(architecture), 1 << circuit.m)
    found = made.transposed(field.vector(tau))
    for here, part in zip((True, False), found, strict=True):
        expected = [0] * len(tau)
        for entry in Shape(circuit, 0, 1, 1).entries(read_input=here):
            value = entry.coefficient * (1 if entry.weight is None else weights[entry.weight])
            expected[entry.column] += tau[entry.row] * value
        assert field.integers(part) == [value % R for value in expected]


@pytest.mark.parametrize("architecture", NETWORKS)
def test_bias_rows__committed_digits__are_the_biases(architecture):
    made = model(architecture)
    scene = Scene(parse_descriptor(made.circuit.descriptor), tuple(coefficients(made.weights)), ((0,),))
    assert made.bias_rows.tolist() == Prover.bias_rows(BeliefOf(scene), scene.weights)


class BeliefOf:
    """As much of a prover as `bias_rows` asks for."""

    def __init__(self, scene):
        self.circuit = self.believed = scene.circuit


# ---------------------------------------------------------------- functionals of the map


def applied(parts, chunk_bits, vector):
    """Σ over functionals of <vector, functional>, index by index."""
    total = 0
    for functional in parts:
        for part in functional.parts(chunk_bits):
            inside = [1]
            for axis in part.base.axes:
                values = [*axis.values(), *[0] * (2**axis.bits - len(axis.values()))]
                inside = [high * low % R for high in values for low in inside]
            for chunk, scalar in zip(part.chunks, part.scalars, strict=True):
                start = (chunk << chunk_bits) + part.base.shift
                total += scalar * sum(a * b for a, b in zip(inside, vector[start:], strict=False))
    return total % R


@pytest.mark.parametrize("architecture", NETWORKS)
def test_linear__random_points__equal_sums_over_the_entries(architecture):
    """Ĝ_in, Ĝ_hid and b̂ias, from committed weights and public terms."""
    made, rng = model(architecture), random.Random(architecture)
    circuit, weights = parse_descriptor(made.circuit.descriptor), coefficients(made.weights)
    shape = Shape(circuit, 0, 1, 1)
    tau, rho = elements(rng, shape.n), elements(rng, shape.n)
    at_tau, at_rho = table(tau), table(rho)
    d = made.circuit.chunk_bits
    public = linear.public_parts(made.circuit, tau, rho)
    for here in (True, False):
        expected = 0
        for entry in shape.entries(read_input=here):
            value = entry.coefficient * (1 if entry.weight is None else weights[entry.weight])
            expected += at_tau[entry.row] * at_rho[entry.column] * value
        learned = linear.learned(made.circuit, tau, rho, int(here), int(not here))
        assert (applied(learned, d, weights) + public[0 if here else 1]) % R == expected % R
        assert public[0 if here else 1] == public_terms(shape, at_tau, at_rho, read_input=here)
    found = applied(linear.biases(made.circuit, rho, 3), d, weights)
    assert found == 3 * sum(b * at_rho[i] for i, b in enumerate(made.bias_rows.tolist())) % R


@pytest.mark.parametrize("seed", range(12))
def test_linear__random_circuits__read_real_coefficients_only(seed):
    """PROOF-2: what the functionals read is what the entries of the map name, and nothing else."""
    scene, rng = random_scene(seed), random.Random(seed)
    circuit, shape = decode(scene.descriptor), scene.shape
    tau, rho = elements(rng, shape.n), elements(rng, shape.n)
    read = set()
    functionals_of_w = [*linear.learned(circuit, tau, rho, 1, 1), *linear.biases(circuit, rho, 1)]
    for functional in functionals_of_w:
        for part in functional.parts(circuit.chunk_bits):
            inside = [1]
            for axis in part.base.axes:
                values = [*axis.values(), *[0] * (2**axis.bits - len(axis.values()))]
                inside = [high * low % R for high in values for low in inside]
            for chunk in part.chunks:
                start = (chunk << circuit.chunk_bits) + part.base.shift
                read |= {start + i for i, weight in enumerate(inside) if weight}
    named = {entry.weight for here in (True, False) for entry in shape.entries(read_input=here)} - {None}
    for stage, block in zip(scene.circuit.stages, scene.circuit.blocks[1:], strict=True):
        rows = range(block.channels) if stage.bias_kind == 0 else block.positions()
        named |= {stage.bias + 2 * row + digit for row in rows for digit in (0, 1)}
    assert read == named


# ---------------------------------------------------------------- all claims together


SCENES = {
    **{f"mlp {i} {o}": MLP.given(input_kind=i, output_kind=o) for i, o in KINDS},
    "image": IMAGE,
    "range": RANGE,
    "one variable": tiny(1),
    **{f"random {seed}": random_scene(seed) for seed in range(8)},
}
ORDER = ("W", "X", "Y", "bits", "Mask")


@pytest.mark.parametrize("name", SCENES)
def test_claims__random_challenges__functionals_and_values_are_those_of_section_5(name):
    prover, rng = Prover(SCENES[name]), random.Random(name)
    statement, shape, circuit = prover.statement(), prover.shape, prover.circuit
    given = fast_statement(prover)
    lam, delta, mu, g, z = elements(rng, 5)
    tau, rho = elements(rng, shape.n), elements(rng, shape.n)
    values = dict.fromkeys(("G_in", "G_hid", "bias", "x", "y"), 0)
    values |= {f"b_{k}": value for k, value in enumerate(elements(rng, circuit.B))}
    present = ["G_in", "G_hid", "bias"] if circuit.stages else []
    present += ["x"] * (shape.input_kind != 0) + ["y"] * (shape.output_kind != 0)
    values |= {part: rng.randrange(R) for part in present}
    challenges = SumcheckChallenges(tuple(tau), lam, delta, tuple(rho))
    bits = tuple(values[f"b_{k}"] for k in range(circuit.B))
    claimed = ClaimedValues(*(values[part] for part in ("G_in", "G_hid", "bias", "x", "y")), bits)
    found = claims(given, claimed, challenges, g, mu)

    sums = functionals(shape, tau, rho)
    targets = claim_values(shape, values, g, table(tau), table(rho))
    assert found.total == sum(pow(mu, j, R) * targets[j] for j in sums) % R
    at_z = chunk_evaluations(found.parts(circuit.d), z)
    for (vector, chunk), u in combine(shape, sums, mu).items():
        name_in_order = next(member for member in type(next(iter(at_z))[0]) if ORDER[member.value - 1] == vector)
        assert at_z.get((name_in_order, chunk), 0) == powers_sum(u, z)
    f = combined(given, with_public_words(given, claimed, challenges), challenges)
    assert f == summand(statement, values, tau, lam, delta, rho)
