"""Hostile and damaged packages: every one is refused with a typed error, and nothing else happens."""

import copy
import json
import pickle
import struct
import tracemalloc
from contextlib import suppress
from hashlib import sha256

import numpy as np
import pytest
import safetensors.numpy
import torch
from random_networks import make_network, make_package, plain_spec

from cloister.fixedpoint import (
    Arithmetic,
    Conv2d,
    Dense,
    InvalidPackage,
    Manifest,
    Package,
    RangeExceeded,
    Stage,
    SumPool,
    Term,
    load_package,
    package_model,
)
from cloister.fixedpoint.graph import tensor_shapes
from cloister.fixedpoint.tensorfile import read_tensors, write_tensors

REFUSED = (InvalidPackage, RangeExceeded)


def canonical(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def measured_package():
    network, shape = make_network("residual_conv", 1)
    rng = np.random.default_rng(0)
    return package_model(
        network,
        name="measured",
        description="naïve “quotes” \\ and \u0001 control",
        labels=["no", "yes"],
        input_spec=plain_spec(shape),
        arithmetic=Arithmetic(t=12, f=10, s=12),
        heldout=(rng.normal(size=(6, *shape)), rng.integers(0, 2, size=6)),
        salt=bytes(32),
    )


@pytest.fixture(scope="module")
def made():
    return measured_package()


def reseal(package, tensors=None, weights=None, change=lambda document: None):
    """Both files with honest digests again, as a dishonest owner would make them."""
    document = json.loads(package.manifest_bytes)
    if tensors is not None:
        weights = write_tensors(tensors)
        salt = tensors["salt"].tobytes()
        for record in document["tensors"]:
            record["sha256"] = sha256(salt + tensors[record["name"]].tobytes()).hexdigest()
    weights = package.weights_bytes if weights is None else weights
    document["weights"] = {"bytes": len(weights), "sha256": sha256(weights).hexdigest()}
    change(document)
    return canonical(document), weights


def leaves(value, path=()):
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list) and value:
        for index in range(len(value)):
            yield from leaves(value[index], (*path, index))
    else:
        yield path, value


def replaced(document, path, value):
    changed = copy.deepcopy(document)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return changed


def mutations(value):
    match value:
        case bool():
            return [not value, None]
        case int():
            return [value + 1, value - 1, -value - 1, 2**62, 2**100, str(value), True, None, [value]]
        case str():
            return [value + "x", "", value.upper() + "!", 7, None, [value]]
        case _:
            return [[value], 3, "x", [0]]


# What an owner may write differently over the same weights and have another valid model: hence the digest.
FREE = {
    ("name",), ("description",), ("labels",), ("accuracy",), ("input", "mean"), ("input", "scale"),
    ("input", "low"), ("input", "high"), ("arithmetic", "t"), ("arithmetic", "f"), ("stages", "layers"),
    ("stages", "terms", "coefficient"),
}  # fmt: skip


def is_free(path):
    names = tuple(step for step in path if isinstance(step, str))
    return names in FREE or names[:1] in FREE


def test_from_bytes__every_manifest_field_changed__is_refused(made):
    document = json.loads(made.manifest_bytes)
    tried = 0
    for path, value in leaves(document):
        for other in mutations(value):
            data = canonical(replaced(document, path, other))
            with pytest.raises(InvalidPackage, match="expected SHA-256"):
                Package.from_bytes(data, made.weights_bytes, digest=made.digest)
            try:
                accepted = Package.from_bytes(data, made.weights_bytes)
            except REFUSED:
                pass
            else:
                assert is_free(path), (path, other)
                assert accepted.digest != made.digest
            tried += 1
    assert tried > 500


