"""The journal: what it returned from is on disk, and nothing is ever there by half."""

import errno
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from cloister.domain.ids import Address, BlobId, JobId
from cloister.storage import journal as journal_module
from cloister.storage.journal import (
    SCHEMA_VERSION,
    DoubleCommit,
    Journal,
    JournalError,
    JournalLocked,
    StoredCommitment,
    StoredProof,
    StoredRequest,
    TransactionStatus,
)

CHAIN = "31337:0xabc"
MARKET = Address("0x" + "1A" * 20)
ACCOUNT = Address("0x" + "3C" * 20)
JOB = JobId(b"\x11" * 32)
COMMITMENT = StoredCommitment(JOB, 0, b"c" * 32, b"o" * 32, b"s" * 32, b"sealed", b"signed" * 13)
PROOF = StoredProof(JOB, b"b" * 32, b"i" * 32, b"p" * 32, b"masked", b"proof")
REQUEST = StoredRequest(JOB, b"root" * 15, BlobId(b"\x22" * 32), 17)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "journal.sqlite"


def opened(path, chain=CHAIN, market=MARKET, account=ACCOUNT):
    return Journal(path, chain, market, account)


# ------------------------------------------------------------------ what it keeps


def test_journal__reopened__has_everything(path):
    with opened(path) as journal:
        journal.record("commit:1", 5, b"h" * 32, b"raw")
        journal.record("commit:2", 6, b"i" * 32, b"raw 2")
        journal.resolve("commit:2", succeeded=True)
        journal.record_commitment(COMMITMENT)
        journal.record_request(REQUEST)
        journal.set_cursor(99)
    with opened(path) as journal:
        found = journal.find("commit:1")
        assert (found.nonce, found.hash, found.raw, found.status) == (5, b"h" * 32, b"raw", TransactionStatus.PENDING)
        assert [record.intent for record in journal.pending()] == ["commit:1"]
        assert journal.find("commit:2").status is TransactionStatus.MINED
        assert journal.next_nonce() == 7
        assert journal.commitment(JOB, 0) == COMMITMENT
        assert journal.requests() == [REQUEST]
        assert journal.request(JOB) == REQUEST
        assert journal.cursor() == 99


def test_journal__new__is_empty(path):
    with opened(path) as journal:
        assert journal.find("commit:1") is None
        assert journal.pending() == []
        assert journal.next_nonce() == 0
        assert journal.commitment(JOB, 0) is None
        assert journal.request(JOB) is None
        assert journal.cursor() is None


def test_pending__several__come_by_nonce(path):
    with opened(path) as journal:
        for nonce in (3, 1, 2):
            journal.record(f"intent {nonce}", nonce, b"h", b"r")
        assert [record.nonce for record in journal.pending()] == [1, 2, 3]


def test_record__intent_that_failed__takes_its_place_and_keeps_its_nonce_used(path):
    with opened(path) as journal:
        journal.record("a", 5, b"1", b"r")
        journal.resolve("a", succeeded=False)
        assert journal.find("a") is None
        assert journal.next_nonce() == 6
        journal.record("a", 6, b"2", b"r")
        assert journal.find("a").hash == b"2"


@pytest.mark.parametrize("status", ["pending", "mined"])
def test_record__intent_that_stands__is_refused(path, status):
    with opened(path) as journal:
        journal.record("a", 5, b"1", b"r")
        if status == "mined":
            journal.resolve("a", succeeded=True)
        with pytest.raises(JournalError):
            journal.record("a", 6, b"2", b"r")
        assert journal.find("a").hash == b"1"
        journal.record("b", 6, b"3", b"r")  # and the journal is as usable as before


def test_record__nonce_that_is_taken__is_refused(path):
    with opened(path) as journal:
        journal.record("a", 5, b"1", b"r")
        with pytest.raises(JournalError):
            journal.record("b", 5, b"2", b"r")
        assert journal.find("b") is None


