"""The worker through whole jobs in memory: crashes, reorganisations, other people's silence and its own troubles."""

import functools
from dataclasses import replace

import pytest
from support.jobs import ALICE, BOB, CAROL, digest
from support.play import COMMITS_ONLY, SILENT, Others, play, sent, started
from support.simulated_market import BLOCK, Reverted
from support.simulation import World

from cloister.domain.answer import CannotServe, CiphertextMissing, RefusalReason
from cloister.domain.errors import CloisterError
from cloister.domain.events import RefundReason
from cloister.domain.job import State
from cloister.domain.ledger import REORG_DEPTH
from cloister.worker import CURSOR_STEP

# ------------------------------------------------------------------ a job from end to end


def test_worker__happy_path__commits_reveals_and_is_paid():
    world, job_id = started()
    job = play(world, job_id)
    assert job.state is State.SETTLED
    assert ALICE in job.agreeing
    assert sent(world) == ["commit", "reveal"]
    assert world.inferences == 1
    assert not world.step()  # nothing is left to do


def test_worker__nothing_new__reports_so_and_does_nothing():
    world = World()
    world.step()
    world.calls.clear()
    assert not world.step()
    assert set(world.calls) == {"poll", "settle"}


def test_worker__two_jobs_at_once__does_both():
    world = World()
    ids = []
    world.mine(lambda: ids.extend(world.market.request(name) for name in ("one", "two")))
    world.mine(*(functools.partial(world.market.deliver, job_id) for job_id in ids))
    others = Others(world)
    for _ in range(5):
        world.step()
        world.mine(*[call for job_id in ids for call in others.calls(job_id)])
    assert all(ALICE in world.market.jobs[job_id].agreeing for job_id in ids)


def test_worker__job_without_its_seat__leaves_it_alone():
    world = World()
    ids = []
    world.mine(lambda: ids.append(world.market.request("job")))
    world.mine(lambda: world.market.deliver(ids[0], (BOB, CAROL, "0x" + "d" * 40)))
    for _ in range(60):
        world.step()
        world.mine()
    assert sent(world) == []
    assert world.inferences == 0


# ------------------------------------------------------------------ crashes: LOG-1, LOG-2


def calls_of_a_whole_job(**others):
    world, job_id = started()
    play(world, job_id, Others(world, **others))
    return len(world.calls)


@pytest.mark.parametrize(
    "others",
    [{}, {"carol": SILENT}, {"bob": COMMITS_ONLY}, {"bob": SILENT, "carol": SILENT}],
    ids=["all honest", "one silent", "one hides", "all silent"],
)
def test_worker__killed_between_any_two_port_calls__ends_as_if_it_had_not(others):
    undisturbed, job_id = started()
    expected = play(undisturbed, job_id, Others(undisturbed, **others))
    count = calls_of_a_whole_job(**others)
    assert count > 20
    for crash_at in range(count):
        world, job_id = started(crash_at)
        job = play(world, job_id, Others(world, **others))
        assert world.restarts == 1, crash_at
        assert len(set(world.commitments)) == 1, crash_at
        assert (job.state, job.agreeing, job.refund_reason) == (
            expected.state,
            expected.agreeing,
            expected.refund_reason,
        ), crash_at
        if job.decidable:
            assert ALICE in job.revealed, crash_at  # it never misses a reveal that it could make


def test_worker__killed_and_its_model_answers_otherwise_afterwards__never_commits_to_a_second_value():  # LOG-2
    count = calls_of_a_whole_job()
    for crash_at in range(count):
        world, job_id = started(crash_at)

        def fickle(job, world=world):
            answer = world.honest(job)
            return replace(answer, commitment=digest(f"fickle {world.inferences}"))

        world.answer = fickle
        try:
            play(world, job_id, blocks=30)
        except AssertionError as error:
            assert "LOG-2" in str(error)  # noqa: PT017
        assert len(set(world.commitments)) <= 1, crash_at


def test_worker__restarted_with_an_empty_journal_after_the_commit__reveals_what_it_makes_again():
    world, job_id = started()
    world.step()
    world.mine()
    world.disk.answers.clear()
    world.disk.sent.clear()
    world.disk.status.clear()
    world.worker = world._start()
    job = play(world, job_id)
    assert ALICE in job.agreeing
    assert world.inferences == 2
    assert len(set(world.commitments)) == 1


