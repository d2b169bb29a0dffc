"""A worker's operator: stake and keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from cloister.bootstrap.accounts import journal_of, sender_of, worker_secrets
from cloister.chain.sender import Receipt, Sender
from cloister.network import Network
from cloister.sealing.keys import WorkerKeys
from cloister.storage.keystore import Secrets


@contextmanager
def open_operator(network: Network, account: LocalAccount, password: str) -> Iterator[Operator]:
    """A worker's operator: registers, tops up, rotates keys, exits."""
    with journal_of(network, account) as journal:
        sender = sender_of(network, account, journal)
        sender.settle()
        yield Operator(network, sender, worker_secrets(network.settings), password)


@dataclass(frozen=True, slots=True)
class Operator:
    """Stake and keys of one worker account."""

    network: Network
    sender: Sender
    secrets: Secrets
    password: str

    def register(self, stake: int, endpoint: str = "") -> Receipt:
        """Makes keys if there are none, and registers with `stake` wei."""
        node = self.network.nodes.node(self.sender.address)
        epoch = node.key_epoch + 1 if node.registered else 0
        keys = self._keys(epoch)
        call = self.network.nodes.register(endpoint, keys.hpke_public_key, keys.signer, stake)
        return self.sender.transact(f"register:{epoch}", call)

    def top_up(self, amount: int) -> Receipt:
        """Adds `amount` wei to the stake."""
        return self.sender.transact(self._intent("top-up"), self.network.nodes.top_up(amount))

    def rotate_keys(self) -> Receipt:
        """Replaces both keys; the old ones stay on disk for jobs under way."""
        epoch = self.network.nodes.node(self.sender.address).key_epoch + 1
        keys = self._keys(epoch)
        call = self.network.nodes.replace_keys(keys.hpke_public_key, keys.signer)
        return self.sender.transact(f"rotate-keys:{epoch}", call)

    def announce_exit(self) -> Receipt:
        """Leaves later draws and starts the exit delay."""
        return self.sender.transact(self._intent("exit"), self.network.nodes.announce_exit())

    def withdraw(self) -> Receipt:
        """Pays the stake out after the exit delay."""
        return self.sender.transact(self._intent("withdraw-stake"), self.network.nodes.withdraw())

    def _intent(self, what: str) -> str:
        # These can be wanted again later: the block tells one wish from the next.
        return f"{what}:{self.network.connection.head().number}"

    def _keys(self, epoch: int) -> WorkerKeys:
        me = self.sender.address
        stored = {secret.epoch for secret in self.secrets.list() if secret.worker == me}
        if epoch in stored:
            return WorkerKeys.from_secret(self.secrets.load(me, epoch, self.password))
        return WorkerKeys.from_secret(self.secrets.create(me, epoch, self.password))
