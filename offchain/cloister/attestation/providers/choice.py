"""Which provider a machine has."""

from __future__ import annotations

from pathlib import Path

from cloister.attestation.providers.configfs import ROOT, ConfigfsProvider
from cloister.attestation.providers.dstack import SOCKET, DstackProvider
from cloister.attestation.providers.nitro import DEVICE, NitroProvider
from cloister.attestation.providers.provider import CollateralSource, NoProvider, Provider


def detect(
    *,
    configfs: Path = ROOT,
    dstack: Path = SOCKET,
    nitro: Path = DEVICE,
    source: CollateralSource | None = None,
) -> Provider:
    """The first of dstack, configfs-tsm and Nitro that is there. Never a development device: that is chosen by name.

    Raises NoProvider.
    """
    if dstack.is_socket():
        return DstackProvider(dstack, source=source)
    if configfs.is_dir():
        return ConfigfsProvider(configfs, source=source)
    if nitro.exists():
        return NitroProvider()
    raise NoProvider(
        "This machine has nothing that makes evidence about enclaves.",
        "Run in a TDX or SEV-SNP guest with configfs-tsm, under dstack, or in a Nitro enclave.",
    )
