"""One call twice: to the model first, then to the chain; then everything that either of them says is compared."""

import pickle
import random
from collections import Counter
from typing import Any

import signing
from brownie import chain, web3
from conftest import (
    EPOCH_LENGTH,
    EXIT_DELAY,
    LIMITS,
    MINIMUM_STAKE,
    PARAMETERS,
    POLICY,
    TOKEN_PRICE,
    TOKEN_RATE,
    Project,
    mock_proof,
)
from enclave_players import EnclavePlayers
from eth_abi import encode
from eth_utils import keccak, to_checksum_address
from reference import header
from reference.attestations import EnclaveRegistry
from reference.commitments import COIN
from reference.enclaves import Policies, Policy, Report
from reference.market import BURN, Market, Refused
from reference.statements import Statement, Verifiers
from signing import Signers
from wire import Interface, Wire

PAID = {"request", "hire", "demand", "register", "top_up", "challenge", "refer"}
CONTRACTS = ["JobMarket", "Disputes", "Upkeep", "NodeRegistry", "ModelRegistry", "ProofVerifiers", "Currencies"]
CONTRACTS += ["MockQuoteVerifier", "MockToken"]
# Libraries' errors, which the contracts' ABIs do not list when they come from another contract.
LIBRARIES = ["StakeTree_Forgotten(uint256,uint256)", "SafeERC20FailedOperation(address)"]


def accepts(statement: Statement, proof: bytes) -> bool:
    return proof == mock_proof(statement)


def canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(canonical(item) for item in value.values())
    return tuple(canonical(item) for item in value) if isinstance(value, list | tuple) else value


def told(events: list[tuple[str, dict]]) -> Counter:
    """What events say, whatever their order; credits of one account for one job in one sum."""
    said: Counter = Counter()
    for name, facts in events:
        rest = {key: value for key, value in facts.items() if name != "Credited" or key != "amount"}
        key = (name, tuple(sorted((key, canonical(value)) for key, value in rest.items())))
        said[key] += facts["amount"] if name == "Credited" else 1
    return said


def same(chain_says: Any, model_says: Any, what: Any) -> None:
    assert chain_says == model_says, f"{what}: chain {chain_says}, model {model_says}"


