"""Folding events into jobs: what the market can emit is taken, everything else is refused."""

import itertools
import random

import pytest
from support.jobs import ALICE, BOB, CAROL, REQUESTER, Story, digest, random_history

from cloister.domain.events import JobSettled, KeysDelivered, RefundReason
from cloister.domain.ids import NOBODY
from cloister.domain.job import ImpossibleHistory, Job, State, apply, fold
from cloister.domain.request import Level

MALLORY = "0x" + "9" * 40


def committed_job(*, story=None, revealed=()):
    story = story or Story()
    events = [story.requested(), story.delivered(), *(story.committed(w) for w in (ALICE, BOB, CAROL)), story.opened()]
    return story, fold([*events, *(story.revealed(worker, output) for worker, output in revealed)])


def ready_job(committed=(), refused=(), quorum=2, committee=(ALICE, BOB, CAROL)):
    story = Story(len(committee), quorum)
    events = [story.requested(), story.delivered(*committee)]
    events += [story.committed(w) for w in committed] + [story.refused(w) for w in refused]
    return story, fold(events)


def test_fold__happy_path__tells_every_state_deadline_and_seat():
    story = Story()
    requested = story.requested()
    job = fold([requested])
    assert (job.state, job.deadline, job.requester, job.seed_block) == (State.OPEN, requested.deliver_by, REQUESTER, 7)
    delivered = story.delivered(ALICE, NOBODY, CAROL)
    job = apply(job, delivered)
    assert (job.state, job.deadline, job.seated) == (State.READY, delivered.commit_by, (ALICE, CAROL))
    assert job.sealed_key_for(CAROL) == digest(CAROL)
    job = apply(job, story.committed(ALICE))
    assert job.committed == {ALICE}
    assert not job.decidable
    job = apply(job, story.committed(CAROL))
    assert job.decidable
    opened = story.opened()
    job = apply(job, opened)
    assert (job.state, job.deadline) == (State.COMMITTED, opened.reveal_by)
    job = apply(apply(job, story.revealed(ALICE)), story.revealed(CAROL))
    assert job.revealed.keys() == {ALICE, CAROL}
    assert not job.over
    job = apply(job, story.settled(0b101))
    assert (job.state, job.result, job.agreeing, job.over) == (State.SETTLED, digest("right"), {ALICE, CAROL}, True)


def test_fold__demand_and_publication__stop_and_restart_the_clock():  # JOB-17
    story, job = ready_job(committed=[BOB])
    demanded = story.demanded(ALICE)
    job = apply(job, demanded)
    assert (job.state, job.deadline, job.ciphertext) == (State.DEMANDED, demanded.publish_by, None)
    published = story.published()
    job = apply(job, published)
    assert (job.state, job.deadline, job.ciphertext) == (State.READY, published.commit_by, b"ciphertext")
    assert job.committed == {BOB}


def test_fold__random_legal_histories__are_all_taken():
    states = set()
    for seed in range(400):
        job = fold(random_history(random.Random(seed), f"job {seed}"))
        states.add(job.state)
        assert job.over == (job.state in (State.SETTLED, State.REFUNDED))
    assert states == set(State) - {State.NONE}


def test_fold__two_revealed_outputs__settles_for_the_quorum_only():  # JOB-20
    revealed = [(ALICE, "wrong"), (BOB, "right"), (CAROL, "right")]
    story, job = committed_job(revealed=revealed)
    assert apply(job, story.settled(0b110)).agreeing == {BOB, CAROL}


@pytest.mark.parametrize(
    ("mask", "output"),
    [
        (0b111, "right"),  # a seat that revealed another output is paid
        (0b010, "right"),  # fewer than a quorum
        (0b011, "right"),  # the wrong seats
        (0b110, "wrong"),  # an output that they did not reveal
        (0b001, "wrong"),  # a minority wins
        (0, "never seen"),
    ],
)
def test_apply__settled_otherwise_than_revealed__raises(mask, output):  # JOB-20
    _, job = committed_job(revealed=[(ALICE, "wrong"), (BOB, "right"), (CAROL, "right")])
    with pytest.raises(ImpossibleHistory):
        apply(job, JobSettled(job.job_id, digest(output), mask))


def every_event(story: Story):
    """One event of each kind, in a form that suits the job of `ready_job`."""
    return {
        "requested": story.requested(),
        "delivered": story.delivered(),
        "committed": story.committed(CAROL),
        "opened": story.opened(),
        "revealed": story.revealed(ALICE),
        "refused": story.refused(CAROL),
        "demanded": story.demanded(CAROL),
        "published": story.published(),
        "settled": story.settled(0b011),
        **{reason.name: story.refunded(reason) for reason in RefundReason},
    }


