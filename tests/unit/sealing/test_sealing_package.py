"""Sealed models: what is published, what each broker gets, and what the owner keeps (SEAL-1, SEAL-2)."""

import json
import shutil
from dataclasses import replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import pytest

from cloister.domain.errors import InvalidInput
from cloister.fixedpoint import InvalidPackage, Package, load_package
from cloister.fixedpoint.manifest import Manifest
from cloister.sealing import hybrid
from cloister.sealing.deposits import BadDeposit, BrokerKey, Deposit, deposit_share
from cloister.sealing.errors import SealError, UnusableKey
from cloister.sealing.folder import is_sealed, read_sealed, write_sealed
from cloister.sealing.package import open_attachment, open_package, seal_package
from cloister.sealing.shares import KeyShare, combine
from cloister.storage.errors import WrongPassword
from cloister.storage.folders import FolderExists
from cloister.storage.keyfile import LIGHT

MODELS = Path(__file__).parents[3] / "models"
KEYS = [BrokerKey.from_secret(bytes([number]) * 32) for number in range(1, 4)]
PUBLIC = [key.public for key in KEYS]
FILES = {"training.json": b'{"epochs": 40}', "empty": b"", "big.bin": bytes(range(256)) * 4097}


@pytest.fixture(scope="module")
def package():
    return load_package(MODELS / "digits")


@pytest.fixture(scope="module")
def sealed(package):
    return seal_package(package, 2, PUBLIC, FILES)


@pytest.fixture
def folder(tmp_path, sealed):
    write_sealed(tmp_path / "sealed", sealed, "password", LIGHT)
    return tmp_path / "sealed"


# ------------------------------------------------------------------ sealing


def test_seal__manifest__is_the_open_one_and_how_it_is_sealed(package, sealed):
    assert Manifest.from_bytes(sealed.manifest_bytes) == sealed.manifest
    assert replace(sealed.manifest, sealing=None) == package.manifest
    assert sealed.manifest.circuit == package.manifest.circuit is not None
    assert sealed.manifest.sealing.threshold == 2
    assert [one.name for one in sealed.manifest.sealing.attachments] == sorted(FILES)
    assert sealed.digest == sha256(sealed.manifest_bytes).digest()


def test_seal__blobs__are_what_the_manifest_names(sealed):
    sealing = sealed.manifest.sealing
    records = [(sealing.weights.bytes, sealing.weights.sha256), *((a.bytes, a.sha256) for a in sealing.attachments)]
    assert [(len(blob), sha256(blob).hexdigest()) for blob in sealed.blobs()] == records


def test_seal__any_two_shares__open_it_and_one_does_not(package, sealed):
    sealing = sealed.manifest.sealing
    commitments = [bytes.fromhex(text) for text in sealing.shares]
    shares = [deposit.open(key) for deposit, key in zip(sealed.deposits, KEYS, strict=True)]
    for pair in combinations(shares, 2):
        assert combine(pair, 2, commitments, bytes.fromhex(sealing.key)) == sealed.data_key
    with pytest.raises(SealError):
        combine(shares[:1], 2, commitments, bytes.fromhex(sealing.key))
    opened = open_package(sealed.manifest, sealed.data_key, [sealed.weights])
    assert (opened.manifest_bytes, opened.weights_bytes) == (package.manifest_bytes, package.weights_bytes)


def test_seal__attachments__open_one_by_one(sealed):
    for name, plain in FILES.items():
        assert open_attachment(sealed.manifest, sealed.data_key, name, [sealed.attachments[name]]) == plain
    with pytest.raises(SealError, match="no attachment"):
        open_attachment(sealed.manifest, sealed.data_key, "other", [])
    with pytest.raises(SealError):
        open_attachment(sealed.manifest, sealed.data_key, "empty", [sealed.attachments["training.json"]])


def test_seal__twice__has_nothing_in_common(package, sealed):
    other = seal_package(package, 2, PUBLIC, FILES)
    assert other.data_key != sealed.data_key
    assert other.weights != sealed.weights
    assert other.deposits != sealed.deposits


