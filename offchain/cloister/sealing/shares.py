"""A model's data key in n shares, any t of which give it back: Shamir's scheme over GF(2^8), byte by byte.

Fewer than t shares tell nothing. The manifest commits to the key and to each share (market rule 23), so that a broker
that hands out a wrong one is found out before anybody uses it (SEAL-1).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from cloister.domain.commitments import domain_tag
from cloister.sealing.errors import SealError

KEY_BYTES: Final = 32
SALT_BYTES: Final = 32
MOST_SHARES: Final = 255


@dataclass(frozen=True, slots=True)
class KeyShare:
    """Share number `index` (1 to 255) of a data key, with the salt of its commitment. Raises SealError."""

    index: int
    value: bytes = field(repr=False)
    salt: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.index <= MOST_SHARES or len(self.value) != KEY_BYTES or len(self.salt) != SALT_BYTES:
            raise SealError("This is no key share: an index of 1 to 255, 32 bytes and a salt of 32 bytes are needed.")

    def commitment(self) -> bytes:
        """What the manifest says of this share (32 bytes); the salt keeps it from telling anything."""
        return sha256(domain_tag("key-share") + bytes([self.index]) + self.value + self.salt).digest()

    def check(self, commitments: Sequence[bytes]) -> None:
        """Raises SealError unless this is the share that the manifest commits to at its index (SEAL-1)."""
        known = self.index <= len(commitments)
        if not known or not compare_digest(self.commitment(), commitments[self.index - 1]):
            raise SealError(
                f"Key share {self.index} is not the one that the manifest commits to.",
                "Ask another broker, and tell the model's owner about this one.",
            )


def key_commitment(data_key: bytes) -> bytes:
    """What the manifest says of the data key (32 bytes each)."""
    return sha256(domain_tag("data-key") + data_key).digest()


def split(
    data_key: bytes, threshold: int, count: int, random: Callable[[int], bytes] = secrets.token_bytes
) -> tuple[KeyShare, ...]:
    """Split a data key (32 bytes) into `count` shares, `threshold` of which are needed.

    `random` gives so many unpredictable bytes. Raises SealError unless 1 ≤ threshold ≤ count ≤ 255.
    """
    if len(data_key) != KEY_BYTES:
        raise SealError(f"A data key has {KEY_BYTES} bytes, not {len(data_key)}.")
    if not 1 <= threshold <= count <= MOST_SHARES:
        raise SealError(
            f"A key cannot be split into {count} shares of which {threshold} are needed.",
            f"There are 1 to {MOST_SHARES} shares, and no more are needed than there are.",
        )
    coefficients = [data_key, *(random(KEY_BYTES) for _ in range(threshold - 1))]
    return tuple(
        KeyShare(index, bytes(_at(index, column) for column in zip(*coefficients, strict=True)), random(SALT_BYTES))
        for index in range(1, count + 1)
    )


def combine(shares: Sequence[KeyShare], threshold: int, commitments: Sequence[bytes], key: bytes) -> bytes:
    """The data key (32 bytes), from at least `threshold` shares with different indices; more are not looked at.

    `commitments` and `key` are the manifest's. Raises SealError if shares are too few, wrong or repeated, or if what
    they give is not the key.
    """
    if len({share.index for share in shares}) != len(shares):
        raise SealError("A key share is given twice.", "Ask another broker for one with another index.")
    if not 1 <= threshold <= len(shares):
        raise SealError(f"{len(shares)} key shares are here, {threshold} are needed.", "Ask more brokers.")
    chosen = shares[:threshold]
    for share in chosen:
        share.check(commitments)
    data_key = interpolate(chosen)
    if not compare_digest(key_commitment(data_key), key):
        raise SealError(
            "The key shares are the manifest's, but the key is not.",
            "The model's owner sealed it wrongly; only they can mend that, by sealing and publishing again.",
        )
    return data_key


def interpolate(shares: Sequence[KeyShare]) -> bytes:
    """The value at 0 of the polynomials through these shares; the key, if they are t of one splitting."""
    result = bytearray(KEY_BYTES)
    for share in shares:
        weight = 1
        for other in shares:
            if other.index != share.index:
                weight = multiply(weight, multiply(other.index, inverse(other.index ^ share.index)))
        for position, byte in enumerate(share.value):
            result[position] ^= multiply(weight, byte)
    return bytes(result)


def multiply(a: int, b: int) -> int:
    """Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1; no branch or table depends on the operands."""
    product = 0
    for bit in range(8):
        product ^= -(b >> bit & 1) & a
        a = (a << 1) ^ (-(a >> 7) & 0x11B)
    return product


def inverse(a: int) -> int:
    """a^254: 1/a for a not zero."""
    power, result = a, 1
    for _ in range(7):
        power = multiply(power, power)
        result = multiply(result, power)
    return result


def _at(x: int, coefficients: Sequence[int]) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = multiply(value, x) ^ coefficient
    return value