def test_from_bytes__every_manifest_member_removed_or_added__is_refused(made):
    document = json.loads(made.manifest_bytes)

    def objects(value):
        if isinstance(value, dict):
            yield value
        for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from objects(child)

    for target in list(objects(document)):
        for key in list(target):
            kept = target.pop(key)
            with pytest.raises(InvalidPackage):
                Package.from_bytes(canonical(document), made.weights_bytes)
            target[key] = kept
        target["extra"] = 1
        with pytest.raises(InvalidPackage, match="extra"):
            Package.from_bytes(canonical(document), made.weights_bytes)
        del target["extra"]
    assert canonical(document) == made.manifest_bytes


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text + b"\n",
        lambda text: b" " + text,
        lambda text: text.replace(b":", b": ", 1),
        lambda text: text.replace(b'"t":12', b'"t":12,"t":12'),
        lambda text: text.replace(b'"t":12', b'"t":12.0'),
        lambda text: text.replace(b'"t":12', b'"t":1.2e1'),
        lambda text: text.replace(b'"name":"measured"', b'"name":"m\\u0065asured"'),
        lambda text: text.replace("naïve".encode(), b"na\\u00efve"),
        lambda text: json.dumps(
            dict(reversed(json.loads(text).items())), separators=(",", ":"), ensure_ascii=False
        ).encode(),
    ],
)
def test_from_bytes__same_manifest_in_another_form__is_refused(made, rewrite):
    text = rewrite(made.manifest_bytes)
    assert text != made.manifest_bytes
    with pytest.raises(InvalidPackage, match=r"canonical|integer"):
        Package.from_bytes(text, made.weights_bytes)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"name":"\\ud800"}',
        b"[" * 100_000,
        b"{" * 10,
        b'"',
        b"NaN",
        b"1" * 5000,
    ],
)
def test_from_bytes__no_manifest__is_refused(made, text):
    with pytest.raises(InvalidPackage):
        Package.from_bytes(text, made.weights_bytes)


def test_from_bytes__huge_manifest__is_refused_before_parsing(made):
    with pytest.raises(InvalidPackage, match="limit is 4,194,304"):
        Manifest.from_bytes(b"[" * (5 << 20))


def test_from_bytes__truncated_manifest__is_refused_at_every_length(made):
    for length in range(len(made.manifest_bytes)):
        with pytest.raises(InvalidPackage):
            Manifest.from_bytes(made.manifest_bytes[:length])


def test_from_bytes__truncated_weights__are_refused_at_every_length(made):
    weights = made.weights_bytes
    for length in range(len(weights)):
        with pytest.raises(InvalidPackage, match="bytes, the manifest says"):
            Package.from_bytes(made.manifest_bytes, weights[:length])
        with pytest.raises(InvalidPackage):
            read_tensors(weights[:length])
    with pytest.raises(InvalidPackage):
        Package.from_bytes(made.manifest_bytes, weights + b"\0")


def test_from_bytes__every_byte_of_the_weights_flipped__is_refused(made):
    for position in range(len(made.weights_bytes)):
        changed = bytearray(made.weights_bytes)
        changed[position] ^= 1
        with pytest.raises(InvalidPackage, match="does not have the SHA-256"):
            Package.from_bytes(made.manifest_bytes, bytes(changed))


def test_from_bytes__weights_of_another_model__are_refused(made):
    other = make_package("residual_conv", 2)
    with pytest.raises(InvalidPackage):
        Package.from_bytes(made.manifest_bytes, other.weights_bytes)


def tensors_of(package):
    return {name: array.copy() for name, array in safetensors.numpy.load(package.weights_bytes).items()}


def test_from_bytes__honestly_resealed__is_accepted(made):
    Package.from_bytes(*reseal(made, tensors_of(made)))


def test_from_bytes__weights_that_overflow__are_refused_by_a_new_proof(made):
    tensors = tensors_of(made)
    for array in tensors.values():
        if array.dtype == np.int16:
            array[:] = 32767
    with pytest.raises(RangeExceeded, match="can reach"):
        Package.from_bytes(*reseal(made, tensors))


def test_from_bytes__larger_weights_under_the_old_bits__are_refused(made):
    tensors = tensors_of(made)
    tensors["stage1.bias"][:] = 2**29
    with pytest.raises(InvalidPackage, match="gives stage 1"):
        Package.from_bytes(*reseal(made, tensors))


@pytest.mark.parametrize("value", [2**30, -(2**30) - 1])
def test_from_bytes__bias_beyond_its_width__is_refused(made, value):
    tensors = tensors_of(made)
    tensors["stage1.bias"][0] = value
    with pytest.raises(InvalidPackage, match=r"'stage1.bias' leaves"):
        Package.from_bytes(*reseal(made, tensors))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("salt"), "32-byte salt"),
        (lambda tensors: tensors.update(salt=np.zeros(31, np.uint8)), "32-byte salt"),
        (lambda tensors: tensors.pop("stage1.bias"), "different tensors"),
        (lambda tensors: tensors.update(more=np.zeros(1, np.int16)), "different tensors"),
        (lambda tensors: tensors.update({"stage1.bias": np.zeros(3, np.int16)}), "not I32"),
        (lambda tensors: tensors.update({"stage1.bias": np.zeros((3, 1), np.int32)}), "not I32"),
    ],
)
def test_from_bytes__tensors_unlike_the_manifest__are_refused(made, change, words):
    tensors = tensors_of(made)
    change(tensors)
    with pytest.raises(InvalidPackage, match=words):
        Package.from_bytes(*reseal(made, weights=write_tensors(tensors)))


