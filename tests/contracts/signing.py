"""What enclaves sign: the client's digests, each held against an independent EIP-712 encoder, and keys to sign with."""

from functools import cache

from brownie import web3
from eth_keys import keys
from eth_utils import keccak
from reference import enclaves

from cloister.domain import typed
from cloister.sealing import signatures


@cache
def chain_id() -> int:
    return web3.eth.chain_id


class Signers:
    """Keys of enclaves by the address that they sign as."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}

    def make(self, name: str) -> str:
        secret = keccak(text=name)
        address = keys.PrivateKey(secret).public_key.to_checksum_address()
        self._keys[address] = secret
        return address

    def sign(self, address: str, digest: bytes) -> bytes:
        return signatures.sign(self._keys[address], digest)


def result(market, job: bytes, output: bytes, sealed: bytes) -> bytes:
    digest = typed.result_digest(chain_id(), market.address, job, output, sealed)
    return _checked(digest, market, "Result", job, 0, output, keccak(sealed))


def refusal(market, job: bytes, worker: str, sealed_key: bytes, reason: int) -> bytes:
    digest = typed.refusal_digest(chain_id(), market.address, job, worker, sealed_key, reason)
    return _checked(digest, market, "Refusal", job, worker, keccak(sealed_key), reason)


def prompt_key(nodes, worker: str, epoch: int, key: bytes, end: int) -> bytes:
    digest = typed.prompt_key_digest(chain_id(), nodes.address, worker, epoch, key, end)
    return _checked(digest, nodes, "PromptKey", worker, epoch, key, end)


def enrolment(nodes, worker: str, version: bytes, key_epoch: int) -> bytes:
    digest = typed.enrolment_digest(chain_id(), nodes.address, worker, version, key_epoch)
    return _checked(digest, nodes, "Enrolment", worker, version, key_epoch)


def membership(nodes, worker: str, operator: str) -> bytes:
    return enclaves.digest(enclaves.message(chain_id(), nodes.address, "Membership", worker, operator))


def _checked(digest: bytes, contract, name: str, *values: object) -> bytes:
    assert enclaves.digest(enclaves.message(chain_id(), contract.address, name, *values)) == digest
    return digest
