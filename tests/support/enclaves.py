"""Enclaves without a process, and jobs, models and brokers for those with one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from eth_utils.address import to_checksum_address

from cloister.domain.attested import key_share_info
from cloister.domain.commitments import (
    JobContext,
    input_binding,
    input_commitment,
    secret_hash,
    version_id,
)
from cloister.domain.ids import Address, BlobId, VersionId
from cloister.domain.job import Job, State
from cloister.domain.request import Assurance, Request
from cloister.enclave import messages as m
from cloister.enclave.client import Enclave as Client
from cloister.enclave.clock import Clock
from cloister.enclave.keyring import EnclaveContext
from cloister.enclave.process import Enclave
from cloister.enclave.secret import SecretPages
from cloister.fixedpoint import Package, encode_input, load_package
from cloister.fixedpoint.manifest import WEIGHTS_FILE, SealedFile, Sealing
from cloister.sealing import hybrid
from cloister.sealing.envelope import encrypt_input
from cloister.sealing.hpke import seal
from cloister.sealing.keys import JobSecrets
from cloister.sealing.shares import KeyShare, key_commitment, split
from cloister.sealing.stream import seal_file

MODELS = Path(__file__).parents[2] / "models"
MARKET, REGISTRY, MODEL_REGISTRY, WORKER, OWNER, REQUESTER = (
    Address(to_checksum_address(hashlib.sha256(name.encode()).digest()[:20]))
    for name in ("market", "registry", "models", "worker", "owner", "requester")
)
CONTEXT = EnclaveContext(31337, MARKET, REGISTRY, MODEL_REGISTRY, WORKER)
SECRETS = JobSecrets.from_root(hashlib.sha256(b"root").digest())
EVIDENCE = b"evidence that a broker judged"
NOW = 1_800_000_000


class Loop:
    """A channel to an enclave in this process; every message is encoded and decoded on its way."""

    def __init__(self, enclave: Enclave) -> None:
        self.enclave = enclave
        self.asked: list[bytes] = []
        self._answer = b""

    def send(self, payload: bytes, timeout: float | None = None) -> None:
        self.asked.append(payload)
        self._answer = m.encoded(self.enclave.reply(m.question_of(payload)))

    def receive(self, timeout: float | None = None) -> bytes:
        return self._answer

    def close(self) -> None:
        pass


class Ticking:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def local(context=CONTEXT, ticking=None, **changes) -> tuple[Client, Enclave]:
    """The host's side of an enclave in this process, and the enclave."""
    clock = Clock(ticking or Ticking(), lambda: NOW)
    enclave = Enclave(context, SecretPages(), clock, **changes)
    return Client(context, Loop(enclave), None, (), enclave.keyring.hpke_key, enclave.keyring.signer), enclave


def version_of(manifest: bytes, owner: Address = OWNER) -> VersionId:
    return version_id(CONTEXT.chain_id, CONTEXT.models, owner, hashlib.sha256(manifest).digest())


@dataclass(frozen=True)
class Model:
    """A published model; `stored` is what blob stores have of its weights."""

    package: Package
    manifest: bytes
    stored: bytes
    data_key: bytes = b""
    shares: tuple[KeyShare, ...] = ()

    @property
    def version(self) -> VersionId:
        return version_of(self.manifest)

    def chunks(self, size: int = 1 << 20) -> list[bytes]:
        return [self.stored[at : at + size] for at in range(0, len(self.stored), size)]


def open_model(name: str = "breast-cancer") -> Model:
    package = load_package(MODELS / name)
    return Model(package, package.manifest_bytes, package.weights_bytes)


def sealed_model(name: str = "breast-cancer", threshold: int = 2, count: int = 3, key: bytes = b"W" * 32) -> Model:
    package = load_package(MODELS / name)
    digest = bytes.fromhex(package.manifest.weights.sha256)
    stored = seal_file(key, WEIGHTS_FILE, package.weights_bytes, digest)
    shares = split(key, threshold, count)
    sealing = Sealing(
        algorithm="stream-aes-256-gcm",
        segment=1 << 20,
        weights=SealedFile(bytes=len(stored), sha256=hashlib.sha256(stored).hexdigest()),
        attachments=(),
        key=key_commitment(key).hex(),
        threshold=threshold,
        shares=tuple(share.commitment().hex() for share in shares),
    )
    return Model(package, replace(package.manifest, sealing=sealing).to_bytes(), stored, key, shares)


def release(model: Model, share: KeyShare, release_key: bytes, *, end: int = 0, key_epoch: int = 3, **changes) -> bytes:
    """What an honest broker answers; `changes` make it another."""
    about = {"version": model.version, "worker": WORKER, "index": share.index, "evidence": EVIDENCE} | changes
    info = key_share_info(
        CONTEXT.chain_id, REGISTRY, about["version"], about["worker"], key_epoch, about["index"], about["evidence"]
    )
    return hybrid.seal(share.value + share.salt + end.to_bytes(8), release_key, info)


def give_key(client: Client, model: Model, *, end: int = 0) -> None:
    """Take a sealed model's key to an enclave, as brokers and host would."""
    client.expect(model.version, OWNER, model.manifest)
    for share in model.shares:
        public, _ = client.begin_release(model.version, share.index.to_bytes(32))
        if client.add_share(model.version, EVIDENCE, 3, share.index, release(model, share, public, end=end)) == 0:
            return


def load(client: Client, model: Model, **changes) -> None:
    if model.shares:
        give_key(client, model, **changes)
    client.load(model.version, OWNER, model.manifest, model.chunks())


def a_job(
    model: Model,
    rows,
    key: bytes,
    *,
    epoch: int = 1,
    prompt: bool = True,
    level: str = "agreed(3,2)",
    secrets: JobSecrets = SECRETS,
    proofs=None,
    job_secret: bytes | None = None,
    **changes,
) -> tuple[Job, bytes]:
    """A job whose input key is sealed to `key`, and its ciphertext. `changes` are fields of the request."""
    plaintext = rows if isinstance(rows, bytes) else encode_input(rows, model.package.manifest)
    ciphertext = encrypt_input(plaintext, secrets.job_secret, model.version)
    binding = input_binding(secrets.job_secret, secrets.response_public_key, plaintext)
    request = Request(
        requester=REQUESTER,
        nonce=secrets.nonce,
        version=model.version,
        assurance=Assurance.parse(level),
        verifier=0 if proofs is None else 1,
        price_per_seat=10**15,
        lock_each=20 * 10**15,
        input_commitment=input_commitment(binding) if proofs is None else input_commitment(binding, proofs),
        ciphertext_hash=BlobId(hashlib.sha256(ciphertext).digest()),
        ciphertext_size=len(ciphertext),
        response_key=secrets.response_public_key,
        secret_hash=secret_hash(secrets.seed_secret),
    )
    request = replace(request, **changes)
    job_id = request.job_id(CONTEXT.chain_id, MARKET)
    context = JobContext(CONTEXT.chain_id, MARKET, job_id)
    info = context.sealed_key_info(request, WORKER, epoch, prompt=prompt)
    sealed = seal(secrets.job_secret if job_secret is None else job_secret, key, info)
    return Job(job_id, request, 7, State.READY, 2000, (WORKER,), (sealed,)), ciphertext
