"""Key release from end to end: brokers, host and enclave as they are, with a pretended TEE (REL-1, REL-2, REL-3)."""

import dataclasses
import json
from itertools import permutations
from pathlib import Path

import pytest
from support.brokers import (
    ANYBODY,
    DEVICE,
    KEY_EPOCH,
    NOW,
    PKI,
    POLICY,
    REGISTERS,
    ROOTS,
    Town,
    broker_key,
    node_of,
)
from support.enclaves import CONTEXT, OWNER, WORKER, local, version_of

from cloister.attestation.development import DevelopmentPki
from cloister.attestation.development_documents import DocumentShape
from cloister.attestation.providers.development import DevelopmentProvider
from cloister.attestation.registers import Registers
from cloister.attestation.verification import GENUINE
from cloister.broker.documents import DocumentMemory
from cloister.broker.errors import Reason, Refused, Unable
from cloister.broker.nonces import LIFETIME
from cloister.chain.errors import RpcUnavailable
from cloister.domain.attested import Policy, TcbStatus, key_share_info, release_challenge
from cloister.domain.ids import Address, VersionId
from cloister.enclave.errors import EnclaveFailed, ModelRefused
from cloister.release import KeyNotReleased
from cloister.sealing import hybrid
from cloister.sealing.shares import KeyShare
from cloister.storage.errors import StoreFull
from cloister.storage.release_entries import LogUnavailable, read_log

OTHER = Address("0x" + "0A" * 20)


@pytest.fixture
def town(tmp_path):
    with Town(tmp_path) as found:
        yield found


@pytest.fixture
def quiet(tmp_path):
    """A town whose brokers are asked directly, not over HTTP."""
    found = Town(tmp_path)
    yield found
    for broker in found.brokers:
        broker.log.close()


def provider_of(device=DEVICE, registers=REGISTERS, pki=PKI, now=NOW, **shape):
    documents = pki.collateral_json(now, shape=DocumentShape(**shape))
    return DevelopmentProvider(device, registers, lambda: documents)


# ------------------------------------------------------------------ the whole way


@pytest.mark.parametrize("pair", list(permutations(range(3), 2)))
def test_fetch_key__any_two_of_three__load_the_model(town, pair):
    town.fetch([town.urls[number] for number in pair])
    town.load()
    assert town.enclave.loaded() == {town.version}
    assert town.released == [int(number in pair) for number in range(3)]


def test_fetch_key__third_broker__is_not_asked(town):
    town.fetch()
    assert town.released == [1, 1, 0]


def test_fetch_key__one_broker_down__takes_the_next(town):
    town.fetch(["http://127.0.0.1:1", town.urls[1], town.urls[2]])
    town.load()
    assert town.released == [0, 1, 1]


def test_fetch_key__one_broker_refuses__takes_the_next(town):
    town.license(json.dumps([tier(workers=[OTHER])]), 1)
    town.fetch()
    town.load()
    assert town.released == [0, 1, 1]


def test_fetch_key__too_few_brokers_up__uses_up_no_release(town):
    with pytest.raises(KeyNotReleased) as refused:
        town.fetch(["http://127.0.0.1:1", town.urls[0]])
    assert town.released == [0, 0, 0]
    assert refused.value.answers == (
        ("http://127.0.0.1:1", "It cannot be reached: ClientConnectorError."),
        (town.urls[0], "It was not asked, because others give no share."),
    )


def test_fetch_key__all_refuse__tells_what_each_said(town):
    town.chain.nodes[WORKER] = node_of(town.enclave, exit_at=NOW + 5)
    with pytest.raises(KeyNotReleased) as refused:
        town.fetch()
    assert [url for url, _ in refused.value.answers] == town.urls
    assert all("leaving" in told and "(worker)" in told for _, told in refused.value.answers[:2])
    assert "not asked" in refused.value.answers[2][1]
    assert str(refused.value).count("leaving") == 2


