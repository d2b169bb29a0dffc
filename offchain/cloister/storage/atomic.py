"""Files that exist whole or not at all, whatever is pulled out meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path

from cloister.storage.errors import StoreFull, StoreUnavailable


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666, overwrite: bool = True) -> None:
    """Write `data` to `path`: after the return it survives a power cut, after an error nothing is left.

    `mode` is subject to the umask. With `overwrite=False` an existing file raises FileExistsError, even if
    two processes race. Raises StoreFull if there is no room, StoreUnavailable for any other refusal.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            _write_durably(temporary, data, mode)
            if overwrite:
                temporary.replace(path)
            else:
                os.link(temporary, path)  # unlike a rename, a link never replaces
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StoreFull(
                f"No room to write {path} ({len(data)} bytes): {error.strerror}.",
                "Free some space and try again; nothing was written.",
            ) from error
        raise StoreUnavailable(f"Cannot write {path}: {error.strerror or error}.") from error


def _write_durably(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
