"""Puts a worker's enclave together: its process, the evidence about it, and what keeps it in the draws."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from cloister.attestation.fetching import fetch_collateral
from cloister.attestation.providers import (
    ConfigfsProvider,
    DevelopmentProvider,
    DstackProvider,
    NoProvider,
    Provider,
    detect,
)
from cloister.attestation.providers.provider import CollateralSource
from cloister.chain.models import Version
from cloister.chain.quotes import Quotes
from cloister.config import ConfigError, Settings
from cloister.domain.ids import Address, VersionId
from cloister.enclave.client import Enclave
from cloister.enclave.keyring import EnclaveContext
from cloister.enclave.launcher import launch, measured
from cloister.host import EnclaveInference, Packages
from cloister.network import Network
from cloister.quoting import ON_CHAIN, NoQuote, Quoting, Transactions
from cloister.release import fetch_key
from cloister.upkeep import Upkeep

log = structlog.get_logger()

KEPT_EPOCHS = 4
"""Key epochs that an open version's input may have been sealed under: the key stays, an attestation that lapsed not."""


@dataclass(frozen=True, slots=True)
class Enclosure:
    """A running enclave and what serves it. `provider` is None where nothing makes evidence."""

    enclave: Enclave
    provider: Provider | None
    inference: EnclaveInference
    upkeep: Upkeep


@contextmanager
def open_enclosure(
    network: Network, me: Address, sender: Transactions, start: Callable[..., Enclave] = launch
) -> Iterator[Enclosure]:
    """Launches an enclave for worker `me`; it ends with the block, and its keys are lost.

    `start` is what launches it. Raises ConfigError, NoProvider, MeasurementError, and what `launch` raises.
    """
    settings, deployment = network.settings, network.deployment
    provider = provider_of(settings)
    context = EnclaveContext(
        network.connection.chain_id, deployment.job_market, deployment.node_registry, deployment.model_registry, me
    )
    enclave = start(
        context,
        compiled=settings.enclave_compiled,
        unprotected=frozenset(settings.unprotected),
        log=lambda line: log.info("enclave", said=line),
    )
    with enclave:
        packages = Packages(enclave, network.models.version, network.blobs)

        def key_epochs() -> tuple[int, ...]:
            newest = network.nodes.node(me).key_epoch
            return tuple(range(newest, max(newest - KEPT_EPOCHS, -1), -1))

        given: defaultdict[VersionId, set[str]] = defaultdict(set)

        def get_key(version: Version, key_epoch: int) -> None:
            assert provider is not None  # without evidence nothing is enrolled for
            about = version.version_id, version.owner, packages.manifest(version)[1], me, key_epoch
            fetch_key(enclave, provider, settings.brokers, *about, given[version.version_id])

        quoting = None
        if provider is not None:
            quoting = Quoting(provider, Quotes(network.connection, network.nodes.quotes()), sender)
        yield Enclosure(
            enclave,
            provider,
            EnclaveInference(
                enclave,
                packages,
                network.blobs,
                network.models.circuit_of,
                network.verifiers.is_removed,
                deployment.verifier,
                key_epochs,
            ),
            Upkeep(
                me,
                enclave,
                network.nodes,
                network.models,
                packages,
                sender,
                network.connection.head,
                None if quoting is None else quoting.quote,
                get_key,
                deployment.block,
            ),
        )


def provider_of(settings: Settings) -> Provider | None:
    """Where evidence comes from that the registry takes; None if there is none, and the settings allow that.

    Raises ConfigError, NoProvider, NoQuote and MeasurementError.
    """
    match settings.evidence_from:
        case "none":
            return None
        case "development":
            if settings.development_device is None:
                raise ConfigError(
                    "The setting development_device is missing.",
                    'Name the folder of the device, or set evidence_from = "none". `cloister devnet` makes devices.',
                )
            registers = measured(compiled=settings.enclave_compiled, cache=settings.data_dir / "measurement.json")
            return DevelopmentProvider.of_folder(settings.development_device, registers)
        case "tdx":
            return _on_chain(ConfigfsProvider(source=_source(settings)))
        case "dstack":
            return _on_chain(DstackProvider(source=_source(settings)))
        case _:
            try:
                return _on_chain(detect(source=_source(settings)))
            except (NoProvider, NoQuote) as error:
                log.warning("no evidence about the enclave", error=str(error))
                return None


def _on_chain(provider: Provider) -> Provider:
    if provider.kind != ON_CHAIN:
        raise NoQuote(
            f"Evidence of kind {provider.kind} is not judged on chain: {provider.name} gives no other.",
            'Set evidence_from = "none" to serve versions that anybody may run, or move to a TDX machine.',
        )
    return provider


def _source(settings: Settings) -> CollateralSource | None:
    url = settings.collateral_url
    return None if url is None else lambda quote: fetch_collateral(quote, url)
