"""What a requester, or anybody, does about a result that it does not believe (CHAL-*).

    expected = appeals.check(job_id)         # the model, run here on the job's own input
    if not expected.right:
        appeals.challenge(job_id)            # its workers must prove it now, or lose
        appeals.judge(job_id)                # or this proves the right output, and ends the matter

Where a job names no verifier, only its requester can appeal, to a larger committee: `refer`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import structlog
from numpy.typing import NDArray

from cloister.chain.sender import Receipt
from cloister.client import Client
from cloister.domain.answer import ProvedAnswer
from cloister.domain.commitments import circuit_input, input_binding, input_commitment, masked_output
from cloister.domain.errors import CloisterError
from cloister.domain.ids import JobId, VersionId, hexed
from cloister.domain.job import Job, State
from cloister.domain.request import MAX_SEATS, Assurance, Level
from cloister.fixedpoint import Package, decode_input
from cloister.inference import fetch_package
from cloister.sealing.envelope import decrypt_input
from cloister.sealing.keys import JobSecrets

log = structlog.get_logger()


class NothingToAppeal(CloisterError):
    """A job has no result that could still be changed, or not in this way."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the model says of a job's input when it is run here, beside what the market settled on.

    `expected` are the output integers (n, labels); `shown` is None where no output could be opened.
    """

    expected: NDArray[np.int64]
    shown: NDArray[np.int64] | None

    @property
    def right(self) -> bool:
        """Whether the market's result is the model's."""
        return self.shown is not None and bool(np.array_equal(self.expected, self.shown))


@dataclass(slots=True)
class Appeals:
    """Appeals of one account; methods raise what those of its client do."""

    client: Client

    def check(self, job_id: JobId) -> Checked:
        """Runs a job's model here. Raises NotYourJob, StillRunning, and what reading a sealed package raises."""
        client = self.client
        result = client.result(job_id)
        package, plaintext, _ = self._input(result.job)
        return Checked(package.run(decode_input(plaintext, package.manifest)), result.outputs)

    def expected(self, version: VersionId, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Output integers (n, labels) of input integers (n, *input shape), from the version's package run here."""
        return fetch_package(self.client.blobs, self.client.models.version(version).manifest).run(rows)

    def challenge(self, job_id: JobId) -> Receipt:
        """Pays the bond and has the workers of a result prove it. Anybody may, for any job that names a verifier.

        Raises NothingToAppeal.
        """
        job = self._appealable(job_id, State.SETTLED)
        if not job.request.provable:
            raise _unprovable(job_id)
        market, bond = self.client.market, self.bond()
        receipt = self.client.sender.transact(f"challenge:{hexed(job_id)}", market.challenge(job.ticket(), bond))
        log.info("result challenged", job=hexed(job_id), bond_wei=bond)
        return receipt

    def bond(self) -> int:
        """Wei to put up: the base fee that it follows can rise by an eighth with every block until it is mined."""
        return self.client.market.bond() * 5 // 4

    def judge(self, job_id: JobId) -> Receipt:
        """Proves the output of this account's own job, which ends a dispute about it, or overturns its result.

        It takes the weights, which only those of models that are not sealed are to be had. Raises NotYourJob,
        NothingToAppeal, and what proving raises.
        """
        client, job = self.client, self._appealable(job_id, State.SETTLED, State.DISPUTED, State.CHALLENGED)
        if not job.request.provable:
            raise _unprovable(job_id)
        proof = self._proof(job)
        if job.state is State.SETTLED and masked_output(proof.pad_digest, proof.masked) == job.result:
            raise NothingToAppeal(f"The result of job {hexed(job_id)} is right.", "Nothing was sent.")
        return client.sender.transact(f"judge:{hexed(job_id)}", client.market.judge(job.ticket(), job.request, proof))

    def refer(self, job_id: JobId) -> JobId:
        """Has a larger committee decide about a job that names no verifier; returns the id of its job.

        See that through with `Client.wait`, then this one. Raises NotYourJob, NothingToAppeal, and NotEnoughWorkers
        when that committee cannot be drawn now.
        """
        client, job = self.client, self._appealable(job_id, State.SETTLED, State.DISPUTED)
        if job.request.provable:
            raise NothingToAppeal(f"A proof decides about job {hexed(job_id)}: it names a verifier.", "cloister judge")
        if job.referee is not None:
            raise NothingToAppeal(
                f"Job {hexed(job.referee)} decides about job {hexed(job_id)} already.",
                f"See it through: cloister result {hexed(job.referee)} --wait",
            )
        seats = min(MAX_SEATS, 2 * job.request.assurance.seats + 1)
        stored = client.journal.request(job_id)
        derived = client.secrets(job)
        assert stored is not None  # it had the secrets
        root = client.vault.open(stored.sealed_root, job_id)
        assurance = Assurance(Level.AGREED, seats, seats // 2 + 1)
        published = client.models.version(job.request.version)
        price = max(job.request.price_per_seat, published.price)
        referee = replace(
            job.request.for_referees(assurance, derived.nonce ^ 1),
            price_per_seat=price,
            lock_each=client.parameters.lock_for(price),
        )
        client.committees.check_workers(published, assurance, referee.lock_each)
        bond = self.bond() if job.state is State.SETTLED else 0
        client.post(referee, root, client.market.refer(job.ticket(), job.request, referee, bond))
        return referee.job_id(client.connection.chain_id, client.market.address)

    def _appealable(self, job_id: JobId, *states: State) -> Job:
        job = self.client.job(job_id)
        if job.state not in states or job.final(self.client.connection.head().timestamp):
            raise NothingToAppeal(
                f"The result of job {hexed(job_id)} cannot be appealed against like this.",
                "It is not there yet, is challenged already, or is final: `cloister result` shows the time.",
            )
        return job

    def _input(self, job: Job) -> tuple[Package, bytes, JobSecrets]:
        """The job's package, its encoded input and what was derived for it."""
        client = self.client
        derived = client.secrets(job)
        package = fetch_package(client.blobs, client.models.version(job.request.version).manifest)
        ciphertext = client.blobs.get(job.request.ciphertext_hash, job.request.ciphertext_size)
        plaintext = decrypt_input(ciphertext, derived.job_secret, job.request.version)
        return package, plaintext, derived

    def _proof(self, job: Job) -> ProvedAnswer:
        client, proofs = self.client, self.client.proofs()
        package, plaintext, derived = self._input(job)
        rows, context = decode_input(plaintext, package.manifest), client.context(job.job_id)
        me = context.proof_context(client.account)
        proved = proofs.prove_job(proofs.commit_model(package), rows, me, derived.job_secret)
        binding = input_binding(derived.job_secret, job.request.response_key, plaintext)
        opened = input_commitment(binding, circuit_input(proved.input_digest, proved.pad_digest))
        if opened != job.request.input_commitment:
            raise NothingToAppeal(f"The input of job {hexed(job.job_id)} is not the one that was committed to.")
        return ProvedAnswer(binding, proved.input_digest, proved.pad_digest, proved.masked, proved.proof, b"")


def _unprovable(job_id: JobId) -> NothingToAppeal:
    return NothingToAppeal(
        f"Job {hexed(job_id)} names no verifier, so that no proof can decide about it.",
        "Its requester can have a larger committee decide: cloister refer.",
    )
