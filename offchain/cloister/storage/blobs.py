"""Content-addressed blobs: packages and ciphertexts, each under its own SHA-256.

    stores = BlobStores([BlobStore("/var/lib/cloister/blobs", max_size=1 << 29)])
    blob = stores.put(data)          # 32 bytes
    data = stores.get(blob, 1 << 20)

Where blobs come from is decided by the reader's own configuration and by nothing else. A job or a manifest
names a blob by its hash, never by an address, so no other party can make this process open a connection.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import fsspec
import structlog

from cloister.domain.errors import InvalidInput
from cloister.domain.ids import BlobId
from cloister.storage.atomic import write_atomically
from cloister.storage.errors import (
    BlobCorrupt,
    BlobMissing,
    BlobTooLarge,
    StorageError,
    StoreNotAllowed,
    StoreReadOnly,
    StoreUnavailable,
)

WRITABLE: Final = frozenset({"file", "memory", "s3", "gs"})
READ_ONLY: Final = frozenset({"http", "https", "ipfs"})

_PACKAGES: Final = {"s3": "s3fs", "gs": "gcsfs", "ipfs": "ipfsspec", "http": "aiohttp", "https": "aiohttp"}
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    # Streamed, because fsspec otherwise believes the server's word about the size and may read without limit.
    # Not redirected, because a store could then point this process at addresses inside its network.
    protocol: {"block_size": 0, "allow_redirects": False, "headers": {"Accept-Encoding": "identity"}}
    for protocol in ("http", "https")
}
# any size will do: it keeps fsspec from asking for the headers first, where it calls every failure "not found"
_OPEN_OPTIONS: Final[dict[str, dict[str, Any]]] = {"http": {"size": 1}, "https": {"size": 1}}
_CHUNK: Final = 1 << 20

_log = structlog.get_logger(__name__)


class BlobStore:
    """One store: a local folder, or a bucket or server that fsspec reaches.

    Blob `ab cdef…` lies at `<store>/ab/cdef…`. Methods raise StoreUnavailable if the store does not answer.
    """

    def __init__(self, url: str, *, max_size: int) -> None:
        """Open the store at `url`: a path, or file, memory, s3, gs, http(s) or ipfs with `://`.

        `max_size` (bytes) bounds every blob written or read. Raises StoreNotAllowed for any other address.
        """
        protocol, root = _parse(url)
        self.url = url
        self.max_size = max_size
        self.writable = protocol in WRITABLE
        self._root = root
        self._open_options = _OPEN_OPTIONS.get(protocol, {})
        self._folder = Path(root) if protocol == "file" else None
        try:
            self._files: Any = fsspec.filesystem(
                protocol, use_listings_cache=False, skip_instance_cache=True, **_OPTIONS.get(protocol, {})
            )
        except (ImportError, ValueError) as error:
            raise StoreNotAllowed(
                f"The blob store {url} needs the package {_PACKAGES.get(protocol, 'fsspec')}.",
                f"Install it beside cloister: pip install {_PACKAGES.get(protocol, 'fsspec')}",
            ) from error

    def __repr__(self) -> str:
        return f"BlobStore({self.url!r})"

    def put(self, data: bytes) -> BlobId:
        """Store `data` and return its id: 32 bytes. Storing it again is harmless and mends a damaged copy.

        Raises BlobTooLarge, StoreReadOnly or StoreFull; a blob is then not there, or as it was.
        """
        blob = BlobId(hashlib.sha256(data).digest())
        if len(data) > self.max_size:
            raise BlobTooLarge(
                f"A blob of {len(data)} bytes is above the limit of {self.max_size} of the store {self.url}."
            )
        if not self.writable:
            raise StoreReadOnly(f"Blobs cannot be written to {self.url}.", "List a writable store first.")
        if self._folder is not None:
            path = self._folder / _location(blob)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._unavailable(error) from error
            write_atomically(path, data)
            return blob
        try:
            self._files.pipe_file(self._path(blob), data)
        except Exception as error:  # every backend has exceptions of its own
            raise self._unavailable(error) from error
        return blob

    def get(self, blob: BlobId, max_size: int | None = None) -> bytes:
        """Return the blob with this id, after its length and hash have been checked (BLOB-1).

        `max_size` (bytes) can lower the store's own limit; at most one byte more is read.
        Raises BlobMissing, BlobTooLarge or BlobCorrupt.
        """
        limit = self.max_size if max_size is None else min(self.max_size, max_size)
        path = self._path(blob)
        try:
            data = self._read(path, limit + 1)
        except FileNotFoundError:
            raise BlobMissing(f"The blob {blob.hex()} is not in the store {self.url}.") from None
        except Exception as error:  # every backend has exceptions of its own
            raise self._unavailable(error) from error
        if len(data) > limit:
            raise BlobTooLarge(f"The blob {blob.hex()} in the store {self.url} is longer than {limit} bytes.")
        if hashlib.sha256(data).digest() != blob:
            raise BlobCorrupt(
                f"The copy of blob {blob.hex()} in the store {self.url} has another hash.",
                "It was altered or cut. Put the original there again, or list another store that has it.",
            )
        return data

    def exists(self, blob: BlobId) -> bool:
        """Tell whether something is stored under this id. Only `get` tells whether it is the right thing."""
        path = self._path(blob)
        try:
            return bool(self._files.exists(path))
        except Exception as error:  # every backend has exceptions of its own
            raise self._unavailable(error) from error

    def _path(self, blob: BlobId) -> str:
        return f"{self._root}/{_location(blob)}"

    def _read(self, path: str, count: int) -> bytes:
        """Read up to `count` bytes. A stream may hand out less than asked for before its end."""
        parts: list[bytes] = []
        with self._files.open(path, "rb", **self._open_options) as file:
            while count > 0 and (part := file.read(min(count, _CHUNK))):
                parts.append(part)
                count -= len(part)
        return b"".join(parts)

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"The blob store {self.url} failed: {type(error).__name__}: {error}",
            "Check that it can be reached and that this account may use it.",
        )


class BlobStores:
    """Several stores as one: writes go to the first, reads come from the first that has a good copy."""

    def __init__(self, stores: Sequence[BlobStore]) -> None:
        """`stores` in order of preference, at least one. Raises StoreNotAllowed if there is none."""
        if not stores:
            raise StoreNotAllowed("There is no blob store.", "Name at least one under blob_stores.")
        self._stores = tuple(stores)

    def put(self, data: bytes) -> BlobId:
        """Store `data` in the first store and return its id. Raises as `BlobStore.put` does."""
        return self._stores[0].put(data)

    def get(self, blob: BlobId, max_size: int | None = None) -> bytes:
        """Return the first good copy. Bad copies and silent stores are logged and passed over.

        Raises BlobMissing if no store has the blob; else, if no copy is good, the error of the first store
        that is not merely without it. The message tells about every store.
        """
        failures: list[StorageError] = []
        for store in self._stores:
            try:
                return store.get(blob, max_size)
            except BlobMissing as error:
                failures.append(error)
            except (BlobTooLarge, BlobCorrupt, StoreUnavailable) as error:
                _log.warning("blob copy not usable", store=store.url, blob=blob.hex(), problem=error.message)
                failures.append(error)
        telling = next((error for error in failures if not isinstance(error, BlobMissing)), failures[0])
        raise type(telling)(" ".join(error.message for error in failures), telling.hint)

    def exists(self, blob: BlobId) -> bool:
        """Tell whether any store has something under this id."""
        return any(store.exists(blob) for store in self._stores)


def _location(blob: BlobId) -> str:
    """Two levels, so that no folder grows without end."""
    if len(blob) != 32:
        raise InvalidInput(f"A blob id has 32 bytes, not {len(blob)}.")
    name = blob.hex()
    return f"{name[:2]}/{name[2:]}"


def _parse(url: str) -> tuple[str, str]:
    """Split the address of a store into protocol and root. fsspec itself accepts far more than is wanted."""
    protocol, separator, rest = url.partition("://")
    if not separator:
        protocol, rest = "file", url
    if "::" in url or protocol not in WRITABLE | READ_ONLY:
        raise StoreNotAllowed(
            f"{url} cannot be a blob store.",
            f"Give a folder, or an address of one of: {', '.join(sorted(WRITABLE | READ_ONLY))}.",
        )
    if not rest.strip("/") and protocol != "memory":
        raise StoreNotAllowed(f"The blob store {url!r} names no place.")
    if protocol == "file":
        return protocol, str(Path(rest).absolute())
    if any(character in rest for character in "@?#") or ".." in rest.split("/"):
        raise StoreNotAllowed(
            f"A blob store of the kind {protocol}:// has a plain path: no user, password, query or '..'.",
            "Credentials belong where the package of the store looks for them.",
        )
    return protocol, f"{protocol}://{rest.rstrip('/')}"
