"""Proved jobs from end to end, with a verifier that checks hashes: who is paid for what, and who cannot cheat whom."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from support.proofs import HashProofs
from support.town import FIRST_WORKER, OWNER, PACKAGE, PARAMETERS, PRICE, PROVED, REQUESTER, ROWS, STAKE, Crash

from cloister.chain.artifacts import artifact
from cloister.chain.errors import ContractError
from cloister.client import NoProofs, ResultMismatch
from cloister.devnet.liar import LyingProver
from cloister.domain.answer import RefusalReason
from cloister.domain.commitments import masked_output
from cloister.domain.errors import InvalidInput
from cloister.domain.events import RefundReason
from cloister.domain.job import State
from cloister.fixedpoint import Package
from cloister.proved import ProofSystemMissing, ProvedInference, proof_system
from cloister.proving import InvalidProof
from cloister.storage.blobs import BlobStore, BlobStores


def reason_of(town, job):
    """Why the one worker of a job refused it."""
    logs = town.connection.logs_of_job(town.market.address, job.job_id, town.deployment.block)
    (refusal,) = [event for log in logs if type(event := town.market.decode(log)).__name__ == "SeatRefused"]
    return RefusalReason(refusal.reason)


def refunded(town, client, reason, rows=ROWS):
    """Runs a job that its worker refuses for a reason; nobody loses anything."""
    result = client.wait(client.request(town.version, rows, PROVED), timeout=60)
    assert result.job.refund_reason is RefundReason.REFUSALS
    assert reason_of(town, result.job) is reason
    assert town.credit(REQUESTER) == PRICE
    (worker,) = result.job.seated
    node = town.nodes.node(worker)
    assert (node.stake, node.locked) == (STAKE, 0)
    assert town.market.credit(worker) == 0
    assert result.outputs is None


# ------------------------------------------------------------------ whole jobs


@pytest.mark.parametrize("count", [1, 2])
def test_proved__honest_worker__gives_what_the_package_runs_and_is_paid(town, count):
    town.prove()
    with town.client() as client:
        rows = ROWS[:count]
        job_id = client.request(town.version, rows, PROVED)
        states = []
        result = client.wait(job_id, timeout=60, progress=lambda job: states.append(job.state))
        expected = PACKAGE.run(rows)
        assert (result.outputs == expected).all()
        assert list(result.predictions) == [PACKAGE.manifest.labels[i] for i in expected.argmax(axis=1)]
        assert states == [State.OPEN, State.READY, State.SETTLED]
        (worker,) = result.job.committee
        assert result.job.agreeing == {worker}
        assert town.market.credit(worker) == PRICE
        assert town.credit(REQUESTER) == 0
        # It comes free by itself: nobody pays for that.
        assert town.nodes.node(worker).locked == PRICE * PARAMETERS.market.stake_ratio
        assert town.market.gas(job_id, town.deployment.block).keys() == {"request", "deliver", "prove"}
    with town.client() as again:
        assert (again.result(job_id).outputs == result.outputs).all()


def test_proved__batch_that_is_no_power_of_two__is_filled_up_and_cut_again(town):
    town.prove()
    rows = np.concatenate((ROWS, ROWS[:1]))
    with town.client() as client:
        result = client.wait(client.request(town.version, rows, PROVED), timeout=60)
        assert (result.outputs == PACKAGE.run(rows)).all()
        assert len(result.job.proved.masked) == 4 * 2 * 32


def test_proved__worker_without_the_ciphertext__demands_it_and_proves_then(town):
    class Blind(ProvedInference):
        def _start(self, job):
            here = self._plain._blobs
            if job.ciphertext is None:
                self._plain._blobs = BlobStores([BlobStore("memory://nothing", max_size=1)])
            try:
                return super()._start(job)
            finally:
                self._plain._blobs = here

    town.prove(Blind)
    with town.client() as client:
        result = client.wait(client.request(town.version, ROWS, PROVED), timeout=60)
        assert result.job.ciphertext is not None
        assert (result.outputs == PACKAGE.run(ROWS)).all()


def test_proved__nobody_works__is_refunded_in_full_and_the_silent_pays(town):
    with town.client() as client:
        job_id = client.request(town.version, ROWS, PROVED)
        for _ in range(4):
            town.tick()
            client.step(job_id)
        town.node.skip(PARAMETERS.market.commit_window + 5)
        result = client.wait(job_id, timeout=60)
        assert result.job.refund_reason is RefundReason.TOO_FEW_COMMITS
        assert town.credit(REQUESTER) == PRICE
        lock = PRICE * PARAMETERS.market.stake_ratio
        (worker,) = result.job.seated
        assert town.nodes.node(worker).stake == STAKE - lock * PARAMETERS.market.silent_bps // 10_000


# ------------------------------------------------------------------ requesters that lie: JOB-13


@pytest.mark.parametrize("about", ["commit_input", "commit_pad"])
def test_proved__requester_commits_to_another_input_or_pad__is_refused_before_the_work(town, about):
    class Lying(HashProofs):
        pass

    class Untouched(HashProofs):
        def prove_job(self, *arguments):
            pytest.fail("the job was proved")

    setattr(Lying, about, lambda self, circuit, rows, secret: bytes(range(32)))
    town.prove(proofs=Untouched)
    with town.client(proofs=Lying) as client:
        refunded(town, client, RefusalReason.COMMITMENT_MISMATCH)


# ------------------------------------------------------------------ workers that lie


def test_proved__another_output_than_the_proved_one__is_not_paid(town):
    town.prove(LyingProver)
    with town.client() as client:
        refunded(town, client, RefusalReason.OTHER)


def test_proved__proof_made_for_another_worker__is_not_paid(town):
    """A copied proof: the context holds who is paid."""

    class Thief(HashProofs):
        def prove_job(self, model, rows, context, secret):
            return super().prove_job(model, rows, bytes(32), secret)

    town.prove(proofs=Thief)
    with town.client() as client:
        refunded(town, client, RefusalReason.OTHER)


def test_proved__prover_that_differs_from_the_model__is_found_out_by_its_worker(town):
    class Defective(HashProofs):
        def run(self, package, rows):
            return package.run(rows) + 1

    town.prove(proofs=Defective)
    with town.client() as client:
        refunded(town, client, RefusalReason.OTHER)


# ------------------------------------------------------------------ workers in trouble


def test_proved__worker_without_the_proof_system__refuses(town):
    def missing():
        raise ProofSystemMissing("no such library")

    town.prove(proofs=missing)
    with town.client() as client:
        refunded(town, client, RefusalReason.OTHER)


def test_proved__prover_that_breaks__costs_its_worker_neither_life_nor_stake(town):
    class Broken(HashProofs):
        def prove_job(self, *arguments):
            raise ZeroDivisionError("a defect")

    town.prove(proofs=Broken)
    with town.client() as client:
        refunded(town, client, RefusalReason.OTHER)


def test_proved__package_with_another_circuit_than_registered__is_refused(town):  # JOB-32
    class Other(HashProofs):
        @staticmethod
        def commit_model(package):
            model = HashProofs.commit_model(package)
            return replace(model, circuit=replace(model.circuit, bits=model.circuit.bits + 1))

    town.prove(proofs=Other)
    with town.client() as client:
        refunded(town, client, RefusalReason.MODEL_UNAVAILABLE)


def test_proved__proof_that_takes_too_long__is_given_up_before_the_deadline(town):
    """To refuse costs nothing and frees the money; silence would cost stake."""
    never = threading.Event()

    class Slow(HashProofs):
        def prove_job(self, *arguments):
            never.wait(60)

    town.prove(proofs=Slow)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, PROVED)
        while client.step(job_id).state is not State.READY:
            town.tick()
        town.tick()
        assert client.job(job_id).state is State.READY
        town.node.skip(client.job(job_id).deadline - town.connection.head().timestamp - 4)
        result = client.wait(job_id, timeout=60)
        never.set()
        assert result.job.refund_reason is RefundReason.REFUSALS
        (worker,) = result.job.seated
        assert town.nodes.node(worker).stake == STAKE


def step_until_it_dies(town, worker):
    for _ in range(200):
        try:
            worker.step()
        except Crash:
            return
        town.node.mine(1)
    pytest.fail("it lives")


@pytest.mark.parametrize("where", ["before the journal", "journalled", "broadcast"])
def test_proved__worker_killed_while_it_sends_the_proof__is_paid_once_all_the_same(town, where):  # LOG-1
    town.prove()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, PROVED)
        while client.step(job_id).state is not State.READY:
            town.node.mine(1)
        (index,) = [i for i, a in enumerate(town.active) if a.me in client.job(job_id).seated]
        worker = town.active[index]
        sender, journal = worker.desk._sender, town.journals[FIRST_WORKER + index]
        broadcast, record = sender._broadcast, journal.record

        def die(*arguments):
            if where == "broadcast":
                broadcast(*arguments)
            raise Crash

        if where == "before the journal":
            journal.record = die
        else:
            sender._broadcast = die
        step_until_it_dies(town, worker)
        journal.record = record
        journalled = [stored.hash for stored in journal.pending()]
        assert len(journalled) == (0 if where == "before the journal" else 1)

        class Counting(HashProofs):
            made = 0

            def prove_job(self, *arguments):
                Counting.made += 1
                return super().prove_job(*arguments)

        town.active = [town.worker(FIRST_WORKER + index, proofs=Counting)]
        result = client.wait(job_id, timeout=60)
        assert (result.outputs == PACKAGE.run(ROWS)).all()
        assert town.market.credit(worker.me) == PRICE
        assert Counting.made == (1 if where == "before the journal" else 0)
        (stored,) = [stored for stored in [journal.find(f"prove:0x{job_id.hex()}")] if stored]
        assert journalled in ([], [stored.hash])


# ------------------------------------------------------------------ verifiers


def remove(town):
    with town.client(0) as steward:
        steward.sender.transact("remove", town.verifiers.remove(town.deployment.verifier))


def test_proved__verifier_removed__is_refused_by_the_client_before_it_pays(town):
    remove(town)
    with town.client() as client:
        with pytest.raises(NoProofs, match="was removed"):
            client.request(town.version, ROWS, PROVED)
        assert client.journal.requests() == []


def test_proved__verifier_removed_after_the_request__the_worker_refuses_at_once(town):
    town.prove()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, PROVED)
    remove(town)
    with town.client() as client:
        result = client.wait(job_id, timeout=60)
        assert result.job.refund_reason is RefundReason.REFUSALS
        assert reason_of(town, result.job) is RefusalReason.MODEL_UNAVAILABLE
        assert town.credit(REQUESTER) == PRICE


def test_proved__verifier_removed_while_the_proof_is_made__the_worker_refuses(town):
    class Late(HashProofs):
        def prove_job(self, *arguments):
            remove(town)
            return super().prove_job(*arguments)

    town.prove(proofs=Late)
    with town.client() as client:
        refunded(town, client, RefusalReason.OTHER)


def test_proved__verifier_of_somebody_else__is_not_trusted_unless_told_so(town):
    town.prove()
    with town.client(verifier=None) as client:
        with pytest.raises(NoProofs, match="does not vouch"):
            client.request(town.version, ROWS, PROVED)
        assert client.journal.requests() == []
        job_id = client.request(town.version, ROWS, PROVED, verifier=1)
        assert (client.wait(job_id, timeout=60).outputs == PACKAGE.run(ROWS)).all()


def test_proved__verifier_that_the_worker_does_not_know__is_refused(town):  # JOB-32
    town.trusted = 2
    town.prove()
    with town.client() as client:
        refunded(town, client, RefusalReason.OTHER)


# ------------------------------------------------------------------ requests that cannot be


def plain(package):
    """The package, its manifest naming no circuit."""
    return Package.from_bytes(replace(package.manifest, circuit=None).to_bytes(), package.weights_bytes)


def test_proved__version_without_a_circuit__is_refused_and_takes_agreed_jobs(town):
    with town.client(OWNER) as owner:
        with pytest.raises(NoProofs, match="names no circuit"):
            owner.publisher.publish_provable(plain(PACKAGE), PRICE)
        version = owner.publisher.publish(plain(PACKAGE), PRICE)
    with town.client() as client, pytest.raises(NoProofs, match="takes no proved jobs"):
        client.request(version, ROWS, PROVED)


def test_proved__client_without_the_proof_system__pays_nothing(town):
    def missing():
        raise ProofSystemMissing("no such library")

    with town.client(proofs=missing) as client:
        with pytest.raises(ProofSystemMissing):
            client.request(town.version, ROWS, PROVED)
        assert client.journal.requests() == []


def test_proved__most_rows_that_fit__are_proved_and_one_more_is_refused_before_it_is_paid(town):
    town.prove()
    rows = np.repeat(ROWS, 64, axis=0)
    with town.client() as client:
        with pytest.raises(InvalidInput, match="at most 8192 fit a job") as caught:
            client.request(town.version, np.concatenate((rows, ROWS[:1])), PROVED)
        assert "at most 128 rows" in caught.value.hint
        assert client.journal.requests() == []
        result = client.wait(client.request(town.version, rows, PROVED), timeout=60)
        assert (result.outputs == PACKAGE.run(rows)).all()
        assert len(result.job.proved.masked) == 8192


def test_proved__more_rows_than_fit__are_refused_by_the_worker(town, monkeypatch):
    town.prove()
    rows = np.repeat(ROWS, 65, axis=0)
    with town.client() as client:
        monkeypatch.setattr("cloister.client.Client._check_output", lambda *_: None)
        refunded(town, client, RefusalReason.OUTPUT_TOO_LARGE, rows)


# ------------------------------------------------------------------ results


@pytest.fixture
def settled(town):
    """A client with a job that was proved."""
    town.prove()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, PROVED)
        yield client, client.wait(job_id, timeout=60)


def refused_result(client, job):
    with pytest.raises(ResultMismatch) as caught:
        client._unmask(job, PACKAGE.manifest, client.secrets(job).job_secret)
    return caught.value.message


def test_result__proof__is_checked_by_the_client_too(settled):
    client, result = settled
    assert result.proof_checked
    assert client.result(result.job.job_id).proof_checked


def test_result__endpoint_that_shows_another_output__is_found_out(settled):
    client, result = settled
    job = result.job
    altered = replace(job, proved=replace(job.proved, masked=bytes(len(job.proved.masked))))
    assert "not the one that the market settled on" in refused_result(client, altered)


def test_result__endpoint_that_shifts_the_output_consistently__is_found_out(settled, monkeypatch):
    """Without a key it cannot read the output, but it could add to it, and to everything that it shows beside it."""
    client, result = settled
    job, first = result.job, result.job.proved.masked
    sent = client.market.proved_answer(job.job_id, 0)
    masked = (int.from_bytes(first[:32], "big") + 1).to_bytes(32, "big") + first[32:]
    altered = replace(job, proved=replace(job.proved, masked=masked), result=masked_output(sent.pad_digest, masked))
    assert "input, pad or output" in refused_result(client, altered)
    monkeypatch.setattr(type(client.market), "proved_answer", lambda *_: replace(sent, masked=masked))
    assert "another input or output" in refused_result(client, altered)
    monkeypatch.setattr(type(client.market), "proved_answer", lambda *_: replace(sent, masked=masked, proof=bytes(32)))
    assert "the proof does not hold" in refused_result(client, altered)


def test_result__endpoint_that_shows_another_request_or_worker__is_found_out(settled, town):
    client, result = settled
    job = result.job
    request = replace(job.request, input_commitment=bytes(32))
    assert "not that of the job" in refused_result(client, replace(job, request=request))
    thief = replace(job, proved=replace(job.proved, prover=town.address(OWNER)))
    assert "the proof does not hold" in refused_result(client, thief)


def test_result__endpoint_that_shows_another_model__is_found_out(settled, monkeypatch):
    client, result = settled
    other = replace(PACKAGE.manifest, circuit=replace(PACKAGE.manifest.circuit, weights="00" * 32))
    with pytest.raises(ResultMismatch, match="manifest is not that"):
        client._unmask(result.job, other, client.secrets(result.job).job_secret)
    monkeypatch.setattr("cloister.client.version_id", lambda *_: result.job.request.version)
    with pytest.raises(ResultMismatch, match="another model"):
        client._unmask(result.job, other, client.secrets(result.job).job_secret)


def test_result__worker_whose_account_is_a_contract__is_read_with_the_chain_s_word(settled, monkeypatch):
    client, result = settled
    get = client.connection.w3.eth.get_transaction
    elsewhere = lambda hash_: {**get(hash_), "to": "0x" + "11" * 20}  # noqa: E731
    monkeypatch.setattr(client.connection.w3.eth, "get_transaction", elsewhere)
    read = client.result(result.job.job_id)
    assert (read.outputs == PACKAGE.run(ROWS)).all()
    assert not read.proof_checked


def test_result__masked_output_that_does_not_open__says_so(town):
    class Broken(HashProofs):
        def unmask(self, *arguments):
            raise InvalidProof("The masked output does not open under this job's pad.")

    town.prove()
    with town.client(proofs=Broken) as client, pytest.raises(InvalidProof):
        client.wait(client.request(town.version, ROWS, PROVED), timeout=60)


# ------------------------------------------------------------------ owners


def test_publish_provable__twice_or_after_a_plain_publication__does_what_is_left(town):
    with town.client(REQUESTER) as owner:
        version = owner.publisher.publish(PACKAGE, PRICE)
        assert owner.models.circuit_of(version) is None
        assert owner.publisher.publish_provable(PACKAGE, PRICE) == version
        registered = owner.models.circuit_of(version)
        assert registered.verifier == 1
        assert registered.circuit.hex() == PACKAGE.manifest.circuit.descriptor
        assert registered.weights.hex() == PACKAGE.manifest.circuit.weights
        assert owner.publisher.publish_provable(PACKAGE, PRICE) == version


def test_publish_provable__false_proof_about_the_weights__registers_nothing(town):
    class Untrue(HashProofs):
        def prove_weights(self, model, context):
            return super().prove_weights(model, bytes(32))

    with town.client(REQUESTER, proofs=Untrue) as owner:
        with pytest.raises(ContractError, match="ModelRegistry_InvalidWeights"):
            owner.publisher.publish_provable(PACKAGE, PRICE)
        version = owner.publisher.publish(PACKAGE, PRICE)
        assert owner.models.circuit_of(version) is None


def test_publish_provable__deployment_that_vouches_for_no_verifier__asks_for_one(town):
    with town.client(REQUESTER, verifier=None) as owner:
        with pytest.raises(NoProofs, match="vouches for no verifier"):
            owner.publisher.publish_provable(PACKAGE, PRICE)
        version = owner.publisher.publish_provable(PACKAGE, PRICE, verifier=1)
        assert owner.models.circuit_of(version).verifier == 1


# ------------------------------------------------------------------ with real proofs


@pytest.fixture
def real(town):
    """The town with a version that the package's own verifier checks proofs about."""
    compiled, w3, deployer = artifact("MatrixProofVerifier"), town.connection.w3, town.address(0)
    creation = w3.eth.contract(abi=compiled.abi, bytecode=compiled.bytecode).constructor()
    sent = w3.eth.send_transaction(creation.build_transaction({"from": deployer}))
    town.node.mine(1)
    verifier = w3.eth.get_transaction_receipt(sent)["contractAddress"]
    with town.client(0) as steward:
        steward.sender.transact("list", town.verifiers.add(verifier))
    town.trusted = town.verifiers.count()
    with town.client(REQUESTER, proofs=proof_system, verifier=town.trusted) as owner:
        town.version, published = owner.publisher.publish_provable(PACKAGE, PRICE), town.version
    yield town
    town.version = published


