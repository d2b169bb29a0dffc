"""A job as its events tell it: fold `apply` over them and the market's own state comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cloister.domain.errors import CloisterError
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
from cloister.domain.history import can_begin, can_follow
from cloister.domain.ids import NOBODY, Address, JobId
from cloister.domain.request import Request, Ticket
from cloister.domain.state import State

__all__ = ["ImpossibleHistory", "Job", "State", "apply", "fold"]


class ImpossibleHistory(CloisterError):
    """Events came in an order that no market can emit: logs are missing, or the endpoint lies."""


def _empty() -> Mapping[Address, OutputRevealed]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `deadline` is the Unix second at which `state` lapses; of a settled job, `final_by`."""

    job_id: JobId
    request: Request
    seed_block: int
    """0 for the job of a hired worker."""
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
    """An output that was proved, under the requester's pad; the last one."""
    result: bytes | None = None
    """Output commitment that the job settled on, or that was found to be right since; kept when it turns out void."""
    agreeing: frozenset[Address] = frozenset()
    """Who revealed the result."""
    final_by: int | None = None
    """Unix second to which the result can be, or could have been, challenged."""
    challenger: Address | None = None
    bond: int = 0
    """Wei that the challenger has at stake."""
    referee: JobId | None = None
    """The job whose result decides about this one."""
    refereed: JobId | None = None
    """The job that this one's result decides about."""
    decided: bool = False
    """A proof or referees have said which output is right."""
    refund_reason: RefundReason | None = None

    @property
    def requester(self) -> Address:
        """Who pays, delivers, and reads the result."""
        return self.request.requester

    @property
    def over(self) -> bool:
        """True when nothing more can happen to it, whatever the time."""
        return self.state is State.REFUNDED or (self.state is State.SETTLED and self.incontestable)

    @property
    def answered(self) -> bool:
        """True when the requester has its result, or its money; the result may still be challenged."""
        return self.state in (State.SETTLED, State.REFUNDED)

    @property
    def incontestable(self) -> bool:
        """True when nobody can challenge the result: it was proved, or decided about, or is a referee's (CHAL-1)."""
        return self.request.assurance.proved or self.decided or self.refereed is not None

    def final(self, now: int) -> bool:
        """True when it has a result that nobody can challenge any more at Unix second `now`."""
        if self.state is not State.SETTLED or self.final_by is None:
            return False
        return self.incontestable or now > self.final_by

    @property
    def seated(self) -> tuple[Address, ...]:
        """The workers drawn or hired, without vacant seats."""
        return tuple(worker for worker in self.committee if worker != NOBODY)

    @property
    def decidable(self) -> bool:
        """True when enough seats committed for a quorum (JOB-14)."""
        return len(self.committed) >= self.request.assurance.quorum

    @property
    def undecided(self) -> frozenset[Address]:
        """Seats that have neither committed nor answered nor refused."""
        return frozenset(self.seated) - self.committed - self.refused - self.revealed.keys()

    @property
    def dissenting(self) -> frozenset[Address]:
        """Seats that revealed another output than the result, and may still lose, or prove right."""
        if self.result is None or self.over:
            return frozenset()
        return frozenset(self.revealed) - self.agreeing

    def revealed_as(self, output_commitment: bytes) -> frozenset[Address]:
        """Who revealed this output."""
        return frozenset(w for w, reveal in self.revealed.items() if reveal.output_commitment == output_commitment)

    def seats(self, mask: int) -> frozenset[Address]:
        """The workers of a bit mask: bit i is seat i. Bits without a worker stand for nobody."""
        return frozenset(worker for i, worker in enumerate(self.committee) if mask >> i & 1)

    def sealed_key_for(self, worker: Address) -> bytes:
        """The input key as it was sealed for a seated worker."""
        return self.sealed_keys[self.committee.index(worker)]

    def ticket(self) -> Ticket:
        """What shows a call that it is about this job."""
        return self.request.ticket(self.committee, self.sealed_keys)


def apply(job: Job | None, event: JobEvent) -> Job:
    """The job after one more event.

    Raises ImpossibleHistory when the event cannot follow what came before.
    """
    if isinstance(event, JobRequested):
        if job is not None or not can_begin(event):
            raise _impossible(event)
        return Job(event.job_id, event.request, event.seed_block, State.OPEN, event.deliver_by)
    if job is None or not can_follow(job, event):
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
            agreeing, by = job.seats(event.agreeing), event.challenge_by
            now = replace(job, state=State.SETTLED, deadline=by, final_by=by)
            return replace(now, result=event.output_commitment, agreeing=agreeing)
        case JobRefunded():
            return replace(job, state=State.REFUNDED, refund_reason=event.reason)
        case _:
            return _doubted(job, event)


def _doubted(job: Job, event: JobDisputed | ResultChallenged | RefereeCalled | ResultUpheld | ResultOverturned) -> Job:
    match event:
        case JobDisputed():
            return replace(job, state=State.DISPUTED, deadline=event.decide_by)
        case ResultChallenged():
            by, bond = event.challenger, event.bond
            return replace(job, state=State.CHALLENGED, deadline=event.decide_by, challenger=by, bond=bond)
        case RefereeCalled() if event.referee == job.job_id:
            return replace(job, refereed=event.job_id)
        case RefereeCalled():
            return replace(job, deadline=event.decide_by, referee=event.referee)
        case ResultUpheld():
            return replace(job, state=State.SETTLED, decided=True)
        case ResultOverturned():
            # A job that nobody was paid for yet is settled by the event that follows.
            state = State.DISPUTED if job.state is State.DISPUTED else State.SETTLED
            right = job.seats(event.right)
            return replace(job, state=state, result=event.output_commitment, agreeing=right, decided=True)


def fold(events: Iterable[JobEvent]) -> Job:
    """The job that a whole history makes; at least one event."""
    job: Job | None = None
    for event in events:
        job = apply(job, event)
    if job is None:
        raise ImpossibleHistory("A job without any event was asked for.")
    return job


def _impossible(event: JobEvent) -> ImpossibleHistory:
    return ImpossibleHistory(
        f"{type(event).__name__} cannot follow the earlier events of job 0x{event.job_id.hex()}.",
        "Logs are missing: check that the endpoint is synchronised, or use another one.",
    )
