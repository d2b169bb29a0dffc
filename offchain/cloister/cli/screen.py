"""What a command shows: one JSON document or text on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 1_000
"""Columns; ids must come out in one piece, however narrow the terminal."""


def printable(text: object) -> str:
    """`text` without control characters: names and messages from a chain may try to steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(text))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headers; people only."""

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Output:
    """A command's answer: `document` with --json, else `parts` one below the other.

    Sums in a document are strings of wei, ids are 0x and hexadecimal digits.
    """

    document: Mapping[str, Any]
    parts: Sequence[str | Table]


def facts(pairs: Mapping[str, object]) -> Table:
    """Names and values below each other."""
    return Table((), [(name, value) for name, value in pairs.items() if value is not None])


class Screen:
    """Where a command's answer and its progress go."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self._live: Console | None = None
        """The terminal, while something moves on it."""

    def show(self, output: Output) -> None:
        """Prints a command's answer."""
        if self.json:
            print_document(output.document)
            return
        for part in output.parts:
            if isinstance(part, Table):
                _print_table(part)
            else:
                print(printable(part))
        sys.stdout.flush()

    def tell(self, line: str) -> None:
        """One line of progress."""
        if self._live is not None:
            self._live.print(printable(line), soft_wrap=True)
        else:
            print(printable(line), file=sys.stderr, flush=True)

    @contextmanager
    def waiting(self, what: str) -> Iterator[Callable[[str], None]]:
        """A sign of life on a terminal for as long as the block runs, which may call to change its words."""
        if not sys.stderr.isatty():
            yield lambda _: None
            return
        console = _console(sys.stderr)
        with console.status(printable(what)) as status:
            self._live = console
            try:
                yield lambda words: status.update(printable(words))
            finally:
                self._live = None


def print_document(document: Mapping[str, Any]) -> None:
    """Prints one JSON document on standard output."""
    print(json.dumps(document, indent=2), flush=True)


def _console(file: TextIO, width: int | None = None) -> Console:
    from rich.console import Console

    return Console(file=file, width=width, markup=False, highlight=False, emoji=False)


def _print_table(table: Table) -> None:
    from rich.table import Table as RichTable
    from rich.text import Text

    grid = RichTable(box=None, pad_edge=False, show_header=bool(table.headers), header_style="bold")
    for header in table.headers or [""] * len(table.rows[0] if table.rows else ()):
        grid.add_column(header, no_wrap=True)
    for row in table.rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    _console(sys.stdout, WIDE).print(grid)
