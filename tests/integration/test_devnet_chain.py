"""Both development chains run the contracts, through web3 alone. With -s, the gas of every transaction is printed."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from web3 import HTTPProvider, Web3
from web3.logs import DISCARD

from cloister.chain.artifacts import artifact
from cloister.chain.deploy import deploy
from cloister.chain.deployment import DeployParameters, verify
from cloister.chain.errors import ContractError, RpcUnavailable, translated
from cloister.chain.header import encode_header
from cloister.devnet.accounts import account
from cloister.devnet.network import skip_to_next_epoch, start_node, wait_for_block
from cloister.domain.ids import NOBODY, BlobId, VersionId
from cloister.domain.request import Assurance, Level, Request

PARAMETERS = DeployParameters.devnet()
PRICE = 10**15
SEATS, QUORUM = 3, 2


@pytest.fixture(scope="module", params=["anvil", "py-evm"])
def chain(request):
    with start_node(request.param, block_time=0) as node:
        yield Chain(request.param, node, Web3(HTTPProvider(node.url)))


@dataclass
class Chain:
    kind: str
    node: object
    w3: Web3
    gas: dict = field(default_factory=dict)

    def account(self, index):
        return account(self.w3, index)

    def contract(self, name, address):
        return self.w3.eth.contract(address, abi=artifact(name).abi)

    def send(self, name, sender, call, value=0):
        """Signs, sends and mines a contract call; its receipt."""
        nonce = self.w3.eth.get_transaction_count(sender.address)
        fields = {"from": sender.address, "nonce": nonce, "value": value, "chainId": self.w3.eth.chain_id}
        with translated():
            raw = sender.sign_transaction(call.build_transaction(fields)).raw_transaction
            hash_ = self.w3.eth.send_raw_transaction(raw)
        self.node.mine(1)
        receipt = self.w3.eth.get_transaction_receipt(hash_)
        assert receipt["status"] == 1
        self.gas[name] = receipt["gasUsed"]
        return receipt


@pytest.fixture(scope="module")
def deployment(chain):
    # Three transactions, each awaited: blocks must come by themselves meanwhile.
    with Blocks(chain):
        return deploy(chain.w3, chain.account(0), PARAMETERS, report=lambda line: print(chain.kind, line))


class Blocks:
    """Mines a block every few milliseconds while it is open."""

    def __init__(self, chain):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(chain.node,))

    def _run(self, node):
        while not self._stop.wait(0.02):
            node.mine(1)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def test_chain__ten_blocks__have_provable_headers_and_varying_prevrandao(chain):
    chain.node.mine(10)
    blocks = [chain.w3.eth.get_block(number) for number in range(11)]
    for block in blocks:
        assert keccak(encode_header(block)) == block["hash"]
    assert len({block["mixHash"] for block in blocks}) == 11


def test_chain__p256verify__knows_right_from_wrong(chain):
    key = ec.derive_private_key(12345, ec.SECP256R1())
    r, s = decode_dss_signature(key.sign(b"quote", ec.ECDSA(hashes.SHA256())))
    point = key.public_key().public_numbers()
    words = [value.to_bytes(32, "big") for value in (r, s, point.x, point.y)]
    precompile = "0x0000000000000000000000000000000000000100"
    right = hashlib.sha256(b"quote").digest() + b"".join(words)
    wrong = hashlib.sha256(b"quota").digest() + b"".join(words)
    assert chain.w3.eth.call({"to": precompile, "data": right}) == (1).to_bytes(32, "big")
    assert chain.w3.eth.call({"to": precompile, "data": wrong}) == b""
    assert chain.w3.eth.call({"to": precompile, "data": right[:-1]}) == b""


@pytest.mark.parametrize(("word", "zeros"), [(0, 256), (1, 255), (1 << 255, 0), (0xFF00, 240)])
def test_chain__clz__counts_leading_zeros(chain, word, zeros):
    code = b"\x7f" + word.to_bytes(32, "big") + bytes.fromhex("1e5f5260205ff3")
    assert int.from_bytes(chain.w3.eth.call({"data": code}), "big") == zeros


def test_chain__history_contract__serves_hashes(chain):
    chain.node.mine(3)
    number = chain.w3.eth.block_number - 2
    history = "0x0000F90827F1C53a10cb7A02335B175320002935"
    answer = chain.w3.eth.call({"to": history, "data": number.to_bytes(32, "big")})
    assert answer == chain.w3.eth.get_block(number)["hash"]


def test_chain__logs_of_an_unknown_block__are_an_error_to_retry(chain):
    with pytest.raises(RpcUnavailable), translated():
        chain.w3.eth.get_logs({"blockHash": "0x" + "11" * 32})


def test_chain__time_skipped__passes_a_deadline(chain):
    before = chain.w3.eth.get_block("latest")["timestamp"]
    chain.node.skip(500)
    assert chain.w3.eth.get_block("latest")["timestamp"] - before >= 500


@dataclass
class Place:
    """A market with four workers, whose stake counts, and one published model."""

    nodes: object
    market: object
    owner: object
    requester: object
    workers: dict
    version: bytes

    def request(self, price, secret):
        return Request(
            requester=self.requester.address,
            nonce=int.from_bytes(os.urandom(32), "big"),
            version=VersionId(self.version),
            assurance=Assurance(Level.AGREED, SEATS, QUORUM),
            price_per_seat=price,
            lock_each=PARAMETERS.market.lock_for(price),
            input_commitment=os.urandom(32),
            ciphertext_hash=BlobId(os.urandom(32)),
            ciphertext_size=100,
            response_key=os.urandom(32),
            secret_hash=keccak(secret),
        )


@dataclass
class Delivered:
    job_id: bytes
    committee: list
    ticket: tuple


@pytest.fixture(scope="module")
def place(chain, deployment):
    verify(chain.w3, deployment, PARAMETERS)
    nodes = chain.contract("NodeRegistry", deployment.node_registry)
    models = chain.contract("ModelRegistry", deployment.model_registry)
    workers = {worker.address: worker for worker in (chain.account(index) for index in range(3, 7))}
    for worker in workers.values():
        call = nodes.functions.register("http://127.0.0.1:1/", os.urandom(32), worker.address)
        chain.send("register", worker, call, value=2 * 10**18)
    owner, manifest = chain.account(1), os.urandom(32)
    chain.send("publish", owner, models.functions.publish(manifest, ([], 0, False), (PRICE, 0, False), "file:model"))
    version = models.functions.versionId(owner.address, manifest).call()
    skip_to_next_epoch(chain.node, chain.w3, PARAMETERS.epoch_length)
    market = chain.contract("IJobMarket", deployment.job_market)
    return Place(nodes, market, owner, chain.account(2), workers, version)


def test_chain__request_at_an_old_price__is_refused_before_it_is_sent(chain, place):
    call = place.market.functions.request(place.request(PRICE - 1, os.urandom(32)).as_tuple())
    sent = chain.w3.eth.get_transaction_count(place.requester.address)
    with pytest.raises(ContractError) as caught:
        chain.send("request", place.requester, call, value=SEATS * (PRICE - 1))
    assert caught.value.message == f"JobMarket_PriceChanged: offered {PRICE - 1}, price {PRICE}."
    assert chain.w3.eth.get_transaction_count(place.requester.address) == sent


@pytest.fixture(scope="module")
def delivered(chain, place):
    w3, market, requester, secret = chain.w3, place.market, place.requester, os.urandom(32)
    request = place.request(PRICE, secret)
    terms = request.as_tuple()
    receipt = chain.send("request", requester, market.functions.request(terms), value=SEATS * PRICE)
    posted = market.events.JobRequested().process_receipt(receipt, errors=DISCARD)[0]["args"]
    assert posted["seedBlock"] == receipt["blockNumber"] + PARAMETERS.market.seed_delay
    chain.node.mine(posted["seedBlock"] - w3.eth.block_number)

    block = w3.eth.get_block(posted["seedBlock"])
    header = encode_header(block)
    seed = keccak(encode(["bytes32"] * 3, [posted["id"], block["mixHash"], secret]))
    epoch = place.nodes.functions.epochOf(receipt["blockNumber"]).call()
    lock = request.lock_each
    committee = place.nodes.functions.draw(seed, SEATS, epoch, lock).call()
    assert len(set(committee)) == SEATS
    assert set(committee) <= set(place.workers)

    keys = [os.urandom(80) for _ in range(SEATS)]

    def deliver(header):
        committee_hash = keccak(encode(["address[]"], [committee]))
        return market.functions.deliver(terms, secret, header, committee_hash, b"".join(keys))

    # In the seed block itself the EVM does not know the block's hash: an estimate must look one block ahead.
    by_requester = {"from": requester.address}
    with pytest.raises(ContractError) as caught, translated():
        deliver(header).estimate_gas(by_requester)
    assert caught.value.name == "BlockHeader_HashUnavailable"
    with translated():
        deliver(header).estimate_gas(by_requester, "pending")
    chain.node.mine(1)
    with pytest.raises(ContractError) as caught, translated():
        deliver(header[:-1] + b"\x00").estimate_gas(by_requester)
    assert caught.value.name == "BlockHeader_Mismatch"
    chain.send("deliver", requester, deliver(header))
    return Delivered(posted["id"], committee, request.ticket(committee, keys).as_tuple())


def test_chain__delivered_job_with_equal_outputs__settles_and_pays(chain, place, delivered):
    w3, market, job_id, committee = chain.w3, place.market, delivered.job_id, delivered.committee
    output, salt = os.urandom(32), os.urandom(32)
    types = ["uint256", "address", "bytes32", "uint256", "address", "bytes32", "bytes32"]
    for index, worker in enumerate(committee):
        opening = [w3.eth.chain_id, market.address, job_id, 0, worker, output, salt]
        call = market.functions.commit(delivered.ticket, keccak(encode(types, opening)))
        chain.send(f"commit {index + 1}", place.workers[worker], call)
    for index, worker in enumerate(committee):
        sealed = os.urandom(100)
        call = market.functions.reveal(delivered.ticket, output, salt, sealed, b"")
        receipt = chain.send(f"reveal {index + 1}", place.workers[worker], call)
    assert len(market.events.JobSettled().process_receipt(receipt, errors=DISCARD)) == 1
    assert market.functions.result(job_id).call() == output
    logs = w3.eth.get_logs({"address": market.address, "blockHash": receipt["blockHash"]})
    assert logs
    assert logs == [log for log in receipt["logs"] if log["address"] == market.address]

    payee = committee[0]
    before = w3.eth.get_balance(payee)
    chain.send("withdraw", place.owner, market.functions.withdraw(payee, NOBODY))
    assert w3.eth.get_balance(payee) == before + PRICE
    with pytest.raises(ContractError) as caught:
        chain.send("withdraw", place.owner, market.functions.withdraw(payee, NOBODY))
    assert caught.value.name == "JobMarket_NoCredit"
    print("\n" + "\n".join(f"{chain.kind} {name}: {gas:,} gas" for name, gas in chain.gas.items()))


@pytest.mark.parametrize("kind", ["anvil", "py-evm"])
def test_node__with_a_block_time__mines_by_itself_and_ends_with_its_context(kind, tmp_path):
    with start_node(kind, block_time=0.1, log=tmp_path / "log") as node:
        w3 = Web3(HTTPProvider(node.url, exception_retry_configuration=None))
        wait_for_block(w3, 3, timeout=20)
    with pytest.raises(RpcUnavailable), translated():
        _ = w3.eth.block_number


def test_anvil__transaction_above_the_gas_cap__is_refused_as_on_mainnet():
    with start_node("anvil", block_time=0) as node:
        w3 = Web3(HTTPProvider(node.url))
        sender = account(w3, 0)
        fields = {"chainId": 31337, "nonce": 0, "to": sender.address, "value": 0, "gas": (1 << 24) + 1, "type": 2}
        fields |= {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 1}
        with pytest.raises(Exception, match="cap"):
            w3.eth.send_raw_transaction(sender.sign_transaction(fields).raw_transaction)