@pytest.mark.parametrize(
    "error", [CannotServe(RefusalReason.OTHER, "no"), CiphertextMissing("no"), CloisterError("away")]
)
def test_worker__empty_journal_and_no_answer__tries_again_with_later_blocks(error):
    world, job_id = started()
    world.step()
    world.mine()
    world.disk.answers.clear()
    tries = []

    def answer(job):
        tries.append(job)
        if len(tries) < 3:
            raise error
        return world.honest(job)

    world.answer = answer
    job = play(world, job_id)
    assert ALICE in job.agreeing
    assert len(tries) == 3


# ------------------------------------------------------------------ refusals: JOB-13, JOB-16


@pytest.mark.parametrize("reason", list(RefusalReason))
def test_worker__cannot_serve__refuses_with_the_reason_and_once(reason):
    world, job_id = started()

    def refuse(job):
        world.inferences += 1
        raise CannotServe(reason, "not this one")

    world.answer = refuse
    job = play(world, job_id)
    assert job.refused == {ALICE}
    assert job.agreeing == {BOB, CAROL}
    (refusal,) = [argument for what, _, argument in world.disk.sent.values() if what == "refuse"]
    assert refusal is reason
    assert world.inferences == 1
    assert world.commitments == []


# ------------------------------------------------------------------ demand: JOB-17, JOB-19


def without_ciphertext(world):
    def answer(job):
        if job.ciphertext is None:
            raise CiphertextMissing("not in any store")
        return world.honest(job)

    world.answer = answer


def test_worker__no_ciphertext__demands_then_commits_when_it_is_published():
    world, job_id = started()
    without_ciphertext(world)

    def publish(number):
        if world.market.jobs[job_id].state is State.DEMANDED:
            world.mine(lambda: world.market.publish(job_id))

    job = play(world, job_id, Others(world, bob=SILENT), each=publish)
    assert sent(world)[:2] == ["demand", "commit"]
    assert ALICE in job.agreeing


def test_worker__demand_unanswered__closes_the_job():
    world, job_id = started()
    without_ciphertext(world)
    job = play(world, job_id, Others(world, bob=SILENT, carol=SILENT))
    assert job.refund_reason is RefundReason.UNPUBLISHED
    assert sent(world) == ["demand", "close"]


def test_worker__another_demands_first__works_all_the_same_after_the_publication():
    world, job_id = started()
    without_ciphertext(world)
    world.step()  # its demand waits …
    world.market.mine(lambda: world.market.demand(job_id, BOB))  # … and BOB's is mined before it
    world.mine()
    assert world.disk.status[f"demand:{job_id.hex()}"] == "failed"
    world.step()
    world.mine(lambda: world.market.publish(job_id))
    job = play(world, job_id)
    assert ALICE in job.agreeing


def test_worker__another_demanded_before_it_looked__works_after_the_publication():
    """Its simulation says that the state is wrong: the step must not be given up for good."""
    world, job_id = started()
    without_ciphertext(world)
    perform = world.worker.desk._send

    def late(what, job, argument):
        if what == "demand" and not world.market.jobs[job_id].ciphertext:
            raise Reverted("the state is wrong")
        perform(what, job, argument)

    world.worker.desk._send = late
    world.step()
    world.mine(lambda: world.market.demand(job_id, BOB))
    world.step()
    world.mine(lambda: world.market.publish(job_id))
    job = play(world, job_id)
    assert ALICE in job.agreeing


def test_worker__ciphertext_too_large_to_publish__refuses():  # JOB-19
    world, job_id = started(ciphertext_size=65_537)
    without_ciphertext(world)
    job = play(world, job_id)
    assert job.refused == {ALICE}
    assert sent(world) == ["refuse"]


def test_worker__largest_ciphertext_that_can_be_published__is_demanded():  # JOB-19
    world, _job_id = started(ciphertext_size=65_536)
    without_ciphertext(world)
    world.step()
    assert sent(world) == ["demand"]


# ------------------------------------------------------------------ others' silence: JOB-14, JOB-24


def test_worker__one_never_commits__reveals_after_the_window_and_is_paid():
    world, job_id = started()
    job = play(world, job_id, Others(world, carol=SILENT))
    assert ALICE in job.revealed
    assert job.state is State.REFUNDED or ALICE in job.agreeing


def test_worker__others_silent__closes_in_its_turn_and_once():
    world, job_id = started()
    job = play(world, job_id, Others(world, bob=SILENT, carol=SILENT))
    assert job.refund_reason is RefundReason.TOO_FEW_COMMITS
    assert sent(world) == ["commit", "close"]


