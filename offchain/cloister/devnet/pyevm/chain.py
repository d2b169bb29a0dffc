"""The chain itself: its mempool, its mining, and execution without mining."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast

from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI, StateAPI
from eth.vm.forks.prague import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_typing import Address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from .pool import Fault, Pool, floor_gas
from .views import Json, header_view, octets, receipt_views, transaction_view
from .vm import TRANSACTION_GAS_CAP, new_chain, next_header

CALL_STIPEND = 2_300


@dataclass(frozen=True, slots=True)
class Mined:
    """A block as it is asked for, computed once when it is mined."""

    header: BlockHeaderAPI
    view: Json
    transactions: tuple[Json, ...]
    receipts: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """What eth_call and eth_estimateGas execute. `gas` None stands for as much as a transaction may have."""

    sender: Address
    to: Address
    value: int
    data: bytes
    gas: int | None


class PyEvmChain:
    """One chain in memory. Not safe for threads: its server holds a lock.

    `seed`, 32 bytes, decides every block's prevrandao.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._chain = new_chain(self._prevrandao(0))
        self._offset = 0
        self.pool = Pool()
        genesis = self._chain.get_canonical_head()
        self.blocks = [Mined(genesis, header_view(genesis) | {"transactions": []}, (), ())]
        self.by_hash: dict[bytes, int] = {genesis.hash: 0}
        self.places: dict[bytes, tuple[int, int]] = {}
        """Block number and index of every mined transaction, by hash."""

    @property
    def head(self) -> BlockHeaderAPI:
        """The last block's header."""
        return self.blocks[-1].header

    def pending_header(self) -> BlockHeaderAPI:
        """A header like the next block's, except for prevrandao, which stays unknown until that block is mined."""
        return next_header(self._chain, self.head, self._now(), bytes(32))

    def increase_time(self, seconds: int) -> None:
        """Later blocks are that much later."""
        self._offset += seconds

    def state(self, header: BlockHeaderAPI) -> StateAPI:
        """The state after a block."""
        return self._chain.get_vm(header).state

    def submit(self, raw: bytes) -> bytes:
        """Takes a signed transaction; returns its hash. Raises Fault when a node would refuse it."""
        builder = self._chain.get_vm(self.head).get_transaction_builder()
        try:
            transaction = builder.decode(raw)
            known = transaction.hash in self.places
            _ = transaction.sender
        except Exception as exc:  # whatever a decoder finds in bytes from outside
            raise Fault(-32602, f"failed to decode signed transaction: {type(exc).__name__}") from exc
        if known:
            raise Fault(-32003, "already known")
        base_fee = self.pending_header().base_fee_per_gas or 0
        self.pool.add(transaction, self.state(self.head), base_fee)
        return transaction.hash

    def mine(self) -> None:
        """Mines one block from the transactions that wait."""
        number = self.head.block_number + 1
        header = next_header(self._chain, self.head, self._now(), self._prevrandao(number))
        vm = cast(PragueVM, self._chain.get_vm(header))
        vm.block_preprocessing(vm.get_block())
        transactions: list[SignedTransactionAPI] = []
        receipts: list[ReceiptAPI] = []
        for transaction in self.pool.ready(vm.state, header.base_fee_per_gas or 0):
            if transaction.gas > header.gas_limit - header.gas_used:
                break
            try:
                vm.state.validate_transaction(transaction)
            except ValidationError:
                # Valid when it came, but not any more: its account spent what it needed.
                self.pool.drop(transaction)
                continue
            receipt, _ = vm.apply_transaction(header, transaction)
            header = vm.add_receipt_to_header(header, receipt)
            transactions.append(transaction)
            receipts.append(receipt)
        filled = vm.set_block_transactions_and_withdrawals(vm.get_block(), header, transactions, receipts)
        block = vm.mine_block(vm.block_postprocessing(filled)).block
        self._chain.persist_block(block)
        self._record(block.header, transactions, receipts)

    def execute(self, message: Message, header: BlockHeaderAPI) -> ComputationAPI:
        """Runs a message on the state after `header`, in its block, free of charge. Nothing is kept."""
        return self._run(message, header, message.gas or TRANSACTION_GAS_CAP)

    def estimate(self, message: Message, header: BlockHeaderAPI) -> tuple[int, ComputationAPI]:
        """A gas limit that suffices, at most a few percent too high; and the last run, which failed if none does."""
        cap = min(message.gas or TRANSACTION_GAS_CAP, TRANSACTION_GAS_CAP)
        run = self._run(message, header, cap)
        if run.is_error:
            return cap, run
        # What it used before refunds; a call keeps 1/64 of the gas back, at any depth, and may need its
        # stipend.
        used = cap - run.get_gas_remaining()
        limit = max(floor_gas(message.data), used)
        while limit < cap:
            run = self._run(message, header, limit)
            if not run.is_error:
                return limit, run
            limit = limit * 64 // 63 + CALL_STIPEND
        return cap, self._run(message, header, cap)

    def _run(self, message: Message, header: BlockHeaderAPI, gas: int) -> ComputationAPI:
        vm = self._chain.get_vm(header.copy(base_fee_per_gas=0))
        state = vm.state
        unsigned = vm.create_unsigned_transaction(
            nonce=state.get_nonce(message.sender),
            gas_price=0,
            gas=gas,
            to=message.to,
            value=message.value,
            data=message.data,
        )
        if gas < max(unsigned.intrinsic_gas, floor_gas(message.data)):
            raise Fault(-32000, "intrinsic gas too low")
        try:
            return state.apply_transaction(SpoofTransaction(unsigned, from_=message.sender))  # type: ignore[arg-type]
        except ValidationError as exc:
            if state.get_balance(message.sender) < message.value:
                raise Fault(-32003, "insufficient funds for gas * price + value") from exc
            raise Fault(-32000, str(exc)) from exc

    def _record(
        self, header: BlockHeaderAPI, transactions: list[SignedTransactionAPI], receipts: list[ReceiptAPI]
    ) -> None:
        base_fee = header.base_fee_per_gas or 0
        views = tuple(transaction_view(t, header, i, base_fee) for i, t in enumerate(transactions))
        hashes = [octets(transaction.hash) for transaction in transactions]
        view = header_view(header) | {"transactions": hashes}
        self.blocks.append(Mined(header, view, views, tuple(receipt_views(header, transactions, receipts))))
        self.by_hash[header.hash] = header.block_number
        for index, transaction in enumerate(transactions):
            self.places[transaction.hash] = (header.block_number, index)
            self.pool.drop(transaction)

    def _now(self) -> int:
        return int(time.time()) + self._offset

    def _prevrandao(self, number: int) -> bytes:
        return keccak(self._seed + number.to_bytes(32, "big"))
