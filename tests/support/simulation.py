"""A market and a chain in memory, with those rules of JobMarket.sol that a worker meets, and one worker's ports."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from support.jobs import ALICE, BOB, CAROL, REQUESTER, WINDOW, digest, request

from cloister.domain.answer import Answer, ProofRefused, ProvedAnswer, RefusalReason
from cloister.domain.decisions import Progress, Timing
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
from cloister.domain.ids import Address, JobId
from cloister.domain.job import Job, State, apply
from cloister.domain.request import Level, Request
from cloister.worker import Worker

PROOF = b"proof"
"""The one that the simulated market takes."""
BLOCK = 5
"""Seconds between blocks."""


class Crash(BaseException):
    """The process dies here."""


class Reverted(CloisterError):
    """What a simulated transaction says when it would revert."""


class Unproved(Reverted):
    """It would because of its proof."""


@dataclass(frozen=True)
class Head:
    number: int
    timestamp: int


@dataclass(frozen=True)
class News:
    head: Head
    events: tuple[tuple[int, JobEvent], ...]


@dataclass(frozen=True)
class Gone:
    last: int


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

    def request(self, name: str, *, ciphertext_size: int = 60, single: Level | None = None) -> JobId:
        job_id = JobId(digest(name))
        parameters: Request = request(ciphertext_size=ciphertext_size, single=single)
        self.emit(JobRequested(job_id, REQUESTER, parameters, self.number + 1, self.time + WINDOW))
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
        self.emit(JobSettled(job_id, digest("output"), 0b1))

    def answer(self, job_id: JobId, worker: Address, output: bytes) -> None:
        job = self._uncommitted(job_id, worker)
        self._require(job.request.assurance.attested, "not an attested job")
        self.emit(OutputRevealed(job_id, worker, output, b"sealed"))
        self.emit(JobSettled(job_id, output, 0b1))

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
        self._require(not job.over, "over")
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
                self.emit(JobSettled(job.job_id, output, sum(1 << i for i, w in enumerate(job.committee) if w in won)))
                return
        reason = RefundReason.NO_QUORUM if job.decidable else RefundReason.TOO_FEW_COMMITS
        self.emit(JobRefunded(job.job_id, reason))

    def _require(self, condition: bool, what: str) -> None:
        if not condition:
            raise Reverted(what)


@dataclass
class Disk:
    """What a worker's process leaves behind when it dies."""

    answers: dict[JobId, Answer] = field(default_factory=dict)
    sent: dict[str, tuple[str, JobId, object]] = field(default_factory=dict)
    """The journal: what each intent sends."""
    status: dict[str, str] = field(default_factory=dict)
    cursor: int = 0


class World:
    """One worker, ALICE, and everything around her. `crash_at` is the number of the port call before which she dies."""

    def __init__(self, crash_at: int | None = None, me: Address = ALICE) -> None:
        self.market = Market()
        self.me = me
        self.disk = Disk()
        self.calls: list[str] = []
        self.crash_at = crash_at
        self.commitments: list[bytes] = []
        """Everything that was ever broadcast as a commitment."""
        self.answer: Callable[[Job], Answer] = self.honest
        self.prove: Callable[[Job], ProvedAnswer | None] = self.provable
        self.inferences = 0
        self.proofs = 0
        self.restarts = 0
        self.elapsed = 0.0
        self.mined_at: dict[str, int] = {}
        self.worker = self._start()

    # the ports

    def tick(self, what: str) -> None:
        self.calls.append(what)
        if self.crash_at is not None and len(self.calls) == self.crash_at + 1:
            raise Crash

    def _start(self) -> Worker:
        return Worker(
            me=self.me,
            feed=Feed(self),
            desk=Desk(self),
            memory=Memory(self),
            inference=Inference(self),
            prover=Prover(self),
            timing=Timing(margin=2, patience=3, reveal_window=WINDOW),
            clock=lambda: self.elapsed,
            refusals=(Reverted,),
        )

    def honest(self, job: Job) -> Answer:
        # sealing is random, so that no two answers are the same bytes
        self.inferences += 1
        seal = f"sealed {self.inferences}".encode()
        return Answer(digest("commitment of " + self.me), digest("right"), digest("salt"), seal, b"signed")

    def provable(self, job: Job) -> ProvedAnswer | None:
        self.proofs += 1
        return ProvedAnswer(digest("binding"), digest("C_X"), digest("pad"), b"masked", PROOF, b"signed")

    def step(self) -> bool:
        """One step of the worker, whoever dies in it."""
        try:
            return self.worker.step()
        except Crash:
            self.restarts += 1
            self.worker = self._start()
            return True

    def mine(self, *calls: Callable[[], None]) -> None:
        """A block: with the worker's waiting transactions, in the order of their sending, then `calls`."""

        def mined() -> None:
            for intent, (what, job_id, argument) in self.disk.sent.items():
                if self.disk.status[intent] == "pending":
                    self.disk.status[intent] = "mined"
                    self.mined_at[intent] = self.market.number
                    try:
                        self._execute(what, job_id, argument)
                    except Reverted:
                        self.disk.status[intent] = "failed"

        self.market.mine(mined, *calls)

    def reorganise(self, depth: int) -> None:
        """Takes blocks back; the node keeps the worker's transactions from them waiting."""
        self.market.take_back(depth)
        for intent, block in self.mined_at.items():
            if block > self.market.number:
                self.disk.status[intent] = "pending"

    def _execute(self, what: str, job_id: JobId, argument: object) -> None:
        match what:
            case "commit":
                assert isinstance(argument, bytes)
                self.market.commit(job_id, self.me, argument)
            case "reveal":
                assert isinstance(argument, Answer)
                self.market._require(argument.commitment == digest("commitment of " + self.me), "wrong opening")
                self.market.reveal(job_id, self.me, argument.output_commitment)
            case "answer":
                assert isinstance(argument, Answer)
                self.market.answer(job_id, self.me, argument.output_commitment)
            case "prove":
                assert isinstance(argument, ProvedAnswer)
                self.market.prove(job_id, self.me, argument)
            case "refuse":
                assert isinstance(argument, RefusalReason)
                self.market.refuse(job_id, self.me, argument)
            case "demand":
                self.market.demand(job_id, self.me)
            case "close":
                self.market.close(job_id)


