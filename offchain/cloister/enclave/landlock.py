"""Landlock: no file, no TCP port, no foreign socket or signal, whatever namespaces would allow."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final

from cloister.enclave.kernel import call

_VERSION_QUESTION: Final = 1
_FILES_BY_ABI: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Rights over files that each version of the interface knows, as a number of bits."""


def abi() -> int:
    """Version of the kernel's interface. Raises OSError where there is none."""
    return call("landlock_create_ruleset", 0, 0, _VERSION_QUESTION)


def install() -> None:
    """Take every right that the kernel can take from this thread and those it starts. Raises OSError."""
    version = abi()
    files = (1 << _FILES_BY_ABI[min(version, 5)]) - 1
    network = 3 if version >= 4 else 0
    scopes = 3 if version >= 6 else 0
    rules = struct.pack("=QQQ", files, network, scopes)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    handle = call("landlock_create_ruleset", ctypes.create_string_buffer(rules, len(rules)), len(rules), 0)
    try:
        call("landlock_restrict_self", handle, 0)
    finally:
        os.close(handle)


def holds(path: str) -> str:
    """What is wrong: a file that exists must not open. Empty if it does not. For before seccomp, which hides this."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        return "" if error.errno == errno.EACCES else f"opening a file gives {errno.errorcode.get(error.errno or 0)}"
    return "a file opens"
