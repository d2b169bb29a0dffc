"""Proofs beside everything else that a worker does: started once, asked for again, forgotten in time."""

import builtins
import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs import ALICE, MARKET, REQUESTER
from support.proofs import HashProofs

from cloister.chain.models import RegisteredCircuit
from cloister.domain.answer import CannotServe, RefusalReason
from cloister.domain.commitments import (
    JobContext,
    circuit_input,
    input_binding,
    input_commitment,
    masked_output,
    secret_hash,
)
from cloister.domain.ids import BlobId, VersionId
from cloister.domain.job import Job, State
from cloister.domain.request import MAX_MASKED, Assurance, Request
from cloister.domain.typed import result_digest
from cloister.fixedpoint import encode_input, load_heldout, load_package
from cloister.inference import PackageCache, PlainInference
from cloister.proof_system import ProofSystemMissing, masked_bytes, most_provable_rows, proof_system
from cloister.proved import KEPT, ProvedInference
from cloister.sealing.envelope import encrypt_input
from cloister.sealing.hpke import seal
from cloister.sealing.keys import JobSecrets, WorkerKeys
from cloister.sealing.signatures import signer_of
from cloister.storage.blobs import BlobStore, BlobStores

MODEL = Path(__file__).parents[2] / "models" / "breast-cancer"
PACKAGE, ROWS = load_package(MODEL), load_heldout(MODEL).rows[:2]
CHAIN_ID, VERSION = 31337, VersionId(hashlib.sha256(b"a version").digest())
KEYS = WorkerKeys.from_secret(hashlib.sha256(b"worker").digest())
REGISTERED = RegisteredCircuit(
    1, bytes.fromhex(PACKAGE.manifest.circuit.descriptor), bytes.fromhex(PACKAGE.manifest.circuit.weights)
)


class Bench:
    def __init__(self, folder):
        self.blobs = BlobStores([BlobStore(str(folder), max_size=1 << 26)])
        self.blobs.put(PACKAGE.weights_bytes)
        self.manifest_id = self.blobs.put(PACKAGE.manifest_bytes)
        self.registered = REGISTERED

    def worker(self, proofs=HashProofs, **changes):
        packages = PackageCache(self.blobs, lambda version: self.manifest_id)
        plain = PlainInference(CHAIN_ID, MARKET, ALICE, lambda: [(0, KEYS)], packages, self.blobs, proofs)
        settings = {"circuit_of": lambda version: self.registered, "is_removed": lambda number: False, "trusted": 1}
        return ProvedInference(plain, **(settings | changes), proofs=proofs)

    def job(self, rows=ROWS, nonce=0, level="proved"):
        secrets = JobSecrets.from_root(hashlib.sha256(f"root {nonce}".encode()).digest())
        plaintext, proofs, circuit = encode_input(rows, PACKAGE.manifest), HashProofs(), None
        ciphertext = encrypt_input(plaintext, secrets.job_secret, VERSION)
        digests = (
            proofs.commit_input(circuit, rows.astype("int64"), secrets.job_secret),
            proofs.commit_pad(circuit, len(rows), secrets.job_secret),
        )
        binding = input_binding(secrets.job_secret, secrets.response_public_key, plaintext)
        request = Request(
            requester=REQUESTER,
            nonce=nonce,
            version=VERSION,
            assurance=Assurance.parse(level),
            verifier=REGISTERED.verifier,
            price_per_seat=1,
            lock_each=10**9,
            input_commitment=input_commitment(binding, circuit_input(*digests)),
            ciphertext_hash=self.blobs.put(ciphertext),
            ciphertext_size=len(ciphertext),
            response_key=secrets.response_public_key,
            secret_hash=secret_hash(secrets.seed_secret),
        )
        job_id = request.job_id(CHAIN_ID, MARKET)
        info = JobContext(CHAIN_ID, MARKET, job_id).sealed_key_info(request, ALICE, 0)
        sealed = (seal(secrets.job_secret, KEYS.hpke_public_key, info),)
        return Job(job_id, request, 7, State.READY, 2000, (ALICE,), sealed)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def made(worker, job):
    """The proof, once it is there."""
    for _ in range(2_000):
        if (answer := worker.prove(job)) is not None:
            return answer
        threading.Event().wait(0.005)
    raise AssertionError("the proof is not made")


def refused(worker, job):
    with pytest.raises(CannotServe) as caught:
        made(worker, job)
    return caught.value.reason


def test_prove__honest_job__opens_the_input_commitment_and_masks_the_output(bench):
    job = bench.job()
    answer = made(bench.worker(), job)
    digests = (answer.input_digest, answer.pad_digest)
    assert input_commitment(answer.input_binding, circuit_input(*digests)) == job.request.input_commitment
    assert len(answer.masked) == masked_bytes(PACKAGE.manifest.outputs, len(ROWS)) == 128
    assert masked_output(answer.pad_digest, answer.masked) not in (job.request.input_commitment, bytes(32))


@pytest.mark.parametrize("level", ["attested", "proved"])
def test_prove__for_a_dispute__carries_no_signature(bench, level):
    """A host could answer with it in the name of its enclave, before that has seen the job."""
    job = bench.job(level=level)
    answer = made(bench.worker(), job)
    assert (answer.signature == b"") is (level == "attested")
    if level == "proved":
        output = masked_output(answer.pad_digest, answer.masked)
        digest = result_digest(CHAIN_ID, MARKET, job.job_id, output, answer.masked)
        assert signer_of(digest, answer.signature) == KEYS.signer


def test_prove__output_that_the_worker_answered__is_the_same(bench):
    job = bench.job(level="attested")
    worker = bench.worker()
    answer = made(worker, job)
    assert worker._plain.answer(job).output_commitment == masked_output(answer.pad_digest, answer.masked)


