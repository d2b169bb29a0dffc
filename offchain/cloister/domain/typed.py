"""EIP-712 digests of what enclaves (docs/spec/enclaves.md) and operators sign."""

from __future__ import annotations

from eth_abi.abi import encode
from eth_hash.auto import keccak

from cloister.domain.ids import Address, JobId, VersionId

_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_RESULT = keccak(b"Result(bytes32 job,uint8 stage,bytes32 outputCommitment,bytes32 sealedOutput)")
_REFUSAL = keccak(b"Refusal(bytes32 job,address worker,bytes32 sealedKey,uint8 reason)")
_PROMPT_KEY = keccak(b"PromptKey(address worker,uint32 epoch,bytes32 key,uint40 expiresAt)")
_MEMBERSHIP = keccak(b"Membership(address worker,address operator)")
_ENROLMENT = keccak(b"Enrolment(address worker,bytes32 version,uint32 keyEpoch)")

ONLY_STAGE = 0
"""Stage of a job that is not split."""


def result_digest(
    chain_id: int, market: Address, job: JobId, output_commitment: bytes, sealed_output: bytes, stage: int = ONLY_STAGE
) -> bytes:
    """Of an answer; `sealed_output` is the sealed output itself, or the masked words of a proved one."""
    types = ["bytes32", "bytes32", "uint8", "bytes32", "bytes32"]
    values = [_RESULT, job, stage, output_commitment, keccak(sealed_output)]
    return _digest(chain_id, market, types, values)


def refusal_digest(
    chain_id: int, market: Address, job: JobId, worker: Address, sealed_key: bytes, reason: int
) -> bytes:
    """Of a refusal for which the requester pays (SIG-2); `sealed_key` is the sealed input key itself."""
    types = ["bytes32", "bytes32", "address", "bytes32", "uint8"]
    values = [_REFUSAL, job, worker, keccak(sealed_key), reason]
    return _digest(chain_id, market, types, values)


def prompt_key_digest(
    chain_id: int, registry: Address, worker: Address, epoch: int, key: bytes, expires_at: int
) -> bytes:
    """Of a prompt key; `expires_at` is a Unix second."""
    types = ["bytes32", "address", "uint32", "bytes32", "uint40"]
    return _digest(chain_id, registry, types, [_PROMPT_KEY, worker, epoch, key, expires_at])


def enrolment_digest(chain_id: int, registry: Address, worker: Address, version: VersionId, key_epoch: int) -> bytes:
    """Of the word that a version's weights are loaded and are what its manifest says."""
    types = ["bytes32", "address", "bytes32", "uint32"]
    return _digest(chain_id, registry, types, [_ENROLMENT, worker, version, key_epoch])


def membership_digest(chain_id: int, registry: Address, worker: Address, operator: Address) -> bytes:
    """Of an operator's word that a worker is one of its own (DRAW-8)."""
    return _digest(chain_id, registry, ["bytes32", "address", "address"], [_MEMBERSHIP, worker, operator])


def _digest(chain_id: int, contract: Address, types: list[str], values: list[object]) -> bytes:
    domain = [_DOMAIN, keccak(b"Cloister"), keccak(b"1"), chain_id, contract]
    separator = keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], domain))
    return keccak(b"\x19\x01" + separator + keccak(encode(types, values)))
