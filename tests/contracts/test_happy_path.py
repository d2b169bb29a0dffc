"""One whole job of each level, ATTESTED, AGREED(3, 2), PROVED, in real transactions: what it does, what it costs."""

import hashlib

import pytest
import signing
from brownie import chain, web3
from conftest import (
    BINDING,
    EPOCH_LENGTH,
    INPUT,
    LIMITS,
    MINIMUM_STAKE,
    PAD,
    PARAMETERS,
    POLICY,
    PRICE,
    SECRET,
    events_of,
    mock_proof,
    seed_header,
)
from eth_utils import keccak
from hexbytes import HexBytes
from reference import commitments, statements
from reference.commitments import Request
from reference.enclaves import NO_EVIDENCE, Evidence
from reference.indexer import rebuild
from reference.statements import Statement
from signing import Signers

CIPHERTEXT = bytes(range(128))
OUTPUT = hashlib.sha256(b"output").digest()
SEALED_OUTPUT = bytes(range(1, 57))  # 8 bytes and 48 of HPKE
KEY = b"\x01" * 32
SIGNERS = Signers()

# Whole transactions: 21,000, calldata and execution. Ceilings with a little room, to be lowered, never raised lightly.
CEILINGS = {"request": 95_000, "deliver": 175_000, "commit": 68_000, "reveal": 63_000, "settle": 172_000}
# Two words of output, and a verifier that costs nothing: a real one adds its proof's calldata and its own work.
PROVED_CEILINGS = {"request": 132_000, "deliver": 118_000, "prove": 128_000}
# A quote verifier that costs nothing, too.
ATTESTED_CEILINGS = {"request": 95_000, "deliver": 160_000, "answer": 117_000}
UPKEEP_CEILINGS = {"attest": 102_000, "postPromptKey": 83_000, "enrol": 80_000}
COLD_TOTAL = 730_000
WARM_TOTAL = 690_000  # one of the three seats may still be cold


@pytest.fixture(scope="module")
def workers(deployment, accounts):
    for i, worker in enumerate(accounts[3:7]):
        stake = MINIMUM_STAKE * (3 + 2 * i)
        deployment.nodes.register("https://w", KEY, SIGNERS.make(worker.address), {"from": worker, "value": stake})
    chain.mine(EPOCH_LENGTH)
    return {worker.address: worker for worker in accounts[3:7]}


def sign(worker: str, digest: bytes) -> bytes:
    return SIGNERS.sign(SIGNERS.make(worker), digest)


def request_for(version: bytes, nonce: int, *, level: int, seats: int, quorum: int) -> Request:
    return Request(
        nonce=nonce,
        version=version,
        level=level,
        seats=seats,
        quorum=quorum,
        price=PRICE,
        input_commitment=hashlib.sha256(b"input").digest(),
        ciphertext_hash=hashlib.sha256(CIPHERTEXT).digest(),
        ciphertext_size=len(CIPHERTEXT),
        response_key=hashlib.sha256(b"response").digest(),
        secret_hash=commitments.secret_hash(SECRET),
    )


def play(deployment, workers, client, nonce: int) -> dict[str, list[int]]:
    """A job from request to settlement; gas of each of its transactions."""
    market = deployment.market
    request = request_for(deployment.version, nonce, level=1, seats=3, quorum=2)
    gas: dict[str, list[int]] = {name: [] for name in CEILINGS}
    tx = market.request(request.tuple(), {"from": client, "value": 3 * PRICE})
    gas["request"].append(tx.gas_used)
    job = bytes(HexBytes(tx.return_value))
    assert job == commitments.job_id(web3.eth.chain_id, market.address, client.address, request)

    header, prevrandao = seed_header(tx.events["JobRequested"]["seedBlock"])
    seed = commitments.seed(job, prevrandao, SECRET)
    epoch = deployment.nodes.epochOf(tx.block_number)
    committee = list(deployment.nodes.draw(seed, 3, epoch, PRICE * PARAMETERS.stake_ratio))
    named = commitments.committee_hash(committee)
    keys = hashlib.shake_256(b"sealed").digest(240)
    tx = market.deliver(request.tuple(), SECRET, header, named, keys, {"from": client})
    assert tx.events["KeysDelivered"]["seed"] == HexBytes(seed).to_0x_hex()
    gas["deliver"].append(tx.gas_used)

    salts = {worker: hashlib.sha256(worker.encode()).digest() for worker in committee}
    for worker in committee:
        args = (web3.eth.chain_id, market.address, job, worker, OUTPUT, salts[worker])
        tx = market.commit(job, committee, commitments.commitment(*args), {"from": workers[worker]})
        gas["commit"].append(tx.gas_used)
    assert "RevealsOpened" in tx.events
    for worker in committee:
        signature = sign(worker, signing.result(market, job, OUTPUT, SEALED_OUTPUT))
        args = (job, committee, OUTPUT, salts[worker], SEALED_OUTPUT, signature)
        tx = market.reveal(*args, {"from": workers[worker]})
        gas["reveal" if worker != committee[-1] else "settle"].append(tx.gas_used)
    assert tx.events["JobSettled"]["agreeing"] == 7
    assert HexBytes(market.result(job)) == OUTPUT
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
    balances = [market.credit(worker) for worker in workers]
    assert sum(balances) == 6 * PRICE == market.balance()
    for worker, owed in zip(workers.values(), balances, strict=True):
        if not owed:
            continue
        before = worker.balance()
        tx = market.withdraw(worker, {"from": accounts[9]})
        assert worker.balance() - before == owed
        print(f"gas, withdraw: {tx.gas_used}")
    assert market.balance() == 0


