"""Opens clients: requesters and model owners."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eth_account.signers.local import LocalAccount

from cloister.bootstrap.accounts import journal_of, sender_of
from cloister.client import Client
from cloister.domain.attested import TcbStatus
from cloister.domain.ids import unhexed
from cloister.domain.pins import Pins
from cloister.network import Network
from cloister.recipients import Recipients
from cloister.sealing.vault import Vault


@contextmanager
def open_client(network: Network, account: LocalAccount) -> Iterator[Client]:
    """A client that acts for `account`; its journal is held until the end of the block.

    Raises JournalLocked while another process of the same account runs.
    """
    with journal_of(network, account) as journal:
        sender = sender_of(network, account, journal)
        sender.settle()
        yield Client(
            network.connection,
            network.market,
            network.nodes,
            network.models,
            network.verifiers,
            recipients(network),
            sender,
            network.blobs,
            journal,
            Vault(bytes(account.key)),
            network.deployment.block,
            network.settings.confirmations,
            verifier=network.deployment.verifier,
            poll_seconds=network.settings.poll_seconds,
        )


def recipients(network: Network) -> Recipients:
    """Judges the workers that a client's inputs go to, by the pins of its settings."""
    settings = network.settings
    pins = Pins(
        frozenset(unhexed(text, "measurement") for text in settings.trusted_measurements),
        frozenset(TcbStatus.of_label(label) for label in settings.accepted_tcb),
        settings.trust_development == "yes",
    )
    chain_id, first_block = network.connection.chain_id, network.deployment.block
    return Recipients(chain_id, network.nodes, network.models, pins, first_block)