def test_fetch_key__tried_again__takes_no_second_share_from_those_that_gave(town):
    for number in (2, 3):
        town.license(json.dumps([tier(workers=[OTHER])]), number)
    given = set()
    for _ in range(3):
        with pytest.raises(KeyNotReleased):
            town.fetch(given=given)
    assert town.released == [1, 0, 0]
    town.license(ANYBODY, 3)
    town.fetch(given=given)
    assert town.released == [1, 0, 1]
    town.fetch(given=given)  # the key is there; the weights may still be on their way
    town.load()
    assert town.released == [1, 0, 1]
    town.enclave.forget(town.version)
    town.fetch(given=given)
    town.load()
    assert town.released == [2, 0, 2]


def test_fetch_key__enclave_that_was_started_again__is_given_everything_anew(town):
    given = set(town.urls)
    town.fetch(given=given)
    town.load()
    assert town.released == [1, 1, 0]


def test_fetch_key__share_that_is_not_the_manifests__is_found_out_and_another_taken(town):
    """SEAL-1, market rule 23: the first broker holds a share of something else."""
    true = town.brokers[0].shares.share
    town.brokers[0].shares.share = lambda digest: Lie(true(digest))
    town.fetch()
    town.load()
    assert town.released == [1, 1, 1]


class Lie:
    def __init__(self, deposit):
        self.deposit = deposit

    def open(self, key):
        true = self.deposit.open(key)
        return KeyShare(true.index, bytes(32), true.salt)


def test_fetch_key__two_versions_of_one_model__each_have_their_own_licence(town):
    """A share is the manifest's; a licence is a version's: the same package under another owner has none."""
    other = version_of(town.manifest, OTHER)
    town.chain.publish(town.sealed.digest, other)
    with pytest.raises(KeyNotReleased, match="no licence"):
        town.fetch(version=other, owner=OTHER)


def test_fetch_key__open_manifest_or_another_owner__is_refused_before_anybody_is_asked(town):
    with pytest.raises(ModelRefused, match="not those"):
        town.fetch(owner=OTHER)
    assert town.released == [0, 0, 0]


def test_licence_end__travels_with_the_share_and_ends_the_model(town):
    town.license(json.dumps([tier(until=NOW + 600)]))
    town.fetch()
    town.load()
    assert [broker.log._used.total() for broker in town.brokers] == [1, 1, 0]
    town.clock.seconds = 601
    town.enclave.tick(NOW + 601)
    assert town.enclave.loaded() == frozenset()


def test_released_share__opens_only_in_the_enclave_that_asked(quiet):
    """Step 5: everything that it is bound to stands in the info."""
    request = quiet.request(quiet.brokers[0])
    released = quiet.brokers[0].release(request)
    stranger, _ = local()
    stranger.expect(quiet.version, OWNER, quiet.manifest)
    stranger.begin_release(quiet.version, bytes(32))
    with pytest.raises(ModelRefused, match="does not open"):
        stranger.add_share(quiet.version, request.evidence, KEY_EPOCH, released.index, released.sealed)
    for changed in ({"key_epoch": 4}, {"index": 2}, {"evidence": request.evidence + b"\0"}):
        about = {"evidence": request.evidence, "key_epoch": KEY_EPOCH, "index": 1} | changed
        with pytest.raises(ModelRefused, match="does not open"):
            quiet.enclave.add_share(quiet.version, *about.values(), released.sealed)
    assert quiet.enclave.add_share(quiet.version, request.evidence, KEY_EPOCH, 1, released.sealed) == 1


def test_released_share__bytes__are_those_of_the_specification(quiet):
    private, public = hybrid.new_pair()
    broker = quiet.brokers[1]
    nonce = broker.nonces.new()
    request = quiet.request(broker, nonce=nonce)
    evidence = quiet.provider.evidence(quiet.enclave.binding() + release_challenge(nonce, quiet.version, public))
    quiet.license(json.dumps([tier(until=NOW + 9)]), 2)
    released = broker.release(dataclasses.replace(request, release_key=public, evidence=evidence))
    info = key_share_info(
        CONTEXT.chain_id, CONTEXT.registry, quiet.version, WORKER, KEY_EPOCH, released.index, evidence
    )
    opened = hybrid.open_sealed(released.sealed, private, info)
    share = quiet.sealed.deposits[1].open(broker_key(2))
    assert (released.index, released.key_epoch) == (2, KEY_EPOCH)
    assert opened == share.value + share.salt + (NOW + 9).to_bytes(8)


