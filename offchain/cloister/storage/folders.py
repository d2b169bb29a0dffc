"""Folders that appear with everything in them or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloister.storage.errors import StorageError, StoreFull, StoreUnavailable

_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


class FolderExists(StorageError):
    """A folder would be overwritten. That never happens."""


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder, readable by its owner alone, that becomes `path` at the end of the block.

    If the block raises nothing is left. Files in it are made durable. Raises FolderExists, StoreFull, StoreUnavailable.
    """
    if path.exists() or path.is_symlink():
        raise FolderExists(f"{path} exists already.", "Name a folder that does not exist.")
    staged = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.mkdir(mode=0o700)
        yield staged
        for place, _, files in os.walk(staged, topdown=False):
            for name in files:
                _sync(Path(place) / name)
            _sync(Path(place))
        staged.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise _translated(error, path) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _translated(error: OSError, path: Path) -> StorageError:
    if error.errno in _TAKEN:
        return FolderExists(f"{path} exists already.", "Name a folder that does not exist.")
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreFull(f"No room to write {path}: {error.strerror}.", "Free some space; nothing was written.")
    return StoreUnavailable(f"Cannot write {path}: {error.strerror or error}.")
