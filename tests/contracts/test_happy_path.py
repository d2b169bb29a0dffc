"""One whole job of each level, ATTESTED, AGREED(3, 2), PROVED, in real transactions: what it does, what it costs."""

import hashlib

import pytest
import signing
from brownie import chain, web3
from brownie.network.transaction import TransactionReceipt
from conftest import (
    BINDING,
    EPOCH_LENGTH,
    INPUT,
    LIMITS,
    MINIMUM_STAKE,
    OWNER_PERCENT,
    PAD,
    PARAMETERS,
    POLICY,
    PRICE,
    SECRET,
    mock_proof,
    seed_header,
)
from eth_utils import keccak
from hexbytes import HexBytes
from reference import commitments, statements
from reference.commitments import COIN, NOBODY, Brief, Request, Terms, Ticket
from reference.enclaves import NO_EVIDENCE, Evidence
from reference.statements import Statement
from signing import Signers

CIPHERTEXT = bytes(range(128))
OUTPUT = hashlib.sha256(b"output").digest()
SEALED_OUTPUT = bytes(range(1, 57))  # 8 bytes and 48 of HPKE
KEY = b"\x01" * 32
SIGNERS = Signers()

# Whole transactions: 21,000, calldata and execution. Ceilings with a little room, to be lowered, never raised lightly.
CEILINGS = {"request": 75_000, "deliver": 196_000, "commit": 66_000, "reveal": 49_000, "settle": 164_000}
# Two words of output, and a verifier that costs nothing: a real one adds its proof's calldata and its own work.
PROVED_CEILINGS = {"request": 86_000, "deliver": 115_000, "prove": 148_000}
HIRED_CEILINGS = {"hire": 127_000, "prove": 147_000}
# A quote verifier that costs nothing, too.
ATTESTED_CEILINGS = {"request": 75_000, "deliver": 133_000, "answer": 134_000}
UPKEEP_CEILINGS = {"attest": 74_000, "postPromptKey": 80_000, "enrol": 77_000}
COLD_TOTAL = 714_000
WARM_TOTAL = 650_000  # one of the three seats may still be cold


@pytest.fixture(scope="module")
def workers(deployment, accounts):
    for i, worker in enumerate(accounts[3:7]):
        stake = MINIMUM_STAKE * (3 + 2 * i)
        deployment.nodes.register("https://w", KEY, SIGNERS.make(worker.address), {"from": worker, "value": stake})
    chain.mine(EPOCH_LENGTH)
    return {worker.address: worker for worker in accounts[3:7]}


def sign(worker: str, digest: bytes) -> bytes:
    return SIGNERS.sign(SIGNERS.make(worker), digest)


def request_for(
    deployment,
    client,
    version: bytes,
    nonce: int,
    *,
    level: int,
    seats: int,
    quorum: int,
    verifier: int = 0,
    worker=None,
) -> Request:
    lock = deployment.market.lockFor(PRICE, COIN)
    assert lock == PRICE * PARAMETERS.stake_ratio
    bound = statements.circuit_input(INPUT, PAD) if verifier else bytes(32)
    return Request(
        Terms(client.address, version, level, seats, quorum, verifier, OWNER_PERCENT, COIN, PRICE, lock),
        Brief(
            nonce=nonce,
            input_commitment=statements.input_commitment(BINDING, bound),
            ciphertext_hash=hashlib.sha256(CIPHERTEXT).digest(),
            ciphertext_size=len(CIPHERTEXT),
            response_key=hashlib.sha256(b"response").digest(),
            secret_hash=commitments.secret_hash(SECRET),
            worker=worker or NOBODY,
        ),
    )


def post(market, request: Request, client) -> tuple[bytes, TransactionReceipt]:
    tx = market.request(request.tuple(), {"from": client, "value": request.terms.escrow})
    job = bytes(HexBytes(tx.return_value))
    assert job == commitments.request_id(web3.eth.chain_id, market.address, request)
    return job, tx


