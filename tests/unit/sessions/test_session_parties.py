"""Requester and worker of a session against each other: crashes, lies, and what each of them refuses."""

import json
from dataclasses import replace

import pytest
from support.sessions import (
    AT,
    EPOCH,
    PRICE,
    PROMPT_KEY,
    SESSION,
    SESSION_KEY,
    SIGNER_KEY,
    STANDING,
    STRANGER_KEY,
    TERMS,
    VERSION,
    address,
    model,
    order,
)

from cloister.domain.answer import CannotServe, RefusalReason
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import VersionId, hexed
from cloister.sealing.hpke import public_key_of, seal
from cloister.sealing.keys import JobSecrets
from cloister.sealing.signatures import sign
from cloister.sessions import merkle
from cloister.sessions.client import PromptKey
from cloister.sessions.errors import BadReceipt, OrderRefused, Reason, SecondReceipt, SessionUnusable, WorkerFailed
from cloister.sessions.messages import MAX_CIPHERTEXT, Answered, OrderMessage
from cloister.sessions.receipts import Receipt, SignedOrder, SignedReceipt, order_root


class Cut(Exception):
    """The line, or the process, is gone."""


def cut():
    raise Cut


def message(pair, sequence=1, plaintext=b"input"):
    """An order as the client makes it, that was not sent."""
    pair.line.before = cut
    with pytest.raises(Cut):
        pair.client.ask(VERSION, plaintext)
    pair.line.before = lambda: None
    found = OrderMessage.decoded(pair.line.sent[-1])
    assert found.order.sequence == sequence
    return found


def signed_again(found, key=None, **changes):
    content = replace(found.order, **changes)
    signature = sign(key, AT.digest(content)) if key else found.signed.signature
    return replace(found, signed=SignedOrder(content, signature))


def refused(pair, found):
    with pytest.raises(OrderRefused) as error:
        pair.worker.take(found)
    return error.value.reason


# ---------------------------------------------------------------- both honest


def test_ask__many_jobs__gives_each_output_and_a_settlement_that_covers_them(pair):
    """SESS-19, SESS-20"""
    for number in range(1, 8):
        assert pair.client.ask(VERSION, b"input %d" % number) == model(VERSION, b"input %d" % number)
    assert [pair.client.output(n) for n in (1, 7)] == [b"1 tupni", b"7 tupni"]
    settlement = pair.worker.to_settle(SESSION)
    assert (settlement.first, settlement.count, settlement.last.order.total) == (1, 7, 7 * PRICE)
    assert AT.signer(settlement.last) == TERMS.key
    for sequence in range(1, 8):
        shown = pair.worker.shown(SESSION, 1, 7, sequence)
        assert merkle.includes(settlement.root, sequence - 1, 7, shown.leaf.hash(), shown.proof)
        assert AT.signer(shown.leaf.receipt) == TERMS.signer
        assert (
            shown.leaf.receipt.receipt.sealed_output_hash
            == Receipt.answering(shown.leaf.order.order, bytes(32), shown.sealed_output).sealed_output_hash
        )
    mine = [entry.hash() for entry in pair.requester_ledger.leaves(SESSION, 1, 7)]
    assert merkle.root(mine) == settlement.root
    assert pair.client.to_demand(1, 7) == []
    assert len(pair.runs) == 7


def test_to_settle__after_a_settlement__begins_where_it_ended(pair):
    """SESS-5"""
    assert pair.worker.to_settle(SESSION) is None
    for _ in range(3):
        pair.client.ask(VERSION, b"x")
    pair.chain.change(settled=3)
    assert pair.worker.to_settle(SESSION) is None
    pair.client.ask(VERSION, b"x")
    settlement = pair.worker.to_settle(SESSION)
    assert (settlement.first, settlement.count) == (4, 1)
    with pytest.raises(InvalidInput):
        pair.worker.shown(SESSION, 4, 1, 3)


def test_to_settle__order_without_receipt__is_left_out(pair):
    """SESS-20: only what was done is settled."""
    pair.client.ask(VERSION, b"x")
    pair.worker_ledger.record_order(order(2))
    assert pair.worker.to_settle(SESSION).last.order.sequence == 1


# ---------------------------------------------------------------- crashes


