"""The layout of Intel's quotes: TDX of versions 4 and 5, SGX of version 3 (ATT-1)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from eth_hash.auto import keccak

from cloister.attestation.collateral import MalformedEvidence
from cloister.attestation.device import INTEL_QE_VENDOR

__all__ = ["MalformedEvidence", "Quote", "parse_quote"]

HEADER = 48
TDX, SGX = "tdx", "sgx"
_TEE_TYPES = {0x81: TDX, 0: SGX}
_SGX_BODY, _TD10_BODY, _TD15_BODY = 384, 584, 648
_BODIES = {2: _TD10_BODY, 3: _TD15_BODY}
"""Length of a version 5 body by its type."""
ECDSA_P256 = 2
QE_REPORT_CERTIFICATION, PCK_CHAIN = 6, 5
AUTHENTICATION_BYTES = 32


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote in parts. Nothing about it is proved.

    `raw` is the quote without the zeros that fill the buffer in which it was given out, `signed` what the attestation
    key signs, `body` the report in it. Signatures are r ‖ s, `attestation_key` is x ‖ y, `pem` the certificate chain.
    """

    version: int
    tee: str
    raw: bytes
    signed: bytes
    body: bytes
    signature: bytes
    attestation_key: bytes
    qe_report: bytes
    qe_signature: bytes
    authentication: bytes
    pem: bytes

    @property
    def kind(self) -> str:
        """tdx-v4, tdx-v5 or sgx-v3."""
        return f"{self.tee}-v{self.version}"

    @property
    def attributes(self) -> bytes:
        """TD attributes (8 bytes), or SGX flags and XFRM (16 bytes)."""
        return self.body[120:128] if self.tee == TDX else self.body[48:64]

    @property
    def report_data(self) -> bytes:
        """64 bytes that the code chose."""
        return self.body[520:584] if self.tee == TDX else self.body[320:384]

    @property
    def measurement(self) -> bytes:
        """Keccak-256 of the TD's registers, or of MRENCLAVE ‖ MRSIGNER ‖ ISVPRODID ‖ ISVSVN as they stand."""
        if self.tee == TDX:
            return keccak(self.body[120:520])
        return keccak(self.body[64:96] + self.body[128:160] + self.body[256:260])

    @property
    def quote_id(self) -> bytes:
        """SHA-256 of the signed bytes: the rest can be changed at will."""
        return sha256(self.signed).digest()


class _Reader:
    """Takes one part after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.cursor = 0

    def take(self, size: int, what: str) -> bytes:
        part = self.data[self.cursor : self.cursor + size]
        if len(part) != size:
            raise MalformedEvidence(f"The quote ends in its {what}: {len(part)} of {size} bytes are there.")
        self.cursor += size
        return part

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "little")


def parse_quote(data: bytes) -> Quote:
    """Takes a quote apart. Zeros behind its end are dropped; anything else there, or missing, is an error.

    Raises MalformedEvidence.
    """
    reader = _Reader(data)
    version = reader.number(2, "version")
    key_type, tee_type = reader.number(2, "key type"), reader.number(4, "TEE type")
    reader.take(4, "header")
    vendor = reader.take(16, "vendor")
    reader.take(20, "header")
    tee = _TEE_TYPES.get(tee_type, f"{tee_type:#x}")
    if (tee, version) not in {(TDX, 4), (TDX, 5), (SGX, 3)}:
        raise MalformedEvidence(f"The quote has version {version} and TEE type {tee}, which is no known combination.")
    if key_type != ECDSA_P256:
        raise MalformedEvidence(f"The attestation key is of type {key_type} instead of 2, ECDSA on P-256.")
    if vendor != INTEL_QE_VENDOR:
        raise MalformedEvidence("The quoting enclave's vendor is not Intel.")
    body = reader.take(_body_size(reader, version, tee), "report")
    signed = data[: reader.cursor]
    end = reader.number(4, "signature length") + reader.cursor
    signature, key = reader.take(64, "signature"), reader.take(64, "attestation key")
    if tee == TDX:
        kind, size = reader.number(2, "certification type"), reader.number(4, "certification length")
        if kind != QE_REPORT_CERTIFICATION or reader.cursor + size != end:
            raise MalformedEvidence("The certification data is not of type 6, or not as long as it says.")
    qe_report, qe_signature = reader.take(_SGX_BODY, "QE report"), reader.take(64, "QE signature")
    if (size := reader.number(2, "authentication length")) != AUTHENTICATION_BYTES:
        raise MalformedEvidence(f"The authentication data has {size} bytes instead of {AUTHENTICATION_BYTES}.")
    authentication = reader.take(size, "authentication data")
    kind, size = reader.number(2, "certificate type"), reader.number(4, "certificate length")
    if kind != PCK_CHAIN:
        raise MalformedEvidence(f"The certificates are of type {kind} instead of 5, a PEM chain.")
    pem = reader.take(size, "certificates")
    if reader.cursor != end:
        raise MalformedEvidence("The parts of the quote do not have the length that it says.")
    if any(data[end:]):
        raise MalformedEvidence("Something follows the quote's end.")
    return Quote(version, tee, data[:end], signed, body, signature, key, qe_report, qe_signature, authentication, pem)


def _body_size(reader: _Reader, version: int, tee: str) -> int:
    if tee == SGX:
        return _SGX_BODY
    if version == 4:
        return _TD10_BODY
    kind, size = reader.number(2, "body type"), reader.number(4, "body length")
    if _BODIES.get(kind) != size:
        raise MalformedEvidence(f"A version 5 quote with a body of type {kind} and {size} bytes is not known.")
    return size
