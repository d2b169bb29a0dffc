"""TCB info and QE identity: who may post what, and until when it holds."""

from dataclasses import replace

import pytest
from support import pki
from support.court import post, refused
from support.pki import CA_EXTENSIONS, DAY, LEAF_EXTENSIONS, NOW, Quote, Vendor, certificate

from cloister.attestation.collateral import Signed, certificate_id, transcribe


def test_post__by_others_than_the_steward__is_refused(settled):
    court, vendor, _ = settled
    known = transcribe(vendor.collateral())
    calls = [
        court.quotes.post_tcb(known.tcb, known.tcb_signed),
        court.quotes.post_qe_identity(known.qe, known.qe_signed),
        court.quotes.hand_over(court.registry),
    ]
    for call in calls:
        refused(lambda call=call: court.send(call, court.registry), "Collateral_NotSteward")
    court.send(court.quotes.hand_over(court.registry))
    assert court.quotes.steward() == court.registry
    refused(lambda: court.send(calls[0]), "Collateral_NotSteward")
    court.send(calls[0], court.registry)


def test_post__document_that_was_not_signed__is_refused(settled):
    """ATT-8: the steward cannot invent a document."""
    court, vendor, _ = settled
    known = transcribe(vendor.collateral())
    other = replace(known.tcb_signed, document_hash=bytes(32))
    refused(lambda: court.send(court.quotes.post_tcb(known.tcb, other)), "Certificates_WrongSignature")
    other = replace(known.qe_signed, document_hash=bytes(32))
    refused(lambda: court.send(court.quotes.post_qe_identity(known.qe, other)), "Certificates_WrongSignature")


@pytest.mark.parametrize("who", ["ca", "pck", "unknown"])
def test_post__signed_by_others_than_a_signer__is_refused(settled, who):
    """ATT-4: a CA certifies, a platform reports; neither signs documents."""
    court, vendor, _ = settled
    known = transcribe(vendor.collateral())
    key, signer = {
        "ca": (vendor.ca_key, certificate_id(vendor.ca)),
        "pck": (vendor.pck_key, certificate_id(vendor.pck)),
        "unknown": (vendor.signer_key, bytes(32)),
    }[who]
    raw = key.raw(vendor.tcb.encode())
    forged = Signed(known.tcb_signed.document_hash, raw[:32], raw[32:], signer)
    refused(lambda: court.send(court.quotes.post_tcb(known.tcb, forged)), "Certificates_UnknownIssuer")


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("issued", NOW - 2 * DAY, "Collateral_OldIssue"),
        ("evaluation", 16, "Collateral_OldEvaluation"),
        ("issued", NOW + DAY, "Certificates_NotCurrent"),
        ("until", NOW - 3600, "Certificates_NotCurrent"),
    ],
)
def test_post__older_or_not_current__is_refused(settled, field, value, error):
    """ATT-8, market rule 21"""
    court, vendor, _ = settled
    older = Vendor(tcb=pki.tcb_info(**{field: value}), identity=pki.qe_identity(**{field: value}))
    refused(lambda: post(court, older, qe=False), error)
    refused(lambda: post(court, older, tcb=False), error)
    post(court, vendor)  # the same again is not older


def test_post__malformed_tables__are_refused(settled):
    court, vendor, _ = settled
    known = transcribe(vendor.collateral())
    for changes in ({"levels": b""}, {"levels": known.tcb.levels + b"\0"}, {"modules": b"\0"}, {"modules": bytes(768)}):
        wrong = replace(known.tcb, **changes)
        refused(lambda wrong=wrong: court.send(court.quotes.post_tcb(wrong, known.tcb_signed)), "TcbTable_WrongSize")
    for levels in (b"", b"\0\0"):
        wrong = replace(known.qe, levels=levels)
        refused(
            lambda wrong=wrong: court.send(court.quotes.post_qe_identity(wrong, known.qe_signed)), "QeTable_WrongSize"
        )


