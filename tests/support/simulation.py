"""One worker on a market in memory: its ports, its disk, and the ways in which it can die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from support.jobs import ALICE, WINDOW, digest
from support.simulated_market import BLOCK, MASKED, PAD, PROOF, Market, Reverted, Unproved, right_output

from cloister.domain.answer import Answer, ProofRefused, ProvedAnswer, RefusalReason
from cloister.domain.decisions import Progress, Timing
from cloister.domain.events import JobEvent
from cloister.domain.ids import Address, JobId
from cloister.domain.job import Job
from cloister.worker import Worker

TRUSTED = 1
"""The verifier that the worker knows."""


class Crash(BaseException):
    """The process dies here."""


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
class Disk:
    """What a worker's process leaves behind when it dies."""

    answers: dict[JobId, Answer] = field(default_factory=dict)
    proofs: dict[JobId, ProvedAnswer] = field(default_factory=dict)
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
            timing=Timing(2, 3, proving=20, reveal_window=WINDOW, challenge_window=WINDOW, dispute_window=WINDOW),
            trusted_verifier=TRUSTED,
            clock=lambda: self.elapsed,
            refusals=(Reverted,),
        )

    def honest(self, job: Job) -> Answer:
        # sealing is random, so that no two answers are the same bytes
        self.inferences += 1
        seal = f"sealed {self.inferences}".encode()
        return Answer(digest("commitment of " + self.me), right_output(job), digest("salt"), seal, b"signed")

    def provable(self, job: Job) -> ProvedAnswer | None:
        self.proofs += 1
        return ProvedAnswer(digest("binding"), digest("C_X"), PAD, MASKED, PROOF, b"signed")

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
            case "judge":
                assert isinstance(argument, ProvedAnswer)
                self.market.judge(job_id, self.me, argument)
            case "resolve":
                self.market.resolve(job_id)


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

    def judge(self, job: Job, answer: ProvedAnswer) -> None:
        try:
            self._send("judge", job, answer)
        except Unproved as error:
            raise ProofRefused(error.message) from error

    def resolve(self, job: Job) -> None:
        self._send("resolve", job, None)

    def refuse(self, job: Job, reason: RefusalReason, signature: bytes) -> None:
        self._send("refuse", job, reason)

    def demand(self, job: Job) -> None:
        self._send("demand", job, None)

    def close(self, job: Job) -> None:
        self._send("close", job, None)

    def progress(self, job_id: JobId) -> Progress:
        self.world.tick("progress")
        names = ("commit", "reveal", "answer", "prove", "refuse", "demand", "close", "judge", "resolve")
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

    def proof(self, job_id: JobId) -> ProvedAnswer | None:
        self.world.tick("recall proof")
        return self.world.disk.proofs.get(job_id)

    def keep_proof(self, job_id: JobId, proof: ProvedAnswer) -> None:
        self.world.tick("keep proof")
        self.world.disk.proofs.setdefault(job_id, proof)

    def proofs(self) -> list[JobId]:
        self.world.tick("list proofs")
        return list(self.world.disk.proofs)

    def drop_proof(self, job_id: JobId) -> None:
        self.world.tick("drop proof")
        self.world.disk.proofs.pop(job_id, None)

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
