"""What each party has to send to the chain now, so that nothing is lost by not looking (SESS-19, SESS-20).

    for step in worker_steps(service, contract, session, first_block, now, settle_from=256):
        sender.send(step.intent, step.call)

A step is due until it is mined; its intent is the same each time, so a sender that knows intents sends it once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from cloister.chain.call import Call
from cloister.chain.sessions import LeafState, OpenSession, Sessions, Settled, ShownLeaf
from cloister.domain.ids import hexed
from cloister.sessions.client import SessionClient
from cloister.sessions.errors import OrderConflict
from cloister.sessions.ledger import Ledger
from cloister.sessions.messages import Answered
from cloister.sessions.receipts import Receipt, SessionId, SignedReceipt
from cloister.sessions.service import SessionWorker

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Step:
    """A transaction that is due, and what for."""

    intent: str
    call: Call


def worker_steps(
    service: SessionWorker, contract: Sessions, session: SessionId, first_block: int, now: int, settle_from: int
) -> Iterator[Step]:
    """What a worker sends: settlements of `settle_from` receipts or more, answers to demands, pay.

    Fewer receipts are settled when a close is announced or the deposit is used up. `first_block` is one before the
    session was opened, `now` the Unix second of the newest block.
    """
    opened = contract.session(session)
    if opened is None:
        return
    yield from _settling(service, contract, session, opened, now, settle_from)
    for settled, payable in _unpaid(contract, session, first_block, now):
        for sequence in _demanded(contract, session, settled, first_block, now, overdue=False):
            try:
                shown = service.shown(session, settled.first, settled.count, sequence)
            except OrderConflict as error:
                log.warning("demanded receipt is lost", session=hexed(session), sequence=sequence, error=error.message)
                continue
            call = contract.show(session, settled.first, shown.leaf.as_tuple(), shown.proof, shown.sealed_output)
            yield Step(_intent("show", session, sequence), call)
        yield from _forfeits(contract, session, settled, first_block, now)
        if payable:
            yield Step(_intent("pay", session, settled.first), contract.pay(session, settled.first))


def requester_steps(
    client: SessionClient, ledger: Ledger, contract: Sessions, session: SessionId, first_block: int, now: int
) -> Iterator[Step]:
    """What a requester sends: demands of what it has no receipt for, refunds, the end of an announced close.

    `shown_outputs` comes before, so that nothing is demanded that is there already.
    """
    opened, deposit = contract.session(session), contract.limits().demand_deposit
    if opened is None:
        return
    for settled, _ in _unpaid(contract, session, first_block, now):
        if now <= settled.demand_until:
            for sequence in client.to_demand(settled.first, settled.count):
                if contract.leaf(session, sequence)[0] is LeafState.SETTLED:
                    call = contract.demand(session, settled.first, sequence, deposit)
                    yield Step(_intent("demand", session, sequence), call)
        yield from _forfeits(contract, session, settled, first_block, now)
        yield from _proofs(ledger, contract, session, settled)
    if opened.close_at and now >= opened.close_at and not opened.closed:
        yield Step(_intent("close", session), contract.close(session))


def shown_outputs(client: SessionClient, contract: Sessions, session: SessionId, first_block: int) -> dict[int, bytes]:
    """Outputs by sequence number that the worker was made to show; they are in the ledger then.

    Raises SecondReceipt for one that contradicts a receipt of the ledger: `requester_steps` has the proof of it then.
    """
    return {shown.sequence: client.receive(_answered(shown)) for shown in contract.shown(session, first_block)}


def _settling(
    service: SessionWorker, contract: Sessions, session: SessionId, opened: OpenSession, now: int, settle_from: int
) -> Iterator[Step]:
    if opened.close_at and now >= opened.close_at:
        return
    due = service.to_settle(session)
    if due is None:
        return
    used_up = opened.reserved < (due.count + 1) * opened.price
    if due.count >= settle_from or opened.close_at or used_up:
        last = due.last
        call = contract.settle(session, last.order.as_tuple(), last.signature, due.root, opened.bond)
        yield Step(_intent("settle", session, due.first), call)


def _unpaid(contract: Sessions, session: SessionId, first_block: int, now: int) -> Iterator[tuple[Settled, bool]]:
    """Settlements that are not paid, and whether they can be now."""
    for settled in contract.settlements(session, first_block):
        found = contract.settlement(session, settled.first)
        if found.count:
            yield settled, now > found.payable_at and not found.demands


def _demanded(
    contract: Sessions, session: SessionId, settled: Settled, first_block: int, now: int, *, overdue: bool
) -> Iterator[int]:
    for demanded in contract.demands(session, first_block):
        asked = demanded.first == settled.first and (now > demanded.answer_until) is overdue
        if asked and contract.leaf(session, demanded.sequence)[0] is LeafState.DEMANDED:
            yield demanded.sequence


def _forfeits(contract: Sessions, session: SessionId, settled: Settled, first_block: int, now: int) -> Iterator[Step]:
    """By either party: the worker is not paid before, either."""
    for sequence in _demanded(contract, session, settled, first_block, now, overdue=True):
        yield Step(_intent("forfeit", session, sequence), contract.forfeit(session, settled.first, sequence))


def _proofs(ledger: Ledger, contract: Sessions, session: SessionId, settled: Settled) -> Iterator[Step]:
    for sequence in range(settled.first, settled.first + settled.count):
        second, entry = ledger.second_receipt(session, sequence), ledger.entry(session, sequence)
        if second is None or entry is None or entry.receipt is None:
            continue
        if contract.leaf(session, sequence)[0] is not LeafState.REFUNDED:
            first = entry.receipt
            signed = (first.receipt.as_tuple(), first.signature, second.receipt.as_tuple(), second.signature)
            call = contract.prove_equivocation(session, settled.first, *signed)
            yield Step(_intent("equivocation", session, sequence), call)


def _answered(shown: ShownLeaf) -> Answered:
    receipt = Receipt(SessionId(shown.receipt[0]), *shown.receipt[1:])
    return Answered(SignedReceipt(receipt, shown.receipt_signature), shown.sealed_output)


def _intent(what: str, session: SessionId, number: int | None = None) -> str:
    return f"session-{what}:{hexed(session)}" + ("" if number is None else f":{number}")
