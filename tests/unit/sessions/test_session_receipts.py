"""What is signed in a session, and the tree of its receipts: as an independent implementation computes them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from reference import sessions as reference
from support.sessions import AT, SESSION, SESSION_KEY, SIGNER_KEY, TERMS, address, order

from cloister.domain.errors import InvalidInput
from cloister.domain.ids import Address, VersionId
from cloister.sealing.signatures import HALF_ORDER, sign
from cloister.sessions import merkle
from cloister.sessions.receipts import (
    Leaf,
    Order,
    Receipt,
    SessionId,
    SessionsAt,
    SignedOrder,
    SignedReceipt,
    order_root,
)

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/sessions.json").read_text())


def unhex(text):
    return bytes.fromhex(text[2:])


@pytest.fixture(scope="module")
def at():
    return SessionsAt(VECTORS["chainId"], Address(VECTORS["contract"]))


@pytest.fixture(scope="module")
def leaves():
    session = SessionId(unhex(VECTORS["session"]))
    made = []
    for number, entry in enumerate(VECTORS["entries"], 1):
        signed = Order(session, number, int(entry["total"]), unhex(entry["inputCommitment"]))
        receipt = Receipt.answering(signed, unhex(entry["outputCommitment"]), unhex(entry["sealedOutput"]))
        made.append(
            Leaf(
                SignedOrder(signed, unhex(entry["orderSignature"])),
                SignedReceipt(receipt, unhex(entry["receiptSignature"])),
            )
        )
    return made


def test_vectors__made_again__are_the_committed_ones():
    assert reference.shown(reference.vectors()) == VECTORS
    traces = json.loads((Path(__file__).parents[2] / "vectors/session-traces.json").read_text())
    assert traces == [reference.trace(seed) for seed in range(reference.TRACES)]


def test_session_id__vector__equals(at):
    """SESS-1"""
    found = at.session_id(Address(VECTORS["requester"]), Address(VECTORS["worker"]), VECTORS["nonce"])
    assert found == unhex(VECTORS["session"])


def test_digests_and_leaves__vectors__equal(at, leaves):
    """SESS-4, SESS-8, SESS-21"""
    for leaf, entry in zip(leaves, VECTORS["entries"], strict=True):
        assert at.digest(leaf.order.order) == unhex(entry["orderDigest"])
        assert at.digest(leaf.receipt.receipt) == unhex(entry["receiptDigest"])
        assert leaf.hash() == unhex(entry["leaf"])
        assert at.job_id(leaf.order.order.session, leaf.order.order.sequence) == unhex(entry["jobId"])


def test_sealed_key_info__vector__equals_and_binds_each_part(at, leaves):
    """SESS-21"""
    first = leaves[0].order.order
    worker = Address(VECTORS["worker"])
    values = [VersionId(keccak(b"version")), worker, 3, keccak(b"response key"), keccak(b"ciphertext")]
    expected = at.sealed_key_info(first, *values)
    assert expected == unhex(VECTORS["sealedKeyInfo"])
    others = [bytes(32), Address("0x" + "00" * 20), 4, bytes(32), bytes(32)]
    changed = [at.sealed_key_info(first, *values[:i], other, *values[i + 1 :]) for i, other in enumerate(others)]
    changed += [at.sealed_key_info(replace(first, sequence=2), *values)]
    changed += [at.sealed_key_info(replace(first, session=SessionId(bytes(32))), *values)]
    changed += [at.sealed_key_info(replace(first, input_commitment=bytes(32)), *values)]
    changed += [replace(at, chain_id=1).sealed_key_info(first, *values)]
    changed += [replace(at, contract=worker).sealed_key_info(first, *values)]
    assert len({expected, *changed}) == len(changed) + 1


def test_order_digest__wallet_that_reads_typed_data__signs_the_same():
    """SESS-4: by eth_account's own EIP-712."""
    content = TERMS.order(3, bytes([9]) * 32)
    members = [("session", "bytes32"), ("sequence", "uint32"), ("total", "uint128"), ("inputCommitment", "bytes32")]
    message = encode_typed_data(
        domain_data={
            "name": "Cloister",
            "version": "1",
            "chainId": AT.chain_id,
            "verifyingContract": AT.contract,
        },
        message_types={"Order": [{"name": name, "type": kind} for name, kind in members]},
        message_data=dict(zip((name for name, _ in members), content.as_tuple(), strict=True)),
    )
    assert bytes(Account.sign_message(message, SESSION_KEY).signature) == sign(SESSION_KEY, AT.digest(content))


