"""Genuine quotes before the contract, at their own time: its verdict is dcap-qvl's, and the reference's."""

import json
import random
from datetime import datetime

import dcap_qvl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_hash.auto import keccak
from reference.quotes import Machine, Refused, judge
from support.evidence import TDX, Court, recorded

from cloister.attestation.collateral import MalformedEvidence, platform_certificate, to_on_chain, transcribe
from cloister.chain.errors import ContractError
from cloister.devnet.anvil import start_anvil

FLIPS = 300
VERIFY_GAS = 41_000
PLATFORM_GAS = 300_000


def opened(evidence):
    """A court at the time of a vector, which knows all that it needs; and what `verify` takes."""
    node = start_anvil(0, 0, arguments=("--timestamp", str(evidence.now - 60)))
    court = Court(node)
    return court, *court.judge(evidence)


@pytest.fixture(scope="module", params=TDX)
def trial(request):
    evidence = recorded(request.param)
    court, quote, pck = opened(evidence)
    yield evidence, court, quote, pck
    court.node.stop()


def machine(evidence):
    certificate = x509.load_der_x509_certificate(platform_certificate(evidence.quote).der)
    facts = dcap_qvl.parse_pck_extension_from_pem(certificate.public_bytes(Encoding.PEM))
    key = certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    return Machine(key, facts.cpu_svn, facts.pce_svn), facts.ppid


def test_verify__genuine_quote__says_what_dcap_says(trial):
    """ATT-7: the status, OutOfDate included; nothing but a policy refuses it (ATT-11)."""
    evidence, court, quote, pck = trial
    report = court.quotes.verify(quote, pck)
    content = json.loads(evidence.collateral)
    assert report.status.label == evidence.dcap()
    assert report.status.label == judge(quote, machine(evidence)[0], content["tcb_info"], content["qe_identity"])
    assert ("outofdate" in evidence.name) == (report.status.label == "OutOfDate")
    assert (report.binding, report.challenge) == (quote[568:600], quote[600:632])
    assert report.measurement == keccak(quote[168:568])
    assert report.platform == keccak(machine(evidence)[1])
    assert not report.development


def test_verify__genuine_quote__is_valid_until_the_first_end(trial):
    """ATT-9"""
    evidence, court, quote, pck = trial
    content = json.loads(evidence.collateral)
    chain = platform_certificate(evidence.quote)
    ends = [x509.load_der_x509_certificate(der).not_valid_after_utc for der in (chain.der, *chain.issuers)]
    signers = [content["tcb_info_issuer_chain"], content["qe_identity_issuer_chain"]]
    ends += [x509.load_pem_x509_certificates(pem.encode())[0].not_valid_after_utc for pem in signers]
    lists = [bytes.fromhex(content[name]) for name in ("root_ca_crl", "pck_crl")]
    ends += [x509.load_der_x509_crl(der).next_update_utc for der in lists]
    for name in ("tcb_info", "qe_identity"):
        ends.append(datetime.fromisoformat(json.loads(content[name])["nextUpdate"]))
    assert court.quotes.verify(quote, pck).valid_until == int(min(ends).timestamp())


def test_verify__genuine_quote__costs_little(trial):
    _, court, quote, pck = trial
    data = court.contract.encode_abi("verify", [quote, pck])
    intrinsic = 21_000 + sum(16 if octet else 4 for octet in bytes.fromhex(data[2:]))
    assert court.contract.functions.verify(quote, pck).estimate_gas() - intrinsic < VERIFY_GAS
    assert max(court.gas["addPlatform"]) < PLATFORM_GAS


def test_verify__google_cloud__needs_the_rule_for_module_versions():
    """ATT-7: without it no up-to-date level would be reached."""
    evidence = recorded("intel_tdx_v4_uptodate_gcp_cos113")
    tee = evidence.quote[48:64]
    levels = json.loads(json.loads(evidence.collateral)["tcb_info"])["tcbLevels"]
    needed = [component["svn"] for component in levels[0]["tcb"]["tdxtcbcomponents"]]
    assert tee[1] > 0
    assert tee[0] < needed[0]
    assert all(have >= least for have, least in zip(tee[2:], needed[2:], strict=True))


def test_verify__one_bit_flipped__contract_and_rules_agree(trial):
    """Of a quote's first 1,252 bytes no bit can be flipped. dcap-qvl is laxer about lengths and types only (ATT-1)."""
    evidence, court, quote, pck = trial
    content = json.loads(evidence.collateral)
    who = machine(evidence)[0]
    chosen = random.Random(evidence.name).sample(range(8 * len(quote)), FLIPS)
    unsigned = [*range(632, 636), *range(764, 770), 1218, 1219]
    for bit in {*chosen, *(8 * at + at % 8 for at in unsigned)}:
        flipped = bytearray(evidence.quote)
        flipped[bit // 8] ^= 1 << bit % 8
        ours = bytes(flipped[:1252])
        with pytest.raises(Refused):
            judge(ours, who, content["tcb_info"], content["qe_identity"])
        with pytest.raises(ContractError):
            court.quotes.verify(ours, pck)
        if bit // 8 not in unsigned:
            assert evidence.dcap(bytes(flipped)) is None


def test_verify__another_length__is_refused(trial):
    """ATT-1"""
    evidence, court, quote, pck = trial
    for wrong in (b"", quote[:-1], evidence.quote[:1253], evidence.quote):
        with pytest.raises(ContractError) as refusal:
            court.quotes.verify(wrong, pck)
        assert refusal.value.name == "TdxQuote_WrongLength"


@pytest.mark.parametrize(
    "name", ["intel_sgx_v3_confswhard_dcapqvl", "NEG_intel_sgx_v3_debug", "NEG_intel_tdx_v5_tcb_below_all"]
)
def test_verify__another_version__is_refused(name):
    """ATT-1"""
    foreign = recorded(name).quote
    evidence = recorded(TDX[0])
    court, _, pck = opened(evidence)
    with court.node:
        with pytest.raises(ContractError) as refusal:
            court.quotes.verify(foreign[:1252], pck)
        assert refusal.value.name == "TdxQuote_WrongHeader"
    with pytest.raises(MalformedEvidence):
        to_on_chain(foreign)


def test_verify__foreign_platform_certificate__is_refused():
    """ATT-2: a certificate that is as good, of another machine."""
    own, other = recorded(TDX[1]), recorded(TDX[2])
    court, quote, _ = opened(own)
    with court.node:
        pck = court.admit(other.quote, transcribe(other.collateral))
        with pytest.raises(ContractError) as refusal:
            court.quotes.verify(quote, pck)
        assert refusal.value.name == "Certificates_WrongSignature"


def test_missing__everything_known__is_nothing(trial):
    evidence, court, _, _ = trial
    assert court.quotes.missing(transcribe(evidence.collateral)) == ()