def test_crash__order_written_but_not_sent__is_sent_first_after_the_restart(pair):
    """SESS-19: never lost, and no second order before its receipt."""
    found = message(pair)
    pair.restart()
    assert pair.client.ask(VERSION, b"next") == b"txen"
    sent = [OrderMessage.decoded(data) for data in pair.line.sent]
    assert [m.order.sequence for m in sent] == [1, 2]
    assert sent[0] == found
    assert pair.client.output(1) == b"tupni"


def test_crash__receipt_lost_on_the_way__is_given_again_and_is_the_same(pair):
    """SESS-20: one receipt per number, and the job is done once."""
    pair.line.after = cut
    with pytest.raises(Cut):
        pair.client.ask(VERSION, b"input")
    first = pair.worker_ledger.entry(SESSION, 1).receipt
    pair.restart()
    assert pair.client.finish() == b"tupni"
    assert pair.requester_ledger.entry(SESSION, 1).receipt == first
    assert len(pair.runs) == 1
    assert pair.client.finish() is None


def test_crash__of_the_worker_in_the_middle_of_a_job__does_it_again(pair):
    """SESS-20: the order was on disk before the work began."""
    answering, pair.answering = pair.answering, None

    class Dying:
        def answer(self, _):
            assert pair.worker_ledger.last(SESSION).order.order.sequence == 1
            raise Cut

    pair.answering = Dying()
    pair.line.worker = pair.new_worker()
    with pytest.raises(Cut):
        pair.client.ask(VERSION, b"input")
    pair.answering = answering
    pair.restart()
    assert pair.client.finish() == b"tupni"


def test_crash__of_the_requester_after_it_wrote_the_receipt__is_over(pair):
    pair.client.ask(VERSION, b"input")
    pair.restart()
    assert pair.client.finish() is None
    assert pair.client.output(1) == b"tupni"
    assert not pair.line.sent


# ---------------------------------------------------------------- what a worker refuses


def test_take__order_of_an_unknown_or_anothers_session__is_refused(pair):
    found = message(pair)
    pair.chain.sessions.clear()
    assert refused(pair, found) is Reason.SESSION
    pair.chain.sessions[SESSION] = replace(STANDING, terms=replace(TERMS, worker=address(STRANGER_KEY)))
    assert refused(pair, found) is Reason.SESSION
    assert not pair.runs


@pytest.mark.parametrize("total", [0, PRICE - 1, PRICE + 1, 2 * PRICE])
def test_take__wrong_total__is_refused(pair, total):
    """SESS-4"""
    found = signed_again(message(pair), SESSION_KEY, total=total)
    assert refused(pair, found) is Reason.TOTAL


def test_take__total_that_decreases__is_refused(pair):
    """SESS-4"""
    pair.client.ask(VERSION, b"x")
    found = signed_again(message(pair, 2), SESSION_KEY, total=PRICE)
    assert refused(pair, found) is Reason.TOTAL


def test_take__signature_of_another_or_for_another_contract__is_refused(pair):
    """SESS-4, SESS-6"""
    found = message(pair)
    assert refused(pair, signed_again(found, STRANGER_KEY)) is Reason.SIGNATURE
    foreign = sign(SESSION_KEY, replace(AT, chain_id=1).digest(found.order))
    assert refused(pair, replace(found, signed=SignedOrder(found.order, foreign))) is Reason.SIGNATURE
    assert refused(pair, signed_again(found, input_commitment=bytes(32))) is Reason.SIGNATURE
    assert not pair.runs


def test_take__gap__is_refused(pair):
    found = signed_again(message(pair), SESSION_KEY, sequence=2, total=2 * PRICE)
    assert refused(pair, found) is Reason.SEQUENCE


def test_take__another_order_for_an_answered_number__is_refused(pair):
    """SESS-20"""
    pair.client.ask(VERSION, b"x")
    second = message(pair, 2)
    found = signed_again(second, SESSION_KEY, sequence=1, total=PRICE)
    assert refused(pair, found) is Reason.CONFLICT
    assert len(pair.runs) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"close_at": 1}, Reason.CLOSING), ({"reserved": PRICE - 1}, Reason.DEPOSIT), ({"settled": 0}, None)],
)
def test_take__session_that_does_not_pay__is_refused(pair, changes, reason):
    """SESS-20: no work after the announcement of a close, or beyond the deposit."""
    found = message(pair)
    pair.chain.change(**changes)
    if reason is None:
        pair.worker.take(found)
    else:
        assert refused(pair, found) is reason
        assert pair.worker_ledger.last(SESSION) is None