@pytest.mark.parametrize(("outputs", "most"), [(1, 256), (2, 128), (3, 64), (10, 16), (256, 1), (257, 0)])
def test_most_provable_rows__one_more__is_too_many(outputs, most):
    assert most_provable_rows(outputs) == most
    assert masked_bytes(outputs, most + 1) > MAX_MASKED
    if most:
        assert masked_bytes(outputs, most) <= MAX_MASKED


def test_prove__asked_again__is_made_once_and_stays_at_hand(bench):
    gate, calls = threading.Event(), []

    class Gated(HashProofs):
        def prove_job(self, *arguments):
            calls.append(threading.current_thread().name)
            gate.wait(10)
            return super().prove_job(*arguments)

    worker, job = bench.worker(Gated), bench.job()
    assert [worker.prove(job) for _ in range(5)] == [None] * 5
    gate.set()
    answer = made(worker, job)
    assert worker.prove(job) is answer
    assert calls == ["prover"]


def test_prove__two_jobs__are_proved_one_after_the_other(bench):
    gate, running = threading.Event(), []

    class Gated(HashProofs):
        def prove_job(self, *arguments):
            running.append(True)
            gate.wait(10)
            return super().prove_job(*arguments)

    worker, jobs = bench.worker(Gated), [bench.job(nonce=nonce) for nonce in range(2)]
    for job in jobs:
        assert worker.prove(job) is None
    threading.Event().wait(0.1)
    assert running == [True]
    gate.set()
    assert len({made(worker, job).masked for job in jobs}) == 2


def test_prove__after_an_error__starts_afresh(bench):
    tries = []

    class Shaky(HashProofs):
        def prove_job(self, *arguments):
            tries.append(True)
            if len(tries) == 1:
                raise ValueError("out of luck")
            return super().prove_job(*arguments)

    worker, job = bench.worker(Shaky), bench.job()
    assert refused(worker, job) is RefusalReason.OTHER
    assert made(worker, job)


def test_prove__many_jobs__forgets_the_oldest(bench):
    worker, jobs = bench.worker(), [bench.job(nonce=nonce) for nonce in range(KEPT + 4)]
    for job in jobs:
        made(worker, job)
    worker.prove(bench.job(nonce=99))
    assert len(worker._tasks) <= KEPT + 1
    assert jobs[-1].job_id in worker._tasks
    assert jobs[0].job_id not in worker._tasks


def test_prove__same_version_again__commits_to_the_weights_once(bench):
    calls = []

    class Counting(HashProofs):
        @staticmethod
        def commit_model(package):
            calls.append(package)
            return HashProofs.commit_model(package)

    worker = bench.worker(Counting)
    for nonce in range(3):
        made(worker, bench.job(nonce=nonce))
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"circuit_of": lambda version: None}, RefusalReason.MODEL_UNAVAILABLE),
        ({"is_removed": lambda number: True}, RefusalReason.MODEL_UNAVAILABLE),
        ({"trusted": None}, RefusalReason.OTHER),
        ({"trusted": 2}, RefusalReason.OTHER),
        ({"circuit_of": lambda version: replace(REGISTERED, weights=bytes(32))}, RefusalReason.MODEL_UNAVAILABLE),
        ({"circuit_of": lambda version: replace(REGISTERED, circuit=bytes(32))}, RefusalReason.MODEL_UNAVAILABLE),
    ],
    ids=["no circuit", "verifier removed", "no verifier known", "another verifier", "other weights", "other circuit"],
)
def test_prove__version_that_cannot_be_proved__is_refused(bench, changes, reason):  # JOB-32
    assert refused(bench.worker(**changes), bench.job()) is reason


def test_prove__ciphertext_that_does_not_open__is_refused(bench):
    job = bench.job()
    other = bench.blobs.put(bytes(job.request.ciphertext_size))
    forged = replace(job, request=replace(job.request, ciphertext_hash=BlobId(other)))
    assert refused(bench.worker(), forged) is RefusalReason.SEALED_KEY_DOES_NOT_OPEN
    assert refused(bench.worker(), replace(job, ciphertext=bytes(300))) is RefusalReason.COMMITMENT_MISMATCH


def test_proof_system__library_missing__says_which_and_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002
        if name == "cloister" and "proving" in fromlist:
            raise ImportError("No module named 'py_arkworks_bls12381'")
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ProofSystemMissing, match="py_arkworks_bls12381") as caught:
        proof_system()
    assert "pip install" in caught.value.hint


@pytest.mark.parametrize(("rows", "size"), [(1, 320), (2, 640), (3, 1280), (4, 1280), (5, 2560), (25, 10240)])
def test_masked_bytes__batch__is_filled_up_to_a_power_of_two(rows, size):
    assert masked_bytes(10, rows) == size


def test_worker__without_the_proof_system__refuses_with_the_reason(bench):
    def missing():
        raise ProofSystemMissing("no such library")

    assert refused(bench.worker(missing), bench.job()) is RefusalReason.OTHER


def test_prove__prover_that_fails__says_why_and_logs_no_secret(bench, capsys):
    class Broken(HashProofs):
        def prove_job(self, model, rows, context, secret):
            raise ValueError("a defect")

    job = bench.job()
    assert refused(bench.worker(Broken), job) is RefusalReason.OTHER
    told = "".join(capsys.readouterr())
    assert "a defect" in told
    secret = JobSecrets.from_root(hashlib.sha256(b"root 0").digest()).job_secret
    assert secret.hex() not in told
    assert repr(secret)[:12] not in told
