"""Hosts that lie about models, and brokers' shares that are not what they should be (HOST-2, SEAL-1, SEAL-2)."""

import hashlib
from dataclasses import replace

import pytest
from support.enclaves import (
    EVIDENCE,
    MODELS,
    NOW,
    OWNER,
    REQUESTER,
    WORKER,
    Model,
    Ticking,
    a_job,
    give_key,
    load,
    local,
    open_model,
    release,
    sealed_model,
    version_of,
)

from cloister.domain.answer import CannotServe, RefusalReason
from cloister.domain.attested import release_challenge
from cloister.enclave import messages as m
from cloister.enclave.errors import ModelRefused, QuestionRefused
from cloister.enclave.models import MOST_OPEN_LOADED
from cloister.fixedpoint import load_heldout, load_package
from cloister.fixedpoint.manifest import CircuitRecord
from cloister.proving import with_circuit
from cloister.sealing import hybrid
from cloister.sealing.shares import KeyShare, split

ROWS = load_heldout(MODELS / "breast-cancer").rows[:1]
NONCE = b"\x0b" * 32


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture(scope="module")
def sealed():
    return sealed_model()


@pytest.fixture
def ticking():
    return Ticking()


@pytest.fixture
def client(ticking):
    return local(ticking=ticking)[0]


def offered(client, model, share=0, **changes):
    """What is missing after a share was released as `changes` say."""
    public, _ = client.begin_release(model.version, NONCE)
    sent = release(model, model.shares[share], public, **changes)
    return client.add_share(model.version, EVIDENCE, 3, model.shares[share].index, sent)


# ------------------------------------------------------------------ open packages


@pytest.mark.parametrize("size", [1, 1000, 1 << 20, 3 << 20])
def test_load__open_package_in_chunks_of_any_size__is_loaded(client, model, size):
    client.load(model.version, OWNER, model.manifest, model.chunks(size if size > 1 else 37))
    assert client.loaded() == {model.version}


def test_load__again__changes_nothing(client, model):
    load(client, model)
    load(client, model)
    assert client.loaded() == {model.version}


@pytest.mark.parametrize("lie", ["owner", "manifest", "version"])
def test_load__owner_manifest_or_version_that_do_not_belong_together__are_refused(client, model, lie):
    other = open_model("digits")
    owner = REQUESTER if lie == "owner" else OWNER
    manifest = other.manifest if lie == "manifest" else model.manifest
    version = other.version if lie == "version" else model.version
    with pytest.raises(ModelRefused, match="not those of model version"):
        client.load(version, owner, manifest, model.chunks())
    assert client.loaded() == frozenset()


@pytest.mark.parametrize("lie", ["other version's", "altered", "cut", "longer", "empty"])
def test_load__weights_that_are_not_the_manifests__are_refused(client, model, lie):
    stored = model.stored
    wrong = {
        "other version's": open_model("digits").stored,
        "altered": stored[:-1] + bytes([stored[-1] ^ 1]),
        "cut": stored[:-1],
        "longer": stored + b"\0",
        "empty": b"",
    }[lie]
    with pytest.raises(ModelRefused):
        client.load(model.version, OWNER, model.manifest, [wrong])
    assert client.loaded() == frozenset()
    load(client, model)


def test_load__weights_without_a_manifest__are_refused(client, model):
    from cloister.enclave import messages as m

    with pytest.raises(QuestionRefused, match="is not here"):
        client._ask(m.Weights(model.version, b"x", True), m.Done)


def test_load__manifest_of_nonsense__is_refused(client):
    with pytest.raises(ModelRefused, match="manifest"):
        client.load(version_of(b"{}"), OWNER, b"{}", [b""])


def test_load__manifest_that_never_ends__is_given_up(client, model):
    with pytest.raises(ModelRefused, match="at most"):
        client.load(model.version, OWNER, b" " * (5 << 20), [b""])


def test_load__circuit_that_the_weights_do_not_have__is_refused(client):  # market rule 4
    package = with_circuit(load_package(MODELS / "breast-cancer"))
    lying = replace(
        package.manifest, circuit=CircuitRecord(descriptor=package.manifest.circuit.descriptor, weights="0" * 64)
    )
    model = Model(package, lying.to_bytes(), package.weights_bytes)
    with pytest.raises(ModelRefused, match="other weight commitments"):
        load(client, model)
    assert client.loaded() == frozenset()


