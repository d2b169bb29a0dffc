"""Certificate chains: from the one whose key signed up to a pinned root."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

from cloister.attestation.collateral import MalformedEvidence
from cloister.attestation.verdict import RefusedEvidence


def certificate_of(der: bytes) -> x509.Certificate:
    """A certificate (DER). Raises MalformedEvidence."""
    try:
        with warnings.catch_warnings():
            # AMD gives its VCEKs the serial number 0.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return x509.load_der_x509_certificate(der)
    except ValueError as error:
        raise MalformedEvidence("A certificate is no DER.") from error


def certificates_of(pem: bytes) -> list[x509.Certificate]:
    """All certificates of a PEM text. Raises MalformedEvidence if there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return x509.load_pem_x509_certificates(pem.rstrip(b"\0"))
    except ValueError as error:
        raise MalformedEvidence("The certificate chain is no PEM.") from error


def der_of(certificate: x509.Certificate) -> bytes:
    """Its DER."""
    return certificate.public_bytes(Encoding.DER)


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of its DER."""
    digest = Hash(SHA256())
    digest.update(der_of(certificate))
    return digest.finalize()


def check_chain(chain: Sequence[x509.Certificate], now: int) -> int:
    """Checks a chain, the root last: signatures, names, validity at `now`, and who may issue.

    That the last one is a pinned root is for the caller to know. Returns the Unix second at which the first of them
    ends. Raises RefusedEvidence.
    """
    moment = datetime.fromtimestamp(now, UTC)
    for depth, certificate in enumerate(chain):
        name = certificate.subject.rfc4514_string()
        if moment < certificate.not_valid_before_utc:
            raise RefusedEvidence(f"The certificate {name} is not valid yet.")
        if moment > certificate.not_valid_after_utc:
            raise RefusedEvidence(f"The certificate {name} has expired.")
        if depth:
            require_issuer(certificate, depth - 1)
    for certificate, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            name = certificate.subject.rfc4514_string()
            raise RefusedEvidence(f"The certificate {name} is not signed by the one above it.") from error
    return min(int(certificate.not_valid_after_utc.timestamp()) for certificate in chain)


def require_issuer(certificate: x509.Certificate, below: int) -> None:
    """Raises RefusedEvidence unless it may issue, with `below` CAs between it and the leaf."""
    name = certificate.subject.rfc4514_string()
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise RefusedEvidence(f"The certificate {name} does not say that it may issue others.") from error
    if not constraints.ca or not usage.key_cert_sign:
        raise RefusedEvidence(f"The certificate {name} may not issue others.")
    if constraints.path_length is not None and constraints.path_length < below:
        raise RefusedEvidence(f"The certificate {name} may not issue CAs below it.")