def deliver(
    deployment, client, request: Request, job: bytes, posted: TransactionReceipt
) -> tuple[list[str], Ticket, int]:
    """(committee, ticket, gas)."""
    header, prevrandao = seed_header(posted.events["JobRequested"]["seedBlock"])
    nodes, terms = deployment.nodes, request.terms
    seed = commitments.seed(job, prevrandao, SECRET)
    draw = (seed, terms.seats, nodes.epochOf(posted.block_number), terms.lock)
    if terms.version == deployment.sealed:
        commits_end = chain.time() + 60 + PARAMETERS.answers_in
        eligible = (terms.version, 1, posted.timestamp, commits_end + PARAMETERS.reveal_window, commits_end)
        committee = list(nodes.drawEnrolled(*draw, eligible))
    else:
        committee = list(nodes.draw(*draw))
    keys = hashlib.shake_256(b"sealed").digest(80 * terms.seats)
    args = (request.tuple(), SECRET, header, commitments.committee_hash(committee), keys)
    tx = deployment.market.deliver(*args, {"from": client})
    assert tx.events["KeysDelivered"]["seed"] == HexBytes(seed).to_0x_hex()
    return committee, Ticket(terms, request.brief.hash(), tuple(committee), keccak(keys)), tx.gas_used


def play(deployment, workers, client, nonce: int) -> dict[str, list[int]]:
    """An AGREED job from request to settlement; gas of each of its transactions."""
    market = deployment.market
    request = request_for(deployment, client, deployment.version, nonce, level=1, seats=3, quorum=2)
    gas: dict[str, list[int]] = {name: [] for name in CEILINGS}
    job, tx = post(market, request, client)
    gas["request"].append(tx.gas_used)
    committee, ticket, used = deliver(deployment, client, request, job, tx)
    gas["deliver"].append(used)
    salts = {worker: hashlib.sha256(worker.encode()).digest() for worker in committee}
    for worker in committee:
        args = (web3.eth.chain_id, market.address, job, worker, OUTPUT, salts[worker])
        tx = market.commit(ticket.tuple(), commitments.commitment(*args), {"from": workers[worker]})
        gas["commit"].append(tx.gas_used)
    assert "RevealsOpened" in tx.events
    for worker in committee:
        args = (ticket.tuple(), OUTPUT, salts[worker], SEALED_OUTPUT, b"")  # an open version: nobody signs
        tx = market.reveal(*args, {"from": workers[worker]})
        gas["reveal" if worker != committee[-1] else "settle"].append(tx.gas_used)
    assert tx.events["JobSettled"]["agreeing"] == 7
    assert HexBytes(market.result(job)) == OUTPUT
    assert not market.isFinal(job)
    return gas


def test_job__cold_then_warm__settles_within_its_gas_ceilings(deployment, workers, accounts):
    """JOB-1 to JOB-20, MONEY-1."""
    cold = play(deployment, workers, accounts[1], 1)
    warm = play(deployment, workers, accounts[1], 2)
    for label, gas, total in [("cold", cold, COLD_TOTAL), ("warm", warm, WARM_TOTAL)]:
        spent = sum(sum(steps) for steps in gas.values())
        print(f"gas, {label}: {gas}, together {spent}")
        assert spent <= total
        for step, used in gas.items():
            assert max(used) <= CEILINGS[step], step

    market = deployment.market
    balances = [market.credit(worker, COIN) for worker in workers]
    fees = market.fees(deployment.version, COIN)
    assert fees == 6 * PRICE * OWNER_PERCENT // 100
    assert sum(balances) + fees == 6 * PRICE == market.balance()
    print(f"gas, collect: {market.collect(deployment.version, COIN, {'from': accounts[9]}).gas_used}")
    assert market.credit(deployment.owner, COIN) == fees
    for payee in [deployment.owner, *workers.values()]:
        owed, before = market.credit(payee, COIN), payee.balance()
        if owed:
            tx = market.withdraw(payee, COIN, {"from": accounts[9]})
            assert payee.balance() - before == owed
            print(f"gas, withdraw: {tx.gas_used}")
    assert market.balance() == 0


