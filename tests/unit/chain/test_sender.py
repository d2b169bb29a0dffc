"""The sender against a real node: every intent once, whatever dies in between."""

import threading

import pytest
from eth_account import Account

from cloister.chain.call import Call
from cloister.chain.connection import Connection
from cloister.chain.errors import (
    ContractError,
    InsufficientFunds,
    NonceConflict,
    RpcError,
    RpcUnavailable,
    Underpriced,
)
from cloister.chain.sender import NotMined, Sender, TransactionFailed
from cloister.devnet.accounts import key
from cloister.devnet.anvil import start_anvil
from cloister.domain.ids import Address
from cloister.storage.journal import Journal, TransactionStatus

GWEI = 10**9
TO = Address("0x" + "11" * 20)
MARKET = Address("0x" + "22" * 20)
PAY = Call(TO, b"", 1000)
# Contracts in raw code: one that always reverts, and one that reverts once its storage slot 0 is set.
REVERTS = "0x60006000fd"
FRAGILE = "0x5f5460065700" + "5b5f5ffd"


@pytest.fixture
def clean():
    with start_anvil(0, 0) as node:
        yield node


@pytest.fixture
def connection(clean):
    return Connection(clean.url)


@pytest.fixture
def journal(tmp_path, connection):
    with Journal(tmp_path / "j.sqlite", "chain", MARKET, Address(key(0).address)) as journal:
        yield journal


@pytest.fixture
def mine(clean):
    def mine(blocks=1):
        clean.mine(blocks)

    return mine


def sender_of(connection, journal, account=None, **options):
    options.setdefault("poll_seconds", 0.01)
    return Sender(connection, account or key(0), journal, **options)


@pytest.fixture
def sender(connection, journal):
    return sender_of(connection, journal)


def waiting(connection):
    """Transactions in the node's pool, by nonce."""
    pool = connection.w3.provider.make_request("txpool_content", [])["result"]
    found = {}
    for part in pool.values():
        for transactions in part.values():
            found |= {int(nonce): tx for nonce, tx in transactions.items()}
    return found


def paid(connection):
    return connection.balance(TO)


class Dies(BaseException):
    """The process, at this point."""


# ------------------------------------------------------------------ once


def test_send__intent__is_journalled_sent_and_mined_once(connection, journal, sender, mine):
    hash_ = sender.send("pay", PAY)
    assert journal.find("pay").hash == hash_
    assert journal.find("pay").status is TransactionStatus.PENDING
    for _ in range(3):
        assert sender.send("pay", PAY) == hash_
    mine()
    assert sender.send("pay", PAY) == hash_
    ((intent, receipt),) = sender.settle()
    assert (intent, receipt.hash, receipt.succeeded) == ("pay", hash_, True)
    assert journal.find("pay").status is TransactionStatus.MINED
    assert sender.settle() == []
    assert sender.send("pay", PAY) == hash_
    mine()
    assert paid(connection) == 1000


def test_send__killed_between_journal_and_broadcast__is_sent_again_by_settle(connection, journal, mine, monkeypatch):
    first = sender_of(connection, journal)

    def die(raw):
        raise Dies

    monkeypatch.setattr(first, "_broadcast", die)
    with pytest.raises(Dies):
        first.send("pay", PAY)
    assert waiting(connection) == {}
    written = journal.find("pay").hash
    second = sender_of(connection, journal)
    assert second.settle() == []
    assert waiting(connection)[0]["hash"] == "0x" + written.hex()
    second.settle()
    mine()
    assert [intent for intent, _ in second.settle()] == ["pay"]
    assert paid(connection) == 1000


@pytest.mark.parametrize("how", ["send", "wait"])
def test_send__killed_between_journal_and_broadcast__is_sent_again_by(how, connection, journal, mine, monkeypatch):
    first = sender_of(connection, journal)
    monkeypatch.setattr(first, "_broadcast", lambda raw: (_ for _ in ()).throw(Dies))
    with pytest.raises(Dies):
        first.send("pay", PAY)
    hash_ = journal.find("pay").hash
    second = sender_of(connection, journal, sleep=lambda seconds: mine())
    if how == "send":
        assert second.send("pay", PAY) == hash_
        assert 0 in waiting(connection)
    monkeypatch.setattr("cloister.chain.sender.RESEND_SECONDS", 0.0)
    assert second.wait(hash_, timeout=5).succeeded
    assert paid(connection) == 1000


