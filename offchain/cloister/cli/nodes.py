"""`cloister nodes`: the workers of a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from cloister.cli.amounts import ether
from cloister.cli.command import command
from cloister.cli.job_view import time_text
from cloister.cli.run import Run
from cloister.cli.screen import Output, Table
from cloister.domain.ids import hexed

if TYPE_CHECKING:
    from cloister.chain.nodes import Node
    from cloister.domain.attested import Evidence
    from cloister.domain.ids import Address
    from cloister.network import Network

GWEI = 10**9


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "nodes", example="cloister nodes")(nodes)


def nodes(run: Run) -> Output:
    """List the workers and their stakes.

    Free is what no job locks. The share is that of jobs requested now; stake added in this epoch counts from the next
    one on. DEVELOPMENT evidence about an enclave protects nothing.
    """
    network = run.network
    registry = network.nodes
    head = network.connection.head().number
    epoch = registry.epoch_of(head)
    found = [node for node in registry.workers() if node.stake > 0]
    weights = [registry.weight_at(node.worker, epoch) for node in found]
    total = registry.total_weight_at(epoch)
    shares = [weight / total if total else 0.0 for weight in weights]
    enclaves = [Enclave.of(network, node.worker) for node in found]
    document = {
        "chain_id": network.connection.chain_id,
        "registry": registry.address,
        "block": head,
        "epoch": epoch,
        "epoch_length": registry.epoch_length(),
        "minimum_stake_wei": str(registry.minimum_stake()),
        "workers": [
            node_document(node) | enclave.document() | {"weight_wei": str(weight * GWEI), "share": share}
            for node, enclave, weight, share in zip(found, enclaves, weights, shares, strict=True)
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
            enclave.text(),
            exit_text(node),
            node.endpoint,
        )
        for node, enclave, share in zip(found, enclaves, shares, strict=True)
    ]
    headers = ("worker", "stake", "free", "share", "keys", "enclave", "exit", "endpoint")
    return Output(document, [Table(headers, rows), f"Epoch {epoch}, block {head}."])


@dataclass(frozen=True, slots=True)
class Enclave:
    """What the chain knows of a worker's enclave: until when it is attested, and the evidence if a log tells it."""

    until: int
    evidence: Evidence | None

    @classmethod
    def of(cls, network: Network, worker: Address) -> Enclave:
        """Reads it."""
        until = network.nodes.attestation(worker).until
        return cls(until, network.nodes.evidence(worker, network.deployment.block) if until else None)

    def document(self) -> dict[str, Any]:
        """For --json."""
        return {
            "attested_until": self.until or None,
            "measurement": None if self.evidence is None else hexed(self.evidence.measurement),
            "tcb_status": None if self.evidence is None else self.evidence.status.label,
            "development": None if self.evidence is None else self.evidence.development,
        }

    def text(self) -> str:
        """For people."""
        if not self.until:
            return "-"
        development = self.evidence is not None and self.evidence.development
        return f"until {time_text(self.until)}" + (" DEVELOPMENT" if development else "")


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
    return "-" if node.exit_at == 0 else time_text(node.exit_at)
