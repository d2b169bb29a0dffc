"""A development device: quotes in the form that TDX gives them, by keys that lie in the open. It protects nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from eth_hash.auto import keccak

from cloister.attestation.registers import Registers
from cloister.domain.errors import InvalidInput

P256 = ec.SECP256R1()
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
INTEL_QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
"""Every verifier asks for it; that the device is none of Intel's shows in its certificates."""
QE_MRSIGNER = sha256(b"Cloister DEVELOPMENT quoting enclave, NOT A TEE").digest()
QE_ISVPRODID = 2
QE_ISVSVN = 6
MODULE_VERSION = 1
TEE_TCB_SVN = bytes([5, MODULE_VERSION, 7]) + bytes(13)


@dataclass(frozen=True, slots=True)
class QuoteShape:
    """Everything in a quote that is neither registers nor report data. What is not set is as it should be.

    Verifiers are tested with what should not be: `qe_report_data` replaces the binding of the attestation key.
    """

    version: int = 4
    key_type: int = 2
    tee_type: int = 0x81
    vendor: bytes = INTEL_QE_VENDOR
    tee_tcb_svn: bytes = TEE_TCB_SVN
    mr_seam: bytes = sha256(b"Cloister DEVELOPMENT module").digest() + bytes(16)
    mrsigner_seam: bytes = bytes(48)
    seam_attributes: bytes = bytes(8)
    qe_cpu_svn: bytes = bytes([7] * 16)
    qe_miscselect: bytes = bytes(4)
    qe_attributes: bytes = bytes.fromhex("15000000000000000700000000000000")
    qe_mrsigner: bytes = QE_MRSIGNER
    qe_isvprodid: int = QE_ISVPRODID
    qe_isvsvn: int = QE_ISVSVN
    qe_report_data: bytes | None = None
    authentication: bytes = bytes(range(32))
    certification_type: int = 6
    inner_certification_type: int = 5


SOUND = QuoteShape()


@dataclass(frozen=True, slots=True)
class DevelopmentDevice:
    """One pretended machine: its name, PPID, keys, certificate and the chain above it (PEM)."""

    name: str
    ppid: bytes
    pck_der: bytes
    chain_pem: bytes
    pck_key: ec.EllipticCurvePrivateKey = field(repr=False)
    attestation_key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def platform(self) -> bytes:
        """Keccak-256 of the PPID."""
        return keccak(self.ppid)

    def quote(self, registers: Registers, report_data: bytes, shape: QuoteShape = SOUND) -> bytes:
        """A quote of version 4. Raises InvalidInput unless `report_data` has 64 bytes."""
        if len(report_data) != 64:
            raise InvalidInput(f"Report data has 64 bytes, not {len(report_data)}.")
        signed = _header(shape) + _body(shape, registers, report_data)
        key = public_bytes(self.attestation_key.public_key())
        report = _qe_report(shape, key)
        certification = self.chain_pem
        inner = report + raw_signature(self.pck_key, report)
        inner += _short(len(shape.authentication)) + shape.authentication
        inner += _short(shape.inner_certification_type) + _long(len(certification)) + certification
        data = raw_signature(self.attestation_key, signed) + key
        data += _short(shape.certification_type) + _long(len(inner)) + inner
        return signed + _long(len(data)) + data

    def to_content(self) -> dict[str, Any]:
        """As JSON can hold it. It has the keys."""
        return {
            "name": self.name,
            "ppid": self.ppid.hex(),
            "pck": self.pck_der.hex(),
            "chain": self.chain_pem.decode(),
            "pck_key": private_bytes(self.pck_key).hex(),
            "attestation_key": private_bytes(self.attestation_key).hex(),
        }

    @classmethod
    def of_content(cls, content: dict[str, Any]) -> DevelopmentDevice:
        """Reads what `to_content` gave. Raises KeyError, TypeError or ValueError for anything else."""
        keys = [ec.derive_private_key(int(content[name], 16), P256) for name in ("pck_key", "attestation_key")]
        ppid, pck = bytes.fromhex(content["ppid"]), bytes.fromhex(content["pck"])
        return cls(content["name"], ppid, pck, content["chain"].encode(), *keys)


def raw_signature(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA with SHA-256 as r ‖ s, 64 bytes; the same for the same message (RFC 6979)."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True)))
    return r.to_bytes(32) + s.to_bytes(32)


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """x ‖ y, 64 bytes."""
    numbers = key.public_numbers()
    return numbers.x.to_bytes(32) + numbers.y.to_bytes(32)


def private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The secret scalar, 32 bytes."""
    return key.private_numbers().private_value.to_bytes(32)


def _header(shape: QuoteShape) -> bytes:
    versions = _short(shape.version) + _short(shape.key_type) + _long(shape.tee_type)
    return versions + bytes(4) + shape.vendor + bytes(20)


def _body(shape: QuoteShape, registers: Registers, report_data: bytes) -> bytes:
    module = shape.tee_tcb_svn + shape.mr_seam + shape.mrsigner_seam + shape.seam_attributes
    return module + registers.to_bytes() + report_data


def _qe_report(shape: QuoteShape, attestation_key: bytes) -> bytes:
    report = bytearray(384)
    report[0:16] = shape.qe_cpu_svn
    report[16:20] = shape.qe_miscselect
    report[48:64] = shape.qe_attributes
    report[64:96] = sha256(b"Cloister DEVELOPMENT quoting enclave").digest()
    report[128:160] = shape.qe_mrsigner
    report[256:258] = _short(shape.qe_isvprodid)
    report[258:260] = _short(shape.qe_isvsvn)
    binding = sha256(attestation_key + shape.authentication).digest() + bytes(32)
    report[320:384] = binding if shape.qe_report_data is None else shape.qe_report_data
    return bytes(report)


def _short(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _long(value: int) -> bytes:
    return value.to_bytes(4, "little")
