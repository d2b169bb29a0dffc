"""The ledger: whatever a chain does, it equals refolding what stands."""

import random

import pytest
from support.jobs import ALICE, Story, random_history

from cloister.domain.events import RefundReason
from cloister.domain.job import ImpossibleHistory, fold
from cloister.domain.ledger import REORG_DEPTH, Ledger


def jobs_of(ledger):
    return {job.job_id: job for job in ledger}


def refolded(chain):
    histories = {}
    for _, event in chain:
        histories.setdefault(event.job_id, []).append(event)
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
                taken_back = {event.job_id for number, event in chain if number > last}
                assert set(ledger.rollback(last)) == taken_back
                # what was taken back may be mined again, or never
                for job_id in taken_back:
                    again = [event for number, event in chain if number > last and event.job_id == job_id]
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
                assert set(ledger.extend(block)) == {event.job_id for _, event in block}
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
