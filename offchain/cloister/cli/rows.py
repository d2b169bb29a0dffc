"""Input rows from a file: JSON or CSV, measured numbers or integers."""

from __future__ import annotations

import csv
import json
import sys
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloister.domain.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cloister.fixedpoint import Manifest

MAX_BYTES = 16 << 20
STDIN = Path("-")
FORMS = "Give JSON, [[1.5, 2], [3, 4]], or CSV with one row per line, with or without a line of names above."


def read_rows(path: Path, *, integers: bool) -> list[Any]:
    """The rows of a file, - for standard input, as nested lists of numbers. One JSON row alone is a batch of one.

    Raises InvalidInput unless all entries are numbers, or integers where these are wanted.
    """
    where = "standard input" if path == STDIN else str(path)
    data = _read(path, where)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"The rows in {where} are not text.", FORMS) from None
    rows = _json(text, where) if text.lstrip()[:1] in ("[", "{") else _csv(text, where, integers=integers)
    if not rows:
        raise InvalidInput(f"There are no rows in {where}.", FORMS)
    if not any(isinstance(row, list) for row in rows):
        rows = [rows]
    _check_numbers(rows, where, integers=integers)
    return rows


def to_input(rows: list[Any], manifest: Manifest, *, integers: bool) -> NDArray[np.int64]:
    """What the model reads. Flat rows take the model's shape; measured numbers are quantised as the manifest says.

    Raises InvalidModelInput for rows of another shape, and for integers outside their range.
    """
    import numpy as np

    from cloister.fixedpoint import InvalidModelInput, check_input

    shape = manifest.input.shape
    try:
        array = np.asarray(rows)
    except ValueError:
        raise InvalidModelInput("The rows differ in length.", f"Each has {prod(shape)} entries.") from None
    if array.ndim == 2 and array.shape[1] == prod(shape):
        array = array.reshape(len(array), *shape)
    if not integers:
        array = manifest.input.quantise(array, manifest.arithmetic)
    return check_input(array, manifest)


def _read(path: Path, where: str) -> bytes:
    try:
        if path == STDIN:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{where} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{where} is longer than {MAX_BYTES >> 20} MiB.", "Split the rows over several jobs.")
    return data


def _json(text: str, where: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where} is not JSON: {error}.", FORMS) from None
    if not isinstance(rows, list):
        raise InvalidInput(f"The JSON in {where} is no list of rows.", FORMS)
    return rows


def _csv(text: str, where: str, *, integers: bool) -> list[Any]:
    number: type[int] | type[float] = int if integers else float
    rows: list[Any] = []
    reader = csv.reader(text.splitlines())
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            try:
                rows.append([number(cell) for cell in cells])
            except ValueError:
                if reader.line_num == 1 and not any(_is_number(cell) for cell in cells):
                    continue  # names of columns
                wanted = "integers" if integers else "numbers"
                raise InvalidInput(
                    f"Line {reader.line_num} of {where} has entries that are no {wanted}.", FORMS
                ) from None
    except csv.Error as error:
        raise InvalidInput(f"Line {reader.line_num} of {where} is not CSV: {error}.", FORMS) from None
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_numbers(rows: list[Any], where: str, *, integers: bool) -> None:
    kinds = (int,) if integers else (int, float)
    pending: list[Any] = [rows]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, bool) or not isinstance(value, kinds):
            wanted = "integer" if integers else "number"
            raise InvalidInput(f"The rows in {where} contain {json.dumps(value)[:40]}, which is no {wanted}.", FORMS)
