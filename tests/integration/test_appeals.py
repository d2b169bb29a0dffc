"""Requests that name a verifier or a worker, and what happens to results that are doubted, on a chain."""

from types import SimpleNamespace

import pytest
from support.town import AGREED, FIRST_WORKER, MODELS, OWNER, PACKAGE, PRICE, PROVED, REQUESTER, ROWS, WORKERS

from cloister.appeals import Appeals, NothingToAppeal
from cloister.client import NotYourJob, OutputWithheld
from cloister.committees import NotEnoughWorkers
from cloister.devnet.liar import LyingInference
from cloister.domain.errors import InvalidInput
from cloister.domain.events import RefundReason
from cloister.domain.job import State
from cloister.domain.request import Assurance
from cloister.fixedpoint import load_heldout, load_package
from cloister.inference import PlainInference
from cloister.proof_system import ProofSystemMissing
from cloister.recipients import UntrustedWorker

PAIR = Assurance.parse("agreed(2,2)")


class Hider(PlainInference):
    """Agrees with the others, and seals nonsense to the requester."""

    def _seal(self, output, job, info):
        return super()._seal(b"\0" * len(output), job, info)


class Wavering(PlainInference):
    """Lies in the first seat of a pair, and tells referees the truth."""

    def run(self, package, plaintext):
        output = super().run(package, plaintext)
        return bytes([output[0] ^ 1]) + output[1:] if self.lies else output

    def answer(self, job):
        self.lies = job.request.assurance == PAIR and job.committee[0] == self.me
        return super().answer(job)


def ended(town, client, job_id, blocks=60):
    """Lets everybody act until nothing more can happen to a job."""
    for _ in range(blocks):
        job = client.step(job_id)
        if job.over:
            return job
        town.tick()
    raise AssertionError(f"not over: {job.state.name}")


def missing():
    raise ProofSystemMissing("no such library")


# ------------------------------------------------------------------ which verifier a job names


def test_request__version_that_can_be_proved__names_its_verifier(town):
    town.work()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        result = client.wait(job_id, timeout=60)
        assert result.job.request.verifier == town.trusted
        assert (result.outputs == PACKAGE.run(ROWS)).all()
        assert not result.proof_checked
        assert Appeals(client).check(job_id).right


@pytest.mark.parametrize(
    "changes", [{"verifier": None}, {"verifier": 9}, {"proofs": missing}], ids=["none trusted", "untrusted", "missing"]
)
def test_request__no_verifier_to_be_trusted__names_none_and_works_all_the_same(town, changes):
    town.work()
    with town.client(**changes) as client:
        result = client.wait(client.request(town.version, ROWS, AGREED), timeout=60)
        assert result.job.request.verifier == 0
        assert (result.outputs == PACKAGE.run(ROWS)).all()


def test_request__verifier_named_by_the_requester__is_trusted_for_this_job(town):
    with town.client(verifier=None) as client:
        job_id = client.request(town.version, ROWS, AGREED, verifier=town.trusted)
        assert client.job(job_id).request.verifier == town.trusted


def test_request__more_rows_than_a_proof_can_show__names_no_verifier(town):
    package, rows = load_package(MODELS / "digits"), load_heldout(MODELS / "digits").rows
    with town.client(OWNER) as owner:
        version = owner.publisher.publish_provable(package, PRICE)
    with town.client() as client:
        few, many = (client.request(version, rows[:count], AGREED) for count in (16, 17))
        assert [client.job(job_id).request.verifier for job_id in (few, many)] == [town.trusted, 0]


# ------------------------------------------------------------------ whom a job is given to


def test_request__worker_named__has_the_seat_at_once(town):
    town.prove()
    chosen = town.address(FIRST_WORKER + 1)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, PROVED, worker=chosen)
        job = client.job(job_id)
        assert (job.state, job.committee) == (State.READY, (chosen,))
        result = client.wait(job_id, timeout=60)
        assert result.job.agreeing == {chosen}
        assert (result.outputs == PACKAGE.run(ROWS)).all()


