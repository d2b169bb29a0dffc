"""Inference on real models with real HPKE: the right answer, or the right reason to give none."""

import hashlib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from reference import plain_commitments as reference
from support.jobs import ALICE, BOB, MARKET, REQUESTER

from cloister import proving
from cloister.domain.answer import CannotServe, CiphertextMissing, RefusalReason
from cloister.domain.commitments import (
    JobContext,
    circuit_input,
    input_binding,
    input_commitment,
    masked_output,
    secret_hash,
)
from cloister.domain.errors import CloisterError
from cloister.domain.ids import BlobId, VersionId
from cloister.domain.job import Job, State
from cloister.domain.request import Assurance, Level, Request
from cloister.fixedpoint import InvalidPackage, encode_input, encode_output, load_heldout, load_package
from cloister.inference import PackageCache, PlainInference, fetch_package
from cloister.proof_system import ProofSystemMissing, most_provable_rows, proof_system
from cloister.sealing.envelope import encrypt_input
from cloister.sealing.hpke import open_sealed, seal
from cloister.sealing.keys import JobSecrets, WorkerKeys
from cloister.storage.blobs import BlobStore, BlobStores
from cloister.storage.errors import BlobMissing, StoreUnavailable

MODELS = Path(__file__).parents[2] / "models"
CHAIN_ID = 31337
VERSION = VersionId(hashlib.sha256(b"a version").digest())
KEYS = {worker: WorkerKeys.from_secret(hashlib.sha256(worker.encode()).digest()) for worker in (ALICE, BOB)}
OLD_KEYS = WorkerKeys.from_secret(hashlib.sha256(b"old").digest())
SECRETS = JobSecrets.from_root(hashlib.sha256(b"root").digest())
EPOCH = 4


@pytest.fixture(scope="module", params=["breast-cancer", "digits", "digits-cnn"])
def any_model(request):
    return load_package(MODELS / request.param), load_heldout(MODELS / request.param)


@pytest.fixture(scope="module")
def model():
    return load_package(MODELS / "breast-cancer"), load_heldout(MODELS / "breast-cancer")


class Bench:
    """Blob stores with a model in them, and jobs for it."""

    def __init__(self, folder, package):
        self.package = package
        self.folder = folder
        self.blobs = BlobStores([BlobStore(str(folder), max_size=1 << 26)])
        self.weights_id = self.blobs.put(package.weights_bytes)
        self.manifest_id = self.blobs.put(package.manifest_bytes)

    def worker(self, me=ALICE, keys=None, version_has=None, proofs=proof_system):
        packages = PackageCache(self.blobs, lambda version: version_has or self.manifest_id)
        return PlainInference(CHAIN_ID, MARKET, me, lambda: keys or [(EPOCH, KEYS[me])], packages, self.blobs, proofs)

    def path(self, blob):
        return self.folder / blob.hex()[:2] / blob.hex()[2:]

    def job(self, plaintext, *, key_epoch=EPOCH, job_secret=SECRETS.job_secret, store=True, **changes):
        """A job whose keys are sealed properly; `changes` are fields of the request, wrong from the start."""
        ciphertext = changes.pop("ciphertext", None) or encrypt_input(plaintext, job_secret, VERSION)
        if store:
            self.blobs.put(ciphertext)
        honest = Request(
            requester=REQUESTER,
            nonce=1,
            version=VERSION,
            assurance=Assurance(Level.AGREED, 2, 2),
            price_per_seat=10**15,
            lock_each=20 * 10**15,
            input_commitment=committed(job_secret, SECRETS.response_public_key, plaintext),
            ciphertext_hash=BlobId(hashlib.sha256(ciphertext).digest()),
            ciphertext_size=len(ciphertext),
            response_key=SECRETS.response_public_key,
            secret_hash=secret_hash(SECRETS.seed_secret),
        )
        request = replace(honest, **changes)
        job_id = request.job_id(CHAIN_ID, MARKET)
        context = JobContext(CHAIN_ID, MARKET, job_id)
        sealed = tuple(
            seal(job_secret, KEYS[w].hpke_public_key, context.sealed_key_info(request, w, key_epoch))
            for w in (ALICE, BOB)
        )
        return Job(job_id, request, 7, State.READY, 2000, (ALICE, BOB), sealed)


def committed(job_secret, response_key, plaintext):
    return input_commitment(input_binding(job_secret, response_key, plaintext))


