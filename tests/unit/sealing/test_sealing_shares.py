"""Shares of a data key (SEAL-1, market rule 23): any t give it, t-1 say nothing, a wrong one is found out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256
from itertools import combinations

import pytest
from eth_hash.auto import keccak

from cloister.sealing.errors import SealError
from cloister.sealing.shares import KeyShare, combine, interpolate, inverse, key_commitment, multiply, split

KEY = sha256(b"a data key").digest()


def slow(a: int, b: int) -> int:
    """Carry-less product and long division, bit by bit."""
    product = 0
    for i in range(8):
        if b >> i & 1:
            product ^= a << i
    for i in range(14, 7, -1):
        if product >> i & 1:
            product ^= 0x11B << (i - 8)
    return product


def test_multiply__all_65536_pairs__as_polynomials() -> None:
    assert all(multiply(a, b) == slow(a, b) for a in range(256) for b in range(256))
    assert multiply(0x57, 0x83) == 0xC1  # FIPS 197, section 4.2


def test_inverse__every_element__times_itself_is_one() -> None:
    assert all(multiply(a, inverse(a)) == 1 for a in range(1, 256))


@pytest.mark.parametrize("count", range(1, 7))
def test_split__every_threshold_and_every_subset__gives_the_key(count: int) -> None:
    for threshold in range(1, count + 1):
        shares = split(KEY, threshold, count)
        commitments, key = [share.commitment() for share in shares], key_commitment(KEY)
        for size in range(threshold, count + 1):
            for subset in combinations(shares, size):
                assert combine(subset[::-1], threshold, commitments, key) == KEY
        for subset in combinations(shares, threshold - 1):
            with pytest.raises(SealError, match="are needed"):
                combine(subset, threshold, commitments, key)


def test_split__255_shares__the_last_ones_give_the_key() -> None:
    assert interpolate(split(KEY, 5, 255)[-5:]) == KEY


@pytest.mark.parametrize("secret", [0, 1, 0x53, 255])
def test_split__one_share_of_two__is_uniform_whatever_the_key(secret: int) -> None:
    # exhaustive over all that chance can give: every value of every share comes up exactly once
    for index in range(3):
        seen = Counter(
            split(bytes([secret]) * 32, 2, 3, lambda n, c=c: bytes([c]) * n)[index].value[0] for c in range(256)
        )
        assert set(seen.values()) == {1}
        assert len(seen) == 256


@pytest.mark.parametrize("secret", [0, 0x53])
def test_split__two_shares_of_three__are_uniform_whatever_the_key(secret: int) -> None:
    values = [secret]
    weights = [(1, 1), (2, slow(2, 2)), (3, slow(3, 3))]
    pairs = Counter()
    for a in range(256):
        for b in range(256):
            at = [values[0] ^ slow(a, x) ^ slow(b, y) for x, y in weights]
            pairs[at[0], at[2]] += 1
    assert len(pairs) == 65536
    # and the product computes that polynomial
    stream = iter([bytes([7]) * 32, bytes([9]) * 32, *[bytes(32)] * 3])
    shares = split(bytes([secret]) * 32, 3, 3, lambda _: next(stream))
    assert [s.value[0] for s in shares] == [secret ^ slow(7, x) ^ slow(9, y) for x, y in weights]


def test_commitments__as_the_spec_says() -> None:
    share = KeyShare(7, b"v" * 32, b"s" * 32)
    assert share.commitment() == sha256(keccak(b"cloister/1/key-share") + b"\x07" + b"v" * 32 + b"s" * 32).digest()
    assert key_commitment(KEY) == sha256(keccak(b"cloister/1/data-key") + KEY).digest()


def test_combine__wrong_value_salt_or_index__is_found_out_and_named() -> None:
    shares = split(KEY, 2, 3)
    commitments, key = [share.commitment() for share in shares], key_commitment(KEY)
    good, bad = shares[0], shares[1]
    flipped = bytes([bad.value[0] ^ 1]) + bad.value[1:]
    for wrong in (
        replace(bad, value=flipped),
        replace(bad, salt=bytes(32)),
        replace(bad, index=3),
        replace(bad, index=4),
        split(KEY, 2, 3)[1],
    ):
        with pytest.raises(SealError, match=f"share {wrong.index} "):
            combine([good, wrong], 2, commitments, key)


def test_combine__repeated_share__is_refused() -> None:
    share = split(KEY, 2, 2)[0]
    with pytest.raises(SealError, match="twice"):
        combine([share, share], 2, [share.commitment()] * 2, key_commitment(KEY))


def test_combine__owner_committed_to_shares_of_another_key__is_refused() -> None:
    shares = split(KEY, 2, 2)
    with pytest.raises(SealError, match="but the key is not"):
        combine(shares, 2, [share.commitment() for share in shares], key_commitment(bytes(32)))


@pytest.mark.parametrize(("threshold", "count"), [(0, 1), (2, 1), (1, 256), (-1, 3)])
def test_split__impossible_numbers__are_refused(threshold: int, count: int) -> None:
    with pytest.raises(SealError):
        split(KEY, threshold, count)


def test_split__short_key__is_refused() -> None:
    with pytest.raises(SealError, match="A data key has 32 bytes"):
        split(KEY[:31], 1, 1)


def test_repr__tells_no_secret() -> None:
    assert repr(split(KEY, 1, 1)[0]) == "KeyShare(index=1)"
