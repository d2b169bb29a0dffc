"""Memory for keys: pages that even the kernel does not map elsewhere, and that are zero once a key is forgotten.

What this cannot do: CPython copies. A key that is used becomes a `bytes` object for the time of the call, and OpenSSL
and libsecp256k1 make their own copies, which OpenSSL clears and CPython does not. Freed `bytes` stay in the heap until
something else is written there. So a wiped key cannot be used again by anything in this process, but who reads all of
the process's memory soon afterwards may find traces. Against that stand the other protections: nobody else may read
the memory of this process, no core is written, and nothing is swapped out.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
from typing import Final

from cloister.domain.errors import CloisterError

PAGES: Final = 16
SLOT: Final = 128
_MEMFD_SECRET: Final = {"x86_64": 447, "aarch64": 447}


class NoRoomForSecrets(CloisterError):
    """Every slot is taken."""


class SecretPages:
    """Slots of 128 bytes in memfd_secret pages, or in ordinary memory where the kernel has none.

    `hidden` tells which; `detail` says why not.
    """

    def __init__(self) -> None:
        size = PAGES * mmap.PAGESIZE
        self.hidden, self.detail, self._map = _hidden(size)
        self._free = list(range(0, size, SLOT))

    def new(self, value: bytes) -> Secret:
        """Keep up to 128 bytes. Raises NoRoomForSecrets."""
        if len(value) > SLOT or not self._free:
            raise NoRoomForSecrets(f"There is no room for a secret of {len(value)} bytes.")
        at = self._free.pop()
        self._map[at : at + len(value)] = value
        return Secret(self, at, len(value))

    def read(self, at: int, length: int) -> bytes:
        """A copy of what is in a slot."""
        return self._map[at : at + length]

    def release(self, at: int) -> None:
        """Write zeros over a slot and give it back."""
        self._map[at : at + SLOT] = bytes(SLOT)
        self._free.append(at)

    @property
    def address(self) -> int:
        """Where the pages are, for tests of who can read them."""
        return ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def __len__(self) -> int:
        return len(self._map)


class Secret:
    """One key in a slot. The text form shows nothing."""

    __slots__ = ("_at", "_length", "_pages")

    def __init__(self, pages: SecretPages, at: int, length: int) -> None:
        self._pages, self._at, self._length = pages, at, length

    def use(self) -> bytes:
        """A copy, for the duration of a call. Raises ValueError once it is wiped."""
        if self._length < 0:
            raise ValueError("This key is wiped.")
        return self._pages.read(self._at, self._length)

    def wipe(self) -> None:
        """Write zeros over it; twice does nothing."""
        if self._length >= 0:
            self._length = -1
            self._pages.release(self._at)

    def __repr__(self) -> str:
        return "Secret()"


def _hidden(size: int) -> tuple[bool, str, mmap.mmap]:
    number = _MEMFD_SECRET.get(platform.machine())
    if number is None or platform.system() != "Linux":
        return False, f"{platform.system()} on {platform.machine()} has no memfd_secret", mmap.mmap(-1, size)
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.syscall(number, 0)
    if handle < 0:
        reason = os.strerror(ctypes.get_errno())
        return False, f"memfd_secret: {reason}", mmap.mmap(-1, size)
    try:
        os.ftruncate(handle, size)
        return True, "memfd_secret", mmap.mmap(handle, size)
    except OSError as error:
        return False, f"memfd_secret: {error.strerror}", mmap.mmap(-1, size)
    finally:
        os.close(handle)
