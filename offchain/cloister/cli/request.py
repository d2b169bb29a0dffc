"""`cloister request`: pay for a job, see it through, read the answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloister.cli.amounts import ether, parse_amount
from cloister.cli.catalogue import find_model
from cloister.cli.command import command
from cloister.cli.credit import address_of
from cloister.cli.models import VerifierNumber
from cloister.cli.result import follow, show_result
from cloister.cli.rows import read_rows, to_input
from cloister.cli.run import Run
from cloister.cli.screen import Output, facts
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import NOBODY, Address, hexed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cloister.chain.models import Version
    from cloister.cli.catalogue import Entry
    from cloister.client import Client
    from cloister.domain.ids import JobId
    from cloister.domain.job import Job
    from cloister.domain.request import Assurance

AGREED = "agreed(3,2)"
"""The level of a job unless its requester says otherwise."""


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "request", example="cloister request digits --input rows.csv --level 'agreed(3,2)'")(request)


def request(
    run: Run,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Version id, or a name that only one model on offer has.")
    ],
    rows_from: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="JSON or CSV rows; - reads standard input.")
    ],
    integers: Annotated[
        bool, typer.Option("--integers", help="The rows are the model's integers, not measured numbers.")
    ] = False,
    level: Annotated[
        str,
        typer.Option(
            "--level", metavar="LEVEL", help="agreed(k,q): k workers compute it and q must agree; attested; proved."
        ),
    ] = AGREED,
    proved: Annotated[
        bool, typer.Option("--proved", help="One worker, who is paid on a proof: the same as --level proved.")
    ] = False,
    attested: Annotated[
        bool, typer.Option("--attested", help="One worker, in an attested enclave: the same as --level attested.")
    ] = False,
    verifier: VerifierNumber = None,
    worker: Annotated[
        str | None,
        typer.Option("--worker", metavar="ADDRESS", help="Hire this worker for an attested or proved job."),
    ] = None,
    reputation: Annotated[
        int,
        typer.Option("--min-reputation", metavar="BPS", min=0, max=10_000, help="Seat no worker of less repute."),
    ] = 0,
    max_price: Annotated[
        int | None,
        typer.Option("--max-price", metavar="AMOUNT", parser=parse_amount, help="Post nothing if a seat costs more."),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Post the job and return at once.")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="Give up waiting after this time.")
    ] = None,
) -> Output:
    """Pay for a job and show the model's answer.

    It waits for the job's end unless told otherwise. Nothing is paid before the rows have been checked against the
    model. The escrow is seats × price; whatever the workers do not earn comes back as credit (`cloister withdraw`).

    In a proved job the chain checks a proof that the model gives this output, so one worker is enough, and need not be
    trusted. In an attested job the drawn worker runs the model in an enclave that the chain has attested, so that its
    operator sees neither input nor output; nothing is sealed to an enclave that you have not pinned
    (trusted_measurements). `cloister models` shows which versions take which.
    """
    from cloister.domain.request import Assurance

    chosen = [name for name, given in (("proved", proved), ("attested", attested)) if given]
    if level != AGREED or not chosen:
        chosen.append(level)
    if len(set(chosen)) > 1:
        raise InvalidInput(f"A job cannot be both {' and '.join(chosen)}.", "Give --proved, --attested or --level.")
    assurance = Assurance.parse(chosen[0])
    rows = read_rows(rows_from, integers=integers)
    network = run.network
    wanted = find_model(network, model)
    if wanted.manifest is None:
        raise InvalidInput(
            f"No blob store has the manifest of model version {hexed(wanted.version.version_id)}.",
            "It says how rows become the model's integers: add a store that has it to blob_stores.",
        )
    encoded = to_input(rows, wanted.manifest, integers=integers)
    if max_price is not None and wanted.version.price > max_price:
        raise InvalidInput(
            f"A seat costs {ether(wanted.version.price)}, more than {ether(max_price)}.", "Nothing was paid."
        )
    _show_price(run, wanted, assurance)
    named = NOBODY if worker is None else address_of(worker)
    with run.client() as client:
        job_id = _post(run, client, wanted.version, encoded, assurance, verifier, named, reputation)
        run.screen.tell(f"posted: {hexed(job_id)}")
        if no_wait:
            return _posted(run, client, client.job(job_id))
        return show_result(run, client, follow(run, client, job_id, timeout))


def _show_price(run: Run, wanted: Entry, assurance: Assurance) -> None:
    price, seats = wanted.version.price, assurance.seats
    run.screen.tell(f"model: {wanted.name}, version {hexed(wanted.version.version_id)}, owner {wanted.version.owner}")
    run.screen.tell(f"escrow: {ether(seats * price)} = {seats} worker{'s' * (seats > 1)} × {ether(price)}")
    if assurance.proved and wanted.circuit is not None:
        run.screen.tell(f"proof: checked on chain by {wanted.proved_by()}")


def _post(
    run: Run,
    client: Client,
    version: Version,
    rows: NDArray[np.int64],
    assurance: Assurance,
    verifier: int | None,
    worker: Address,
    reputation: int,
) -> JobId:
    """Posts the job. From its signature on, whatever ends the program says how to go on with it."""
    earlier = {stored.job_id for stored in client.journal.requests()}
    try:
        job_id = client.request(
            version.version_id, rows, assurance, version.price, verifier, worker=worker, reputation=reputation
        )
    except (CloisterError, KeyboardInterrupt):
        for stored in client.journal.requests():
            if stored.job_id not in earlier:
                run.session.job = hexed(stored.job_id)
        raise
    run.session.job = hexed(job_id)
    return job_id


def _posted(run: Run, client: Client, job: Job) -> Output:
    """The job as it was posted. Somebody must still hand out its keys."""
    from cloister.cli.job_view import BPS, job_document, time_text

    run.session.job = None
    loss = ether(job.request.escrow * client.parameters.fault_bps // BPS)
    shown = facts({"job": hexed(job.job_id), "escrow": ether(job.request.escrow)})
    go_on = (
        f"The job waits for you: run `cloister result {hexed(job.job_id)} --wait` before {time_text(job.deadline)}. "
        f"If it is not taken up by then, it lapses and costs {loss}."
    )
    return Output(job_document(run.network, job, client.parameters) | {"output": None}, [shown, go_on])
