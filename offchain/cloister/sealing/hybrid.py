"""Messages sealed to a key that lives for one session: HPKE with ML-KEM-768 and X25519, safe while either is.

    private, public = new_pair()
    sealed = seal(plaintext, public, info)
    plaintext = open_sealed(sealed, private, info)

Key shares travel so. What is recorded today must stay closed when X25519 falls, since a model's key lives for years.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from cloister.sealing.errors import SealError, UnusableKey

PUBLIC_KEY_BYTES = 1216
"""1,184 bytes of ML-KEM-768, then 32 of X25519."""
PRIVATE_KEY_BYTES = 96
"""The 64-byte seed of ML-KEM-768, then 32 bytes of X25519."""
OVERHEAD_BYTES = 1136
"""A sealed message is so much longer than its plaintext: 1,088 + 32 bytes of encapsulated key, and the tag."""

_MLKEM_PUBLIC, _MLKEM_SEED = 1184, 64
_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def new_pair() -> tuple[bytes, bytes]:
    """A new private key (96 bytes) and its public key (1,216 bytes)."""
    private = secrets.token_bytes(PRIVATE_KEY_BYTES)
    return private, public_key_of(private)


def public_key_of(private_key: bytes) -> bytes:
    """The public key (1,216 bytes) of a private key (96 bytes, or UnusableKey)."""
    post_quantum, classical = _halves(_checked(private_key))
    return post_quantum.public_key().public_bytes_raw() + classical.public_key().public_bytes_raw()


def seal(plaintext: bytes, public_key: bytes, info: bytes) -> bytes:
    """Seal to a public key; returns `len(plaintext) + OVERHEAD_BYTES` bytes. Raises UnusableKey."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise UnusableKey(f"A release key has {PUBLIC_KEY_BYTES:,} bytes, not {len(public_key):,}.")
    try:
        key = MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC]),
            X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC:]),
        )
        return _SUITE.encrypt(plaintext, key, info)
    except ValueError:
        raise UnusableKey("This is no release key: it is malformed, or its X25519 half has a low order.") from None


def open_sealed(sealed: bytes, private_key: bytes, info: bytes) -> bytes:
    """Open what `seal` made with the same `info`. Raises SealError if anything differs, UnusableKey for no key."""
    key = MLKEM768X25519PrivateKey(*_halves(_checked(private_key)))
    try:
        return _SUITE.decrypt(sealed, key, info)
    except InvalidTag:
        raise SealError(
            "The sealed message does not open.",
            "It was made for another key or another purpose, or it was altered on the way.",
        ) from None


def _checked(private_key: bytes) -> bytes:
    if len(private_key) != PRIVATE_KEY_BYTES:
        raise UnusableKey(f"A private release key has {PRIVATE_KEY_BYTES} bytes, not {len(private_key)}.")
    return private_key


def _halves(private_key: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    return (
        MLKEM768PrivateKey.from_seed_bytes(private_key[:_MLKEM_SEED]),
        X25519PrivateKey.from_private_bytes(private_key[_MLKEM_SEED:]),
    )
