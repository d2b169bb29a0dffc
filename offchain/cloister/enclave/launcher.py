"""Starts the enclave process, under bubblewrap where it is installed."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, Final

from cloister.enclave import messages as m
from cloister.enclave.client import Enclave
from cloister.enclave.errors import EnclaveFailed, FrameError, Unprotected
from cloister.enclave.frames import Channel
from cloister.enclave.isolation import NAMES, Protection
from cloister.enclave.keyring import EnclaveContext

START_SECONDS: Final = 180.0
"""Longest start: without a cache, every kernel of the prover is compiled."""
_SYSTEM: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_PASSED_ON: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def launch(
    context: EnclaveContext,
    *,
    unprotected: frozenset[str] = frozenset(),
    code: Path | None = None,
    numba_cache: Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Enclave:
    """Start an enclave with new keys. `log` gets each line that it writes.

    `unprotected` names protections that may be missing. `code` is another source root to run (the folder that holds
    `cloister`). `numba_cache` is a folder with compiled kernels; what is in it is code, and as such part of what must
    be measured.

    Raises Unprotected if a protection is missing that is not named, and EnclaveFailed if the process does not start.
    """
    if unknown := sorted(unprotected - set(NAMES)):
        raise Unprotected(f"There are no protections {', '.join(unknown)}.", f"Known are {', '.join(NAMES)}.")
    source = (code or Path(__file__).parents[2]).resolve()
    ours, theirs = socket.socketpair()
    try:
        command = [sys.executable, "-s", "-B", "-P", "-m", "cloister.enclave", "--fd", str(theirs.fileno())]
        environment = _environment(source, numba_cache)
        if (bwrap := shutil.which("bwrap")) is not None:
            command = [bwrap, *_sandbox(source, numba_cache, environment), "--", *command]
        with _memory_can_be_locked():
            process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    assert process.stdout is not None  # it is a pipe
    Thread(target=_pass_on, args=(process.stdout, log), name="enclave log", daemon=True).start()
    channel = Channel(ours)
    try:
        return _started(channel, process, context, unprotected)
    except BaseException:
        channel.close()
        process.kill()
        process.wait()
        raise


def _started(
    channel: Channel, process: subprocess.Popen[bytes], context: EnclaveContext, unprotected: frozenset[str]
) -> Enclave:
    parties = context.market, context.registry, context.models, context.worker
    try:
        channel.send(m.encoded(m.Start(context.chain_id, *parties, tuple(sorted(unprotected)))), START_SECONDS)
        answer: m.Answer = m.answer_of(channel.receive(START_SECONDS))
    except FrameError:
        answer = m.Failed()
    if isinstance(answer, m.NotProtected):
        missing = [Protection(*each) for each in answer.protections if not each[1] and each[0] not in unprotected]
        raise Unprotected(
            "The enclave would run without "
            + "; ".join(f"{protection.name} ({protection.detail})" for protection in missing)
            + ".",
            f"Mend that, or give it up by name: {', '.join(protection.name for protection in missing)}.",
        )
    if not isinstance(answer, m.Started):
        raise EnclaveFailed("The enclave does not start.", "Its log tells where it failed.")
    protections = tuple(Protection(*each) for each in answer.protections)
    return Enclave(context, channel, process, protections, answer.hpke_key, answer.signer)


def _sandbox(source: Path, numba_cache: Path | None, environment: dict[str, str]) -> Iterator[str]:
    """bubblewrap's arguments: namespaces of its own, and of the file system nothing but code, to read."""
    # Whoever makes a user namespace can do anything to the processes in it, and so read their memory. Root needs none.
    if os.geteuid() == 0:
        yield from ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
    else:
        yield "--unshare-all"
    yield from ("--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv")
    yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")  # noqa: S108  inside, and nobody else's
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    python = {sys.executable, str(Path(sys.executable).resolve()), str(Path(sys.prefix) / "pyvenv.cfg")}
    shared = {str(Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib"))}
    for path in sorted(libraries | python | shared | set(_SYSTEM) | {str(source / "cloister")}):
        if Path(path).exists():
            yield from ("--ro-bind", path, path)
    if numba_cache is not None:
        yield from ("--ro-bind", str(numba_cache), str(numba_cache))
    for name, value in environment.items():
        yield from ("--setenv", name, value)
    yield from ("--remount-ro", "/", "--chdir", "/")


def _environment(source: Path, numba_cache: Path | None) -> dict[str, str]:
    chosen = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    chosen |= {"PYTHONPATH": str(source), "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "PATH": "/nonexistent"}
    if numba_cache is not None:
        chosen["NUMBA_CACHE_DIR"] = str(numba_cache)
    return chosen


@contextmanager
def _memory_can_be_locked() -> Iterator[None]:
    """Lets the child inherit as much lockable memory as this process may give it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))


def _pass_on(stream: IO[bytes], log: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            log(line.decode("utf-8", "replace").rstrip()[:2000])
