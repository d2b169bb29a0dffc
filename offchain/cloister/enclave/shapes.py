"""What a field of a message may hold, and how it travels: values as CBOR has them, checked on both ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address

from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address
from cloister.domain.request import REQUEST_TYPE, Request

REQUEST_BYTES = 640
"""Twenty words of 32 bytes."""


class Shape(Protocol):
    """Checks a value that goes out or came in. Both raise ValueError, whose text shows nothing of the value."""

    def to_wire(self, value: Any) -> object:
        """A value as CBOR can have it."""

    def of_wire(self, value: object) -> Any:
        """The value again."""


class _Same:
    """A shape whose values travel as they are."""

    def to_wire(self, value: Any) -> object:
        """The value, checked."""
        return self.of_wire(value)

    def of_wire(self, value: object) -> Any:
        """The value, checked."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Octets:
    """Between `least` and `most` bytes."""

    least: int
    most: int

    def to_wire(self, value: Any) -> object:
        """The value, checked."""
        if type(value) is not bytes or not self.least <= len(value) <= self.most:
            raise self._other()
        return value

    def of_wire(self, value: object) -> bytes:
        """Raises ValueError for anything else."""
        if type(value) is not memoryview or not self.least <= len(value) <= self.most:
            raise self._other()
        return bytes(value)

    def _other(self) -> ValueError:
        return ValueError(f"is not {self.least} to {self.most} bytes")


@dataclass(frozen=True, slots=True)
class Piece:
    """At most `most` bytes of a file, not copied: a view of the frame that they came in, good until the next comes."""

    most: int

    def to_wire(self, value: Any) -> object:
        """The value, checked."""
        if type(value) not in (bytes, bytearray, memoryview) or len(value) > self.most:
            raise self._other()
        return value

    def of_wire(self, value: object) -> memoryview:
        """Raises ValueError for anything else."""
        if type(value) is not memoryview or len(value) > self.most:
            raise self._other()
        return value

    def _other(self) -> ValueError:
        return ValueError(f"is not at most {self.most} bytes")


@dataclass(frozen=True, slots=True)
class Natural(_Same):
    """An integer from 0 to 2^bits - 1."""

    bits: int

    def of_wire(self, value: object) -> int:
        """Raises ValueError for anything else; True is no integer."""
        if type(value) is not int or not 0 <= value < 1 << self.bits:
            raise ValueError(f"is no unsigned integer of {self.bits} bits")
        return value


@dataclass(frozen=True, slots=True)
class Words(_Same):
    """Text of at most `most` characters."""

    most: int

    def of_wire(self, value: object) -> str:
        """Raises ValueError for anything else."""
        if type(value) is not str or len(value) > self.most:
            raise ValueError(f"is no text of at most {self.most} characters")
        return value


class Flag(_Same):
    """True or false."""

    def of_wire(self, value: object) -> bool:
        """Raises ValueError for anything else."""
        if type(value) is not bool:
            raise ValueError("is neither true nor false")
        return value


class Account:
    """An address: 20 bytes on the way."""

    def to_wire(self, value: Any) -> object:
        """Raises ValueError for what is no address."""
        if type(value) is not str or not value.startswith("0x") or len(value) != 42:
            raise ValueError("is no address")
        return bytes.fromhex(value[2:])

    def of_wire(self, value: object) -> Address:
        """Raises ValueError unless there are 20 bytes."""
        if type(value) is not memoryview or len(value) != 20:
            raise ValueError("is no address")
        return Address(to_checksum_address(bytes(value)))


@dataclass(frozen=True, slots=True)
class Listed:
    """At most `most` values of one shape."""

    shape: Shape
    most: int

    def to_wire(self, value: Any) -> object:
        """A list of the values on the way."""
        return [self.shape.to_wire(item) for item in self._checked(tuple(value))]

    def of_wire(self, value: object) -> tuple[Any, ...]:
        """Raises ValueError for anything else."""
        if type(value) is not list:
            raise ValueError("is no list")
        return tuple(self.shape.of_wire(item) for item in self._checked(value))

    def _checked(self, items: Sequence[Any]) -> Sequence[Any]:
        if len(items) > self.most:
            raise ValueError(f"has more than {self.most} entries")
        return items


@dataclass(frozen=True, slots=True)
class Row:
    """A tuple with a shape for every place."""

    shapes: tuple[Shape, ...]

    def to_wire(self, value: Any) -> object:
        """A list of the values on the way."""
        return [shape.to_wire(item) for shape, item in zip(self.shapes, value, strict=True)]

    def of_wire(self, value: object) -> tuple[Any, ...]:
        """Raises ValueError for anything else."""
        if type(value) is not list:
            raise ValueError("is no list")
        return tuple(shape.of_wire(item) for shape, item in zip(self.shapes, value, strict=True))


class Requested:
    """A job's request, as the chain encodes it."""

    def to_wire(self, value: Any) -> object:
        """One word per field."""
        return encode([REQUEST_TYPE], [value.as_tuple()])

    def of_wire(self, value: object) -> Request:
        """Raises ValueError for what no market would take."""
        if type(value) is not memoryview or len(value) != REQUEST_BYTES:
            raise ValueError("is no request")
        try:
            [parts] = decode([REQUEST_TYPE], bytes(value))
            return Request.of_tuple(parts)
        except (DecodingError, CloisterError) as error:
            raise ValueError("is no request") from error


def exactly(length: int) -> Octets:
    """So many bytes."""
    return Octets(length, length)
