"""How a market finds out who is right: rules CHAL-* of docs/spec/protocol.md."""

from .accounts import BURN, Purse
from .commitments import COIN, NOBODY, Brief, Request, Ticket
from .jobs import AGREED, LARGEST_COMMITTEE, Job, mask
from .registry import require
from .requests import Requests


class Disputes(Requests):
    """Challenges, judges, referees."""

    def challenge(self, who: str, value: int, ticket: Ticket, *, now: int, block: int) -> None:
        job_id, job = self._contestable(ticket, now)
        require(job.provable, "CHAL-2: no proof can decide")
        require(job.terms.verifier not in self.verifiers.gone, "VERIFIER-3")
        require(value >= self.bond(), "CHAL-4")
        self._contest(job_id, job, who, value, now)

    def refer(self, who: str, value: int, ticket: Ticket, brief: Brief, asked: Request, *, now: int, block: int):
        job_id, job = self._shown(ticket)
        require(job.terms.requester == who, "CHAL-8: nobody else has the input")
        require(not job.provable and not job.inexact, "CHAL-8: where no proof can decide")
        require(brief == job.brief, "another brief")
        bond = 0
        if job.state == "Disputed":
            require(now <= job.deadline and job.referee is None, "CHAL-8: once, in time")
        else:
            self._contestable(ticket, now)
            bond = value - (asked.terms.escrow if asked.terms.token == COIN else 0)
            require(bond >= self.bond(), "CHAL-4")
        self._checks_out(job, asked)
        referee_id, referee = self._posted(who, asked, now, block)
        require(asked.brief.worker == NOBODY, "JOB-37")
        self._paid(who, value, asked.terms, bond)
        if job.state == "Disputed":
            job.deadline = now + self.parameters.dispute_window
        else:
            self._contest(job_id, job, who, bond, now)
        referee.final = True
        self._open(referee_id, referee, now)
        job.referee = referee_id
        self.emit("RefereeCalled", id=job_id, referee=referee_id, decideBy=job.deadline)

    def judge(
        self,
        who: str,
        ticket: Ticket,
        brief: Brief,
        opening: tuple[bytes, bytes, bytes],
        masked: bytes,
        proof: bytes,
        *,
        now: int,
        block: int,
    ) -> None:
        job_id, job = self._shown(ticket, {"Disputed", "Challenged", "Settled"}, now)
        require(job.provable, "CHAL-2: no proof can decide")
        require(job.state != "Settled" or not job.final, "CHAL-1: final")
        output = self._proved(who, job_id, job, brief, opening, masked, proof)
        require(job.state != "Settled" or output != job.result, "CHAL-3: nothing to decide")
        self.emit("JobProved", id=job_id, prover=who, masked=masked)
        self._decide(job_id, job, output, who, now, block)

    def resolve(self, who: str, ticket: Ticket, *, now: int, block: int) -> None:
        job_id, job = self._shown(ticket, {"Disputed", "Challenged", "Settled"})
        if job.state == "Settled":
            require(job.dissenting(), "nothing to resolve")
            require(now > job.deadline, "CHAL-1: it can be challenged")
            self._uphold(job_id, job, {}, now, block)
        elif job.referee is not None:
            self._heed(job_id, job, self.jobs[job.referee], now, block)
        elif job.state == "Disputed":
            alone = not job.provable and who == job.terms.requester  # it need not wait for itself
            require(alone or now > job.deadline, "CHAL-9")
            self._give_up(job_id, job, block)
        else:
            require(now > job.deadline, "CHAL-7")
            if job.terms.verifier in self.verifiers.gone:
                # VERIFIER-3: nobody is to blame
                self._uphold(job_id, job, {job.challenger: job.bond}, now, block, punish=False)
            else:
                self._unproved(job_id, job, now, block)

    def _contestable(self, ticket: Ticket, now: int) -> tuple[bytes, Job]:
        job_id, job = self._shown(ticket, {"Settled"}, now)
        require(not job.final, "CHAL-1: final")
        return job_id, job

    def _contest(self, job_id: bytes, job: Job, who: str, bond: int, now: int) -> None:
        job.state, job.challenger, job.bond = "Challenged", who, bond
        job.deadline = now + self.parameters.dispute_window
        self.emit("ResultChallenged", id=job_id, challenger=who, bond=job.bond, decideBy=job.deadline)

    def _checks_out(self, job: Job, asked: Request) -> None:
        """CHAL-8: the same question to more workers."""
        terms, brief = asked.terms, asked.brief
        least = min(LARGEST_COMMITTEE, 2 * job.terms.seats + 1)
        require(terms.level == AGREED and terms.seats >= least and not terms.verifier, "CHAL-8: a larger committee")
        require(terms.version == job.terms.version, "CHAL-8: version")
        same = ("input_commitment", "ciphertext_hash", "ciphertext_size", "response_key")
        require(all(getattr(brief, name) == getattr(job.brief, name) for name in same), "CHAL-8: input")

    def _decide(self, job_id: bytes, job: Job, output: bytes, prover: str | None, now: int, block: int) -> None:
        """`output` is right: `prover` proved it, or else referees found it."""
        right = {seat for seat, said in job.outputs.items() if said == output}
        wrong = set(job.outputs) - right
        if job.state == "Challenged" and output == job.result:  # CHAL-6
            to = {prover: job.bond} if prover else self._parts(job, job.bond)
            self._uphold(job_id, job, to, now, block)
            return
        had = set() if job.state == "Disputed" else job.agreeing()
        unpaid = job.state == "Disputed"
        challenger, bond = job.challenger, job.bond
        self.emit("ResultOverturned", id=job_id, outputCommitment=output, right=mask(right), wrong=mask(wrong))
        if unpaid:
            facts = {"agreeing": mask(right), "challengeBy": now}
            self.emit("JobSettled", id=job_id, outputCommitment=output, **facts)
            self._pay(job_id, job, right, now)
        purse = Purse(self._slash(job_id, job, wrong, now, block))
        value = self._value(job)
        if not unpaid:
            purse.give(job.terms.requester, len(had) * value)
            for seat in sorted(right):
                purse.give(job.committee[seat], value)
        if prover is None:
            purse.give(job.terms.requester, len(self.jobs[job.referee].outputs) * value)
        else:
            purse.give(prover, self.bond())
        if challenger:
            purse.give(challenger, min(bond, self.bond()))
            self.credit(challenger, job_id, bond)
        self.spend(purse, job_id)
        job.outputs = dict.fromkeys(right, output)
        job.result, job.lead = output, min(right, default=0)
        self._finish(job_id, job, now)

    def _heed(self, job_id: bytes, job: Job, referee: Job, now: int, block: int) -> None:
        require(referee.state in {"Settled", "Refunded"}, "CHAL-8: the referees are at it")
        if referee.state == "Settled":
            self._decide(job_id, job, referee.result, None, now, block)
        elif job.state == "Disputed":
            self._give_up(job_id, job, block)
        elif referee.committee or not referee.deadline:  # delivered, or tried
            self._uphold(job_id, job, {job.challenger: job.bond}, now, block)
        else:  # they never had the input, which is the requester's doing
            self._uphold(job_id, job, self._parts(job, job.bond), now, block)

    def _give_up(self, job_id: bytes, job: Job, block: int) -> None:
        """Nobody is known to be wrong."""
        self._free(job_id, job, job.outputs, block)
        self._refund(job_id, job, "NoQuorum", self._left(job))

    def _unproved(self, job_id: bytes, job: Job, now: int, block: int) -> None:
        """CHAL-7: who was challenged has the input and the model, and showed nothing."""
        wrong = job.agreeing()
        self._free(job_id, job, set(job.outputs) - wrong, block)  # JOB-10
        purse = Purse(self._slash(job_id, job, wrong, now, block))
        purse.give(job.terms.requester, len(wrong) * self._value(job))
        purse.give(job.challenger, min(job.bond, self.bond()))
        self.credit(job.challenger, job_id, job.bond)
        self.spend(purse, job_id)
        self._refund(job_id, job, "NotProved", 0)

    def _uphold(
        self, job_id: bytes, job: Job, bond_to: dict[str, int], now: int, block: int, *, punish: bool = True
    ) -> None:
        """The result stands."""
        self.emit("ResultUpheld", id=job_id)
        for account, amount in bond_to.items():
            self.credit(account, job_id, amount)
        self._finish(job_id, job, now)
        if punish:
            self._punish(job_id, job, block)

    def _finish(self, job_id: bytes, job: Job, now: int) -> None:
        job.state, job.final, job.punished, job.deadline = "Settled", True, True, now
        job.challenger, job.bond = None, 0

    def _parts(self, job: Job, amount: int) -> dict[str, int]:
        """For the seats that were challenged, in equal parts; the rest is burned."""
        seats = job.agreeing()
        part = amount // len(seats)
        return {job.committee[seat]: part for seat in seats} | {BURN: amount - part * len(seats)}
