"""Keys of an enclave: new with each start, wiped at their end (PROMPT-2), and used for nothing that a host makes up."""

import secrets

import pytest
from support.enclaves import CONTEXT, MODELS, NOW, SECRETS, Ticking, a_job, load, local, open_model, sealed_model

from cloister.domain.answer import CannotServe, RefusalReason
from cloister.domain.attested import report_binding
from cloister.domain.typed import enrolment_digest, prompt_key_digest, refusal_digest
from cloister.enclave.clock import Clock
from cloister.enclave.errors import QuestionRefused
from cloister.enclave.keyring import MOST_PROMPT_KEYS
from cloister.enclave.secret import SLOT, NoRoomForSecrets, SecretPages
from cloister.fixedpoint import load_heldout
from cloister.sealing.signatures import signer_of

ROWS = load_heldout(MODELS / "breast-cancer").rows[:1]
HOUR = 3600


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture
def ticking():
    return Ticking()


@pytest.fixture
def client(ticking, model):
    found, _ = local(ticking=ticking)
    load(found, model)
    return found


def reason(client, job, ciphertext, **how):
    with pytest.raises(CannotServe) as refused:
        client.answer(job, ciphertext, open_version=how.pop("open_version", False), **how)
    return refused.value


# ------------------------------------------------------------------ what is public


def test_keys__two_starts__have_nothing_in_common():
    one, other = local()[0], local()[0]
    assert one.hpke_key != other.hpke_key
    assert one.signer != other.signer
    assert one.new_prompt_key(1, NOW + 9, NOW)[0] != other.new_prompt_key(1, NOW + 9, NOW)[0]


def test_binding__enclave__is_that_of_its_keys(client):
    assert client.binding() == report_binding(
        CONTEXT.chain_id, CONTEXT.registry, CONTEXT.worker, client.hpke_key, client.signer
    )


def test_prompt_key__signature__is_the_signers_over_what_the_registry_checks(client):
    key, signature = client.new_prompt_key(7, NOW + HOUR, NOW)
    digest = prompt_key_digest(CONTEXT.chain_id, CONTEXT.registry, CONTEXT.worker, 7, key, NOW + HOUR)
    assert signer_of(digest, signature) == client.signer


def test_enrol__loaded_version__is_signed_and_another_is_not(client, model):
    digest = enrolment_digest(CONTEXT.chain_id, CONTEXT.registry, CONTEXT.worker, model.version, 3)
    assert signer_of(digest, client.enrol(model.version, 3)) == client.signer
    client.forget(model.version)
    with pytest.raises(QuestionRefused, match="loaded"):
        client.enrol(model.version, 3)


# ------------------------------------------------------------------ prompt keys: PROMPT-1, PROMPT-2


def test_answer__input_sealed_to_a_live_prompt_key__opens_at_both_ends_of_a_rotation(client, model):
    first, _ = client.new_prompt_key(1, NOW + HOUR, NOW)
    second, _ = client.new_prompt_key(2, NOW + 2 * HOUR, NOW + 1800)
    for epoch, key in ((1, first), (2, second)):
        assert client.answer(*a_job(model, ROWS, key, epoch=epoch), open_version=False)


@pytest.mark.parametrize("how", ["the host tells the time", "the host says nothing"])
def test_answer__prompt_key_that_was_wiped__opens_no_earlier_input(client, model, ticking, how):  # PROMPT-2
    old, _ = client.new_prompt_key(1, NOW + HOUR, NOW)
    job, ciphertext = a_job(model, ROWS, old)
    assert client.answer(job, ciphertext, open_version=True)
    if how == "the host tells the time":
        assert client.tick(NOW + HOUR) == ((1,), ())
    else:
        ticking.seconds += HOUR
    client.new_prompt_key(2, NOW + 2 * HOUR, NOW + HOUR)
    refused = reason(client, job, ciphertext, open_version=True)
    assert refused.reason is RefusalReason.SEALED_KEY_DOES_NOT_OPEN
    assert refused.signature == b""  # the host could have had the key wiped for just this


def test_tick__time_that_runs_backwards__revives_nothing_and_stops_nothing(client, ticking):
    client.new_prompt_key(1, NOW + 100, NOW)
    client.tick(NOW + 50)
    client.tick(0)
    ticking.seconds += 50
    assert client.tick(1) == ((1,), ())


@pytest.mark.parametrize(("expires_in", "match"), [(0, "future"), (-5, "future"), (8 * 24 * HOUR, "week")])
def test_new_prompt_key__end_that_is_past_or_far__is_refused(client, expires_in, match):
    with pytest.raises(QuestionRefused, match=match):
        client.new_prompt_key(1, NOW + expires_in, NOW)


def test_new_prompt_key__epoch_before_the_newest__is_refused_and_the_same_is_made_again(client):
    client.new_prompt_key(5, NOW + HOUR, NOW)
    with pytest.raises(QuestionRefused, match="epoch 5"):
        client.new_prompt_key(4, NOW + HOUR, NOW)
    assert client.new_prompt_key(5, NOW + HOUR, NOW)[0] != client.new_prompt_key(5, NOW + HOUR, NOW)[0]