def test_take__deposit_that_settlements_have_used__is_refused(pair):
    """SESS-20"""
    pair.client.ask(VERSION, b"x")
    pair.client.ask(VERSION, b"x")
    pair.chain.change(settled=2, reserved=0)
    assert refused(pair, message(pair, 3)) is Reason.DEPOSIT
    pair.chain.change(settled=1, reserved=2 * PRICE)
    pair.client.finish()


def test_take__version_that_costs_more_or_is_not_run__is_refused(pair):
    found = message(pair)
    for lowest in (PRICE + 1, None):
        pair.lowest = lowest
        assert refused(pair, found) is Reason.PRICE


def test_take__keys_replaced_since_the_opening__is_refused(pair):
    """SESS-2"""
    found = message(pair)
    pair.signer = address(STRANGER_KEY)
    assert refused(pair, found) is Reason.SESSION


def test_take__answered_order_in_a_closing_session__gives_its_receipt(pair):
    """SESS-20: what was signed is never withheld."""
    pair.line.after = cut
    with pytest.raises(Cut):
        pair.client.ask(VERSION, b"x")
    pair.line.after = lambda: None
    pair.chain.change(close_at=1, reserved=0)
    assert pair.client.finish() == b"x"


# ---------------------------------------------------------------- what an enclave refuses


def test_answer__parts_of_another_order__do_not_open(pair):
    """SESS-21: what is sealed for one job, version, worker, prompt key or ciphertext opens for no other."""
    found = message(pair)
    content = found.order
    for changed in (
        replace(found, version=VersionId(bytes(32))),
        replace(found, response_key=public_key_of(bytes([77]) * 32)),
        replace(found, ciphertext=found.ciphertext + b"\0"),
        replace(found, signed=SignedOrder(replace(content, sequence=2), b"")),
        replace(found, signed=SignedOrder(replace(content, input_commitment=bytes(32)), b"")),
        replace(found, key_epoch=EPOCH + 1),
        replace(found, sealed_key=bytes(80)),
    ):
        with pytest.raises(CannotServe) as error:
            pair.answering.answer(changed)
        assert error.value.reason is RefusalReason.SEALED_KEY_DOES_NOT_OPEN
    assert not pair.runs


def test_answer__input_that_the_order_does_not_commit_to__is_refused(pair):
    """SESS-21: a requester cannot have one input answered and show another."""
    found = message(pair)
    lying = signed_again(found, SESSION_KEY, input_commitment=bytes([1]) * 32)
    info = AT.sealed_key_info(lying.order, VERSION, TERMS.worker, EPOCH, lying.response_key, lying.ciphertext_hash)
    salt = pair.requester_ledger.last(SESSION).salt
    secret = JobSecrets.from_root(order_root(SESSION_KEY, SESSION, 1, salt)).job_secret
    lying = replace(lying, sealed_key=seal(secret, public_key_of(PROMPT_KEY), info))
    with pytest.raises(CannotServe) as error:
        pair.answering.answer(lying)
    assert error.value.reason is RefusalReason.COMMITMENT_MISMATCH
    assert not pair.runs


def test_answer__output_that_is_too_long__is_refused_and_the_number_is_free(pair):
    """SESS-10: nothing is signed that could not be shown."""
    with pytest.raises(OrderRefused) as error:
        pair.client.ask(VERSION, bytes(1025))
    assert error.value.reason is Reason.JOB
    assert pair.client.ask(VERSION, bytes(1024)) == bytes(1024)
    assert pair.client.output(1) == bytes(1024)


