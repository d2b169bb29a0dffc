"""A SQLite file of one party's sessions: on disk when a call returns, and held by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self

from cloister.sessions.errors import LedgerError

FORMAT = 1


class Store:
    """One file; threads may share it. `identity` says whose it is: chain, contract, party.

    Raises LedgerError if another process holds it, it is another's, of another format, or the disk refuses.
    """

    SCHEMA: str

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self._closed = False
        self._threads = RLock()
        with self._named():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = self._exclusive(path.with_name(path.name + ".lock"))
            try:
                # A new file gets its mode here, before SQLite writes into it.
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
                self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            except BaseException:
                os.close(self._lock)
                raise
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._open(identity)
            except BaseException:
                self.close()
                raise

    def _open(self, identity: str) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            with self.transaction():
                self._db.execute("CREATE TABLE identity (whose TEXT NOT NULL)")
                for statement in self.SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO identity VALUES (?)", (identity,))
                self._db.execute(f"PRAGMA user_version = {FORMAT}")
        elif version != FORMAT:
            raise LedgerError(
                f"Ledger {self.path} has format {version}; this version reads {FORMAT}.",
                "Use the version of Cloister that wrote it.",
            )
        found = self._db.execute("SELECT whose FROM identity").fetchone()[0]
        if found != identity:
            raise LedgerError(
                f"Ledger {self.path} is that of {found}, not of {identity}.", "Choose another data folder (--data-dir)."
            )

    def close(self) -> None:
        """Gives the file up; twice does nothing. Everything in it is on disk already."""
        with self._threads:
            if not self._closed:
                self._closed = True
                self._db.close()
                os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing, and on disk at the end."""
        with self._named(), self._threads:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[Any]:
        """What a query finds."""
        with self._named(), self._threads:
            return self._db.execute(query, values).fetchall()

    def write(self, statement: str, *values: object) -> int:
        """Executes a statement within a transaction; the number of rows that it changed."""
        return self._db.execute(statement, values).rowcount

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(
                f"Cannot use the ledger {self.path}: {error}.",
                "Free some space if the disk is full; else restore it from a backup. Nothing was sent.",
            ) from error

    def _exclusive(self, path: Path) -> int:
        lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise LedgerError(
                f"Another process is using the ledger {self.path}.",
                "Stop the other `cloister` process, or give this one its own --data-dir.",
            ) from None
        return lock
