"""What enclaves show and sign: docs/spec/enclaves.md, by other encoders than the client's and the contracts'."""

import hashlib
from dataclasses import dataclass, field

from eth_abi import encode
from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_keys.exceptions import BadSignature, ValidationError
from eth_utils import keccak

from .registry import require

POLICY = "(bytes32[],uint8,bool)"
EVIDENCE = "(bytes32,bytes32,uint8,bool,uint32)"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

TYPES = {
    "Result": "bytes32 job,uint8 stage,bytes32 outputCommitment,bytes32 sealedOutput",
    "Refusal": "bytes32 job,address worker,bytes32 sealedKey,uint8 reason",
    "PromptKey": "address worker,uint32 epoch,bytes32 key,uint40 expiresAt",
    "Enrolment": "address worker,bytes32 version,uint32 keyEpoch",
    "Membership": "address worker,address operator",
}
DOMAIN = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


def message(chain_id: int, contract: str, name: str, *values: object) -> SignableMessage:
    """What an enclave signs, `values` in the order of the type's members."""
    members = [dict(zip(("type", "name"), member.split(), strict=True)) for member in TYPES[name].split(",")]
    domain = {"name": "Cloister", "version": "1", "chainId": chain_id, "verifyingContract": contract}
    return encode_typed_data(
        full_message={
            "types": {"EIP712Domain": DOMAIN, name: members},
            "primaryType": name,
            "domain": domain,
            "message": {member["name"]: value for member, value in zip(members, values, strict=True)},
        }
    )


def digest(signable: SignableMessage) -> bytes:
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


def signed_by(signable: SignableMessage, signature: bytes) -> str | None:
    """The signer's address, or None if these bytes are no signature in the one form that is allowed."""
    if len(signature) != 65 or signature[64] not in {27, 28} or int.from_bytes(signature[32:64], "big") > ORDER // 2:
        return None
    try:
        return Account.recover_message(signable, signature=signature)
    except (BadSignature, ValidationError, ValueError):
        return None


@dataclass(frozen=True)
class Report:
    """What a quote says, in the order of contracts/types/Evidence.sol."""

    measurement: bytes
    platform: bytes
    status: int
    development: bool
    valid_until: int
    binding: bytes
    challenge: bytes

    def tuple(self) -> tuple:
        return tuple(vars(self).values())


@dataclass(frozen=True)
class Evidence:
    measurement: bytes
    platform: bytes
    status: int
    development: bool
    key_epoch: int

    def tuple(self) -> tuple:
        return tuple(vars(self).values())

    def hash(self) -> bytes:
        return keccak(encode([EVIDENCE], [self.tuple()]))


NO_EVIDENCE = Evidence(bytes(32), bytes(32), 0, False, 0)


@dataclass(frozen=True)
class Policy:
    measurements: tuple[bytes, ...] = ()
    statuses: int = 0
    development: bool = False

    def tuple(self) -> tuple:
        return tuple(vars(self).values())

    def hash(self) -> bytes:
        return keccak(encode([POLICY], [self.tuple()])) if self.measurements else bytes(32)

    def sound(self) -> bool:
        """Whether something can meet it, and it is written in the one way there is."""
        ascending = all(a < b for a, b in zip(self.measurements, self.measurements[1:], strict=False))
        return ascending and bool(self.statuses or not self.measurements)

    def admits(self, evidence: Evidence) -> bool:
        known = evidence.measurement in self.measurements and self.statuses >> evidence.status & 1
        return bool(known and (self.development or not evidence.development))

    def within(self, other: "Policy") -> bool:
        if self.development and not other.development:
            return False
        return set(self.measurements) <= set(other.measurements) and self.statuses | other.statuses == other.statuses


def binding(chain_id: int, registry: str, worker: str, key: bytes, signer: str) -> bytes:
    """Report data 0 to 31, without GPU evidence."""
    types = ["bytes32", "uint256", "address", "address", "bytes32", "address", "bytes32"]
    tag = keccak(text="cloister/1/report-data")
    return hashlib.sha256(encode(types, [tag, chain_id, registry, worker, key, signer, bytes(32)])).digest()


@dataclass
class Platforms:
    """Who holds a place on which machine, and which machines are revoked: ENC-4, ENC-5."""

    revoked: set[bytes] = field(default_factory=set)
    held: dict[str, bytes] = field(default_factory=dict)  # worker → platform

    def count(self, platform: bytes) -> int:
        return sum(held == platform for held in self.held.values())

    def move(self, who: str, platform: bytes, cap: int) -> None:
        if self.held.get(who) == platform:
            return
        require(self.count(platform) < cap, "ENC-4: the platform is full")
        self.held[who] = platform


@dataclass
class Policies:
    """The versions with a policy; each change with the second of it: ENC-8."""

    revisions: dict[bytes, list[tuple[int, Policy]]] = field(default_factory=dict)
    owners: dict[bytes, str] = field(default_factory=dict)

    def publish(self, who: str, version: bytes, policy: Policy, *, now: int) -> None:
        require(policy.sound(), "a policy that is none")
        self.owners[version] = who
        if policy.measurements:
            self.revisions[version] = [(now, policy)]

    def narrow(self, who: str, version: bytes, old: Policy, new: Policy, *, now: int, block: int) -> None:
        require(version in self.owners, "MODEL-1: not published")
        require(who == self.owners[version], "ENC-8: its owner")
        known = self.revisions.get(version)
        require(known is not None and known[-1][1].hash() == old.hash(), "ENC-8: another policy")
        require(new.sound() and new.measurements and new != old and new.within(old), "ENC-8: narrower only")
        known.append((now, new))

    def closed(self, version: bytes) -> bool:
        return version in self.revisions

    def current(self, version: bytes) -> Policy:
        return self.revisions[version][-1][1] if self.closed(version) else Policy()

    def revision(self, version: bytes, at: int | None = None) -> int:
        """0 for an open version; the first revision is 1."""
        return sum(at is None or since <= at for since, _ in self.revisions.get(version, []))
