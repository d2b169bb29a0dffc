"""The development authority: it works like Intel's, says everywhere that it is none, and is kept in one file."""

import json
import stat
from dataclasses import replace

import dcap_qvl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cloister.attestation.collateral import platform_certificate, to_on_chain, transcribe
from cloister.attestation.development import FILE_NAME, DevelopmentDevice, DevelopmentError, DevelopmentPki
from cloister.attestation.registers import Registers
from cloister.domain.attested import TcbStatus

NOW = 1_800_000_000
SEED = bytes(range(32))
PKI = DevelopmentPki.create(NOW, seed=SEED)
REGISTERS = Registers(mrtd=bytes([5] * 48))
DATA = bytes(range(64))


def verified(device, now=NOW, pki=PKI):
    collateral = dcap_qvl.QuoteCollateralV3.from_json(pki.collateral_json(now))
    return dcap_qvl.verify_with_root_ca(device.quote(REGISTERS, DATA), collateral, pki.root_der, now)


def test_quote__by_dcap__holds_under_our_root_and_not_under_intels():
    assert verified(PKI.new_device("alice")).status == "UpToDate"
    collateral = dcap_qvl.QuoteCollateralV3.from_json(PKI.collateral_json(NOW))
    with pytest.raises(ValueError, match="Verification failed"):
        dcap_qvl.verify(PKI.new_device("alice").quote(REGISTERS, DATA), collateral, NOW)


@pytest.mark.parametrize("status", [status for status in TcbStatus if status != TcbStatus.REVOKED])
def test_new_device__any_status__is_what_dcap_finds(status):
    assert verified(PKI.new_device("alice", status)).status == status.label


def test_new_device__same_name__is_the_same_machine_and_another_name_is_not():
    assert PKI.new_device("alice").quote(REGISTERS, DATA) == PKI.new_device("alice").quote(REGISTERS, DATA)
    alice, bob = PKI.new_device("alice"), PKI.new_device("bob")
    assert len({alice.ppid, bob.ppid}) == len({alice.platform, bob.platform}) == len({alice.pck_der, bob.pck_der}) == 2


def test_create__without_a_seed__is_another_authority_each_time():
    assert DevelopmentPki.create(NOW).root_der != DevelopmentPki.create(NOW).root_der


def test_save_and_load__everything__is_the_same_and_private(tmp_path):
    PKI.save(tmp_path / "new")
    loaded = DevelopmentPki.load(tmp_path / "new")
    assert loaded == PKI
    assert loaded.root_der == PKI.root_der
    assert loaded.collateral_json(NOW) == PKI.collateral_json(NOW)
    assert stat.S_IMODE((tmp_path / "new" / FILE_NAME).stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"created": 1, "lifetime": 2, "seed": "xx"}'])
def test_load__anything_else__is_an_error_that_names_the_folder(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(DevelopmentError, match=str(tmp_path)):
        DevelopmentPki.load(tmp_path)
    with pytest.raises(DevelopmentError):
        DevelopmentPki.load(tmp_path / "nowhere")


def test_device__as_content__is_the_same(tmp_path):
    device = PKI.new_device("alice")
    again = DevelopmentDevice.of_content(json.loads(json.dumps(device.to_content())))
    assert again.quote(REGISTERS, DATA) == device.quote(REGISTERS, DATA)


def test_names__every_certificate__say_that_it_protects_nothing():
    device = PKI.new_device("alice")
    chain = x509.load_pem_x509_certificates(device.chain_pem)
    others = [x509.load_der_x509_certificate(der) for der in (PKI.root_der, PKI.ca_der, PKI.tcb_signer_der)]
    for certificate in [*chain, *others]:
        for name in (certificate.subject, certificate.issuer):
            assert "DEVELOPMENT" in name.rfc4514_string()
            assert "NOT A TEE" in name.rfc4514_string()
    assert '"fmspc":"DEDEDEDEDEDE"' in json.loads(PKI.collateral_json(NOW))["tcb_info"]
    assert chain[-1].public_bytes(Encoding.DER) == PKI.root_der


def test_repr__pki_and_device__show_no_secret():
    device = PKI.new_device("alice")
    shown = repr(PKI) + repr(device)
    assert SEED.hex() not in shown
    assert repr(SEED) not in shown
    assert "PrivateKey" not in shown


def test_root_public_key__is_what_the_contract_pins():
    key = x509.load_der_x509_certificate(PKI.root_der).public_key().public_numbers()
    assert PKI.root_public_key == (key.x.to_bytes(32), key.y.to_bytes(32))


def test_collateral__as_time_goes_on__never_goes_back_and_ends_with_the_certificates():
    """ATT-8"""
    first, second = (transcribe(PKI.collateral_json(now)) for now in (NOW, NOW + 86_400))
    assert second.tcb.issued > first.tcb.issued
    assert second.tcb.evaluation == first.tcb.evaluation
    assert verified(PKI.new_device("alice"), NOW + 300 * 86_400).status == "UpToDate"
    with pytest.raises(ValueError, match="CertExpired"):
        verified(PKI.new_device("alice"), NOW + 366 * 86_400)


def test_quote__for_the_chain__is_1252_bytes_and_names_its_certificate():
    device = PKI.new_device("alice")
    quote = device.quote(REGISTERS, DATA)
    assert len(to_on_chain(quote)) == 1252
    found = platform_certificate(quote)
    assert found.der == device.pck_der
    assert found.issuers == (PKI.ca_der, PKI.root_der)


def test_lifetime__shorter__ends_sooner():
    brief = replace(PKI, lifetime=86_400)
    assert verified(brief.new_device("alice"), NOW + 80_000, brief).status == "UpToDate"
    with pytest.raises(ValueError, match="CertExpired"):
        verified(brief.new_device("alice"), NOW + 90_000, brief)
