"""The enclave's keys: made when it starts, never on disk, wiped when their time is over."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cloister.domain.attested import report_binding
from cloister.domain.commitments import FIRST_ROUND, JobContext
from cloister.domain.ids import Address, JobId, VersionId
from cloister.domain.job import Job
from cloister.domain.typed import enrolment_digest, prompt_key_digest
from cloister.enclave.clock import Clock
from cloister.enclave.errors import QuestionRefused
from cloister.enclave.secret import Secret, SecretPages
from cloister.sealing.errors import SealError
from cloister.sealing.hkdf import derive
from cloister.sealing.hpke import open_sealed, public_key_of
from cloister.sealing.keys import WorkerKeys
from cloister.sealing.signatures import sign

MOST_PROMPT_SECONDS = 7 * 24 * 3600
MOST_PROMPT_KEYS = 64
"""At a time. More would mean that the host posts none of them."""


@dataclass(frozen=True, slots=True)
class EnclaveContext:
    """Whose enclave it is: what everything that it signs or opens is bound to."""

    chain_id: int
    market: Address
    registry: Address
    models: Address
    worker: Address


@dataclass(frozen=True, slots=True)
class PromptKey:
    """A key that inputs are sealed to until a Unix second."""

    epoch: int
    expires_at: int
    private: Secret


class Keyring:
    """All private keys of one enclave. `hpke_key` (32 bytes) and `signer` are public."""

    def __init__(
        self,
        context: EnclaveContext,
        pages: SecretPages,
        clock: Clock,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.context = context
        self._pages, self._clock, self._random = pages, clock, random
        keys = WorkerKeys.from_secret(random(32))
        self.hpke_key, self.signer = keys.hpke_public_key, keys.signer
        self._hpke, self._result = pages.new(keys.hpke_private_key), pages.new(keys.result_key)
        self._salts = pages.new(random(32))
        self._prompts: list[PromptKey] = []

    def binding(self) -> bytes:
        """Report data 0 to 31."""
        context = self.context
        return report_binding(context.chain_id, context.registry, context.worker, self.hpke_key, self.signer)

    def new_prompt_key(self, epoch: int, expires_at: int, now: int) -> tuple[bytes, bytes]:
        """A new prompt key, valid to a Unix second: its public half, and the signature over it (PROMPT-2).

        Raises QuestionRefused for an end that has passed or is too far off, and for an epoch before the newest.
        """
        self._clock.tell(now)
        self.wipe_expired()
        if not 0 < expires_at - self._clock.now() <= MOST_PROMPT_SECONDS:
            raise QuestionRefused("A prompt key ends in the future, and within a week.", "Check the machine's clock.")
        if self._prompts and epoch < self._prompts[-1].epoch:
            raise QuestionRefused(f"The prompt key of epoch {self._prompts[-1].epoch} is already made.")
        if len(self._prompts) == MOST_PROMPT_KEYS:
            self._prompts.pop(0).private.wipe()
        private = self._random(32)
        self._prompts.append(PromptKey(epoch, expires_at, self._pages.new(private)))
        public, context = public_key_of(private), self.context
        digest = prompt_key_digest(context.chain_id, context.registry, context.worker, epoch, public, expires_at)
        return public, self.sign(digest)

    def wipe_expired(self) -> tuple[int, ...]:
        """Wipe the prompt keys whose time is over; returns their epochs."""
        now = self._clock.now()
        gone = [key for key in self._prompts if key.expires_at <= now]
        self._prompts = [key for key in self._prompts if key.expires_at > now]
        for key in gone:
            key.private.wipe()
        return tuple(key.epoch for key in gone)

    def open_input(self, job: Job, key_epochs: tuple[int, ...]) -> bytes | None:
        """What was sealed to this enclave for a job; None if it opens with none of its keys.

        Prompt keys are tried first. The permanent key is tried only if the host names the epochs in which it may have
        been registered; for a version with a policy it must not be (PROMPT-1).
        """
        self.wipe_expired()
        context, sealed = self.context, job.sealed_key_for(self.context.worker)
        where = JobContext(context.chain_id, context.market, job.job_id)
        candidates = [(key.private, key.epoch, True) for key in reversed(self._prompts)]
        candidates += [(self._hpke, epoch, False) for epoch in key_epochs]
        for private, epoch, prompt in candidates:
            info = where.sealed_key_info(job.request, context.worker, epoch, prompt=prompt)
            try:
                return open_sealed(sealed, private.use(), info)
            except SealError:
                continue
        return None

    def salt(self, job_id: JobId) -> bytes:
        """32 bytes that blind the commitment to a job."""
        return derive(self._salts.use(), f"cloister/1/salt/{job_id.hex()}/{FIRST_ROUND}")

    def sign(self, digest: bytes) -> bytes:
        """65 bytes by the key behind `signer`."""
        return sign(self._result.use(), digest)

    def sign_enrolment(self, version: VersionId, key_epoch: int) -> bytes:
        """The word that a version is loaded. The caller has looked."""
        context = self.context
        return self.sign(enrolment_digest(context.chain_id, context.registry, context.worker, version, key_epoch))
