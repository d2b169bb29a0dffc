"""The log of releases: durable before a share leaves, and whatever is done to it shows (REL-1)."""

import json
import multiprocessing
import os
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise

import pytest

from cloister.domain.ids import Address, VersionId
from cloister.storage import release_entries
from cloister.storage import releases as writing
from cloister.storage.errors import StoreFull
from cloister.storage.release_entries import (
    LogBroken,
    LogLocked,
    LogOwner,
    LogUnavailable,
    Release,
    head_path,
    read_log,
)
from cloister.storage.releases import ReleaseLog

WORKER = Address("0x" + "11" * 20)
OWNER = LogOwner(b"b" * 32, 31337, Address("0x" + "22" * 20))
RELEASE = Release(
    time=1_800_000_000,
    version=VersionId(b"v" * 32),
    worker=WORKER,
    key_epoch=3,
    index=1,
    tier="trial",
    end=0,
    evidence=b"e" * 32,
    release_key=b"k" * 32,
    measurement=b"m" * 32,
    platform=b"p" * 32,
    status="UpToDate",
    development=True,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "broker" / "releases.jsonl"


@pytest.fixture
def written(path):
    """A log of four entries."""
    with ReleaseLog.open(path, OWNER) as log:
        for number in range(4):
            log.append(replace(RELEASE, index=number + 1))
    return path


def reopened(path):
    with ReleaseLog.open(path, OWNER) as log:
        return log.count


def test_log__written_and_opened_again__is_what_was_appended(path):
    with ReleaseLog.open(path, OWNER) as log:
        first = log.append(RELEASE)
        second = log.append(replace(RELEASE, tier="paid", end=7))
        assert (log.count, log.head, log.used(RELEASE.version, "trial")) == (2, second.hash, 1)
    owner, entries = read_log(path)
    assert entries == [first, second]
    assert owner == json.loads(OWNER.line())
    with ReleaseLog.open(path, OWNER) as log:
        assert (log.count, log.head) == (2, second.hash)
        assert (log.used(RELEASE.version, "trial"), log.used(RELEASE.version, "paid")) == (1, 1)
        assert log.used(VersionId(bytes(32)), "trial") == 0
        log.append(RELEASE)
    assert len(read_log(path)[1]) == 3


def test_log__lines__are_chained_by_their_hashes(written):
    lines = written.read_bytes().splitlines()
    assert len(lines) == 5
    for before, line in pairwise(lines):
        assert json.loads(line)["previous"] == "0x" + sha256(before).hexdigest()


def test_log__files__are_for_their_owner_alone(written):
    assert written.stat().st_mode & 0o077 == head_path(written).stat().st_mode & 0o077 == 0


CUTS = {
    "first entry": lambda lines: lines[:1] + lines[2:],
    "middle entry": lambda lines: lines[:3] + lines[4:],
    "last entry": lambda lines: lines[:-1],
    "last two": lambda lines: lines[:-2],
    "all entries": lambda lines: lines[:1],
    "first line": lambda lines: lines[1:],
    "everything": lambda lines: [],
    "two in another order": lambda lines: [*lines[:2], lines[3], lines[2], lines[4]],
    "one twice": lambda lines: [*lines[:3], lines[2], *lines[3:]],
    "last one twice": lambda lines: [*lines, lines[-1]],
    "garbage in between": lambda lines: [*lines[:2], b"garbage\n", *lines[2:]],
    "an empty line": lambda lines: [*lines[:2], b"\n", *lines[2:]],
    "a carriage return": lambda lines: [*lines[:2], lines[2][:-1] + b"\r\n", *lines[3:]],
    "another number": lambda lines: [*lines[:2], lines[2].replace(b'"number":2', b'"number":9'), *lines[3:]],
    "other spaces": lambda lines: [*lines[:2], lines[2].replace(b":", b": ", 1), *lines[3:]],
    "a member more": lambda lines: [*lines[:2], lines[2].replace(b"}", b',"x":1}'), *lines[3:]],
    "a member twice": lambda lines: [*lines[:2], lines[2].replace(b"}", b',"end":0}'), *lines[3:]],
}


@pytest.mark.parametrize("how", CUTS)
def test_log__cut_changed_or_reordered__is_found_out(written, how):
    changed = CUTS[how](written.read_bytes().splitlines(keepends=True))
    if how == "last one twice":  # what follows the head was never durable: it goes, and the log is as before
        written.write_bytes(b"".join(changed))
        assert reopened(written) == 4
        return
    written.write_bytes(b"".join(changed))
    for read in (read_log, reopened):
        with pytest.raises(LogBroken, match=r"Line \d"):
            read(written)


@pytest.mark.parametrize("line", range(1, 6))
def test_log__changed_line__is_named(written, line):
    lines = written.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b'"0x', b'"0X', 1)
    written.write_bytes(b"".join(lines))
    with pytest.raises(LogBroken, match=f"Line {line} ") as found:
        reopened(written)
    assert "missing: the log had" not in found.value.message


