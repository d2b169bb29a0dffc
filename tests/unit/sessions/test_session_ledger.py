"""What each party keeps: nothing is lost, nothing is signed twice, no number is left out."""

import sqlite3
from dataclasses import replace

import pytest
from support.sessions import AT, REQUESTER, SESSION, SIGNER_KEY, WORKER, order

from cloister.sealing.signatures import sign
from cloister.sessions.errors import LedgerError, OrderConflict, SecondReceipt
from cloister.sessions.ledger import requester_ledger, worker_ledger
from cloister.sessions.receipts import Receipt, SessionId, SessionsAt, SignedReceipt

OUTPUT = bytes([1]) * 32


@pytest.fixture
def ledger(tmp_path):
    with worker_ledger(tmp_path / "sessions.db", AT, WORKER) as made:
        yield made


def receipt(signed, sealed=b"sealed", output=OUTPUT):
    content = Receipt.answering(signed.order, output, sealed)
    return SignedReceipt(content, sign(SIGNER_KEY, AT.digest(content)))


def answered(ledger, count):
    for sequence in range(1, count + 1):
        ledger.record_order(order(sequence))
        ledger.record_receipt(receipt(order(sequence)), b"sealed")


def test_record_order__in_turn__is_found_again_after_a_restart(ledger, tmp_path):
    """SESS-20"""
    answered(ledger, 2)
    ledger.record_order(order(3), b"message", b"salt")
    ledger.close()
    with worker_ledger(tmp_path / "sessions.db", AT, WORKER) as again:
        last = again.last(SESSION)
        assert (last.order, last.message, last.salt, last.receipt) == (order(3), b"message", b"salt", None)
        assert again.entry(SESSION, 2).receipt == receipt(order(2))
        assert again.entry(SESSION, 2).sealed_output == b"sealed"
        assert again.sessions() == [SESSION]
        assert [leaf.order for leaf in again.leaves(SESSION, 1, 2)] == [order(1), order(2)]


@pytest.mark.parametrize("sequence", [2, 3, 100])
def test_record_order__gap__is_refused(ledger, sequence):
    """SESS-19, SESS-20"""
    if sequence == 3:
        answered(ledger, 1)
    with pytest.raises(OrderConflict):
        ledger.record_order(order(sequence))


def test_record_order__before_the_receipt_of_the_last__is_refused(ledger):
    """SESS-19: sequence n + 1 is never signed before a receipt for n is there."""
    ledger.record_order(order(1))
    with pytest.raises(OrderConflict, match="the one before has no receipt"):
        ledger.record_order(order(2))
    assert ledger.last(SESSION).order == order(1)


def test_record_order__number_that_is_taken__is_refused(ledger):
    """SESS-20"""
    answered(ledger, 1)
    with pytest.raises(OrderConflict):
        ledger.record_order(order(1, bytes([99]) * 32))
    assert ledger.entry(SESSION, 1).order == order(1)


def test_record_refusal__frees_the_number_and_keeps_the_order(ledger):
    """SESS-20"""
    ledger.record_order(order(1))
    ledger.record_refusal(order(1).order)
    assert ledger.last(SESSION) is None
    other = order(1, bytes([99]) * 32)
    ledger.record_order(other)
    assert ledger.entry(SESSION, 1).order == other
    assert ledger.rows("SELECT order_signature FROM orders ORDER BY number") == [
        (order(1).signature,),
        (other.signature,),
    ]


def test_record_refusal__of_an_answered_order__changes_nothing(ledger):
    """SESS-20"""
    answered(ledger, 1)
    ledger.record_refusal(order(1).order)
    assert ledger.entry(SESSION, 1).receipt == receipt(order(1))


def test_record_receipt__same_again__changes_nothing(ledger):
    answered(ledger, 1)
    ledger.record_receipt(receipt(order(1)), b"sealed")
    assert ledger.second_receipt(SESSION, 1) is None


@pytest.mark.parametrize("change", [{"sealed": b"other"}, {"output": bytes([2]) * 32}])
def test_record_receipt__another_one__is_refused_and_kept_as_proof(ledger, change):
    """SESS-13, SESS-20: two receipts are never given for one number, and never forgotten by who got them."""
    answered(ledger, 1)
    second = receipt(order(1), **change)
    with pytest.raises(SecondReceipt):
        ledger.record_receipt(second, change.get("sealed", b"sealed"))
    assert ledger.entry(SESSION, 1).receipt == receipt(order(1))
    assert ledger.second_receipt(SESSION, 1) == second
    assert AT.signer(second) == AT.signer(receipt(order(1)))


def test_record_receipt__without_its_order__is_refused(ledger):
    with pytest.raises(OrderConflict):
        ledger.record_receipt(receipt(order(1)), b"sealed")
    ledger.record_order(order(1))
    with pytest.raises(OrderConflict):
        ledger.record_receipt(receipt(order(1, bytes([99]) * 32)), b"sealed")


def test_leaves__with_one_missing__is_refused(ledger):
    answered(ledger, 2)
    ledger.record_order(order(3))
    assert len(ledger.leaves(SESSION, 1, 2)) == 2
    for first, count in ((1, 3), (2, 3), (0, 2)):
        with pytest.raises(OrderConflict):
            ledger.leaves(SESSION, first, count)


def test_sessions__side_by_side__do_not_mix(ledger):
    answered(ledger, 1)
    elsewhere = replace(order(1), order=replace(order(1).order, session=SessionId(bytes(32))))
    ledger.record_order(elsewhere)
    assert ledger.last(SessionId(bytes(32))).order == elsewhere
    assert ledger.last(SESSION).receipt is not None


def test_open__held_or_another_partys_or_damaged__is_refused(ledger, tmp_path):
    path = tmp_path / "sessions.db"
    with pytest.raises(LedgerError, match="Another process"):
        worker_ledger(path, AT, WORKER)
    ledger.close()
    for whose in (
        lambda: requester_ledger(path, AT, REQUESTER),
        lambda: worker_ledger(path, AT, REQUESTER),
        lambda: worker_ledger(path, SessionsAt(1, AT.contract), WORKER),
    ):
        with pytest.raises(LedgerError, match="is that of"):
            whose()
    worker_ledger(path, AT, WORKER).close()
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(LedgerError, match="format 99"):
        worker_ledger(path, AT, WORKER)
    path.write_bytes(b"no database at all, but some bytes")
    with pytest.raises(LedgerError, match="Cannot use"):
        worker_ledger(path, AT, WORKER)


def test_file__is_readable_by_its_owner_alone(ledger, tmp_path):
    assert (tmp_path / "sessions.db").stat().st_mode & 0o077 == 0
