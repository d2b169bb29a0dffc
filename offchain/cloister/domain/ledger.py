"""All jobs that a process follows, kept so that a reorganised chain can take blocks back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cloister.domain.events import JobEvent, JobRequested, RefereeCalled
from cloister.domain.ids import JobId
from cloister.domain.job import Job, apply, fold

REORG_DEPTH = 128
"""Blocks after which a finished job is forgotten. Chains finalise sooner; a deeper reorganisation is refused."""


class Ledger:
    """Folds events into jobs, and unfolds them when blocks are taken back.

    Only jobs whose request was seen are kept: a reader that starts in mid-chain ignores older ones.
    """

    def __init__(self) -> None:
        self._events: dict[JobId, list[tuple[int, JobEvent]]] = {}
        self._jobs: dict[JobId, Job] = {}

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def get(self, job_id: JobId) -> Job | None:
        """A job, or None when its request was not seen."""
        return self._jobs.get(job_id)

    def extend(self, events: Iterable[tuple[int, JobEvent]]) -> list[JobId]:
        """Adds events with the numbers of their blocks, in chain order; returns the jobs they touch.

        Raises ImpossibleHistory when an event cannot follow what came before.
        """
        touched: dict[JobId, None] = {}
        for number, event in events:
            # A referee's job is told by the same event that its result will be final.
            about = (event.job_id, event.referee) if isinstance(event, RefereeCalled) else (event.job_id,)
            for job_id in about:
                known = self._jobs.get(job_id)
                if known is None and not isinstance(event, JobRequested):
                    continue
                self._jobs[job_id] = apply(known, event)
                self._events.setdefault(job_id, []).append((number, event))
                touched[job_id] = None
        return list(touched)

    def referee_of(self, job: Job) -> Job | None:
        """The job whose result decides about this one, if there is one and its request was seen."""
        return None if job.referee is None else self._jobs.get(job.referee)

    def rollback(self, last: int) -> list[JobId]:
        """Takes back every event above block `last`; returns the jobs that changed or vanished."""
        touched = []
        for job_id, events in list(self._events.items()):
            kept = [(number, event) for number, event in events if number <= last]
            if len(kept) == len(events):
                continue
            touched.append(job_id)
            if kept:
                self._events[job_id] = kept
                self._jobs[job_id] = fold(event for _, event in kept)
            else:
                del self._events[job_id], self._jobs[job_id]
        return touched

    def prune(self, head: int, matters: Callable[[Job], bool] = lambda job: not job.over) -> None:
        """Forgets jobs that do not matter, unless one of their events could still be taken back at block `head`.

        The referee of a job that is kept is kept, too.
        """
        last = head - REORG_DEPTH
        kept = {job_id for job_id, job in self._jobs.items() if self._events[job_id][-1][0] >= last or matters(job)}
        kept |= {referee for job_id in kept if (referee := self._jobs[job_id].referee) is not None}
        for job_id in self._jobs.keys() - kept:
            del self._events[job_id], self._jobs[job_id]

    def first_block_of(self, job_ids: Iterable[JobId]) -> int | None:
        """The lowest block in which any of these jobs has an event."""
        return min((self._events[job_id][0][0] for job_id in job_ids if job_id in self._events), default=None)
