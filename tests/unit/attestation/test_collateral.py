"""Transcription of collateral and the layout of quotes, on genuine vectors."""

import json
from hashlib import sha256

import pytest
from cryptography import x509
from eth_hash.auto import keccak
from support import pki
from support.evidence import TDX, VECTORS, recorded

from cloister.attestation.collateral import (
    MalformedEvidence,
    certificate_id,
    platform_certificate,
    root_id,
    to_on_chain,
    transcribe,
)
from cloister.chain.deploy import INTEL_ROOT
from cloister.domain.attested import TcbStatus

INTEL = (VECTORS / "intel_root_ca.der").read_bytes()
SGX = ("intel_sgx_v3_confswhard_dcapqvl", "NEG_intel_sgx_v3_debug")
TDX_5 = "NEG_intel_tdx_v5_tcb_below_all"


def changed(name, **members):
    """A vector's collateral with other members; a function changes the parsed document of that name."""
    content = json.loads(recorded(name).collateral)
    for member, change in members.items():
        if callable(change):
            document = json.loads(content[member])
            change(document)
            content[member] = json.dumps(document)
        else:
            content[member] = change
    return json.dumps(content)


def test_root_id__intel__is_the_key_that_deployments_pin():
    assert root_id(INTEL) == keccak(INTEL_ROOT[0] + INTEL_ROOT[1])


@pytest.mark.parametrize("name", TDX)
def test_transcribe__genuine_collateral__says_what_the_documents_say(name):
    content = json.loads(recorded(name).collateral)
    info, identity = json.loads(content["tcb_info"]), json.loads(content["qe_identity"])
    known = transcribe(recorded(name).collateral)
    assert known.root == root_id(INTEL)
    assert known.ca == certificate_id(known.authorities[0])
    assert [certificate_id(der) for der in known.authorities] == [known.ca, known.tcb_signed.signer]
    assert known.qe_signed.signer == known.tcb_signed.signer
    assert [each.issuer for each in known.lists] == [known.root, known.ca]
    assert known.lists[0].entries == 0
    assert known.lists[1].entries == len(x509.load_der_x509_crl(bytes.fromhex(content["pck_crl"])))
    assert known.tcb_signed.document_hash == sha256(content["tcb_info"].encode()).digest()
    assert (known.tcb_signed.r + known.tcb_signed.s).hex() == content["tcb_info_signature"]
    assert (known.qe_signed.r + known.qe_signed.s).hex() == content["qe_identity_signature"]
    assert known.tcb.fmspc.hex().upper() == info["fmspc"]
    assert (known.tcb.until - known.tcb.issued, known.tcb.evaluation) == (30 * 86_400, 17)
    assert known.qe.mrsigner.hex().upper() == identity["mrsigner"]
    assert (known.qe.isvprodid, known.qe.levels) == (2, bytes([0, 4, TcbStatus.UP_TO_DATE]))
    assert known.tcb.modules == bytes([3, 3, 0, 1, 4, 0, 1, 2, TcbStatus.OUT_OF_DATE])
    assert len(known.tcb.levels) == 35 * len(info["tcbLevels"])
    for index, level in enumerate(info["tcbLevels"]):
        found = known.tcb.levels[35 * index : 35 * (index + 1)]
        assert list(found[:16]) == [component["svn"] for component in level["tcb"]["sgxtcbcomponents"]]
        assert list(found[16:32]) == [component["svn"] for component in level["tcb"]["tdxtcbcomponents"]]
        assert int.from_bytes(found[32:34]) == level["tcb"]["pcesvn"]
        assert TcbStatus(found[34]).label == level["tcbStatus"]


def test_transcribe__levels_in_another_order__gives_the_same_table():
    """ATT-7: the order that counts is that of the versions."""
    given = changed(TDX[1], tcb_info=lambda document: document["tcbLevels"].reverse())
    assert transcribe(given).tcb == transcribe(recorded(TDX[1]).collateral).tcb