@pytest.mark.parametrize(
    ("assurance", "reputation", "message"), [(AGREED, 0, "takes no named worker"), (PROVED, 100, "needs no floor")]
)
def test_request__worker_named_where_none_can_be__is_refused_before_payment(town, assurance, reputation, message):
    with town.client() as client:
        with pytest.raises(InvalidInput, match=message):
            client.request(town.version, ROWS, assurance, worker=town.address(FIRST_WORKER), reputation=reputation)
        assert client.journal.requests() == []


def test_request__named_worker_that_is_not_trusted__is_refused_before_payment(town):
    def refuse(*_):
        raise UntrustedWorker("Its enclave is unknown.")

    recipients = SimpleNamespace(check_before_payment=lambda *_: None, key_for=refuse)
    before = town.connection.balance(town.address(REQUESTER))
    with town.client(recipients=recipients) as client:
        with pytest.raises(UntrustedWorker):
            client.request(town.version, ROWS, PROVED, worker=town.address(FIRST_WORKER))
        assert client.journal.requests() == []
    assert town.connection.balance(town.address(REQUESTER)) == before


def test_request__floor_that_nobody_reaches__is_refused_before_payment(town):
    with town.client() as client:
        with pytest.raises(NotEnoughWorkers, match="0 can be drawn"):
            client.request(town.version, ROWS, AGREED, reputation=5001)
        assert client.journal.requests() == []


def test_request__floor__leaves_the_seat_of_a_lesser_worker_vacant(town):
    silent = town.address(FIRST_WORKER)
    town.work(None, PlainInference, PlainInference)
    with town.client() as client:
        first = client.wait(client.request(town.version, ROWS, AGREED), timeout=60).job
        assert silent not in first.agreeing
        assert town.market.reputation(silent) < 5000
        town.work()
        second = client.wait(client.request(town.version, ROWS, AGREED, reputation=5000), timeout=60).job
        assert set(second.seated) == {town.address(FIRST_WORKER + 1), town.address(FIRST_WORKER + 2)}
        assert silent not in second.agreeing


# ------------------------------------------------------------------ doubts that a proof ends


def test_challenge__right_result__is_proved_and_stands(town):  # CHAL-6
    town.work()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        settled = client.wait(job_id, timeout=60).job
    with town.client(OWNER) as anybody:
        Appeals(anybody).challenge(job_id)
        with pytest.raises(NothingToAppeal):
            Appeals(anybody).challenge(job_id)
    with town.client() as client:
        job = ended(town, client, job_id)
        assert (job.state, job.result, job.agreeing) == (State.SETTLED, settled.result, settled.agreeing)
        assert job.proved.prover in settled.agreeing
        result = client.result(job_id)
        assert (result.outputs == PACKAGE.run(ROWS)).all()  # read from the proof now
        assert result.proof_checked


def test_result__lying_majority__is_overturned_by_the_worker_that_it_outvoted(town):  # CHAL-5
    honest = town.address(FIRST_WORKER + 2)
    town.work(LyingInference, LyingInference, PlainInference)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        client.wait(job_id, timeout=60)
        job = ended(town, client, job_id)
        assert (job.agreeing, job.decided, job.proved.prover) == ({honest}, True, honest)
        result = client.result(job_id)
        assert (result.outputs == PACKAGE.run(ROWS)).all()
        assert town.credit(REQUESTER) >= 2 * PRICE  # what the liars were paid comes back


def test_judge__all_lie__requester_finds_out_and_overturns_it(town):
    town.work(LyingInference, LyingInference, LyingInference)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        assert not (client.wait(job_id, timeout=60).outputs == PACKAGE.run(ROWS)).all()
        appeals = Appeals(client)
        checked = appeals.check(job_id)
        assert not checked.right
        assert (checked.expected == PACKAGE.run(ROWS)).all()
        appeals.judge(job_id)
        job = client.job(job_id)
        assert (job.state, job.agreeing, job.decided) == (State.SETTLED, frozenset(), True)
        result = client.result(job_id)
        assert (result.outputs == PACKAGE.run(ROWS)).all()
        with pytest.raises(NothingToAppeal):
            appeals.judge(job_id)


def test_judge__right_result__sends_nothing(town):
    town.work()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        client.wait(job_id, timeout=60)
        with pytest.raises(NothingToAppeal, match="is right"):
            Appeals(client).judge(job_id)
        assert client.job(job_id).proved is None


