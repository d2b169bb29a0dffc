"""`cloister result`: how a job stands, and for its requester what the model says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from cloister.cli.command import command
from cloister.cli.job_view import (
    Story,
    job_document,
    job_tables,
    output_document,
    output_table,
    waiting_for,
)
from cloister.cli.run import Run
from cloister.cli.screen import Output
from cloister.domain.ids import JobId, hexed, unhexed

if TYPE_CHECKING:
    from cloister.client import Client, Result
    from cloister.domain.job import Job


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "result", example="cloister result 0x3a…9c --wait")(result)


def result(
    run: Run,
    job: Annotated[str, typer.Argument(metavar="JOB", help="Job id, as `cloister jobs` prints it.")],
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the job's end, and do the requester's part in it.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="Give up waiting after this time.")
    ] = None,
) -> Output:
    """Show a job, and its answer to its requester.

    Anybody can see the state, the committee, the committed result and who agreed on it. The output is shown to the
    account that requested the job. With --wait this also does what a requester owes its job: hand out the keys,
    publish the input when a worker asks for it, close after a deadline.
    """
    from cloister.client import UnknownJob

    job_id = JobId(unhexed(job, "The job id"))
    try:
        found = _job(run, job_id)
    except UnknownJob:
        if wait and run.address_if_any is not None:
            # This account's journal may hold the request, signed and not mined yet.
            return _as_requester(run, job_id, timeout, wait=True)
        raise
    mine = found.requester == run.address_if_any
    if mine and (wait or found.result is not None):
        return _as_requester(run, job_id, timeout, wait=wait)
    if wait and not found.answered:
        found = _watch(run, job_id, timeout)
    parameters = run.network.market.parameters()
    document = job_document(run.network, found, parameters) | {"output": None}
    return Output(document, job_tables(found, parameters))


def follow(run: Run, client: Client, job_id: JobId, timeout: float | None) -> Result:
    """Sees a requester's job through, telling what happens."""
    run.session.job = hexed(job_id)
    with run.screen.waiting("Looking at the job") as change:
        return client.wait(job_id, timeout, _teller(run, change))


def show_result(run: Run, client: Client, result: Result) -> Output:
    """A finished job for its requester."""
    document = job_document(run.network, result.job, client.parameters)
    parts = job_tables(result.job, client.parameters)
    if result.outputs is None or result.predictions is None:
        parts.append("What the workers did not earn is credited to you: cloister withdraw")
        return Output(document | {"output": None}, parts)
    bits = client.manifest(result.job.request.version).arithmetic.f
    parts.append(output_table(result.predictions, result.outputs.tolist(), bits))
    if result.job.proved is not None:
        here = "and by this machine" if result.proof_checked else "and not by this machine: a contract sent it"
        parts.append(f"The proof was checked by the chain, {here}.")
    if result.job.request.assurance.attested:
        parts.append("The output was signed by an enclave that the chain had attested.")
    nodes, first_block = run.network.nodes, run.network.deployment.block
    if any((found := nodes.evidence(w, first_block)) and found.development for w in result.job.agreeing):
        parts.append("DEVELOPMENT EVIDENCE: nobody vouches for the enclaves, and whoever runs them may see everything.")
    return Output(document | {"output": output_document(result, bits)}, parts)


def _as_requester(run: Run, job_id: JobId, timeout: float | None, *, wait: bool) -> Output:
    from cloister.client import NotYourJob
    from cloister.storage.errors import PasswordUnavailable

    try:
        with run.client() as client:
            ended = follow(run, client, job_id, timeout) if wait else client.result(job_id)
            return show_result(run, client, ended)
    except (NotYourJob, PasswordUnavailable) as error:
        job = _job(run, job_id)
        if not job.answered:
            run.session.job = None
            raise
        # What everybody sees is no secret: show it, and say why there is not more.
        run.session.job = None
        parameters = run.network.market.parameters()
        document = job_document(run.network, job, parameters) | {"output": None, "output_missing": str(error)}
        return Output(document, [*job_tables(job, parameters), f"The output is not shown: {error}"])


def _watch(run: Run, job_id: JobId, timeout: float | None) -> Job:
    """Waits for somebody else's job."""
    from cloister.client import StillRunning

    deadline = None if timeout is None else time.monotonic() + timeout
    with run.screen.waiting("Looking at the job") as change:
        tell = _teller(run, change)
        while True:
            job = _job(run, job_id)
            tell(job)
            if job.answered:
                return job
            if deadline is not None and time.monotonic() > deadline:
                raise StillRunning(f"Job {hexed(job_id)} is {job.state.name.lower()} after {timeout:.0f} s.")
            time.sleep(run.settings.poll_seconds)


def _teller(run: Run, change: Callable[[str], None]) -> Callable[[Job], None]:
    story = Story()

    def tell(job: Job) -> None:
        for line in story.news(job):
            run.screen.tell(line)
        change(waiting_for(job))
        if job.answered:
            run.session.job = None

    return tell


def _job(run: Run, job_id: JobId) -> Job:
    from cloister.client import UnknownJob
    from cloister.domain.job import fold

    network = run.network
    events = network.market.history(job_id, network.deployment.block)
    if not events:
        raise UnknownJob(
            f"The market {network.market.address} has no job {hexed(job_id)}.",
            "`cloister jobs --all` lists those it has.",
        )
    return fold(events)
