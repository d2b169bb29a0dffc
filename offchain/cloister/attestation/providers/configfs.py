"""Evidence by Linux itself: configfs-tsm (from 6.7 on), which serves TDX and SEV-SNP guests alike."""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from cloister.attestation.providers.provider import CollateralSource, ProviderFailed, require_report_data

ROOT = Path("/sys/kernel/config/tsm/report")
_KINDS = {"tdx_guest": "tdx-v4", "sev_guest": "sev-snp"}
_TABLE_ENTRY = 24


class ReportFolders:
    """What the kernel does with folders below `ROOT`: whoever makes one finds the attributes in it."""

    def make(self, folder: Path) -> None:
        """Raises OSError."""
        folder.mkdir()

    def write(self, file: Path, data: bytes) -> None:
        """Writes an attribute at once. Raises OSError."""
        with file.open("wb", buffering=0) as stream:
            stream.write(data)

    def read(self, file: Path) -> bytes:
        """Reads an attribute. Raises OSError."""
        return file.read_bytes()

    def remove(self, folder: Path) -> None:
        """Raises OSError."""
        folder.rmdir()


class ConfigfsProvider:
    """Asks the kernel. `source` gives collateral of TDX quotes; SEV-SNP brings its certificates along."""

    def __init__(
        self, root: Path = ROOT, *, folders: ReportFolders | None = None, source: CollateralSource | None = None
    ) -> None:
        self._root = root
        self._folders = folders or ReportFolders()
        self._source = source
        self._kind = ""
        self._last = self._certificates = b""

    @property
    def kind(self) -> str:
        """tdx-v4 or sev-snp; asks the kernel when it is not known yet. Raises ProviderFailed."""
        if not self._kind:
            with self._folder() as folder:
                self._learn(folder)
        return self._kind

    @property
    def name(self) -> str:
        """With the folder."""
        return f"configfs-tsm at {self._root}"

    def evidence(self, report_data: bytes) -> bytes:
        """A TDX quote or a SEV-SNP report. Raises InvalidInput and ProviderFailed.

        The kernel counts what is written to a folder; a count that is not one higher after our write means that
        somebody else's report data may be in what was read.
        """
        require_report_data(report_data)
        with self._folder() as folder:
            before = self._generation(folder)
            self._write(folder / "inblob", report_data)
            found = self._read(folder / "outblob")
            self._learn(folder)
            extra = self._optional(folder / "auxblob")
            if self._generation(folder) != before + 1:
                raise ProviderFailed("Somebody else wrote to our report folder.", "Let one process alone ask for it.")
        self._last, self._certificates = found, extra
        return found

    def collateral(self) -> bytes | None:
        """JSON for a quote, PEM for a report; None without a source, or before the first evidence."""
        if self._kind == "sev-snp":
            return certificate_table(self._certificates) or None
        return self._source(self._last) if self._source is not None and self._last else None

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = self._root / f"cloister-{secrets.token_hex(8)}"
        try:
            self._folders.make(folder)
        except OSError as error:
            raise ProviderFailed(
                f"The kernel makes no report folder below {self._root}: {error.strerror}.",
                "This needs Linux 6.7 in a confidential guest, configfs mounted, and the right to write there.",
            ) from error
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):
                self._folders.remove(folder)

    def _learn(self, folder: Path) -> None:
        name = self._read(folder / "provider").decode(errors="replace").strip()
        if name not in _KINDS:
            raise ProviderFailed(f"The kernel's provider is {name!r}; known are {', '.join(_KINDS)}.")
        self._kind = _KINDS[name]

    def _generation(self, folder: Path) -> int:
        text = self._read(folder / "generation").strip()
        if not text.isdigit():
            raise ProviderFailed(f"The kernel's generation is {text!r} and no number.")
        return int(text)

    def _read(self, file: Path) -> bytes:
        try:
            return self._folders.read(file)
        except OSError as error:
            raise ProviderFailed(f"{file.name} cannot be read: {error.strerror}.", "Ask again in a moment.") from error

    def _optional(self, file: Path) -> bytes:
        try:
            return self._folders.read(file)
        except OSError:
            return b""

    def _write(self, file: Path, data: bytes) -> None:
        try:
            self._folders.write(file, data)
        except OSError as error:
            raise ProviderFailed(f"{file.name} cannot be written: {error.strerror}.") from error


def certificate_table(table: bytes) -> bytes:
    """The certificates of a SEV-SNP auxiliary blob as PEM; empty if there are none or they do not fit in the blob.

    Entries are 24 bytes (GUID, offset, length, little-endian), zeros after the last.
    """
    found: list[bytes] = []
    for at in range(0, len(table) - _TABLE_ENTRY + 1, _TABLE_ENTRY):
        entry = table[at : at + _TABLE_ENTRY]
        if not any(entry):
            return b"".join(found)
        start, size = int.from_bytes(entry[16:20], "little"), int.from_bytes(entry[20:24], "little")
        if start + size > len(table):
            return b""
        if table[start : start + 1] == b"\x30":  # a certificate, not a revocation list's hash or a signature
            body = base64.encodebytes(table[start : start + size])
            found.append(b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n")
    return b""
