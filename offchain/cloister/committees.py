"""Whom a job's input goes to: committees as the chain draws them, and the key sealed for each of their workers."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from cloister.chain.call import Call
from cloister.chain.connection import Connection
from cloister.chain.market import Market, Parameters
from cloister.chain.models import Models, Version
from cloister.chain.nodes import Eligibility, Nodes
from cloister.domain.commitments import JobContext, committee_hash, seed
from cloister.domain.errors import CloisterError
from cloister.domain.ids import NOBODY, Address, JobId, hexed
from cloister.domain.job import Job
from cloister.domain.request import Assurance, Request
from cloister.recipients import InputKey, Recipients
from cloister.sealing.errors import UnusableKey
from cloister.sealing.hpke import seal
from cloister.sealing.keys import JobSecrets

log = structlog.get_logger()

SEALED_KEY_BYTES = 80
HIRE_SECONDS = 60
"""How much later than now a request for a named worker may be mined."""


class NotEnoughWorkers(CloisterError):
    """A committee cannot be drawn now."""


@dataclass(frozen=True, slots=True)
class Committees:
    """Draws and delivers jobs of one market, whose parameters are `parameters`."""

    connection: Connection
    market: Market
    nodes: Nodes
    models: Models
    recipients: Recipients
    parameters: Parameters

    def check_workers(self, published: Version, assurance: Assurance, lock_each: int, reputation: int = 0) -> None:
        """Raises NotEnoughWorkers when a committee drawn now, without seats below `reputation`, has no quorum."""
        head = self.connection.head()
        trial = self._draw(published, secrets.token_bytes(32), assurance, head.number, head.timestamp, lock_each)
        seated = sum(worker != NOBODY for worker in self._reputed(trial, reputation))
        if seated < assurance.quorum:
            raise NotEnoughWorkers(
                f"{assurance} needs {assurance.quorum} workers; {seated} can be drawn now.",
                "Wait until stake has aged by one epoch or locked stake is free (`cloister nodes`), or ask for fewer."
                if published.open
                else "Wait until enclaves have enrolled for the version and an epoch has passed (`cloister nodes`).",
            )

    def check_hired(self, published: Version, worker: Address) -> None:
        """Raises UntrustedWorker when nothing may be sealed to a worker that is to be hired."""
        self._hired_key(published, worker)

    def hire(self, request: Request, published: Version, job_secret: bytes) -> Call:
        """The call that posts a request and hands its key to the worker that it names. Raises UntrustedWorker."""
        target = self._hired_key(published, request.worker)
        job_id = request.job_id(self.connection.chain_id, self.market.address)
        return self.market.hire(request, self._sealed(job_id, request, request.worker, target, job_secret))

    def deliver(self, job: Job, derived: JobSecrets) -> Call:
        """The call that hands out the keys of a job whose seed is known. Raises UntrustedWorker, and seals nothing."""
        header, prevrandao = self.connection.header(job.seed_block)
        drawn = seed(job.job_id, prevrandao, derived.seed_secret)
        version, request = self.models.version(job.request.version), job.request
        requested_in, requested_at = job.seed_block - self.parameters.seed_delay, self._requested_at(job)
        committee = self._draw(version, drawn, request.assurance, requested_in, requested_at, request.lock_each)
        committee = self._reputed(committee, request.reputation)
        keys = self._seal_keys(job, version, committee, derived.job_secret)
        log.info("committee drawn", job=hexed(job.job_id), committee=[w for w in committee if w != NOBODY])
        return self.market.deliver(request, derived.seed_secret, header, committee_hash(committee), keys)

    def _draw(
        self,
        version: Version,
        drawn_from: bytes,
        assurance: Assurance,
        requested_in: int,
        requested_at: int,
        lock_each: int,
    ) -> tuple[Address, ...]:
        """The committee of a job that was requested in block `requested_in`, at Unix second `requested_at`."""
        epoch = self.nodes.epoch_of(requested_in)
        if version.open:
            return self.nodes.draw(drawn_from, assurance.seats, epoch, lock_each)
        last, prompt = self._deadlines()
        eligible = Eligibility(version.version_id, version.policy_revision, requested_at, last, prompt)
        return self.nodes.draw_enrolled(drawn_from, assurance.seats, epoch, lock_each, eligible)

    def _reputed(self, committee: tuple[Address, ...], floor: int) -> tuple[Address, ...]:
        """The committee with the seats of workers below a floor (1/10000) vacant."""
        if not floor:
            return committee
        return tuple(w if w != NOBODY and self.market.reputation(w) >= floor else NOBODY for w in committee)

    def _hired_key(self, version: Version, worker: Address) -> InputKey:
        last, outlasts = (second + HIRE_SECONDS for second in self._deadlines())
        return self.recipients.key_for(worker, self.models.policy(version), last, outlasts)

    def _deadlines(self) -> tuple[int, int]:
        """Unix seconds that attestations and prompt keys must reach in a job that is delivered now (ENC-10)."""
        p = self.parameters
        prompt = self.connection.head().timestamp + 2 * p.commit_window + p.publish_window
        return prompt + p.reveal_window, prompt

    def _requested_at(self, job: Job) -> int:
        return job.deadline - self.parameters.deliver_window

    def _seal_keys(self, job: Job, version: Version, committee: Sequence[Address], job_secret: bytes) -> list[bytes]:
        """One sealed key per seated worker. Raises UntrustedWorker before the first is made (PROMPT-3)."""
        policy = self.models.policy(version)
        last, outlasts = self._deadlines()
        targets = [(w, self.recipients.key_for(w, policy, last, outlasts)) for w in committee if w != NOBODY]
        keys = []
        for worker, target in targets:
            try:
                keys.append(self._sealed(job.job_id, job.request, worker, target, job_secret))
            except UnusableKey:
                # Its own doing; the seat stays useless to it and the others must not wait.
                keys.append(secrets.token_bytes(SEALED_KEY_BYTES))
        return keys

    def _sealed(self, job_id: JobId, request: Request, worker: Address, target: InputKey, job_secret: bytes) -> bytes:
        context = JobContext(self.connection.chain_id, self.market.address, job_id)
        info = context.sealed_key_info(request, worker, target.epoch, prompt=target.prompt)
        return seal(job_secret, target.key, info)
