"""Jobs from the delivery on: rules JOB-11 to JOB-31 of docs/spec/protocol.md, SIG-* of docs/spec/enclaves.md."""

import hashlib

from eth_utils import keccak

from . import commitments, enclaves
from .accounts import BURN
from .commitments import NOBODY, Brief, Ticket
from .disputes import Disputes
from .jobs import (
    AGREED,
    ATTESTED,
    LARGEST_OUTPUT,
    LARGEST_PUBLISHED,
    PROVABLE_REASONS,
    PROVED,
    STATES,
    Job,
    Offer,
    Parameters,
)
from .registry import Refused, require

__all__ = ["AGREED", "ATTESTED", "BURN", "LARGEST_PUBLISHED", "PROVED", "STATES"]
__all__ += ["Job", "Market", "Offer", "Parameters", "Refused"]


class Market(Disputes):
    """The whole market: `now` is the second, `block` the number of the block that a call is in."""

    # ---------------------------------------------------------------- workers

    def commit(self, who: str, ticket: Ticket, commitment: bytes, *, now: int, block: int) -> None:
        job_id, job = self._shown(ticket, {"Ready"}, now)
        require(job.terms.level == AGREED, "JOB-27")
        job.commitments[self._open_seat(job, who)] = commitment
        self.emit("OutputCommitted", id=job_id, worker=who, commitment=commitment)
        self._maybe_open_reveals(job_id, job, now)

    def reveal(
        self,
        who: str,
        ticket: Ticket,
        output: bytes,
        salt: bytes,
        sealed: bytes,
        signature: bytes,
        *,
        now: int,
        block: int,
    ) -> None:
        job_id, job = self._shown(ticket)
        late = job.state == "Ready" and now > job.deadline and self._decidable(job)  # JOB-14
        deadline = job.deadline + self.parameters.reveal_window if late else job.deadline
        require((late and job.terms.level == AGREED) or job.state == "Committed", "JOB-14")
        require(now <= deadline, "JOB-15")
        seat = self._seat_of(job, who)
        require(seat in job.commitments and seat not in job.outputs, "JOB-15")
        require(any(output), "JOB-15: zero would mean that nothing was revealed")
        require(len(sealed) <= LARGEST_OUTPUT, "sealed output too long")
        opened = commitments.commitment(self.chain_id, self.address, job_id, who, output, salt)
        require(opened == job.commitments[seat], "JOB-11, JOB-15")
        require(not job.enrolled or self._result_signed(who, job_id, output, sealed, signature), "SIG-1")
        if late:
            self.emit("RevealsOpened", id=job_id, revealBy=deadline)
        job.state, job.deadline = "Committed", deadline
        job.lead = job.lead if job.outputs else seat
        job.outputs[seat] = output
        self.emit("OutputRevealed", id=job_id, worker=who, outputCommitment=output, sealedOutput=sealed)
        if set(job.outputs) == set(job.commitments):
            self._settle(job_id, job, now, block)

    def answer(
        self, who: str, ticket: Ticket, output: bytes, sealed: bytes, signature: bytes, *, now: int, block: int
    ) -> None:
        job_id, job = self._shown(ticket, {"Ready"}, now)
        require(job.terms.level == ATTESTED, "Level ATTESTED")
        self._open_seat(job, who)
        require(any(output), "zero would mean that there is no result")
        require(len(sealed) <= LARGEST_OUTPUT, "sealed output too long")
        require(not self._revoked(job, who), "ENC-5")
        require(self._result_signed(who, job_id, output, sealed, signature), "SIG-1")
        self.emit("OutputRevealed", id=job_id, worker=who, outputCommitment=output, sealedOutput=sealed)
        self._settle_alone(job_id, job, output, now)

    def prove(
        self,
        who: str,
        ticket: Ticket,
        brief: Brief,
        opening: tuple[bytes, bytes, bytes],
        masked: bytes,
        proof: bytes,
        signature: bytes,
        *,
        now: int,
        block: int,
    ) -> None:
        job_id, job = self._shown(ticket, {"Ready"}, now)
        require(job.terms.level == PROVED, "JOB-27")
        self._open_seat(job, who)
        output = self._proved(who, job_id, job, brief, opening, masked, proof)
        require(not job.enrolled or self._result_signed(who, job_id, output, masked, signature), "SIG-1")
        self.emit("JobProved", id=job_id, prover=who, masked=masked)
        self._settle_alone(job_id, job, output, now)  # JOB-30

    def refuse(
        self, who: str, ticket: Ticket, reason: int, keys: bytes, signature: bytes, *, now: int, block: int
    ) -> None:
        job_id, job = self._shown(ticket, {"Ready"}, now)
        seat = self._open_seat(job, who)
        if signature and job.enrolled and reason in PROVABLE_REASONS:  # SIG-2
            require(keys == job.keys, "SIG-2: keys that were not delivered")
            key = keccak(job.sealed_key(seat))
            signed = enclaves.message(self.chain_id, self.address, "Refusal", job_id, who, key, reason)
            require(self.registry.signs(who, enclaves.signed_by(signed, signature), job.delivered_at), "SIG-2")
            job.charged.add(seat)
            fee = self._fault_fee(job)
            self.emit("RefusalCharged", id=job_id, worker=who, fee=fee, sealedKeyHash=key)
            self.credit(who, job_id, fee, job.terms.token)
        self.emit("SeatRefused", id=job_id, worker=who, reason=reason)
        job.excused.add(seat)
        self.registry.release(who, job_id, 0, block)
        if len(job.seats()) < job.terms.quorum:  # JOB-16
            self._free(job_id, job, job.seats(), block)
            self._refund(job_id, job, "Refusals", self._left(job))
        else:
            self._maybe_open_reveals(job_id, job, now)

    def demand(self, who: str, value: int, ticket: Ticket, *, now: int, block: int) -> None:
        job_id, job = self._shown(ticket, {"Ready"}, now)
        require(not job.large, "JOB-19")
        require(not job.published, "JOB-17: once")
        require(value == self.parameters.demand_deposit, "JOB-17: deposit")
        self._open_seat(job, who)
        job.state, job.demander = "Demanded", who
        job.deadline = now + self.parameters.publish_window
        self.emit("CiphertextDemanded", id=job_id, worker=who, publishBy=job.deadline)

    # ---------------------------------------------------------------- anybody, while the job runs

    def publish(self, who: str, ticket: Ticket, brief: Brief, ciphertext: bytes, *, now: int, block: int) -> None:
        job_id, job = self._shown(ticket, {"Demanded"}, now)
        require(brief == job.brief, "another brief")
        require(hashlib.sha256(ciphertext).digest() == brief.ciphertext_hash, "JOB-17")
        job.state, job.published, job.demander = "Ready", True, None
        job.deadline = now + self.parameters.commit_window
        facts = {"publisher": who, "ciphertext": ciphertext, "commitBy": job.deadline}
        self.emit("CiphertextPublished", id=job_id, **facts)
        self.credit(who, job_id, self.parameters.demand_deposit)

    def close(self, who: str, ticket: Ticket, *, now: int, block: int) -> None:
        job_id, job = self._shown(ticket, {"Open", "Ready", "Demanded", "Committed"})
        window = self.parameters.reveal_window if job.state == "Ready" and self._decidable(job) else 0
        require(now > job.deadline + window, "JOB-24")
        if job.state == "Open":  # JOB-18
            fee = job.terms.escrow * self.parameters.fault_bps // 10_000
            self.credit(BURN, job_id, fee, job.terms.token)
            self._refund(job_id, job, "NotDelivered", job.terms.escrow - fee)
        elif job.state == "Demanded":
            self._void(job_id, job, block)
        else:
            self._settle(job_id, job, now, block)

    def notify(self, who: str, ticket: Ticket, brief: Brief, *, now: int, block: int) -> None:
        """Of a consumer that takes what it is told."""
        job_id, job = self._shown(ticket)
        require(brief == job.brief, "another brief")
        require(job.is_final(now), "JOB-38: not final")
        require(brief.consumer != NOBODY, "JOB-38: nobody to tell")
        self.emit("ConsumerNotified", id=job_id, consumer=brief.consumer, taken=True)

    def collect(self, who: str, version: bytes, token: str, *, now: int, block: int) -> None:
        self.collect_fees(self.registry.policies.owners.get(version, NOBODY), version, token)
