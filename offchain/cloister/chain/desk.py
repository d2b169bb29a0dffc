"""A worker's transactions in its jobs, each under an intent of its own."""

from __future__ import annotations

from collections.abc import Iterable

from cloister.chain.call import Call
from cloister.chain.errors import ContractError
from cloister.chain.market import Market
from cloister.chain.sender import Outbox, Sender
from cloister.domain.answer import Answer, ProofRefused, ProvedAnswer, RefusalReason
from cloister.domain.decisions import Progress
from cloister.domain.ids import JobId, hexed
from cloister.domain.job import Job

UNPROVABLE = ("JobMarket_InvalidProof", "JobMarket_WrongInput", "ProofVerifiers_Removed")
"""What the market says of a proof that it will never take, however often it is sent."""


class Desk:
    """Sends what the worker decided, once; `demand_deposit` in wei."""

    def __init__(self, market: Market, sender: Sender, outbox: Outbox, demand_deposit: int) -> None:
        self._market = market
        self._sender = sender
        self._outbox = outbox
        self._demand_deposit = demand_deposit

    def commit(self, job: Job, commitment: bytes) -> None:
        """Commits this worker's seat."""
        self._send("commit", job, self._market.commit(job.ticket(), commitment))

    def reveal(self, job: Job, answer: Answer) -> None:
        """Opens the commitment."""
        opened = answer.output_commitment, answer.salt, answer.sealed_output, answer.signature
        self._send("reveal", job, self._market.reveal(job.ticket(), *opened))

    def answer(self, job: Job, answer: Answer) -> None:
        """Answers an attested job, which settles it."""
        shown = answer.output_commitment, answer.sealed_output, answer.signature
        self._send("answer", job, self._market.answer(job.ticket(), *shown))

    def prove(self, job: Job, answer: ProvedAnswer) -> None:
        """Sends the proof, which settles the job. Raises ProofRefused when the market would not take it."""
        self._show("prove", job, self._market.prove(job.ticket(), job.request, answer))

    def judge(self, job: Job, answer: ProvedAnswer) -> None:
        """Sends the proof that decides a dispute. Raises ProofRefused when the market would not take it."""
        self._show("judge", job, self._market.judge(job.ticket(), job.request, answer))

    def refuse(self, job: Job, reason: RefusalReason, signature: bytes = b"") -> None:
        """Gives the seat up; `signature` is the enclave's, if the requester is to pay for it."""
        keys = b"".join(job.sealed_keys) if signature else b""
        self._send("refuse", job, self._market.refuse(job.ticket(), reason, keys, signature))

    def demand(self, job: Job) -> None:
        """Asks for the ciphertext on chain."""
        self._send("demand", job, self._market.demand(job.ticket(), self._demand_deposit))

    def close(self, job: Job) -> None:
        """Ends a job whose deadline has passed."""
        self._send("close", job, self._market.close(job.ticket()))

    def resolve(self, job: Job) -> None:
        """Ends a dispute whose deadline has passed, or the outvoted seats' stake."""
        self._send("resolve", job, self._market.resolve(job.ticket()))

    def progress(self, job_id: JobId) -> Progress:
        """What was sent for a job, mined or not; what was mined and reverted does not count."""
        return Progress(
            committed=self._sent("commit", job_id),
            revealed=self._sent("reveal", job_id),
            answered=self._sent("answer", job_id),
            proved=self._sent("prove", job_id),
            withdrew=self._sent("refuse", job_id),
            demanded=self._sent("demand", job_id),
            closed=self._sent("close", job_id),
            judged=self._sent("judge", job_id),
            resolved=self._sent("resolve", job_id),
        )

    def settle(self) -> Iterable[tuple[str, bool]]:
        """Transactions mined since the last call: what for, and whether they succeeded."""
        return [(intent, receipt.succeeded) for intent, receipt in self._sender.settle()]

    def _show(self, what: str, job: Job, call: Call) -> None:
        try:
            self._send(what, job, call)
        except ContractError as error:
            if error.name in UNPROVABLE:
                raise ProofRefused(error.message, error.hint) from error
            raise

    def _send(self, what: str, job: Job, call: Call) -> None:
        self._sender.send(_intent(what, job.job_id), call)

    def _sent(self, what: str, job_id: JobId) -> bool:
        return self._outbox.find(_intent(what, job_id)) is not None


def _intent(what: str, job_id: JobId) -> str:
    return f"{what}:{hexed(job_id)}"