def test_load__more_open_packages_than_fit__drops_the_least_recently_used(client):
    package = load_package(MODELS / "breast-cancer")
    models = []
    for number in range(MOST_OPEN_LOADED + 1):
        manifest = replace(package.manifest, description=f"number {number}", circuit=None).to_bytes()
        models.append(Model(package, manifest, package.weights_bytes))
        load(client, models[-1])
    assert client.loaded() == {model.version for model in models[1:]}


def test_forget__version__runs_no_more(client, model):
    load(client, model)
    key, _ = client.new_prompt_key(1, NOW + 60, NOW)
    job, ciphertext = a_job(model, ROWS, key)
    client.answer(job, ciphertext, open_version=False)
    client.forget(model.version)
    with pytest.raises(CannotServe) as refused:
        client.answer(job, ciphertext, open_version=False)
    assert refused.value.reason is RefusalReason.MODEL_UNAVAILABLE
    assert refused.value.signature == b""


# ------------------------------------------------------------------ key release


def test_begin_release__report_data__binds_keys_nonce_version_and_release_key(client, sealed):
    client.expect(sealed.version, OWNER, sealed.manifest)
    public, report_data = client.begin_release(sealed.version, NONCE)
    assert len(public) == hybrid.PUBLIC_KEY_BYTES
    assert report_data == client.binding() + release_challenge(NONCE, sealed.version, public)


def test_load__sealed_package_with_enough_shares__answers_as_the_open_one(client, model, sealed):
    load(client, sealed)
    assert client.loaded() == {sealed.version}
    key, _ = client.new_prompt_key(1, NOW + 60, NOW)
    answer = client.answer(*a_job(sealed, ROWS, key), open_version=False)
    assert len(answer.signature) == 65


def test_add_share__one_by_one__counts_down(client, sealed):
    client.expect(sealed.version, OWNER, sealed.manifest)
    assert [offered(client, sealed, share) for share in (2, 0, 1)] == [1, 0, 0]


def test_add_share__same_share_twice__counts_once(client, sealed):
    client.expect(sealed.version, OWNER, sealed.manifest)
    assert [offered(client, sealed, share) for share in (0, 0)] == [1, 1]


def test_add_share__replayed_release__does_not_open_again(client, sealed):
    client.expect(sealed.version, OWNER, sealed.manifest)
    public, _ = client.begin_release(sealed.version, NONCE)
    sent = release(sealed, sealed.shares[0], public)
    assert client.add_share(sealed.version, EVIDENCE, 3, 1, sent) == 1
    with pytest.raises(QuestionRefused, match="under way"):
        client.add_share(sealed.version, EVIDENCE, 3, 1, sent)
    client.begin_release(sealed.version, NONCE)
    with pytest.raises(ModelRefused, match="does not open"):
        client.add_share(sealed.version, EVIDENCE, 3, 1, sent)


def test_add_share__release_to_another_enclave__does_not_open(client, sealed):
    client.expect(sealed.version, OWNER, sealed.manifest)
    other = local()[0]
    other.expect(sealed.version, OWNER, sealed.manifest)
    public, _ = other.begin_release(sealed.version, NONCE)
    client.begin_release(sealed.version, NONCE)
    with pytest.raises(ModelRefused, match="does not open"):
        client.add_share(sealed.version, EVIDENCE, 3, 1, release(sealed, sealed.shares[0], public))


@pytest.mark.parametrize(
    "changes",
    [{"version": b"\x01" * 32}, {"worker": OWNER}, {"index": 2}, {"evidence": b"other"}, {"key_epoch": 4}],
    ids=lambda changes: next(iter(changes)),
)
def test_add_share__released_under_other_terms__does_not_open(client, sealed, changes):
    client.expect(sealed.version, OWNER, sealed.manifest)
    with pytest.raises(ModelRefused, match="under other terms"):
        offered(client, sealed, **changes)
    assert changes.get("worker") != WORKER


