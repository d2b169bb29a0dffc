"""How a job ends, and who is paid: rules JOB-20 to JOB-24, MONEY-*, REP-*."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from eth_utils import keccak

from . import commitments, enclaves, statements
from .accounts import BURN, Accounts
from .attestations import REVOKED, EnclaveRegistry
from .commitments import COIN, Brief, Ticket
from .jobs import LARGEST_MASKED, PROVED, REASONS, Job, Offer, Parameters, mask
from .registry import GWEI, require
from .statements import Circuit, Statement, Verifiers


@dataclass
class Settlement(Accounts):
    """What a market knows, and how a job ends in it."""

    parameters: Parameters
    registry: EnclaveRegistry
    verifiers: Verifiers
    accepts: Callable[[Statement, bytes], bool]  # what the verifiers of this history say to a proof
    offers: dict[bytes, Offer] = field(default_factory=dict)  # of the versions that take jobs
    token_prices: dict[tuple[bytes, str], int] = field(default_factory=dict)
    rates: dict[str, int] = field(default_factory=dict)  # of listed tokens: wei of stake for 10^18 units
    circuits: dict[bytes, Circuit] = field(default_factory=dict)  # of the versions that have one
    jobs: dict[bytes, Job] = field(default_factory=dict)
    base_fee: int = 0

    def balance(self, token: str = COIN) -> int:
        """MONEY-1: what the market holds of a currency."""
        held = 0
        for job in self.jobs.values():
            unsettled = job.state in {"Open", "Ready", "Demanded", "Committed", "Disputed"}
            held += self._left(job) if unsettled and job.terms.token == token else 0
            held += self.parameters.demand_deposit if job.state == "Demanded" and token == COIN else 0
            held += job.bond if job.state == "Challenged" and token == COIN else 0
        return held + self.owed(token)

    def bond(self) -> int:
        return self.parameters.bond(self.base_fee)

    def lock_for(self, price: int, token: str) -> int | None:
        """Whole gweis; None for a token that is not listed."""
        rate = 10**18 if token == COIN else self.rates.get(token, 0)
        worth = price * rate // 10**18 * self.parameters.stake_ratio
        return -(-worth // GWEI) * GWEI if rate else None

    # ---------------------------------------------------------------- ends

    def _settle_alone(self, job_id: bytes, job: Job, output: bytes, now: int) -> None:
        job.commitments, job.outputs = {0: output}, {0: output}
        self._settled(job_id, job, output, now)

    def _settled(self, job_id: bytes, job: Job, output: bytes, now: int) -> None:
        job.state, job.result = "Settled", output
        job.deadline = now if job.final else now + self.parameters.challenge_window
        agreeing = job.agreeing()
        if job.lead not in agreeing:
            job.lead = min(agreeing)
        facts = {"agreeing": mask(agreeing), "challengeBy": job.deadline}
        self.emit("JobSettled", id=job_id, outputCommitment=output, **facts)
        self._pay(job_id, job, agreeing, now)

    def _settle(self, job_id: bytes, job: Job, now: int, block: int) -> None:
        votes = Counter(job.outputs.values())
        winner = next((output for output, count in votes.items() if count >= job.terms.quorum), None)  # JOB-20
        burned = self._absent(job_id, job, now, block)
        if winner is not None:
            self._settled(job_id, job, winner, now)
            if job.final:
                self._punish(job_id, job, block)
        elif votes and not job.final:
            job.state, job.deadline = "Disputed", now + self.parameters.dispute_window
            self.emit("JobDisputed", id=job_id, decideBy=job.deadline)
        else:
            self._free(job_id, job, job.outputs, block)
            reason = "NoQuorum" if self._decidable(job) else "TooFewCommits"
            self._refund(job_id, job, reason, self._left(job))  # JOB-22
        self.credit(BURN, job_id, burned)  # MONEY-6

    def _absent(self, job_id: bytes, job: Job, now: int, block: int) -> int:
        """What those lose who owe an output and showed none: JOB-21 to JOB-23."""
        lock, p = job.terms.lock, self.parameters
        forgiven = job.large or (job.terms.level == PROVED and job.terms.verifier in self.verifiers.gone)
        taken = 0
        for seat in job.seats():
            who, penalty, weight = job.committee[seat], 0, 0
            if seat in job.outputs:
                continue
            if seat not in job.commitments and not forgiven and not self._revoked(job, who):  # JOB-19, JOB-31, ENC-5
                penalty, weight = lock * p.silent_bps // 10_000, 1
            elif seat in job.commitments and self._decidable(job):
                penalty, weight = lock * p.wrong_bps // 10_000, 4
            self.blame(who, weight, now)
            taken += self.registry.release(who, job_id, penalty, block)
        return taken

    def _void(self, job_id: bytes, job: Job, block: int) -> None:
        """JOB-17, unanswered."""
        fee = self._fault_fee(job)
        for seat in job.seats():
            self.credit(job.committee[seat], job_id, fee, job.terms.token)
        self.credit(job.demander, job_id, self.parameters.demand_deposit)
        self._free(job_id, job, job.seats(), block)
        self._refund(job_id, job, "Unpublished", self._left(job) - fee * len(job.seats()))

    def _pay(self, job_id: bytes, job: Job, seats: set[int], now: int) -> None:
        """MONEY-3: the seats at once, the owner its share when it collects it, the requester what is left."""
        terms = job.terms
        share = terms.price * terms.owner_percent // 100
        for seat in seats:
            if not job.hired:
                self.praise(job.committee[seat], now)  # REP-2
            self.credit(job.committee[seat], job_id, terms.price - share, terms.token)
        self.owe_owner(terms.version, terms.token, share * len(seats))
        self.credit(terms.requester, job_id, self._left(job) - terms.price * len(seats), terms.token)

    def _refund(self, job_id: bytes, job: Job, reason: str, amount: int) -> None:
        job.state, job.challenger, job.bond = "Refunded", None, 0
        self.emit("JobRefunded", id=job_id, reason=REASONS.index(reason))
        self.credit(job.terms.requester, job_id, amount, job.terms.token)

    def _free(self, job_id: bytes, job: Job, seats, block: int) -> None:
        for seat in seats:
            self.registry.release(job.committee[seat], job_id, 0, block)

    def _punish(self, job_id: bytes, job: Job, block: int) -> None:
        """Outvoted seats lose, once nothing can be changed any more."""
        wrong = set(job.outputs) - job.agreeing()
        taken = 0 if job.inexact else self._slash(job_id, job, wrong, job.deadline, block)
        if job.inexact:
            self._free(job_id, job, wrong, block)
        self.credit(BURN, job_id, taken)
        job.outputs = {seat: output for seat, output in job.outputs.items() if seat not in wrong}

    def _slash(self, job_id: bytes, job: Job, seats: set[int], now: int, block: int) -> int:
        for seat in seats:
            self.blame(job.committee[seat], 4, now)
        wrong = job.terms.lock * self.parameters.wrong_bps // 10_000
        return sum(self.registry.release(job.committee[seat], job_id, wrong, block) for seat in sorted(seats))

    # ---------------------------------------------------------------- small parts

    def _value(self, job: Job) -> int:
        """Of a seat's price, in coins."""
        return job.terms.lock // self.parameters.stake_ratio

    def _fault_fee(self, job: Job) -> int:
        """Of one seat."""
        return job.terms.price * self.parameters.fault_bps // 10_000

    def _left(self, job: Job) -> int:
        """The escrow less what signed refusals have taken from it: SIG-2."""
        return job.terms.escrow - len(job.charged) * self._fault_fee(job)

    def _revoked(self, job: Job, who: str) -> bool:
        """Whether the attestation on which the seat was given was revoked, whatever came after: ENC-5."""
        if not job.enrolled:
            return False
        since = [one for one in self.registry.enclaves[who].attested if one.since >= job.delivered_at]
        return any(one.until == REVOKED for one in since)

    def _proved(
        self, who: str, job_id: bytes, job: Job, brief: Brief, opening: tuple, masked: bytes, proof: bytes
    ) -> bytes:
        """What a proof shows: JOB-26 to JOB-29."""
        binding, input_digest, pad_points = opening
        require(brief == job.brief, "another brief")
        require(len(masked) <= LARGEST_MASKED, "JOB-29")
        bound = statements.input_commitment(binding, statements.circuit_input(input_digest, pad_points))
        require(bound == brief.input_commitment, "JOB-26")
        circuit = self.circuits[job.terms.version]
        require(circuit.verifier not in self.verifiers.gone, "VERIFIER-3")
        output = statements.proved_output(pad_points, masked)
        context = statements.job_context(self.chain_id, self.address, job_id, who)
        statement = Statement(circuit.circuit, circuit.weights, input_digest, output, context)
        require(self.accepts(statement, proof), "JOB-28")
        return output

    def _result_signed(self, who: str, job_id: bytes, output: bytes, sealed: bytes, signature: bytes) -> bool:
        signed = enclaves.message(self.chain_id, self.address, "Result", job_id, 0, output, keccak(sealed))
        return self.registry.signs(who, enclaves.signed_by(signed, signature), self.jobs[job_id].delivered_at)

    def _job(self, job_id: bytes, state: str, now: int) -> Job:
        require(job_id in self.jobs, "unknown job")
        job = self.jobs[job_id]
        require(job.state == state, "wrong state")
        require(now <= job.deadline, "JOB-24: too late")
        return job

    def _shown(self, ticket: Ticket, states: set[str] | None = None, now: int = 0) -> tuple[bytes, Job]:
        """The job of a ticket, in one of `states`, before its deadline if a second is given."""
        job_id = commitments.job_id(self.chain_id, self.address, ticket.terms, ticket.brief)
        require(job_id in self.jobs, "unknown job")
        job = self.jobs[job_id]
        known = job.ticket
        require(not job.committee or (known.committee, known.keys) == (ticket.committee, ticket.keys), "another ticket")
        require(states is None or job.state in states, "wrong state")
        require(now <= job.deadline, "JOB-24: too late")
        return job_id, job

    def _seat_of(self, job: Job, who: str) -> int:
        require(who in job.committee, "JOB-12: not seated")
        return job.committee.index(who)

    def _open_seat(self, job: Job, who: str) -> int:
        seat = self._seat_of(job, who)
        require(seat not in job.commitments and seat not in job.excused, "JOB-12, JOB-16")
        return seat

    def _decidable(self, job: Job) -> bool:
        return len(job.commitments) >= job.terms.quorum

    def _maybe_open_reveals(self, job_id: bytes, job: Job, now: int) -> None:
        if set(job.commitments) == set(job.seats()):  # JOB-14
            job.state = "Committed"
            job.deadline = now + self.parameters.reveal_window
            self.emit("RevealsOpened", id=job_id, revealBy=job.deadline)
