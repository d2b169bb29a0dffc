"""The package against the contract: a session's whole life on a chain, over HTTP, honest and not."""

import time
from types import SimpleNamespace

import pytest
from eth_utils import function_signature_to_4byte_selector as selector
from support.sessions import EPOCH, PROMPT_KEY, SESSION_KEY, SIGNER_KEY, VERSION, address, model

from cloister.chain.artifacts import CONTRACTS, artifact
from cloister.chain.connection import Connection
from cloister.chain.sessions import Sessions
from cloister.devnet.accounts import key
from cloister.devnet.anvil import start_anvil
from cloister.domain.ids import NOBODY, Address, hexed
from cloister.recipients import InputKey
from cloister.sealing.hpke import public_key_of
from cloister.sealing.signatures import sign
from cloister.sessions.answering import PlainAnswering
from cloister.sessions.client import SessionKey
from cloister.sessions.composition import session_client, session_worker
from cloister.sessions.errors import OrderRefused, Reason, SecondReceipt, SessionUnusable
from cloister.sessions.keeping import requester_steps, shown_outputs, worker_steps
from cloister.sessions.ledger import requester_ledger, worker_ledger
from cloister.sessions.messages import Answered, OrderMessage
from cloister.sessions.receipts import Receipt, SessionId, SessionsAt, SignedReceipt
from cloister.sessions.transport import HttpTransport
from cloister.sessions.web import serving

if "Sessions" not in CONTRACTS:
    pytest.skip("the package does not carry the contract yet", allow_module_level=True)

PRICE, JOBS, DEPOSIT, BOND_JOBS = 10**15, 20, 10**15, 10
BOND = 2 * DEPOSIT + BOND_JOBS * PRICE
CHALLENGE, ANSWER, DELAY = 1000, 100, 1300


def registry_code():
    """A contract that attests everybody for ever, takes every signer, and knows no currency but the coin."""

    def push(value, size):
        return bytes([0x5F + size]) + value.to_bytes(size, "big")

    returns_one = push(1, 1) + bytes.fromhex("5f5260205ff3")
    returns_rate = push(10**18, 8) + bytes.fromhex("5f5260205ff3")
    attests = push(2**39, 5) + push(32, 1) + bytes.fromhex("5260605ff3")
    asks = bytes.fromhex("5f3560e01c80") + b"\x63" + selector("signs(address,address,uint256)")
    asks_rate = b"\x63" + selector("lockRate(address)")
    first = len(asks) + 4 + len(asks_rate) + 4 + len(attests)
    second = first + 1 + len(returns_one)
    runtime = asks + b"\x14" + push(first, 1) + b"\x57" + asks_rate + b"\x14" + push(second, 1) + b"\x57" + attests
    runtime += b"\x5b" + returns_one + b"\x5b" + returns_rate
    return "0x" + (push(len(runtime), 1) + bytes.fromhex("80600a5f395ff3") + b"\0" + runtime).hex()


