"""The log of every key share that a broker gave away: one line each, only ever appended to.

with ReleaseLog.open(path, LogOwner(fingerprint, chain_id, registry)) as log:
    entry = log.append(release)          # durable when this returns; only then may the share leave (REL-1)
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import structlog

from cloister.domain.ids import VersionId, hexed
from cloister.storage.atomic import write_atomically
from cloister.storage.errors import StorageError
from cloister.storage.release_entries import (
    Entry,
    LogBroken,
    LogLocked,
    LogOwner,
    LogUnavailable,
    Release,
    head_path,
    line_of,
    parsed,
    read,
    read_head,
)

_log = structlog.get_logger(__name__)


class ReleaseLog:
    """The log of one broker, open for writing. Threads may share it; processes cannot."""

    def __init__(self, path: Path, descriptor: int, entries: list[Entry], head: bytes, length: int) -> None:
        self._path, self._descriptor, self._length = path, descriptor, length
        self._head = head
        self._count = len(entries)
        self._used = Counter((entry.release.version, entry.release.tier) for entry in entries)
        self._lock = Lock()
        self._broken = False

    @classmethod
    def open(cls, path: Path, owner: LogOwner) -> Self:
        """Opens a log, checks all of it, and removes a torn last line; makes a new one if there is none.

        Raises LogBroken, LogLocked, LogUnavailable, StoreFull, StoreUnavailable.
        """
        try:
            if not path.exists():
                _create(path, owner)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise LogUnavailable(f"The log {path} cannot be opened: {error.strerror}.") from error
        try:
            _lock(descriptor, path)
            data = read(path)
            _, entries, whole = parsed(data, read_head(path), owner)
            if whole != len(data):
                _log.warning("torn last line removed: its share was never sent", file=str(path))
                _cut(descriptor, whole)
            head = entries[-1].hash if entries else sha256(owner.line()[:-1]).digest()
            _write_head(path, len(entries), head)
            return cls(path, descriptor, entries, head, whole)
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def count(self) -> int:
        """Entries."""
        return self._count

    @property
    def head(self) -> bytes:
        """SHA-256 of the last line."""
        return self._head

    def used(self, version: VersionId, tier: str) -> int:
        """Releases that count against a tier of a version's licence."""
        return self._used[version, tier]

    def append(self, release: Release) -> Entry:
        """Adds a release; it survives a power cut once this returns. Raises LogUnavailable: then no share may leave."""
        with self._lock:
            if self._broken:
                raise self._unavailable("it failed before")
            number = self._count + 1
            line = line_of({"previous": hexed(self._head), "number": number} | release.content())
            digest = sha256(line[:-1]).digest()
            self._broken = True  # until all of it is known to be on the disk
            self._write(line)
            try:
                _write_head(self._path, number, digest)
            except StorageError as error:
                # The line stays: one release too many counts against a licence, and not one too few.
                raise self._unavailable(error.message) from error
            self._broken = False
            self._count, self._head, self._length = number, digest, self._length + len(line)
            self._used[release.version, release.tier] += 1
            return Entry(number, digest, release)

    def close(self) -> None:
        """Lets another process have it."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._broken, self._descriptor = True, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._descriptor, line)
            if written != len(line):
                raise OSError(0, "only a part of the line was written")
            os.fsync(self._descriptor)
        except OSError as error:
            with suppress(OSError):  # the next opening removes what is left of it
                _cut(self._descriptor, self._length)
            raise self._unavailable(str(error.strerror)) from error

    def _unavailable(self, reason: str) -> LogUnavailable:
        return LogUnavailable(
            f"The log {self._path} cannot be written: {reason}.", "Free some space, then start the broker again."
        )


def _create(path: Path, owner: LogOwner) -> None:
    if head_path(path).exists():
        raise LogBroken(f"The log {path} is gone, but its head is there.", "Restore the log from a copy.")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):  # another process was quicker, and has the lock
        write_atomically(path, owner.line(), mode=0o600, overwrite=False)


def _write_head(path: Path, count: int, digest: bytes) -> None:
    write_atomically(head_path(path), json.dumps({"entries": count, "hash": hexed(digest)}).encode(), mode=0o600)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LogLocked(
            f"Another process writes the log {path}.", "One broker at a time: stop the other one."
        ) from None


def _cut(descriptor: int, length: int) -> None:
    os.ftruncate(descriptor, length)
    os.fsync(descriptor)
