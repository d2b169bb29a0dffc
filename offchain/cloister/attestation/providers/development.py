"""Evidence by a development device: right in form, under a root that says that it protects nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cloister.attestation.device import DevelopmentDevice
from cloister.attestation.providers.provider import NoProvider, require_report_data
from cloister.attestation.registers import Registers
from cloister.storage.atomic import write_atomically

DEVICE_FILE, DOCUMENTS_FILE = "development-device.json", "development-collateral.json"


class DevelopmentProvider:
    """`registers` are what was measured, `documents` gives the authority's present collateral (JSON)."""

    kind = "tdx-v4"

    def __init__(
        self, device: DevelopmentDevice, registers: Registers, documents: Callable[[], str] | None = None
    ) -> None:
        self._device = device
        self._registers = registers
        self._documents = documents

    @classmethod
    def of_folder(cls, folder: Path, registers: Registers) -> DevelopmentProvider:
        """The device that `save_device` put there; its documents are read anew each time. Raises NoProvider."""
        try:
            device = DevelopmentDevice.of_content(json.loads((folder / DEVICE_FILE).read_text()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NoProvider(
                f"There is no development device in {folder}: {error}.",
                "`cloister devnet` makes one for each of its workers.",
            ) from error
        return cls(device, registers, (folder / DOCUMENTS_FILE).read_text)

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


def save_device(folder: Path, device: DevelopmentDevice, documents: str) -> None:
    """Puts a device, keys and all, into files that only their owner may read. Raises StoreUnavailable."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / DEVICE_FILE, json.dumps(device.to_content()).encode(), mode=0o600)
    write_atomically(folder / DOCUMENTS_FILE, documents.encode(), mode=0o600)
