"""Certificates and revocation lists, signed by a vendor of our own: nothing but the tested rule is in the way."""

import pytest
from support import pki
from support.court import listed, post, refused, root
from support.pki import CA_EXTENSIONS, DAY, LEAF_EXTENSIONS, NOW, Key, Vendor, certificate, revocation_list

from cloister.attestation.collateral import certificate_id, transcribe
from cloister.chain.artifacts import artifact
from cloister.chain.errors import ContractError, translated


def forged_authority(vendor, **changes):
    key = changes.pop("key", vendor.ca_key)
    issuer = changes.pop("issuer", vendor.root_key)
    return certificate(key, issuer, changes.pop("extensions", CA_EXTENSIONS), **{"serial": 9, **changes})


AUTHORITIES = {
    "foreign issuer": ({"issuer": Key("Test Root CA", 666)}, "Certificates_WrongSignature"),
    "expired": ({"end": NOW - DAY}, "Certificates_NotCurrent"),
    "not yet": ({"start": NOW + DAY}, "Certificates_NotCurrent"),
    "version 1": ({"version": b"\0"}, "X509_WrongVersion"),
    "algorithm": ({"algorithm": bytes.fromhex("300a06082a8648ce3d040303")}, "X509_WrongAlgorithm"),
    "curve": ({"key_prefix": pki.KEY_PREFIX.replace(b"\1\7\3B", b"\1\6\3B")}, "X509_WrongKey"),
    "compressed": ({"key_prefix": pki.KEY_PREFIX[:-1] + b"\2"}, "X509_WrongKey"),
    "CA without certificate signing": ({"extensions": (pki.usage(0x82), CA_EXTENSIONS[1])}, "Certificates_WrongUsage"),
    "CA without list signing": ({"extensions": (pki.usage(0x84), CA_EXTENSIONS[1])}, "Certificates_WrongUsage"),
    "CA without key usage": ({"extensions": CA_EXTENSIONS[1:]}, "Certificates_WrongUsage"),
    "signer without key usage": ({"extensions": LEAF_EXTENSIONS[1:]}, "Certificates_WrongUsage"),
    "signer with a CA's usage": ({"extensions": (pki.usage(0x06), LEAF_EXTENSIONS[1])}, "Certificates_WrongUsage"),
    "a platform": ({"extensions": (*LEAF_EXTENSIONS, pki.platform_extension())}, "Certificates_WrongUsage"),
    "critical": (
        {"extensions": (*CA_EXTENSIONS, pki.extension(pki.OTHER, b"\5\0", critical=True))},
        "X509_UnknownCriticalExtension",
    ),
    "usage twice": ({"extensions": (CA_EXTENSIONS[0], *CA_EXTENSIONS)}, "X509_RepeatedExtension"),
    "constraints twice": ({"extensions": (*CA_EXTENSIONS, CA_EXTENSIONS[1])}, "X509_RepeatedExtension"),
    "critical, but FALSE": (
        {"extensions": (*CA_EXTENSIONS, pki.sequence(pki.oid(pki.OTHER), pki.tlv(1, b"\0"), pki.tlv(4, b"")))},
        "Asn1_WrongValue",
    ),
}


@pytest.mark.parametrize("what", AUTHORITIES)
def test_add_authority__hostile_certificate__is_refused_by_its_rule(court, what):
    """ATT-4"""
    changes, error = AUTHORITIES[what]
    vendor = Vendor()
    der = forged_authority(vendor, **changes)
    refused(lambda: court.send(court.quotes.add_authority(der, root(vendor))), error)


def test_add_authority__bytes_behind_the_end__are_refused(court):
    vendor = Vendor()
    refused(lambda: court.send(court.quotes.add_authority(vendor.ca + b"\0", root(vendor))), "Asn1_Trailing")
    refused(lambda: court.send(court.quotes.add_authority(vendor.ca[:-1], root(vendor))), "Asn1_Truncated")


