"""Files that open whole or not at all, read in pieces of any size (docs/spec/enclaves.md, "Sealed models").

    sealed = seal_file(data_key, name, plaintext, digest)

    opening = Opening(data_key, name, digest, target)
    for chunk in chunks:
        opening.feed(chunk)
    opening.finish()          # only now may anybody look at `target`

Whoever lacks the data key can change nothing: every segment's tag covers its place, whether it is the last, and the
name, digest and length of the file. The digest is checked beside the tags all the same, because GCM does not commit to
its key: who knows the data key can make one ciphertext that opens under two.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eth_abi.abi import encode
from eth_hash.auto import keccak

from cloister.domain.commitments import domain_tag
from cloister.sealing.errors import SealError
from cloister.sealing.hkdf import derive

SEGMENT_BYTES: Final = 1 << 20
TAG_BYTES: Final = 16
NO_DIGEST: Final = bytes(32)
"""File digest of an attachment: its plaintext is not described anywhere."""

_LAST, _MORE = b"\x01", b"\x00"


def sealed_bytes(plain_bytes: int) -> int:
    """Length of a sealed file of `plain_bytes` bytes."""
    return plain_bytes + TAG_BYTES * _segments(plain_bytes)


def seal_file(data_key: bytes, name: str, plaintext: bytes, digest: bytes = NO_DIGEST) -> bytes:
    """Seal a whole file; returns `sealed_bytes(len(plaintext))` bytes.

    `digest` is the SHA-256 of the plaintext for weights, NO_DIGEST for attachments. A data key (32 bytes) must be new
    for every sealing, and seal one file of each name: the nonces are counters. Raises SealError for a digest that is
    not the plaintext's, a malformed name or a key of another length.
    """
    if digest != NO_DIGEST and sha256(plaintext).digest() != digest:
        raise SealError(f"The plaintext of {name!r} does not have the digest that it is to be sealed under.")
    cipher, bound = _cipher(data_key, name), _associated(name, digest, len(plaintext))
    sealed, view, last = bytearray(sealed_bytes(len(plaintext))), memoryview(plaintext), _segments(len(plaintext)) - 1
    target = memoryview(sealed)
    for index in range(last + 1):
        segment = view[index * SEGMENT_BYTES : (index + 1) * SEGMENT_BYTES]
        place = index * (SEGMENT_BYTES + TAG_BYTES)
        room = target[place : place + len(segment) + TAG_BYTES]
        cipher.encrypt_into(_nonce(index, index == last), segment, bound, room)
    return bytes(sealed)


class Opening:
    """One sealed file on its way into `target`, a writable buffer of exactly the plaintext's length.

    The target may be memory that is locked or hidden: plaintext goes nowhere else. It must not be used before `finish`
    has returned, and is zero after any error.
    """

    def __init__(self, data_key: bytes, name: str, digest: bytes, target: bytearray | memoryview) -> None:
        """`digest` as in `seal_file`. Raises SealError for a malformed name or key."""
        self._target = memoryview(target).cast("B")
        self._name, self._digest = name, digest
        self._cipher = _cipher(data_key, name)
        self._bound = _associated(name, digest, len(self._target))
        self._last = _segments(len(self._target)) - 1
        self._index = 0
        self._partial = bytearray()
        self._hash = sha256()
        self._broken = False

    @property
    def missing(self) -> int:
        """Bytes of ciphertext that are still to come."""
        done = self._index * (SEGMENT_BYTES + TAG_BYTES) + len(self._partial)
        return 0 if self._index > self._last else sealed_bytes(len(self._target)) - done

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the sealed file, any number of them.

        Raises SealError as soon as a segment is not what was sealed at its place, or there are too many bytes.
        """
        if self._broken:
            raise self._refusal("it was refused already")
        view = memoryview(chunk).cast("B")
        if len(view) > self.missing:
            raise self._refusal("it is longer than it should be")
        while view:
            size = self._segment_bytes() + TAG_BYTES
            if not self._partial and len(view) >= size:
                self._open(view[:size])
                view = view[size:]
                continue
            part = view[: size - len(self._partial)]
            self._partial += part
            view = view[len(part) :]
            if len(self._partial) == size:
                self._open(self._partial)
                self._partial = bytearray()

    def finish(self) -> None:
        """Commit: after the return the target is the file. Raises SealError if it is not whole (SEAL-2)."""
        if self._broken:
            raise self._refusal("it was refused already")
        if self.missing:
            raise self._refusal(f"it ends {self.missing:,} bytes early")
        if self._digest not in (NO_DIGEST, self._hash.digest()):
            raise self._refusal("its plaintext does not have the digest in the manifest")

    def _open(self, segment: bytearray | memoryview) -> None:
        start = self._index * SEGMENT_BYTES
        room = self._target[start : start + len(segment) - TAG_BYTES]
        try:
            self._cipher.decrypt_into(_nonce(self._index, self._index == self._last), segment, self._bound, room)
        except InvalidTag:
            raise self._refusal(f"segment {self._index + 1} of {self._last + 1} is not what was sealed there") from None
        if self._digest != NO_DIGEST:
            self._hash.update(room)
        self._index += 1

    def _segment_bytes(self) -> int:
        return min(SEGMENT_BYTES, len(self._target) - self._index * SEGMENT_BYTES)

    def _refusal(self, reason: str) -> SealError:
        # GCM decrypts before it knows the tag to be wrong, so there may be plaintext that nobody vouches for
        self._target[:] = bytes(len(self._target))
        self._broken = True
        return SealError(
            f"The sealed file {self._name!r} does not open: {reason}.",
            "It was cut, altered or belongs to another model: fetch it again.",
        )


def open_file(
    data_key: bytes, name: str, digest: bytes, plain_bytes: int, chunks: Iterable[bytes | memoryview]
) -> bytes:
    """The plaintext (`plain_bytes` bytes) of a sealed file given in chunks. Raises SealError, see `Opening`."""
    target = bytearray(plain_bytes)
    opening = Opening(data_key, name, digest, target)
    for chunk in chunks:
        opening.feed(chunk)
    opening.finish()
    return bytes(target)


def _segments(plain_bytes: int) -> int:
    return max(1, -(-plain_bytes // SEGMENT_BYTES))


def _nonce(index: int, last: bool) -> bytes:
    return bytes(7) + index.to_bytes(4) + (_LAST if last else _MORE)


def _cipher(data_key: bytes, name: str) -> AESGCM:
    if not (name.isascii() and name.isprintable() and name):
        raise SealError(f"{name!r} is no name for a sealed file: ASCII letters, digits and signs are allowed.")
    return AESGCM(derive(data_key, f"cloister/1/file/{name}"))


def _associated(name: str, digest: bytes, plain_bytes: int) -> bytes:
    if len(digest) != 32:
        raise SealError(f"A file digest has 32 bytes, not {len(digest)}.")
    values = [domain_tag("sealed-file"), keccak(name.encode()), digest, plain_bytes]
    return sha256(encode(["bytes32", "bytes32", "bytes32", "uint256"], values)).digest()
