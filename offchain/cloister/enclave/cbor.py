"""The part of CBOR that the messages use: unsigned integers, bytes, text, arrays, true and false.

A full decoder makes objects of tags, cycles of references, and lists of hundreds of megabytes from one frame. This one
takes the shortest form of each value and nothing else, and no more values than a message can have. What is written and
what is read is not copied more than once, since it may be a megabyte of somebody's weights.
"""

from __future__ import annotations

from typing import Final

MAX_VALUES: Final = 20_000
MAX_DEPTH: Final = 4
_UNSIGNED, _BYTES, _TEXT, _ARRAY = 0, 2, 3, 4
_FALSE, _TRUE = 0xF4, 0xF5
Octets = bytes | bytearray | memoryview


def encoded(value: object) -> bytes:
    """The bytes of a value. Raises ValueError for one that this part of CBOR does not have."""
    parts: list[Octets] = []
    _write(value, parts)
    return b"".join(parts)


def _write(value: object, parts: list[Octets]) -> None:
    match value:
        case bool():
            parts.append(bytes([_TRUE if value else _FALSE]))
        case int() if 0 <= value < 1 << 64:
            parts.append(_head(_UNSIGNED, value))
        case bytes() | bytearray() | memoryview():
            parts += [_head(_BYTES, len(value)), value]
        case str():
            text = value.encode()
            parts += [_head(_TEXT, len(text)), text]
        case list():
            parts.append(_head(_ARRAY, len(value)))
            for item in value:
                _write(item, parts)
        case _:
            raise ValueError("has a value of a kind that no message has")


def _head(major: int, length: int) -> bytes:
    if length < 24:
        return bytes([major << 5 | length])
    short = next(short for short in range(24, 28) if length < 1 << (8 << (short - 24)))
    return bytes([major << 5 | short]) + length.to_bytes(1 << (short - 24))


def decoded(data: bytes | memoryview) -> object:
    """The value that `data` is; byte strings are views of it. Raises ValueError for what is not wholly of this form."""
    reader = _Reader(memoryview(data))
    value = reader.value(MAX_DEPTH)
    if reader.at != len(data):
        raise ValueError("has bytes after its end")
    return value


class _Reader:
    def __init__(self, data: memoryview) -> None:
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
            return str(self._take(length), "utf-8")  # UnicodeDecodeError is a ValueError
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

    def _take(self, length: int) -> memoryview:
        end = self.at + length
        if end > len(self.data):
            raise ValueError("ends too early")
        taken = self.data[self.at : end]
        self.at = end
        return taken
