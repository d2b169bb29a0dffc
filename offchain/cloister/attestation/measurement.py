"""The measurement of an installation: Cloister's own code, everything that it can import, and the interpreter.

Python prefers a compiled file to its source whenever time and size agree. Whoever measures in earnest starts the
interpreter so that it reads no compiled files from the places measured here, and shows it no other places:
`cloister.enclave.launcher` does both. Of the interpreter and its standard library the version alone is measured, and of
the system's libraries nothing: where that matters, a TDX device measures the whole image instead.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import file_digest, sha384
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from pathlib import Path

from cloister.attestation.registers import Registers
from cloister.domain.errors import CloisterError
from cloister.storage.atomic import write_atomically

OURS = "cloister"
_PACKAGE = Path(__file__).resolve().parents[1]
_REQUIREMENT = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_METADATA = (".dist-info", ".egg-info")
_KEPT_METADATA = ("METADATA", "entry_points.txt")
"""Of a distribution's metadata; the rest tells how and where it was installed."""


class MeasurementError(CloisterError):
    """An installation cannot be measured."""


@dataclass(slots=True)
class DigestCache:
    """SHA-256 of files, remembered for as long as size, times and inode stay the same.

    `path` is the file that it lives in; without one it is forgotten. A damaged file counts as empty.
    """

    path: Path | None = None
    _known: dict[str, list[int | str]] = field(default_factory=dict)
    _changed: bool = False

    def __post_init__(self) -> None:
        if self.path is None or not self.path.exists():
            return
        try:
            found = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return
        if isinstance(found, dict):
            self._known = {name: entry for name, entry in found.items() if isinstance(entry, list) and len(entry) == 5}

    def digest(self, file: Path) -> bytes:
        """SHA-256 of a file's content. Raises MeasurementError if it cannot be read."""
        try:
            state = file.stat()
            marks: list[int | str] = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
            known = self._known.get(str(file))
            if known is not None and known[:4] == marks:
                return bytes.fromhex(str(known[4]))
            with file.open("rb") as stream:
                digest = file_digest(stream, "sha256").digest()
        except OSError as error:
            raise MeasurementError(
                f"{file} cannot be measured: {error.strerror}.", "Install Cloister again."
            ) from error
        self._known[str(file)] = [*marks, digest.hex()]
        self._changed = True
        return digest

    def save(self) -> None:
        """Writes it back, if something is new. Raises StoreUnavailable."""
        if self.path is not None and self._changed:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, json.dumps(self._known).encode(), mode=0o600)
            self._changed = False


def measure(
    package: Path = _PACKAGE,
    distributions: Iterable[Distribution] | None = None,
    *,
    compiled: Path | None = None,
    cache: Path | None = None,
) -> Registers:
    """Measures an installation: MRTD is its code, RTMR0 its dependencies, RTMR1 the interpreter, each SHA-384.

    RTMR2 is a folder of `compiled` code that is run instead, if there is one; else zero. Without `distributions`, those
    that the distribution "cloister" needs. With a `cache` file, what has not changed is not read again. Raises
    MeasurementError.
    """
    digests = DigestCache(cache)
    code = _tree_digest(_code_files(package), digests)
    found = closure(OURS) if distributions is None else distributions
    dependencies = sha384()
    for name, version, tree in sorted(_described(found, digests)):
        dependencies.update(_framed(name.encode()) + _framed(version.encode()) + tree)
    interpreter = f"{sys.implementation.name} {platform.python_version()}"
    registers = Registers(mrtd=code, rtmr0=dependencies.digest(), rtmr1=sha384(interpreter.encode()).digest())
    if compiled is not None:
        registers = replace(registers, rtmr2=_tree_digest(_all_files(compiled, compiled), digests))
    digests.save()
    return registers