# ------------------------------------------------------------------ step 4: what is refused, and why


def test_release__honest_request__is_logged_with_all_that_an_owner_wants_to_know(quiet):
    """REL-1"""
    request = quiet.request(quiet.brokers[0])
    released = quiet.brokers[0].release(request)
    owner, (entry,) = read_log(quiet.folder / "broker-1" / "releases.jsonl")
    assert entry == released.entry
    assert entry.release.version == quiet.version
    assert (entry.release.worker, entry.release.key_epoch, entry.release.index) == (WORKER, KEY_EPOCH, 1)
    assert (entry.release.measurement, entry.release.platform) == (REGISTERS.measurement(), DEVICE.platform)
    assert (entry.release.tier, entry.release.end, entry.release.time) == ("all", 0, NOW)
    assert entry.release.development
    assert owner["broker"] == "0x" + broker_key(1).fingerprint.hex()


def reason(quiet, request, number=1):
    refused = quiet.refusal(request, number)
    assert isinstance(refused, Refused)
    share = quiet.sealed.deposits[number - 1].open(broker_key(number))
    told = repr(refused.args) + str(refused)
    assert not any(secret.hex() in told or repr(secret)[2:-1] in told for secret in (share.value, share.salt))  # REL-3
    return refused.reason, refused.message


def test_release__nonce_used_again__is_refused(quiet):
    request = quiet.request(quiet.brokers[0])
    quiet.brokers[0].release(request)
    assert reason(quiet, request)[0] is Reason.NONCE


def test_release__nonce_of_a_request_that_failed__is_used_up(quiet):
    request = quiet.request(quiet.brokers[0])
    assert reason(quiet, dataclasses.replace(request, worker=OTHER))[0] is Reason.WORKER
    assert reason(quiet, request)[0] is Reason.NONCE


def test_release__nonce_after_two_minutes__is_refused(quiet):
    request = quiet.request(quiet.brokers[0])
    quiet.clock.seconds = LIFETIME
    assert reason(quiet, request) == (Reason.NONCE, "The nonce is older than two minutes.")


def test_release__nonce_of_another_broker__is_refused(quiet):
    request = quiet.request(quiet.brokers[1])
    assert reason(quiet, request)[0] is Reason.NONCE


def test_release__evidence_for_another_nonce__is_refused(quiet):
    """Evidence that was made for one challenge is passed on under another one."""
    old = quiet.request(quiet.brokers[0])
    request = dataclasses.replace(old, nonce=quiet.brokers[0].nonces.new())
    assert reason(quiet, request) == (Reason.EVIDENCE, ANOTHER_CHALLENGE)


ANOTHER_CHALLENGE = "The evidence answers another challenge (nonce, version, release key)."


def test_release__release_key_that_the_evidence_does_not_bind__is_refused(quiet):
    """A host that puts its own key there gets nothing."""
    _, public = hybrid.new_pair()
    request = quiet.request(quiet.brokers[0], release_key=public)
    assert reason(quiet, request) == (Reason.EVIDENCE, ANOTHER_CHALLENGE)


def test_release__evidence_for_another_version__is_refused(quiet):
    other = version_of(quiet.manifest, OTHER)
    quiet.chain.publish(quiet.sealed.digest, other)
    request = quiet.request(quiet.brokers[0], version=other)
    assert reason(quiet, request) == (Reason.EVIDENCE, ANOTHER_CHALLENGE)


def test_release__evidence_of_another_workers_enclave__is_refused(quiet):
    """Relayed: a genuine enclave, but its keys are not those that this worker has registered."""
    context = dataclasses.replace(CONTEXT, worker=OTHER)
    for stranger, _ in (local(), local(context)):
        stranger.context = CONTEXT if stranger.context is CONTEXT else context
        request = quiet.request(quiet.brokers[0], enclave=stranger)
        told = f"The evidence binds other keys than worker {WORKER} has registered, or another chain."
        assert reason(quiet, request) == (Reason.EVIDENCE, told)


