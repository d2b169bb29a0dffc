"""Where passwords come from: a terminal or a file. Never an argument or the environment (KEY-1)."""

from __future__ import annotations

import getpass
import os
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from cloister.storage.errors import PasswordUnavailable

MAX_FILE_BYTES: Final = 4 << 10

_log = structlog.get_logger(__name__)


def password_from(
    file: Path | None = None,
    *,
    label: str = "Password: ",
    confirm: bool = False,
    prompt: Callable[[str], str] | None = None,
) -> str:
    """Return the first line of `file`, or what `prompt` (by default the terminal) returns for `label`.

    With `confirm` the prompt comes twice, for a password that is about to be set.
    Raises PasswordUnavailable if it is empty, differs the second time, or cannot be read. The file has to be
    a regular file: a pipe or device could be read only once, or wait for ever.
    """
    if file is not None:
        return _from_file(file)
    ask = prompt or _ask_terminal
    try:
        password = ask(label)
        if confirm and ask("Once more: ") != password:
            raise PasswordUnavailable("The two passwords differ.", "Try again.")
    except (EOFError, OSError, getpass.GetPassWarning):
        raise PasswordUnavailable(
            "There is no terminal to ask for a password.",
            "Write it to a file with mode 0600 and set password_file.",
        ) from None
    return _accepted(password, "The password is empty.")


def _ask_terminal(label: str) -> str:
    with warnings.catch_warnings():
        # without a terminal getpass would warn, and then read a password that everybody sees
        warnings.simplefilter("error", getpass.GetPassWarning)
        return getpass.getpass(label)


def _from_file(path: Path) -> str:
    try:
        # non-blocking, so that opening a named pipe without a writer does not wait
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            data = file.read(MAX_FILE_BYTES + 1) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise PasswordUnavailable(f"The password file {path} cannot be read: {error.strerror}.") from None
    if not stat.S_ISREG(mode):
        raise PasswordUnavailable(f"The password file {path} is not a regular file.")
    if len(data) > MAX_FILE_BYTES:
        raise PasswordUnavailable(f"The password file {path} is longer than {MAX_FILE_BYTES} bytes.")
    if stat.S_IMODE(mode) & 0o077:
        _log.warning("password file open to other users", file=str(path), fix=f"chmod 600 {path}")
    try:
        password = data.split(b"\n", 1)[0].removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise PasswordUnavailable(f"The first line of the password file {path} is not UTF-8.") from None
    return _accepted(password, f"The first line of the password file {path} is empty.")


def _accepted(password: str, problem: str) -> str:
    if not password:
        raise PasswordUnavailable(problem)
    return password