@pytest.mark.parametrize(
    ("threshold", "brokers", "files", "match"),
    [
        (4, PUBLIC, {}, "3 shares of which 4"),
        (0, PUBLIC, {}, "which 0"),
        (1, [], {}, "0 shares"),
        (1, [PUBLIC[0], PUBLIC[0]], {}, "named twice"),
        (1, PUBLIC, {"weights.safetensors": b""}, "name of the weights file"),
        (1, PUBLIC, {"../x": b""}, "cannot be sealed so"),
        (1, PUBLIC, {"-": b""}, "cannot be sealed so"),
        (1, PUBLIC, {"ü": b""}, "ASCII"),
        (1, PUBLIC, {"": b""}, "ASCII"),
        (1, PUBLIC, {f"{n}": b"" for n in range(17)}, "17 attachments"),
        (1, PUBLIC, {"x" * 65: b""}, "cannot be sealed so"),
        (1, PUBLIC, {"huge": bytes((64 << 20) + 1)}, "64 MiB"),
    ],
    ids=range(12),
)
def test_seal__what_cannot_be__is_refused(package, threshold, brokers, files, match):
    with pytest.raises(SealError, match=match):
        seal_package(package, threshold, brokers, files)


def test_seal__key_that_is_none__is_refused(package):
    for key in (bytes(10), bytes(hybrid.PUBLIC_KEY_BYTES)):
        with pytest.raises(UnusableKey):
            seal_package(package, 1, [key])


def test_seal__sealed_package__is_refused(package, sealed):
    again = Package.of_checked(sealed.manifest, sealed.manifest_bytes, package.weights_bytes)
    with pytest.raises(SealError, match="sealed already"):
        seal_package(again, 1, PUBLIC)


def test_open__another_key__is_refused_before_anything_is_opened(sealed):
    with pytest.raises(SealError, match="not the key"):
        open_package(sealed.manifest, bytes(32), [sealed.weights])
    with pytest.raises(SealError, match="not sealed"):
        open_package(replace(sealed.manifest, sealing=None), sealed.data_key, [sealed.weights])


def test_repr__shows_no_secret(sealed):
    shown = repr(sealed) + repr(KEYS[0]) + repr(sealed.deposits[0].open(KEYS[0]))
    share = sealed.deposits[0].open(KEYS[0])
    for secret in (sealed.data_key, KEYS[0].private, share.value, share.salt):
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


# ------------------------------------------------------------------ deposits


def test_deposit__written_and_read__is_the_same(sealed):
    for deposit in sealed.deposits:
        assert Deposit.from_json(deposit.to_json()) == deposit


def test_deposit__another_broker_index_or_manifest__does_not_open(sealed):
    deposit = sealed.deposits[0]
    for wrong, key in [
        (deposit, KEYS[1]),
        (replace(deposit, index=2), KEYS[0]),
        (replace(deposit, manifest_hash=bytes(32)), KEYS[0]),
        (replace(deposit, sealed=deposit.sealed[:-1] + b"\0"), KEYS[0]),
    ]:
        with pytest.raises(SealError, match="does not open"):
            wrong.open(key)


def test_deposit__share_that_the_manifest_does_not_know__is_refused(sealed):
    """SEAL-1, market rule 23"""
    lie = deposit_share(KeyShare(1, bytes(32), bytes(32)), sealed.digest, PUBLIC[0])
    with pytest.raises(SealError, match="commits to"):
        lie.check(KEYS[0], sealed.manifest_bytes)
    assert sealed.deposits[0].check(KEYS[0], sealed.manifest_bytes) == sealed.manifest


def test_deposit__manifest_of_another_or_of_an_open_model__is_refused(package, sealed):
    for manifest in (package.manifest_bytes, seal_package(package, 1, PUBLIC).manifest_bytes):
        with pytest.raises(BadDeposit, match="another manifest"):
            sealed.deposits[0].check(KEYS[0], manifest)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"index": 0},
        {"index": 256},
        {"index": True},
        {"index": "1"},
        {"sealed": "0x00"},
        {"sealed": 1},
        {"manifest": "0x00"},
        {"extra": 1},
    ],
)
def test_deposit__file_that_is_none__is_refused(sealed, change):
    with pytest.raises(BadDeposit):
        Deposit.from_json(json.dumps(json.loads(sealed.deposits[0].to_json()) | change))


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, b"\xff"])
def test_deposit__text_that_is_none__is_refused(text):
    with pytest.raises(BadDeposit):
        Deposit.from_json(text)


