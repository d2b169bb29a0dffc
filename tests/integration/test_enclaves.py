"""Enclaves, brokers, chain and clients in processes of their own: what works, what is refused, what survives a crash.

That nothing leaks is in test_canaries.py.
"""

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.captures import enclave_of
from support.changed_code import write_changed_code

from cloister import committees
from cloister.broker.licences import Licence
from cloister.chain.artifacts import artifact
from cloister.chain.deployment import DeployParameters
from cloister.chain.errors import ContractError, translated
from cloister.devnet.testnet import Testnet
from cloister.domain.answer import RefusalReason
from cloister.domain.attested import Policy, TcbStatus
from cloister.domain.events import JobProved, KeysDelivered, OutputRevealed, RefundReason, SeatRefused
from cloister.domain.ids import hexed
from cloister.domain.job import State
from cloister.domain.pins import UntrustedWorker
from cloister.domain.request import Assurance
from cloister.domain.typed import result_digest
from cloister.fixedpoint import load_heldout, load_package
from cloister.recipients import InputKey
from cloister.sealing.hpke import seal
from cloister.sealing.signatures import signer_of

Testnet.__test__ = False  # pytest would take the name for a collection of tests
MODEL = Path(__file__).resolve().parents[2] / "models" / "breast-cancer"
PRICE = 10**15
SECONDS = 240.0
"""Longest wait for anything, on a busy machine."""
ANYBODY = Licence.from_json('[{"name": "all", "workers": "any", "releases": null, "from": 0, "until": null}]')


