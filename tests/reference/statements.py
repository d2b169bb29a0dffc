"""Verifiers by number, and what a proof is about: rules VERIFIER-*, JOB-26, JOB-28 of docs/spec/protocol.md."""

from dataclasses import dataclass, field

from eth_abi import encode
from eth_utils import keccak

from .registry import require

PUBLIC, COMMITTED, MASKED = range(3)


def input_digest(kind: int, batch_bits: int, commitment: bytes, values: bytes) -> bytes:
    """Of an input of 2^batch_bits rows: the hash of its commitment's points and of its values, or zeros."""
    return keccak(encode(["uint256", "uint256", "bytes32", "bytes32"], [kind, batch_bits, commitment, values]))


def output_digest(kind: int, commitment: bytes, values: bytes) -> bytes:
    return keccak(encode(["uint256", "bytes32", "bytes32"], [kind, commitment, values]))


def proved_output(pad: bytes, words: bytes) -> bytes:
    return output_digest(MASKED, pad, keccak(words))


def input_commitment(binding: bytes, circuit_input: bytes) -> bytes:
    return keccak(encode(["bytes32", "bytes32"], [binding, circuit_input]))


def circuit_input(digest: bytes, pad_points: bytes) -> bytes:
    return keccak(encode(["bytes32", "bytes32"], [digest, pad_points]))


def job_context(chain_id: int, market: str, job: bytes, worker: str) -> bytes:
    return keccak(encode(["uint256", "address", "bytes32", "address"], [chain_id, market, job, worker]))


def version_context(chain_id: int, registry: str, version: bytes) -> bytes:
    return keccak(encode(["uint256", "address", "bytes32"], [chain_id, registry, version]))


@dataclass(frozen=True)
class Circuit:
    verifier: int
    circuit: bytes
    weights: bytes


@dataclass(frozen=True)
class Statement:
    """All that a verifier is told besides the proof."""

    circuit: bytes
    weights: bytes
    input: bytes
    output: bytes
    context: bytes


@dataclass
class Verifiers:
    stewards: list[str] = field(default_factory=list)  # number 1 first
    gone: set[int] = field(default_factory=set)

    def add(self, who: str, verifier: str, *, now: int, block: int) -> int:
        self.stewards.append(who)
        return len(self.stewards)

    def remove(self, who: str, number: int, *, now: int, block: int) -> None:
        require(0 < number <= len(self.stewards), "VERIFIER-1")
        require(who == self.stewards[number - 1], "VERIFIER-2: the steward only")
        require(number not in self.gone, "VERIFIER-2: for good")
        self.gone.add(number)