@pytest.mark.parametrize("wrong", ["value", "salt", "index", "another split"])
def test_add_share__share_that_the_manifest_does_not_commit_to__is_refused(client, sealed, wrong):  # SEAL-1
    client.expect(sealed.version, OWNER, sealed.manifest)
    share = sealed.shares[0]
    lie = {
        "value": KeyShare(1, bytes(32), share.salt),
        "salt": KeyShare(1, share.value, bytes(32)),
        "index": KeyShare(2, share.value, share.salt),
        "another split": split(b"V" * 32, 2, 3)[0],
    }[wrong]
    public, _ = client.begin_release(sealed.version, NONCE)
    with pytest.raises(ModelRefused, match="not the one that the manifest commits to"):
        client.add_share(sealed.version, EVIDENCE, 3, lie.index, release(sealed, lie, public))
    assert [offered(client, sealed, share) for share in (0, 1)] == [1, 0]


def test_add_share__index_out_of_range_or_short_share__is_refused(client, sealed):
    client.expect(sealed.version, OWNER, sealed.manifest)
    public, _ = client.begin_release(sealed.version, NONCE)
    with pytest.raises(ModelRefused):
        client.add_share(sealed.version, EVIDENCE, 3, 1, hybrid.seal(b"short", public, b""))
    with pytest.raises(ModelRefused):
        offered(client, replace(sealed, shares=(KeyShare(200, b"s" * 32, b"t" * 32),)))


def test_add_share__owner_who_committed_to_another_key__is_found_out(client, sealed):  # SEAL-1
    package = sealed.package
    other = sealed_model(key=b"V" * 32)
    lying = replace(
        package.manifest,
        sealing=replace(_sealing(sealed), key=_sealing(other).key),
    )
    model = replace(sealed, manifest=lying.to_bytes())
    client.expect(model.version, OWNER, model.manifest)
    with pytest.raises(ModelRefused, match="the key is not"):
        [offered(client, model, share) for share in (0, 1)]
    with pytest.raises(ModelRefused, match="shares are missing"):
        client.load(model.version, OWNER, model.manifest, model.chunks())


def _sealing(model):
    from cloister.fixedpoint.manifest import Manifest

    return Manifest.from_bytes(model.manifest).sealing


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, model: client.begin_release(model.version, NONCE),
        lambda client, model: client.add_share(model.version, EVIDENCE, 3, 1, b"sealed"),
        lambda client, model: client.load(model.version, OWNER, model.manifest, model.chunks()),
    ],
    ids=["begin", "share", "weights"],
)
def test_release__without_manifest_or_shares__is_refused(client, sealed, ask):
    with pytest.raises((QuestionRefused, ModelRefused)):
        ask(client, sealed)


