"""Identifiers. All are plain values; the types keep one from being passed for another."""

from __future__ import annotations

from typing import NewType

from cloister.domain.errors import InvalidInput

Address = NewType("Address", str)
"""EIP-55 checksummed address."""

JobId = NewType("JobId", bytes)
"""32 bytes; hashes chain, market, requester and request (JOB-2)."""

VersionId = NewType("VersionId", bytes)
"""32 bytes; hashes chain, registry, owner and manifest hash (MODEL-1)."""

BlobId = NewType("BlobId", bytes)
"""32 bytes; SHA-256 of the blob (BLOB-1)."""

NOBODY = Address("0x0000000000000000000000000000000000000000")
"""Marks a vacant seat in a committee."""


def hexed(value: bytes) -> str:
    """`value` as people and JSON write it: 0x and lower-case digits."""
    return "0x" + value.hex()


def unhexed(text: str, what: str, length: int = 32) -> bytes:
    """The bytes of a hexadecimal string.

    Raises InvalidInput, naming `what`, unless `text` is 0x and exactly `length` bytes.
    """
    digits = text.removeprefix("0x")
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        value = b""
    if len(value) != length or len(digits) != 2 * length:
        raise InvalidInput(
            f"{what} {text!r} is not {length} bytes in hexadecimal.",
            f"Write 0x and {2 * length} digits, as `cloister jobs` and `cloister models` print them.",
        )
    return value