def test_new_prompt_key__more_than_fit__wipes_the_oldest(client, model):
    keys = [client.new_prompt_key(1, NOW + HOUR, NOW)[0] for _ in range(MOST_PROMPT_KEYS + 1)]
    job, ciphertext = a_job(model, ROWS, keys[0])
    assert reason(client, job, ciphertext).reason is RefusalReason.SEALED_KEY_DOES_NOT_OPEN
    assert client.answer(*a_job(model, ROWS, keys[1]), open_version=False)


def test_answer__prompt_key_of_another_epoch_or_permanent_info__does_not_open(client, model):
    key, _ = client.new_prompt_key(1, NOW + HOUR, NOW)
    for wrong in ({"epoch": 2}, {"prompt": False}):
        job, ciphertext = a_job(model, ROWS, key, **wrong)
        assert reason(client, job, ciphertext).reason is RefusalReason.SEALED_KEY_DOES_NOT_OPEN


def test_answer__permanent_key__serves_open_versions_only(client, model):  # PROMPT-1
    job, ciphertext = a_job(model, ROWS, client.hpke_key, epoch=3, prompt=False)
    assert client.answer(job, ciphertext, open_version=True)
    assert client.answer(job, ciphertext, open_version=True, key_epochs=(3,))
    for how in ({"open_version": False}, {"open_version": True, "key_epochs": (2,)}):
        assert reason(client, job, ciphertext, **how).reason is RefusalReason.SEALED_KEY_DOES_NOT_OPEN


def test_answer__sealed_model__takes_no_permanent_key_whatever_the_host_says(client):  # PROMPT-1
    sealed = sealed_model()
    load(client, sealed)
    job, ciphertext = a_job(sealed, ROWS, client.hpke_key, epoch=3, prompt=False)
    refused = reason(client, job, ciphertext, open_version=True)
    assert refused.reason is RefusalReason.SEALED_KEY_DOES_NOT_OPEN


def test_answer__sealed_to_this_enclave_but_no_key__is_refused_with_its_word(client, model):  # SIG-2
    key, _ = client.new_prompt_key(1, NOW + HOUR, NOW)
    job, ciphertext = a_job(model, ROWS, key, job_secret=b"short")
    refused = reason(client, job, ciphertext)
    assert refused.reason is RefusalReason.SEALED_KEY_DOES_NOT_OPEN
    sealed = job.sealed_keys[0]
    digest = refusal_digest(CONTEXT.chain_id, CONTEXT.market, job.job_id, CONTEXT.worker, sealed, refused.reason)
    assert signer_of(digest, refused.signature) == client.signer


# ------------------------------------------------------------------ memory and time


def test_secret__wiped__is_zero_and_cannot_be_used():
    pages = SecretPages()
    key = secrets.token_bytes(32)
    secret = pages.new(key)
    at = secret._at
    assert secret.use() == key
    assert key.hex() not in repr(secret)
    secret.wipe()
    secret.wipe()
    assert pages.read(at, SLOT) == bytes(SLOT)
    with pytest.raises(ValueError, match="wiped"):
        secret.use()


def test_secret_pages__full__say_so_and_have_room_again():
    pages = SecretPages()
    kept = [pages.new(b"x") for _ in range(len(pages) // SLOT)]
    with pytest.raises(NoRoomForSecrets):
        pages.new(b"y")
    kept[0].wipe()
    assert pages.new(b"y").use() == b"y"
    with pytest.raises(NoRoomForSecrets):
        SecretPages().new(bytes(SLOT + 1))


def test_keyring__wiped_prompt_key__is_in_no_slot():
    private = bytes(range(32))
    drawn = iter((b"\x01" * 32, b"\x02" * 32))
    client, enclave = local()
    enclave.keyring._random = lambda size: private
    client.new_prompt_key(1, NOW + 10, NOW)
    pages = enclave.keyring._pages
    assert private in pages.read(0, len(pages))
    client.tick(NOW + 10)
    assert private not in pages.read(0, len(pages))
    assert next(drawn)


def test_clock__first_word_counts_and_later_ones_only_move_on():
    ticking = Ticking()
    clock = Clock(ticking, lambda: 5_000)
    assert clock.now() == 5_000
    clock.tell(1_000)
    ticking.seconds = 10
    assert clock.now() == 1_010
    clock.tell(900)
    assert clock.now() == 1_010
    clock.tell(2_000)
    assert clock.now() == 2_000


def test_text_forms__of_everything_with_keys__show_none():
    client, enclave = local()
    keyring = enclave.keyring
    shown = repr(keyring._hpke) + repr(keyring._prompts) + repr(vars(client))
    for secret in (keyring._hpke, keyring._result, keyring._salts):
        assert secret.use().hex() not in shown
        assert repr(secret.use())[2:-1] not in shown
    assert SECRETS.job_secret.hex() not in shown
