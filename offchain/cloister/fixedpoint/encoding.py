"""Bytes of inputs and outputs: what commitments hash and ciphertexts carry.

A row is its entries in row-major order, each a signed 32-bit two's-complement integer, big-endian. Rows
follow each other without header, separator or padding, so n rows of E entries take exactly 4·n·E bytes. A
job carries one row; a message carries 1 to 4096.

    input   entry (c, y, x) of row i at byte 4·(i·E + (c·H + y)·W + x), inside its declared [low, high]
    output  label j of row i at byte 4·(i·E + j), inside [-2^(31-s), 2^(31-s))

Decoding accepts these bytes and no others, so equal values have equal bytes and the reverse.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cloister.fixedpoint.errors import InvalidModelInput
from cloister.fixedpoint.limits import MAX_ROWS
from cloister.fixedpoint.manifest import Manifest


def encode_input(rows: ArrayLike, manifest: Manifest) -> bytes:
    """Integer rows (n, *shape) to bytes. Raises InvalidModelInput."""
    return _encode(check_input(rows, manifest))


def decode_input(data: bytes, manifest: Manifest) -> NDArray[np.int64]:
    """Bytes to int64 rows (n, *shape). Raises InvalidModelInput."""
    return check_input(_decode(data, manifest.input.shape, "input"), manifest)


def encode_output(rows: ArrayLike, manifest: Manifest) -> bytes:
    """Output rows (n, labels) to bytes. Raises InvalidModelInput."""
    return _encode(check_output(rows, manifest))


def decode_output(data: bytes, manifest: Manifest) -> NDArray[np.int64]:
    """Bytes to int64 output rows (n, labels). Raises InvalidModelInput."""
    return check_output(_decode(data, (manifest.outputs,), "output"), manifest)


def check_input(rows: ArrayLike, manifest: Manifest) -> NDArray[np.int64]:
    """Integer rows (n, *shape) as int64, or InvalidModelInput naming the first entry outside its range."""
    low, high = manifest.input.bounds()
    return _check(rows, manifest.input.shape, low, high, "input")


def check_output(rows: ArrayLike, manifest: Manifest) -> NDArray[np.int64]:
    """Output rows (n, labels) as int64, or InvalidModelInput naming the first that no z can produce."""
    limit = 2 ** (31 - manifest.arithmetic.s)
    ends = np.full(manifest.outputs, limit, dtype=np.int64)
    return _check(rows, (manifest.outputs,), -ends, ends - 1, "output")


def _check(
    rows: ArrayLike, shape: tuple[int, ...], low: NDArray[np.int64], high: NDArray[np.int64], what: str
) -> NDArray[np.int64]:
    try:
        array = np.asarray(rows)
    except ValueError as error:
        raise InvalidModelInput(
            f"The {what} is not a rectangular array ({error}).", "Give equal-length rows."
        ) from error
    if array.dtype.kind not in "iu":
        raise InvalidModelInput(
            f"The {what} has type {array.dtype}; integers are expected.",
            "Turn measured numbers into integers with the manifest's input.quantise().",
        )
    if array.shape[1:] != shape or array.ndim != len(shape) + 1 or len(array) == 0:
        raise InvalidModelInput(
            f"The {what} has shape {array.shape}, expected (n, {', '.join(map(str, shape))}) with n >= 1.",
            "One row is a batch of one.",
        )
    if array.dtype == np.uint64:
        # Entries from 2^63 would wrap to negative ones; cut them far outside every range instead.
        wide: NDArray[np.int64] = np.minimum(array, np.uint64(2**62)).astype(np.int64)
    else:
        wide = array.astype(np.int64)
    outside = np.argwhere((wide < low) | (wide > high))
    if len(outside):
        index = tuple(outside[0].tolist())
        raise InvalidModelInput(
            f"{what.capitalize()} entry {index} is {int(array[index])}, "
            f"outside [{int(low[index[1:]])}, {int(high[index[1:]])}].",
            "The model's range was proved for these bounds only; check the scaling of your features.",
        )
    return wide


def _encode(rows: NDArray[np.int64]) -> bytes:
    if len(rows) > MAX_ROWS:
        raise InvalidModelInput(f"{len(rows):,} rows; a message carries at most {MAX_ROWS:,}.", "Split the batch.")
    return rows.astype(">i4").tobytes()


def _decode(data: bytes, shape: tuple[int, ...], what: str) -> NDArray[np.int64]:
    size = 4 * prod(shape)
    if len(data) == 0 or len(data) % size or len(data) > MAX_ROWS * size:
        raise InvalidModelInput(
            f"The encoded {what} has {len(data):,} bytes, expected {size:,} for each of 1-{MAX_ROWS} rows.",
            "Check that it was encoded for this model.",
        )
    return np.frombuffer(data, dtype=">i4").astype(np.int64).reshape(-1, *shape)
