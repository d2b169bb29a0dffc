"""From a manifest to a circuit."""

import dataclasses

import numpy as np
import pytest
import torch
from random_networks import NETWORKS, make_package, package, plain_spec
from torch import nn

from cloister.fixedpoint import Arithmetic, Package
from cloister.proving import NotProvable, circuit_of, commit_model, with_circuit
from cloister.proving.descriptor import decode
from cloister.proving.layout import places_of


@pytest.mark.parametrize("architecture", NETWORKS)
def test_circuit_of__every_architecture__well_formed_and_as_large_as_the_model(architecture):
    made = make_package(architecture, 0)
    manifest, circuit = made.manifest, circuit_of(made.manifest)
    assert decode(circuit.descriptor) == circuit
    assert circuit.inputs == np.prod(manifest.input.shape)
    assert circuit.outputs == len(manifest.labels)
    assert len(circuit.stages) == len(manifest.stages)
    assert (circuit.shift, circuit.input_bits) == (manifest.arithmetic.s, manifest.arithmetic.t)
    assert circuit.bits >= max(stage.bits for stage in manifest.stages)
    for stage, compiled, block in zip(manifest.stages, circuit.stages, circuit.blocks[1:], strict=True):
        assert np.prod(block.shape) == np.prod(stage.shape)
        assert [term.source for term in compiled.terms] == [term.source for term in stage.terms]


@pytest.mark.parametrize("architecture", NETWORKS)
def test_circuit_of__other_weights__same_descriptor(architecture):
    """The descriptor tells the shape and nothing of the weights, but for the bits that they need."""
    one, two = (make_package(architecture, seed).manifest for seed in (0, 1))
    bits = max(circuit_of(one).bits, circuit_of(two).bits)
    assert circuit_of(one).descriptor == circuit_of(one).descriptor
    alike = [dataclasses.replace(circuit_of(manifest), bits=bits).descriptor for manifest in (one, two)]
    assert alike[0] == alike[1]


@pytest.mark.parametrize("architecture", NETWORKS)
def test_places_of__every_architecture__tensors_lie_apart_and_inside(architecture):
    manifest = make_package(architecture, 0).manifest
    circuit, taken = circuit_of(manifest), set()
    places = places_of(manifest)
    assert sorted(place.tensor for place in places) == sorted(record.name for record in manifest.tensors)
    for place in places:
        indices = [0]
        for extent in place.extents:
            step = 1 << (extent - 1).bit_length()
            indices = [index * step + i for index in indices for i in range(extent)]
        inside = {place.offset + index for index in indices}
        assert not inside & taken
        assert max(inside) < circuit.chunks * circuit.chunk
        taken |= inside
    assert max(taken) >= (circuit.chunks - 1) * circuit.chunk, "a chunk that holds nothing"


@pytest.mark.parametrize("architecture", ["mlp", "conv_flatten_batch_norm", "residual_projection"])
def test_commit_model__tensors__lie_where_places_of_says_and_nothing_else_does(architecture):
    made = make_package(architecture, 3)
    model = commit_model(made)
    entries = model.weights.entries.reshape(-1).tolist()
    for place in places_of(made.manifest):
        tensor = made.tensor(place.tensor)
        real = place.extents[:-1] if place.bias else place.extents
        for at, value in zip(np.ndindex(*real), tensor.reshape(-1).tolist(), strict=True):
            index = 0
            for extent, i in zip(place.extents, (*at, 0) if place.bias else at, strict=True):
                index = index * (1 << (extent - 1).bit_length()) + i
            index += place.offset
            if place.bias:
                low, high = entries[index], entries[index + 1]
                assert low + 2**16 * high == value
                assert -(2**15) <= low < 2**15
                assert -(2**15) <= high < 2**15
                entries[index + 1] = 0
            else:
                assert entries[index] == value
            entries[index] = 0
    assert not any(entries)


# ---------------------------------------------------------------- with_circuit


def test_with_circuit__package__names_descriptor_and_weights():
    made = with_circuit(make_package("mlp", 0))
    model = commit_model(made)
    record = made.manifest.circuit
    assert record.descriptor == model.circuit.digest.hex()
    assert record.weights == model.digest.hex()
    assert with_circuit(made).manifest_bytes == made.manifest_bytes


@pytest.mark.parametrize("field", ["descriptor", "weights"])
def test_commit_model__manifest_names_another_circuit__refused(field):
    made = with_circuit(make_package("mlp", 0))
    record = dataclasses.replace(made.manifest.circuit, **{field: "00" * 32})
    other = Package.from_bytes(dataclasses.replace(made.manifest, circuit=record).to_bytes(), made.weights_bytes)
    with pytest.raises(NotProvable, match="names another"):
        commit_model(other)


def test_commit_model__same_package__same_points_and_another_salt_other_points():
    one = commit_model(make_package("mlp", 0))
    assert commit_model(make_package("mlp", 0)).points == one.points
    made = make_package("mlp", 0)
    assert made.salt == bytes(32)
    other = commit_model(make_package("mlp", 1))
    assert other.points != one.points
    assert other.circuit.position_bits == one.circuit.position_bits


# ---------------------------------------------------------------- what has no circuit


def test_circuit_of__window_wider_than_255__not_provable():
    wide = package(nn.Sequential(nn.AvgPool2d((256, 1)), nn.Flatten()), plain_spec((1, 256, 1), -7, 7),
                   Arithmetic(t=4, f=2, s=12))  # fmt: skip
    with pytest.raises(NotProvable, match="255"):
        circuit_of(wide.manifest)


def test_circuit_of__more_than_64_stages__not_provable():
    torch.manual_seed(0)
    layers = [layer for _ in range(65) for layer in (nn.Linear(1, 1), nn.ReLU())]
    deep = package(nn.Sequential(*layers), plain_spec((1,), -7, 7))
    with pytest.raises(NotProvable, match="no circuit"):
        circuit_of(deep.manifest)


def test_circuit_of__block_wider_than_16_bits__not_provable():
    wide = package(nn.Sequential(nn.Linear(65536, 1)), plain_spec((65536,), -1, 1))
    with pytest.raises(NotProvable, match="no circuit"):
        circuit_of(wide.manifest)
