"""Signs and sends: the one owner of an account's nonces."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol, cast

import structlog
from eth_account.signers.local import LocalAccount
from web3.exceptions import TransactionNotFound
from web3.types import TxParams

from cloister.chain.call import GAS_CAP, Call
from cloister.chain.connection import Confirmations, Connection
from cloister.chain.errors import (
    AlreadyKnown,
    InsufficientFunds,
    NonceConflict,
    RpcError,
    Underpriced,
    translated,
)
from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, hexed

log = structlog.get_logger()

RECEIPT_TIMEOUT = 120.0
"""Seconds to wait for a transaction to be mined before giving up the wait, never the transaction."""
RESEND_SECONDS = 4.0
"""How often a wait asks whether the node still has the transaction."""
GAS_MARGIN = 1.2
BASE_FEE_HEADROOM = 2
"""The fee cap covers a base fee that doubles: six full blocks in a row."""


REFUSED = (InsufficientFunds, Underpriced, NonceConflict)
"""What an endpoint answers that did not accept a transaction and passed it on to nobody."""
REFUSAL_CODES = (-32000, -32003)
"""JSON-RPC's for the same, whatever the text: "server error" as nodes use it, "transaction rejected"."""


class NotMined(CloisterError):
    """A transaction was sent but is not in a block yet."""


class TransactionFailed(CloisterError):
    """A transaction was mined and reverted."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction. `gas_price` in wei."""

    hash: bytes
    block: int
    gas_used: int
    gas_price: int
    succeeded: bool


class Record(Protocol):
    """One stored transaction."""

    @property
    def intent(self) -> str: ...
    @property
    def nonce(self) -> int: ...
    @property
    def hash(self) -> bytes: ...
    @property
    def raw(self) -> bytes: ...


class Outbox(Protocol):
    """Where signed transactions are kept; `cloister.storage.Journal` through `bootstrap`."""

    def find(self, intent: str) -> Record | None:
        """The transaction of an intent, unless it failed."""

    def pending(self) -> list[Any]:
        """Transactions of unknown fate, by nonce."""

    def next_nonce(self) -> int:
        """One more than the highest nonce that still counts."""

    def record(self, intent: str, nonce: int, hash_: bytes, raw: bytes) -> None:
        """Keeps a transaction, durably, before it is sent."""

    def resolve(self, intent: str, succeeded: bool) -> None:
        """Notes that a transaction was mined."""

    def forget(self, intent: str) -> None:
        """Drops a transaction that the node refused."""


