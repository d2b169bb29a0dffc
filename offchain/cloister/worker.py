"""The worker: sees what the chain says, decides, does it, and forgets nothing that it has promised.

Data flows one way: logs → ledger → decision (pure) → journal → transaction. Everything outside is a port, so the same
code runs against a chain, and against a simulation of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from cloister.domain.answer import (
    Answer,
    CannotServe,
    CiphertextMissing,
    ProofRefused,
    ProvedAnswer,
    RefusalReason,
)
from cloister.domain.commitments import masked_output
from cloister.domain.decisions import Action, Progress, Timing, decide, finished
from cloister.domain.errors import CloisterError
from cloister.domain.events import JobEvent
from cloister.domain.ids import Address, JobId, hexed
from cloister.domain.job import Job
from cloister.domain.ledger import REORG_DEPTH, Ledger
from cloister.domain.request import MAX_PUBLISHED

log = structlog.get_logger()

T = TypeVar("T")
CURSOR_STEP = 32
"""Blocks that a restart may read once more than it has to."""


class Head(Protocol):
    """The newest block."""

    @property
    def number(self) -> int: ...
    @property
    def timestamp(self) -> int: ...


class NewBlocks(Protocol):
    """Blocks that came."""

    @property
    def head(self) -> Head: ...
    @property
    def events(self) -> Iterable[tuple[int, JobEvent]]: ...


class TakenBack(Protocol):
    """Blocks that went: everything above `last`."""

    @property
    def last(self) -> int: ...


class Feed(Protocol):
    """Where blocks come from."""

    def poll(self) -> Iterator[NewBlocks | TakenBack]:
        """What happened since the last call."""


class Desk(Protocol):
    """Sends the worker's transactions, each once however often it is asked, journalled before it is broadcast."""

    def commit(self, job: Job, commitment: bytes) -> None: ...
    def reveal(self, job: Job, answer: Answer) -> None: ...
    def answer(self, job: Job, answer: Answer) -> None: ...
    def prove(self, job: Job, answer: ProvedAnswer) -> None:
        """Raises ProofRefused when the market would not take the proof."""

    def judge(self, job: Job, answer: ProvedAnswer) -> None:
        """Decides a dispute. Raises ProofRefused when the market would not take the proof."""

    def resolve(self, job: Job) -> None: ...
    def refuse(self, job: Job, reason: RefusalReason, signature: bytes) -> None:
        """`signature` is the enclave's, or empty: with it the requester pays for some reasons (SIG-2)."""

    def demand(self, job: Job) -> None: ...
    def close(self, job: Job) -> None: ...
    def progress(self, job_id: JobId) -> Progress:
        """What was sent for a job, mined or not."""

    def settle(self) -> Iterable[tuple[str, bool]]:
        """Transactions mined since the last call: what for, and whether they succeeded."""


class Memory(Protocol):
    """What survives a restart."""

    def answer(self, job_id: JobId) -> Answer | None: ...
    def remember(self, job_id: JobId, answer: Answer) -> None:
        """Keeps an answer, durably. Raises when another one is kept for the job (LOG-2)."""

    def proof(self, job_id: JobId) -> ProvedAnswer | None: ...
    def keep_proof(self, job_id: JobId, proof: ProvedAnswer) -> None:
        """Keeps the proof of an output that can still be disputed, durably."""

    def proofs(self) -> Iterable[JobId]:
        """The jobs that proofs are kept for."""

    def drop_proof(self, job_id: JobId) -> None: ...
    def set_cursor(self, block: int) -> None:
        """Keeps from which block on a restart must read."""


class Inference(Protocol):
    """Runs the model on a job's input."""

    def answer(self, job: Job) -> Answer:
        """Raises CannotServe and CiphertextMissing."""


class Prover(Protocol):
    """Runs the model on a job's input and proves its output, beside everything else that the worker does."""

    def prove(self, job: Job) -> ProvedAnswer | None:
        """The proof, None while it is being made. Raises CannotServe and CiphertextMissing."""


class Clock(Protocol):
    """Seconds that pass, from any origin."""

    def __call__(self) -> float: ...


class _Unanswered(CloisterError):
    """Inference failed, but may succeed later."""


