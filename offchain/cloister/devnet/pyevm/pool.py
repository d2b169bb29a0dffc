"""Transactions that wait for a block, and what a node refuses to let in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eth.abc import SignedTransactionAPI, StateAPI

from ..accounts import CHAIN_ID
from .views import ACCESS_LIST, DYNAMIC_FEE, octets
from .vm import TRANSACTION_GAS_CAP

CAPACITY = 10_000
REPLACEMENT = 110
"""Percent of the old fees that a transaction must pay to take another's place."""


class Fault(Exception):
    """An error of JSON-RPC: its code, its message, and the return data of a revert."""

    def __init__(self, code: int, message: str, data: bytes | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = None if data is None else octets(data)


class Pool:
    """At most one transaction per account and nonce, in order of arrival."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[bytes, int], SignedTransactionAPI] = {}
        self._by_hash: dict[bytes, SignedTransactionAPI] = {}

    def find(self, hash_: bytes) -> SignedTransactionAPI | None:
        """A waiting transaction."""
        return self._by_hash.get(hash_)

    def next_nonce(self, sender: bytes, nonce: int) -> int:
        """The first nonce from `nonce` on that no waiting transaction has."""
        while (sender, nonce) in self._waiting:
            nonce += 1
        return nonce

    def add(self, transaction: SignedTransactionAPI, state: StateAPI, base_fee: int) -> None:
        """Lets a transaction wait. Raises Fault with the words of other nodes when it can never be mined."""
        if transaction.hash in self._by_hash:
            raise Fault(-32003, "already known")
        _check(transaction, state, base_fee)
        place = (transaction.sender, transaction.nonce)
        if old := self._waiting.get(place):
            pairs = zip(_fees(old), _fees(transaction), strict=True)
            if any(new * 100 < before * REPLACEMENT for before, new in pairs):
                raise Fault(-32003, "replacement transaction underpriced")
            self.drop(old)
        elif len(self._waiting) >= CAPACITY:
            raise Fault(-32003, "txpool is full")
        self._waiting[place] = transaction
        self._by_hash[transaction.hash] = transaction

    def drop(self, transaction: SignedTransactionAPI) -> None:
        """Lets go of a transaction that was mined, replaced, or cannot be mined any more."""
        if self._by_hash.pop(transaction.hash, None) is not None:
            del self._waiting[transaction.sender, transaction.nonce]

    def ready(self, state: StateAPI, base_fee: int) -> Iterator[SignedTransactionAPI]:
        """What can be mined on `state`, which the caller changes by mining it: by arrival, nonces in order."""
        progress = True
        while progress:
            progress = False
            for transaction in list(self._waiting.values()):
                if transaction.hash not in self._by_hash or _fees(transaction)[0] < base_fee:
                    continue
                if state.get_nonce(transaction.sender) == transaction.nonce:
                    yield transaction
                    progress = True


def floor_gas(data: bytes) -> int:
    """The least that a transaction with this calldata costs (EIP-7623)."""
    zeros = data.count(0)
    return 21_000 + 10 * (zeros + 4 * (len(data) - zeros))


def _fees(transaction: SignedTransactionAPI) -> tuple[int, int]:
    if transaction.type_id == DYNAMIC_FEE:
        return transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas
    return transaction.gas_price, transaction.gas_price


def _check(transaction: SignedTransactionAPI, state: StateAPI, base_fee: int) -> None:
    fee, tip = _fees(transaction)
    rules: list[tuple[Any, int, str]] = [
        ((transaction.type_id or 0) not in (0, ACCESS_LIST, DYNAMIC_FEE), -32003, "transaction type not supported"),
        (transaction.chain_id != CHAIN_ID, -32003, "invalid chain id for signer"),
        (transaction.gas > TRANSACTION_GAS_CAP, -32000, f"transaction gas limit too high (cap: {TRANSACTION_GAS_CAP})"),
        (
            transaction.gas < max(transaction.intrinsic_gas, floor_gas(transaction.data)),
            -32000,
            "intrinsic gas too low",
        ),
        (tip > fee, -32003, "max priority fee per gas higher than max fee per gas"),
        (transaction.nonce < state.get_nonce(transaction.sender), -32003, "nonce too low"),
        (fee < base_fee, -32003, "max fee per gas less than block base fee"),
        (
            state.get_balance(transaction.sender) < transaction.gas * fee + transaction.value,
            -32003,
            "insufficient funds for gas * price + value",
        ),
    ]
    for broken, code, message in rules:
        if broken:
            raise Fault(code, message)