class Lockstep(EnclavePlayers):
    """Model and contracts, and who plays."""

    def __init__(self, deployment, accounts, rng: random.Random):
        self.rng, self.deployment = rng, deployment
        project = Project()
        self.wire = Wire(web3.provider.endpoint_uri)

        def of(contract, *names: str) -> Interface:
            return Interface(contract.address, [entry for name in names for entry in project.build(name)["abi"]])

        self.market = of(deployment.market, "IJobMarket")
        self.nodes = of(deployment.nodes, "NodeRegistry")
        self.models = of(deployment.models, "ModelRegistry")
        self.verifiers = of(deployment.verifiers, "ProofVerifiers")
        self.quotes = of(deployment.quotes, "MockQuoteVerifier")
        self.token = of(deployment.token, "MockToken")
        entries = [entry for name in CONTRACTS for entry in project.build(name)["abi"]]
        self.errors = Interface("", entries).errors | {keccak(text=one)[:4]: one for one in LIBRARIES}
        self.version, self.provable, self.inexact = deployment.version, deployment.provable, deployment.inexact
        self.account, self.owner = accounts[0], accounts[0].address
        self.clients = [account.address for account in accounts[1:3]]
        self.workers = [account.address for account in accounts[3:9]]
        self.workers += [to_checksum_address(keccak(text=f"worker {i}")[:20]) for i in range(6)]
        self.stranger = accounts[9].address
        self.everybody = [*(account.address for account in accounts[:10]), *self.workers[6:]]
        self.signers, self.generation = Signers(), 0
        self.forger = self.signers.make("forger")
        self.closed = [deployment.sealed, deployment.sealed_provable]
        self.headers: dict[int, tuple[bytes, bytes]] = {}
        self.outputs: dict[tuple[bytes, str], bytes] = {}  # what each worker committed to
        self.habits: dict[str, str] = {}
        self.seen: Counter = Counter()
        self.ends: Counter = Counter()
        self.trail: list[str] = []  # the calls so far, for whoever must find out what went wrong
        self.wire.ask("anvil_autoImpersonateAccount", True)
        for who in self.workers[6:]:
            self.wire.ask("anvil_setBalance", who, hex(10**22))
        self.model = self._model(deployment)
        self.now = chain.time()
        self.sync()

    def _model(self, deployment) -> Market:
        chain_id, policies = signing.chain_id(), Policies()
        for version in [deployment.version, deployment.provable, deployment.inexact]:
            policies.publish(self.owner, version, Policy(), now=0)
        for version in self.closed:
            policies.publish(self.owner, version, POLICY, now=0)
        fixed = (EPOCH_LENGTH, EXIT_DELAY, MINIMUM_STAKE, LIMITS.lock_period)
        place = {"chain_id": chain_id, "address": self.nodes.address, "limits": LIMITS, "policies": policies}
        model = Market(
            chain_id,
            self.market.address,
            PARAMETERS,
            EnclaveRegistry(*fixed, **place),
            Verifiers([self.owner]),
            accepts,
            {version: deployment.offer() for version in [self.version, self.provable, *self.closed]},
        )
        model.offers[self.inexact] = deployment.offer(inexact=True)
        model.circuits = {self.provable: deployment.circuit, self.closed[1]: deployment.sealed_circuit}
        model.token_prices = {
            (one, self.token.address): TOKEN_PRICE for one in (self.version, self.closed[0], self.provable)
        }
        model.rates = {self.token.address: TOKEN_RATE}
        return model

    # ---------------------------------------------------------------- the chain

    def sync(self) -> None:
        """After something that the wire did not do."""
        block = self.wire.ask("eth_getBlockByNumber", "latest", False)
        self.height, self.stamp = int(block["number"], 16), int(block["timestamp"], 16)
        self.now = max(self.now, self.stamp)

    def save(self) -> tuple:
        state = pickle.dumps((self.model, self.outputs, self.now, self.stamp, self.height, self.generation))
        return self.wire.ask("evm_snapshot"), state

    def restore(self, saved: tuple) -> tuple:
        """Back to a saved state, which can be restored once; gives one to go back to again."""
        snapshot, state = saved
        assert self.wire.ask("evm_revert", snapshot)
        self.model, self.outputs, self.now, self.stamp, self.height, self.generation = pickle.loads(state)  # noqa: S301 - its own
        self.headers.clear()
        return self.wire.ask("evm_snapshot"), state

    def pass_blocks(self, count: int) -> None:
        self.wire.ask("anvil_mine", hex(count))
        self.sync()

    def block(self, number: int) -> dict:
        return self.wire.ask("eth_getBlockByNumber", hex(number), False)

    def block_hash(self, number: int) -> bytes:
        return bytes.fromhex(self.block(number)["hash"][2:])

    def seed_header(self, number: int) -> tuple[bytes, bytes]:
        """(header, prevrandao) of block `number`, mined if need be together with the one after it."""
        if number not in self.headers:
            if self.height <= number:
                self.pass_blocks(number - self.height + 1)
            block = self.block(number)
            self.headers[number] = header.encode(block), bytes.fromhex(block["mixHash"][2:])
        return self.headers[number]

    def send(self, sender: str, function: tuple[Interface, str], args: tuple, value: int = 0) -> tuple[dict, str]:
        to, name = function
        receipt, reverted = self.wire.transact(sender, to.address, to.encoded(name, *args), value, self.now)
        self.height, self.stamp = int(receipt["blockNumber"], 16), self.now
        if int(receipt["status"], 16) == 1:
            return receipt, ""
        # Why it failed: never by a panic, always by an error that the interfaces declare.
        assert reverted[:4] in self.errors, f"{name} failed with 0x{reverted.hex()}"
        return receipt, self.errors[reverted[:4]]

    # ---------------------------------------------------------------- one call, twice

    def call(self, label: str, model, function, *args, sender: str, value: int = 0, model_args=None) -> bool:
        """`model` with (sender, [value,] arguments), then `function` in a transaction. True if both did it."""
        self.now += self.rng.randint(1, 25)
        given = args if model_args is None else model_args
        given = (value, *given) if label in PAID else given
        self.model.events.clear()
        self.model.registry.slashes.clear()
        try:
            model(sender, *given, now=self.now, block=self.height + 1)
            expected, rule = True, ""
        except Refused as refusal:
            expected, rule = False, str(refusal)
        receipt, error = self.send(sender, function, args, value)
        done = not error
        self.trail.append(f"{self.now} {sender} {label} {error}")
        assert done == expected, f"{label}: chain {'did' if done else 'refused'} it ({error}); model: {rule}"
        if done:
            self.compare_events(receipt)
        self.seen[label if done else f"{label} refused"] += 1
        return done

    def compare_events(self, receipt: dict) -> None:
        market, nodes = self.market, self.nodes
        logs = [(log["address"].lower(), log) for log in receipt["logs"]]
        happened = [market.event(log) for source, log in logs if source == market.address.lower()]
        happened, expected = told(happened), told(self.model.events)
        assert happened == expected, f"chain: {dict(happened - expected)}, model: {dict(expected - happened)}"
        happened = [nodes.event(log) for source, log in logs if source == nodes.address.lower()]
        slashed = [tuple(facts.values()) for name, facts in happened if name == "StakeSlashed"]
        slashed = sorted((worker, amount, stake) for amount, stake, worker in slashed)
        assert slashed == sorted(self.model.registry.slashes)

    # ---------------------------------------------------------------- comparing

    def compare(self, jobs, people: list[str] | None = None) -> None:
        """Of jobs only those named; of people and versions all, or those named."""
        registry, market, model = self.model.registry, self.market, self.model
        whole = people is None
        people = self.everybody if whole else people
        workers = [who for who in people if who in self.workers]
        accounts = [(who, token) for who in [*people, BURN] for token in (COIN, self.token.address)]
        epochs = [registry.epoch(self.height), registry.epoch(self.height) + 1] if whole else []
        attested = [(who, self.enclave_views(who)) for who in workers if who in registry.enclaves] if whole else []
        fees = [(version, token) for version in model.offers for token in (COIN, self.token.address)] if whole else []
        questions = [(market, name, job) for job in jobs for name in ("job", "refereeOf")]
        questions += [(market, "result", job) for job in jobs if model.jobs[job].state == "Settled"]
        questions += [(market, "credit", *account) for account in accounts]
        questions += [(market, "fees", *fee) for fee in fees]
        questions += [(self.nodes, "totalWeightAt", epoch) for epoch in epochs]
        questions += [(market, "bond"), (market.address,), (self.nodes.address,)]
        questions += [(self.token, "balanceOf", market.address)]
        questions += [(market, "reputation", who) for who in workers]
        questions += [(self.nodes, "node", who) for who in workers]
        questions += [view for _, views in attested for view in views]
        answers = iter(self.wire.views(questions))

        for job in jobs:
            same(next(answers), model.jobs[job].record(job), "job")
            same(next(answers), model.jobs[job].referee or bytes(32), "referee")
        for job in jobs:
            if model.jobs[job].state == "Settled":
                same(next(answers), model.jobs[job].result, "result")
        for account in accounts:
            same(next(answers), model.credits.get(account, 0), account)
        for fee in fees:
            same(next(answers), model.fees.get(fee, 0), fee)
        for epoch in epochs:
            same(next(answers), registry.total(epoch), "weight of all")
        same(next(answers), model.bond(), "bond")
        same(next(answers), model.balance(), "MONEY-1")
        same(next(answers), sum(worker.stake for worker in registry.workers.values()), "NODE-5")
        same(next(answers), model.balance(self.token.address), "MONEY-1 in tokens")
        for who in workers:
            same(next(answers), model.reputation(who, self.stamp), f"reputation of {who}")
        for who in workers:
            self.compare_node(who, next(answers))
        for who, views in attested:
            self.compare_enclave(who, *(next(answers) for _ in views))

    def compare_node(self, who: str, node: dict) -> None:
        registry = self.model.registry
        known = registry.workers.get(who)
        operator = registry.operators.index(known.operator) + 1 if known and known.operator else 0
        assert node["operator"] == operator
        if known is None or not known.joined:
            assert node["leaf"] == 0
            return
        enclave = registry.enclaves[who]
        chain_says = tuple(node[name] for name in ("stake", "locked", "keyEpoch", "exitAt", "hpkeKey", "signer"))
        model_says = (known.stake, registry.locked(who, self.stamp), known.key_epoch, known.exit_at)
        assert chain_says == (*model_says, enclave.key, enclave.signer)

    # ---------------------------------------------------------------- the beginning

    def begin(self) -> None:
        """Some have operators, everybody registers; most are attested, have a prompt key and are enrolled."""
        for number, who in enumerate(self.clients):
            amount = [10**30, 20 * TOKEN_PRICE][number]
            self.send(who, self.token.mint, (who, amount))
            self.now += 1
            self.send(who, self.token.approve, (self.market.address, 2**255))
            self.now += 1
            self.model.tokens[who, self.token.address] = amount
        for who in [*self.workers[:2], *self.workers[5:8]]:
            self.join(who, "one" if who in self.workers[:2] else "other")
        for i, who in enumerate(self.workers):
            self.register(who, (2 + i % 6) * MINIMUM_STAKE + i * 10**9 + 1, b"\x01" * 32, self.signers.make(who))
        for _ in range(4):
            for who in self.workers:
                self.keep_up(who)
        self.pass_blocks(EPOCH_LENGTH)

    def register(self, who: str, value: int, key: bytes, signer: str) -> None:
        registry, args = self.model.registry, ("https://w", key, signer)
        register, facts = self.nodes.register, {"value": value, "model_args": args[1:]}
        self.call("register", registry.register, register, *args, sender=who, **facts)

    def join(self, who: str, name: str) -> None:
        """Sometimes with somebody else's consent."""
        operator = self.signers.make(f"operator {name}")
        agreed = self.rng.random() < 0.95
        named = who if agreed else self.stranger
        signature = self.signers.sign(operator, signing.membership(self.nodes, named, operator))
        facts = {"sender": who, "model_args": (operator, agreed)}
        self.call("join", self.model.registry.join, self.nodes.join, operator, signature, **facts)

    # ---------------------------------------------------------------- what enclaves need of the chain

    def mark_revoked(self, platform: bytes, *, revoked: bool) -> None:
        self.now += 1
        self.send(self.owner, self.quotes.setRevoked, (platform, revoked))

    @staticmethod
    def quote(report: Report) -> tuple[bytes, bytes]:
        """(quote, certificate) that contracts/mocks/MockQuoteVerifier.sol takes for this report."""
        return encode(["(bytes32,bytes32,uint8,bool,uint40,bytes32,bytes32)"], [report.tuple()]), report.platform
