"""The encrypted input: its layout, and that nothing but the right secret and version opens it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloister.domain.ids import VersionId
from cloister.sealing.envelope import TAG_BYTES, decrypt_input, encrypt_input
from cloister.sealing.errors import SealError
from cloister.sealing.hkdf import derive

SECRET, VERSION, INPUT = bytes(range(32)), VersionId(b"\x05" * 32), bytes(64)


@pytest.mark.parametrize("size", [0, 4, 4096])
def test_encrypt_input__any_size__opens_again(size):
    plaintext = b"\x01" * size
    ciphertext = encrypt_input(plaintext, SECRET, VERSION)
    assert len(ciphertext) == size + TAG_BYTES
    assert decrypt_input(ciphertext, SECRET, VERSION) == plaintext


def test_encrypt_input__layout__is_that_of_the_specification():
    cipher = AESGCM(derive(SECRET, "cloister/1/input-cipher"))
    assert encrypt_input(INPUT, SECRET, VERSION) == cipher.encrypt(bytes(12), INPUT, VERSION)


def test_encrypt_input__same_job_again__same_ciphertext():
    assert encrypt_input(INPUT, SECRET, VERSION) == encrypt_input(INPUT, SECRET, VERSION)


def test_decrypt_input__any_byte_flipped__refused():
    ciphertext = encrypt_input(INPUT, SECRET, VERSION)
    for position in range(len(ciphertext)):
        altered = bytearray(ciphertext)
        altered[position] ^= 0x80
        with pytest.raises(SealError):
            decrypt_input(bytes(altered), SECRET, VERSION)


def test_decrypt_input__any_other_length__refused():
    ciphertext = encrypt_input(INPUT, SECRET, VERSION)
    for length in range(len(ciphertext)):
        with pytest.raises(SealError):
            decrypt_input(ciphertext[:length], SECRET, VERSION)
    with pytest.raises(SealError):
        decrypt_input(ciphertext + b"\x00", SECRET, VERSION)


@pytest.mark.parametrize(
    ("secret", "version"), [(bytes(32), VERSION), (SECRET, bytes(32)), (SECRET, VERSION[:-1] + b"\x06")]
)
def test_decrypt_input__other_secret_or_version__refused(secret, version):
    with pytest.raises(SealError) as caught:
        decrypt_input(encrypt_input(INPUT, SECRET, VERSION), secret, VersionId(version))
    assert caught.value.__suppress_context__
    assert SECRET.hex() not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "version"),
    [(SECRET[:31], VERSION), (SECRET + b"\x00", VERSION), (SECRET, VERSION[:31]), (SECRET, b"")],
)
def test_envelope__wrong_lengths__refused(secret, version):
    with pytest.raises(SealError):
        encrypt_input(INPUT, secret, VersionId(version))
    with pytest.raises(SealError):
        decrypt_input(bytes(80), secret, VersionId(version))
