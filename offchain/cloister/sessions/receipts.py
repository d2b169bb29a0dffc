"""What requester and worker sign in a session, and what it is bound to (SESS-1, SESS-4, SESS-21)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from eth_abi.abi import encode
from eth_hash.auto import keccak

from cloister.domain.commitments import JobContext, domain_tag
from cloister.domain.ids import Address, JobId, VersionId
from cloister.sealing.errors import SealError
from cloister.sealing.hkdf import derive
from cloister.sealing.signatures import signer_of

SessionId = NewType("SessionId", bytes)
"""32 bytes; hashes chain, contract, requester, worker and nonce (SESS-1)."""

MAX_SEQUENCE = (1 << 32) - 1
MAX_SEALED_OUTPUT = 1072
"""Bytes of a sealed output at most: what a worker can be made to publish."""

_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_ORDER = keccak(b"Order(bytes32 session,uint32 sequence,uint128 total,bytes32 inputCommitment)")
_RECEIPT = keccak(
    b"Receipt(bytes32 session,uint32 sequence,uint128 total,bytes32 inputCommitment,"
    b"bytes32 outputCommitment,bytes32 sealedOutputHash)"
)
_LEAF = domain_tag("session-leaf")


@dataclass(frozen=True, slots=True)
class Order:
    """Pay for this job, and for all before it. `total` is in units of the session's currency, `sequence` from 1."""

    session: SessionId
    sequence: int
    total: int
    input_commitment: bytes

    def struct_hash(self) -> bytes:
        """EIP-712's hashStruct."""
        values = [_ORDER, self.session, self.sequence, self.total, self.input_commitment]
        return keccak(encode(["bytes32", "bytes32", "uint32", "uint128", "bytes32"], values))

    def as_tuple(self) -> tuple[bytes, int, int, bytes]:
        """For the contract."""
        return (self.session, self.sequence, self.total, self.input_commitment)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A worker's word that an order is done; `sealed_output_hash` is the keccak of the sealed output."""

    session: SessionId
    sequence: int
    total: int
    input_commitment: bytes
    output_commitment: bytes
    sealed_output_hash: bytes

    @classmethod
    def answering(cls, order: Order, output_commitment: bytes, sealed_output: bytes) -> Receipt:
        """The receipt for an order."""
        fields = (order.session, order.sequence, order.total, order.input_commitment)
        return cls(*fields, output_commitment, keccak(sealed_output))

    def answers(self, order: Order) -> bool:
        """Whether it is for that very order."""
        return self.as_tuple()[:4] == order.as_tuple()

    def struct_hash(self) -> bytes:
        """EIP-712's hashStruct."""
        types = ["bytes32", "bytes32", "uint32", "uint128", "bytes32", "bytes32", "bytes32"]
        return keccak(encode(types, [_RECEIPT, *self.as_tuple()]))

    def as_tuple(self) -> tuple[bytes, int, int, bytes, bytes, bytes]:
        """For the contract."""
        fields = (self.session, self.sequence, self.total, self.input_commitment)
        return (*fields, self.output_commitment, self.sealed_output_hash)


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """An order and the 65 bytes of the session's key."""

    order: Order
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt and the 65 bytes of the worker's signer."""

    receipt: Receipt
    signature: bytes


@dataclass(frozen=True, slots=True)
class Leaf:
    """One job of a session as it stands in a settlement."""

    order: SignedOrder
    receipt: SignedReceipt

    def hash(self) -> bytes:
        """32 bytes for the tree; the signatures are in it."""
        order, receipt = self.order, self.receipt
        values = [_LEAF, order.order.struct_hash(), receipt.receipt.struct_hash()]
        return keccak(encode(["bytes32"] * 5, [*values, keccak(order.signature), keccak(receipt.signature)]))

    def as_tuple(self) -> tuple[object, ...]:
        """For the contract."""
        order, receipt = self.order, self.receipt
        return (order.order.as_tuple(), receipt.receipt.as_tuple(), order.signature, receipt.signature)


@dataclass(frozen=True, slots=True)
class SessionsAt:
    """A sessions contract: what everything that is signed or sealed in its sessions is bound to."""

    chain_id: int
    contract: Address

    def session_id(self, requester: Address, worker: Address, nonce: int) -> SessionId:
        """Id of a session (SESS-1)."""
        values = [self.chain_id, self.contract, requester, worker, nonce]
        return SessionId(keccak(encode(["uint256", "address", "address", "address", "uint256"], values)))

    def digest(self, signed: Order | Receipt) -> bytes:
        """What is signed."""
        domain = [_DOMAIN, keccak(b"Cloister"), keccak(b"1"), self.chain_id, self.contract]
        separator = keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], domain))
        return keccak(b"\x19\x01" + separator + signed.struct_hash())

    def signer(self, signed: SignedOrder | SignedReceipt) -> Address | None:
        """Who signed; None for bytes that are no signature in the one form that the contract takes."""
        content = signed.order if isinstance(signed, SignedOrder) else signed.receipt
        try:
            return signer_of(self.digest(content), signed.signature)
        except SealError:
            return None

    def job_id(self, session: SessionId, sequence: int) -> JobId:
        """What stands for a job's id where one of a session is committed to, or its output sealed."""
        types = ["bytes32", "uint256", "address", "bytes32", "uint256"]
        values = [domain_tag("session-job"), self.chain_id, self.contract, session, sequence]
        return JobId(keccak(encode(types, values)))

    def context(self, session: SessionId, sequence: int) -> JobContext:
        """Where a job of a session lives; the contract stands for the market."""
        return JobContext(self.chain_id, self.contract, self.job_id(session, sequence))

    def sealed_key_info(
        self,
        order: Order,
        version: VersionId,
        worker: Address,
        key_epoch: int,
        response_key: bytes,
        ciphertext_hash: bytes,
    ) -> bytes:
        """HPKE info of the input key: sealed for one job, worker and prompt key, it opens for no other (SESS-21).

        `ciphertext_hash` is the SHA-256 of the encrypted input.
        """
        types = ["bytes32", "uint256", "address", "bytes32", "uint256", "bytes32", "address", "uint256"]
        values: list[object] = [domain_tag("sealed-key/session"), self.chain_id, self.contract, order.session]
        values += [order.sequence, version, worker, key_epoch, response_key, order.input_commitment, ciphertext_hash]
        return keccak(encode([*types, "bytes32", "bytes32", "bytes32"], values))


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed at the opening of a session and never changes. `price` is in units of its currency."""

    session: SessionId
    worker: Address
    signer: Address
    key: Address
    price: int

    def order(self, sequence: int, input_commitment: bytes) -> Order:
        """The order with that number."""
        return Order(self.session, sequence, sequence * self.price, input_commitment)


def order_root(session_key: bytes, session: SessionId, sequence: int, salt: bytes) -> bytes:
    """R of one job (docs/spec/commitments.md), from the session's private key and 32 random bytes of the ledger.

    Neither opens a job alone, and a ledger that was lost leads to no second input under one key.
    """
    return derive(session_key, f"cloister/1/session-root/{session.hex()}/{sequence}/{salt.hex()}")
