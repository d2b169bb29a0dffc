"""What keeps an enclave in the draws: attestation, prompt keys, enrolment, and the models that it holds.

Nothing here is urgent to the second: whatever fails is tried again, and says so in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from cloister.chain.call import Call
from cloister.chain.connection import Head
from cloister.chain.errors import ContractError
from cloister.chain.models import Models, Version
from cloister.chain.nodes import Limits, Nodes
from cloister.chain.sender import TransactionFailed
from cloister.domain.attested import Evidence
from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, VersionId, hexed
from cloister.host import Packages

log = structlog.get_logger()

RETRY_SECONDS = 30
"""Pause before a model that could not be loaded is tried again."""


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

    def tick(self, now: int) -> object:
        """Wipes what has expired."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """Evidence in the form that the registry takes."""

    quote: bytes
    pck: bytes


class Transactions(Protocol):
    """Sends a transaction and waits until it is mined."""

    def transact(self, intent: str, call: Call) -> object:
        """Raises ContractError, TransactionFailed and what reaching the chain raises."""


@dataclass(slots=True)
class Upkeep:
    """Looks after one enclave of worker `me`; call `start` once and `step` again and again.

    `quote` makes evidence over 64 bytes of report data and sees that the chain knows its platform; None on a machine
    that has none. `fetch_key` gets the key of a sealed model into the enclave.
    """

    me: Address
    keys: Keys
    nodes: Nodes
    models: Models
    packages: Packages
    sender: Transactions
    head: Callable[[], Head]
    quote: Callable[[bytes], Quoted] | None
    fetch_key: Callable[[Version], None]
    first_block: int
    _limits: Limits | None = None
    _attested_until: int = 0
    _prompt_until: int = 0
    _evidence: Evidence | None = None
    _next_block: int = 0
    _waiting: dict[VersionId, int] = field(default_factory=dict)
    """Versions to enrol for, with the Unix second from which on to try."""

    def start(self) -> None:
        """Puts this enclave's keys on chain, attested if it can be, and its first prompt key.

        Raises whatever goes wrong: a worker that cannot do this cannot work.
        """
        self._limits = self.nodes.limits()
        head = self.head()
        if self.quote is None:
            node = self.nodes.node(self.me)
            if (node.hpke_key, node.signer) != (self.keys.hpke_key, self.keys.signer):
                call = self.nodes.replace_keys(self.keys.hpke_key, self.keys.signer)
                self.sender.transact(f"enclave-keys:{self.keys.signer}", call)
        else:
            self._attest(head)
        self._rotate(self.head())

    def step(self) -> bool:
        """Renews what is half over and enrols for what is new; returns whether anything was done."""
        assert self._limits is not None  # it was started
        head = self.head()
        done = False
        try:
            self.keys.tick(head.timestamp)
            if self.quote is not None and self._attested_until - head.timestamp < self._limits.attestation_period // 2:
                self._attest(head)
                done = True
            # A job may need half a lifetime of it (DeployParameters), and a rotation takes a block or two.
            if self._prompt_until - head.timestamp < self._limits.prompt_lifetime * 2 // 3:
                self._rotate(head)
                done = True
            return self._enrol_for_new(head) or done
        except (ContractError, TransactionFailed) as error:
            log.warning("upkeep put off", error=str(error))
            return True

    def _attest(self, head: Head) -> None:
        assert self.quote is not None  # its callers have looked
        quoted = self.quote(self.keys.binding() + head.hash)
        previous = self.nodes.evidence(self.me, self.first_block)
        keys = (self.keys.hpke_key, self.keys.signer)
        call = self.nodes.attest(*keys, quoted.quote, quoted.pck, head.number, previous)
        self.sender.transact(f"attest:{head.number}", call)
        self._attested_until = self.nodes.attestation(self.me).until
        self._evidence = self.nodes.evidence(self.me, self.first_block)
        if previous is None or self._evidence is None or previous.hash() != self._evidence.hash():
            self._next_block = 0  # every enrolment was under other evidence
        log.info(
            "attested",
            until=self._attested_until,
            measurement=None if self._evidence is None else hexed(self._evidence.measurement),
            development=None if self._evidence is None else self._evidence.development,
        )

    def _rotate(self, head: Head) -> None:
        assert self._limits is not None
        epoch = self.nodes.prompt_key(self.me).epoch + 1
        expires_at = head.timestamp + self._limits.prompt_lifetime
        key, signature = self.keys.new_prompt_key(epoch, expires_at, head.timestamp)
        self.sender.transact(f"prompt-key:{epoch}:{key.hex()}", self.nodes.post_prompt_key(key, expires_at, signature))
        self._prompt_until = expires_at
        log.info("prompt key posted", epoch=epoch, until=expires_at)

    def _enrol_for_new(self, head: Head) -> bool:
        if self._evidence is None:
            return False
        for version_id in self.models.changed(max(self._next_block, self.first_block), head.number):
            self._waiting[version_id] = 0
        self._next_block = head.number + 1
        due = [version_id for version_id, at in self._waiting.items() if at <= head.timestamp]
        for version_id in due:
            self._waiting[version_id] = head.timestamp + RETRY_SECONDS
            try:
                self._enrol(self.models.version(version_id), self._evidence)
            except (ContractError, TransactionFailed):
                raise
            except CloisterError as error:
                log.warning("model not served yet", version=hexed(version_id), error=str(error))
                continue
            del self._waiting[version_id]
        return bool(due)

    def _enrol(self, version: Version, evidence: Evidence) -> None:
        policy = self.models.policy(version)
        if version.deprecated or version.open or not policy.admits(evidence):
            return
        if version.version_id not in self.keys.loaded():
            manifest, _ = self.packages.manifest(version)
            if manifest.sealing is not None:
                self.fetch_key(version)
            self.packages.hand_over(version)
        if self.nodes.enrolment(version.version_id, self.me).holds(evidence.hash(), version.policy_revision):
            return
        signature = self.keys.enrol(version.version_id, evidence.key_epoch)
        call = self.nodes.enrol(version.version_id, policy, evidence, signature)
        intent = f"enrol:{hexed(version.version_id)}:{version.policy_revision}:{evidence.hash().hex()}"
        self.sender.transact(intent, call)
        log.info("enrolled", version=hexed(version.version_id))
