"""How the log of key releases is written, and how anybody checks it (REL-1).

The first line says whose log it is; every other line is one release. `previous` of each is the SHA-256 of the line
before it. Beside the log lies its head: how many entries were durable, and the hash of the last. So a log that was cut
short is found out, too, and what follows the head after a crash never had its share sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, VersionId, hexed, unhexed
from cloister.storage.errors import StorageError

FORMAT = "cloister-releases/1"
HEAD_SUFFIX = ".head"
_NUMBERS = {"time", "key_epoch", "index", "end"}
_BYTES = ("version", "evidence", "release_key", "measurement", "platform")


class LogBroken(StorageError):
    """The log of releases was cut, changed or reordered, or has lines of another one. The message names the line."""


class LogUnavailable(StorageError):
    """The log of releases cannot be written or read. No share may leave."""


class LogLocked(StorageError):
    """Another process writes this log."""


@dataclass(frozen=True, slots=True)
class LogOwner:
    """Whose log it is: SHA-256 of a broker's public key, and the registry whose workers it serves."""

    broker: bytes
    chain_id: int
    registry: Address

    def line(self) -> bytes:
        """The first line of the log."""
        return line_of(
            {
                "log": FORMAT,
                "broker": hexed(self.broker),
                "chain_id": self.chain_id,
                "registry": self.registry,
            }
        )


@dataclass(frozen=True, slots=True)
class Release:
    """One share that was given away. `time` and `end` are Unix seconds, `end` 0 for a licence that never ends.

    `evidence` and `release_key` are SHA-256; `tier` is the tier of the licence that it counts against.
    """

    time: int
    version: VersionId
    worker: Address
    key_epoch: int
    index: int
    tier: str
    end: int
    evidence: bytes
    release_key: bytes
    measurement: bytes
    platform: bytes
    status: str
    development: bool

    def content(self) -> dict[str, Any]:
        """As JSON; bytes are 0x and hexadecimal digits."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: hexed(value) if isinstance(value, bytes) else value for name, value in values.items()}

    @classmethod
    def of_content(cls, content: dict[str, Any]) -> Release:
        """Reads `content`. Raises KeyError, TypeError or InvalidInput; further members are not looked at."""
        values = {field.name: content[field.name] for field in fields(cls)}
        for name, value in values.items():
            if type(value) is not (int if name in _NUMBERS else bool if name == "development" else str):
                raise TypeError(f"{name} is {value!r}")
        for name in _BYTES:
            values[name] = unhexed(values[name], name)
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Entry:
    """A release in the log: its number, from 1 on, and the SHA-256 of its line."""

    number: int
    hash: bytes
    release: Release


def read_log(path: Path) -> tuple[dict[str, Any], list[Entry]]:
    """The first line's content and all entries of a log, checked from end to end; anybody who has the file can.

    A last line that a crash has torn is left out. A copy needs no head beside it; with one, the log must reach it.
    Raises LogBroken, LogUnavailable.
    """
    head = read_head(path)  # before the log, which a broker may add to meanwhile
    owner, entries, _ = parsed(read(path), head)
    return owner, entries


def line_of(content: dict[str, Any]) -> bytes:
    """A line as it stands in the log, its end included."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def parsed(
    data: bytes, head: tuple[int, bytes] | None, owner: LogOwner | None = None
) -> tuple[dict[str, Any], list[Entry], int]:
    """First line, entries, and how many bytes of the log are whole. With `owner` the log must be its, and have a head.

    Raises LogBroken.
    """
    parts = data.split(b"\n")
    first, *rest = [part + b"\n" for part in parts[:-1]] + [parts[-1]] * bool(parts[-1]) or [b""]
    content = _content(first, 1)
    if content.get("log") != FORMAT or (owner is not None and first != owner.line()):
        raise LogBroken(
            "Line 1 of the log of releases is wrong: it is of another broker, chain or registry, or of no log at all.",
            "A broker never takes up the log of another one: restore its own, or name another data_dir.",
        )
    entries: list[Entry] = []
    known = 0 if head is None else head[0]
    previous, whole = sha256(first[:-1]).digest(), len(first)
    for number, line in enumerate(rest, start=1):
        try:
            entry = _entry(line, number, previous)
        except LogBroken:
            if number == len(rest) and number > known and (head is not None or not line.endswith(b"\n")):
                break  # torn by a crash: whatever is behind the head was not durable yet
            raise
        entries.append(entry)
        previous, whole = entry.hash, whole + len(line)
    if entries and head is None and owner is not None:
        raise LogBroken("The log has entries, but its head is missing.", "Restore the head from a copy.")
    if head is not None:
        _check_head(entries, *head)
    return content, entries, whole


def _entry(line: bytes, number: int, previous: bytes) -> Entry:
    at = number + 1
    content = _content(line, at)
    if content.pop("previous", None) != hexed(previous):
        raise _broken(at, "it does not follow the line before it")
    if content.pop("number", None) != number:
        raise _broken(at, f"it is not number {number}")
    try:
        release = Release.of_content(content)
    except (KeyError, TypeError, CloisterError) as error:
        raise _broken(at, f"a member is missing or malformed: {error}") from None
    if line_of({"previous": hexed(previous), "number": number} | release.content()) != line:
        raise _broken(at, "it is not written as this log writes")
    return Entry(number, sha256(line[:-1]).digest(), release)


def _content(line: bytes, at: int) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise _broken(at, "it is not whole")
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise _broken(at, "it is no JSON object")
    return content


def _check_head(entries: list[Entry], count: int, digest: bytes) -> None:
    if count > len(entries):
        raise _broken(len(entries) + 2, f"it is missing: the log had {count} entries")
    if count and entries[count - 1].hash != digest:
        raise _broken(count + 1, "it is not the one that was written")


def _broken(at: int, problem: str) -> LogBroken:
    return LogBroken(
        f"Line {at} of the log of releases is wrong: {problem}.",
        "Somebody changed the log. Find out who and why, and restore it from a copy.",
    )


def head_path(path: Path) -> Path:
    """Where the head of a log lies."""
    return path.with_name(path.name + HEAD_SUFFIX)


def read_head(path: Path) -> tuple[int, bytes] | None:
    """Number of durable entries and hash of the last line; None without a head. Raises LogBroken, LogUnavailable."""
    try:
        content = json.loads(head_path(path).read_bytes())
        return int(content["entries"]), unhexed(content["hash"], "hash")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LogUnavailable(f"The head of the log {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, CloisterError) as error:
        raise LogBroken(f"The head of the log {path} is no head: {error}.", "Restore it from a copy.") from None


def read(path: Path) -> bytes:
    """All of a log. Raises LogUnavailable."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise LogUnavailable(f"The log {path} cannot be read: {error.strerror}.") from error
