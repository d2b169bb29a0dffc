"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cloister.fixedpoint.errors import InvalidPackage, PackageNotWritten


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write every file of a folder, replacing older ones.

    All of them reach the disk under temporary names before the first is renamed, so a full disk changes
    nothing. They are renamed in the order given: put the file that vouches for the others last.
    Raises PackageNotWritten, leaving earlier files as they were.
    """
    staged: dict[str, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            staged[name] = _stage(folder, name, data)
        for name in contents:
            staged[name].replace(folder / name)
            del staged[name]
        _flush_folder(folder)
    except OSError as error:
        raise PackageNotWritten(
            f"Could not write {', '.join(contents)} in {folder}: {error.strerror or error}.",
            "Free some space or choose another folder, then run the same command again.",
        ) from error
    finally:
        for leftover in staged.values():
            with suppress(OSError):
                leftover.unlink()


def read_capped(path: Path, cap: int) -> bytes:
    """The bytes of a file that may have at most `cap` of them. Raises InvalidPackage."""
    try:
        with path.open("rb") as file:
            data = file.read(cap + 1)
    except OSError as error:
        raise InvalidPackage(
            f"Cannot read {path}: {error.strerror or error}.", "Check the folder's name and permissions."
        ) from error
    if len(data) > cap:
        raise InvalidPackage(f"{path} has more than {cap:,} bytes.", "This is no Cloister package.")
    return data


def _stage(folder: Path, name: str, data: bytes) -> Path:
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
            os.fchmod(handle, 0o644)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    return Path(temporary)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
