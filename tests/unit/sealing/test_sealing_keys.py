"""Derived keys: held to the formulas of docs/spec/commitments.md, written out again here."""

from __future__ import annotations

import dataclasses
import hmac

import pytest
from eth_account import Account

from cloister.domain.ids import JobId
from cloister.sealing import keys
from cloister.sealing.errors import SealError, UnusableKey
from cloister.sealing.hkdf import derive
from cloister.sealing.hpke import open_sealed, public_key_of, seal
from cloister.sealing.keys import JobSecrets, WorkerKeys, new_secret, output_secret

ROOT = bytes(range(32))
JOB = JobId(bytes.fromhex("ab" * 32))


def hkdf(key: bytes, info: str) -> bytes:
    """RFC 5869 with an empty salt and one block of output."""
    extracted = hmac.digest(b"", key, "sha256")
    return hmac.digest(extracted, info.encode() + b"\x01", "sha256")


def test_hkdf__rfc_5869_case_3__is_the_published_output():
    # the formula above, which the others are compared with: empty salt, empty info
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert hkdf(b"\x0b" * 22, "").hex() == expected


@pytest.mark.parametrize("info", ["", "cloister/1/job-secret", "x" * 300])
def test_derive__any_info__follows_rfc_5869(info):
    assert derive(ROOT, info) == hkdf(ROOT, info)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_derive__key_of_another_length__refused(length):
    with pytest.raises(UnusableKey) as caught:
        derive(b"\xaa" * length, "info")
    assert "aaaa" not in str(caught.value)


def test_job_secrets__from_root__follow_the_specification():
    job = JobSecrets.from_root(ROOT)
    assert job.job_secret == hkdf(ROOT, "cloister/1/job-secret")
    assert job.seed_secret == hkdf(ROOT, "cloister/1/seed-secret")
    assert job.response_private_key == hkdf(ROOT, "cloister/1/response-key")
    assert job.response_public_key == public_key_of(job.response_private_key)
    assert job.nonce == int.from_bytes(hkdf(ROOT, "cloister/1/nonce"))
    assert job.output_secret == hkdf(job.job_secret, "cloister/1/output-secret")
    assert output_secret(job.job_secret) == job.output_secret


def test_job_secrets__all__differ_from_each_other():
    job = JobSecrets.from_root(ROOT)
    values = [getattr(job, field.name) for field in dataclasses.fields(job)] + [job.output_secret, ROOT]
    assert len(set(values)) == len(values)


def test_job_secrets__response_key__opens_what_workers_seal():
    job = JobSecrets.from_root(ROOT)
    assert open_sealed(seal(b"y", job.response_public_key, b"i"), job.response_private_key, b"i") == b"y"


def test_worker_keys__from_secret__follow_the_specification():
    worker = WorkerKeys.from_secret(ROOT)
    assert worker.hpke_private_key == hkdf(ROOT, "cloister/1/hpke-key")
    assert worker.hpke_public_key == public_key_of(worker.hpke_private_key)
    assert worker.result_key == hkdf(ROOT, "cloister/1/result-key")
    assert worker.signer == Account.from_key(worker.result_key).address


@pytest.mark.parametrize("round_", [0, 7, 10**20])
def test_salt__any_round__follows_the_specification(round_):
    expected = hkdf(ROOT, f"cloister/1/salt/{'ab' * 32}/{round_}")
    assert WorkerKeys.from_secret(ROOT).salt(JOB, round_) == expected


def test_salt__no_round__is_round_zero():
    worker = WorkerKeys.from_secret(ROOT)
    assert worker.salt(JOB) == worker.salt(JOB, 0)


def test_salt__other_job_round_or_worker__differs():
    worker, other = WorkerKeys.from_secret(ROOT), WorkerKeys.from_secret(bytes(32))
    salts = {worker.salt(JOB, 0), worker.salt(JOB, 1), worker.salt(JobId(bytes(32)), 0), other.salt(JOB, 0)}
    assert len(salts) == 4


@pytest.mark.parametrize(("job", "round_"), [(b"", 0), (JOB[:31], 0), (JOB + b"\x00", 0), (JOB, -1)])
def test_salt__malformed_job_or_round__refused(job, round_):
    with pytest.raises(SealError):
        WorkerKeys.from_secret(ROOT).salt(JobId(job), round_)


@pytest.mark.parametrize("value", [0, keys.SECP256K1_ORDER, keys.SECP256K1_ORDER + 1, 2**256 - 1])
def test_worker_keys__result_key_outside_the_group__refused(monkeypatch, value):
    real = keys.derive
    forced = {"cloister/1/result-key": value.to_bytes(32)}
    monkeypatch.setattr(keys, "derive", lambda key, info: forced.get(info) or real(key, info))
    with pytest.raises(UnusableKey):
        WorkerKeys.from_secret(ROOT)


@pytest.mark.parametrize("value", [1, keys.SECP256K1_ORDER - 1])
def test_worker_keys__result_key_at_the_edge_of_the_group__accepted(monkeypatch, value):
    real = keys.derive
    forced = {"cloister/1/result-key": value.to_bytes(32)}
    monkeypatch.setattr(keys, "derive", lambda key, info: forced.get(info) or real(key, info))
    assert WorkerKeys.from_secret(ROOT).result_key == value.to_bytes(32)


@pytest.mark.parametrize("make", [JobSecrets.from_root, WorkerKeys.from_secret])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_from_secret__wrong_length__refused(make, length):
    with pytest.raises(UnusableKey):
        make(bytes(length))


@pytest.mark.parametrize(
    ("made", "secret_fields"),
    [
        (JobSecrets.from_root(ROOT), ("job_secret", "seed_secret", "response_private_key")),
        (WorkerKeys.from_secret(ROOT), ("hpke_private_key", "result_key", "_secret")),
    ],
)
def test_repr__of_keys__shows_no_secret(made, secret_fields):
    text = repr(made) + str(made) + f"{made}"
    for name in secret_fields:
        value = getattr(made, name)
        assert len(value) == 32
        assert value.hex() not in text
        assert repr(value) not in text
        assert name not in text


def test_keys__assignment__refused():
    with pytest.raises(dataclasses.FrozenInstanceError):
        JobSecrets.from_root(ROOT).nonce = 0  # type: ignore[misc]


def test_new_secret__twice__differs():
    assert len(new_secret()) == 32
    assert new_secret() != new_secret()
