"""A requester and a worker of one session, with a chain that a test changes at will."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from eth_account import Account

from cloister.domain.ids import NOBODY, Address, VersionId
from cloister.sealing.hpke import public_key_of
from cloister.sealing.signatures import sign
from cloister.sessions.answering import Answering, PlainAnswering
from cloister.sessions.client import PromptKey, SessionClient, SessionKey, Transport
from cloister.sessions.errors import SessionUnusable
from cloister.sessions.ledger import Ledger, requester_ledger, worker_ledger
from cloister.sessions.messages import OrderMessage
from cloister.sessions.receipts import SessionId, SessionsAt, SignedOrder, Terms
from cloister.sessions.service import SessionWorker, Standing

SESSION_KEY, SIGNER_KEY, STRANGER_KEY = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
PROMPT_KEY = bytes([4]) * 32
EPOCH = 5
PRICE = 1_000
VERSION = VersionId(bytes([6]) * 32)
WORKER = Address(Account.from_key(bytes([7]) * 32).address)
REQUESTER = Address(Account.from_key(bytes([8]) * 32).address)
AT = SessionsAt(31337, Address(Account.from_key(bytes([9]) * 32).address))
SESSION = AT.session_id(REQUESTER, WORKER, 1)


def address(key: bytes) -> Address:
    return Address(Account.from_key(key).address)


TERMS = Terms(SESSION, WORKER, address(SIGNER_KEY), address(SESSION_KEY), PRICE)
STANDING = Standing(TERMS, NOBODY, reserved=100 * PRICE, settled=0, close_at=0)


def model(_: VersionId, plaintext: bytes) -> bytes:
    return plaintext[::-1]


def order(sequence: int, commitment: bytes = bytes([11]) * 32, key: bytes = SESSION_KEY) -> SignedOrder:
    content = TERMS.order(sequence, commitment)
    return SignedOrder(content, sign(key, AT.digest(content)))


@dataclass
class Chain:
    """What the chain says of sessions."""

    sessions: dict[SessionId, Standing] = field(default_factory=lambda: {SESSION: STANDING})

    def standing(self, session: SessionId) -> Standing | None:
        return self.sessions.get(session)

    def change(self, **changes: object) -> None:
        self.sessions[SESSION] = replace(self.sessions[SESSION], **changes)


@dataclass
class Line:
    """The way from the requester to the worker; a test may cut it, before or after the worker has answered."""

    worker: SessionWorker
    sent: list[bytes] = field(default_factory=list)
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    change: Callable[[bytes], bytes] = lambda answer: answer

    def send(self, message: bytes) -> bytes:
        self.sent.append(message)
        self.before()
        answered = self.worker.take(OrderMessage.decoded(message)).encoded()
        self.after()
        return self.change(answered)


class Pair:
    """Both parties, their ledgers in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chain = Chain()
        self.runs: list[bytes] = []
        self.usable = True
        self.prompt = PromptKey(public_key_of(PROMPT_KEY), EPOCH)
        self.prompt_keys = {EPOCH: PROMPT_KEY}
        self.signer = address(SIGNER_KEY)
        self.lowest: int | None = PRICE
        self.worker_ledger: Ledger = worker_ledger(folder / "worker.db", AT, WORKER)
        self.requester_ledger: Ledger = requester_ledger(folder / "requester.db", AT, REQUESTER)
        self.answering: Answering = PlainAnswering(
            AT, WORKER, lambda: self.prompt_keys, self._run, lambda digest: sign(SIGNER_KEY, digest)
        )
        self.worker = self.new_worker()
        self.line = Line(self.worker)
        self.client = self.new_client(self.line)

    def new_worker(self) -> SessionWorker:
        return SessionWorker(
            AT, WORKER, lambda: self.signer, self.chain, self.worker_ledger, self.answering, lambda *_: self.lowest
        )

    def new_client(self, transport: Transport) -> SessionClient:
        key = SessionKey(SESSION_KEY)
        return SessionClient(AT, TERMS, key, self.requester_ledger, transport, self._good, lambda _: self.prompt)

    def restart(self) -> None:
        """Both processes die and start again."""
        self.close()
        self.worker_ledger = worker_ledger(self.folder / "worker.db", AT, WORKER)
        self.requester_ledger = requester_ledger(self.folder / "requester.db", AT, REQUESTER)
        self.worker = self.new_worker()
        self.line = Line(self.worker)
        self.client = self.new_client(self.line)

    def close(self) -> None:
        self.worker_ledger.close()
        self.requester_ledger.close()

    def _run(self, version: VersionId, plaintext: bytes) -> bytes:
        self.runs.append(plaintext)
        return model(version, plaintext)

    def _good(self, _: int) -> None:
        if not self.usable:
            raise SessionUnusable("The test says so.")
