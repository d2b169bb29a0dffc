"""What attestation tells about a worker, and which of it a model version demands (docs/spec/enclaves.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from cloister.domain.commitments import domain_tag
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import Address, VersionId, hexed, unhexed

NO_GPU = bytes(32)
POLICY_TYPE = "(bytes32[],uint8,bool)"
EVIDENCE_TYPE = "(bytes32,bytes32,uint8,bool,uint32)"


class TcbStatus(IntEnum):
    """State of a platform's trusted computing base. The numbers are the contract's; `label` is Intel's name."""

    UP_TO_DATE = 0
    SW_HARDENING_NEEDED = 1
    CONFIGURATION_NEEDED = 2
    CONFIGURATION_AND_SW_HARDENING_NEEDED = 3
    OUT_OF_DATE = 4
    OUT_OF_DATE_CONFIGURATION_NEEDED = 5
    REVOKED = 6

    @property
    def label(self) -> str:
        """UpToDate, SWHardeningNeeded, …"""
        return _LABELS[self]

    @classmethod
    def of_label(cls, label: str) -> TcbStatus:
        """The status with Intel's name for it. Raises InvalidInput."""
        for status, known in _LABELS.items():
            if known == label:
                return status
        raise InvalidInput(f"{label!r} is no TCB status.", f"Known are {', '.join(_LABELS.values())}.")


_LABELS = {
    TcbStatus.UP_TO_DATE: "UpToDate",
    TcbStatus.SW_HARDENING_NEEDED: "SWHardeningNeeded",
    TcbStatus.CONFIGURATION_NEEDED: "ConfigurationNeeded",
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: "ConfigurationAndSWHardeningNeeded",
    TcbStatus.OUT_OF_DATE: "OutOfDate",
    TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED: "OutOfDateConfigurationNeeded",
    TcbStatus.REVOKED: "Revoked",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the registry keeps the hash of: field by field contracts/types/Evidence.sol."""

    measurement: bytes
    platform: bytes
    status: TcbStatus
    development: bool
    key_epoch: int

    def as_tuple(self) -> tuple[object, ...]:
        """The fields in the order of the Solidity struct."""
        return self.measurement, self.platform, int(self.status), self.development, self.key_epoch

    def hash(self) -> bytes:
        """Keccak-256 of the ABI encoding."""
        return keccak(encode([EVIDENCE_TYPE], [self.as_tuple()]))


@dataclass(frozen=True, slots=True)
class Policy:
    """Which enclaves may run a model version; without measurements every worker may.

    Raises InvalidInput unless measurements are 32 bytes each, ascending and different, and some status is accepted.
    """

    measurements: tuple[bytes, ...] = ()
    statuses: frozenset[TcbStatus] = frozenset()
    development: bool = False

    def __post_init__(self) -> None:
        if any(len(measurement) != 32 for measurement in self.measurements):
            raise InvalidInput("A measurement of the policy has not 32 bytes.")
        if list(self.measurements) != sorted(set(self.measurements)):
            raise InvalidInput("The measurements of a policy are ascending, each of them once.")
        if self.measurements and not self.statuses:
            raise InvalidInput("The policy accepts no TCB status.", "Name at least UpToDate.")

    @property
    def open(self) -> bool:
        """True when every worker may run the version."""
        return not self.measurements

    @property
    def status_bits(self) -> int:
        """Bit n for TcbStatus n."""
        return sum(1 << status for status in self.statuses)

    def as_tuple(self) -> tuple[object, ...]:
        """The fields in the order of the Solidity struct."""
        return list(self.measurements), self.status_bits, self.development

    def hash(self) -> bytes:
        """What a version is published with: 32 zero bytes for an open one."""
        return bytes(32) if self.open else keccak(encode([POLICY_TYPE], [self.as_tuple()]))

    def admits(self, evidence: Evidence) -> bool:
        """Whether a worker with this evidence may run the version."""
        if evidence.development and not self.development:
            return False
        return evidence.status in self.statuses and evidence.measurement in self.measurements

    def within(self, other: Policy) -> bool:
        """Whether everything that this policy admits is admitted by the other one, too."""
        narrower = self.statuses <= other.statuses and (other.development or not self.development)
        return narrower and set(self.measurements) <= set(other.measurements)

    @classmethod
    def of_tuple(cls, values: tuple[Any, ...]) -> Policy:
        """Reads what the chain gives."""
        measurements, bits, development = values
        statuses = frozenset(status for status in TcbStatus if bits >> status & 1)
        return cls(tuple(bytes(measurement) for measurement in measurements), statuses, development)

    def to_json(self) -> str:
        """The text of a policy file."""
        content = {
            "measurements": [hexed(measurement) for measurement in self.measurements],
            "statuses": [status.label for status in sorted(self.statuses)],
            "development": self.development,
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Policy:
        """Reads a policy file; the order of measurements does not matter. Raises InvalidInput."""
        try:
            content = json.loads(text)
            unknown = sorted(set(content) - {"measurements", "statuses", "development"})
            measurements, statuses = content["measurements"], content["statuses"]
            development = content.get("development", False)
            if unknown or type(development) is not bool or not isinstance(measurements, list | tuple):
                raise ValueError(f"unknown or malformed members {unknown}")
            return cls(
                tuple(sorted({unhexed(text, "measurement") for text in measurements})),
                frozenset(TcbStatus.of_label(label) for label in statuses),
                development,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InvalidInput(
                f"This is no policy: {error!r}.",
                'A policy is JSON: {"measurements": ["0x…"], "statuses": ["UpToDate"], "development": false}.',
            ) from error


def report_binding(
    chain_id: int, registry: Address, worker: Address, hpke_key: bytes, signer: Address, gpu: bytes = NO_GPU
) -> bytes:
    """Report data 0 to 31: whose enclave it is, and with which keys."""
    types = ["bytes32", "uint256", "address", "address", "bytes32", "address", "bytes32"]
    values = [domain_tag("report-data"), chain_id, registry, worker, hpke_key, signer, gpu]
    return sha256(encode(types, values)).digest()


def release_challenge(nonce: bytes, version: VersionId, release_key: bytes) -> bytes:
    """Report data 32 to 63 of evidence for a key broker: its nonce, and the key to seal the share to."""
    values = [domain_tag("release-challenge"), nonce, version, sha256(release_key).digest()]
    return sha256(encode(["bytes32"] * 4, values)).digest()


def key_share_info(
    chain_id: int, registry: Address, version: VersionId, worker: Address, key_epoch: int, index: int, evidence: bytes
) -> bytes:
    """HPKE info of a key share; `evidence` is the whole evidence that the broker judged."""
    types = ["bytes32", "uint256", "address", "bytes32", "address", "uint256", "uint256", "bytes32"]
    digest = sha256(evidence).digest()
    values = [domain_tag("key-share"), chain_id, registry, version, worker, key_epoch, index, digest]
    return keccak(encode(types, values))
