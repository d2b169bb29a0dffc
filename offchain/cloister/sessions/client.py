"""A requester's side of one session: orders in, outputs out, one after another (SESS-19)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from cloister.domain.commitments import input_binding, input_commitment, output_commitment
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import VersionId, hexed
from cloister.sealing.envelope import encrypt_input
from cloister.sealing.errors import SealError
from cloister.sealing.hpke import open_sealed, seal
from cloister.sealing.keys import JobSecrets, new_secret
from cloister.sealing.signatures import sign
from cloister.sessions.errors import BadReceipt, OrderRefused, SessionUnusable
from cloister.sessions.ledger import Entry, Ledger
from cloister.sessions.messages import Answered, OrderMessage
from cloister.sessions.receipts import MAX_SEQUENCE, SessionsAt, SignedOrder, Terms, order_root


class Transport(Protocol):
    """How orders reach the worker."""

    def send(self, message: bytes) -> bytes:
        """A worker's answer to an encoded order. Raises OrderRefused if it refuses, WorkerFailed for any other end."""


@dataclass(frozen=True, slots=True)
class PromptKey:
    """Where inputs for the worker are sealed to now; `key` has 32 bytes."""

    key: bytes
    epoch: int


@dataclass(frozen=True, slots=True)
class SessionKey:
    """The private key of a session, 32 bytes: it signs the orders, and the secrets of the jobs derive from it."""

    secret: bytes = field(repr=False)


class SessionClient:
    """Asks the worker of one session. Threads may share it; jobs are done one after another.

    `good` raises SessionUnusable when no more orders may be signed: the worker's attestation ended or its keys
    changed, a close was announced, or the deposit does not cover the number that it is given. `prompt_key` gives, for
    a version, a key of the worker's attested enclave whose signature the caller has checked.
    """

    def __init__(
        self,
        at: SessionsAt,
        terms: Terms,
        key: SessionKey,
        ledger: Ledger,
        transport: Transport,
        good: Callable[[int], None],
        prompt_key: Callable[[VersionId], PromptKey],
    ) -> None:
        self._at = at
        self._terms = terms
        self._key = key
        self._ledger = ledger
        self._transport = transport
        self._good = good
        self._prompt_key = prompt_key
        self._turn = Lock()

    def ask(self, version: VersionId, plaintext: bytes) -> bytes:
        """Encoded output rows for encoded input rows; an order that is still open is finished first.

        Raises WorkerFailed (the order stays open, see `finish`), OrderRefused (its number is free again) and
        SessionUnusable.
        """
        with self._turn:
            self._finish()
            last = self._ledger.last(self._terms.session)
            entry = self._begin(last.order.order.sequence + 1 if last else 1, version, plaintext)
            return self._complete(entry)

    def finish(self) -> bytes | None:
        """The output of the order that is still open, which is sent again; None if there is none. Raises as `ask`."""
        with self._turn:
            return self._finish()

    def output(self, sequence: int) -> bytes:
        """The output of an earlier order, from the ledger. Raises InvalidInput if there is none with a receipt."""
        entry = self._ledger.entry(self._terms.session, sequence)
        if entry is None or entry.receipt is None:
            raise InvalidInput(f"Order {sequence} of session {hexed(self._terms.session)} has no receipt here.")
        return self._opened(entry, Answered(entry.receipt, entry.sealed_output))

    def receive(self, answered: Answered) -> bytes:
        """The output of a receipt that came another way: shown on chain after a demand.

        It may be for an order that the worker said it refuses. Raises BadReceipt for one of no order of this ledger,
        and SecondReceipt if its number has another receipt.
        """
        with self._turn:
            entry = self._ledger.order_of(answered.signed.receipt)
            if entry is None:
                raise BadReceipt(f"No order of this ledger has receipt {answered.signed.receipt.sequence}.")
            output = self._checked(entry, answered)
            self._ledger.record_return(entry.order.order)
            self._ledger.record_receipt(answered.signed, answered.sealed_output)
            return output

    def to_demand(self, first: int, count: int) -> list[int]:
        """Numbers of the leaves of a settlement that this requester has no receipt for, and should demand."""
        session = self._terms.session
        entries = [self._ledger.entry(session, sequence) for sequence in range(first, first + count)]
        return [first + i for i, entry in enumerate(entries) if entry is None or entry.receipt is None]

    def _finish(self) -> bytes | None:
        last = self._ledger.last(self._terms.session)
        return None if last is None or last.receipt is not None else self._complete(last)

    def _begin(self, sequence: int, version: VersionId, plaintext: bytes) -> Entry:
        if sequence > MAX_SEQUENCE:
            raise SessionUnusable("This session has used up its numbers.", "Open another one.")
        self._good(sequence)
        salt = new_secret()
        secrets = self._secrets(sequence, salt)
        secret, response_key = secrets.job_secret, secrets.response_public_key
        ciphertext = encrypt_input(plaintext, secret, version)
        order = self._terms.order(sequence, input_commitment(input_binding(secret, response_key, plaintext)))
        signed = SignedOrder(order, sign(self._key.secret, self._at.digest(order)))
        to = self._prompt_key(version)
        message = OrderMessage(signed, version, response_key, to.epoch, b"", ciphertext)
        fields = (version, self._terms.worker, to.epoch, response_key, message.ciphertext_hash)
        sealed_key = seal(secret, to.key, self._at.sealed_key_info(order, *fields))
        message = OrderMessage(signed, version, response_key, to.epoch, sealed_key, ciphertext)
        self._ledger.record_order(signed, message.encoded(), salt)
        return Entry(signed, message.encoded(), salt, None, b"")

    def _complete(self, entry: Entry) -> bytes:
        try:
            data = self._transport.send(entry.message)
        except OrderRefused:
            self._ledger.record_refusal(entry.order.order)
            raise
        try:
            answered = Answered.decoded(data, entry.order.order)
        except InvalidInput as error:
            raise BadReceipt(f"The worker answers with no receipt: {error.message}", _OPEN) from None
        output = self._checked(entry, answered)
        self._ledger.record_receipt(answered.signed, answered.sealed_output)
        return output

    def _checked(self, entry: Entry, answered: Answered) -> bytes:
        if self._at.signer(answered.signed) != self._terms.signer:
            raise BadReceipt("The receipt is not signed by the worker's attested signer.", _OPEN)
        return self._opened(entry, answered)

    def _opened(self, entry: Entry, answered: Answered) -> bytes:
        """The output, if it is the one that the receipt names."""
        order, receipt = entry.order.order, answered.signed.receipt
        secrets = self._secrets(order.sequence, entry.salt)
        context = self._at.context(order.session, order.sequence)
        info = context.sealed_output_info(self._terms.worker, receipt.output_commitment)
        try:
            output = open_sealed(answered.sealed_output, secrets.response_private_key, info)
        except SealError as error:
            raise BadReceipt(
                f"The sealed output of order {order.sequence} does not open: {error.message}", _OPEN
            ) from None
        if output_commitment(order.input_commitment, secrets.output_secret, output) != receipt.output_commitment:
            raise BadReceipt(f"The output of order {order.sequence} is not the one that its receipt commits to.", _OPEN)
        return output

    def _secrets(self, sequence: int, salt: bytes) -> JobSecrets:
        return JobSecrets.from_root(order_root(self._key.secret, self._terms.session, sequence, salt))


_OPEN = "The order stays open: ask again, or close the session and demand the leaf if the worker settles it."
