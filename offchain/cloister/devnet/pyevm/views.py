"""py-evm's blocks, transactions and receipts as JSON-RPC shows them."""

from __future__ import annotations

from typing import Any

from eth._utils.address import generate_contract_address
from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI
from eth_utils.address import to_checksum_address

Json = dict[str, Any]

DYNAMIC_FEE = 2
ACCESS_LIST = 1


def quantity(value: int) -> str:
    """A number."""
    return hex(value)


def octets(value: bytes) -> str:
    """Bytes of any number."""
    return "0x" + value.hex()


def address(value: bytes) -> str | None:
    """An address; None for the empty one of a creation."""
    return to_checksum_address(value) if value else None


def header_view(header: BlockHeaderAPI) -> Json:
    """Every field of a header: the hash can be computed from them."""
    fields: Any = header  # py-evm's interface names no field that came after London
    return {
        "number": quantity(header.block_number),
        "hash": octets(header.hash),
        "parentHash": octets(header.parent_hash),
        "sha3Uncles": octets(header.uncles_hash),
        "miner": address(header.coinbase),
        "stateRoot": octets(header.state_root),
        "transactionsRoot": octets(header.transaction_root),
        "receiptsRoot": octets(header.receipt_root),
        "logsBloom": octets(header.bloom.to_bytes(256, "big")),
        "difficulty": quantity(header.difficulty),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "extraData": octets(header.extra_data),
        "mixHash": octets(header.mix_hash),
        "nonce": octets(header.nonce),
        "baseFeePerGas": quantity(fields.base_fee_per_gas),
        "withdrawalsRoot": octets(fields.withdrawals_root),
        "blobGasUsed": quantity(fields.blob_gas_used),
        "excessBlobGas": quantity(fields.excess_blob_gas),
        "parentBeaconBlockRoot": octets(fields.parent_beacon_block_root),
        "requestsHash": octets(fields.requests_hash),
        "uncles": [],
        "withdrawals": [],
    }


def effective_price(transaction: SignedTransactionAPI, base_fee: int) -> int:
    """Wei per gas that a transaction pays in a block with this base fee."""
    if transaction.type_id == DYNAMIC_FEE:
        return min(transaction.max_fee_per_gas, base_fee + transaction.max_priority_fee_per_gas)
    return transaction.gas_price


def transaction_view(
    transaction: SignedTransactionAPI, header: BlockHeaderAPI | None, index: int | None, base_fee: int
) -> Json:
    """A transaction, waiting if `header` is None."""
    kind = transaction.type_id or 0
    view: Json = {
        "type": quantity(kind),
        "hash": octets(transaction.hash),
        "nonce": quantity(transaction.nonce),
        "from": address(transaction.sender),
        "to": address(transaction.to),
        "value": quantity(transaction.value),
        "gas": quantity(transaction.gas),
        "gasPrice": quantity(effective_price(transaction, base_fee)),
        "input": octets(transaction.data),
        "chainId": quantity(transaction.chain_id or 0),
        "v": quantity(transaction.y_parity if kind else transaction.v),  # type: ignore[attr-defined]
        "r": quantity(transaction.r),
        "s": quantity(transaction.s),
        "blockHash": None if header is None else octets(header.hash),
        "blockNumber": None if header is None else quantity(header.block_number),
        "transactionIndex": None if index is None else quantity(index),
    }
    if kind in (ACCESS_LIST, DYNAMIC_FEE):
        view["yParity"] = view["v"]
        view["accessList"] = [
            {"address": address(account), "storageKeys": [octets(slot.to_bytes(32, "big")) for slot in slots]}
            for account, slots in transaction.access_list
        ]
    if kind == DYNAMIC_FEE:
        view["maxFeePerGas"] = quantity(transaction.max_fee_per_gas)
        view["maxPriorityFeePerGas"] = quantity(transaction.max_priority_fee_per_gas)
    return view


def receipt_views(
    header: BlockHeaderAPI, transactions: list[SignedTransactionAPI], receipts: list[ReceiptAPI]
) -> list[Json]:
    """The receipts of a block, their logs numbered through the block."""
    views: list[Json] = []
    gas_before = log_index = 0
    base_fee = header.base_fee_per_gas
    assert base_fee is not None  # since London
    for index, (transaction, receipt) in enumerate(zip(transactions, receipts, strict=True)):
        place: Json = {
            "blockHash": octets(header.hash),
            "blockNumber": quantity(header.block_number),
            "transactionHash": octets(transaction.hash),
            "transactionIndex": quantity(index),
        }
        logs = []
        for log in receipt.logs:
            logs.append(
                place
                | {
                    "address": address(log.address),
                    "topics": [octets(topic.to_bytes(32, "big")) for topic in log.topics],
                    "data": octets(log.data),
                    "logIndex": quantity(log_index),
                    "removed": False,
                }
            )
            log_index += 1
        created = None if transaction.to else address(generate_contract_address(transaction.sender, transaction.nonce))
        views.append(
            place
            | {
                "type": quantity(transaction.type_id or 0),
                "status": quantity(int(receipt.state_root == b"\x01")),
                "from": address(transaction.sender),
                "to": address(transaction.to),
                "contractAddress": created,
                "gasUsed": quantity(receipt.gas_used - gas_before),
                "cumulativeGasUsed": quantity(receipt.gas_used),
                "effectiveGasPrice": quantity(effective_price(transaction, base_fee)),
                "logs": logs,
                "logsBloom": octets(receipt.bloom.to_bytes(256, "big")),
            }
        )
        gas_before = receipt.gas_used
    return views
