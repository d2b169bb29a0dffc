"""Roots, certificates and evidence like those of AWS and AMD, with any part of it wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = 1_800_000_000
DAY = 86_400
P384 = ec.SECP384R1()
PSS = padding.PSS(padding.MGF1(SHA384()), 48)


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """Made once in a run: it is random, and no test looks at it."""
    del name
    return rsa.generate_private_key(65537, 2048)


@cache
def p384_key(name: str) -> ec.EllipticCurvePrivateKey:
    """The same for the same name."""
    return ec.derive_private_key(int.from_bytes(sha256(name.encode()).digest()), P384)


def issue(
    subject: str,
    key: Any,
    issuer: str,
    issuer_key: Any,
    *,
    ca: bool = True,
    may_sign: bool | None = None,
    path: int | None = None,
    start: int = NOW - DAY,
    end: int = NOW + DAY,
    extensions: dict[str, bytes] | None = None,
) -> x509.Certificate:
    """A certificate; `may_sign` is its key usage, if it is not what a CA or leaf has."""
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (subject, issuer)]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1])
    builder = builder.public_key(key.public_key()).serial_number(1 + sum(subject.encode()))
    moments = [datetime.fromtimestamp(second, UTC) for second in (start, end)]
    builder = builder.not_valid_before(moments[0]).not_valid_after(moments[1])
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path if ca else None), critical=True)
    sign = ca if may_sign is None else may_sign
    usage = x509.KeyUsage(not sign, False, False, False, False, sign, sign, False, False)
    builder = builder.add_extension(usage, critical=True)
    for oid, value in (extensions or {}).items():
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical=False)
    rsa_padding = PSS if isinstance(issuer_key, rsa.RSAPrivateKey) else None
    return builder.sign(issuer_key, SHA384(), rsa_padding=rsa_padding)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@dataclass
class Aws:
    """A document in the making. Replace any part before `document`."""

    payload: dict[str, Any] = field(default_factory=dict)
    leaf: dict[str, Any] = field(default_factory=dict)
    middle: dict[str, Any] = field(default_factory=dict)
    protected: bytes = cbor2.dumps({1: -35})
    unprotected: Any = field(default_factory=dict)
    signer: str = "leaf"
    tag: bool = False

    def __post_init__(self) -> None:
        self.root = issue("aws", p384_key("root"), "aws", p384_key("root"))

    @property
    def fingerprint(self) -> bytes:
        return sha256(der(self.root)).digest()

    def document(self) -> bytes:
        middle = issue("region", p384_key("region"), "aws", p384_key("root"), **({"path": 0} | self.middle))
        leaf = issue("enclave", p384_key("leaf"), "region", p384_key("region"), **({"ca": False} | self.leaf))
        content = {
            "module_id": "i-1-enc1",
            "digest": "SHA384",
            "timestamp": NOW * 1000,
            "pcrs": {index: bytes([index + 1]) * 48 for index in range(3)} | {3: bytes(48)},
            "certificate": der(leaf),
            "cabundle": [der(self.root), der(middle)],
            "public_key": None,
            "user_data": bytes(range(64)),
            "nonce": None,
        } | self.payload
        payload = cbor2.dumps({name: value for name, value in content.items() if value != "absent"})
        signed = cbor2.dumps(["Signature1", self.protected, b"", payload])
        r, s = decode_dss_signature(p384_key(self.signer).sign(signed, ec.ECDSA(SHA384())))
        message: Any = [self.protected, self.unprotected, payload, r.to_bytes(48) + s.to_bytes(48)]
        return cbor2.dumps(cbor2.CBORTag(18, message) if self.tag else message)


TCB = {"3.1": 0, "3.2": 1, "3.3": 6, "3.8": 7}


@dataclass
class Amd:
    """A report in the making: bytes by offset over what is sound, and extensions of the chip's certificate."""

    report: dict[int, bytes] = field(default_factory=dict)
    behind: dict[int, bytes] = field(default_factory=dict)
    """Put over the signed report."""
    facts: dict[str, bytes | None] = field(default_factory=dict)
    chip: dict[str, Any] = field(default_factory=dict)
    intermediate: dict[str, Any] = field(default_factory=dict)
    signer: str = "vcek"

    def __post_init__(self) -> None:
        self.root = issue("ARK", rsa_key("ark"), "ARK", rsa_key("ark"))
        self.ask = issue("ASK", rsa_key("ask"), "ARK", rsa_key("ark"), **({"path": 0} | self.intermediate))
        facts: dict[str, bytes | None] = {"4": bytes(range(64))}
        facts |= {oid: bytes([2, 1, index + 1]) for oid, index in TCB.items()} | self.facts
        extensions = {f"1.3.6.1.4.1.3704.1.{oid}": value for oid, value in facts.items() if value is not None}
        key = self.chip.pop("key", p384_key("vcek"))
        self.vcek = issue("VCEK", key, "ASK", rsa_key("ask"), ca=False, extensions=extensions, **self.chip)

    @property
    def fingerprint(self) -> bytes:
        return sha256(der(self.root)).digest()

    @property
    def certificates(self) -> list[bytes]:
        return [der(found) for found in (self.vcek, self.ask, self.root)]

    def revocations(self, *serials: int, start: int = NOW - DAY, end: int = NOW + DAY, key: Any = None) -> bytes:
        """A list by the root."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.root.subject)
        builder = builder.last_update(datetime.fromtimestamp(start, UTC)).next_update(datetime.fromtimestamp(end, UTC))
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial)
            builder = builder.add_revoked_certificate(entry.revocation_date(datetime.fromtimestamp(start, UTC)).build())
        found = builder.sign(key or rsa_key("ark"), SHA384(), rsa_padding=PSS)
        return found.public_bytes(Encoding.DER)

    def evidence(self) -> bytes:
        data = bytearray(1184)
        sound = {0: b"\2", 0x08: bytes([0, 0, 3]), 0x34: b"\1", 0x50: bytes(range(64)), 0x90: bytes([7] * 48)}
        sound |= {0x180: bytes([1, 2, 0, 0, 0, 0, 7, 8]), 0x1A0: bytes(range(64))}
        for at, value in (sound | self.report).items():
            data[at : at + len(value)] = value
        r, s = decode_dss_signature(p384_key(self.signer).sign(bytes(data[:0x2A0]), ec.ECDSA(SHA384())))
        data[0x2A0 : 0x2A0 + 72], data[0x2A0 + 72 : 0x2A0 + 144] = r.to_bytes(72, "little"), s.to_bytes(72, "little")
        for at, value in self.behind.items():
            data[at : at + len(value)] = value
        return bytes(data)