def test_forget__refused_transaction__frees_intent_and_nonce(path):
    with opened(path) as journal:
        journal.record("a", 0, b"1", b"r")
        journal.forget("a")
        assert journal.next_nonce() == 0
        journal.record("a", 0, b"2", b"r")


def test_forget_request__that_was_never_posted__is_gone(path):
    with opened(path) as journal:
        journal.record_request(REQUEST)
        journal.forget_request(JOB)
        assert journal.requests() == []


# ------------------------------------------------------------------ LOG-2


def test_record_commitment__same_again__is_harmless(path):
    with opened(path) as journal:
        journal.record_commitment(COMMITMENT)
        journal.record_commitment(replace(COMMITMENT, sealed_output=b"sealed anew"))
        assert journal.commitment(JOB, 0) == COMMITMENT


def test_record_commitment__another_for_the_same_seat__raises_also_after_a_restart(path):  # LOG-2
    with opened(path) as journal:
        journal.record_commitment(COMMITMENT)
        with pytest.raises(DoubleCommit, match="already committed"):
            journal.record_commitment(replace(COMMITMENT, commitment=b"d" * 32))
    with opened(path) as journal:
        with pytest.raises(DoubleCommit):
            journal.record_commitment(replace(COMMITMENT, commitment=b"d" * 32))
        assert journal.commitment(JOB, 0) == COMMITMENT
        journal.record_commitment(replace(COMMITMENT, round=1, commitment=b"d" * 32))
        journal.record_commitment(replace(COMMITMENT, job_id=JobId(b"\x12" * 32), commitment=b"d" * 32))


# ------------------------------------------------------------------ whose it is


HOLDER = """
import sys, time
from pathlib import Path
from cloister.storage.journal import Journal
journal = Journal(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4])
print("held", flush=True)
"""


def holder(path, then="time.sleep(60)"):
    command = [sys.executable, "-c", HOLDER + then, str(path), CHAIN, MARKET, ACCOUNT]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_journal__held_by_another_process__is_refused_until_that_ends(path):  # LOG-3
    process = holder(path)
    try:
        with pytest.raises(JournalLocked, match="Another process"):
            opened(path)
    finally:
        process.kill()
        process.wait()
    opened(path).close()


def test_journal__held_by_this_process__is_refused_and_the_holder_keeps_it(path):  # LOG-3
    with opened(path) as journal:
        for _ in range(2):
            with pytest.raises(JournalLocked):
                opened(path)
        journal.record("a", 0, b"1", b"r")


@pytest.mark.parametrize(
    "other", [{"chain": "31337:0xdef"}, {"market": Address("0x" + "1B" * 20)}, {"account": Address("0x" + "3D" * 20)}]
)
def test_journal__of_another_chain_market_or_account__is_refused_and_unlocked(path, other):
    opened(path).close()
    with pytest.raises(JournalError, match="belongs to account"):
        opened(path, **other)
    opened(path).close()


FORMAT_1 = """
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
  PRIMARY KEY (job_id, round)
);
CREATE TABLE requests (
  job_id BLOB PRIMARY KEY,
  sealed_root BLOB NOT NULL,
  ciphertext_id BLOB NOT NULL,
  block INTEGER NOT NULL
);
CREATE TABLE cursor (one INTEGER PRIMARY KEY CHECK (one = 1), block INTEGER NOT NULL);
"""
"""As it was written before there were result signatures; it never changes again."""


