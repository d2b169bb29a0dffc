"""Quotes of Intel's TDX and SGX, judged by dcap-qvl and by the rules that it does not hold (ATT-1 to ATT-10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import dcap_qvl
from cryptography import x509
from eth_hash.auto import keccak

from cloister.attestation.chains import certificates_of, der_of, require_issuer
from cloister.attestation.collateral import MalformedEvidence
from cloister.attestation.device import P256_ORDER
from cloister.attestation.quote import TDX, Quote
from cloister.attestation.registers import DEBUG, SEPT_VE_DISABLE
from cloister.attestation.verdict import RefusedEvidence, Roots, Verdict
from cloister.domain.ids import hexed

_PKS, _KEY_LOCKER, _PERFMON = 1 << 30, 1 << 31, 1 << 63
_KNOWN_TD_ATTRIBUTES = DEBUG | SEPT_VE_DISABLE | _PKS | _KEY_LOCKER | _PERFMON
_SGX_DEBUG = 1 << 1
_CHAINS = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain")
_FIELDS = (
    "pck_crl_issuer_chain",
    "root_ca_crl",
    "pck_crl",
    "tcb_info_issuer_chain",
    "tcb_info",
    "tcb_info_signature",
    "qe_identity_issuer_chain",
    "qe_identity",
    "qe_identity_signature",
)
_MEANINGS = {
    "CrlExpired": "A revocation list has expired.",
    "CertExpired": "A certificate has expired.",
    "CertNotValidYet": "A certificate is not valid yet.",
    "CertRevoked": "A certificate is revoked.",
    "UnknownIssuer": "A certificate was not issued under the pinned root.",
    "UnknownRevocationStatus": "There is no revocation list of a certificate's issuer.",
    "InvalidCrlSignatureForPublicKey": "A revocation list is not signed by its issuer.",
    "InvalidSignatureForPublicKey": "A certificate is not signed by the one above it.",
}
_HEXADECIMAL = {"root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"}


def judge_quote(quote: Quote, collateral: str, now: int, roots: Roots) -> Verdict:
    """Whether a quote and its collateral (QuoteCollateralV3 as JSON) hold under one of the roots.

    Raises MalformedEvidence and RefusedEvidence.
    """
    check_report(quote)
    content = _content(collateral)
    chain = certificates_of(quote.pem)
    if len(chain) != 3:
        raise MalformedEvidence(f"The platform's chain has {len(chain)} certificates instead of 3.")
    root, development = _pinned(chain, roots)
    _require_own_signers(content, chain[-1])
    report = _by_dcap(quote, content, root, now)
    for below, issuer in enumerate(chain[1:]):
        require_issuer(issuer, below)
    _require_signing(chain[0])
    documents = json.loads(content["tcb_info"]), json.loads(content["qe_identity"])
    return Verdict(
        accepted=False,
        kind=quote.kind,
        status=report.status,
        measurement=quote.measurement,
        report_data=quote.report_data,
        platform=keccak(report.ppid),
        development=development,
        valid_until=_valid_until(chain, content, documents),
        proved=True,
        details={
            "quote_id": hexed(quote.quote_id),
            "platform_certificate": hexed(keccak(der_of(chain[0]))),
            "fmspc": str(documents[0]["fmspc"]),
            "evaluation": min(int(document["tcbEvaluationDataNumber"]) for document in documents),
            "advisories": list(report.advisory_ids),
        },
    )


def check_report(quote: Quote) -> None:
    """ATT-2, ATT-3 and ATT-5, as far as they need no key. Raises RefusedEvidence."""
    for signature in (quote.signature, quote.qe_signature):
        parts = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        if not all(0 < part < P256_ORDER for part in parts):
            raise RefusedEvidence("r or s of a signature is out of range.")
    binding = sha256(quote.attestation_key + quote.authentication).digest() + bytes(32)
    if quote.qe_report[320:384] != binding:
        raise RefusedEvidence("The quoting enclave's report does not bind the attestation key.")
    if quote.tee == TDX:
        _check_td(quote)
    elif int.from_bytes(quote.attributes[:8], "little") & _SGX_DEBUG:
        raise RefusedEvidence("The enclave runs in debug mode: its host reads all of it.")


def _check_td(quote: Quote) -> None:
    attributes = int.from_bytes(quote.attributes, "little")
    if attributes & DEBUG:
        raise RefusedEvidence("The trust domain runs in debug mode: its host reads all of it.")
    if not attributes & SEPT_VE_DISABLE:
        raise RefusedEvidence("SEPT_VE_DISABLE is not set in the TD attributes.")
    if attributes & ~_KNOWN_TD_ATTRIBUTES:
        raise RefusedEvidence("Reserved bits of the TD attributes are set.")
    if any(quote.body[64:112]):
        raise RefusedEvidence("The TDX module is signed by somebody else than Intel (MRSIGNERSEAM).")
    if any(quote.body[112:120]):
        raise RefusedEvidence("SEAM attributes of the TDX module are set.")
    if any(quote.body[600:648]):
        raise RefusedEvidence("A service TD is bound to the trust domain, and no policy can name it.")


def _content(collateral: str) -> dict[str, str]:
    """The nine fields and no other: dcap-qvl prefers a tenth, a platform chain, to the quote's own."""
    try:
        content = json.loads(collateral)
        if not isinstance(content, dict) or not all(isinstance(content[name], str) for name in _FIELDS):
            raise ValueError("a field is no text")
        return {name: content[name] for name in _FIELDS}
    except (ValueError, KeyError, RecursionError) as error:
        raise MalformedEvidence("The collateral is not in the form of QuoteCollateralV3.") from error


