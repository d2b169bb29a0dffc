"""Quotes that are signed as they must be and wrong in one thing; and levels at random, against dcap-qvl."""

import random

import dcap_qvl
import pytest
from reference.quotes import Machine, Refused, judge
from support import pki
from support.court import post, refused
from support.pki import NOW, Key, Quote

from cloister.attestation.collateral import certificate_id, platform_certificate, transcribe
from cloister.chain.call import Call
from cloister.chain.errors import ContractError

ROUNDS = 100


def test_verify__honest_vendor__is_accepted_as_development(settled):
    """ATT-10"""
    court, vendor, pck = settled
    report = court.quotes.verify(vendor.quote()[:1252], pck)
    assert report.development
    assert report.status.label == "UpToDate"


HOSTILE = {
    "header": (Quote(header=bytes.fromhex("0500020081000000") + Quote().header[8:]), "TdxQuote_WrongHeader"),
    "key type": (Quote(header=bytes.fromhex("0400030081000000") + Quote().header[8:]), "TdxQuote_WrongHeader"),
    "SGX": (Quote(header=bytes.fromhex("0400020000000000") + Quote().header[8:]), "TdxQuote_WrongHeader"),
    "vendor": (Quote(header=Quote().header[:12] + bytes(16)), "TdxQuote_WrongVendor"),
    "certification": (Quote(types=(5, 5)), "TdxQuote_WrongCertification"),
    "signature length": (Quote(sizes=(1, 0, 0)), "TdxQuote_WrongSignatureLength"),
    "certification length": (Quote(sizes=(0, 1, 0)), "TdxQuote_WrongSignatureLength"),
    "authentication length": (Quote(sizes=(0, 0, 1)), "TdxQuote_WrongAuthenticationLength"),
    "quote signer": (Quote(quote_signer=Key("", 5)), "Certificates_WrongSignature"),
    "binding": (Quote(qe_binding=bytes(64)), "TdxQuote_WrongAttestationKey"),
    "seam signer": (Quote(seam_signer=b"\1" + bytes(47)), "TdxQuote_ForeignModule"),
    "seam signer's end": (Quote(seam_signer=bytes(47) + b"\1"), "TdxQuote_ForeignModule"),
    "seam attributes": (Quote(seam_attributes=bytes(7) + b"\1"), "TdxQuote_ForeignModule"),
    "QE attributes": (Quote(qe={48: b"\x17"}), "QeTable_WrongAttributes"),
    "QE signer": (Quote(qe={128: bytes(32)}), "QeTable_WrongSigner"),
    "QE product": (Quote(qe={256: b"\2\1"}), "QeTable_WrongProduct"),
    "QE misc": (Quote(qe={19: b"\1"}), "QeTable_WrongMiscselect"),
    "QE version": (Quote(qe={258: b"\3\0"}), "QeTable_NoLevel"),
    "component": (Quote(tee_tcb_svn=bytes([3, 0] + [3] * 13 + [2])), "TcbTable_NoLevel"),
    "module component": (Quote(tee_tcb_svn=bytes([2, 0] + [3] * 14)), "TcbTable_NoLevel"),
    "module": (Quote(tee_tcb_svn=bytes([3, 9] + [3] * 14)), "TcbTable_NoModule"),
    "module version": (Quote(tee_tcb_svn=bytes([2, 3] + [3] * 14)), "TcbTable_NoModule"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_verify__hostile_quote__is_refused_by_its_rule(settled, what):
    """ATT-1, ATT-2, ATT-3, ATT-5, ATT-6, ATT-7: each signed as it must be, and wrong in one thing."""
    court, vendor, pck = settled
    quote, error = HOSTILE[what]
    refused(lambda: court.quotes.verify(vendor.quote(quote)[:1252], pck), error)


def test_verify__td_attributes__all_but_three_bits_are_fixed(settled):
    """ATT-5: PKS, KL and PERFMON may be set; DEBUG and reserved bits must not, SEPT_VE_DISABLE must."""
    court, vendor, pck = settled
    sound = int.from_bytes(Quote().td_attributes, "little")
    for bit in range(64):
        attributes = (sound ^ 1 << bit).to_bytes(8, "little")
        data = vendor.quote(Quote(td_attributes=attributes))[:1252]
        if bit in (30, 31, 63):
            court.quotes.verify(data, pck)
        else:
            refused(lambda data=data: court.quotes.verify(data, pck), "TdxQuote_WrongAttributes")


def test_verify__binding_with_something_behind__is_refused(settled):
    """ATT-3: 32 zero bytes follow the hash."""
    court, vendor, pck = settled
    sound = vendor.quote()[1090:1122]
    data = vendor.quote(Quote(qe_binding=sound + bytes(31) + b"\1"))[:1252]
    refused(lambda: court.quotes.verify(data, pck), "TdxQuote_WrongAttestationKey")


def test_verify__high_and_low_s__are_both_accepted(settled):
    """ATT-2: a signature has two forms. Nothing may identify a quote by its unsigned bytes."""
    court, vendor, pck = settled
    data = bytearray(vendor.quote()[:1252])
    reports = {bytes(data): court.quotes.verify(bytes(data), pck)}
    for at in (668, 1186):
        other = pki.ORDER - int.from_bytes(data[at : at + 32])
        data[at : at + 32] = other.to_bytes(32)
        reports[bytes(data)] = court.quotes.verify(bytes(data), pck)
    assert len(reports) == 3
    assert len(set(reports.values())) == 1


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (pki.ORDER, 1), (1, pki.ORDER), (2**256 - 1, 2**256 - 1)])
@pytest.mark.parametrize("at", [636, 1154])
def test_verify__r_or_s_out_of_range__is_refused(settled, at, r, s):
    """ATT-2"""
    court, vendor, pck = settled
    data = bytearray(vendor.quote()[:1252])
    data[at : at + 64] = r.to_bytes(32) + s.to_bytes(32)
    refused(lambda: court.quotes.verify(bytes(data), pck), "Certificates_WrongSignature")