@pytest.fixture
def old(path):
    """A journal of format 1 with everything in it that it can hold."""
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.executescript(FORMAT_1)
        db.execute("INSERT INTO identity VALUES (?, ?, ?)", (CHAIN, MARKET, ACCOUNT))
        for row in (("commit:1", 5, b"h" * 32, b"raw", "pending"), ("commit:2", 6, b"i" * 32, b"raw 2", "mined")):
            db.execute("INSERT INTO transactions VALUES (?, ?, ?, ?, ?)", row)
        for round_ in (0, 1):
            row = (JOB, round_, COMMITMENT.commitment, COMMITMENT.output_commitment, COMMITMENT.salt, b"sealed")
            db.execute("INSERT INTO commitments VALUES (?, ?, ?, ?, ?, ?)", row)
        db.execute("INSERT INTO requests VALUES (?, ?, ?, ?)", (JOB, REQUEST.sealed_root, REQUEST.ciphertext_id, 17))
        db.execute("INSERT INTO cursor VALUES (1, 99)")
        db.execute("PRAGMA user_version = 1")
    db.close()
    return path


def test_journal__of_format_1__keeps_everything_and_works(old):  # LOG-1, LOG-2
    unsigned = replace(COMMITMENT, signature=b"")
    another = replace(COMMITMENT, job_id=JobId(b"\x12" * 32))
    with opened(old) as journal:
        assert journal.commitment(JOB, 0) == unsigned
        assert journal.commitment(JOB, 1) == replace(unsigned, round=1)
        assert [record.intent for record in journal.pending()] == ["commit:1"]
        assert journal.find("commit:2").status is TransactionStatus.MINED
        assert journal.next_nonce() == 7
        assert journal.requests() == [REQUEST]
        assert journal.cursor() == 99
        with pytest.raises(DoubleCommit):
            journal.record_commitment(replace(COMMITMENT, commitment=b"d" * 32))
        journal.record_commitment(another)
    with opened(old) as journal:
        assert journal._row("PRAGMA user_version") == (SCHEMA_VERSION,)
        assert journal.commitment(JOB, 0) == unsigned
        assert journal.commitment(another.job_id, 0) == another
    with opened(old.with_name("new.sqlite")) as journal:
        fresh = _columns(journal)
    with opened(old) as journal:
        assert _columns(journal) == fresh


def test_journal__of_format_2__keeps_everything_and_takes_proofs(old):
    with sqlite3.connect(old) as db:
        db.execute(journal_module.MIGRATIONS[1])
        db.execute("UPDATE commitments SET signature = ?", (COMMITMENT.signature,))
        db.execute("PRAGMA user_version = 2")
    db.close()
    with opened(old) as journal:
        assert journal._row("PRAGMA user_version") == (3,)
        assert journal.commitment(JOB, 0) == COMMITMENT
        assert journal.requests() == [REQUEST]
        assert journal.proofs() == []
        journal.record_proof(PROOF)
    with opened(old) as journal, opened(old.with_name("new.sqlite")) as fresh:
        assert journal.proof(JOB) == PROOF
        assert _columns(journal) == _columns(fresh)


