"""A job as its events tell it: fold `apply` over them and the market's own state comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import MappingProxyType

from cloister.domain.errors import CloisterError
from cloister.domain.events import (
    CiphertextDemanded,
    CiphertextPublished,
    JobEvent,
    JobProved,
    JobRefunded,
    JobRequested,
    JobSettled,
    KeysDelivered,
    OutputCommitted,
    OutputRevealed,
    RefundReason,
    RevealsOpened,
    SeatRefused,
)
from cloister.domain.ids import NOBODY, Address, JobId
from cloister.domain.request import Request


class State(IntEnum):
    """Where a job stands. The numbers are the contract's."""

    NONE = 0
    OPEN = 1
    READY = 2
    DEMANDED = 3
    COMMITTED = 4
    SETTLED = 5
    REFUNDED = 6


class ImpossibleHistory(CloisterError):
    """Events came in an order that no market can emit: logs are missing, or the endpoint lies."""


def _empty() -> Mapping[Address, OutputRevealed]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `deadline` is the Unix second at which `state` lapses."""

    job_id: JobId
    requester: Address
    request: Request
    seed_block: int
    state: State
    deadline: int
    committee: tuple[Address, ...] = ()
    sealed_keys: tuple[bytes, ...] = ()
    committed: frozenset[Address] = frozenset()
    refused: frozenset[Address] = frozenset()
    revealed: Mapping[Address, OutputRevealed] = field(default_factory=_empty)
    ciphertext: bytes | None = None
    """Set once it was published on chain."""
    proved: JobProved | None = None
    """The output of a proved job, under the requester's pad."""
    result: bytes | None = None
    """Output commitment of a settled job; of a proved one, the digest of `proved`."""
    agreeing: frozenset[Address] = frozenset()
    refund_reason: RefundReason | None = None

    @property
    def over(self) -> bool:
        """True when nothing more can happen to it."""
        return self.state in (State.SETTLED, State.REFUNDED)

    @property
    def seated(self) -> tuple[Address, ...]:
        """The workers drawn, without vacant seats."""
        return tuple(worker for worker in self.committee if worker != NOBODY)

    @property
    def decidable(self) -> bool:
        """True when enough seats committed for a quorum (JOB-14)."""
        return len(self.committed) >= self.request.assurance.quorum

    def sealed_key_for(self, worker: Address) -> bytes:
        """The input key as it was sealed for a seated worker."""
        return self.sealed_keys[self.committee.index(worker)]


def apply(job: Job | None, event: JobEvent) -> Job:
    """The job after one more event.

    Raises ImpossibleHistory when the event cannot follow what came before.
    """
    if isinstance(event, JobRequested):
        if job is not None:
            raise _impossible(event)
        return Job(event.job_id, event.requester, event.request, event.seed_block, State.OPEN, event.deliver_by)
    if job is None or not _can_follow(job, event):
        raise _impossible(event)
    match event:
        case KeysDelivered():
            return replace(
                job,
                state=State.READY,
                deadline=event.commit_by,
                committee=event.committee,
                sealed_keys=event.sealed_keys,
            )
        case OutputCommitted():
            return replace(job, committed=job.committed | {event.worker})
        case RevealsOpened():
            return replace(job, state=State.COMMITTED, deadline=event.reveal_by)
        case OutputRevealed():
            return replace(job, revealed=MappingProxyType({**job.revealed, event.worker: event}))
        case JobProved():
            return replace(job, proved=event)
        case SeatRefused():
            return replace(job, refused=job.refused | {event.worker})
        case CiphertextDemanded():
            return replace(job, state=State.DEMANDED, deadline=event.publish_by)
        case CiphertextPublished():
            return replace(job, state=State.READY, deadline=event.commit_by, ciphertext=event.ciphertext)
        case JobSettled():
            agreeing = _seats(job, event.agreeing)
            return replace(job, state=State.SETTLED, result=event.output_commitment, agreeing=agreeing)
        case JobRefunded():
            return replace(job, state=State.REFUNDED, refund_reason=event.reason)