def test_release__worker_that_replaced_its_keys__is_refused(quiet):
    request = quiet.request(quiet.brokers[0])
    quiet.chain.nodes[WORKER] = node_of(local()[0])
    assert reason(quiet, request)[0] is Reason.EVIDENCE


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"registered": False, "stake": 0}, "no registered worker"),
        ({"stake": 0}, "no registered worker"),
        ({"registered": False}, "no registered worker"),
        ({"exit_at": NOW + 7}, "leaving"),
    ],
)
def test_release__worker_that_is_not_in_the_draws__is_refused(quiet, change, told):
    quiet.chain.nodes[WORKER] = node_of(quiet.enclave, **change)
    refused, message = reason(quiet, quiet.request(quiet.brokers[0]))
    assert refused is Reason.WORKER
    assert told in message


def test_release__version_or_share_that_the_broker_does_not_know__is_refused(quiet):
    nonce, unknown = quiet.brokers[0].nonces.new(), VersionId(bytes(32))
    request = quiet.request(quiet.brokers[0], nonce=nonce, version=unknown)
    challenge = release_challenge(nonce, unknown, request.release_key)
    request = dataclasses.replace(request, evidence=quiet.provider.evidence(quiet.enclave.binding() + challenge))
    assert reason(quiet, request)[0] is Reason.VERSION
    quiet.chain.publish(bytes(32), quiet.version)
    assert reason(quiet, quiet.request(quiet.brokers[0]))[0] is Reason.SHARE


def test_release__version_without_a_policy__is_refused(quiet):
    quiet.chain.publish(quiet.sealed.digest, quiet.version, Policy())
    refused, message = reason(quiet, quiet.request(quiet.brokers[0]))
    assert refused is Reason.POLICY
    assert "no policy" in message


def test_release__policy_that_is_not_the_one_on_chain__is_refused(quiet):
    """ENC-8: an endpoint that gives an older, wider policy than the chain has the hash of."""
    version, _ = quiet.chain.published[quiet.version]
    quiet.chain.published[quiet.version] = dataclasses.replace(version, policy_hash=bytes([1] * 32)), POLICY
    assert reason(quiet, quiet.request(quiet.brokers[0]))[0] is Reason.POLICY


@pytest.mark.parametrize(
    ("provider", "told"),
    [
        (provider_of(registers=Registers(mrtd=bytes([6] * 48))), "measurement"),
        (provider_of(PKI.new_device("old", TcbStatus.OUT_OF_DATE)), "status OutOfDate is not in the policy"),
        (provider_of(PKI.new_device("soft", TcbStatus.SW_HARDENING_NEEDED)), "status SWHardeningNeeded"),
    ],
)
def test_release__evidence_that_the_policy_does_not_admit__is_refused(quiet, provider, told):
    refused, message = reason(quiet, quiet.request(quiet.brokers[0], provider=provider))
    assert refused is Reason.POLICY
    assert told in message


def test_release__development_evidence__takes_a_pinned_root_and_a_policy_that_admits_it(quiet):
    """ATT-10"""
    broker = quiet.brokers[0]
    broker.roots = GENUINE
    refused, message = reason(quiet, quiet.request(broker))
    assert refused is Reason.EVIDENCE
    assert "not pinned" in message
    broker.roots = ROOTS
    quiet.chain.publish(quiet.sealed.digest, quiet.version, dataclasses.replace(POLICY, development=False))
    refused, message = reason(quiet, quiet.request(broker))
    assert refused is Reason.POLICY
    assert "DEVELOPMENT" in message


def test_release__evidence_under_somebody_elses_root__is_refused(quiet):
    theirs = DevelopmentPki.create(NOW, seed=bytes(32))
    request = quiet.request(quiet.brokers[0], provider=provider_of(theirs.new_device("alice"), pki=theirs))
    assert reason(quiet, request)[0] is Reason.EVIDENCE


