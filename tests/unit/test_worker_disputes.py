"""The worker about results that are doubted: it proves what it answered, ends what is decided, and harms nobody."""

import functools
from dataclasses import replace

import pytest
from support.jobs import ALICE, BOB, CAROL, WINDOW, digest
from support.play import HONEST, SILENT, Others, play, sent, started
from support.simulated_market import MASKED, PAD, PROVEN, Reverted
from support.simulation import World

from cloister.domain.answer import CannotServe, CiphertextMissing, ProvedAnswer, RefusalReason
from cloister.domain.commitments import masked_output
from cloister.domain.errors import CloisterError
from cloister.domain.events import RefundReason
from cloister.domain.job import State
from cloister.domain.ledger import REORG_DEPTH
from cloister.domain.request import Level
from cloister.worker import CURSOR_STEP

WRONG = digest("wrong")


def settled(crash_at=None, *, others=None, me=ALICE, **options):
    """A world whose job is settled, with its challenge window open."""
    options = {"verifier": 1} | options
    world = World(crash_at, me)
    world.step()
    ids = []
    world.mine(lambda: ids.append(world.market.request("job", **options)))
    if world.market.jobs[ids[0]].state is State.OPEN:
        world.mine(lambda: world.market.deliver(ids[0]))
    others = others(world) if others else Others(world)
    others.diligence = {w: d for w, d in ({ALICE: HONEST} | others.diligence).items() if w != me}
    job = play(world, ids[0], others, disputed=True)
    assert job.answered or job.state is State.DISPUTED
    return world, ids[0]


def pass_time(world, seconds, each=lambda: None):
    until = world.market.time + seconds
    while world.market.time < until:
        world.step()
        each()
        world.mine()
    world.step()


def disputed(crash_at=None, **options):
    """All three revealed something else; ALICE the model's output."""
    return settled(crash_at, others=lambda world: Others(world, outputs={BOB: "one", CAROL: "two"}), **options)


# ------------------------------------------------------------------ the proof ahead


def test_worker__answered_a_job_that_a_proof_can_decide__proves_it_ahead_and_keeps_the_proof():
    world, job_id = settled()
    assert world.proofs == 1
    assert world.disk.proofs[job_id].masked == MASKED
    pass_time(world, 20)
    assert world.proofs == 1
    assert sent(world) == ["commit", "reveal"]


def test_worker__committed_and_not_revealed_yet__has_the_proof_already():
    """The keys that open an input are lost with the enclave: the sooner the better."""
    world, job_id = started(verifier=1)
    world.step()
    assert world.disk.proofs == {}
    world.mine()
    world.step()
    assert job_id in world.disk.proofs


def test_worker__job_that_names_no_verifier__proves_nothing():
    world, _ = settled(verifier=0)
    pass_time(world, WINDOW)
    assert (world.proofs, world.disk.proofs) == (0, {})


def test_worker__attested_job__proves_its_answer_ahead():
    world, job_id = settled(single=Level.ATTESTED)
    world.step()
    assert job_id in world.disk.proofs


def test_worker__proved_job__proves_nothing_twice():
    world, _ = settled(single=Level.PROVED)
    pass_time(world, 20)
    assert (world.proofs, world.disk.proofs) == (1, {})


def test_worker__restarted_before_its_proof_was_made__begins_it_again():
    world, job_id = started(verifier=1)
    world.prove = lambda job: None
    play(world, job_id)
    assert world.disk.proofs == {}
    world.prove = world.provable
    world.worker = world._start()
    world.step()
    assert job_id in world.disk.proofs


def test_worker__restarted_with_its_proof_in_the_journal__proves_nothing_again():
    world, job_id = settled()
    world.worker = world._start()
    pass_time(world, 20)
    assert world.proofs == 1
    assert job_id in world.disk.proofs


def test_worker__restarted_when_the_result_is_final__proves_nothing():
    world, _ = settled()
    world.disk.proofs.clear()
    while world.market.time <= world.market.jobs[next(iter(world.market.jobs))].final_by:
        world.mine()
    world.worker = world._start()
    world.step()
    assert (world.proofs, world.disk.proofs) == (1, {})


def test_worker__final_job__its_proof_is_dropped():
    world, job_id = settled()
    assert job_id in world.disk.proofs
    for _ in range(REORG_DEPTH + 2 * CURSOR_STEP):
        world.mine()
        world.step()
    assert world.disk.proofs == {}


