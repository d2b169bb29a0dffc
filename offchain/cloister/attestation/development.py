"""A certificate authority for development devices. What it vouches for protects nothing, and every name in it says so.

Everything is derived from one secret, so that one small file keeps it. A deployment takes its evidence only if it was
created with its root (ATT-10).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cloister.attestation import der
from cloister.attestation.development_documents import (
    FMSPC,
    PCE_SVN,
    SLACK,
    DocumentShape,
    qe_identity,
    svn_of,
    tcb_info,
)
from cloister.attestation.device import P256, P256_ORDER, DevelopmentDevice, QuoteShape, raw_signature
from cloister.domain.attested import TcbStatus
from cloister.domain.errors import CloisterError
from cloister.storage.atomic import write_atomically

__all__ = ["DevelopmentDevice", "DevelopmentError", "DevelopmentPki", "DocumentShape", "QuoteShape"]

FILE_NAME = "development-pki.json"
YEAR = 365 * 86_400
SGX_EXTENSION = "1.2.840.113741.1.13.1"
_SOUND = DocumentShape()


class DevelopmentError(CloisterError):
    """A development authority or device cannot be read from where it should be."""


@dataclass(frozen=True, slots=True)
class DevelopmentPki:
    """Root, platform CA and TCB signer. `created` is a Unix second; certificates end `lifetime` seconds after it."""

    created: int
    lifetime: int
    seed: bytes = field(repr=False)

    @classmethod
    def create(cls, now: int, lifetime: int = YEAR, *, seed: bytes | None = None) -> DevelopmentPki:
        """A new one; with a `seed` of 32 bytes always the same one."""
        return cls(now, lifetime, seed or secrets.token_bytes(32))

    def save(self, folder: Path) -> None:
        """Writes it to a file in `folder` that only its owner may read. Raises StoreUnavailable."""
        content = {"warning": "DEVELOPMENT: NOT A TEE", "created": self.created, "lifetime": self.lifetime}
        folder.mkdir(parents=True, exist_ok=True)
        data = json.dumps(content | {"seed": self.seed.hex()}, indent=2).encode()
        write_atomically(folder / FILE_NAME, data, mode=0o600)

    @classmethod
    def load(cls, folder: Path) -> DevelopmentPki:
        """Reads what `save` wrote. Raises DevelopmentError."""
        try:
            content = json.loads((folder / FILE_NAME).read_text())
            return cls(int(content["created"]), int(content["lifetime"]), bytes.fromhex(content["seed"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DevelopmentError(
                f"There is no development authority in {folder}: {error}.", "Create one, or name another folder."
            ) from error

    @property
    def root_der(self) -> bytes:
        """The root's certificate: whoever pins it takes development evidence."""
        return _der(self._root())

    @property
    def root_public_key(self) -> tuple[bytes, bytes]:
        """x and y, 32 bytes each, as the constructor of TdxQuoteVerifier takes them."""
        numbers = self._key("root").public_key().public_numbers()
        return numbers.x.to_bytes(32), numbers.y.to_bytes(32)

    @property
    def ca_der(self) -> bytes:
        """Certificate of the CA that issues platform certificates."""
        return _der(self._ca())

    @property
    def tcb_signer_der(self) -> bytes:
        """Certificate of the key that signs TCB info and QE identity."""
        return _der(self._tcb_signer())

    def new_device(self, name: str, status: TcbStatus = TcbStatus.UP_TO_DATE) -> DevelopmentDevice:
        """The device of that name, always the same one, whose platform is in the given state."""
        pck_key, ppid = self._key(f"pck/{name}"), sha256(f"Cloister DEVELOPMENT {name}".encode()).digest()[:16]
        pck = _der(self._pck(name, pck_key, ppid, svn_of(status)))
        chain = b"".join(_pem(certificate) for certificate in (pck, self.ca_der, self.root_der))
        return DevelopmentDevice(name, ppid, pck, chain, pck_key, self._key(f"attestation/{name}"))

    def collateral_json(
        self,
        now: int,
        *,
        revoked: Collection[str] = (),
        ca_revoked: bool = False,
        shape: DocumentShape = _SOUND,
    ) -> str:
        """Lists and documents as of `now`, in the form of dcap-qvl's QuoteCollateralV3.

        `revoked` names devices whose certificates are revoked.
        """
        tcb, qe = tcb_info(now, shape), qe_identity(now, shape)
        signer = self._key("tcb-signer")
        chain = (_pem(self.tcb_signer_der) + _pem(self.root_der)).decode()
        of_root = self._list("root", self._root(), ["ca"] if ca_revoked else [], now, shape.lifetime)
        of_ca = self._list("ca", self._ca(), [f"pck/{name}" for name in revoked], now, shape.lifetime)
        content = {
            "pck_crl_issuer_chain": (_pem(self.ca_der) + _pem(self.root_der)).decode(),
            "root_ca_crl": of_root.hex(),
            "pck_crl": of_ca.hex(),
            "tcb_info_issuer_chain": chain,
            "tcb_info": tcb,
            "tcb_info_signature": raw_signature(signer, tcb.encode()).hex(),
            "qe_identity_issuer_chain": chain,
            "qe_identity": qe,
            "qe_identity_signature": raw_signature(signer, qe.encode()).hex(),
        }
        return json.dumps(content)

    def _key(self, label: str) -> ec.EllipticCurvePrivateKey:
        secret = sha256(self.seed + b"/high/" + label.encode()).digest()
        secret += sha256(self.seed + b"/low/" + label.encode()).digest()
        return ec.derive_private_key(int.from_bytes(secret) % (P256_ORDER - 1) + 1, P256)

    def _serial(self, label: str) -> int:
        digest = sha256(self.seed + b"/serial/" + label.encode()).digest()
        return int.from_bytes(digest[:19]) | 1 << 150

    def _root(self) -> x509.Certificate:
        return self._issue("root", "Root CA", path_length=1)

    def _ca(self) -> x509.Certificate:
        return self._issue("ca", "PCK CA", path_length=0)

    def _tcb_signer(self) -> x509.Certificate:
        return self._issue("tcb-signer", "TCB Signing")

    def _pck(self, name: str, key: ec.EllipticCurvePrivateKey, ppid: bytes, svn: int) -> x509.Certificate:
        builder = self._builder(f"pck/{name}", "PCK Certificate", key.public_key(), _subject("PCK CA"))
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX_EXTENSION), _platform_extension(ppid, svn))
        return _sign(_leaf(builder).add_extension(extension, critical=False), self._key("ca"))

    def _issue(self, label: str, subject: str, path_length: int | None = None) -> x509.Certificate:
        """A certificate that the root signs: of a CA when it has a path length."""
        builder = self._builder(label, subject, self._key(label).public_key(), _subject("Root CA"))
        if path_length is None:
            return _sign(_leaf(builder), self._key("root"))
        builder = builder.add_extension(_usage(issuer=True), critical=True)
        constraints = x509.BasicConstraints(ca=True, path_length=path_length)
        return _sign(builder.add_extension(constraints, critical=True), self._key("root"))

    def _builder(
        self, label: str, subject: str, key: ec.EllipticCurvePublicKey, issuer: x509.Name
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(_subject(subject)).issuer_name(issuer)
        builder = builder.public_key(key).serial_number(self._serial(label))
        builder = builder.not_valid_before(_moment(self.created - 2 * SLACK))
        builder = builder.not_valid_after(_moment(self.created + self.lifetime))
        return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)

    def _list(self, signer: str, issuer: x509.Certificate, labels: list[str], now: int, lifetime: int) -> bytes:
        issued = now - SLACK
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
        builder = builder.last_update(_moment(issued)).next_update(_moment(issued + lifetime))
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        key = self._key(signer)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        for label in labels:
            entry = x509.RevokedCertificateBuilder().serial_number(self._serial(label))
            builder = builder.add_revoked_certificate(entry.revocation_date(_moment(issued)).build())
        return builder.sign(key, SHA256(), ecdsa_deterministic=True).public_bytes(Encoding.DER)


