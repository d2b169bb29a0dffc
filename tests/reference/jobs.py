"""A market's parameters, and one job: all that was ever said in it.

A job keeps every output that anybody revealed; whatever the contracts store of it is derived."""

from dataclasses import dataclass, field

from eth_utils import keccak

from . import commitments
from .commitments import NOBODY, Brief, Request, Terms, Ticket

STATES = ["None", "Open", "Ready", "Demanded", "Committed", "Settled", "Refunded", "Disputed", "Challenged"]
REASONS = ["NotDelivered", "CommitteeTooSmall", "Unpublished", "TooFewCommits", "Refusals", "NoQuorum", "NotProved"]
ATTESTED, AGREED, PROVED = range(3)
PROVABLE_REASONS = {1, 4, 5}
LARGEST_COMMITTEE = 15
LARGEST_PUBLISHED = 65536
LARGEST_OUTPUT = 1072
LARGEST_MASKED = 8192
SEALED_KEY = 80


@dataclass(frozen=True)
class Parameters:
    """In the order of IJobs.Parameters."""

    seed_delay: int
    deliver_window: int
    commit_window: int
    reveal_window: int
    publish_window: int
    challenge_window: int
    dispute_window: int
    stake_ratio: int
    silent_bps: int
    wrong_bps: int
    fault_bps: int
    check_bps: int
    demand_deposit: int
    proof_gas: int
    max_base_fee: int
    proving_fee: int

    def bond(self, base_fee: int) -> int:
        """CHAL-4: one and a half times what a proof costs."""
        return (min(base_fee, self.max_base_fee) * self.proof_gas + self.proving_fee) * 3 // 2

    @property
    def answers_in(self) -> int:
        """Seconds from the delivery to the last possible commitment: a demand can come in the last second."""
        return 2 * self.commit_window + self.publish_window


@dataclass(frozen=True)
class Offer:
    price: int
    owner_percent: int = 0
    inexact: bool = False

    def tuple(self) -> tuple:
        return self.price, self.owner_percent, self.inexact


@dataclass
class Job:
    request: Request
    deadline: int
    seed_block: int = 0
    request_block: int = 0
    requested_at: int = 0
    state: str = "Open"
    enrolled: bool = False  # for a version with a policy
    hired: bool = False
    inexact: bool = False
    final: bool = False  # nobody can challenge the result
    published: bool = False
    demander: str | None = None
    committee: list[str] = field(default_factory=list)
    keys: bytes = b""
    delivered_at: int = 0
    commitments: dict[int, bytes] = field(default_factory=dict)  # by seat
    outputs: dict[int, bytes] = field(default_factory=dict)  # by seat, of those whose word still counts
    excused: set[int] = field(default_factory=set)
    charged: set[int] = field(default_factory=set)  # seats that earned the fault fee by a signed refusal
    lead: int = 0  # the first seat that revealed; of an ended job one that has the result
    result: bytes | None = None
    challenger: str | None = None
    bond: int = 0
    referee: bytes | None = None
    punished: bool = False  # nothing is left of a disagreement

    @property
    def terms(self) -> Terms:
        return self.request.terms

    @property
    def brief(self) -> Brief:
        return self.request.brief

    @property
    def large(self) -> bool:
        return self.brief.ciphertext_size > LARGEST_PUBLISHED

    @property
    def provable(self) -> bool:
        return self.terms.verifier != 0

    @property
    def over(self) -> bool:
        """Nothing more can become of it."""
        return self.state == "Refunded" or (self.state == "Settled" and self.final)

    @property
    def ticket(self) -> Ticket:
        keys = keccak(self.keys) if self.committee else bytes(32)
        return Ticket(self.terms, self.brief.hash(), tuple(self.committee), keys)

    def seats(self) -> list[int]:
        """Seats that somebody holds and has not given up."""
        return [seat for seat in range(self.terms.seats) if seat not in self.excused]

    def agreeing(self) -> set[int]:
        """Seats that revealed the result, or before there is one what the first seat did."""
        word = self.result if self.state in {"Settled", "Challenged"} else self.outputs.get(self.lead)
        return {seat for seat, output in self.outputs.items() if output == word}

    def dissenting(self) -> set[int]:
        return set() if self.punished else set(self.outputs) - self.agreeing()

    def sealed_key(self, seat: int) -> bytes:
        place = sum(who != NOBODY for who in self.committee[:seat])
        return self.keys[SEALED_KEY * place : SEALED_KEY * (place + 1)]

    def is_final(self, now: int) -> bool:
        return self.state == "Settled" and (self.final or now > self.deadline)

    def record(self, job_id: bytes) -> dict:
        """What `job(id)` of the contract must answer."""
        flags = [self.published, self.large, self.enrolled, self.hired, self.final, self.inexact]
        delivered = bool(self.committee)
        return {
            "state": STATES.index(self.state),
            "flags": sum(1 << place for place, flag in enumerate(flags) if flag),
            "committed": mask(self.commitments),
            "revealed": mask(self.outputs),
            "dissenting": mask(self.dissenting()),
            "excused": mask(self.excused),
            "charged": len(self.charged),
            "lead": self.lead,
            "deadline": self.deadline,
            "moment": self.delivered_at if delivered else self.seed_block,
            "tag": commitments.ticket_tag(job_id, self.committee, self.ticket.keys) if delivered else bytes(12),
        }


def mask(seats) -> int:
    return sum(1 << seat for seat in seats)
