"""RLP of a block header, from the JSON that a node gives (Yellow Paper, appendix B and section 4.3)."""

from eth_utils import keccak, to_bytes

# In the order in which the hash takes them. Later forks appended; no node leaves a field out in the middle.
_HASHES = {
    "parentHash",
    "sha3Uncles",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "mixHash",
    "withdrawalsRoot",
    "parentBeaconBlockRoot",
    "requestsHash",
}
_FIELDS = [
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
    "baseFeePerGas",
    "withdrawalsRoot",
    "blobGasUsed",
    "excessBlobGas",
    "parentBeaconBlockRoot",
    "requestsHash",
]
_STRINGS = _HASHES | {"miner", "logsBloom", "extraData", "nonce"}


def rlp(item: bytes | list) -> bytes:
    if isinstance(item, list):
        return _with_length(b"".join(rlp(part) for part in item), 0xC0)
    if len(item) == 1 and item[0] < 0x80:
        return item
    return _with_length(item, 0x80)


def _with_length(payload: bytes, base: int) -> bytes:
    size = len(payload)
    if size < 56:
        return bytes([base + size]) + payload
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(length)]) + length + payload


def encode(block: dict) -> bytes:
    """The header of `block`, an answer of eth_getBlockByNumber. Its hash has been checked."""
    items = []
    for name in _FIELDS:
        if block.get(name) is None:
            break
        value = to_bytes(hexstr=block[name])
        items.append(value if name in _STRINGS else value.lstrip(b"\0"))
    header = rlp(items)
    if keccak(header) != to_bytes(hexstr=block["hash"]):
        raise ValueError(f"the fields of block {block['number']} do not hash to {block['hash']}")
    return header
