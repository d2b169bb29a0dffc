"""What a requester fixes when it posts a job: the mirror of contracts/types/Request.sol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Self

from eth_abi.abi import encode
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

from cloister.domain.errors import InvalidInput
from cloister.domain.ids import NOBODY, Address, BlobId, JobId, VersionId

MAX_SEATS = 15
MAX_SEALED_OUTPUT = 1072
"""Bytes: 1 KiB of output and 48 of HPKE."""
MAX_MASKED = 8_192
"""Bytes of the longest masked output: 256 field elements."""
MAX_PUBLISHED = 65_536
"""Bytes of the largest ciphertext that a worker can demand on chain (JOB-19)."""

TERMS_TYPE = "(address,bytes32,uint8,uint8,uint8,uint32,uint8,address,uint96,uint96)"
BRIEF_TYPE = "(uint256,bytes32,bytes32,uint32,bytes32,bytes32,address,uint16,address,uint32)"
REQUEST_TYPE = f"({TERMS_TYPE},{BRIEF_TYPE})"


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
class Ticket:
    """What shows a call which job it is about: the Solidity struct. Before the delivery there is no committee."""

    terms: tuple[object, ...]
    brief: bytes
    committee: tuple[Address, ...] = ()
    keys: bytes = bytes(32)
    """Keccak-256 of the delivered keys joined."""

    def as_tuple(self) -> tuple[object, ...]:
        """The fields in the order of the Solidity struct, for ABI encoding."""
        return self.terms, self.brief, list(self.committee), self.keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Parameters of a job: those of the Solidity structs Terms and Brief, in one.

    `verifier` is the number of the version's, whose word ends a dispute; 0 where a larger committee ends it.
    `lock_each` is the wei of stake that each seat puts at risk; `reputation` is a floor, in 1/10000.
    """

    requester: Address
    nonce: int
    version: VersionId
    assurance: Assurance
    verifier: int = 0
    owner_percent: int = 0
    token: Address = NOBODY
    """Currency of the price; nobody for the chain's own coin."""
    price_per_seat: int
    """Units of `token`."""
    lock_each: int
    input_commitment: bytes
    ciphertext_hash: BlobId
    ciphertext_size: int
    response_key: bytes
    secret_hash: bytes
    worker: Address = NOBODY
    """Whom `hire` seats; nobody for a job whose workers are drawn."""
    reputation: int = 0
    consumer: Address = NOBODY
    """Contract that is told the result; nobody for none."""
    consumer_gas: int = 0

    @property
    def escrow(self) -> int:
        """Units of `token` that the requester pays with the request."""
        return self.assurance.seats * self.price_per_seat

    @property
    def coins(self) -> int:
        """Wei that go along with the request."""
        return self.escrow if self.token == NOBODY else 0

    @property
    def provable(self) -> bool:
        """True when a proof can decide about an output."""
        return self.verifier != 0

    @property
    def hired(self) -> bool:
        """True when the requester names the worker."""
        return self.worker != NOBODY

    def terms(self) -> tuple[object, ...]:
        """The struct Terms, which every call shows."""
        return (
            self.requester,
            self.version,
            int(self.assurance.level),
            self.assurance.seats,
            self.assurance.quorum,
            self.verifier,
            self.owner_percent,
            self.token,
            self.price_per_seat,
            self.lock_each,
        )

    def brief(self) -> tuple[object, ...]:
        """The struct Brief, of which most calls show the hash."""
        return (
            self.nonce,
            self.input_commitment,
            self.ciphertext_hash,
            self.ciphertext_size,
            self.response_key,
            self.secret_hash,
            self.worker,
            self.reputation,
            self.consumer,
            self.consumer_gas,
        )

    def brief_hash(self) -> bytes:
        """Keccak-256 of the encoded Brief."""
        return keccak(encode([BRIEF_TYPE], [self.brief()]))

    def as_tuple(self) -> tuple[tuple[object, ...], tuple[object, ...]]:
        """Terms and Brief, for ABI encoding as `REQUEST_TYPE`."""
        return self.terms(), self.brief()

    @classmethod
    def of_tuple(cls, parts: Sequence[Any]) -> Self:
        """The inverse of `as_tuple`, from what an ABI decoder gives.

        Raises InvalidInput when the parts are not those of a request that the market takes.
        """
        try:
            (requester, version, level, seats, quorum, verifier, percent, token, price, lock), brief = parts
            nonce, commitment, blob, size, key, secret, worker, reputation, consumer, gas = brief
            return cls(
                requester=_address(requester),
                nonce=nonce,
                version=VersionId(version),
                assurance=Assurance(Level(level), seats, quorum),
                verifier=verifier,
                owner_percent=percent,
                token=_address(token),
                price_per_seat=price,
                lock_each=lock,
                input_commitment=commitment,
                ciphertext_hash=BlobId(blob),
                ciphertext_size=size,
                response_key=key,
                secret_hash=secret,
                worker=_address(worker),
                reputation=reputation,
                consumer=_address(consumer),
                consumer_gas=gas,
            )
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"These are not the parts of a request: {error}.") from error

    def job_id(self, chain_id: int, market: Address) -> JobId:
        """The id of rule JOB-2."""
        types = ["uint256", "address", TERMS_TYPE, "bytes32"]
        return JobId(keccak(encode(types, [chain_id, market, self.terms(), self.brief_hash()])))

    def ticket(self, committee: Sequence[Address] = (), sealed_keys: Sequence[bytes] = ()) -> Ticket:
        """What shows a call that it is about this job; without a committee, before the delivery."""
        keys = keccak(b"".join(sealed_keys)) if committee else bytes(32)
        return Ticket(self.terms(), self.brief_hash(), tuple(committee), keys)

    def for_referees(self, assurance: Assurance, nonce: int) -> Self:
        """The same question to a larger committee, whose answer decides about this job (CHAL-8)."""
        same = replace(self, worker=NOBODY, reputation=0, consumer=NOBODY, consumer_gas=0)
        return replace(same, assurance=assurance, nonce=nonce, verifier=0)


def _address(value: Any) -> Address:
    return Address(to_checksum_address(value))