@pytest.fixture
def bench(tmp_path, model):
    return Bench(tmp_path / "blobs", model[0])


@pytest.fixture
def plaintext(model):
    package, heldout = model
    return encode_input(heldout.rows[:1], package.manifest)


def refused(worker, job):
    with pytest.raises(CannotServe) as raised:
        worker.answer(job)
    assert str(raised.value)
    return raised.value.reason


# ------------------------------------------------------------------ right answers


def test_answer__held_out_rows__are_what_the_package_runs_and_only_the_requester_reads_them(tmp_path, any_model):
    package, heldout = any_model
    bench = Bench(tmp_path, package)
    rows = heldout.rows[:2]
    job = bench.job(encode_input(rows, package.manifest))
    answer = bench.worker().answer(job)
    output = encode_output(package.run(rows), package.manifest)
    expected = reference.output_commitment(
        job.request.input_commitment, reference.hkdf(SECRETS.job_secret, "cloister/1/output-secret"), output
    )
    assert answer.output_commitment == expected
    salt = reference.salt(hashlib.sha256(ALICE.encode()).digest(), job.job_id, 0)
    assert answer.salt == salt
    commitment = reference.commitment(CHAIN_ID, MARKET, job.job_id, 0, ALICE, expected, salt)
    assert answer.commitment == commitment
    info = reference.sealed_output_info(CHAIN_ID, MARKET, job.job_id, ALICE, expected)
    assert open_sealed(answer.sealed_output, SECRETS.response_private_key, info) == output
    with pytest.raises(CloisterError):
        open_sealed(answer.sealed_output, KEYS[ALICE].hpke_private_key, info)


def test_answer__two_workers__agree_on_the_output_and_commit_differently(bench, plaintext):  # JOB-11
    job = bench.job(plaintext)
    alice, bob = (bench.worker(worker).answer(job) for worker in (ALICE, BOB))
    assert alice.output_commitment == bob.output_commitment
    assert alice.commitment != bob.commitment
    assert alice.salt != bob.salt
    assert alice.sealed_output != bob.sealed_output


def test_answer__made_again__commits_to_the_same(bench, plaintext):  # LOG-2, after a lost journal
    job = bench.job(plaintext)
    first, second = (bench.worker().answer(job) for _ in range(2))
    assert (first.commitment, first.output_commitment, first.salt) == (
        second.commitment,
        second.output_commitment,
        second.salt,
    )


def test_answer__two_jobs_with_one_answer__cannot_be_linked(bench, plaintext):
    first = bench.worker().answer(bench.job(plaintext))
    other = hashlib.sha256(b"another job's secret").digest()
    blinded = committed(other, SECRETS.response_public_key, plaintext)
    second = bench.worker().answer(bench.job(plaintext, nonce=2, job_secret=other, input_commitment=blinded))
    assert first.output_commitment != second.output_commitment
    assert first.commitment != second.commitment


def test_answer__published_ciphertext__is_used_without_any_store(bench, plaintext):  # JOB-17
    job = bench.job(plaintext, store=False)
    ciphertext = encrypt_input(plaintext, SECRETS.job_secret, VERSION)
    assert bench.worker().answer(replace(job, ciphertext=ciphertext))


def test_answer__most_rows_that_fit__are_answered_and_one_more_is_refused(bench, model):
    package, heldout = model
    rows = np.repeat(heldout.rows, 2, axis=0)
    most = 1024 // (4 * package.manifest.outputs)
    answer = bench.worker().answer(bench.job(encode_input(rows[:most], package.manifest)))
    assert len(answer.sealed_output) == 1072
    job = bench.job(encode_input(rows[: most + 1], package.manifest), nonce=3)
    assert refused(bench.worker(), job) is RefusalReason.OUTPUT_TOO_LARGE


def test_answer__too_many_rows__are_refused_before_the_work(bench, model, monkeypatch):
    package, heldout = model
    monkeypatch.setattr(PlainInference, "run", lambda *args: pytest.fail("the model was run"))
    rows = np.repeat(heldout.rows, 10, axis=0)
    assert refused(bench.worker(), bench.job(encode_input(rows, package.manifest))) is RefusalReason.OUTPUT_TOO_LARGE


# ------------------------------------------------------------------ keys: NODE-2, market rule 6


