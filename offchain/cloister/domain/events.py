"""What the market tells: one value per event of IJobMarket that moves a job."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cloister.domain.ids import Address, JobId
from cloister.domain.request import Request


class RefundReason(IntEnum):
    """Why a job ended without an answer. The numbers are the contract's."""

    NOT_DELIVERED = 0
    COMMITTEE_TOO_SMALL = 1
    UNPUBLISHED = 2
    TOO_FEW_COMMITS = 3
    REFUSALS = 4
    NO_QUORUM = 5


@dataclass(frozen=True, slots=True)
class JobRequested:
    """A job was posted and paid for."""

    job_id: JobId
    requester: Address
    request: Request
    seed_block: int
    deliver_by: int


@dataclass(frozen=True, slots=True)
class KeysDelivered:
    """The committee is known. `sealed_keys` has one entry per seat, empty for a vacant one."""

    job_id: JobId
    committee: tuple[Address, ...]
    sealed_keys: tuple[bytes, ...]
    commit_by: int


@dataclass(frozen=True, slots=True)
class OutputCommitted:
    """A worker committed."""

    job_id: JobId
    worker: Address
    commitment: bytes


@dataclass(frozen=True, slots=True)
class RevealsOpened:
    """Every seat has committed or is excused."""

    job_id: JobId
    reveal_by: int


@dataclass(frozen=True, slots=True)
class OutputRevealed:
    """A worker opened its commitment."""

    job_id: JobId
    worker: Address
    output_commitment: bytes
    sealed_output: bytes


@dataclass(frozen=True, slots=True)
class JobProved:
    """The one worker of a proved job proved its output, which `masked` holds under the requester's pad."""

    job_id: JobId
    worker: Address
    masked: bytes


@dataclass(frozen=True, slots=True)
class SeatRefused:
    """A worker gave its seat up."""

    job_id: JobId
    worker: Address
    reason: int


@dataclass(frozen=True, slots=True)
class CiphertextDemanded:
    """A worker cannot find the ciphertext."""

    job_id: JobId
    worker: Address
    publish_by: int


@dataclass(frozen=True, slots=True)
class CiphertextPublished:
    """The ciphertext stands in calldata."""

    job_id: JobId
    publisher: Address
    ciphertext: bytes
    commit_by: int


@dataclass(frozen=True, slots=True)
class JobSettled:
    """A quorum agreed, or the output was proved. Bit i of `agreeing` is seat i."""

    job_id: JobId
    output_commitment: bytes
    agreeing: int


@dataclass(frozen=True, slots=True)
class JobRefunded:
    """The job ended without an answer."""

    job_id: JobId
    reason: RefundReason


JobEvent = (
    JobRequested
    | KeysDelivered
    | OutputCommitted
    | RevealsOpened
    | OutputRevealed
    | JobProved
    | SeatRefused
    | CiphertextDemanded
    | CiphertextPublished
    | JobSettled
    | JobRefunded
)