def fold(events: Iterable[JobEvent]) -> Job:
    """The job that a whole history makes; at least one event."""
    job: Job | None = None
    for event in events:
        job = apply(job, event)
    if job is None:
        raise ImpossibleHistory("A job without any event was asked for.")
    return job


def _can_follow(job: Job, event: JobEvent) -> bool:
    """Whether the market can emit `event` for a job that stands so: JobMarket.sol, read backwards."""
    if event.job_id != job.job_id:
        return False
    match event:
        case KeysDelivered():
            quorum, seats = job.request.assurance.quorum, job.request.assurance.seats
            whole = len(event.committee) == len(event.sealed_keys) == seats
            vacant = event.committee.count(NOBODY)
            return job.state is State.OPEN and whole and seats - vacant >= quorum
        case OutputCommitted():
            return job.state is State.READY and event.worker in _undecided(job) and job.request.assurance.seats > 1
        case JobProved():
            return job.state is State.READY and event.worker in _undecided(job) and job.request.assurance.proved
        case SeatRefused():
            return job.state is State.READY and event.worker in _undecided(job)
        case CiphertextDemanded():
            return job.state is State.READY and event.worker in _undecided(job) and job.ciphertext is None
        case CiphertextPublished():
            return job.state is State.DEMANDED
        case RevealsOpened():
            return job.state is State.READY and job.decidable
        case OutputRevealed() if job.request.assurance.attested:
            return job.state is State.READY and event.worker in _undecided(job)
        case OutputRevealed():
            return job.state is State.COMMITTED and event.worker in job.committed - job.revealed.keys()
        case JobSettled() if job.request.assurance.proved:
            proved = job.proved is not None and _seats(job, event.agreeing) == {job.proved.worker}
            return job.state is State.READY and proved
        case JobSettled() if job.request.assurance.attested:
            answered = _who_revealed(job, event.output_commitment)
            return job.state is State.READY and bool(answered) and answered == _seats(job, event.agreeing)
        case JobSettled():
            won = _who_revealed(job, event.output_commitment)
            enough = len(won) >= job.request.assurance.quorum
            return job.state is State.COMMITTED and enough and won == _seats(job, event.agreeing)
        case JobRefunded():
            return _can_be_refunded(job, event.reason)
        case _:
            return False


def _can_be_refunded(job: Job, reason: RefundReason) -> bool:
    quorum = job.request.assurance.quorum
    if job.proved is not None or (job.request.assurance.attested and job.revealed):
        return False
    match reason:
        case RefundReason.NOT_DELIVERED | RefundReason.COMMITTEE_TOO_SMALL:
            return job.state is State.OPEN
        case RefundReason.UNPUBLISHED:
            return job.state is State.DEMANDED
        case RefundReason.REFUSALS:
            return job.state is State.READY and len(job.seated) - len(job.refused) < quorum
        case RefundReason.TOO_FEW_COMMITS:
            return job.state is State.READY and not job.decidable
        case RefundReason.NO_QUORUM:
            outputs = {reveal.output_commitment for reveal in job.revealed.values()}
            undecided = all(len(_who_revealed(job, output)) < quorum for output in outputs)
            return job.state in (State.READY, State.COMMITTED) and job.decidable and undecided


def _undecided(job: Job) -> frozenset[Address]:
    """Seats that have neither committed nor answered nor proved nor refused."""
    if job.proved is not None:
        return frozenset()
    return frozenset(job.seated) - job.committed - job.refused - job.revealed.keys()


def _who_revealed(job: Job, output_commitment: bytes) -> frozenset[Address]:
    return frozenset(w for w, reveal in job.revealed.items() if reveal.output_commitment == output_commitment)


def _seats(job: Job, mask: int) -> frozenset[Address]:
    """The workers of a bit mask: bit i is seat i."""
    return frozenset(worker for i, worker in enumerate(job.committee) if mask >> i & 1)


def _impossible(event: JobEvent) -> ImpossibleHistory:
    return ImpossibleHistory(
        f"{type(event).__name__} cannot follow the earlier events of job 0x{event.job_id.hex()}.",
        "Logs are missing: check that the endpoint is synchronised, or use another one.",
    )