def words_and_proof(deployment, job: bytes, prover: str) -> tuple[bytes, bytes, bytes]:
    """(output, its masked words, a proof of them by `prover`)."""
    words = hashlib.shake_256(b"masked").digest(64)
    output = statements.proved_output(PAD, words)
    context = statements.job_context(web3.eth.chain_id, deployment.market.address, job, prover)
    circuit = deployment.circuit
    return output, words, mock_proof(Statement(circuit.circuit, circuit.weights, INPUT, output, context))


def play_proved(deployment, workers, client, nonce: int) -> dict[str, int]:
    """A PROVED job from request to settlement; gas of each of its transactions."""
    market = deployment.market
    request = request_for(deployment, client, deployment.provable, nonce, level=2, seats=1, quorum=1, verifier=1)
    job, tx = post(market, request, client)
    gas = {"request": tx.gas_used}
    committee, ticket, gas["deliver"] = deliver(deployment, client, request, job, tx)
    output, words, proof = words_and_proof(deployment, job, committee[0])
    args = (ticket.tuple(), request.brief.tuple(), (BINDING, INPUT, PAD), words, proof, b"")
    tx = market.prove(*args, {"from": workers[committee[0]]})
    gas["prove"] = tx.gas_used
    assert tx.events["JobProved"]["masked"] == HexBytes(words).to_0x_hex()
    assert tx.events["JobSettled"]["agreeing"] == 1
    assert HexBytes(market.result(job)) == output
    assert market.isFinal(job)
    return gas


def test_proved_job__settles_within_its_gas_ceilings(deployment, workers, accounts):
    """JOB-25 to JOB-30, MONEY-1."""
    for nonce in (1, 2):
        gas = play_proved(deployment, workers, accounts[1], nonce)
        print(f"gas, proved: {gas}, together {sum(gas.values())}")
        for step, used in gas.items():
            assert used <= PROVED_CEILINGS[step], step
    market = deployment.market
    paid = sum(market.credit(worker, COIN) for worker in workers) + market.fees(deployment.provable, COIN)
    assert paid == 2 * PRICE == market.balance()


def test_hired_worker__proves__in_two_transactions(deployment, workers, accounts):
    """REP-2: request and delivery are one, and nobody is praised for a job that it could have given itself."""
    market, client, worker = deployment.market, accounts[1], next(iter(workers))
    facts = {"level": 2, "seats": 1, "quorum": 1, "verifier": 1, "worker": worker}
    request = request_for(deployment, client, deployment.provable, 1, **facts)
    key = hashlib.shake_256(b"sealed").digest(80)
    tx = market.hire(request.tuple(), key, {"from": client, "value": PRICE})
    gas, job = {"hire": tx.gas_used}, bytes(HexBytes(tx.return_value))
    ticket = Ticket(request.terms, request.brief.hash(), (worker,), keccak(key))
    _, words, proof = words_and_proof(deployment, job, worker)
    args = (ticket.tuple(), request.brief.tuple(), (BINDING, INPUT, PAD), words, proof, b"")
    gas["prove"] = market.prove(*args, {"from": workers[worker]}).gas_used
    print(f"gas, hired: {gas}, together {sum(gas.values())}")
    for step, used in gas.items():
        assert used <= HIRED_CEILINGS[step], step
    assert market.reputation(worker) == 5000