def test_judge__job_of_somebody_else__is_refused(town):
    town.work()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        client.wait(job_id, timeout=60)
    with town.client(OWNER) as other, pytest.raises(NotYourJob):
        Appeals(other).judge(job_id)


def test_challenge__output_that_was_hidden__is_shown_by_the_proof(town):
    town.work(Hider, Hider, Hider)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        with pytest.raises(OutputWithheld) as withheld:
            client.wait(job_id, timeout=60)
        assert "cloister challenge" in withheld.value.hint
        Appeals(client).challenge(job_id)
        assert ended(town, client, job_id).decided
        assert (client.result(job_id).outputs == PACKAGE.run(ROWS)).all()


def test_challenge__nobody_proves__is_refunded_and_pays_the_challenger(town):  # CHAL-7
    town.work(LyingInference, LyingInference, LyingInference)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        client.wait(job_id, timeout=60)
    with town.client(OWNER) as anybody:
        Appeals(anybody).challenge(job_id)
    town.node.control("evm_increaseTime", town.market.parameters().dispute_window + 1)
    town.tick()
    with town.client() as client:
        job = ended(town, client, job_id)
        assert job.refund_reason is RefundReason.NOT_PROVED
        assert client.result(job_id).outputs is None
    assert town.credit(OWNER) > 0
    assert town.credit(REQUESTER) >= 3 * PRICE


# ------------------------------------------------------------------ doubts that a larger committee ends


def split_vote(town):
    town.work(Wavering, Wavering, Wavering)
    with town.client(verifier=None, refers=True) as client:
        job_id = client.request(town.version, ROWS, PAIR)
        for _ in range(60):
            if client.step(job_id).state is State.DISPUTED:
                return job_id
            town.tick()
    raise AssertionError("no split vote")


def test_refer__split_vote__referees_say_who_was_right(town):  # CHAL-8
    job_id = split_vote(town)
    with town.client(verifier=None, refers=True) as client:
        referee = Appeals(client).refer(job_id)
        assert client.journal.request(referee) is not None
        with pytest.raises(NothingToAppeal, match="decides about job"):
            Appeals(client).refer(job_id)
        asked, original = client.job(referee).request, client.job(job_id).request
        assert (asked.assurance, asked.input_commitment) == (Assurance.parse("agreed(5,3)"), original.input_commitment)
    # another process goes on: the journal has what it needs
    with town.client(verifier=None, refers=True) as client:
        decided = client.wait(referee, timeout=60)
        assert (decided.outputs == PACKAGE.run(ROWS)).all()
        job = ended(town, client, job_id)
        assert (job.agreeing, job.result) == ({job.committee[1]}, decided.job.result)
        assert (client.result(job_id).outputs == PACKAGE.run(ROWS)).all()


def test_split_vote__requester_that_calls_nobody__has_its_money_back_at_once(town):
    job_id = split_vote(town)
    with town.client(verifier=None) as client:
        assert client.wait(job_id, timeout=60).job.refund_reason is RefundReason.NO_QUORUM
    assert town.credit(REQUESTER) >= 2 * PRICE


def test_refer__too_few_workers_for_the_committee__pays_nothing(town):
    town.work()
    with town.client(verifier=None) as client:
        job_id = client.request(town.version, ROWS, AGREED)
        client.wait(job_id, timeout=60)
        requests = client.journal.requests()
        with pytest.raises(NotEnoughWorkers, match=f"{WORKERS} can be drawn"):
            Appeals(client).refer(job_id)
        assert client.journal.requests() == requests


def test_appeal__of_the_wrong_kind__says_what_to_do(town):
    town.work()
    with town.client() as client:
        provable = client.request(town.version, ROWS, AGREED)
        client.wait(provable, timeout=60)
        with pytest.raises(NothingToAppeal, match="names a verifier"):
            Appeals(client).refer(provable)
    with town.client(verifier=None) as client:
        other = client.request(town.version, ROWS, AGREED)
        client.wait(other, timeout=60)
        for appeal in (Appeals(client).challenge, Appeals(client).judge):
            with pytest.raises(NothingToAppeal, match="names no verifier") as refused:
                appeal(other)
            assert "cloister refer" in refused.value.hint
        open_job = client.request(town.version, ROWS, AGREED)
        with pytest.raises(NothingToAppeal):
            Appeals(client).challenge(open_job)
