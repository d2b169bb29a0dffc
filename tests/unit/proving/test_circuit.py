"""The circuit descriptor and its rules: PROOF-1."""

import dataclasses
import random

import pytest
from reference.matrix_circuit import Refused, parse_descriptor
from reference.matrix_networks import encode_descriptor, random_circuit
from scenes import IMAGE, MLP
from test_reference_circuit import ACCEPTED, REFUSED

from cloister.proving import InvalidCircuit
from cloister.proving.circuit import (
    CONV,
    DENSE,
    PUBLIC,
    Block,
    Circuit,
    Stage,
    Term,
    Window,
    last_index,
    padded_bits,
)
from cloister.proving.descriptor import decode, range_circuit
from cloister.proving.wellformed import checked

POINT = Window((1, 1), (1, 1), (0, 0))


def chain(count, **changes):
    """So many public stages of one entry."""
    blocks = tuple(Block((1, 1, 1), i) for i in range(count + 1))
    stages = tuple(Stage(0, 0, (Term(i, PUBLIC),)) for i in range(count))
    return Circuit(**{"chunk_bits": 7, "bits": 16, "shift": 3, "input_bits": 5, "position_bits": 7, "chunks": 1,
                      "blocks": blocks, "stages": stages} | changes)  # fmt: skip


def with_term(**changes):
    (stage,) = chain(1).stages
    return chain(1, stages=(dataclasses.replace(stage, terms=(dataclasses.replace(stage.terms[0], **changes),)),))


# ---------------------------------------------------------------- one descriptor a rule


@pytest.mark.parametrize("name", ACCEPTED)
def test_decode__well_formed__accepted_and_encoded_alike(name):
    data = encode_descriptor(ACCEPTED[name])
    assert decode(data).descriptor == data


@pytest.mark.parametrize("name", REFUSED)
def test_decode__one_rule_broken__refused(name):
    """PROOF-1, rule by rule: the list that the reference verifier is held to."""
    with pytest.raises(InvalidCircuit):
        decode(encode_descriptor(REFUSED[name]))


def test_decode__wrong_version_reserved_byte_or_length__refused():
    """PROOF-1."""
    good = encode_descriptor(MLP.circuit)
    assert decode(good).descriptor == good
    cut = [good[:size] for size in range(len(good))]
    for bad in [*cut, good + b"\0", b"\1" + good[1:], b"\3" + good[1:], good[:7] + b"\1" + good[8:]]:
        with pytest.raises(InvalidCircuit):
            decode(bad)


def test_decode__stages__at_most_64():
    assert len(decode(chain(64).descriptor).stages) == 64
    with pytest.raises(InvalidCircuit):
        decode(chain(65).descriptor)


@pytest.mark.parametrize(("columns", "stride", "good"), [(16, 1, False), (16, 2, True)])
def test_decode__dense_map_behind_pools__reads_at_most_a_chunk(columns, stride, good):
    """PROOF-1: h̄ + w̄ <= d for a dense map behind pools."""
    blocks = (Block((1, 16, columns), 0), Block((1, 1, 1), 256))
    wide = Window((1, 1), (stride, 1), (0, 0))
    circuit = chain(1, position_bits=9, chunks=3, blocks=blocks, stages=(Stage(256, 0, (Term(0, DENSE, (wide,)),)),))
    if good:
        assert decode(circuit.descriptor) == circuit
    else:
        with pytest.raises(InvalidCircuit):
            decode(circuit.descriptor)


@pytest.mark.parametrize("pools", range(6))
def test_decode__pools__at_most_four_a_term(pools):
    for before in range(pools + 1):
        circuit = with_term(before=(POINT,) * before, after=(POINT,) * (pools - before))
        if pools <= 4:
            assert decode(circuit.descriptor) == circuit
        else:
            with pytest.raises(InvalidCircuit):
                decode(circuit.descriptor)


@pytest.mark.parametrize("chunks", [2**20, 2**20 + 1, 2**32 - 1])
def test_decode__chunks__at_most_2_20(chunks):
    data = chain(1, chunks=chunks).descriptor
    if chunks == 2**20:
        assert decode(data).chunks == chunks
    else:
        with pytest.raises(InvalidCircuit):
            decode(data)


HEADERS = {
    "chunk_bits": (7, 11),
    "bits": (6, 32),
    "shift": (1, 15),
    "input_bits": (1, 15),
    "position_bits": (1, 20),
}


