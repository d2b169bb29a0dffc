"""The hashes of docs/spec/commitments.md that the contracts compute too."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from eth_abi import encode
from eth_utils import keccak, to_checksum_address

REQUEST = "(uint256,bytes32,uint8,uint8,uint8,uint96,bytes32,bytes32,uint32,bytes32,bytes32)"
NOBODY = "0x" + "00" * 20


@dataclass(frozen=True)
class Request:
    """The static tuple of contracts/types/Request.sol."""

    nonce: int
    version: bytes
    level: int
    seats: int
    quorum: int
    price: int
    input_commitment: bytes
    ciphertext_hash: bytes
    ciphertext_size: int
    response_key: bytes
    secret_hash: bytes

    def tuple(self) -> tuple:
        return astuple(self)


def version_id(chain_id: int, registry: str, owner: str, manifest: bytes) -> bytes:
    return keccak(encode(["uint256", "address", "address", "bytes32"], [chain_id, registry, owner, manifest]))


def job_id(chain_id: int, market: str, requester: str, request: Request) -> bytes:
    return keccak(encode(["uint256", "address", "address", REQUEST], [chain_id, market, requester, request.tuple()]))


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
