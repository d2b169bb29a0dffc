"""Disputes between real workers on a real chain: a proof, or a larger committee, says who is right (CHAL-*)."""

import pytest
from support.town import FIRST_WORKER, OWNER, PACKAGE, PARAMETERS, PRICE, REQUESTER, ROWS, STAKE, WORKERS

from cloister.appeals import Appeals, NothingToAppeal
from cloister.domain.commitments import masked_output
from cloister.domain.events import RefundReason
from cloister.domain.job import State
from cloister.domain.request import Assurance
from cloister.inference import PlainInference

AGREED = Assurance.parse("agreed(3,2)")
MARKET = PARAMETERS.market
LOCK = PRICE * MARKET.stake_ratio
WRONG = LOCK * MARKET.wrong_bps // 10_000


class Liar(PlainInference):
    """Answers with the right output, turned round."""

    def run(self, package, plaintext):
        output = super().run(package, plaintext)
        return output[4:] + output[:4]


class OtherLiar(PlainInference):
    """Answers with another wrong output."""

    def run(self, package, plaintext):
        output = super().run(package, plaintext)
        return output[8:] + output[:8]


def stake_of(town, index):
    return town.nodes.node(town.address(FIRST_WORKER + index)).stake


def decided(town, client, job_id, rounds=60):
    """The job once somebody has decided about it."""
    for _ in range(rounds):
        town.tick()
        client.step(job_id)
        job = client.job(job_id)
        if job.decided or job.state is State.REFUNDED:
            return job
    raise AssertionError(f"nothing decided job in state {job.state}")


def test_challenge__right_result__its_worker_proves_it_and_has_the_bond(town):
    """CHAL-6, CHAL-12: with the proof that it kept."""
    town.work()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        before = client.wait(job_id, timeout=60)
        assert before.job.request.verifier == town.deployment.verifier
    with town.client(OWNER) as stranger:
        Appeals(stranger).challenge(job_id)
        assert stranger.job(job_id).state is State.CHALLENGED
        job = decided(town, stranger, job_id)
        assert (job.state, job.result, job.over) == (State.SETTLED, before.job.result, True)
        bonds = [town.credit(FIRST_WORKER + i) - PRICE for i in range(WORKERS)]
        assert sorted(bonds)[:2] == [0, 0]
        assert max(bonds) >= town.market.bond()
        assert [stake_of(town, i) for i in range(WORKERS)] == [STAKE] * WORKERS
        with pytest.raises(NothingToAppeal):
            Appeals(stranger).challenge(job_id)


def test_majority_of_liars__one_honest_seat_proves__all_of_them_lose(town):
    """CHAL-3: one proof overturns any majority, by itself and without a bond."""
    town.work(Liar, Liar, PlainInference)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        job = decided(town, client, job_id)
        assert job.agreeing == {town.address(FIRST_WORKER + 2)}
        result = client.result(job_id)
        assert (result.outputs == PACKAGE.run(ROWS)).all()
        assert [stake_of(town, i) for i in range(WORKERS)] == [STAKE - WRONG, STAKE - WRONG, STAKE]
        # What the liars were paid comes back to the requester, and the honest seat has its price and a reward.
        assert town.credit(REQUESTER) == 2 * PRICE + PRICE
        assert town.credit(FIRST_WORKER + 2) >= PRICE
        burned = town.market.credit("0x000000000000000000000000000000000000dEaD")
        assert burned >= WRONG  # half of two slashes


def test_split_vote__honest_seat_proves__is_paid_and_the_others_lose(town):
    """CHAL-2: no quorum opens a dispute by itself."""
    town.work(Liar, OtherLiar, PlainInference)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        job = decided(town, client, job_id)
        assert job.agreeing == {town.address(FIRST_WORKER + 2)}
        assert (client.result(job_id).outputs == PACKAGE.run(ROWS)).all()
        assert [stake_of(town, i) for i in range(WORKERS)] == [STAKE - WRONG, STAKE - WRONG, STAKE]
        assert town.credit(REQUESTER) == 2 * PRICE
        assert town.credit(FIRST_WORKER + 2) >= PRICE


def test_challenge__nobody_proves__the_result_is_void_and_the_requester_whole(town):
    """CHAL-7, CHAL-5: every worker stops for ever after it was paid."""
    town.work(Liar, Liar, Liar)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        wrong = client.wait(job_id, timeout=60)
        assert not Appeals(client).check(job_id).right
        town.active = []
        Appeals(client).challenge(job_id)
        town.node.skip(MARKET.dispute_window + 5)
        job = decided(town, client, job_id)
        assert (job.state, job.refund_reason) == (State.REFUNDED, RefundReason.NOT_PROVED)
        assert wrong.job.agreeing == {town.address(FIRST_WORKER + i) for i in range(WORKERS)}
        assert [stake_of(town, i) for i in range(WORKERS)] == [STAKE - WRONG] * WORKERS
        assert town.credit(REQUESTER) >= 3 * PRICE + town.market.bond()


def test_judge__requester_proves_the_right_output__overturns_without_a_bond(town):
    town.work(Liar, Liar, Liar)
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        client.wait(job_id, timeout=60)
        Appeals(client).judge(job_id)
        result = client.result(job_id)
        assert (result.outputs == PACKAGE.run(ROWS)).all()
        assert result.job.result == masked_output(_pad_digest(client, result.job), result.job.proved.masked)
        assert result.job.agreeing == frozenset()
        assert town.credit(REQUESTER) >= 3 * PRICE


def test_judge__right_result__is_not_sent(town):
    town.work()
    with town.client() as client:
        job_id = client.request(town.version, ROWS, AGREED)
        client.wait(job_id, timeout=60)
        assert Appeals(client).check(job_id).right
        with pytest.raises(NothingToAppeal, match="right"):
            Appeals(client).judge(job_id)


def test_refer__wrong_result_without_a_verifier__a_larger_committee_overturns_it(town):
    """CHAL-8: the same input goes to seven others, and the liars lose."""
    for index in range(FIRST_WORKER + WORKERS, FIRST_WORKER + 9):
        town.register(index)
    town.next_epoch()
    town.active = [town.worker(FIRST_WORKER + i) for i in range(9)]
    with town.client(verifier=None) as client:
        job_id = client.request(town.version, ROWS, AGREED)
        assert client.journal.request(job_id) is not None
        for _ in range(20):
            town.tick()
            client.step(job_id)
            if client.job(job_id).committee:
                break
        drawn = set(client.job(job_id).seated)
        town.active = [
            town.worker(FIRST_WORKER + i, Liar if town.address(FIRST_WORKER + i) in drawn else PlainInference)
            for i in range(9)
        ]
        wrong = client.wait(job_id, timeout=60)
        assert wrong.job.request.verifier == 0
        appeals = Appeals(client)
        assert not appeals.check(job_id).right
        referee = appeals.refer(job_id)
        answer = client.wait(referee, timeout=60)
        job = decided(town, client, job_id)
        # Of seven referees among nine workers at most three are liars.
        assert (answer.outputs == PACKAGE.run(ROWS)).all()
        assert job.result == answer.job.result
        assert job.agreeing == frozenset()
        assert all(town.nodes.node(worker).stake < STAKE for worker in drawn)
        with pytest.raises(NothingToAppeal):
            appeals.refer(job_id)


def _pad_digest(client, job):
    proofs, manifest = client.proofs(), client.manifest(job.request.version)
    return proofs.commit_pad(proofs.circuit_of(manifest), len(ROWS), client.secrets(job).job_secret)