def test_worker__job_in_its_window__its_proof_is_kept_whatever_the_cursor_does(monkeypatch):
    world, job_id = settled()
    monkeypatch.setattr("support.simulated_market.BLOCK", 0)  # no deadline ever passes
    for _ in range(REORG_DEPTH + 2 * CURSOR_STEP):
        world.mine()
        world.step()
    assert job_id in world.disk.proofs


@pytest.mark.parametrize(
    "error", [CannotServe(RefusalReason.OTHER, "no"), CiphertextMissing("no"), CloisterError("away")]
)
def test_worker__cannot_prove_ahead__goes_on_and_gives_nothing_up(error):
    world, job_id = started(verifier=1)
    tries = []

    def fail(job):
        tries.append(job)
        raise error

    world.prove = fail
    job = play(world, job_id)
    assert ALICE in job.agreeing
    assert sent(world) == ["commit", "reveal"]
    # It is tried again when the job moves, and not with every step.
    before = len(tries)
    pass_time(world, 20)
    assert len(tries) == before


def test_worker__many_answers_at_once__are_proved_one_after_the_other():
    """A proved job, which has a deadline, waits for one of them at most."""
    world = World()
    ids, asked = [], []
    world.mine(lambda: ids.extend(world.market.request(name, verifier=1) for name in ("one", "two", "three")))
    world.mine(*(functools.partial(world.market.deliver, job_id) for job_id in ids))

    def prove(job):
        asked.append(job.job_id)
        return world.provable(job) if len(asked) > 3 else None

    world.prove = prove
    world.step()
    world.mine()
    for _ in range(3):
        world.step()
    assert set(asked) == {ids[0]}
    world.step()
    assert world.disk.proofs.keys() == set(ids)


# ------------------------------------------------------------------ JOB-32


@pytest.mark.parametrize("single", [None, Level.ATTESTED])
def test_worker__verifier_that_it_does_not_know__refuses_before_any_work(single):  # JOB-32
    world, job_id = started(single=single, verifier=2)
    job = play(world, job_id)
    assert ALICE in job.refused
    assert (world.inferences, world.proofs) == (0, 0)
    [(_, _, reason)] = [entry for entry in world.disk.sent.values() if entry[0] == "refuse"]
    assert reason is RefusalReason.OTHER


def test_worker__deployment_that_vouches_for_no_verifier__refuses_all_that_name_one():  # JOB-32
    world, job_id = started(verifier=1)
    world.worker.trusted_verifier = None
    assert ALICE in play(world, job_id).refused


def test_worker__verifier_that_it_does_not_know_in_a_job_that_it_answered__still_reveals():
    """Silence would cost stake: what was committed to is opened, whatever the settings are now."""
    world, job_id = started(verifier=1)
    world.step()
    world.mine()
    world.worker.trusted_verifier = 5
    assert ALICE in play(world, job_id).agreeing


# ------------------------------------------------------------------ doubts that a proof ends


def test_worker__challenged__judges_with_the_proof_that_it_kept():
    world, job_id = settled()
    world.mine(lambda: world.market.challenge(job_id))
    world.prove = lambda job: pytest.fail("the proof was at hand")
    pass_time(world, 10)
    job = world.market.jobs[job_id]
    assert sent(world) == ["commit", "reveal", "judge"]
    assert (job.state, job.decided, job.result) == (State.SETTLED, True, PROVEN)
    assert ALICE in job.agreeing


def test_worker__attested_answer_challenged__judges():
    world, job_id = settled(single=Level.ATTESTED)
    world.mine(lambda: world.market.challenge(job_id))
    pass_time(world, 10)
    assert sent(world) == ["answer", "judge"]
    assert world.market.jobs[job_id].decided


def test_worker__hired_and_challenged__judges():
    world, job_id = settled(single=Level.ATTESTED, worker=ALICE)
    world.mine(lambda: world.market.challenge(job_id))
    pass_time(world, 10)
    assert world.market.jobs[job_id].decided


def test_worker__split_vote__judges_and_is_paid():
    world, job_id = disputed()
    assert world.market.jobs[job_id].state is State.DISPUTED
    pass_time(world, 10)
    job = world.market.jobs[job_id]
    assert (job.state, job.agreeing) == (State.SETTLED, {ALICE})
    assert sent(world) == ["commit", "reveal", "judge"]


