"""Jobs and their events, for tests of everything that reads them."""

from __future__ import annotations

import hashlib
from random import Random

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
from cloister.domain.ids import NOBODY, Address, BlobId, JobId, VersionId
from cloister.domain.request import Assurance, Level, Request

MARKET = Address("0x" + "1A" * 20)
REQUESTER = Address("0x" + "3C" * 20)
ALICE, BOB, CAROL = (Address("0x" + digit * 40) for digit in "abc")
WINDOW = 100
"""Seconds of every window."""


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def request(
    seats: int = 3,
    quorum: int = 2,
    nonce: int = 0,
    ciphertext_size: int = 60,
    *,
    single: Level | None = None,
    verifier: int | None = None,
    worker: Address = NOBODY,
) -> Request:
    """Of level `single`, or AGREED; with a verifier at level PROVED, or if it is named."""
    return Request(
        requester=REQUESTER,
        nonce=nonce,
        version=VersionId(digest("version")),
        assurance=Assurance(Level.AGREED, seats, quorum) if single is None else Assurance(single, 1, 1),
        verifier=int(single is Level.PROVED) if verifier is None else verifier,
        price_per_seat=10**15,
        lock_each=20 * 10**15,
        input_commitment=digest("input"),
        ciphertext_hash=BlobId(digest("ciphertext")),
        ciphertext_size=ciphertext_size,
        response_key=digest("response"),
        secret_hash=digest("secret"),
        worker=worker,
    )


class Story:
    """Makes the events of one job, each a second after the one before."""

    def __init__(
        self,
        seats: int = 3,
        quorum: int = 2,
        name: str = "job",
        start: int = 1000,
        *,
        single: Level | None = None,
        verifier: int | None = None,
        worker: Address = NOBODY,
    ) -> None:
        self.job_id = JobId(digest(name))
        self.request = request(seats, quorum, single=single, verifier=verifier, worker=worker)
        self.time = start

    def _tick(self) -> int:
        self.time += 1
        return self.time

    def requested(self) -> JobRequested:
        hired = self.request.hired
        return JobRequested(self.job_id, self.request, 0 if hired else 7, self._tick() + (0 if hired else WINDOW))

    def delivered(self, *committee: Address) -> KeysDelivered:
        committee = committee or (ALICE, BOB, CAROL)[: self.request.assurance.seats]
        keys = tuple(b"" if worker == NOBODY else digest(worker) for worker in committee)
        return KeysDelivered(self.job_id, committee, keys, self._tick() + WINDOW)

    def committed(self, worker: Address) -> OutputCommitted:
        self._tick()
        return OutputCommitted(self.job_id, worker, digest("commitment of " + worker))

    def opened(self) -> RevealsOpened:
        return RevealsOpened(self.job_id, self.time + WINDOW)

    def revealed(self, worker: Address, output: str = "right") -> OutputRevealed:
        self._tick()
        return OutputRevealed(self.job_id, worker, digest(output), b"sealed")

    def proved(self, worker: Address = ALICE, output: str = "right") -> JobProved:
        self._tick()
        return JobProved(self.job_id, worker, digest(f"masked {output}"))

    def refused(self, worker: Address) -> SeatRefused:
        self._tick()
        return SeatRefused(self.job_id, worker, 1)

    def demanded(self, worker: Address) -> CiphertextDemanded:
        return CiphertextDemanded(self.job_id, worker, self._tick() + WINDOW)

    def published(self) -> CiphertextPublished:
        return CiphertextPublished(self.job_id, REQUESTER, b"ciphertext", self._tick() + WINDOW)

    def settled(self, agreeing: int, output: str = "right", *, final: bool | None = None) -> JobSettled:
        """Of a proved job, or if it is `final`, with no time to challenge it."""
        final = self.request.assurance.proved if final is None else final
        return JobSettled(self.job_id, digest(output), agreeing, self.time + (0 if final else WINDOW))

    def disputed(self) -> JobDisputed:
        return JobDisputed(self.job_id, self._tick() + WINDOW)

    def challenged(self, challenger: Address = REQUESTER) -> ResultChallenged:
        return ResultChallenged(self.job_id, challenger, 10**15, self._tick() + WINDOW)

    def referred(self, referee: str = "referee") -> RefereeCalled:
        return RefereeCalled(self.job_id, JobId(digest(referee)), self.time + WINDOW)

    def upheld(self) -> ResultUpheld:
        self._tick()
        return ResultUpheld(self.job_id)

    def overturned(self, right: int, wrong: int, output: str = "right") -> ResultOverturned:
        self._tick()
        return ResultOverturned(self.job_id, digest(output), right, wrong)

    def refunded(self, reason: RefundReason) -> JobRefunded:
        return JobRefunded(self.job_id, reason)


def random_history(random: Random, name: str) -> list[JobEvent]:
    """Any history that the market can emit, cut anywhere."""
    if random.random() < 0.3:
        return _cut(random, _of_one_seat(random, name))
    story = Story(3, random.choice([2, 2, 3]), name, verifier=random.choice([0, 1]))
    return _cut(random, _of_a_committee(random, story))


