"""What a broker has on disk: its key, shares that are sealed to it, and licences.

key.json            the secret that its key is derived from, under a password
public-key.txt      what model owners seal shares to
shares/HASH.json    a share, by the manifest's SHA-256
licences/ID.json    a licence, by model version
"""

from __future__ import annotations

import secrets
from pathlib import Path

from cloister.broker.errors import BrokerStateBroken
from cloister.broker.licences import MAX_FILE_BYTES, Licence
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import VersionId, hexed, unhexed
from cloister.fixedpoint.manifest import Manifest
from cloister.sealing import hybrid
from cloister.sealing.deposits import BrokerKey, Deposit
from cloister.storage.atomic import write_atomically
from cloister.storage.errors import KeyfileCorrupt, KeyfileMissing, StoreUnavailable
from cloister.storage.keyfile import STANDARD, Kdf, read_keyfile, write_keyfile

KEY_FILE, PUBLIC_KEY_FILE = "key.json", "public-key.txt"
MAX_SHARE_BYTES = 64 << 10


class BrokerStore:
    """The folder of one broker."""

    def __init__(self, folder: Path, *, kdf: Kdf = STANDARD) -> None:
        self.folder = folder
        self._kdf = kdf

    @property
    def public_key_file(self) -> Path:
        """What the broker gives to model owners."""
        return self.folder / PUBLIC_KEY_FILE

    def create_key(self, password: str) -> BrokerKey:
        """Makes the broker's key. Raises InvalidInput, KeyfileExists, StoreFull, StoreUnavailable."""
        if not password:
            raise InvalidInput("A broker's key needs a password.")
        secret = secrets.token_bytes(32)
        key = BrokerKey.from_secret(secret)
        write_keyfile(self.folder / KEY_FILE, secret, password, self._kdf, note={"broker": hexed(key.fingerprint)})
        self._write_public(key)
        return key

    def load_key(self, password: str) -> BrokerKey:
        """Opens the broker's key. Raises KeyfileMissing, KeyfileCorrupt, WrongPassword, StoreUnavailable."""
        path = self.folder / KEY_FILE
        try:
            keyfile = read_keyfile(path)
        except KeyfileMissing as error:
            raise KeyfileMissing(error.message, "Make one with: cloister broker init") from None
        key = BrokerKey.from_secret(keyfile.decrypt(password))
        if keyfile.content.get("cloister") != {"broker": hexed(key.fingerprint)}:
            raise KeyfileCorrupt(f"{path} does not hold this broker's key.", "Restore it from a copy.")
        if not self.public_key_file.exists():
            self._write_public(key)
        return key

    def import_share(self, key: BrokerKey, deposit: Deposit, manifest: bytes) -> Manifest:
        """Checks a share against the manifest and keeps it as it is, sealed (SEAL-1). Importing it again does nothing.

        Raises as `Deposit.check`, and InvalidInput when another share of the model is here.
        """
        parsed = deposit.check(key, manifest)
        path = self._share(deposit.manifest_hash)
        present = self.share(deposit.manifest_hash)
        if present is not None and present.open(key) != deposit.open(key):
            raise InvalidInput(
                f"This broker holds share {present.index} of the model already, in {path}.",
                "One broker holds one share: two would halve the number of brokers that it takes.",
            )
        if present is None:
            _write(path, deposit.to_json().encode())
        return parsed

    def share(self, manifest_hash: bytes) -> Deposit | None:
        """The share of a model, None without one. Raises BadDeposit, BrokerStateBroken."""
        data = _read(self._share(manifest_hash), MAX_SHARE_BYTES)
        if data is None:
            return None
        deposit = Deposit.from_json(data)
        if deposit.manifest_hash != manifest_hash:
            raise BrokerStateBroken(f"{self._share(manifest_hash)} holds the share of another model.")
        return deposit

    def licence(self, version: VersionId) -> Licence | None:
        """The licence of a version, None without one. Raises BadLicence, BrokerStateBroken."""
        data = _read(self._licence(version), MAX_FILE_BYTES + 1)
        return None if data is None else Licence.from_json(data)

    def put_licence(self, version: VersionId, licence: Licence) -> Path:
        """Replaces the licence of a version. Raises StoreFull, StoreUnavailable."""
        path = self._licence(version)
        _write(path, licence.to_json().encode())
        return path

    def _write_public(self, key: BrokerKey) -> None:
        write_atomically(self.public_key_file, f"{hexed(key.public)}\n".encode(), mode=0o644)

    def _share(self, manifest_hash: bytes) -> Path:
        return self.folder / "shares" / f"{manifest_hash.hex()}.json"

    def _licence(self, version: VersionId) -> Path:
        return self.folder / "licences" / f"{version.hex()}.json"


def read_public_key(path: Path) -> bytes:
    """A broker's public key (1,216 bytes) from its file. Raises InvalidInput."""
    size = hybrid.PUBLIC_KEY_BYTES
    try:
        data = path.read_bytes()[: 2 * size + 64].decode().strip()
        return unhexed(data, "key", size)
    except (OSError, ValueError, InvalidInput) as error:
        problem = error.strerror if isinstance(error, OSError) else f"it is not {size:,} bytes in hexadecimal"
        raise InvalidInput(
            f"{path} has no broker's public key: {problem}.", "`cloister broker init` writes one: public-key.txt."
        ) from None


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"The folder {path.parent} cannot be made: {error.strerror}.") from error
    write_atomically(path, data, mode=0o600)


def _read(path: Path, cap: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(cap)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BrokerStateBroken(f"{path} cannot be read: {error.strerror}.") from error
