"""`cloister version`."""

from __future__ import annotations

import typer

from cloister.cli.command import command
from cloister.cli.run import Run
from cloister.cli.screen import Output

PROTOCOL = 1
"""Of docs/spec/protocol.md."""


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""

    @command(app, "version", example="cloister version")
    def version(run: Run) -> Output:
        """Show which version of Cloister this is."""
        import platform
        from importlib import metadata

        found = metadata.version("cloister")
        document = {"cloister": found, "protocol": PROTOCOL, "python": platform.python_version()}
        return Output(document, [f"cloister {found}, protocol version {PROTOCOL}"])
