"""What an honest worker and an honest requester do next: every state, time and progress."""

import itertools

import pytest
from support.jobs import ALICE, BOB, CAROL, WINDOW, Story

from cloister.domain.decisions import Action, Progress, RequesterAction, Timing, decide, decide_as_requester
from cloister.domain.events import RefundReason
from cloister.domain.ids import NOBODY, Address
from cloister.domain.job import fold
from cloister.domain.request import Level

TIMING = Timing(margin=5, patience=10, reveal_window=WINDOW)
NOTHING = Progress()
MALLORY = Address("0x" + "9" * 40)


def job_of(*steps, committee=(ALICE, BOB, CAROL), quorum=2):
    story = Story(len(committee), quorum)
    events = [story.requested()]
    for step in steps:
        name, _, worker = step.partition(" ")
        who = {"alice": ALICE, "bob": BOB, "carol": CAROL}.get(worker)
        if name == "delivered":
            events.append(story.delivered(*committee))
        elif name == "refunded":
            events.append(story.refunded(RefundReason.TOO_FEW_COMMITS))
        elif name == "settled":
            events.append(story.settled(0b11))
        else:
            events.append(getattr(story, name)(*([who] if who else [])))
    return fold(events)


READY = job_of("delivered")


def at(job, seconds, me=ALICE, progress=NOTHING, timing=TIMING):
    return decide(job, me, progress, job.deadline + seconds, timing)


# ------------------------------------------------------------------ work: JOB-12, JOB-13


@pytest.mark.parametrize(
    ("before_deadline", "expected"),
    [(90, Action.WORK), (6, Action.WORK), (5, Action.WORK), (4, None), (1, None), (0, None)],
)
def test_decide__ready__works_only_while_the_margin_holds(before_deadline, expected):  # JOB-12: before the deadline
    assert at(READY, -before_deadline) is expected


def test_decide__every_second_of_every_state__never_works_within_the_margin():  # JOB-12
    jobs = [READY, job_of("delivered", "committed bob"), job_of("delivered", "demanded bob", "published")]
    for job, second, margin in itertools.product(jobs, range(-20, 20), (0, 1, 7)):
        timing = Timing(margin=margin, patience=3, reveal_window=WINDOW)
        works = at(job, second, timing=timing) is Action.WORK
        assert works == (second + margin <= 0)


@pytest.mark.parametrize(
    "progress",
    [Progress(committed=True), Progress(withdrew=True), Progress(demanded=True)],
    ids=["committed", "withdrew", "demanded"],
)
def test_decide__already_sent__does_not_work_again(progress):  # LOG-2
    assert at(READY, -50, progress=progress) is None


@pytest.mark.parametrize("step", ["committed alice", "refused alice"])
def test_decide__seat_used_on_chain__does_not_work_even_with_an_empty_journal(step):  # JOB-12, JOB-16
    assert at(job_of("delivered", step), -50) is None


def test_decide__state_that_is_not_ready__never_works():
    for job in (
        job_of(),
        job_of("delivered", "demanded bob"),
        job_of("delivered", "committed bob", "committed carol", "opened"),
    ):
        for second in (-90, -5, 0):
            assert at(job, second) is None


def test_decide__stranger_or_vacant_seat__does_nothing_at_any_time():
    vacant = job_of("delivered", committee=(ALICE, BOB, NOBODY))
    for second in (-50, 0, 5, 500, 5000):
        assert at(vacant, second, me=CAROL) is None
        assert at(READY, second, me=MALLORY) is None


# ------------------------------------------------------------------ demand: JOB-17


def test_decide__own_demand__waits_for_the_publication_then_works():
    demanded = job_of("delivered", "demanded alice")
    assert at(demanded, -50, progress=Progress(demanded=True)) is None
    published = job_of("delivered", "demanded alice", "published")
    assert at(published, -50, progress=Progress(demanded=True)) is Action.WORK
    assert at(published, -4, progress=Progress(demanded=True)) is None


@pytest.mark.parametrize("sent", ["committed", "withdrew"])
def test_decide__own_demand_answered_and_work_sent__does_not_work_again(sent):
    published = job_of("delivered", "demanded alice", "published")
    assert at(published, -50, progress=Progress(demanded=True, **{sent: True})) is None


