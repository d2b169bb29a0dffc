"""Jobs and their events, for tests of everything that reads them."""

from __future__ import annotations

import hashlib
from random import Random

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
    seats: int = 3, quorum: int = 2, nonce: int = 0, ciphertext_size: int = 60, *, single: Level | None = None
) -> Request:
    return Request(
        nonce=nonce,
        version=VersionId(digest("version")),
        assurance=Assurance(Level.AGREED, seats, quorum) if single is None else Assurance(single, 1, 1),
        price_per_seat=10**15,
        input_commitment=digest("input"),
        ciphertext_hash=BlobId(digest("ciphertext")),
        ciphertext_size=ciphertext_size,
        response_key=digest("response"),
        secret_hash=digest("secret"),
    )


class Story:
    """Makes the events of one job, each a second after the one before."""

    def __init__(
        self, seats: int = 3, quorum: int = 2, name: str = "job", start: int = 1000, *, single: Level | None = None
    ) -> None:
        self.job_id = JobId(digest(name))
        self.request = request(seats, quorum, single=single)
        self.time = start

    def _tick(self) -> int:
        self.time += 1
        return self.time

    def requested(self) -> JobRequested:
        return JobRequested(self.job_id, REQUESTER, self.request, 7, self._tick() + WINDOW)

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

    def settled(self, agreeing: int, output: str = "right") -> JobSettled:
        return JobSettled(self.job_id, digest(output), agreeing)

    def refunded(self, reason: RefundReason) -> JobRefunded:
        return JobRefunded(self.job_id, reason)


def random_history(random: Random, name: str) -> list[JobEvent]:
    """Any history that the market can emit, cut anywhere."""
    if random.random() < 0.2:
        return _random_proved_history(random, name)
    quorum = random.choice([2, 2, 3])
    workers = [ALICE, BOB, CAROL]
    story = Story(3, quorum, name)
    events: list[JobEvent] = [story.requested()]
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
                return _cut(random, [*events, story.refunded(RefundReason.UNPUBLISHED)])
            events.append(story.published())
            published = True
        elif step < 0.2:
            refused.append(random.choice(undecided))
            events.append(story.refused(refused[-1]))
            if 3 - len(refused) < quorum:
                return _cut(random, [*events, story.refunded(RefundReason.REFUSALS)])
        elif step < 0.9:
            committed.append(random.choice(undecided))
            events.append(story.committed(committed[-1]))
        elif len(committed) < quorum:
            return _cut(random, [*events, story.refunded(RefundReason.TOO_FEW_COMMITS)])
        else:
            break
    events.append(story.opened())
    outputs: dict[Address, str] = {}
    for worker in random.sample(committed, random.randint(0, len(committed))):
        outputs[worker] = random.choice(["right", "right", "right", "wrong"])
        events.append(story.revealed(worker, outputs[worker]))
    for output in ("right", "wrong"):
        won = [w for w in workers if outputs.get(w) == output]
        if len(won) >= quorum:
            return _cut(random, [*events, story.settled(sum(1 << workers.index(w) for w in won), output)])
    return _cut(random, [*events, story.refunded(RefundReason.NO_QUORUM)])


def _random_proved_history(random: Random, name: str) -> list[JobEvent]:
    story = Story(name=name, single=Level.PROVED)
    events: list[JobEvent] = [story.requested()]
    if random.random() < 0.1:
        return [*events, story.refunded(random.choice([RefundReason.NOT_DELIVERED, RefundReason.COMMITTEE_TOO_SMALL]))]
    events.append(story.delivered())
    if random.random() < 0.2:
        events.append(story.demanded(ALICE))
        if random.random() < 0.3:
            return _cut(random, [*events, story.refunded(RefundReason.UNPUBLISHED)])
        events.append(story.published())
    match random.randrange(4):
        case 0:
            events += [story.refused(ALICE), story.refunded(RefundReason.REFUSALS)]
        case 1:
            events.append(story.refunded(RefundReason.TOO_FEW_COMMITS))
        case _:
            events += [story.proved(), story.settled(0b1)]
    return _cut(random, events)


def _cut(random: Random, events: list[JobEvent]) -> list[JobEvent]:
    return events if random.random() < 0.6 else events[: random.randint(1, len(events))]
