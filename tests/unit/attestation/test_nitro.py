"""Documents of Nitro enclaves: AWS' own, and each rule broken once under a root of our own."""

from dataclasses import replace

import cbor2
import pytest
from eth_hash.auto import keccak
from support.evidence import VECTORS
from support.vendors import DAY, NOW, Aws, der, issue, p384_key

from cloister.attestation.verification import GENUINE, judge

GENUINE_DOCUMENT = (VECTORS / "nitro_document.cose").read_bytes()
RECORDED = 1708930921


def judged(aws, now=NOW, document=None):
    roots = replace(GENUINE, nitro=frozenset({aws.fingerprint}))
    return judge(document or aws.document(), now=now, roots=roots)


def test_genuine__at_its_own_time__is_accepted_and_at_no_other():
    verdict = judge(GENUINE_DOCUMENT, now=RECORDED)
    assert verdict.accepted
    assert verdict.status == "Unrated"
    pcrs = [bytes.fromhex(verdict.details["pcrs"][str(index)][2:]) for index in range(3)]
    assert verdict.measurement == keccak(b"".join(pcrs))
    assert "expired" in judge(GENUINE_DOCUMENT, now=verdict.valid_until + 1).reason
    assert "not valid yet" in judge(GENUINE_DOCUMENT, now=RECORDED - 3600).reason
    assert not judge(GENUINE_DOCUMENT, now=RECORDED, roots=replace(GENUINE, nitro=frozenset())).accepted


def test_genuine__any_signed_byte_changed__is_refused():
    parts = cbor2.loads(GENUINE_DOCUMENT)
    for at in range(0, len(parts[2]), 97):
        payload = bytearray(parts[2])
        payload[at] ^= 1
        changed = cbor2.dumps([parts[0], parts[1], bytes(payload), parts[3]])
        assert not judge(changed, now=RECORDED).accepted, at


@pytest.mark.parametrize("tag", [False, True])
def test_document__sound__is_accepted_with_and_without_its_tag(tag):
    verdict = judged(Aws(tag=tag))
    assert verdict.accepted
    assert verdict.report_data == bytes(range(64))
    assert verdict.platform == keccak(b"i-1-enc1")


def test_document__user_data__is_report_data_if_it_fits():
    short, long = judged(Aws(payload={"user_data": b"ab"})), judged(Aws(payload={"user_data": bytes(65)}))
    assert short.report_data == b"ab" + bytes(62)
    assert long.accepted
    assert long.report_data == b""
    assert judged(Aws(payload={"user_data": None})).report_data == bytes(64)


MIDDLE = der(issue("region", p384_key("region"), "aws", p384_key("root")))
P256_LEAF = {"key": "p256"}
BROKEN = {
    "algorithm": (Aws(protected=cbor2.dumps({1: -7})), "ES384"),
    "no algorithm": (Aws(protected=b""), "no CBOR"),
    "unprotected header": (Aws(unprotected={4: b"x"}), "parts of the COSE"),
    "another signer": (Aws(signer="region"), "signature is not"),
    "debug": (Aws(payload={"pcrs": {index: bytes(48) for index in range(3)}}), "debug"),
    "PCR missing": (Aws(payload={"pcrs": {0: b"\1" * 48, 1: bytes(48)}}), "missing"),
    "PCR short": (Aws(payload={"pcrs": {index: bytes(32) for index in range(3)}}), "missing"),
    "PCR name": (Aws(payload={"pcrs": dict.fromkeys(range(3), b"\x01" * 48) | {"4": bytes(48)}}), "missing"),
    "digest": (Aws(payload={"digest": "SHA256"}), "missing"),
    "no module": (Aws(payload={"module_id": "absent"}), "missing"),
    "no chain": (Aws(payload={"cabundle": []}), "missing"),
    "no root": (Aws(payload={"cabundle": [MIDDLE]}), "does not end in AWS"),
    "long chain": (Aws(payload={"cabundle": [MIDDLE] * 9}), "missing"),
    "user data": (Aws(payload={"user_data": 7}), "user_data"),
    "nonce": (Aws(payload={"nonce": "text"}), "nonce"),
    "timestamp": (Aws(payload={"timestamp": (NOW + 3600) * 1000}), "later than now"),
    "leaf expired": (Aws(leaf={"end": NOW - 1}), "expired"),
    "leaf not valid yet": (Aws(leaf={"start": NOW + 1, "end": NOW + 2}), "not valid yet"),
    "middle expired": (Aws(middle={"end": NOW - 1}), "expired"),
    "middle is no CA": (Aws(middle={"ca": False}), "may not issue"),
    "middle may not sign": (Aws(middle={"may_sign": False}), "may not issue"),
    "certificate": (Aws(payload={"certificate": b"\x30\x01"}), "no DER"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_document__one_thing_wrong__is_refused(what):
    aws, reason = BROKEN[what]
    verdict = judged(aws)
    assert not verdict.accepted
    assert reason in verdict.reason


def test_document__chain_in_which_a_leaf_issues__is_refused():
    """The enclave's own certificate is no authority."""
    aws = Aws()
    leaf = issue("enclave", p384_key("leaf"), "region", p384_key("region"), ca=False)
    child = issue("child", p384_key("child"), "enclave", p384_key("leaf"), ca=False)
    aws.payload = {"certificate": der(child), "cabundle": [der(aws.root), MIDDLE, der(leaf)]}
    aws.signer = "child"
    assert "may not issue" in judged(aws).reason


def test_document__path_too_long__is_refused():
    aws = Aws()
    lower = issue("lower", p384_key("lower"), "region", p384_key("region"))
    leaf = issue("enclave", p384_key("leaf"), "lower", p384_key("lower"), ca=False)
    middle = der(issue("region", p384_key("region"), "aws", p384_key("root"), path=0))
    aws.payload = {"certificate": der(leaf), "cabundle": [der(aws.root), middle, der(lower)]}
    assert "may not issue CAs" in judged(aws).reason


def test_document__chain_that_is_not_signed__is_refused():
    aws = Aws()
    forged = issue("enclave", p384_key("leaf"), "region", p384_key("leaf"), ca=False)
    aws.payload = {"certificate": der(forged)}
    assert "not signed by the one above" in judged(aws).reason


def test_document__something_behind__is_refused():
    aws = Aws()
    document = aws.document()
    assert "follows" in judged(aws, document=document + b"\0").reason
    assert not judged(aws, document=document[:-1]).accepted
    assert judged(aws, NOW + 2 * DAY).reason
