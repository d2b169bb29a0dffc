"""Proof files: what is read, and what is refused (PROOF-5)."""

import dataclasses

import numpy as np
import pytest
from reference.matrix_claims import W, X, Y
from scenes import IMAGE, KINDS, MLP, R, fast_statement, honest, random_scene, tiny_range
from support.plain_prover import Prover

from cloister.proving import InvalidProof, Kind, Statement, Values, verify
from cloister.proving.circuit import Block
from cloister.proving.curve import INFINITY, POINT_BYTES, decode_point, decode_points, encode_point
from cloister.proving.descriptor import decode
from cloister.proving.messages import decode_messages, messages_size
from cloister.proving.statement import NOTHING, decode_statement, value_chunks

CONTEXT = MLP.context
BASE_MODULUS = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB


def statement(**kinds) -> Statement:
    return fast_statement(Prover(MLP.given(**kinds)))


def head(proof):
    return len(decode_statement(proof, CONTEXT)[0].encode())


def patched(data, at, part):
    return data[:at] + part + data[at + len(part) :]


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(("input_kind", "output_kind"), KINDS)
def test_decode_statement__every_kind__round_trip(input_kind, output_kind):
    given = statement(input_kind=input_kind, output_kind=output_kind)
    found, rest = decode_statement(given.encode() + b"the messages", CONTEXT)
    assert found == given
    assert rest == b"the messages"
    assert (found.variables, found.instances, found.bit_chunks) == (5, 2, 3)


@pytest.mark.parametrize(("input_kind", "output_kind"), KINDS)
def test_verify__honest_proof__returns_what_it_proves(input_kind, output_kind):
    proof = honest("mlp", input_kind, output_kind)
    found = verify(proof, CONTEXT)
    prover = Prover(MLP.given(input_kind=input_kind, output_kind=output_kind))
    digests = (found.circuit.digest, found.weights_digest, found.inputs_digest, found.outputs_digest)
    assert digests == prover.statement().digests()
    assert found.context == CONTEXT
    if input_kind == 0:
        assert found.inputs.words == tuple(value for row in MLP.inputs for value in row)
    if output_kind == 0:
        assert list(found.outputs.words) == prover.results


def test_verify__range_proof__has_no_weights_and_no_output():
    found = verify(honest("range"), CONTEXT)
    assert found.outputs == NOTHING
    assert (found.outputs_digest, found.weights) == (bytes(32), b"")


@pytest.mark.parametrize("seed", range(8))
def test_value_chunks__random_statement__as_the_reference_counts(seed):
    scene = random_scene(seed).given(input_kind=1, output_kind=1)
    circuit, shape = decode(scene.descriptor), scene.shape
    assert value_chunks(circuit, circuit.input, shape.beta) == shape.chunks(X)
    assert value_chunks(circuit, circuit.output, shape.beta) == shape.chunks(Y)
    assert circuit.chunks == shape.chunks(W)


def test_value_chunks__real_entries_end_below_a_chunk__padding_needs_none():
    circuit = decode(MLP.descriptor)
    assert value_chunks(circuit, Block((129, 1, 1), 0), 0) == 2
    assert value_chunks(circuit, Block((128, 1, 1), 0), 0) == 1
    assert value_chunks(circuit, Block((5, 1, 17), 0), 0) == 2  # index 4·32 + 16
    assert value_chunks(circuit, Block((1, 1, 1), 0), 7) == 1
    assert value_chunks(circuit, Block((1, 1, 1), 0), 8) == 2


# ---------------------------------------------------------------- refusing


@pytest.mark.parametrize(("name", "input_kind", "output_kind"), [("mlp", 0, 2), ("mlp", 1, 1), ("range", 1, 0)])
def test_verify__cut_anywhere_or_extended__refused(name, input_kind, output_kind):
    """PROOF-5: a proof of any other length."""
    proof = honest(name, input_kind, output_kind)
    for size in [*range(0, len(proof), 7), len(proof) - 32, len(proof) - 1]:
        with pytest.raises(InvalidProof):
            verify(proof[:size], CONTEXT)
    for more in (b"\0", bytes(32), bytes(128), proof):
        with pytest.raises(InvalidProof, match="bytes of messages"):
            verify(proof + more, CONTEXT)


@pytest.mark.parametrize("value", range(1, 256))
def test_verify__reserved_byte__refused(value):
    with pytest.raises(InvalidProof, match="header"):
        verify(patched(honest("mlp"), 3, bytes([value])), CONTEXT)


