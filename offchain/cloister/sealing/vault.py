"""Keeps a job's root secret at rest: neither the journal nor the account's key alone opens it."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloister.domain.ids import JobId
from cloister.sealing.errors import SealError
from cloister.sealing.hkdf import derive

IV_BYTES = 12


class Vault:
    """Encrypts under a key derived from an account's private key (32 bytes), which it does not keep."""

    def __init__(self, account_key: bytes) -> None:
        self._cipher = AESGCM(derive(account_key, "cloister/1/journal-key"))

    def close(self, root: bytes, job_id: JobId) -> bytes:
        """`iv (12) ‖ ciphertext ‖ tag (16)` of a root secret, bound to its job."""
        iv = secrets.token_bytes(IV_BYTES)
        return iv + self._cipher.encrypt(iv, root, job_id)

    def open(self, sealed: bytes, job_id: JobId) -> bytes:
        """The root secret that `close` was given for this job. Raises SealError for anything else."""
        try:
            return self._cipher.decrypt(sealed[:IV_BYTES], sealed[IV_BYTES:], job_id)
        except (InvalidTag, ValueError):
            raise SealError(
                f"The stored secret of job 0x{job_id.hex()} does not open with this account's key.",
                "The journal belongs to another account, or was damaged: restore it from a backup.",
            ) from None
