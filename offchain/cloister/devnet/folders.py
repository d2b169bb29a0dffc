"""Folders of a testnet: made anew with each start, each with the settings of whoever works in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cloister.domain.errors import InvalidInput

MARKER = "this-folder-is-a-cloister-devnet"
Lines = dict[str, str | list[str]]
"""Settings, as a file has them."""


def make_anew(folder: Path) -> None:
    """An empty folder. Raises InvalidInput rather than delete what is no testnet's."""
    if folder.exists():
        if any(folder.iterdir()) and not (folder / MARKER).exists():
            raise InvalidInput(
                f"The folder {folder} holds something that is no testnet, and would be deleted.",
                "Give a folder that is empty or does not exist (--folder).",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    os.close(os.open(folder / MARKER, os.O_CREAT | os.O_WRONLY))


def write_config(folder: Path, settings: Lines) -> None:
    """A cloister.toml with these settings, and with those that suit a chain that is watched."""
    lines = [f"{name} = {_toml(value)}" for name, value in settings.items()]
    lines += ['confirmations = "latest"', "poll_seconds = 0.25", 'log_format = "json"', ""]
    (folder / "cloister.toml").write_text("\n".join(lines))


def _toml(value: str | list[str]) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
