"""Verdicts: genuine evidence, hostile evidence, policies, roots."""

import json
import random
from dataclasses import replace

import pytest
from support import pki
from support.evidence import VECTORS, recorded
from support.hostile_evidence import (
    COLLATERAL,
    DEVICE,
    FOLDER,
    NOW,
    OURS,
    REGISTERS,
    SOUND_DATA,
    THEIRS,
    attributes,
    cases,
    quote,
    read,
    version_5,
    without_root,
    write,
)

from cloister.attestation.development import DocumentShape
from cloister.attestation.device import TEE_TCB_SVN, raw_signature
from cloister.attestation.registers import SEPT_VE_DISABLE
from cloister.attestation.verification import GENUINE, EvidencePolicy, Roots, judge, kind_of
from cloister.domain.attested import Policy, TcbStatus

CASES = read()
WITH_DEVELOPMENT = Roots.genuine((OURS.root_der,))
LENIENT = EvidencePolicy(allow_development=True)


def judged(evidence, collateral=COLLATERAL, now=NOW, policy=LENIENT, roots=WITH_DEVELOPMENT):
    return judge(evidence, collateral=[collateral.encode()], now=now, policy=policy, roots=roots)


GENUINE_QUOTES = {
    "intel_tdx_v4_uptodate_dcapqvl": (True, "tdx-v4", "UpToDate", ""),
    "intel_tdx_v4_uptodate_gcp_cos113": (True, "tdx-v4", "UpToDate", ""),
    "intel_tdx_v4_outofdate_automata": (False, "tdx-v4", "OutOfDate", "status OutOfDate is not in the policy"),
    "intel_sgx_v3_confswhard_dcapqvl": (False, "sgx-v3", "ConfigurationAndSWHardeningNeeded", "is not in the policy"),
    "NEG_intel_sgx_v3_debug": (False, "sgx-v3", "", "debug mode"),
    "NEG_intel_tdx_v5_tcb_below_all": (False, "tdx-v5", "", "No matching TCB level"),
}


@pytest.mark.parametrize("name", GENUINE_QUOTES)
def test_judge__genuine_quote__verdict_is_that_of_the_table(name):
    accepted, kind, status, reason = GENUINE_QUOTES[name]
    found = recorded(name)
    verdict = judge(found.quote, collateral=[found.collateral.encode()], now=found.now)
    assert (verdict.accepted, verdict.kind, verdict.status) == (accepted, kind, status)
    assert reason in verdict.reason
    assert not verdict.development
    assert verdict.proved == bool(status)
    if accepted:
        assert found.now <= verdict.valid_until < found.now + 400 * 86_400
        late = judge(found.quote, collateral=[found.collateral.encode()], now=verdict.valid_until + 1)
        assert not late.accepted


def test_judge__out_of_date_platform__is_accepted_only_by_a_policy_that_says_so():
    """ATT-11"""
    found = recorded("intel_tdx_v4_outofdate_automata")
    policy = EvidencePolicy(statuses=frozenset({TcbStatus.OUT_OF_DATE}))
    assert judge(found.quote, collateral=[found.collateral.encode()], now=found.now, policy=policy).accepted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_judge__hostile_evidence__is_refused_for_its_fault(case):
    """ATT-1 to ATT-11, ENC-1: each is right in everything but one."""
    policy = EvidencePolicy.of_policy(case.policy, case.report_data)
    policy = replace(policy, least_evaluation=case.least_evaluation)
    roots = WITH_DEVELOPMENT if case.root == "development" else GENUINE
    verdict = judged(case.quote, case.collateral, case.now, policy, roots)
    assert verdict.accepted != case.is_hostile
    assert (case.python if case.is_hostile else "") in verdict.reason
    assert bool(verdict.reason) == case.is_hostile


def test_hostile_vectors__files__are_what_the_generator_makes(tmp_path):
    write(tmp_path)
    made, kept = (
        {file.relative_to(top): file.read_bytes() for file in top.rglob("*.json")} for top in (tmp_path, FOLDER)
    )
    assert made == kept
    assert sum(case.is_hostile for case in cases()) >= 30


def test_judge__development_evidence__says_so_and_needs_root_and_policy():
    """ATT-10"""
    verdict = judged(quote())
    assert verdict.accepted
    assert verdict.development
    assert verdict.platform == DEVICE.platform
    assert verdict.to_json()["development"] is True
    assert not judged(quote(), policy=EvidencePolicy()).accepted
    assert "not pinned" in judged(quote(), roots=GENUINE).reason
    assert "not pinned" in judged(quote(), roots=Roots.genuine((THEIRS.root_der,))).reason