@pytest.mark.parametrize(
    "change",
    [
        {"evidence": b""},
        {"evidence": b"\4\0\2\0\x81\0\0\0" + bytes(1000)},
        {"collateral": b""},
        {"collateral": b"{}"},
        {"collateral": PKI.collateral_json(NOW, revoked=["alice"]).encode()},
        {"collateral": PKI.collateral_json(NOW - 40 * 86_400).encode()},
        {"collateral": PKI.collateral_json(NOW + 40 * 86_400).encode()},
    ],
    ids=["none", "cut", "no collateral", "empty collateral", "revoked", "expired", "not yet"],
)
def test_release__evidence_or_collateral_that_does_not_hold__is_refused(quiet, change):
    """REL-2: without collateral nothing is released."""
    request = quiet.request(quiet.brokers[0], **change)
    refused, message = reason(quiet, request)
    assert refused is Reason.EVIDENCE
    assert message.startswith("The evidence does not hold")


def test_release__flipped_bit_of_the_evidence__is_refused(quiet):
    request = quiet.request(quiet.brokers[0])
    changed = bytearray(request.evidence)
    changed[600] ^= 1
    assert reason(quiet, dataclasses.replace(request, evidence=bytes(changed)))[0] is Reason.EVIDENCE


def test_release__evidence_of_another_kind__is_refused_though_it_holds(quiet, monkeypatch):
    """A policy names measurements of trust domains; nothing else may have one of them."""
    from cloister.broker import service

    true = service.judge
    monkeypatch.setattr(service, "judge", lambda *a, **k: dataclasses.replace(true(*a, **k), kind="sgx-v3"))
    assert reason(quiet, quiet.request(quiet.brokers[0]))[0] is Reason.EVIDENCE


def test_release__collateral_older_than_what_was_seen__is_refused(quiet):
    """ATT-8, market rule 21"""
    broker = quiet.brokers[0]
    broker.release(quiet.request(broker, provider=provider_of(now=NOW + 60, evaluation=18)))
    for older in (provider_of(evaluation=18), provider_of(now=NOW + 60, evaluation=17)):
        refused, message = reason(quiet, quiet.request(broker, provider=older))
        assert refused is Reason.COLLATERAL
        assert "outdated" in message
    broker.documents = DocumentMemory.load(quiet.folder / "broker-1" / "documents.json")  # a restart forgets nothing
    assert reason(quiet, quiet.request(broker))[0] is Reason.COLLATERAL
    broker.release(quiet.request(broker, provider=provider_of(now=NOW + 60, evaluation=18)))


def test_release__release_key_that_is_none__is_refused_before_it_is_logged(quiet):
    zero = bytes(hybrid.PUBLIC_KEY_BYTES)
    nonce = quiet.brokers[0].nonces.new()
    request = quiet.request(quiet.brokers[0], nonce=nonce, release_key=zero)
    evidence = quiet.provider.evidence(quiet.enclave.binding() + release_challenge(nonce, quiet.version, zero))
    assert reason(quiet, dataclasses.replace(request, evidence=evidence))[0] is Reason.RELEASE_KEY


# ------------------------------------------------------------------ licences


def tier(**changes):
    return {"name": "t", "workers": "any", "releases": None, "from": 0, "until": None} | changes


@pytest.mark.parametrize(
    ("tiers", "told"),
    [
        ([tier(workers=[OTHER])], f"names worker {WORKER}"),
        ([tier(releases=0)], "used up"),
        ([tier(**{"from": NOW + 1})], "begins"),
        ([tier(until=NOW)], "ended"),
        ([tier(until=NOW), tier(name="u", releases=0)], "'t' ended at second 1800000000; tier 'u' is used up"),
    ],
)
def test_release__licence_that_allows_none__is_refused(quiet, tiers, told):
    quiet.license(json.dumps(tiers))
    refused, message = reason(quiet, quiet.request(quiet.brokers[0]))
    assert refused is Reason.LICENCE
    assert told in message