def test_from_bytes__digest_of_another_tensor__is_refused(made):
    tensors = tensors_of(made)
    tensors["stage1.bias"][0] += 1
    with pytest.raises(InvalidPackage, match=r"'stage1.bias' does not have the digest"):
        Package.from_bytes(*reseal(made, weights=write_tensors(tensors)))


# --- graphs -----------------------------------------------------------------------------------------------------


def set_in(*path, value):
    def change(document):
        parent = document
        for step in path[:-1]:
            parent = parent[step]
        parent[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_in("stages", 0, "terms", 0, "source", value=1), "not before it"),
        (set_in("stages", 1, "terms", 0, "source", value=2), "not before it"),
        (set_in("stages", 0, "relu", value=False), "ReLU"),
        (set_in("stages", 2, "relu", value=True), "ReLU"),
        (set_in("stages", 0, "terms", 0, "coefficient", value=2), "unscaled"),
        (set_in("stages", 0, "shape", value=[3, 6, 5]), "has shape"),
        (set_in("stages", 0, "bias", value="stage2.bias"), "used twice"),
        (set_in("stages", 0, "terms", 0, "maps", 0, "stride", value=[0, 1]), "stride"),
        (set_in("stages", 0, "terms", 0, "maps", 0, "padding", value=[-1, 1]), "padding"),
        (set_in("stages", 0, "terms", 0, "maps", 0, "op", value="max_pool"), "op|tag"),
        (set_in("stages", 0, "terms", 0, "maps", 0, "channels", value=60_000), "a term has shape"),
        (set_in("input", "shape", value=[2, 65536, 65536]), "activations"),
        (set_in("input", "shape", value=[2, 65537, 1]), "shape"),
        (set_in("input", "shape", value=[]), "shape"),
        (set_in("input", "shape", value=[120]), "reads"),
        (set_in("arithmetic", "s", value=31), "arithmetic.s"),
        (set_in("arithmetic", "t", value=31), "arithmetic.t"),
        (set_in("tensors", 0, "dtype", value="I16"), "I16 for a weight"),
        (set_in("tensors", 0, "dtype", value="F64"), "dtype"),
        (set_in("input", "scale", value=["0"]), "positive"),
        (set_in("input", "scale", value=["1e3"]), "scale"),
        (set_in("input", "low", value=[1600]), "ordered"),
        (set_in("input", "high", value=[4096]), "inside"),
        (set_in("input", "mean", value=["0", "1"]), "1 or 60"),
        (set_in("accuracy", "agree", value=7), "more answers than rows"),
        (set_in("labels", value=["no"]), "1 labels for 2 outputs"),
        (set_in("format", value="cloister-model/2"), "format"),
        (set_in("name", value="../etc"), "name"),
        (set_in("stages", value=[]), "stages"),
    ],
)
def test_from_bytes__dishonest_graph__is_refused_with_the_reason(made, change, words):
    with pytest.raises(InvalidPackage, match=words):
        Package.from_bytes(*reseal(made, change=change))


def test_from_bytes__tensors_out_of_order__are_refused(made):
    with pytest.raises(InvalidPackage, match="sorted by name"):
        Package.from_bytes(*reseal(made, change=lambda document: document["tensors"].reverse()))


def test_from_bytes__two_learned_maps_in_a_term__are_refused():
    made = make_package("linear", 0)

    def twice(document):
        maps = document["stages"][0]["terms"][0]["maps"]
        maps.append({"op": "dense", "features": 3, "weight": "another"})

    with pytest.raises(InvalidPackage, match="one learned map"):
        Package.from_bytes(*reseal(made, change=twice))


def test_tensor_shapes__more_work_than_the_limit__is_refused():
    dense = [Dense(weight=f"w{i}", features=65536) for i in range(2)]
    stage = Stage(
        layers=(),
        shape=(65536,),
        terms=tuple(Term(source=0, maps=(step,), coefficient=1) for step in dense),
        bias="b",
        relu=False,
        bits=32,
    )
    with pytest.raises(ValueError, match="8,589,934,592 multiplications per row"):
        tensor_shapes((65536,), (stage,))


