"""What one secret of a requester, or of a worker, unfolds into (docs/spec/commitments.md)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from eth_account import Account

from cloister.domain.commitments import FIRST_ROUND
from cloister.domain.ids import Address, JobId
from cloister.sealing.errors import SealError, UnusableKey
from cloister.sealing.hkdf import KEY_BYTES, derive
from cloister.sealing.hpke import public_key_of
from cloister.sealing.signatures import sign

SECP256K1_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


def new_secret() -> bytes:
    """Return 32 random bytes from the operating system: a job's root, or a worker's secret."""
    return secrets.token_bytes(KEY_BYTES)


def output_secret(job_secret: bytes) -> bytes:
    """Return O (32 bytes), the secret that blinds the output commitment of the job with job secret K."""
    return derive(job_secret, "cloister/1/output-secret")


@dataclass(frozen=True, slots=True)
class JobSecrets:
    """Everything a requester derives for one job from the root that it has stored.

    `job_secret` (K) goes sealed to the workers, `seed_secret` (S) becomes public at `deliver`, `nonce` and
    `response_public_key` stand in the request, `response_private_key` opens the sealed outputs.
    All are 32 bytes, but `nonce`, an unsigned 256-bit integer. The text form shows public values only.
    """

    job_secret: bytes = field(repr=False)
    seed_secret: bytes = field(repr=False)
    response_private_key: bytes = field(repr=False)
    response_public_key: bytes
    nonce: int

    @classmethod
    def from_root(cls, root: bytes) -> JobSecrets:
        """Derive all of it from the root R. Raises UnusableKey unless R has 32 bytes."""
        response_private_key = derive(root, "cloister/1/response-key")
        return cls(
            job_secret=derive(root, "cloister/1/job-secret"),
            seed_secret=derive(root, "cloister/1/seed-secret"),
            response_private_key=response_private_key,
            response_public_key=public_key_of(response_private_key),
            nonce=int.from_bytes(derive(root, "cloister/1/nonce")),
        )

    @property
    def output_secret(self) -> bytes:
        """O, with which the requester checks an output commitment."""
        return output_secret(self.job_secret)


@dataclass(frozen=True, slots=True)
class WorkerKeys:
    """The keys of one worker in one key epoch, all derived from its worker secret.

    `hpke_public_key` and `signer` are registered on chain; the private halves are raw 32-byte keys, X25519
    and secp256k1. The text form shows public values only.
    """

    hpke_private_key: bytes = field(repr=False)
    hpke_public_key: bytes
    result_key: bytes = field(repr=False)
    signer: Address
    _secret: bytes = field(repr=False)

    @classmethod
    def from_secret(cls, secret: bytes) -> WorkerKeys:
        """Derive the keys. Raises UnusableKey unless the secret has 32 bytes and gives a valid result key."""
        hpke_private_key = derive(secret, "cloister/1/hpke-key")
        result_key = _scalar(derive(secret, "cloister/1/result-key"))
        return cls(
            hpke_private_key=hpke_private_key,
            hpke_public_key=public_key_of(hpke_private_key),
            result_key=result_key,
            signer=Address(Account.from_key(result_key).address),
            _secret=secret,
        )

    def salt(self, job_id: JobId, round_: int = FIRST_ROUND) -> bytes:
        """Return the 32-byte salt of this worker's commitment to a job (32-byte id) in a round.

        It is derived, so a worker that lost its journal can still open what it committed to. In the text
        that is hashed the id is written as 64 lower-case digits without 0x.
        Raises SealError if the id has another length or the round is negative.
        """
        if len(job_id) != 32 or round_ < 0:
            raise SealError(f"No salt for a job id of {len(job_id)} bytes and round {round_}.")
        return derive(self._secret, f"cloister/1/salt/{job_id.hex()}/{round_}")

    def sign(self, digest: bytes) -> bytes:
        """Sign a 32-byte digest with the result key: 65 bytes that `signer` answers for."""
        return sign(self.result_key, digest)


def _scalar(key: bytes) -> bytes:
    """Refuse what is no secp256k1 private key. Chance does that once in 2^127 secrets."""
    if not 1 <= int.from_bytes(key) < SECP256K1_ORDER:
        raise UnusableKey("The worker secret gives no valid result key.", "Make another secret.")
    return key