def test_broker_key__derived__is_the_same_again_and_of_a_length():
    assert BrokerKey.from_secret(bytes([1]) * 32) == KEYS[0]
    assert len(KEYS[0].public) == hybrid.PUBLIC_KEY_BYTES
    assert len({key.public for key in KEYS}) == 3
    with pytest.raises(UnusableKey):
        BrokerKey.from_secret(b"short")


# ------------------------------------------------------------------ the folder


def test_folder__written__has_no_plaintext_and_is_the_owners(folder, package, sealed):
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "manifest.json",
        "weights.sealed",
        "recovery.json",
        *(f"attachments/{name}.sealed" for name in FILES),
        *(f"shares/share-{number}.json" for number in (1, 2, 3)),
    }
    shares = [deposit.open(key).value for deposit, key in zip(sealed.deposits, KEYS, strict=True)]
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert path.stat().st_mode & 0o077 == 0
            for secret in (sealed.data_key, *shares, FILES["training.json"], FILES["big.bin"][:64]):
                assert secret not in data
                assert secret.hex().encode() not in data
            assert package.weights_bytes[-64:] not in data


def test_folder__read__is_ready_to_publish(folder, sealed):
    found = read_sealed(folder)
    assert (found.manifest, found.manifest_bytes, found.digest) == (
        sealed.manifest,
        sealed.manifest_bytes,
        sealed.digest,
    )
    assert list(found.blobs()) == list(sealed.blobs())
    assert is_sealed(folder)
    assert not is_sealed(MODELS / "digits")
    with pytest.raises(InvalidPackage, match="not sealed"):
        read_sealed(MODELS / "digits")


def test_folder__altered_ciphertext__is_not_published(folder):
    path = folder / "attachments" / "empty.sealed"
    path.write_bytes(bytes(16))
    with pytest.raises(InvalidPackage, match="not the file"):
        list(read_sealed(folder).blobs())


def test_folder__recovered_and_unsealed__is_the_package_and_its_files(folder, tmp_path, package):
    found = read_sealed(folder)
    found.unseal(found.recover("password"), tmp_path / "opened")
    opened = load_package(tmp_path / "opened")
    assert (opened.manifest_bytes, opened.weights_bytes) == (package.manifest_bytes, package.weights_bytes)
    for name, plain in FILES.items():
        assert (tmp_path / "opened" / "attachments" / name).read_bytes() == plain
    assert (tmp_path / "opened").stat().st_mode & 0o077 == 0


def test_folder__existing_one__is_never_overwritten(folder, tmp_path, sealed):
    with pytest.raises(FolderExists):
        write_sealed(folder, sealed, "password", LIGHT)
    (tmp_path / "mine").mkdir()
    found = read_sealed(folder)
    with pytest.raises(FolderExists):
        found.unseal(sealed.data_key, tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []


def test_folder__write_that_fails__leaves_nothing(tmp_path, sealed, monkeypatch):
    def broken(*_, **__):
        raise SealError("Interrupted.")

    monkeypatch.setattr("cloister.sealing.deposits.Deposit.to_json", broken)
    with pytest.raises(SealError):
        write_sealed(tmp_path / "sealed", sealed, "password", LIGHT)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidInput, match="password"):
        write_sealed(tmp_path / "sealed", sealed, "", LIGHT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["weights.sealed", "attachments/training.json.sealed", "attachments/empty.sealed"])
@pytest.mark.parametrize("how", ["cut", "longer", "changed", "gone"])
def test_unseal__damaged_file__writes_nothing(folder, tmp_path, sealed, name, how):
    """SEAL-2"""
    path = folder / name
    data = path.read_bytes()
    path.write_bytes(
        {"cut": data[:-1], "longer": data + b"\0", "changed": data[:-1] + bytes([data[-1] ^ 1])}.get(how, data)
    )
    if how == "gone":
        path.unlink()
    with pytest.raises((SealError, InvalidPackage)):
        read_sealed(folder).unseal(sealed.data_key, tmp_path / "opened")
    assert not (tmp_path / "opened").exists()


def test_recover__wrong_password_or_another_models_file__is_refused(folder, tmp_path, package):
    with pytest.raises(WrongPassword):
        read_sealed(folder).recover("other")
    write_sealed(tmp_path / "other", seal_package(package, 1, PUBLIC), "password", LIGHT)
    shutil.copy(tmp_path / "other" / "recovery.json", folder / "recovery.json")
    with pytest.raises(SealError, match="not the key"):
        read_sealed(folder).recover("password")
