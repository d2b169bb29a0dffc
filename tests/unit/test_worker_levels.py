"""The worker in jobs that one seat decides: with a proof, or with the signature of its enclave."""

import functools
from dataclasses import replace

import pytest
from support.jobs import ALICE
from support.play import Others, play, sent, started
from support.simulated_market import BLOCK
from support.simulation import World

from cloister.domain.answer import CannotServe, CiphertextMissing, RefusalReason
from cloister.domain.errors import CloisterError
from cloister.domain.events import RefundReason
from cloister.domain.job import State
from cloister.domain.request import Level

# ------------------------------------------------------------------ proved jobs


def proved(crash_at=None):
    return started(crash_at, single=Level.PROVED)


def test_worker__proved_job__proves_and_is_paid():
    world, job_id = proved()
    job = play(world, job_id)
    assert job.state is State.SETTLED
    assert job.agreeing == {ALICE}
    assert sent(world) == ["prove"]
    assert (world.proofs, world.inferences) == (1, 0)
    assert not world.step()


def test_worker__proof_under_way__is_asked_for_again_with_every_step():
    world, job_id = proved()
    asked = []

    def prove(job):
        asked.append(job)
        return world.provable(job) if len(asked) == 4 else None

    world.prove = prove
    assert [world.step() for _ in range(3)] == [True] * 3
    assert sent(world) == []
    assert play(world, job_id).state is State.SETTLED
    assert len(asked) == 4


def test_worker__proof_under_way__keeps_no_reveal_waiting():
    world = World()
    world.prove = lambda job: None
    ids = []
    world.mine(
        lambda: ids.extend([world.market.request("proved", single=Level.PROVED), world.market.request("agreed")])
    )
    world.mine(*(functools.partial(world.market.deliver, job_id) for job_id in ids))
    others = Others(world)
    for _ in range(4):
        world.step()
        world.mine(*others.calls(ids[1]))
    assert ALICE in world.market.jobs[ids[1]].agreeing
    assert world.market.jobs[ids[0]].state is State.READY


def test_worker__killed_between_any_two_port_calls_of_a_proved_job__is_paid_all_the_same():  # LOG-1
    world, job_id = proved()
    play(world, job_id)
    count = len(world.calls)
    assert count > 10
    for crash_at in range(count):
        world, job_id = proved(crash_at)
        job = play(world, job_id)
        assert world.restarts == 1, crash_at
        assert job.agreeing == {ALICE}, crash_at
        assert sent(world) == ["prove"], crash_at
        assert world.proofs <= 2, crash_at


def test_worker__proof_not_made_in_time__refuses_before_the_deadline():
    world, job_id = proved()
    world.worker.timing = replace(world.worker.timing, margin=2 * BLOCK)  # as bootstrap measures it
    world.prove = lambda job: None
    job = play(world, job_id)
    assert job.refund_reason is RefundReason.REFUSALS
    assert sent(world) == ["refuse"]
    assert world.market.time <= job.deadline


@pytest.mark.parametrize("reason", list(RefusalReason))
def test_worker__cannot_prove__refuses_with_the_reason(reason):
    world, job_id = proved()

    def refuse(job):
        raise CannotServe(reason, "not this one")

    world.prove = refuse
    assert play(world, job_id).refund_reason is RefundReason.REFUSALS
    ((_, _, argument),) = world.disk.sent.values()
    assert argument is reason


def test_worker__proof_that_the_market_would_not_take__refuses():
    world, job_id = proved()
    world.prove = lambda job: replace(world.provable(job), proof=b"another")
    job = play(world, job_id)
    assert job.refund_reason is RefundReason.REFUSALS
    ((what, _, argument),) = world.disk.sent.values()
    assert (what, argument) == ("refuse", RefusalReason.OTHER)


def test_worker__proved_job_without_ciphertext__demands_it_and_proves_then():
    world, job_id = proved()

    def prove(job):
        if job.ciphertext is None:
            raise CiphertextMissing("not in any store")
        return world.provable(job)

    world.prove = prove

    def publish(number):
        if world.market.jobs[job_id].state is State.DEMANDED:
            world.mine(lambda: world.market.publish(job_id))

    assert play(world, job_id, each=publish).agreeing == {ALICE}
    assert sent(world) == ["demand", "prove"]


def test_worker__proved_job_while_the_registry_is_away__tries_again():
    world, job_id = proved()
    tries = []

    def prove(job):
        tries.append(job)
        if len(tries) < 3:
            raise CloisterError("away")
        return world.provable(job)

    world.prove = prove
    assert play(world, job_id).agreeing == {ALICE}


def test_worker__proof_mined_and_taken_back__is_paid_after_all():
    world, job_id = proved()
    world.step()
    world.mine()
    assert world.market.jobs[job_id].state is State.SETTLED
    world.step()
    world.reorganise(1)
    world.mine()
    world.step()
    assert play(world, job_id).agreeing == {ALICE}
    assert sent(world) == ["prove"]


# ------------------------------------------------------------------ attested jobs


def test_worker__attested_job__answers_and_is_paid():
    world, job_id = started(single=Level.ATTESTED)
    job = play(world, job_id)
    assert job.state is State.SETTLED
    assert job.agreeing == {ALICE}
    assert sent(world) == ["answer"]
    assert world.inferences == 1
    assert not world.step()


def test_worker__attested_job__survives_a_crash_at_every_step_with_one_answer():
    undisturbed, job_id = started(single=Level.ATTESTED)
    play(undisturbed, job_id)
    for crash_at in range(len(undisturbed.calls)):
        world, job_id = started(crash_at, single=Level.ATTESTED)
        job = play(world, job_id)
        assert job.agreeing == {ALICE}, crash_at
        assert sent(world) == ["answer"], crash_at


def test_worker__attested_job_that_it_cannot_serve__is_refused_with_the_signature_of_its_enclave():
    world, job_id = started(single=Level.ATTESTED)
    refusals = []

    def answer(job):
        raise CannotServe(RefusalReason.COMMITMENT_MISMATCH, "Wrong input.", b"signed by the enclave")

    world.answer = answer
    refuse = world.worker.desk.refuse
    world.worker.desk.refuse = lambda job, reason, signature: (
        refusals.append(signature),
        refuse(job, reason, signature),
    )
    assert play(world, job_id).refund_reason is RefundReason.REFUSALS
    assert refusals == [b"signed by the enclave"]
    assert sent(world) == ["refuse"]