@pytest.mark.parametrize("size", [7, 699, 700, 701, 1400, 10**8])
@pytest.mark.parametrize("kind", ["open", "sealed"])
def test_load__chunks_of_any_size__go_out_in_full_messages(client, monkeypatch, model, sealed, size, kind):
    wanted = model if kind == "open" else sealed
    monkeypatch.setattr(m, "CHUNK", 700)
    if kind == "sealed":
        give_key(client, wanted)
    client.load(wanted.version, OWNER, wanted.manifest, iter([b"", *wanted.chunks(size), b""]))
    assert client.loaded() == {wanted.version}
    sent = [question for data in client._channel.asked if isinstance(question := m.question_of(data), m.Weights)]
    assert b"".join(question.chunk for question in sent) == wanted.stored
    assert len(sent) == -(-len(wanted.stored) // 700)
    assert [len(question.chunk) for question in sent[:-1]] == [700] * (len(sent) - 1)
    assert [question.last for question in sent] == [False] * (len(sent) - 1) + [True]


@pytest.mark.parametrize("kind", ["open", "sealed"])
def test_load__file_that_ends_early__says_by_how_much(client, model, sealed, kind):
    wanted = model if kind == "open" else sealed
    with pytest.raises(ModelRefused, match="ends 3 bytes early"):
        load(client, replace(wanted, stored=wanted.stored[:-3]))


def test_load__open_weights_of_the_right_length__are_hashed(client, model):  # HOST-2
    changed = replace(model, stored=model.stored[:-1] + bytes([model.stored[-1] ^ 1]))
    with pytest.raises(ModelRefused, match="SHA-256 in the manifest"):
        load(client, changed)
    assert client.loaded() == frozenset()


@pytest.mark.parametrize("kind", ["open", "sealed"])
def test_load__held_package__keeps_no_copy_of_the_file_and_runs_alike(kind, model, sealed):
    client, enclave = local()
    wanted = model if kind == "open" else sealed
    load(client, wanted)
    held = enclave._models.package(wanted.version)
    assert held.weights_bytes == b""
    assert held.salt == model.package.salt
    assert (held.run(ROWS) == model.package.run(ROWS)).all()


def test_load__sealed_weights__are_wiped_where_they_were_opened(monkeypatch, sealed):
    client, enclave = local()
    targets = []
    begin = enclave._models._begin
    monkeypatch.setattr(enclave._models, "_begin", lambda version: targets.append(begin(version)) or targets[-1])
    load(client, sealed)
    assert not targets[0].target.any()


def test_begin_release__open_version__is_refused(client, model):
    client.expect(model.version, OWNER, model.manifest)
    with pytest.raises(QuestionRefused, match="not sealed"):
        client.begin_release(model.version, NONCE)


@pytest.mark.parametrize("damage", ["altered", "cut", "longer", "plain", "other key"])
def test_load__sealed_file_that_was_tampered_with__is_refused_and_tells_nothing(client, sealed, damage):  # SEAL-2
    give_key(client, sealed)
    stored = sealed.stored
    wrong = {
        "altered": stored[:99] + bytes([stored[99] ^ 1]) + stored[100:],
        "cut": stored[:-1],
        "longer": stored + b"\0",
        "plain": sealed.package.weights_bytes,
        "other key": sealed_model(key=b"V" * 32).stored,
    }[damage]
    with pytest.raises(ModelRefused) as refused:
        client.load(sealed.version, OWNER, sealed.manifest, [wrong])
    assert "tensor " not in str(refused.value).lower()
    assert client.loaded() == frozenset()
    # the key is still there: what a host breaks, it can mend
    client.load(sealed.version, OWNER, sealed.manifest, sealed.chunks())
    assert client.loaded() == {sealed.version}


def test_release__data_key_after_the_load__is_in_no_slot(sealed):
    client, enclave = local()
    give_key(client, sealed)
    pages = enclave.keyring._pages
    assert sealed.data_key in pages.read(0, len(pages))
    client.load(sealed.version, OWNER, sealed.manifest, sealed.chunks())
    assert sealed.data_key not in pages.read(0, len(pages))
    assert all(share.value not in pages.read(0, len(pages)) for share in sealed.shares)


# ------------------------------------------------------------------ licences


@pytest.mark.parametrize("how", ["the host tells the time", "the host says nothing"])
def test_licence__at_its_end__takes_the_model_away(client, ticking, sealed, how):
    client.tick(NOW)
    load(client, sealed, end=NOW + 100)
    key, _ = client.new_prompt_key(1, NOW + 1000, NOW)
    job, ciphertext = a_job(sealed, ROWS, key)
    client.answer(job, ciphertext, open_version=False)
    if how == "the host tells the time":
        assert client.tick(NOW + 100) == ((), (sealed.version,))
    else:
        ticking.seconds += 100
    with pytest.raises(CannotServe) as refused:
        client.answer(job, ciphertext, open_version=False)
    assert refused.value.reason is RefusalReason.MODEL_UNAVAILABLE
    assert client.loaded() == frozenset()


def test_licence__of_several_shares__is_the_shortest(client, sealed):
    client.expect(sealed.version, OWNER, sealed.manifest)
    for share, end in ((0, NOW + 500), (1, NOW + 100)):
        public, _ = client.begin_release(sealed.version, NONCE)
        sent = release(sealed, sealed.shares[share], public, end=end)
        client.add_share(sealed.version, EVIDENCE, 3, share + 1, sent)
    client.load(sealed.version, OWNER, sealed.manifest, sealed.chunks())
    assert client.tick(NOW + 99) == ((), ())
    assert client.tick(NOW + 100) == ((), (sealed.version,))


def test_licence__that_has_ended__loads_nothing(client, sealed):
    give_key(client, sealed, end=NOW - 1)
    with pytest.raises(ModelRefused, match="licence has ended"):
        client.load(sealed.version, OWNER, sealed.manifest, sealed.chunks())
    assert client.loaded() == frozenset()


def test_manifest__of_the_sealed_model__is_one_that_hashes_to_its_version(sealed):
    assert version_of(sealed.manifest) == sealed.version
    assert hashlib.sha256(sealed.stored).hexdigest() == _sealing(sealed).weights.sha256