def wait_until(condition, what, seconds=SECONDS):
    """What the condition gives, once that is something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def patient():
    """Parameters under which nobody misses a deadline while processes are stopped and started."""
    usual = DeployParameters.devnet()
    windows = {"deliver_window": 120, "commit_window": 120, "reveal_window": 120, "publish_window": 60}
    market = replace(usual.market, **windows, dispute_window=540)
    limits = replace(usual.limits, lock_period=600, prompt_lifetime=900)
    patient = replace(usual, market=market, limits=limits, exit_delay=1_800)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeployParameters, "devnet", lambda: patient)
        yield


@pytest.fixture(scope="module")
def net(patient, tmp_path_factory):
    """Three brokers, three honest workers, and one that runs changed code, and starts while the first tests run."""
    changed = tmp_path_factory.mktemp("changed")
    write_changed_code(changed)
    with Testnet(tmp_path_factory.mktemp("net"), block_time=0.2) as net:
        net.add_brokers(3)
        for _ in range(3):
            net.add_worker()
        net.start()
        net.add_worker("changed", module=("careless_host",), code=changed).start()
        yield net


@pytest.fixture(scope="module")
def client(net):
    with net.client() as client:
        yield client


@pytest.fixture(scope="module")
def package():
    return load_package(MODEL)


@pytest.fixture(scope="module")
def rows():
    return load_heldout(MODEL).rows


@pytest.fixture(scope="module")
def version(net, client, package):
    """A sealed model, whose key takes two of three brokers."""
    policy = Policy((net.measurement,), frozenset({TcbStatus.UP_TO_DATE}), development=True)
    sealed = net.seal(package, 2, {"training.json": b"{}"})
    version = client.publisher.publish_provable(package, PRICE, policy=policy, sealed=sealed)
    net.license(version, ANYBODY)
    net.await_enrolled(version, 3)
    net.age_stakes()
    return version


@pytest.fixture
def usual(client):
    """The client, whose pins a test may change."""
    recipients = client.recipients
    yield client
    client.recipients = recipients


def honest(net):
    return {worker.address for worker in net.workers[:3]}


def transactions(net, job):
    """What was sent for each event of a job: (event, arguments of the call)."""
    connection, market = net.network.connection, net.network.market
    contract = net.w3.eth.contract(market.address, abi=artifact("IJobMarket").abi)
    for log in connection.logs_of_job(market.address, job, net.deployment.block):
        sent = net.w3.eth.get_transaction(log["transactionHash"])
        yield market.decode(log), contract.decode_function_input(sent["input"])[1]


def credits_of(client, net):
    return {worker.address: client.market.credit(worker.address) for worker in net.workers}


# ------------------------------------------------------------------ end to end


@pytest.mark.parametrize("level", ["attested", "agreed(3,2)", "proved"])
def test_sealed_model__each_level__gives_what_the_package_gives_and_pays_everybody(
    level, net, client, version, package, rows
):
    before = credits_of(client, net)
    job_id = client.request(version, rows[:2], Assurance.parse(level))
    result = client.wait(job_id, timeout=SECONDS)
    assert (result.outputs == package.run(rows[:2])).all()
    earned = {worker: credit - before[worker] for worker, credit in credits_of(client, net).items()}
    assert earned == {worker: PRICE if worker in result.job.committee else 0 for worker in before}
    assert set(result.job.committee) <= honest(net)
    assert len(result.job.agreeing) == result.job.request.assurance.seats

    chain_id, signed = net.network.connection.chain_id, set()  # SIG-1
    for event, sent in transactions(net, job_id):
        if isinstance(event, OutputRevealed | JobProved):
            commitment = sent.get("outputCommitment", result.job.result)
            digest = result_digest(
                chain_id, client.market.address, job_id, commitment, sent.get("sealedOutput") or sent["masked"]
            )
            worker = event.prover if isinstance(event, JobProved) else event.worker
            assert signer_of(digest, sent["signature"]) == client.nodes.node(worker).signer
            signed.add(worker)
    assert signed == set(result.job.committee)


# ------------------------------------------------------------------ one changed byte


def test_changed_byte__worker__is_attested_as_another_and_gets_no_share_and_no_seat(
    net, client, version, rows
):  # ENC-7, REL-3
    worker = net.workers[3]
    worker.await_ready(SECONDS)
    evidence = client.nodes.evidence(worker.address, net.deployment.block)
    assert evidence.measurement != net.measurement
    assert client.nodes.attestation(worker.address).until > net.w3.eth.get_block("latest")["timestamp"]

    told = wait_until(lambda: "model not served yet" in worker.said and worker.said, "the changed worker asks brokers")
    refusals = [json.loads(line) for line in told.splitlines() if "no share from a broker" in line]
    assert {refusal["broker"] for refusal in refusals} <= {broker.url for broker in net.brokers}
    assert len({refusal["broker"] for refusal in refusals}) >= 2
    for refusal in refusals:  # REL-3
        assert "The version's policy does not admit the evidence" in refusal["error"]
        assert "(policy)" in refusal["error"]
    released = "".join(log.read_text() for broker in net.brokers for log in broker.folder.rglob("releases-*.jsonl"))
    assert all(address in released for address in honest(net))  # REL-1
    assert worker.address not in released
    published = client.models.version(version)
    enrolment = client.nodes.enrolment(version, worker.address)
    assert not enrolment.holds(evidence.hash(), published.policy_revision)
    policy = client.models.policy(published)  # ENC-7, ENC-8
    wider = replace(policy, measurements=tuple(sorted((net.measurement, evidence.measurement))))
    for claimed, name in ((policy, "Enclaves_NotAdmitted"), (wider, "Enclaves_WrongPolicy")):
        call = client.nodes.enrol(version, claimed, evidence, bytes(65))
        with pytest.raises(ContractError) as refused, translated():
            net.w3.eth.call({"from": worker.address, "to": call.to, "data": call.data})
        assert refused.value.name == name

    # Its stake is as good as the others', and all four have aged: only three can be drawn for this model.
    net.age_stakes()
    with pytest.raises(committees.NotEnoughWorkers, match="needs 4 workers; 3 can be drawn"):
        client.request(version, rows[:1], Assurance.parse("agreed(4,4)"))
    job = client.wait(client.request(version, rows[:1], Assurance.parse("agreed(4,3)")), timeout=SECONDS).job
    assert set(job.seated) == honest(net)
    assert job.agreeing == frozenset(honest(net))


# ------------------------------------------------------------------ what a requester trusts


def pinned(client, **changes):
    client.recipients = replace(client.recipients, pins=replace(client.recipients.pins, **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"measurements": frozenset()}, "admits code that you have not pinned"),
        ({"measurements": frozenset({bytes(32)})}, "admits code that you have not pinned"),
        ({"development": False}, "admits DEVELOPMENT evidence"),
        ({"statuses": frozenset({TcbStatus.OUT_OF_DATE})}, "admits platforms that are UpToDate"),
    ],
)
def test_request__policy_admits_what_is_not_pinned__is_refused_before_anything_is_paid(
    changes, said, net, usual, version, rows
):  # PROMPT-3
    pinned(usual, **changes)
    block, balance = net.w3.eth.block_number, net.w3.eth.get_balance(usual.account)
    with pytest.raises(UntrustedWorker, match=said):
        usual.request(version, rows[:1], Assurance.parse("attested"))
    net.next_block()
    assert net.w3.eth.get_balance(usual.account) == balance
    assert usual.market.jobs(block) == []


def test_deliver__drawn_worker_is_not_pinned_any_more__nothing_is_sealed(net, usual, version, rows):  # PROMPT-3
    job_id = usual.request(version, rows[:1], Assurance.parse("attested"))
    pinned(usual, measurements=frozenset({bytes(32)}))
    with pytest.raises(UntrustedWorker, match="is not trusted: its code measures") as refused:
        usual.wait(job_id, timeout=SECONDS)
    assert hexed(net.measurement) in str(refused.value)
    net.next_block()
    assert not any(isinstance(event, KeysDelivered) for event in usual.market.history(job_id, net.deployment.block))
    assert usual.journal.find(f"deliver:{hexed(job_id)}") is None

    net.node.skip(net.parameters.market.deliver_window + 1)
    result = usual.wait(job_id, timeout=SECONDS)
    assert result.job.refund_reason is RefundReason.NOT_DELIVERED
    assert result.job.seated == ()


# ------------------------------------------------------------------ refusals and rotation


def sealed_otherwise(client, monkeypatch, secret):
    """Has the next input key replaced by `secret`, sealed as an honest client would."""
    monkeypatch.setattr(committees, "seal", lambda _, key, info: seal(secret, key, info))


def refusal_of(client, net, job_id):
    history = client.market.history(job_id, net.deployment.block)
    (refused,) = [event for event in history if isinstance(event, SeatRefused)]
    (signature,) = [sent["signature"] for event, sent in transactions(net, job_id) if isinstance(event, SeatRefused)]
    return refused, signature


def test_refusal__requester_sealed_another_secret__earns_the_worker_the_fault_fee(
    net, client, version, rows, monkeypatch
):  # SIG-2
    sealed_otherwise(client, monkeypatch, bytes(32))
    before, paid = credits_of(client, net), client.market.credit(client.account)
    job_id = client.request(version, rows[:1], Assurance.parse("attested"))
    job = client.wait(job_id, timeout=SECONDS).job
    refused, signature = refusal_of(client, net, job_id)
    assert job.refund_reason is RefundReason.REFUSALS
    assert refused.reason == RefusalReason.COMMITMENT_MISMATCH
    assert len(signature) == 65
    fee = PRICE * net.parameters.market.fault_bps // 10_000
    assert client.market.credit(refused.worker) - before[refused.worker] == fee
    assert client.market.credit(client.account) - paid == PRICE - fee


class Stale:
    """Recipients that seal to prompt keys of an earlier time."""

    def __init__(self, usual, keys):
        self.check_before_payment = usual.check_before_payment
        self._keys = keys

    def key_for(self, worker, policy, until, prompt_until):
        prompt = self._keys[worker]
        return InputKey(prompt.key, prompt.epoch, prompt=True)


def test_rotation__old_prompt_key__opens_until_its_end(net, usual, version, package, rows):  # PROMPT-2, SIG-3
    nodes, lifetime = usual.nodes, net.parameters.limits.prompt_lifetime
    old = {worker: nodes.prompt_key(worker) for worker in honest(net)}
    net.node.skip(lifetime * 2 // 5)

    def rotated():
        return all(nodes.prompt_key(worker).epoch > old[worker].epoch for worker in old)

    wait_until(rotated, "new prompt keys")
    assert all(nodes.prompt_key(worker).key != old[worker].key for worker in old)
    usual.recipients = Stale(usual.recipients, old)
    job_id = usual.request(version, rows[:1], Assurance.parse("attested"))  # ENC-6
    assert (usual.wait(job_id, timeout=SECONDS).outputs == package.run(rows[:1])).all()

    end = max(prompt.expires_at for prompt in old.values())
    net.node.skip(end - net.w3.eth.get_block("latest")["timestamp"] + 1)
    latest = {worker: nodes.prompt_key(worker).epoch for worker in old}
    wait_until(lambda: all(nodes.prompt_key(w).epoch > latest[w] for w in old), "newer prompt keys")
    paid = usual.market.credit(usual.account)
    job_id = usual.request(version, rows[:1], Assurance.parse("attested"))
    job = usual.wait(job_id, timeout=SECONDS).job
    refused, signature = refusal_of(usual, net, job_id)
    assert refused.reason == RefusalReason.SEALED_KEY_DOES_NOT_OPEN
    # A host could have had the key wiped too early: the enclave does not vouch for this, and nobody pays.
    assert signature == b""
    assert usual.market.credit(usual.account) - paid == PRICE
    assert job.refund_reason is RefundReason.REFUSALS


# ------------------------------------------------------------------ crashes


@pytest.mark.skipif(sys.platform != "linux", reason="finds the enclave's process through /proc")
def test_enclave_killed_between_commit_and_reveal__worker__reveals_after_a_restart(net, client, version, package, rows):
    first, *others = net.workers[:3]
    signer = client.nodes.node(first.address).signer
    slashes = len(client.nodes.slashes(net.deployment.block))
    for other in others:  # so that nobody reveals
        os.kill(other.process.pid, signal.SIGSTOP)
    try:
        job_id = client.request(version, rows[:2], Assurance.parse("agreed(3,2)"))
        job = wait_until(lambda: (job := client.step(job_id)).committed and job, "the first commit")
        assert job.committed == {first.address}
        os.kill(enclave_of(first.process.pid), signal.SIGKILL)
        assert first.process.wait(SECONDS) != 0
        assert "The enclave is gone" in first.said
        assert "Traceback" not in first.said
        first.start()
    finally:
        for other in others:
            os.kill(other.process.pid, signal.SIGCONT)
    result = client.wait(job_id, timeout=SECONDS)
    assert (result.outputs == package.run(rows[:2])).all()
    assert result.job.agreeing == honest(net)
    assert len(client.nodes.slashes(net.deployment.block)) == slashes
    reveals = [sent for event, sent in transactions(net, job_id) if isinstance(event, OutputRevealed)]
    chain_id, market = net.network.connection.chain_id, client.market.address
    signers = {
        signer_of(result_digest(chain_id, market, job_id, s["outputCommitment"], s["sealedOutput"]), s["signature"])
        for s in reveals
    }
    assert signer in signers  # of an enclave that is no more: the journal had the answer
    first.await_ready(SECONDS)
    assert client.nodes.node(first.address).signer != signer


# ------------------------------------------------------------------ brokers that are away


def restarted(worker):
    """A worker with a new enclave, which has neither keys nor models."""
    worker.process.terminate()
    worker.process.wait(SECONDS)
    worker.start()
    worker.await_ready(SECONDS)


def stopped(broker):
    url = broker.url
    broker.process.terminate()
    broker.process.wait(SECONDS)
    broker.process = None  # so that nobody takes it for one that failed
    broker.arguments = ("--listen", url.removeprefix("http://"))
    return url


def test_brokers__one_away_or_two__new_enclave_gets_the_key_or_says_who_failed(net, client, version, package, rows):
    worker, (first, second, third) = net.workers[0], net.brokers
    node = client.nodes.node(worker.address)
    urls = [stopped(first)]
    net.node.skip(net.parameters.limits.lock_period)  # ENC-9: keys that were replaced before may still be owed
    restarted(worker)
    assert client.nodes.node(worker.address).key_epoch > node.key_epoch
    net.await_enrolled(version, 3)
    net.age_stakes()

    urls.append(stopped(second))
    net.node.skip(net.parameters.limits.lock_period)
    restarted(worker)
    told = wait_until(
        lambda: [json.loads(line) for line in worker.said.splitlines() if "model not served yet" in line],
        "the worker says that it has no key",
    )[0]["error"]
    assert all(f"{url}: It cannot be reached" in told for url in urls)
    assert f"{third.url}: It was not asked" in told
    with pytest.raises(committees.NotEnoughWorkers, match="2 can be drawn"):
        client.request(version, rows[:1], Assurance.parse("agreed(3,3)"))

    first.start()
    first.await_ready(SECONDS)
    net.await_enrolled(version, 3)
    net.age_stakes()
    result = client.wait(client.request(version, rows[:1], Assurance.parse("agreed(3,3)")), timeout=SECONDS)
    assert (result.outputs == package.run(rows[:1])).all()
    assert result.job.state is State.SETTLED
