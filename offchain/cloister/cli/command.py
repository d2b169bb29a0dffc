"""What all commands have in common: their flags, their examples, and how they meet typer."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from cloister.cli.flags import Session, parameters
from cloister.cli.run import Run
from cloister.cli.screen import Output
from cloister.domain.errors import CloisterError

Function = Callable[..., Output | None]
BROKEN_PIPE = 141
"""128 + SIGPIPE, what a shell reports for a program whose reader has gone."""


class Interrupted(CloisterError):
    """Ctrl-C."""


def group(name: str | None = None, *, summary: str) -> typer.Typer:
    """A command that only has subcommands. It takes the settings before them, and lists them when called alone."""
    app = _typer(name)

    def choose(context: typer.Context, **values: Any) -> None:
        session = context.ensure_object(Session)
        session.take(values)
        if context.invoked_subcommand is None:
            if session.json:
                raise typer.BadParameter("A command is missing.", context)
            typer.echo(context.get_help())

    _describe(choose, summary, own=[], hidden=name is not None)
    app.callback(invoke_without_command=True)(choose)
    return app


def command(app: typer.Typer, name: str, *, example: str, service: bool = False) -> Callable[[Function], Function]:
    """Adds a function `(run, …typer's parameters)` as a command. What it returns is shown.

    A `service` runs until it is stopped and logs what it does. The function itself comes back unchanged.
    """

    def register(function: Function) -> Function:
        app.command(name, epilog=_epilog(example))(_entry(function, service=service))
        return function

    return register


def service_group(name: str, *, example: str) -> Callable[[Function], typer.Typer]:
    """Makes a function a service that has subcommands: without one, the function runs."""

    def register(function: Function) -> typer.Typer:
        app = _typer(name)
        app.callback(invoke_without_command=True, epilog=_epilog(example))(_entry(function, service=True))
        return app

    return register


def _typer(name: str | None) -> typer.Typer:
    # Plain help: it reads the same on every terminal, in a pipe and in docs/cli.md, and needs no import of rich.
    return typer.Typer(name=name, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _entry(function: Function, *, service: bool) -> Callable[..., None]:
    def entry(context: typer.Context, **values: Any) -> None:
        session = context.ensure_object(Session)
        own = session.take(values)
        if context.invoked_subcommand is not None:
            return
        run = Run(session, service=service)
        try:
            output = function(run, **own)
            if output is not None:
                run.screen.show(output)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise Interrupted("Interrupted.") from None
        except BrokenPipeError:
            # Python would complain about the pipe once more when it flushes at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    _describe(entry, inspect.getdoc(function) or "", own, hidden=True)
    return entry


def _describe(entry: Callable[..., None], text: str, own: list[inspect.Parameter], *, hidden: bool) -> None:
    """Gives `entry` the signature that typer reads."""
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    signature = inspect.Signature([context, *own, *parameters(hidden=hidden)])
    entry.__signature__ = signature  # type: ignore[attr-defined]  # read by inspect.signature
    entry.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    entry.__doc__ = text


def _epilog(example: str) -> str:
    lines = "\n".join(f"  {line}" for line in example.splitlines())
    # \b keeps the lines of a paragraph as they are
    return f"\b\nExample:\n{lines}\n\nEvery setting is a flag, too (--rpc-url, --account, …): see cloister --help."
