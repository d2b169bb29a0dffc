"""The range proof: sound on every input tried, tight where it promises, exact at the border."""

import itertools

import numpy as np
import pytest
import torch
from random_networks import NETWORKS, corner_rows, make_package, package, plain_spec, random_rows
from torch import nn

from cloister.fixedpoint import Arithmetic, RangeExceeded, intervals


def linear(weights, bias=None):
    layer = nn.Linear(len(weights[0]), len(weights), dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights, dtype=torch.float64))
        layer.bias.copy_(torch.tensor(bias if bias else [0.0] * len(weights), dtype=torch.float64))
    return layer


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("ends", [(-1500, 1500), (200, 900), (-900, -200)])
def test_bounds__random_and_corner_inputs__hold_every_z(architecture, ends):
    made = make_package(architecture, 11, low=ends[0], high=ends[1])
    rows = np.concatenate([random_rows(made, 1, 20), corner_rows(made, 2, 60)])
    for z, proved in zip(made.pre_activations(rows), made.bounds, strict=True):
        assert (z >= proved.low.numpy()).all()
        assert (z <= proved.high.numpy()).all()


@pytest.mark.parametrize("architecture", NETWORKS)
@pytest.mark.parametrize("entries", [1, 40, 1 << 40])
def test_bounds__matrices_in_parts_of_any_size__are_the_same(monkeypatch, architecture, entries):
    expected = make_package(architecture, 11).bounds
    monkeypatch.setattr(intervals, "ENTRIES_AT_ONCE", entries)
    for one, other in zip(expected, make_package(architecture, 11).bounds, strict=True):
        assert (one.low == other.low).all()
        assert (one.high == other.high).all()


def test_bounds__every_input_of_a_small_domain__hold_every_z():
    made = make_package("residual_of_input", 4, low=-2, high=3)
    rows = np.array(list(itertools.product(range(-2, 4), repeat=4)))
    for z, proved in zip(made.pre_activations(rows), made.bounds, strict=True):
        assert (z.min(axis=0) >= proved.low.numpy()).all()
        assert (z.max(axis=0) <= proved.high.numpy()).all()


@pytest.mark.parametrize(
    "architecture", ["mlp", "batch_norm_first", "conv_stride_padding", "conv_same", "pool_before_linear", "pool_alone"]
)
@pytest.mark.parametrize("ends", [(-1500, 1500), (200, 900)])
def test_bounds__adversarial_inputs__reach_both_ends_of_the_first_stage(architecture, ends):
    made = make_package(architecture, 13, low=ends[0], high=ends[1])
    shape = made.manifest.input.shape
    size = int(np.prod(shape))
    low, high = ends
    middle = np.full((1, size), low)
    basis = (middle + np.eye(size, dtype=np.int64)).reshape(-1, *shape)
    first = made.pre_activations(basis)[0].reshape(size, -1)
    slope = first - made.pre_activations(middle.reshape(1, *shape))[0].reshape(1, -1)
    highest = np.where(slope > 0, high, low).T.reshape(-1, *shape)
    lowest = np.where(slope > 0, low, high).T.reshape(-1, *shape)
    entry = np.arange(slope.shape[1])
    assert (
        made.pre_activations(highest)[0].reshape(len(entry), -1)[entry, entry] == made.bounds[0].high.numpy().ravel()
    ).all()
    assert (
        made.pre_activations(lowest)[0].reshape(len(entry), -1)[entry, entry] == made.bounds[0].low.numpy().ravel()
    ).all()


BORDER = Arithmetic(t=30, f=0, s=1)  # weight 1.0 becomes 2, bias b becomes 2b + 1


def test_bounds__negative_public_factor__swaps_the_ends():
    norm = nn.BatchNorm1d(1)
    nn.init.constant_(norm.weight, -1.0)
    made = package(nn.Sequential(norm).eval(), plain_spec((1,), -7, 1000))
    assert made.manifest.stages[0].terms[0].coefficient == -4096
    z = made.pre_activations([[-7], [1000]])[0].ravel()
    assert (int(made.bounds[0].high), int(made.bounds[0].low)) == (z[0], z[1])


