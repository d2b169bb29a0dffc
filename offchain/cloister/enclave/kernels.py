"""numba's cache of compiled kernels, in a process that can write no file, and later reads none.

numba compiles each kernel when it first meets its argument types, and keeps the machine code in files. In here that
cache is read and never written, and after `close_cache` not looked for; a kernel that is still missing is compiled in
memory. To be called before the first kernel is declared.
"""

from __future__ import annotations

from numba.core import caching


def read_cache_only() -> None:
    """Let numba read its cache from folders that cannot be written."""
    caching._CacheLocator.ensure_cache_path = lambda self: None  # type: ignore[method-assign]  # noqa: SLF001
    caching.Cache.save_overload = lambda self, signature, data: None  # type: ignore[method-assign]


def close_cache() -> None:
    """Look for compiled code no more."""
    caching.Cache.load_overload = lambda self, signature, context: None  # type: ignore[method-assign]
