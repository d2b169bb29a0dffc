"""The ledger: whatever a chain does, it equals refolding what stands."""

import random

import pytest
from support.jobs import ALICE, BOB, CAROL, Story, digest, random_history

from cloister.domain.events import RefundReason
from cloister.domain.job import ImpossibleHistory, fold
from cloister.domain.ledger import REORG_DEPTH, Ledger


def jobs_of(ledger):
    return {job.job_id: job for job in ledger}


def job_of(event):
    """The job of a history that an event is in; others that it names are not told of here."""
    return event.referee if event.job_id == digest("asks referees") else event.job_id


def refolded(chain):
    histories = {}
    for _, event in chain:
        histories.setdefault(job_of(event), []).append(event)
    return {job_id: fold(events) for job_id, events in histories.items()}


def test_ledger__random_histories_with_rollbacks__equals_refolding():
    for seed in range(60):
        rng = random.Random(seed)
        ledger = Ledger()
        chain = []  # (block, event) that stand
        head = 0
        queues = {}
        for step in range(60):
            if rng.random() < 0.25 and head:
                last = max(0, head - rng.randint(1, 6))
                taken_back = {job_of(event) for number, event in chain if number > last}
                assert set(ledger.rollback(last)) == taken_back
                # what was taken back may be mined again, or never
                for job_id in taken_back:
                    again = [event for number, event in chain if number > last and job_of(event) == job_id]
                    if again[0] is not None and job_id in queues:
                        queues[job_id] = again + queues[job_id]
                chain = [(number, event) for number, event in chain if number <= last]
                head = last
            else:
                head += 1
                if rng.random() < 0.5:
                    history = random_history(rng, f"{seed} {step}")
                    queues[history[0].job_id] = list(history)
                block = []
                for job_id in rng.sample(sorted(queues), min(len(queues), 3)):
                    mined = rng.randint(0, 3)
                    block += [(head, event) for event in queues[job_id][:mined]]
                    del queues[job_id][:mined]
                assert set(ledger.extend(block)) == {job_of(event) for _, event in block}
                chain += block
            assert jobs_of(ledger) == refolded(chain)
            assert ledger.first_block_of(jobs_of(ledger)) == min((n for n, _ in chain), default=None)


def test_extend__job_whose_request_was_not_seen__is_ignored():
    story = Story()
    story.requested()
    ledger = Ledger()
    assert ledger.extend([(5, story.delivered()), (6, story.committed(ALICE))]) == []
    assert list(ledger) == []
    assert ledger.get(story.job_id) is None


def test_extend__impossible_event__raises():
    story = Story()
    ledger = Ledger()
    with pytest.raises(ImpossibleHistory):
        ledger.extend([(1, story.requested()), (2, story.opened())])


def finished(block):
    story = Story()
    ledger = Ledger()
    ledger.extend([(block, story.requested()), (block, story.refunded(RefundReason.NOT_DELIVERED))])
    return ledger


def test_prune__finished_job__stays_exactly_as_long_as_it_can_be_taken_back():
    ledger = finished(10)
    ledger.prune(10 + REORG_DEPTH)
    assert len(list(ledger)) == 1
    ledger.prune(10 + REORG_DEPTH + 1)
    assert list(ledger) == []


def test_prune__unfinished_job__stays_for_ever_unless_it_does_not_matter():
    story = Story()
    ledger = Ledger()
    ledger.extend([(1, story.requested())])
    ledger.prune(10_000)
    assert len(list(ledger)) == 1
    ledger.prune(1 + REORG_DEPTH, lambda job: False)
    assert len(list(ledger)) == 1
    ledger.prune(10_000, lambda job: False)
    assert list(ledger) == []


def test_prune__pruned_job__ignores_what_comes_later_and_rollbacks():
    ledger = Ledger()
    story = Story()
    ledger.extend([(1, story.requested())])
    ledger.prune(10_000, lambda job: False)
    assert ledger.extend([(10_001, story.refunded(RefundReason.NOT_DELIVERED))]) == []
    assert ledger.rollback(9_000) == []


def referred(start=1):
    """A disputed job and the job of its referees, each event in a block of its own from `start` on."""
    story, referees = Story(verifier=0), Story(7, 4, "referee", verifier=0)
    events = [story.requested(), story.delivered(), *(story.committed(worker) for worker in (ALICE, BOB, CAROL))]
    events += [story.opened(), story.revealed(ALICE, "one"), story.revealed(BOB, "two"), story.revealed(CAROL, "three")]
    events += [story.disputed(), referees.requested(), story.referred()]
    return story, referees, list(enumerate(events, start))


def test_extend__referees_called__both_jobs_are_told_and_both_take_it_back():  # CHAL-8
    story, referees, events = referred()
    ledger = Ledger()
    ledger.extend(events[:-1])
    last = events[-2][0]
    assert ledger.extend(events[-1:]) == [story.job_id, referees.job_id]
    job = ledger.get(story.job_id)
    assert ledger.referee_of(job) is ledger.get(referees.job_id)
    assert ledger.get(referees.job_id).refereed == story.job_id
    assert set(ledger.rollback(last)) == {story.job_id, referees.job_id}
    assert ledger.referee_of(ledger.get(story.job_id)) is None
    assert ledger.get(referees.job_id).refereed is None


def test_extend__referees_of_a_job_that_was_not_seen__are_told_all_the_same():
    _, referees, events = referred()
    ledger = Ledger()
    assert ledger.extend(events[-2:]) == [referees.job_id]
    assert ledger.get(referees.job_id).refereed is not None


def test_prune__referee_of_a_job_that_matters__is_kept():
    story, referees, events = referred()
    ledger = Ledger()
    ledger.extend(events)
    ledger.prune(10_000, lambda job: job.job_id == story.job_id)
    assert jobs_of(ledger).keys() == {story.job_id, referees.job_id}
    ledger.prune(10_000, lambda job: job.job_id == referees.job_id)
    assert jobs_of(ledger).keys() == {referees.job_id}