def test_tensor_shapes__large_intermediate__is_refused():
    grow = Conv2d(weight="w", channels=65536, kernel=(1, 1), stride=(1, 1), padding=(0, 0))
    shrink = SumPool(kernel=(10, 10), stride=(10, 10), padding=(0, 0))
    term = Term(source=0, maps=(grow, shrink), coefficient=1)
    stage = Stage(layers=(), shape=(65536, 1, 1), terms=(term,), bias="b", relu=False, bits=32)
    with pytest.raises(ValueError, match="6,553,600 entries inside stage 1"):
        tensor_shapes((1, 10, 10), (stage,))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"op": "sum_pool", "kernel": [1, 1], "stride": [1, 1], "padding": [60000, 0]}, "half the window"),
        ({"op": "sum_pool", "kernel": [1000, 1000], "stride": [1, 1], "padding": [500, 500]}, "windows"),
        (
            {"op": "conv2d", "kernel": [1, 1], "stride": [1, 1], "padding": [4096] * 2, "channels": 1, "weight": "w"},
            "windows",
        ),
    ],
)  # fmt: skip
def test_from_bytes__bomb_of_windows__is_refused_before_allocation(made, step, words):
    tracemalloc.start()
    try:
        with pytest.raises(InvalidPackage, match=words):
            Package.from_bytes(*reseal(made, change=lambda d: d["stages"][0]["terms"][0]["maps"].insert(0, step)))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


# --- tensor files -----------------------------------------------------------------------------------------------