def jobs_in_every_state():
    for name, quorum, committed, refused in (
        ("ready", 2, [ALICE], []),
        ("ready, decidable", 2, [ALICE, BOB], []),
        ("ready, hopeless", 2, [], [ALICE, BOB]),
    ):
        yield name, *ready_job(committed, refused, quorum)
    story = Story()
    yield "none", story, None
    story = Story()
    yield "open", story, fold([story.requested()])
    story, job = ready_job([ALICE])
    yield "demanded", story, apply(job, story.demanded(BOB))
    story, job = ready_job([ALICE])
    yield "published", story, apply(apply(job, story.demanded(BOB)), story.published())
    story, job = ready_job([ALICE, BOB])
    yield "committed", story, apply(job, story.opened())
    story, job = committed_job(revealed=[(BOB, "right")])
    yield "one revealed", story, job
    story, job = committed_job(revealed=[(ALICE, "right"), (BOB, "right")])
    yield "two agree", story, job
    story, job = committed_job(revealed=[(ALICE, "right"), (BOB, "right")])
    yield "settled", story, apply(job, story.settled(0b011))
    story = Story()
    yield "refunded", story, fold([story.requested(), story.refunded(RefundReason.NOT_DELIVERED)])


# What may follow what; everything that is not listed here must raise.
LEGAL = {
    "none": {"requested"},
    "open": {"delivered", "NOT_DELIVERED", "COMMITTEE_TOO_SMALL"},
    "ready": {"committed", "refused", "demanded", "TOO_FEW_COMMITS"},
    "ready, decidable": {"committed", "refused", "demanded", "opened", "NO_QUORUM"},
    "ready, hopeless": {"committed", "refused", "demanded", "REFUSALS", "TOO_FEW_COMMITS"},
    "demanded": {"published", "UNPUBLISHED"},
    "published": {"committed", "refused", "TOO_FEW_COMMITS"},
    "committed": {"revealed", "NO_QUORUM"},
    "one revealed": {"revealed", "NO_QUORUM"},
    "two agree": {"settled"},
    "settled": set(),
    "refunded": set(),
}


