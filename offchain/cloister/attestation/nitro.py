"""Attestation documents of AWS Nitro enclaves: COSE_Sign1 with ES384 around a CBOR map."""

from __future__ import annotations

import io
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from eth_hash.auto import keccak

from cloister.attestation.chains import certificate_of, check_chain, fingerprint
from cloister.attestation.collateral import MalformedEvidence
from cloister.attestation.verdict import UNRATED, RefusedEvidence, Roots, Verdict
from cloister.domain.ids import hexed

KIND = "nitro"
COSE_SIGN1_TAG = 18
_ALGORITHM, _ES384 = 1, -35
_PCR_BYTES, _HALF, _REPORT_DATA = 48, 48, 64
_MAX_BYTES, _MAX_CHAIN = 64 << 10, 8
_SLACK_MILLISECONDS = 300_000
MEASURED_REGISTERS = (0, 1, 2)
"""Image, kernel and application."""


def judge_nitro(evidence: bytes, now: int, roots: Roots) -> Verdict:
    """Whether a document holds.

    The measurement is Keccak-256 of PCR0 ‖ PCR1 ‖ PCR2, the platform that of the module id: AWS tells which virtual
    machine made the document, not which physical one. Report data is the user data with zeros behind, if that has at
    most 64 bytes; longer user data gives none, and is in the details, as are nonce and public key.

    Raises MalformedEvidence and RefusedEvidence.
    """
    protected, payload, signature = _parts(evidence)
    document = _document(payload)
    chain = [certificate_of(der) for der in (document["certificate"], *reversed(document["cabundle"]))]
    if fingerprint(chain[-1]) not in roots.nitro:
        raise RefusedEvidence("The chain of certificates does not end in AWS' root for Nitro enclaves.")
    valid_until = check_chain(chain, now)
    key = chain[0].public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise RefusedEvidence("The enclave's key is not on P-384.")
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    r, s = int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:])
    try:
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA384()))
    except (InvalidSignature, ValueError) as error:
        raise RefusedEvidence("The document's signature is not that of its certificate.") from error
    if document["timestamp"] > now * 1000 + _SLACK_MILLISECONDS:
        raise RefusedEvidence("The document is dated later than now.")
    pcrs: dict[int, bytes] = document["pcrs"]
    measured = [pcrs[index] for index in MEASURED_REGISTERS]
    if not any(measured[0]):
        raise RefusedEvidence("PCR0 is zero: the enclave runs in debug mode, and its host reads all of it.")
    user_data = document.get("user_data") or b""
    return Verdict(
        accepted=False,
        kind=KIND,
        status=UNRATED,
        measurement=keccak(b"".join(measured)),
        report_data=user_data.ljust(_REPORT_DATA, b"\0") if len(user_data) <= _REPORT_DATA else b"",
        platform=keccak(document["module_id"].encode()),
        valid_until=valid_until,
        proved=True,
        details={
            "module_id": document["module_id"],
            "timestamp": document["timestamp"],
            "pcrs": {str(index): hexed(value) for index, value in sorted(pcrs.items()) if any(value)},
            **{name: hexed(document.get(name) or b"") for name in ("user_data", "nonce", "public_key")},
        },
    )


def _parts(evidence: bytes) -> tuple[bytes, bytes, bytes]:
    """Protected header, payload and signature."""
    message = _decoded(evidence, "document")
    if isinstance(message, cbor2.CBORTag) and message.tag == COSE_SIGN1_TAG:
        message = message.value
    if not isinstance(message, list) or len(message) != 4:
        raise MalformedEvidence("The document is no COSE_Sign1.")
    protected, unprotected, payload, signature = message
    if not all(isinstance(part, bytes) for part in (protected, payload, signature)) or unprotected != {}:
        raise MalformedEvidence("The parts of the COSE_Sign1 are not what they must be.")
    if _decoded(protected, "header") != {_ALGORITHM: _ES384}:
        raise MalformedEvidence("The document is not signed with ES384.")
    if len(signature) != 2 * _HALF:
        raise MalformedEvidence(f"The signature has {len(signature)} bytes instead of 96.")
    return protected, payload, signature


def _document(payload: bytes) -> dict[str, Any]:
    found = _decoded(payload, "payload")
    if not isinstance(found, dict):
        raise MalformedEvidence("The document's payload is no map.")
    for name in ("user_data", "nonce", "public_key"):
        if not isinstance(found.get(name), bytes | None):
            raise MalformedEvidence(f"{name} is no byte string.")
    cabundle, pcrs = found.get("cabundle"), found.get("pcrs")
    sound = (
        isinstance(found.get("module_id"), str)
        and found.get("digest") == "SHA384"
        and type(found.get("timestamp")) is int
        and isinstance(found.get("certificate"), bytes)
        and isinstance(cabundle, list)
        and 1 <= len(cabundle) < _MAX_CHAIN
        and all(isinstance(der, bytes) for der in cabundle)
        and isinstance(pcrs, dict)
        and set(MEASURED_REGISTERS) <= set(pcrs)
        and all(type(index) is int for index in pcrs)
        and all(isinstance(value, bytes) and len(value) == _PCR_BYTES for value in pcrs.values())
    )
    if not sound:
        raise MalformedEvidence("A part of the document is missing or of another type.")
    return found


def _decoded(data: bytes, what: str) -> Any:
    """One CBOR item, and nothing behind it."""
    if len(data) > _MAX_BYTES:
        raise MalformedEvidence(f"The {what} has more than {_MAX_BYTES} bytes.")
    stream = io.BytesIO(data)
    try:
        item = cbor2.CBORDecoder(stream, read_size=1).decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError) as error:
        raise MalformedEvidence(f"The {what} is no CBOR.") from error
    if stream.read(1):
        raise MalformedEvidence(f"Something follows the {what}'s end.")
    return item
