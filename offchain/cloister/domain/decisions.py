"""What an honest worker or requester does next, as a pure function of what it knows (docs/spec/honest-*.md)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cloister.domain.ids import Address
from cloister.domain.job import Job, State
from cloister.domain.request import Level


class Action(Enum):
    """One step of a worker in one job."""

    WORK = "run the model and commit, or refuse"
    ANSWER = "run the model and answer, or refuse"
    PROVE = "run the model and prove its output, or refuse"
    REVEAL = "open the commitment"
    CLOSE = "end a job whose deadline has passed"


@dataclass(frozen=True, slots=True)
class Progress:
    """What this worker has already broadcast in a job, mined or not; it is written down before each broadcast."""

    committed: bool = False
    revealed: bool = False
    answered: bool = False
    proved: bool = False
    withdrew: bool = False
    """Refused the seat."""
    demanded: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that a worker keeps between itself and a deadline.

    `margin`: a step is not started so close to its deadline that it could be mined too late; committing and then
    missing the reveal costs more than silence. `patience`: how long after a deadline each seat waits for the seats
    before it, and for the requester, to close the job: only one of them needs to pay for it.
    """

    margin: int = 2
    patience: int = 3
    reveal_window: int = 0
    """The market's own parameter."""


def decide(job: Job, me: Address, progress: Progress, now: int, timing: Timing) -> Action | None:
    """The next step of worker `me` at Unix second `now`, or None when there is nothing to do (yet).

    Only jobs in which `me` holds a seat are worth a step: others' silence costs this worker nothing.
    """
    if job.over or me not in job.committee:
        return None
    if job.state is State.READY and me not in job.committed | job.refused:
        in_time = now + timing.margin <= job.deadline
        waits_for_ciphertext = progress.demanded and job.ciphertext is None
        done = progress.committed or progress.answered or progress.proved or progress.withdrew
        if in_time and not (done or waits_for_ciphertext):
            return _WORK[job.request.assurance.level]
    reveal_by = _reveal_deadline(job, now, timing)
    owes_reveal = me in job.committed and me not in job.revealed and not progress.revealed
    if owes_reveal and reveal_by is not None and now <= reveal_by:
        return Action.REVEAL
    turn = timing.patience * (1 + job.committee.index(me))
    if now > _end(job, timing) + turn and not progress.closed:
        return Action.CLOSE
    return None


_WORK = {Level.AGREED: Action.WORK, Level.ATTESTED: Action.ANSWER, Level.PROVED: Action.PROVE}


class RequesterAction(Enum):
    """One step of a requester in its job."""

    DELIVER = "hand the input key to the committee"
    PUBLISH = "answer a demand for the ciphertext"
    CLOSE = "end a job whose deadline has passed"


def decide_as_requester(job: Job, now: int, seed_ready: bool, reveal_window: int) -> RequesterAction | None:
    """The requester's next step (docs/spec/honest-requester.md).

    `now` is the newest block's Unix second. `seed_ready` says that the seed block is as safe as the requester wants it
    (JOB-9): nothing is sealed before.
    """
    if job.over:
        return None
    if now > _end(job, Timing(reveal_window=reveal_window)):
        return RequesterAction.CLOSE
    if job.state is State.OPEN and seed_ready:
        return RequesterAction.DELIVER
    if job.state is State.DEMANDED:
        return RequesterAction.PUBLISH
    return None


def _reveal_deadline(job: Job, now: int, timing: Timing) -> int | None:
    """Last second to reveal, or None while reveals are closed (JOB-14)."""
    if job.state is State.COMMITTED:
        return job.deadline
    if job.state is State.READY and now > job.deadline and job.decidable:
        return job.deadline + timing.reveal_window
    return None


def _end(job: Job, timing: Timing) -> int:
    """Second after which anybody may close the job."""
    if job.state is State.READY and job.decidable:
        return job.deadline + timing.reveal_window
    return job.deadline
