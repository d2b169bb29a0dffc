"""`cloister deploy`: a market of one's own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloister.cli.command import command
from cloister.cli.run import Run
from cloister.cli.screen import Output, facts
from cloister.domain.errors import InvalidInput

if TYPE_CHECKING:
    from cloister.chain.deployment import DeployParameters


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "deploy", example="cloister deploy --out deployment.json --rpc-url https://rpc.example.org")(deploy)


def deploy(
    run: Run,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Deployment file to write. It must not exist.")],
    devnet_parameters: Annotated[
        bool, typer.Option("--devnet-parameters", help="Windows of seconds, for a development chain.")
    ] = False,
) -> Output:
    """Deploy a market of one's own.

    This deploys the contracts and writes the file that names them. The parameters can never be changed. The account
    must send nothing else meanwhile. It becomes the steward of the verifier of proofs, which it can remove and no more,
    and of collateral: `cloister evidence post` keeps that current, without which no enclave can be attested.
    """
    from cloister.chain.connection import Connection
    from cloister.chain.deploy import deploy as deploy_contracts
    from cloister.chain.deployment import DeployParameters

    _require_new(out)
    connection = Connection(run.settings.rpc_url, run.settings.chain_id)
    account = run.unlocked.account
    run.screen.tell(f"deploying to chain {connection.chain_id} from {account.address}")
    parameters = DeployParameters.devnet() if devnet_parameters else DeployParameters()
    with run.screen.waiting("Waiting for the contracts"):
        deployment = deploy_contracts(connection.w3, account, parameters, report=run.screen.tell)
    deployment.save(out)
    document = {
        "chain_id": deployment.chain_id,
        "node_registry": deployment.node_registry,
        "model_registry": deployment.model_registry,
        "job_market": deployment.job_market,
        "verifier": deployment.verifier,
        "block": deployment.block,
        "file": str(out),
        "parameters": _parameters(parameters),
    }
    shown = {name: document[name] for name in ("node_registry", "model_registry", "job_market", "verifier", "file")}
    return Output(document, [facts(shown)])


def _parameters(parameters: DeployParameters) -> dict[str, Any]:
    """Seconds, blocks and shares of 1/10000 as numbers, sums as text."""
    market = asdict(parameters.market)
    deposit = market.pop("demand_deposit")
    return market | {
        "demand_deposit_wei": str(deposit),
        "epoch_length": parameters.epoch_length,
        "exit_delay": parameters.exit_delay,
        "minimum_stake_wei": str(parameters.minimum_stake),
    }


def _require_new(out: Path) -> None:
    """Before anything is paid for: afterwards it would be too late to find that the file cannot be written."""
    if out.exists():
        raise InvalidInput(f"{out} exists.", "Choose another file: the contracts in this one may hold money.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.touch(exist_ok=False)
        out.unlink()
    except OSError as error:
        raise InvalidInput(f"{out} cannot be written: {error.strerror}.", "Choose another file.") from None
