"""Books over a whole testnet: every wei that its accounts held at the start is somewhere at the end, or was gas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from cloister.devnet.accounts import COUNT, key
from cloister.domain.ids import Address

if TYPE_CHECKING:
    from cloister.devnet.testnet import Testnet


class Books:
    """Opens at the present block; `problems` balances what has happened since."""

    BURN: Final = Address("0x000000000000000000000000000000000000dEaD")

    def __init__(self, net: Testnet) -> None:
        self._net = net
        self._first = net.w3.eth.block_number
        contracts = (net.deployment.node_registry, net.deployment.job_market)
        self._accounts = [*(Address(key(index).address) for index in range(COUNT)), *contracts, self.BURN]
        self._before = self._total(self._first)
        self.summary = ""

    def problems(self) -> list[str]:
        """What does not add up; empty when everything does.

        Checks that the balances of all accounts, contracts and the burn address changed by the gas paid and nothing
        else, that the registry holds exactly the stakes (MONEY-1), and that the market, once all credits are
        withdrawn, holds nothing (MONEY-3).
        """
        net, found = self._net, []
        last = net.w3.eth.block_number
        gas = self._gas(self._first + 1, last)
        after = self._total(last)
        if self._before != after + gas:
            found.append(f"{self._before - after - gas} wei are unaccounted for")
        stakes = sum(node.stake for node in net.network.nodes.workers())
        held = self._balance(net.deployment.node_registry, last)
        if held != stakes:
            found.append(f"the registry holds {held} wei, its stakes are {stakes}")
        if left := self._balance(net.deployment.job_market, last):
            found.append(f"the market still holds {left} wei after everybody withdrew")
        burned = self._balance(self.BURN, last)
        self.summary = f"the books balance to the wei: {burned / 1e18:.4f} ether burned, {gas / 1e18:.6f} ether of gas"
        return found

    def _total(self, block: int) -> int:
        return sum(self._balance(account, block) for account in self._accounts)

    def _balance(self, account: Address, block: int) -> int:
        return self._net.w3.eth.get_balance(cast(Any, account), block)

    def _gas(self, first: int, last: int) -> int:
        eth, total = self._net.w3.eth, 0
        for number in range(first, last + 1):
            for transaction in eth.get_block(number)["transactions"]:
                receipt = eth.get_transaction_receipt(cast(Any, transaction))
                total += receipt["gasUsed"] * receipt["effectiveGasPrice"]
        return total