@pytest.mark.parametrize("name", HEADERS)
def test_checked__header__from_its_least_to_its_greatest(name):
    """PROOF-1: d, B, s, t and m."""
    low, high = HEADERS[name]
    for value in (low, high):
        circuit = chain(1, **{name: value})
        assert checked(circuit) == circuit
    for value in (low - 1, high + 1):
        with pytest.raises(InvalidCircuit):
            checked(chain(1, **{name: value}))


@pytest.mark.parametrize("t", [*range(6), 15])
def test_checked__no_stages__every_bit_of_an_input_is_its_own(t):
    """PROOF-1: without stages t = B - 1, for nothing else holds the low bits."""
    circuit = chain(0, stages=(), chunks=0, input_bits=t)
    if t == 15:
        assert checked(circuit) == circuit
    else:
        with pytest.raises(InvalidCircuit):
            checked(circuit)


@pytest.mark.parametrize("source", [1, 2, 3])
def test_checked__source_not_before_its_stage__refused(source):
    """PROOF-1: an acyclic order."""
    circuit = chain(2)
    stages = (dataclasses.replace(circuit.stages[0], terms=(Term(source, PUBLIC),)), circuit.stages[1])
    with pytest.raises(InvalidCircuit, match="not before"):
        checked(dataclasses.replace(circuit, stages=stages))


# ---------------------------------------------------------------- round trips, and the reference's opinion


@pytest.mark.parametrize("seed", range(40))
def test_decode__random_circuit__round_trip(seed):
    data = encode_descriptor(random_circuit(seed, stages=1 + seed % 4))
    circuit = decode(data)
    assert circuit.descriptor == data
    assert checked(circuit) is circuit
    assert circuit == decode(circuit.descriptor)


def damaged(rng, data):
    """A few bytes of a descriptor changed, mostly by little."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(data))
        data[at] = rng.choice([data[at] + 1, data[at] - 1, data[at] ^ 1 << rng.randrange(8), rng.randrange(256)]) % 256
    return bytes(data)


@pytest.mark.parametrize("seed", range(20))
def test_decode__damaged_descriptors__the_reference_agrees(seed):
    """PROOF-1: two readings of one list of rules."""
    rng = random.Random(seed)
    circuit = random_circuit(seed, stages=1 + seed % 3) if seed > 1 else (MLP.circuit, IMAGE.circuit)[seed]
    verdicts = set()
    for _ in range(100):
        data = damaged(rng, encode_descriptor(circuit))
        try:
            parse_descriptor(data)
        except Refused:
            verdicts.add(False)
            with pytest.raises(InvalidCircuit):
                decode(data)
        else:
            verdicts.add(True)
            assert decode(data).descriptor == data
    assert verdicts == {False, True}


# ---------------------------------------------------------------- numbers derived


def test_circuit__mlp__sizes():
    circuit = decode(MLP.descriptor)
    assert (circuit.chunk, circuit.sigma, circuit.inputs, circuit.outputs) == (128, 6, 3, 3)
    assert circuit.input == circuit.blocks[0]
    assert circuit.output == circuit.blocks[-1]
    image = decode(IMAGE.descriptor)
    assert (image.inputs, image.outputs, image.input.bits, image.input.size_bits) == (18, 2, (1, 2, 2), 5)
    assert [term.kind for stage in image.stages for term in stage.terms] == [CONV, CONV, PUBLIC, PUBLIC, DENSE]


def test_extents__padded_axes__last_index_by_enumeration():
    for extents in ((3,), (1, 1), (3, 2, 5), (2, 1, 3, 4)):
        indices = [0]
        for extent in extents:
            step = 1 << (extent - 1).bit_length()
            indices = [index * step + i for index in indices for i in range(extent)]
        assert last_index(extents) == max(indices)
        assert max(indices) < 1 << padded_bits(extents)


@pytest.mark.parametrize(("d", "chunks", "m"), [(7, 1, 7), (7, 2, 8), (7, 3, 9), (11, 5, 14), (11, 512, 20)])
def test_range_circuit__weights__as_section_9_derives_it(d, chunks, m):
    circuit = range_circuit(d, chunks)
    header = bytes([2, d, 16, 1, 15, m, 0, 0]) + bytes(4)
    block = chunks.to_bytes(2, "big") + (1).to_bytes(2, "big") + (2**d).to_bytes(2, "big") + bytes(4)
    assert circuit.descriptor == header + block
    assert (circuit.sigma, circuit.outputs, circuit.inputs) == (0, 0, chunks << d)


@pytest.mark.parametrize("chunks", [513, 1024])
def test_range_circuit__too_many_weights__refused(chunks):
    with pytest.raises(InvalidCircuit):
        range_circuit(11, chunks)
