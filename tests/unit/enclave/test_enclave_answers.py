"""Jobs in an enclave: right answers, signed refusals only where the requester is at fault, and no word too many."""

import hashlib
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from reference import plain_commitments as reference
from support.enclaves import (
    CONTEXT,
    MARKET,
    MODELS,
    NOW,
    OWNER,
    SECRETS,
    WORKER,
    a_job,
    load,
    local,
    open_model,
    sealed_model,
)
from support.proofs import HashProofs

from cloister.domain.answer import CannotServe, RefusalReason
from cloister.domain.commitments import circuit_input, masked_output
from cloister.domain.typed import refusal_digest, result_digest
from cloister.enclave import messages as m
from cloister.enclave.answers import TOLD, Circuit
from cloister.enclave.errors import QuestionRefused
from cloister.fixedpoint import encode_input, encode_output, load_heldout
from cloister.inference import PlainInference
from cloister.sealing.hpke import open_sealed
from cloister.sealing.keys import WorkerKeys
from cloister.sealing.signatures import signer_of

REAL_MODELS = ["breast-cancer", "digits", "digits-cnn"]


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture(scope="module")
def rows():
    return load_heldout(MODELS / "breast-cancer").rows[:1]


@pytest.fixture
def client(model):
    found = local(proofs=HashProofs)[0]
    load(found, model)
    return found


@pytest.fixture
def key(client):
    return client.new_prompt_key(1, NOW + 600, NOW)[0]


def refusal(client, job, ciphertext):
    with pytest.raises(CannotServe) as refused:
        client.answer(job, ciphertext, open_version=False)
    return refused.value


def vouched(client, job, error):
    digest = refusal_digest(CONTEXT.chain_id, MARKET, job.job_id, WORKER, job.sealed_keys[0], error.reason)
    return signer_of(digest, error.signature) == client.signer


class OneStore:
    """Blob stores with one blob."""

    def __init__(self, data):
        self.data = data

    def get(self, blob, size):
        return self.data


# ------------------------------------------------------------------ right answers


@pytest.mark.parametrize("name", REAL_MODELS)
@pytest.mark.parametrize("make", [open_model, sealed_model])
def test_answer__held_out_rows__are_bit_for_bit_those_of_plain_inference(name, make):
    model, client = make(name), local()[0]
    load(client, model)
    key, _ = client.new_prompt_key(1, NOW + 600, NOW)
    rows = load_heldout(MODELS / name).rows[:2]
    job, ciphertext = a_job(model, rows, key)
    answer = client.answer(job, ciphertext, open_version=False)

    keys = WorkerKeys.from_secret(hashlib.sha256(b"plain").digest())
    plain_job, _ = a_job(model, rows, keys.hpke_public_key, epoch=0, prompt=False)
    packages = type("Packages", (), {"get": lambda self, version: model.package})()
    plain = PlainInference(CONTEXT.chain_id, MARKET, WORKER, lambda: [(0, keys)], packages, OneStore(ciphertext))
    expected = plain.answer(plain_job)
    assert answer.output_commitment == expected.output_commitment
    info = reference.sealed_output_info(CONTEXT.chain_id, MARKET, job.job_id, WORKER, answer.output_commitment)
    output = open_sealed(answer.sealed_output, SECRETS.response_private_key, info)
    assert output == open_sealed(expected.sealed_output, SECRETS.response_private_key, info)
    assert output == encode_output(model.package.run(rows), model.package.manifest)


def test_answer__signature_and_commitment__are_those_that_the_market_checks(client, model, rows, key):
    job, ciphertext = a_job(model, rows, key)
    answer = client.answer(job, ciphertext, open_version=False)
    digest = result_digest(CONTEXT.chain_id, MARKET, job.job_id, answer.output_commitment, answer.sealed_output)
    assert signer_of(digest, answer.signature) == client.signer
    assert answer.commitment == reference.commitment(
        CONTEXT.chain_id, MARKET, job.job_id, 0, WORKER, answer.output_commitment, answer.salt
    )


