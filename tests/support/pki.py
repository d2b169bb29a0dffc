"""A vendor of our own: every certificate, list, document and quote that Intel signs, with any part of it wrong.

DER is put together by hand, because libraries refuse to make what the contract must refuse to read.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ALGORITHM = bytes.fromhex("300a06082a8648ce3d040302")
KEY_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
SGX = bytes.fromhex("2a864886f84d010d01")
BASIC_CONSTRAINTS, KEY_USAGE, OTHER = bytes.fromhex("551d13"), bytes.fromhex("551d0f"), bytes.fromhex("551d25")
DAY = 86_400
NOW = 1_800_000_000
"""Unix second at which everything is current unless a test says otherwise."""


def tlv(tag: int, *content: bytes) -> bytes:
    """One element of DER."""
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 + size]) + len(body).to_bytes(size) + body


def sequence(*content: bytes) -> bytes:
    return tlv(0x30, *content)


def integer(value: int) -> bytes:
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1))


def oid(content: bytes) -> bytes:
    return tlv(6, content)


def time(second: int) -> bytes:
    moment = datetime.fromtimestamp(second, UTC)
    if moment.year < 2050:
        return tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


def name(text: str) -> bytes:
    return sequence(tlv(0x31, sequence(oid(bytes.fromhex("550403")), tlv(12, text.encode()))))


def extension(kind: bytes, value: bytes, *, critical: bool = False) -> bytes:
    return sequence(oid(kind), *([tlv(1, b"\xff")] if critical else []), tlv(4, value))


def constraints(*, ca: bool, path: int | None = None) -> bytes:
    content = [tlv(1, b"\xff")] if ca else []
    if path is not None:
        content.append(integer(path))
    return extension(BASIC_CONSTRAINTS, sequence(*content), critical=True)


def usage(bits: int, unused: int = 0) -> bytes:
    """0x80 digital signature, 0x06 certificates and lists."""
    return extension(KEY_USAGE, tlv(3, bytes([unused, bits])), critical=True)


CA_EXTENSIONS = (usage(0x06, 1), constraints(ca=True, path=0))
LEAF_EXTENSIONS = (usage(0xC0, 6), constraints(ca=False))


def platform_extension(
    *,
    ppid: bytes = bytes(range(16)),
    fmspc: bytes = b"\x00\x90\x6e\xd5\x00\x00",
    cpu_svn: bytes = bytes([2] * 16),
    pce_svn: int = 11,
    behind_pce_svn: bytes = b"",
    without: tuple[int, ...] = (),
    twice: int | None = None,
) -> bytes:
    """The SGX extension of a platform certificate. `without` and `twice` name facts by the last number of their OID."""

    def fact(number: int, value: bytes, base: bytes = SGX) -> list[bytes]:
        if number in without:
            return []
        entry = sequence(oid(base + bytes([number])), value)
        return [entry, entry] if twice == number else [entry]

    tcb = [sequence(oid(SGX + bytes([2, 1 + index])), integer(svn)) for index, svn in enumerate(cpu_svn)]
    tcb += fact(17, integer(pce_svn) + behind_pce_svn, SGX + b"\2") + fact(18, tlv(4, cpu_svn), SGX + b"\2")
    content = fact(1, tlv(4, ppid)) + fact(2, sequence(*tcb)) + fact(3, tlv(4, b"\0\0"))
    content += fact(4, tlv(4, fmspc)) + fact(5, tlv(10, b"\1"))
    return extension(SGX, sequence(*content))


@dataclass(frozen=True)
class Key:
    """A P-256 key with a name and a fixed secret."""

    subject: str
    secret: int

    @property
    def private(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(self.secret, ec.SECP256R1())

    @property
    def public(self) -> bytes:
        """x ‖ y"""
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return point[1:]

    def sign(self, message: bytes, *, high: bool | None = None) -> tuple[int, int]:
        """r and s; s is as it comes, or the high or low one of the two."""
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True)))
        if high is not None and (s > ORDER // 2) != high:
            s = ORDER - s
        return r, s

    def raw(self, message: bytes) -> bytes:
        r, s = self.sign(message)
        return r.to_bytes(32) + s.to_bytes(32)


def signed(body: bytes, signer: Key, *, high: bool | None = None, algorithm: bytes = ALGORITHM) -> bytes:
    r, s = signer.sign(body, high=high)
    return sequence(body, algorithm, tlv(3, b"\0" + sequence(integer(r), integer(s))))


def certificate(
    key: Key,
    issuer: Key,
    extensions: tuple[bytes, ...],
    *,
    serial: int = 0x1234,
    start: int = NOW - DAY,
    end: int = NOW + 400 * DAY,
    version: bytes = b"\x02",
    algorithm: bytes = ALGORITHM,
    key_prefix: bytes = KEY_PREFIX,
    high: bool | None = None,
) -> bytes:
    """A certificate (DER)."""
    body = sequence(
        tlv(0xA0, tlv(2, version)),
        integer(serial),
        algorithm,
        name(issuer.subject),
        sequence(time(start), time(end)),
        name(key.subject),
        key_prefix + key.public,
        tlv(0xA3, sequence(*extensions)),
    )
    return signed(body, issuer, high=high)


def revocation_list(
    issuer: Key,
    serials: tuple[int, ...] = (),
    *,
    issued: int = NOW - DAY,
    until: int = NOW + 30 * DAY,
    version: int = 1,
    extensions: tuple[bytes, ...] = (),
    entry_extensions: tuple[bytes, ...] = (),
    signer: Key | None = None,
) -> bytes:
    """A revocation list (DER)."""
    own = [sequence(*entry_extensions)] if entry_extensions else []
    entries = [sequence(integer(serial), time(issued), *own) for serial in serials]
    number = extension(bytes.fromhex("551d14"), integer(1))
    body = sequence(
        integer(version),
        ALGORITHM,
        name(issuer.subject),
        time(issued),
        time(until),
        *([sequence(*entries)] if entries else []),
        tlv(0xA0, sequence(number, *extensions)),
    )
    return signed(body, signer or issuer)


def level(sgx: int = 2, pce: int = 11, tdx: int = 3, status: str = "UpToDate", *, module: int = 0) -> dict[str, Any]:
    """One level of TCB info with all components alike, but for the second of TDX, which is the module's version."""
    components = {"sgxtcbcomponents": [{"svn": sgx}] * 16, "pcesvn": pce}
    components["tdxtcbcomponents"] = [{"svn": tdx}, {"svn": module}, *[{"svn": tdx}] * 14]
    return {"tcb": components, "tcbDate": "2024-03-13T00:00:00Z", "tcbStatus": status}


