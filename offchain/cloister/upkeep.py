"""What keeps an enclave in the draws: attestation, prompt keys, enrolment, and the models that it holds.

Nothing here is urgent to the second: whatever fails is tried again, and says so in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from cloister.attestation.collateral import MalformedEvidence
from cloister.attestation.fetching import CollateralUnavailable
from cloister.attestation.providers import ProviderFailed
from cloister.chain.connection import Head
from cloister.chain.errors import ContractError, Retryable
from cloister.chain.models import Models, Version
from cloister.chain.nodes import Limits, Nodes
from cloister.chain.sender import TransactionFailed
from cloister.domain.attested import Evidence
from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, VersionId, hexed
from cloister.enclave.errors import EnclaveFailed
from cloister.host import Packages
from cloister.quoting import NoQuote, Quoted, Transactions

log = structlog.get_logger()

RETRY_SECONDS = 10
"""Pause before what failed is tried again."""
LONGEST_RETRY = 3600
"""Of a model that cannot be had: the pause doubles up to this."""
SHORTEST_RENEWAL = 300
"""Least pause between two attestations, each of which costs about as much gas as a request."""
PASSING = (ContractError, TransactionFailed, ProviderFailed, MalformedEvidence, CollateralUnavailable, NoQuote)
"""Errors that another try may not meet: a steward posts documents, stake is unlocked, an agent answers again."""


class Keys(Protocol):
    """What an enclave says about its keys. All of it is public."""

    @property
    def hpke_key(self) -> bytes: ...
    @property
    def signer(self) -> Address: ...
    def binding(self) -> bytes:
        """Report data 0 to 31."""

    def new_prompt_key(self, epoch: int, expires_at: int, now: int) -> tuple[bytes, bytes]:
        """Public key and signature."""

    def enrol(self, version: VersionId, key_epoch: int) -> bytes:
        """Signature that says that the weights are loaded and right."""

    def loaded(self) -> frozenset[VersionId]:
        """Versions that it can run now."""

    def tick(self, now: int) -> tuple[tuple[int, ...], tuple[VersionId, ...]]:
        """Wipes what has expired; returns epochs of prompt keys, and versions whose licence has ended."""


@dataclass(slots=True)
class Upkeep:
    """Looks after one enclave of worker `me`; call `step` again and again.

    `quote` makes evidence over 64 bytes of report data and sees that the chain knows its platform; None on a machine
    that has none: its enclave is registered without an attestation, and serves versions that anybody may run.
    `fetch_key` gets the key of a sealed model into the enclave, for a key epoch.
    """

    me: Address
    keys: Keys
    nodes: Nodes
    models: Models
    packages: Packages
    sender: Transactions
    head: Callable[[], Head]
    quote: Callable[[bytes], Quoted] | None
    fetch_key: Callable[[Version, int], None]
    first_block: int
    _limits: Limits | None = None
    _registered: bool = False
    _attest_at: int = 0
    """Unix second from which on to attest again: when half of what was granted is over."""
    _prompt_until: int = 0
    _evidence: Evidence | None = None
    _next_block: int = 0
    _retry_at: int = 0
    """Unix second before which nothing is tried again that has failed."""
    _waiting: dict[VersionId, tuple[int, int]] = field(default_factory=dict)
    """Versions to enrol for: the Unix second from which on to try, and the pause after another failure."""

    @property
    def ready(self) -> bool:
        """Whether the chain knows this enclave's keys, attested if they can be."""
        return self._registered if self.quote is None else self._prompt_until > 0

    def step(self) -> bool:
        """Registers the keys, renews what is half over and enrols for what is new; returns whether anything was done.

        What fails for a reason that may pass is logged and tried again later: a renewal has half a lifetime to spare.
        """
        head = self.head()
        if head.timestamp < self._retry_at:
            return False
        try:
            return self._due(head)
        except PASSING as error:
            self._retry_at = head.timestamp + RETRY_SECONDS
            log.warning("upkeep put off", error=str(error), seconds=RETRY_SECONDS)
            return True

    def _due(self, head: Head) -> bool:
        limits = self._limits = self._limits or self.nodes.limits()
        _, forgotten = self.keys.tick(head.timestamp)
        for version_id in forgotten:
            log.warning("licence ended", version=hexed(version_id))
            # a further tier may allow another release
            self._waiting[version_id] = head.timestamp + RETRY_SECONDS, RETRY_SECONDS
        if self.quote is None:
            return self._register()
        done = False
        if head.timestamp >= self._attest_at:
            self._attest(self.quote, head)
            done = True
        # A job may need half a lifetime of it (DeployParameters), and a rotation takes a block or two.
        if self._prompt_until - head.timestamp < limits.prompt_lifetime * 2 // 3:
            self._rotate(self.head(), limits)
            done = True
        return self._enrol_for_new(head) or done

    def _register(self) -> bool:
        if self._registered:
            return False
        node = self.nodes.node(self.me)
        if (node.hpke_key, node.signer) != (self.keys.hpke_key, self.keys.signer):
            call = self.nodes.replace_keys(self.keys.hpke_key, self.keys.signer)
            self.sender.transact(f"enclave-keys:{self.keys.signer}", call)
        self._registered = True
        return True

    def _attest(self, quote: Callable[[bytes], Quoted], head: Head) -> None:
        quoted = quote(self.keys.binding() + head.hash)
        previous = self.nodes.evidence(self.me, self.first_block)
        keys = (self.keys.hpke_key, self.keys.signer)
        call = self.nodes.attest(*keys, quoted.quote, quoted.pck, head.number, previous)
        self.sender.transact(f"attest:{head.number}", call)
        until = self.nodes.attestation(self.me).until
        # Documents that end soon grant little; that is no reason to pay for an attestation every few seconds.
        self._attest_at = head.timestamp + max((until - head.timestamp) // 2, SHORTEST_RENEWAL)
        self._evidence = self.nodes.evidence(self.me, self.first_block)
        if previous is None or self._evidence is None or previous.hash() != self._evidence.hash():
            self._next_block = 0  # every enrolment was under other evidence
        log.info(
            "attested",
            until=until,
            measurement=None if self._evidence is None else hexed(self._evidence.measurement),
            development=None if self._evidence is None else self._evidence.development,
        )

    def _rotate(self, head: Head, limits: Limits) -> None:
        epoch = self.nodes.prompt_key(self.me).epoch + 1
        expires_at = head.timestamp + limits.prompt_lifetime
        key, signature = self.keys.new_prompt_key(epoch, expires_at, head.timestamp)
        self.sender.transact(f"prompt-key:{epoch}:{key.hex()}", self.nodes.post_prompt_key(key, expires_at, signature))
        self._prompt_until = expires_at
        log.info("prompt key posted", epoch=epoch, until=expires_at)

    def _enrol_for_new(self, head: Head) -> bool:
        if self._evidence is None:
            return False
        if self._next_block <= head.number:
            for version_id in self.models.changed(max(self._next_block, self.first_block), head.number):
                self._waiting[version_id] = 0, RETRY_SECONDS
            self._next_block = head.number + 1
        due = [(version_id, pause) for version_id, (at, pause) in self._waiting.items() if at <= head.timestamp]
        for version_id, pause in due:
            self._waiting[version_id] = head.timestamp + pause, min(2 * pause, LONGEST_RETRY)
            try:
                self._enrol(self.models.version(version_id), self._evidence)
            except (ContractError, TransactionFailed, EnclaveFailed, Retryable):
                raise
            except CloisterError as error:
                log.warning("model not served yet", version=hexed(version_id), error=str(error))
                continue
            del self._waiting[version_id]
        return bool(due)

    def _enrol(self, version: Version, evidence: Evidence) -> None:
        policy = self.models.policy(version)
        if version.deprecated or version.open:
            return
        if not policy.admits(evidence):
            log.info("not admitted", version=hexed(version.version_id), measurement=hexed(evidence.measurement))
            return
        if version.version_id not in self.keys.loaded():
            manifest, _ = self.packages.manifest(version)
            if manifest.sealing is not None:
                self.fetch_key(version, evidence.key_epoch)
            self.packages.hand_over(version)
        if self.nodes.enrolment(version.version_id, self.me).holds(evidence.hash(), version.policy_revision):
            return
        signature = self.keys.enrol(version.version_id, evidence.key_epoch)
        call = self.nodes.enrol(version.version_id, policy, evidence, signature)
        intent = f"enrol:{hexed(version.version_id)}:{version.policy_revision}:{evidence.hash().hex()}"
        self.sender.transact(intent, call)
        log.info("enrolled", version=hexed(version.version_id))