class Feed:
    """Like `cloister.chain.follower`: from the cursor on, with rollbacks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.next = world.disk.cursor
        self.rollbacks = len(world.market.taken_back)

    def poll(self) -> Iterator[News | Gone]:
        self.world.tick("poll")
        market = self.world.market
        for last in market.taken_back[self.rollbacks :]:
            self.rollbacks += 1
            if last < self.next - 1:
                self.next = last + 1
                yield Gone(last)
        while self.next <= market.number:
            number = self.next
            self.next += 1
            time = market.time - BLOCK * (market.number - number)
            yield News(Head(number, time), tuple((number, event) for event in market.blocks[number]))


class Desk:
    """Like `cloister.chain.desk`: simulates, journals, broadcasts; an intent once unless it failed."""

    def __init__(self, world: World) -> None:
        self.world = world

    def commit(self, job: Job, commitment: bytes) -> None:
        self._send("commit", job, commitment)

    def reveal(self, job: Job, answer: Answer) -> None:
        self._send("reveal", job, answer)

    def answer(self, job: Job, answer: Answer) -> None:
        self._send("answer", job, answer)

    def prove(self, job: Job, answer: ProvedAnswer) -> None:
        try:
            self._send("prove", job, answer)
        except Unproved as error:
            raise ProofRefused(error.message) from error

    def refuse(self, job: Job, reason: RefusalReason, signature: bytes) -> None:
        self._send("refuse", job, reason)

    def demand(self, job: Job) -> None:
        self._send("demand", job, None)

    def close(self, job: Job) -> None:
        self._send("close", job, None)

    def progress(self, job_id: JobId) -> Progress:
        self.world.tick("progress")
        names = ("commit", "reveal", "answer", "prove", "refuse", "demand", "close")
        return Progress(*(self._sent(f"{name}:{job_id.hex()}") for name in names))

    def settle(self) -> list[tuple[str, bool]]:
        self.world.tick("settle")
        return []

    def _sent(self, intent: str) -> bool:
        return self.world.disk.status.get(intent, "failed") != "failed"

    def _send(self, what: str, job: Job, argument: object) -> None:
        world = self.world
        world.tick(what)
        intent = f"{what}:{job.job_id.hex()}"
        if self._sent(intent):
            return
        self._simulate(what, job.job_id, argument)
        if what == "commit":
            assert isinstance(argument, bytes)
            world.commitments.append(argument)
        world.disk.sent.pop(intent, None)
        world.disk.sent[intent] = (what, job.job_id, argument)
        world.disk.status[intent] = "pending"
        world.tick(what + " journalled")

    def _simulate(self, what: str, job_id: JobId, argument: object) -> None:
        market = self.world.market
        before = dict(market.jobs), [list(block) for block in market.blocks]
        try:
            self.world._execute(what, job_id, argument)
        finally:
            market.jobs, market.blocks = before


class Memory:
    def __init__(self, world: World) -> None:
        self.world = world

    def answer(self, job_id: JobId) -> Answer | None:
        self.world.tick("recall")
        return self.world.disk.answers.get(job_id)

    def remember(self, job_id: JobId, answer: Answer) -> None:
        self.world.tick("remember")
        old = self.world.disk.answers.setdefault(job_id, answer)
        assert old.commitment == answer.commitment, "a second commitment (LOG-2)"

    def set_cursor(self, block: int) -> None:
        self.world.tick("cursor")
        self.world.disk.cursor = block


class Inference:
    def __init__(self, world: World) -> None:
        self.world = world

    def answer(self, job: Job) -> Answer:
        self.world.tick("inference")
        return self.world.answer(job)


class Prover:
    def __init__(self, world: World) -> None:
        self.world = world

    def prove(self, job: Job) -> ProvedAnswer | None:
        self.world.tick("proof")
        return self.world.prove(job)