def test_answer__older_key_epoch__opens_with_the_key_of_that_epoch(bench, plaintext):  # NODE-2
    job = bench.job(plaintext, key_epoch=EPOCH)
    keys = [(EPOCH + 1, OLD_KEYS), (EPOCH, KEYS[ALICE])]
    assert bench.worker(keys=keys).answer(job) is not None


def test_answer__right_key_under_another_epoch__does_not_open(bench, plaintext):
    job = bench.job(plaintext, key_epoch=EPOCH + 1)
    assert refused(bench.worker(), job) is RefusalReason.SEALED_KEY_DOES_NOT_OPEN


def test_answer__without_the_key__does_not_open(bench, plaintext):
    job = bench.job(plaintext)
    assert refused(bench.worker(keys=[(EPOCH, OLD_KEYS)]), job) is RefusalReason.SEALED_KEY_DOES_NOT_OPEN


@pytest.mark.parametrize(
    "sealed",
    [b"", bytes(31), bytes(32), bytes(80), b"\x01" + bytes(79), b"\xff" * 80, bytes(81)],
    ids=["empty", "31", "32", "zeros", "low order", "ones", "81"],
)
def test_answer__sealed_key_of_nonsense__is_refused_and_crashes_nothing(bench, plaintext, sealed):
    job = replace(bench.job(plaintext), sealed_keys=(sealed, sealed))
    assert refused(bench.worker(), job) is RefusalReason.SEALED_KEY_DOES_NOT_OPEN


def test_answer__sealed_key_of_another_seat__does_not_open(bench, plaintext):
    job = bench.job(plaintext)
    assert (
        refused(bench.worker(), replace(job, sealed_keys=job.sealed_keys[::-1]))
        is RefusalReason.SEALED_KEY_DOES_NOT_OPEN
    )


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_answer__sealed_key_that_holds_no_32_bytes__is_refused(bench, plaintext, length):
    job = bench.job(plaintext)
    info = JobContext(CHAIN_ID, MARKET, job.job_id).sealed_key_info(job.request, ALICE, EPOCH)
    sealed = seal(bytes(length), KEYS[ALICE].hpke_public_key, info)
    job = replace(job, sealed_keys=(sealed, job.sealed_keys[1]))
    assert refused(bench.worker(), job) is RefusalReason.SEALED_KEY_DOES_NOT_OPEN


# ------------------------------------------------------------------ tampered jobs


TAMPERED = {
    # The key was sealed under the honest fields: whatever its info binds keeps it from opening (market rule 6).
    "version": (VersionId(bytes(32)), RefusalReason.SEALED_KEY_DOES_NOT_OPEN),
    "input_commitment": (bytes(32), RefusalReason.SEALED_KEY_DOES_NOT_OPEN),
    "ciphertext_hash": (BlobId(bytes(32)), RefusalReason.SEALED_KEY_DOES_NOT_OPEN),
    "response_key": (bytes(32), RefusalReason.SEALED_KEY_DOES_NOT_OPEN),
    "requester": (BOB, RefusalReason.SEALED_KEY_DOES_NOT_OPEN),
    # What was committed to is no commitment of a proof's.
    "verifier": (7, RefusalReason.COMMITMENT_MISMATCH),
    # The rest enters the info through the job id, which the market computes from it.
    "nonce": (99, None),
    "assurance": (Assurance(Level.AGREED, 3, 2), None),
    "owner_percent": (20, None),
    "token": (BOB, None),
    "price_per_seat": (1, None),
    "lock_each": (1, None),
    "worker": (BOB, None),
    "reputation": (9000, None),
    "consumer": (BOB, None),
    "consumer_gas": (1, None),
    "secret_hash": (bytes(32), None),
    "ciphertext_size": (3, CiphertextMissing),
}


@pytest.mark.parametrize("name", [field.name for field in fields(Request)])
def test_answer__each_field_of_the_request_altered_after_the_sealing__is_found_out(bench, plaintext, name):
    value, expected = TAMPERED[name]
    honest = bench.job(plaintext)
    altered = replace(honest.request, **{name: value})
    # as the market tells it: its id hashes every field, and the sealed key is bound to the id
    real = replace(honest, request=altered, job_id=altered.job_id(CHAIN_ID, MARKET))
    assert refused(bench.worker(), real) is RefusalReason.SEALED_KEY_DOES_NOT_OPEN
    # even if the id were the old one
    forged = replace(honest, request=altered)
    if expected is CiphertextMissing:
        with pytest.raises(CiphertextMissing):
            bench.worker().answer(forged)
    elif expected is not None:
        assert refused(bench.worker(), forged) is expected


