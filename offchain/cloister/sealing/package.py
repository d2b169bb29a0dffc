"""Packages under a key of their own: what an owner publishes in place of the weights (docs/spec/enclaves.md).

sealed = seal_package(package, 2, broker_keys, {"training.json": data})
sealed.data_key                                          # for the owner's recovery file, and nobody else
package = open_package(sealed.manifest, data_key, chunks)
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from hmac import compare_digest

from cloister.fixedpoint.errors import InvalidPackage
from cloister.fixedpoint.limits import MAX_WEIGHTS_BYTES
from cloister.fixedpoint.manifest import MAX_ATTACHMENTS, WEIGHTS_FILE, Attachment, Manifest, SealedFile, Sealing
from cloister.fixedpoint.package import Package
from cloister.sealing.deposits import Deposit, deposit_share
from cloister.sealing.errors import SealError
from cloister.sealing.shares import KEY_BYTES, key_commitment, split
from cloister.sealing.stream import NO_DIGEST, SEGMENT_BYTES, open_file, seal_file


@dataclass(frozen=True, slots=True)
class SealedPackage:
    """A sealed model: its manifest, ciphertexts, one deposit per broker, and the data key (32 bytes).

    `attachments` has ciphertexts by name, as the manifest has them.
    """

    manifest: Manifest
    manifest_bytes: bytes = field(repr=False)
    weights: bytes = field(repr=False)
    attachments: Mapping[str, bytes] = field(repr=False)
    deposits: tuple[Deposit, ...]
    data_key: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the manifest, which fixes everything else."""
        return sha256(self.manifest_bytes).digest()

    def blobs(self) -> Iterator[bytes]:
        """What stores must hold beside the manifest."""
        yield self.weights
        yield from self.attachments.values()


def seal_package(
    package: Package, threshold: int, brokers: Sequence[bytes], attachments: Mapping[str, bytes] | None = None
) -> SealedPackage:
    """Seals an open package under a new data key, and share i of the key to broker i's public key.

    `threshold` of the shares give the key back. `attachments` are files sealed beside the weights, by name.
    Raises SealError for a package that is sealed already, a threshold that does not fit, a broker that is named twice,
    or attachments that a manifest cannot name; UnusableKey for a key that is none.
    """
    if package.manifest.sealing is not None:
        raise SealError("This package is sealed already.", "Open it with `cloister model unseal` first.")
    if len(set(brokers)) != len(brokers):
        raise SealError("A broker is named twice: it would hold two shares of the key.", "Name each broker once.")
    files = dict(sorted((attachments or {}).items()))
    _check_attachments(files)
    key = secrets.token_bytes(KEY_BYTES)
    shares = split(key, threshold, len(brokers))
    digest = bytes.fromhex(package.manifest.weights.sha256)
    weights = seal_file(key, WEIGHTS_FILE, package.weights_bytes, digest)
    sealed = {name: seal_file(key, name, plain) for name, plain in files.items()}
    sealing = Sealing(
        algorithm="stream-aes-256-gcm",
        segment=SEGMENT_BYTES,
        weights=SealedFile(bytes=len(weights), sha256=sha256(weights).hexdigest()),
        attachments=tuple(
            Attachment(name=name, bytes=len(data), sha256=sha256(data).hexdigest(), plain_bytes=len(files[name]))
            for name, data in sealed.items()
        ),
        key=key_commitment(key).hex(),
        threshold=threshold,
        shares=tuple(share.commitment().hex() for share in shares),
    )
    data = replace(package.manifest, sealing=sealing).to_bytes()
    try:
        manifest = Manifest.from_bytes(data)
    except InvalidPackage as error:
        raise SealError(f"The package cannot be sealed so. {error.message}", error.hint) from error
    manifest_hash = sha256(data).digest()
    deposits = tuple(deposit_share(share, manifest_hash, to) for share, to in zip(shares, brokers, strict=True))
    return SealedPackage(manifest, data, weights, sealed, deposits, key)


def open_package(manifest: Manifest, data_key: bytes, weights: Iterable[bytes]) -> Package:
    """The open package that was sealed; `weights` is the ciphertext in chunks of any size.

    Raises SealError for another key or anything that was altered, InvalidPackage and RangeExceeded as
    `Package.from_bytes`.
    """
    check_key(manifest, data_key)
    record = manifest.weights
    plain = open_file(data_key, WEIGHTS_FILE, bytes.fromhex(record.sha256), record.bytes, weights)
    return Package.from_bytes(replace(manifest, sealing=None).to_bytes(), plain)


def open_attachment(manifest: Manifest, data_key: bytes, name: str, chunks: Iterable[bytes]) -> bytes:
    """An attachment's plaintext. Raises SealError."""
    for attachment in check_key(manifest, data_key).attachments:
        if attachment.name == name:
            return open_file(data_key, name, NO_DIGEST, attachment.plain_bytes, chunks)
    raise SealError(f"The manifest names no attachment {name!r}.")


def check_key(manifest: Manifest, data_key: bytes) -> Sealing:
    """How the model is sealed; raises SealError unless this is its key (SEAL-1)."""
    sealing = manifest.sealing
    if sealing is None:
        raise SealError("This model is not sealed.", "Nothing has to be opened.")
    if not compare_digest(key_commitment(data_key), bytes.fromhex(sealing.key)):
        raise SealError("This is not the key of this model.", "Take the recovery file that was written beside it.")
    return sealing


def _check_attachments(files: Mapping[str, bytes]) -> None:
    if len(files) > MAX_ATTACHMENTS:
        raise SealError(f"{len(files)} attachments are too many.", f"A model has at most {MAX_ATTACHMENTS}.")
    for name, data in files.items():
        if len(data) > MAX_WEIGHTS_BYTES:
            raise SealError(f"The attachment {name!r} has more than {MAX_WEIGHTS_BYTES >> 20} MiB.")
