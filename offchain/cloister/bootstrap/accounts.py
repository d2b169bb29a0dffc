"""Accounts of this machine: their key files, journals, and what sends for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from eth_account.signers.local import LocalAccount

from cloister.chain.sender import Sender
from cloister.config import Settings
from cloister.domain.ids import Address
from cloister.network import Network
from cloister.storage.journal import Journal
from cloister.storage.keyfile import STANDARD, Kdf
from cloister.storage.keystore import Keystore, Secrets

GWEI = 10**9


def keystore(settings: Settings) -> Keystore:
    """The accounts of this machine."""
    return Keystore(settings.keystores)


def worker_secrets(settings: Settings, kdf: Kdf = STANDARD) -> Secrets:
    """The worker keys of this machine; `kdf` is for new ones."""
    return Secrets(settings.data_dir / "worker-keys", kdf=kdf)


def journal_of(network: Network, account: LocalAccount) -> Journal:
    """What an account has sent and promised on one market. Raises JournalLocked while another process holds it."""
    connection, market, me = network.connection, network.market.address, Address(account.address)
    chain = f"{connection.chain_id}:{connection.genesis}"
    name = f"{connection.chain_id}-{market.lower()}-{me.lower()}.sqlite"
    return Journal(network.settings.data_dir / "journals" / name, chain, market, me)


def sender_of(network: Network, account: LocalAccount, journal: Journal) -> Sender:
    """Sends for an account, within the limits of the settings."""
    limit = network.settings.max_fee_gwei
    return Sender(
        network.connection,
        account,
        journal,
        max_fee=None if limit is None else int(Decimal(limit) * GWEI),
        confirmations=network.settings.confirmations,
    )


@contextmanager
def open_sender(network: Network, account: LocalAccount) -> Iterator[Sender]:
    """Sends for `account`, which plays no part in jobs; its journal is held until the end of the block."""
    with journal_of(network, account) as journal:
        sender = sender_of(network, account, journal)
        sender.settle()
        yield sender
