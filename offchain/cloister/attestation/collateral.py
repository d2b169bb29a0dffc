"""Collateral of TDX quotes, transcribed into what the chain takes.

Intel signs JSON, which no contract reads. The steward posts what it says as a table, with the document's hash and
signature; anybody who has the document can make the same table with `transcribe` and compare.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from eth_hash.auto import keccak

from cloister.domain.attested import TcbStatus
from cloister.domain.errors import CloisterError, InvalidInput

ON_CHAIN_LENGTH = 1252
"""Bytes of a quote that the chain sees: what follows is not signed."""
COMPONENTS = 16


class MalformedEvidence(CloisterError):
    """Evidence or collateral is not in the form that it must have."""


@dataclass(frozen=True, slots=True)
class TcbInfo:
    """TCB info as the contract stores it: field by field contracts/attestation/TcbTable.sol.

    `modules` has 3 bytes per level of each TDX module identity (number of the identity, least ISVSVN, status), `levels`
    35 per level of the platform (16 SGX components, 16 TDX components, PCESVN, status).
    """

    fmspc: bytes
    issued: int
    until: int
    evaluation: int
    modules: bytes
    levels: bytes

    def as_tuple(self) -> tuple[object, ...]:
        """The fields in the order of the Solidity struct."""
        return self.fmspc, self.issued, self.until, self.evaluation, self.modules, self.levels


@dataclass(frozen=True, slots=True)
class QeIdentity:
    """QE identity as the contract stores it: field by field contracts/attestation/QeTable.sol.

    `levels` has 3 bytes per level: least ISVSVN (2), status.
    """

    issued: int
    until: int
    evaluation: int
    mrsigner: bytes
    attributes: bytes
    attributes_mask: bytes
    miscselect: bytes
    miscselect_mask: bytes
    isvprodid: int
    levels: bytes

    def as_tuple(self) -> tuple[object, ...]:
        """The fields in the order of the Solidity struct."""
        masked = self.attributes, self.attributes_mask, self.miscselect, self.miscselect_mask
        return self.issued, self.until, self.evaluation, self.mrsigner, *masked, self.isvprodid, self.levels


@dataclass(frozen=True, slots=True)
class Signed:
    """Signature over a document: its SHA-256, r and s (32 bytes each), and the id of the signer's certificate."""

    document_hash: bytes
    r: bytes
    s: bytes
    signer: bytes

    def as_tuple(self) -> tuple[object, ...]:
        """The fields in the order of the Solidity struct."""
        return self.document_hash, self.r, self.s, self.signer


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A revocation list (DER): id of the root or CA that issued it, Unix second of issue, number of entries."""

    der: bytes
    issuer: bytes
    issued: int
    entries: int

    @classmethod
    def of_der(cls, der: bytes, issuer: bytes) -> RevocationList:
        """Raises MalformedEvidence."""
        try:
            found = x509.load_der_x509_crl(der)
            return cls(der, issuer, int(found.last_update_utc.timestamp()), len(found))
        except ValueError as error:
            raise MalformedEvidence("The revocation list is no DER.", "Fetch the collateral again.") from error


@dataclass(frozen=True, slots=True)
class OnChainCollateral:
    """What the chain must know before it can judge quotes of one kind of machine. Register it in this order.

    `root` is the id of the root, `authorities` are the certificates (DER) that it issued, `ca` is the id of that one of
    them which issues platform certificates, `lists` are the root's revocation list and the CA's.
    """

    root: bytes
    ca: bytes
    authorities: tuple[bytes, ...]
    lists: tuple[RevocationList, ...]
    tcb: TcbInfo
    tcb_signed: Signed
    qe: QeIdentity
    qe_signed: Signed


@dataclass(frozen=True, slots=True)
class PlatformCertificate:
    """The certificate whose key signs a platform's quoting enclave, and its issuers up to the root (DER)."""

    der: bytes
    issuers: tuple[bytes, ...]

    @property
    def id(self) -> bytes:
        """By which the chain knows it."""
        return certificate_id(self.der)


