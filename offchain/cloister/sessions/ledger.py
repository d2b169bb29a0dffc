"""What each party keeps of its sessions (SESS-19, SESS-20). Everything is on disk before anything of it is sent.

A refused order stays written down, and another may take its number: one sequence number is paid for once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eth_hash.auto import keccak

from cloister.domain.ids import Address, hexed
from cloister.sessions.errors import OrderConflict, SecondReceipt
from cloister.sessions.receipts import (
    Leaf,
    Order,
    Receipt,
    SessionId,
    SessionsAt,
    SignedOrder,
    SignedReceipt,
)
from cloister.sessions.store import Store

_ORDERS = """
CREATE TABLE orders (
  number INTEGER PRIMARY KEY,
  session BLOB NOT NULL,
  sequence INTEGER NOT NULL,
  total BLOB NOT NULL,
  input_commitment BLOB NOT NULL,
  order_signature BLOB NOT NULL,
  message BLOB NOT NULL,
  salt BLOB NOT NULL,
  refused INTEGER NOT NULL DEFAULT 0,
  output_commitment BLOB,
  sealed_output BLOB,
  receipt_signature BLOB
);
CREATE UNIQUE INDEX one_order_per_number ON orders (session, sequence) WHERE NOT refused;
CREATE TABLE conflicts (
  session BLOB NOT NULL,
  sequence INTEGER NOT NULL,
  total BLOB NOT NULL,
  input_commitment BLOB NOT NULL,
  output_commitment BLOB NOT NULL,
  sealed_output_hash BLOB NOT NULL,
  receipt_signature BLOB NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One order of a session, and its receipt if there is one.

    `message` is what the requester sent with it, `salt` what its secrets derive from; a worker has neither.
    """

    order: SignedOrder
    message: bytes
    salt: bytes
    receipt: SignedReceipt | None
    sealed_output: bytes

    def leaf(self) -> Leaf:
        """As it stands in a settlement; for an entry that has a receipt."""
        assert self.receipt is not None
        return Leaf(self.order, self.receipt)


class Ledger(Store):
    """Orders and receipts of any number of sessions on one contract, by one party."""

    SCHEMA = _ORDERS

    def __init__(self, path: Path, at: SessionsAt, party: str) -> None:
        """`party` says whose it is; see Store for what it raises."""
        super().__init__(path, f"{party} at {at.contract}, chain {at.chain_id}")

    def last(self, session: SessionId) -> Entry | None:
        """The newest order that was not refused."""
        return self._one("session = ? AND NOT refused ORDER BY sequence DESC LIMIT 1", session)

    def entry(self, session: SessionId, sequence: int) -> Entry | None:
        """The order with a number, unless it was refused."""
        return self._one("session = ? AND sequence = ? AND NOT refused", session, sequence)

    def order_of(self, receipt: Receipt) -> Entry | None:
        """The order that a receipt is for, also if it was refused before."""
        found = self._entries(
            "session = ? AND sequence = ? AND input_commitment = ? ORDER BY refused, number DESC",
            *(receipt.session, receipt.sequence, receipt.input_commitment),
        )
        return next((entry for entry in found if receipt.answers(entry.order.order)), None)

    def sessions(self) -> list[SessionId]:
        """All sessions that have orders."""
        return [SessionId(row[0]) for row in self.rows("SELECT DISTINCT session FROM orders ORDER BY session")]

    def leaves(self, session: SessionId, first: int, count: int) -> list[Leaf]:
        """Leaves of the orders `first` to `first + count - 1`. Raises OrderConflict if one has no receipt."""
        found = self._entries("session = ? AND sequence BETWEEN ? AND ?", session, first, first + count - 1)
        if len(found) != count or any(entry.receipt is None for entry in found):
            raise OrderConflict(
                f"Session {hexed(session)}: not every order from {first} to {first + count - 1} has a receipt here.",
                "Demand what is missing, before the settlement can be paid.",
            )
        return [entry.leaf() for entry in found]

    def record_order(self, signed: SignedOrder, message: bytes = b"", salt: bytes = b"") -> None:
        """Writes an order down, before it is signed for or worked on.

        Raises OrderConflict unless it follows the last one, and that one has a receipt.
        """
        order = signed.order
        with self.transaction():
            last = self.last(order.session)
            expected = last.order.order.sequence + 1 if last else 1
            if order.sequence != expected or (last and last.receipt is None):
                waiting = " and the one before has no receipt" if last and last.receipt is None else ""
                raise OrderConflict(
                    f"Session {hexed(order.session)}: order {order.sequence} is not the next, {expected}{waiting}.",
                    "Numbers have no gaps, and each order waits for the receipt of the one before.",
                )
            self.write(
                "INSERT INTO orders (session, sequence, total, input_commitment, order_signature, message, salt) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(order.session, order.sequence, order.total.to_bytes(16), order.input_commitment),
                *(signed.signature, message, salt),
            )

    def record_refusal(self, order: Order) -> None:
        """Notes that an order will get no receipt; its number is free again."""
        with self.transaction():
            self.write(
                "UPDATE orders SET refused = 1 WHERE session = ? AND sequence = ? AND input_commitment = ? "
                "AND receipt_signature IS NULL",
                *(order.session, order.sequence, order.input_commitment),
            )

    def record_return(self, order: Order) -> None:
        """Takes a refusal back, because there is a receipt after all. Changes nothing if the number is taken by now."""
        with self.transaction():
            if self.entry(order.session, order.sequence) is None:
                self.write(
                    "UPDATE orders SET refused = 0 WHERE number = (SELECT MAX(number) FROM orders WHERE session = ? "
                    "AND sequence = ? AND input_commitment = ?)",
                    *(order.session, order.sequence, order.input_commitment),
                )

    def record_receipt(self, signed: SignedReceipt, sealed_output: bytes) -> None:
        """Writes a receipt down, before it is sent or relied on. The same one again changes nothing.

        Raises OrderConflict if there is no such order, and SecondReceipt if the order has another receipt, which is
        then kept beside it: both together prove the worker's fault (SESS-13).
        """
        receipt = signed.receipt
        with self.transaction():
            entry = self.entry(receipt.session, receipt.sequence)
            known = entry.receipt if entry else None
            if entry is None or (known is None and not receipt.answers(entry.order.order)):
                raise OrderConflict(f"Session {hexed(receipt.session)}: no order {receipt.sequence} has this receipt.")
            if known is None:
                self.write(
                    "UPDATE orders SET output_commitment = ?, sealed_output = ?, receipt_signature = ? "
                    "WHERE session = ? AND sequence = ? AND NOT refused",
                    *(receipt.output_commitment, sealed_output, signed.signature),
                    *(receipt.session, receipt.sequence),
                )
                return
            if known.receipt != receipt:
                self.write(
                    "INSERT INTO conflicts VALUES (?, ?, ?, ?, ?, ?, ?)",
                    *(receipt.session, receipt.sequence, receipt.total.to_bytes(16), receipt.input_commitment),
                    *(receipt.output_commitment, receipt.sealed_output_hash, signed.signature),
                )
        if known.receipt != receipt:
            raise SecondReceipt(
                f"Session {hexed(receipt.session)}: order {receipt.sequence} has another receipt already.",
                "Keep the first. Two receipts by one worker are proof of its fault.",
            )

    def second_receipt(self, session: SessionId, sequence: int) -> SignedReceipt | None:
        """A receipt that contradicts the one in the ledger, if the worker ever gave one: also for a refused order."""
        found = self.rows("SELECT * FROM conflicts WHERE session = ? AND sequence = ? LIMIT 1", session, sequence)
        if not found:
            return None
        _, _, total, commitment, output, sealed_hash, signature = found[0]
        fields = (session, sequence, int.from_bytes(total), commitment)
        return SignedReceipt(Receipt(*fields, output, sealed_hash), signature)

    def _one(self, condition: str, *values: object) -> Entry | None:
        return next(iter(self._entries(condition, *values)), None)

    def _entries(self, condition: str, *values: object) -> list[Entry]:
        ordered = condition if "ORDER BY" in condition else f"{condition} AND NOT refused ORDER BY sequence"
        columns = "session, sequence, total, input_commitment, order_signature, message, salt, "
        columns += "output_commitment, sealed_output, receipt_signature"
        return [_entry(row) for row in self.rows(f"SELECT {columns} FROM orders WHERE {ordered}", *values)]  # noqa: S608


def _entry(
    row: tuple[bytes, int, bytes, bytes, bytes, bytes, bytes, bytes | None, bytes | None, bytes | None],
) -> Entry:
    session, sequence, total, commitment, signature, message, salt, output, sealed, receipt_signature = row
    order = Order(SessionId(session), sequence, int.from_bytes(total), commitment)
    signed = SignedOrder(order, signature)
    if output is None or sealed is None or receipt_signature is None:
        return Entry(signed, message, salt, None, b"")
    receipt = Receipt(order.session, sequence, order.total, commitment, output, keccak(sealed))
    return Entry(signed, message, salt, SignedReceipt(receipt, receipt_signature), sealed)


def requester_ledger(path: Path, at: SessionsAt, requester: Address) -> Ledger:
    """A requester's."""
    return Ledger(path, at, f"requester {requester}")


def worker_ledger(path: Path, at: SessionsAt, worker: Address) -> Ledger:
    """A worker's."""
    return Ledger(path, at, f"worker {worker}")