def test_worker__requester_silent_before_the_delivery__does_nothing():
    world = World()
    ids = []
    world.mine(lambda: ids.append(world.market.request("job")))
    for _ in range(100):
        world.step()
        world.mine()
    assert sent(world) == []


def test_worker__abandoned_jobs_of_others__pin_neither_memory_nor_cursor():
    world = World()
    world.mine(lambda: world.market.request("abandoned"))
    theirs = []
    world.mine(lambda: theirs.append(world.market.request("theirs")))
    world.mine(lambda: world.market.deliver(theirs[0], (BOB, CAROL, "0x" + "d" * 40)))
    for _ in range(REORG_DEPTH + 60):
        world.mine()
    world.step()
    needed = world.market.number - REORG_DEPTH
    assert needed - CURSOR_STEP < world.disk.cursor <= needed
    assert list(world.worker.ledger) == []


def test_worker__idle__writes_the_cursor_once_in_many_blocks():
    world = World()
    world.step()
    writes = []
    world.worker.memory.set_cursor = writes.append
    while world.market.number < REORG_DEPTH + 10 * CURSOR_STEP:
        world.mine()
        world.step()
    assert writes == list(range(CURSOR_STEP, 10 * CURSOR_STEP + 1, CURSOR_STEP))


def test_worker__own_unfinished_job__keeps_the_cursor_where_it_began(monkeypatch):
    world, job_id = started()
    monkeypatch.setattr("support.simulated_market.BLOCK", 0)  # its clock stands still: no deadline ever passes
    for _ in range(REORG_DEPTH + 50):
        world.mine()
    world.step()
    assert world.disk.cursor <= 1  # the block of the request
    world.worker = world._start()
    world.step()
    assert world.worker.ledger.get(job_id) is not None


def test_step__desk_that_does_nothing__ends_all_the_same():
    world, _ = started()
    world.worker.desk._send = lambda what, job, argument: None
    assert world.step()
    assert world.inferences == 1


# ------------------------------------------------------------------ reorganisations


def test_worker__delivery_taken_back_and_made_again__still_ends_paid():
    for depth in range(1, 4):
        world, job_id = started()
        world.step()
        world.mine()
        world.step()
        redelivered = []

        def again(number, world=world, job_id=job_id, depth=depth, redelivered=redelivered):
            if number == 0:
                world.reorganise(depth)
                if job_id not in world.market.jobs:
                    world.market.mine(lambda: world.market.request("job"))
                if world.market.jobs[job_id].state is State.OPEN:
                    world.market.mine(lambda: world.market.deliver(job_id))
                    redelivered.append(True)

        job = play(world, job_id, each=again)
        assert ALICE in job.agreeing, depth
        assert len(set(world.commitments)) == 1
    assert redelivered


def test_worker__delivery_taken_back_and_made_to_others__stops():
    world, job_id = started()
    world.step()
    world.reorganise(1)
    world.market.mine(lambda: world.market.deliver(job_id, (BOB, CAROL, "0x" + "d" * 40)))
    world.disk.status[f"commit:{job_id.hex()}"] = "failed"
    for _ in range(60):
        world.step()
        world.mine()
    assert sent(world) == ["commit"]


# ------------------------------------------------------------------ what the chain refuses, and what fails


def test_worker__chain_refuses_a_step__tries_again_with_the_next_block_and_not_before():
    world, job_id = started()
    send = world.worker.desk._send
    refused = []

    def refuse(what, job, argument):
        if what == "commit" and len(refused) < 3:
            refused.append(world.market.number)
            raise Reverted("not now")
        send(what, job, argument)

    world.worker.desk._send = refuse
    for _ in range(4):
        world.step()
    assert len(refused) == 1
    job = play(world, job_id)
    assert ALICE in job.agreeing
    assert len(set(refused)) == 3


def test_worker__late_reveal_refused_by_a_node_that_is_a_block_behind__is_made_later():
    """A node may simulate with the time of its newest block, which is before the deadline that has just passed."""
    world, job_id = started()
    send = world.worker.desk._send
    refused = []

    def behind(what, job, argument):
        if what in ("reveal", "close") and len(refused) < 2:
            refused.append(what)
            raise Reverted("too early")
        send(what, job, argument)

    world.worker.desk._send = behind
    job = play(world, job_id, Others(world, carol=SILENT))
    assert refused == ["reveal", "reveal"]
    assert ALICE in job.revealed