def test_worker__outvoted__overturns_the_majority():
    world, job_id = settled(others=lambda world: Others(world, outputs={BOB: "wrong", CAROL: "wrong"}))
    assert world.market.jobs[job_id].agreeing == {BOB, CAROL}
    pass_time(world, 10)
    job = world.market.jobs[job_id]
    assert (job.result, job.agreeing, job.decided) == (PROVEN, {ALICE}, True)


def test_worker__outvoted_without_a_verifier__can_do_nothing():
    world, job_id = settled(verifier=0, others=lambda world: Others(world, outputs={BOB: "wrong", CAROL: "wrong"}))
    pass_time(world, 3 * WINDOW)
    assert world.market.jobs[job_id].agreeing == {BOB, CAROL}
    assert sent(world) == ["commit", "reveal"]


def test_worker__nobody_doubts__sends_no_proof():
    world, _ = settled()
    pass_time(world, 3 * WINDOW)
    assert sent(world) == ["commit", "reveal"]


def test_worker__proof_lost__makes_it_again_when_it_is_challenged():
    world, job_id = settled()
    world.disk.proofs.clear()
    world.mine(lambda: world.market.challenge(job_id))
    pass_time(world, 10)
    assert world.market.jobs[job_id].decided
    assert world.proofs == 2


def test_worker__seats_before_it_would_prove_the_same__leaves_it_to_them_for_a_while():
    world, job_id = settled(me=CAROL)
    world.mine(lambda: world.market.challenge(job_id))
    pass_time(world, 35)  # 20 seconds for ALICE and 20 for BOB
    assert "judge" not in sent(world)
    pass_time(world, 15)
    assert sent(world)[-1] == "judge"
    assert world.market.jobs[job_id].decided


def test_worker__a_seat_before_it_proves__sends_no_proof_of_its_own():
    world, job_id = settled(me=CAROL)
    world.mine(lambda: world.market.challenge(job_id))
    world.mine(lambda: world.market.judge(job_id, ALICE, world.provable(world.market.jobs[job_id])))
    pass_time(world, 2 * WINDOW)
    assert "judge" not in sent(world)


def test_worker__its_own_output_was_wrong__sends_no_proof_of_the_right_one():
    """It would prove itself wrong, and lose the stake that nobody else may ever ask for."""
    world, job_id = started(verifier=1)
    world.answer = lambda job: replace(world.honest(job), output_commitment=WRONG)
    play(world, job_id, Others(world, outputs={BOB: "one", CAROL: "two"}), disputed=True)
    assert world.market.jobs[job_id].state is State.DISPUTED
    assert world.disk.proofs[job_id].masked == MASKED  # the model is right when it is run again
    pass_time(world, 30)
    assert sent(world) == ["commit", "reveal"]
    assert world.market.jobs[job_id].state is State.DISPUTED


def test_worker__liar_whose_proof_no_verifier_takes__tries_in_vain_and_loses():
    world, job_id = started(verifier=1)
    forged = ProvedAnswer(digest("binding"), digest("C_X"), PAD, b"other", b"forged")
    output = masked_output(PAD, b"other")
    world.answer = lambda job: replace(world.honest(job), output_commitment=output)
    world.prove = lambda job: forged
    others = Others(world)
    others.output = lambda job, worker: output  # a colluding majority
    play(world, job_id, others)
    world.mine(lambda: world.market.challenge(job_id))
    pass_time(world, WINDOW + 60)
    assert sent(world) == ["commit", "reveal"]
    world.mine(lambda: world.market.resolve(job_id))
    assert world.market.jobs[job_id].refund_reason is RefundReason.NOT_PROVED


def test_worker__market_refuses_the_proof_for_now__tries_again_with_the_next_block():
    world, job_id = settled()
    send, refused = world.worker.desk._send, []

    def behind(what, job, argument):
        if what == "judge" and len(refused) < 2:
            refused.append(what)
            raise Reverted("too early")
        send(what, job, argument)

    world.worker.desk._send = behind
    world.mine(lambda: world.market.challenge(job_id))
    pass_time(world, 30)
    assert len(refused) == 2
    assert world.market.jobs[job_id].decided


