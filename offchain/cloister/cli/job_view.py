"""A job, shown: as a document, as a table, and as a story while it happens."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cloister.cli.amounts import ether
from cloister.cli.screen import Table, facts
from cloister.domain.ids import NOBODY, hexed
from cloister.domain.state import State

if TYPE_CHECKING:
    from cloister.chain.market import Parameters
    from cloister.client import Result
    from cloister.domain.ids import Address
    from cloister.domain.job import Job
    from cloister.network import Network

BPS = 10_000


def job_document(network: Network, job: Job, parameters: Parameters) -> dict[str, Any]:
    """Everything that anybody can see of a job."""
    request = job.request
    return {
        "chain_id": network.connection.chain_id,
        "market": network.market.address,
        "job": hexed(job.job_id),
        "state": job.state.name.lower(),
        "deadline": None if job.answered else job.deadline,
        "challenge_by": job.final_by if job.state is State.SETTLED and not job.over else None,
        "requester": job.requester,
        "version": hexed(request.version),
        "level": str(request.assurance),
        "price_wei": str(request.price_per_seat),
        "escrow_wei": str(request.escrow),
        "verifier": request.verifier or None,
        "worker": None if request.worker == NOBODY else request.worker,
        "challenger": job.challenger,
        "referee": None if job.referee is None else hexed(job.referee),
        "cost_wei": str(cost(job, parameters)) if job.answered else None,
        "input_commitment": hexed(request.input_commitment),
        "committee": [_seat(job, worker) for worker in job.committee],
        "masked_output": None if job.proved is None else hexed(job.proved.masked),
        "output_commitment": None if job.result is None else hexed(job.result),
        "refund_reason": None if job.refund_reason is None else job.refund_reason.name.lower(),
    }


def output_document(result: Result, fractional_bits: int) -> dict[str, Any]:
    """What only the requester can see. An output is an integer; divide by 2^fractional_bits."""
    assert result.outputs is not None
    return {
        "predictions": list(result.predictions or ()),
        "outputs": result.outputs.tolist(),
        "fractional_bits": fractional_bits,
        "proof_checked": result.proof_checked,
    }


def cost(job: Job, parameters: Parameters) -> int:
    """Wei of the escrow that a finished job did not give back; the rest is credited to the requester."""
    from cloister.domain.events import RefundReason

    request = job.request
    match job.refund_reason:
        case None:
            return len(job.agreeing) * request.price_per_seat
        case RefundReason.NOT_DELIVERED:
            return request.escrow * parameters.fault_bps // BPS
        case RefundReason.UNPUBLISHED:
            present = set(job.seated) - job.refused
            return len(present) * (request.price_per_seat * parameters.fault_bps // BPS)
        case _:
            return 0


def job_tables(job: Job, parameters: Parameters) -> list[str | Table]:
    """The same for people."""
    shown = {
        "job": hexed(job.job_id),
        "state": job.state.name.lower()
        + (f": {_words(job.refund_reason.name)}" if job.refund_reason is not None else ""),
        "until": None if job.answered else time_text(job.deadline),
        "can be challenged until": time_text(job.deadline) if job.state is State.SETTLED and not job.over else None,
        "challenged by": job.challenger,
        "decided by job": None if job.referee is None else hexed(job.referee),
        "requester": job.requester,
        "model version": hexed(job.request.version),
        "level": str(job.request.assurance),
        "escrow": ether(job.request.escrow),
        "cost": ether(cost(job, parameters)) if job.answered else None,
        "output commitment": None if job.result is None else hexed(job.result),
    }
    if not job.committee:
        return [facts(shown)]
    rows = [(worker if worker != NOBODY else "(vacant)", _standing(job, worker)) for worker in job.committee]
    return [facts(shown), Table(("committee", "did"), rows)]


def output_table(labels: tuple[str, ...], outputs: list[list[int]], fractional_bits: int) -> Table:
    """Prediction and margin of every row."""
    rows = []
    for number, (label, values) in enumerate(zip(labels, outputs, strict=True), start=1):
        ordered = sorted(values, reverse=True)
        margin = (ordered[0] - ordered[1]) / 2**fractional_bits if len(ordered) > 1 else None
        rows.append((number, label, ordered[0] / 2**fractional_bits, "-" if margin is None else margin))
    return Table(("row", "prediction", "output", "ahead by"), rows)


class Story:
    """Tells what has happened to a job since it was told of last."""

    def __init__(self) -> None:
        self._told: Job | None = None

    def news(self, job: Job) -> Iterator[str]:
        """One line for each thing that is new."""
        before, self._told = self._told, job
        seats = len(job.seated)
        if job.committee and not (before and before.committee):
            vacant = len(job.committee) - seats
            yield f"drawn: {', '.join(job.seated)}" + (f" ({vacant} seats vacant)" if vacant else "")
        for worker in sorted(job.refused - (before.refused if before else frozenset())):
            yield f"refused: {worker}"
        if job.ciphertext is not None and (before is None or before.ciphertext is None):
            yield "the encrypted input was asked for, and stands on the chain now"
        if len(job.committed) > (len(before.committed) if before else 0):
            yield f"committed: {len(job.committed)} of {seats}"
        if job.request.assurance.seats > 1 and len(job.revealed) > (len(before.revealed) if before else 0):
            yield f"revealed: {len(job.revealed)} of {seats}"
        yield from self._verdicts(job, before)
        if job.proved is not None and job.request.assurance.proved and not (before and before.proved):
            yield f"proved, and paid {ether(job.request.price_per_seat)}: {job.proved.prover}"
        elif before is not None and before.result is not None:
            pass
        elif job.result is not None and job.request.assurance.attested:
            yield f"answered, and paid {ether(job.request.price_per_seat)}: {job.seated[0]}"
        elif job.result is not None:
            paid = ", ".join(worker for worker in job.seated if worker in job.agreeing)
            yield f"agreed, and paid {ether(job.request.price_per_seat)} each: {paid}"
            for worker in job.seated:
                if worker not in job.agreeing | job.refused:
                    yield f"not paid: {worker}, who {_standing(job, worker)}"
        if job.refund_reason is not None:
            yield f"refunded: {_words(job.refund_reason.name)}"

    def _verdicts(self, job: Job, before: Job | None) -> Iterator[str]:
        if job.state is State.DISPUTED and not (before and before.state is State.DISPUTED):
            how = "a proof decides" if job.request.provable else "its requester can have a larger committee decide"
            yield f"disputed: no output has a quorum; {how}, up to {time_text(job.deadline)}"
        if job.challenger is not None and not (before and before.challenger):
            yield f"challenged by {job.challenger}; decided by {time_text(job.deadline)}"
        if job.decided and not (before and before.decided):
            same = before is not None and before.result == job.result
            yield "the result stands" if same else "overturned: another output is right"


def waiting_for(job: Job) -> str:
    """What must happen next."""
    match job.state:
        case State.OPEN:
            return f"Waiting for block {job.seed_block}, which decides the committee"
        case State.READY if job.request.assurance.proved:
            return "Waiting for the drawn worker to run the model and prove its output"
        case State.READY if job.request.assurance.attested:
            return "Waiting for the drawn worker's enclave to run the model and sign its output"
        case State.READY:
            return "Waiting for the committee to run the model and commit"
        case State.DEMANDED:
            return "Publishing the encrypted input"
        case State.COMMITTED:
            return "Waiting for the committee to reveal"
        case State.DISPUTED | State.CHALLENGED if job.request.provable:
            return "Waiting for a proof of the output"
        case State.DISPUTED | State.CHALLENGED:
            return "Waiting for the larger committee"
        case _:
            return "Reading the result"


def time_text(second: int) -> str:
    """A Unix second for people."""
    return datetime.datetime.fromtimestamp(second, datetime.UTC).isoformat(" ", "seconds")


def _seat(job: Job, worker: Address) -> dict[str, Any]:
    reveal = job.revealed.get(worker)
    return {
        "worker": None if worker == NOBODY else worker,
        "refused": worker in job.refused,
        "committed": worker in job.committed,
        "revealed": hexed(reveal.output_commitment) if reveal else None,
        "agreed": worker in job.agreeing,
    }


def _standing(job: Job, worker: Address) -> str:
    if worker == NOBODY:
        return "-"
    if worker in job.refused:
        return "refused"
    if worker in job.agreeing:
        return _MERITS[job.request.assurance.level.name]
    if worker in job.revealed:
        return "revealed another output" if job.result is not None else "revealed"
    if worker in job.committed:
        return "committed" + (" and did not reveal" if job.answered else "")
    return "did nothing" if job.answered else "nothing yet"


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


_MERITS = {"AGREED": "agreed", "ATTESTED": "answered from its enclave", "PROVED": "proved its output"}
