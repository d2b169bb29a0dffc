"""numba's cache of compiled kernels, in a process that can write no file, and later reads none.

numba compiles each kernel when it first meets its argument types, and keeps the machine code in files: beside the
sources, unless it is told where. What is in them runs. In here that cache is never written, read only where it was
measured, and not looked for once the enclave is closed; a kernel that is missing is compiled in memory.
"""

from __future__ import annotations

from numba.core import caching


def write_no_cache() -> None:
    """Let numba work with a cache that cannot be written. To be called before the first kernel is declared."""
    caching._CacheLocator.ensure_cache_path = lambda self: None  # type: ignore[method-assign]  # noqa: SLF001
    caching.Cache.save_overload = lambda self, signature, data: None  # type: ignore[method-assign]


def read_no_cache() -> None:
    """Look for compiled code nowhere, from now on."""
    caching.Cache.load_overload = lambda self, signature, context: None  # type: ignore[method-assign]
