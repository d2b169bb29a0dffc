"""What a command runs with, made when it asks for it: settings, network, account, client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cloister.cli.flags import Session
from cloister.cli.screen import Screen
from cloister.domain.ids import Address

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from cloister.bootstrap import Operator
    from cloister.client import Client
    from cloister.config import Loaded, Settings
    from cloister.network import Network

DEVELOPMENT = "dev:"
"""--account dev:0 is the first of the accounts that every development chain funds, and works nowhere else."""
DEVELOPMENT_PASSWORD = "development"  # noqa: S105 - worker keys of accounts whose own keys are public


@dataclass(frozen=True, slots=True)
class Unlocked:
    """An account that can sign, and the password it was opened with."""

    account: LocalAccount
    password: str

    @property
    def address(self) -> Address:
        """The account's address, with its checksum."""
        return Address(self.account.address)


class Run:
    """One call of one command."""

    def __init__(self, session: Session, *, service: bool = False) -> None:
        self.session = session
        self.screen = Screen(json=session.json)
        self.service = service
        """A service tells what it does; of other commands only warnings are wanted, unless the user asks for more."""

    @cached_property
    def loaded(self) -> Loaded:
        """The settings and where they came from. Raises ConfigError."""
        from cloister.cli.logs import configure_logs
        from cloister.config import load_settings

        flags, cwd = self.session.flags, Path.cwd()
        loaded = load_settings(flags, env=os.environ, cwd=cwd, config_file=self.session.config)
        self.session.debug = loaded.settings.log_level == "debug"
        quiet = not self.service and loaded.sources["log_level"] == "default"
        configure_logs(loaded.settings.log_format, "warning" if quiet else loaded.settings.log_level)
        return loaded

    @property
    def settings(self) -> Settings:
        """The settings alone."""
        return self.loaded.settings

    @cached_property
    def network(self) -> Network:
        """The deployment that is configured. Raises as `open_network` does."""
        settings = self.settings  # before the import, so that a bad setting is reported at once
        from cloister.network import open_network

        return open_network(settings)

    @property
    def address(self) -> Address:
        """The configured account's address; only a key file that does not tell it needs the password."""
        which = self.settings.account
        if which is not None and which.startswith(DEVELOPMENT):
            return self.unlocked.address
        from cloister.bootstrap import keystore

        found = keystore(self.settings).find(which)
        return found.address or self.unlocked.address

    @property
    def address_if_any(self) -> Address | None:
        """None when no account is configured and there is not exactly one on this machine."""
        from cloister.storage.errors import KeyfileAmbiguous, KeyfileMissing

        try:
            return self.address
        except (KeyfileMissing, KeyfileAmbiguous):
            if self.settings.account is not None:
                raise
            return None

    @cached_property
    def unlocked(self) -> Unlocked:
        """The configured account, opened. Raises what Keystore and `password_from` raise."""
        which = self.settings.account
        if which is not None and which.startswith(DEVELOPMENT):
            return self._development(which.removeprefix(DEVELOPMENT))
        from cloister.bootstrap import keystore
        from cloister.storage.passwords import password_from

        store = keystore(self.settings)
        found = store.find(which)
        password = password_from(self.settings.password_file, label=f"Password of {found.name}: ")
        return Unlocked(store.load(str(found.path), password), password)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the configured account."""
        network, account = self.network, self.unlocked.account
        from cloister.bootstrap import open_client

        with open_client(network, account) as client:
            yield client

    @contextmanager
    def operator(self) -> Iterator[Operator]:
        """The operator of the configured account's worker."""
        network, unlocked = self.network, self.unlocked
        from cloister.bootstrap import open_operator

        with open_operator(network, unlocked.account, unlocked.password) as operator:
            yield operator

    def _development(self, index: str) -> Unlocked:
        from cloister.chain.connection import Connection
        from cloister.devnet.accounts import account
        from cloister.domain.errors import InvalidInput

        if not index.isdecimal():
            raise InvalidInput(f"There is no account dev:{index}.", "Write it as dev:0, dev:1, …")
        connection = Connection(self.settings.rpc_url, self.settings.chain_id)
        return Unlocked(account(connection.w3, int(index)), DEVELOPMENT_PASSWORD)