def test_enter_and_leave__count_up_to_the_cap__by_the_registry_only(settled):
    court, vendor, pck = settled
    platform = court.quotes.verify(vendor.quote()[:1252], pck).platform

    def call(name, *arguments):
        return Call(court.address, bytes.fromhex(court.contract.encode_abi(name, list(arguments))[2:]))

    def send(name, *arguments):
        return court.send(call(name, *arguments), court.registry)

    def fails(error, name, *arguments, sender=court.registry):
        refused(lambda: court.send(call(name, *arguments), sender), error)

    fails("TdxQuoteVerifier_NotRegistry", "enter", platform, 2, sender=court.steward)
    fails("TdxQuoteVerifier_NotRegistry", "leave", platform, sender=court.steward)
    fails("TdxQuoteVerifier_UnknownPlatform", "enter", bytes(32), 2)
    fails("TdxQuoteVerifier_PlatformEmpty", "leave", platform)
    fails("TdxQuoteVerifier_PlatformFull", "enter", platform, 0)
    assert send("enter", platform, 2) < 30_000
    send("enter", platform, 2)
    assert court.quotes.identities(platform) == 2
    fails("TdxQuoteVerifier_PlatformFull", "enter", platform, 2)
    send("leave", platform)
    send("enter", platform, 2)
    send("leave", platform)
    send("leave", platform)
    fails("TdxQuoteVerifier_PlatformEmpty", "leave", platform)


def test_add_platform__new_certificate_of_a_platform__keeps_its_places(settled):
    court, vendor, pck = settled
    first = court.quotes.verify(vendor.quote()[:1252], pck)
    enter = court.contract.encode_abi("enter", [first.platform, 1])
    court.send(Call(court.address, bytes.fromhex(enter[2:])), court.registry)
    renewed = vendor.platform(serial=44)
    court.send(court.quotes.add_platform(renewed, certificate_id(vendor.ca)))
    assert court.quotes.identities(first.platform) == 1
    assert court.quotes.verify(vendor.quote()[:1252], certificate_id(renewed)).platform == first.platform


STATUSES = ["UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate"]
STATUSES += ["OutOfDateConfigurationNeeded", "Revoked"]
PARTS = ["UpToDate", "UpToDate", "OutOfDate", "OutOfDate", "Revoked"]


def dcap(vendor, quote):
    collateral = dcap_qvl.QuoteCollateralV3.from_json(vendor.collateral())
    try:
        return dcap_qvl.verify_with_root_ca(quote, collateral, vendor.root, NOW).status
    except ValueError:
        return None


def on_chain(court, quote, pck):
    try:
        return court.quotes.verify(quote[:1252], pck).status.label
    except ContractError:
        return None


def reference(vendor, quote, facts):
    who = Machine(vendor.pck_key.public, facts["cpu_svn"], facts["pce_svn"])
    try:
        return judge(quote[:1252], who, vendor.tcb, vendor.identity)
    except Refused:
        return None


def test_verify__random_levels__verdict_is_that_of_dcap_and_the_reference(settled):
    """ATT-6, ATT-7: documents, platform and versions at random, near each other; everything signed."""
    court, vendor, _ = settled
    dice = random.Random(7)
    few, verdicts = dice.randint, []
    for index in range(ROUNDS):
        levels = []
        for _ in range(few(1, 6)):
            levels.append(pki.level(1, few(9, 12), few(1, 4), dice.choice(STATUSES), module=few(0, 1)))
            if few(0, 1):
                levels[-1]["tcb"]["sgxtcbcomponents"] = [{"svn": few(1, 2)} for _ in range(16)]
        modules = []
        for number in (1, 3):
            found = {few(1, 5): dice.choice(PARTS) for _ in range(3)}
            modules.append(pki.module_identity(number, sorted(found.items(), reverse=True)))
        identity = [(svn, dice.choice(PARTS)) for svn in sorted({few(2, 6) for _ in range(3)}, reverse=True)]
        vendor.tcb, vendor.identity = pki.tcb_info(levels, modules), pki.qe_identity(identity)
        facts = {"cpu_svn": bytes(few(2, 4) - few(0, 20) // 20 for _ in range(16)), "pce_svn": few(9, 13)}
        vendor.pck = vendor.platform(serial=1000 + index, facts=facts)
        post(court, vendor)
        tee = bytes([few(1, 5), dice.choice([0, 0, 1, 2, 3]), *(few(3, 5) for _ in range(14))])
        quote = vendor.quote(Quote(tee_tcb_svn=tee, qe={258: few(3, 7).to_bytes(2, "little")}))
        pck = court.admit(quote, transcribe(vendor.collateral()))
        found = on_chain(court, quote, pck)
        assert found == dcap(vendor, quote) == reference(vendor, quote, facts), (index, tee, facts)
        verdicts.append(found)
    assert platform_certificate(quote).id == pck
    assert len(set(verdicts)) >= 6
    assert verdicts.count(None) < 0.8 * ROUNDS
