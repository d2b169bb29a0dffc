"""The hashes of docs/spec/commitments.md that the contracts compute too."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from eth_abi import encode
from eth_utils import keccak, to_checksum_address

TERMS = "(address,bytes32,uint8,uint8,uint8,uint32,uint8,address,uint96,uint96)"
BRIEF = "(uint256,bytes32,bytes32,uint32,bytes32,bytes32,address,uint16,address,uint32)"
NOBODY = "0x" + "00" * 20
COIN = NOBODY


@dataclass(frozen=True)
class Terms:
    """In the order of contracts/types/Request.sol."""

    requester: str
    version: bytes
    level: int
    seats: int
    quorum: int
    verifier: int
    owner_percent: int
    token: str
    price: int
    lock: int

    def tuple(self) -> tuple:
        return astuple(self)

    @property
    def escrow(self) -> int:
        return self.seats * self.price


@dataclass(frozen=True)
class Brief:
    """In the order of contracts/types/Request.sol."""

    nonce: int
    input_commitment: bytes
    ciphertext_hash: bytes
    ciphertext_size: int
    response_key: bytes
    secret_hash: bytes
    worker: str = NOBODY
    reputation: int = 0
    consumer: str = NOBODY
    consumer_gas: int = 0

    def tuple(self) -> tuple:
        return astuple(self)

    def hash(self) -> bytes:
        return keccak(encode([BRIEF], [self.tuple()]))


@dataclass(frozen=True)
class Request:
    terms: Terms
    brief: Brief

    def tuple(self) -> tuple:
        return self.terms.tuple(), self.brief.tuple()


@dataclass(frozen=True)
class Ticket:
    terms: Terms
    brief: bytes
    committee: tuple[str, ...] = ()
    keys: bytes = bytes(32)

    def tuple(self) -> tuple:
        return self.terms.tuple(), self.brief, list(self.committee), self.keys


def version_id(chain_id: int, registry: str, owner: str, manifest: bytes) -> bytes:
    return keccak(encode(["uint256", "address", "address", "bytes32"], [chain_id, registry, owner, manifest]))


def job_id(chain_id: int, market: str, terms: Terms, brief: bytes) -> bytes:
    """`brief` is the hash of the job's Brief."""
    return keccak(encode(["uint256", "address", TERMS, "bytes32"], [chain_id, market, terms.tuple(), brief]))


def request_id(chain_id: int, market: str, request: Request) -> bytes:
    return job_id(chain_id, market, request.terms, request.brief.hash())


def ticket_tag(job: bytes, committee: Sequence[str], keys: bytes) -> bytes:
    """What the market keeps of committee and sealed keys, of which `keys` is the hash."""
    return keccak(encode(["bytes32", "bytes32", "address[]"], [job, keys, list(committee)]))[:12]


def secret_hash(secret: bytes) -> bytes:
    return keccak(encode(["bytes32"], [secret]))


def seed(job: bytes, prevrandao: bytes, secret: bytes) -> bytes:
    return keccak(encode(["bytes32", "bytes32", "bytes32"], [job, prevrandao, secret]))


def point(draw_seed: bytes, seat: int) -> int:
    return int.from_bytes(keccak(encode(["bytes32", "uint256"], [draw_seed, seat])), "big")


def committee_hash(committee: Sequence[str]) -> bytes:
    return keccak(encode(["address[]"], [[to_checksum_address(a) for a in committee]]))


def commitment(chain_id: int, market: str, job: bytes, worker: str, output: bytes, salt: bytes) -> bytes:
    types = ["uint256", "address", "bytes32", "uint256", "address", "bytes32", "bytes32"]
    return keccak(encode(types, [chain_id, market, job, 0, worker, output, salt]))