def certificate_id(der: bytes) -> bytes:
    """Id of a certificate that is no root."""
    return keccak(der)


def root_id(der: bytes) -> bytes:
    """Id of a root certificate, which is that of its key: Keccak-256 of x ‖ y. Raises MalformedEvidence."""
    key = _certificate(der).public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise MalformedEvidence("The root's key is not on P-256.", "Pin the root certificate of the vendor.")
    numbers = key.public_numbers()
    return keccak(numbers.x.to_bytes(32) + numbers.y.to_bytes(32))


def to_on_chain(quote: bytes) -> bytes:
    """The first 1,252 bytes of a TDX quote of version 4, once its layout is sound (ATT-1). Raises MalformedEvidence."""
    _certification(quote)
    return quote[:ON_CHAIN_LENGTH]


def platform_certificate(quote: bytes) -> PlatformCertificate:
    """The certificate chain behind the signed part of a TDX quote. Raises MalformedEvidence."""
    chain = _chain(_certification(quote))
    return PlatformCertificate(chain[0], tuple(chain[1:]))


def transcribe(collateral: str | bytes) -> OnChainCollateral:
    """What collateral in the form of dcap-qvl's QuoteCollateralV3 (JSON) says. Checks no signature: the chain does.

    Raises MalformedEvidence when it is not of that form, or says what the chain has no place for.
    """
    try:
        content = json.loads(collateral)
        ca, root = _two(content["pck_crl_issuer_chain"])
        tcb_signer, tcb_root = _two(content["tcb_info_issuer_chain"])
        qe_signer, qe_root = _two(content["qe_identity_issuer_chain"])
        if not root_id(root) == root_id(tcb_root) == root_id(qe_root):
            raise MalformedEvidence(
                "The chains of the collateral end in different roots.", "Fetch the collateral again."
            )
        lists = (
            RevocationList.of_der(bytes.fromhex(content["root_ca_crl"]), root_id(root)),
            RevocationList.of_der(bytes.fromhex(content["pck_crl"]), certificate_id(ca)),
        )
        return OnChainCollateral(
            root_id(root),
            certificate_id(ca),
            tuple(dict.fromkeys((ca, tcb_signer, qe_signer))),
            lists,
            _tcb_info(json.loads(content["tcb_info"])),
            _signed(content["tcb_info"], content["tcb_info_signature"], tcb_signer),
            _qe_identity(json.loads(content["qe_identity"])),
            _signed(content["qe_identity"], content["qe_identity_signature"], qe_signer),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, InvalidInput) as error:
        raise MalformedEvidence(
            f"This is no collateral of a TDX platform: {error!r}.", "It has the nine fields of QuoteCollateralV3."
        ) from error


