"""Headers: the bytes that hash to a block's hash, or a clear error."""

from __future__ import annotations

import random

import pytest
from eth.vm.forks.cancun.blocks import CancunBlockHeader
from eth.vm.forks.frontier.blocks import BlockHeader
from eth.vm.forks.london.blocks import LondonBlockHeader
from eth.vm.forks.prague.blocks import PragueBlockHeader
from eth.vm.forks.shanghai.blocks import ShanghaiBlockHeader
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3.datastructures import AttributeDict

from cloister.chain.header import UnknownHeader, encode_header

NAMES = {
    "parent_hash": "parentHash",
    "uncles_hash": "sha3Uncles",
    "coinbase": "miner",
    "state_root": "stateRoot",
    "transaction_root": "transactionsRoot",
    "receipt_root": "receiptsRoot",
    "bloom": "logsBloom",
    "difficulty": "difficulty",
    "block_number": "number",
    "gas_limit": "gasLimit",
    "gas_used": "gasUsed",
    "timestamp": "timestamp",
    "extra_data": "extraData",
    "mix_hash": "mixHash",
    "nonce": "nonce",
    "base_fee_per_gas": "baseFeePerGas",
    "withdrawals_root": "withdrawalsRoot",
    "blob_gas_used": "blobGasUsed",
    "excess_blob_gas": "excessBlobGas",
    "parent_beacon_block_root": "parentBeaconBlockRoot",
    "requests_hash": "requestsHash",
}
LENGTHS = {"coinbase": 20, "nonce": 8, "extra_data": 7}
NUMBERS = {
    "difficulty", "block_number", "gas_limit", "gas_used", "timestamp",
    "base_fee_per_gas", "blob_gas_used", "excess_blob_gas",
}  # fmt: skip


def block_of(header_class, seed=1):
    """A header with random fields, from py-evm's own class for the fork, and the block that JSON-RPC would show."""
    chosen = random.Random(seed)
    values, block = {}, {}
    for name, _ in header_class._meta.fields:
        if name in NUMBERS:
            values[name] = chosen.choice([0, 1, 127, 128, 2**40])
            block[NAMES[name]] = hex(values[name])
        elif name == "bloom":
            values[name] = chosen.getrandbits(2048)
            block[NAMES[name]] = "0x" + values[name].to_bytes(256, "big").hex()
        else:
            values[name] = chosen.randbytes(LENGTHS.get(name, 32))
            block[NAMES[name]] = "0x" + values[name].hex()
    header = header_class(**values)
    return block | {"hash": "0x" + header.hash.hex(), "uncles": [], "size": "0x21c"}


@pytest.mark.parametrize(
    "header_class", [BlockHeader, LondonBlockHeader, ShanghaiBlockHeader, CancunBlockHeader, PragueBlockHeader]
)
@pytest.mark.parametrize("seed", range(5))
def test_header__of_each_fork_with_random_fields__hashes_to_the_blocks_hash(header_class, seed):
    block = block_of(header_class, seed)
    assert keccak(encode_header(block)).hex() == block["hash"][2:]


def test_header__as_web3_formats_blocks__is_the_same():
    raw = block_of(PragueBlockHeader)
    formatted = {
        name: int(value, 16) if name in {NAMES[n] for n in NUMBERS} else HexBytes(value)
        for name, value in raw.items()
        if isinstance(value, str)
    }
    formatted["miner"] = "0x" + formatted["miner"].hex()
    assert encode_header(AttributeDict(formatted)) == encode_header(raw)


def test_header__with_an_unknown_extra_field__is_refused():
    # What a later fork would look like: the hash covers a field that is not known here.
    block = block_of(PragueBlockHeader)
    block["hash"] = "0x" + keccak(b"a header with one field more").hex()
    with pytest.raises(UnknownHeader) as caught:
        encode_header(block)
    assert "unknown format" in caught.value.message
    assert block["hash"] in caught.value.message
    assert "Osaka" in caught.value.hint


def test_header__with_one_field_altered__is_refused():
    block = block_of(PragueBlockHeader)
    with pytest.raises(UnknownHeader):
        encode_header(block | {"mixHash": "0x" + "11" * 32})


def test_header__of_a_pending_block__is_refused():
    with pytest.raises(UnknownHeader, match="pending"):
        encode_header(block_of(PragueBlockHeader) | {"hash": None})


def test_header__without_mix_hash__names_what_is_missing():
    block = block_of(PragueBlockHeader)
    del block["mixHash"]
    with pytest.raises(UnknownHeader, match="lacks mixHash"):
        encode_header(block)
