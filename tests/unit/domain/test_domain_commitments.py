"""Hashes and derivations against docs/spec/commitments.md as tests/reference implements it."""

import json
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eth_account import Account
from eth_utils.address import to_checksum_address
from reference import plain_commitments as reference

from cloister.domain import commitments
from cloister.domain.commitments import JobContext
from cloister.domain.ids import Address, BlobId, JobId, VersionId
from cloister.domain.request import Assurance, Level, Request
from cloister.proving.model import derive_scalar
from cloister.sealing.envelope import encrypt_input
from cloister.sealing.hkdf import derive
from cloister.sealing.hpke import open_sealed, seal
from cloister.sealing.keys import JobSecrets, WorkerKeys
from cloister.sealing.vault import Vault

VECTORS = Path(__file__).parents[2] / "vectors" / "commitments.json"


@pytest.fixture(scope="module")
def vectors():
    return json.loads(VECTORS.read_text())


def raw(text):
    return bytes.fromhex(text[2:])


def request_of(fields):
    return Request(
        nonce=int(fields["nonce"]),
        version=VersionId(raw(fields["version"])),
        assurance=Assurance(Level(fields["level"]), fields["seats"], fields["quorum"]),
        price_per_seat=int(fields["pricePerSeat"]),
        input_commitment=raw(fields["inputCommitment"]),
        ciphertext_hash=BlobId(raw(fields["ciphertextHash"])),
        ciphertext_size=fields["ciphertextSize"],
        response_key=raw(fields["responseKey"]),
        secret_hash=raw(fields["secretHash"]),
    )


def test_vectors__file__is_what_the_reference_computes(vectors):
    assert vectors == reference.vectors()


def test_keccak__published_values__agree():
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert reference.keccak(b"").hex() == empty
    assert reference.keccak(bytes(135)) != reference.keccak(bytes(136))


def test_x25519__openssl__agrees():
    private = bytes(range(32))
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    assert reference.x25519_public(private) == public


def test_tags__vectors__agree(vectors):
    for name, value in vectors["tags"].items():
        assert commitments.domain_tag(name) == raw(value)


def test_requester__derivations__agree_with_the_vectors(vectors):
    given, expected = vectors["inputs"], vectors["requester"]
    derived = JobSecrets.from_root(raw(given["root"]))
    assert derived.job_secret == raw(expected["jobSecret"])
    assert derived.seed_secret == raw(expected["seedSecret"])
    assert derived.response_private_key == raw(expected["responsePrivateKey"])
    assert derived.response_public_key == raw(expected["responseKey"])
    assert derived.nonce == int(expected["nonce"])
    assert derived.output_secret == raw(expected["outputSecret"])
    assert derive(derived.job_secret, "cloister/1/input-cipher") == raw(expected["inputCipherKey"])


def test_worker__derivations__agree_with_the_vectors(vectors):
    given, expected = vectors["inputs"], vectors["worker"]
    keys = WorkerKeys.from_secret(raw(given["workerSecret"]))
    assert keys.hpke_private_key == raw(expected["hpkePrivateKey"])
    assert keys.hpke_public_key == raw(expected["hpkePublicKey"])
    assert keys.result_key == raw(expected["resultKey"])
    assert keys.signer == Account.from_key(raw(expected["resultKey"])).address
    assert keys.salt(JobId(raw(vectors["hashes"]["jobId"])), given["round"]) == raw(expected["salt"])


def test_input_cipher__vectors__key_nonce_and_associated_data_are_those_of_the_page(vectors):
    version = raw(vectors["hashes"]["versionId"])
    plaintext = raw(vectors["inputs"]["plaintext"])
    cipher = AESGCM(raw(vectors["requester"]["inputCipherKey"]))
    expected = cipher.encrypt(bytes(12), plaintext, version)
    assert encrypt_input(plaintext, raw(vectors["requester"]["jobSecret"]), VersionId(version)) == expected


def test_vault__what_it_closed__opens_with_the_key_and_layout_of_the_page(vectors):
    job_id = JobId(raw(vectors["hashes"]["jobId"]))
    root = raw(vectors["inputs"]["root"])
    vault = Vault(raw(vectors["inputs"]["accountKey"]))
    sealed = vault.close(root, job_id)
    assert len(sealed) == 12 + 32 + 16
    cipher = AESGCM(raw(vectors["requester"]["journalKey"]))
    assert cipher.decrypt(sealed[:12], sealed[12:], job_id) == root
    assert vault.open(sealed, job_id) == root
    assert vault.close(root, job_id) != sealed  # a fresh iv each time


