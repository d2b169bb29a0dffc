"""The models that an enclave holds: taken in piece by piece, believed only once everything has been checked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from cloister.domain.answer import CannotServe, RefusalReason
from cloister.domain.commitments import version_id
from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, VersionId, hexed
from cloister.enclave.cbor import Octets
from cloister.enclave.clock import Clock
from cloister.enclave.errors import ModelRefused, QuestionRefused
from cloister.enclave.keyring import EnclaveContext
from cloister.enclave.release import KeyRelease
from cloister.enclave.secret import SecretPages
from cloister.fixedpoint import InvalidPackage, Package, RangeExceeded
from cloister.fixedpoint.limits import MAX_MANIFEST_BYTES
from cloister.fixedpoint.manifest import WEIGHTS_FILE, Manifest
from cloister.proof_system import ProofSystem
from cloister.sealing.errors import SealError
from cloister.sealing.stream import Opening

MOST_EXPECTED = 64
MOST_OPEN_LOADED = 8
MOST_SEALED_LOADED = 32


@dataclass(slots=True)
class _Expected:
    """A manifest that is the version's, and what has come of its key."""

    manifest: Manifest
    manifest_bytes: bytes
    release: KeyRelease | None


@dataclass(frozen=True, slots=True)
class _Held:
    """A version that can run. `licence_end` is a Unix second, 0 for never."""

    package: Package = field(repr=False)
    sealed: bool
    licence_end: int


@dataclass(slots=True)
class _Incoming:
    """A weights file that is coming in."""

    version: VersionId
    target: NDArray[np.uint8] = field(repr=False)
    opening: Opening | _Plain
    length: int
    seen: int = 0


class _Plain:
    """An open file on its way into `target`: what `Opening` is to a sealed one."""

    def __init__(self, digest: str, target: memoryview) -> None:
        self._digest, self._target = digest, target
        self._seen, self._hash = 0, sha256()

    def feed(self, chunk: Octets) -> None:
        """Take the next bytes, of which there are no more than there is room for."""
        self._target[self._seen : self._seen + len(chunk)] = chunk
        self._hash.update(chunk)
        self._seen += len(chunk)

    def finish(self) -> None:
        """Raises ModelRefused if it is not the manifest's file."""
        if self._hash.hexdigest() != self._digest:
            raise ModelRefused("The weights file does not have the SHA-256 in the manifest.", "Fetch it again.")


