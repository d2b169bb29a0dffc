"""The contracts beside tests/reference, step by step: the same calls, the same refusals, the same numbers."""

import hashlib
import os
import random
from collections import Counter

from brownie import chain, web3
from conftest import (
    BINDING,
    EPOCH_LENGTH,
    EXIT_DELAY,
    INPUT,
    MINIMUM_STAKE,
    PAD,
    PARAMETERS,
    PRICE,
    SECRET,
    events_of,
    mock_proof,
    seed_header,
)
from eth_utils import keccak
from hexbytes import HexBytes
from reference import commitments, statements
from reference.commitments import NOBODY, Request
from reference.indexer import rebuild
from reference.market import BURN, Market, Refused
from reference.registry import Registry
from reference.statements import Statement, Verifiers

STEPS = int(os.environ.get("CLOISTER_STEPS", "450"))
SEED = int(os.environ.get("CLOISTER_SEED", "20261121"))
CIPHERTEXT = b"an input that nobody reads"
MASKED = b"the words of an output"
OUTPUTS = [hashlib.sha256(word).digest() for word in (b"right", b"wrong", b"other")]


def salt_of(worker: str) -> bytes:
    return hashlib.sha256(worker.encode()).digest()


class Lockstep:
    """Random players, honest or not. Every call goes to the model first, then to the chain."""

    def __init__(self, deployment, accounts, rng: random.Random):
        self.rng = rng
        self.deployment = deployment
        self.market, self.nodes, self.models = deployment.market, deployment.nodes, deployment.models
        self.version, self.provable = deployment.version, deployment.provable
        self.account, self.owner = accounts[0], accounts[0].address
        self.clients = [account.address for account in accounts[1:3]]
        self.workers = [account.address for account in accounts[3:9]]
        self.stranger = accounts[9].address
        self.everybody = [account.address for account in accounts[:10]]
        registry = Registry(EPOCH_LENGTH, EXIT_DELAY, MINIMUM_STAKE)
        chain_id = web3.eth.chain_id
        self.model = Market(
            chain_id,
            self.market.address,
            PARAMETERS,
            registry,
            Verifiers([self.owner]),
            lambda statement, proof: proof == mock_proof(statement),
            {self.version: PRICE, self.provable: PRICE},
            {self.provable: deployment.circuit},
        )
        self.now = chain.time()
        self.outputs: dict[tuple[bytes, str], bytes] = {}  # what each worker committed to
        self.headers: dict[int, tuple[bytes, bytes]] = {}
        self.seen: Counter = Counter()
        contracts = (self.market, self.nodes, self.models, deployment.verifiers)
        entries = [entry for contract in contracts for entry in contract.abi if entry["type"] == "error"]
        self.errors = {keccak(text=self._signature(entry))[:4] for entry in entries}
        # errors of libraries, which the contracts' ABIs do not list when they come from another contract
        self.errors.add(keccak(text="StakeTree_Forgotten(uint256,uint256)")[:4])

    @staticmethod
    def _signature(entry: dict) -> str:
        return f"{entry['name']}({','.join(part['type'] for part in entry['inputs'])})"

    # ---------------------------------------------------------------- one call, twice

    def call(self, label: str, model, function, *args, sender: str, value: int = 0, model_args=None) -> bool:
        """`model` with (sender, [value,] arguments), then `function` in a transaction. True if both did it."""
        self.now += self.rng.randint(1, 25)
        given = args if model_args is None else model_args
        given = (value, *given) if label in {"request", "demand", "register", "top_up"} else given
        try:
            model(sender, *given, now=self.now, block=chain.height + 1)
            expected, rule = True, ""
        except Refused as refusal:
            expected, rule = False, str(refusal)
        done, answer = self._transact(sender, function, args, value)
        assert done == expected, f"{label}: chain {'did' if done else 'refused'} it ({answer}); model: {rule}"
        self.seen[label if done else f"{label} refused"] += 1
        return done

    def _transact(self, sender: str, function, args, value: int) -> tuple[bool, str]:
        transaction = {
            "from": sender,
            "to": function._address,
            "value": hex(value),
            "data": function.encode_input(*args),
            "gas": hex(6_000_000),
        }
        web3.provider.make_request("evm_setNextBlockTimestamp", [self.now])
        answer = web3.provider.make_request("eth_sendTransaction", [transaction])
        receipt = web3.eth.wait_for_transaction_receipt(answer["result"], timeout=30, poll_latency=0.001)
        if receipt["status"] == 1:
            return True, ""
        # Why it failed: never by a panic, always by an error that the interfaces declare.
        again = web3.provider.make_request("eth_call", [transaction, "latest"])
        data = bytes(HexBytes(again["error"].get("data") or "0x"))
        assert data[:4] in self.errors, f"{function._name} failed with 0x{data.hex()}"
        return False, data.hex()

    # ---------------------------------------------------------------- comparing

    def compare(self, jobs) -> None:
        for job in jobs:
            record = self.market.job(job).dict()
            record["digest"] = bytes(HexBytes(record["digest"]))
            assert record == self.model.jobs[job].record(PARAMETERS)
        for who in self.workers:
            node = self.nodes.node(who).dict()
            known = self.model.registry.workers.get(who)
            if known is None:
                assert node["leaf"] == 0
                continue
            chain_says = (node["stake"], node["locked"], node["keyEpoch"], node["exitAt"])
            assert chain_says == (known.stake, known.locked, known.key_epoch, known.exit_at)
            assert known.locked <= known.stake
        for who in [*self.everybody, BURN]:
            assert self.market.credit(who) == self.model.credits.get(who, 0)
        assert self.market.balance() == self.model.balance()
        registry = self.model.registry
        assert self.nodes.balance() == sum(worker.stake for worker in registry.workers.values())
        epoch = registry.epoch(chain.height)
        for e in (epoch, epoch + 1):
            assert self.nodes.totalWeightAt(e) == registry.total(e)

    # ---------------------------------------------------------------- players

    def step(self) -> None:
        chance = self.rng.random()
        live = [job for job, it in self.model.jobs.items() if not it.over]
        touched = []
        if chance < 0.10:
            self.stakes()
        elif chance < 0.14:
            self.mine()
        elif chance < 0.19:
            self.pay_out()
        elif chance < 0.20:
            self.price()
        elif chance < 0.22:
            self.steward()
        elif (chance < 0.34 and len(live) < 5) or not live:
            self.request()
        else:
            job = self.rng.choice(live)
            touched.append(job)
            if self.rng.random() < 0.7:
                self.sensible(job)
            else:
                job = self.rng.choice(list(self.model.jobs))
                touched.append(job)
                self.anything(job)
        self.compare(touched)

    def mine(self) -> None:
        chain.mine(self.rng.randint(1, EPOCH_LENGTH // 2))
        self.now = max(self.now, chain[-1].timestamp)

    def pay_out(self) -> None:
        account = self.rng.choice([*self.everybody, BURN])
        who = self.rng.choice(self.everybody)
        self.call("withdraw", self.model.withdraw, self.market.withdraw, account, sender=who)

    def price(self) -> None:
        price = PRICE + self.rng.randint(0, 3)
        self._transact(self.owner, self.models.setPrice, (self.version, price), 0)
        self.model.prices[self.version] = price

    def steward(self) -> None:
        """Somebody tries to remove a verifier. If that was the last one, the next comes with a version of its own."""
        verifiers, model = self.deployment.verifiers, self.model.verifiers
        last = len(model.stewards)
        who = self.rng.choice([self.owner, self.stranger])
        number = self.rng.choice([last, last, self.rng.randint(0, last + 1)])
        self.call("remove_verifier", model.remove, verifiers.remove, number, sender=who)
        if last not in model.gone:
            return
        self.call("add_verifier", model.add, verifiers.add, self.deployment.verifier.address, sender=self.owner)
        self.provable, circuit = self.deployment.publish_provable(self.account, last + 1)
        self.model.prices[self.provable], self.model.circuits[self.provable] = PRICE, circuit
        self.now = max(self.now, chain[-1].timestamp)

    def stakes(self) -> None:
        who = self.rng.choice(self.workers)
        registry, nodes = self.model.registry, self.nodes
        act = self.rng.randint(0, 9)
        key, signer = self.rng.choice([(b"\x07" * 32, who)] * 4 + [(bytes(32), who), (b"\x07" * 32, NOBODY)])
        value = self.rng.choice([MINIMUM_STAKE - 1, MINIMUM_STAKE, self.rng.randint(1, 9) * MINIMUM_STAKE + 7])
        if act < 3:
            self.call(
                "register",
                lambda w, v, _e, k, s, **at: registry.register(w, v, k, s, **at),
                nodes.register,
                "https://w",
                key,
                signer,
                sender=who,
                value=value,
            )
        elif act < 6:
            self.call("top_up", registry.top_up, nodes.topUp, sender=who, value=value)
        elif act == 6:
            self.call("replace_keys", registry.replace_keys, nodes.replaceKeys, key, signer, sender=who)
        elif act == 7 and self.rng.random() < 0.5:
            self.call("announce_exit", registry.announce_exit, nodes.announceExit, sender=who)
        else:
            self.call("withdraw_stake", registry.withdraw, nodes.withdraw, sender=who)

    def request(self) -> None:
        seats = self.rng.choice([2, 3, 3, 3, 4, 5, 1, 16] if self.rng.random() < 0.3 else [3, 3, 4, 5])
        quorum = self.rng.randint(1, seats) if self.rng.random() < 0.2 else seats // 2 + 1
        level = self.rng.choices([0, 1, 2, 3], [2, 66, 30, 2])[0]
        version = self.version
        if level == 2:
            if self.rng.random() < 0.9:
                seats, quorum = 1, 1
            # sometimes one without a circuit, or with a verifier that may be gone
            version = self.rng.choice([self.provable] * 18 + [self.version, next(iter(self.model.circuits))])
        if self.rng.random() < 0.03:
            version = bytes(32)
        price = self.model.prices.get(version, PRICE) + (self.rng.random() < 0.05)
        bound = statements.input_commitment(BINDING, statements.circuit_input(INPUT, PAD))
        request = Request(
            nonce=self.rng.choice([0, len(self.model.jobs), len(self.model.jobs), len(self.model.jobs)]),
            version=version,
            level=level,
            seats=seats,
            quorum=quorum,
            price=price,
            input_commitment=bound if self.rng.random() < 0.95 else b"\x01" * 32,
            ciphertext_hash=hashlib.sha256(CIPHERTEXT).digest(),
            ciphertext_size=len(CIPHERTEXT) if self.rng.random() < 0.85 else 65537,
            response_key=b"\x02" * 32,
            secret_hash=commitments.secret_hash(SECRET),
        )
        value = seats * price + (self.rng.random() < 0.05)
        self.call(
            "request",
            self.model.request,
            self.market.request,
            request.tuple(),
            sender=self.rng.choice(self.clients),
            value=value,
            model_args=(request,),
        )

    def sensible(self, job_id: bytes) -> None:
        """What somebody who plays by the rules, or gains by not doing so, would do next."""
        job = self.model.jobs[job_id]
        late = self.now > job.deadline
        decidable = len(job.commitments) >= job.request.quorum
        if job.state == "Open":
            if late or self.rng.random() < 0.03:
                self.close(job_id)
            else:
                self.deliver(job_id, job.requester)
        elif job.state == "Ready" and not late:
            seat = self.rng.choice([seat for seat in job.seats() if seat not in job.commitments])
            answer = self.prove if job.proved else self.commit
            act = self.rng.choices([answer, self.refuse, self.demand], [85, 6, 9])[0]
            if act == self.demand and (job.published or job.large):
                act = answer
            act(job_id, job.committee[seat])
        elif (job.state == "Ready" and decidable) or job.state == "Committed":
            hidden = sorted(set(job.commitments) - set(job.outputs))
            end = job.deadline + (PARAMETERS.reveal_window if job.state == "Ready" else 0)
            if self.now > end or self.rng.random() < 0.05:
                self.close(job_id)
            else:
                self.reveal(job_id, job.committee[self.rng.choice(hidden)])
        elif job.state == "Demanded" and not late and self.rng.random() < 0.7:
            self.publish(job_id)
        else:
            self.close(job_id)

    def anything(self, job_id: bytes) -> None:
        """A call that may or may not be allowed, at a time that may or may not be right."""
        job = self.model.jobs[job_id]
        jump = self.rng.random()
        if jump < 0.10 and self.now < job.deadline - 30:
            self.now = job.deadline - self.rng.randint(0, 26)  # about the deadline itself
        elif jump < 0.13:
            self.now += 300
        who = self.rng.choice(self.everybody)
        act = self.rng.randint(0, 8)
        if act == 0:
            self.deliver(job_id, self.rng.choice([job.requester, who]))
        elif act == 1:
            self.publish(job_id)
        elif act == 2:
            self.close(job_id, wait=False)
        elif act == 3:
            self.deliver(job_id, job.requester, spoil=True)
        else:
            if job.committee and self.rng.random() < 0.8:
                who = self.rng.choice(job.committee)
                who = self.stranger if who == NOBODY else who
            [self.commit, self.reveal, self.refuse, self.demand, self.prove][act - 4](job_id, who)

    # ---------------------------------------------------------------- calls

    def committee(self, job_id: bytes) -> list[str]:
        """Nearly always the right one."""
        committee = list(self.model.jobs[job_id].committee)
        if committee and self.rng.random() < 0.03:
            committee[self.rng.randrange(len(committee))] = self.stranger
        return committee

    def deliver(self, job_id: bytes, who: str, *, spoil: bool = False) -> None:
        job = self.model.jobs[job_id]
        if job.seed_block not in self.headers:
            self.headers[job.seed_block] = seed_header(job.seed_block)
            self.now = max(self.now, chain[-1].timestamp)
        header, prevrandao = self.headers[job.seed_block]
        secret, named = SECRET, commitments.committee_hash([])
        committee = self.model.committee(job_id, prevrandao, secret)
        named = commitments.committee_hash(committee)
        keys = bytes(80 * sum(worker != NOBODY for worker in committee))
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
        if chain.height - job.seed_block > 250:
            known = None  # beyond what `blockhash` tells; the epochs are over anyway
        self.call(
            "deliver",
            self.model.deliver,
            self.market.deliver,
            job.request.tuple(),
            secret,
            header,
            named,
            keys,
            sender=who,
            model_args=(job.request, secret, known, named, keys),
        )

    def commit(self, job_id: bytes, who: str) -> None:
        output = self.rng.choices(OUTPUTS, [88, 8, 4])[0]
        chain_id, market = self.model.chain_id, self.model.address
        commitment = commitments.commitment(chain_id, market, job_id, who, output, salt_of(who))
        args = (job_id, self.committee(job_id), commitment)
        if self.call("commit", self.model.commit, self.market.commit, *args, sender=who):
            self.outputs[job_id, who] = output

    def reveal(self, job_id: bytes, who: str) -> None:
        output = self.outputs.get((job_id, who), OUTPUTS[0])
        if self.rng.random() < 0.04:
            output = self.rng.choice([bytes(32), OUTPUTS[2]])
        sealed = bytes(56 if self.rng.random() < 0.98 else 1073)
        args = (job_id, self.committee(job_id), output, salt_of(who), sealed)
        self.call("reveal", self.model.reveal, self.market.reveal, *args, sender=who)

    def prove(self, job_id: bytes, who: str) -> None:
        """Mostly a valid proof; sometimes one for somebody else, of other words, or of another input."""
        job = self.model.jobs[job_id]
        binding, digest, pad, words = BINDING, INPUT, PAD, MASKED
        circuit = self.model.circuits.get(job.request.version, self.deployment.circuit)
        prover = who
        spoil = self.rng.randint(0, 29)
        if spoil == 0:
            prover = self.stranger
        elif spoil == 1:
            digest, pad = pad, digest
        elif spoil == 2:
            words = bytes(8193)
        statement = Statement(
            circuit.circuit,
            circuit.weights,
            digest,
            statements.proved_output(pad, words),
            statements.job_context(self.model.chain_id, self.model.address, job_id, prover),
        )
        proof = mock_proof(statement)
        if spoil == 3:
            words += b"."
        elif spoil == 4:
            proof = proof[:-1]
        rest = (job.requester, self.committee(job_id), binding, digest, pad, words, proof)
        self.call(
            "prove",
            self.model.prove,
            self.market.prove,
            job.request.tuple(),
            *rest,
            sender=who,
            model_args=(job.request, *rest),
        )

    def refuse(self, job_id: bytes, who: str) -> None:
        args = (job_id, self.committee(job_id), 1)
        self.call("refuse", self.model.refuse, self.market.refuse, *args, sender=who)

    def demand(self, job_id: bytes, who: str) -> None:
        value = PARAMETERS.demand_deposit - (self.rng.random() < 0.1)
        args = (job_id, self.committee(job_id))
        self.call("demand", self.model.demand, self.market.demand, *args, sender=who, value=value)

    def publish(self, job_id: bytes) -> None:
        job = self.model.jobs[job_id]
        ciphertext = CIPHERTEXT if self.rng.random() < 0.9 else b"other"
        who = self.rng.choice(self.everybody)
        self.call(
            "publish",
            self.model.publish,
            self.market.publish,
            job.request.tuple(),
            job.requester,
            ciphertext,
            sender=who,
            model_args=(job.request, job.requester, ciphertext),
        )

    def close(self, job_id: bytes, *, wait: bool = True) -> None:
        job = self.model.jobs[job_id]
        if wait:
            decidable = job.state == "Ready" and len(job.commitments) >= job.request.quorum
            end = job.deadline + (PARAMETERS.reveal_window if decidable else 0)
            self.now = max(self.now, end - self.rng.choice([0, 0, 0, 20]))
        args = (job_id, self.committee(job_id))
        self.call("close", self.model.close, self.market.close, *args, sender=self.rng.choice(self.everybody))

    # ---------------------------------------------------------------- the end

    def wind_up(self) -> None:
        """JOB-24, MONEY-2: everything ends, and everything is paid out."""
        for job_id, job in list(self.model.jobs.items()):
            if job.over:
                continue
            self.now = max(self.now, job.deadline + PARAMETERS.reveal_window)
            args = (job_id, job.committee)
            assert self.call("close", self.model.close, self.market.close, *args, sender=self.stranger)
        for who in [*self.everybody, BURN]:
            if self.model.credits.get(who):
                withdraw = self.market.withdraw
                assert self.call("withdraw", self.model.withdraw, withdraw, who, sender=self.stranger)
        self.compare(self.model.jobs)
        assert self.market.balance() == 0


def test_random_history__contracts_and_model__agree_at_every_step(deployment, accounts):
    """All of NODE-*, DRAW-*, JOB-*, MONEY-*, and VERIFIER-1 to VERIFIER-3."""
    rng = random.Random(SEED)
    print(f"seed {SEED}, {STEPS} steps")
    lockstep = Lockstep(deployment, accounts, rng)
    registry = lockstep.model.registry
    for i, who in enumerate(lockstep.workers):
        lockstep.call(
            "register",
            lambda w, v, _e, k, s, **at: registry.register(w, v, k, s, **at),
            deployment.nodes.register,
            "https://w",
            b"\x01" * 32,
            who,
            sender=who,
            value=(2 + i) * MINIMUM_STAKE + i,
        )
    chain.mine(EPOCH_LENGTH)
    lockstep.now = max(lockstep.now, chain[-1].timestamp)
    for _ in range(STEPS):
        lockstep.step()
    lockstep.compare(lockstep.model.jobs)

    # The events alone tell the same story.
    records = {job: it.record(PARAMETERS) for job, it in lockstep.model.jobs.items()}
    assert rebuild(events_of(deployment.market), PARAMETERS) == records
    lockstep.wind_up()

    ends = Counter(job.state for job in lockstep.model.jobs.values())
    print(dict(lockstep.seen), dict(ends))
    if STEPS < 400:
        return
    calls = ["request", "deliver", "commit", "reveal", "prove", "refuse", "demand", "publish", "close", "withdraw"]
    for label in [*calls, "remove_verifier"]:
        assert lockstep.seen[label], label
        assert lockstep.seen[f"{label} refused"], label
    assert ends["Settled"] >= 5
    assert ends["Refunded"] >= 5
