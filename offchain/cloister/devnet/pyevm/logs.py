"""eth_getLogs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .chain import PyEvmChain
from .pool import Fault
from .views import Json


def find(chain: PyEvmChain, query: Json, number: Callable[[Any], int]) -> list[Json]:
    """The logs that a filter matches, in chain order. `number` resolves a block tag."""
    if "blockHash" in query:
        first = last = number({"blockHash": query["blockHash"]})
    else:
        first = number(query.get("fromBlock", "latest"))
        last = _upper(query.get("toBlock", "latest"), chain.head.block_number, number)
    if first > last:
        raise Fault(-32602, f"block range {first} to {last} is empty")
    emitters = _any_of(query.get("address"))
    topics = [_any_of(topic) for topic in query.get("topics") or []]
    return [
        log
        for mined in chain.blocks[first : last + 1]
        for receipt in mined.receipts
        for log in receipt["logs"]
        if (emitters is None or log["address"].lower() in emitters) and _matches(log["topics"], topics)
    ]


def _upper(tag: Any, head: int, number: Callable[[Any], int]) -> int:
    """The future may be asked for, and is empty so far."""
    if isinstance(tag, str) and tag.startswith("0x"):
        return min(int(tag, 16), head)
    return number(tag)


def _any_of(wanted: Any) -> set[str] | None:
    """None stands for anything, as null does in a filter."""
    if wanted is None:
        return None
    return {wanted.lower()} if isinstance(wanted, str) else {one.lower() for one in wanted}


def _matches(topics: list[str], wanted: list[set[str] | None]) -> bool:
    return len(topics) >= len(wanted) and all(
        choice is None or not choice or topic in choice for topic, choice in zip(topics, wanted, strict=False)
    )