class Town:
    """A chain with the contract, both parties and their service."""

    def __init__(self, node, folder):
        self.mine, self.w3 = node.mine, (connection := Connection(node.url)).w3
        self.requester, self.worker = key(1), key(2)
        registry = self.deploy(registry_code())
        made = self.w3.eth.contract(abi=artifact("Sessions").abi, bytecode=artifact("Sessions").bytecode)
        parameters = (CHALLENGE, ANSWER, DELAY, BOND_JOBS, DEPOSIT)
        data = made.constructor(registry, registry, parameters).data_in_transaction
        self.contract = Sessions(connection, self.deploy(data))
        self.at = SessionsAt(connection.chain_id, self.contract.address)
        self.attested_until, self.signer = 2**39, address(SIGNER_KEY)
        self.nodes = SimpleNamespace(
            node=lambda _: SimpleNamespace(signer=self.signer),
            attestation=lambda _: SimpleNamespace(until=self.attested_until),
        )
        self.orders = requester_ledger(folder / "requester.db", self.at, self.requester.address)
        self.receipts = worker_ledger(folder / "worker.db", self.at, self.worker.address)
        opening = self.contract.open(
            self.worker.address, self.signer, address(SESSION_KEY), NOBODY, PRICE, JOBS * PRICE, 1
        )
        self.send(self.requester, opening)
        self.session = self.at.session_id(self.requester.address, self.worker.address, 1)
        self.answering = PlainAnswering(
            self.at, self.worker.address, lambda: {EPOCH: PROMPT_KEY}, model, lambda digest: sign(SIGNER_KEY, digest)
        )
        self.service = session_worker(
            self.at, self.contract, self.nodes, self.worker.address, self.receipts, self.answering, lambda *_: PRICE
        )

    def deploy(self, data):
        return Address(self._mined({"from": key(0).address, "data": data})["contractAddress"])

    def send(self, sender, call):
        fields = {"from": sender.address, "to": call.to, "data": call.data, "value": call.value}
        return self._mined(fields)["gasUsed"]

    def _mined(self, fields):
        sent = self.w3.eth.send_transaction(fields | {"gas": 8_000_000})
        self.mine(1)
        found = self.w3.eth.wait_for_transaction_receipt(sent, timeout=10, poll_latency=0.01)
        assert found["status"] == 1
        return found

    def wait(self, seconds):
        self.w3.provider.make_request("evm_increaseTime", [seconds])
        self.mine(1)

    def client(self, url):
        return session_client(
            *(self.at, self.contract, self.nodes, self.session, SessionKey(SESSION_KEY), self.orders),
            *(HttpTransport(url), self.key_for, lambda: int(time.time())),
        )

    @staticmethod
    def key_for(_worker, _version):
        return InputKey(public_key_of(PROMPT_KEY), EPOCH, prompt=True)

    def settle(self):
        found = self.service.to_settle(self.session)
        last = found.last
        self.send(
            self.worker,
            self.contract.settle(self.session, last.order.as_tuple(), last.signature, found.root, BOND),
        )
        return found

    def pay_and_withdraw(self):
        self.send(key(3), self.contract.pay(self.session, 1))
        owed = self.contract.credit(NOBODY, self.worker.address)
        self.send(key(3), self.contract.withdraw(NOBODY, self.worker.address))
        return owed


@pytest.fixture(scope="module")
def node():
    with start_anvil(0, 0) as started:
        yield started


@pytest.fixture
def town(node, tmp_path):
    made = Town(node, tmp_path)
    yield made
    made.orders.close()
    made.receipts.close()


def test_life__honest__many_jobs_one_settlement_and_a_demand_that_is_answered(town):
    """SESS-1, SESS-4, SESS-8, SESS-10, SESS-15 to SESS-21"""
    assert town.contract.session_id(town.requester.address, town.worker.address, 1) == town.session
    with serving(town.service, port=0) as url:
        client = town.client(url)
        for number in range(7):
            assert client.ask(VERSION, b"row %d" % number) == b"%d wor" % number
    settlement = town.settle()
    (settled,) = town.contract.settlements(town.session, 0)
    assert (settled.first, settled.count, settled.root) == (1, 7, settlement.root)
    assert client.to_demand(settled.first, settled.count) == []

    town.send(town.requester, town.contract.demand(town.session, 1, 5, DEPOSIT))
    (demanded,) = town.contract.demands(town.session, 0)
    shown = town.service.shown(town.session, settled.first, settled.count, demanded.sequence)
    call = town.contract.show(town.session, 1, shown.leaf.as_tuple(), shown.proof, shown.sealed_output)
    assert town.send(town.worker, call) < 150_000
    (seen,) = town.contract.shown(town.session, 0)
    receipt = Receipt(SessionId(seen.receipt[0]), *seen.receipt[1:])
    answered = Answered(SignedReceipt(receipt, seen.receipt_signature), seen.sealed_output)
    assert client.receive(answered) == b"4 wor"

    town.wait(CHALLENGE + 1)
    assert town.pay_and_withdraw() == 7 * PRICE + BOND + DEPOSIT
    town.send(town.requester, town.contract.announce_close(town.session))
    town.wait(DELAY)
    town.send(key(3), town.contract.close(town.session))
    assert town.contract.credit(NOBODY, town.requester.address) == (JOBS - 7) * PRICE
    town.send(key(3), town.contract.withdraw(NOBODY, town.requester.address))
    assert town.w3.eth.get_balance(town.contract.address) == 0


