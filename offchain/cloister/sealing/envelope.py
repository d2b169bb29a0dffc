"""The encrypted input of a job: one ciphertext that all of its workers read."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloister.domain.ids import VersionId
from cloister.sealing.errors import SealError
from cloister.sealing.hkdf import derive

TAG_BYTES = 16

# A nonce must not repeat under one key. The key is derived from the secret of one job and encrypts its one
# input, so a constant is safe, and a job that is prepared again gives the same ciphertext.
_NONCE: Final = bytes(12)


def encrypt_input(plaintext: bytes, job_secret: bytes, version_id: VersionId) -> bytes:
    """Encrypt the encoded input rows of a job; returns `len(plaintext) + 16` bytes, the tag at the end.

    `job_secret` is K of docs/spec/commitments.md, `version_id` the 32 bytes of the model version. One job
    secret must encrypt one input only. Raises SealError if a length is wrong.
    """
    return _cipher(job_secret, version_id).encrypt(_NONCE, plaintext, version_id)


def decrypt_input(ciphertext: bytes, job_secret: bytes, version_id: VersionId) -> bytes:
    """Return the plaintext of `encrypt_input`.

    AES-GCM does not commit to its key: somebody can craft a ciphertext that opens under two. The caller must
    therefore recompute the input commitment from what it gets (JOB-13).
    Raises SealError if secret, version or any bit differ.
    """
    try:
        return _cipher(job_secret, version_id).decrypt(_NONCE, ciphertext, version_id)
    except InvalidTag:
        raise SealError(
            "The encrypted input does not open.",
            "It belongs to another job or model version, or it was altered.",
        ) from None


def _cipher(job_secret: bytes, version_id: VersionId) -> AESGCM:
    if len(version_id) != 32:
        raise SealError(f"A model version id has 32 bytes, not {len(version_id)}.")
    return AESGCM(derive(job_secret, "cloister/1/input-cipher"))
