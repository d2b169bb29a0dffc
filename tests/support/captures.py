"""What can be captured of running processes: their memory, their files, the chain's data, and loopback traffic."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from web3 import Web3

CHUNK = 1 << 23
"""Bytes of memory that are read at a time."""
OVERLAP = 1 << 10
"""Bytes that are read twice, so that nothing is missed that lies across two chunks."""
ENCLAVE = "cloister.enclave"
_OTHERS = ("[vvar", "[vsyscall")
_PAUSE = 0.2
_ALL_PROTOCOLS, _OUTGOING, _PACKET, _STATISTICS, _ANY_BUFFER = 3, 4, 263, 6, 33


# Processes and their memory


@dataclass(frozen=True)
class Process:
    pid: int
    command: str


def family(pid: int) -> list[Process]:
    """A process and all that descend from it."""
    found = [Process(pid, Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            for child in (thread / "children").read_text().split():
                found += family(int(child))
    return found


def enclave_of(pid: int) -> int:
    """The enclave's own process below a worker's: the last of those that were started to run it."""
    return [process.pid for process in family(pid) if ENCLAVE in process.command][-1]


def outside_enclave(pid: int) -> list[Process]:
    """A worker's processes but its enclave: the worker, and bubblewrap where it is installed."""
    *hosts, last = family(pid)
    return [*hosts] if ENCLAVE in last.command else [*hosts, last]


def memory_of(pid: int) -> Iterator[bytes]:
    """The readable memory of a process in chunks.

    Left out is what is mapped from a file and cannot be written, which is the file: code and fonts of libraries.
    Raises PermissionError where the machine does not let us look.
    """
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, _, _, inode, *name = line.split(maxsplit=5)
            if rights[0] != "r" or (rights[1] != "w" and inode != "0") or (name and name[0].startswith(_OTHERS)):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            for at in range(start, end, CHUNK):
                try:
                    part = os.pread(memory.fileno(), min(CHUNK + OVERLAP, end - at), at)
                except OSError as error:
                    if error.errno in (errno.EIO, errno.EFAULT):  # it was given back meanwhile
                        break
                    raise
                yield part


def may_read_memory(pid: int) -> bool:
    """Whether this machine lets us: not every one lets a process look into its children."""
    try:
        next(memory_of(pid))
    except PermissionError:
        return False
    return True


# Files and the chain


def files_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file; of a database its log, too, while it is open."""
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                yield str(path.relative_to(folder)), path.read_bytes()


def chain_data(w3: Web3) -> Iterator[bytes]:
    """Of each block the input of every transaction, and all logs."""
    for number in range(w3.eth.block_number + 1):
        for transaction in w3.eth.get_block(number, full_transactions=True)["transactions"]:
            yield bytes(transaction["input"])  # type: ignore[index,call-overload]
    for log in w3.eth.get_logs({"fromBlock": 0}):
        yield b"".join(bytes(topic) for topic in log["topics"]) + bytes(log["data"])


# Traffic on the loopback interface


@dataclass
class Wire:
    """Everything that TCP carries over the loopback interface from or to `ports`, one stream per direction.

    Raises PermissionError unless raw packets may be seen, which takes root.
    """

    ports: set[int]
    streams: dict[tuple[int, int], bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    lost: int = 0

    def __enter__(self) -> Self:
        self._next: dict[tuple[int, int], int] = {}
        self._stop = threading.Event()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
        self._socket.bind(("lo", _ALL_PROTOCOLS))
        self._socket.settimeout(_PAUSE)
        with suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, _ANY_BUFFER, 1 << 27)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        time.sleep(2 * _PAUSE)  # for what waits to be read
        self._stop.set()
        self._thread.join()
        self.lost = struct.unpack("II", self._socket.getsockopt(_PACKET, _STATISTICS, 8))[1]
        self._socket.close()

    def _run(self) -> None:
        while not self._stop.is_set():  # others' traffic may never pause
            try:
                packet, about = self._socket.recvfrom(1 << 17)
            except TimeoutError:
                continue
            if about[2] != _OUTGOING:  # each packet passes twice
                self._take(packet)

    def _take(self, packet: bytes) -> None:
        if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
            return
        segment = packet[(packet[0] & 15) * 4 :]
        source, target, number = struct.unpack_from("!HHI", segment)
        payload = segment[(segment[12] >> 4) * 4 :]
        if not payload or self.ports.isdisjoint((source, target)):
            return
        stream = source, target
        expected = self._next.get(stream, number)
        repeated = (expected - number) % (1 << 32)
        # Another connection between the same ports begins anywhere.
        fresh = payload[repeated:] if repeated < len(payload) else b"" if repeated < 1 << 20 else payload
        self.streams[stream] += fresh
        self._next[stream] = (number + len(payload)) % (1 << 32)


def may_see_packets() -> bool:
    """Whether raw packets may be seen here."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS)).close()
    except (AttributeError, PermissionError):
        return False
    return True
