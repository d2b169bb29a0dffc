"""The system calls that an enclave may do once it runs: those for memory, threads, time and its one socket.

Everything else gives EPERM: files, sockets, other processes, new programs, namespaces, keys, devices, and whatever
kernels will have one day. It is a list of what is allowed, because nobody knows all that ought to be forbidden.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final

from cloister.enclave.kernel import (
    PR_GET_DUMPABLE,
    PR_GET_NAME,
    PR_GET_NO_NEW_PRIVS,
    PR_GET_SECCOMP,
    PR_SET_NAME,
    PR_SET_VMA,
    call,
    machine,
    number_of,
)

ALLOWED: Final = (
    "futex", "read", "write", "recvfrom", "sendto", "readv", "writev", "poll", "ppoll", "select", "pselect6",
    "mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "mlock", "mlock2", "munlock", "membarrier",
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "times",
    "sched_yield", "sched_getaffinity", "getcpu", "getrusage", "sysinfo", "uname",
    "set_robust_list", "get_robust_list", "rseq", "restart_syscall", "getrandom",
    "getcwd",  # numba's compiler asks for it whenever it makes a message
    "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "tgkill", "sigaltstack",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "fstat", "lseek", "close", "fcntl", "shutdown", "exit", "exit_group",
)  # fmt: skip
PRCTL: Final = (PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_SET_VMA)

_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _EQUAL, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_CLONE_THREAD: Final = 0x10000
_X32: Final = 0x40000000
_SET_MODE_FILTER, _ALL_THREADS = 1, 1

Instruction = tuple[int, int, int, int]


def program(of: str) -> list[Instruction]:
    """The filter for a machine, as (code, jump if true, jump if false, operand)."""
    steps: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _AUDIT_ARCH[of]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        # the 32-bit pointer calls of x86_64 have numbers of their own
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _ERROR | errno.EPERM),
    ]
    for name in ALLOWED:
        if (number := number_of(name)) is not None:
            steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    # glibc falls back to clone, whose flags a filter can see
    steps += _when("clone3", [(_RETURN, 0, 0, _ERROR | errno.ENOSYS)])
    steps += _when("clone", [(_LOAD, 0, 0, _argument(0)), (_HAS, 0, 1, _CLONE_THREAD), *_verdicts()])
    steps += _when("prctl", _any_of(PRCTL))
    # to read a limit; glibc does when it makes a thread
    new_limit = [(_LOAD, 0, 0, _argument(2)), (_EQUAL, 0, 3, 0), (_LOAD, 0, 0, _argument(2) + 4), (_EQUAL, 0, 1, 0)]
    steps += _when("prlimit64", [*new_limit, *_verdicts()])
    return [*steps, (_RETURN, 0, 0, _ERROR | errno.EPERM)]


def install() -> None:
    """Put the filter on every thread, for good. Raises OSError; no_new_privs must be set."""
    steps = program(machine()) if machine() else []
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    header = ctypes.create_string_buffer(struct.pack("@HxxxxxxP", len(steps), ctypes.addressof(code)))
    stuck = call("seccomp", _SET_MODE_FILTER, _ALL_THREADS, header)
    if stuck:
        raise OSError(errno.ESRCH, f"seccomp: thread {stuck} cannot take the filter")


def holds() -> str:
    """What the filter lets through although it must not; empty if nothing.

    Every call is tried with arguments that could do no harm, and would give another error or succeed without a filter.
    """
    for name, attempt in _ATTEMPTS:
        try:
            attempt()
        except OSError as error:
            if error.errno == errno.EPERM:
                continue
            return f"{name} gives {errno.errorcode.get(error.errno or 0, error.errno)}"
        return f"{name} succeeds"
    return ""


def _socket() -> None:
    socket.socket(socket.AF_UNIX).close()


_ATTEMPTS: Sequence[tuple[str, Callable[[], object]]] = (
    ("socket", _socket),
    ("openat", lambda: call("openat", -100, ctypes.c_char_p(b"/"), 0, 0)),
    ("execve", lambda: call("execve", 0, 0, 0)),
    ("ptrace", lambda: call("ptrace", 9999, 0, 0, 0)),
    ("process_vm_readv", lambda: call("process_vm_readv", 0, 0, 0, 0, 0, 1)),
    ("mount", lambda: call("mount", 0, 0, 0, 0, 0)),
    ("unshare", lambda: call("unshare", 0)),
    ("clone", lambda: call("clone", 0x800, 0, 0, 0, 0)),  # CLONE_SIGHAND without CLONE_VM: never valid
    ("prctl", lambda: call("prctl", 9999, 0, 0, 0, 0)),
)


def _argument(index: int) -> int:
    return _ARGUMENTS + 8 * index  # the lower half: both machines are little-endian


def _verdicts() -> list[Instruction]:
    return [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERROR | errno.EPERM)]


def _any_of(values: Sequence[int]) -> list[Instruction]:
    jumps = [(_EQUAL, len(values) - 1 - i, 0 if i + 1 < len(values) else 1, value) for i, value in enumerate(values)]
    return [(_LOAD, 0, 0, _argument(0)), *jumps, *_verdicts()]


def _when(name: str, then: list[Instruction]) -> list[Instruction]:
    number = number_of(name)
    return [] if number is None else [(_EQUAL, 0, len(then), number), *then]