def test_wrong_majority__one_proof__overturns_it(deployment, workers, accounts):
    """CHAL-3, MONEY-6: whoever proves another output needs nobody's leave."""
    market, client, stranger = deployment.market, accounts[1], accounts[9]
    request = request_for(deployment, client, deployment.provable, 1, level=1, seats=3, quorum=2, verifier=1)
    job, tx = post(market, request, client)
    committee, ticket, _ = deliver(deployment, client, request, job, tx)
    right, words, proof = words_and_proof(deployment, job, stranger.address)
    said = dict(zip(committee, [OUTPUT, OUTPUT, right], strict=True))
    for worker, output in said.items():
        args = (web3.eth.chain_id, market.address, job, worker, output, bytes(32))
        market.commit(ticket.tuple(), commitments.commitment(*args), {"from": workers[worker]})
    for worker, output in said.items():
        market.reveal(ticket.tuple(), output, bytes(32), SEALED_OUTPUT, b"", {"from": workers[worker]})
    assert HexBytes(market.result(job)) == OUTPUT
    args = (ticket.tuple(), request.brief.tuple(), (BINDING, INPUT, PAD), words, proof)
    tx = market.judge(*args, {"from": stranger})
    print(f"gas, judge: {tx.gas_used}")
    assert tx.events["ResultOverturned"]["right"] == 4
    assert HexBytes(market.result(job)) == right
    slashed = 2 * request.terms.lock * PARAMETERS.wrong_bps // 10_000
    assert market.credit(market.BURN(), COIN) >= slashed // 2
    # what two wrong seats were paid, and what the third did not get; the prover had a bond's worth
    assert market.credit(client, COIN) == PRICE + 2 * PRICE
    assert market.credit(committee[2], COIN) == PRICE
    assert market.credit(stranger, COIN) == market.bond()


@pytest.fixture
def enrolled(deployment, workers):
    """Every worker attested, with a prompt key and enrolled; what that costs each."""
    nodes = deployment.nodes
    costs = {name: [] for name in UPKEEP_CEILINGS}
    for worker, account in workers.items():
        report = deployment.report(worker, KEY, SIGNERS.make(worker), platform=keccak(text=worker))
        quote, pck = deployment.quote(report)
        args = (KEY, SIGNERS.make(worker), quote, pck, chain.height, NO_EVIDENCE.tuple())
        costs["attest"].append(nodes.attest(*args, {"from": account}).gas_used)
        end = chain.time() + LIMITS.prompt_lifetime - 60
        signature = sign(worker, signing.prompt_key(nodes, worker, 1, KEY, end))
        costs["postPromptKey"].append(nodes.postPromptKey(KEY, end, signature, {"from": account}).gas_used)
        evidence = Evidence(report.measurement, report.platform, report.status, report.development, 0)
        signature = sign(worker, signing.enrolment(nodes, worker, deployment.sealed, 0))
        args = (deployment.sealed, POLICY.tuple(), evidence.tuple(), signature)
        costs["enrol"].append(nodes.enrol(*args, {"from": account}).gas_used)
    chain.mine(EPOCH_LENGTH)
    return costs


def play_attested(deployment, workers, client, nonce: int) -> dict[str, int]:
    """An ATTESTED job from request to answer; gas of each of its transactions."""
    market = deployment.market
    request = request_for(deployment, client, deployment.sealed, nonce, level=0, seats=1, quorum=1)
    job, tx = post(market, request, client)
    gas = {"request": tx.gas_used}
    committee, ticket, gas["deliver"] = deliver(deployment, client, request, job, tx)
    worker = committee[0]
    signature = sign(worker, signing.result(market, job, OUTPUT, SEALED_OUTPUT))
    tx = market.answer(ticket.tuple(), OUTPUT, SEALED_OUTPUT, signature, {"from": workers[worker]})
    gas["answer"] = tx.gas_used
    assert tx.events["JobSettled"]["agreeing"] == 1
    assert HexBytes(market.result(job)) == OUTPUT
    return gas


def test_attested_job__settles_within_its_gas_ceilings(deployment, workers, enrolled, accounts):
    """Level ATTESTED, ENC-7, SIG-1, MONEY-1."""
    print(f"gas of upkeep: {enrolled}")
    for step, used in enrolled.items():
        assert max(used) <= UPKEEP_CEILINGS[step], step
    for nonce in (1, 2):
        gas = play_attested(deployment, workers, accounts[1], nonce)
        print(f"gas, attested: {gas}, together {sum(gas.values())}")
        for step, used in gas.items():
            assert used <= ATTESTED_CEILINGS[step], step
    market = deployment.market
    paid = sum(market.credit(worker, COIN) for worker in workers) + market.fees(deployment.sealed, COIN)
    assert paid == 2 * PRICE == market.balance()
