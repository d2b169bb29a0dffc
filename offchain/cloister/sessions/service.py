"""What a worker decides about the orders of its sessions, and what it needs to settle them (SESS-20)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from cloister.domain.answer import CannotServe
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import Address, VersionId, hexed
from cloister.sessions import merkle
from cloister.sessions.answering import Answering
from cloister.sessions.errors import OrderConflict, OrderRefused, Reason, Unable
from cloister.sessions.ledger import Ledger
from cloister.sessions.messages import Answered, OrderMessage
from cloister.sessions.receipts import Leaf, Order, SessionId, SessionsAt, SignedOrder, Terms


@dataclass(frozen=True, slots=True)
class Standing:
    """A session as the chain has it. Sums in units of its currency.

    `token` is NOBODY for the chain's coin; `settled` the last settled sequence number; `close_at` a Unix second, 0
    while no close is announced.
    """

    terms: Terms
    token: Address
    reserved: int
    settled: int
    close_at: int

    def covers(self, order: Order) -> bool:
        """Whether the deposit pays for an order and all before it that are not settled."""
        return (order.sequence - self.settled) * self.terms.price <= self.reserved


class Sessions(Protocol):
    """Where sessions are looked up: the chain, at a block that counts."""

    def standing(self, session: SessionId) -> Standing | None:
        """A session; None if there is none. May raise what the chain raises."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a worker sends to settle: all orders from `first` to the last one."""

    first: int
    last: SignedOrder
    root: bytes

    @property
    def count(self) -> int:
        """Receipts."""
        return self.last.order.sequence - self.first + 1


@dataclass(frozen=True, slots=True)
class Shown:
    """What answers a demand."""

    leaf: Leaf
    proof: list[bytes]
    sealed_output: bytes


class SessionWorker:
    """Takes orders and gives receipts. Threads may share it; of one session one order is done at a time.

    `lowest_price` says for how little, in units of a token (NOBODY for the coin), this worker runs a version; None for
    not at all.
    """

    def __init__(
        self,
        at: SessionsAt,
        worker: Address,
        signer: Callable[[], Address],
        sessions: Sessions,
        ledger: Ledger,
        answering: Answering,
        lowest_price: Callable[[VersionId, Address], int | None],
    ) -> None:
        self.at = at
        self.worker = worker
        self._signer = signer
        self._sessions = sessions
        self._ledger = ledger
        self._answering = answering
        self._lowest_price = lowest_price
        self._turns: dict[SessionId, Lock] = {}

    def take(self, message: OrderMessage) -> Answered:
        """The receipt for an order: the one in the ledger if there is one, else a new one, which is then there.

        Raises OrderRefused with the reason, Unable if an order of the session is being done, and what the chain raises.
        """
        standing = self._checked(message)
        # Only sessions that the chain has get here, so strangers cannot make this grow.
        turn = self._turns.setdefault(message.order.session, Lock())
        # Whoever waited here would hold a thread that other sessions need.
        if not turn.acquire(blocking=False):
            raise Unable("An order of this session is being done.", "Send the order again in a moment.")
        try:
            return self._taken(message, standing)
        finally:
            turn.release()

    def _taken(self, message: OrderMessage, standing: Standing) -> Answered:
        order = message.order
        known = self._ledger.entry(order.session, order.sequence)
        if known is not None and known.receipt is not None and known.order.order == order:
            return Answered(known.receipt, known.sealed_output)
        self._check_payment(message, standing)
        if known is None or known.order.order != order:
            self._record(message)
        try:
            answered = self._answering.answer(message)
        except CannotServe as error:
            self._ledger.record_refusal(order)
            raise OrderRefused(Reason.JOB, error.message, "Change the job and order it again.") from error
        self._ledger.record_receipt(answered.signed, answered.sealed_output)
        return answered

    def to_settle(self, session: SessionId) -> Settlement | None:
        """All receipts that are not settled yet; None if there are none."""
        standing = self._standing(session)
        last = self._ledger.last(session)
        if last is not None and last.receipt is None:
            last = self._ledger.entry(session, last.order.order.sequence - 1)
        if last is None or last.order.order.sequence <= standing.settled:
            return None
        first = standing.settled + 1
        leaves = self._ledger.leaves(session, first, last.order.order.sequence - first + 1)
        return Settlement(first, last.order, merkle.root([leaf.hash() for leaf in leaves]))

    def shown(self, session: SessionId, first: int, count: int, sequence: int) -> Shown:
        """What shows a demanded leaf of the settlement of `count` leaves from `first` on."""
        leaves = self._ledger.leaves(session, first, count)
        if not first <= sequence < first + count:
            raise InvalidInput(f"Receipt {sequence} is not in the settlement of {first} to {first + count - 1}.")
        index = sequence - first
        entry = self._ledger.entry(session, sequence)
        assert entry is not None
        return Shown(leaves[index], merkle.proof([leaf.hash() for leaf in leaves], index), entry.sealed_output)

    def _standing(self, session: SessionId) -> Standing:
        standing = self._sessions.standing(session)
        if standing is None or standing.terms.worker != self.worker:
            raise OrderRefused(
                Reason.SESSION,
                f"Worker {self.worker} has no session {hexed(session)}.",
                "Wait until its opening is confirmed, and ask the worker that it was opened with.",
            )
        return standing

    def _checked(self, message: OrderMessage) -> Standing:
        """Of any order, also one that was answered before."""
        order = message.order
        standing = self._standing(order.session)
        if order.total != order.sequence * standing.terms.price:
            raise OrderRefused(
                Reason.TOTAL, f"Order {order.sequence} must have total {order.sequence * standing.terms.price}."
            )
        if self.at.signer(message.signed) != standing.terms.key:
            raise OrderRefused(
                Reason.SIGNATURE, "The order is not signed by the session's key.", "Sign for this chain and contract."
            )
        return standing

    def _check_payment(self, message: OrderMessage, standing: Standing) -> None:
        order = message.order
        if standing.close_at:
            raise OrderRefused(Reason.CLOSING, "The session is being closed.", "Open another one.")
        if standing.terms.signer != self._signer():
            raise OrderRefused(
                Reason.SESSION, "The session was opened for keys that this worker no longer has.", "Open another one."
            )
        if not standing.covers(order):
            raise OrderRefused(
                Reason.DEPOSIT, f"The deposit does not cover order {order.sequence}.", "Top up, and wait for the block."
            )
        lowest = self._lowest_price(message.version, standing.token)
        if lowest is None or standing.terms.price < lowest:
            told = "not run here" if lowest is None else f"run for {lowest} or more"
            raise OrderRefused(
                Reason.PRICE,
                f"Version {hexed(message.version)} is {told}; the session pays {standing.terms.price}.",
                "Open a session at that price, or with another worker.",
            )

    def _record(self, message: OrderMessage) -> None:
        try:
            self._ledger.record_order(message.signed)
        except OrderConflict as error:
            last = self._ledger.last(message.order.session)
            taken = last is not None and message.order.sequence <= last.order.order.sequence
            raise OrderRefused(Reason.CONFLICT if taken else Reason.SEQUENCE, error.message, error.hint) from error
