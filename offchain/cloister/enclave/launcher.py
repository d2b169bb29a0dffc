"""Starts the enclave process, under bubblewrap where it is installed."""

from __future__ import annotations

import resource
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, Final

from cloister.attestation.measurement import OURS, measure
from cloister.attestation.registers import Registers
from cloister.enclave import messages as m
from cloister.enclave.client import Enclave
from cloister.enclave.errors import EnclaveFailed, FrameError, Unprotected
from cloister.enclave.frames import Channel
from cloister.enclave.installation import Installation, source_root
from cloister.enclave.isolation import NAMES, Protection
from cloister.enclave.keyring import EnclaveContext

START_SECONDS: Final = 180.0
"""Longest start: everything that was not compiled ahead is compiled then."""
COMPILE_SECONDS: Final = 600.0


def launch(
    context: EnclaveContext,
    *,
    unprotected: frozenset[str] = frozenset(),
    code: Path | None = None,
    compiled: Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Enclave:
    """Start an enclave with new keys. `log` gets each line that it writes.

    `unprotected` names protections that may be missing. `code` is another source root to run (the folder that holds
    `cloister`). `compiled` is a folder of `compile_ahead`, which makes the start several times as fast: what is in it
    runs instead of the sources. Give both to `measured` as well. No other compiled file is read.

    Raises Unprotected if a protection is missing that is not named, EnclaveFailed if the process does not start, and
    MeasurementError if it cannot be told which libraries it needs.
    """
    if unknown := sorted(unprotected - set(NAMES)):
        raise Unprotected(f"There are no protections {', '.join(unknown)}.", f"Known are {', '.join(NAMES)}.")
    installation = Installation.found(code, compiled)
    ours, theirs = socket.socketpair()
    try:
        command = installation.command("-B", "-m", "cloister.enclave", "--fd", str(theirs.fileno()))
        with _memory_can_be_locked():
            process = subprocess.Popen(
                command,
                env=installation.environment(),
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


def measured(*, code: Path | None = None, compiled: Path | None = None, cache: Path | None = None) -> Registers:
    """The measurement of what `launch` starts when it is given the same `code` and `compiled`.

    `cache` is a file of digests, see `cloister.attestation.measurement.measure`. Raises MeasurementError.
    """
    return measure(source_root(code) / OURS, compiled=compiled, cache=cache)


def compile_ahead(folder: Path, *, code: Path | None = None, log: Callable[[str], None] = lambda line: None) -> None:
    """Fill a folder with all that an enclave loads, compiled; what was there goes, and is kept if this fails.

    The compiler sees no more than an enclave does. Raises EnclaveFailed.
    """
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)
    installation = Installation.found(code, fresh)
    command = installation.command("-m", "cloister.enclave.ahead", writable=True)
    done = subprocess.run(
        command,
        env=installation.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=COMPILE_SECONDS,
        check=False,
    )
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        log(line[:2000])
    if done.returncode:
        raise EnclaveFailed("The enclave's code cannot be compiled ahead.", "Its log tells where it failed.")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


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