HOSTILE = {
    "no JSON": "{",
    "a list": "[]",
    "a member missing": json.dumps({"tcb_info": "{}"}),
    "SGX": changed(TDX[0], tcb_info=lambda document: document.update(id="SGX")),
    "version": changed(TDX[0], tcb_info=lambda document: document.update(version=4)),
    "enclave": changed(TDX[0], qe_identity=lambda document: document.update(id="QE")),
    "FMSPC": changed(TDX[0], tcb_info=lambda document: document.update(fmspc="00")),
    "date": changed(TDX[0], tcb_info=lambda document: document.update(nextUpdate="tomorrow")),
    "components": changed(TDX[0], tcb_info=lambda d: d["tcbLevels"][0]["tcb"]["tdxtcbcomponents"].pop()),
    "component": changed(TDX[0], tcb_info=lambda d: d["tcbLevels"][0]["tcb"]["tdxtcbcomponents"][0].update(svn=256)),
    "PCESVN": changed(TDX[0], tcb_info=lambda d: d["tcbLevels"][0]["tcb"].update(pcesvn=1 << 16)),
    "status": changed(TDX[0], tcb_info=lambda d: d["tcbLevels"][0].update(tcbStatus="Fine")),
    "module status": changed(
        TDX[0], tcb_info=lambda d: d["tdxModuleIdentities"][0]["tcbLevels"][0].update(tcbStatus="ConfigurationNeeded")
    ),
    "enclave status": changed(
        TDX[0], qe_identity=lambda document: document["tcbLevels"][0].update(tcbStatus="SWHardeningNeeded")
    ),
    "module name": changed(TDX[0], tcb_info=lambda d: d["tdxModuleIdentities"][0].update(id="TDX_003")),
    "module signer": changed(TDX[0], tcb_info=lambda d: d["tdxModule"].update(mrsigner="01" * 48)),
    "module mask": changed(
        TDX[0], tcb_info=lambda d: d["tdxModuleIdentities"][0].update(attributesMask="00FFFFFFFFFFFFFF")
    ),
    "signature": changed(TDX[0], tcb_info_signature="00"),
    "list": changed(TDX[0], pck_crl="00"),
    "chain": changed(TDX[0], tcb_info_issuer_chain="none"),
    "chains of two roots": changed(
        TDX[0], tcb_info_issuer_chain=json.loads(pki.Vendor().collateral())["tcb_info_issuer_chain"]
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_transcribe__wrong_collateral__is_refused(what):
    with pytest.raises(MalformedEvidence):
        transcribe(HOSTILE[what])


@pytest.mark.parametrize("name", TDX)
def test_to_on_chain__genuine_quote__is_its_beginning(name):
    quote = recorded(name).quote
    assert to_on_chain(quote) == quote[:1252]
    chain = platform_certificate(quote)
    assert chain.id == keccak(chain.der)
    assert chain.issuers[-1] == INTEL


@pytest.mark.parametrize("name", [*SGX, TDX_5])
def test_to_on_chain__another_version__is_refused(name):
    """ATT-1"""
    with pytest.raises(MalformedEvidence, match="no TDX quote of version 4"):
        to_on_chain(recorded(name).quote)


@pytest.mark.parametrize("at", [0, 2, 4, 12, 27, 632, 764, 766, 1218, 1252, 1254])
def test_to_on_chain__layout_is_damaged__is_refused(at):
    """ATT-1"""
    quote = bytearray(recorded(TDX[0]).quote)
    quote[at] ^= 1
    with pytest.raises(MalformedEvidence):
        to_on_chain(bytes(quote))


def test_to_on_chain__cut_or_longer__is_refused():
    """ATT-1: nothing missing. Behind the end only the zeros of a buffer that was too large."""
    quote = pki.Vendor().quote()
    assert to_on_chain(quote + bytes(9)) == to_on_chain(quote)
    for wrong in (b"", quote[:20], quote[:1252], quote[:-1], quote + b"\1", quote + bytes(9) + b"\1"):
        with pytest.raises(MalformedEvidence):
            to_on_chain(wrong)
