"""`cloister config`: what is set, and where it was set."""

from __future__ import annotations

import typer

from cloister.cli.command import command, group
from cloister.cli.run import Run
from cloister.cli.screen import Output, Table

config = group("config", summary="Look at the configuration.")


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.add_typer(config)


@command(config, "show", example="cloister config show --rpc-url https://rpc.example.org")
def show(run: Run) -> Output:
    """Show every setting, its value and where it came from.

    A flag beats the environment (CLOISTER_…), that beats ./cloister.toml, that beats cloister/config.toml in the user's
    configuration folder, and that beats the default. Of an endpoint's URL only scheme, host and port are shown.
    """
    rows = run.loaded.rows()
    document = {"settings": {name: {"value": value, "source": source} for name, value, source in rows}}
    return Output(document, [Table(("setting", "value", "from"), rows)])
