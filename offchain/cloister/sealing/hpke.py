"""Messages that only one key opens: HPKE (RFC 9180) in base mode, single shot, without associated data.

    sealed = seal(plaintext, public_key, info)
    plaintext = open_sealed(sealed, private_key, info)

The suite is DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Whatever a message belongs to (job, worker,
key epoch, …) goes into `info`, so a message moved elsewhere does not open.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from cloister.sealing.errors import SealError, UnusableKey

PUBLIC_KEY_BYTES = 32
PRIVATE_KEY_BYTES = 32
OVERHEAD_BYTES = 48
"""A sealed message is so much longer than its plaintext: the encapsulated key and the tag."""

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def seal(plaintext: bytes, public_key: bytes, info: bytes) -> bytes:
    """Seal `plaintext` to a raw X25519 public key; returns `enc (32) ‖ ciphertext (len(plaintext) + 16)`.

    Raises UnusableKey if the key is not 32 bytes or has a low order (zero, for one): the shared secret would
    then be known to everybody. A chain accepts such a key, so callers that seal to several must expect it.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise UnusableKey(f"A public key of {len(public_key)} bytes; X25519 keys have {PUBLIC_KEY_BYTES}.")
    try:
        return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public_key), info)
    except ValueError:
        # OpenSSL refuses an exchange whose result is all zeros (RFC 7748, section 6.1)
        raise UnusableKey(
            f"The public key 0x{public_key.hex()} has a low order.",
            "Everybody could open what is sealed to it. Its owner has to register another key.",
        ) from None


def open_sealed(sealed: bytes, private_key: bytes, info: bytes) -> bytes:
    """Open what `seal` made for the public key of `private_key` (32 raw bytes) with the same `info`.

    Raises SealError if anything at all differs: key, info, length or any bit. There is one message for all of
    these, because what exactly failed would help only somebody who is trying messages out.
    Raises UnusableKey if the private key is not 32 bytes.
    """
    try:
        return _SUITE.decrypt(sealed, _private(private_key), info)
    except InvalidTag:
        raise SealError(
            "The sealed message does not open.",
            "It was made for another key or another purpose, or it was altered on the way.",
        ) from None


def public_key_of(private_key: bytes) -> bytes:
    """Return the raw X25519 public key (32 bytes) of a raw private key (32 bytes, or UnusableKey)."""
    return _private(private_key).public_key().public_bytes_raw()


def _private(key: bytes) -> X25519PrivateKey:
    if len(key) != PRIVATE_KEY_BYTES:
        raise UnusableKey(f"A private key of {len(key)} bytes; X25519 keys have {PRIVATE_KEY_BYTES}.")
    return X25519PrivateKey.from_private_bytes(key)
