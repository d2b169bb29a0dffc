"""The enclave's code, compiled ahead once for all testnets of this installation."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from cloister.attestation.measurement import measure
from cloister.enclave.launcher import compile_ahead


def cache_folder() -> Path:
    """Where it is kept: below XDG_CACHE_HOME, or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cloister"


def compiled_ahead(report: Callable[[str], None] = lambda _: None) -> Path:
    """The folder with the compiled form of just this code; `report` is told before it is made, which takes a while.

    Raises EnclaveFailed and MeasurementError.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"enclave-{measure(cache=cache / 'digests.json').measurement().hex()[:16]}"
    with (cache / "compiling.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            report("compiling the enclave's code, once for this version")
            compile_ahead(folder)
    return folder
