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
    JUDGE = "prove the output that was revealed, and so end the doubts about it"
    CLOSE = "end a job whose deadline has passed"
    RESOLVE = "end a dispute that is decided or whose deadline has passed, or take the stake of outvoted seats"


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
    judged: bool = False
    resolved: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that a worker keeps between itself and a deadline, and the market's own windows.

    `margin`: a step is not started so close to its deadline that it could be mined too late; committing and then
    missing the reveal costs more than silence. `patience`: how long after a deadline each seat waits for the seats
    before it, and for the requester, to close the job: only one of them needs to pay for it. `proving`: how long each
    seat waits for a proof by one before it that revealed the same.
    """

    margin: int = 2
    patience: int = 3
    proving: int = 60
    reveal_window: int = 0
    challenge_window: int = 0
    dispute_window: int = 0


def decide(
    job: Job, me: Address, progress: Progress, now: int, timing: Timing, referee: Job | None = None
) -> Action | None:
    """The next step of worker `me` at Unix second `now`, or None when there is nothing to do (yet).

    Only jobs in which `me` holds a seat are worth a step: others' silence costs this worker nothing. `referee` is the
    job that decides about this one, if there is one and it is known.
    """
    if job.over or me not in job.committee:
        return None
    if job.state in (State.SETTLED, State.DISPUTED, State.CHALLENGED):
        return _defend(job, me, progress, now, timing, referee)
    if job.state is State.READY and me in job.undecided:
        in_time = now + timing.margin <= job.deadline
        waits_for_ciphertext = progress.demanded and job.ciphertext is None
        done = progress.committed or progress.answered or progress.proved or progress.withdrew
        if in_time and not (done or waits_for_ciphertext):
            return _WORK[job.request.assurance.level]
    reveal_by = _reveal_deadline(job, now, timing)
    owes_reveal = me in job.committed and me not in job.revealed and not progress.revealed
    if owes_reveal and reveal_by is not None and now <= reveal_by:
        return Action.REVEAL
    if now > _end(job, timing.reveal_window) + _turn(job, me, timing) and not progress.closed:
        return Action.CLOSE
    return None


_WORK = {Level.AGREED: Action.WORK, Level.ATTESTED: Action.ANSWER, Level.PROVED: Action.PROVE}


def finished(job: Job, me: Address, now: int, timing: Timing) -> bool:
    """Whether worker `me` has nothing more to do in a job, nor will have, at Unix second `now` or later."""
    if job.over or (job.committee and me not in job.committee):
        return True
    return job.final(now) and now > _last_turn(job, timing)


def _defend(job: Job, me: Address, progress: Progress, now: int, timing: Timing, referee: Job | None) -> Action | None:
    """What a worker does about its result, or about one that it believes to be wrong."""
    mine = job.revealed.get(me)
    if mine is None:
        return None
    doubtful = job.state is not State.SETTLED or me not in job.agreeing
    provable = job.request.provable and job.proved is None and not progress.judged
    if doubtful and provable and now + timing.margin <= job.deadline:
        return Action.JUDGE if now >= _doubted_at(job, timing) + _proof_turn(job, me, timing) else None
    if progress.resolved:
        return None
    ended = _ended_at(job, now, referee)
    if ended is None or now <= ended + _turn(job, me, timing):
        return None
    match job.state:
        case State.SETTLED:
            # Whoever lost by this would not do it; what is never done by then has come free by itself.
            pays = me in job.agreeing and job.dissenting and now <= _last_turn(job, timing)
        case State.CHALLENGED if referee is None:
            pays = me not in job.agreeing
        case _:
            found = None if referee is None else referee.result
            pays = found is None or found == mine.output_commitment
    return Action.RESOLVE if pays else None


class RequesterAction(Enum):
    """One step of a requester in its job."""

    DELIVER = "hand the input key to the committee"
    PUBLISH = "answer a demand for the ciphertext"
    CLOSE = "end a job whose deadline has passed"
    RESOLVE = "end a dispute that is decided, or that nobody can decide any more"


def decide_as_requester(
    job: Job, now: int, seed_ready: bool, reveal_window: int, referee: Job | None = None, *, refers: bool = False
) -> RequesterAction | None:
    """The requester's next step (docs/spec/honest-requester.md).

    `now` is the newest block's Unix second. `seed_ready` says that the seed block is as safe as the requester wants it
    (JOB-9): nothing is sealed before. `referee` is the job that decides about this one, if there is one. `refers` says
    that the requester means to have referees decide a split vote; else it takes its money back where no proof can come.
    """
    if job.answered:
        return None
    if job.state in (State.DISPUTED, State.CHALLENGED):
        ended = _ended_at(job, now, referee)
        alone = job.state is State.DISPUTED and not job.request.provable and job.referee is None
        hopeless = alone and not refers
        return RequesterAction.RESOLVE if hopeless or (ended is not None and now > ended) else None
    if now > _end(job, reveal_window):
        return RequesterAction.CLOSE
    if job.state is State.OPEN and seed_ready and not job.request.hired:
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


def _end(job: Job, reveal_window: int) -> int:
    """Second after which anybody may close the job."""
    if job.state is State.READY and job.decidable:
        return job.deadline + reveal_window
    return job.deadline


def _ended_at(job: Job, now: int, referee: Job | None) -> int | None:
    """Second after which anybody may resolve the job; None while that is not known."""
    if job.referee is None:
        return job.deadline
    if referee is None or referee.state not in (State.SETTLED, State.REFUNDED):
        return None
    return min(referee.deadline, now - 1)


def _turn(job: Job, me: Address, timing: Timing) -> int:
    return timing.patience * (1 + job.committee.index(me))


def _last_turn(job: Job, timing: Timing) -> int:
    """Second after which nobody takes outvoted seats' stake any more."""
    return job.deadline + timing.patience * (1 + len(job.committee)) + timing.dispute_window


def _doubted_at(job: Job, timing: Timing) -> int:
    """Second at which the present doubt about the result began."""
    window = timing.challenge_window if job.state is State.SETTLED else timing.dispute_window
    return job.deadline - window


def _proof_turn(job: Job, me: Address, timing: Timing) -> int:
    """Seconds to leave to seats before `me` that would prove the same. The last one still has half of the window."""
    same = job.revealed_as(job.revealed[me].output_commitment)
    before = [worker for worker in job.committee[: job.committee.index(me)] if worker in same]
    window = timing.challenge_window if job.state is State.SETTLED else timing.dispute_window
    return min(len(before) * timing.proving, window // 2)