def play_proved(deployment, workers, client, nonce: int) -> dict[str, int]:
    """A PROVED job from request to settlement; gas of each of its transactions."""
    market = deployment.market
    request = Request(
        nonce=nonce,
        version=deployment.provable,
        level=2,
        seats=1,
        quorum=1,
        price=PRICE,
        input_commitment=statements.input_commitment(BINDING, statements.circuit_input(INPUT, PAD)),
        ciphertext_hash=hashlib.sha256(CIPHERTEXT).digest(),
        ciphertext_size=len(CIPHERTEXT),
        response_key=hashlib.sha256(b"response").digest(),
        secret_hash=commitments.secret_hash(SECRET),
    )
    tx = market.request(request.tuple(), {"from": client, "value": PRICE})
    gas = {"request": tx.gas_used}
    job = bytes(HexBytes(tx.return_value))
    header, prevrandao = seed_header(tx.events["JobRequested"]["seedBlock"])
    seed = commitments.seed(job, prevrandao, SECRET)
    epoch = deployment.nodes.epochOf(tx.block_number)
    committee = list(deployment.nodes.draw(seed, 1, epoch, PRICE * PARAMETERS.stake_ratio))
    keys = hashlib.shake_256(b"sealed").digest(80)
    named = commitments.committee_hash(committee)
    gas["deliver"] = market.deliver(request.tuple(), SECRET, header, named, keys, {"from": client}).gas_used

    words = hashlib.shake_256(b"masked").digest(64)
    output = statements.proved_output(PAD, words)
    statement = Statement(
        deployment.circuit.circuit,
        deployment.circuit.weights,
        INPUT,
        output,
        statements.job_context(web3.eth.chain_id, market.address, job, committee[0]),
    )
    signature = sign(committee[0], signing.result(market, job, output, words))
    args = (request.tuple(), client, committee, (BINDING, INPUT, PAD), words, mock_proof(statement))
    tx = market.prove(*args, signature, {"from": workers[committee[0]]})
    gas["prove"] = tx.gas_used
    assert tx.events["JobProved"]["masked"] == HexBytes(words).to_0x_hex()
    assert tx.events["JobSettled"]["agreeing"] == 1
    assert HexBytes(market.result(job)) == output
    return gas


def test_proved_job__settles_within_its_gas_ceilings(deployment, workers, accounts):
    """JOB-25 to JOB-30, MONEY-1."""
    for nonce in (1, 2):
        gas = play_proved(deployment, workers, accounts[1], nonce)
        print(f"gas, proved: {gas}, together {sum(gas.values())}")
        for step, used in gas.items():
            assert used <= PROVED_CEILINGS[step], step
    market = deployment.market
    assert sum(market.credit(worker) for worker in workers) == 2 * PRICE == market.balance()
    jobs = rebuild(events_of(market), PARAMETERS, [deployment.sealed])
    assert all(record == record_of(market, job) for job, record in jobs.items())


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
    market, nodes = deployment.market, deployment.nodes
    request = request_for(deployment.sealed, nonce, level=0, seats=1, quorum=1)
    tx = market.request(request.tuple(), {"from": client, "value": PRICE})
    gas = {"request": tx.gas_used}
    job = bytes(HexBytes(tx.return_value))
    header, prevrandao = seed_header(tx.events["JobRequested"]["seedBlock"])
    seed = commitments.seed(job, prevrandao, SECRET)
    commits_end = chain.time() + 60 + 2 * PARAMETERS.commit_window + PARAMETERS.publish_window
    eligible = (deployment.sealed, 1, tx.timestamp, commits_end + PARAMETERS.reveal_window, commits_end)
    lock = PRICE * PARAMETERS.stake_ratio
    committee = list(nodes.drawEnrolled(seed, 1, nodes.epochOf(tx.block_number), lock, eligible))
    keys = hashlib.shake_256(b"sealed").digest(80)
    named = commitments.committee_hash(committee)
    gas["deliver"] = market.deliver(request.tuple(), SECRET, header, named, keys, {"from": client}).gas_used

    worker = committee[0]
    signature = sign(worker, signing.result(market, job, OUTPUT, SEALED_OUTPUT))
    tx = market.answer(job, committee, OUTPUT, SEALED_OUTPUT, signature, {"from": workers[worker]})
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
    assert sum(market.credit(worker) for worker in workers) == 2 * PRICE == market.balance()
    jobs = rebuild(events_of(market), PARAMETERS, [deployment.sealed])
    assert all(record == record_of(market, job) for job, record in jobs.items())


def test_events__whole_job__rebuild_its_record(deployment, workers, accounts):
    play(deployment, workers, accounts[1], 1)
    jobs = rebuild(events_of(deployment.market), PARAMETERS)
    assert len(jobs) == 1
    for job, record in jobs.items():
        assert record == record_of(deployment.market, job)


def record_of(market, job: bytes) -> dict:
    answer = market.job(job).dict()
    return {**answer, "digest": bytes(HexBytes(answer["digest"]))}
