"""Folding events into jobs: what the market can emit is taken, everything else is refused."""

import itertools
import random
from dataclasses import replace

import pytest
from support.jobs import ALICE, BOB, CAROL, REQUESTER, Story, digest, random_history

from cloister.domain.events import JobSettled, KeysDelivered, RefereeCalled, RefundReason
from cloister.domain.ids import NOBODY, JobId
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
    assert (job.state, job.result, job.agreeing, job.over) == (State.SETTLED, digest("right"), {ALICE, CAROL}, False)
    assert job.answered
    assert (job.final(job.final_by), job.final(job.final_by + 1)) == (False, True)
    assert job.ticket() == story.request.ticket((ALICE, NOBODY, CAROL), (digest(ALICE), b"", digest(CAROL)))


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
    decided = set()
    for seed in range(1000):
        job = fold(random_history(random.Random(seed), f"job {seed}"))
        states.add(job.state)
        decided.add((job.state, job.decided, job.refereed is not None))
        assert job.answered == (job.state in (State.SETTLED, State.REFUNDED))
        assert job.over == (job.state is State.REFUNDED or (job.state is State.SETTLED and job.incontestable))
        assert not job.over or job.answered
        assert job.dissenting <= job.revealed.keys() - job.agreeing
    assert states == set(State) - {State.NONE}
    assert {(State.SETTLED, True, False), (State.SETTLED, False, True), (State.DISPUTED, True, False)} <= decided


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
        apply(job, JobSettled(job.job_id, digest(output), mask, 2000))


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
        "disputed": story.disputed(),
        "challenged": story.challenged(),
        "challenged by another": story.challenged(MALLORY),
        "referred": story.referred(),
        "refereed": RefereeCalled(JobId(digest("another")), story.job_id, 2000),
        "proved": story.proved(ALICE),
        "upheld": story.upheld(),
        "overturned": story.overturned(0b100, 0b011, "wrong"),
        "overturned, nobody right": story.overturned(0, 0b011, "unseen"),
        **{reason.name: story.refunded(reason) for reason in RefundReason},
    }


def jobs_in_every_state():
    for name, quorum, committed, refused in (
        ("ready", 2, [ALICE], []),
        ("ready, decidable", 2, [ALICE, BOB], []),
        ("ready, hopeless", 2, [], [ALICE, BOB]),
    ):
        yield name, *ready_job(committed, refused, quorum)
    yield "ready, complete", *ready_job([ALICE, BOB, CAROL], [], 2)
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
    for verifier in (0, 1):
        yield from doubted_jobs(verifier)
    story = Story()
    yield "refunded", story, fold([story.requested(), story.refunded(RefundReason.NOT_DELIVERED)])


def doubted_jobs(verifier):
    name = "provable" if verifier else "plain"

    def revealed(*outputs, refereed=False):
        story = Story(verifier=verifier)
        events = [story.requested()]
        if refereed:
            events.append(RefereeCalled(JobId(digest("another")), story.job_id, 2000))
        events += [story.delivered(), *(story.committed(worker) for worker in (ALICE, BOB, CAROL)), story.opened()]
        shown = zip((ALICE, BOB, CAROL), outputs, strict=False)
        return story, fold([*events, *(story.revealed(worker, output) for worker, output in shown)])

    story, job = revealed("right", "odd", "wrong")
    yield f"{name}: split", story, job
    yield f"{name}: disputed", story, apply(job, story.disputed())
    story, job = revealed("right", "right")
    settled = apply(job, story.settled(0b011))
    yield f"{name}: settled", story, settled
    yield f"{name}: challenged", story, apply(settled, story.challenged())
    yield f"{name}: upheld", story, apply(apply(settled, story.challenged()), story.upheld()) if verifier else None
    story, job = revealed("right", "right", "odd")
    yield f"{name}: settled, one outvoted", story, apply(job, story.settled(0b011))
    story, job = revealed("right", "right")
    if verifier:
        yield f"{name}: proved", story, apply(settled, story.proved())
        yield f"{name}: challenged, proved", story, apply(apply(settled, story.challenged()), story.proved())
        overturned = apply(apply(settled, story.proved()), story.overturned(0, 0b011, "unseen"))
        yield f"{name}: overturned", story, overturned
    else:
        yield f"{name}: referred", story, apply(apply(settled, story.challenged()), story.referred())
        story, job = revealed("right", "right", refereed=True)
        yield f"{name}: referee settled", story, apply(job, story.settled(0b011, final=True))
        story, job = revealed("right", "odd", "wrong", refereed=True)
        yield f"{name}: referee split", story, job