class Sender:
    """Sends calls from one account, each under an intent that is carried out at most once.

    `max_fee` is the highest fee per gas, in wei, that it will sign; None sets no limit.
    """

    def __init__(
        self,
        connection: Connection,
        account: LocalAccount,
        outbox: Outbox,
        *,
        max_fee: int | None = None,
        confirmations: Confirmations = "latest",
        sleep: Callable[[float], None] = time.sleep,
        poll_seconds: float = 0.1,
    ) -> None:
        self.address = Address(account.address)
        self._connection = connection
        self._w3 = connection.w3
        self._account = account
        self._outbox = outbox
        self._max_fee = max_fee
        self._confirmations = confirmations
        self._sleep = sleep
        self._poll_seconds = poll_seconds
        self._lock = Lock()

    def send(self, intent: str, call: Call) -> bytes:
        """Sends a call unless its intent was sent before; returns the transaction's hash either way.

        One that was sent before but is lost, because the node was away or restarted, is sent again as it is.

        Raises ContractError when the call would revert, InsufficientFunds, Underpriced and NonceConflict: nothing was
        sent then, and the intent is still free. RpcUnavailable leaves the transaction journalled and pending, because
        the node may have it.
        """
        with self._lock:
            known = self._outbox.find(intent)
            if known is not None and self.receipt(known.hash) is None:
                self._rebroadcast(known)
                known = self._outbox.find(intent)
            if known is not None:
                return known.hash
            nonce, raw, hash_ = self._sign(call)
            self._outbox.record(intent, nonce, hash_, raw)
            try:
                self._broadcast(raw)
            except REFUSED:
                self._outbox.forget(intent)
                raise
            except RpcError as error:
                if error.code in REFUSAL_CODES:
                    self._outbox.forget(intent)
                raise
            return hash_

    def settle(self) -> list[tuple[str, Receipt]]:
        """Looks for the receipts of pending transactions, and sends those again that the node has lost.

        Returns the transactions that are mined now, with their intents. One that the node does not want back, for want
        of funds or of a higher fee, stays pending.
        """
        mined = []
        with self._lock:
            pending = self._outbox.pending()
            if not pending:
                return []
            head = self._connection.head(self._confirmations).number
            for record in pending:
                receipt = self.receipt(record.hash)
                if receipt is None:
                    self._resend(record)
                elif receipt.block <= head:
                    self._outbox.resolve(record.intent, receipt.succeeded)
                    mined.append((record.intent, receipt))
        return mined

    def wait(self, hash_: bytes, timeout: float = RECEIPT_TIMEOUT) -> Receipt:
        """The receipt of a transaction, once it is mined; sends it again when the node loses it.

        Raises NotMined after `timeout` seconds and TransactionFailed when it reverted.
        """
        deadline = time.monotonic() + timeout
        resend = time.monotonic() + RESEND_SECONDS
        while (receipt := self.receipt(hash_)) is None:
            if time.monotonic() > deadline:
                raise NotMined(
                    f"Transaction {hexed(hash_)} was sent but not mined within {timeout:.0f} s.",
                    "It stays in the journal and is sent again on the next start; raise max_fee_gwei if fees rose.",
                )
            if time.monotonic() > resend:
                resend = time.monotonic() + RESEND_SECONDS
                self.settle()
            self._sleep(self._poll_seconds)
        self.settle()
        if not receipt.succeeded:
            raise TransactionFailed(
                f"Transaction {hexed(hash_)} was mined in block {receipt.block} and reverted.",
                "Another transaction changed the state first; look at the job again before you retry.",
            )
        return receipt

    def transact(self, intent: str, call: Call) -> Receipt:
        """Sends a call and waits for it."""
        return self.wait(self.send(intent, call))

    def receipt(self, hash_: bytes) -> Receipt | None:
        """The receipt of a transaction, None while it is not mined."""
        with translated():
            try:
                found = self._w3.eth.get_transaction_receipt(cast(Any, hash_))
            except TransactionNotFound:
                return None
        price = found.get("effectiveGasPrice", 0)
        return Receipt(hash_, found["blockNumber"], found["gasUsed"], price, found["status"] == 1)

    def _sign(self, call: Call) -> tuple[int, bytes, bytes]:
        fields = self._fees()
        fields |= {
            "chainId": self._connection.chain_id,
            "from": cast(Any, self.address),
            "to": cast(Any, call.to),
            "data": cast(Any, "0x" + call.data.hex()),
            "value": cast(Any, call.value),
        }
        # Pending: the call will run in the next block, where a seed block that is the latest now can be looked up.
        with translated():
            if call.gas is None:
                estimate = self._w3.eth.estimate_gas(fields, "pending")
                fields["gas"] = min(int(estimate * GAS_MARGIN) + 10_000, GAS_CAP)
            else:
                fields["gas"] = call.gas
                self._w3.eth.call(fields, "pending")
            count = self._w3.eth.get_transaction_count(cast(Any, self.address), "pending")
        nonce = max(count, self._outbox.next_nonce())
        del fields["from"]
        signed = self._account.sign_transaction(cast(dict[str, Any], {**fields, "nonce": nonce}))
        return nonce, bytes(signed.raw_transaction), bytes(signed.hash)

    def _fees(self) -> TxParams:
        with translated():
            base_fee = self._w3.eth.get_block("latest").get("baseFeePerGas")
            if base_fee is None:
                price = self._w3.eth.gas_price
                self._check_fee(price)
                return {"gasPrice": cast(Any, price)}
            tip = self._w3.eth.max_priority_fee
        fee = BASE_FEE_HEADROOM * base_fee + tip
        self._check_fee(base_fee + tip)
        if self._max_fee is not None:
            fee = min(fee, self._max_fee)
        return {"maxFeePerGas": cast(Any, fee), "maxPriorityFeePerGas": cast(Any, min(tip, fee))}

    def _check_fee(self, needed: int) -> None:
        if self._max_fee is not None and needed > self._max_fee:
            raise Underpriced(
                f"The chain asks {needed / 1e9:.3f} gwei per gas, above the limit of {self._max_fee / 1e9:.3f}.",
                "Wait, or raise max_fee_gwei. Nothing was sent.",
            )

    def _broadcast(self, raw: bytes) -> None:
        try:
            with translated():
                self._w3.eth.send_raw_transaction(raw)
        except AlreadyKnown:
            pass

    def _rebroadcast(self, record: Record) -> None:
        with translated():
            try:
                self._w3.eth.get_transaction(cast(Any, record.hash))
                return
            except TransactionNotFound:
                pass
        try:
            self._broadcast(record.raw)
        except NonceConflict:
            # Mined a moment ago, or its nonce went to a transaction from elsewhere: only then is the intent free again.
            with translated():
                used = self._w3.eth.get_transaction_count(cast(Any, self.address), "latest")
            if used > record.nonce and self.receipt(record.hash) is None:
                log.warning("nonce used elsewhere", intent=record.intent, nonce=record.nonce)
                self._outbox.resolve(record.intent, succeeded=False)

    def _resend(self, record: Record) -> None:
        """Like `_rebroadcast`, for many: one that is refused must not keep the others from being looked at."""
        try:
            self._rebroadcast(record)
        except (*REFUSED, RpcError) as error:
            log.warning("transaction not taken", intent=record.intent, nonce=record.nonce, error=str(error))
