"""Currencies: the tokens that jobs can be paid in, and what they weigh against stake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from web3.contract import Contract

from cloister.chain.artifacts import artifact
from cloister.chain.call import Call
from cloister.chain.connection import Connection
from cloister.chain.errors import ContractError, translated
from cloister.domain.ids import Address

UNIT = 10**18
"""What rates are told for: so many units of a token."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A rate that a steward named: wei of stake for 10^18 units of a token; it counts from a Unix second on."""

    token: Address
    rate: int
    since: int


class Currencies:
    """One deployed Currencies."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.address = address
        self._contract: Contract = connection.w3.eth.contract(cast(Any, address), abi=artifact("Currencies").abi)

    def announce(self, token: Address, rate: int) -> Call:
        """Names a token's rate, which counts after the delay; 0 takes the token off the list. Steward only."""
        return self._call("announce", token, rate)

    def set_steward(self, steward: Address) -> Call:
        """Hands the office on; to nobody, for good. Steward only."""
        return self._call("setSteward", steward)

    def lock_rate(self, token: Address) -> int | None:
        """Wei of stake for 10^18 units of a token; None for one that jobs cannot be paid in now."""
        try:
            return int(self._view("lockRate", token))
        except ContractError as error:
            if error.name == "Currencies_NotListed":
                return None
            raise

    def steward(self) -> Address:
        """Who names rates; nobody if the list stays as it is."""
        return Address(self._view("steward"))

    def delay(self) -> int:
        """Seconds between an announcement and its effect."""
        return int(self._view("delay"))

    def announcements(self, first_block: int) -> list[Announcement]:
        """Every rate named from block `first_block` on, oldest first."""
        with translated():
            logs = self._contract.events["RateAnnounced"]().get_logs(from_block=first_block)
        return [Announcement(Address(log["args"]["token"]), log["args"]["rate"], log["args"]["from"]) for log in logs]

    def _call(self, name: str, *args: object) -> Call:
        return Call(self.address, bytes.fromhex(self._contract.encode_abi(name, list(args))[2:]))

    def _view(self, name: str, *args: object) -> Any:
        with translated():
            return self._contract.functions[name](*args).call()