def test_life__worker_that_hides_the_last_output__loses_more_than_it_gains(town):
    """SESS-11, SESS-14, SESS-19"""
    with serving(town.service, port=0) as url:
        client = town.client(url)
        client.ask(VERSION, b"row")
    # The second order arrives and is settled, but no answer comes back.
    town.receipts.record_order(_second_order(town, client))
    entry = town.receipts.last(town.session)
    found = town.answering.answer(OrderMessage.decoded(town.orders.last(town.session).message))
    town.receipts.record_receipt(found.signed, found.sealed_output)
    town.settle()
    assert client.to_demand(1, 2) == [entry.order.order.sequence] == [2]
    town.send(town.requester, town.contract.demand(town.session, 1, 2, DEPOSIT))
    town.wait(ANSWER + 1)
    town.send(key(3), town.contract.forfeit(town.session, 1, 2))
    assert town.contract.credit(NOBODY, town.requester.address) == PRICE + 2 * DEPOSIT
    town.wait(CHALLENGE)
    assert town.pay_and_withdraw() == PRICE


def _second_order(town, client):
    class Silent:
        def send(self, _):
            raise TimeoutError

    client._transport = Silent()
    with pytest.raises(TimeoutError):
        client.ask(VERSION, b"row")
    return town.orders.last(town.session).order


def test_life__two_receipts__are_proved_on_chain(town):
    """SESS-13"""
    with serving(town.service, port=0) as url:
        client = town.client(url)
        client.ask(VERSION, b"row")
    first = town.orders.entry(town.session, 1)
    again = town.answering.answer(OrderMessage.decoded(first.message))
    with pytest.raises(SecondReceipt):
        client.receive(again)
    town.settle()
    second = town.orders.second_receipt(town.session, 1)
    call = town.contract.prove_equivocation(
        *(town.session, 1, first.receipt.receipt.as_tuple(), first.receipt.signature),
        *(second.receipt.as_tuple(), second.signature),
    )
    town.send(key(3), call)
    assert town.contract.settlement(town.session, 1).refunded == 1
    assert town.contract.credit(NOBODY, town.requester.address) == PRICE + DEPOSIT
    town.wait(CHALLENGE + 1)
    town.send(key(3), town.contract.pay(town.session, 1))
    assert town.contract.credit(NOBODY, town.worker.address) == 0


def test_order__session_that_is_no_longer_good__is_not_signed(town):
    """SESS-19: each of the four reasons."""
    with serving(town.service, port=0) as url:
        client = town.client(url)
        town.attested_until = int(time.time())
        with pytest.raises(SessionUnusable, match="not attested"):
            client.ask(VERSION, b"row")
        town.attested_until = 2**39
        town.signer = address(PROMPT_KEY)
        with pytest.raises(SessionUnusable, match="other keys"):
            client.ask(VERSION, b"row")
        town.signer = address(SIGNER_KEY)
        for _ in range(JOBS):
            client.ask(VERSION, b"row")
        with pytest.raises(SessionUnusable, match="does not cover"):
            client.ask(VERSION, b"row")
        town.send(key(3), town.contract.top_up(town.session, NOBODY, PRICE))
        town.send(town.requester, town.contract.announce_close(town.session))
        with pytest.raises(SessionUnusable, match="being closed"):
            client.ask(VERSION, b"row")
    assert town.orders.last(town.session).order.order.sequence == JOBS


def test_worker__close_that_was_announced__takes_no_order(town):
    """SESS-20"""
    with serving(town.service, port=0) as url:
        client = town.client(url)
        town.send(town.requester, town.contract.announce_close(town.session))
        client._good = lambda _: None
        with pytest.raises(OrderRefused) as error:
            client.ask(VERSION, b"row")
    assert error.value.reason is Reason.CLOSING


def test_client__session_that_is_not_there__is_refused(town):
    town.session = SessionId(bytes(32))
    with pytest.raises(SessionUnusable, match="There is no session"):
        town.client("http://127.0.0.1:1")


# ---------------------------------------------------------------- what is due


def due(town, client, settle_from=256):
    """Both parties send what they have to; the intents, without the session."""
    now = town.w3.eth.get_block("latest")["timestamp"]
    mine = list(requester_steps(client, town.orders, town.contract, town.session, 0, now))
    theirs = list(worker_steps(town.service, town.contract, town.session, 0, now, settle_from))
    for sender, steps in ((town.requester, mine), (town.worker, theirs)):
        for step in steps:
            town.send(sender, step.call)
    return [step.intent.replace(f":{hexed(town.session)}", "") for step in [*mine, *theirs]]