def test_answer__asked_again__commits_alike(client, model, rows, key):
    job, ciphertext = a_job(model, rows, key)
    first, second = (client.answer(job, ciphertext, open_version=False) for _ in range(2))
    assert (first.commitment, first.salt) == (second.commitment, second.salt)


def test_answer__two_enclaves__have_different_salts(model, rows):
    salts = set()
    for _ in range(2):
        client = local()[0]
        load(client, model)
        job, ciphertext = a_job(model, rows, client.new_prompt_key(1, NOW + 600, NOW)[0])
        salts.add(client.answer(job, ciphertext, open_version=False).salt)
    assert len(salts) == 2


def test_answer__input_of_several_pieces__arrives_whole(monkeypatch, client, model, rows, key):
    monkeypatch.setattr(m, "CHUNK", 50)
    job, ciphertext = a_job(model, rows, key)
    assert len(ciphertext) > 100
    assert client.answer(job, ciphertext, open_version=False)
    kinds = [m.question_of(data) for data in client._channel.asked[-4:]]
    assert isinstance(kinds[0], m.Ciphertext)
    assert kinds[-1].ciphertext == b""


def test_ciphertext__without_end__is_given_up(client, monkeypatch):
    monkeypatch.setattr("cloister.enclave.process.MAX_INPUT", 1000)
    for _ in range(2):
        client._ask(m.Ciphertext(bytes(900), False), m.Done)
        with pytest.raises(QuestionRefused, match="at most"):
            client._ask(m.Ciphertext(bytes(101), False), m.Done)


def test_host__sees__no_input_output_or_secret(client, model, rows, key):  # HOST-1
    job, ciphertext = a_job(model, rows, key)
    answer = client.answer(job, ciphertext, open_version=False)
    output = encode_output(model.package.run(rows), model.package.manifest)
    seen = (
        b"".join(client._channel.asked[-3:])
        + repr(answer).encode()
        + m.encoded(
            m.Answered(answer.commitment, answer.output_commitment, answer.salt, answer.sealed_output, answer.signature)
        )
    )
    for private in (encode_input(rows, model.package.manifest), output, SECRETS.job_secret, SECRETS.output_secret):
        assert private[:24] not in seen
        assert private[:24].hex().encode() not in seen


# ------------------------------------------------------------------ what the requester did wrong: SIG-2, SIG-3


def test_answer__input_that_is_not_committed_to__is_refused_with_the_enclaves_word(client, model, rows, key):
    job, ciphertext = a_job(model, rows, key, input_commitment=bytes(32))
    error = refusal(client, job, ciphertext)
    assert error.reason is RefusalReason.COMMITMENT_MISMATCH
    assert vouched(client, job, error)


def test_answer__ciphertext_under_another_secret__is_refused_with_the_enclaves_word(client, model, rows, key):
    job, ciphertext = a_job(model, rows, key, job_secret=b"\x05" * 32)
    error = refusal(client, job, ciphertext)
    assert error.reason is RefusalReason.COMMITMENT_MISMATCH
    assert vouched(client, job, error)


@pytest.mark.parametrize("plaintext", [b"", b"abc", bytes(119), b"\x7f" * 120])
def test_answer__input_that_the_model_does_not_take__is_refused_with_the_enclaves_word(client, model, key, plaintext):
    job, ciphertext = a_job(model, plaintext, key)
    error = refusal(client, job, ciphertext)
    assert error.reason is RefusalReason.INVALID_INPUT
    assert vouched(client, job, error)
    assert error.message == TOLD[RefusalReason.INVALID_INPUT]


def test_answer__refusal__does_not_quote_the_input(client, model, rows, key):  # HOST-1
    strange = np.array(rows)
    strange[0, 0] = 123_456_789
    plaintext = b"".join(int(value).to_bytes(4, "big", signed=True) for value in strange.reshape(-1))
    error = refusal(client, *a_job(model, plaintext, key))
    assert error.reason is RefusalReason.INVALID_INPUT
    assert "123" not in str(error)
    assert "range" not in str(error)