def test_send__killed_after_the_broadcast__is_not_sent_twice(connection, journal, mine, monkeypatch):
    first = sender_of(connection, journal)
    broadcast = first._broadcast

    def broadcast_and_die(raw):
        broadcast(raw)
        raise Dies

    monkeypatch.setattr(first, "_broadcast", broadcast_and_die)
    with pytest.raises(Dies):
        first.send("pay", PAY)
    second = sender_of(connection, journal)
    second.settle()
    second.send("pay", PAY)
    mine()
    second.settle()
    second.send("pay", PAY)
    mine()
    assert paid(connection) == 1000


def test_send__killed_before_the_journal__nothing_was_sent(connection, journal, sender, monkeypatch):
    monkeypatch.setattr(journal, "record", lambda *args: (_ for _ in ()).throw(Dies))
    with pytest.raises(Dies):
        sender.send("pay", PAY)
    assert waiting(connection) == {}


def test_settle__node_lost_its_pool__sends_everything_again(connection, journal, sender, mine, clean):
    for name in "abc":
        sender.send(name, PAY)
    clean.control("anvil_dropAllTransactions")
    assert waiting(connection) == {}
    sender.settle()
    assert sorted(waiting(connection)) == [0, 1, 2]
    mine()
    assert [intent for intent, _ in sender.settle()] == ["a", "b", "c"]
    assert paid(connection) == 3000


def test_settle__confirmations__waits_for_them_and_survives_a_reorganisation(connection, journal, mine, clean):
    mine(3)
    sender = sender_of(connection, journal, confirmations=2)
    sender.send("pay", PAY)
    mine()
    assert sender.settle() == []
    assert journal.find("pay").status is TransactionStatus.PENDING
    clean.control("anvil_reorg", 1, [])
    assert paid(connection) == 0
    sender.settle()
    mine(3)
    assert [intent for intent, _ in sender.settle()] == ["pay"]
    assert paid(connection) == 1000


def test_send__mined_but_taken_back__is_sent_again_when_it_is_asked_for(connection, journal, sender, mine, clean):
    sender.send("pay", PAY)
    mine()
    sender.settle()
    clean.control("anvil_reorg", 1, [])
    sender.send("pay", PAY)
    mine()
    assert paid(connection) == 1000


# ------------------------------------------------------------------ nonces


def test_send__fifty_threads__use_each_nonce_once(connection, journal, sender, mine):
    errors = []

    def send(number):
        try:
            sender.send(f"pay {number % 25}", PAY)  # each intent is asked for twice
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [record.nonce for record in journal.pending()] == list(range(25))
    mine()
    assert len(sender.settle()) == 25
    assert paid(connection) == 25_000


def test_send__account_used_before__continues_its_nonces(connection, journal, mine):
    other = Account.from_key(key(0).key)
    raw = other.sign_transaction(
        {"nonce": 0, "to": TO, "value": 1, "gas": 21000, "gasPrice": 10 * GWEI, "chainId": connection.chain_id}
    )
    connection.w3.eth.send_raw_transaction(raw.raw_transaction)
    sender_of(connection, journal).send("pay", PAY)
    assert journal.find("pay").nonce == 1  # waits behind the other, mined or not


def test_send__node_has_lost_an_earlier_one__goes_behind_it_all_the_same(connection, journal, sender, mine, clean):
    sender.send("a", PAY)
    clean.control("anvil_dropAllTransactions")
    sender.send("b", PAY)
    assert [(record.intent, record.nonce) for record in journal.pending()] == [("a", 0), ("b", 1)]
    sender.settle()
    mine()
    assert paid(connection) == 2000


def elsewhere(connection, nonce, tip=50):
    """Another program of the same account uses a nonce."""
    fields = {"nonce": nonce, "to": MARKET, "value": 1, "gas": 21000, "chainId": connection.chain_id}
    fields |= {"maxFeePerGas": 100 * GWEI, "maxPriorityFeePerGas": tip * GWEI}
    return connection.w3.eth.send_raw_transaction(key(0).sign_transaction(fields).raw_transaction)


def test_settle__nonce_used_elsewhere__frees_the_intent(connection, journal, sender, mine, clean):
    sender.send("pay", PAY)
    clean.control("anvil_dropAllTransactions")
    elsewhere(connection, 0)
    mine()
    assert sender.settle() == []
    assert journal.find("pay") is None
    sender.send("pay", PAY)
    assert journal.find("pay").nonce == 1
    mine()
    assert paid(connection) == 1000


