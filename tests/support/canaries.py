"""Values that occur nowhere by chance, every form in which a program may hold them, and a fast search for all of these.

    canaries = {"weights": forms_of_integers(weights), "key": forms_of_bytes(key)}
    Search(canaries).names_in(some_bytes)        # {"weights as 16-bit little-endian", ...}

What is sought are short windows, so that a value that was half overwritten is found as well.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

WINDOW = 8
"""Integers that are sought together."""
BYTES = 16
"""Bytes of a key or a file that are sought together."""
FORMS = {
    "16-bit little-endian": "<i2",
    "16-bit big-endian": ">i2",
    "32-bit little-endian": "<i4",
    "32-bit big-endian": ">i4",
    "64-bit little-endian": "<i8",
    "64-bit big-endian": ">i8",
    "float": "<f4",
    "double": "<f8",
}
TEXTS = {"JSON": ",", "a list": ", ", "an array": " ", "lines": "\n"}

_TABLE_BITS = 20
_SECOND = 8
"""How far the second word that a place is recognised by lies after the first."""
_SHORTEST = _SECOND + 4
_MOST_PLACES = 1 << 21

Needles = dict[str, list[bytes]]


def forms_of_integers(values: ArrayLike) -> Needles:
    """Windows of integers (any shape) in each binary form that holds them all, and as text."""
    flat = np.asarray(values, dtype=np.int64).ravel()
    windows = [flat[at : at + WINDOW] for at in range(0, len(flat) - WINDOW + 1, WINDOW)]
    found: Needles = {}
    for name, kind in FORMS.items():
        encoded = [window.astype(kind) for window in windows]
        if all((kept == window).all() for kept, window in zip(encoded, windows, strict=True)):
            found[name] = [kept.tobytes() for kept in encoded]
    for name, between in TEXTS.items():
        found[name] = [between.join(map(str, window)).encode() for window in windows]
    for name in ("16-bit little-endian", "32-bit big-endian"):  # what files, messages and ciphertexts are made of
        for window in found.get(name, ()):
            for text, needles in _written(window).items():
                found.setdefault(f"{text} of {name}", []).extend(needles)
    return found


def forms_of_bytes(data: bytes) -> Needles:
    """Windows of bytes as they are, and written as text."""
    found: Needles = {"bytes": []}
    for at in range(0, len(data) - BYTES + 1, BYTES):
        window = data[at : at + BYTES]
        found["bytes"].append(window)
        for text, needles in _written(window).items():
            found.setdefault(text, []).extend(needles)
    return found


def _written(data: bytes) -> Needles:
    """Hexadecimal, and base64 at each of the three places that it can begin at."""
    shifted = [base64.b64encode(bytes(shift) + data) for shift in range(3)]
    # The first and last characters depend on what stands beside it.
    return {"hex": [data.hex().encode()], "base64": [text[4:-4] for text in shifted]}


class Search:
    """Seeks many short byte strings at once, at about a gigabyte per second."""

    def __init__(self, sought: Mapping[str, Needles]) -> None:
        self._table = np.zeros(1 << _TABLE_BITS, dtype=np.bool_)
        self._needles: dict[bytes, list[tuple[int, bytes, str]]] = defaultdict(list)
        self.longest = 0
        for what, forms in sought.items():
            for form, needles in forms.items():
                for needle in needles:
                    self._add(needle, f"{what} as {form}")

    def names_in(self, data: bytes | bytearray) -> set[str]:
        """What is there."""
        if len(data) < _SHORTEST:
            return set()
        return {name for _, name in self._hits(data)}

    def _add(self, needle: bytes, name: str) -> None:
        if len(needle) < _SHORTEST:
            raise ValueError(f"{len(needle)} bytes occur by chance: {name}")
        at = max(range(len(needle) - _SHORTEST + 1), key=lambda at: _rarity(needle[at : at + _SHORTEST]))
        anchor = needle[at : at + _SHORTEST]
        self._table[_hashed(np.frombuffer(anchor, dtype=np.uint8))] = True
        self._needles[anchor].append((at, needle, name))
        self.longest = max(self.longest, len(needle))

    def _hits(self, data: bytes | bytearray) -> Iterator[tuple[int, str]]:
        places = np.empty(min(_MOST_PLACES, len(data)), dtype=np.int64)
        count = _places(np.frombuffer(data, dtype=np.uint8), self._table, places)
        if count > len(places):
            raise ValueError("more places than can be looked at: the needles are too common")
        for place in places[:count].tolist():
            for at, needle, name in self._needles.get(bytes(data[place : place + _SHORTEST]), ()):
                if place >= at and data[place - at : place - at + len(needle)] == needle:
                    yield place - at, name


def _rarity(anchor: bytes) -> int:
    """Distinct bytes of the two words that are hashed, other than those that numbers are padded with."""
    return len(set(anchor[:4] + anchor[_SECOND:]) - {0, 255})


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _mixed(first: np.uint32, second: np.uint32) -> np.uint32:
    return np.uint32(np.uint32(first * np.uint32(0x9E3779B1)) ^ np.uint32(second * np.uint32(0x85EBCA6B))) >> np.uint32(
        32 - _TABLE_BITS
    )


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _word(data: NDArray[np.uint8], at: int) -> np.uint32:
    return (
        np.uint32(data[at])
        | (np.uint32(data[at + 1]) << np.uint32(8))
        | (np.uint32(data[at + 2]) << np.uint32(16))
        | (np.uint32(data[at + 3]) << np.uint32(24))
    )


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _hashed(data: NDArray[np.uint8]) -> int:
    return _mixed(_word(data, 0), _word(data, _SECOND))


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _places(data: NDArray[np.uint8], table: NDArray[np.bool_], places: NDArray[np.int64]) -> int:
    """Where a needle's anchor may stand; returns how many there are, of which as many as fit are written down."""
    count = 0
    first, second = _word(data, 0), _word(data, _SECOND)
    for at in range(len(data) - _SHORTEST + 1):
        if at:
            first = (first >> np.uint32(8)) | (np.uint32(data[at + 3]) << np.uint32(24))
            second = (second >> np.uint32(8)) | (np.uint32(data[at + _SECOND + 3]) << np.uint32(24))
        if table[_mixed(first, second)]:
            if count < len(places):
                places[count] = at
            count += 1
    return count