@dataclass(slots=True)
class Worker:
    """One worker. Call `step` again and again; any exception it lets out is for the caller to judge.

    `refusals` are errors that the chain answers with when a transaction cannot succeed: the step is given up until the
    next block, since repeating it before cannot help.
    """

    me: Address
    feed: Feed
    desk: Desk
    memory: Memory
    inference: Inference
    prover: Prover
    timing: Timing
    clock: Clock
    refusals: tuple[type[CloisterError], ...]
    trusted_verifier: int | None = None
    """The verifier whose code this worker knows: another may take no proof, and silence costs (JOB-32)."""
    ledger: Ledger = field(default_factory=Ledger)
    _head: Head | None = None
    _head_seen: float = 0.0
    _cursor: int = -CURSOR_STEP
    _given_up: dict[tuple[JobId, Action], Head] = field(default_factory=dict)
    """Steps that failed, with the newest block at the time."""
    _undefended: dict[JobId, None] = field(default_factory=dict)
    """Jobs whose answer is out and has no proof yet that could defend it, oldest first."""

    @property
    def ready(self) -> bool:
        """True: its keys were registered before it started."""
        return True

    def step(self) -> bool:
        """Takes in what is new and does what there is to do; returns whether anything happened."""
        changed = self._look()
        tried: set[tuple[JobId, Action]] = set()
        # Work takes long. The worker looks up after each job, so that no reveal waits for a queue of work.
        while (work := self._quick_steps(tried)) is not None:
            job, action = work
            self._advance(job, action, tried)
            self._look()
        self._prepare_defence()
        return changed or bool(tried)

    def _quick_steps(self, tried: set[tuple[JobId, Action]]) -> tuple[Job, Action] | None:
        """Does all that is due but work; returns the most urgent of that."""
        work: list[tuple[Job, Action]] = []
        for job in [job for job in self.ledger if not job.over and self.me in job.committee]:
            action = self._next(job, tried)
            if action in (Action.WORK, Action.ANSWER):
                work.append((job, action))
            elif action is not None:
                self._advance(job, action, tried)
        return min(work, key=lambda one: one[0].deadline, default=None)

    def _next(self, job: Job, tried: set[tuple[JobId, Action]]) -> Action | None:
        if self._head is None:
            return None
        progress, referee = self.desk.progress(job.job_id), self.ledger.referee_of(job)
        action = decide(job, self.me, progress, self.now(), self.timing, referee)
        if action is None or (job.job_id, action) in tried:
            return None
        return None if self._given_up.get((job.job_id, action)) is self._head else action

    def now(self) -> int:
        """Unix second by the chain's clock, which alone counts for deadlines."""
        assert self._head is not None
        return self._head.timestamp + int(self.clock() - self._head_seen)

    def _look(self) -> bool:
        changed = self._read()
        for intent, succeeded in self.desk.settle():
            changed = True
            log.info("transaction mined", intent=intent, succeeded=succeeded)
        return changed

    def _read(self) -> bool:
        changed = False
        for update in self.feed.poll():
            changed = True
            if hasattr(update, "last"):
                touched = self.ledger.rollback(update.last)
                log.warning("blocks taken back", above=update.last, jobs=[hexed(job) for job in touched])
                continue
            for job_id in self.ledger.extend(update.events):
                self._tell(job_id)
            self._head, self._head_seen = update.head, self.clock()
            self._given_up.clear()
        if changed and self._head is not None:
            self.ledger.prune(self._head.number, self._matters)
            unfinished = self.ledger.first_block_of(job.job_id for job in self.ledger if self._matters(job))
            last = self._head.number - REORG_DEPTH
            self._keep_cursor(max(0, last if unfinished is None else min(unfinished, last)))
        return changed

    def _keep_cursor(self, block: int) -> None:
        # It only spares a restart some reading; writing it to disk for every block would cost an idle worker more.
        if block < self._cursor or block >= self._cursor + CURSOR_STEP:
            self.memory.set_cursor(block)
            self._cursor = block
            for job_id in self.memory.proofs():
                job = self.ledger.get(job_id)
                if job is None or not self._matters(job):
                    self.memory.drop_proof(job_id)

    def _matters(self, job: Job) -> bool:
        """Whether this worker may still have to do something in a job. Others' may stay unfinished for ever."""
        if job.over or self._head is None:
            return not job.over
        if not job.committee:
            return self._head.timestamp <= job.deadline
        return not finished(job, self.me, self._head.timestamp, self.timing)

    def _advance(self, job: Job, action: Action, tried: set[tuple[JobId, Action]]) -> None:
        tried.add((job.job_id, action))
        try:
            self._perform(action, job)
        except self.refusals + (CannotServe, CiphertextMissing, _Unanswered) as error:  # noqa: RUF005 — mypy
            log.warning("step given up", job=hexed(job.job_id), action=action.name.lower(), error=str(error))
            if self._head is not None:
                self._given_up[job.job_id, action] = self._head

    def _perform(self, action: Action, job: Job) -> None:
        match action:
            case Action.WORK:
                self._work(job, self._commit)
            case Action.ANSWER:
                self._work(job, self.desk.answer)
            case Action.PROVE:
                self._prove(job)
            case Action.REVEAL:
                # If the journal was lost since the commit, the answer can be made again, to the same commitment.
                answer = self.memory.answer(job.job_id) or self._answer(job)
                self.desk.reveal(job, answer)
            case Action.JUDGE:
                self._judge(job)
            case Action.CLOSE:
                self.desk.close(job)
            case Action.RESOLVE:
                self.desk.resolve(job)

    def _work(self, job: Job, send: Callable[[Job, Answer], None]) -> None:
        answer = self.memory.answer(job.job_id)
        if answer is None:
            try:
                if job.request.verifier not in (0, self.trusted_verifier):
                    message = f"Verifier {job.request.verifier} is none that this worker knows."
                    raise CannotServe(RefusalReason.OTHER, message)
                answer = self._answer(job)
            except (CannotServe, CiphertextMissing) as error:
                self._decline(job, error)
                return
            self.memory.remember(job.job_id, answer)
        send(job, answer)

    def _commit(self, job: Job, answer: Answer) -> None:
        self.desk.commit(job, answer.commitment)

    def _prove(self, job: Job) -> None:
        """Sends the proof once it is made; it is asked for again with every step until then.

        Nothing is remembered but the transaction itself: a proof made again after a crash is as good as the first, and
        shows the same output.
        """
        try:
            answer = self._tried(self.prover.prove, job)
            if answer is not None:
                self.desk.prove(job, answer)
            elif self.now() + 2 * self.timing.margin > job.deadline:
                # To refuse costs nothing; silence would.
                raise CannotServe(RefusalReason.OTHER, "The proof was not made in time.")
        except ProofRefused as error:
            self._decline(job, CannotServe(RefusalReason.OTHER, str(error)))
        except (CannotServe, CiphertextMissing) as error:
            self._decline(job, error)

    def _judge(self, job: Job) -> None:
        """Proves what this worker revealed; asked for again with every step until the proof is there."""
        answer = self.memory.proof(job.job_id) or self._tried(self.prover.prove, job)
        if answer is None:
            return
        if masked_output(answer.pad_digest, answer.masked) != job.revealed[self.me].output_commitment:
            raise _Unanswered("The proof is of another output than this worker revealed, and would cost it stake.")
        self.memory.keep_proof(job.job_id, answer)
        try:
            self.desk.judge(job, answer)
        except ProofRefused as error:
            raise _Unanswered(error.message, error.hint) from error

    def _prepare_defence(self) -> None:
        """Proves what was answered while the keys that open its input are at hand, one after the other.

        An enclave that starts again cannot open the input any more, and whoever sees that could challenge at no risk.
        A proved job, which has a deadline, never waits for more than one of these proofs.
        """
        for job_id in list(self._undefended):
            job = self.ledger.get(job_id)
            if job is None or job.over or job.final(self.now()):
                del self._undefended[job_id]
                continue
            try:
                proof = self.memory.proof(job_id) or self._tried(self.prover.prove, job)
            except (CannotServe, CiphertextMissing, _Unanswered) as error:
                log.warning("no proof for a dispute", job=hexed(job_id), error=str(error))
                del self._undefended[job_id]
                continue
            if proof is None:
                return
            self.memory.keep_proof(job_id, proof)
            del self._undefended[job_id]

    def _decline(self, job: Job, error: CannotServe | CiphertextMissing) -> None:
        """Refuses the seat, or demands the ciphertext if that is all that is missing."""
        if isinstance(error, CannotServe):
            log.warning("seat refused", job=hexed(job.job_id), reason=error.reason.name.lower(), error=str(error))
            self.desk.refuse(job, error.reason, error.signature)
            return
        log.warning("ciphertext missing", job=hexed(job.job_id), error=str(error))
        if job.request.ciphertext_size <= MAX_PUBLISHED:
            self.desk.demand(job)
        else:
            self.desk.refuse(job, RefusalReason.CIPHERTEXT_UNAVAILABLE, b"")

    def _answer(self, job: Job) -> Answer:
        return self._tried(self.inference.answer, job)

    def _tried(self, attempt: Callable[[Job], T], job: Job) -> T:
        try:
            return attempt(job)
        except (CannotServe, CiphertextMissing):
            raise
        except CloisterError as error:
            # A store or an endpoint that is away, say: other jobs may not need it.
            raise _Unanswered(error.message, error.hint) from error

    def _tell(self, job_id: JobId) -> None:
        job = self.ledger.get(job_id)
        if job is None or self.me not in job.committee:
            return
        answered = self.me in job.committed | job.revealed.keys()
        if answered and job.request.provable and not job.over:
            self._undefended[job_id] = None
        paid = self.me in job.agreeing
        log.info("job", id=hexed(job_id), state=job.state.name.lower(), **({"paid": paid} if job.answered else {}))
