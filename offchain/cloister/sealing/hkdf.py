"""One key from another: HKDF-SHA-256 with a purpose in words."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cloister.sealing.errors import UnusableKey

KEY_BYTES = 32


def derive(key: bytes, info: str) -> bytes:
    """Return `HKDF(key, info)` of docs/spec/commitments.md: 32 bytes, from a key of 32 bytes and ASCII words.

    Raises UnusableKey if `key` has another length: every key of the protocol has 32 bytes, and a shorter
    one would be a mistake that nothing later notices.
    """
    if len(key) != KEY_BYTES:
        raise UnusableKey(f"A key of {len(key)} bytes cannot be derived from; {KEY_BYTES} are needed.")
    # no salt: RFC 5869 then takes a block of zero bytes, which HMAC treats as the empty string
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode("ascii")).derive(key)
