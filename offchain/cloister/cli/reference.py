"""Every command's help as Markdown: the second half of docs/cli.md, which a test holds to this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer import Context
from typer.main import get_command

WIDTH = 100
"""Columns."""
BEGIN = "<!-- from here on written by scripts/cli_reference.py -->"


def commands() -> Iterator[tuple[Context, Any]]:
    """Each command of the tree with its context, parents before children. A command has `params` and `callback`."""
    from cloister.cli.program import app

    pending: list[tuple[Context | None, str, Any]] = [(None, "cloister", get_command(app))]
    while pending:
        parent, name, command = pending.pop(0)
        context = Context(command, parent=parent, info_name=name, terminal_width=WIDTH)
        yield context, command
        children = getattr(command, "commands", {})
        pending[:0] = [(context, name, child) for name, child in children.items()]


def reference() -> str:
    """The Markdown text, from its first heading on."""
    sections = []
    for context, command in commands():
        heading = "##" if context.parent is None else "###"
        sections.append(f"{heading} {context.command_path}\n\n```text\n{command.get_help(context).strip()}\n```\n")
    return "\n".join(sections)