# What may follow what; everything that is not listed here must raise.
LEGAL = {
    "none": {"requested"},
    "open": {"delivered", "refereed", "NOT_DELIVERED", "COMMITTEE_TOO_SMALL"},
    "ready": {"committed", "refused", "demanded", "TOO_FEW_COMMITS"},
    "ready, decidable": {"committed", "refused", "demanded", "opened", "NO_QUORUM"},
    "ready, hopeless": {"REFUSALS"},
    "ready, complete": {"opened"},
    "demanded": {"published", "UNPUBLISHED"},
    "published": {"committed", "refused", "TOO_FEW_COMMITS"},
    "committed": {"revealed", "NO_QUORUM"},
    "one revealed": {"revealed", "disputed", "NO_QUORUM"},
    "two agree": {"settled"},
    "provable: split": {"disputed"},
    "provable: disputed": {"proved", "NO_QUORUM"},
    "provable: settled": {"challenged", "challenged by another", "proved"},
    "provable: settled, one outvoted": {"challenged", "challenged by another", "proved", "upheld"},
    "plain: settled, one outvoted": {"challenged", "upheld"},
    "provable: proved": {"overturned, nobody right"},
    "provable: challenged": {"proved", "upheld", "NOT_PROVED"},
    "provable: challenged, proved": {"upheld", "overturned, nobody right"},
    "provable: upheld": set(),
    "provable: overturned": set(),
    "plain: split": {"disputed", "NO_QUORUM"},
    "plain: disputed": {"referred", "NO_QUORUM"},
    "plain: settled": {"challenged"},
    "plain: challenged": {"referred"},
    "plain: referred": {"upheld", "overturned, nobody right"},
    "plain: referee settled": set(),
    "plain: referee split": {"NO_QUORUM"},
    "refunded": set(),
}