def test_decide__another_demanded_first__works_after_the_publication():
    # its own demand was sent too, came second and reverted
    published = job_of("delivered", "demanded bob", "published")
    assert at(published, -50, progress=Progress(demanded=True)) is Action.WORK
    assert at(published, -50) is Action.WORK


# ------------------------------------------------------------------ reveal: JOB-14, JOB-15


COMMITTED = job_of("delivered", "committed alice", "committed bob", "committed carol", "opened")


@pytest.mark.parametrize(
    ("second", "expected"), [(-90, Action.REVEAL), (-1, Action.REVEAL), (0, Action.REVEAL), (1, None)]
)
def test_decide__reveals_open__reveals_up_to_the_last_second(second, expected):
    assert at(COMMITTED, second, progress=Progress(committed=True)) is expected


def test_decide__reveal_with_a_lost_journal__reveals_all_the_same():
    assert at(COMMITTED, -50) is Action.REVEAL


def test_decide__revealed_or_not_committed__does_not_reveal():
    assert at(COMMITTED, -50, progress=Progress(committed=True, revealed=True)) is None
    done = job_of("delivered", "committed alice", "committed bob", "committed carol", "opened", "revealed alice")
    assert at(done, -50) is None
    without_me = job_of("delivered", "committed bob", "committed carol", "refused alice", "opened")
    assert at(without_me, -50) is None


@pytest.mark.parametrize(
    ("second", "expected"),
    [(-1, None), (0, None), (1, Action.REVEAL), (WINDOW, Action.REVEAL), (WINDOW + 1, None)],
)
def test_decide__commit_window_over_with_a_quorum__reveals_in_the_reveal_window_that_follows(
    second, expected
):  # JOB-14
    job = job_of("delivered", "committed alice", "committed bob")
    assert at(job, second, progress=Progress(committed=True)) is expected


def test_decide__commit_window_over_without_a_quorum__reveals_nothing():  # JOB-14, JOB-23
    job = job_of("delivered", "committed alice")
    for second in range(1, 2 * WINDOW):
        assert at(job, second) is not Action.REVEAL


# ------------------------------------------------------------------ close: JOB-24


@pytest.mark.parametrize(
    ("job", "end"),
    [
        (READY, 0),
        (job_of("delivered", "committed alice"), 0),
        (job_of("delivered", "committed alice", "committed bob"), WINDOW),
        (job_of("delivered", "demanded alice"), 0),
        (COMMITTED, 0),
    ],
    ids=["ready", "one commit", "quorum of commits", "demanded", "committed"],
)
@pytest.mark.parametrize(("me", "seat"), [(ALICE, 0), (BOB, 1), (CAROL, 2)])
def test_decide__deadline_passed__closes_in_the_order_of_the_seats(job, end, me, seat):
    turn = end + TIMING.patience * (1 + seat)
    everything = Progress(committed=True, revealed=True, withdrew=True, demanded=True)
    for second in range(-10, turn + 1):
        assert at(job, second, me=me, progress=everything) is None
    assert at(job, turn + 1, me=me, progress=everything) is Action.CLOSE
    assert at(job, turn + 1, me=me, progress=Progress(closed=True)) is None


def test_decide__refused_seat__still_closes_to_free_its_stake():
    job = job_of("delivered", "refused alice")
    assert at(job, TIMING.patience + 1, progress=Progress(withdrew=True)) is Action.CLOSE


@pytest.mark.parametrize(
    "end", [("refunded",), ("committed alice", "committed bob", "opened", "revealed alice", "revealed bob", "settled")]
)
def test_decide__job_over__does_nothing(end):
    job = job_of("delivered", *end)
    for second in (-50, 0, 50, 5000):
        assert at(job, second) is None


