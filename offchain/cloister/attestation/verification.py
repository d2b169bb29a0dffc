"""One verdict about any evidence: what kind it is, whether it holds, and whether it is good enough."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from cloister.attestation.chains import certificate_of, certificates_of
from cloister.attestation.collateral import MalformedEvidence
from cloister.attestation.nitro import KIND as NITRO
from cloister.attestation.nitro import judge_nitro
from cloister.attestation.quote import Quote, parse_quote
from cloister.attestation.snp import KIND as SNP
from cloister.attestation.snp import REPORT_BYTES, judge_snp
from cloister.attestation.tdx import judge_quote
from cloister.attestation.verdict import GENUINE, UNKNOWN_KIND, EvidencePolicy, Roots, Verdict
from cloister.domain.errors import CloisterError

__all__ = ["GENUINE", "EvidencePolicy", "Roots", "Verdict", "judge"]

_QUOTE_KINDS = {b"\3\0\2\0\0\0\0\0": "sgx-v3", b"\4\0\2\0\x81\0\0\0": "tdx-v4", b"\5\0\2\0\x81\0\0\0": "tdx-v5"}
_COSE_STARTS = (0x84, 0xD2)
"""An array of four, or tag 18 before it."""
_UP_TO_DATE_ONLY = EvidencePolicy()


@dataclass(slots=True)
class _Collateral:
    documents: list[str] = field(default_factory=list)
    certificates: list[x509.Certificate] = field(default_factory=list)
    lists: list[x509.CertificateRevocationList] = field(default_factory=list)


def judge(
    evidence: bytes,
    *,
    collateral: Sequence[bytes] = (),
    now: int,
    policy: EvidencePolicy = _UP_TO_DATE_ONLY,
    roots: Roots = GENUINE,
) -> Verdict:
    """Judges evidence as of the Unix second `now`.

    `collateral` are files in any order: JSON in the form of QuoteCollateralV3 for quotes, certificates and revocation
    lists (PEM or DER) for SEV-SNP. Bad evidence raises nothing: it is refused, and the verdict says why.
    """
    kind = kind_of(evidence)
    quote: Quote | None = None
    try:
        given = _sorted(collateral)
        if kind == NITRO:
            verdict = judge_nitro(evidence, now, roots)
        elif kind == SNP:
            verdict = judge_snp(evidence, given.certificates, given.lists, now, roots)
        else:
            quote = parse_quote(evidence)
            verdict = judge_quote(quote, _only_document(given), now, roots)
    except CloisterError as error:
        return _refused(kind, error.message, quote)
    except (ValueError, TypeError, KeyError, OverflowError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        return _refused(kind, f"It cannot be read: {type(error).__name__}: {error}.", quote)
    objection = policy.objection(verdict)
    return replace(verdict, accepted=not objection, reason=objection)


def kind_of(evidence: bytes) -> str:
    """Which kind evidence claims to be; "unknown" if none."""
    if len(evidence) == REPORT_BYTES and evidence[1:4] == bytes(3):
        return SNP
    if evidence[:1] and evidence[0] in _COSE_STARTS:
        return NITRO
    return _QUOTE_KINDS.get(bytes(evidence[:8]), UNKNOWN_KIND)


def _refused(kind: str, reason: str, quote: Quote | None) -> Verdict:
    """What a quote claims is told, too: whoever looks for the fault wants to know."""
    if quote is None:
        return Verdict(False, kind, reason=reason)
    return Verdict(False, kind, "", reason, quote.measurement, quote.report_data)


def _only_document(given: _Collateral) -> str:
    if len(given.documents) != 1:
        raise MalformedEvidence(
            f"A quote needs one collateral in JSON, and {len(given.documents)} are there.",
            "Fetch it from a provisioning certificate caching service.",
        )
    return given.documents[0]


def _sorted(collateral: Sequence[bytes]) -> _Collateral:
    given = _Collateral()
    for data in collateral:
        if data.lstrip()[:1] == b"{":
            given.documents.append(data.decode())
        elif b"-----BEGIN X509 CRL-----" in data:
            given.lists.append(x509.load_pem_x509_crl(data))
        elif b"-----BEGIN" in data:
            given.certificates += certificates_of(data)
        else:
            _add_der(given, data)
    return given


def _add_der(given: _Collateral, data: bytes) -> None:
    try:
        given.certificates.append(certificate_of(data))
    except MalformedEvidence:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given.lists.append(x509.load_der_x509_crl(data))
