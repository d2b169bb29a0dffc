"""A sealed model as a folder: what is published, one share file per broker, and the owner's recovery file.

    manifest.json           weights.sealed          attachments/NAME.sealed
    shares/share-1.json …   for broker 1 …          recovery.json   the data key under the owner's password

Nothing in it is plaintext. The recovery file alone opens the model: keep it apart from what is handed out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cloister.domain.errors import InvalidInput
from cloister.domain.ids import hexed
from cloister.fixedpoint.errors import InvalidPackage
from cloister.fixedpoint.files import read_capped
from cloister.fixedpoint.limits import MAX_MANIFEST_BYTES, MAX_WEIGHTS_BYTES
from cloister.fixedpoint.manifest import MANIFEST_FILE, WEIGHTS_FILE, Manifest, Sealing
from cloister.sealing.package import SealedPackage, check_key, open_attachment, open_package
from cloister.storage.folders import new_folder
from cloister.storage.keyfile import STANDARD, Kdf, read_keyfile, write_keyfile

SEALED_WEIGHTS = "weights.sealed"
ATTACHMENTS, SHARES = "attachments", "shares"
RECOVERY_FILE = "recovery.json"
CHUNK = 1 << 20
MOST_SEALED = 2 * MAX_WEIGHTS_BYTES


@dataclass(frozen=True, slots=True)
class SealedFolder:
    """A sealed model on disk, ready to be published. Make one with `read_sealed`."""

    folder: Path
    manifest: Manifest
    manifest_bytes: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the manifest, which fixes everything else."""
        return sha256(self.manifest_bytes).digest()

    @property
    def sealing(self) -> Sealing:
        """How it is sealed."""
        assert self.manifest.sealing is not None  # read_sealed has looked
        return self.manifest.sealing

    def blobs(self) -> Iterator[bytes]:
        """What stores must hold beside the manifest, file by file. Raises InvalidPackage for one that was altered."""
        sealing = self.sealing
        yield self._checked(self.folder / SEALED_WEIGHTS, sealing.weights.sha256)
        for attachment in sealing.attachments:
            yield self._checked(_attachment(self.folder, attachment.name), attachment.sha256)

    def recover(self, password: str) -> bytes:
        """The data key, from the recovery file. Raises what key files raise, SealError if it is another model's."""
        data_key = read_keyfile(self.folder / RECOVERY_FILE).decrypt(password)
        check_key(self.manifest, data_key)
        return data_key

    def unseal(self, data_key: bytes, out: Path) -> None:
        """Opens the model into a new folder: an open package, and `attachments` if there are any.

        Nothing is written before everything has been opened and checked. Raises SealError, InvalidPackage,
        RangeExceeded, FolderExists, StoreFull and StoreUnavailable.
        """
        package = open_package(self.manifest, data_key, _chunks(self.folder / SEALED_WEIGHTS))
        files = {
            one.name: open_attachment(self.manifest, data_key, one.name, _chunks(_attachment(self.folder, one.name)))
            for one in self.sealing.attachments
        }
        with new_folder(out) as staged:
            _write(staged / MANIFEST_FILE, package.manifest_bytes)
            _write(staged / WEIGHTS_FILE, package.weights_bytes)
            for name, data in files.items():
                (staged / ATTACHMENTS).mkdir(exist_ok=True)
                _write(staged / ATTACHMENTS / name, data)

    def _checked(self, path: Path, digest: str) -> bytes:
        data = read_capped(path, MOST_SEALED)
        if sha256(data).hexdigest() != digest:
            raise InvalidPackage(f"{path} is not the file that the manifest names.", "Seal the model again.")
        return data


def write_sealed(out: Path, sealed: SealedPackage, password: str, kdf: Kdf = STANDARD) -> None:
    """Writes a sealed model to a new folder; the data key goes into the recovery file under `password`.

    Raises InvalidInput for an empty password, FolderExists, StoreFull and StoreUnavailable.
    """
    if not password:
        raise InvalidInput("The recovery file needs a password.")
    with new_folder(out) as staged:
        note = {"recovers": hexed(sealed.digest), "model": sealed.manifest.name}
        write_keyfile(staged / RECOVERY_FILE, sealed.data_key, password, kdf, note=note)
        _write(staged / MANIFEST_FILE, sealed.manifest_bytes)
        _write(staged / SEALED_WEIGHTS, sealed.weights)
        (staged / ATTACHMENTS).mkdir()
        for name, data in sealed.attachments.items():
            _write(_attachment(staged, name), data)
        (staged / SHARES).mkdir()
        for deposit in sealed.deposits:
            _write(staged / SHARES / f"share-{deposit.index}.json", deposit.to_json().encode())


def read_sealed(folder: Path) -> SealedFolder:
    """Reads a sealed model's manifest; files are read when they are asked for. Raises InvalidPackage."""
    data = read_capped(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
    manifest = Manifest.from_bytes(data)
    if manifest.sealing is None:
        raise InvalidPackage(f"The package in {folder} is not sealed.", "Seal it with: cloister model seal")
    return SealedFolder(folder, manifest, data)


def is_sealed(folder: Path) -> bool:
    """Whether the package in a folder is sealed. Raises InvalidPackage."""
    return Manifest.from_bytes(read_capped(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)).sealing is not None


def _attachment(folder: Path, name: str) -> Path:
    return folder / ATTACHMENTS / f"{name}.sealed"


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise InvalidPackage(f"Cannot read {path}: {error.strerror or error}.", "Is the folder whole?") from error
