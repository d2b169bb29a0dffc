"""What a verifier says about evidence, and by what measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from typing import Any

from cloister.domain.attested import Policy, TcbStatus
from cloister.domain.errors import CloisterError
from cloister.domain.ids import hexed

UNRATED = "Unrated"
"""Status of evidence whose vendor signs no document that rates platforms (SEV-SNP, Nitro)."""
UNKNOWN_KIND = "unknown"
BINDING_BYTES = 32
"""Of report data, before the challenge."""


class RefusedEvidence(CloisterError):
    """Something that evidence must prove does not hold."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`accepted` means that every check holds, the policy's as well; else `reason` names the first that does not.

    What could not be read is empty. Fields other than `kind` and `reason` mean something only if signatures hold,
    which a refusal need not have reached: `proved` says whether they do. `valid_until` is a Unix second (ATT-9).
    """

    accepted: bool
    kind: str
    status: str = ""
    reason: str = ""
    measurement: bytes = b""
    report_data: bytes = b""
    platform: bytes = b""
    development: bool = False
    valid_until: int | None = None
    proved: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As one JSON object; bytes are 0x and hexadecimal digits."""
        return {
            "verdict": "accepted" if self.accepted else "refused",
            "kind": self.kind,
            "status": self.status,
            "reason": self.reason,
            "measurement": hexed(self.measurement),
            "report_data": hexed(self.report_data),
            "platform": hexed(self.platform),
            "development": self.development,
            "valid_until": self.valid_until,
            "proved": self.proved,
            "details": dict(self.details),
        }


@dataclass(frozen=True, slots=True)
class EvidencePolicy:
    """Which evidence is good enough (ATT-11). As it is created: platforms that are up to date, whatever they run.

    No `measurements` means any. `unrated` takes evidence of vendors that rate no platforms. `report_data` (64 bytes)
    or its first 32 bytes alone (`binding`) must be what the evidence has, where they are given. Documents with an
    evaluation number below `least_evaluation` are too old, however current their dates are (market rule 21).
    """

    statuses: frozenset[TcbStatus] = frozenset({TcbStatus.UP_TO_DATE})
    measurements: frozenset[bytes] = frozenset()
    allow_development: bool = False
    unrated: bool = True
    report_data: bytes | None = None
    binding: bytes | None = None
    least_evaluation: int = 0

    @classmethod
    def of_policy(cls, policy: Policy, report_data: bytes | None = None) -> EvidencePolicy:
        """What a model version demands. Evidence without a rating never meets it: a chain knows only rated evidence."""
        return cls(policy.statuses, frozenset(policy.measurements), policy.development, False, report_data)

    def objection(self, verdict: Verdict) -> str:
        """Why evidence whose signatures hold is not good enough; empty if it is."""
        if verdict.development and not self.allow_development:
            return "it is DEVELOPMENT evidence, which protects nothing, and the policy takes none"
        if verdict.status == UNRATED:
            if not self.unrated:
                return "its vendor rates no platforms, and the policy asks for a rating"
        elif verdict.status not in {status.label for status in self.statuses}:
            return f"the status {verdict.status} is not in the policy"
        if self.measurements and verdict.measurement not in self.measurements:
            return f"the measurement {hexed(verdict.measurement)} is not in the policy"
        binding = self.binding if self.report_data is None else self.report_data[:BINDING_BYTES]
        if binding is not None and verdict.report_data[:BINDING_BYTES] != binding:
            return "the report data binds another worker, other keys or another chain"
        if self.report_data is not None and verdict.report_data != self.report_data:
            return "the report data answers another challenge"
        if verdict.details.get("evaluation", self.least_evaluation) < self.least_evaluation:
            return "the documents have an evaluation number below the least one that the policy takes"
        return ""


def _packaged(name: str) -> bytes:
    return files("cloister.attestation").joinpath("roots").joinpath(name).read_bytes()


@dataclass(frozen=True, slots=True)
class Roots:
    """Where trust begins.

    `intel` is a root certificate (DER), `development` are those of development authorities, `amd` and `nitro` are
    SHA-256 fingerprints of the DER of root certificates. `amd_issuers` are known certificates (DER) above those of
    chips; they are trusted no more than those that come with the evidence.
    """

    intel: bytes
    amd: frozenset[bytes]
    nitro: frozenset[bytes]
    development: tuple[bytes, ...] = ()
    amd_issuers: tuple[bytes, ...] = ()

    @classmethod
    def genuine(cls, development: tuple[bytes, ...] = ()) -> Roots:
        """The vendors' own; with development roots only where a deployment was created with them (ATT-10)."""
        return cls(
            _packaged("intel_sgx_root_ca.der"),
            frozenset({sha256(_packaged("amd_ark_milan.der")).digest()}),
            frozenset({bytes.fromhex("641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b")}),
            development,
            (_packaged("amd_ask_milan.der"), _packaged("amd_ark_milan.der")),
        )


GENUINE = Roots.genuine()
