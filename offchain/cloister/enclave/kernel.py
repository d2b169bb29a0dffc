"""Linux system calls that Python has no function for, and their numbers on both machines that enclaves run on."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Final

_NUMBERS: Final = {
    # name: (x86_64, aarch64); None where a machine has no such call
    "arch_prctl": (158, None),
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close": (3, 57),
    "execve": (59, 221),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "fcntl": (72, 25),
    "fstat": (5, 80),
    "futex": (202, 98),
    "get_robust_list": (274, 100),
    "getcpu": (309, 168),
    "getcwd": (79, 17),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getpid": (39, 172),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "lseek": (8, 62),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mlock": (149, 228),
    "mlock2": (325, 284),
    "mmap": (9, 222),
    "mount": (165, 40),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munlock": (150, 229),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "openat": (257, 56),
    "poll": (7, None),
    "ppoll": (271, 73),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "process_vm_readv": (310, 270),
    "pselect6": (270, 72),
    "ptrace": (101, 117),
    "read": (0, 63),
    "readv": (19, 65),
    "recvfrom": (45, 207),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "seccomp": (317, 277),
    "select": (23, None),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "shutdown": (48, 210),
    "sigaltstack": (131, 132),
    "socket": (41, 198),
    "sysinfo": (99, 179),
    "tgkill": (234, 131),
    "times": (100, 153),
    "uname": (63, 160),
    "unshare": (272, 97),
    "write": (1, 64),
    "writev": (20, 66),
}
MACHINES: Final = ("x86_64", "aarch64")

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
PR_SET_NAME, PR_GET_NAME = 15, 16
PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39
PR_GET_SECCOMP = 21
PR_SET_VMA = 0x53564D41


def machine() -> str:
    """ "x86_64", "aarch64", or empty where none of this works."""
    found = platform.machine().replace("arm64", "aarch64")
    return found if platform.system() == "Linux" and found in MACHINES else ""


def number_of(name: str) -> int | None:
    """A call's number on this machine; None if it has none."""
    return _NUMBERS[name][MACHINES.index(machine())] if machine() else None


def call(name: str, *arguments: object) -> int:
    """Do a system call. Raises OSError."""
    number = number_of(name)
    if number is None:
        raise OSError(38, f"{platform.system()} on {platform.machine()} has no {name}")
    libc = ctypes.CDLL(None, use_errno=True)
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(libc.syscall(ctypes.c_long(number), *wide))
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def prctl(option: int, value: int = 0) -> int:
    """prctl with one argument. Raises OSError."""
    return call("prctl", option, value, 0, 0, 0)