def test_worker__inference_fails_for_one_job__others_are_served():
    world = World()
    ids = []
    world.mine(lambda: ids.extend(world.market.request(name) for name in ("one", "two", "three")))
    world.mine(*(functools.partial(world.market.deliver, job_id) for job_id in ids))

    def answer(job):
        if job.job_id == ids[0]:
            raise CloisterError("the store is away")
        return world.honest(job)

    world.answer = answer
    others = Others(world)
    for _ in range(8):
        world.step()
        world.mine(*[call for job_id in ids for call in others.calls(job_id)])
    assert [ALICE in world.market.jobs[job_id].committed for job_id in ids] == [False, True, True]


def test_worker__store_away_for_a_while__serves_the_job_when_it_is_back():
    world, job_id = started()
    away = [True]

    def answer(job):
        if away[0]:
            raise CloisterError("the store is away")
        return world.honest(job)

    world.answer = answer

    def back(number):
        away[0] = number < 5

    job = play(world, job_id, each=back)
    assert ALICE in job.agreeing


def test_worker__reveal_due_while_work_queues__comes_before_the_work():
    world = World()
    ids = []
    world.mine(lambda: ids.append(world.market.request("first")))
    world.mine(lambda: world.market.deliver(ids[0]))
    world.step()
    world.mine(*Others(world).calls(ids[0]))
    # reveals of the first are open now, and more work comes in
    world.mine(lambda: ids.extend(world.market.request(name) for name in ("second", "third")))
    world.mine(*(functools.partial(world.market.deliver, job_id) for job_id in ids[1:]))
    order = []
    send = world.worker.desk._send

    def note(what, job, argument):
        order.append((what, ids.index(job.job_id)))
        send(what, job, argument)

    world.worker.desk._send = note
    world.step()
    assert order == [("reveal", 0), ("commit", 1), ("commit", 2)]


def test_worker__reveals_that_open_during_work__are_made_before_more_work():
    world = World()
    ids = []
    world.mine(lambda: ids.extend(world.market.request(name) for name in ("first", "second", "third")))
    world.mine(lambda: world.market.deliver(ids[0]))
    world.mine(lambda: world.market.deliver(ids[1]))
    world.mine(lambda: world.market.deliver(ids[2]))
    others = Others(world)
    order = []
    send = world.worker.desk._send

    def note(what, job, argument):
        order.append((what, ids.index(job.job_id)))
        send(what, job, argument)

    def slow(job):
        answer = world.honest(job)
        if job.job_id == ids[1]:  # while it works on the second, everybody commits to the first
            world.mine(*others.calls(ids[0]))
        return answer

    world.worker.desk._send = note
    world.answer = slow
    world.step()
    assert order == [("commit", 0), ("commit", 1), ("reveal", 0), ("commit", 2)]


class Surprise(Exception):
    """Nothing that anybody planned for."""


@pytest.mark.parametrize("where", ["poll", "settle", "progress", "inference", "remember", "commit", "recall", "cursor"])
def test_worker__unexpected_exception__is_let_out_from_every_port(where):
    world, _ = started()
    tick = world.tick

    def surprise(what):
        if what == where:
            raise Surprise
        tick(what)

    world.tick = surprise

    def go_on():
        for _ in range(REORG_DEPTH + CURSOR_STEP):  # the cursor moves when blocks have passed
            world.step()
            world.mine()

    with pytest.raises(Surprise):
        go_on()


@pytest.mark.parametrize("where", ["poll", "settle", "remember", "commit"])
def test_worker__error_that_is_no_refusal__is_let_out(where):
    world, _ = started()
    tick = world.tick

    def away(what):
        if what == where:
            raise CloisterError("the endpoint is away")
        tick(what)

    world.tick = away
    with pytest.raises(CloisterError, match="away"):
        world.step()


# ------------------------------------------------------------------ time


@pytest.mark.parametrize(("left", "works"), [(30, True), (2, True), (1, False), (0, False)])
def test_worker__close_to_the_deadline__starts_no_work(left, works):  # JOB-12
    world, job_id = started()
    feed = world.worker.feed
    world.worker._read()  # the delivery is known
    deadline = world.market.jobs[job_id].deadline
    assert feed.next > world.market.number
    world.elapsed = deadline - left - world.worker._head.timestamp
    world.step()
    assert sent(world) == (["commit"] if works else [])


def test_worker__clock__runs_on_between_blocks():
    world, _ = started()
    world.step()
    before = world.worker.now()
    world.elapsed += 7.9
    assert world.worker.now() == before + 7
    world.mine()
    world.step()
    assert world.worker.now() == before + BLOCK
