"""What the market tells: one value per event of IJobMarket that moves a job."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from cloister.domain.ids import Address, JobId
from cloister.domain.request import Request


class RefundReason(IntEnum):
    """Why a job ended without an answer that counts. The numbers are the contract's."""

    NOT_DELIVERED = 0
    COMMITTEE_TOO_SMALL = 1
    UNPUBLISHED = 2
    TOO_FEW_COMMITS = 3
    REFUSALS = 4
    NO_QUORUM = 5
    NOT_PROVED = 6


@dataclass(frozen=True, slots=True)
class JobRequested:
    """A job was posted and paid for. `seed_block` is 0 for that of a hired worker, whose keys follow at once."""

    job_id: JobId
    request: Request
    seed_block: int
    deliver_by: int

    @property
    def requester(self) -> Address:
        """Who posted it."""
        return self.request.requester


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
    """An output was proved: of a proved job by its worker, of any other by whoever ends the doubts about it.

    `masked` holds it under the requester's pad.
    """

    job_id: JobId
    prover: Address
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
    """The seats of `agreeing`, bit i for seat i, are paid for an output.

    It can be challenged to second `challenge_by`, which is the present one if it is final.
    """

    job_id: JobId
    output_commitment: bytes
    agreeing: int
    challenge_by: int


@dataclass(frozen=True, slots=True)
class JobRefunded:
    """The job ended without an answer that counts."""

    job_id: JobId
    reason: RefundReason


@dataclass(frozen=True, slots=True)
class JobDisputed:
    """No output reached the quorum: a proof decides, or referees, to second `decide_by`."""

    job_id: JobId
    decide_by: int


@dataclass(frozen=True, slots=True)
class ResultChallenged:
    """Unless the result is proved or upheld by referees, it is void; `bond` in wei."""

    job_id: JobId
    challenger: Address
    bond: int
    decide_by: int


@dataclass(frozen=True, slots=True)
class RefereeCalled:
    """Job `referee` asks a larger committee the question of job `job_id`; its result decides."""

    job_id: JobId
    referee: JobId
    decide_by: int


@dataclass(frozen=True, slots=True)
class ResultUpheld:
    """The result stands, for good, and outvoted seats have lost."""

    job_id: JobId


@dataclass(frozen=True, slots=True)
class ResultOverturned:
    """Another output is right, for good. The seats of `right` revealed it; those of `wrong` are slashed."""

    job_id: JobId
    output_commitment: bytes
    right: int
    wrong: int


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
    | JobDisputed
    | ResultChallenged
    | RefereeCalled
    | ResultUpheld
    | ResultOverturned
)