def test_answer__other_market_or_chain__does_not_open(bench, plaintext):
    job = bench.job(plaintext)
    packages = PackageCache(bench.blobs, lambda version: bench.manifest_id)
    for chain_id, market in ((1, MARKET), (CHAIN_ID, REQUESTER)):
        worker = PlainInference(chain_id, market, ALICE, lambda: [(EPOCH, KEYS[ALICE])], packages, bench.blobs)
        assert refused(worker, job) is RefusalReason.SEALED_KEY_DOES_NOT_OPEN


# A requester that lies from the start: every sealed key opens, what it opens does not fit.


def test_answer__commitment_to_another_input__is_refused(bench, plaintext):  # JOB-13
    other = committed(SECRETS.job_secret, SECRETS.response_public_key, plaintext[::-1])
    assert refused(bench.worker(), bench.job(plaintext, input_commitment=other)) is RefusalReason.COMMITMENT_MISMATCH


def test_answer__commitment_to_another_response_key__is_refused(bench, plaintext):  # JOB-13
    job = bench.job(plaintext, response_key=KEYS[BOB].hpke_public_key)
    assert refused(bench.worker(), job) is RefusalReason.COMMITMENT_MISMATCH


def test_answer__ciphertext_under_another_key_or_version__is_refused(bench, plaintext):
    for ciphertext in (
        encrypt_input(plaintext, bytes(32), VERSION),
        encrypt_input(plaintext, SECRETS.job_secret, VersionId(bytes(32))),
        b"short",
        bytes(16),
    ):
        job = bench.job(plaintext, ciphertext=ciphertext)
        assert refused(bench.worker(), job) is RefusalReason.COMMITMENT_MISMATCH


def encoded(values):
    return b"".join(value.to_bytes(4, "big", signed=True) for value in values)


@pytest.mark.parametrize("kind", ["above", "below", "half a row", "half an entry", "empty"])
def test_answer__input_that_the_model_does_not_take__is_refused(bench, model, kind):  # JOB-13
    package, _ = model
    low, high = package.manifest.input.bounds()
    good = [int(value) for value in low]
    plaintext = {
        "above": encoded([int(high[0]) + 1, *good[1:]]),
        "below": encoded([*good[:-1], good[-1] - 1]),
        "half a row": encoded(good[:15]),
        "half an entry": encoded(good) + b"\0\0",
        "empty": b"",
    }[kind]
    assert refused(bench.worker(), bench.job(plaintext)) is RefusalReason.INVALID_INPUT


@pytest.mark.parametrize("ends", ["low", "high"])
def test_answer__input_at_the_ends_of_its_range__is_answered(bench, model, ends):
    package, _ = model
    bounds = package.manifest.input.bounds()[0 if ends == "low" else 1]
    assert bench.worker().answer(bench.job(encoded([int(value) for value in bounds])))


LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


@pytest.mark.parametrize("response_key", LOW_ORDER, ids=lambda key: key.hex()[:6])
def test_answer__response_key_of_low_order__is_refused_before_the_work(bench, plaintext, response_key, monkeypatch):
    monkeypatch.setattr(PlainInference, "run", lambda *args: pytest.fail("the model was run"))
    commitment = committed(SECRETS.job_secret, response_key, plaintext)
    job = bench.job(plaintext, response_key=response_key, input_commitment=commitment)
    assert refused(bench.worker(), job) is RefusalReason.OTHER


# ------------------------------------------------------------------ jobs that a proof can decide: JOB-13, JOB-26