def test_signer__each_field_and_form__counts():
    """SESS-4, SESS-6: a signature is for one content on one chain, in the one form that the contract takes."""
    signed = order(2)
    me = address(SESSION_KEY)
    assert AT.signer(signed) == me
    for change in ({"sequence": 3}, {"total": 1}, {"session": SessionId(bytes(32))}, {"input_commitment": bytes(32)}):
        assert AT.signer(replace(signed, order=replace(signed.order, **change))) != me
    assert replace(AT, chain_id=1).signer(signed) != me
    assert replace(AT, contract=TERMS.worker).signer(signed) != me
    r, s, v = signed.signature[:32], int.from_bytes(signed.signature[32:64]), signed.signature[64]
    high = r + (2 * HALF_ORDER + 1 - s).to_bytes(32) + bytes([55 - v])
    for bad in (high, signed.signature[:64], signed.signature[:64] + bytes([v - 27]), b"", bytes(65)):
        assert AT.signer(replace(signed, signature=bad)) is None


def test_receipt__of_another_order__does_not_answer():
    content = TERMS.order(2, bytes([9]) * 32)
    receipt = Receipt.answering(content, bytes([1]) * 32, b"sealed")
    assert receipt.answers(content)
    assert AT.signer(SignedReceipt(receipt, sign(SIGNER_KEY, AT.digest(receipt)))) == TERMS.signer
    for other in (TERMS.order(3, bytes([9]) * 32), TERMS.order(2, bytes(32)), replace(content, total=1)):
        assert not receipt.answers(other)


def test_order_root__key_number_and_salt__each_give_another():
    """SESS-21"""
    roots = {
        order_root(SESSION_KEY, SESSION, 1, bytes(32)),
        order_root(SIGNER_KEY, SESSION, 1, bytes(32)),
        order_root(SESSION_KEY, SessionId(bytes(32)), 1, bytes(32)),
        order_root(SESSION_KEY, SESSION, 2, bytes(32)),
        order_root(SESSION_KEY, SESSION, 1, bytes([1]) * 32),
    }
    assert len(roots) == 5


def test_root_and_proofs__vectors__equal(leaves):
    """SESS-8"""
    hashes = [leaf.hash() for leaf in leaves]
    for count in range(1, 10):
        assert merkle.root(hashes[:count]) == unhex(VECTORS["roots"][count - 1])
    for index in range(9):
        assert merkle.proof(hashes, index) == [unhex(node) for node in VECTORS["proofs"][index]]


def test_includes__every_place_of_every_size__only_the_right_one():
    """SESS-8"""
    hashes = [keccak(b"leaf %d" % i) for i in range(17)]
    for count in (1, 2, 3, 4, 5, 8, 9, 16, 17):
        top = merkle.root(hashes[:count])
        for index in range(count):
            path = merkle.proof(hashes[:count], index)
            assert len(path) == merkle.depth(count)
            found = [place for place in range(-1, 33) if merkle.includes(top, place, count, hashes[index], path)]
            assert found == [index]
            assert not merkle.includes(top, index, count, hashes[index], [*path, bytes(32)])
            assert not path or not merkle.includes(top, index, count, hashes[index], path[:-1])


def test_includes__inner_node_as_leaf__is_refused():
    """SESS-8: no second preimage."""
    hashes = [keccak(b"leaf %d" % i) for i in range(4)]
    left, right = merkle.root(hashes[:2]), merkle.root(hashes[2:])
    assert merkle.root([left, right]) == merkle.root(hashes)
    assert not merkle.includes(merkle.root(hashes), 0, 4, left, [right])


def test_tree__without_leaves_or_place__is_refused():
    with pytest.raises(InvalidInput):
        merkle.root([])
    for index in (-1, 2):
        with pytest.raises(InvalidInput):
            merkle.proof([bytes(32)] * 2, index)
