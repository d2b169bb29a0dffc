"""TdxQuoteVerifier: who may sign, what the signed documents say, what a quote proves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from web3.contract import Contract

from cloister.attestation.collateral import (
    OnChainCollateral,
    QeIdentity,
    RevocationList,
    Signed,
    TcbInfo,
    certificate_id,
)
from cloister.chain.artifacts import artifact
from cloister.chain.call import Call
from cloister.chain.connection import Connection
from cloister.chain.errors import translated
from cloister.domain.attested import TcbStatus
from cloister.domain.ids import Address

LIST_ENTRIES = 500
"""Of a revocation list that one transaction reads: each costs about 25,000 gas."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a quote proves: field by field contracts/types/Evidence.sol. `valid_until` is a Unix second."""

    measurement: bytes
    platform: bytes
    status: TcbStatus
    development: bool
    valid_until: int
    binding: bytes
    challenge: bytes


@dataclass(frozen=True, slots=True)
class DocumentState:
    """The document that was posted last; all zero without one. Times in Unix seconds.

    `until` is 0 if it must be posted again, because the root's revocation list has grown since.
    """

    issued: int
    until: int
    evaluation: int
    document_hash: bytes


@dataclass(frozen=True, slots=True)
class ListState:
    """When an issuer's last revocation list was issued, and until when it is current: Unix seconds, 0 without one."""

    issued: int
    until: int


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that a root issued. `until` is its last Unix second; document signers have no list."""

    root: bytes
    until: int
    ca: bool
    revocations: ListState


class Quotes:
    """One deployed TdxQuoteVerifier. Ids are those of `cloister.attestation.collateral`."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.address = address
        self._contract: Contract = connection.w3.eth.contract(cast(Any, address), abi=artifact("TdxQuoteVerifier").abi)

    def add_authority(self, der: bytes, root: bytes) -> Call:
        """Registers the certificate of a CA or a document signer, which a root issued."""
        return self._call("addAuthority", der, root)

    def add_platform(self, der: bytes, ca: bytes) -> Call:
        """Registers a platform certificate, once."""
        return self._call("addPlatform", der, ca)

    def add_revocations(self, revocations: RevocationList, most: int = LIST_ENTRIES) -> Call:
        """Reads at most so many entries of a revocation list, from where it was left."""
        return self._call("addRevocations", revocations.der, revocations.issuer, most)

    def post_tcb(self, info: TcbInfo, signed: Signed) -> Call:
        """Posts TCB info; the sender must be the steward."""
        return self._call("postTcb", info.as_tuple(), signed.as_tuple())

    def post_qe_identity(self, identity: QeIdentity, signed: Signed) -> Call:
        """Posts the QE identity; the sender must be the steward."""
        return self._call("postQeIdentity", identity.as_tuple(), signed.as_tuple())

    def hand_over(self, steward: Address) -> Call:
        """Makes somebody else the steward; the sender must be the present one."""
        return self._call("handOver", steward)

    def missing(self, collateral: OnChainCollateral, *, documents: bool = True) -> tuple[Call, ...]:
        """The calls, in order, by which the chain learns what it does not know of this collateral.

        Only the steward can make those that post `documents`. A root's list that revokes something voids the documents:
        ask again once all is mined, until nothing is missing.
        """
        of_root, of_ca = collateral.lists
        calls = self._read(of_root, self.root_list(collateral.root))
        for der in collateral.authorities:
            if self.authority(certificate_id(der)) is None:
                calls.append(self.add_authority(der, collateral.root))
        ca = self.authority(collateral.ca)
        calls += self._read(of_ca, ca.revocations if ca else ListState(0, 0))
        if not documents:
            return tuple(calls)
        tcb, qe = self.tcb(collateral.root, collateral.tcb.fmspc), self.qe_identity(collateral.root)
        if tcb.until == 0 or tcb.document_hash != collateral.tcb_signed.document_hash:
            calls.append(self.post_tcb(collateral.tcb, collateral.tcb_signed))
        if qe.until == 0 or qe.document_hash != collateral.qe_signed.document_hash:
            calls.append(self.post_qe_identity(collateral.qe, collateral.qe_signed))
        return tuple(calls)

    def verify(self, quote: bytes, pck: bytes) -> Report:
        """What the first 1,252 bytes of a quote prove. Raises ContractError with the rule that does not hold."""
        measurement, platform, status, development, valid_until, binding, challenge = self._view("verify", quote, pck)
        return Report(measurement, platform, TcbStatus(status), development, valid_until, binding, challenge)

    def revocation(self, pck: bytes) -> tuple[bool, bytes]:
        """Whether a platform certificate, or the one above it, is revoked; and whose platform that is."""
        revoked, platform = self._view("revocation", pck)
        return bool(revoked), bytes(platform)

    def is_platform(self, pck: bytes) -> bool:
        """Whether a platform certificate is registered."""
        return bool(self._view("isPlatform", pck))

    def is_revoked(self, issuer: bytes, serial: int) -> bool:
        """Whether a revocation list of this issuer names the serial number."""
        return bool(self._view("isRevoked", issuer, serial))

    def identities(self, platform: bytes) -> int:
        """How many workers a platform holds."""
        return int(self._view("identities", platform))

    def steward(self) -> Address:
        """Who posts documents."""
        return Address(self._view("steward"))

    def root_list(self, root: bytes) -> ListState:
        """The state of a root's revocation list."""
        found = self._view("root", root)
        return ListState(int(found[3]), int(found[4]))

    def is_root(self, root: bytes) -> bool:
        """Whether the deployment pins this root."""
        return any(self._view("root", root)[0])

    def authority(self, certificate: bytes) -> Authority | None:
        """A registered CA or document signer, by its certificate's id."""
        x, _, root, _, until, issued, ca, standing = self._view("authority", certificate)
        return Authority(bytes(root), until, ca, ListState(issued, standing[1])) if any(x) else None

    def tcb(self, root: bytes, fmspc: bytes) -> DocumentState:
        """The TCB info that holds for a kind of machine."""
        return DocumentState(*self._view("tcb", root, fmspc))

    def qe_identity(self, root: bytes) -> DocumentState:
        """The QE identity that holds."""
        return DocumentState(*self._view("qeIdentity", root))

    def _read(self, revocations: RevocationList, known: ListState) -> list[Call]:
        """Calls that read a list, unless one as new is current."""
        if known.issued >= revocations.issued:
            return []
        return [self.add_revocations(revocations)] * max(1, -(-revocations.entries // LIST_ENTRIES))

    def _call(self, name: str, *args: object) -> Call:
        return Call(self.address, bytes.fromhex(self._contract.encode_abi(name, list(args))[2:]))

    def _view(self, name: str, *args: object) -> Any:
        with translated():
            return self._contract.functions[name](*args).call()