def _certification(quote: bytes) -> bytes:
    """The PEM chain at the end of a quote whose layout is sound (ATT-1)."""
    header = (quote[0:8], quote[12:28])
    if header != (bytes.fromhex("0400020081000000"), bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")):
        raise MalformedEvidence("This is no TDX quote of version 4 by Intel's quoting enclave.")
    inner = int.from_bytes(quote[1254:1258], "little")
    end = 1258 + inner
    lengths = [int.from_bytes(quote[at : at + 4], "little") for at in (632, 766)]
    sound = quote[764:766] == b"\6\0" and quote[1218:1220] == b"\x20\0" and quote[1252:1254] == b"\5\0"
    if not sound or lengths != [end - 636, end - 770] or len(quote) < end or any(quote[end:]):
        # zeros behind the end are the rest of the buffer in which the quote was given out
        raise MalformedEvidence(
            f"The parts of the quote do not fill its {len(quote):,} bytes.", "Ask the provider for a new quote."
        )
    return quote[1258:end]


def _tcb_info(content: dict[str, Any]) -> TcbInfo:
    if content["id"] != "TDX" or content["version"] != 3:
        raise ValueError(f"TCB info {content['id']} version {content['version']} instead of TDX version 3")
    module = content["tdxModule"]
    modules = b""
    for identity in content["tdxModuleIdentities"]:
        _require_zero_signer(identity)
        name, number = identity["id"].upper().split("_")
        if name != "TDX" or len(number) != 2:
            raise ValueError(f"a TDX module identity {identity['id']!r}")
        for level in identity["tcbLevels"]:
            modules += bytes([int(number, 16), level["tcb"]["isvsvn"], _part_status(level)])
    _require_zero_signer(module)
    # Whatever their order in the document is, the levels count from the highest on.
    levels = sorted((_level(level) for level in content["tcbLevels"]), key=_rank, reverse=True)
    return TcbInfo(
        _octets(content["fmspc"], 6),
        _second(content["issueDate"]),
        _second(content["nextUpdate"]),
        content["tcbEvaluationDataNumber"],
        modules,
        b"".join(levels),
    )


def _level(level: dict[str, Any]) -> bytes:
    tcb = level["tcb"]
    sgx, tdx = (bytes(component["svn"] for component in tcb[f"{tee}tcbcomponents"]) for tee in ("sgx", "tdx"))
    if len(sgx) != COMPONENTS or len(tdx) != COMPONENTS:
        raise ValueError(f"a TCB level with {len(sgx)} and {len(tdx)} components")
    return sgx + tdx + int(tcb["pcesvn"]).to_bytes(2) + bytes([TcbStatus.of_label(level["tcbStatus"])])


def _rank(level: bytes) -> bytes:
    """SGX components, then PCESVN, then TDX components."""
    return level[:16] + level[32:34] + level[16:32]


def _require_zero_signer(module: dict[str, Any]) -> None:
    """ATT-5 takes Intel's own TDX module only, whose signer and attributes are zero."""
    zeros = _octets(module["mrsigner"], 48) + _octets(module["attributes"], 8)
    if any(zeros) or _octets(module["attributesMask"], 8) != b"\xff" * 8:
        raise ValueError("a TDX module that is not Intel's own")


def _qe_identity(content: dict[str, Any]) -> QeIdentity:
    if content["id"] != "TD_QE" or content["version"] not in (2, 3):
        raise ValueError(f"QE identity {content['id']} version {content['version']} instead of TD_QE version 2 or 3")
    levels = b""
    for level in content["tcbLevels"]:
        levels += int(level["tcb"]["isvsvn"]).to_bytes(2) + bytes([_part_status(level)])
    return QeIdentity(
        _second(content["issueDate"]),
        _second(content["nextUpdate"]),
        content["tcbEvaluationDataNumber"],
        _octets(content["mrsigner"], 32),
        _octets(content["attributes"], 16),
        _octets(content["attributesMask"], 16),
        _octets(content["miscselect"], 4),
        _octets(content["miscselectMask"], 4),
        content["isvprodid"],
        levels,
    )


def _part_status(level: dict[str, Any]) -> TcbStatus:
    """Status of a TDX module or quoting enclave, which cannot need a configuration."""
    status = TcbStatus.of_label(level["tcbStatus"])
    if status not in (TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE, TcbStatus.REVOKED):
        raise ValueError(f"a module or enclave with the status {status.label}")
    return status


def _signed(document: str, signature: str, signer: bytes) -> Signed:
    raw = _octets(signature, 64)
    return Signed(sha256(document.encode()).digest(), raw[:32], raw[32:], certificate_id(signer))


def _second(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def _octets(text: str, length: int) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != length:
        raise ValueError(f"{len(value)} bytes instead of {length}")
    return value


def _two(pem: str) -> list[bytes]:
    """A chain of two certificates, the root last."""
    chain = _chain(pem.encode())
    if len(chain) != 2:
        raise ValueError(f"a chain of {len(chain)} certificates instead of 2")
    return chain


def _chain(pem: bytes) -> list[bytes]:
    try:
        return [found.public_bytes(Encoding.DER) for found in x509.load_pem_x509_certificates(pem.rstrip(b"\0"))]
    except ValueError as error:
        raise MalformedEvidence("The certificate chain is no PEM.", "Ask the provider for a new quote.") from error


def _certificate(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise MalformedEvidence("A certificate is no DER.") from error