def test_hashes__vectors__agree(vectors):
    given, expected = vectors["inputs"], vectors["hashes"]
    addresses = {
        name: Address(to_checksum_address(given[name]))
        for name in ("market", "modelRegistry", "requester", "owner", "worker")
    }
    request = request_of(vectors["request"])
    version = commitments.version_id(
        given["chainId"], addresses["modelRegistry"], addresses["owner"], raw(expected["manifestHash"])
    )
    job_id = request.job_id(given["chainId"], addresses["market"], addresses["requester"])
    context = JobContext(given["chainId"], addresses["market"], job_id)
    secrets = JobSecrets.from_root(raw(given["root"]))
    salt = raw(vectors["worker"]["salt"])
    committed = context.output_commitment(secrets.output_secret, raw(given["output"]))
    binding = commitments.input_binding(secrets.job_secret, secrets.response_public_key, raw(given["plaintext"]))
    computed = {
        "versionId": version,
        "jobId": job_id,
        "secretHash": commitments.secret_hash(secrets.seed_secret),
        "inputBinding": binding,
        "inputCommitment": commitments.input_commitment(binding),
        "sealedKeyInfo": context.sealed_key_info(
            addresses["requester"], request, addresses["worker"], given["keyEpoch"]
        ),
        "seed": commitments.seed(job_id, raw(given["prevrandao"]), secrets.seed_secret),
        "committeeHash": commitments.committee_hash([Address(a) for a in given["committee"]]),
        "outputCommitment": committed,
        "commitment": context.commitment(addresses["worker"], committed, salt, given["round"]),
        "sealedOutputInfo": context.sealed_output_info(addresses["worker"], committed),
    }
    for name, value in computed.items():
        assert value == raw(expected[name]), name
    assert computed.keys() | {"manifestHash"} == expected.keys()


def test_proved__vectors__agree(vectors):
    given, hashes, expected = vectors["inputs"], vectors["hashes"], vectors["proved"]
    market, registry, worker = (Address(to_checksum_address(given[n])) for n in ("market", "modelRegistry", "worker"))
    context = JobContext(given["chainId"], market, JobId(raw(hashes["jobId"])))
    on_chain = commitments.circuit_input(raw(given["inputDigest"]), raw(given["padDigest"]))
    computed = {
        "circuitInput": on_chain,
        "inputCommitment": commitments.input_commitment(raw(hashes["inputBinding"]), on_chain),
        "maskedOutput": commitments.masked_output(raw(given["padDigest"]), raw(given["masked"])),
        "proofContext": context.proof_context(worker),
        "weightsContext": commitments.weights_context(given["chainId"], registry, VersionId(raw(hashes["versionId"]))),
    }
    assert {name: "0x" + value.hex() for name, value in computed.items()} == expected


def test_scalars__vectors__are_what_the_proof_system_derives(vectors):
    secret = raw(vectors["requester"]["jobSecret"])
    for info, value in vectors["scalars"].items():
        assert derive_scalar(secret, f"cloister/1/{info}") == int(value, 16)


def test_hashes__random_inputs__agree_with_the_reference():
    rng = random.Random(20260726)
    for _ in range(40):
        chain_id, epoch, round_ = rng.randrange(1, 2**64), rng.randrange(2**64), rng.randrange(2**32)
        market, requester, worker = ("0x" + rng.randbytes(20).hex() for _ in range(3))
        fields = {
            "nonce": rng.randrange(2**256),
            "version": rng.randbytes(32),
            "level": 1,
            "seats": 15,
            "quorum": rng.randint(8, 15),
            "pricePerSeat": rng.randrange(2**96),
            "inputCommitment": rng.randbytes(32),
            "ciphertextHash": rng.randbytes(32),
            "ciphertextSize": rng.randrange(2**32),
            "responseKey": rng.randbytes(32),
            "secretHash": rng.randbytes(32),
        }
        request = request_of({k: "0x" + v.hex() if isinstance(v, bytes) else v for k, v in fields.items()})
        job_id = request.job_id(chain_id, Address(market), Address(requester))
        assert job_id == reference.job_id(chain_id, market, requester, fields)
        context = JobContext(chain_id, Address(market), job_id)
        info = reference.sealed_key_info(chain_id, market, job_id, requester, fields, worker, epoch)
        assert context.sealed_key_info(Address(requester), request, Address(worker), epoch) == info
        one, two = rng.randbytes(32), rng.randbytes(32)
        expected = reference.commitment(chain_id, market, job_id, round_, worker, one, two)
        assert context.commitment(Address(worker), one, two, round_) == expected
        data = rng.randbytes(rng.randrange(300))
        assert context.output_commitment(one, data) == reference.output_commitment(job_id, one, data)
        binding = commitments.input_binding(one, two, data)
        assert binding == reference.input_binding(one, two, data)
        assert commitments.input_commitment(binding) == reference.input_commitment(binding)
        on_chain = commitments.circuit_input(one, two)
        assert on_chain == reference.circuit_input(one, two)
        assert commitments.input_commitment(binding, on_chain) == reference.input_commitment(binding, on_chain)
        assert commitments.masked_output(two, data) == reference.masked_output(two, data)
        proof_context = reference.proof_context(chain_id, market, job_id, worker)
        assert context.proof_context(Address(worker)) == proof_context
        weights_context = reference.weights_context(chain_id, market, one)
        assert commitments.weights_context(chain_id, Address(market), VersionId(one)) == weights_context
        committee = ["0x" + rng.randbytes(20).hex() for _ in range(rng.randrange(16))]
        assert commitments.committee_hash([Address(a) for a in committee]) == reference.committee_hash(committee)


def test_request__escrow__is_seats_times_price():  # JOB-1
    assert request_of(reference.vectors()["request"]).escrow == 3 * (10**15 + 7)


def test_sealed_messages__infos_of_the_vectors__open_and_nothing_else_does(vectors):
    private, public = raw(vectors["worker"]["hpkePrivateKey"]), raw(vectors["worker"]["hpkePublicKey"])
    for name in ("sealedKeyInfo", "sealedOutputInfo"):
        info = raw(vectors["hashes"][name])
        assert open_sealed(seal(b"message", public, info), private, info) == b"message"
