"""Hashes and derivations against docs/spec/commitments.md as tests/reference implements it."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eth_abi.abi import decode, encode
from eth_account import Account
from eth_utils.address import to_checksum_address
from reference import plain_commitments as reference

from cloister.domain import commitments
from cloister.domain.commitments import JobContext
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import NOBODY, Address, BlobId, JobId, VersionId
from cloister.domain.request import REQUEST_TYPE, Assurance, Level, Request
from cloister.domain.typed import membership_digest
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


def address(text):
    return Address(to_checksum_address(text))


def request_of(fields):
    return Request(
        requester=address(fields["requester"]),
        nonce=int(fields["nonce"]),
        version=VersionId(raw(fields["version"])),
        assurance=Assurance(Level(fields["level"]), fields["seats"], fields["quorum"]),
        verifier=fields["verifier"],
        owner_percent=fields["ownerPercent"],
        token=address(fields["token"]),
        price_per_seat=int(fields["pricePerSeat"]),
        lock_each=int(fields["lockEach"]),
        input_commitment=raw(fields["inputCommitment"]),
        ciphertext_hash=BlobId(raw(fields["ciphertextHash"])),
        ciphertext_size=fields["ciphertextSize"],
        response_key=raw(fields["responseKey"]),
        secret_hash=raw(fields["secretHash"]),
        worker=address(fields["worker"]),
        reputation=fields["reputation"],
        consumer=address(fields["consumer"]),
        consumer_gas=fields["consumerGas"],
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
    names = ("market", "modelRegistry", "nodeRegistry", "owner", "worker", "operator")
    addresses = {name: address(given[name]) for name in names}
    committee, keys = [address(a) for a in given["committee"]], [raw(key) for key in given["sealedKeys"]]
    request = request_of(vectors["request"])
    version = commitments.version_id(
        given["chainId"], addresses["modelRegistry"], addresses["owner"], raw(expected["manifestHash"])
    )
    job_id = request.job_id(given["chainId"], addresses["market"])
    context = JobContext(given["chainId"], addresses["market"], job_id)
    secrets = JobSecrets.from_root(raw(given["root"]))
    salt = raw(vectors["worker"]["salt"])
    committed = commitments.output_commitment(request.input_commitment, secrets.output_secret, raw(given["output"]))
    binding = commitments.input_binding(secrets.job_secret, secrets.response_public_key, raw(given["plaintext"]))
    computed = {
        "versionId": version,
        "briefHash": request.brief_hash(),
        "jobId": job_id,
        "secretHash": commitments.secret_hash(secrets.seed_secret),
        "inputBinding": binding,
        "inputCommitment": commitments.input_commitment(binding),
        "sealedKeyInfo": context.sealed_key_info(request, addresses["worker"], given["keyEpoch"]),
        "seed": commitments.seed(job_id, raw(given["prevrandao"]), secrets.seed_secret),
        "committeeHash": commitments.committee_hash(committee),
        "sealedKeysHash": commitments.sealed_keys_hash(keys),
        "committeeTag": commitments.committee_tag(job_id, keys, committee),
        "membership": membership_digest(
            given["chainId"], addresses["nodeRegistry"], addresses["worker"], addresses["operator"]
        ),
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
            "requester": requester,
            "nonce": rng.randrange(2**256),
            "version": rng.randbytes(32),
            "level": 1,
            "seats": 15,
            "quorum": rng.randint(8, 15),
            "verifier": rng.randrange(2**32),
            "ownerPercent": rng.randrange(51),
            "token": "0x" + rng.randbytes(20).hex(),
            "pricePerSeat": rng.randrange(2**96),
            "lockEach": rng.randrange(2**96),
            "inputCommitment": rng.randbytes(32),
            "ciphertextHash": rng.randbytes(32),
            "ciphertextSize": rng.randrange(2**32),
            "responseKey": rng.randbytes(32),
            "secretHash": rng.randbytes(32),
            "worker": "0x" + rng.randbytes(20).hex(),
            "reputation": rng.randrange(2**16),
            "consumer": "0x" + rng.randbytes(20).hex(),
            "consumerGas": rng.randrange(2**32),
        }
        request = request_of({k: "0x" + v.hex() if isinstance(v, bytes) else v for k, v in fields.items()})
        job_id = request.job_id(chain_id, Address(market))
        assert job_id == reference.job_id(chain_id, market, fields)
        context = JobContext(chain_id, Address(market), job_id)
        info = reference.sealed_key_info(chain_id, market, job_id, fields, worker, epoch)
        assert context.sealed_key_info(request, Address(worker), epoch) == info
        one, two = rng.randbytes(32), rng.randbytes(32)
        expected = reference.commitment(chain_id, market, job_id, round_, worker, one, two)
        assert context.commitment(Address(worker), one, two, round_) == expected
        data = rng.randbytes(rng.randrange(300))
        assert commitments.output_commitment(two, one, data) == reference.output_commitment(two, one, data)
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
        keys = [rng.randbytes(80) for _ in committee]
        tag = reference.committee_tag(job_id, keys, committee)
        assert commitments.committee_tag(job_id, keys, [Address(a) for a in committee]) == tag
        assert membership_digest(chain_id, Address(market), Address(worker), Address(requester)) == (
            reference.membership(chain_id, market, worker, requester)
        )


def test_request__escrow__is_seats_times_price_and_comes_along_in_coins_alone():  # JOB-1
    in_tokens = request_of(reference.vectors()["request"])
    assert (in_tokens.escrow, in_tokens.coins) == (3 * (10**15 + 7), 0)
    in_coins = replace(in_tokens, token=NOBODY)
    assert in_coins.coins == in_coins.escrow == in_tokens.escrow


def test_request__as_a_tuple_and_back__is_the_same_and_encodes_as_the_nested_type(vectors):
    request = request_of(vectors["request"])
    (decoded,) = decode([REQUEST_TYPE], encode([REQUEST_TYPE], [request.as_tuple()]))
    assert Request.of_tuple(decoded) == request


@pytest.mark.parametrize(
    "parts",
    [
        (),
        ((), ()),
        (1, 2),
        lambda terms, brief: (terms, brief[:-1]),
        lambda terms, brief: (terms, (*brief, 0)),
        lambda terms, brief: (terms[1:], brief),
        lambda terms, brief: (("0x12", *terms[1:]), brief),
        lambda terms, brief: ((terms[0], terms[1], 7, *terms[3:]), brief),
        lambda terms, brief: (terms, (*brief[:6], None, *brief[7:])),
    ],
)
def test_request__of_other_parts__raises(vectors, parts):
    terms, brief = request_of(vectors["request"]).as_tuple()
    with pytest.raises(InvalidInput):
        Request.of_tuple(parts(terms, brief) if callable(parts) else parts)


def test_request__every_field__is_in_its_job_id(vectors):  # JOB-2
    fields = vectors["request"]
    ids = {request_of(fields).job_id(1, NOBODY)}
    for name, value in fields.items():
        other = {"level": 2, "seats": 1, "quorum": 1} if name in ("level", "seats", "quorum") else {}
        if not other:
            plus = 1 + (int(value, 16) if isinstance(value, str) and value.startswith("0x") else int(value))
            width = len(value) - 2 if isinstance(value, str) and value.startswith("0x") else 0
            other = {name: f"0x{plus:0{width}x}" if width else plus}
        ids.add(request_of(fields | other).job_id(1, NOBODY))
    assert len(ids) == 1 + len(fields) - 2  # level, seats and quorum change together


def test_ticket__before_and_after_the_delivery__shows_what_the_market_has(vectors):
    request, given = request_of(vectors["request"]), vectors["inputs"]
    committee, keys = [address(a) for a in given["committee"]], [raw(key) for key in given["sealedKeys"]]
    before, after = request.ticket(), request.ticket(committee, [keys[0], b"", keys[1]])
    assert before.as_tuple() == (request.terms(), request.brief_hash(), [], bytes(32))
    shown = raw(vectors["hashes"]["sealedKeysHash"])
    assert after.as_tuple() == (request.terms(), raw(vectors["hashes"]["briefHash"]), committee, shown)


def test_referees__are_asked_the_same_and_are_nobody_elses(vectors):  # CHAL-8
    first = replace(request_of(vectors["request"]), verifier=7)
    asked = first.for_referees(Assurance(Level.AGREED, 7, 4), first.nonce ^ 1)
    same = ("requester", "version", "token", "owner_percent", "price_per_seat", "lock_each", "input_commitment")
    same += ("ciphertext_hash", "ciphertext_size", "response_key", "secret_hash")
    for name in same:
        assert getattr(asked, name) == getattr(first, name), name
    assert (asked.verifier, asked.worker, asked.reputation, asked.consumer, asked.consumer_gas) == (
        (0, NOBODY, 0, NOBODY, 0)
    )
    assert (asked.nonce, asked.assurance) == (first.nonce ^ 1, Assurance(Level.AGREED, 7, 4))
    secret, output = bytes(32), b"an output"
    one, other = (commitments.output_commitment(r.input_commitment, secret, output) for r in (first, asked))
    assert one == other


def test_sealed_messages__infos_of_the_vectors__open_and_nothing_else_does(vectors):
    private, public = raw(vectors["worker"]["hpkePrivateKey"]), raw(vectors["worker"]["hpkePublicKey"])
    for name in ("sealedKeyInfo", "sealedOutputInfo"):
        info = raw(vectors["hashes"][name])
        assert open_sealed(seal(b"message", public, info), private, info) == b"message"
