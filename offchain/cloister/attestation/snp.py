"""Attestation reports of AMD SEV-SNP, signed by a chip's own key (VCEK)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from eth_hash.auto import keccak

from cloister.attestation.chains import certificate_of, check_chain, fingerprint
from cloister.attestation.collateral import MalformedEvidence
from cloister.attestation.verdict import UNRATED, RefusedEvidence, Roots, Verdict
from cloister.domain.ids import hexed

KIND = "sev-snp"
REPORT_BYTES = 1184
VERSIONS = (2, 3)
"""Those whose TCB has the layout of Milan and Genoa."""
_SIGNED = 0x2A0
_COMPONENT = 72
_ECDSA_P384_SHA384 = 1
_POLICY_RESERVED_ONE, _POLICY_MIGRATION, _POLICY_DEBUG = 1 << 17, 1 << 18, 1 << 19
_SIGNING_KEY_BITS = 0b11100
_TCB_OIDS = {"3.1": 0, "3.2": 1, "3.3": 6, "3.8": 7}
"""Which byte of the TCB stands in which extension of a VCEK: boot loader, TEE, SNP firmware, microcode."""
_AMD = "1.3.6.1.4.1.3704.1."
_HARDWARE_ID = "4"


def judge_snp(
    report: bytes,
    certificates: Sequence[x509.Certificate],
    lists: Sequence[x509.CertificateRevocationList],
    now: int,
    roots: Roots,
) -> Verdict:
    """Whether a report holds.

    `certificates` are the VCEK and, unless they are Milan's, ASK and ARK, in any order; `lists` are AMD's, if any. The
    measurement is Keccak-256 of guest policy (8) ‖ launch measurement (48) ‖ host data (32), the platform that of
    the chip id. Without a revocation list nothing is known of revoked chips; the details say whether there was one.

    Raises MalformedEvidence and RefusedEvidence.
    """
    _check_form(report)
    chain = _chain([*certificates, *(certificate_of(der) for der in roots.amd_issuers)])
    if fingerprint(chain[-1]) not in roots.amd:
        raise RefusedEvidence("The chain of certificates does not end in a pinned root of AMD.")
    valid_until = check_chain(chain, now)
    for found in lists:
        valid_until = min(valid_until, _check_revocation(chain, found, now))
    _check_signature(report, chain[0])
    _check_chip(report, chain[0])
    policy, data = report[0x08:0x10], report[0x50:0x90]
    _check_policy(int.from_bytes(policy, "little"))
    if vmpl := _number(report, 0x30):
        raise RefusedEvidence(f"The report was asked for at VMPL {vmpl}, which is not the guest's most privileged one.")
    launch, host_data, chip = report[0x90:0xC0], report[0xC0:0xE0], report[0x1A0:0x1E0]
    return Verdict(
        accepted=False,
        kind=KIND,
        status=UNRATED,
        measurement=keccak(policy + launch + host_data),
        report_data=data,
        platform=keccak(chip),
        valid_until=valid_until,
        proved=True,
        details={
            "launch_measurement": hexed(launch),
            "host_data": hexed(host_data),
            "guest_policy": hexed(policy),
            "reported_tcb": hexed(report[0x180:0x188]),
            "product": chain[-1].subject.rfc4514_string(),
            "revocation": "checked" if lists else "no revocation list was given",
        },
    )


def _check_form(report: bytes) -> None:
    if len(report) != REPORT_BYTES:
        raise MalformedEvidence(f"The report has {len(report)} bytes instead of {REPORT_BYTES}.")
    if (version := _number(report, 0)) not in VERSIONS:
        raise MalformedEvidence(f"The report has version {version}; known are 2 and 3.")
    if _number(report, 0x34) != _ECDSA_P384_SHA384:
        raise MalformedEvidence("The report is not signed with ECDSA on P-384.")
    if _number(report, 0x48) & _SIGNING_KEY_BITS:
        raise RefusedEvidence("The report is not signed by the chip's own key (VCEK).")
    if any(report[_SIGNED + 2 * _COMPONENT :]):
        raise MalformedEvidence("Something follows the report's signature.")


def _check_policy(policy: int) -> None:
    if policy & _POLICY_DEBUG:
        raise RefusedEvidence("The guest's policy allows debugging: its host reads all of it.")
    if policy & _POLICY_MIGRATION:
        raise RefusedEvidence("The guest's policy allows a migration agent, which could move it elsewhere.")
    if not policy & _POLICY_RESERVED_ONE:
        raise RefusedEvidence("Bit 17 of the guest's policy is not set.")


def _chain(certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """VCEK, ASK, ARK, by who issued whom."""
    certificates = list({fingerprint(found): found for found in certificates}.values())
    leaves = [found for found in certificates if isinstance(found.public_key(), ec.EllipticCurvePublicKey)]
    if len(leaves) != 1:
        raise MalformedEvidence(f"There are {len(leaves)} certificates of a chip (VCEK) instead of one.")
    chain = [leaves[0]]
    while chain[-1].issuer != chain[-1].subject:
        issuers = [found for found in certificates if found.subject == chain[-1].issuer]
        if len(issuers) != 1 or len(chain) > len(certificates):
            raise MalformedEvidence(f"The issuer of {chain[-1].subject.rfc4514_string()} is not there, or not unique.")
        chain.append(issuers[0])
    return chain


def _check_revocation(chain: Sequence[x509.Certificate], found: x509.CertificateRevocationList, now: int) -> int:
    root = chain[-1]
    if not found.is_signature_valid(root.public_key()):  # type: ignore[arg-type]  # any key that a root has
        raise RefusedEvidence("The revocation list is not signed by AMD's root.")
    until = found.next_update_utc
    if until is None or not found.last_update_utc.timestamp() <= now <= until.timestamp():
        raise RefusedEvidence("The revocation list is not current.")
    if any(found.get_revoked_certificate_by_serial_number(known.serial_number) for known in chain[1:]):
        raise RefusedEvidence("A certificate of the chain is revoked.")
    return int(until.timestamp())


def _check_signature(report: bytes, vcek: x509.Certificate) -> None:
    key = vcek.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise RefusedEvidence("The chip's key is not on P-384.")
    parts = (report[at : at + _COMPONENT] for at in (_SIGNED, _SIGNED + _COMPONENT))
    r, s = (int.from_bytes(part, "little") for part in parts)
    try:
        key.verify(encode_dss_signature(r, s), report[:_SIGNED], ec.ECDSA(SHA384()))
    except (InvalidSignature, ValueError) as error:
        raise RefusedEvidence("The report's signature is not that of the chip's key.") from error


def _check_chip(report: bytes, vcek: x509.Certificate) -> None:
    """The certificate speaks of the chip and the versions that the report names."""
    chip = report[0x1A0:0x1E0]
    if not any(chip):
        raise RefusedEvidence("The chip id is masked: the platform cannot be told from others.")
    facts = {
        extension.oid.dotted_string: extension.value.value
        for extension in vcek.extensions
        if isinstance(extension.value, x509.UnrecognizedExtension)
    }
    if facts.get(_AMD + _HARDWARE_ID) != chip:
        raise RefusedEvidence("The chip id of the report is not that of the certificate.")
    reported = report[0x180:0x188]
    for oid, index in _TCB_OIDS.items():
        value = facts.get(_AMD + oid, b"")
        if len(value) < 3 or value[0] != 2 or int.from_bytes(value[2:]) != reported[index]:
            raise RefusedEvidence("The reported TCB is not that of the certificate.")


def _number(report: bytes, at: int) -> int:
    return int.from_bytes(report[at : at + 4], "little")