def test_log__any_flipped_bit__is_found_out(written):
    data = written.read_bytes()
    for position in range(0, len(data), 7):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        written.write_bytes(bytes(changed))
        with pytest.raises(LogBroken):
            reopened(written)
    written.write_bytes(data)
    assert reopened(written) == 4


def test_log__rewritten_from_some_line_on__does_not_reach_its_head(written, tmp_path):
    """A chain of its own is consistent; the head still knows the other one."""
    with ReleaseLog.open(tmp_path / "other.jsonl", OWNER) as other:
        for _ in range(4):
            other.append(replace(RELEASE, worker=Address("0x" + "33" * 20)))
    written.write_bytes((tmp_path / "other.jsonl").read_bytes())
    with pytest.raises(LogBroken, match=r"Line 5 .*not the one that was written"):
        reopened(written)


@pytest.mark.parametrize(
    "other",
    [replace(OWNER, broker=b"x" * 32), replace(OWNER, chain_id=1), replace(OWNER, registry=WORKER)],
)
def test_log__of_another_broker_chain_or_registry__is_not_taken_up(written, other):
    with pytest.raises(LogBroken, match=r"Line 1 .*of another broker"):
        ReleaseLog.open(written, other)
    assert reopened(written) == 4


def test_log__gone_or_without_head__is_found_out(written):
    data, head = written.read_bytes(), head_path(written).read_bytes()
    written.unlink()
    with pytest.raises(LogBroken, match="gone"):
        reopened(written)
    written.write_bytes(data)
    head_path(written).unlink()
    with pytest.raises(LogBroken, match="head is missing"):
        reopened(written)
    assert len(read_log(written)[1]) == 4  # a copy that was handed over
    for text in (b"", b"{}", b'{"entries": 1}', b'{"entries": "x", "hash": 1}', b"[]"):
        head_path(written).write_bytes(text)
        with pytest.raises(LogBroken, match="no head"):
            reopened(written)
    head_path(written).write_bytes(head)
    assert reopened(written) == 4


def test_read_log__broker_that_adds_to_it_meanwhile__is_no_cut(written, monkeypatch):
    read = release_entries.read
    with ReleaseLog.open(written, OWNER) as log:
        monkeypatch.setattr(release_entries, "read", lambda path: (read(path), log.append(RELEASE))[0])
        assert len(read_log(written)[1]) == 4


# ------------------------------------------------------------------ crashes


@pytest.mark.parametrize("kept", [1, 10, -1])
def test_log__torn_last_line__is_removed_and_its_share_was_never_sent(path, monkeypatch, kept):
    with ReleaseLog.open(path, OWNER) as log:
        log.append(RELEASE)
        whole = path.read_bytes()
        monkeypatch.setattr(writing, "_write_head", lambda *_: (_ for _ in ()).throw(StoreFull("Crash.")))
        with pytest.raises(LogUnavailable):
            log.append(replace(RELEASE, index=2))
    torn = path.read_bytes()[len(whole) :][:kept]
    path.write_bytes(whole + torn)
    assert len(read_log(path)[1]) == 1
    monkeypatch.undo()
    assert reopened(path) == 1
    assert path.read_bytes() == whole
    with ReleaseLog.open(path, OWNER) as log:
        log.append(replace(RELEASE, index=5))
    assert [entry.release.index for entry in read_log(path)[1]] == [1, 5]


def test_log__torn_last_line_of_zeros__is_removed(written):
    """A file system may have grown the file and not have filled it."""
    with written.open("ab") as file:
        file.write(bytes(200))
    assert reopened(written) == 4


