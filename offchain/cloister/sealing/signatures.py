"""Signatures of an enclave's result key: secp256k1, 65 bytes r ‖ s ‖ v, low s (EIP-2)."""

from __future__ import annotations

from coincurve import PrivateKey, PublicKey
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

from cloister.domain.ids import Address
from cloister.sealing.errors import SealError

HALF_ORDER = 0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0


def sign(private_key: bytes, digest: bytes) -> bytes:
    """Sign a 32-byte digest with a raw 32-byte key. libsecp256k1 always gives the low s."""
    signature = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([27 + signature[64]])


def signer_of(digest: bytes, signature: bytes) -> Address:
    """The address whose key made a signature. Raises SealError for what is none, or has a high s."""
    if len(signature) != 65 or signature[64] not in (27, 28) or int.from_bytes(signature[32:64]) > HALF_ORDER:
        raise SealError("This is no signature: 65 bytes, v of 27 or 28, and a low s are needed.")
    recoverable = signature[:64] + bytes([signature[64] - 27])
    try:
        key = PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    except Exception as error:  # coincurve raises plain ValueError and Exception
        raise SealError("This is no signature of any key.") from error
    return Address(to_checksum_address(keccak(key.format(compressed=False)[1:])[12:]))
