"""Every call about a job, mostly as it should be made."""

import hashlib

import signing
from conftest import BINDING, INPUT, PAD, PARAMETERS, SECRET, mock_proof
from eth_utils import keccak
from market_players import CIPHERTEXT, MarketPlayers
from reference import commitments, statements
from reference.commitments import NOBODY, Brief, Request, Terms, Ticket
from reference.market import AGREED
from reference.statements import Statement

WORDS = [b"the words of an output", b"other words", b"words of somebody else"]
# What a right worker commits to, and others; each of them has a proof, since the mock verifier believes everything.
OUTPUTS = [statements.proved_output(PAD, words) for words in WORDS]


def salt_of(worker: str) -> bytes:
    return hashlib.sha256(worker.encode()).digest()


class JobCalls(MarketPlayers):
    """Each may be refused, by both sides."""

    # ---------------------------------------------------------------- requester

    def ticket(self, job_id: bytes) -> Ticket:
        """Nearly always the right one."""
        ticket = self.model.jobs[job_id].ticket
        chance = self.rng.random()
        if chance > 0.04:
            return ticket
        if chance > 0.03:
            return Ticket(ticket.terms, ticket.brief, ticket.committee, keccak(ticket.keys))
        if chance > 0.02 or not ticket.committee:
            return Ticket(ticket.terms, keccak(ticket.brief), ticket.committee, ticket.keys)
        place = self.rng.randrange(len(ticket.committee))
        committee = [*ticket.committee[:place], self.stranger, *ticket.committee[place + 1 :]]
        return Ticket(ticket.terms, ticket.brief, tuple(committee), ticket.keys)

    def brief_of(self, job_id: bytes) -> Brief:
        brief = self.model.jobs[job_id].brief
        return brief if self.rng.random() < 0.97 else Brief(**{**vars(brief), "nonce": brief.nonce + 1})

    def spoiled_delivery(self, job_id: bytes) -> None:
        self.deliver(job_id, self.model.jobs[job_id].terms.requester, spoil=True)

    def deliver(self, job_id: bytes, who: str, *, spoil: bool = False) -> None:
        job = self.model.jobs[job_id]
        if job.hired:
            return
        header, prevrandao = self.seed_header(job.seed_block)
        before, self.now = self.now, self.now + 25
        secret, named = SECRET, commitments.committee_hash([])
        committee = self.model.committee(job_id, prevrandao, secret, self.now)
        self.now = before
        named = commitments.committee_hash(committee)
        keys = b"".join(keccak(text=who)[:20] * 4 for who in committee if who != NOBODY)
        known = prevrandao
        if spoil:
            what = self.rng.randint(0, 3)
            if what == 0:
                secret = b"\x06" * 32
            elif what == 1:
                named = commitments.committee_hash(committee[1:])
            elif what == 2:
                keys += b"\0"
            else:
                header, known = header[:-1] + b"\x17", None
        if self.height - job.seed_block > 250:
            known = None  # beyond what `blockhash` tells; the epochs are over anyway
        args = (secret, header, named, keys)
        facts = {"sender": who, "model_args": (job.request, secret, known, named, keys)}
        self.call("deliver", self.model.deliver, self.market.deliver, job.request.tuple(), *args, **facts)

    def refer(self, job_id: bytes) -> None:
        """To a larger committee; sometimes to one that is not, or about something else."""
        job, rng = self.model.jobs[job_id], self.rng
        seats = min(15, 2 * job.terms.seats + 1)
        seats += rng.choices([0, -1], [95, 5])[0]
        terms = {**vars(job.terms), "level": AGREED, "seats": seats, "quorum": seats // 2 + 1, "verifier": 0}
        brief = {**vars(job.brief), "nonce": 10**6 + len(self.model.jobs), "worker": NOBODY, "reputation": 0}
        if rng.random() < 0.03:
            brief["input_commitment"] = b"\x03" * 32
        if rng.random() < 0.03:
            terms["version"] = self.provable
        asked = Request(Terms(**terms), Brief(**brief))
        more = rng.choice([0, 0, 0, rng.randint(1, 10**16)])
        bond = 0 if job.state == "Disputed" else self.model.bond() + more
        who = job.terms.requester if rng.random() < 0.95 else rng.choice(self.clients)
        ticket, named = self.ticket(job_id), self.brief_of(job_id)
        args = (ticket.tuple(), named.tuple(), asked.tuple())
        facts = {"sender": who, "value": self.paying(asked, bond), "model_args": (ticket, named, asked)}
        self.call("refer", self.model.refer, self.market.refer, *args, **facts)

    # ---------------------------------------------------------------- workers

    def about(self, label: str, job_id: bytes, *args, sender: str, model_args=None, value: int = 0) -> bool:
        """A call whose first argument is a ticket; those after it are the model's too unless `model_args` has them."""
        ticket = self.ticket(job_id)
        given = (ticket, *(args if model_args is None else model_args))
        function = getattr(self.market, label)
        facts = {"sender": sender, "model_args": given, "value": value}
        return self.call(label, getattr(self.model, label), function, ticket.tuple(), *args, **facts)

    def habit(self, who: str) -> str:
        return self.habits.get(who, "honest")

    def word(self, job_id: bytes, who: str) -> int:
        """Which of WORDS and OUTPUTS the worker takes for the answer."""
        if self.habits:
            return {"liar": 1, "odd": 2}.get(self.habit(who), 0)
        return self.rng.choices([0, 1, 2], [80, 14, 6])[0]

    def commit(self, job_id: bytes, who: str) -> None:
        output = OUTPUTS[self.word(job_id, who)]
        chain_id, market = self.model.chain_id, self.model.address
        commitment = commitments.commitment(chain_id, market, job_id, who, output, salt_of(who))
        if self.about("commit", job_id, commitment, sender=who):
            self.outputs[job_id, who] = output

    def reveal(self, job_id: bytes, who: str) -> None:
        output = self.outputs.get((job_id, who), OUTPUTS[0])
        if self.rng.random() < 0.04:
            output = self.rng.choice([bytes(32), OUTPUTS[2]])
        sealed = bytes(56 if self.rng.random() < 0.98 else 1073)
        signature = b""
        if self.model.jobs[job_id].enrolled or self.rng.random() < 0.1:
            signature = self.sign(who, signing.result(self.market, job_id, output, sealed), job_id)
        self.about("reveal", job_id, output, salt_of(who), sealed, signature, sender=who)

    def answer(self, job_id: bytes, who: str) -> None:
        output = OUTPUTS[self.word(job_id, who)] if self.rng.random() < 0.97 else bytes(32)
        sealed = bytes(56 if self.rng.random() < 0.97 else 1073)
        signature = self.sign(who, signing.result(self.market, job_id, output, sealed), job_id)
        self.about("answer", job_id, output, sealed, signature, sender=who)

    def shown(self, job_id: bytes, who: str, words: bytes) -> tuple:
        """(opening, masked, proof): mostly valid; sometimes for somebody else, of other words, or of another input."""
        job = self.model.jobs[job_id]
        binding, digest, pad = BINDING, INPUT, PAD
        circuit = self.model.circuits.get(job.terms.version, self.deployment.circuit)
        prover, spoil = who, self.rng.randint(0, 39)
        if spoil == 0:
            prover = self.stranger
        elif spoil == 1:
            digest, pad = pad, digest
        elif spoil == 2:
            words = bytes(8193)
        context = statements.job_context(self.model.chain_id, self.model.address, job_id, prover)
        output = statements.proved_output(pad, words)
        proof = mock_proof(Statement(circuit.circuit, circuit.weights, digest, output, context))
        if spoil == 3:
            words += b"."
        elif spoil == 4:
            proof = proof[:-1]
        return (binding, digest, pad), words, proof

    def prove(self, job_id: bytes, who: str) -> None:
        opening, words, proof = self.shown(job_id, who, WORDS[self.word(job_id, who)])
        signature = b""
        if self.model.jobs[job_id].enrolled or self.rng.random() < 0.1:
            output = statements.proved_output(opening[2], words)
            signature = self.sign(who, signing.result(self.market, job_id, output, words), job_id)
        brief, rest = self.brief_of(job_id), (opening, words, proof, signature)
        self.about("prove", job_id, brief.tuple(), *rest, sender=who, model_args=(brief, *rest))

    def refuse(self, job_id: bytes, who: str) -> None:
        job = self.model.jobs[job_id]
        reason = self.rng.choice([1, 4, 5, 5, 5, 2])
        keys = job.keys if self.rng.random() < 0.93 else job.keys[::-1]
        seat = job.committee.index(who) if who in job.committee else 0
        key = job.sealed_key(seat) if self.rng.random() < 0.9 else b"rubbish that the host gave its enclave"
        digest = signing.refusal(self.market, job_id, who, key, reason)
        signature = self.sign(who, digest, job_id) if self.rng.random() < 0.9 else b""
        self.about("refuse", job_id, reason, keys, signature, sender=who)

    def demand(self, job_id: bytes, who: str) -> None:
        value = PARAMETERS.demand_deposit - (self.rng.random() < 0.1)
        self.about("demand", job_id, sender=who, value=value)

    # ---------------------------------------------------------------- anybody

    def publish(self, job_id: bytes) -> None:
        ciphertext = CIPHERTEXT if self.rng.random() < 0.9 else b"other"
        brief, who = self.brief_of(job_id), self.rng.choice(self.everybody)
        self.about("publish", job_id, brief.tuple(), ciphertext, sender=who, model_args=(brief, ciphertext))

    def close(self, job_id: bytes, *, wait: bool = True) -> None:
        job = self.model.jobs[job_id]
        if wait:
            decidable = job.state == "Ready" and len(job.commitments) >= job.terms.quorum
            end = job.deadline + (PARAMETERS.reveal_window if decidable else 0)
            self.now = max(self.now, end - self.rng.choice([0, 0, 0, 20]))
        self.about("close", job_id, sender=self.rng.choice(self.everybody))

    def challenge(self, job_id: bytes) -> None:
        value = self.model.bond() + self.rng.choices([0, self.rng.randint(1, 10**16), -1], [80, 16, 4])[0]
        self.about("challenge", job_id, sender=self.rng.choice(self.everybody), value=value)

    def judge(self, job_id: bytes) -> None:
        """The verifier believes everything, so a judge can have any output proved."""
        who = self.rng.choice([*self.workers, self.stranger])
        opening, words, proof = self.shown(job_id, who, self.rng.choices(WORDS, [70, 20, 10])[0])
        brief = self.brief_of(job_id)
        rest = (opening, words, proof)
        self.about("judge", job_id, brief.tuple(), *rest, sender=who, model_args=(brief, *rest))

    def resolve(self, job_id: bytes) -> None:
        job = self.model.jobs[job_id]
        who = self.rng.choice([self.rng.choice(self.everybody), job.terms.requester])
        self.about("resolve", job_id, sender=who)

    def notify(self, job_id: bytes) -> None:
        brief, who = self.brief_of(job_id), self.rng.choice(self.everybody)
        self.about("notify", job_id, brief.tuple(), sender=who, model_args=(brief,))
