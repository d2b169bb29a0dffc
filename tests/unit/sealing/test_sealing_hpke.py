"""HPKE: held to RFC 9180 by its published vector and by a second implementation, then attacked."""

from __future__ import annotations

import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from cloister.domain.commitments import JobContext
from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, JobId
from cloister.sealing.errors import SealError, UnusableKey
from cloister.sealing.hpke import OVERHEAD_BYTES, open_sealed, public_key_of, seal

ALICE, BOB = bytes(range(32)), bytes(range(1, 33))
INFO = b"what the message belongs to"
MESSAGE = b"thirty-two bytes of a job secret"

# RFC 9180, appendix A.1.1: base mode, X25519, HKDF-SHA256, AES-128-GCM. It has none with AES-256-GCM.
RFC_RECIPIENT = "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8"
RFC_INFO = "4f6465206f6e2061204772656369616e2055726e"
RFC_ENC = "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"
RFC_CT = "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
RFC_AAD = "436f756e742d30"
RFC_PLAINTEXT = b"Beauty is truth, truth beauty"

# Every point of small order on Curve25519, with and without the bit that X25519 ignores.
P = 2**255 - 19
ORDER_8 = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
LOW_ORDER = [point | bit for point in (0, 1, *ORDER_8, P - 1, P, P + 1) for bit in (0, 1 << 255)]


def _hmac(key: bytes, data: bytes) -> bytes:
    mac = HMAC(key or bytes(32), SHA256())
    mac.update(data)
    return mac.finalize()


def _extract(suite: bytes, salt: bytes, label: str, key: bytes) -> bytes:
    return _hmac(salt, b"HPKE-v1" + suite + label.encode() + key)


def _expand(suite: bytes, key: bytes, label: str, info: bytes, length: int) -> bytes:
    labelled = length.to_bytes(2) + b"HPKE-v1" + suite + label.encode() + info
    return _hmac(key, labelled + b"\x01")[:length]  # one block is enough here


def reference_open(sealed: bytes, private_key: bytes, info: bytes, aead: int, aad: bytes = b"") -> bytes:
    """RFC 9180, sections 4.1, 5.1 and 5.2, from X25519, HMAC and AES-GCM only. `aead` is 1 or 2."""
    recipient = X25519PrivateKey.from_private_bytes(private_key)
    enc, ciphertext = sealed[:32], sealed[32:]
    exchanged = recipient.exchange(X25519PublicKey.from_public_bytes(enc))
    kem = b"KEM" + (0x0020).to_bytes(2)
    prk = _extract(kem, b"", "eae_prk", exchanged)
    shared = _expand(kem, prk, "shared_secret", enc + recipient.public_key().public_bytes_raw(), 32)

    suite = b"HPKE" + (0x0020).to_bytes(2) + (0x0001).to_bytes(2) + aead.to_bytes(2)
    context = b"\x00" + _extract(suite, b"", "psk_id_hash", b"") + _extract(suite, b"", "info_hash", info)
    secret = _extract(suite, shared, "secret", b"")
    key = _expand(suite, secret, "key", context, 16 * aead)
    nonce = _expand(suite, secret, "base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, ciphertext, aad)


def test_reference__rfc_vector__opens():
    sealed = bytes.fromhex(RFC_ENC + RFC_CT)
    arguments = (sealed, bytes.fromhex(RFC_RECIPIENT), bytes.fromhex(RFC_INFO))
    assert reference_open(*arguments, aead=1, aad=bytes.fromhex(RFC_AAD)) == RFC_PLAINTEXT


def test_library__rfc_vector__opens():
    opened = openssl.hpke._decrypt_with_aad(
        Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM),
        bytes.fromhex(RFC_ENC + RFC_CT),
        X25519PrivateKey.from_private_bytes(bytes.fromhex(RFC_RECIPIENT)),
        bytes.fromhex(RFC_INFO),
        bytes.fromhex(RFC_AAD),
    )
    assert opened == RFC_PLAINTEXT


def test_seal__any_message__opens_by_the_rfc_with_suite_of_aes_256():
    sealed = seal(MESSAGE, public_key_of(ALICE), INFO)
    assert reference_open(sealed, ALICE, INFO, aead=2) == MESSAGE


