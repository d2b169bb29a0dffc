"""Key files: accounts and worker secrets, and every way in which a file can be wrong."""

from __future__ import annotations

import json
import os
import stat
import traceback

import pytest
import structlog
from eth_account import Account

from cloister.domain.errors import CloisterError, InvalidInput
from cloister.storage import atomic, keyfile
from cloister.storage.errors import (
    KeyfileAmbiguous,
    KeyfileCorrupt,
    KeyfileExists,
    KeyfileMissing,
    StoreFull,
    StoreUnavailable,
    WrongPassword,
)
from cloister.storage.keyfile import LIGHT, STANDARD, Kdf, read_keyfile
from cloister.storage.keystore import Keystore, Secrets

QUICK = Kdf(work=2)
PASSWORD = "correct horse"
KEY = bytes(range(1, 33))
ADDRESS = Account.from_key(KEY).address
WORKER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / "keystore"


@pytest.fixture
def keystore(folder):
    return Keystore([folder], kdf=QUICK)


@pytest.fixture
def stored(keystore):
    return keystore.import_key(KEY, PASSWORD)


def foundry_file(path):
    """Write a file as `cast wallet import` does: no address, and a name that says nothing."""
    content = Account.encrypt(KEY, PASSWORD, iterations=2)
    del content["address"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    path.chmod(0o600)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def alter(path, change):
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


# ------------------------------------------------------------------ accounts


def test_create__new_account__opens_by_address_name_and_file(keystore, folder):
    made = keystore.create(PASSWORD, "first")
    assert made.path == folder / "first.json"
    for which in (made.address, made.address.lower(), made.address[2:], "first", "first.json", str(made.path)):
        assert keystore.load(which, PASSWORD).address == made.address
    assert keystore.load(None, PASSWORD).address == made.address
    assert keystore.list() == [made]


def test_create__twice__makes_different_accounts(keystore):
    assert keystore.create(PASSWORD).address != keystore.create(PASSWORD).address


def test_import_key__any_key__is_that_account(keystore, folder):
    made = keystore.import_key(KEY, PASSWORD)
    assert made.address == ADDRESS
    assert made.path == folder / f"{ADDRESS}.json"
    assert bytes(keystore.load(ADDRESS, PASSWORD).key) == KEY


def test_import_key__file__is_private_and_alone(stored, folder):
    assert mode(stored.path) == 0o600
    assert mode(folder) == 0o700
    assert list(folder.iterdir()) == [stored.path]


def test_import_key__under_a_loose_umask__still_private(keystore, folder):
    before = os.umask(0)
    try:
        made = keystore.import_key(KEY, PASSWORD)
    finally:
        os.umask(before)
    assert mode(made.path) == 0o600
    assert mode(folder) == 0o700


def test_import_key__file__opens_with_eth_account(stored):
    assert bytes(Account.decrypt(stored.path.read_text(), PASSWORD)) == KEY


def test_import_key__account_there_already__refused(keystore, stored):
    with pytest.raises(KeyfileExists, match=ADDRESS):
        keystore.import_key(KEY, "another password", "another-name")


def test_create__name_taken__keeps_the_file(keystore):
    made = keystore.create(PASSWORD, "name")
    before = made.path.read_bytes()
    with pytest.raises(KeyfileExists):
        keystore.create(PASSWORD, "name")
    assert made.path.read_bytes() == before


def test_write_keyfile__race_for_a_name__never_overwrites(folder):
    keyfile.write_keyfile(folder / "x.json", KEY, PASSWORD, QUICK)
    before = (folder / "x.json").read_bytes()
    with pytest.raises(KeyfileExists):
        keyfile.write_keyfile(folder / "x.json", bytes(reversed(KEY)), PASSWORD, QUICK)
    assert (folder / "x.json").read_bytes() == before
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("key", [b"", KEY[:31], KEY + b"\x00", bytes(32), b"\xff" * 32])
def test_import_key__no_private_key__refused_without_showing_it(keystore, key):
    with pytest.raises(InvalidInput) as caught:
        keystore.import_key(key, PASSWORD)
    text = "".join(traceback.format_exception(caught.value))
    assert "ffff" not in text
    assert KEY[:31].hex() not in text


@pytest.mark.parametrize(
    "name", ["", ".hidden", "../up", "a/b", "with space", "-flag", "x" * 65, WORKER, WORKER[2:], "\n"]
)
def test_create__name_that_cannot_be_a_file__refused(keystore, name):
    with pytest.raises(InvalidInput):
        keystore.create(PASSWORD, name)


def test_create__empty_password__refused(keystore):
    with pytest.raises(InvalidInput):
        keystore.create("")


def test_create__disk_full__leaves_nothing(keystore, folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(StoreFull):
        keystore.create(PASSWORD)
    assert list(folder.iterdir()) == []


def test_create__folder_cannot_be_made__unavailable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        Keystore([tmp_path / "file" / "keystore"], kdf=QUICK).create(PASSWORD)


def test_keystore__default_work__is_that_of_geth(folder, monkeypatch):
    asked = []
    real = Account.encrypt

    def light(key, password, kdf, iterations):
        asked.append((kdf, iterations))
        return real(key, password, kdf=kdf, iterations=2)

    monkeypatch.setattr(keyfile.Account, "encrypt", light)
    Keystore([folder]).create(PASSWORD)
    Secrets(folder).create(WORKER, 1, PASSWORD)
    assert asked == [("scrypt", 262144)] * 2
    assert (STANDARD.work, LIGHT.work) == (262144, 4096)


# ------------------------------------------------------------------ finding


def test_find__nothing_there__says_how_to_make_one(keystore):
    with pytest.raises(KeyfileMissing) as caught:
        keystore.find()
    assert "cloister keys" in caught.value.hint
    assert keystore.list() == []


@pytest.mark.parametrize("which", [WORKER, "unknown"])
def test_find__no_such_account__refused(keystore, stored, which):
    with pytest.raises(KeyfileMissing, match=which):
        keystore.find(which)


def test_find__no_such_file__refused(keystore, tmp_path):
    with pytest.raises(KeyfileMissing):
        keystore.find(str(tmp_path / "none.json"))


def test_find__typing_error_in_the_address__says_so(keystore, stored):
    wrong = ADDRESS[:-1] + ("0" if ADDRESS[-1] != "0" else "1")
    with pytest.raises(InvalidInput, match="no address"):
        keystore.find(wrong)


def test_find__several_and_none_named__ambiguous(keystore):
    made = [keystore.create(PASSWORD, name) for name in ("a", "b")]
    with pytest.raises(KeyfileAmbiguous) as caught:
        keystore.find()
    for one in made:
        assert str(one.path) in caught.value.message


def test_find__same_address_in_two_folders__ambiguous(tmp_path):
    first, second = (Keystore([tmp_path / name], kdf=QUICK) for name in "ab")
    for keystore in (first, second):
        keystore.import_key(KEY, PASSWORD)
    both = Keystore([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(KeyfileAmbiguous):
        both.find(ADDRESS)
    assert both.find(str(tmp_path / "b" / f"{ADDRESS}.json")).path.parent.name == "b"


def test_find__foundry_file__by_its_name(folder, tmp_path):
    foundry_file(tmp_path / "foundry" / "deployer")
    keystore = Keystore([folder, tmp_path / "foundry"], kdf=QUICK)
    assert [(one.name, one.address) for one in keystore.list()] == [("deployer", None)]
    assert keystore.load("deployer", PASSWORD).address == ADDRESS


def test_find__address_while_a_file_has_none__hints_at_the_name(folder, tmp_path):
    foundry_file(tmp_path / "foundry" / "deployer")
    with pytest.raises(KeyfileMissing) as caught:
        Keystore([folder, tmp_path / "foundry"]).find(ADDRESS)
    assert "name of the file" in caught.value.hint


def test_create__with_a_second_folder__never_writes_there(folder, tmp_path):
    foundry_file(tmp_path / "foundry" / "deployer")
    Keystore([folder, tmp_path / "foundry"], kdf=QUICK).create(PASSWORD)
    assert [path.name for path in (tmp_path / "foundry").iterdir()] == ["deployer"]


def test_keystore__no_folder__refused():
    with pytest.raises(InvalidInput):
        Keystore([])


def test_list__other_files__passed_over_and_logged(keystore, stored, folder):
    (folder / "notes.txt").write_text("hello")
    (folder / ".DS_Store").write_bytes(b"\x00")
    (folder / "sub").mkdir()
    with structlog.testing.capture_logs() as logs:
        assert keystore.list() == [stored]
    assert [log["file"] for log in logs] == [str(folder / "notes.txt")]


# ------------------------------------------------------------------ opening


@pytest.mark.parametrize("password", ["", "Correct horse", "correct horse ", "hunter2"])
def test_load__wrong_password__refused_without_showing_it(keystore, stored, password):
    with structlog.testing.capture_logs() as logs, pytest.raises(WrongPassword) as caught:
        keystore.load(ADDRESS, password)
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(logs)
    assert str(stored.path) in text
    if password:
        assert password not in text
    assert KEY.hex() not in text


def test_load__open_to_others__warns(keystore, stored):
    for loose in (0o640, 0o604, 0o666):
        stored.path.chmod(loose)
        with structlog.testing.capture_logs() as logs:
            keystore.load(ADDRESS, PASSWORD)
        assert [log["log_level"] for log in logs] == ["warning"]
        assert "chmod 600" in logs[0]["fix"]
    stored.path.chmod(0o600)
    with structlog.testing.capture_logs() as logs:
        keystore.load(ADDRESS, PASSWORD)
    assert logs == []


def drop(*keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def put(value, *keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        drop("version"),
        drop("crypto"),
        drop("crypto", "kdf"),
        drop("crypto", "kdfparams"),
        drop("crypto", "kdfparams", "salt"),
        drop("crypto", "cipherparams", "iv"),
        drop("crypto", "mac"),
        drop("crypto", "ciphertext"),
        put(4, "version"),
        put("3", "version"),
        put(None, "crypto"),
        put([], "crypto"),
        put("aes-256-cbc", "crypto", "cipher"),
        put("argon2", "crypto", "kdf"),
        put("zz" * 32, "crypto", "mac"),
        put("ab", "crypto", "mac"),
        put(5, "crypto", "mac"),
        put("", "crypto", "ciphertext"),
        put("ab" * 31, "crypto", "ciphertext"),
        put("ab" * 33, "crypto", "ciphertext"),
        put("ab" * 17, "crypto", "cipherparams", "iv"),
        put("", "crypto", "kdfparams", "salt"),
        put(1 << 40, "crypto", "kdfparams", "n"),
        put(3, "crypto", "kdfparams", "n"),
        put(0, "crypto", "kdfparams", "n"),
        put(True, "crypto", "kdfparams", "n"),
        put("2", "crypto", "kdfparams", "n"),
        put(1 << 30, "crypto", "kdfparams", "r"),
        put(0, "crypto", "kdfparams", "r"),
        put(8.0, "crypto", "kdfparams", "r"),
        put(True, "crypto", "kdfparams", "p"),
        put(1 << 30, "crypto", "kdfparams", "p"),
        put(16, "crypto", "kdfparams", "dklen"),
        put("0x1234", "address"),
        put(17, "address"),
        put({}, "address"),
        put(False, "address"),
    ],
)
def test_load__malformed_file__refused_before_any_work(keystore, stored, change, monkeypatch):
    alter(stored.path, change)
    monkeypatch.setattr(keyfile.Account, "decrypt", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(KeyfileCorrupt, match="version 3"):
        keystore.load(f"{ADDRESS}.json", PASSWORD)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"7", b"{", b"\xff\xfe", b"[" * 60_000, b" " * 70_000],
    ids=["empty", "object", "list", "null", "number", "cut", "no text", "deep", "long"],
)
def test_load__no_keystore_at_all__refused(keystore, stored, content):
    stored.path.write_bytes(content)
    with pytest.raises(KeyfileCorrupt):
        keystore.load(f"{ADDRESS}.json", PASSWORD)


def test_load__longer_than_any_keystore__refused_unread(keystore, stored):
    stored.path.write_bytes(stored.path.read_bytes() + b" " * keyfile.MAX_FILE_BYTES)
    with pytest.raises(KeyfileCorrupt, match="longer"):
        keystore.load(f"{ADDRESS}.json", PASSWORD)


def test_load__any_digit_of_the_secret_parts_changed__refused(keystore, stored):
    original = json.loads(stored.path.read_bytes())
    for where in (("ciphertext",), ("mac",), ("kdfparams", "salt")):
        for position in range(0, 32, 5):
            content = json.loads(json.dumps(original))
            holder = content["crypto"]
            for key in where[:-1]:
                holder = holder[key]
            text = holder[where[-1]]
            digit = "0" if text[position] != "0" else "1"
            holder[where[-1]] = text[:position] + digit + text[position + 1 :]
            stored.path.write_text(json.dumps(content))
            with pytest.raises(WrongPassword):
                keystore.load(f"{ADDRESS}.json", PASSWORD)


def test_load__initial_value_changed__is_another_key_and_refused(keystore, stored):
    # the checksum of the format does not cover it; the address does
    alter(stored.path, put("00" * 15 + "01", "crypto", "cipherparams", "iv"))
    with pytest.raises(KeyfileCorrupt, match=ADDRESS):
        keystore.load(f"{ADDRESS}.json", PASSWORD)


def test_load__address_exchanged__refused(keystore, stored):
    alter(stored.path, put(WORKER, "address"))
    with pytest.raises(KeyfileCorrupt, match=ADDRESS):
        keystore.load(WORKER, PASSWORD)


def test_load__secret_that_is_no_key__refused(keystore, stored, monkeypatch):
    monkeypatch.setattr(keyfile.Account, "decrypt", lambda *_: bytes(32))
    with pytest.raises(KeyfileCorrupt):
        keystore.load(ADDRESS, PASSWORD)


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_load__either_key_derivation__opens(folder, kdf):
    Keystore([folder], kdf=Kdf(kdf, 2)).import_key(KEY, PASSWORD)
    assert Keystore([folder]).load(None, PASSWORD).address == ADDRESS


def test_read_keyfile__unreadable__unavailable(tmp_path):
    with pytest.raises(StoreUnavailable):
        read_keyfile(tmp_path)


# ------------------------------------------------------------------ worker secrets


@pytest.fixture
def secrets(tmp_path):
    return Secrets(tmp_path / "secrets", kdf=QUICK)


def test_secrets__created__loads_again(secrets, tmp_path):
    secret = secrets.create(WORKER, 1, PASSWORD)
    path = tmp_path / "secrets" / f"worker-{WORKER.lower()}-1.json"
    assert len(secret) == 32
    assert secrets.load(WORKER, 1, PASSWORD) == secret
    assert secrets.load(WORKER.lower(), 1, PASSWORD) == secret
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert bytes(Account.decrypt(path.read_text(), PASSWORD)) == secret


def test_secrets__file__is_no_account(secrets, tmp_path):
    secret = secrets.create(WORKER, 1, PASSWORD)
    text = next((tmp_path / "secrets").iterdir()).read_text()
    assert Account.from_key(secret).address[2:].lower() not in text.lower()
    assert secret.hex() not in text


def test_secrets__list__is_sorted_and_keeps_old_epochs(secrets, tmp_path):
    assert secrets.list() == []
    made = {epoch: secrets.create(WORKER, epoch, PASSWORD) for epoch in (10, 2, 1)}
    (tmp_path / "secrets" / "other.json").write_text("{}")
    assert [(one.worker, one.epoch) for one in secrets.list()] == [(WORKER, 1), (WORKER, 2), (WORKER, 10)]
    for epoch, secret in made.items():
        assert secrets.load(WORKER, epoch, PASSWORD) == secret


def test_secrets__epoch_has_one__keeps_it(secrets):
    secret = secrets.create(WORKER, 1, PASSWORD)
    with pytest.raises(KeyfileExists):
        secrets.create(WORKER, 1, PASSWORD)
    assert secrets.load(WORKER, 1, PASSWORD) == secret


def test_secrets__missing_or_wrong_password__refused(secrets):
    with pytest.raises(KeyfileMissing):
        secrets.load(WORKER, 1, PASSWORD)
    secrets.create(WORKER, 1, PASSWORD)
    with pytest.raises(WrongPassword):
        secrets.load(WORKER, 1, "hunter2")


@pytest.mark.parametrize(
    "change",
    [
        put("00" * 15 + "01", "crypto", "cipherparams", "iv"),
        put(WORKER.lower(), "cloister", "worker"),
        put(2, "cloister", "epoch"),
        put("00" * 32, "cloister", "check"),
        drop("cloister"),
    ],
    ids=["initial value", "worker", "epoch", "check", "no note"],
)
def test_secrets__file_altered__refused(secrets, change):
    secrets.create(WORKER, 1, PASSWORD)
    alter(secrets.list()[0].path, change)
    with pytest.raises(KeyfileCorrupt):
        secrets.load(WORKER, 1, PASSWORD)


def test_secrets__file_renamed_to_another_epoch__refused(secrets, tmp_path):
    secrets.create(WORKER, 1, PASSWORD)
    path = secrets.list()[0].path
    path.rename(path.with_name(path.name.replace("-1.json", "-2.json")))
    with pytest.raises(KeyfileCorrupt):
        secrets.load(WORKER, 2, PASSWORD)


@pytest.mark.parametrize(("worker", "epoch"), [("0x12", 1), ("", 1), (WORKER, -1), (WORKER[:-1] + "9", 1)])
def test_secrets__malformed_worker_or_epoch__refused(secrets, worker, epoch):
    for use in (secrets.create, secrets.load):
        with pytest.raises(InvalidInput):
            use(worker, epoch, PASSWORD)


def test_secrets__empty_password__refused(secrets):
    with pytest.raises(InvalidInput):
        secrets.create(WORKER, 1, "")


def test_errors__all__are_cloister_errors():
    for error in (KeyfileAmbiguous, KeyfileCorrupt, KeyfileExists, KeyfileMissing, WrongPassword):
        assert issubclass(error, CloisterError)