@pytest.mark.parametrize(
    ("name", "story", "job"), list(jobs_in_every_state()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_apply__every_event_in_every_state__only_the_legal_ones_are_taken(name, story, job):
    taken = set()
    for kind, event in every_event(story).items():
        try:
            assert isinstance(apply(job, event), Job)
            taken.add(kind)
        except ImpossibleHistory:
            pass
    assert taken == LEGAL[name]


@pytest.mark.parametrize("worker", [ALICE, BOB, MALLORY, NOBODY], ids=["committed", "refused", "stranger", "vacant"])
@pytest.mark.parametrize("what", ["committed", "refused", "demanded"])
def test_apply__a_seat_that_cannot__raises(worker, what):  # JOB-12, JOB-16, JOB-17
    story, job = ready_job(committed=[ALICE], refused=[BOB], committee=(ALICE, BOB, CAROL, NOBODY), quorum=3)
    with pytest.raises(ImpossibleHistory):
        apply(job, getattr(story, what)(worker))


def test_apply__reveal_twice_or_without_commitment__raises():  # JOB-15
    story, job = ready_job([ALICE, BOB])
    job = apply(apply(job, story.opened()), story.revealed(ALICE))
    for worker in (ALICE, CAROL, MALLORY):
        with pytest.raises(ImpossibleHistory):
            apply(job, story.revealed(worker))


def test_apply__second_demand__raises():  # JOB-17: once per job
    story, job = ready_job()
    job = apply(apply(job, story.demanded(ALICE)), story.published())
    with pytest.raises(ImpossibleHistory):
        apply(job, story.demanded(BOB))


@pytest.mark.parametrize(
    ("committee", "keys"),
    [
        ((ALICE, BOB), (b"", b"")),  # fewer seats than asked for
        ((ALICE, BOB, CAROL), (b"", b"")),  # a key is missing
        ((ALICE, NOBODY, NOBODY), (b"", b"", b"")),  # no quorum left: JOB-8 refunds instead
    ],
)
def test_apply__delivery_that_does_not_fit__raises(committee, keys):
    story = Story()
    job = fold([story.requested()])
    with pytest.raises(ImpossibleHistory):
        apply(job, KeysDelivered(job.job_id, committee, keys, 2000))


def test_apply__event_of_another_job__raises():
    _, job = ready_job()
    with pytest.raises(ImpossibleHistory):
        apply(job, Story(name="another").committed(ALICE))


def test_apply__no_quorum_although_one_agrees__raises():  # JOB-20, JOB-22
    story, job = committed_job(revealed=[(ALICE, "right"), (BOB, "right"), (CAROL, "wrong")])
    with pytest.raises(ImpossibleHistory):
        apply(job, story.refunded(RefundReason.NO_QUORUM))


def test_apply__events_swapped__never_end_in_a_job_that_nobody_could_have_made():
    story = Story()
    events = [story.requested(), story.delivered(), story.committed(ALICE), story.committed(BOB), story.opened()]
    for order in itertools.permutations(events):
        if [type(e) for e in order] == [type(e) for e in events]:
            assert fold(order).state is State.COMMITTED
            continue
        with pytest.raises(ImpossibleHistory):
            fold(order)


def test_fold__nothing__raises():
    with pytest.raises(ImpossibleHistory):
        fold([])


# ------------------------------------------------------------------ proved jobs


def proved_job(*, until):
    story = Story(single=Level.PROVED)
    events = [story.requested(), story.delivered(), story.proved(), story.settled(0b1)]
    return story, fold(events[:until])


def test_fold__proved__settles_at_once_and_keeps_the_masked_output():
    story, job = proved_job(until=4)
    assert (job.state, job.agreeing, job.result, job.over) == (State.SETTLED, {ALICE}, digest("right"), True)
    assert job.proved == story.proved()
    _, ready = proved_job(until=2)
    assert ready.proved is None
    assert not ready.decidable


@pytest.mark.parametrize(
    ("until", "event"),
    [
        (1, lambda story: story.proved()),
        (2, lambda story: story.proved(BOB)),
        (2, lambda story: story.settled(0b1)),
        (2, lambda story: story.committed(ALICE)),
        (2, lambda story: story.opened()),
        (3, lambda story: story.proved()),
        (3, lambda story: story.settled(0)),
        (3, lambda story: story.settled(0b10)),
        (3, lambda story: story.refused(ALICE)),
        (3, lambda story: story.demanded(ALICE)),
        (3, lambda story: story.refunded(RefundReason.TOO_FEW_COMMITS)),
        (4, lambda story: story.proved()),
        (4, lambda story: story.settled(0b1)),
    ],
)
def test_apply__what_no_market_emits_for_a_proved_job__raises(until, event):
    story, job = proved_job(until=until)
    with pytest.raises(ImpossibleHistory):
        apply(job, event(story))


def test_apply__proof_of_an_agreed_job__raises():
    story, job = ready_job()
    with pytest.raises(ImpossibleHistory):
        apply(job, story.proved(ALICE))


# ------------------------------------------------------------------ attested jobs


def attested_job(*, until):
    story = Story(single=Level.ATTESTED)
    events = [story.requested(), story.delivered(), story.revealed(ALICE), story.settled(0b1)]
    return story, fold(events[:until])


def test_fold__attested__settles_at_once_on_the_answer():
    _, job = attested_job(until=4)
    assert (job.state, job.agreeing, job.result, job.over) == (State.SETTLED, {ALICE}, digest("right"), True)
    assert job.revealed[ALICE].sealed_output == b"sealed"


@pytest.mark.parametrize(
    ("until", "event"),
    [
        (1, lambda story: story.revealed(ALICE)),
        (2, lambda story: story.revealed(BOB)),
        (2, lambda story: story.settled(0b1)),
        (2, lambda story: story.committed(ALICE)),
        (2, lambda story: story.proved()),
        (2, lambda story: story.opened()),
        (3, lambda story: story.revealed(ALICE)),
        (3, lambda story: story.settled(0)),
        (3, lambda story: story.settled(0b1, "another")),
        (3, lambda story: story.refused(ALICE)),
        (3, lambda story: story.demanded(ALICE)),
        (3, lambda story: story.refunded(RefundReason.TOO_FEW_COMMITS)),
        (4, lambda story: story.settled(0b1)),
    ],
)
def test_apply__what_no_market_emits_for_an_attested_job__raises(until, event):
    story, job = attested_job(until=until)
    with pytest.raises(ImpossibleHistory):
        apply(job, event(story))


def test_apply__attested_worker_is_silent__is_refunded():
    story, job = attested_job(until=2)
    assert apply(job, story.refunded(RefundReason.TOO_FEW_COMMITS)).state is State.REFUNDED