def test_settle__nonce_conflict_but_nonce_unused__keeps_the_intent(connection, journal, sender, monkeypatch, clean):
    sender.send("pay", PAY)
    clean.control("anvil_dropAllTransactions")

    def refuse(raw):
        raise NonceConflict("nonce too high")

    monkeypatch.setattr(sender, "_broadcast", refuse)
    sender.settle()
    assert journal.find("pay").status is TransactionStatus.PENDING


def test_send__nonce_taken_at_the_last_moment__frees_it_and_the_next_try_works(
    connection, journal, sender, mine, monkeypatch
):
    broadcast = sender._broadcast

    def late(raw):
        monkeypatch.setattr(sender, "_broadcast", broadcast)
        elsewhere(connection, 0)
        mine()
        broadcast(raw)

    monkeypatch.setattr(sender, "_broadcast", late)
    with pytest.raises(NonceConflict):
        sender.send("pay", PAY)
    assert journal.pending() == []
    sender.send("pay", PAY)
    mine()
    assert paid(connection) == 1000


# ------------------------------------------------------------------ refusals


def contract(clean, code, address="0x" + "33" * 20):
    clean.control("anvil_setCode", address, code)
    return Address(address)


@pytest.mark.parametrize("gas", [None, 100_000], ids=["estimated", "given"])
def test_send__would_revert__raises_and_journals_nothing(connection, journal, sender, mine, clean, gas):
    call = Call(contract(clean, REVERTS), b"", gas=gas)
    with pytest.raises(ContractError):
        sender.send("doomed", call)
    assert journal.pending() == []
    assert waiting(connection) == {}
    sender.send("pay", PAY)
    assert journal.find("pay").nonce == 0


def fragile(clean):
    """A call that succeeds when it is simulated, and what makes it revert when it is mined."""
    address = contract(clean, FRAGILE)
    slot, one = "0x" + "00" * 32, "0x" + "00" * 31 + "01"
    return Call(address, b"", gas=100_000), lambda: clean.control("anvil_setStorageAt", address, slot, one)


def test_settle__mined_and_reverted__frees_the_intent_and_not_the_nonce(connection, journal, sender, mine, clean):
    call, break_it = fragile(clean)
    sender.send("first", PAY)
    sender.send("second", call)
    break_it()
    mine()
    assert [(intent, receipt.succeeded) for intent, receipt in sender.settle()] == [("first", True), ("second", False)]
    assert journal.find("second") is None
    assert journal.pending() == []
    hash_ = sender.send("second", PAY)
    assert journal.find("second").nonce == 2
    mine()
    assert sender.wait(hash_).succeeded


def test_transact__mined_and_reverted__raises_and_frees_the_intent(connection, journal, mine, clean):
    call, break_it = fragile(clean)

    def sleep(seconds):
        break_it()
        mine()

    sender = sender_of(connection, journal, sleep=sleep)
    with pytest.raises(TransactionFailed, match="reverted"):
        sender.transact("doomed", call)
    assert journal.find("doomed") is None


@pytest.mark.parametrize("gas", [None, 21_000], ids=["estimated", "given"])
@pytest.mark.parametrize("balance", [0, 500, 1000, 10**12])
def test_send__no_funds__is_said_and_nothing_is_journalled(connection, tmp_path, clean, gas, balance):
    poor = Account.create()
    clean.control("anvil_setBalance", poor.address, hex(balance))
    with Journal(tmp_path / "poor.sqlite", "chain", MARKET, Address(poor.address)) as journal:
        sender = sender_of(connection, journal, poor)
        with pytest.raises(InsufficientFunds) as raised:
            sender.send("pay", Call(TO, b"", 1000, gas))
        assert raised.value.hint
        assert journal.pending() == []
        assert journal.next_nonce() == 0
    assert connection.balance(Address(poor.address)) == balance


@pytest.mark.parametrize(
    "error", [InsufficientFunds("a"), Underpriced("b"), NonceConflict("c"), RpcError("d", code=-32000)]
)
def test_send__refused_by_the_node__frees_intent_and_nonce(connection, journal, sender, mine, monkeypatch, error):
    with monkeypatch.context() as patch:
        patch.setattr(sender, "_broadcast", lambda raw: (_ for _ in ()).throw(error))
        with pytest.raises(type(error)):
            sender.send("pay", PAY)
    assert journal.pending() == []
    sender.send("pay", PAY)
    assert journal.find("pay").nonce == 0
    mine()
    assert paid(connection) == 1000


