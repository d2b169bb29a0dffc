"""The chain in Python: its mempool, its blocks, its JSON-RPC; all in this process."""

from __future__ import annotations

import http.client
import json
import time

import pytest
from web3 import HTTPProvider, Web3
from web3.exceptions import BlockNotFound, ContractCustomError, TransactionNotFound, Web3RPCError

from cloister.chain.artifacts import artifact
from cloister.chain.errors import (
    AlreadyKnown,
    InsufficientFunds,
    NonceConflict,
    RpcError,
    RpcUnavailable,
    Underpriced,
    WrongChain,
    translated,
)
from cloister.chain.header import encode_header
from cloister.devnet.accounts import account, key
from cloister.devnet.pyevm.server import MAX_BODY, running

OPEN = ([], 0, False)
OFFER = (5, 0, False)
"""The policy of a version that anybody may run."""
GWEI = 10**9
HISTORY = "0x0000F90827F1C53a10cb7A02335B175320002935"


@pytest.fixture
def server():
    with running() as server:
        yield server


@pytest.fixture
def w3(server):
    return Web3(HTTPProvider(server.url, exception_retry_configuration=None))


def mine(w3, blocks=1):
    answer = w3.provider.make_request("evm_mine", [{"blocks": blocks}])
    assert "error" not in answer, answer


def transfer(sender=0, **changes):
    fields = {"chainId": 31337, "nonce": 0, "to": key(9).address, "value": 1, "gas": 21_000, "type": 2}
    fields |= {"maxFeePerGas": 10 * GWEI, "maxPriorityFeePerGas": GWEI}
    return key(sender).sign_transaction(fields | changes).raw_transaction


def send(w3, raw):
    with translated():
        return w3.eth.send_raw_transaction(raw)


# Blocks


def test_blocks__each__has_a_header_that_hashes_and_a_prevrandao_of_its_own(w3):
    send(w3, transfer())
    mine(w3, 5)
    blocks = [w3.eth.get_block(number) for number in range(6)]
    for block in blocks:
        encode_header(block)
        assert w3.eth.get_block(block["hash"]) == block
    assert len({block["mixHash"] for block in blocks}) == 6
    assert [block["parentHash"] for block in blocks[1:]] == [block["hash"] for block in blocks[:-1]]


def test_blocks__with_the_same_seed__have_the_same_prevrandao():
    values = []
    for seed in (b"\x01" * 32, b"\x01" * 32, b"\x02" * 32):
        with running(seed=seed) as server:
            w3 = Web3(HTTPProvider(server.url))
            mine(w3)
            values.append(w3.eth.get_block(1)["mixHash"])
    assert values[0] == values[1] != values[2]


def test_blocks__mined_at_once__do_not_move_the_clock(w3):
    mine(w3, 100)
    assert abs(w3.eth.get_block("latest")["timestamp"] - time.time()) < 5


def test_blocks__after_time_was_skipped__are_later(w3):
    before = w3.eth.get_block("latest")["timestamp"]
    w3.provider.make_request("evm_increaseTime", [3600])
    mine(w3)
    assert w3.eth.get_block("latest")["timestamp"] >= before + 3600


def test_blocks__with_a_block_time__come_by_themselves():
    with running(block_time=0.02) as server:
        w3 = Web3(HTTPProvider(server.url))
        deadline = time.monotonic() + 10
        while w3.eth.block_number < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert w3.eth.block_number >= 3


def test_blocks__unknown__are_not_found(w3):
    for which in (7, "0x" + "11" * 32):
        with pytest.raises(BlockNotFound):
            w3.eth.get_block(which)


def test_blocks__hash_of_block_1__is_served_by_the_history_contract_after_256_more(w3):
    mine(w3, 300)
    history = "0x0000F90827F1C53a10cb7A02335B175320002935"
    assert w3.eth.call({"to": history, "data": "0x" + "00" * 31 + "01"}) == w3.eth.get_block(1)["hash"]


# Transactions


