"""The executor against plain integers, the float model, and itself under other schedules."""

import numpy as np
import pytest
import torch
from integer_reference import IntegerReference
from random_networks import (
    ARITHMETIC,
    NETWORKS,
    corner_rows,
    make_network,
    make_package,
    package,
    plain_spec,
    random_rows,
)

import cloister.fixedpoint.package as package_module
from cloister.fixedpoint import Package
from cloister.fixedpoint.execution import apply_maps, transposed_maps
from cloister.fixedpoint.graph import Conv2d, Dense, Flatten, SumPool


@pytest.mark.parametrize("architecture", NETWORKS)
def test_run__random_networks__equal_plain_integers(architecture):
    for seed in range(3):
        made = make_package(architecture, seed)
        reference = IntegerReference(made.manifest_bytes, made.weights_bytes)
        rows = np.concatenate([random_rows(made, seed, 2), corner_rows(made, seed, 1)])
        outputs, sums = made.run(rows), made.pre_activations(rows)
        for i, row in enumerate(rows):
            expected, expected_sums = reference.run(row.tolist())
            assert outputs[i].tolist() == expected
            for stage, z in zip(expected_sums, sums, strict=True):
                assert z[i].ravel().tolist() == list(stage.values())


@pytest.mark.parametrize("architecture", NETWORKS)
def test_run__random_networks__close_to_the_float_model(architecture):
    for seed in range(3):
        network, shape = make_network(architecture, seed)
        made = package(network, plain_spec(shape))
        rows = random_rows(made, seed, 20)
        with torch.no_grad():
            expected = network.double()(torch.from_numpy(rows) / torch.tensor(2.0**ARITHMETIC.f).double())
        error = made.run(rows) / 2**ARITHMETIC.f - expected.flatten(1).numpy()
        # One rounding per activation (2^-11) and per weight (2^-13), over at most some 60 addends in three stages.
        assert np.abs(error).max() < 0.03


def test_run__threads_and_batches__same_bits(monkeypatch):
    made = make_package("residual_conv", 7)
    rows = random_rows(made, 1, 33)
    expected = made.run(rows)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert np.array_equal(made.run(rows), expected)
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(np.concatenate([made.run(row[None]) for row in rows]), expected)
    monkeypatch.setattr(package_module, "ENTRIES_AT_ONCE", 5000)
    assert np.array_equal(made.run(rows), expected)
    assert made.run(rows).dtype == np.int64


def test_run__reloaded_package__same_bits(tmp_path):
    made = make_package("conv_batch_norm", 3)
    rows = random_rows(made, 2, 4)
    again = Package.from_bytes(made.manifest_bytes, made.weights_bytes, digest=made.digest)
    assert np.array_equal(again.run(rows), made.run(rows))


def test_run__halves__round_up():
    linear = torch.nn.Linear(1, 1)
    with torch.no_grad():
        linear.weight.fill_(0.5)
        linear.bias.zero_()
    made = package(linear, plain_spec((1,)))
    assert made.run([[-3], [-2], [-1], [0], [1], [2], [3]]).ravel().tolist() == [-1, -1, 0, 0, 1, 1, 2]


def test_tensor__weights__are_the_rounded_floats():
    network, shape = make_network("linear", 5)
    made = package(network, plain_spec(shape))
    layer = network[0]
    assert np.array_equal(made.tensor("stage1.term0.weight"), np.rint(layer.weight.detach().double().numpy() * 4096))
    bias = np.rint(layer.bias.detach().double().numpy() * 2.0**22) + 2**11
    assert np.array_equal(made.tensor("stage1.bias"), bias)


POOL = SumPool(kernel=(2, 3), stride=(2, 1), padding=(1, 0))
OVERLAPPING = SumPool(kernel=(3, 3), stride=(1, 2), padding=(0, 1))
CONV = Conv2d(weight="w", channels=4, kernel=(3, 2), stride=(2, 1), padding=(1, 2))


@pytest.mark.parametrize(
    "steps",
    [(), (Flatten(),), (POOL,), (OVERLAPPING, POOL, Flatten()), (CONV,), (OVERLAPPING, CONV, POOL)],
    ids=lambda steps: "+".join(step.op for step in steps) or "identity",
)
def test_transposed_maps__random_rows__are_the_transpose(steps):
    generator, shape = torch.Generator().manual_seed(1), (3, 7, 6)

    def integers(*size):
        return torch.randint(-999, 999, size, generator=generator).double()

    weight, x = integers(4, 3, 3, 2), integers(2, *shape)
    out = apply_maps(steps, x, weight)
    y = integers(*out.shape)
    back = transposed_maps(steps, shape, weight, y)
    assert back.shape == x.shape
    assert ((out * y).flatten(1).sum(1) == (x * back).flatten(1).sum(1)).all()


def test_transposed_maps__dense__is_the_transpose():
    weight = torch.arange(15).double().reshape(5, 3)
    steps, y = (Flatten(), Dense(weight="w", features=5)), torch.eye(5).double()
    assert (transposed_maps(steps, (3, 1, 1), weight, y).flatten(1) == weight).all()
