"""One JSON-RPC endpoint: heads, headers and logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from web3 import HTTPProvider, Web3
from web3.exceptions import BlockNotFound
from web3.types import BlockData, FilterParams, LogReceipt

from cloister.chain.errors import RpcUnavailable, WrongChain, translated
from cloister.chain.header import encode_header
from cloister.domain.ids import Address

Confirmations = Literal["latest", "safe", "finalized"] | int
"""Which block counts as the head: a tag, or a number of blocks below the latest."""

TIMEOUT = 20.0
"""Seconds that one request may take."""


@dataclass(frozen=True, slots=True)
class Head:
    """A block, as far as following the chain needs it."""

    number: int
    hash: bytes
    parent: bytes
    timestamp: int


class Connection:
    """A checked connection.

    Raises RpcUnavailable when nothing answers at `url` and WrongChain when the endpoint serves another chain than
    `chain_id` (None takes any).
    """

    def __init__(self, url: str, chain_id: int | None = None) -> None:
        self.url = url
        self.w3 = Web3(HTTPProvider(url, request_kwargs={"timeout": TIMEOUT}))
        with translated():
            self.chain_id = self.w3.eth.chain_id
            self.genesis = "0x" + bytes(self.w3.eth.get_block(0)["hash"]).hex()
        if chain_id is not None and self.chain_id != chain_id:
            raise WrongChain(
                f"The endpoint {url} serves chain {self.chain_id}, not {chain_id}.",
                "Set rpc_url to an endpoint of your chain, or chain_id to the chain you mean (`cloister config show`).",
            )

    def head(self, confirmations: Confirmations = "latest") -> Head:
        """The newest block that counts. Chains younger than the wish answer with their first block."""
        with translated():
            if isinstance(confirmations, int):
                number = max(self.w3.eth.block_number - confirmations, 0)
                return _head(self.w3.eth.get_block(number))
            try:
                return _head(self.w3.eth.get_block(confirmations))
            except BlockNotFound:
                return self.block(0)

    def block(self, which: int | bytes) -> Head:
        """A block by number or hash. Raises RpcUnavailable when the endpoint lacks it."""
        return _head(self._block(which))

    def header(self, number: int) -> tuple[bytes, bytes]:
        """RLP encoding of a block's header, checked against the block's hash, and its prevrandao."""
        block = self._block(number)
        return encode_header(block), bytes(block["mixHash"])

    def logs_of_block(self, address: Address, block_hash: bytes) -> Sequence[LogReceipt]:
        """A contract's logs in one block; the hash makes sure that a reorganisation cannot mix two chains."""
        return self._logs({"address": cast(Any, address), "blockHash": cast(Any, "0x" + block_hash.hex())})

    def logs_of_range(self, address: Address, first: int, last: int) -> Sequence[LogReceipt]:
        """A contract's logs in blocks `first` to `last`, for history that is final."""
        return self._logs({"address": cast(Any, address), "fromBlock": first, "toBlock": last})

    def logs_of_job(self, address: Address, topic: bytes, first: int) -> Sequence[LogReceipt]:
        """A contract's logs from block `first` on whose first indexed argument is `topic`."""
        topics = cast(Any, [None, "0x" + topic.hex()])
        return self._logs({"address": cast(Any, address), "fromBlock": first, "toBlock": "latest", "topics": topics})

    def balance(self, account: Address) -> int:
        """Wei that an account holds."""
        with translated():
            return self.w3.eth.get_balance(cast(Any, account))

    def _block(self, which: int | bytes) -> BlockData:
        with translated():
            try:
                return self.w3.eth.get_block(cast(Any, which))
            except BlockNotFound:
                name = which if isinstance(which, int) else f"0x{which.hex()}"
                raise RpcUnavailable(
                    f"The RPC endpoint does not have block {name}.",
                    "It is behind, or the block was taken back; this passes when it has caught up.",
                ) from None

    def _logs(self, query: FilterParams) -> Sequence[LogReceipt]:
        with translated():
            return self.w3.eth.get_logs(query)


def _head(block: BlockData) -> Head:
    return Head(block["number"], bytes(block["hash"]), bytes(block["parentHash"]), block["timestamp"])
