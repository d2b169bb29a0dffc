"""Mined transactions, shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloister.cli.amounts import ether
from cloister.domain.ids import hexed

if TYPE_CHECKING:
    from cloister.chain.sender import Receipt


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """For --json."""
    return {
        "transaction": hexed(receipt.hash),
        "block": receipt.block,
        "gas_used": receipt.gas_used,
        "fee_wei": str(receipt.gas_used * receipt.gas_price),
    }


def receipt_line(receipt: Receipt) -> str:
    """For people."""
    fee = ether(receipt.gas_used * receipt.gas_price)
    return f"Transaction {hexed(receipt.hash)} in block {receipt.block}, {receipt.gas_used:,} gas, fee {fee}."