def test_worker__too_late_to_be_mined__sends_no_proof():
    world, job_id = settled(me=ALICE)
    world.mine(lambda: world.market.challenge(job_id))
    world.worker._read()
    world.elapsed += WINDOW - 1
    world.step()
    assert "judge" not in sent(world)


@pytest.mark.parametrize("doubt", ["challenge", "dispute"])
def test_worker__killed_between_any_two_port_calls_of_a_dispute__proves_all_the_same(doubt):  # LOG-1
    def whole(crash_at=None):
        if doubt == "dispute":
            world, job_id = disputed(crash_at)
        else:
            world, job_id = settled(crash_at)
            world.mine(lambda: world.market.challenge(job_id))
        pass_time(world, 20)
        return world, job_id

    undisturbed, _ = whole()
    count = len(undisturbed.calls)
    assert count > 40
    for crash_at in range(count):
        world, job_id = whole(crash_at)
        job = world.market.jobs[job_id]
        assert world.restarts == 1, crash_at
        assert (job.state, job.decided, job.result) == (State.SETTLED, True, PROVEN), crash_at
        assert ALICE in job.agreeing, crash_at
        assert sent(world) == ["commit", "reveal", "judge"], crash_at
        assert world.proofs <= 2, crash_at


# ------------------------------------------------------------------ what is decided is ended


def test_worker__outvoted_seats_after_the_window__takes_their_stake_in_its_turn_and_once():
    world, job_id = settled(verifier=0, others=lambda world: Others(world, outputs={CAROL: "wrong"}))
    pass_time(world, WINDOW - 10)
    assert sent(world) == ["commit", "reveal"]
    pass_time(world, 60)
    assert sent(world) == ["commit", "reveal", "resolve"]
    assert world.market.jobs[job_id].over


def test_worker__challenge_that_nobody_could_answer__is_ended_by_who_was_outvoted():
    """Those whose result it was would lose by it: they leave it to others."""
    world, job_id = started(verifier=1)
    world.answer = lambda job: replace(world.honest(job), output_commitment=WRONG)
    world.prove = lambda job: (_ for _ in ()).throw(CannotServe(RefusalReason.OTHER, "cannot"))
    play(world, job_id, Others(world, outputs={BOB: "other", CAROL: "other"}))
    assert world.market.jobs[job_id].agreeing == {BOB, CAROL}
    world.mine(lambda: world.market.challenge(job_id))
    pass_time(world, WINDOW + 40)
    assert sent(world)[-1] == "resolve"
    assert world.market.jobs[job_id].refund_reason is RefundReason.NOT_PROVED


def test_worker__its_own_result_challenged_and_unproved__does_not_end_it():
    world, job_id = started(verifier=1)
    world.prove = lambda job: (_ for _ in ()).throw(CannotServe(RefusalReason.OTHER, "cannot"))
    play(world, job_id)
    world.mine(lambda: world.market.challenge(job_id))
    pass_time(world, 2 * WINDOW)
    assert sent(world) == ["commit", "reveal"]
    assert world.market.jobs[job_id].state is State.CHALLENGED


def test_worker__referees_agree_with_it__has_their_verdict_taken():
    world, job_id = settled(verifier=0, others=lambda world: Others(world, outputs={BOB: "one", CAROL: "two"}))
    referee = []
    world.mine(lambda: referee.append(world.market.request("referee", verifier=0)))
    world.mine(lambda: world.market.refer(job_id, referee[0]))
    world.mine(lambda: world.market.deliver(referee[0], (BOB, CAROL, "0x" + "d" * 40)))
    others = ("0x" + "d" * 40, BOB, CAROL)
    world.mine(*(functools.partial(world.market.commit, referee[0], w, digest(w)) for w in others))
    world.mine(*(functools.partial(world.market.reveal, referee[0], w, digest("right")) for w in others))
    pass_time(world, 40)
    job = world.market.jobs[job_id]
    assert (job.state, job.agreeing) == (State.SETTLED, {ALICE})
    assert sent(world)[-1] == "resolve"


def test_worker__silent_in_a_job_that_is_disputed__does_nothing():
    world, job_id = started(verifier=1)
    world.answer = lambda job: (_ for _ in ()).throw(CannotServe(RefusalReason.OTHER, "no"))
    play(world, job_id, Others(world, bob=HONEST, carol=SILENT))
    pass_time(world, 2 * WINDOW)
    assert [what for what in sent(world) if what in ("judge", "resolve")] == []
