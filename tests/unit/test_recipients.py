"""Whom an input is sealed to, and when nothing is sealed at all: PROMPT-1, PROMPT-3."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.jobs import ALICE, BOB, MARKET, digest

from cloister.chain.models import Offering, Version
from cloister.chain.nodes import Attestation, Node, PromptKey
from cloister.domain.attested import Evidence, Policy, TcbStatus
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import BlobId, VersionId
from cloister.domain.pins import Pins, UntrustedWorker
from cloister.domain.request import Assurance
from cloister.domain.typed import prompt_key_digest
from cloister.recipients import InputKey, Recipients
from cloister.sealing.keys import WorkerKeys

CHAIN, UNTIL, PROMPT_UNTIL = 31337, 5000, 4000
KEYS = WorkerKeys.from_secret(digest("worker"))
MEASUREMENT = digest("measurement")
EVIDENCE = Evidence(MEASUREMENT, digest("platform"), TcbStatus.UP_TO_DATE, development=False, key_epoch=2)
POLICY = Policy((MEASUREMENT,), frozenset({TcbStatus.UP_TO_DATE}))
PINS = Pins(frozenset({MEASUREMENT}))
PROMPT = PromptKey(digest("prompt"), 7, PROMPT_UNTIL)


def signature(keys=KEYS, prompt=PROMPT, chain=CHAIN, worker=ALICE):
    return keys.sign(prompt_key_digest(chain, MARKET, worker, prompt.epoch, prompt.key, prompt.expires_at))


class Chain:
    address = MARKET

    def __init__(self, **changes):
        self.given = {
            "node": Node(ALICE, 1, 0, 2, KEYS.hpke_public_key, KEYS.signer, 0, "", True),
            "prompt_key": PROMPT,
            "evidence": EVIDENCE,
            "attestation": Attestation(EVIDENCE.hash()[:24], UNTIL, 1),
            "prompt_signature": signature(),
        } | changes

    def __getattr__(self, name):
        return lambda *_: self.given[name]


def key_for(policy=POLICY, pins=PINS, until=UNTIL, prompt_until=PROMPT_UNTIL, **changes):
    return Recipients(CHAIN, Chain(**changes), None, pins, 1).key_for(ALICE, policy, until, prompt_until)


def test_key_for__attested_worker__is_its_prompt_key():
    assert key_for() == InputKey(PROMPT.key, 7, prompt=True)


@pytest.mark.parametrize(
    ("problem", "changes"),
    [
        ("no event tells", {"evidence": None}),
        ("ends before the job can", {"attestation": Attestation(EVIDENCE.hash()[:24], UNTIL - 1, 1)}),
        ("other keys", {"evidence": replace(EVIDENCE, key_epoch=1)}),
        ("policy does not admit", {"evidence": replace(EVIDENCE, status=TcbStatus.OUT_OF_DATE)}),
        ("policy does not admit", {"evidence": replace(EVIDENCE, measurement=digest("other"))}),
        ("policy does not admit", {"evidence": replace(EVIDENCE, development=True)}),
        ("no prompt key", {"prompt_key": replace(PROMPT, expires_at=PROMPT_UNTIL - 1)}),
        ("no prompt key", {"prompt_key": PromptKey(bytes(32), 0, 0)}),
        ("no prompt key", {"prompt_signature": None}),
        ("no prompt key", {"prompt_signature": signature(WorkerKeys.from_secret(digest("host")))}),
        ("no prompt key", {"prompt_signature": signature(prompt=replace(PROMPT, epoch=6))}),
        ("no prompt key", {"prompt_signature": signature(chain=1)}),
        ("no prompt key", {"prompt_signature": signature(worker=BOB)}),
        ("no prompt key", {"prompt_signature": b"\1" * 65}),
    ],
)
def test_key_for__whatever_does_not_hold__nothing_is_sealed(problem, changes):  # PROMPT-3
    with pytest.raises(UntrustedWorker, match=problem):
        key_for(**changes)


@pytest.mark.parametrize(
    ("problem", "pins", "evidence"),
    [
        ("not pinned", Pins(), EVIDENCE),
        ("not pinned", Pins(frozenset({digest("other")})), EVIDENCE),
        ("DEVELOPMENT", PINS, replace(EVIDENCE, development=True)),
        ("OutOfDate", PINS, replace(EVIDENCE, status=TcbStatus.OUT_OF_DATE)),
    ],
)
def test_key_for__policy_laxer_than_the_pins__the_pins_decide(problem, pins, evidence):
    lax = Policy((MEASUREMENT,), frozenset(TcbStatus), development=True)
    with pytest.raises(UntrustedWorker, match=problem):
        key_for(lax, pins, evidence=evidence, attestation=Attestation(evidence.hash()[:24], UNTIL, 1))


def test_key_for__open_version__takes_a_live_prompt_key_and_else_the_registered_one():
    registered = InputKey(KEYS.hpke_public_key, 2, prompt=False)
    assert key_for(Policy(), Pins()) == InputKey(PROMPT.key, 7, prompt=True)
    assert key_for(Policy(), Pins(), prompt_until=PROMPT_UNTIL + 1) == registered
    assert key_for(Policy(), Pins(), prompt_signature=None) == registered
    assert key_for(Policy(), Pins(), evidence=None, prompt_key=PromptKey(bytes(32), 0, 0)) == registered


# ------------------------------------------------------------------ before anything is paid


def published(policy):
    revision = 0 if policy.open else 1
    return Version(VersionId(digest("v")), BOB, 1, 0, Offering.EXACT, BlobId(digest("m")), "", policy.hash(), revision)


def check(policy, level, pins=PINS):
    models = SimpleNamespace(policy=lambda _version: policy)
    Recipients(CHAIN, Chain(), models, pins, 1).check_before_payment(published(policy), Assurance.parse(level))


@pytest.mark.parametrize("level", ["attested", "agreed(3,2)", "proved"])
def test_check__policy_within_the_pins__passes(level):
    check(POLICY, level)


def test_check__attested_job_of_an_open_version__is_refused():
    check(Policy(), "agreed(3,2)", Pins())
    with pytest.raises(InvalidInput, match="takes no attested jobs"):
        check(Policy(), "attested")


@pytest.mark.parametrize("level", ["attested", "agreed(3,2)", "proved"])
@pytest.mark.parametrize(
    ("problem", "policy"),
    [
        ("not pinned", replace(POLICY, measurements=tuple(sorted((MEASUREMENT, digest("other")))))),
        ("DEVELOPMENT", replace(POLICY, development=True)),
        ("OutOfDate", replace(POLICY, statuses=frozenset({TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE}))),
    ],
)
def test_check__policy_that_admits_more_than_the_pins__is_refused_before_payment(problem, policy, level):  # PROMPT-3
    with pytest.raises(UntrustedWorker, match=problem) as caught:
        check(policy, level)
    assert "Nothing was paid" in caught.value.hint