@pytest.mark.parametrize("name", ["mlp", "range"])
def test_verify__every_other_kind_and_batch_size__refused(name):
    proof = honest(name)
    for at in range(3):
        for value in range(256):
            if value != proof[at]:
                with pytest.raises(InvalidProof):
                    verify(patched(proof, at, bytes([value])), CONTEXT)


def test_decode_statement__masked_input__refused():
    data = bytearray(statement(output_kind=2).encode())
    data[1] = Kind.MASKED
    with pytest.raises(InvalidProof, match="input of kind"):
        decode_statement(bytes(data) + bytes(9999), CONTEXT)


@pytest.mark.parametrize(("kind", "batch_bits"), [(1, 0), (2, 0), (0, 1), (0, 4)])
def test_decode_statement__output_or_batch_without_stages__refused(kind, batch_bits):
    data = bytearray(fast_statement(Prover(tiny_range())).encode())
    data[0], data[2] = batch_bits, kind
    with pytest.raises(InvalidProof):
        decode_statement(bytes(data) + bytes(99999), CONTEXT)


@pytest.mark.parametrize("batch_bits", [12, 13, 16])
def test_decode_statement__batch__at_most_4096_and_n_at_most_20(batch_bits):
    """m = 4: n = 16 with β = 12, and no larger β; an image of m = 6 likewise."""
    for scene in (MLP, IMAGE):
        data = bytearray(fast_statement(Prover(scene)).encode())
        data[0] = batch_bits
        if batch_bits > 12:
            with pytest.raises(InvalidProof, match="instances"):
                decode_statement(bytes(data) + bytes(10**6), CONTEXT)
        else:
            assert decode_statement(bytes(data) + bytes(10**6), CONTEXT)[0].batch_bits == batch_bits


@pytest.mark.parametrize(("m", "batch_bits"), [(20, 0), (10, 10), (20, 1), (10, 11), (9, 12)])
def test_decode_statement__variables__at_most_20(m, batch_bits):
    circuit = dataclasses.replace(decode(MLP.descriptor), position_bits=m)
    data = bytearray(dataclasses.replace(statement(), circuit=circuit).encode())
    data[0] = batch_bits
    if m + batch_bits <= 20:
        assert decode_statement(bytes(data) + bytes(10**6), CONTEXT)[0].variables == 20
    else:
        with pytest.raises(InvalidProof, match="instances"):
            decode_statement(bytes(data) + bytes(10**6), CONTEXT)


@pytest.mark.parametrize("sign", [-1, 1])
def test_decode_statement__public_integers__only_in_their_range(sign):
    """PROOF-5: [-2^t, 2^t) and [-2^(B-1-s), 2^(B-1-s))."""
    edge = {("inputs", 1): 31, ("inputs", -1): -32, ("outputs", 1): 255, ("outputs", -1): -256}
    base = statement(input_kind=0, output_kind=0)
    for name in ("inputs", "outputs"):
        for position in (0, 5):
            for beyond in (0, 1):
                words = list(getattr(base, name).words)
                words[position] = edge[name, sign] + sign * beyond
                data = Statement(
                    base.circuit,
                    base.weights,
                    base.batch_bits,
                    *(Values(Kind.PUBLIC, words=tuple(words)) if name == n else getattr(base, n)
                      for n in ("inputs", "outputs")),
                    CONTEXT,
                ).encode()  # fmt: skip
                if beyond:
                    with pytest.raises(InvalidProof, match="outside"):
                        decode_statement(data, CONTEXT)
                else:
                    assert getattr(decode_statement(data, CONTEXT)[0], name).words == tuple(words)


@pytest.mark.parametrize("word", [R - 1, R, R + 1, 2**256 - 1])
def test_decode_statement__masked_word__below_r(word):
    base = statement(output_kind=2)
    data = base.encode()
    data = data[:-32] + word.to_bytes(32, "big")
    if word < R:
        assert decode_statement(data, CONTEXT)[0].outputs.words[-1] == word
    else:
        with pytest.raises(InvalidProof, match="outside"):
            decode_statement(data, CONTEXT)


def scalar_places(given):
    """Where the messages of a statement have their field elements."""
    points = (given.bit_chunks + 1) * POINT_BYTES
    inverse = messages_size(given) - 2 * POINT_BYTES - 64
    return [*range(points, inverse - POINT_BYTES, 32), inverse, inverse + 32]


def point_places(given):
    bits = [i * POINT_BYTES for i in range(given.bit_chunks + 1)]
    end = messages_size(given)
    return [*bits, end - 2 * POINT_BYTES - 64 - POINT_BYTES, end - 2 * POINT_BYTES, end - POINT_BYTES]