@pytest.mark.parametrize("error", [RpcUnavailable("timed out"), RpcError("internal error", code=-32603)])
def test_send__node_may_have_it__stays_journalled_and_pending(connection, journal, sender, mine, monkeypatch, error):
    with monkeypatch.context() as patch:
        patch.setattr(sender, "_broadcast", lambda raw: (_ for _ in ()).throw(error))
        with pytest.raises(type(error)):
            sender.send("pay", PAY)
    assert [record.intent for record in journal.pending()] == ["pay"]
    sender.settle()
    mine()
    assert paid(connection) == 1000


def test_settle__one_is_refused__the_others_are_looked_at_all_the_same(
    connection, journal, sender, mine, clean, monkeypatch
):
    for name in "abc":
        sender.send(name, PAY)
    clean.control("anvil_dropAllTransactions")
    broadcast = sender._broadcast
    refused = journal.find("a").raw

    def pick(raw):
        if raw == refused:
            raise Underpriced("below the pool's minimum")
        broadcast(raw)

    monkeypatch.setattr(sender, "_broadcast", pick)
    sender.settle()
    assert sorted(waiting(connection)) == [1, 2]
    assert len(journal.pending()) == 3


def test_send__dead_endpoint__is_unavailable_and_nothing_is_journalled(tmp_path):
    with start_anvil(0, 0) as node:
        connection = Connection(node.url)
        with Journal(tmp_path / "dead.sqlite", "chain", MARKET, Address(key(0).address)) as journal:
            sender = sender_of(connection, journal)
            sender.send("before", PAY)
            node.stop()
            with pytest.raises(RpcUnavailable):
                sender.send("after", PAY)
            with pytest.raises(RpcUnavailable):
                sender.settle()
            with pytest.raises(RpcUnavailable):
                sender.wait(journal.find("before").hash)
            assert [record.intent for record in journal.pending()] == ["before"]


def test_wait__never_mined__gives_up_the_wait_and_not_the_transaction(connection, journal, sender):
    hash_ = sender.send("pay", PAY)
    with pytest.raises(NotMined, match="not mined within 0 s"):
        sender.wait(hash_, timeout=0)
    assert [record.intent for record in journal.pending()] == ["pay"]


# ------------------------------------------------------------------ fees


def fees_of(connection, hash_):
    found = connection.w3.eth.get_transaction(hash_)
    return found["maxFeePerGas"], found["maxPriorityFeePerGas"]


def test_send__fees__cover_a_doubled_base_fee(connection, sender, clean):
    clean.control("anvil_setNextBlockBaseFeePerGas", hex(7 * GWEI))
    clean.mine(1)
    fee, tip = fees_of(connection, sender.send("pay", PAY))
    assert fee == 14 * GWEI + tip


def test_send__max_fee_above_the_price__caps_the_headroom(connection, journal, clean):
    clean.control("anvil_setNextBlockBaseFeePerGas", hex(7 * GWEI))
    clean.mine(1)
    sender = sender_of(connection, journal, max_fee=10 * GWEI)
    fee, tip = fees_of(connection, sender.send("pay", PAY))
    assert fee == 10 * GWEI
    assert tip <= fee


def test_send__max_fee_below_the_price__raises_and_journals_nothing(connection, journal, clean):
    clean.control("anvil_setNextBlockBaseFeePerGas", hex(7 * GWEI))
    clean.mine(1)
    sender = sender_of(connection, journal, max_fee=7 * GWEI - 1)
    with pytest.raises(Underpriced, match=r"8\.000 gwei") as raised:
        sender.send("pay", PAY)
    assert "max_fee_gwei" in raised.value.hint
    assert journal.next_nonce() == 0


def test_send__gas_estimate__leaves_a_margin_and_a_given_one_is_kept(connection, sender):
    estimated = connection.w3.eth.get_transaction(sender.send("a", PAY))["gas"]
    assert estimated == int(21_000 * 1.2) + 10_000
    given = connection.w3.eth.get_transaction(sender.send("b", Call(TO, b"", 1, 77_777)))["gas"]
    assert given == 77_777


def test_receipt__mined__has_block_gas_and_price(connection, sender, mine):
    hash_ = sender.send("pay", PAY)
    assert sender.receipt(hash_) is None
    mine()
    receipt = sender.receipt(hash_)
    assert (receipt.gas_used, receipt.succeeded) == (21_000, True)
    assert receipt.block == connection.head().number
    assert receipt.gas_price > 0
