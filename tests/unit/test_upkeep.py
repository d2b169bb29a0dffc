"""What keeps an enclave in the draws: ENC-1 to ENC-3, ENC-6 to ENC-8 and PROMPT-2 from the worker's side."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from support.jobs import ALICE, BOB, digest

from cloister.chain.errors import RpcUnavailable
from cloister.chain.models import Offering, Version
from cloister.chain.nodes import Attestation, Enrolment, Limits, PromptKey
from cloister.domain.attested import Evidence, Policy, TcbStatus
from cloister.domain.errors import CloisterError
from cloister.domain.ids import BlobId, VersionId
from cloister.enclave.errors import EnclaveFailed
from cloister.quoting import NoQuote, Quoted
from cloister.upkeep import RETRY_SECONDS, Upkeep

LIMITS = Limits(attestation_period=1000, prompt_lifetime=300, identities_per_platform=4, lock_period=100)
MEASUREMENT = digest("measurement")
POLICY = Policy((MEASUREMENT,), frozenset({TcbStatus.UP_TO_DATE}), development=True)
OTHERS = replace(POLICY, measurements=(digest("another"),))
OPEN, CLOSED, SECOND, FOREIGN = (VersionId(digest(name)) for name in ("open", "closed", "second", "foreign"))


@dataclass
class Chain:
    """Registries, market clock and an enclave, as `Upkeep` sees them; what it sends takes effect at once."""

    time: int = 1000
    number: int = 10
    evidence_hash: bytes = bytes(32)
    until: int = 0
    key_epoch: int = 0
    known: Evidence | None = None
    prompt: PromptKey = field(default_factory=lambda: PromptKey(bytes(32), 0, 0))
    registered: tuple = (bytes(32), BOB)
    policies: dict = field(default_factory=dict)
    deprecated: set = field(default_factory=set)
    changes: list = field(default_factory=list)
    enrolled: dict = field(default_factory=dict)
    loaded_versions: set = field(default_factory=set)
    sealed: set = field(default_factory=set)
    sent: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    fail: dict = field(default_factory=dict)
    forgotten: tuple = ()
    granted: int = LIMITS.attestation_period
    quoted: list = field(default_factory=list)

    def __post_init__(self):
        self.upkeep = Upkeep(
            me=ALICE,
            keys=self,
            nodes=self,
            models=self,
            packages=SimpleNamespace(manifest=self._manifest, hand_over=self._hand_over),
            sender=SimpleNamespace(address=ALICE, transact=self._transact),
            head=lambda: SimpleNamespace(number=self.number, timestamp=self.time, hash=digest(f"block {self.number}")),
            quote=self._quote,
            fetch_key=self._fetch_key,
            first_block=1,
        )

    def step(self, seconds=0):
        self.time += seconds
        self.number += 1
        return self.upkeep.step()

    def publish(self, version, policy=POLICY, *, sealed=False):
        self.policies[version] = (policy, 0 if policy.open else 1)
        self.changes.append((self.number + 1, version))
        if sealed:
            self.sealed.add(version)

    def narrow(self, version, policy):
        self.policies[version] = (policy, self.policies[version][1] + 1)
        self.changes.append((self.number + 1, version))

    def names(self):
        return [what for what, *_ in self.sent]

    # the enclave

    hpke_key, signer = digest("hpke"), ALICE

    def binding(self):
        return digest("binding")

    def new_prompt_key(self, epoch, expires_at, _now):
        return digest(f"prompt {epoch}"), f"signed {epoch} {expires_at}".encode()

    def loaded(self):
        return frozenset(self.loaded_versions)

    def tick(self, _now):
        forgotten, self.forgotten = self.forgotten, ()
        self.loaded_versions -= set(forgotten)
        return (), forgotten

    def _manifest(self, version):
        return SimpleNamespace(sealing=version.version_id in self.sealed or None), b"manifest"

    def _hand_over(self, version):
        self._may_fail("hand over")
        self.asked.append(("load", version.version_id))
        self.loaded_versions.add(version.version_id)

    def _fetch_key(self, version, key_epoch):
        self.asked.append(("key", version.version_id, key_epoch))
        self._may_fail("key")

    def _quote(self, report_data):
        self.quoted.append(report_data)
        self._may_fail("quote")
        return Quoted(b"quote", b"pck")

    # the registries

    def limits(self):
        return LIMITS

    def attestation(self, _worker):
        return Attestation(self.evidence_hash[:24], self.until, self.number)

    def evidence(self, _worker, _first):
        return self.known

    def prompt_key(self, _worker):
        return self.prompt

    def node(self, _worker):
        return SimpleNamespace(hpke_key=self.registered[0], signer=self.registered[1])

    def enrolment(self, version, _worker):
        return self.enrolled.get(version, Enrolment(bytes(20), 0, 0, 0))

    def attest(self, hpke_key, signer, quote, pck, block, previous):
        return ("attest", hpke_key, signer, quote, pck, block, previous)

    def replace_keys(self, hpke_key, signer):
        return ("replace", hpke_key, signer)

    def post_prompt_key(self, key, expires_at, signature):
        return ("prompt", key, expires_at, signature)

    def changed(self, first, last):
        return [version for block, version in self.changes if first <= block <= last]

    def version(self, version):
        policy, revision = self.policies[version]
        offering = Offering.WITHDRAWN if version in self.deprecated else Offering.EXACT
        return Version(version, BOB, 1, 0, offering, BlobId(digest("manifest")), "", policy.hash(), revision)

    def policy(self, version):
        return self.policies[version.version_id][0]

    def enrol(self, *given):
        if len(given) == 2:  # the enclave's word
            version, epoch = given
            assert version in self.loaded_versions
            return f"enrolment {epoch}".encode()
        return ("enrol", *given)

    def _transact(self, intent, call):
        self._may_fail(call[0])
        self.sent.append(call)
        match call:
            case ("attest", *_):
                self.until = self.time + self.granted
                self.known = Evidence(MEASUREMENT, digest("platform"), TcbStatus.UP_TO_DATE, True, self.key_epoch)
                self.evidence_hash = self.known.hash()
            case ("prompt", key, expires_at, _):
                self.prompt = PromptKey(key, self.prompt.epoch + 1, expires_at)
            case ("replace", *keys):
                self.registered = tuple(keys)
            case ("enrol", version, *_):
                self.enrolled[version] = Enrolment(self.evidence_hash[:20], self.policies[version][1], self.number, 0)

    def _may_fail(self, what):
        if self.fail.get(what):
            raise self.fail[what].pop(0)


@pytest.fixture
def chain():
    return Chain()


def test_step__first__attests_the_keys_and_posts_a_prompt_key(chain):
    assert not chain.upkeep.ready
    assert chain.step()
    assert chain.names() == ["attest", "prompt"]
    _, hpke_key, signer, quote, pck, block, previous = chain.sent[0]
    assert (hpke_key, signer, quote, pck, block, previous) == (chain.hpke_key, ALICE, b"quote", b"pck", 11, None)
    assert chain.quoted == [digest("binding") + digest("block 11")]  # ENC-1
    assert chain.sent[1][1:] == (digest("prompt 1"), chain.time + 300, f"signed 1 {chain.time + 300}".encode())
    assert chain.upkeep.ready
    assert not chain.step()


def test_step__attestation_half_over__is_renewed_and_not_before(chain):  # ENC-3
    chain.step()
    until = chain.until
    for _ in range(4):
        chain.step(100)  # prompt keys rotate meanwhile
    assert chain.names().count("attest") == 1
    chain.step(101)
    assert chain.names().count("attest") == 2
    assert chain.until > until
    assert chain.sent[-1][0] == "attest" or chain.names()[-2:] == ["attest", "prompt"]


def test_step__prompt_key_a_third_over__is_replaced_by_the_next_epoch(chain):  # PROMPT-2
    chain.step()
    assert not chain.step(100)
    assert chain.step(1)
    assert chain.names() == ["attest", "prompt", "prompt"]
    assert chain.prompt.epoch == 2
    assert chain.prompt.expires_at == chain.time + LIMITS.prompt_lifetime


def test_step__attestation_that_is_granted_for_a_moment__is_not_renewed_all_the_time(chain):
    chain.granted = 1  # the vendor's documents end
    for _ in range(30):
        chain.step(10)
    assert chain.names().count("attest") == 1
    chain.step(10)
    assert chain.names().count("attest") == 2


@pytest.mark.parametrize("what", ["quote", "attest", "prompt"])
def test_step__what_may_pass__is_put_off_and_tried_again(chain, what):
    chain.fail[what] = [NoQuote("The steward has posted nothing.")]
    assert chain.step()
    assert not chain.upkeep.ready
    assert not chain.step(RETRY_SECONDS - 1)
    assert chain.step(1)
    assert chain.upkeep.ready


@pytest.mark.parametrize("error", [EnclaveFailed("gone"), RpcUnavailable("away"), CloisterError("unknown")])
def test_step__what_it_does_not_know__ends_it(chain, error):
    chain.fail["quote"] = [error]
    with pytest.raises(type(error)):
        chain.step()


def test_step__no_evidence__registers_the_keys_once_and_posts_no_prompt_key(chain):
    chain.upkeep.quote = None
    chain.publish(CLOSED)
    assert chain.step()
    assert chain.sent == [("replace", chain.hpke_key, ALICE)]
    assert chain.upkeep.ready
    assert not chain.step(500)
    assert chain.asked == []


def test_step__no_evidence_and_keys_registered__sends_nothing(chain):
    chain.upkeep.quote = None
    chain.registered = (chain.hpke_key, ALICE)
    chain.step()
    assert chain.sent == []
    assert chain.upkeep.ready


def test_enrol__admitting_version__is_loaded_and_enrolled_for(chain):  # ENC-7
    chain.publish(CLOSED)
    chain.step()
    assert chain.asked == [("load", CLOSED)]
    assert chain.sent[-1] == ("enrol", CLOSED, POLICY, chain.known, b"enrolment 0")
    assert not chain.step(RETRY_SECONDS)
    assert chain.names().count("enrol") == 1


def test_enrol__sealed_version__gets_its_key_first(chain):
    chain.publish(CLOSED, sealed=True)
    chain.step()
    assert chain.asked == [("key", CLOSED, 0), ("load", CLOSED)]


def test_enrol__open_foreign_or_deprecated_version__is_left_alone(chain):
    chain.publish(OPEN, Policy())
    chain.publish(FOREIGN, OTHERS)
    chain.publish(CLOSED)
    chain.deprecated.add(CLOSED)
    chain.step()
    assert chain.asked == []
    assert chain.names() == ["attest", "prompt"]


def test_enrol__one_without_a_key__keeps_no_other_waiting_and_is_tried_again(chain):
    chain.publish(CLOSED, sealed=True)
    chain.publish(SECOND)
    chain.fail["key"] = [CloisterError("No licence.")]
    chain.step()
    assert [call[1] for call in chain.sent if call[0] == "enrol"] == [SECOND]
    chain.step(RETRY_SECONDS - 1)
    assert chain.names().count("enrol") == 1
    chain.step(1)
    assert [call[1] for call in chain.sent if call[0] == "enrol"] == [SECOND, CLOSED]


def test_enrol__one_that_never_gets_its_key__is_tried_less_and_less_often(chain):
    chain.publish(CLOSED, sealed=True)
    chain.fail["key"] = [CloisterError("No licence.") for _ in range(100)]
    for _ in range(1000):
        chain.step(1)
    assert 6 <= len([call for call in chain.asked if call[0] == "key"]) <= 8


def test_enrol__after_a_narrowing__is_done_again_if_it_still_admits(chain):  # ENC-8
    chain.publish(CLOSED)
    chain.publish(SECOND)
    chain.step()
    chain.narrow(CLOSED, POLICY)
    chain.narrow(SECOND, OTHERS)
    chain.step()
    assert [call[1] for call in chain.sent if call[0] == "enrol"] == [CLOSED, SECOND, CLOSED]
    assert chain.asked == [("load", CLOSED), ("load", SECOND)]


def test_enrol__under_another_key_epoch__is_done_again_for_everything(chain):  # ENC-2
    chain.publish(CLOSED)
    chain.step()
    chain.key_epoch = 1
    chain.step(501)
    assert [call[1:2] + call[4:] for call in chain.sent if call[0] == "enrol"] == [
        (CLOSED, b"enrolment 0"),
        (CLOSED, b"enrolment 1"),
    ]


def test_enrol__enrolled_before_a_restart__sends_nothing(chain):
    chain.publish(CLOSED)
    chain.step()
    again = Chain(enrolled=chain.enrolled, policies=chain.policies, changes=chain.changes, number=chain.number)
    again.step()
    assert again.asked == [("load", CLOSED)]  # a new process has lost it
    assert "enrol" not in again.names()


def test_step__licence_ended__asks_for_another(chain):
    chain.publish(CLOSED, sealed=True)
    chain.step()
    chain.forgotten = (CLOSED,)
    chain.step()
    assert chain.asked.count(("key", CLOSED, 0)) == 1
    chain.step(RETRY_SECONDS)
    assert chain.asked.count(("key", CLOSED, 0)) == 2
    assert CLOSED in chain.loaded_versions