def provable(bench, rows, *, pad=None, committed_rows=None, **changes):
    """A job that names a verifier; the commitments to its input and its pad are another's where they are given."""
    package, secret = bench.package, SECRETS.job_secret
    circuit, plaintext = proving.circuit_of(package.manifest), encode_input(rows, package.manifest)
    digests = (
        proving.commit_input(circuit, rows if committed_rows is None else committed_rows, secret),
        proving.commit_pad(circuit, len(rows), secret) if pad is None else pad,
    )
    binding = input_binding(secret, SECRETS.response_public_key, plaintext)
    changes = {"input_commitment": input_commitment(binding, circuit_input(*digests)), "verifier": 1} | changes
    return bench.job(plaintext, **changes)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_answer__job_that_names_a_verifier__commits_to_what_a_proof_shows(bench, model, count):
    package, heldout = model
    rows = heldout.rows[:count]
    job = provable(bench, rows)
    alice, bob = (bench.worker(worker).answer(job) for worker in (ALICE, BOB))
    context = JobContext(CHAIN_ID, MARKET, job.job_id).proof_context(ALICE)
    proved = proving.prove_job(proving.commit_model(package), rows, context, SECRETS.job_secret)
    assert alice.output_commitment == masked_output(proved.pad_digest, proved.masked)
    assert alice.output_commitment == reference.masked_output(proved.pad_digest, proved.masked)
    assert bob.output_commitment == alice.output_commitment
    info = reference.sealed_output_info(CHAIN_ID, MARKET, job.job_id, ALICE, alice.output_commitment)
    assert open_sealed(alice.sealed_output, SECRETS.response_private_key, info) == encode_output(
        package.run(rows), package.manifest
    )


def test_answer__the_same_input_with_and_without_a_verifier__gives_commitments_that_nobody_can_compare(bench, model):
    rows = model[1].rows[:1]
    with_one = bench.worker().answer(provable(bench, rows))
    without = bench.worker().answer(bench.job(encode_input(rows, bench.package.manifest)))
    assert with_one.output_commitment != without.output_commitment


def test_answer__question_put_to_referees__gets_the_same_commitment(bench, plaintext):  # CHAL-8
    job = bench.job(plaintext)
    asked = job.request.for_referees(Assurance(Level.AGREED, 7, 4), nonce=2)
    again = bench.job(plaintext, nonce=2, assurance=asked.assurance)
    assert again.request == asked
    first, second = (bench.worker().answer(one) for one in (job, again))
    assert first.output_commitment == second.output_commitment
    assert first.commitment != second.commitment


def test_answer__commitment_to_another_pad__is_refused_before_the_work(bench, model, monkeypatch):  # JOB-13
    monkeypatch.setattr(PlainInference, "run", lambda *args: pytest.fail("the model was run"))
    rows = model[1].rows[:1]
    other = proving.commit_pad(proving.circuit_of(bench.package.manifest), 1, bytes(32))
    assert refused(bench.worker(), provable(bench, rows, pad=other)) is RefusalReason.COMMITMENT_MISMATCH


def test_answer__commitment_of_the_proof_to_another_input__is_refused_before_the_work(bench, model, monkeypatch):
    """JOB-13: a proof about it would say that honest workers were wrong."""
    monkeypatch.setattr(PlainInference, "run", lambda *args: pytest.fail("the model was run"))
    rows = model[1].rows
    job = provable(bench, rows[:1], committed_rows=rows[1:2])
    assert refused(bench.worker(), job) is RefusalReason.COMMITMENT_MISMATCH


def test_answer__verifier_without_a_commitment_for_proofs__is_refused(bench, plaintext):  # JOB-13
    assert refused(bench.worker(), bench.job(plaintext, verifier=1)) is RefusalReason.COMMITMENT_MISMATCH


def test_answer__commitment_for_proofs_without_a_verifier__is_refused(bench, model):  # JOB-13
    assert refused(bench.worker(), provable(bench, model[1].rows[:1], verifier=0)) is RefusalReason.COMMITMENT_MISMATCH


def test_answer__more_rows_than_a_proof_can_show__is_refused(bench, model):
    package, heldout = model
    most = most_provable_rows(package.manifest.outputs)
    rows = np.repeat(heldout.rows, 3, axis=0)[: most + 1]
    job = bench.job(encode_input(rows, package.manifest), verifier=1)
    assert refused(bench.worker(), job) is RefusalReason.OUTPUT_TOO_LARGE
    assert bench.worker().circuit_digests(bench.worker().open(provable(bench, rows[:most])))


def test_answer__proof_system_missing__refuses_what_names_a_verifier_and_nothing_else(bench, model):
    def missing():
        raise ProofSystemMissing("no such library")

    worker = bench.worker(proofs=missing)
    rows = model[1].rows[:1]
    assert refused(worker, provable(bench, rows)) is RefusalReason.OTHER
    assert worker.answer(bench.job(encode_input(rows, bench.package.manifest)))


# ------------------------------------------------------------------ blobs: BLOB-1