def test_refused_job__number_is_used_again_with_other_secrets(pair):
    """SESS-19, SESS-21"""
    prompt, pair.prompt = pair.prompt, PromptKey(public_key_of(bytes([55]) * 32), EPOCH)
    with pytest.raises(OrderRefused):
        pair.client.ask(VERSION, b"input")
    pair.prompt = prompt
    assert pair.client.ask(VERSION, b"input") == b"tupni"
    first, second = (OrderMessage.decoded(data) for data in pair.line.sent)
    assert first.order.sequence == second.order.sequence == 1
    assert first.order.input_commitment != second.order.input_commitment
    assert first.response_key != second.response_key


# ---------------------------------------------------------------- what a requester refuses


def test_ask__session_that_is_no_longer_good__signs_nothing(pair):
    """SESS-19: an attestation that ended, other keys, a close, a used-up deposit."""
    pair.client.ask(VERSION, b"x")
    pair.usable = False
    with pytest.raises(SessionUnusable):
        pair.client.ask(VERSION, b"x")
    assert pair.requester_ledger.last(SESSION).order.order.sequence == 1
    assert len(pair.line.sent) == 1


def remade(answer, key=SIGNER_KEY, **changes):
    """A receipt with other content, signed again."""
    content = replace(answer.signed.receipt, **changes)
    return Answered(SignedReceipt(content, sign(key, AT.digest(content))), answer.sealed_output)


def lies(pair, make):
    """The line brings what `make` makes of the honest answer."""
    last = pair.requester_ledger.last
    pair.line.change = lambda data: make(Answered.decoded(data, last(SESSION).order.order)).encoded()


@pytest.mark.parametrize(
    "lie",
    [
        lambda a: remade(a, STRANGER_KEY),
        lambda a: remade(a, output_commitment=bytes([1]) * 32),
        lambda a: replace(a, sealed_output=bytes(len(a.sealed_output))),
        lambda a: replace(a, sealed_output=b""),
        lambda a: replace(a, signed=replace(a.signed, signature=bytes(65))),
    ],
    ids=["other signer", "other output", "other bytes", "no output", "no signature"],
)
def test_ask__receipt_that_does_not_hold__is_refused_and_the_order_stays_open(pair, lie):
    """SESS-19"""
    lies(pair, lie)
    with pytest.raises(BadReceipt):
        pair.client.ask(VERSION, b"input")
    with pytest.raises(BadReceipt):
        pair.client.ask(VERSION, b"another input")
    assert pair.requester_ledger.last(SESSION).receipt is None
    assert len({bytes(data) for data in pair.line.sent}) == 1
    assert pair.client.to_demand(1, 1) == [1]
    pair.line.change = lambda data: data
    assert pair.client.finish() == b"tupni"


def test_ask__garbage_output_that_is_sealed_and_signed_for_another_commitment__is_refused(pair):
    """SESS-19: the enclave's own output opens, but is not what the receipt commits to."""

    def lie(answer):
        content = answer.signed.receipt
        entry = pair.requester_ledger.last(SESSION)
        response_key = OrderMessage.decoded(entry.message).response_key
        info = AT.context(SESSION, 1).sealed_output_info(TERMS.worker, content.output_commitment)
        sealed = seal(b"garbage", response_key, info)
        receipt = Receipt.answering(entry.order.order, content.output_commitment, sealed)
        return Answered(SignedReceipt(receipt, sign(SIGNER_KEY, AT.digest(receipt))), sealed)

    lies(pair, lie)
    with pytest.raises(BadReceipt, match="is not the one that its receipt commits to"):
        pair.client.ask(VERSION, b"input")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"output_commitment": 1}'])
def test_ask__answer_that_is_no_receipt__is_refused(pair, data):
    pair.line.change = lambda _: data
    with pytest.raises(BadReceipt):
        pair.client.ask(VERSION, b"input")


def test_receive__leaf_shown_on_chain__gives_the_output(pair):
    """SESS-10: what a worker withheld and was made to publish is read like any receipt."""
    pair.line.after = cut
    with pytest.raises(Cut):
        pair.client.ask(VERSION, b"input")
    shown = pair.worker.shown(SESSION, 1, 1, 1)
    assert pair.client.to_demand(1, 1) == [1]
    assert pair.client.receive(Answered(shown.leaf.receipt, shown.sealed_output)) == b"tupni"
    assert pair.client.to_demand(1, 1) == []


