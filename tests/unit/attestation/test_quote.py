"""The layout of quotes (ATT-1) and what identifies them."""

from hashlib import sha256

import pytest
from eth_hash.auto import keccak
from support.evidence import TDX, recorded
from support.hostile_evidence import DEVICE, REGISTERS, SOUND_DATA, quote, version_5

from cloister.attestation.quote import MalformedEvidence, parse_quote
from cloister.attestation.registers import Registers
from cloister.domain.errors import InvalidInput


@pytest.mark.parametrize("name", TDX)
def test_parse_quote__genuine_tdx__has_its_parts_where_the_specification_says(name):
    """ATT-1"""
    data = recorded(name).quote
    found = parse_quote(data)
    assert (found.version, found.tee, found.kind) == (4, "tdx", "tdx-v4")
    assert found.signed == data[:632]
    assert found.quote_id == sha256(data[:632]).digest()
    assert found.measurement == keccak(data[168:568])
    assert found.report_data == data[568:632]
    assert found.attributes == data[168:176]
    assert found.qe_report == data[770:1154]
    assert found.qe_signature == data[1154:1218]
    assert found.pem.startswith(b"-----BEGIN CERTIFICATE-----")
    assert data.startswith(found.raw)
    assert not any(data[len(found.raw) :])


def test_parse_quote__genuine_sgx__measures_enclave_and_signer():
    data = recorded("intel_sgx_v3_confswhard_dcapqvl").quote
    found = parse_quote(data)
    assert found.kind == "sgx-v3"
    assert found.signed == data[:432]
    assert found.report_data == data[368:432]
    assert found.measurement == keccak(data[112:144] + data[176:208] + data[304:308])


def test_parse_quote__version_5__has_the_same_measurement():
    found = parse_quote(version_5())
    assert found.kind == "tdx-v5"
    assert len(found.signed) == 638
    assert found.measurement == REGISTERS.measurement()
    assert found.report_data == SOUND_DATA
    longer = parse_quote(version_5(kind=3, extra=bytes(64)))
    assert len(longer.signed) == 702
    assert longer.measurement == REGISTERS.measurement()


@pytest.mark.parametrize(("kind", "size"), [(1, None), (2, 648), (3, None), (2, 0), (9, None)])
def test_parse_quote__version_5_body_of_another_type__is_refused(kind, size):
    with pytest.raises(MalformedEvidence, match="body of type"):
        parse_quote(version_5(kind=kind, size=size))


def test_parse_quote__cut_anywhere__is_refused():
    """ATT-1: nothing is missing."""
    whole = quote()
    for end in range(0, len(whole), 7):
        with pytest.raises(MalformedEvidence):
            parse_quote(whole[:end])


def test_parse_quote__padded__is_the_same_quote_and_nothing_else_may_follow():
    """ATT-1: after the end nothing but zeros."""
    whole = quote()
    assert parse_quote(whole + bytes(3000)) == parse_quote(whole)
    with pytest.raises(MalformedEvidence, match="follows"):
        parse_quote(whole + bytes(10) + b"\1" + bytes(10))


def test_quote_id__unsigned_bytes_changed__stays():
    """What can be changed at will must not make a new quote."""
    whole = bytearray(quote())
    first = parse_quote(bytes(whole)).quote_id
    whole[-2] ^= 1
    assert parse_quote(bytes(whole)).quote_id == first
    whole[600] ^= 1
    assert parse_quote(bytes(whole)).quote_id != first


def test_registers__quote_of_them__has_their_measurement():
    registers = Registers(mrtd=bytes(range(48)), rtmr3=bytes([7] * 48), mr_owner=bytes([9] * 48))
    assert parse_quote(DEVICE.quote(registers, bytes(64))).measurement == registers.measurement()
    assert len(registers.to_bytes()) == 400


@pytest.mark.parametrize("field", ["mrtd", "rtmr2", "attributes", "xfam"])
def test_registers__wrong_length__is_refused(field):
    with pytest.raises(InvalidInput, match=field):
        Registers(**{"mrtd": bytes(48), field: bytes(47)})


def test_quote__report_data_of_another_length__is_refused():
    with pytest.raises(InvalidInput, match="64"):
        DEVICE.quote(REGISTERS, bytes(63))
