"""Sums of money as people write them. Inside, everything is whole wei."""

from __future__ import annotations

import re
from decimal import Decimal

import typer

UNITS = {"wei": 0, "gwei": 9, "ether": 18, "eth": 18}
MAX_DIGITS = 40
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.ASCII)


def parse_amount(text: str) -> int:
    """Wei of "0.01", "0.01ether", "5gwei" or "10wei"; without a unit it is ether. Raises BadParameter."""
    match = _AMOUNT.fullmatch(text.strip().lower())
    if match is None or len(match[1]) > MAX_DIGITS or (match[2] or "ether") not in UNITS:
        raise typer.BadParameter(f"{text!r} is no amount. Write it like 0.01, 0.01ether, 5gwei or 10wei.")
    # Shifting the decimal point is exact; multiplying in Decimal's 28 digits would round.
    number = Decimal(match[1]).as_tuple()
    assert isinstance(number.exponent, int)
    whole = int("".join(map(str, number.digits)))
    shift = number.exponent + UNITS[match[2] or "ether"]
    factor = int(10 ** abs(shift))
    if shift >= 0:
        return whole * factor
    wei, rest = divmod(whole, factor)
    if rest:
        raise typer.BadParameter(f"{text!r} is not a whole number of wei.")
    return wei


def ether(wei: int) -> str:
    """A sum for people, without rounding: "0.01 ETH", "1 wei"."""
    if 0 < wei < 10**9:
        return f"{wei} wei"
    whole, rest = divmod(wei, 10**18)
    digits = f"{rest:018d}".rstrip("0")
    return f"{whole:,}.{digits} ETH" if digits else f"{whole:,} ETH"