def test_post__identity_that_allows_debug__is_refused(settled):
    """ATT-6: under a debugger a quoting enclave signs anything."""
    court, _, _ = settled
    for identity in (
        pki.qe_identity(mask="F9FFFFFFFFFFFFFF0000000000000000"),
        pki.qe_identity(attributes="13000000000000000000000000000000"),
    ):
        refused(lambda identity=identity: post(court, Vendor(identity=identity), tcb=False), "QeTable_AllowsDebug")


def test_verify__documents_missing_or_expired__is_refused(settled):
    """ATT-8"""
    court, vendor, pck = settled
    other = vendor.platform(facts={"fmspc": bytes(6)}, serial=6)
    court.send(court.quotes.add_platform(other, certificate_id(vendor.ca)))
    data = vendor.quote()[:1252]
    refused(lambda: court.quotes.verify(data, certificate_id(other)), "Collateral_NoTcb")
    end = NOW + 28 * DAY
    assert court.quotes.verify(data, pck).valid_until == end
    court.node.control("evm_setNextBlockTimestamp", end + 1)
    court.node.mine(1)
    refused(lambda: court.quotes.verify(data, pck), "Collateral_Expired")


def test_verify__without_a_qe_identity__is_refused(court):
    """ATT-6"""
    vendor = Vendor()
    known = transcribe(vendor.collateral())
    for call in court.quotes.missing(known)[:-1]:
        court.send(call)
    pck = court.admit(vendor.quote(), known)
    refused(lambda: court.quotes.verify(vendor.quote()[:1252], pck), "Collateral_NoQeIdentity")


def test_verify__certificate_ends__is_refused(court):
    """ATT-4, ATT-9: the platform's, or the CA's before it."""
    vendor = Vendor()
    end = NOW + 3 * DAY
    vendor.pck = vendor.platform(end=end)
    known = transcribe(vendor.collateral())
    court.learn(known)
    pck = court.admit(vendor.quote(), known)
    data = vendor.quote()[:1252]
    assert court.quotes.verify(data, pck).valid_until == end
    court.node.control("evm_setNextBlockTimestamp", end + 1)
    court.node.mine(1)
    refused(lambda: court.quotes.verify(data, pck), "Certificates_NotCurrent")


def test_verify__ca_or_signer_ends_first__is_the_end(court):
    """ATT-9"""
    vendor = Vendor()
    vendor.ca = certificate(vendor.ca_key, vendor.root_key, CA_EXTENSIONS, serial=2, end=NOW + 9 * DAY)
    vendor.signer = certificate(vendor.signer_key, vendor.root_key, LEAF_EXTENSIONS, serial=3, end=NOW + 8 * DAY)
    known = transcribe(vendor.collateral())
    court.learn(known)
    pck = court.admit(vendor.quote(), known)
    assert court.quotes.verify(vendor.quote()[:1252], pck).valid_until == NOW + 8 * DAY
    vendor.signer = certificate(vendor.signer_key, vendor.root_key, LEAF_EXTENSIONS, serial=8)
    court.send(court.quotes.add_authority(vendor.signer, known.root))
    post(court, vendor)
    assert court.quotes.verify(vendor.quote()[:1252], pck).valid_until == NOW + 9 * DAY


@pytest.mark.parametrize("where", ["platform", "module", "enclave"])
def test_verify__revoked_status__is_refused(settled, where):
    """ATT-7"""
    court, _, pck = settled
    status = {name: "Revoked" if name == where else "UpToDate" for name in ("platform", "module", "enclave")}
    levels = [pki.level(status=status["platform"])]
    modules = [pki.module_identity(3, [(3, status["module"])])]
    vendor = Vendor(tcb=pki.tcb_info(levels, modules), identity=pki.qe_identity([(4, status["enclave"])]))
    post(court, vendor)
    data = vendor.quote(Quote(tee_tcb_svn=bytes([3, 3] + [3] * 14)))[:1252]
    refused(lambda: court.quotes.verify(data, pck), "TdxQuoteVerifier_TcbRevoked")
