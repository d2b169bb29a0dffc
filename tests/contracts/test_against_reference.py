"""The contracts beside tests/reference, step by step: the same calls, the same refusals, the same numbers."""

import hashlib
import os
import random
from collections import Counter

import signing
from brownie import chain, web3
from conftest import (
    BINDING,
    EPOCH_LENGTH,
    EXIT_DELAY,
    INPUT,
    LIMITS,
    MINIMUM_STAKE,
    PAD,
    PARAMETERS,
    POLICY,
    PRICE,
    SECRET,
    events_of,
    mock_proof,
    seed_header,
)
from enclave_players import EnclavePlayers
from eth_utils import keccak
from hexbytes import HexBytes
from reference import commitments, statements
from reference.attestations import EnclaveRegistry
from reference.commitments import NOBODY, Request
from reference.enclaves import Policies, Policy
from reference.indexer import rebuild
from reference.market import BURN, Market, Refused
from reference.statements import Statement, Verifiers
from signing import Signers
from views import Views

STEPS = int(os.environ.get("CLOISTER_STEPS", "800"))
SEED = int(os.environ.get("CLOISTER_SEED", "7"))
CIPHERTEXT = b"an input that nobody reads"
MASKED = b"the words of an output"
OUTPUTS = [hashlib.sha256(word).digest() for word in (b"right", b"wrong", b"other")]


def salt_of(worker: str) -> bytes:
    return hashlib.sha256(worker.encode()).digest()


