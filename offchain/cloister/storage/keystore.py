"""Accounts and worker secrets on disk, each in a keystore file of its own (KEY-1).

keystore = Keystore([data / "keystore", Path.home() / ".foundry/keystores"])
account = keystore.load("0x…", password)
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import is_checksum_address, to_checksum_address
from eth_utils.exceptions import ValidationError

from cloister.domain.errors import InvalidInput
from cloister.domain.ids import Address
from cloister.storage.errors import (
    KeyfileAmbiguous,
    KeyfileCorrupt,
    KeyfileExists,
    KeyfileMissing,
    StoreUnavailable,
)
from cloister.storage.keyfile import STANDARD, Kdf, Keyfile, read_keyfile, write_keyfile

_ADDRESS: Final = re.compile(r"(0x)?[0-9a-fA-F]{40}")
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_SECRET_FILE: Final = re.compile(r"worker-(0x[0-9a-f]{40})-(\d{1,18})\.json")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account's file. Foundry's files do not say their address: it is None until the file is opened."""

    name: str
    address: Address | None
    path: Path


class Keystore:
    """The accounts in some folders. New ones go to the first folder; the others are only read."""

    def __init__(self, folders: Sequence[Path], *, kdf: Kdf = STANDARD) -> None:
        """`folders` in order, at least one; those that do not exist hold nothing."""
        if not folders:
            raise InvalidInput("There is no keystore folder.", "Name at least one under keystores.")
        self._folders = tuple(folders)
        self._kdf = kdf

    def list(self) -> list[StoredAccount]:
        """Return the accounts of all folders, by folder and name. Files that are no keystores are logged."""
        found = []
        for path in self._files():
            try:
                found.append(_account(read_keyfile(path)))
            except (KeyfileCorrupt, KeyfileMissing, StoreUnavailable) as error:
                _log.warning("file in the keystore passed over", file=str(path), problem=error.message)
        return found

    def create(self, password: str, name: str | None = None) -> StoredAccount:
        """Make a new account and store it, under its address or `name`. Raises as `import_key` does."""
        return self.import_key(secrets.token_bytes(32), password, name)

    def import_key(self, private_key: bytes, password: str, name: str | None = None) -> StoredAccount:
        """Store an existing private key (32 bytes).

        Raises InvalidInput for a bad key, name or empty password, KeyfileExists if the account or the name is
        there already, StoreFull or StoreUnavailable if it cannot be written.
        """
        account = _local_account(private_key)
        if account is None:
            raise InvalidInput("This is no private key of an account.", "It has 32 bytes.")
        if not password:
            raise InvalidInput("An account needs a password.")
        name = account.address if name is None else name
        if not _NAME.fullmatch(name) or (_ADDRESS.fullmatch(name) and name != account.address):
            raise InvalidInput(
                f"{name!r} cannot name an account.",
                "Use up to 64 letters, digits, '.', '_' and '-', but no address.",
            )
        for known in self.list():
            if known.address == Address(account.address):
                raise KeyfileExists(f"The account {account.address} is stored already, in {known.path}.")
        path = self._folders[0] / f"{name}.json"
        write_keyfile(path, bytes(account.key), password, self._kdf)
        return StoredAccount(name, Address(account.address), path)

    def find(self, which: str | None = None) -> StoredAccount:
        """Return the account with this address, name or file; with None, the only one there is.

        Raises KeyfileMissing, KeyfileAmbiguous or KeyfileCorrupt, and InvalidInput for an address with a
        typing error.
        """
        if which is None:
            return self._one(self.list(), "account")
        if _ADDRESS.fullmatch(which):
            address = _address(which)
            return self._one([known for known in self.list() if known.address == address], f"account {address}")
        if "/" in which:
            return _account(read_keyfile(Path(which)))
        paths = [path for path in self._files() if which in (path.name, path.name.removesuffix(".json"))]
        return self._one([_account(read_keyfile(path)) for path in paths], f"account {which!r}")

    def load(self, which: str | None, password: str) -> LocalAccount:
        """Open the account that `find` finds. Raises as `find` and `Keyfile.decrypt` do.

        KeyfileCorrupt also if the key inside belongs to another address than the file says.
        """
        keyfile = read_keyfile(self.find(which).path)
        account = _local_account(keyfile.decrypt(password))
        if account is None:
            raise KeyfileCorrupt(f"The key file {keyfile.path} holds no private key of an account.")
        if keyfile.address is not None and keyfile.address != Address(account.address):
            raise KeyfileCorrupt(
                f"The key file {keyfile.path} says {keyfile.address} but holds the key of {account.address}.",
                "Find out who changed it before you use either.",
            )
        return account

    def _files(self) -> Iterator[Path]:
        for folder in self._folders:
            try:
                paths = sorted(path for path in folder.iterdir() if path.is_file())
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise StoreUnavailable(f"The keystore {folder} cannot be read: {error.strerror}.") from error
            yield from (path for path in paths if not path.name.startswith("."))

    def _one(self, found: Sequence[StoredAccount], what: str) -> StoredAccount:
        folders = ", ".join(str(folder) for folder in self._folders)
        if not found:
            unnamed = sum(known.address is None for known in self.list())
            hint = "Make one with `cloister keys new`, or import one with `cloister keys import`."
            if unnamed and what != "account":
                hint = f"{unnamed} files there do not say their address: give the name of the file instead."
            raise KeyfileMissing(f"There is no {what} in {folders}.", hint)
        if len(found) > 1:
            raise KeyfileAmbiguous(
                f"There are {len(found)} files for the {what}: {', '.join(str(one.path) for one in found)}.",
                "Give the address, the name or the path of the one that you mean.",
            )
        return found[0]


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """The file of a worker's secret for one key epoch."""

    worker: Address
    epoch: int
    path: Path