@pytest.mark.parametrize("damage", ["missing", "cut", "longer", "altered"])
def test_answer__ciphertext_that_no_store_has_intact__is_missing(bench, plaintext, damage):
    job = bench.job(plaintext)
    path = bench.path(job.request.ciphertext_hash)
    content = path.read_bytes()
    _damage(path, content, damage)
    with pytest.raises(CiphertextMissing):
        bench.worker().answer(job)


@pytest.mark.parametrize("damage", ["missing", "cut", "longer", "altered"])
@pytest.mark.parametrize("which", ["manifest", "weights"])
def test_answer__model_that_no_store_has_intact__is_refused(bench, plaintext, which, damage):
    path = bench.path(bench.manifest_id if which == "manifest" else bench.weights_id)
    _damage(path, path.read_bytes(), damage)
    assert refused(bench.worker(), bench.job(plaintext)) is RefusalReason.MODEL_UNAVAILABLE


def _damage(path, content, damage):
    if damage == "missing":
        path.unlink()
    else:
        flipped = content[:40] + bytes([content[40] ^ 1]) + content[41:]
        path.write_bytes({"cut": content[:-1], "longer": content + b"\0", "altered": flipped}[damage])


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"weights":{"sha256":"zz","bytes":1}}',
        b'{"weights":{"sha256":"' + b"0" * 62 + b'"}}',
    ],
)
def test_answer__published_manifest_of_nonsense__is_refused(bench, plaintext, manifest):
    worker = bench.worker(version_has=bench.blobs.put(manifest))
    assert refused(worker, bench.job(plaintext)) is RefusalReason.MODEL_UNAVAILABLE


def test_answer__manifest_that_names_other_weights__is_refused(bench, plaintext):
    digits = load_package(MODELS / "digits")
    other = bench.package.manifest_bytes.replace(
        bench.weights_id.hex().encode(), bench.blobs.put(digits.weights_bytes).hex().encode()
    )
    worker = bench.worker(version_has=bench.blobs.put(other))
    assert refused(worker, bench.job(plaintext)) is RefusalReason.MODEL_UNAVAILABLE


def test_answer__store_away__is_like_a_missing_blob(bench, plaintext, monkeypatch):
    job = bench.job(plaintext)
    warm, cold = bench.worker(), bench.worker()
    warm.answer(job)

    def away(*args):
        raise StoreUnavailable("the store does not answer")

    monkeypatch.setattr(BlobStores, "get", away)
    assert refused(cold, job) is RefusalReason.MODEL_UNAVAILABLE
    with pytest.raises(CiphertextMissing):
        warm.answer(job)


# ------------------------------------------------------------------ the cache of packages


def test_cache__second_use__reads_nothing(bench, monkeypatch):
    cache = PackageCache(bench.blobs, lambda version: bench.manifest_id)
    first = cache.get(VERSION)
    monkeypatch.setattr(BlobStores, "get", lambda *args: pytest.fail("read again"))
    assert cache.get(VERSION) is first


def test_cache__full__drops_the_least_recently_used(bench):
    asked = []

    def manifest_of(version):
        asked.append(version[0])
        return bench.manifest_id

    cache = PackageCache(bench.blobs, manifest_of, size=2)
    for number in (1, 2, 1, 3, 1, 2, 3):
        cache.get(VersionId(bytes([number]) * 32))
    assert asked == [1, 2, 3, 2, 3]


def test_cache__failure__is_not_remembered(bench):
    ids = [BlobId(bytes(32)), bench.manifest_id]
    cache = PackageCache(bench.blobs, lambda version: ids.pop(0))
    with pytest.raises(BlobMissing):
        cache.get(VERSION)
    assert cache.get(VERSION).digest == bench.manifest_id


def test_fetch_package__published_hash__is_the_package(bench):
    assert fetch_package(bench.blobs, bench.manifest_id).manifest == bench.package.manifest


def test_fetch_package__store_that_checks_nothing__is_found_out(bench, monkeypatch):  # BLOB-1
    digits = load_package(MODELS / "digits")
    other = {bench.manifest_id: digits.manifest_bytes}
    monkeypatch.setattr(BlobStores, "get", lambda stores, blob, size: other.get(blob, digits.weights_bytes))
    with pytest.raises(InvalidPackage):
        fetch_package(bench.blobs, bench.manifest_id)