@pytest.fixture
def requester(real):
    with real.client(proofs=proof_system, verifier=real.trusted) as client:
        yield client


def test_real__honest_worker__is_paid_for_what_the_package_runs(real, requester):
    real.prove(proofs=proof_system)
    result = requester.wait(requester.request(real.version, ROWS, PROVED), timeout=120)
    assert (result.outputs == PACKAGE.run(ROWS)).all()
    assert real.market.credit(result.job.seated[0]) == PRICE


def test_real__another_output_than_the_proved_one__is_not_paid(real, requester):
    real.prove(LyingProver, proofs=proof_system)
    refunded(real, requester, RefusalReason.OTHER)


@pytest.mark.parametrize("what", ["context", "circuit input", "proof"])
def test_real__proof_of_another_statement__is_not_paid(real, requester, what):
    class Other(ProvedInference):
        def make(self, job, opened, registered):
            honest = super().make(job, opened, registered)
            if what == "proof":
                return replace(honest, proof=honest.proof[:-1] + bytes([honest.proof[-1] ^ 1]))
            if what == "circuit input":
                return replace(honest, input_digest=honest.pad_digest, pad_digest=honest.input_digest)
            model = proof_system().commit_model(PACKAGE)
            copied = proof_system().prove_job(model, ROWS, bytes(32), opened.job_secret)
            assert copied.masked == honest.masked
            return replace(honest, proof=copied.proof)

    real.prove(Other, proofs=proof_system)
    refunded(real, requester, RefusalReason.OTHER)