def test_transaction__sent__waits_until_a_block_is_mined(w3):
    hash_ = send(w3, transfer())
    assert w3.eth.get_transaction(hash_)["blockNumber"] is None
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction_receipt(hash_)
    assert w3.eth.get_transaction_count(key(0).address) == 0
    assert w3.eth.get_transaction_count(key(0).address, "pending") == 1
    mine(w3)
    receipt = w3.eth.get_transaction_receipt(hash_)
    assert (receipt["status"], receipt["gasUsed"], receipt["blockNumber"]) == (1, 21_000, 1)
    assert receipt["blockHash"] == w3.eth.get_block(1)["hash"]
    assert w3.eth.get_transaction(hash_)["blockHash"] == receipt["blockHash"]
    assert w3.eth.get_block(1)["transactions"] == [hash_]
    assert w3.eth.get_block(1, full_transactions=True)["transactions"][0]["hash"] == hash_
    paid = receipt["gasUsed"] * receipt["effectiveGasPrice"] + 1
    assert w3.eth.get_balance(key(0).address) == w3.eth.get_balance(key(1).address) - paid
    assert w3.eth.get_balance(key(0).address, 0) == w3.eth.get_balance(key(1).address)


def test_transactions__sent_out_of_order__are_mined_by_nonce_in_one_block(w3):
    hashes = [send(w3, transfer(nonce=nonce)) for nonce in (2, 0, 1)]
    assert w3.eth.get_transaction_count(key(0).address, "pending") == 3
    mine(w3)
    assert w3.eth.get_block(1)["transactions"] == [hashes[1], hashes[2], hashes[0]]


def test_transactions__of_one_account__wait_behind_a_gap(w3):
    late = send(w3, transfer(nonce=1))
    mine(w3)
    assert w3.eth.get_block(1)["transactions"] == []
    send(w3, transfer(nonce=0))
    mine(w3)
    assert w3.eth.get_transaction_receipt(late)["transactionIndex"] == 1


def test_transactions__more_than_a_block_holds__fill_the_next_one(w3):
    # Creations whose code runs out of gas use all of it, and 30M hold one of them.
    for sender in range(3):
        send(w3, transfer(sender, to=b"", data=bytes.fromhex("fe"), gas=1 << 24))
    mine(w3, 3)
    blocks = [w3.eth.get_block(number) for number in (1, 2, 3)]
    assert [len(block["transactions"]) for block in blocks] == [1, 1, 1]
    assert [block["gasUsed"] for block in blocks] == [1 << 24] * 3
    assert w3.eth.get_transaction_receipt(blocks[0]["transactions"][0])["status"] == 0


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"chainId": 1}, WrongChain),
        ({"value": 10**30}, InsufficientFunds),
        ({"gas": (1 << 24) + 1}, RpcError),
        ({"gas": 20_999}, RpcError),
        ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}, Underpriced),
        ({"maxPriorityFeePerGas": 11 * GWEI}, RpcError),
    ],
)
def test_transaction__that_could_never_be_mined__is_refused(w3, changes, kind):
    with pytest.raises(kind) as caught:
        send(w3, transfer(**changes))
    assert type(caught.value) is kind


def test_transaction__with_calldata_below_its_floor__is_refused(w3):
    # EIP-7623: 1,000 bytes that are not zero cost at least 21,000 + 40,000.
    with pytest.raises(RpcError, match="intrinsic gas too low"):
        send(w3, transfer(data=b"\x01" * 1_000, gas=60_999))
    send(w3, transfer(data=b"\x01" * 1_000, gas=61_000))


def test_transaction__sent_again__is_known_before_and_after_it_is_mined(w3):
    send(w3, transfer())
    with pytest.raises(AlreadyKnown):
        send(w3, transfer())
    mine(w3)
    with pytest.raises(AlreadyKnown):
        send(w3, transfer())
    with pytest.raises(NonceConflict):
        send(w3, transfer(value=2))


