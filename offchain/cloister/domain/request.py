"""What a requester fixes when it posts a job: the mirror of contracts/types/Request.sol."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from eth_abi.abi import encode
from eth_hash.auto import keccak

from cloister.domain.errors import InvalidInput
from cloister.domain.ids import Address, BlobId, JobId, VersionId

MAX_SEATS = 15
MAX_SEALED_OUTPUT = 1072
"""Bytes: 1 KiB of output and 48 of HPKE."""
MAX_MASKED = 8_192
"""Bytes of the longest masked output: 256 field elements."""
MAX_PUBLISHED = 65_536
"""Bytes of the largest ciphertext that a worker can demand on chain (JOB-19)."""

REQUEST_TYPE = "(uint256,bytes32,uint8,uint8,uint8,uint96,bytes32,bytes32,uint32,bytes32,bytes32)"


class Level(IntEnum):
    """How a job's answer is made trustworthy. The numbers are the contract's."""

    ATTESTED = 0
    AGREED = 1
    PROVED = 2
    SPLIT = 3


@dataclass(frozen=True, slots=True)
class Assurance:
    """A level and its committee: AGREED(k, q) has k seats and q equal outputs decide; PROVED has one, and a proof
    decides; ATTESTED has one, and its enclave's signature does.

    Raises InvalidInput when the market would refuse the numbers (JOB-3, JOB-4).
    """

    level: Level
    seats: int
    quorum: int

    def __post_init__(self) -> None:
        if self.level in (Level.PROVED, Level.ATTESTED):
            name = self.level.name.lower()
            if (self.seats, self.quorum) != (1, 1):
                raise InvalidInput(f"The level {name} has one seat.", f"Write the level as {name}.")
            return
        if self.level is not Level.AGREED:
            raise InvalidInput(
                f"Level {self.level.name} is not available yet.",
                "Use attested, proved, or agreed(k,q), for example agreed(3,2).",
            )
        if not (2 <= self.seats <= MAX_SEATS and self.quorum <= self.seats < 2 * self.quorum):
            raise InvalidInput(
                f"A committee of {self.seats} with a quorum of {self.quorum} is not possible.",
                f"Take 2 to {MAX_SEATS} seats and a quorum of more than half of them.",
            )

    @classmethod
    def parse(cls, text: str) -> Assurance:
        """Reads "agreed(3,2)", "AGREED(3, 2)", "proved" or "attested"."""
        name, _, rest = text.strip().partition("(")
        try:
            level = Level[name.strip().upper()]
            if rest[-1:] not in ("", ")"):
                raise ValueError
            seats, quorum = (int(part) for part in rest[:-1].split(",")) if rest else (1, 1)
        except (KeyError, ValueError):
            raise InvalidInput(
                f"Level {text!r} is not understood.", "Write it as agreed(3,2), attested or proved."
            ) from None
        return cls(level, seats, quorum)

    @property
    def proved(self) -> bool:
        """True when one proof decides, and not a committee."""
        return self.level is Level.PROVED

    @property
    def attested(self) -> bool:
        """True when the signature of one attested enclave decides."""
        return self.level is Level.ATTESTED

    def __str__(self) -> str:
        return self.level.name if self.seats == 1 else f"{self.level.name}({self.seats}, {self.quorum})"


@dataclass(frozen=True, slots=True)
class Request:
    """Parameters of a job; field by field those of the Solidity struct."""

    nonce: int
    version: VersionId
    assurance: Assurance
    price_per_seat: int
    """Wei."""
    input_commitment: bytes
    ciphertext_hash: BlobId
    ciphertext_size: int
    response_key: bytes
    secret_hash: bytes

    @property
    def escrow(self) -> int:
        """Wei that the requester pays with the request."""
        return self.assurance.seats * self.price_per_seat

    def as_tuple(self) -> tuple[object, ...]:
        """The fields in the order of the Solidity struct, for ABI encoding."""
        return (
            self.nonce,
            self.version,
            int(self.assurance.level),
            self.assurance.seats,
            self.assurance.quorum,
            self.price_per_seat,
            self.input_commitment,
            self.ciphertext_hash,
            self.ciphertext_size,
            self.response_key,
            self.secret_hash,
        )

    def job_id(self, chain_id: int, market: Address, requester: Address) -> JobId:
        """The id of rule JOB-2."""
        types = ["uint256", "address", "address", REQUEST_TYPE]
        return JobId(keccak(encode(types, [chain_id, market, requester, self.as_tuple()])))
