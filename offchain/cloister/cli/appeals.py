"""`cloister challenge`, `judge`, `refer` and `canary`: what to do about a result that is not believed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloister.cli.amounts import ether
from cloister.cli.catalogue import find_model
from cloister.cli.command import command
from cloister.cli.receipts import receipt_document
from cloister.cli.result import follow
from cloister.cli.rows import read_rows, to_input
from cloister.cli.run import Run
from cloister.cli.screen import Output, facts
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import JobId, hexed, unhexed

if TYPE_CHECKING:
    from cloister.appeals import Appeals
    from cloister.chain.sender import Receipt

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Job id, as `cloister jobs` prints it.")]


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "challenge", example="cloister challenge 0x3a…9c")(challenge)
    command(app, "judge", example="cloister judge 0x3a…9c")(judge)
    command(app, "refer", example="cloister refer 0x3a…9c")(refer)
    command(app, "canary", example="cloister canary digits --input rows.csv --level 'agreed(3,2)'")(canary)


def challenge(run: Run, job: JobArgument) -> Output:
    """Have the workers of a result prove it, or lose stake.

    You put up a bond. Anybody may, once per result, within the challenge window that `cloister result` shows, for a
    job that names a verifier. If nobody proves the result within the dispute window it is void, its requester is
    refunded, and you have the bond back and a reward. If somebody proves it, the bond is theirs.
    """
    from cloister.appeals import Appeals

    job_id = JobId(unhexed(job, "The job id"))
    with run.client() as client:
        receipt = Appeals(client).challenge(job_id)
        challenged = client.job(job_id)
        bond, decide_by = challenged.bond, challenged.deadline
        run.screen.tell(f"bond: {ether(bond)}")
    return _sent(run, job_id, receipt, {"bond_wei": str(bond), "decide_by": decide_by}, "challenged")


def judge(run: Run, job: JobArgument) -> Output:
    """Prove the output of your own job, and end all doubts.

    Runs the model here on the job's input and sends the proof to the market: workers that revealed this output are
    right, all others lose stake. A result that nobody has challenged can be overturned like this, too, without a bond.
    It needs the model's weights, so it is not for sealed models: there the workers themselves prove.
    """
    from cloister.appeals import Appeals

    job_id = JobId(unhexed(job, "The job id"))
    with run.client() as client:
        with run.screen.waiting("Proving"):
            receipt = Appeals(client).judge(job_id)
        after = client.job(job_id)
    result = None if after.result is None else hexed(after.result)
    return _sent(run, job_id, receipt, {"output_commitment": result}, "decided by proof")


def refer(
    run: Run,
    job: JobArgument,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="Give up waiting after this time.")
    ] = None,
) -> Output:
    """Have a larger committee decide about your own job.

    For one that names no verifier, so that no proof can. Pays that committee and, for a settled job, a bond. Waits for
    the committee and then ends the dispute.
    """
    from cloister.appeals import Appeals

    job_id = JobId(unhexed(job, "The job id"))
    with run.client() as client:
        referee = Appeals(client).refer(job_id)
        run.screen.tell(f"referee job: {hexed(referee)}")
        follow(run, client, referee, timeout)
        receipt = client.sender.transact(f"resolve:{hexed(job_id)}", client.market.resolve(client.job(job_id).ticket()))
        after = client.job(job_id)
    result = None if after.result is None else hexed(after.result)
    more = {"referee": hexed(referee), "output_commitment": result}
    return _sent(run, job_id, receipt, more, f"decided by job {hexed(referee)}")


def canary(
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
        str, typer.Option("--level", metavar="LEVEL", help="The level to test: agreed(k,q) or attested.")
    ] = "agreed(3,2)",
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="Give up waiting after this time.")
    ] = None,
) -> Output:
    """Post a job whose answer you know; overturn a wrong one.

    On chain it looks like any other job. The model is run here before anything is paid. If the market settles on
    another output, the right one is proved: its workers are paid, all others lose stake.
    """
    from cloister.appeals import Appeals
    from cloister.domain.request import Assurance

    assurance = Assurance.parse(level)
    if assurance.proved:
        raise InvalidInput("The answer of a proved job needs no canary.", "Name attested or agreed(k,q).")
    rows = read_rows(rows_from, integers=integers)
    wanted = find_model(run.network, model)
    if wanted.manifest is None:
        raise InvalidInput(
            f"No blob store has the manifest of model version {hexed(wanted.version.version_id)}.",
            "Add a store that has it to blob_stores.",
        )
    encoded = to_input(rows, wanted.manifest, integers=integers)
    with run.client() as client:
        appeals = Appeals(client)
        expected = appeals.expected(wanted.version.version_id, encoded)
        job_id = client.request(wanted.version.version_id, encoded, assurance)
        run.screen.tell(f"posted: {hexed(job_id)}")
        result = follow(run, client, job_id, timeout)
        right = result.outputs is not None and bool((result.outputs == expected).all())
        overturned = result.outputs is not None and not right and _overturn(run, appeals, job_id)
    run.session.job = None
    answered = result.outputs is not None
    document = {"job": hexed(job_id), "answered": answered, "right": right, "overturned": overturned}
    verdict = "right" if right else "not answered" if not answered else "wrong, and overturned by proof"
    return Output(document, [facts({"job": hexed(job_id), "answer": verdict})])


def _overturn(run: Run, appeals: Appeals, job_id: JobId) -> bool:
    with run.screen.waiting("The answer is wrong: proving the right one"):
        appeals.judge(job_id)
    return True


def _sent(run: Run, job_id: JobId, receipt: Receipt, more: Mapping[str, object], what: str) -> Output:
    run.session.job = None
    document = {"job": hexed(job_id), **receipt_document(receipt), **more}
    return Output(document, [facts({"job": hexed(job_id), "was": what, "gas": f"{receipt.gas_used:,}"})])
