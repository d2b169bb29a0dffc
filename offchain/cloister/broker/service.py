"""Whether a share may leave, and what leaves: step 4 and 5 of "Key release" in docs/spec/enclaves.md.

Everything is checked by the broker itself, under roots that it pins and on the chain that it sees. Whatever it cannot
check counts against the release (REL-2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from typing import Protocol

import structlog

from cloister.attestation.verdict import BINDING_BYTES
from cloister.attestation.verification import EvidencePolicy, Roots, Verdict, judge
from cloister.broker.documents import DocumentMemory
from cloister.broker.errors import BrokerStateBroken, Reason, Refused, Unable
from cloister.broker.licences import Licence
from cloister.broker.nonces import Nonces
from cloister.chain.models import Version
from cloister.chain.nodes import Node
from cloister.domain.attested import Policy, TcbStatus, key_share_info, release_challenge, report_binding
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import Address, VersionId, hexed
from cloister.sealing import hybrid
from cloister.sealing.deposits import BrokerKey, Deposit
from cloister.sealing.errors import SealError, UnusableKey
from cloister.sealing.shares import KeyShare
from cloister.storage.errors import StorageError
from cloister.storage.release_entries import Entry, Release
from cloister.storage.releases import ReleaseLog

log = structlog.get_logger()

EVIDENCE_KIND = "tdx-v4"
"""What the registry takes: the broker's policy is the version's, which knows measurements of nothing else."""

_ANY = EvidencePolicy(frozenset(TcbStatus), allow_development=True)
"""Whether evidence holds comes first; what the version's policy thinks of it, second."""


class Models(Protocol):
    """What a broker reads of the model registry."""

    def version(self, version_id: VersionId) -> Version:
        """Raises InvalidInput for one that was never published."""

    def policy(self, version: Version) -> Policy:
        """The version's present policy, checked against the hash that the chain has."""


class Workers(Protocol):
    """What a broker reads of the node registry."""

    @property
    def address(self) -> Address: ...
    def node(self, worker: Address) -> Node:
        """A worker's record; not registered for an unknown address."""


class Shares(Protocol):
    """What a broker holds."""

    def share(self, manifest_hash: bytes) -> Deposit | None: ...
    def licence(self, version: VersionId) -> Licence | None: ...


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """What a host sends: all of it public, none of it believed. `collateral` is JSON as judges take it."""

    nonce: bytes
    version: VersionId
    worker: Address
    release_key: bytes
    evidence: bytes
    collateral: bytes


@dataclass(frozen=True, slots=True)
class Released:
    """Share `index`, sealed to the enclave's release key for this key epoch, and its entry in the log."""

    index: int
    key_epoch: int
    sealed: bytes
    entry: Entry