def test_transaction__replaced__needs_a_tenth_more(w3):
    old = send(w3, transfer())
    with pytest.raises(Underpriced):
        send(w3, transfer(maxFeePerGas=10 * GWEI + 1))
    new = send(w3, transfer(maxFeePerGas=11 * GWEI, maxPriorityFeePerGas=11 * GWEI // 10))
    mine(w3)
    assert w3.eth.get_block(1)["transactions"] == [new]
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction(old)


def test_transaction__that_lost_its_funds_while_waiting__is_dropped(w3):
    everything = w3.eth.get_balance(key(0).address) - 21_000 * 10 * GWEI
    send(w3, transfer(value=everything))
    second = send(w3, transfer(nonce=1, value=10**18))
    mine(w3)
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction(second)


def test_transaction__of_garbage__is_refused(w3):
    for raw in ("0x", "0x02", "0x02c0", "0x" + "ff" * 50):
        with pytest.raises(Web3RPCError, match="decode"):
            w3.eth.send_raw_transaction(raw)


# Execution


@pytest.fixture
def models(w3):
    compiled = artifact("ModelRegistry")
    # Any code will do for the list of verifiers that the registry wants: here, that of the history contract.
    creation = w3.eth.contract(abi=compiled.abi, bytecode=compiled.bytecode).constructor(HISTORY)
    fields = creation.build_transaction({"from": key(0).address, "nonce": 0, "chainId": 31337})
    hash_ = send(w3, key(0).sign_transaction(fields).raw_transaction)
    mine(w3)
    return w3.eth.contract(w3.eth.get_transaction_receipt(hash_)["contractAddress"], abi=compiled.abi)


def publish(w3, models, index, nonce):
    call = models.functions.publish(bytes([index]) * 32, OPEN, OFFER, "uri")
    fields = call.build_transaction({"from": key(0).address, "nonce": nonce, "chainId": 31337})
    return send(w3, key(0).sign_transaction(fields).raw_transaction)


def test_call__that_reverts__carries_the_custom_error(w3, models):
    with pytest.raises(ContractCustomError) as caught:
        models.functions.offerOf(b"\x01" * 32, "0x" + "00" * 20).call()
    assert caught.value.data.endswith("01" * 32)
    with pytest.raises(ContractCustomError):
        models.functions.publish(bytes(32), OPEN, OFFER, "").estimate_gas({"from": key(0).address})


def test_estimate__of_a_call__suffices_and_is_close(w3, models):
    call = models.functions.publish(b"\x01" * 32, OPEN, OFFER, "uri")
    estimate = call.estimate_gas({"from": key(0).address})
    hash_ = publish(w3, models, 1, 1)
    mine(w3)
    used = w3.eth.get_transaction_receipt(hash_)["gasUsed"]
    assert used <= estimate <= used * 1.05


def test_estimate__without_the_value__says_that_funds_lack(w3):
    with pytest.raises(InsufficientFunds), translated():
        w3.eth.estimate_gas({"from": "0x" + "99" * 20, "to": key(0).address, "value": 1})


def test_call__at_latest_and_pending__sees_the_block_number_that_geth_would_show(w3):
    mine(w3, 7)
    number = "0x4360005260206000f3"
    assert int(w3.eth.call({"data": number}).hex(), 16) == 7
    assert int(w3.eth.call({"data": number}, "pending").hex(), 16) == 8
    assert int(w3.eth.call({"data": number}, 3).hex(), 16) == 3


def test_logs__by_range_hash_topic_and_address__are_the_same(w3, models):
    for index in (1, 2):
        publish(w3, models, index, index)
        mine(w3)
    publish(w3, models, 3, 3)
    publish(w3, models, 4, 4)
    mine(w3)
    everything = w3.eth.get_logs({"fromBlock": 0, "toBlock": 1_000})
    assert [(log["blockNumber"], log["logIndex"], log["transactionIndex"]) for log in everything] == [
        (2, 0, 0), (3, 0, 0), (4, 0, 0), (4, 1, 1),
    ]  # fmt: skip
    assert w3.eth.get_logs({"blockHash": everything[2]["blockHash"]}) == everything[2:]
    assert w3.eth.get_logs({"fromBlock": 2, "toBlock": 3}) == everything[:2]
    assert w3.eth.get_logs({}) == everything[2:]
    assert w3.eth.get_logs({"fromBlock": 0, "address": models.address}) == everything
    assert w3.eth.get_logs({"fromBlock": 0, "address": [key(0).address]}) == []
    topics = everything[1]["topics"]
    assert w3.eth.get_logs({"fromBlock": 0, "topics": [None, topics[1]]}) == [everything[1]]
    assert w3.eth.get_logs({"fromBlock": 0, "topics": [[topics[0], topics[1]]]}) == everything
    assert w3.eth.get_logs({"fromBlock": 0, "topics": [None] * 5}) == []
    decoded = models.events.VersionPublished().process_log(everything[0])
    assert decoded["args"]["offer"]["price"] == 5
    # A block that is unknown is an error, not an empty answer: it was taken back, or is not here yet.
    with pytest.raises(RpcUnavailable), translated():
        w3.eth.get_logs({"blockHash": "0x" + "11" * 32})


def test_fees__of_an_idle_chain__fall_and_are_told(w3):
    mine(w3, 3)
    history = w3.eth.fee_history(2, "latest", [50])
    assert history["oldestBlock"] == 2
    assert history["baseFeePerGas"][0] == w3.eth.get_block(2)["baseFeePerGas"]
    assert len(history["baseFeePerGas"]) == 3
    assert history["baseFeePerGas"][2] < history["baseFeePerGas"][0] < GWEI
    assert len(history["reward"]) == 2
    assert w3.eth.gas_price == history["baseFeePerGas"][2] + w3.eth.max_priority_fee


# JSON-RPC over HTTP


def post(server, body, headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("POST", "/", body, {"Content-Type": "application/json", **dict(headers)})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content) if content else None


def test_http__batch__is_answered_in_order(server, w3):
    mine(w3, 2)
    with w3.batch_requests() as batch:
        batch.add(w3.eth.get_block(0))
        batch.add(w3.eth.get_block(2))
        answers = batch.execute()
    assert [answer["number"] for answer in answers] == [0, 2]
    assert post(server, "[]")[1]["error"]["code"] == -32600


def test_http__errors__have_the_codes_of_json_rpc(server):
    assert post(server, "{")[1]["error"]["code"] == -32700
    assert post(server, "3")[1]["error"]["code"] == -32600
    call = {"jsonrpc": "2.0", "id": 7, "method": "eth_getBalance", "params": []}
    status, answer = post(server, json.dumps(call))
    assert (status, answer["id"], answer["error"]["code"]) == (200, 7, -32602)
    assert post(server, json.dumps(call | {"method": "debug_nothing"}))[1]["error"]["code"] == -32601
    assert post(server, json.dumps(call | {"params": ["0x12"]}))[1]["error"]["code"] == -32602
    notification = {"jsonrpc": "2.0", "method": "eth_chainId", "params": []}
    assert post(server, json.dumps(notification)) == (200, None)


def test_http__body_above_the_limit__is_refused_unread(server):
    assert post(server, "", {"Content-Length": str(MAX_BODY + 1)})[0] == 413


def test_http__request_of_a_web_page__is_refused(server):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []})
    assert post(server, body, {"Origin": "https://example.org"})[0] == 403
    assert post(server, body)[1]["result"] == hex(31337)


def test_http__mining_that_fails__ends_the_server(monkeypatch, capfd):
    with running(block_time=0.01) as server:
        monkeypatch.setattr(server._chain, "mine", lambda: 1 // 0)
        deadline = time.monotonic() + 5
        while not server.broken and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.broken
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_accounts__on_the_development_chain__are_funded(w3):
    for index in (0, 19):
        assert w3.eth.get_balance(account(w3, index).address) == 10_000 * 10**18