def top_levels(found: Distribution) -> list[Path]:
    """Files and folders of a site folder that belong to a distribution, its metadata among them.

    Raises MeasurementError.
    """
    record = found.read_text("RECORD")
    if record is None:
        names = {file.parts[0] for file in _recorded(found)}
    else:  # which is long, and whose first folders need no parser
        names = {re.split("[/,]", line.lstrip('"'), maxsplit=1)[0] for line in record.splitlines()}
    wanted = {name for name in names if name not in ("", "..", "__pycache__") and not name.endswith(".pth")}
    return sorted(Path(str(found.locate_file(name))) for name in wanted)


def closure(name: str) -> list[Distribution]:
    """What a distribution needs to run, and what that needs, without itself; extras only where they are asked for.

    A requirement with a marker counts if it is installed. Raises MeasurementError if one without is not.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(_normal(name), "", False)]
    while waiting:
        current, extra, optional = waiting.pop()
        if (current, extra) in seen:
            continue
        seen.add((current, extra))
        try:
            found[current] = distribution(current)
        except PackageNotFoundError as error:
            if optional:
                continue
            raise MeasurementError(f"{current} is needed and not installed.", "Install Cloister again.") from error
        for requirement in found[current].requires or []:
            waiting += _wanted(requirement, extra)
    found.pop(_normal(name), None)
    return [found[key] for key in sorted(found)]


def _wanted(requirement: str, extra: str) -> Iterator[tuple[str, str, bool]]:
    """Name, extra and whether it may be missing, of what a requirement asks for when `extra` is asked for."""
    wanted, _, marker = requirement.partition(";")
    match = _REQUIREMENT.match(wanted.strip())
    extras = {_normal(asked) for asked in _EXTRA.findall(marker)}
    if match is None or (extras and extra not in extras) or (extra and not extras):
        return
    name, more = _normal(match[1]), match[2] or ""
    optional = bool(marker.strip())
    yield name, "", optional
    for asked in filter(None, (part.strip() for part in more.split(","))):
        yield name, _normal(asked), optional


def _described(distributions: Iterable[Distribution], digests: DigestCache) -> Iterator[tuple[str, str, bytes]]:
    for found in distributions:
        yield _normal(found.metadata["Name"]), found.version, _tree_digest(_installed_files(found), digests)


def _recorded(found: Distribution) -> Iterator[PackagePath]:
    if found.files is None:
        raise MeasurementError(f"{found.metadata['Name']} does not tell its files.", "Install it with pip.")
    for file in found.files:
        if file.parts[0] != ".." and not Path(file).is_absolute():
            yield file  # what lies outside are scripts, which name the interpreter's path


def _installed_files(found: Distribution) -> Iterator[tuple[str, Path]]:
    recorded = set()
    for file in _recorded(found):
        if _is_compiled(file.parts):
            continue
        if file.parts[0].endswith(_METADATA) and file.name not in _KEPT_METADATA:
            continue
        if file.suffix == ".pth" and "__editable__" in file.name:
            continue
        recorded.add(file.as_posix())
        yield file.as_posix(), Path(str(file.locate()))
    # Some libraries import what others may put into their folders, so a file that came later counts as well.
    for top in top_levels(found):
        if top.is_dir() and not top.name.endswith(_METADATA):
            for name, path in _all_files(top, top.parent):
                if name not in recorded and not _is_compiled(Path(name).parts):
                    yield name, path


def _all_files(folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            yield path.relative_to(root).as_posix(), path


def _code_files(package: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(package.rglob("*")):
        parts = file.relative_to(package).parts
        if _is_compiled(parts):
            continue
        if file.is_symlink():
            raise MeasurementError(f"{file} is a link, behind which code can change unseen.", "Install Cloister again.")
        if file.is_file():
            yield "/".join(parts), file


def _tree_digest(files: Iterable[tuple[str, Path]], digests: DigestCache) -> bytes:
    """SHA-384 over names and contents in the order of names."""
    total = sha384()
    for name, file in sorted(files):
        total.update(_framed(name.encode()) + digests.digest(file))
    return total.digest()


def _is_compiled(parts: tuple[str, ...]) -> bool:
    return "__pycache__" in parts or parts[-1].endswith(".pyc")


def _framed(data: bytes) -> bytes:
    """With its length before it, so that no two sequences read alike."""
    return len(data).to_bytes(4) + data


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
