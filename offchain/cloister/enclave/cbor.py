"""Reads the part of CBOR that the messages use: unsigned integers, bytes, text, arrays, true and false.

A full decoder makes objects of tags, cycles of references, and lists of hundreds of megabytes from one frame. This one
takes the shortest form of each value and nothing else, and no more values than a message can have.
"""

from __future__ import annotations

from typing import Final

MAX_VALUES: Final = 20_000
MAX_DEPTH: Final = 4
_UNSIGNED, _BYTES, _TEXT, _ARRAY = 0, 2, 3, 4
_FALSE, _TRUE = 0xF4, 0xF5


def decoded(data: bytes) -> object:
    """The value that `data` is. Raises ValueError for anything that is not wholly of this form."""
    reader = _Reader(data)
    value = reader.value(MAX_DEPTH)
    if reader.at != len(data):
        raise ValueError("has bytes after its end")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.left = MAX_VALUES

    def value(self, depth: int) -> object:
        self.left -= 1
        if depth < 0 or self.left < 0:
            raise ValueError("is nested too deeply or has too many values")
        [first] = self._take(1)
        if first in (_FALSE, _TRUE):
            return first == _TRUE
        major, length = first >> 5, self._length(first & 31)
        if major == _UNSIGNED:
            return length
        if major == _BYTES:
            return self._take(length)
        if major == _TEXT:
            return self._take(length).decode("utf-8")  # UnicodeDecodeError is a ValueError
        if major == _ARRAY:
            if length > self.left:
                raise ValueError("has too many values")
            return [self.value(depth - 1) for _ in range(length)]
        raise ValueError("has a value of a kind that no message has")

    def _length(self, short: int) -> int:
        if short < 24:
            return short
        if short > 27:
            raise ValueError("has a value of a kind that no message has")
        size = 1 << (short - 24)
        length = int.from_bytes(self._take(size))
        if length < (24 if size == 1 else 1 << 4 * size):
            raise ValueError("has a number that is not in its shortest form")
        return length

    def _take(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self.data):
            raise ValueError("ends too early")
        taken = self.data[self.at : end]
        self.at = end
        return taken
