"""Proofs as the market uses them."""

import dataclasses

import numpy as np
import pytest
from eth_hash.auto import keccak
from random_networks import NETWORKS, corner_rows, make_package, random_rows
from scenes import repaired

from cloister.fixedpoint.errors import InvalidModelInput
from cloister.proving import (
    InvalidProof,
    Kind,
    NotProvable,
    commit_input,
    commit_model,
    commit_pad,
    prove_job,
    prove_weights,
    unmask,
    verify,
)
from cloister.proving.curve import encode_points, multi_exponentiation
from cloister.proving.scalars import R

CONTEXT, SECRET = b"context of the job".ljust(32, b"."), b"secret of the job".ljust(32, b".")


@pytest.fixture(scope="module")
def mlp():
    return commit_model(make_package("mlp", 0))


@pytest.mark.parametrize("architecture", NETWORKS)
def test_prove_job__every_architecture__verifies_and_opens_to_the_models_outputs(architecture):
    """Completeness, on one to five rows."""
    count = 1 + list(NETWORKS).index(architecture) % 5
    package = make_package(architecture, 2)
    model = commit_model(package)
    rows = random_rows(package, 2, count) if count % 2 else corner_rows(package, 2, count)
    job = prove_job(model, rows, CONTEXT, SECRET)
    statement = verify(job.proof, CONTEXT)
    assert statement.circuit == model.circuit
    assert statement.weights_digest == model.digest
    assert (statement.inputs.kind, statement.outputs.kind) == (Kind.COMMITTED, Kind.MASKED)
    assert statement.inputs_digest == job.input_digest == commit_input(model.circuit, rows, SECRET)
    assert keccak(statement.outputs.points) == job.pad_digest == commit_pad(model.circuit, count, SECRET)
    assert statement.outputs.public_bytes == job.masked
    assert np.array_equal(job.outputs, package.run(rows))
    assert np.array_equal(unmask(model.circuit, count, job.masked, SECRET), job.outputs)


def test_verify__another_context__refused(mlp):
    job = prove_job(mlp, random_rows(mlp.package, 0, 1), CONTEXT, SECRET)
    for proof in (job.proof, repaired(job.proof, bytes(32))):
        with pytest.raises(InvalidProof):
            verify(proof, bytes(32))


def test_prove_job__any_other_statement__other_digests(mlp):
    """The caller compares them: another input, another number of rows, another secret, another model."""
    rows = random_rows(mlp.package, 0, 2)
    other_model = commit_model(make_package("mlp", 1))
    found = [
        (model.digest, commit_input(model.circuit, given, secret), commit_pad(model.circuit, len(given), secret))
        for model, given, secret in (
            (mlp, rows, SECRET),
            (mlp, rows[:1], SECRET),
            (mlp, rows[::-1].copy(), SECRET),
            (mlp, rows, bytes(32)),
            (other_model, rows, SECRET),
        )
    ]
    assert len({weights for weights, _, _ in found}) == 2
    assert len({inputs for _, inputs, _ in found[:4]}) == 4
    pads = [pad for _, _, pad in found]
    assert pads[0] == pads[2]  # as many outputs under the same secret
    assert len({pads[0], pads[1], pads[3]}) == 3


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
def test_prove_job__batch__is_filled_up_with_its_last_row(mlp, count):
    rows = random_rows(mlp.package, count, count)
    job = prove_job(mlp, rows, CONTEXT, SECRET)
    statement = verify(job.proof, CONTEXT)
    assert statement.instances == 1 << (count - 1).bit_length()
    assert len(job.outputs) == count
    full = np.concatenate([rows, np.repeat(rows[-1:], statement.instances - count, axis=0)])
    assert commit_input(mlp.circuit, full, SECRET) == job.input_digest
    words = [int.from_bytes(job.masked[i : i + 32], "big") for i in range(0, len(job.masked), 32)]
    assert len(words) == statement.instances * mlp.circuit.outputs
    assert np.array_equal(unmask(mlp.circuit, statement.instances, job.masked, SECRET), mlp.package.run(full))
    assert len(set(words)) == len(words)  # every instance has a pad of its own


def test_prove_job__input_outside_the_models_range__refused(mlp):
    """PROOF-7: inference runs first, its ranges checked."""
    rows = random_rows(mlp.package, 0, 1)
    rows[0, 0] = 1501
    with pytest.raises(InvalidModelInput):
        prove_job(mlp, rows, CONTEXT, SECRET)
    with pytest.raises(InvalidModelInput):
        prove_job(mlp, rows[:, :-1], CONTEXT, SECRET)


def test_prove_job__too_many_rows__refused_before_any_work(mlp):
    rows = np.repeat(random_rows(mlp.package, 0, 1), 4097, axis=0)
    with pytest.raises(NotProvable, match="too many"):
        prove_job(mlp, rows, CONTEXT, SECRET)
    large = commit_model(make_package("batch_norm_before_padded_conv", 0))
    assert large.circuit.position_bits > 8
    many = np.repeat(random_rows(large.package, 0, 1), 2**11 + 1, axis=0)
    for refused in (
        lambda: prove_job(large, many, CONTEXT, SECRET),
        lambda: commit_input(large.circuit, many, SECRET),
        lambda: commit_pad(large.circuit, len(many), SECRET),
    ):
        with pytest.raises(NotProvable, match="too many"):
            refused()