def _subject(role: str) -> x509.Name:
    name = f"Cloister DEVELOPMENT {role} - NOT A TEE"
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Cloister DEVELOPMENT")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), organisation])


def _leaf(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
    builder = builder.add_extension(_usage(issuer=False), critical=True)
    return builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)


def _usage(*, issuer: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issuer,
        content_commitment=not issuer,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issuer,
        crl_sign=issuer,
        encipher_only=False,
        decipher_only=False,
    )


def _platform_extension(ppid: bytes, svn: int) -> bytes:
    """What a platform certificate says about its platform (1.2.840.113741.1.13.1)."""

    def fact(path: str, value: bytes) -> bytes:
        return der.element(der.SEQUENCE, der.object_identifier(f"{SGX_EXTENSION}.{path}"), value)

    components = [fact(f"2.{index}", der.integer(svn)) for index in range(1, 17)]
    components.append(fact("2.17", der.integer(PCE_SVN)))
    components.append(fact("2.18", der.element(der.OCTETS, bytes([svn] * 16))))
    return der.element(
        der.SEQUENCE,
        fact("1", der.element(der.OCTETS, ppid)),
        fact("2", der.element(der.SEQUENCE, *components)),
        fact("3", der.element(der.OCTETS, b"\0\0")),
        fact("4", der.element(der.OCTETS, FMSPC)),
        fact("5", der.element(der.ENUMERATED, b"\0")),
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return builder.sign(key, SHA256(), ecdsa_deterministic=True)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _pem(certificate: bytes) -> bytes:
    return x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
