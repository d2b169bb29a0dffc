"""Whoever asks for jobs, and whoever changes what all of them stand on."""

import hashlib

from conftest import BINDING, EPOCH_LENGTH, INPUT, MINIMUM_STAKE, PAD, PRICE, SECRET
from lockstep import Lockstep
from reference import commitments, statements
from reference.commitments import COIN, NOBODY, Brief, Request, Terms
from reference.market import AGREED, ATTESTED, BURN, PROVED

CIPHERTEXT = b"an input that nobody reads"
BOUND = statements.input_commitment(BINDING, statements.circuit_input(INPUT, PAD))


class MarketPlayers(Lockstep):
    """Stakes, versions, verifiers, payments; requests of every kind."""

    # ---------------------------------------------------------------- between jobs

    def mine(self) -> None:
        self.pass_blocks(self.rng.randint(1, EPOCH_LENGTH // 2))

    def pay_out(self) -> None:
        accounts = [*self.everybody, BURN]
        owed = list(self.model.credits) or [(BURN, COIN)]
        account, token = self.rng.choice([self.rng.choice(owed), (self.rng.choice(accounts), COIN)])
        who = self.rng.choice(self.everybody)
        self.call("withdraw", self.model.withdraw, self.market.withdraw, account, token, sender=who)

    def collect(self) -> None:
        version = self.rng.choice(list(self.model.offers))
        token = self.rng.choice([COIN, COIN, self.token.address])
        who = self.rng.choice(self.everybody)
        self.call("collect", self.model.collect, self.market.collect, version, token, sender=who)

    def price(self) -> None:
        offer = self.model.offers[self.version]
        price = PRICE + self.rng.randint(0, 3)
        self.now += 1
        self.send(self.owner, self.models.setPrice, (self.version, price))
        self.model.offers[self.version] = type(offer)(price, offer.owner_percent, offer.inexact)

    def steward(self) -> None:
        """Somebody tries to remove a verifier. If that was the last one, the next comes with a version of its own."""
        model = self.model.verifiers
        last = len(model.stewards)
        who = self.rng.choice([self.owner, self.stranger])
        number = self.rng.choice([last, last, self.rng.randint(0, last + 1)])
        self.call("remove_verifier", model.remove, self.verifiers.remove, number, sender=who)
        if last not in model.gone:
            return
        verifier = self.deployment.verifier.address
        self.call("add_verifier", model.add, self.verifiers.add, verifier, sender=self.owner)
        self.provable, circuit = self.deployment.publish_provable(self.account, last + 1)
        self.model.offers[self.provable], self.model.circuits[self.provable] = self.deployment.offer(), circuit
        self.model.registry.policies.owners[self.provable] = self.owner
        self.sync()

    def disturb(self) -> None:
        """Something about a worker, its machine or the verifier changes while a job runs."""
        model = self.model.verifiers
        act = self.rng.choice([self.stakes, self.stakes, self.revoke, self.keys, None])
        if act is None:
            self.call("remove_verifier", model.remove, self.verifiers.remove, 1, sender=self.owner)
        elif act == self.keys:
            act(self.rng.choice(self.workers))
        else:
            act()

    def stakes(self) -> None:
        who = self.rng.choice(self.workers)
        registry, nodes = self.model.registry, self.nodes
        act = self.rng.randint(0, 10)
        self.generation += 1
        fresh = self.signers.make(f"{who} {self.generation}")
        key, signer = self.rng.choice([(b"\x07" * 32, fresh)] * 4 + [(bytes(32), fresh), (b"\x07" * 32, NOBODY)])
        value = self.rng.choice([MINIMUM_STAKE - 1, MINIMUM_STAKE, self.rng.randint(1, 9) * MINIMUM_STAKE + 7])
        if act < 3:
            self.register(who, value, key, signer)
        elif act < 6:
            self.call("top_up", registry.top_up, nodes.topUp, sender=who, value=value)
        elif act == 6:
            self.call("replace_keys", registry.replace_keys, nodes.replaceKeys, key, signer, sender=who)
        elif act == 7 and self.rng.random() < 0.5:
            self.call("announce_exit", registry.announce_exit, nodes.announceExit, sender=who)
        elif act == 8:
            self.join(who, self.rng.choice(["one", "other", "third"]))
        else:
            self.call("withdraw_stake", registry.withdraw, nodes.withdraw, sender=who)

    # ---------------------------------------------------------------- requests

    def random_request(self, who: str) -> Request:
        """Mostly one that can be asked for."""
        rng = self.rng
        level = rng.choices([ATTESTED, AGREED, PROVED, 3], [24, 60, 14, 2])[0]
        seats = rng.choice([2, 3, 3, 3, 4, 5, 1, 16] if rng.random() < 0.3 else [3, 3, 4, 5])
        quorum = rng.randint(1, seats) if rng.random() < 0.2 else seats // 2 + 1
        version = rng.choices([self.version, self.provable, *self.closed, self.inexact], [30, 30, 12, 12, 8])[0]
        if level != AGREED and rng.random() < 0.95:
            seats = quorum = 1
        if level == ATTESTED:
            version = rng.choices([*self.closed, self.version], [60, 35, 5])[0]
        elif level == PROVED:
            version = rng.choices([self.provable, self.closed[1], self.version], [60, 35, 5])[0]
        if rng.random() < 0.02:
            version = bytes(32)
        circuit = self.model.circuits.get(version)
        verifier = circuit.verifier if circuit and (level == PROVED or rng.random() < 0.75) else 0
        if rng.random() < 0.02:
            verifier = rng.randint(0, 2)
        token = self.token.address if rng.random() < 0.25 else COIN
        offer = self.model.offers.get(version)
        asked = offer.price if offer else PRICE
        price = self.model.token_prices.get((version, token), 1) if token != COIN else asked
        price += rng.choices([0, rng.randint(1, price), -1], [85, 12, 3])[0]
        lock = self.model.lock_for(price, token) + rng.choices([0, 10**9, 1], [96, 2, 2])[0]
        terms = Terms(
            requester=who if rng.random() < 0.98 else self.stranger,
            version=version,
            level=level,
            seats=seats,
            quorum=quorum,
            verifier=verifier,
            owner_percent=(offer.owner_percent if offer else 0) + (rng.random() < 0.02),
            token=token,
            price=price,
            lock=lock,
        )
        return Request(terms, self.brief(rng.choice([0, *[len(self.model.jobs)] * 6])))

    def brief(self, nonce: int) -> Brief:
        rng = self.rng
        return Brief(
            nonce=nonce,
            input_commitment=BOUND if rng.random() < 0.97 else b"\x01" * 32,
            ciphertext_hash=hashlib.sha256(CIPHERTEXT).digest(),
            ciphertext_size=len(CIPHERTEXT) if rng.random() < 0.88 else 65537,
            response_key=b"\x02" * 32,
            secret_hash=commitments.secret_hash(SECRET),
            reputation=rng.choices([0, 4000, 5001, 10_001], [90, 6, 3, 1])[0],
            consumer=rng.choice([NOBODY, NOBODY, self.stranger]),
            consumer_gas=50_000,
        )

    def paying(self, request: Request, coins: int = 0) -> int:
        """Mostly what it costs."""
        owed = coins + (request.terms.escrow if request.terms.token == COIN else 0)
        return max(0, owed + self.rng.choices([0, 1, -1], [96, 2, 2])[0])

    def request(self) -> None:
        who = self.rng.choice(self.clients)
        request = self.random_request(who)
        hired = request.terms.level != AGREED and self.rng.random() < 0.35
        if hired or self.rng.random() < 0.02:
            self.hire(who, request)
            return
        facts = {"sender": who, "value": self.paying(request), "model_args": (request,)}
        self.call("request", self.model.request, self.market.request, request.tuple(), **facts)

    def hire(self, who: str, request: Request) -> None:
        worker = self.rng.choice([*self.workers * 2, self.stranger, NOBODY])
        brief = {**vars(request.brief), "worker": worker}
        if self.rng.random() < 0.95:
            brief["reputation"] = 0
        request = Request(request.terms, Brief(**brief))
        key = bytes(80 if self.rng.random() < 0.97 else 79)
        facts = {"sender": who, "value": self.paying(request), "model_args": (request, key)}
        self.call("hire", self.model.hire, self.market.hire, request.tuple(), key, **facts)
