"""Opens this machine's key broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from cloister.attestation.chains import certificate_of, certificates_of, der_of
from cloister.attestation.verification import Roots
from cloister.broker.documents import DocumentMemory
from cloister.broker.nonces import Nonces
from cloister.broker.service import Broker
from cloister.broker.store import BrokerStore
from cloister.config import ConfigError, Settings
from cloister.domain.errors import CloisterError
from cloister.network import Network
from cloister.storage.keyfile import STANDARD, Kdf
from cloister.storage.release_entries import LogOwner
from cloister.storage.releases import ReleaseLog


def broker_store(settings: Settings, kdf: Kdf = STANDARD) -> BrokerStore:
    """Key, shares and licences of this machine's key broker; `kdf` is for a new key."""
    return BrokerStore(settings.data_dir / "broker", kdf=kdf)


@contextmanager
def open_broker(network: Network, password: str) -> Iterator[Broker]:
    """This machine's key broker; its log is held until the end of the block.

    Raises LogLocked while another process runs it, LogBroken, BrokerStateBroken, and what its key file raises.
    """
    store, chain_id, registry = broker_store(network.settings), network.connection.chain_id, network.nodes.address
    key = store.load_key(password)
    owner = LogOwner(key.fingerprint, chain_id, registry)
    with ReleaseLog.open(store.folder / f"releases-{chain_id}-{registry.lower()}.jsonl", owner) as releases:
        yield Broker(
            chain_id=chain_id,
            models=network.models,
            workers=network.nodes,
            shares=store,
            key=key,
            log=releases,
            documents=DocumentMemory.load(store.folder / "documents.json"),
            roots=Roots.genuine(_development_roots(network.settings)),
            nonces=Nonces(time.monotonic),
            now=lambda: int(time.time()),
        )


def _development_roots(settings: Settings) -> tuple[bytes, ...]:
    path = settings.development_authority
    if path is None:
        return ()
    try:
        data = path.read_bytes()
        return (der_of(certificates_of(data)[0] if b"-----BEGIN" in data else certificate_of(data)),)
    except (OSError, CloisterError) as error:
        problem = error.message if isinstance(error, CloisterError) else error.strerror
        raise ConfigError(
            f"development_authority {path} is no root certificate: {problem}", "Name a file in PEM or DER."
        ) from error
