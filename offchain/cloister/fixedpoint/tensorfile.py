"""safetensors files, read with suspicion.

Layout: 8 bytes little-endian header length, that many bytes of JSON {name: {dtype, shape, data_offsets}},
then the data. Every size, offset, type and overlap is checked in Python integers before anything is
allocated.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any, Final

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from cloister.fixedpoint.errors import InvalidPackage
from cloister.fixedpoint.limits import (
    MAX_EXTENT,
    MAX_TENSORS,
    MAX_TENSORS_HEADER_BYTES,
    MAX_WEIGHTS_BYTES,
)

DTYPES: Final[dict[str, np.dtype[np.generic]]] = {
    "U8": np.dtype("u1"),
    "I16": np.dtype("<i2"),
    "I32": np.dtype("<i4"),
}
FETCH_AGAIN: Final = "Fetch the file again from its owner; if that does not help, the owner must package it again."
OTHER_FORMATS: Final = ((b"\x80", "a Python pickle"), (b"PK\x03\x04", "a PyTorch or zip archive"))


def write_tensors(tensors: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The safetensors file of these arrays; equal arrays give equal bytes."""
    return safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in tensors.items()})


def read_tensors(data: bytes | bytearray | memoryview) -> dict[str, NDArray[np.generic]]:
    """Read-only arrays by name, in the order of their data. Raises InvalidPackage, saying what is wrong."""
    if len(data) > MAX_WEIGHTS_BYTES:
        raise _damaged(f"it has {len(data):,} bytes; the limit is {MAX_WEIGHTS_BYTES:,}")
    if len(data) < 8:
        raise _damaged(f"it has {len(data)} bytes, too few for a header")
    view = memoryview(data)
    size = int.from_bytes(view[:8], "little")
    if size > min(MAX_TENSORS_HEADER_BYTES, len(data) - 8):
        for magic, kind in OTHER_FORMATS:
            if view[: len(magic)] == magic:
                raise _damaged(f"it looks like {kind}, which Cloister never opens")
        raise _damaged(f"its header claims {size:,} bytes, more than there are or than are allowed")
    header = _header(bytes(view[8 : 8 + size]))
    entries = sorted((_entry(name, fields) for name, fields in header.items()), key=lambda entry: entry[1:3])
    body = view[8 + size :].toreadonly()
    cursor = 0
    tensors: dict[str, NDArray[np.generic]] = {}
    for name, begin, end, dtype, shape in entries:
        if begin != cursor:
            raise _damaged(f"tensor {name!r} begins at {begin:,}, where {cursor:,} is expected: overlap or gap")
        if end > len(body):
            raise _damaged(f"tensor {name!r} ends at {end:,}, after the file's {len(body):,} bytes of data")
        tensors[name] = np.frombuffer(body[begin:end], dtype=dtype).reshape(shape)
        cursor = end
    if cursor != len(body):
        raise _damaged(f"{len(body) - cursor:,} bytes follow the last tensor")
    return tensors


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise _damaged(f"its header is not valid JSON ({error})") from error
    if not isinstance(header, dict):
        raise _damaged("its header is not a JSON object")
    if len(header) > MAX_TENSORS:
        raise _damaged(f"it lists {len(header):,} tensors; the limit is {MAX_TENSORS:,}")
    return header


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name occurs twice")
    return entries


def _entry(name: str, fields: Any) -> tuple[str, int, int, np.dtype[np.generic], tuple[int, ...]]:
    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise _damaged(f"tensor {name!r} is not described by dtype, shape and data_offsets alone")
    kind, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise _damaged(f"tensor {name!r} has type {kind!r}; allowed are {', '.join(DTYPES)}")
    if not _naturals(shape) or len(shape) > 4 or any(not 1 <= extent <= MAX_EXTENT for extent in shape):
        raise _damaged(f"tensor {name!r} has a malformed shape")
    if not _naturals(offsets) or len(offsets) != 2:
        raise _damaged(f"tensor {name!r} has malformed data_offsets")
    begin, end = offsets
    expected = prod(shape) * DTYPES[kind].itemsize
    if end - begin != expected:
        raise _damaged(f"tensor {name!r} spans {end - begin:,} bytes, its shape needs {expected:,}")
    return name, begin, end, DTYPES[kind], tuple(shape)


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _damaged(what: str) -> InvalidPackage:
    return InvalidPackage(f"The tensor file is refused: {what}.", FETCH_AGAIN)