def module_identity(number: int, levels: list[tuple[int, str]]) -> dict[str, Any]:
    """One TDX module identity: ISVSVN and status of each level."""
    return {
        "id": f"TDX_{number:02X}",
        "mrsigner": "00" * 48,
        "attributes": "00" * 8,
        "attributesMask": "FF" * 8,
        "tcbLevels": [
            {"tcb": {"isvsvn": svn}, "tcbDate": "2024-03-13T00:00:00Z", "tcbStatus": status} for svn, status in levels
        ],
    }


def date(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tcb_info(
    levels: list[dict[str, Any]] | None = None,
    modules: list[dict[str, Any]] | None = None,
    *,
    fmspc: str = "00906ED50000",
    issued: int = NOW - DAY,
    until: int = NOW + 29 * DAY,
    evaluation: int = 17,
) -> str:
    """TCB info as it is signed."""
    content = {
        "id": "TDX",
        "version": 3,
        "issueDate": date(issued),
        "nextUpdate": date(until),
        "fmspc": fmspc,
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": evaluation,
        "tdxModule": {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8},
        "tdxModuleIdentities": [module_identity(3, [(3, "UpToDate")])] if modules is None else modules,
        "tcbLevels": [level()] if levels is None else levels,
    }
    return json.dumps(content, separators=(",", ":"))


QE_SIGNER = sha256(b"a quoting enclave's signer").digest()


def qe_identity(
    levels: list[tuple[int, str]] | None = None,
    *,
    issued: int = NOW - DAY,
    until: int = NOW + 28 * DAY,
    evaluation: int = 17,
    attributes: str = "11000000000000000000000000000000",
    mask: str = "FBFFFFFFFFFFFFFF0000000000000000",
) -> str:
    """QE identity as it is signed."""
    content = {
        "id": "TD_QE",
        "version": 2,
        "issueDate": date(issued),
        "nextUpdate": date(until),
        "tcbEvaluationDataNumber": evaluation,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": attributes,
        "attributesMask": mask,
        "mrsigner": QE_SIGNER.hex().upper(),
        "isvprodid": 2,
        "tcbLevels": [
            {"tcb": {"isvsvn": svn}, "tcbDate": "2024-03-13T00:00:00Z", "tcbStatus": status}
            for svn, status in levels or [(4, "UpToDate")]
        ],
    }
    return json.dumps(content, separators=(",", ":"))


@dataclass
class Quote:
    """A quote in the making; `make` signs it. Every part can be set to what is wrong."""

    header: bytes = bytes.fromhex("0400020081000000") + bytes(4) + bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
    tee_tcb_svn: bytes = bytes([3, 0] + [3] * 14)
    seam_signer: bytes = bytes(48)
    seam_attributes: bytes = bytes(8)
    td_attributes: bytes = bytes.fromhex("0000001000000000")
    report_data: bytes = bytes(range(64))
    qe: dict[int, bytes] = field(default_factory=dict)
    """Bytes of the QE report by offset, over what is sound."""
    authentication: bytes = bytes(range(32))
    qe_binding: bytes | None = None
    attestation: Key = Key("attestation", 77)
    quote_signer: Key | None = None
    types: tuple[int, int] = (6, 5)
    sizes: tuple[int, int, int] = (0, 0, 0)
    """Added to the lengths of signature data, certification data and authentication data."""

    def make(self, pck: Key, chain: tuple[bytes, ...]) -> bytes:
        """The whole quote with a PEM chain."""
        body = self.tee_tcb_svn + bytes(48) + self.seam_signer + self.seam_attributes + self.td_attributes
        body += bytes.fromhex("e702060000000000") + bytes(range(200, 248)) + bytes(48 * 7) + self.report_data
        head = self.header + bytes(48 - len(self.header)) + body
        assert len(head) == 632
        key = self.attestation.public
        report = bytearray(384)
        report[48:64] = bytes.fromhex("15000000000000000700000000000000")
        report[128:160] = QE_SIGNER
        report[256:260] = b"\x02\x00\x04\x00"
        report[320:352] = sha256(key + self.authentication).digest()
        for at, value in self.qe.items():
            report[at : at + len(value)] = value
        if self.qe_binding is not None:
            report[320:384] = self.qe_binding
        pem = b"".join(_pem(der) for der in chain)
        inner = bytes(report) + pck.raw(bytes(report))
        inner += (len(self.authentication) + self.sizes[2]).to_bytes(2, "little") + self.authentication
        inner += self.types[1].to_bytes(2, "little") + len(pem).to_bytes(4, "little") + pem
        data = (self.quote_signer or self.attestation).raw(head) + key + self.types[0].to_bytes(2, "little")
        data += (len(inner) + self.sizes[1]).to_bytes(4, "little") + inner
        return head + (len(data) + self.sizes[0]).to_bytes(4, "little") + data


def _pem(der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"-----BEGIN CERTIFICATE-----\n" + b"\n".join(lines) + b"\n-----END CERTIFICATE-----\n"


@dataclass
class Vendor:
    """Keys and everything that is signed with them. Replace any part before `collateral` or `quote`."""

    root_key: Key = Key("Test Root CA", 11)
    ca_key: Key = Key("Test Platform CA", 12)
    signer_key: Key = Key("Test TCB Signing", 13)
    pck_key: Key = Key("Test PCK Certificate", 14)
    tcb: str = field(default_factory=tcb_info)
    identity: str = field(default_factory=qe_identity)

    def __post_init__(self) -> None:
        self.root = certificate(self.root_key, self.root_key, (CA_EXTENSIONS[0], constraints(ca=True)), serial=1)
        self.ca = certificate(self.ca_key, self.root_key, CA_EXTENSIONS, serial=2)
        self.signer = certificate(self.signer_key, self.root_key, LEAF_EXTENSIONS, serial=3)
        self.pck = self.platform()
        self.root_list = revocation_list(self.root_key)
        self.ca_list = revocation_list(self.ca_key)

    def platform(self, *, serial: int = 4, facts: dict[str, Any] | None = None, **fields: Any) -> bytes:
        """A platform certificate."""
        extensions = (*LEAF_EXTENSIONS, platform_extension(**(facts or {})))
        return certificate(self.pck_key, self.ca_key, extensions, serial=serial, **fields)

    def collateral(self) -> str:
        """In the form of dcap-qvl's QuoteCollateralV3."""
        signer_chain = (_pem(self.signer) + _pem(self.root)).decode()
        return json.dumps(
            {
                "pck_crl_issuer_chain": (_pem(self.ca) + _pem(self.root)).decode(),
                "root_ca_crl": self.root_list.hex(),
                "pck_crl": self.ca_list.hex(),
                "tcb_info_issuer_chain": signer_chain,
                "tcb_info": self.tcb,
                "tcb_info_signature": self.signer_key.raw(self.tcb.encode()).hex(),
                "qe_identity_issuer_chain": signer_chain,
                "qe_identity": self.identity,
                "qe_identity_signature": self.signer_key.raw(self.identity.encode()).hex(),
            }
        )

    def quote(self, quote: Quote | None = None) -> bytes:
        """A whole quote of the vendor's platform."""
        return (quote or Quote()).make(self.pck_key, (self.pck, self.ca, self.root))
