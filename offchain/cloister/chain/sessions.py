"""Sessions: its calls, views and logs as plain values (docs/spec/sessions.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

from web3.contract import Contract

from cloister.chain.artifacts import artifact
from cloister.chain.call import Call
from cloister.chain.connection import Connection
from cloister.chain.errors import translated
from cloister.domain.ids import NOBODY, Address


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as the chain has it: field by field Session of contracts/types/Session.sol.

    `price` and `reserved` are units of `token` (NOBODY for the coin), `bond` wei; `close_at` is a Unix second, 0 while
    no close is announced.
    """

    requester: Address
    price: int
    worker: Address
    settled: int
    close_at: int
    closed: bool
    signer: Address
    reserved: int
    key: Address
    bond: int
    token: Address


@dataclass(frozen=True, slots=True)
class OpenSettlement:
    """A settlement that is not paid yet; `count` is 0 if there is none. Times are Unix seconds."""

    root: bytes
    count: int
    refunded: int
    demands: int
    demand_until: int
    payable_at: int
    bonded: bool


class LeafState(IntEnum):
    """What became of one leaf of a settlement."""

    SETTLED = 0
    DEMANDED = 1
    SHOWN = 2
    REFUNDED = 3


@dataclass(frozen=True, slots=True)
class Settled:
    """A settlement was made of `count` receipts from `first` on."""

    session: bytes
    first: int
    count: int
    root: bytes
    demand_until: int


@dataclass(frozen=True, slots=True)
class Demanded:
    """A leaf was demanded; it must be shown by Unix second `answer_until`."""

    session: bytes
    first: int
    sequence: int
    answer_until: int