# ------------------------------------------------------------------ what the host makes up: HOST-2


def test_answer__ciphertext_that_the_host_changed__gets_no_word_against_the_requester(client, model, rows, key):
    job, ciphertext = a_job(model, rows, key)
    for wrong in (ciphertext[:-1] + b"\0", ciphertext + b"\0", b"", bytes(len(ciphertext))):
        with pytest.raises(QuestionRefused, match="ciphertext"):
            client.answer(job, wrong, open_version=False)


def test_answer__sealed_key_that_the_host_made__gets_a_word_about_that_key_only(client, model, rows, key):
    job, ciphertext = a_job(model, rows, key)
    forged, _ = a_job(model, rows, key, job_secret=b"\x05" * 32)
    lie = replace(job, sealed_keys=forged.sealed_keys)
    error = refusal(client, lie, ciphertext)
    assert vouched(client, lie, error)
    assert not vouched(client, job, error)  # and the market knows which key was delivered


@pytest.mark.parametrize(
    "change",
    [
        {"response_key": b"\x09" + bytes(31)},
        {"input_commitment": bytes(32)},
        {"secret_hash": bytes(32)},
        {"price_per_seat": 1},
        {"nonce": 5},
        {"requester": OWNER},
        {"lock_each": 1},
        {"worker": WORKER},
        {"reputation": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_answer__request_that_the_host_changed__is_another_job(client, model, rows, key, change):
    job, ciphertext = a_job(model, rows, key)
    lie = replace(job, request=replace(job.request, **change))
    error = refusal(client, lie, ciphertext)
    assert error.reason is RefusalReason.SEALED_KEY_DOES_NOT_OPEN
    assert error.signature == b""


def test_answer__version_that_the_host_changed__opens_nothing(client, rows, model, key):
    other = open_model("digits")
    load(client, other)
    job, ciphertext = a_job(model, rows, key)
    lie = replace(job, request=replace(job.request, version=other.version))
    assert refusal(client, lie, ciphertext).signature == b""


@pytest.mark.parametrize("response_key", [bytes(32), b"\x01" + bytes(31)])
def test_answer__response_key_of_low_order__is_refused_without_a_word(client, model, rows, key, response_key):
    secrets = replace(SECRETS, response_public_key=response_key)
    error = refusal(client, *a_job(model, rows, key, secrets=secrets))
    assert error.reason is RefusalReason.OTHER
    assert error.signature == b""


def test_answer__model_that_is_not_loaded__is_refused_without_a_word(client, model, rows, key):
    client.forget(model.version)
    error = refusal(client, *a_job(model, rows, key))
    assert error.reason is RefusalReason.MODEL_UNAVAILABLE
    assert error.signature == b""


# ------------------------------------------------------------------ proofs


def proved_job(model, rows, key, secrets=SECRETS, level="proved"):
    proofs = HashProofs()
    digests = (
        proofs.commit_input(None, rows.astype("int64"), secrets.job_secret),
        proofs.commit_pad(None, len(rows), secrets.job_secret),
    )
    return a_job(model, rows, key, level=level, proofs=circuit_input(*digests), secrets=secrets)


def registered(model):
    record = model.package.manifest.circuit
    return Circuit(bytes.fromhex(record.descriptor), bytes.fromhex(record.weights), 1)


def made(client, job, ciphertext, circuit):
    for _ in range(2_000):
        answer = client.prove(job, ciphertext, circuit, open_version=False)
        if answer is not None:
            return answer
        time.sleep(0.005)
    raise AssertionError("the proof is not made")


def test_prove__job__is_begun_once_and_signed(client, model, rows, key):
    job, ciphertext = proved_job(model, rows, key)
    answer = made(client, job, ciphertext, registered(model))
    result = masked_output(answer.pad_digest, answer.masked)
    digest = result_digest(CONTEXT.chain_id, MARKET, job.job_id, result, answer.masked)
    assert signer_of(digest, answer.signature) == client.signer
    asked = [m.question_of(data) for data in client._channel.asked]
    assert [question.begin for question in asked if isinstance(question, m.Prove)].count(True) == 1
    assert made(client, job, ciphertext, registered(model)) == answer


def test_prove__while_one_is_made__other_questions_are_answered(model, rows):
    gate = threading.Event()

    class Gated(HashProofs):
        def prove_job(self, *arguments):
            gate.wait(10)
            return super().prove_job(*arguments)

    client = local(proofs=Gated)[0]
    load(client, model)
    key, _ = client.new_prompt_key(1, NOW + 600, NOW)
    job, ciphertext = proved_job(model, rows, key)
    assert client.prove(job, ciphertext, registered(model), open_version=False) is None
    assert client.answer(*a_job(model, rows, key), open_version=False)
    gate.set()
    assert made(client, job, ciphertext, registered(model))


def test_prove__job_of_another_level__and_answer_of_a_proved_one__are_no_questions(client, model, rows, key):
    # An answer would find the commitment broken, which it is not, and speak against the requester.
    with pytest.raises(QuestionRefused, match="to be proved"):
        client.answer(*proved_job(model, rows, key), open_version=False)
    with pytest.raises(QuestionRefused, match="names a verifier"):
        client.prove(*a_job(model, rows, key), registered(model), open_version=False)


@pytest.mark.parametrize("level", ["agreed(3,2)", "attested"])
def test_prove__answer_that_may_be_disputed__is_proved_and_not_signed(client, model, rows, key, level):
    """Signed, it could be sent as an answer by a host whose enclave gave none."""
    job, ciphertext = proved_job(model, rows, key, level=level)
    answer = client.answer(job, ciphertext, open_version=False)
    proof = made(client, job, ciphertext, registered(model))
    assert proof.signature == b""
    assert masked_output(proof.pad_digest, proof.masked) == answer.output_commitment
    digest = result_digest(CONTEXT.chain_id, MARKET, job.job_id, answer.output_commitment, answer.sealed_output)
    assert signer_of(digest, answer.signature) == client.signer


def test_answer__pad_that_is_not_committed_to__is_refused_with_the_enclaves_word(client, model, rows, key):  # JOB-13
    job, ciphertext = a_job(model, rows, key, proofs=circuit_input(bytes(32), bytes(32)))
    error = refusal(client, job, ciphertext)
    assert error.reason is RefusalReason.COMMITMENT_MISMATCH
    assert vouched(client, job, error)


def test_prove__circuit_that_the_host_makes_up__is_refused_without_a_word(client, model, rows, key):
    job, ciphertext = proved_job(model, rows, key)
    with pytest.raises(CannotServe) as refused:
        made(client, job, ciphertext, Circuit(bytes(32), bytes(32), 1))
    assert refused.value.reason is RefusalReason.MODEL_UNAVAILABLE
    assert refused.value.signature == b""


def test_prove__input_not_committed_to__is_refused_with_the_enclaves_word(client, model, rows, key):
    job, ciphertext = a_job(model, rows, key, level="proved", proofs=bytes(32))
    with pytest.raises(CannotServe) as refused:
        made(client, job, ciphertext, registered(model))
    assert refused.value.reason is RefusalReason.COMMITMENT_MISMATCH
    assert vouched(client, job, refused.value)


def test_prove__ciphertext_that_the_host_changed__begins_nothing(client, model, rows, key):
    job, ciphertext = proved_job(model, rows, key)
    with pytest.raises(QuestionRefused, match="ciphertext"):
        client.prove(job, bytes(len(ciphertext)), registered(model), open_version=False)
    assert made(client, job, ciphertext, registered(model))
