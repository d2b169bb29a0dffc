"""Jobs and money: rules JOB-*, MONEY-* of docs/spec/protocol.md, SIG-* of docs/spec/enclaves.md."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from eth_utils import keccak

from . import commitments, enclaves, statements
from .attestations import REVOKED, EnclaveRegistry
from .commitments import NOBODY, Request
from .registry import Refused, require
from .statements import Circuit, Statement, Verifiers

__all__ = ["BURN", "Job", "Market", "Parameters", "Refused"]

BURN = "0x000000000000000000000000000000000000dEaD"
STATES = ["None", "Open", "Ready", "Demanded", "Committed", "Settled", "Refunded"]
ATTESTED, AGREED, PROVED = range(3)
PROVABLE_REASONS = {1, 4, 5}
LARGEST_PUBLISHED = 65536
LARGEST_OUTPUT = 1072
LARGEST_MASKED = 8192
SEALED_KEY = 80


@dataclass(frozen=True)
class Parameters:
    seed_delay: int
    deliver_window: int
    commit_window: int
    reveal_window: int
    publish_window: int
    stake_ratio: int
    silent_bps: int
    wrong_bps: int
    fault_bps: int
    demand_deposit: int


@dataclass
class Job:
    request: Request
    requester: str
    seed_block: int
    request_block: int
    requested_at: int
    deadline: int
    state: str = "Open"
    committee: list[str] = field(default_factory=list)
    commitments: dict[int, bytes] = field(default_factory=dict)  # by seat
    outputs: dict[int, bytes] = field(default_factory=dict)  # by seat
    excused: set[int] = field(default_factory=set)
    published: bool = False
    demander: str | None = None
    charged: set[int] = field(default_factory=set)  # seats that earned the fault fee by a signed refusal
    enrolled: bool = False  # only enrolled workers are drawn
    delivered_at: int = 0
    sealed_keys: dict[int, bytes] = field(default_factory=dict)  # by seat
    result: bytes | None = None

    @property
    def large(self) -> bool:
        return self.request.ciphertext_size > LARGEST_PUBLISHED

    @property
    def proved(self) -> bool:
        return self.request.level == PROVED

    @property
    def attested(self) -> bool:
        return self.request.level == ATTESTED

    @property
    def escrow(self) -> int:
        return self.request.seats * self.request.price

    @property
    def over(self) -> bool:
        return self.state in {"Settled", "Refunded"}

    def seats(self) -> list[int]:
        """Seats that somebody holds and has not given up."""
        return [seat for seat in range(self.request.seats) if seat not in self.excused]

    def record(self, parameters: Parameters) -> dict:
        """What `job(id)` of the contract must answer."""
        if self.state in {"Open", "Refunded"}:
            digest = bytes(32)
        else:
            digest = self.result or commitments.committee_hash(self.committee)
        return {
            "state": STATES.index(self.state),
            "seats": self.request.seats,
            "quorum": self.request.quorum,
            "flags": 1 * self.published + 2 * self.large + 4 * self.proved + 8 * self.attested + 16 * self.enrolled,
            "committed": sum(1 << seat for seat in self.commitments),
            "revealed": sum(1 << seat for seat in self.outputs),
            "excused": sum(1 << seat for seat in self.excused),
            "deadline": self.deadline,
            "seedBlock": self.seed_block,
            "pricePerSeat": self.request.price,
            "requester": self.requester,
            "lockEach": self.request.price * parameters.stake_ratio,
            "digest": digest,
            "deliveredAt": self.delivered_at,
            "charged": sum(1 << seat for seat in self.charged),
        }


@dataclass
class Market:
    chain_id: int
    address: str
    parameters: Parameters
    registry: EnclaveRegistry
    verifiers: Verifiers
    accepts: Callable[[Statement, bytes], bool]  # what the verifiers of this history say to a proof
    prices: dict[bytes, int] = field(default_factory=dict)  # of the versions that take jobs
    circuits: dict[bytes, Circuit] = field(default_factory=dict)  # of the versions that have one
    jobs: dict[bytes, Job] = field(default_factory=dict)
    credits: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def balance(self) -> int:
        """MONEY-1."""
        live = [job for job in self.jobs.values() if not job.over]
        deposits = self.parameters.demand_deposit * sum(job.state == "Demanded" for job in live)
        return sum(job.escrow - self._charges(job) for job in live) + deposits + sum(self.credits.values())

    def charged(self) -> int:
        """Seats that earned the fault fee by a signed refusal."""
        return sum(len(job.charged) for job in self.jobs.values())

    # ---------------------------------------------------------------- requester

    def request(self, who: str, value: int, request: Request, *, now: int, block: int) -> bytes:
        require(request.level in {ATTESTED, AGREED, PROVED}, "JOB-4")
        closed = self.registry.policies.closed(request.version)
        if request.level == ATTESTED:
            require(request.seats == request.quorum == 1 and closed, "Level ATTESTED")
        elif request.level == PROVED:
            require(request.seats == request.quorum == 1, "JOB-25")
            require(request.version in self.circuits, "MODEL-7")
            require(self.circuits[request.version].verifier not in self.verifiers.gone, "MODEL-7")
        else:
            require(2 <= request.seats <= 15, "JOB-3")
            require(request.quorum <= request.seats < 2 * request.quorum, "JOB-3")
        require(self.prices.get(request.version) == request.price, "JOB-1, MODEL-2")
        require(value == request.seats * request.price, "JOB-1")
        job = commitments.job_id(self.chain_id, self.address, who, request)
        require(job not in self.jobs, "JOB-2")
        seed_block = block + self.parameters.seed_delay  # JOB-5
        deadline = now + self.parameters.deliver_window
        self.jobs[job] = Job(request, who, seed_block, block, now, deadline, enrolled=closed)
        return job

    def committee(self, job_id: bytes, prevrandao: bytes, secret: bytes, now: int) -> list[str]:
        """Whom a delivery at second `now` would seat."""
        job, p = self.jobs[job_id], self.parameters
        lock = job.request.price * self.parameters.stake_ratio
        epoch = self.registry.epoch(job.request_block)
        seed = commitments.seed(job_id, prevrandao, secret)
        if not job.enrolled:
            return self.registry.draw(seed, job.request.seats, epoch, lock)
        commits_end = now + 2 * p.commit_window + p.publish_window  # ENC-10: a demand can come in the last second
        return self.registry.draw_enrolled(
            seed,
            job.request.seats,
            epoch,
            lock,
            job.request.version,
            job.requested_at,
            commits_end + p.reveal_window,
            commits_end,
        )

    def deliver(
        self,
        who: str,
        request: Request,
        secret: bytes,
        prevrandao: bytes | None,
        named: bytes,
        keys: bytes,
        *,
        now: int,
        block: int,
    ) -> None:
        """`prevrandao` is that of the header which was passed, None if that is not the seed block's."""
        job_id = commitments.job_id(self.chain_id, self.address, who, request)
        job = self._job(job_id, "Open", now)
        require(commitments.secret_hash(secret) == request.secret_hash, "JOB-6")
        require(prevrandao is not None and block > job.seed_block, "DRAW-1")
        epochs = self.registry.epoch(block) - self.registry.epoch(job.request_block)
        require(epochs <= 1, "DRAW-2")
        committee = self.committee(job_id, prevrandao, secret, now)
        require(named == commitments.committee_hash(committee), "JOB-9")
        seated = [worker for worker in committee if worker != NOBODY]
        if len(seated) < request.quorum:  # JOB-8
            self._refund(job, job.escrow - self._charges(job))
            return
        require(len(keys) == SEALED_KEY * len(seated), "JOB-7")
        job.state = "Ready"
        job.deadline = now + self.parameters.commit_window
        job.committee, job.delivered_at = committee, now
        job.excused = {seat for seat, worker in enumerate(committee) if worker == NOBODY}
        places = [seat for seat, worker in enumerate(committee) if worker != NOBODY]
        job.sealed_keys = {seat: keys[SEALED_KEY * i : SEALED_KEY * (i + 1)] for i, seat in enumerate(places)}
        for worker in seated:  # JOB-10
            self.registry.lock(worker, request.price * self.parameters.stake_ratio)

    # ---------------------------------------------------------------- workers

    def commit(self, who: str, job_id: bytes, committee: list[str], commitment: bytes, *, now: int, block: int) -> None:
        job = self._job(job_id, "Ready", now)
        require(not job.proved and not job.attested, "JOB-27")
        seat = self._open_seat(job, committee, who)
        job.commitments[seat] = commitment
        self._maybe_open_reveals(job, now)

    def reveal(
        self,
        who: str,
        job_id: bytes,
        committee: list[str],
        output: bytes,
        salt: bytes,
        sealed: bytes,
        signature: bytes,
        *,
        now: int,
        block: int,
    ) -> None:
        require(job_id in self.jobs, "unknown job")
        job = self.jobs[job_id]
        late = job.state == "Ready" and now > job.deadline and self._decidable(job)  # JOB-14
        deadline = job.deadline + self.parameters.reveal_window if late else job.deadline
        require(late or job.state == "Committed", "JOB-14")
        require(now <= deadline, "JOB-15")
        seat = self._seat(job, committee, who)
        require(seat in job.commitments and seat not in job.outputs, "JOB-15")
        require(any(output), "JOB-15: zero would mean that nothing was revealed")
        require(len(sealed) <= LARGEST_OUTPUT, "sealed output too long")
        opened = commitments.commitment(self.chain_id, self.address, job_id, who, output, salt)
        require(opened == job.commitments[seat], "JOB-11, JOB-15")
        require(self._result_signed(who, job_id, output, sealed, signature), "SIG-1")
        job.state, job.deadline = "Committed", deadline
        job.outputs[seat] = output
        if set(job.outputs) == set(job.commitments):
            self._settle(job, block)

    def prove(
        self,
        who: str,
        request: Request,
        requester: str,
        committee: list[str],
        binding: bytes,
        input_digest: bytes,
        pad_points: bytes,
        masked: bytes,
        proof: bytes,
        signature: bytes,
        *,
        now: int,
        block: int,
    ) -> None:
        job_id = commitments.job_id(self.chain_id, self.address, requester, request)
        job = self._job(job_id, "Ready", now)
        require(job.proved, "JOB-27")
        seat = self._open_seat(job, committee, who)
        require(len(masked) <= LARGEST_MASKED, "JOB-29")
        bound = statements.input_commitment(binding, statements.circuit_input(input_digest, pad_points))
        require(bound == request.input_commitment, "JOB-26")
        circuit = self.circuits[request.version]
        require(circuit.verifier not in self.verifiers.gone, "VERIFIER-3")
        output = statements.proved_output(pad_points, masked)
        statement = Statement(
            circuit=circuit.circuit,
            weights=circuit.weights,
            input=input_digest,
            output=output,
            context=statements.job_context(self.chain_id, self.address, job_id, who),
        )
        require(self.accepts(statement, proof), "JOB-28")
        require(self._result_signed(who, job_id, output, masked, signature), "SIG-1")
        job.state, job.result = "Settled", output  # JOB-30
        self._credit(job.committee[seat], request.price)
        self._release(job, Counter(), block)

    def answer(
        self,
        who: str,
        job_id: bytes,
        committee: list[str],
        output: bytes,
        sealed: bytes,
        signature: bytes,
        *,
        now: int,
        block: int,
    ) -> None:
        job = self._job(job_id, "Ready", now)
        require(job.attested, "Level ATTESTED")
        seat = self._open_seat(job, committee, who)
        require(any(output), "zero would mean that there is no result")
        require(len(sealed) <= LARGEST_OUTPUT, "sealed output too long")
        require(not self._revoked(job, who), "ENC-5")
        require(self._result_signed(who, job_id, output, sealed, signature), "SIG-1")
        job.state, job.result = "Settled", output
        self._credit(job.committee[seat], job.request.price)
        self._release(job, Counter(), block)

    def refuse(
        self,
        who: str,
        job_id: bytes,
        committee: list[str],
        reason: int,
        sealed_key_hash: bytes,
        signature: bytes,
        *,
        now: int,
        block: int,
    ) -> None:
        job = self._job(job_id, "Ready", now)
        seat = self._open_seat(job, committee, who)
        if signature and job.enrolled and reason in PROVABLE_REASONS:  # SIG-2
            require(sealed_key_hash == keccak(job.sealed_keys[seat]), "SIG-2: a key that was not delivered")
            signed = enclaves.message(self.chain_id, self.address, "Refusal", job_id, who, sealed_key_hash, reason)
            require(self.registry.signs(who, enclaves.signed_by(signed, signature), job.delivered_at), "SIG-2")
            job.charged.add(seat)
            self._credit(who, self._fault_fee(job))
        job.excused.add(seat)
        if len(job.seats()) < job.request.quorum:  # JOB-16
            self._refund(job, job.escrow - self._charges(job))
            self._release(job, Counter(), block)
        else:
            self._maybe_open_reveals(job, now)

    def demand(self, who: str, value: int, job_id: bytes, committee: list[str], *, now: int, block: int) -> None:
        job = self._job(job_id, "Ready", now)
        require(not job.large, "JOB-19")
        require(not job.published, "JOB-17: once")
        require(value == self.parameters.demand_deposit, "JOB-17: deposit")
        self._open_seat(job, committee, who)
        job.state, job.demander = "Demanded", who
        job.deadline = now + self.parameters.publish_window

    # ---------------------------------------------------------------- anybody

    def publish(self, who: str, request: Request, requester: str, ciphertext: bytes, *, now: int, block: int) -> None:
        job_id = commitments.job_id(self.chain_id, self.address, requester, request)
        job = self._job(job_id, "Demanded", now)
        require(hashlib.sha256(ciphertext).digest() == request.ciphertext_hash, "JOB-17")
        job.state, job.published, job.demander = "Ready", True, None
        job.deadline = now + self.parameters.commit_window
        self._credit(who, self.parameters.demand_deposit)

    def close(self, who: str, job_id: bytes, committee: list[str], *, now: int, block: int) -> None:
        require(job_id in self.jobs, "unknown job")
        job = self.jobs[job_id]
        require(not job.over, "MONEY-4")
        window = self.parameters.reveal_window if job.state == "Ready" and self._decidable(job) else 0
        require(now > job.deadline + window, "JOB-24")
        if job.state == "Open":  # JOB-18
            fee = job.escrow * self.parameters.fault_bps // 10_000
            self._credit(BURN, fee)
            self._refund(job, job.escrow - fee)
            return
        require(committee == job.committee, "another committee")
        if job.state == "Demanded":
            self._void(job, block)
        else:
            self._settle(job, block)

    def withdraw(self, who: str, account: str, *, now: int, block: int) -> int:
        require(self.credits[account] > 0, "MONEY-2: nothing owed")
        return self.credits.pop(account)

    # ---------------------------------------------------------------- ends

    def _settle(self, job: Job, block: int) -> None:
        lock = job.request.price * self.parameters.stake_ratio
        wrong = lock * self.parameters.wrong_bps // 10_000
        forgiven = job.large or (job.proved and self.circuits[job.request.version].verifier in self.verifiers.gone)
        silent = 0 if forgiven else lock * self.parameters.silent_bps // 10_000  # JOB-19, JOB-31
        winner = None
        for output, votes in Counter(job.outputs.values()).items():
            if votes >= job.request.quorum:  # JOB-20
                winner = output
        penalties: Counter = Counter()
        agreeing = []
        for seat in job.seats():
            if seat not in job.commitments:
                penalties[seat] = 0 if self._revoked(job, job.committee[seat]) else silent  # JOB-21, JOB-22, ENC-5
            elif seat not in job.outputs:
                penalties[seat] = wrong if self._decidable(job) else 0  # JOB-21, JOB-22, JOB-23
            elif winner is not None and job.outputs[seat] != winner:
                penalties[seat] = wrong  # JOB-21
            elif winner is not None:
                agreeing.append(seat)
        if winner is None:
            self._refund(job, job.escrow - self._charges(job))  # JOB-22
        else:
            job.state, job.result = "Settled", winner
            for seat in agreeing:
                self._credit(job.committee[seat], job.request.price)
            paid = len(agreeing) * job.request.price + self._charges(job)
            self._credit(job.requester, job.escrow - paid)  # MONEY-3
        self._release(job, penalties, block)

    def _void(self, job: Job, block: int) -> None:
        """JOB-17, unanswered."""
        fee = self._fault_fee(job)
        for seat in job.seats():
            self._credit(job.committee[seat], fee)
        self._credit(job.demander, self.parameters.demand_deposit)
        self._refund(job, job.escrow - self._charges(job) - fee * len(job.seats()))
        self._release(job, Counter(), block)

    def _refund(self, job: Job, amount: int) -> None:
        job.state = "Refunded"
        self._credit(job.requester, amount)

    def _release(self, job: Job, penalties: Counter, block: int) -> None:
        lock = job.request.price * self.parameters.stake_ratio
        for seat, worker in enumerate(job.committee):
            if worker != NOBODY:
                self.registry.release(worker, lock, penalties[seat], block)
        self._credit(BURN, sum(penalties.values()))  # MONEY-6

    # ---------------------------------------------------------------- small parts

    def _credit(self, account: str, amount: int) -> None:
        self.credits[account] += amount

    def _fault_fee(self, job: Job) -> int:
        """Of one seat."""
        return job.request.price * self.parameters.fault_bps // 10_000

    def _charges(self, job: Job) -> int:
        """What signed refusals have taken from the escrow: SIG-2."""
        return len(job.charged) * self._fault_fee(job)

    def _revoked(self, job: Job, who: str) -> bool:
        """Whether the attestation on which the seat was given was revoked, whatever came after: ENC-5."""
        since = [one for one in self.registry.enclaves[who].attested if one.since >= job.delivered_at]
        return job.enrolled and any(one.until == REVOKED for one in since)

    def _result_signed(self, who: str, job_id: bytes, output: bytes, sealed: bytes, signature: bytes) -> bool:
        signed = enclaves.message(self.chain_id, self.address, "Result", job_id, 0, output, keccak(sealed))
        return self.registry.signs(who, enclaves.signed_by(signed, signature), self.jobs[job_id].delivered_at)

    def _job(self, job_id: bytes, state: str, now: int) -> Job:
        require(job_id in self.jobs, "unknown job")
        job = self.jobs[job_id]
        require(job.state == state, "wrong state")
        require(now <= job.deadline, "JOB-24: too late")
        return job

    def _seat(self, job: Job, committee: list[str], who: str) -> int:
        require(committee == job.committee, "another committee")
        require(who in committee, "JOB-12: not seated")
        return committee.index(who)

    def _open_seat(self, job: Job, committee: list[str], who: str) -> int:
        seat = self._seat(job, committee, who)
        require(seat not in job.commitments and seat not in job.excused, "JOB-12, JOB-16")
        return seat

    def _decidable(self, job: Job) -> bool:
        return len(job.commitments) >= job.request.quorum

    def _maybe_open_reveals(self, job: Job, now: int) -> None:
        if set(job.commitments) == set(job.seats()):  # JOB-14
            job.state = "Committed"
            job.deadline = now + self.parameters.reveal_window