def _pinned(chain: list[x509.Certificate], roots: Roots) -> tuple[bytes, bool]:
    """The pinned root whose key is that at the end of the chain, and whether it is a development root (ATT-10)."""
    claimed = chain[-1].public_key()
    for der, development in ((roots.intel, False), *((der, True) for der in roots.development)):
        if x509.load_der_x509_certificate(der).public_key() == claimed:
            return der, development
    name = chain[-1].subject.rfc4514_string()
    raise RefusedEvidence(f"The platform's chain ends in a root that is not pinned: {name}.")


def _require_own_signers(content: Mapping[str, str], root: x509.Certificate) -> None:
    """The root itself vouches for who signs documents and lists.

    dcap-qvl takes any chain that ends in the root: a platform could sign the document that says how good it is.
    """
    for name in _CHAINS:
        issuers = certificates_of(content[name].encode())
        if len(issuers) != 2 or issuers[1].public_key() != root.public_key():
            raise RefusedEvidence(
                f"{name} of the collateral is not of a certificate that the root issued, and the root."
            )


def _by_dcap(quote: Quote, content: Mapping[str, str], root: bytes, now: int) -> Any:
    values = {name: bytes.fromhex(value) if name in _HEXADECIMAL else value for name, value in content.items()}
    try:
        collateral = dcap_qvl.QuoteCollateralV3(**values)
        return dcap_qvl.verify_with_root_ca(quote.raw, collateral, root, now)
    except ValueError as error:
        raise RefusedEvidence(_told(str(error))) from error


def _told(text: str) -> str:
    """What dcap-qvl says, in words for people where it names a mere error type."""
    for name, meaning in _MEANINGS.items():
        if name in text:
            return meaning
    causes = [line.strip().rstrip(".") for line in text.splitlines() if line.strip()]
    told = ": ".join(cause for cause in causes if cause != "Caused by:")
    return f"{told.removeprefix('Verification failed: ')}."


def _require_signing(leaf: x509.Certificate) -> None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise RefusedEvidence("The platform's certificate does not say what its key is for.") from error
    if not usage.digital_signature:
        raise RefusedEvidence("The platform's key may not sign.")


def _valid_until(
    chain: list[x509.Certificate], content: Mapping[str, str], documents: tuple[dict[str, Any], dict[str, Any]]
) -> int:
    """The first end of anything that was relied upon (ATT-9)."""
    certificates = [*chain, *(found for name in _CHAINS for found in certificates_of(content[name].encode()))]
    ends = [certificate.not_valid_after_utc for certificate in certificates]
    for name in ("root_ca_crl", "pck_crl"):
        until = x509.load_der_x509_crl(bytes.fromhex(content[name])).next_update_utc
        if until is None:
            raise RefusedEvidence("A revocation list does not say how long it holds.")
        ends.append(until)
    dates = (str(document["nextUpdate"]) for document in documents)
    ends.extend(datetime.strptime(date, "%Y-%m-%dT%H:%M:%S%z").astimezone(UTC) for date in dates)
    return int(min(ends).timestamp())