@pytest.mark.parametrize(
    ("name", "story", "job"),
    [row for row in jobs_in_every_state() if row[0] == "none" or row[2] is not None],
    ids=lambda value: value if isinstance(value, str) else "",
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


def test_legal__table__names_every_state_that_is_made():
    made = {name for name, _, job in jobs_in_every_state() if name == "none" or job is not None}
    assert made == LEGAL.keys()


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


def test_apply__demand_for_what_cannot_be_published__raises():  # JOB-19
    story = Story()
    for size, fits in ((65_536, True), (65_537, False)):
        requested = replace(story.requested(), request=replace(story.request, ciphertext_size=size))
        job = fold([requested, story.delivered()])
        if fits:
            assert apply(job, story.demanded(ALICE)).state is State.DEMANDED
            continue
        with pytest.raises(ImpossibleHistory):
            apply(job, story.demanded(ALICE))


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
        ((ALICE, BOB, ALICE), (b"", b"", b"")),  # DRAW-4: nobody holds two seats
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
        (2, lambda story: story.revealed(ALICE)),
        (2, lambda story: story.settled(0b1)),
        (2, lambda story: story.committed(ALICE)),
        (2, lambda story: story.opened()),
        (3, lambda story: story.proved()),
        (3, lambda story: story.settled(0)),
        (3, lambda story: story.settled(0b10)),
        (3, lambda story: story.settled(0b11)),
        (3, lambda story: story.refused(ALICE)),
        (3, lambda story: story.demanded(ALICE)),
        (3, lambda story: story.refunded(RefundReason.TOO_FEW_COMMITS)),
        (4, lambda story: story.proved()),
        (4, lambda story: story.settled(0b1)),
        (4, lambda story: story.challenged()),
        (4, lambda story: story.overturned(0b0, 0b1)),
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
    assert (job.state, job.agreeing, job.result, job.over) == (State.SETTLED, {ALICE}, digest("right"), False)
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
        (3, lambda story: story.settled(0b11)),
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


# ------------------------------------------------------------------ hired workers


@pytest.mark.parametrize("level", [Level.ATTESTED, Level.PROVED])
def test_fold__hired__is_ready_with_the_worker_that_was_named(level):  # JOB-37
    story = Story(single=level, worker=ALICE)
    job = fold([story.requested(), story.delivered()])
    assert (job.state, job.committee, job.seed_block) == (State.READY, (ALICE,), 0)


def test_apply__hired_as_no_market_does__raises():  # JOB-37
    agreed = Story(worker=ALICE).requested()
    hired, drawn = Story(single=Level.PROVED, worker=ALICE), Story(single=Level.PROVED)
    floor = replace(hired.requested(), request=replace(hired.request, reputation=1))
    for event in (agreed, floor, replace(hired.requested(), seed_block=7), replace(drawn.requested(), seed_block=0)):
        with pytest.raises(ImpossibleHistory):
            fold([event])
    waiting = fold([hired.requested()])
    for event in (hired.delivered(BOB), hired.refunded(RefundReason.NOT_DELIVERED)):
        with pytest.raises(ImpossibleHistory):
            apply(waiting, event)


# ------------------------------------------------------------------ disputes


def settled_job(*outputs, verifier=1, quorum=2):
    """Of three seats that revealed `outputs`; the first `quorum` ones with the same."""
    story = Story(quorum=quorum, verifier=verifier)
    workers = (ALICE, BOB, CAROL)
    events = [story.requested(), story.delivered(), *(story.committed(worker) for worker in workers), story.opened()]
    events += [story.revealed(worker, output) for worker, output in zip(workers, outputs, strict=True)]
    mask = sum(1 << i for i, output in enumerate(outputs) if output == outputs[0])
    return story, fold([*events, story.settled(mask, outputs[0])])


def test_fold__one_proof_against_a_majority__overturns_its_result_for_good():  # CHAL-3
    story, job = settled_job("wrong", "wrong", "right")
    assert job.dissenting == {CAROL}
    job = apply(apply(job, story.proved(CAROL)), story.overturned(0b100, 0b011))
    assert (job.state, job.result, job.agreeing) == (State.SETTLED, digest("right"), {CAROL})
    assert (job.over, job.final(0), job.decided, job.dissenting) == (True, True, True, frozenset())
    assert job.proved.prover == CAROL


def test_fold__challenged_and_proved__stands_for_good():  # CHAL-6
    story, job = settled_job("right", "right", "wrong")
    challenged = story.challenged(MALLORY)
    job = apply(job, challenged)
    assert (job.state, job.deadline, job.challenger) == (State.CHALLENGED, challenged.decide_by, MALLORY)
    assert not job.answered
    assert not job.final(10**9)
    job = apply(apply(job, story.proved(BOB)), story.upheld())
    assert (job.state, job.result, job.agreeing, job.over) == (State.SETTLED, digest("right"), {ALICE, BOB}, True)


def test_fold__outvoted_seats_punished__is_over():  # CHAL-9
    story, job = settled_job("right", "right", "wrong")
    assert job.dissenting == {CAROL}
    job = apply(job, story.upheld())
    assert (job.state, job.result, job.over, job.dissenting) == (State.SETTLED, digest("right"), True, frozenset())


def test_fold__challenged_and_not_proved__is_void():  # CHAL-7
    story, job = settled_job("wrong", "wrong", "right")
    job = apply(apply(job, story.challenged()), story.refunded(RefundReason.NOT_PROVED))
    assert (job.state, job.refund_reason, job.over, job.answered) == (
        (State.REFUNDED, RefundReason.NOT_PROVED, True, True)
    )


def test_fold__split_vote_that_a_proof_decides__is_settled_for_who_was_right():  # CHAL-2, CHAL-3
    story = Story(verifier=1)
    workers = (ALICE, BOB, CAROL)
    events = [story.requested(), story.delivered(), *(story.committed(worker) for worker in workers), story.opened()]
    events += [story.revealed(ALICE, "odd"), story.revealed(BOB), story.revealed(CAROL, "wrong")]
    disputed = story.disputed()
    job = fold([*events, disputed])
    assert (job.state, job.deadline, job.result, job.answered) == (State.DISPUTED, disputed.decide_by, None, False)
    job = apply(apply(job, story.proved(ALICE)), story.overturned(0b010, 0b101))
    assert not job.answered
    for wrong in (story.settled(0b011), story.settled(0b010, "odd"), story.refunded(RefundReason.NO_QUORUM)):
        with pytest.raises(ImpossibleHistory):
            apply(job, wrong)
    job = apply(job, story.settled(0b010, final=True))
    assert (job.state, job.agreeing, job.over) == (State.SETTLED, {BOB}, True)


@pytest.mark.parametrize(
    ("right", "wrong", "output"),
    [
        (0b001, 0b110, "right"),  # a seat that revealed another output
        (0b110, 0b000, "right"),  # a seat that revealed it is not slashed, and so is none
        (0b100, 0b001, "right"),  # a wrong seat goes free
        (0b100, 0b111, "right"),  # a right seat is slashed
        (0b1100, 0b011, "right"),  # a seat that there is not
        (0b100, 0b1011, "right"),
        (0b011, 0b100, "wrong"),  # what was the result
        (0b100, 0b011, "unseen"),
    ],
)
def test_apply__verdict_that_is_not_what_was_revealed__raises(right, wrong, output):  # CHAL-3
    story, job = settled_job("wrong", "wrong", "right")
    job = apply(job, story.proved(CAROL))
    with pytest.raises(ImpossibleHistory):
        apply(job, story.overturned(right, wrong, output))


def test_fold__referees__are_called_once_and_tell_both_jobs():  # CHAL-8
    story, job = settled_job("wrong", "wrong", "right", verifier=0)
    with pytest.raises(ImpossibleHistory):
        apply(job, story.challenged(MALLORY))
    job = apply(job, story.challenged())
    called = story.referred()
    job = apply(job, called)
    assert (job.referee, job.deadline, job.state) == (JobId(digest("referee")), called.decide_by, State.CHALLENGED)
    with pytest.raises(ImpossibleHistory):
        apply(job, story.referred("another"))
    referees = Story(7, 4, "referee", verifier=0)
    asked = apply(fold([referees.requested()]), called)
    assert (asked.refereed, asked.state) == (story.job_id, State.OPEN)
    with pytest.raises(ImpossibleHistory):
        apply(asked, called)
    for other in (Story(7, 4, "referee", verifier=1), Story(name="referee", single=Level.ATTESTED)):
        with pytest.raises(ImpossibleHistory):
            apply(fold([other.requested()]), called)
    assert apply(job, story.overturned(0b100, 0b011)).over


def test_apply__challenge_of_what_is_final__raises():  # CHAL-1
    story, job = settled_job("right", "right", "wrong")
    job = apply(apply(job, story.challenged()), story.upheld())
    for event in (story.challenged(), story.proved(CAROL), story.upheld(), story.overturned(0b100, 0b011, "wrong")):
        with pytest.raises(ImpossibleHistory):
            apply(job, event)