# ---------------------------------------------------------------- the pad


def test_unmask__wrong_secret_damaged_or_of_another_size__refused(mlp):
    rows = random_rows(mlp.package, 0, 3)
    job = prove_job(mlp, rows, CONTEXT, SECRET)
    with pytest.raises(InvalidProof, match="does not open"):
        unmask(mlp.circuit, 3, job.masked, bytes(32))
    swapped = job.masked[32:64] + job.masked[:32] + job.masked[64:]
    with pytest.raises(InvalidProof, match="does not open"):
        unmask(mlp.circuit, 3, swapped, SECRET)
    for masked in (job.masked[:-32], job.masked + bytes(32), job.masked[:-1], b""):
        with pytest.raises(InvalidProof, match="bytes"):
            unmask(mlp.circuit, 3, masked, SECRET)
    for rows_asked in (1, 2, 5):
        with pytest.raises(InvalidProof, match="bytes"):
            unmask(mlp.circuit, rows_asked, job.masked, SECRET)


def test_unmask__word_plus_r__refused(mlp):
    job = prove_job(mlp, random_rows(mlp.package, 0, 1), CONTEXT, SECRET)
    word = int.from_bytes(job.masked[:32], "big") + R
    assert word < 2**256
    with pytest.raises(InvalidProof, match="does not open"):
        unmask(mlp.circuit, 1, word.to_bytes(32, "big") + job.masked[32:], SECRET)


@pytest.mark.parametrize("beyond", [0, 1])
def test_unmask__outputs_at_the_ends_of_their_range__opened_and_beyond_refused(mlp, beyond):
    job = prove_job(mlp, random_rows(mlp.package, 0, 1), CONTEXT, SECRET)
    pad = [(int.from_bytes(job.masked[32 * i : 32 * i + 32], "big") - int(y)) % R for i, y in enumerate(job.outputs[0])]
    limit = 1 << mlp.circuit.bits - 1 - mlp.circuit.shift
    for value in (limit - 1 + beyond, -limit - beyond):
        words = [(value + pad[0]) % R, *((0 + k) % R for k in pad[1:])]
        masked = b"".join(word.to_bytes(32, "big") for word in words)
        if beyond:
            with pytest.raises(InvalidProof):
                unmask(mlp.circuit, 1, masked, SECRET)
        else:
            assert unmask(mlp.circuit, 1, masked, SECRET).tolist() == [[value] + [0] * (len(pad) - 1)]


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("architecture", ["linear", "mlp", "conv_flatten_batch_norm"])
def test_prove_weights__model__proves_the_range_statement_of_its_circuit(architecture):
    """PROOF-6: what a registry compares."""
    model = commit_model(make_package(architecture, 0))
    statement = verify(prove_weights(model, CONTEXT), CONTEXT)
    circuit = statement.circuit
    assert (circuit.bits, circuit.shift, circuit.input_bits) == (16, 1, 15)
    assert circuit.chunk_bits == model.circuit.chunk_bits
    assert circuit.blocks[0].shape == (model.circuit.chunks, 1, model.circuit.chunk)
    assert not circuit.stages
    assert (statement.inputs.kind, statement.batch_bits) == (Kind.COMMITTED, 0)
    assert statement.inputs.points == model.points
    assert (statement.weights_digest, statement.outputs_digest) == (keccak(b""), bytes(32))


def test_prove_weights__another_context__refused():
    proof = prove_weights(commit_model(make_package("linear", 0)), CONTEXT)
    for given in (proof, repaired(proof, bytes(32))):
        with pytest.raises(InvalidProof):
            verify(given, bytes(32))


@pytest.mark.parametrize("value", [2**15, -(2**15) - 1])
def test_prove_weights__weight_of_17_bits__gives_no_proof(value):
    """PROOF-6: the fast prover itself cannot."""
    model = commit_model(make_package("linear", 0))
    entries = model.weights.entries.copy()
    entries[0, 0] = value
    moved = model.weights.points[0] + multi_exponentiation(
        [_first_power()], [(value - int(model.weights.entries[0, 0])) % R]
    )
    weights = dataclasses.replace(model.weights, entries=entries, points=(moved, *model.weights.points[1:]))
    false = dataclasses.replace(model, weights=weights)
    assert false.points == encode_points(weights.points)
    with pytest.raises(InvalidProof, match="does not hold"):
        verify(prove_weights(false, CONTEXT), CONTEXT)


def _first_power():
    from cloister.proving import ceremony

    return ceremony.powers()[0]


def test_prove_weights__more_weights_than_a_proof_holds__not_provable(mlp):
    many = dataclasses.replace(mlp.circuit, chunks=2**12)
    with pytest.raises(NotProvable, match="too many"):
        prove_weights(dataclasses.replace(mlp, circuit=many), CONTEXT)
