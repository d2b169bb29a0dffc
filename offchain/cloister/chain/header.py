"""Block headers in the encoding that their hash is taken of.

`deliver` hands the market the header of the seed block, which the market compares with the chain's record
of the block's hash before it reads prevrandao from it (DRAW-1). JSON-RPC gives the fields of a header, not
its bytes, so they are put together here and checked against the block's hash before anybody uses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_utils.conversions import to_bytes, to_int
from eth_utils.crypto import keccak

from ..domain.errors import CloisterError

# Names as in JSON-RPC, in the order of the Yellow Paper, section 4.3. True marks a number.
_FIELDS = {
    "parentHash": False,
    "sha3Uncles": False,
    "miner": False,
    "stateRoot": False,
    "transactionsRoot": False,
    "receiptsRoot": False,
    "logsBloom": False,
    "difficulty": True,
    "number": True,
    "gasLimit": True,
    "gasUsed": True,
    "timestamp": True,
    "extraData": False,
    "mixHash": False,
    "nonce": False,
}
# Each fork appended its own, so a header has the first few of these and none without those before it.
_LATER_FIELDS = {
    "baseFeePerGas": True,  # London
    "withdrawalsRoot": False,  # Shanghai
    "blobGasUsed": True,  # Cancun
    "excessBlobGas": True,
    "parentBeaconBlockRoot": False,
    "requestsHash": False,  # Prague; Osaka added none
}


class UnknownHeader(CloisterError):
    """The block's fields do not hash to its hash, so its header cannot be proved to the market."""


def encode_header(block: Mapping[str, Any]) -> bytes:
    """RLP of the header of a block, given as web3 or raw JSON-RPC returns it.

    Raises UnknownHeader when the block is still pending, lacks a field, or does not hash to its own `hash`.
    """
    expected = block.get("hash")
    if expected is None:
        raise UnknownHeader("The block is pending and has no header yet.", "Ask again when it is mined.")
    missing = [name for name in _FIELDS if block.get(name) is None]
    if missing:
        raise UnknownHeader(f"The block lacks {', '.join(missing)}.", _ANOTHER_ENDPOINT)
    fields = [_field(block[name], is_number) for name, is_number in _FIELDS.items()]
    for name, is_number in _LATER_FIELDS.items():
        if block.get(name) is None:
            break
        fields.append(_field(block[name], is_number))
    header: bytes = rlp.encode(fields)
    if keccak(header) != _octets(expected):
        raise UnknownHeader(
            f"Block {_number(block['number'])} of this chain has a header of unknown format: its "
            f"{len(fields)} known fields hash to 0x{keccak(header).hex()}, "
            f"not to 0x{_octets(expected).hex()}.",
            _ANOTHER_ENDPOINT,
        )
    return header


_ANOTHER_ENDPOINT = (
    "Cloister knows the headers of Ethereum up to Osaka. Ask another RPC endpoint of the chain; if it "
    "says the same, this chain cannot run Cloister's draw."
)


def _field(value: Any, is_number: bool) -> bytes | int:
    return _number(value) if is_number else _octets(value)


def _number(value: Any) -> int:
    return to_int(hexstr=value) if isinstance(value, str) else int(value)


def _octets(value: Any) -> bytes:
    return to_bytes(hexstr=value) if isinstance(value, str) else bytes(value)