def test_judge__genuine_quote_beside_a_development_root__is_no_development_evidence():
    found = recorded("intel_tdx_v4_uptodate_dcapqvl")
    verdict = judged(found.quote, found.collateral, found.now)
    assert verdict.accepted
    assert not verdict.development


def test_judge__platform_chain_in_the_collateral__does_not_replace_that_of_the_quote():
    """dcap-qvl takes it first; then platform and signature would be of different machines."""
    other = OURS.new_device("mallory")
    extra = json.dumps(json.loads(COLLATERAL) | {"pck_certificate_chain": other.chain_pem.decode()})
    verdict = judged(quote(), extra)
    assert verdict.accepted
    assert verdict.platform == DEVICE.platform
    foreign = judged(
        quote(device=replace(DEVICE, chain_pem=other.chain_pem)),
        json.dumps(json.loads(COLLATERAL) | {"pck_certificate_chain": DEVICE.chain_pem.decode()}),
    )
    assert not foreign.accepted


def test_judge__version_5__is_judged_and_a_service_td_refused():
    assert judged(version_5()).accepted
    assert judged(version_5(kind=3, extra=TEE_TCB_SVN + bytes(48))).accepted
    served = judged(version_5(kind=3, extra=TEE_TCB_SVN + b"\1" + bytes(47)))
    assert "service TD" in served.reason


def test_judge__every_td_attribute_bit__only_three_may_be_set():
    """ATT-5"""
    for bit in range(64):
        verdict = judged(quote(registers=attributes(SEPT_VE_DISABLE ^ 1 << bit)))
        assert verdict.accepted == (bit in (30, 31, 63)), bit


@pytest.mark.parametrize(
    "fields", [{"tcb_info": 3}, {"pck_crl": "zz"}, {"tcb_info_signature": ""}, {"qe_identity": "{}"}]
)
def test_judge__collateral_of_another_form__is_refused(fields):
    assert not judged(quote(), json.dumps(json.loads(COLLATERAL) | fields)).accepted


@pytest.mark.parametrize(
    "collateral", [[], [COLLATERAL.encode()] * 2, [b"{}"], [b"{"], [b""], [b"\x30\x03"], [b"-----BEGIN"]]
)
def test_judge__not_one_collateral__is_refused(collateral):
    verdict = judge(quote(), collateral=collateral, now=NOW, policy=LENIENT, roots=WITH_DEVELOPMENT)
    assert not verdict.accepted
    assert verdict.reason


def test_judge__valid_until__is_the_first_end_of_anything():
    """ATT-9"""
    assert judged(quote()).valid_until == NOW - 3600 + 30 * 86_400
    shape = DocumentShape(qe={"nextUpdate": "2027-01-20T00:00:00Z"})
    assert judged(quote(), OURS.collateral_json(NOW, shape=shape)).valid_until == 1_800_403_200


def test_policy__of_a_version__never_takes_unrated_evidence():
    policy = EvidencePolicy.of_policy(Policy((REGISTERS.measurement(),), frozenset({TcbStatus.UP_TO_DATE}), True))
    assert not policy.unrated
    assert judged(quote(), policy=policy).accepted
    document = (VECTORS / "nitro_document.cose").read_bytes()
    assert "rates no platforms" in judge(document, now=1708930921, policy=policy).reason


def test_policy__binding_alone__leaves_the_challenge_open():
    policy = replace(LENIENT, binding=SOUND_DATA[:32])
    assert judged(quote(data=SOUND_DATA[:32] + bytes(32)), policy=policy).accepted
    assert "binds another" in judged(quote(data=bytes(64)), policy=policy).reason


def test_judge__one_bit_changed__never_says_anything_else_than_the_signed_bytes():
    """Bytes outside of the signatures may be changed at will: no verdict may depend on them."""
    whole, dice = quote(), random.Random(3)
    sound = judged(whole)
    accepted = 0
    for _ in range(600):
        bit = dice.randrange(8 * len(whole))
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        verdict = judged(bytes(changed))
        if verdict.accepted:
            accepted += 1
            assert bit // 8 >= 1258  # line ends and text of the PEM chain
            assert verdict == sound
    assert accepted < 100


