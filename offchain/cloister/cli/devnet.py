"""`cloister devnet`: a whole market on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloister.cli.command import command
from cloister.cli.run import Run
from cloister.cli.screen import Output, facts
from cloister.cli.worker import stop_on_signals

if TYPE_CHECKING:
    from cloister.devnet.testnet import Testnet


class Chain(StrEnum):
    """What mines the blocks."""

    ANVIL = "anvil"
    PY_EVM = "py-evm"


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "devnet", example="cloister devnet --chain py-evm --workers 5", service=True)(devnet)


def devnet(
    run: Run,
    chain: Annotated[Chain, typer.Option("--chain", help="anvil, or py-evm where there is no Node.js.")] = Chain.ANVIL,
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=0, max=15, help="How many workers.")] = 3,
    key_brokers: Annotated[
        int, typer.Option("--key-brokers", metavar="N", min=0, max=9, help="How many key brokers, for sealed models.")
    ] = 0,
    block_time: Annotated[
        float, typer.Option("--block-time", metavar="SECONDS", min=0.1, help="Seconds between blocks.")
    ] = 1.0,
    port: Annotated[
        int,
        typer.Option("--port", metavar="PORT", min=0, max=65535, help="Where the chain listens; 0 picks a free port."),
    ] = 8545,
    folder: Annotated[
        Path, typer.Option("--folder", metavar="FOLDER", help="Where everything is written; made anew on every start.")
    ] = Path(".devnet"),
) -> None:
    """Run a whole market on this machine.

    A chain, the contracts, workers and key brokers run until Ctrl-C. Use it from another terminal with --config
    .devnet/cloister.toml. Its accounts are public: never send them anything of worth. The workers' enclaves are
    attested by DEVELOPMENT evidence, which protects nothing; .devnet/policy.json admits them and nothing else.
    """
    _ = run.settings  # complains about bad settings now, and sets up the log
    from cloister.devnet.testnet import run_devnet

    def ready(net: Testnet) -> None:
        run.screen.show(_introduction(net))

    with stop_on_signals() as stop:
        run_devnet(
            folder,
            chain.value,
            workers=workers,
            brokers=key_brokers,
            block_time=block_time,
            port=port,
            ready=ready,
            stop=stop,
        )


def _introduction(net: Testnet) -> Output:
    config = net.folder / "cloister.toml"
    document = {
        "chain_id": net.deployment.chain_id,
        "rpc_url": net.node.url,
        "config": str(config),
        "deployment": str(net.folder / "deployment.json"),
        "workers": [worker.address for worker in net.workers],
        "policy": str(net.policy_file),
        "brokers": [broker.url for broker in net.brokers],
    }
    shown = {
        "chain": f"{net.deployment.chain_id} at {net.node.url}",
        "workers": f"{len(net.workers)}, attested by DEVELOPMENT EVIDENCE, which protects nothing",
        "brokers": ", ".join(broker.url for broker in net.brokers) or "none",
        "config": config,
    }
    here = f"cloister --config {_shown(config)}"
    steps = [
        "From another terminal, in this folder:",
        f"  {here} nodes",
        f"  {here} model publish models/digits --price 0.01",
        f"  {here} request digits --input rows.csv      # 64 numbers per line",
        f"  {here} request digits --input rows.csv --proved",
        f"  {here} model publish models/breast-cancer --price 0.01 --policy {_shown(net.policy_file)}",
        f"  {here} request breast-cancer --input rows.csv --attested   # enclaves enrol within two minutes",
        "Ctrl-C stops everything.",
    ]
    return Output(document, [facts(shown), *steps])


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