class Secrets:
    """Worker secrets, 32 bytes per account and key epoch, in `worker-<address>-<epoch>.json`.

    Earlier epochs are kept: a worker still owes answers to what was sealed under them (NODE-2).
    """

    def __init__(self, folder: Path, *, kdf: Kdf = STANDARD) -> None:
        self._folder = folder
        self._kdf = kdf

    def list(self) -> list[StoredSecret]:
        """Return what is stored, by worker and epoch."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreUnavailable(f"The folder {self._folder} cannot be read: {error.strerror}.") from error
        matches = [match for name in names if (match := _SECRET_FILE.fullmatch(name))]
        found = [StoredSecret(_address(match[1]), int(match[2]), self._folder / match.string) for match in matches]
        return sorted(found, key=lambda one: (one.worker, one.epoch))

    def create(self, worker: str, epoch: int, password: str) -> bytes:
        """Make a secret, store it and return its 32 bytes. It is on disk before this returns.

        Raises KeyfileExists if the epoch has one, InvalidInput, StoreFull or StoreUnavailable.
        """
        if not password:
            raise InvalidInput("A worker secret needs a password.")
        path = self._path(worker, epoch)
        secret = secrets.token_bytes(32)
        write_keyfile(path, secret, password, self._kdf, note=_note(worker, epoch, secret))
        return secret

    def load(self, worker: str, epoch: int, password: str) -> bytes:
        """Return the 32 bytes of an epoch. Raises as `read_keyfile` and `Keyfile.decrypt` do."""
        path = self._path(worker, epoch)
        keyfile = read_keyfile(path)
        secret = keyfile.decrypt(password)
        if keyfile.content.get("cloister") != _note(worker, epoch, secret):
            raise KeyfileCorrupt(
                f"{path} does not hold the secret of this worker and epoch.",
                "It was renamed or altered: restore it from a copy.",
            )
        return secret

    def _path(self, worker: str, epoch: int) -> Path:
        if epoch < 0:
            raise InvalidInput(f"{epoch} is no key epoch.")
        return self._folder / f"worker-{_address(worker).lower()}-{epoch}.json"


def _note(worker: str, epoch: int, secret: bytes) -> dict[str, Any]:
    """What a secret's file says about it.

    The format's own checksum leaves out the cipher's initial value. If that is damaged the file opens to
    another secret, and only `check`, which gives nothing away, tells.
    """
    check = hashlib.sha256(b"cloister/1/secret-check" + secret).hexdigest()
    return {"worker": _address(worker), "epoch": epoch, "check": check}


def _local_account(private_key: bytes) -> LocalAccount | None:
    try:
        account: LocalAccount = Account.from_key(private_key)
    except (ValueError, ValidationError):  # not passed on: its message may quote the key
        return None
    return account


def _account(keyfile: Keyfile) -> StoredAccount:
    name = keyfile.path.name.removesuffix(".json")
    return StoredAccount(name, keyfile.address, keyfile.path)


def _address(text: str) -> Address:
    """Raises InvalidInput if `text` is no address, or has capitals that do not fit its checksum."""
    digits = text.removeprefix("0x")
    mixed = digits not in (digits.lower(), digits.upper())
    if not _ADDRESS.fullmatch(text) or (mixed and not is_checksum_address("0x" + digits)):
        raise InvalidInput(f"{text} is no address.", "Compare it with the original: a digit or a capital differs.")
    return Address(to_checksum_address("0x" + digits))