@pytest.mark.parametrize("name", ["quote", "nitro_document.cose", "snp_milan_report.bin"])
def test_judge__garbage__raises_nothing(name):
    whole = quote() if name == "quote" else (VECTORS / name).read_bytes()
    certificates = [(VECTORS / "snp_milan_vcek.der").read_bytes()]
    dice = random.Random(5)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(data))
            data[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
        collateral = certificates if name.startswith("snp") else [COLLATERAL.encode()] if name == "quote" else []
        judge(bytes(data), collateral=collateral, now=1708930921, policy=LENIENT, roots=WITH_DEVELOPMENT)
    for size in range(40):
        judge(dice.randbytes(size), now=NOW)


def test_kind_of__any_evidence__is_what_it_claims_to_be():
    assert kind_of(quote()) == "tdx-v4"
    assert kind_of(recorded("intel_sgx_v3_confswhard_dcapqvl").quote) == "sgx-v3"
    assert kind_of(recorded("NEG_intel_tdx_v5_tcb_below_all").quote) == "tdx-v5"
    assert kind_of((VECTORS / "nitro_document.cose").read_bytes()) == "nitro"
    assert kind_of((VECTORS / "snp_milan_report.bin").read_bytes()) == "sev-snp"
    assert kind_of(b"") == kind_of(b"evidence") == "unknown"


def test_to_json__any_verdict__is_json():
    for verdict in (judged(quote()), judged(quote()[:100]), judge(b"", now=NOW)):
        content = json.loads(json.dumps(verdict.to_json()))
        assert content["verdict"] == ("accepted" if verdict.accepted else "refused")
        assert content["measurement"].startswith("0x")


def test_judge__signature_by_the_device_over_anything__is_needed():
    """ATT-2, by hand: the generator's own signing is not what makes it hold."""
    whole = bytearray(quote())
    whole[600:632] = bytes(32)
    assert not judged(bytes(whole)).accepted
    whole[636:700] = raw_signature(DEVICE.attestation_key, bytes(whole[:632]))
    assert judged(bytes(whole)).accepted


def test_judge__sgx_quote_whose_lengths_disagree__is_refused():
    """ATT-1, for the kind that has its report in one layer less."""
    found = recorded("intel_sgx_v3_confswhard_dcapqvl")
    data = bytearray(found.quote)
    data[432:436] = (int.from_bytes(data[432:436], "little") - 1).to_bytes(4, "little")
    assert "length that it says" in judge(bytes(data), collateral=[found.collateral.encode()], now=found.now).reason


def test_judge__chain_with_more_in_it__is_refused():
    """ATT-4: platform, CA and root; nobody else has a say."""
    longer = quote(device=replace(DEVICE, chain_pem=DEVICE.chain_pem + without_root(DEVICE.chain_pem)))
    assert "5 certificates" in judged(longer).reason
    assert "2 certificates" in judged(quote(device=replace(DEVICE, chain_pem=without_root(DEVICE.chain_pem)))).reason


PLATFORM = pki.platform_extension()
USAGES = {
    "sound": ((pki.usage(0x80, 7), pki.constraints(ca=False), PLATFORM), pki.CA_EXTENSIONS, ""),
    "platform not to sign": ((pki.usage(0x40, 6), pki.constraints(ca=False), PLATFORM), pki.CA_EXTENSIONS, "not sign"),
    "platform of any use": ((pki.constraints(ca=False), PLATFORM), pki.CA_EXTENSIONS, "what its key is for"),
    "CA for lists alone": (None, (pki.usage(0x02, 1), pki.constraints(ca=True, path=0)), "may not issue"),
    "CA of any use": (None, (pki.constraints(ca=True, path=0),), "does not say"),
    "no CA": (None, (pki.usage(0x06, 1), pki.constraints(ca=False)), "verify certificate chain"),
}


@pytest.mark.parametrize("what", USAGES)
def test_judge__certificate_for_another_use__is_refused(what):
    """ATT-4: basic constraints and key usage, which dcap-qvl leaves open in part."""
    platform, authority, reason = USAGES[what]
    vendor = pki.Vendor()
    if platform is not None:
        vendor.pck = pki.certificate(vendor.pck_key, vendor.ca_key, platform, serial=4)
    vendor.ca = pki.certificate(vendor.ca_key, vendor.root_key, authority, serial=2)
    verdict = judged(vendor.quote(), vendor.collateral(), pki.NOW, roots=Roots.genuine((vendor.root,)))
    assert verdict.accepted == (what == "sound")
    assert reason in verdict.reason