@dataclass(slots=True)
class Broker:
    """One broker. Threads may share it. `now` gives Unix seconds."""

    chain_id: int
    models: Models
    workers: Workers
    shares: Shares
    key: BrokerKey
    log: ReleaseLog
    documents: DocumentMemory
    roots: Roots
    nonces: Nonces
    now: Callable[[], int]
    _releasing: Lock = field(default_factory=Lock)

    def release(self, request: ReleaseRequest) -> Released:
        """Checks a request, writes the release down, and only then gives the sealed share out (REL-1).

        Raises Refused with the reason, Unable when chain, collateral or log are not what the broker needs.
        """
        self.nonces.use(request.nonce)
        verdict = self._held(request)
        version, node, policy = self._on_chain(request)
        self._admit(verdict, request, node, policy)
        share = self._share(version)
        with self._releasing:  # from the count of a tier to the entry that counts
            now = self.now()
            tier = self._licence(version).choose(
                request.worker, lambda name: self.log.used(version.version_id, name), now
            )
            end = tier.until or 0
            sealed = self._sealed(request, node, share, end)
            entry = self._written(
                Release(
                    time=now,
                    version=version.version_id,
                    worker=request.worker,
                    key_epoch=node.key_epoch,
                    index=share.index,
                    tier=tier.name,
                    end=end,
                    evidence=sha256(request.evidence).digest(),
                    release_key=sha256(request.release_key).digest(),
                    measurement=verdict.measurement,
                    platform=verdict.platform,
                    status=verdict.status,
                    development=verdict.development,
                )
            )
        return Released(share.index, node.key_epoch, sealed, entry)

    def _on_chain(self, request: ReleaseRequest) -> tuple[Version, Node, Policy]:
        try:
            version = self.models.version(request.version)
        except InvalidInput as error:
            raise Refused(Reason.VERSION, error.message) from error
        except CloisterError as error:
            raise _no_chain(error) from error
        try:
            node = self.workers.node(request.worker)
            policy = self.models.policy(version)
        except CloisterError as error:
            raise _no_chain(error) from error
        if not node.registered or node.stake == 0:
            raise Refused(Reason.WORKER, f"{request.worker} is no registered worker.", "Register it first.")
        if node.exit_at:
            raise Refused(Reason.WORKER, f"Worker {request.worker} is leaving.")
        if policy.open or policy.hash() != version.policy_hash:
            raise Refused(
                Reason.POLICY,
                "The version has no policy on chain: its key is for no enclave.",
                "Ask the model's owner.",
            )
        return version, node, policy

    def _share(self, version: Version) -> KeyShare:
        try:
            deposit = self.shares.share(version.manifest)
            if deposit is None:
                raise Refused(Reason.SHARE, "This broker holds no share of the version's key.", "Ask another broker.")
            return deposit.open(self.key)
        except (SealError, BrokerStateBroken) as error:
            raise Unable("The broker cannot read its share of the version's key.", "Ask another broker.") from error

    def _held(self, request: ReleaseRequest) -> Verdict:
        """What evidence proves that was made for this very request. No chain is asked before: that costs more."""
        verdict = judge(
            request.evidence,
            collateral=[request.collateral] if request.collateral else [],
            now=self.now(),
            policy=_ANY,
            roots=self.roots,
        )
        if not verdict.proved:
            raise Refused(Reason.EVIDENCE, f"The evidence does not hold: {verdict.reason}")
        if verdict.kind != EVIDENCE_KIND:
            raise Refused(Reason.EVIDENCE, f"Evidence of kind {verdict.kind} is not what the registry takes.")
        challenge = release_challenge(request.nonce, request.version, request.release_key)
        if verdict.report_data[BINDING_BYTES:] != challenge:
            raise Refused(Reason.EVIDENCE, "The evidence answers another challenge (nonce, version, release key).")
        return verdict

    def _admit(self, verdict: Verdict, request: ReleaseRequest, node: Node, policy: Policy) -> None:
        binding = report_binding(self.chain_id, self.workers.address, request.worker, node.hpke_key, node.signer)
        if verdict.report_data[:BINDING_BYTES] != binding:
            raise Refused(
                Reason.EVIDENCE,
                f"The evidence binds other keys than worker {request.worker} has registered, or another chain.",
            )
        objection = EvidencePolicy.of_policy(policy).objection(verdict)
        if objection:
            raise Refused(Reason.POLICY, f"The version's policy does not admit the evidence: {objection}.")
        self.documents.admit(request.collateral.decode())

    def _licence(self, version: Version) -> Licence:
        try:
            licence = self.shares.licence(version.version_id)
        except CloisterError as error:
            raise Unable("The broker cannot read the licence of this version.", "Ask its operator.") from error
        if licence is None:
            raise Refused(Reason.LICENCE, "This broker has no licence for the version.", "Ask the model's owner.")
        return licence

    def _sealed(self, request: ReleaseRequest, node: Node, share: KeyShare, end: int) -> bytes:
        about = request.version, request.worker, node.key_epoch, share.index, request.evidence
        info = key_share_info(self.chain_id, self.workers.address, *about)
        try:
            return hybrid.seal(share.value + share.salt + end.to_bytes(8), request.release_key, info)
        except UnusableKey as error:
            raise Refused(Reason.RELEASE_KEY, error.message, error.hint) from error

    def _written(self, release: Release) -> Entry:
        try:
            entry = self.log.append(release)
        except StorageError as error:
            log.warning("release not written, so not made", problem=error.message)
            raise Unable("The broker cannot write its log, and releases nothing.", "Ask its operator.") from error
        log.info(
            "share released",
            entry=entry.number,
            version=hexed(release.version),
            worker=release.worker,
            tier=release.tier,
            end=release.end,
            platform=hexed(release.platform),
        )
        return entry


def _no_chain(error: CloisterError) -> Unable:
    return Unable("The broker cannot read the chain, and releases nothing.", error.message)
