"""The code that an enclave runs, and the sandbox that shows it nothing else.

Of the libraries that are installed beside Cloister, a process in the sandbox sees those that Cloister needs: the ones
that `cloister.attestation.measurement` measures. It runs no `.pth` file and no `sitecustomize`, and reads no compiled
file but those of a folder that is measured, too. Without bubblewrap, which must be given up by name, it could import
whatever is installed.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloister.attestation.measurement import OURS, closure, top_levels

_SYSTEM: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_PASSED_ON: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_NOWHERE: Final = "/nonexistent"


@dataclass(frozen=True, slots=True)
class Installation:
    """`source` is the folder that holds `cloister`, `libraries` what it may import from site folders.

    `compiled` is a folder of compiled code (`launcher.compile_ahead`), if there is one.
    """

    source: Path
    libraries: tuple[Path, ...]
    compiled: Path | None

    @classmethod
    def found(cls, code: Path | None, compiled: Path | None) -> Installation:
        """The one that this process runs, or with `code` another source root. Raises MeasurementError."""
        libraries = [path for distribution in closure(OURS) for path in top_levels(distribution)]
        return cls(source_root(code), tuple(sorted(libraries)), None if compiled is None else compiled.resolve())

    def command(self, *arguments: str, writable: bool = False) -> list[str]:
        """Python with these arguments, under bubblewrap where that is installed.

        The folder of compiled code can be written only if that is said.
        """
        cache = _NOWHERE if self.compiled is None else str(self.compiled / "python")
        command = [sys.executable, "-S", "-s", "-P", "-X", f"pycache_prefix={cache}", *arguments]
        if (bwrap := shutil.which("bwrap")) is None:
            return command
        return [bwrap, *self._sandbox(writable=writable), "--", *command]

    def environment(self) -> dict[str, str]:
        """All that the process gets of an environment."""
        chosen = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        chosen |= {"PYTHONPATH": os.pathsep.join(map(str, (self.source, *self._sites())))}
        chosen |= {"LC_ALL": "C.UTF-8", "HOME": _NOWHERE, "PATH": _NOWHERE}
        if self.compiled is not None:
            chosen["NUMBA_CACHE_DIR"] = str(self.compiled / "kernels")
        return chosen

    def _sites(self) -> list[Path]:
        return sorted({path.parent for path in self.libraries})

    def _sandbox(self, *, writable: bool) -> Iterator[str]:
        """bubblewrap's arguments: namespaces of its own, and of the file system nothing but code, to read."""
        # Whoever makes a user namespace can do anything to the processes in it, and so read their memory. Root needs
        # none.
        if os.geteuid() == 0:
            yield from ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
        else:
            yield "--unshare-all"
        yield from ("--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv")
        yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")  # noqa: S108  inside, and nobody else's
        standard = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
        python = {sys.executable, str(Path(sys.executable).resolve()), str(Path(sys.prefix) / "pyvenv.cfg")}
        shared = {str(Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib"))}
        for path in sorted(standard | python | shared | set(_SYSTEM)):
            if Path(path).exists():
                yield from ("--ro-bind", path, path)
        # Over the libraries that nobody measures, which may lie in a folder that is shown already.
        for site in self._sites():
            yield from ("--tmpfs", str(site))
        for library in (*self.libraries, self.source / OURS):
            yield from ("--ro-bind", str(library), str(library))
        for site in self._sites():
            yield from ("--remount-ro", str(site))
        if self.compiled is not None:
            yield from ("--bind" if writable else "--ro-bind", str(self.compiled), str(self.compiled))
        for name, value in self.environment().items():
            yield from ("--setenv", name, value)
        yield from ("--remount-ro", "/", "--chdir", "/")


def source_root(code: Path | None) -> Path:
    """`code`, or the folder that this very package is in."""
    return (code or Path(__file__).parents[2]).resolve()
