"""Key shares on their way to brokers and at rest there, each sealed to one broker: none ever lies in the clear.

key = BrokerKey.from_secret(secret)                       # 32 bytes, in a key file
deposit = deposit_share(share, manifest_hash, key.public)
deposit.open(key, manifest) == share
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256

from eth_abi.abi import encode
from eth_hash.auto import keccak

from cloister.domain.commitments import domain_tag
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import hexed, unhexed
from cloister.fixedpoint.manifest import Manifest
from cloister.sealing import hybrid
from cloister.sealing.errors import SealError
from cloister.sealing.hkdf import derive
from cloister.sealing.shares import KEY_BYTES, MOST_SHARES, SALT_BYTES, KeyShare

FORMAT = "cloister-key-share/1"
SEALED_BYTES = KEY_BYTES + SALT_BYTES + hybrid.OVERHEAD_BYTES


class BadDeposit(SealError):
    """A file is no key share for a broker, or belongs to another model."""


@dataclass(frozen=True, slots=True)
class BrokerKey:
    """What shares for a broker are sealed to: a private key (96 bytes) and its public key (1,216 bytes)."""

    private: bytes = field(repr=False)
    public: bytes = field(repr=False)

    @classmethod
    def from_secret(cls, secret: bytes) -> BrokerKey:
        """Derives the pair. Raises UnusableKey unless the secret has 32 bytes."""
        private = b"".join(derive(secret, f"cloister/1/broker-key/{part}") for part in range(3))
        return cls(private, hybrid.public_key_of(private))

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the public key, which is too long for people to compare."""
        return sha256(self.public).digest()


@dataclass(frozen=True, slots=True)
class Deposit:
    """Share `index` of the model whose manifest has this SHA-256, sealed to a broker."""

    manifest_hash: bytes
    index: int
    sealed: bytes = field(repr=False)

    def open(self, key: BrokerKey) -> KeyShare:
        """The share. Raises SealError if it was sealed to another key, BadDeposit if no share is in it."""
        opened = hybrid.open_sealed(self.sealed, key.private, _info(self.manifest_hash, self.index))
        if len(opened) != KEY_BYTES + SALT_BYTES:
            raise BadDeposit("The key share is no share and salt of 32 bytes each.", "Ask the owner for another.")
        return KeyShare(self.index, opened[:KEY_BYTES], opened[KEY_BYTES:])

    def check(self, key: BrokerKey, manifest: bytes) -> Manifest:
        """The manifest, which commits to the share that is inside (SEAL-1).

        Raises BadDeposit for an open model or another manifest, InvalidPackage for none, SealError for a share that is
        not the manifest's or was sealed to another key.
        """
        parsed = Manifest.from_bytes(manifest)
        if parsed.sealing is None or sha256(manifest).digest() != self.manifest_hash:
            raise BadDeposit("The key share belongs to another manifest.", "Ask the owner for the manifest beside it.")
        self.open(key).check([bytes.fromhex(commitment) for commitment in parsed.sealing.shares])
        return parsed

    def to_json(self) -> str:
        """The text of a share file."""
        content = {
            "format": FORMAT,
            "manifest": hexed(self.manifest_hash),
            "index": self.index,
            "sealed": hexed(self.sealed),
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Deposit:
        """Reads a share file. Raises BadDeposit."""
        try:
            content = json.loads(text)
            if content.keys() != {"format", "manifest", "index", "sealed"} or content["format"] != FORMAT:
                raise ValueError("its members are others")
            index = content["index"]
            if type(index) is not int or not 1 <= index <= MOST_SHARES:
                raise ValueError("its index is none")
            sealed = unhexed(content["sealed"], "The sealed share", SEALED_BYTES)
            return cls(unhexed(content["manifest"], "The manifest's hash"), index, sealed)
        except (ValueError, TypeError, AttributeError, RecursionError, InvalidInput) as error:
            raise BadDeposit(
                f"This is no key share: {error}.", "A share file is what `cloister model seal` wrote."
            ) from None


def deposit_share(share: KeyShare, manifest_hash: bytes, public_key: bytes) -> Deposit:
    """Seals a share to a broker's public key. Raises UnusableKey."""
    sealed = hybrid.seal(share.value + share.salt, public_key, _info(manifest_hash, share.index))
    return Deposit(manifest_hash, share.index, sealed)


def _info(manifest_hash: bytes, index: int) -> bytes:
    return keccak(encode(["bytes32", "bytes32", "uint256"], [domain_tag("share-deposit"), manifest_hash, index]))
