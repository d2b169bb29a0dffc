"""Sealed files (SEAL-2): an independent writer agrees byte for byte; anything cut, moved or foreign is refused."""

from __future__ import annotations

from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_hash.auto import keccak

from cloister.sealing.errors import SealError
from cloister.sealing.stream import NO_DIGEST, SEGMENT_BYTES, TAG_BYTES, Opening, open_file, seal_file, sealed_bytes

KEY, NAME = bytes(range(32)), "weights.safetensors"
SEALED_SEGMENT = SEGMENT_BYTES + TAG_BYTES


def plaintext(size: int) -> bytes:
    return (b"0123456789abcdefX" * (size // 17 + 1))[:size]


def reference(key: bytes, name: str, digest: bytes, plain: bytes) -> bytes:
    file_key = HKDF(SHA256(), 32, None, b"cloister/1/file/" + name.encode()).derive(key)
    words = keccak(b"cloister/1/sealed-file") + keccak(name.encode()) + digest + len(plain).to_bytes(32)
    bound = sha256(words).digest()
    pieces = [plain[i : i + (1 << 20)] for i in range(0, len(plain), 1 << 20)] or [b""]
    sealed = b""
    for i, piece in enumerate(pieces):
        nonce = bytes(7) + i.to_bytes(4) + bytes([i == len(pieces) - 1])
        sealed += AESGCM(file_key).encrypt(nonce, piece, bound)
    return sealed


@pytest.mark.parametrize("size", [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES])
@pytest.mark.parametrize("described", [True, False])
def test_seal_file__every_boundary__is_what_the_spec_says(size: int, described: bool) -> None:
    plain = plaintext(size)
    digest = sha256(plain).digest() if described else NO_DIGEST
    sealed = seal_file(KEY, NAME, plain, digest)
    assert sealed == reference(KEY, NAME, digest, plain)
    assert len(sealed) == sealed_bytes(size)
    assert open_file(KEY, NAME, digest, size, [sealed]) == plain


@pytest.mark.parametrize("step", [1 << 16, 999_983, SEALED_SEGMENT, SEALED_SEGMENT + 1, 4 << 20])
def test_opening__chunks_of_any_size__gives_the_file(step: int) -> None:
    plain = plaintext(3 * SEGMENT_BYTES + 5)
    digest = sha256(plain).digest()
    sealed = seal_file(KEY, NAME, plain, digest)
    chunks = [memoryview(sealed)[i : i + step] for i in range(0, len(sealed), step)]
    assert open_file(KEY, NAME, digest, len(plain), [*chunks, b""]) == plain


def test_opening__bytes_one_by_one__gives_the_file() -> None:
    sealed = seal_file(KEY, "a", b"short")
    assert open_file(KEY, "a", NO_DIGEST, 5, [sealed[i : i + 1] for i in range(len(sealed))]) == b"short"


PLAIN = plaintext(2 * SEGMENT_BYTES + 100)
DIGEST = sha256(PLAIN).digest()
SEALED = seal_file(KEY, NAME, PLAIN, DIGEST)
ONE, TWO, THREE = SEALED[:SEALED_SEGMENT], SEALED[SEALED_SEGMENT : 2 * SEALED_SEGMENT], SEALED[2 * SEALED_SEGMENT :]
OTHER = seal_file(bytes(32), NAME, PLAIN, DIGEST)


@pytest.mark.parametrize(
    "sealed",
    [
        b"",
        SEALED[:-1],
        ONE + TWO,
        ONE + THREE,
        TWO + ONE + THREE,
        ONE + ONE + THREE,
        ONE + TWO + THREE + b"x",
        ONE + TWO + THREE + THREE,
        OTHER[:SEALED_SEGMENT] + TWO + THREE,
        b"\x00" + SEALED[1:],
        SEALED[:-1] + bytes([SEALED[-1] ^ 1]),
        SEALED[: SEALED_SEGMENT - 1] + bytes([SEALED[SEALED_SEGMENT - 1] ^ 128]) + SEALED[SEALED_SEGMENT:],
    ],
)
def test_opening__cut_reordered_repeated_or_foreign__is_refused_and_leaves_nothing(sealed: bytes) -> None:
    target = bytearray(b"\xff" * len(PLAIN))
    opening = Opening(KEY, NAME, DIGEST, target)
    with pytest.raises(SealError):
        _take_whole(opening, sealed)
    assert not any(target)
    with pytest.raises(SealError):
        opening.feed(b"")
    with pytest.raises(SealError):
        opening.finish()


def _take_whole(opening: Opening, sealed: bytes) -> None:
    opening.feed(sealed)
    opening.finish()


@pytest.mark.parametrize("size", [SEGMENT_BYTES, 2 * SEGMENT_BYTES])
def test_opening__length_claimed_shorter_or_longer__is_refused(size: int) -> None:
    # cut at a segment's end, where only the mark of the last segment and the bound length tell
    with pytest.raises(SealError):
        open_file(KEY, NAME, DIGEST, size, [SEALED[: sealed_bytes(size)]])


@pytest.mark.parametrize(
    ("key", "name", "digest"), [(bytes(32), NAME, DIGEST), (KEY, "x", DIGEST), (KEY, NAME, NO_DIGEST)]
)
def test_opening__other_key_name_or_digest__is_refused(key: bytes, name: str, digest: bytes) -> None:
    with pytest.raises(SealError):
        open_file(key, name, digest, len(PLAIN), [SEALED])


def test_finish__sealed_under_a_digest_that_is_not_the_plaintexts__is_refused() -> None:
    # only an owner who lies can make this: every tag holds
    target = bytearray(4)
    opening = Opening(KEY, NAME, DIGEST, target)
    opening.feed(reference(KEY, NAME, DIGEST, b"lies"))
    with pytest.raises(SealError, match="digest"):
        opening.finish()
    assert not any(target)


def test_seal_file__digest_of_something_else__is_refused() -> None:
    with pytest.raises(SealError):
        seal_file(KEY, NAME, b"lies", DIGEST)


@pytest.mark.parametrize("name", ["", "ä", "a\nb"])
def test_names__not_printable_ascii__are_refused(name: str) -> None:
    with pytest.raises(SealError):
        seal_file(KEY, name, b"")


def test_keys__of_another_length__are_refused() -> None:
    with pytest.raises(SealError):
        seal_file(bytes(31), NAME, b"")


@pytest.mark.parametrize("kept", [0, 1, SEALED_SEGMENT, 2 * SEALED_SEGMENT, 2 * SEALED_SEGMENT + 115])
def test_finish__attachment_that_ends_early__is_refused_without_a_digest(kept: int) -> None:
    target = bytearray(len(PLAIN))
    opening = Opening(KEY, "a", NO_DIGEST, target)
    opening.feed(seal_file(KEY, "a", PLAIN)[:kept])
    with pytest.raises(SealError, match=r"ends .* early"):
        opening.finish()
    assert not any(target)


@pytest.mark.parametrize("fed_apart", [True, False])
def test_feed__a_byte_too_many__is_refused_at_once(fed_apart: bool) -> None:
    opening = Opening(KEY, "a", NO_DIGEST, bytearray(5))
    sealed = seal_file(KEY, "a", b"short")
    if fed_apart:
        opening.feed(sealed)
        sealed = b""
    with pytest.raises(SealError, match="longer"):
        opening.feed(sealed + b"x")