def test_add_authority__issued_by_an_authority__is_refused(settled):
    """ATT-4: chains have three members."""
    court, vendor, _ = settled
    below = forged_authority(vendor, key=Key("Below", 31), issuer=vendor.ca_key)
    refused(
        lambda: court.send(court.quotes.add_authority(below, certificate_id(vendor.ca))), "Certificates_UnknownIssuer"
    )
    refused(lambda: court.send(court.quotes.add_authority(below, root(vendor))), "Certificates_WrongSignature")


def test_add_authority__high_s__is_accepted(court):
    vendor = Vendor()
    for high in (True, False):
        court.send(court.quotes.add_authority(forged_authority(vendor, high=high), root(vendor)))


PLATFORMS = {
    "expired": ({"end": NOW - 3600}, None, "Certificates_NotCurrent"),
    "without PPID": ({"facts": {"without": (1,)}}, None, "PlatformExtension_Missing"),
    "without TCB": ({"facts": {"without": (2,)}}, None, "PlatformExtension_Missing"),
    "without FMSPC": ({"facts": {"without": (4,)}}, None, "PlatformExtension_Missing"),
    "without PCESVN": ({"facts": {"without": (17,)}}, None, "PlatformExtension_Missing"),
    "without CPUSVN": ({"facts": {"without": (18,)}}, None, "PlatformExtension_Missing"),
    "PPID twice": ({"facts": {"twice": 1}}, None, "PlatformExtension_Repeated"),
    "TCB twice": ({"facts": {"twice": 2}}, None, "PlatformExtension_Repeated"),
    "FMSPC twice": ({"facts": {"twice": 4}}, None, "PlatformExtension_Repeated"),
    "PCESVN twice": ({"facts": {"twice": 17}}, None, "PlatformExtension_Repeated"),
    "CPUSVN twice": ({"facts": {"twice": 18}}, None, "PlatformExtension_Repeated"),
    "long PPID": ({"facts": {"ppid": bytes(17)}}, None, "Asn1_WrongLength"),
    "large PCESVN": ({"facts": {"pce_svn": 1 << 16}}, None, "Asn1_WrongValue"),
    "something behind PCESVN": ({"facts": {"behind_pce_svn": b"\5\0"}}, None, "Asn1_Trailing"),
    "no extension": ({}, LEAF_EXTENSIONS, "Asn1_Truncated"),
    "a CA": ({}, (pki.usage(0x86), CA_EXTENSIONS[1], pki.platform_extension()), "Certificates_WrongUsage"),
    "no key usage": ({}, (LEAF_EXTENSIONS[1], pki.platform_extension()), "Certificates_WrongUsage"),
    "extension twice": (
        {},
        (*LEAF_EXTENSIONS, pki.platform_extension(), pki.platform_extension()),
        "X509_RepeatedExtension",
    ),
}


@pytest.mark.parametrize("what", PLATFORMS)
def test_add_platform__hostile_certificate__is_refused_by_its_rule(settled, what):
    """ATT-4"""
    court, vendor, _ = settled
    changes, extensions, error = PLATFORMS[what]
    with_all = certificate(vendor.pck_key, vendor.ca_key, extensions or ())
    der = with_all if extensions else vendor.platform(**changes)
    refused(lambda: court.send(court.quotes.add_platform(der, certificate_id(vendor.ca))), error)


def test_add_platform__issued_by_others_than_a_ca__is_refused(settled):
    """ATT-4: neither a root nor a signer of documents certifies platforms."""
    court, vendor, _ = settled
    extensions = (*LEAF_EXTENSIONS, pki.platform_extension())
    by_signer = certificate(vendor.pck_key, vendor.signer_key, extensions)
    by_root = certificate(vendor.pck_key, vendor.root_key, extensions)
    for der, issuer in ((by_signer, certificate_id(vendor.signer)), (by_root, root(vendor)), (by_root, bytes(32))):
        refused(
            lambda der=der, issuer=issuer: court.send(court.quotes.add_platform(der, issuer)),
            "Certificates_UnknownIssuer",
        )


