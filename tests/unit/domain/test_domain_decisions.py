"""What an honest worker and an honest requester do next: every state, time and progress."""

import itertools

import pytest
from support.jobs import ALICE, BOB, CAROL, WINDOW, Story

from cloister.domain.decisions import Action, Progress, RequesterAction, Timing, decide, decide_as_requester, finished
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


# ------------------------------------------------------------------ disputes

DOUBTS = Timing(margin=5, patience=10, proving=20, reveal_window=WINDOW, challenge_window=WINDOW, dispute_window=WINDOW)


def voted(alice, bob, carol, *more, verifier=1, quorum=2):
    """Three seats that revealed these outputs, None for nothing, and what came after."""
    story = Story(quorum=quorum, verifier=verifier)
    outputs = {ALICE: alice, BOB: bob, CAROL: carol}
    events = [story.requested(), story.delivered(), *(story.committed(worker) for worker in outputs), story.opened()]
    events += [story.revealed(worker, output) for worker, output in outputs.items() if output]
    return fold([*events, *(make(story) for make in more)])


def doubt(job, seconds, me=ALICE, progress=NOTHING, **options):
    """What to do so many seconds after the present deadline."""
    return decide(job, me, progress, job.deadline + seconds, DOUBTS, **options)


def first_second(job, me, wanted, progress=NOTHING, **options):
    """The first second, counted from the deadline, at which this is to be done; None for never."""
    seconds = range(-WINDOW, 3 * WINDOW)
    return next((s for s in seconds if doubt(job, s, me, progress, **options) is wanted), None)


SPLIT = voted("one", "two", "two", lambda story: story.disputed(), quorum=3)
OUTVOTED = voted("right", "right", "odd", lambda story: story.settled(0b011))
OUTVOTED_PLAIN = voted("right", "right", "odd", lambda story: story.settled(0b011), verifier=0)
CHALLENGED = voted("right", "right", "odd", lambda story: story.settled(0b011), lambda story: story.challenged())


@pytest.mark.parametrize(
    ("job", "me", "since"),
    [
        (SPLIT, ALICE, 0),
        (SPLIT, BOB, 0),
        (SPLIT, CAROL, 20),  # BOB revealed the same, and has the first turn
        (OUTVOTED, ALICE, None),
        (OUTVOTED, BOB, None),
        (OUTVOTED, CAROL, 0),
        (CHALLENGED, ALICE, 0),
        (CHALLENGED, BOB, 20),
        (CHALLENGED, CAROL, 0),
    ],
)
def test_decide__doubted_output_of_mine__is_proved_in_turn(job, me, since):  # CHAL-3, CHAL-7, CHAL-9
    expected = None if since is None else since - WINDOW
    assert first_second(job, me, Action.JUDGE) == expected
    if since is not None:
        last = max(s for s in range(-WINDOW, WINDOW) if doubt(job, s, me) is Action.JUDGE)
        assert last == -DOUBTS.margin
        assert doubt(job, expected, me, Progress(judged=True)) is None