@dataclass(frozen=True, slots=True)
class ShownLeaf:
    """A demanded leaf was shown: the receipt as a tuple, its signature and the sealed output."""

    session: bytes
    first: int
    sequence: int
    receipt: tuple[Any, ...]
    receipt_signature: bytes
    sealed_output: bytes


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Fixed at deployment: seconds, times of the price, wei."""

    challenge_window: int
    answer_window: int
    withdraw_delay: int
    bond_jobs: int
    demand_deposit: int


class Sessions:
    """One deployed Sessions contract. Session ids have 32 bytes; orders, receipts and leaves are tuples."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.address = address
        self._contract: Contract = connection.w3.eth.contract(cast(Any, address), abi=artifact("Sessions").abi)

    def open(
        self, worker: Address, signer: Address, key: Address, token: Address, price: int, amount: int, nonce: int
    ) -> Call:
        """Opens a session of the sender's and deposits `amount` units; a token must be approved before."""
        value = amount if token == NOBODY else 0
        return self._call("open", worker, signer, key, token, price, amount, nonce, value=value)

    def top_up(self, session: bytes, token: Address, amount: int) -> Call:
        """Deposits more."""
        return self._call("topUp", session, amount, value=amount if token == NOBODY else 0)

    def announce_close(self, session: bytes) -> Call:
        """Announces the end of the sender's session."""
        return self._call("announceClose", session)

    def close(self, session: bytes) -> Call:
        """Gives the requester what was not settled, after the delay."""
        return self._call("close", session)

    def settle(self, session: bytes, last: tuple[Any, ...], signature: bytes, root: bytes, bond: int) -> Call:
        """Settles all orders up to `last`, with the session's bond in wei."""
        return self._call("settle", session, last, signature, root, value=bond)

    def demand(self, session: bytes, first: int, sequence: int, deposit: int) -> Call:
        """Asks for a leaf, with the demand deposit in wei."""
        return self._call("demand", session, first, sequence, value=deposit)

    def show(
        self, session: bytes, first: int, leaf: tuple[Any, ...], proof: Sequence[bytes], sealed_output: bytes
    ) -> Call:
        """Answers a demand."""
        return self._call("show", session, first, leaf, list(proof), sealed_output)

    def forfeit(self, session: bytes, first: int, sequence: int) -> Call:
        """Refunds a leaf that stayed hidden."""
        return self._call("forfeit", session, first, sequence)

    def prove_bad_leaf(
        self, session: bytes, first: int, sequence: int, leaf: tuple[Any, ...], proof: Sequence[bytes]
    ) -> Call:
        """Refunds a leaf that should not stand in the tree."""
        return self._call("proveBadLeaf", session, first, sequence, leaf, list(proof))

    def prove_equivocation(
        self,
        session: bytes,
        first: int,
        one: tuple[Any, ...],
        signature_of_one: bytes,
        other: tuple[Any, ...],
        signature_of_other: bytes,
    ) -> Call:
        """Refunds a leaf with two receipts."""
        signed = (one, signature_of_one, other, signature_of_other)
        return self._call("proveEquivocation", session, first, *signed)

    def pay(self, session: bytes, first: int) -> Call:
        """Credits the worker with a settlement whose windows are over."""
        return self._call("pay", session, first)

    def withdraw(self, token: Address, account: Address) -> Call:
        """Pays an account what it is owed in a currency."""
        return self._call("withdraw", token, account)

    def session_id(self, requester: Address, worker: Address, nonce: int) -> bytes:
        """The id that the contract gives a session."""
        return bytes(self._view("sessionId", requester, worker, nonce))

    def session(self, session: bytes) -> OpenSession | None:
        """A session; None if it was never opened."""
        found = OpenSession(*_values(self._view("session", session)))
        return None if found.requester == NOBODY else found

    def settlement(self, session: bytes, first: int) -> OpenSettlement:
        """The settlement that begins with receipt `first`."""
        return OpenSettlement(*_values(self._view("settlement", session, first)))

    def leaf(self, session: bytes, sequence: int) -> tuple[LeafState, int]:
        """What became of a leaf, and the Unix second until which a demand of it can be answered; 0 without one."""
        state, answer_until = _values(self._view("leafDemand", session, sequence))
        return LeafState(state), answer_until

    def credit(self, token: Address, account: Address) -> int:
        """Units that an account is owed."""
        return int(self._view("credit", token, account))

    def limits(self) -> SessionLimits:
        """What was fixed at deployment."""
        return SessionLimits(*_values(self._view("parameters")))

    def settlements(self, session: bytes, first_block: int) -> list[Settled]:
        """Every settlement of a session from a block on, oldest first."""
        logs = self._logs("ReceiptsSettled", session, first_block)
        return [Settled(a["id"], a["first"], a["count"], a["root"], a["demandUntil"]) for a in logs]

    def demands(self, session: bytes, first_block: int) -> list[Demanded]:
        """Every demand in a session from a block on, oldest first."""
        logs = self._logs("LeafDemanded", session, first_block)
        return [Demanded(a["id"], a["first"], a["sequence"], a["answerUntil"]) for a in logs]

    def shown(self, session: bytes, first_block: int) -> list[ShownLeaf]:
        """Every leaf of a session that was shown from a block on, oldest first."""
        logs = self._logs("LeafShown", session, first_block)
        return [
            ShownLeaf(
                *(a["id"], a["first"], a["sequence"], _values(a["receipt"])),
                *(a["receiptSignature"], a["sealedOutput"]),
            )
            for a in logs
        ]

    def _logs(self, name: str, session: bytes, first_block: int) -> list[Any]:
        with translated():
            event = self._contract.events[name]()
            return [log["args"] for log in event.get_logs(from_block=first_block, argument_filters={"id": session})]

    def _call(self, name: str, *args: object, value: int = 0) -> Call:
        return Call(self.address, bytes.fromhex(self._contract.encode_abi(name, list(args))[2:]), value)

    def _view(self, name: str, *args: object) -> Any:
        with translated():
            return self._contract.functions[name](*args).call()


def _values(given: Any) -> tuple[Any, ...]:
    """The members of a decoded struct, which web3 gives as a tuple or by name."""
    return tuple(given.values()) if isinstance(given, Mapping) else tuple(given)
