"""The journal: what this account has signed, kept in SQLite and on disk before anything is broadcast.

A process that dies at any instruction finds here, when it starts again, every transaction it may have sent (LOG-1)
and every commitment it has made (LOG-2). One process at a time holds a journal (LOG-3).
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self

from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, BlobId, JobId, hexed

SCHEMA_VERSION = 3
SCHEMA = """
CREATE TABLE identity (chain TEXT NOT NULL, market TEXT NOT NULL, account TEXT NOT NULL);
CREATE TABLE transactions (
  intent TEXT PRIMARY KEY,
  nonce INTEGER NOT NULL,
  hash BLOB NOT NULL,
  raw BLOB NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'mined', 'failed'))
);
CREATE UNIQUE INDEX one_transaction_per_nonce ON transactions (nonce);
CREATE TABLE commitments (
  job_id BLOB NOT NULL,
  round INTEGER NOT NULL,
  commitment BLOB NOT NULL,
  output_commitment BLOB NOT NULL,
  salt BLOB NOT NULL,
  sealed_output BLOB NOT NULL,
  signature BLOB NOT NULL,
  PRIMARY KEY (job_id, round)
);
CREATE TABLE proofs (
  job_id BLOB PRIMARY KEY,
  input_binding BLOB NOT NULL,
  input_digest BLOB NOT NULL,
  pad_digest BLOB NOT NULL,
  masked BLOB NOT NULL,
  proof BLOB NOT NULL
);
CREATE TABLE requests (
  job_id BLOB PRIMARY KEY,
  sealed_root BLOB NOT NULL,
  ciphertext_id BLOB NOT NULL,
  block INTEGER NOT NULL
);
CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), block INTEGER NOT NULL);
"""
MIGRATIONS = {
    # Workers of format 1 served markets that knew no result signatures, so the signature of what they committed to is
    # none. SQLite puts the new column last, where SCHEMA has the primary key and nothing else.
    1: "ALTER TABLE commitments ADD COLUMN signature BLOB NOT NULL DEFAULT x''",
    2: """CREATE TABLE proofs (job_id BLOB PRIMARY KEY, input_binding BLOB NOT NULL, input_digest BLOB NOT NULL,
          pad_digest BLOB NOT NULL, masked BLOB NOT NULL, proof BLOB NOT NULL)""",
}
"""Format to the statement that makes the next one of it."""


class JournalError(CloisterError):
    """The journal cannot be used as it is."""


class JournalLocked(JournalError):
    """Another process holds it."""


class DoubleCommit(JournalError):
    """A second, different commitment for one seat of one job was about to be signed."""


class TransactionStatus(Enum):
    """What became of a transaction."""

    PENDING = "pending"
    MINED = "mined"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """One signed transaction. `intent` says what it is for and is unique: an intent is carried out once."""

    intent: str
    nonce: int
    hash: bytes
    raw: bytes
    status: TransactionStatus


@dataclass(frozen=True, slots=True)
class StoredCommitment:
    """What a worker needs to open a commitment; the output in it is sealed to the requester."""

    job_id: JobId
    round: int
    commitment: bytes
    output_commitment: bytes
    salt: bytes
    sealed_output: bytes
    signature: bytes
    """Of the result key; empty in what was committed to before there were any."""


@dataclass(frozen=True, slots=True)
class StoredProof:
    """What settles a dispute about a worker's output: public once it is sent, and worth nothing to anybody else."""

    job_id: JobId
    input_binding: bytes
    input_digest: bytes
    pad_digest: bytes
    masked: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """What a requester needs to deliver a job and to read its result. `sealed_root` opens with the account's key."""

    job_id: JobId
    sealed_root: bytes
    ciphertext_id: BlobId
    block: int
    """Number of a block before the request."""


