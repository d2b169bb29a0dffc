"""What a requester asks for, and whom it hands the input to: rules JOB-1 to JOB-10, JOB-37."""

from . import commitments
from .commitments import COIN, NOBODY, Request, Terms
from .jobs import AGREED, ATTESTED, LARGEST_COMMITTEE, PROVED, SEALED_KEY, Job
from .registry import require
from .settlement import Settlement


class Requests(Settlement):
    """Requests and deliveries."""

    def request(self, who: str, value: int, request: Request, *, now: int, block: int) -> bytes:
        job_id, job = self._posted(who, request, now, block)
        self._paid(who, value, request.terms, 0)
        self._open(job_id, job, now)
        return job_id

    def hire(self, who: str, value: int, request: Request, key: bytes, *, now: int, block: int) -> bytes:
        job_id, job = self._posted(who, request, now, block)
        terms, worker = request.terms, request.brief.worker
        require(terms.level != AGREED, "JOB-37: a committee is drawn")
        require(worker != NOBODY and request.brief.reputation == 0, "JOB-37: one named worker")
        require(len(key) == SEALED_KEY, "JOB-7")
        if job.enrolled:
            args = (terms.version, *self._horizon(now), terms.lock)
            require(self.registry.hireable_enrolled(worker, *args, now=now, block=block), "JOB-37")
        else:
            require(self.registry.hireable(worker, terms.lock, now), "JOB-37")
        self._paid(who, value, terms, 0)
        job.hired = True
        self.jobs[job_id] = job
        self._requested(job_id, job, 0, now)
        self._seat(job_id, job, [worker], key, bytes(32), now)
        return job_id

    def committee(self, job_id: bytes, prevrandao: bytes, secret: bytes, now: int) -> list[str]:
        """Whom a delivery at second `now` would seat."""
        job = self.jobs[job_id]
        terms, epoch = job.terms, self.registry.epoch(job.request_block)
        seed = commitments.seed(job_id, prevrandao, secret)
        if job.enrolled:
            args = (terms.version, job.requested_at, *self._horizon(now))
            drawn = self.registry.draw_enrolled(seed, terms.seats, epoch, terms.lock, *args, now)
        else:
            drawn = self.registry.draw(seed, terms.seats, epoch, terms.lock, now)
        floor = job.brief.reputation  # DRAW-10
        return [who if who == NOBODY or self.reputation(who, now) >= floor else NOBODY for who in drawn]

    def deliver(
        self,
        who: str,
        request: Request,
        secret: bytes,
        prevrandao: bytes | None,
        named: bytes,
        keys: bytes,
        *,
        now: int,
        block: int,
    ) -> None:
        """`prevrandao` is that of the header which was passed, None if that is not the seed block's."""
        require(request.terms.requester == who, "JOB-6: the requester alone")
        job_id = commitments.request_id(self.chain_id, self.address, request)
        job = self._job(job_id, "Open", now)
        require(commitments.secret_hash(secret) == request.brief.secret_hash, "JOB-6")
        require(prevrandao is not None and block > job.seed_block, "DRAW-1")
        epochs = self.registry.epoch(block) - self.registry.epoch(job.request_block)
        require(epochs <= 1, "DRAW-2")
        committee = self.committee(job_id, prevrandao, secret, now)
        require(named == commitments.committee_hash(committee), "JOB-9")
        seated = [worker for worker in committee if worker != NOBODY]
        if len(seated) < request.terms.quorum:  # JOB-8
            job.deadline = 0
            self._refund(job_id, job, "CommitteeTooSmall", job.terms.escrow)
            return
        require(len(keys) == SEALED_KEY * len(seated), "JOB-7")
        self._seat(job_id, job, committee, keys, commitments.seed(job_id, prevrandao, secret), now)

    def _posted(self, who: str, request: Request, now: int, block: int) -> tuple[bytes, Job]:
        """A new job that nothing is wrong with but, perhaps, its payment."""
        terms = request.terms
        require(terms.requester == who, "JOB-1: the requester asks for itself")
        offer = self.offers.get(terms.version)
        require(offer, "MODEL-2")
        price = offer.price if terms.token == COIN else self.token_prices.get((terms.version, terms.token), 0)
        require(0 < price <= terms.price, "JOB-1, MODEL-2")
        require(terms.owner_percent == offer.owner_percent, "JOB-1: the owner's share")
        require(terms.lock == self.lock_for(terms.price, terms.token), "JOB-10, CUR-2")
        closed = self.registry.policies.closed(terms.version)
        if terms.verifier:
            circuit = self.circuits.get(terms.version)
            require(circuit and circuit.verifier == terms.verifier, "MODEL-7")
            require(not offer.inexact, "CHAL-14")
            require(terms.verifier not in self.verifiers.gone, "VERIFIER-3")
        if terms.level == AGREED:
            require(2 <= terms.seats <= LARGEST_COMMITTEE, "JOB-3")
            require(terms.quorum <= terms.seats < 2 * terms.quorum, "JOB-3")
        else:
            require(terms.level in {ATTESTED, PROVED} and terms.seats == terms.quorum == 1, "JOB-4, JOB-25")
            require(closed if terms.level == ATTESTED else terms.verifier, "JOB-4: nothing to rely on")
        job_id = commitments.request_id(self.chain_id, self.address, request)
        require(job_id not in self.jobs, "JOB-2")
        job = Job(request, now, 0, block, now, enrolled=closed, inexact=offer.inexact)
        job.final = terms.level == PROVED or offer.inexact
        return job_id, job

    def _open(self, job_id: bytes, job: Job, now: int) -> None:
        job.seed_block = job.request_block + self.parameters.seed_delay  # JOB-5
        job.deadline = now + self.parameters.deliver_window
        self.jobs[job_id] = job
        self._requested(job_id, job, job.seed_block, job.deadline)

    def _requested(self, job_id: bytes, job: Job, seed_block: int, deliver_by: int) -> None:
        facts = {"requester": job.terms.requester, "version": job.terms.version, "request": job.request.tuple()}
        self.emit("JobRequested", id=job_id, **facts, seedBlock=seed_block, deliverBy=deliver_by)

    def _seat(self, job_id: bytes, job: Job, committee: list[str], keys: bytes, seed: bytes, now: int) -> None:
        job.state, job.committee, job.keys = "Ready", committee, keys
        job.deadline = now + self.parameters.commit_window
        job.delivered_at = now
        job.excused = {seat for seat, worker in enumerate(committee) if worker == NOBODY}
        for seat in job.seats():  # JOB-10
            self.registry.lock(committee[seat], job_id, job.terms.lock, self._needed_until(job), now)
        facts = {"committee": committee, "sealedKeys": keys, "commitBy": job.deadline}
        self.emit("KeysDelivered", id=job_id, seed=seed, **facts)

    def _needed_until(self, job: Job) -> int:
        """The last second at which a seat's stake can have to answer for its output."""
        p = self.parameters
        end = job.delivered_at + p.answers_in + p.dispute_window
        return end if job.terms.level == PROVED else end + p.reveal_window + p.challenge_window + p.dispute_window

    def _horizon(self, now: int) -> tuple[int, int]:
        """ENC-10: seconds to which attestations and prompt keys must last."""
        commits = now + self.parameters.answers_in
        return commits + self.parameters.reveal_window, commits

    def _paid(self, who: str, value: int, terms: Terms, coins: int) -> None:
        """JOB-1: the escrow, in its currency, and `coins` besides."""
        token = terms.token != COIN
        require(value == coins + (0 if token else terms.escrow), "JOB-1: payment")
        if token:
            self.take_tokens(who, terms.token, terms.escrow)
