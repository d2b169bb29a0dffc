"""Which event the market can emit for a job that stands so: JobMarket.sol and Disputes.sol, read backwards.

What one transaction emits is taken in its order only: a job that waits for the rest of it takes nothing else.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from cloister.domain.events import (
    CiphertextDemanded,
    CiphertextPublished,
    JobDisputed,
    JobEvent,
    JobProved,
    JobRefunded,
    JobRequested,
    JobSettled,
    KeysDelivered,
    OutputCommitted,
    OutputRevealed,
    RefereeCalled,
    RefundReason,
    ResultChallenged,
    ResultOverturned,
    ResultUpheld,
    RevealsOpened,
    SeatRefused,
)
from cloister.domain.ids import NOBODY, Address
from cloister.domain.request import MAX_PUBLISHED, Level
from cloister.domain.state import State

if TYPE_CHECKING:
    from cloister.domain.job import Job


def can_begin(event: JobRequested) -> bool:
    """Whether a job can begin so: only a hired worker's needs no seed (JOB-6)."""
    request = event.request
    if not request.hired:
        return event.seed_block != 0
    return event.seed_block == 0 and request.assurance.level is not Level.AGREED and request.reputation == 0


def can_follow(job: Job, event: JobEvent) -> bool:
    """Whether the market can emit `event` for `job`, whatever the time."""
    if isinstance(event, RefereeCalled):
        return _can_be_referred(job, event)
    if event.job_id != job.job_id:
        return False
    match job.state:
        case State.OPEN:
            return _open(job, event)
        case State.READY:
            return _answered(job, event) if job.revealed or job.proved else _ready(job, event)
        case State.DEMANDED:
            return isinstance(event, CiphertextPublished) or _refunded(event, RefundReason.UNPUBLISHED)
        case State.COMMITTED:
            return _committed(job, event)
        case State.SETTLED:
            return _settled(job, event)
        case State.DISPUTED:
            return _disputed(job, event)
        case State.CHALLENGED:
            return _challenged(job, event)
        case _:
            return False


def _open(job: Job, event: JobEvent) -> bool:
    if isinstance(event, KeysDelivered):
        committee, assurance = event.committee, job.request.assurance
        seated = [worker for worker in committee if worker != NOBODY]
        if job.request.hired and committee != (job.request.worker,):
            return False
        whole = len(committee) == len(event.sealed_keys) == assurance.seats
        return whole and len(seated) == len(set(seated)) >= assurance.quorum
    drawn = not job.request.hired
    return drawn and _refunded(event, RefundReason.NOT_DELIVERED, RefundReason.COMMITTEE_TOO_SMALL)


def _ready(job: Job, event: JobEvent) -> bool:
    """Before the first answer, and before the reveals."""
    assurance, waiting = job.request.assurance, job.undecided
    if len(job.seated) - len(job.refused) < assurance.quorum:
        return _refunded(event, RefundReason.REFUSALS)
    if not waiting:
        return isinstance(event, RevealsOpened)
    match event:
        case OutputCommitted():
            return assurance.level is Level.AGREED and event.worker in waiting
        case OutputRevealed():
            return assurance.attested and event.worker in waiting
        case JobProved():
            return assurance.proved and event.prover in waiting
        case SeatRefused():
            return event.worker in waiting
        case CiphertextDemanded():
            fits = job.request.ciphertext_size <= MAX_PUBLISHED
            return fits and event.worker in waiting and job.ciphertext is None
        case RevealsOpened():
            return job.decidable
        case _:
            return _refunded(event, RefundReason.NO_QUORUM if job.decidable else RefundReason.TOO_FEW_COMMITS)


def _answered(job: Job, event: JobEvent) -> bool:
    """The only seat has answered or proved, which settles the job."""
    if not isinstance(event, JobSettled) or job.seats(event.agreeing) != set(job.seated) or event.agreeing != 1:
        return False
    return job.proved is not None or job.revealed_as(event.output_commitment) == set(job.seated)


def _committed(job: Job, event: JobEvent) -> bool:
    missing = job.committed - job.revealed.keys()
    outputs = {reveal.output_commitment for reveal in job.revealed.values()}
    winners = {output for output in outputs if len(job.revealed_as(output)) >= job.request.assurance.quorum}
    match event:
        case OutputRevealed():
            return event.worker in missing
        case JobSettled():
            return event.output_commitment in winners and _exactly(
                job, event.agreeing, job.revealed_as(event.output_commitment)
            )
        case JobDisputed():
            return bool(outputs) and not winners and job.refereed is None
        case _:
            # Where equal work can give unequal outputs a proof decides nothing, so such a job names no verifier.
            quiet = not outputs or not job.request.provable
            return not winners and quiet and _refunded(event, RefundReason.NO_QUORUM)


def _settled(job: Job, event: JobEvent) -> bool:
    if job.incontestable:
        return False
    if job.request.provable and job.proved is not None:
        return _can_overturn(job, event)
    match event:
        case JobProved():
            return job.request.provable
        case ResultChallenged():
            # Where no proof decides, the requester alone can go on, with the referees that it calls at once.
            return job.request.provable or event.challenger == job.requester
        case ResultUpheld():
            return bool(job.dissenting)
        case _:
            return False


def _disputed(job: Job, event: JobEvent) -> bool:
    if job.decided:
        if not isinstance(event, JobSettled) or event.output_commitment != job.result:
            return False
        return _exactly(job, event.agreeing, job.agreeing)
    if job.proved is not None:
        return _can_overturn(job, event)
    match event:
        case JobProved():
            return job.request.provable
        case ResultOverturned():
            return job.referee is not None and _can_overturn(job, event)
        case _:
            return _refunded(event, RefundReason.NO_QUORUM)


def _challenged(job: Job, event: JobEvent) -> bool:
    decides = job.proved is not None or job.referee is not None
    match event:
        case JobProved():
            return job.request.provable and job.proved is None
        case ResultUpheld():
            return decides or job.request.provable
        case ResultOverturned():
            return decides and _can_overturn(job, event)
        case _:
            return job.request.provable and not decides and _refunded(event, RefundReason.NOT_PROVED)


def _can_be_referred(job: Job, event: RefereeCalled) -> bool:
    if job.request.provable or event.referee == event.job_id:
        return False
    if event.referee == job.job_id:
        fresh = job.state is State.OPEN and job.refereed is None
        return fresh and job.request.assurance.level is Level.AGREED
    here = event.job_id == job.job_id and job.referee is None and not job.decided
    return here and job.state in (State.DISPUTED, State.CHALLENGED)


def _can_overturn(job: Job, event: JobEvent) -> bool:
    if not isinstance(event, ResultOverturned) or event.output_commitment == job.result:
        return False
    right = job.revealed_as(event.output_commitment)
    return _exactly(job, event.right, right) and _exactly(job, event.wrong, job.revealed.keys() - right)


def _exactly(job: Job, mask: int, workers: AbstractSet[Address]) -> bool:
    return job.seats(mask) == workers and mask.bit_count() == len(workers)


def _refunded(event: JobEvent, *reasons: RefundReason) -> bool:
    return isinstance(event, JobRefunded) and event.reason in reasons
