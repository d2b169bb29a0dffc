"""Evidence by a development device: right in form, under a root that says that it protects nothing."""

from __future__ import annotations

from collections.abc import Callable

from cloister.attestation.device import DevelopmentDevice
from cloister.attestation.providers.provider import require_report_data
from cloister.attestation.registers import Registers


class DevelopmentProvider:
    """`registers` are what was measured, `documents` gives the authority's present collateral (JSON)."""

    kind = "tdx-v4"

    def __init__(
        self, device: DevelopmentDevice, registers: Registers, documents: Callable[[], str] | None = None
    ) -> None:
        self._device = device
        self._registers = registers
        self._documents = documents

    @property
    def name(self) -> str:
        """With the word that nobody can miss."""
        return f"DEVELOPMENT device {self._device.name}, NOT A TEE"

    @property
    def platform_certificate(self) -> bytes:
        """DER, to be registered on chain."""
        return self._device.pck_der

    def evidence(self, report_data: bytes) -> bytes:
        """A quote of version 4. Raises InvalidInput."""
        require_report_data(report_data)
        return self._device.quote(self._registers, report_data)

    def collateral(self) -> bytes | None:
        """JSON; None if the authority is out of reach."""
        return self._documents().encode() if self._documents is not None else None
