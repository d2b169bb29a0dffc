"""Signatures of an enclave's result key: made by one library, checked by another, and only in one form."""

import pytest
from eth_account import Account

from cloister.sealing.errors import SealError
from cloister.sealing.signatures import HALF_ORDER, sign, signer_of

KEY, DIGEST = bytes([7]) * 32, bytes(range(32))
ORDER = 2 * HALF_ORDER + 1


def test_sign__recovers__to_the_address_that_another_library_names():
    assert signer_of(DIGEST, sign(KEY, DIGEST)) == Account.from_key(KEY).address


def test_signer_of__another_digest__is_another_address():
    assert signer_of(bytes(32), sign(KEY, DIGEST)) != Account.from_key(KEY).address


def high_s(signature):
    s = ORDER - int.from_bytes(signature[32:64])
    return signature[:32] + s.to_bytes(32) + bytes([55 - signature[64]])


@pytest.mark.parametrize(
    "change",
    [
        high_s,
        lambda s: s[:-1],
        lambda s: s + b"\0",
        lambda s: s[:64] + b"\0",
        lambda s: bytes(64) + s[64:],
        lambda _: b"",
    ],
    ids=["high s", "short", "long", "v of 0", "zeros", "empty"],
)
def test_signer_of__another_form__is_refused(change):  # the chain would refuse it, too
    with pytest.raises(SealError, match="no signature"):
        signer_of(DIGEST, change(sign(KEY, DIGEST)))
