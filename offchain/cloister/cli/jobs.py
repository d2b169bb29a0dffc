"""`cloister jobs`: what was asked of a market."""

from __future__ import annotations

from typing import Annotated

import typer

from cloister.cli.amounts import ether
from cloister.cli.command import command
from cloister.cli.run import Run
from cloister.cli.screen import Output, Table
from cloister.domain.ids import hexed


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "jobs", example="cloister jobs --all --limit 5")(jobs)


def jobs(
    run: Run,
    mine: Annotated[bool, typer.Option("--mine/--all", help="This account's jobs, or everybody's.")] = True,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many, the newest first.")] = 20,
) -> Output:
    """List jobs, the newest first."""
    network = run.network
    requests = network.market.jobs(network.deployment.block)
    if mine:
        me = run.address
        requests = [one for one in requests if one.requester == me]
    newest = requests[::-1][:limit]
    states = [network.market.state(one.job_id).name.lower() for one in newest]
    document = {
        "chain_id": network.connection.chain_id,
        "market": network.market.address,
        "total": len(requests),
        "jobs": [
            {
                "job": hexed(one.job_id),
                "state": state,
                "requester": one.requester,
                "version": hexed(one.request.version),
                "level": str(one.request.assurance),
                "escrow_wei": str(one.request.escrow),
            }
            for one, state in zip(newest, states, strict=True)
        ],
    }
    if not newest:
        return Output(document, ["There are no jobs."])
    rows = [
        (hexed(one.job_id), state, str(one.request.assurance), ether(one.request.escrow), one.requester)
        for one, state in zip(newest, states, strict=True)
    ]
    parts: list[str | Table] = [Table(("job", "state", "level", "escrow", "requester"), rows)]
    if len(requests) > limit:
        parts.append(f"{len(requests) - limit} older ones are not shown (--limit).")
    return Output(document, parts)
