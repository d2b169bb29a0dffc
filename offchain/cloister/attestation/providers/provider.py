"""What every provider offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cloister.domain.errors import CloisterError, InvalidInput

REPORT_DATA_BYTES = 64

CollateralSource = Callable[[bytes], bytes]
"""Gives the collateral (JSON) of a quote."""


class ProviderFailed(CloisterError):
    """The machine gave no evidence."""


class NoProvider(CloisterError):
    """The machine has nothing that could make evidence."""


class Provider(Protocol):
    """Makes evidence about the code that calls it. `kind` is that of a verdict, `name` says where it comes from."""

    @property
    def kind(self) -> str:
        """tdx-v4, sev-snp or nitro."""
        ...

    @property
    def name(self) -> str:
        """For people and logs."""
        ...

    def evidence(self, report_data: bytes) -> bytes:
        """Evidence that binds 64 bytes. Raises InvalidInput for another length, ProviderFailed."""
        ...

    def collateral(self) -> bytes | None:
        """What a verifier of the last evidence needs besides; None if it has to look for that itself."""
        ...


def require_report_data(report_data: bytes) -> None:
    """Raises InvalidInput unless it has 64 bytes."""
    if len(report_data) != REPORT_DATA_BYTES:
        raise InvalidInput(f"Report data has {REPORT_DATA_BYTES} bytes, not {len(report_data)}.")
