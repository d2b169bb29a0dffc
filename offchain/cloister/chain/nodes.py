"""NodeRegistry: its calls and views as domain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from web3.contract import Contract

from cloister.chain.artifacts import artifact
from cloister.chain.call import Call
from cloister.chain.connection import Connection
from cloister.chain.errors import translated
from cloister.domain.ids import Address


@dataclass(frozen=True, slots=True)
class Node:
    """A worker as the registry knows it. Sums in wei; `exit_at` is a Unix second, 0 without an announced exit."""

    worker: Address
    stake: int
    locked: int
    key_epoch: int
    hpke_key: bytes
    signer: Address
    exit_at: int
    endpoint: str
    registered: bool


@dataclass(frozen=True, slots=True)
class Slash:
    """Stake that a worker lost: wei, and the number of the block."""

    worker: Address
    amount: int
    block: int


class Nodes:
    """One deployed NodeRegistry."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.address = address
        self._contract: Contract = connection.w3.eth.contract(cast(Any, address), abi=artifact("NodeRegistry").abi)

    def register(self, endpoint: str, hpke_key: bytes, signer: Address, stake: int) -> Call:
        """Registers the sender with `stake` wei."""
        return self._call("register", endpoint, hpke_key, signer, value=stake)

    def top_up(self, amount: int) -> Call:
        """Adds `amount` wei to the sender's stake."""
        return self._call("topUp", value=amount)

    def replace_keys(self, hpke_key: bytes, signer: Address) -> Call:
        """Replaces both keys of the sender."""
        return self._call("replaceKeys", hpke_key, signer)

    def announce_exit(self) -> Call:
        """Takes the sender out of later draws."""
        return self._call("announceExit")

    def withdraw(self) -> Call:
        """Pays the sender its stake after the exit delay."""
        return self._call("withdraw")

    def node(self, worker: Address) -> Node:
        """One worker's record; `registered` is False for an unknown address."""
        stake, locked, key_epoch, leaf, hpke_key, signer, exit_at, endpoint = self._view("node", worker)
        return Node(worker, stake, locked, key_epoch, hpke_key, Address(signer), exit_at, endpoint, leaf != 0)

    def workers(self) -> list[Node]:
        """Every worker that ever registered, in order of registration."""
        count = self._view("workerCount")
        return [self.node(Address(self._view("workerAt", leaf))) for leaf in range(count)]

    def draw(self, seed: bytes, seats: int, epoch: int, lock_each: int) -> tuple[Address, ...]:
        """The committee that the registry draws; address 0 is a vacant seat."""
        return tuple(Address(worker) for worker in self._view("draw", seed, seats, epoch, lock_each))

    def epoch_of(self, block: int) -> int:
        """Epoch of a block number."""
        return int(self._view("epochOf", block))

    def weight_at(self, worker: Address, epoch: int) -> int:
        """Gwei with which a worker enters the draws of an epoch (the present one, or the one before or after)."""
        return int(self._view("weightAt", worker, epoch))

    def total_weight_at(self, epoch: int) -> int:
        """Gwei of all workers in the draws of an epoch."""
        return int(self._view("totalWeightAt", epoch))

    def slashes(self, first_block: int) -> list[Slash]:
        """Every slash from block `first_block` on, oldest first."""
        with translated():
            logs = self._contract.events["StakeSlashed"]().get_logs(from_block=first_block)
        return [Slash(Address(log["args"]["worker"]), log["args"]["amount"], log["blockNumber"]) for log in logs]

    def epoch_length(self) -> int:
        """Blocks per epoch."""
        return int(self._view("epochLength"))

    def minimum_stake(self) -> int:
        """Wei."""
        return int(self._view("minimumStake"))

    def _call(self, name: str, *args: object, value: int = 0) -> Call:
        return Call(self.address, bytes.fromhex(self._contract.encode_abi(name, list(args))[2:]), value)

    def _view(self, name: str, *args: object) -> Any:
        with translated():
            return self._contract.functions[name](*args).call()