def test_decide__last_of_fifteen_that_revealed_the_same__still_has_half_of_the_window():
    workers = tuple(Address(f"0x{i:040x}") for i in range(1, 16))
    story = Story(15, 8, verifier=1)
    events = [story.requested(), story.delivered(*workers), *(story.committed(w) for w in workers), story.opened()]
    events += [*(story.revealed(w) for w in workers), story.settled(2**15 - 1), story.challenged()]
    job = fold(events)
    turns = [first_second(job, worker, Action.JUDGE) for worker in workers]
    assert turns == [min(20 * i, WINDOW // 2) - WINDOW for i in range(15)]


def test_decide__silent_or_hidden_seat_or_stranger__judges_and_resolves_nothing():
    for job in (
        voted("one", "two", None, lambda story: story.disputed()),
        voted("right", "right", None, lambda story: story.settled(0b011), lambda story: story.challenged()),
    ):
        for me in (CAROL, MALLORY):
            assert {doubt(job, s, me) for s in range(-WINDOW, 3 * WINDOW)} == {None}


def test_decide__proved_already__nobody_proves_again():
    job = voted("one", "two", "two", lambda story: story.disputed(), lambda story: story.proved(BOB), quorum=3)
    assert first_second(job, ALICE, Action.JUDGE) is None


def test_decide__no_verifier__there_is_nothing_to_prove():  # CHAL-8
    for job in (OUTVOTED_PLAIN, voted("one", "two", "three", lambda story: story.disputed(), verifier=0)):
        for me in (ALICE, BOB, CAROL):
            assert first_second(job, me, Action.JUDGE) is None


@pytest.mark.parametrize(("me", "turn"), [(ALICE, 10), (BOB, 20), (CAROL, 30)])
def test_decide__dispute_that_nobody_decided__is_ended_in_the_order_of_the_seats(me, turn):  # CHAL-7
    progress = Progress(judged=True)
    assert first_second(SPLIT, me, Action.RESOLVE, progress) == turn + 1
    assert first_second(SPLIT, me, Action.RESOLVE, Progress(judged=True, resolved=True)) is None


def test_decide__outvoted_seats__are_ended_by_the_majority_while_it_is_worth_it():  # CHAL-9
    for job in (OUTVOTED, OUTVOTED_PLAIN):
        assert first_second(job, ALICE, Action.RESOLVE) == 11
        assert first_second(job, BOB, Action.RESOLVE) == 21
        assert first_second(job, CAROL, Action.RESOLVE) is None
        assert doubt(job, 10 * 4 + WINDOW) is Action.RESOLVE
        assert doubt(job, 10 * 4 + WINDOW + 1) is None
    unanimous = voted("right", "right", "right", lambda story: story.settled(0b111))
    assert first_second(unanimous, ALICE, Action.RESOLVE) is None


def test_decide__challenge_that_nobody_answered__is_ended_by_those_who_do_not_lose_by_it():  # CHAL-7
    assert first_second(CHALLENGED, ALICE, Action.RESOLVE) is None
    assert first_second(CHALLENGED, CAROL, Action.RESOLVE) == 31


def referee_job(*more):
    story = Story(7, 4, "referee", verifier=0)
    workers = tuple(Address(f"0x{i:040x}") for i in range(1, 8))
    return story, fold([story.requested(), *(make(story) for make in (lambda s: s.delivered(*workers), *more))])


def referred(state, outputs=("right", "right", "odd")):
    if state == "disputed":
        return voted(*outputs, lambda story: story.disputed(), lambda story: story.referred(), verifier=0)
    begun = (lambda story: story.settled(0b011), lambda story: story.challenged(), lambda story: story.referred())
    return voted(*outputs, *begun, verifier=0)


@pytest.mark.parametrize("state", ["disputed", "challenged"])
def test_decide__referees__are_waited_for_and_then_believed(state):  # CHAL-8
    job = referred(state, ("one", "two", "three") if state == "disputed" else ("right", "right", "odd"))
    _, open_ = referee_job()
    for referee in (None, open_):
        assert {doubt(job, s, referee=referee) for s in range(-WINDOW, 3 * WINDOW)} == {None}
        assert decide_as_requester(job, job.deadline + WINDOW, True, WINDOW, referee) is None
    mine = "one" if state == "disputed" else "right"
    for output, ends in ((mine, True), ("another", False)):
        workers = tuple(Address(f"0x{i:040x}") for i in range(1, 8))
        made = [lambda s, w=w: s.committed(w) for w in workers] + [lambda s: s.opened()]
        made += [lambda s, w=w, o=output: s.revealed(w, o) for w in workers]
        _, settled = referee_job(*made, lambda s, o=output: s.settled(2**7 - 1, o, final=True))
        assert (first_second(job, ALICE, Action.RESOLVE, referee=settled) is not None) == ends
        now = settled.deadline + 1
        assert decide_as_requester(job, now, True, WINDOW, settled) is RequesterAction.RESOLVE
    _, refunded = referee_job(lambda s: s.refunded(RefundReason.TOO_FEW_COMMITS))
    assert first_second(job, ALICE, Action.RESOLVE, referee=refunded) is not None
    assert decide_as_requester(job, refunded.deadline, True, WINDOW, refunded) is RequesterAction.RESOLVE


def test_decide__every_state_of_a_doubt__acts_in_time_only():
    jobs = (SPLIT, OUTVOTED, OUTVOTED_PLAIN, CHALLENGED)
    flags = [Progress(judged=judged, resolved=resolved) for judged in (False, True) for resolved in (False, True)]
    for job, me, second, progress in itertools.product(jobs, (ALICE, BOB, CAROL), range(-WINDOW, 3 * WINDOW), flags):
        match doubt(job, second, me, progress):
            case Action.JUDGE:
                assert second <= -DOUBTS.margin
                assert job.request.provable
                assert not progress.judged
            case Action.RESOLVE:
                assert second > DOUBTS.patience
                assert not progress.resolved
            case other:
                assert other is None


def test_finished__settled_job__is_when_nobody_has_a_turn_any_more():
    last = OUTVOTED.deadline + 10 * 4 + WINDOW
    assert not finished(OUTVOTED, ALICE, last, DOUBTS)
    assert finished(OUTVOTED, ALICE, last + 1, DOUBTS)
    assert finished(OUTVOTED, MALLORY, 0, DOUBTS)
    assert not finished(job_of(), MALLORY, 10**9, DOUBTS)  # it may be drawn yet
    assert not finished(SPLIT, ALICE, 10**9, DOUBTS)
    assert finished(
        voted("a", "b", "c", lambda s: s.disputed(), lambda s: s.refunded(RefundReason.NO_QUORUM)), ALICE, 0, DOUBTS
    )


# ------------------------------------------------------------------ the requester in a dispute


def test_requester__split_vote_without_a_verifier__takes_its_money_back_unless_it_means_to_refer():  # CHAL-7
    job = voted("one", "two", "three", lambda story: story.disputed(), verifier=0)
    assert requester_at(job, -WINDOW) is RequesterAction.RESOLVE
    for second in (-WINDOW, 0):
        assert decide_as_requester(job, job.deadline + second, True, WINDOW, refers=True) is None
    assert decide_as_requester(job, job.deadline + 1, True, WINDOW, refers=True) is RequesterAction.RESOLVE


@pytest.mark.parametrize("job", [SPLIT, CHALLENGED], ids=["disputed", "challenged"])
def test_requester__dispute_that_a_proof_may_decide__waits_for_its_end(job):  # CHAL-3, CHAL-7
    for second in (-WINDOW, 0):
        assert requester_at(job, second) is None
    assert requester_at(job, 1) is RequesterAction.RESOLVE


def test_requester__settled__has_nothing_to_do():
    for second in range(-WINDOW, 2 * WINDOW, 10):
        assert requester_at(OUTVOTED, second) is None


def test_requester__hired_job_before_its_keys__delivers_nothing():  # JOB-37
    story = Story(single=Level.ATTESTED, worker=ALICE)
    job = fold([story.requested()])
    assert decide_as_requester(job, job.deadline, True, WINDOW) is None
    assert decide(fold([story.requested(), story.delivered()]), ALICE, NOTHING, 1001, TIMING) is Action.ANSWER