class ModelVault:
    """Packages by version. `proofs` is asked for when a manifest names a circuit."""

    def __init__(
        self, context: EnclaveContext, pages: SecretPages, clock: Clock, proofs: Callable[[], ProofSystem]
    ) -> None:
        self._context, self._pages, self._clock, self._proofs = context, pages, clock, proofs
        self._manifest: tuple[VersionId, bytearray] | None = None
        self._expected: OrderedDict[VersionId, _Expected] = OrderedDict()
        self._incoming: _Incoming | None = None
        self._held: OrderedDict[VersionId, _Held] = OrderedDict()

    @property
    def versions(self) -> tuple[VersionId, ...]:
        """What can run now."""
        return tuple(self._held)

    def package(self, version: VersionId) -> Package:
        """A loaded package. Raises CannotServe."""
        held = self._held.get(version)
        if held is None:
            raise CannotServe(RefusalReason.MODEL_UNAVAILABLE, f"Model version {hexed(version)} is not loaded.")
        self._held.move_to_end(version)
        return held.package

    def is_sealed(self, version: VersionId) -> bool:
        """Whether a version's inputs must have been sealed to a prompt key, whatever the host says (PROMPT-1)."""
        held = self._held.get(version)
        return held is not None and held.sealed

    # Taking in

    def expect(self, version: VersionId, owner: Address, chunk: bytes, *, last: bool) -> int | None:
        """The next piece of a version's manifest; with the last one, how many shares of its key are missing.

        Raises ModelRefused if the whole is not that version's.
        """
        if self._manifest is None or self._manifest[0] != version:
            self._manifest = version, bytearray()
        data = self._manifest[1]
        data += chunk
        if len(data) > MAX_MANIFEST_BYTES:
            self._manifest = None
            raise ModelRefused(f"A manifest has at most {MAX_MANIFEST_BYTES:,} bytes.")
        if not last:
            return None
        self._manifest = None
        whole, context = bytes(data), self._context
        if version_id(context.chain_id, context.models, owner, sha256(whole).digest()) != version:
            raise ModelRefused(
                f"Owner and manifest are not those of model version {hexed(version)}.",
                "The registry or the blob store gave another model's.",
            )
        if version in self._expected and self._expected[version].manifest_bytes == whole:
            return self._needed(version)  # a key that is on its way must not be lost
        try:
            manifest = Manifest.from_bytes(whole)
        except InvalidPackage as error:
            raise ModelRefused(error.message, error.hint) from None
        sealing = manifest.sealing
        release = None if sealing is None else KeyRelease(context, version, sealing, self._pages)
        self._expected[version] = _Expected(manifest, whole, release)
        if len(self._expected) > MOST_EXPECTED:
            _, oldest = self._expected.popitem(last=False)
            if oldest.release is not None:
                oldest.release.wipe()
        return self._needed(version)

    def _needed(self, version: VersionId) -> int:
        release = self._expected[version].release
        return 0 if release is None else release.needed

    def release(self, version: VersionId) -> KeyRelease:
        """The key release of a sealed version. Raises QuestionRefused."""
        expected = self._expect(version)
        if expected.release is None:
            raise QuestionRefused(f"Model version {hexed(version)} is not sealed.")
        return expected.release

    def add_weights(self, version: VersionId, chunk: Octets, *, last: bool) -> None:
        """The next piece of a weights file; with the last one the version is loaded.

        Raises ModelRefused for a file that is not the manifest's, or whose key is not here, and forgets what came.
        """
        try:
            if self._incoming is None or self._incoming.version != version:
                self._incoming = self._begin(version)
            incoming = self._incoming
            self._take(incoming, chunk)
            if last:
                self._finish(incoming)
                self._incoming = None
        except CloisterError:
            self._incoming = None
            raise

    # Forgetting

    def forget(self, version: VersionId) -> None:
        """Forget a version, its key and what came of it; an unknown one is forgotten already."""
        self._held.pop(version, None)
        expected = self._expected.pop(version, None)
        if expected is not None and expected.release is not None:
            expected.release.wipe()
        if self._incoming is not None and self._incoming.version == version:
            self._incoming = None

    def forget_expired(self) -> tuple[VersionId, ...]:
        """Forget the versions whose licence has ended; returns them."""
        now = self._clock.now()
        over = tuple(version for version, held in self._held.items() if 0 < held.licence_end <= now)
        for version in over:
            self.forget(version)
        return over

    def _expect(self, version: VersionId) -> _Expected:
        if version not in self._expected:
            raise QuestionRefused(f"The manifest of model version {hexed(version)} is not here.")
        return self._expected[version]

    def _begin(self, version: VersionId) -> _Incoming:
        expected = self._expect(version)
        manifest, sealing = expected.manifest, expected.manifest.sealing
        # numpy asks for huge pages; to touch as many small ones takes longer than to decrypt what is written to them
        target = np.empty(manifest.weights.bytes, np.uint8)
        if sealing is None:
            return _Incoming(version, target, _Plain(manifest.weights.sha256, target.data), manifest.weights.bytes)
        if sum(held.sealed for held in self._held.values()) >= MOST_SEALED_LOADED and version not in self._held:
            raise ModelRefused(f"{MOST_SEALED_LOADED} sealed models are loaded already.", "Forget one of them.")
        assert expected.release is not None  # it is sealed
        if expected.release.data_key is None:
            raise ModelRefused(
                f"The key of model version {hexed(version)} is not here: {expected.release.needed} shares are missing.",
                "Ask the key brokers.",
            )
        digest = bytes.fromhex(manifest.weights.sha256)
        opening = Opening(expected.release.data_key.use(), WEIGHTS_FILE, digest, target.data)
        return _Incoming(version, target, opening, sealing.weights.bytes)

    def _take(self, incoming: _Incoming, chunk: Octets) -> None:
        if incoming.seen + len(chunk) > incoming.length:
            raise ModelRefused(f"The weights file has more than the {incoming.length:,} bytes of the manifest.")
        try:
            incoming.opening.feed(chunk)
        except SealError as error:
            raise ModelRefused(error.message, error.hint) from None
        incoming.seen += len(chunk)

    def _finish(self, incoming: _Incoming) -> None:
        expected = self._expect(incoming.version)
        try:
            if incoming.seen != incoming.length:
                raise ModelRefused(f"The weights file ends {incoming.length - incoming.seen:,} bytes early.")
            incoming.opening.finish()
            package = Package.of_checked(expected.manifest, expected.manifest_bytes, incoming.target.data)
            if package.manifest.circuit is not None:
                self._proofs().commit_model(package)  # compares with what the manifest names
        except ModelRefused:
            raise
        except CloisterError as error:
            # What is wrong with sealed weights is their owner's secret; the kind of error says enough.
            sealed = expected.release is not None and isinstance(error, InvalidPackage | RangeExceeded)
            message = "The sealed weights are not those of the manifest." if sealed else error.message
            raise ModelRefused(message, error.hint) from None
        release = expected.release
        end = 0 if release is None else release.licence_end
        if end and end <= self._clock.now():
            self.forget(incoming.version)
            raise ModelRefused("The licence has ended.", "Ask the model's owner for another.")
        self._held[incoming.version] = _Held(package, release is not None, end)
        if release is not None:
            incoming.target.fill(0)
            release.wipe()
        del self._expected[incoming.version]
        opened = [version for version, held in self._held.items() if not held.sealed]
        for version in opened[: max(0, len(opened) - MOST_OPEN_LOADED)]:
            del self._held[version]
