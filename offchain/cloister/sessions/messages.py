"""What travels between requester and worker: JSON, bytes as 0x and hexadecimal digits.

order    {"session", "sequence", "total", "input_commitment", "signature", "version", "response_key",
          "key_epoch", "sealed_key", "ciphertext"}; `total` is a decimal text, since JSON numbers end at 2^53
receipt  {"output_commitment", "sealed_output", "signature"}
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from cloister.domain.errors import InvalidInput
from cloister.domain.ids import VersionId, hexed, unhexed
from cloister.sessions.receipts import (
    MAX_SEALED_OUTPUT,
    MAX_SEQUENCE,
    Order,
    Receipt,
    SessionId,
    SignedOrder,
    SignedReceipt,
)

SIGNATURE_BYTES = 65
SEALED_KEY_BYTES = 80
MAX_CIPHERTEXT = 4 << 20
MAX_REQUEST = 2 * MAX_CIPHERTEXT + (8 << 10)
MAX_ANSWER = 2 * MAX_SEALED_OUTPUT + (8 << 10)
_ORDER = {
    *("session", "sequence", "total", "input_commitment", "signature"),
    *("version", "response_key", "key_epoch", "sealed_key", "ciphertext"),
}
_RECEIPT = {"output_commitment", "sealed_output", "signature"}


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """A signed order with its input: `ciphertext` under a key that `sealed_key` (80 bytes) holds for the worker alone.

    `key_epoch` is that of the prompt key which it is sealed to; the output is sealed to `response_key` (32 bytes).
    """

    signed: SignedOrder
    version: VersionId
    response_key: bytes
    key_epoch: int
    sealed_key: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)

    @property
    def order(self) -> Order:
        """The order."""
        return self.signed.order

    @property
    def ciphertext_hash(self) -> bytes:
        """SHA-256 of the encrypted input."""
        return hashlib.sha256(self.ciphertext).digest()

    def encoded(self) -> bytes:
        """As it is sent."""
        order = self.order
        return json.dumps(
            {
                "session": hexed(order.session),
                "sequence": order.sequence,
                "total": str(order.total),
                "input_commitment": hexed(order.input_commitment),
                "signature": hexed(self.signed.signature),
                "version": hexed(self.version),
                "response_key": hexed(self.response_key),
                "key_epoch": self.key_epoch,
                "sealed_key": hexed(self.sealed_key),
                "ciphertext": hexed(self.ciphertext),
            }
        ).encode()

    @classmethod
    def decoded(cls, data: bytes) -> OrderMessage:
        """What was sent. Raises InvalidInput for anything else."""
        given = _object(data, _ORDER, "An order")
        order = Order(
            session=SessionId(_bytes(given, "session", 32)),
            sequence=_number(given, "sequence", 1, MAX_SEQUENCE),
            total=_decimal(given, "total"),
            input_commitment=_bytes(given, "input_commitment", 32),
        )
        return cls(
            signed=SignedOrder(order, _bytes(given, "signature", SIGNATURE_BYTES)),
            version=VersionId(_bytes(given, "version", 32)),
            response_key=_bytes(given, "response_key", 32),
            key_epoch=_number(given, "key_epoch", 0, (1 << 32) - 1),
            sealed_key=_bytes(given, "sealed_key", SEALED_KEY_BYTES),
            ciphertext=_up_to(given, "ciphertext", MAX_CIPHERTEXT),
        )


@dataclass(frozen=True, slots=True)
class Answered:
    """A signed receipt with the sealed output that it names."""

    signed: SignedReceipt
    sealed_output: bytes

    def encoded(self) -> bytes:
        """As it is sent; what the order says is not repeated."""
        return json.dumps(
            {
                "output_commitment": hexed(self.signed.receipt.output_commitment),
                "sealed_output": hexed(self.sealed_output),
                "signature": hexed(self.signed.signature),
            }
        ).encode()

    @classmethod
    def decoded(cls, data: bytes, order: Order) -> Answered:
        """An answer to `order`. Raises InvalidInput for what is none; its signature is for the caller to check."""
        given = _object(data, _RECEIPT, "A receipt")
        sealed = _up_to(given, "sealed_output", MAX_SEALED_OUTPUT)
        receipt = Receipt.answering(order, _bytes(given, "output_commitment", 32), sealed)
        return cls(SignedReceipt(receipt, _bytes(given, "signature", SIGNATURE_BYTES)), sealed)


def _object(data: bytes, members: set[str], what: str) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or content.keys() != members:
        raise InvalidInput(f"{what} is a JSON object of exactly {', '.join(sorted(members))}.")
    return content


def _bytes(given: dict[str, Any], name: str, length: int) -> bytes:
    value = given[name]
    # Not unhexed's own message: it repeats what it was given.
    try:
        return unhexed(value if isinstance(value, str) else "", name, length)
    except InvalidInput:
        raise InvalidInput(f"{name} is not 0x and {length} bytes in hexadecimal.") from None


def _up_to(given: dict[str, Any], name: str, most: int) -> bytes:
    value = given[name]
    if not isinstance(value, str) or not 2 <= len(value) <= 2 + 2 * most:
        raise InvalidInput(f"{name} is not 0x and at most {most:,} bytes in hexadecimal.")
    return _bytes(given, name, len(value) // 2 - 1)


def _number(given: dict[str, Any], name: str, least: int, most: int) -> int:
    value = given[name]
    if type(value) is not int or not least <= value <= most:
        raise InvalidInput(f"{name} is not an integer from {least} to {most}.")
    return value


def _decimal(given: dict[str, Any], name: str) -> int:
    value = given[name]
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal() or len(value) > 38:
        raise InvalidInput(f"{name} is not a decimal text of at most 38 digits.")
    return int(value)