def test_decide__every_state_time_and_progress__only_known_actions_in_their_states():
    """The whole table: no action outside the state and time that the market takes it in."""
    jobs = {
        "open": job_of(),
        "ready": READY,
        "mine committed": job_of("delivered", "committed alice"),
        "quorum": job_of("delivered", "committed alice", "committed bob"),
        "others": job_of("delivered", "committed bob", "committed carol"),
        "demanded": job_of("delivered", "demanded bob"),
        "published": job_of("delivered", "demanded bob", "published"),
        "committed": COMMITTED,
        "settled": job_of(
            "delivered", "committed alice", "committed bob", "opened", "revealed alice", "revealed bob", "settled"
        ),
    }
    flags = [Progress(*bits) for bits in itertools.product([False, True], repeat=5)]
    for (name, job), second, progress in itertools.product(jobs.items(), range(-110, 250, 5), flags):
        action = at(job, second, progress=progress)
        if action is Action.WORK:
            assert name in ("ready", "others", "published")
            assert second <= -TIMING.margin
            assert not progress.committed
            assert not progress.withdrew
        elif action is Action.REVEAL:
            assert (name == "committed" and second <= 0) or (name == "quorum" and 0 < second <= WINDOW)
            assert not progress.revealed
        elif action is Action.CLOSE:
            assert name not in ("open", "settled")
            decidable_but_open = name in ("quorum", "others")
            assert second > TIMING.patience + (WINDOW if decidable_but_open else 0)
            assert not progress.closed


# ------------------------------------------------------------------ the requester


def requester_at(job, seconds, seed_ready=True):
    return decide_as_requester(job, job.deadline + seconds, seed_ready, WINDOW)


def test_requester__open__delivers_when_the_seed_is_ready_and_in_time():  # JOB-6, JOB-9
    job = job_of()
    assert requester_at(job, -50, seed_ready=False) is None
    assert requester_at(job, -50) is RequesterAction.DELIVER
    assert requester_at(job, 0) is RequesterAction.DELIVER
    assert requester_at(job, 1) is RequesterAction.CLOSE
    assert requester_at(job, 1, seed_ready=False) is RequesterAction.CLOSE


def test_requester__demanded__publishes_in_time():  # JOB-17
    job = job_of("delivered", "demanded bob")
    assert requester_at(job, 0) is RequesterAction.PUBLISH
    assert requester_at(job, 1) is RequesterAction.CLOSE


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        (("delivered",), 0),
        (("delivered", "committed alice"), 0),
        (("delivered", "committed alice", "committed bob"), WINDOW),
        (("delivered", "committed alice", "committed bob", "refused carol", "opened"), 0),
    ],
)
def test_requester__others_silent__closes_the_second_after_the_end(steps, end):  # JOB-24
    job = job_of(*steps)
    assert requester_at(job, end) is None
    assert requester_at(job, end + 1) is RequesterAction.CLOSE


def test_requester__job_over__does_nothing():
    for second in (-10, 10, 1000):
        assert requester_at(job_of("delivered", "refunded"), second) is None


# ------------------------------------------------------------------ proved jobs


def proved_job(*steps):
    story = Story(single=Level.PROVED)
    made = {"delivered": story.delivered, "demanded": lambda: story.demanded(ALICE), "published": story.published}
    made |= {"proved": story.proved, "settled": lambda: story.settled(0b1), "refused": lambda: story.refused(ALICE)}
    return fold([story.requested(), *(made[step]() for step in steps)])


@pytest.mark.parametrize(("before_deadline", "expected"), [(90, Action.PROVE), (5, Action.PROVE), (4, None), (0, None)])
def test_decide__proved_job__is_proved_only_while_the_margin_holds(before_deadline, expected):
    assert at(proved_job("delivered"), -before_deadline) is expected
    assert at(proved_job("delivered"), -before_deadline, me=BOB) is None


@pytest.mark.parametrize("sent", ["proved", "withdrew", "demanded"])
def test_decide__proof_or_refusal_or_demand_sent__waits(sent):
    assert at(proved_job("delivered"), -50, progress=Progress(**{sent: True})) is None
    assert at(proved_job("delivered", "demanded", "published"), -50, progress=Progress(demanded=True)) is Action.PROVE


def test_decide__proved_job__is_never_revealed_and_closed_after_its_deadline():
    for second in range(-90, 10):
        assert at(proved_job("delivered"), second, progress=Progress(proved=True)) is None
    assert at(proved_job("delivered"), 11) is Action.CLOSE
    assert at(proved_job("delivered", "refused"), -50) is None
    assert at(proved_job("delivered", "proved", "settled"), 500) is None


def test_decide__requester_of_a_proved_job__closes_right_after_the_deadline():
    job = proved_job("delivered")
    assert decide_as_requester(job, job.deadline, True, WINDOW) is None
    assert decide_as_requester(job, job.deadline + 1, True, WINDOW) is RequesterAction.CLOSE
