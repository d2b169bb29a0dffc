"""A deployment seen through one endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from cloister.chain.connection import Connection
from cloister.chain.deployment import Deployment, verify
from cloister.chain.market import Market
from cloister.chain.models import Models
from cloister.chain.nodes import Nodes
from cloister.chain.verifiers import Verifiers
from cloister.config import ConfigError, Settings
from cloister.storage.blobs import BlobStore, BlobStores


@dataclass(frozen=True, slots=True)
class Network:
    """A deployment seen through one endpoint: enough to read everything."""

    settings: Settings
    connection: Connection
    deployment: Deployment
    market: Market
    nodes: Nodes
    models: Models
    verifiers: Verifiers
    blobs: BlobStores


def open_network(settings: Settings) -> Network:
    """Connects and checks that the contracts are there and belong together.

    Raises ConfigError without a deployment, WrongChain, RpcUnavailable, DeploymentFailed.
    """
    deployment = _deployment(settings)
    connection = Connection(settings.rpc_url, settings.chain_id or deployment.chain_id)
    verify(connection.w3, deployment)
    limit = settings.max_blob_mib << 20
    models = Models(connection, deployment.model_registry, deployment.block)
    return Network(
        settings,
        connection,
        deployment,
        Market(connection, deployment.job_market),
        Nodes(connection, deployment.node_registry),
        models,
        Verifiers(connection, models.verifiers()),
        BlobStores([BlobStore(url, max_size=limit) for url in settings.blob_stores]),
    )


def _deployment(settings: Settings) -> Deployment:
    overrides = {
        name: address
        for name in ("node_registry", "model_registry", "job_market")
        if (address := getattr(settings, name)) is not None
    }
    if settings.deployment is not None:
        found = Deployment.load(settings.deployment)
        fields = {name: getattr(found, name) for name in ("node_registry", "model_registry", "job_market")}
        return Deployment(found.chain_id, **(fields | overrides), block=found.block, verifier=found.verifier)
    if len(overrides) < 3 or settings.chain_id is None:
        raise ConfigError(
            "No deployment is configured.",
            "Set deployment to the file that `cloister deploy` or `cloister devnet` wrote "
            "(--deployment, CLOISTER_DEPLOYMENT or cloister.toml).",
        )
    return Deployment(settings.chain_id, **overrides, block=0)