def _columns(journal):
    tables = [name for (name,) in journal._rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {table: [row[1:4] for row in journal._rows(f"PRAGMA table_info({table})")] for table in tables}


def test_journal__of_format_1_and_another_account__is_refused_and_untouched(old):
    with pytest.raises(JournalError, match="belongs to account"):
        opened(old, account=Address("0x" + "4D" * 20))
    with sqlite3.connect(old) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert len(db.execute("PRAGMA table_info(commitments)").fetchall()) == 6
    db.close()


def test_journal__migration_that_dies_on_the_way__leaves_format_1(old, monkeypatch):
    monkeypatch.setattr(journal_module, "MIGRATIONS", journal_module.MIGRATIONS | {2: "NONSENSE"})
    with pytest.raises(JournalError, match="NONSENSE"):
        opened(old)
    monkeypatch.undo()
    with opened(old) as journal:
        assert journal.commitment(JOB, 0) == replace(COMMITMENT, signature=b"")


def test_journal__newer_format__is_refused_and_untouched(path):
    opened(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match=f"format {SCHEMA_VERSION + 1}"):
        opened(path)
    assert path.read_bytes() == before


# ------------------------------------------------------------------ proofs for disputes


def test_proofs__kept__are_there_after_a_restart_and_until_they_are_dropped(path):
    other = replace(PROOF, job_id=JobId(b"\x12" * 32))
    with opened(path) as journal:
        assert journal.proof(JOB) is None
        journal.record_proof(PROOF)
        journal.record_proof(other)
    with opened(path) as journal:
        assert journal.proof(JOB) == PROOF
        assert set(journal.proofs()) == {JOB, other.job_id}
        journal.forget_proof(JOB)
        journal.forget_proof(JOB)
        assert (journal.proof(JOB), journal.proofs()) == (None, [other.job_id])


def test_proofs__a_second_one__leaves_the_first(path):
    with opened(path) as journal:
        journal.record_proof(PROOF)
        journal.record_proof(replace(PROOF, proof=b"another"))
        assert journal.proof(JOB) == PROOF


# ------------------------------------------------------------------ disks that fail


@pytest.mark.parametrize("damage", ["not sqlite", "header cut", "tail cut", "middle overwritten"])
def test_journal__damaged_file__is_named_and_nothing_else_is_raised(path, damage):
    with opened(path) as journal:
        for nonce in range(50):
            journal.record(f"intent {nonce}", nonce, b"h" * 32, b"r" * 300)
    content = path.read_bytes()
    path.write_bytes(
        {
            "not sqlite": b"this is a text file, for some reason" * 50,
            "header cut": content[:70],
            "tail cut": content[: len(content) // 2],
            "middle overwritten": content[:4096] + b"\xff" * (len(content) - 4096),
        }[damage]
    )

    def read():
        with opened(path) as journal:
            journal.pending()
            journal.find("intent 40")

    with pytest.raises(JournalError, match=r"journal\.sqlite") as raised:
        read()
    assert "backup" in raised.value.hint


def test_journal__identity_gone__is_damaged(path):
    opened(path).close()
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM identity")
    db.close()
    with pytest.raises(JournalError, match="damaged"):
        opened(path)


def test_journal__folder_cannot_be_made__is_named(tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(JournalError, match=r"data/journal\.sqlite"):
        opened(tmp_path / "data" / "journal.sqlite")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody who may not write")
def test_journal__folder_not_writable__is_named(tmp_path):
    code = """
import os, sys
from pathlib import Path
from cloister.storage.journal import Journal, JournalError
os.setuid(65534)
try:
    Journal(Path(sys.argv[1]), "c", "m", "a")
except JournalError as error:
    print(error.message)
"""
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    command = [sys.executable, "-c", code, str(folder / "journal.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert "Permission denied" in done.stdout, done.stderr
    assert list(folder.iterdir()) == []


def test_record__disk_full__writes_nothing_and_goes_on_when_there_is_room(path):
    with opened(path) as journal:
        journal.record("before", 0, b"1", b"r")
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages}")
        for _ in range(3):
            with pytest.raises(JournalError, match="full") as raised:
                journal.record("big", 1, b"2", b"r" * 100_000)
            assert "space" in raised.value.hint
            assert journal.find("big") is None
            assert journal.next_nonce() == 1
        with pytest.raises(JournalError, match="full"):
            journal.record_commitment(replace(COMMITMENT, sealed_output=b"x" * 100_000))
        assert journal.commitment(JOB, 0) is None
        journal._db.execute("PRAGMA max_page_count = 1000000")
        journal.record("big", 1, b"2", b"r" * 100_000)
    with opened(path) as journal:
        assert [record.intent for record in journal.pending()] == ["before", "big"]


class FailingCommit:
    """A connection whose COMMIT fails, as when the write-ahead log cannot grow."""

    def __init__(self, db, ends_transaction):
        self._db = db
        self._ends_transaction = ends_transaction
        self.failing = True

    def execute(self, statement, *values):
        if self.failing and statement == "COMMIT":
            if self._ends_transaction:
                self._db.execute("ROLLBACK")
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._db.execute(statement, *values)

    def __getattr__(self, name):
        return getattr(self._db, name)


@pytest.mark.parametrize("ends_transaction", [False, True])
def test_record__commit_fails__is_rolled_back_and_the_journal_is_usable(path, ends_transaction):
    with opened(path) as journal:
        journal._db = FailingCommit(journal._db, ends_transaction)
        with pytest.raises(JournalError, match="space"):
            journal.record("a", 0, b"1", b"r")
        assert journal.find("a") is None
        journal._db.failing = False
        journal.record("b", 0, b"2", b"r")
        assert [record.intent for record in journal.pending()] == ["b"]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to mount a small disk")
def test_journal__really_full_disk__writes_nothing_and_recovers(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with opened(disk / "journal.sqlite") as journal:
            written = 0
            with pytest.raises(JournalError) as raised:  # noqa: PT012 — it fails when the disk is full, not before
                for nonce in range(1000):
                    journal.record(f"intent {nonce}", nonce, b"h" * 32, b"r" * 2000)
                    written += 1
            assert "space" in raised.value.hint
            assert written > 5
            assert len(journal.pending()) == written
            subprocess.run(["/bin/mount", "-o", "remount,size=2m", str(disk)], check=True)
            journal.record("after", written, b"h", b"r" * 2000)
        with opened(disk / "journal.sqlite") as journal:
            assert len(journal.pending()) == written + 1
    finally:
        subprocess.run(["/bin/umount", str(disk)], check=True)


# ------------------------------------------------------------------ durability and privacy


def test_journal__settings__are_really_on(path):
    with opened(path) as journal:
        journal.record("a", 0, b"1", b"r")
        assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_journal__files__are_private_whatever_the_umask(path):  # KEY-1
    before = os.umask(0)
    try:
        with opened(path) as journal:
            journal.record("a", 0, b"1", b"r")
            files = sorted(path.parent.iterdir())
            assert [file.name.removeprefix("journal.sqlite") for file in files] == ["", "-shm", "-wal", ".lock"]
            for file in files:
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(before)


KILLED = """
journal.record("commit:7", 7, b"h" * 32, b"raw")
print("recorded", flush=True)
time.sleep(60)
"""


def test_record__killed_right_after__is_there(path):  # LOG-1
    process = holder(path, KILLED)
    assert process.stdout.readline() == "recorded\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with opened(path) as journal:
        assert journal.find("commit:7").raw == b"raw"


RACING = """
for nonce in range(10**6):
    journal.record(f"intent {nonce}", nonce, nonce.to_bytes(32), b"raw")
    print(nonce, flush=True)
"""


def test_record__killed_at_any_moment__whatever_was_reported_is_there(path):  # LOG-1
    for _ in range(3):
        path.unlink(missing_ok=True)
        process = holder(path, RACING)
        reported = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
        rest = process.stdout.read().split()
        reported += [int(line) for line in rest]
        process.wait()
        with opened(path) as journal:
            found = {record.nonce for record in journal.pending()}
            assert set(reported) <= found
            assert len(found) <= len(reported) + 1
            for record in journal.pending():
                assert record.hash == record.nonce.to_bytes(32)
        for file in path.parent.iterdir():
            file.unlink()


def test_journal__many_threads__lose_and_mix_nothing(path):
    with opened(path) as journal:
        errors = []

        def work(number):
            try:
                for i in range(5):
                    nonce = number * 5 + i
                    journal.record(f"intent {nonce}", nonce, b"h", b"r")
                    assert journal.find(f"intent {nonce}").nonce == nonce
                    journal.set_cursor(nonce)
            except Exception as error:  # noqa: BLE001
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert [record.nonce for record in journal.pending()] == list(range(40))


def test_close__twice__is_harmless(path):
    journal = opened(path)
    journal.close()
    journal.close()
    opened(path).close()
