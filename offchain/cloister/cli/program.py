"""The program: all commands under one name, and what becomes of errors."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.main import get_command

from cloister.cli import (
    appeals,
    broker,
    configuration,
    credit,
    deploy,
    devnet,
    evidence,
    jobs,
    keys,
    models,
    nodes,
    proofs,
    request,
    result,
    sealed_models,
    version,
    worker,
)
from cloister.cli.command import Interrupted, group
from cloister.cli.flags import Session
from cloister.cli.screen import print_document, printable
from cloister.domain.errors import CloisterError

FAILED = 1
MISUSED = 2
INTERRUPTED = 130
"""128 + SIGINT."""

app = group(summary="AI inference on machines nobody has to trust.")
for capability in (
    request,
    result,
    appeals,
    jobs,
    nodes,
    models,
    sealed_models,
    proofs,
    evidence,
    credit,
    worker,
    broker,
    keys,
    deploy,
    devnet,
    configuration,
    version,
):
    capability.add_to(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code. What is not a CloisterError is a bug and comes out as it is."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    session = Session(json="--json" in given)  # also when the arguments are not understood
    try:
        code = get_command(app).main(given, prog_name="cloister", standalone_mode=False, obj=session)
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:
        _report(session, "UsageError", error.format_message(), _usage_hint(error))
        return MISUSED
    except CloisterError as error:
        if session.debug:
            traceback.print_exc()
        _report(session, type(error).__name__, error.message, error.hint)
        return _exit_code(error)


def _exit_code(error: CloisterError) -> int:
    from cloister.config.errors import ConfigError

    if isinstance(error, Interrupted):
        return INTERRUPTED
    return MISUSED if isinstance(error, ConfigError) else FAILED


def _report(session: Session, kind: str, message: str, hint: str) -> None:
    if session.job is not None:
        hint = f"The job goes on. Take it up again with: cloister result {session.job} --wait"
    if session.json:
        described: dict[str, Any] = {"type": kind, "message": message, "hint": hint}
        if session.job is not None:
            described["job"] = session.job
        print_document({"error": described})
        return
    print(printable(f"error: {message}"), file=sys.stderr)
    if hint:
        print(printable(hint), file=sys.stderr)


def _usage_hint(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "cloister"
    return f"Try: {command} --help"
