"""`cloister nodes`: the workers of a deployment."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import typer

from cloister.cli.amounts import ether
from cloister.cli.command import command
from cloister.cli.run import Run
from cloister.cli.screen import Output, Table

if TYPE_CHECKING:
    from cloister.chain.nodes import Node

GWEI = 10**9


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "nodes", example="cloister nodes")(nodes)


def nodes(run: Run) -> Output:
    """List the workers and their stakes.

    Free is what no job locks. The share is that of jobs requested now; stake added in this epoch counts from the next
    one on.
    """
    network = run.network
    registry = network.nodes
    head = network.connection.head().number
    epoch = registry.epoch_of(head)
    found = [node for node in registry.workers() if node.stake > 0]
    weights = [registry.weight_at(node.worker, epoch) for node in found]
    total = registry.total_weight_at(epoch)
    shares = [weight / total if total else 0.0 for weight in weights]
    document = {
        "chain_id": network.connection.chain_id,
        "registry": registry.address,
        "block": head,
        "epoch": epoch,
        "epoch_length": registry.epoch_length(),
        "minimum_stake_wei": str(registry.minimum_stake()),
        "workers": [
            node_document(node) | {"weight_wei": str(weight * GWEI), "share": share}
            for node, weight, share in zip(found, weights, shares, strict=True)
        ],
    }
    if not found:
        return Output(document, ["No worker is registered."])
    rows = [
        (
            node.worker,
            ether(node.stake),
            ether(node.stake - node.locked),
            f"{share:.1%}",
            node.key_epoch,
            exit_text(node),
            node.endpoint,
        )
        for node, share in zip(found, shares, strict=True)
    ]
    headers = ("worker", "stake", "free", "share", "keys", "exit", "endpoint")
    return Output(document, [Table(headers, rows), f"Epoch {epoch}, block {head}."])


def node_document(node: Node) -> dict[str, Any]:
    """A worker's record, for --json."""
    return {
        "worker": node.worker,
        "registered": node.registered,
        "stake_wei": str(node.stake),
        "locked_wei": str(node.locked),
        "free_wei": str(node.stake - node.locked),
        "key_epoch": node.key_epoch,
        "exit_at": node.exit_at or None,
        "endpoint": node.endpoint,
    }


def exit_text(node: Node) -> str:
    """When a worker's stake may leave."""
    if node.exit_at == 0:
        return "-"
    return datetime.datetime.fromtimestamp(node.exit_at, datetime.UTC).isoformat(" ", "seconds")