@pytest.mark.parametrize("size", [0, 1, 32, 4096])
def test_open_sealed__same_key_and_info__returns_plaintext(size):
    message = bytes(size)
    sealed = seal(message, public_key_of(ALICE), INFO)
    assert len(sealed) == size + OVERHEAD_BYTES
    assert open_sealed(sealed, ALICE, INFO) == message


def test_public_key_of__bob_of_rfc_7748__is_the_published_one():
    private = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    assert public_key_of(private).hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"


def test_seal__same_message_twice__differs():
    assert seal(MESSAGE, public_key_of(ALICE), INFO) != seal(MESSAGE, public_key_of(ALICE), INFO)


def test_open_sealed__any_bit_flipped__refused():
    sealed = seal(MESSAGE, public_key_of(ALICE), INFO)
    for position in range(len(sealed)):
        for bit in range(8):
            altered = bytearray(sealed)
            altered[position] ^= 1 << bit
            with pytest.raises(SealError):
                open_sealed(bytes(altered), ALICE, INFO)


def test_open_sealed__any_truncation_or_extension__refused():
    sealed = seal(MESSAGE, public_key_of(ALICE), INFO)
    for length in range(len(sealed)):
        with pytest.raises(SealError):
            open_sealed(sealed[:length], ALICE, INFO)
    with pytest.raises(SealError):
        open_sealed(sealed + b"\x00", ALICE, INFO)


def test_open_sealed__other_key__refused():
    with pytest.raises(SealError):
        open_sealed(seal(MESSAGE, public_key_of(ALICE), INFO), BOB, INFO)


@pytest.mark.parametrize("field", ["chain_id", "market", "job_id", "worker", "output_commitment"])
def test_open_sealed__any_field_of_the_info_differs__refused(field):
    first, second = Address("0x" + "11" * 20), Address("0x" + "22" * 20)
    fields = {
        "chain_id": (1, 2),
        "market": (first, second),
        "job_id": (JobId(bytes(32)), JobId(b"\x01" * 32)),
        "worker": (first, second),
        "output_commitment": (bytes(32), b"\x01" * 32),
    }

    def info(changed: str | None) -> bytes:
        value = {name: options[name == changed] for name, options in fields.items()}
        context = JobContext(value["chain_id"], value["market"], value["job_id"])
        return context.sealed_output_info(value["worker"], value["output_commitment"])

    sealed = seal(MESSAGE, public_key_of(ALICE), info(None))
    assert open_sealed(sealed, ALICE, info(None)) == MESSAGE
    with pytest.raises(SealError):
        open_sealed(sealed, ALICE, info(field))


def test_open_sealed__whatever_is_wrong__says_the_same():
    sealed = seal(MESSAGE, public_key_of(ALICE), INFO)
    attempts = [
        (sealed, BOB, INFO),
        (sealed, ALICE, b""),
        (sealed[:-1], ALICE, INFO),
        (sealed[:5], ALICE, INFO),
        (b"", ALICE, INFO),
        (bytes(32) + sealed[32:], ALICE, INFO),  # a low-order encapsulated key
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), ALICE, INFO),
    ]
    texts = set()
    for attempt in attempts:
        with pytest.raises(SealError) as caught:
            open_sealed(*attempt)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        texts.add((type(caught.value), str(caught.value)))
    assert len(texts) == 1


@pytest.mark.parametrize("point", LOW_ORDER)
def test_seal__low_order_public_key__refused(point):
    with pytest.raises(UnusableKey, match="low order"):
        seal(MESSAGE, point.to_bytes(32, "little"), INFO)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_keys__wrong_length__refused_without_their_content(length):
    key = b"\xaa" * length
    for use in (
        lambda: seal(MESSAGE, key, INFO),
        lambda: open_sealed(bytes(80), key, INFO),
        lambda: public_key_of(key),
    ):
        with pytest.raises(UnusableKey) as caught:
            use()
        assert "aaaa" not in str(caught.value)


def test_errors__all__are_cloister_errors():
    assert issubclass(UnusableKey, SealError)
    assert issubclass(SealError, CloisterError)