def test_steps__honest_life__each_is_due_once_and_all_money_leaves(town):
    """SESS-5, SESS-16, SESS-17, SESS-20"""
    with serving(town.service, port=0) as url:
        client = town.client(url)
        for _ in range(3):
            client.ask(VERSION, b"row")
        assert due(town, client, settle_from=4) == []
        assert due(town, client, settle_from=3) == ["session-settle:1"]
        assert due(town, client, settle_from=1) == []
        client.ask(VERSION, b"row")
        town.send(town.requester, town.contract.announce_close(town.session))
        assert due(town, client) == ["session-settle:4"]
        town.wait(CHALLENGE + 1)
        assert due(town, client) == ["session-pay:1", "session-pay:4"]
        town.wait(DELAY)
        assert due(town, client) == ["session-close"]
        assert due(town, client) == []
    assert town.contract.credit(NOBODY, town.worker.address) == 4 * PRICE + 2 * BOND


def test_steps__deposit_that_is_used_up__is_settled(town):
    """SESS-20"""
    with serving(town.service, port=0) as url:
        client = town.client(url)
        for _ in range(JOBS - 1):
            client.ask(VERSION, b"row")
        assert due(town, client) == []
        client.ask(VERSION, b"row")
        assert due(town, client) == ["session-settle:1"]


def test_steps__receipt_that_did_not_arrive__is_demanded_shown_and_read(town):
    """SESS-9, SESS-10, SESS-19"""
    with serving(town.service, port=0) as url:
        client = town.client(url)
        client.ask(VERSION, b"one")
    town.receipts.record_order(_second_order(town, client))
    found = town.answering.answer(OrderMessage.decoded(town.orders.last(town.session).message))
    town.receipts.record_receipt(found.signed, found.sealed_output)
    assert due(town, client, settle_from=2) == ["session-settle:1"]
    assert due(town, client) == ["session-demand:2"]
    assert due(town, client) == ["session-show:2"]
    assert shown_outputs(client, town.contract, town.session, 0) == {2: b"wor"}
    assert client.output(2) == b"wor"
    assert due(town, client) == []


def test_steps__leaf_that_stays_hidden__is_forfeited(town):
    """SESS-11, SESS-17"""
    client = town.client("http://127.0.0.1:1")
    order = _second_order(town, client)
    call = town.contract.settle(town.session, order.order.as_tuple(), order.signature, bytes(32), BOND)
    town.send(town.worker, call)
    assert due_of_requester(town, client) == ["session-demand:1"]
    assert due_of_requester(town, client) == []
    # The worker has no receipt either; that does not keep it from the rest.
    now = town.w3.eth.get_block("latest")["timestamp"]
    assert list(worker_steps(town.service, town.contract, town.session, 0, now, 1)) == []
    town.wait(ANSWER + 1)
    assert due_of_requester(town, client) == ["session-forfeit:1"]
    assert town.contract.credit(NOBODY, town.requester.address) == PRICE + 2 * DEPOSIT
    town.wait(CHALLENGE)
    assert due(town, client) == ["session-pay:1"]


def due_of_requester(town, client):
    now = town.w3.eth.get_block("latest")["timestamp"]
    steps = list(requester_steps(client, town.orders, town.contract, town.session, 0, now))
    for step in steps:
        town.send(town.requester, step.call)
    return [step.intent.replace(f":{hexed(town.session)}", "") for step in steps]


def test_steps__second_receipt__is_proved_once(town):
    """SESS-13"""
    with serving(town.service, port=0) as url:
        client = town.client(url)
        client.ask(VERSION, b"row")
    again = town.answering.answer(OrderMessage.decoded(town.orders.entry(town.session, 1).message))
    with pytest.raises(SecondReceipt):
        client.receive(again)
    assert due(town, client, settle_from=1) == ["session-settle:1"]
    assert due(town, client) == ["session-equivocation:1"]
    assert due(town, client) == []


def test_order__worker_without_a_prompt_key_of_its_enclave__is_not_signed(town, monkeypatch):
    """SESS-21: a permanent key never receives inputs."""
    monkeypatch.setattr(town, "key_for", lambda *_: InputKey(public_key_of(PROMPT_KEY), EPOCH, prompt=False))
    client = town.client("http://127.0.0.1:1")
    with pytest.raises(SessionUnusable, match="no prompt key"):
        client.ask(VERSION, b"row")
    assert town.orders.last(town.session) is None