def test_release__licence__is_counted_from_the_log_and_through_a_restart(quiet):
    quiet.license(json.dumps([tier(releases=2)]))
    for _ in range(2):
        quiet.brokers[0].release(quiet.request(quiet.brokers[0]))
    assert reason(quiet, quiet.request(quiet.brokers[0]))[0] is Reason.LICENCE
    quiet.brokers[0].log.close()
    quiet.brokers[0] = again = quiet.broker(1)
    quiet.license(json.dumps([tier(releases=2)]))
    assert reason(quiet, quiet.request(again))[0] is Reason.LICENCE
    quiet.license(json.dumps([tier(releases=2), tier(name="more", releases=1)]))
    assert again.release(quiet.request(again)).entry.release.tier == "more"


def test_release__no_licence_at_all__is_refused(quiet):
    (path,) = (quiet.folder / "broker-1" / "licences").iterdir()
    path.unlink()
    assert reason(quiet, quiet.request(quiet.brokers[0]))[0] is Reason.LICENCE


# ------------------------------------------------------------------ fail closed: REL-2


def unable(quiet, request):
    refused = quiet.refusal(request)
    assert isinstance(refused, Unable)
    return refused.message


def test_release__evidence_that_does_not_hold__costs_no_question_to_the_chain(quiet):
    quiet.chain.away = RpcUnavailable("Nobody may ask.")
    for change in ({"evidence": b"x"}, {"release_key": hybrid.new_pair()[1]}):
        assert reason(quiet, quiet.request(quiet.brokers[0], **change))[0] is Reason.EVIDENCE


def test_release__chain_away__releases_nothing(quiet):
    quiet.chain.away = RpcUnavailable("The endpoint is away.")
    assert "chain" in unable(quiet, quiet.request(quiet.brokers[0]))


@pytest.mark.parametrize("call", ["node", "policy"])
def test_release__chain_away_in_the_middle__releases_nothing(quiet, call):
    def away(_):
        raise RpcUnavailable("Away.")

    setattr(quiet.chain, call, away)
    assert "chain" in unable(quiet, quiet.request(quiet.brokers[0]))


def test_release__log_that_cannot_be_written__releases_nothing(quiet, monkeypatch):
    """REL-1: the share is sealed already, and does not leave."""
    broker = quiet.brokers[0]

    def full(_):
        raise LogUnavailable("No room.")

    monkeypatch.setattr(broker.log, "append", full)
    assert "log" in unable(quiet, quiet.request(broker))


def test_release__documents_that_cannot_be_remembered__releases_nothing(quiet, monkeypatch):
    def full(*_, **__):
        raise StoreFull("No room.")

    monkeypatch.setattr("cloister.broker.documents.write_atomically", full)
    assert "remember" in unable(quiet, quiet.request(quiet.brokers[0]))


@pytest.mark.parametrize("folder", ["licences", "shares"])
def test_release__file_that_is_damaged__releases_nothing(quiet, folder):
    (path,) = (quiet.folder / "broker-1" / folder).iterdir()
    path.write_text("{")
    message = unable(quiet, quiet.request(quiet.brokers[0]))
    assert str(path) not in message


def test_release__another_share_put_in_its_place__releases_nothing(quiet):
    (path,) = (quiet.folder / "broker-1" / "shares").iterdir()
    path.write_text(quiet.sealed.deposits[1].to_json())
    assert "cannot read its share" in unable(quiet, quiet.request(quiet.brokers[0]))


def test_fetch_key__enclave_that_is_gone__is_told_at_once(town):
    def gone(*_):
        raise EnclaveFailed("Gone.")

    town.enclave.begin_release = gone
    with pytest.raises(EnclaveFailed):
        town.fetch()
    assert town.released == [0, 0, 0]


def test_town__folders__hold_no_share_in_the_clear(quiet):
    quiet.brokers[0].release(quiet.request(quiet.brokers[0]))
    secrets = [quiet.sealed.data_key]
    for number, deposit in enumerate(quiet.sealed.deposits, start=1):
        share = deposit.open(broker_key(number))
        secrets += [share.value, share.salt]
    for path in Path(quiet.folder).rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret in data or secret.hex().encode() in data for secret in secrets)
