"""What protects an enclave from the machine around it, each tried before it is said to hold (HOST-3).

`begin` comes first, before anything is loaded; `finish` when all libraries are, and before the first secret is used.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloister.enclave import kernel, landlock, seccomp
from cloister.enclave.secret import SecretPages

NAMES: Final = (
    "namespaces",
    "seccomp",
    "landlock",
    "no-core-dumps",
    "non-dumpable",
    "secret-memory",
    "locked-memory",
    "no-new-privileges",
)
MOST_PROCESSES: Final = 3
"""In a process namespace of its own: bubblewrap's two, and the enclave."""
_LOCK_ALL: Final = 1 | 2 | 4  # MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT


@dataclass(frozen=True, slots=True)
class Protection:
    """One of NAMES; `detail` says how far it holds, or why not."""

    name: str
    held: bool
    detail: str


class _Missing(Exception):
    """A protection does not hold; the text says why."""


def begin() -> tuple[Protection, ...]:
    """Protections that code and libraries can be loaded under."""
    return (
        _tried("no-new-privileges", _no_new_privileges),
        _tried("no-core-dumps", _no_core_dumps),
        _tried("non-dumpable", _non_dumpable),
        _tried("namespaces", _namespaces),
    )


def finish(pages: SecretPages) -> tuple[Protection, ...]:
    """Protections that end all loading. Every file and socket that is needed must be open."""
    return (
        _tried("secret-memory", lambda: _secret_memory(pages)),
        _tried("locked-memory", lambda: _locked_memory(pages)),
        _tried("landlock", _landlock),
        _tried("seccomp", _seccomp),
    )


def _tried(name: str, attempt: Callable[[], str]) -> Protection:
    if not kernel.machine():
        return Protection(name, False, "not on this operating system or machine")
    try:
        return Protection(name, True, attempt())
    except (_Missing, OSError) as error:
        return Protection(name, False, str(error))


def _no_new_privileges() -> str:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) != 1:
        raise _Missing("the kernel did not take it")
    return "set-user-id programs give nothing"


def _no_core_dumps() -> str:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if resource.getrlimit(resource.RLIMIT_CORE) != (0, 0):
        raise _Missing("the limit did not take")
    return "RLIMIT_CORE is 0"


def _non_dumpable() -> str:
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    if kernel.prctl(kernel.PR_GET_DUMPABLE) != 0:
        raise _Missing("the kernel did not take it")
    identities = Path("/proc/self/uid_map").read_text().split()
    if int(identities[2]) == 1:
        # One identity: the user namespace that an ordinary user's bubblewrap makes. It belongs to that user.
        return "other users cannot read its memory; this user's processes can, but for the keys: start it as root"
    return "other processes cannot read its memory, unless they may trace any process"


def _namespaces() -> str:
    for path in ("/etc/passwd", "/var", "/sys"):
        if Path(path).exists():
            raise _Missing(f"it sees the machine's {path}")
    processes = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    if len(processes) > MOST_PROCESSES or os.getpid() > MOST_PROCESSES:
        raise _Missing(f"it sees {len(processes)} processes")
    for folder in ("/", str(Path(__file__).parent)):
        if _can_write(folder):
            raise _Missing(f"it can write to {folder}")
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        raise _Missing("it has a network")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        try:
            outward.connect(("192.0.2.1", 9))  # an address for documentation; a datagram socket sends nothing here
            raise _Missing("it has a route to the network")
        except OSError as error:
            if error.errno != errno.ENETUNREACH:
                raise
    return "no network, no files but the code's, no processes but its own"


def _can_write(folder: str) -> bool:
    probe = Path(folder) / ".probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def _secret_memory(pages: SecretPages) -> str:
    if not pages.hidden:
        raise _Missing(pages.detail)
    probe = pages.new(b"probe")
    try:
        if probe.use() != b"probe":
            raise _Missing("what is written there does not stay")
    finally:
        probe.wipe()
    return f"keys are in {len(pages) >> 10} KiB of memfd_secret"


def _locked_memory(pages: SecretPages) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    # With a finite limit, every later allocation beyond it would fail.
    if limit == resource.RLIM_INFINITY and libc.mlockall(_LOCK_ALL) == 0:
        return "all of its memory"
    if not pages.hidden and libc.mlock(ctypes.c_void_p(pages.address), ctypes.c_size_t(len(pages))) != 0:
        raise _Missing(f"mlock: {os.strerror(ctypes.get_errno())}")
    if len(Path("/proc/swaps").read_text().splitlines()) > 1:
        raise _Missing(
            f"RLIMIT_MEMLOCK is {limit:,} bytes and the machine swaps: raise the limit (ulimit -l unlimited)"
        )
    return f"its keys; the rest is not, RLIMIT_MEMLOCK being {limit:,} bytes, but the machine has no swap"


def _landlock() -> str:
    landlock.install()
    if problem := landlock.holds(os.path.realpath(sys.executable)):
        raise _Missing(problem)
    return f"no file opens (interface {landlock.abi()})"


def _seccomp() -> str:
    seccomp.install()
    if problem := seccomp.holds():
        raise _Missing(problem)
    return f"{len(seccomp.ALLOWED)} system calls are left"
