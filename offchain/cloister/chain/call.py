"""A contract call that is ready to be simulated, signed and sent."""

from __future__ import annotations

from dataclasses import dataclass

from cloister.domain.ids import Address

GAS_CAP = 1 << 24
"""No transaction may use more (EIP-7825)."""


@dataclass(frozen=True, slots=True)
class Call:
    """To whom, with what, for how much wei.

    `gas` is set where an estimate would mislead: what a transaction costs can depend on what is mined just before it.
    """

    to: Address
    data: bytes
    value: int = 0
    gas: int | None = None