class Lockstep(EnclavePlayers):
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
        self.signers, self.generation = Signers(), 0
        self.forger = self.signers.make("forger")
        self.closed = [deployment.sealed, deployment.sealed_provable]
        policies = Policies()
        for version in [deployment.version, deployment.provable]:
            policies.publish(self.owner, version, Policy(), now=0)
        for version in self.closed:
            policies.publish(self.owner, version, POLICY, now=0)
        chain_id = web3.eth.chain_id
        registry = EnclaveRegistry(
            EPOCH_LENGTH,
            EXIT_DELAY,
            MINIMUM_STAKE,
            chain_id=chain_id,
            address=self.nodes.address,
            limits=LIMITS,
            policies=policies,
        )
        self.model = Market(
            chain_id,
            self.market.address,
            PARAMETERS,
            registry,
            Verifiers([self.owner]),
            lambda statement, proof: proof == mock_proof(statement),
            dict.fromkeys([self.version, self.provable, *self.closed], PRICE),
            {self.provable: deployment.circuit, deployment.sealed_provable: deployment.sealed_circuit},
        )
        self.now = chain.time()
        self.outputs: dict[tuple[bytes, str], bytes] = {}  # what each worker committed to
        self.headers: dict[int, tuple[bytes, bytes]] = {}
        self.seen: Counter = Counter()
        self.views = Views()
        contracts = (self.market, self.nodes, self.models, deployment.verifiers, deployment.quotes)
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
        """Of jobs only those named; of everything else all."""
        registry, market = self.model.registry, self.market
        accounts = [*self.everybody, BURN]
        epochs = [registry.epoch(chain.height), registry.epoch(chain.height) + 1]
        questions = [(market.job, job) for job in jobs]
        questions += [(market.credit, who) for who in accounts]
        questions += [(self.nodes.totalWeightAt, epoch) for epoch in epochs]
        questions += [(market,), (self.nodes,)]
        questions += [(self.nodes.node, who) for who in self.workers]
        per_worker = [(who, self.enclave_views(who)) for who in self.workers if who in registry.workers]
        questions += [view for _, views in per_worker for view in views]
        answers = iter(self.views.ask(questions))

        for job in jobs:
            assert next(answers) == self.model.jobs[job].record(PARAMETERS)
        for who in accounts:
            assert next(answers) == self.model.credits.get(who, 0)
        for epoch in epochs:
            assert next(answers) == registry.total(epoch)
        assert next(answers) == self.model.balance()
        assert next(answers) == sum(worker.stake for worker in registry.workers.values())
        for who in self.workers:
            self.compare_node(who, next(answers))
        for who, views in per_worker:
            self.compare_enclave(who, *(next(answers) for _ in views))

    def compare_node(self, who: str, node: dict) -> None:
        known = self.model.registry.workers.get(who)
        if known is None:
            assert node["leaf"] == 0
            return
        enclave = self.model.registry.enclaves[who]
        chain_says = tuple(node[name] for name in ("stake", "locked", "keyEpoch", "exitAt", "hpkeKey", "signer"))
        model_says = (known.stake, known.locked, known.key_epoch, known.exit_at, enclave.key, enclave.signer)
        assert chain_says == model_says
        assert known.locked <= known.stake

    # ---------------------------------------------------------------- players

    def begin(self) -> None:
        """Everybody registers; most of them are attested, have a prompt key and are enrolled."""
        registry = self.model.registry
        for i, who in enumerate(self.workers):
            self.call(
                "register",
                lambda w, v, _e, k, s, **at: registry.register(w, v, k, s, **at),
                self.nodes.register,
                "https://w",
                b"\x01" * 32,
                self.signers.make(who),
                sender=who,
                value=(2 + i) * MINIMUM_STAKE + i,
            )
        for _ in range(4):
            for who in self.workers:
                self.keep_up(who)
        chain.mine(EPOCH_LENGTH)
        self.now = max(self.now, chain[-1].timestamp)

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
        elif chance < 0.32:
            self.enclave_step()
        elif (chance < 0.44 and len(live) < 5) or not live:
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
        self.generation += 1
        fresh = self.signers.make(f"{who} {self.generation}")
        key, signer = self.rng.choice([(b"\x07" * 32, fresh)] * 4 + [(bytes(32), fresh), (b"\x07" * 32, NOBODY)])
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
        level = self.rng.choices([0, 1, 2, 3], [35, 40, 23, 2])[0]
        version = self.rng.choice([self.version, *self.closed])
        if level == 0:
            version = self.rng.choices([*self.closed, self.version], [70, 20, 10])[0]
            if self.rng.random() < 0.9:
                seats, quorum = 1, 1
        if level == 2:
            if self.rng.random() < 0.9:
                seats, quorum = 1, 1
            # sometimes one without a circuit, or with a verifier that may be gone
            version = self.rng.choice(
                [self.provable, self.closed[1]] * 9 + [self.version, next(iter(self.model.circuits))]
            )
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
            elif job.enrolled and self.rng.random() < 0.08:
                self.meddle()
            else:
                self.deliver(job_id, job.requester)
        elif job.state == "Ready" and not late:
            seat = self.rng.choice([seat for seat in job.seats() if seat not in job.commitments])
            answer = self.answer if job.attested else self.prove if job.proved else self.commit
            act = self.rng.choices([answer, self.refuse, self.demand], [70, 23, 7] if job.enrolled else [85, 6, 9])[0]
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
        act = self.rng.randint(0, 9)
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
            [self.commit, self.reveal, self.refuse, self.demand, self.prove, self.answer][act - 4](job_id, who)

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
        committee = self.model.committee(job_id, prevrandao, secret, self.now)
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
        signature = self.sign(who, signing.result(self.market, job_id, output, sealed), job_id)
        args = (job_id, self.committee(job_id), output, salt_of(who), sealed, signature)
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
        signature = self.sign(
            who, signing.result(self.market, job_id, statements.proved_output(pad, words), words), job_id
        )
        committee, answer = self.committee(job_id), (words, proof, signature)
        self.call(
            "prove",
            self.model.prove,
            self.market.prove,
            job.request.tuple(),
            job.requester,
            committee,
            (binding, digest, pad),
            *answer,
            sender=who,
            model_args=(job.request, job.requester, committee, binding, digest, pad, *answer),
        )

    def answer(self, job_id: bytes, who: str) -> None:
        output = self.rng.choices([OUTPUTS[0], bytes(32)], [97, 3])[0]
        sealed = bytes(56 if self.rng.random() < 0.97 else 1073)
        args = (
            job_id,
            self.committee(job_id),
            output,
            sealed,
            self.sign(who, signing.result(self.market, job_id, output, sealed), job_id),
        )
        self.call("answer", self.model.answer, self.market.answer, *args, sender=who)

    def refuse(self, job_id: bytes, who: str) -> None:
        reason = self.rng.choice([1, 4, 5, 5, 5, 2])
        sealed_key = bytes(80) if self.rng.random() < 0.9 else b"rubbish that the host gave its enclave"
        digest = signing.refusal(self.market, job_id, who, sealed_key, reason)
        signature = self.sign(who, digest, job_id) if self.rng.random() < 0.9 else b""
        args = (job_id, self.committee(job_id), reason, keccak(sealed_key), signature)
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
    lockstep.begin()
    for number in range(STEPS):
        lockstep.step()
        if number % 32 == 0:
            lockstep.rare_step(number // 32)
    lockstep.compare(lockstep.model.jobs)

    # The events alone tell the same story.
    records = {job: it.record(PARAMETERS) for job, it in lockstep.model.jobs.items()}
    assert rebuild(events_of(deployment.market), PARAMETERS, lockstep.closed) == records
    lockstep.wind_up()

    ends = Counter(job.state for job in lockstep.model.jobs.values())
    print(dict(lockstep.seen), dict(ends))
    if STEPS < 800:
        return
    calls = ["request", "deliver", "commit", "reveal", "prove", "refuse", "demand", "publish", "close", "withdraw"]
    calls += ["answer", "attest", "post_prompt_key", "enrol", "remove_verifier"]
    for label in calls:
        assert lockstep.seen[label], label
        assert lockstep.seen[f"{label} refused"], label
    for label in ["replace_keys", "narrow", "revoke", "vacate", "strike"]:
        assert lockstep.seen[label], label
    assert lockstep.model.charged()
    assert ends["Settled"] >= 5
    assert ends["Refunded"] >= 5