@pytest.mark.parametrize("value", [R, R + 1, 2**255, 2**256 - 1])
def test_decode_messages__any_field_element_not_below_r__refused(value):
    """PROOF-5."""
    given, rest = decode_statement(honest("mlp"), CONTEXT)
    assert len(scalar_places(given)) == 18 + 5 + 12 + 2
    for at in scalar_places(given):
        with pytest.raises(InvalidProof, match="order"):
            decode_messages(patched(rest, at, value.to_bytes(32, "big")), given)


@pytest.mark.parametrize("at", scalar_places(statement()))
def test_verify__field_element_plus_r__is_not_the_same_element(at):
    """PROOF-5: only one form of each element, so that no proof has a twin."""
    proof = honest("mlp")
    start = head(proof) + at
    value = int.from_bytes(proof[start : start + 32], "big") + R
    assert value < 2**256
    with pytest.raises(InvalidProof, match="order"):
        verify(patched(proof, start, value.to_bytes(32, "big")), CONTEXT)


def bad_points(good):
    """One way each of not being a point of G1 in its only form."""
    x, y = int.from_bytes(good[:64], "big"), int.from_bytes(good[64:], "big")
    stray = 4
    stray_y = pow(stray**3 + 4, (BASE_MODULUS + 1) // 4, BASE_MODULUS)
    assert stray_y * stray_y % BASE_MODULUS == stray**3 + 4
    for a, b in (
        (x + BASE_MODULUS, y),
        (x, y + BASE_MODULUS),
        (BASE_MODULUS, BASE_MODULUS),  # zero, in another form
        (0, BASE_MODULUS),
        (x + 1, y),
        (y, x),
        (0, y),
        (x, 0),
        (stray, stray_y),  # on the curve, outside the subgroup
        (0, 2),  # of order 3
        (x + 2**384, y),
        (x, y + 2**504),
    ):
        yield a.to_bytes(64, "big") + b.to_bytes(64, "big")


def test_decode_point__anything_but_a_canonical_point_of_the_subgroup__refused():
    """PROOF-5: off the curve, outside the subgroup, coordinates not below the modulus, stray bytes."""
    _, rest = decode_statement(honest("mlp"), CONTEXT)
    good = rest[:POINT_BYTES]
    assert encode_point(decode_point(good)) == good
    for bad in [*bad_points(good), good[:-1], good + b"\0", b"", good[:96]]:
        with pytest.raises(InvalidProof):
            decode_point(bad)


def test_decode_point__infinity__is_all_zeros_and_nothing_else():
    assert decode_point(bytes(POINT_BYTES)) == INFINITY
    assert encode_point(INFINITY) == bytes(POINT_BYTES)
    for flag in (0x40, 0xC0, 0x80, 0x20):
        for at in (0, 16, 64, 80):
            with pytest.raises(InvalidProof):
                decode_point(patched(bytes(POINT_BYTES), at, bytes([flag])))


@pytest.mark.parametrize("name", ["mlp", "range"])
def test_verify__any_point_of_a_proof_replaced_by_a_bad_one__refused(name):
    """PROOF-5: of every message, and of C_W, C_X and C_Y."""
    proof = honest(name)
    given, rest = decode_statement(proof, CONTEXT)
    start = len(proof) - len(rest)
    places = [start + at for at in point_places(given)]
    first = 6 + len(given.circuit.descriptor)
    places += range(first, start, POINT_BYTES)
    for at in places:
        for bad in bad_points(proof[at : at + POINT_BYTES]):
            with pytest.raises(InvalidProof):
                verify(patched(proof, at, bad), CONTEXT)


def test_decode_points__whole_points__in_order():
    _, rest = decode_statement(honest("mlp"), CONTEXT)
    data = rest[: 3 * POINT_BYTES]
    assert [encode_point(point) for point in decode_points(data)] == [data[i : i + 128] for i in range(0, 384, 128)]
    assert decode_points(b"") == []
    with pytest.raises(InvalidProof):
        decode_points(data[:-1])


def test_messages__decoded__encode_alike():
    for name in ("mlp", "range", "image"):
        given, rest = decode_statement(honest(name), CONTEXT)
        assert decode_messages(rest, given).encode(given) == rest
        assert len(rest) == messages_size(given)


def test_values_public__rows__instance_after_instance():
    values = Values.public(np.array([[[1, -2]], [[3, -4]]]))
    assert values.words == (1, -2, 3, -4)
    assert values.public_bytes == b"".join(word.to_bytes(4, "big", signed=True) for word in (1, -2, 3, -4))