def test_range__z_up_to_the_last_value__is_accepted():
    made = package(linear([[1.0]]), plain_spec((1,), -(2**30), 2**30 - 1), BORDER)
    assert int(made.bounds[0].high) == 2**31 - 1
    assert made.manifest.stages[0].bits == 32
    assert made.run([[2**30 - 1], [-(2**30)]]).tolist() == [[2**30 - 1], [-(2**30)]]


def test_range__z_down_to_the_last_value__is_accepted():
    made = package(linear([[1.0]], [-0.5]), plain_spec((1,), -(2**30), 0), BORDER)
    assert int(made.bounds[0].low) == -(2**31)
    assert made.manifest.stages[0].bits == 32


@pytest.mark.parametrize(("bias", "low", "high"), [(0.5, 0, 2**30 - 1), (-1.0, -(2**30), 0)])
def test_range__one_beyond__is_refused_with_layer_and_bound(bias, low, high):
    network = nn.Sequential()
    network.add_module("heavy", linear([[1.0]], [bias]))
    with pytest.raises(RangeExceeded, match=r"heavy.*entry 0 can reach -?2,147,483,64[89]"):
        package(network, plain_spec((1,), low, high), BORDER)


def test_range__second_stage_too_large__names_its_layers():
    network = nn.Sequential()
    network.add_module("fine", linear([[1.0, 1.0]]))
    network.add_module("act", nn.ReLU())
    network.add_module("heavy", linear([[7.9]]))
    network.add_module("norm", nn.BatchNorm1d(1).double())
    with pytest.raises(RangeExceeded, match=r"stage 2 \(layers: heavy \+ norm\).*Lower f or s by 2 in all"):
        package(network.eval(), plain_spec((2,), -(2**17), 2**17 - 1), Arithmetic(t=17, f=0, s=12))


def test_range__following_the_hint__is_accepted():
    network = nn.Sequential(linear([[1.0, 1.0]]), nn.ReLU(), linear([[7.9]]))
    package(network, plain_spec((2,), -(2**17), 2**17 - 1), Arithmetic(t=17, f=0, s=10))


def test_range__cancelling_terms_beyond_exact_floats__are_refused():
    network = linear([[7.999, -7.999] * 512])
    top = 2**30 - 1
    with pytest.raises(RangeExceeded, match=r"2\^53"):
        package(network, plain_spec((1024,), top, top), Arithmetic(t=30, f=0, s=12))


@pytest.mark.parametrize(("weight", "fits"), [(32767 / 4096, True), (8.0, False), (-8.0, True), (-32769 / 4096, False)])
def test_weights__beyond_sixteen_bits__are_refused_by_name(weight, fits):
    network = nn.Sequential()
    network.add_module("only", linear([[weight]]))
    spec = plain_spec((1,), -4, 4)
    if fits:
        made = package(network, spec)
        assert made.tensor("stage1.term0.weight").tolist() == [[round(weight * 4096)]]
    else:
        with pytest.raises(RangeExceeded, match=r"weights of only reach -?32,76[89]"):
            package(network, spec)


@pytest.mark.parametrize(
    ("bias", "fits"), [(2**30 - 2, True), (2**30 - 1, False), (-(2**30) - 1, True), (-(2**30) - 2, False)]
)
def test_biases__beyond_thirty_one_bits__are_refused_by_name(bias, fits):
    network = nn.Sequential()
    network.add_module("only", linear([[0.5]], [bias / 2]))
    if fits:
        assert package(network, plain_spec((1,), -4, 4), BORDER).tensor("stage1.bias").tolist() == [bias + 1]
    else:
        with pytest.raises(RangeExceeded, match="biases of only reach"):
            package(network, plain_spec((1,), -4, 4), BORDER)


def test_factor__too_small_for_s__is_refused():
    with pytest.raises(RangeExceeded, match="fixed factor"):
        package(nn.Sequential(nn.AvgPool2d(8)), plain_spec((1, 8, 8), -4, 4), Arithmetic(t=12, f=4, s=4))
