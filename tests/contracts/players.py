"""What everybody who takes part in a job does next, honest or not."""

from conftest import PARAMETERS
from job_calls import OUTPUTS, JobCalls
from reference.commitments import NOBODY
from reference.market import AGREED, ATTESTED, PROVED, Job

HABITS = ["honest", "liar", "odd", "silent", "hiding", "refusing"]


class Players(JobCalls):
    """Random players."""

    # ---------------------------------------------------------------- what comes next

    def live(self) -> list[bytes]:
        return [job for job, it in self.model.jobs.items() if not self.done(it)]

    def done(self, job: Job) -> bool:
        return job.over or (job.is_final(self.now) and not job.dissenting())

    def sensible(self, job_id: bytes) -> None:
        """What somebody who plays by the rules, or gains by not doing so, would do next."""
        job = self.model.jobs[job_id]
        asked = self.model.jobs.get(job.referee)
        if asked and job.state in {"Disputed", "Challenged"} and not self.done(asked):
            self.sensible(job.referee)
            return
        act = {
            "Open": self.when_open,
            "Ready": self.when_ready,
            "Committed": self.when_committed,
            "Demanded": self.when_demanded,
            "Settled": self.when_settled,
            "Disputed": self.when_disputed,
            "Challenged": self.when_challenged,
        }.get(job.state, self.when_demanded)
        act(job_id, job)

    def when_open(self, job_id: bytes, job: Job) -> None:
        if self.now > job.deadline or self.rng.random() < 0.03:
            self.close(job_id)
        elif job.enrolled and self.rng.random() < 0.06:
            self.meddle()
        else:
            self.deliver(job_id, job.terms.requester)

    def when_ready(self, job_id: bytes, job: Job) -> None:
        left = [seat for seat in job.seats() if seat not in job.commitments]
        awake = [seat for seat in left if self.habit(job.committee[seat]) != "silent"]
        if self.now <= job.deadline and awake:
            seat = self.rng.choice(awake)
            who = job.committee[seat]
            answer = {ATTESTED: self.answer, PROVED: self.prove}.get(job.terms.level, self.commit)
            refusing = self.habit(who) == "refusing" and self.rng.random() < 0.7
            odds = [0, 80, 20] if refusing else [70, 12, 6] if job.enrolled and not self.habits else [90, 3, 5]
            act = self.rng.choices([answer, self.refuse, self.demand], odds)[0]
            if act == self.demand and (job.published or job.large):
                act = answer
            act(job_id, who)
        elif len(job.commitments) >= job.terms.quorum:
            self.now = max(self.now, job.deadline)
            self.when_committed(job_id, job)
        else:
            self.close(job_id)

    def when_committed(self, job_id: bytes, job: Job) -> None:
        end = job.deadline + (PARAMETERS.reveal_window if job.state == "Ready" else 0)
        hidden = [seat for seat in job.commitments if seat not in job.outputs]
        ready = [seat for seat in hidden if self.habit(job.committee[seat]) != "hiding"]
        if self.now > end or not ready or self.rng.random() < 0.04:
            self.close(job_id)
        else:
            self.reveal(job_id, job.committee[self.rng.choice(ready)])

    def when_demanded(self, job_id: bytes, job: Job) -> None:
        if job.state == "Demanded" and self.now <= job.deadline and self.rng.random() < 0.7:
            self.publish(job_id)
        else:
            self.close(job_id)

    def when_settled(self, job_id: bytes, job: Job) -> None:
        chance = self.rng.random()
        if job.final or (self.now > job.deadline and not job.dissenting()):
            self.notify(job_id)
        elif chance < 0.15 or self.now > job.deadline:
            self.now = max(self.now, job.deadline - self.rng.choice([0, 0, 0, 20]))
            (self.resolve if job.dissenting() else self.notify)(job_id)
        elif job.provable:
            (self.challenge if chance < (0.6 if job.result == OUTPUTS[0] else 0.4) else self.judge)(job_id)
        elif chance < 0.80 and job.terms.level == AGREED:
            self.refer(job_id)
        else:
            self.now = max(self.now, job.deadline)

    def when_disputed(self, job_id: bytes, job: Job) -> None:
        chance = self.rng.random()
        if job.referee is not None or self.now > job.deadline:
            self.resolve(job_id)
        elif chance < 0.7:
            (self.judge if job.provable else self.refer)(job_id)
        else:
            if job.provable or chance < 0.85:
                self.now = max(self.now, job.deadline - self.rng.choice([0, 0, 20]))
            self.resolve(job_id)

    def when_challenged(self, job_id: bytes, job: Job) -> None:
        if job.referee is not None or self.now > job.deadline:
            self.resolve(job_id)
        elif self.rng.random() < 0.65:
            self.judge(job_id)
        else:
            self.now = max(self.now, job.deadline - self.rng.choice([0, 0, 20]))
            self.resolve(job_id)

    def anything(self, job_id: bytes) -> None:
        """A call that may or may not be allowed, at a time that may or may not be right."""
        job = self.model.jobs[job_id]
        jump = self.rng.random()
        if jump < 0.10 and self.now < job.deadline - 30:
            self.now = job.deadline - self.rng.randint(0, 26)  # about the deadline itself
        elif jump < 0.13:
            self.now += 300
        who = self.rng.choice(self.everybody)
        if job.committee and self.rng.random() < 0.8:
            who = self.rng.choice(job.committee)
            who = self.stranger if who == NOBODY else who
        of_seat = [self.commit, self.reveal, self.refuse, self.demand, self.prove, self.answer]
        of_all = [self.publish, self.close, self.challenge, self.judge, self.refer, self.resolve, self.notify]
        act = self.rng.choice([*of_seat, *of_all, self.deliver, self.spoiled_delivery])
        if act in of_seat:
            act(job_id, who)
        elif act == self.close:
            self.close(job_id, wait=False)
        elif act == self.deliver:
            self.deliver(job_id, self.rng.choice([job.terms.requester, who]))
        else:
            act(job_id)

    # ---------------------------------------------------------------- the end

    def let_locks_end(self) -> None:
        """NODE-5: to the last second of the period that somebody's lock ends in, or one more."""
        locks = [until for one in self.model.registry.workers.values() for _, until in one.locks.values()]
        period = self.model.registry.lock_period
        ends = [(until // period + 1) * period - 1 for until in locks]
        ends = [end for end in ends if end > self.now]
        if ends:
            self.now = self.rng.choice(ends) + self.rng.randint(0, 1)
            self.send(self.owner, self.token.approve, (self.stranger, 0))

    def wind_up(self) -> None:
        """JOB-24, CHAL-9, MONEY-2: whoever stays away, everything ends, and everything is paid out."""
        for _ in range(4):
            for job_id in self.live():
                job = self.model.jobs[job_id]
                self.now = max(self.now, job.deadline + PARAMETERS.reveal_window)
                label = "close" if job.state in {"Open", "Ready", "Demanded", "Committed"} else "resolve"
                if self.done(job) or (job.referee and not self.done(self.model.jobs[job.referee])):
                    continue
                function, act = getattr(self.market, label), getattr(self.model, label)
                facts = {"sender": self.stranger, "model_args": (job.ticket,)}
                assert self.call(label, act, function, job.ticket.tuple(), **facts)
        assert not self.live()
        for version, token in list(self.model.fees):
            if self.model.fees[version, token]:
                collect, args = self.market.collect, (version, token)
                assert self.call("collect", self.model.collect, collect, *args, sender=self.stranger)
        for who, token in list(self.model.credits):
            if self.model.credits[who, token]:
                withdraw = self.market.withdraw
                assert self.call("withdraw", self.model.withdraw, withdraw, who, token, sender=self.stranger)
        self.compare(self.model.jobs)
        assert self.model.balance() == self.model.balance(self.token.address) == 0