def test_log__more_than_one_line_behind_the_head__is_no_crash(written):
    with written.open("ab") as file:
        file.write(b"garbage\n" * 2)
    with pytest.raises(LogBroken, match="Line 6"):
        reopened(written)


def test_log__crash_between_line_and_head__keeps_the_line(path, monkeypatch):
    """It counts against a licence, though its share did not leave: never the other way round."""
    with ReleaseLog.open(path, OWNER) as log:
        monkeypatch.setattr(writing, "_write_head", lambda *_: (_ for _ in ()).throw(StoreFull("Crash.")))
        with pytest.raises(LogUnavailable, match="Crash"):
            log.append(RELEASE)
    monkeypatch.undo()
    with ReleaseLog.open(path, OWNER) as log:
        assert (log.count, log.used(RELEASE.version, "trial")) == (1, 1)


def test_log__crash_after_the_first_line__begins_again(path):
    path.parent.mkdir()
    path.write_bytes(OWNER.line())
    assert reopened(path) == 0


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_append__disk_that_fails__raises_and_leaves_nothing(written, monkeypatch, call):
    before = written.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with ReleaseLog.open(written, OWNER) as log:
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(LogUnavailable, match="No space"):
                log.append(RELEASE)
        assert log.count == 4
        with pytest.raises(LogUnavailable, match="failed before"):  # until somebody has looked at all of it again
            log.append(RELEASE)
    assert written.read_bytes() == before
    assert reopened(written) == 4


def test_append__only_a_part_written__is_taken_back(written, monkeypatch):
    before, write = written.read_bytes(), os.write
    with ReleaseLog.open(written, OWNER) as log, monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:20]))
        with pytest.raises(LogUnavailable, match="part of the line"):
            log.append(RELEASE)
    assert written.read_bytes() == before


def test_append__order__is_line_fsync_head(path, monkeypatch):
    """REL-1: durable when it returns."""
    done = []
    write, fsync, head = os.write, os.fsync, writing._write_head
    with ReleaseLog.open(path, OWNER) as log:
        monkeypatch.setattr(os, "write", lambda *a: (done.append("write"), write(*a))[1])
        monkeypatch.setattr(os, "fsync", lambda *a: (done.append("fsync"), fsync(*a))[1])
        monkeypatch.setattr(writing, "_write_head", lambda *a: (done.append("head"), head(*a))[1])
        log.append(RELEASE)
    assert done[:3] == ["write", "fsync", "head"]


# ------------------------------------------------------------------ one writer


def test_open__twice__is_refused(written):
    with ReleaseLog.open(written, OWNER), pytest.raises(LogLocked, match="Another process"):
        ReleaseLog.open(written, OWNER)
    assert reopened(written) == 4


def test_open__while_another_process_has_it__is_refused(written):
    with ReleaseLog.open(written, OWNER):
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=_try, args=(written, queue))
        child.start()
        assert queue.get(timeout=20) == "LogLocked"
        child.join()


def _try(path, queue):
    try:
        ReleaseLog.open(path, OWNER)
        queue.put("opened")
    except LogLocked:
        queue.put("LogLocked")


def test_append__after_close__is_refused(written):
    log = ReleaseLog.open(written, OWNER)
    log.close()
    log.close()
    with pytest.raises(LogUnavailable):
        log.append(RELEASE)


def test_open__place_that_cannot_be_written__says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LogUnavailable):
        ReleaseLog.open(tmp_path / "file" / "releases.jsonl", OWNER)
    with pytest.raises(LogUnavailable):
        read_log(tmp_path / "absent.jsonl")


@pytest.mark.parametrize(
    "change", [{"time": "1"}, {"development": 1}, {"tier": 1}, {"evidence": "0x00"}, {"end": True}, {"more": 1}]
)
def test_release__member_of_another_type__is_refused(written, change):
    """Even by whoever computes the chain anew."""
    lines = written.read_bytes().splitlines(keepends=True)
    content = json.loads(lines[4]) | change
    lines[4] = json.dumps(content, separators=(",", ":")).encode() + b"\n"
    written.write_bytes(b"".join(lines))
    head_path(written).unlink()
    with pytest.raises(LogBroken, match="Line 5"):
        read_log(written)