def _of_a_committee(random: Random, story: Story) -> list[JobEvent]:
    quorum, workers = story.request.assurance.quorum, [ALICE, BOB, CAROL]
    events: list[JobEvent] = [story.requested()]
    refereed = not story.request.provable and random.random() < 0.2
    if refereed:
        events.append(RefereeCalled(JobId(digest("asks referees")), story.job_id, story.time + WINDOW))
    if random.random() < 0.1:
        events.append(story.refunded(random.choice([RefundReason.NOT_DELIVERED, RefundReason.COMMITTEE_TOO_SMALL])))
        return events
    events.append(story.delivered(*workers))
    published = False
    committed: list[Address] = []
    refused: list[Address] = []
    while undecided := [w for w in workers if w not in committed + refused]:
        step = random.random()
        if step < 0.1 and not published:
            events.append(story.demanded(random.choice(undecided)))
            if random.random() < 0.3:
                return [*events, story.refunded(RefundReason.UNPUBLISHED)]
            events.append(story.published())
            published = True
        elif step < 0.2:
            refused.append(random.choice(undecided))
            events.append(story.refused(refused[-1]))
            if 3 - len(refused) < quorum:
                return [*events, story.refunded(RefundReason.REFUSALS)]
        elif step < 0.9:
            committed.append(random.choice(undecided))
            events.append(story.committed(committed[-1]))
        elif len(committed) < quorum:
            return [*events, story.refunded(RefundReason.TOO_FEW_COMMITS)]
        else:
            break
    events.append(story.opened())
    outputs: dict[Address, str] = {}
    for worker in random.sample(committed, random.randint(0, len(committed))):
        outputs[worker] = random.choice(["right", "right", "right", "wrong", "odd"])
        events.append(story.revealed(worker, outputs[worker]))
    for output in ("right", "wrong", "odd"):
        won = _mask(workers, outputs, output)
        if won.bit_count() >= quorum:
            settled = story.settled(won, output, final=refereed)
            return [*events, settled, *([] if refereed else _doubts(random, story, outputs, output))]
    if refereed or not outputs:
        return [*events, story.refunded(RefundReason.NO_QUORUM)]
    return [*events, story.disputed(), *_dispute(random, story, outputs)]


def _doubts(random: Random, story: Story, outputs: dict[Address, str], result: str) -> list[JobEvent]:
    """What can come after a result that can be challenged."""
    workers = [ALICE, BOB, CAROL]
    found = random.choice(["right", "wrong", "odd", "unseen"])
    right = _mask(workers, outputs, found)
    verdict = story.overturned(right, _mask(workers, outputs) & ~right, found) if found != result else story.upheld()
    if random.random() < 0.3:
        return []
    if not story.request.provable:
        called = [story.challenged(), story.referred()]
        return [*called, random.choice([verdict, story.upheld()])]
    proof = story.proved(BOB, found)
    if found != result and random.random() < 0.3:
        return [proof, verdict]
    challenged = story.challenged(CAROL)
    match random.randrange(4):
        case 0:
            return [challenged, story.refunded(RefundReason.NOT_PROVED)]
        case 1:
            return [challenged, story.upheld()]
        case _:
            return [challenged, proof, verdict]


def _dispute(random: Random, story: Story, outputs: dict[Address, str]) -> list[JobEvent]:
    """What can come after a split vote."""
    workers, found = [ALICE, BOB, CAROL], random.choice(["right", "wrong", "odd", "unseen"])
    right = _mask(workers, outputs, found)
    verdict = [
        story.overturned(right, _mask(workers, outputs) & ~right, found),
        story.settled(right, found, final=True),
    ]
    how: list[JobEvent] = [story.proved(BOB, found)] if story.request.provable else [story.referred()]
    refunded = story.refunded(RefundReason.NO_QUORUM)
    if random.random() < 0.3:
        return [refunded] if story.request.provable else [*how[: random.randint(0, 1)], refunded]
    return [*how, *verdict]


def _mask(workers: list[Address], outputs: dict[Address, str], output: str | None = None) -> int:
    """The seats that revealed an output, or any."""
    return sum(1 << workers.index(w) for w, shown in outputs.items() if output in (None, shown))


def _of_one_seat(random: Random, name: str) -> list[JobEvent]:
    worker = random.choice([NOBODY, ALICE])
    level = random.choice([Level.PROVED, Level.ATTESTED])
    verifier = None if level is Level.PROVED else random.choice([0, 1])
    story = Story(name=name, single=level, worker=worker, verifier=verifier)
    events: list[JobEvent] = [story.requested()]
    if worker == NOBODY and random.random() < 0.1:
        return [*events, story.refunded(random.choice([RefundReason.NOT_DELIVERED, RefundReason.COMMITTEE_TOO_SMALL]))]
    events.append(story.delivered())
    if random.random() < 0.2:
        events.append(story.demanded(ALICE))
        if random.random() < 0.3:
            return [*events, story.refunded(RefundReason.UNPUBLISHED)]
        events.append(story.published())
    match random.randrange(4):
        case 0:
            return [*events, story.refused(ALICE), story.refunded(RefundReason.REFUSALS)]
        case 1:
            return [*events, story.refunded(RefundReason.TOO_FEW_COMMITS)]
    if level is Level.PROVED:
        return [*events, story.proved(), story.settled(0b1)]
    answered = [story.revealed(ALICE), story.settled(0b1)]
    return [*events, *answered, *_doubts(random, story, {ALICE: "right"}, "right")]


def _cut(random: Random, events: list[JobEvent]) -> list[JobEvent]:
    return events if random.random() < 0.6 else events[: random.randint(1, len(events))]