def test_add_platform__a_second_time__is_refused_clearly(settled):
    court, vendor, _ = settled
    call = court.quotes.add_platform(vendor.pck, certificate_id(vendor.ca))
    refused(lambda: court.send(call), "Certificates_KnownPlatform")
    refused(lambda: court.send(court.quotes.add_authority(vendor.ca, root(vendor))), "Certificates_KnownAuthority")


def test_verify__unknown_platform_certificate__is_refused(settled):
    court, vendor, pck = settled
    for unknown in (bytes(32), certificate_id(vendor.ca), pck[:-1] + b"\0"):
        refused(
            lambda unknown=unknown: court.quotes.verify(vendor.quote()[:1252], unknown), "Certificates_UnknownPlatform"
        )


def test_verify__without_a_list__is_refused(court):
    """ATT-4: a missing list refuses, the root's and the CA's."""
    vendor = Vendor()
    known = transcribe(vendor.collateral())
    for der in known.authorities:
        court.send(court.quotes.add_authority(der, known.root))
    post(court, vendor)
    pck = court.admit(vendor.quote(), known)
    data = vendor.quote()[:1252]
    refused(lambda: court.quotes.verify(data, pck), "Certificates_NoCurrentList")
    listed(court, vendor.root_list, known.root)
    refused(lambda: court.quotes.verify(data, pck), "Certificates_NoCurrentList")
    listed(court, vendor.ca_list, known.ca)
    court.quotes.verify(data, pck)


@pytest.mark.parametrize("which", ["root", "ca"])
def test_verify__list_has_expired__is_refused(court, which):
    """ATT-4, ATT-9"""
    vendor = Vendor()
    end = NOW + 2 * DAY
    vendor.root_list = revocation_list(vendor.root_key, until=end if which == "root" else end + DAY)
    vendor.ca_list = revocation_list(vendor.ca_key, until=end if which == "ca" else end + DAY)
    known = transcribe(vendor.collateral())
    court.learn(known)
    pck = court.admit(vendor.quote(), known)
    data = vendor.quote()[:1252]
    assert court.quotes.verify(data, pck).valid_until == end
    court.node.control("evm_setNextBlockTimestamp", end)
    court.node.mine(1)
    court.quotes.verify(data, pck)
    court.node.control("evm_setNextBlockTimestamp", end + 1)
    court.node.mine(1)
    refused(lambda: court.quotes.verify(data, pck), "Certificates_NoCurrentList")


def test_verify__platform_certificate_is_revoked_later__is_refused(settled):
    """ATT-4"""
    court, vendor, pck = settled
    data = vendor.quote()[:1252]
    assert court.quotes.revocation(pck) == (False, court.quotes.verify(data, pck).platform)
    listed(court, revocation_list(vendor.ca_key, (77, 4), issued=NOW - 900), certificate_id(vendor.ca))
    refused(lambda: court.quotes.verify(data, pck), "Certificates_Revoked")
    assert court.quotes.revocation(pck)[0]
    assert court.quotes.is_revoked(certificate_id(vendor.ca), 77)
    refused(
        lambda: court.send(
            court.quotes.add_platform(vendor.platform(facts={"pce_svn": 12}), certificate_id(vendor.ca))
        ),
        "Certificates_Revoked",
    )


def test_verify__serial_revoked_by_another_issuer__is_accepted(settled):
    """ATT-4: a serial number is one issuer's."""
    court, vendor, pck = settled
    listed(court, revocation_list(vendor.root_key, (4,), issued=NOW - 900), root(vendor))
    post(court, vendor)
    assert not court.quotes.revocation(pck)[0]
    court.quotes.verify(vendor.quote()[:1252], pck)


def test_verify__ca_is_revoked__is_refused_for_good(settled):
    """ATT-4"""
    court, vendor, pck = settled
    listed(court, revocation_list(vendor.root_key, (2,), issued=NOW - 900), root(vendor))
    post(court, vendor)
    data = vendor.quote()[:1252]
    refused(lambda: court.quotes.verify(data, pck), "Certificates_NoCurrentList")
    assert court.quotes.revocation(pck)[0]
    ca = certificate_id(vendor.ca)
    refused(lambda: court.send(court.quotes.add_platform(vendor.platform(serial=5), ca)), "Certificates_Revoked")
    refused(lambda: listed(court, revocation_list(vendor.ca_key, issued=NOW - 800), ca), "Certificates_Revoked")
    listed(court, revocation_list(vendor.root_key, issued=NOW - 700), root(vendor))  # as if nothing had been
    post(court, vendor)
    refused(lambda: court.quotes.verify(data, pck), "Certificates_NoCurrentList")


