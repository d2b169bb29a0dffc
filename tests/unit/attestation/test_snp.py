"""Reports of SEV-SNP: a genuine one of Milan, and each rule broken once under a root of our own."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from eth_hash.auto import keccak
from support.evidence import VECTORS
from support.vendors import DAY, NOW, Amd, rsa_key

from cloister.attestation.verification import GENUINE, judge

REPORT = (VECTORS / "snp_milan_report.bin").read_bytes()
VCEK = (VECTORS / "snp_milan_vcek.der").read_bytes()
CHAIN = (VECTORS / "amd_ask_ark_milan.pem").read_bytes()
RECORDED = 1708930921


def judged(amd, *lists, report=None, certificates=None, now=NOW):
    roots = replace(GENUINE, amd=frozenset({amd.fingerprint}))
    given = amd.certificates if certificates is None else certificates
    return judge(report or amd.evidence(), collateral=[*given, *lists], now=now, roots=roots)


@pytest.mark.parametrize("collateral", [[VCEK, CHAIN], [CHAIN, VCEK], [VCEK]])
def test_genuine__any_order_of_certificates__is_accepted(collateral):
    """ASK and ARK of Milan are known."""
    verdict = judge(REPORT, collateral=collateral, now=RECORDED)
    assert verdict.accepted
    assert verdict.report_data == REPORT[0x50:0x90]
    assert verdict.measurement == keccak(REPORT[8:16] + REPORT[0x90:0xE0])
    assert verdict.platform == keccak(REPORT[0x1A0:0x1E0])
    assert verdict.details["revocation"].startswith("no revocation list")


def test_genuine__without_its_root__is_refused():
    assert not judge(REPORT, collateral=[VCEK], now=RECORDED, roots=replace(GENUINE, amd=frozenset())).accepted
    assert "VCEK" in judge(REPORT, collateral=[CHAIN], now=RECORDED).reason
    assert not judge(REPORT, collateral=[VCEK, CHAIN], now=1_960_000_000).accepted


def test_genuine__any_byte_changed__is_refused():
    for at in range(0, 1184, 13):
        changed = bytearray(REPORT)
        changed[at] ^= 1
        assert not judge(bytes(changed), collateral=[VCEK], now=RECORDED).accepted, at


def test_report__sound__is_accepted():
    assert judged(Amd()).accepted
    assert judged(Amd(report={0: b"\3"})).accepted


BROKEN = {
    "version": (Amd(report={0: b"\5"}), "version 5"),
    "algorithm": (Amd(report={0x34: b"\2"}), "P-384"),
    "signed by a VLEK": (Amd(report={0x48: b"\4"}), "VCEK"),
    "debug": (Amd(report={0x08: bytes([0, 0, 0x0B])}), "debugging"),
    "migration": (Amd(report={0x08: bytes([0, 0, 7])}), "migration"),
    "reserved policy bit": (Amd(report={0x08: bytes(3)}), "Bit 17"),
    "VMPL": (Amd(report={0x30: b"\2"}), "VMPL 2"),
    "another signer": (Amd(signer="another"), "signature is not"),
    "report changed": (Amd(behind={0x50: b"\xff"}), "signature is not"),
    "something behind": (Amd(behind={0x2A0 + 144: b"\1"}), "follows"),
    "something at the end": (Amd(behind={1183: b"\1"}), "follows"),
    "r is zero": (Amd(behind={0x2A0: bytes(72)}), "signature is not"),
    "s is huge": (Amd(behind={0x2A0 + 72: b"\xff" * 72}), "signature is not"),
    "chip masked": (Amd(report={0x1A0: bytes(64)}, facts={"4": bytes(64)}), "masked"),
    "another chip": (Amd(facts={"4": bytes(63) + b"\1"}), "chip id"),
    "no chip in the certificate": (Amd(facts={"4": None}), "chip id"),
    "boot loader": (Amd(facts={"3.1": bytes([2, 1, 9])}), "TCB"),
    "TEE": (Amd(facts={"3.2": bytes([2, 1, 9])}), "TCB"),
    "firmware": (Amd(facts={"3.3": bytes([2, 1, 9])}), "TCB"),
    "microcode": (Amd(facts={"3.8": bytes([2, 1, 9])}), "TCB"),
    "no microcode": (Amd(facts={"3.8": None}), "TCB"),
    "VCEK expired": (Amd(chip={"end": NOW - 1}), "expired"),
    "ASK expired": (Amd(intermediate={"end": NOW - 1}), "expired"),
    "ASK is no CA": (Amd(intermediate={"ca": False}), "may not issue"),
    "VCEK on P-256": (Amd(chip={"key": ec.derive_private_key(5, ec.SECP256R1())}), "P-384"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_report__one_thing_wrong__is_refused(what):
    amd, reason = BROKEN[what]
    verdict = judged(amd)
    assert not verdict.accepted
    assert reason in verdict.reason


def test_report__certificates_missing_or_twice__are_told():
    amd = Amd()
    vcek, ask, ark = amd.certificates
    assert "is not there" in judged(amd, certificates=[vcek, ark]).reason
    assert "0 certificates of a chip" in judged(amd, certificates=[ask, ark]).reason
    assert judged(amd, certificates=[vcek, ask, ask, ark]).accepted
    assert "2 certificates of a chip" in judged(amd, certificates=[vcek, ask, ark, VCEK]).reason


def test_report__revocation_list__is_checked_if_there_is_one():
    amd = Amd()
    assert judged(amd, amd.revocations()).details["revocation"] == "checked"
    assert judged(amd, amd.revocations(end=NOW + 60)).valid_until == NOW + 60
    assert "is revoked" in judged(amd, amd.revocations(amd.ask.serial_number)).reason
    assert "not current" in judged(amd, amd.revocations(end=NOW - 1)).reason
    assert "not current" in judged(amd, amd.revocations(start=NOW + 60, end=NOW + DAY)).reason
    assert "not signed by AMD" in judged(amd, amd.revocations(key=rsa_key("another"))).reason