def test_receive__second_receipt__is_kept_as_proof(pair):
    """SESS-13"""
    pair.client.ask(VERSION, b"input")
    entry = pair.requester_ledger.entry(SESSION, 1)
    # The worker lost its ledger and answers the same order again: the output is sealed anew.
    again = pair.answering.answer(OrderMessage.decoded(entry.message))
    with pytest.raises(SecondReceipt):
        pair.client.receive(again)
    proof = pair.requester_ledger.second_receipt(SESSION, 1)
    assert AT.signer(proof) == AT.signer(entry.receipt) == TERMS.signer
    assert proof.receipt != entry.receipt.receipt
    with pytest.raises(BadReceipt):
        pair.client.receive(remade(again, sequence=2))


def liar(pair):
    """A worker that does the job, keeps the receipt, and says that it refuses."""

    def refuse():
        raise OrderRefused(Reason.JOB, "no")

    pair.line.after = refuse
    with pytest.raises(OrderRefused):
        pair.client.ask(VERSION, b"input")
    pair.line.after = lambda: None
    entry = pair.worker_ledger.entry(SESSION, 1)
    return Answered(entry.receipt, entry.sealed_output)


def test_receive__receipt_of_an_order_that_was_refused__gives_the_output(pair):
    """SESS-19: a worker that says no and settles all the same is made to show what it has."""
    hidden = liar(pair)
    assert pair.client.to_demand(1, 1) == [1]
    assert pair.client.receive(hidden) == b"tupni"
    assert pair.client.output(1) == b"tupni"
    assert pair.client.to_demand(1, 1) == []


def test_receive__receipt_of_a_refused_order_whose_number_was_used_again__is_proof(pair):
    """SESS-13: two receipts for one number, though for two orders."""
    hidden = liar(pair)
    pair.worker_ledger.write("DELETE FROM orders")
    assert pair.client.ask(VERSION, b"other") == b"rehto"
    with pytest.raises(SecondReceipt):
        pair.client.receive(hidden)
    proof = pair.requester_ledger.second_receipt(SESSION, 1)
    assert proof == hidden.signed
    assert proof.receipt != pair.requester_ledger.entry(SESSION, 1).receipt.receipt
    assert pair.client.output(1) == b"rehto"


def test_output__that_is_not_there__is_refused(pair):
    with pytest.raises(InvalidInput):
        pair.client.output(1)


def test_secrets__are_in_no_text_form_and_in_no_ledger(pair):
    """Neither the ledger nor the session's key alone opens a job."""
    message(pair, 1, b"a secret input")
    pair.client.finish()
    for path in pair.folder.iterdir():
        assert b"a secret input" not in path.read_bytes()
        assert SESSION_KEY not in path.read_bytes()
    found = OrderMessage.decoded(pair.line.sent[-1])
    assert hexed(found.ciphertext)[2:] not in repr(found)
    assert "\\x01" not in repr(pair.client._key)


# ---------------------------------------------------------------- messages


@pytest.mark.parametrize(
    "change",
    [
        {"session": "0x00"},
        {"sequence": 0},
        {"sequence": 1 << 32},
        {"sequence": "1"},
        {"sequence": True},
        {"total": 1000},
        {"total": "-1"},
        {"total": "1e3"},
        {"total": "9" * 39},
        {"total": "१"},
        {"signature": "0x" + "00" * 64},
        {"response_key": "zz"},
        {"key_epoch": -1},
        {"sealed_key": "0x" + "00" * 79},
        {"ciphertext": "0x0"},
        {"ciphertext": "0x" + "00" * (MAX_CIPHERTEXT + 1)},
        {"ciphertext": None},
        {"extra": 1},
    ],
    ids=lambda change: f"{next(iter(change))} {next(iter(change.values()))!s:.12}",
)
def test_decoded__malformed_member__is_refused(pair, change):
    """SESS-22"""
    content = json.loads(message(pair).encoded()) | change
    with pytest.raises(InvalidInput) as error:
        OrderMessage.decoded(json.dumps(content).encode())
    assert len(str(error.value)) < 300


def test_decoded__encoded__is_the_same(pair):
    found = message(pair)
    assert OrderMessage.decoded(found.encoded()) == found


def test_worker_failed__is_what_bad_receipts_are():
    assert issubclass(BadReceipt, WorkerFailed)