class Journal:
    """A journal that belongs to one account on one market. Threads may share it.

    `chain` names the chain by id and genesis hash: a test chain that was started afresh has the old one's id and
    addresses, and its transactions must not be taken for the new one's.

    Raises JournalLocked when another process holds it and JournalError when it belongs to another account or market,
    was written by a newer version, or cannot be written.
    """

    def __init__(self, path: Path, chain: str, market: Address, account: Address) -> None:
        self.path = path
        self._closed = False
        self._threads = RLock()
        with _named(path):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _exclusive(path.with_name(path.name + ".lock"))
            try:
                # A new file gets its mode here, before SQLite writes the first secret into it.
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
                self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            except BaseException:
                os.close(self._lock)
                raise
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._open((chain, market, account))
            except BaseException:
                self.close()
                raise

    def _open(self, identity: tuple[str, str, str]) -> None:
        version = self._row("PRAGMA user_version")[0]
        if version == 0:
            with self._transaction():
                for statement in SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO identity VALUES (?, ?, ?)", identity)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif not 1 <= version <= SCHEMA_VERSION:
            raise JournalError(
                f"Journal {self.path} has format {version}; this version reads {SCHEMA_VERSION}.",
                "Use the version of Cloister that wrote it.",
            )
        found = self._row("SELECT chain, market, account FROM identity")
        if found != identity:
            raise JournalError(
                f"Journal {self.path} belongs to account {found[2]} on market {found[1]}, chain {found[0]}, "
                f"not to {identity[2]} on {identity[1]}, chain {identity[0]}.",
                "Choose another data folder (--data-dir) for this account or deployment.",
            )
        if 0 < version < SCHEMA_VERSION:
            with self._transaction():
                for older in range(version, SCHEMA_VERSION):
                    self._db.execute(MIGRATIONS[older])
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Gives the journal up; twice does nothing. Everything in it is on disk already."""
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

    # Transactions

    def find(self, intent: str) -> StoredTransaction | None:
        """The transaction that carries out an intent; None when none was signed, or it was mined and reverted."""
        rows = self._rows("SELECT * FROM transactions WHERE intent = ? AND status != 'failed'", intent)
        return _stored(rows[0]) if rows else None

    def pending(self) -> list[StoredTransaction]:
        """Transactions of unknown fate, by nonce."""
        rows = self._rows("SELECT * FROM transactions WHERE status = 'pending' ORDER BY nonce")
        return [_stored(row) for row in rows]

    def next_nonce(self) -> int:
        """One more than the highest nonce ever signed; 0 when none was."""
        return int(self._row("SELECT COALESCE(MAX(nonce) + 1, 0) FROM transactions")[0])

    def record(self, intent: str, nonce: int, hash_: bytes, raw: bytes) -> None:
        """Writes a signed transaction down; it is on disk when this returns.

        It takes the place of an earlier one for the same intent that failed.
        """
        with _named(self.path), self._transaction():
            self._db.execute("DELETE FROM transactions WHERE intent = ? AND status = 'failed'", (intent,))
            self._db.execute("INSERT INTO transactions VALUES (?, ?, ?, ?, 'pending')", (intent, nonce, hash_, raw))

    def resolve(self, intent: str, succeeded: bool) -> None:
        """Notes what became of a transaction."""
        status = TransactionStatus.MINED if succeeded else TransactionStatus.FAILED
        with _named(self.path), self._transaction():
            self._db.execute("UPDATE transactions SET status = ? WHERE intent = ?", (status.value, intent))

    def forget(self, intent: str) -> None:
        """Removes a transaction that the node refused, so that its nonce can be used again.

        Only for one that no node ever accepted: its raw bytes must exist nowhere else.
        """
        with _named(self.path), self._transaction():
            self._db.execute("DELETE FROM transactions WHERE intent = ?", (intent,))

    # A worker's commitments

    def commitment(self, job_id: JobId, round_: int) -> StoredCommitment | None:
        """What this worker committed to, if it did."""
        rows = self._rows("SELECT * FROM commitments WHERE job_id = ? AND round = ?", job_id, round_)
        return StoredCommitment(*rows[0]) if rows else None

    def record_commitment(self, new: StoredCommitment) -> None:
        """Writes a commitment down before it is signed.

        Raises DoubleCommit when another one is written for the same job and round (LOG-2).
        """
        with _named(self.path), self._transaction():
            old = self.commitment(new.job_id, new.round)
            if old is None:
                row = (
                    new.job_id,
                    new.round,
                    new.commitment,
                    new.output_commitment,
                    new.salt,
                    new.sealed_output,
                    new.signature,
                )
                self._db.execute("INSERT INTO commitments VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            elif old.commitment != new.commitment:
                raise DoubleCommit(
                    f"Job {hexed(new.job_id)}, round {new.round}: this worker has already committed to another output.",
                    "Nothing was sent. Two different outputs from one worker mean a changed model file or faulty "
                    "hardware: stop this worker and check both.",
                )

    def proof(self, job_id: JobId) -> StoredProof | None:
        """The proof that is kept for a job, if there is one."""
        rows = self._rows("SELECT * FROM proofs WHERE job_id = ?", job_id)
        return StoredProof(*rows[0]) if rows else None

    def record_proof(self, new: StoredProof) -> None:
        """Keeps a proof until its job is final; one that is there stays."""
        row = (new.job_id, new.input_binding, new.input_digest, new.pad_digest, new.masked, new.proof)
        with _named(self.path), self._transaction():
            self._db.execute("INSERT OR IGNORE INTO proofs VALUES (?, ?, ?, ?, ?, ?)", row)

    def proofs(self) -> list[JobId]:
        """The jobs that proofs are kept for."""
        return [JobId(row[0]) for row in self._rows("SELECT job_id FROM proofs")]

    def forget_proof(self, job_id: JobId) -> None:
        """Drops a proof that nobody can ask for any more."""
        with _named(self.path), self._transaction():
            self._db.execute("DELETE FROM proofs WHERE job_id = ?", (job_id,))

    # A requester's jobs

    def record_request(self, request: StoredRequest) -> None:
        """Writes down what a job needs later, before the request is signed."""
        row = (request.job_id, request.sealed_root, request.ciphertext_id, request.block)
        with _named(self.path), self._transaction():
            self._db.execute("INSERT INTO requests VALUES (?, ?, ?, ?)", row)

    def forget_request(self, job_id: JobId) -> None:
        """Removes a job that was never posted: only for one whose transaction was refused before it was sent."""
        with _named(self.path), self._transaction():
            self._db.execute("DELETE FROM requests WHERE job_id = ?", (job_id,))

    def request(self, job_id: JobId) -> StoredRequest | None:
        """One job that this account requested."""
        rows = self._rows("SELECT * FROM requests WHERE job_id = ?", job_id)
        return StoredRequest(*rows[0]) if rows else None

    def requests(self) -> list[StoredRequest]:
        """Every job that this account requested, oldest first."""
        return [StoredRequest(*row) for row in self._rows("SELECT * FROM requests ORDER BY rowid")]

    # Where to read on

    def cursor(self) -> int | None:
        """Number of the first block whose logs still matter after a restart; None before the first start."""
        rows = self._rows("SELECT block FROM cursor")
        return int(rows[0][0]) if rows else None

    def set_cursor(self, block: int) -> None:
        """Moves the cursor; no unfinished job of this account may be older."""
        with _named(self.path), self._transaction():
            self._db.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?)", (block,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._threads:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk ends the transaction by itself, or leaves it open when it is noticed at the commit.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[Any]:
        with _named(self.path), self._threads:
            return self._db.execute(query, values).fetchall()

    def _row(self, query: str) -> tuple[Any, ...]:
        """The one row of a table that has one. Raises JournalError when it has none."""
        rows = self._rows(query)
        if not rows:
            raise JournalError(f"The journal {self.path} is damaged: {query!r} finds nothing.", _DAMAGED)
        return tuple(rows[0])


def _stored(row: tuple[str, int, bytes, bytes, str]) -> StoredTransaction:
    intent, nonce, hash_, raw, status = row
    return StoredTransaction(intent, nonce, hash_, raw, TransactionStatus(status))


def _exclusive(path: Path) -> int:
    lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        raise JournalLocked(
            f"Another process is using the journal behind {path}.",
            "Stop the other `cloister` process of this account, or give this one its own --data-dir.",
        ) from None
    return lock


_DAMAGED = "Restore it from a backup, or check on chain what this account has under way before you start afresh."


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Failures of disk and database, with the file's name and a way out."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or _code(error) == sqlite3.SQLITE_FULL
        damaged = _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        raise JournalError(
            f"Cannot use the journal {path}: {error}.",
            "Free some space and try again; nothing was sent."
            if full
            else _DAMAGED
            if damaged
            else "Check that the file is a Cloister journal and that its folder can be written.",
        ) from error


def _code(error: Exception) -> int | None:
    """SQLite's primary result code."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