def test_verify__document_signer_is_revoked__documents_are_void(settled):
    """ATT-8 with ATT-4: until another signer's are posted."""
    court, vendor, pck = settled
    listed(court, revocation_list(vendor.root_key, (3,), issued=NOW - 900), root(vendor))
    data = vendor.quote()[:1252]
    refused(lambda: court.quotes.verify(data, pck), "Collateral_Superseded")
    refused(lambda: post(court, vendor), "Certificates_Revoked")
    known = transcribe(vendor.collateral())
    assert court.quotes.tcb(known.root, known.tcb.fmspc).until == 0
    vendor.signer_key = Key("Test TCB Signing", 23)
    vendor.signer = certificate(vendor.signer_key, vendor.root_key, LEAF_EXTENSIONS, serial=33)
    vendor.root_list = revocation_list(vendor.root_key, (3,), issued=NOW - 900)
    court.learn(transcribe(vendor.collateral()))
    court.quotes.verify(data, pck)


LISTS = {
    "foreign signer": ({"signer": Key("", 5)}, "Certificates_WrongSignature"),
    "expired": ({"until": NOW - 3600}, "Certificates_NotCurrent"),
    "not yet": ({"issued": NOW + DAY}, "Certificates_NotCurrent"),
    "older": ({"issued": NOW - 2 * DAY}, "Certificates_OldList"),
    "version 1": ({"version": 0}, "X509_WrongVersion"),
    "critical": (
        {"extensions": (pki.extension(bytes.fromhex("551d1b"), b"\2\1\1", critical=True),)},
        "X509_UnknownCriticalExtension",
    ),
    "critical entry": (
        {"entry_extensions": (pki.extension(bytes.fromhex("551d1d"), b"\x30\0", critical=True),)},
        "X509_UnknownCriticalExtension",
    ),
}


@pytest.mark.parametrize("what", LISTS)
def test_add_revocations__hostile_list__is_refused_by_its_rule(settled, what):
    """ATT-4, ATT-8"""
    court, vendor, _ = settled
    changes, error = LISTS[what]
    for key, issuer in ((vendor.root_key, root(vendor)), (vendor.ca_key, certificate_id(vendor.ca))):
        der = revocation_list(key, (1000,), **changes)
        refused(lambda der=der, issuer=issuer: listed(court, der, issuer), error)


def test_add_revocations__in_parts__is_current_after_the_last(court):
    """ATT-4: a list that was not read to its end refuses."""
    vendor = Vendor()
    vendor.ca_list = revocation_list(vendor.ca_key, tuple(range(100, 107)))
    known = transcribe(vendor.collateral())
    court.send(court.quotes.add_authority(vendor.ca, known.root))
    for done in (3, 6):
        listed(court, vendor.ca_list, known.ca, 3)
        assert [court.quotes.is_revoked(known.ca, 100 + i) for i in range(7)] == [True] * done + [False] * (7 - done)
        assert court.quotes.authority(known.ca).revocations.until == 0
    listed(court, vendor.ca_list, known.ca, 3)
    assert court.quotes.authority(known.ca).revocations.until == NOW + 30 * DAY
    listed(court, vendor.ca_list, known.ca, 3)  # once more: nothing happens


def test_create__root_that_is_no_point__is_refused(court):
    """ATT-10: what is pinned is a key."""
    found = artifact("TdxQuoteVerifier")
    create = court.w3.eth.contract(abi=found.abi, bytecode=found.bytecode).constructor(
        court.registry, court.steward, [(bytes(32), bytes(32), False)]
    )
    with pytest.raises(ContractError) as refusal, translated():
        create.estimate_gas()
    assert refusal.value.name == "Certificates_WrongRoot"
