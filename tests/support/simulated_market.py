"""A market and a chain in memory, with those rules of JobMarket.sol and Disputes.sol that a worker meets."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Set
from dataclasses import dataclass, field

from support.jobs import ALICE, BOB, CAROL, REQUESTER, WINDOW, digest, request

from cloister.domain.answer import ProvedAnswer
from cloister.domain.commitments import masked_output
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
from cloister.domain.ids import NOBODY, Address, JobId
from cloister.domain.job import Job, State, apply
from cloister.domain.request import Level, Request

PROOF = b"proof"
"""The one that the simulated market takes."""
BLOCK = 5
"""Seconds between blocks."""
PAD, MASKED = digest("pad"), b"masked"
PROVEN = masked_output(PAD, MASKED)
"""What everybody who runs the model shows in a job that names a verifier."""


def right_output(job: Job) -> bytes:
    """The output commitment of who runs the model."""
    return PROVEN if job.request.provable else digest("right")


class Reverted(CloisterError):
    """What a simulated transaction says when it would revert."""


class Unproved(Reverted):
    """It would because of its proof."""


@dataclass
class Market:
    """The chain: blocks of events, and the jobs that they make."""

    blocks: list[list[JobEvent]] = field(default_factory=lambda: [[]])
    jobs: dict[JobId, Job] = field(default_factory=dict)
    time: int = 1000
    forks: int = 0
    taken_back: list[int] = field(default_factory=list)

    @property
    def number(self) -> int:
        return len(self.blocks) - 1

    def mine(self, *calls: Callable[[], None]) -> None:
        self.time += BLOCK
        self.blocks.append([])
        for call in calls:
            with contextlib.suppress(Reverted):  # mined all the same
                call()

    def take_back(self, depth: int) -> None:
        """Blocks go; their transactions are for the caller to mine again."""
        del self.blocks[len(self.blocks) - depth :]
        self.taken_back.append(self.number)
        self.jobs = {}
        for event in itertools.chain.from_iterable(self.blocks):
            self.jobs[event.job_id] = apply(self.jobs.get(event.job_id), event)

    def emit(self, event: JobEvent) -> None:
        self.jobs[event.job_id] = apply(self.jobs.get(event.job_id), event)
        self.blocks[-1].append(event)

    # what JobMarket.sol does

    def request(
        self,
        name: str,
        *,
        ciphertext_size: int = 60,
        single: Level | None = None,
        verifier: int | None = None,
        worker: Address = NOBODY,
    ) -> JobId:
        job_id = JobId(digest(name))
        parameters: Request = request(ciphertext_size=ciphertext_size, single=single, verifier=verifier, worker=worker)
        if worker == NOBODY:
            self.emit(JobRequested(job_id, parameters, self.number + 1, self.time + WINDOW))
        else:
            self.emit(JobRequested(job_id, parameters, 0, self.time))
            self.deliver(job_id, (worker,))
        return job_id

    def deliver(self, job_id: JobId, committee: tuple[Address, ...] = (ALICE, BOB, CAROL)) -> None:
        committee = committee[: self.jobs[job_id].request.assurance.seats]
        keys = tuple(b"sealed" for _ in committee)
        self.emit(KeysDelivered(job_id, committee, keys, self.time + WINDOW))

    def commit(self, job_id: JobId, worker: Address, commitment: bytes) -> None:
        self._uncommitted(job_id, worker)
        self.emit(OutputCommitted(job_id, worker, commitment))
        self._open_if_complete(job_id)

    def reveal(self, job_id: JobId, worker: Address, output: bytes) -> None:
        job = self.jobs[job_id]
        if job.state is State.READY and self.time > job.deadline and job.decidable:
            self.emit(RevealsOpened(job_id, job.deadline + WINDOW))
            job = self.jobs[job_id]
        self._require(job.state is State.COMMITTED and self.time <= job.deadline, "reveals are closed")
        self._require(worker in job.committed and worker not in job.revealed, "nothing to reveal")
        self.emit(OutputRevealed(job_id, worker, output, b"sealed"))
        job = self.jobs[job_id]
        if job.revealed.keys() == job.committed:
            self._settle(job)

    def prove(self, job_id: JobId, worker: Address, answer: ProvedAnswer) -> None:
        job = self._uncommitted(job_id, worker)
        self._require(job.request.assurance.proved, "not a proved job")
        if answer.proof != PROOF:
            raise Unproved("the proof is wrong")
        self.emit(JobProved(job_id, worker, answer.masked))
        self.emit(JobSettled(job_id, masked_output(answer.pad_digest, answer.masked), 0b1, self.time))

    def answer(self, job_id: JobId, worker: Address, output: bytes) -> None:
        job = self._uncommitted(job_id, worker)
        self._require(job.request.assurance.attested, "not an attested job")
        self.emit(OutputRevealed(job_id, worker, output, b"sealed"))
        self.emit(JobSettled(job_id, output, 0b1, self.time + WINDOW))

    def refuse(self, job_id: JobId, worker: Address, reason: int) -> None:
        self._uncommitted(job_id, worker)
        self.emit(SeatRefused(job_id, worker, reason))
        job = self.jobs[job_id]
        if len(job.seated) - len(job.refused) < job.request.assurance.quorum:
            self.emit(JobRefunded(job_id, RefundReason.REFUSALS))
        else:
            self._open_if_complete(job_id)

    def demand(self, job_id: JobId, worker: Address) -> None:
        job = self._uncommitted(job_id, worker)
        self._require(job.ciphertext is None, "already published")
        self.emit(CiphertextDemanded(job_id, worker, self.time + WINDOW))

    def publish(self, job_id: JobId) -> None:
        job = self.jobs[job_id]
        self._require(job.state is State.DEMANDED and self.time <= job.deadline, "nobody asked")
        self.emit(CiphertextPublished(job_id, REQUESTER, b"ciphertext", self.time + WINDOW))

    def close(self, job_id: JobId) -> None:
        job = self.jobs[job_id]
        closable = job.state in (State.OPEN, State.READY, State.DEMANDED, State.COMMITTED)
        self._require(closable, "the state is wrong")
        late = WINDOW if job.state is State.READY and job.decidable else 0
        self._require(self.time > job.deadline + late, "too early")
        if job.state is State.OPEN:
            self.emit(JobRefunded(job_id, RefundReason.NOT_DELIVERED))
        elif job.state is State.DEMANDED:
            self.emit(JobRefunded(job_id, RefundReason.UNPUBLISHED))
        else:
            self._settle(job)

    def _uncommitted(self, job_id: JobId, worker: Address) -> Job:
        job = self.jobs[job_id]
        self._require(job.state is State.READY and self.time <= job.deadline, "the commit window is closed")
        self._require(worker in job.committee, "not seated")
        self._require(worker not in job.committed | job.refused, "the seat is used")
        return job

    def _open_if_complete(self, job_id: JobId) -> None:
        job = self.jobs[job_id]
        if len(job.committed | job.refused) == len(job.seated):
            self.emit(RevealsOpened(job_id, self.time + WINDOW))

    def _settle(self, job: Job) -> None:
        outputs = [reveal.output_commitment for reveal in job.revealed.values()]
        quorum = job.request.assurance.quorum
        for output in outputs:
            if outputs.count(output) >= quorum:
                won = {w for w, reveal in job.revealed.items() if reveal.output_commitment == output}
                window = 0 if job.refereed is not None else WINDOW
                self.emit(JobSettled(job.job_id, output, _mask(job, won), self.time + window))
                return
        if outputs and job.refereed is None:
            self.emit(JobDisputed(job.job_id, self.time + WINDOW))
            return
        reason = RefundReason.NO_QUORUM if job.decidable else RefundReason.TOO_FEW_COMMITS
        self.emit(JobRefunded(job.job_id, reason))

    # what Disputes.sol does

    def challenge(self, job_id: JobId, by: Address = REQUESTER) -> None:
        job = self.jobs[job_id]
        self._require(job.state is State.SETTLED and not job.final(self.time), "nothing to challenge")
        self._require(job.request.provable, "no verifier")
        self.emit(ResultChallenged(job_id, by, 1, self.time + WINDOW))

    def refer(self, job_id: JobId, referee: JobId) -> None:
        """The referee's job is requested before."""
        job = self.jobs[job_id]
        self._require(not job.request.provable, "a proof decides")
        if job.state is State.SETTLED:
            self.emit(ResultChallenged(job_id, REQUESTER, 1, self.time + WINDOW))
        called = RefereeCalled(job_id, referee, self.time + WINDOW)
        self.jobs[referee] = apply(self.jobs[referee], called)
        self.emit(called)

    def judge(self, job_id: JobId, worker: Address, answer: ProvedAnswer) -> None:
        job = self.jobs[job_id]
        doubted = job.state in (State.DISPUTED, State.CHALLENGED)
        self._require(doubted or (job.state is State.SETTLED and not job.final(self.time)), "nothing to judge")
        self._require(self.time <= job.deadline, "too late")
        self._require(job.request.provable, "no verifier")
        if answer.proof != PROOF:
            raise Unproved("the proof is wrong")
        output = masked_output(answer.pad_digest, answer.masked)
        self._require(doubted or output != job.result, "the result is this")
        self.emit(JobProved(job_id, worker, answer.masked))
        self._decide(job, output)

    def resolve(self, job_id: JobId) -> None:
        job = self.jobs[job_id]
        referee = None if job.referee is None else self.jobs[job.referee]
        if job.state is State.SETTLED:
            self._require(bool(job.dissenting) and self.time > job.deadline, "nobody to punish")
            self.emit(ResultUpheld(job_id))
            return
        self._require(job.state in (State.DISPUTED, State.CHALLENGED), "the state is wrong")
        if referee is not None and referee.result is not None:
            self._decide(job, referee.result)
            return
        self._require(self.time > job.deadline if referee is None else referee.over, "too early")
        if job.state is State.DISPUTED:
            self.emit(JobRefunded(job_id, RefundReason.NO_QUORUM))
        elif referee is None:
            self.emit(JobRefunded(job_id, RefundReason.NOT_PROVED))
        else:
            self.emit(ResultUpheld(job_id))

    def _decide(self, job: Job, output: bytes) -> None:
        right = job.revealed_as(output)
        if job.state is not State.DISPUTED and right and right == job.agreeing:
            self.emit(ResultUpheld(job.job_id))
            return
        self.emit(ResultOverturned(job.job_id, output, _mask(job, right), _mask(job, job.revealed.keys() - right)))
        if job.state is State.DISPUTED:
            self.emit(JobSettled(job.job_id, output, _mask(job, right), self.time))

    def _require(self, condition: bool, what: str) -> None:
        if not condition:
            raise Reverted(what)


def _mask(job: Job, workers: Set[Address]) -> int:
    return sum(1 << i for i, worker in enumerate(job.committee) if worker in workers)