def tensor_file(header, body=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + body


def entry(begin, end, shape, dtype="I16", **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


HOSTILE = {
    "empty": (b"", "too few"),
    "seven bytes": (bytes(7), "too few"),
    "huge header": (tensor_file({}, size=2**64 - 1), "claims 18,446,744,073,709,551,615"),
    "header past the end": (tensor_file({}, size=3), "claims 3 bytes"),
    "header over its limit": (tensor_file(b" " * (2 << 20)), "claims"),
    "not json": (tensor_file(b"{]"), "not valid JSON"),
    "not utf-8": (tensor_file(b'{"\xff":1}'), "not valid JSON"),
    "nested": (tensor_file(b"[" * 100_000), "not valid JSON"),
    "huge number": (tensor_file(b'{"a":' + b"1" * 5000 + b"}"), "not valid JSON"),
    "list": (tensor_file([]), "not a JSON object"),
    "metadata": (tensor_file({"__metadata__": {"a": "b"}}), "dtype, shape and data_offsets alone"),
    "no fields": (tensor_file({"a": 1}), "alone"),
    "more fields": (tensor_file({"a": entry(0, 2, [1], x=1)}, bytes(2)), "alone"),
    "float": (tensor_file({"a": entry(0, 4, [1], "F32")}, bytes(4)), "'F32'; allowed are U8, I16, I32"),
    "type is a list": (tensor_file({"a": entry(0, 4, [1], ["I16"])}, bytes(4)), "allowed are"),
    "negative extent": (tensor_file({"a": entry(0, 2, [-1, -1])}, bytes(2)), "malformed shape"),
    "empty extent": (tensor_file({"a": entry(0, 0, [0])}), "malformed shape"),
    "boolean extent": (tensor_file({"a": entry(0, 2, [True])}, bytes(2)), "malformed shape"),
    "float extent": (tensor_file({"a": entry(0, 2, [1.0])}, bytes(2)), "malformed shape"),
    "huge extents": (tensor_file({"a": entry(0, 2, [2**40, 2**40])}, bytes(2)), "malformed shape"),
    "extents that wrap to 64 bits": (
        tensor_file({"a": entry(0, 0, [65536, 65536, 65536, 32768])}),
        "its shape needs 18,446,744,073,709,551,616",
    ),
    "five dimensions": (tensor_file({"a": entry(0, 2, [1] * 5)}, bytes(2)), "malformed shape"),
    "negative offset": (tensor_file({"a": entry(-2, 0, [1])}), "malformed data_offsets"),
    "backwards": (tensor_file({"a": entry(2, 0, [1])}, bytes(2)), "spans -2"),
    "one offset": (tensor_file({"a": {"dtype": "I16", "shape": [1], "data_offsets": [0]}}), "data_offsets"),
    "past the end": (tensor_file({"a": entry(0, 4, [2])}, bytes(2)), "ends at 4"),
    "far past the end": (tensor_file({"a": entry(0, 2**33, [65536, 65536])}, bytes(2)), "ends at 8,589,934,592"),
    "wrong size": (tensor_file({"a": entry(0, 4, [1])}, bytes(4)), "spans 4 bytes, its shape needs 2"),
    "overlap": (tensor_file({"a": entry(0, 4, [2]), "b": entry(2, 6, [2])}, bytes(6)), "'b' begins at 2"),
    "same place": (tensor_file({"a": entry(0, 4, [2]), "b": entry(0, 4, [2])}, bytes(4)), "'b' begins at 0"),
    "gap": (tensor_file({"a": entry(0, 2, [1]), "b": entry(4, 6, [1])}, bytes(6)), "'b' begins at 4"),
    "late start": (tensor_file({"a": entry(2, 4, [1])}, bytes(4)), "begins at 2"),
    "rest": (tensor_file({"a": entry(0, 2, [1])}, bytes(3)), "1 bytes follow"),
    "repeated name": (
        tensor_file(b'{"a":%b,"a":%b}' % ((json.dumps(entry(0, 2, [1])).encode(),) * 2), bytes(2)),
        "occurs twice",
    ),
    "repeated field": (
        tensor_file(b'{"a":{"dtype":"I16","dtype":"I16","shape":[1],"data_offsets":[0,2]}}', bytes(2)),
        "twice",
    ),
    "too many tensors": (tensor_file({str(i): 0 for i in range(5000)}), "lists 5,000 tensors"),
    "pickle": (pickle.dumps({"a": [1] * 100}), "Python pickle"),
    "zip": (b"PK\x03\x04" + bytes(100), "PyTorch or zip archive"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_read_tensors__hostile_file__is_refused_with_the_reason(made, case):
    data, words = HOSTILE[case]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidPackage, match=words):
            read_tensors(data)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    if len(data) >= 8:
        with pytest.raises(InvalidPackage, match=words):
            Package.from_bytes(*reseal(made, weights=data))


def test_read_tensors__file_over_the_limit__is_refused():
    with pytest.raises(InvalidPackage, match="limit is 67,108,864"):
        read_tensors(bytes((64 << 20) + 1))


def test_read_tensors__pytorch_checkpoint__is_refused(tmp_path):
    torch.save({"weight": torch.zeros(4)}, tmp_path / "weights.safetensors")
    with pytest.raises(InvalidPackage, match="PyTorch"):
        read_tensors((tmp_path / "weights.safetensors").read_bytes())


def test_read_tensors__random_damage__never_raises_anything_else():
    data = make_package("conv", 0).weights_bytes
    rng = np.random.default_rng(1)
    for _ in range(5000):
        damaged = bytearray(data[: rng.integers(0, len(data) + 1)])
        for position in rng.integers(0, 500, size=rng.integers(1, 4)):
            if position < len(damaged):
                damaged[position] = rng.integers(0, 256)
        with suppress(InvalidPackage):
            read_tensors(bytes(damaged))


def test_read_tensors__file_of_the_library__gives_the_same_arrays(made):
    ours, theirs = read_tensors(made.weights_bytes), safetensors.numpy.load(made.weights_bytes)
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert not any(array.flags.writeable for array in ours.values())


# --- folders ----------------------------------------------------------------------------------------------------


def test_load_package__written_folder__comes_back(made, tmp_path):
    made.write(tmp_path / "new" / "folder")
    loaded = load_package(tmp_path / "new" / "folder", digest=made.digest)
    assert loaded.manifest == made.manifest
    assert loaded.manifest.accuracy.rows == 6


@pytest.mark.parametrize("missing", ["manifest.json", "weights.safetensors"])
def test_load_package__file_missing__is_named(made, tmp_path, missing):
    made.write(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(InvalidPackage, match=f"{missing}: No such file"):
        load_package(tmp_path)


def test_load_package__file_over_the_limit__is_not_read(made, tmp_path):
    made.write(tmp_path)
    with (tmp_path / "weights.safetensors").open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(InvalidPackage, match="more than 67,108,864"):
        load_package(tmp_path)


def test_load_package__pickle_renamed__is_never_opened(made, tmp_path):  # BLOB-2
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was opened",))

    made.write(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InvalidPackage):
        load_package(tmp_path)
    manifest, weights = reseal(made, weights=pickle.dumps([Bomb()] * 9))
    (tmp_path / "manifest.json").write_bytes(manifest)
    (tmp_path / "weights.safetensors").write_bytes(weights)
    with pytest.raises(InvalidPackage, match="pickle"):
        load_package(tmp_path)
