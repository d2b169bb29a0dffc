"""Contracts on anvil, and the steps of a job as transactions."""

import hashlib
import json

import pytest
from brownie import Contract, chain, web3
from brownie.project import get_loaded_projects
from eth_abi import encode
from eth_utils import keccak
from hexbytes import HexBytes
from reference import commitments, enclaves, header, statements
from reference.attestations import Limits
from reference.enclaves import Policy, Report
from reference.market import Offer, Parameters
from reference.statements import Circuit, Statement

PRICE = 10**15
OWNER_PERCENT = 10
SECRET = b"\x05" * 32
PARAMETERS = Parameters(
    seed_delay=2,
    deliver_window=1800,
    commit_window=900,
    reveal_window=600,
    publish_window=1200,
    challenge_window=3600,
    dispute_window=5400,
    stake_ratio=10,
    silent_bps=1000,
    wrong_bps=5000,
    fault_bps=2000,
    check_bps=2500,
    demand_deposit=3 * 10**14,
    proof_gas=6_000_000,
    max_base_fee=50 * 10**9,
    proving_fee=4 * 10**14 + 1,
)
TOKEN_PRICE = 2_500_001
TOKEN_RATE = 4 * 10**26 + 7  # of a token with few decimals
LISTING_DELAY = 86_400
EPOCH_LENGTH = 40
EXIT_DELAY = 20_000
MINIMUM_STAKE = 10**17
LIMITS = Limits(attestation_period=20_000, prompt_lifetime=12_000, identities_per_platform=3, lock_period=6000)
MEASUREMENTS = tuple(sorted(keccak(text=name) for name in ("an enclave", "the enclave before")))
POLICY = Policy(MEASUREMENTS, 0b11, development=True)
DESCRIPTOR = b"a circuit"
BINDING, POINTS, PAD = (keccak(text=name) for name in ("binding", "points of the input", "points of the pad"))
INPUT = statements.input_digest(statements.COMMITTED, 0, POINTS, bytes(32))


def mock_proof(statement: Statement) -> bytes:
    """The one proof of a statement that contracts/mocks/MockVerifier.sol accepts."""
    parts = vars(statement).values()
    return keccak(encode(["string", *["bytes32"] * 5], ["run", *parts]))


def mock_weights_proof(circuit: bytes, weights: bytes, context: bytes) -> bytes:
    return keccak(encode(["string", *["bytes32"] * 3], ["weights", circuit, weights, context]))


class Deployment:
    """The contracts, wired to each other, a listed token, and versions of every kind."""

    def __init__(self, owner, project):
        self.owner = owner
        self.verifiers = owner.deploy(project.ProofVerifiers)
        self.verifier = owner.deploy(project.MockVerifier)
        self.models = owner.deploy(project.ModelRegistry, self.verifiers)
        self.quotes = owner.deploy(project.MockQuoteVerifier)
        self.token = owner.deploy(project.MockToken)
        # NodeRegistry, Currencies, Disputes and Upkeep come before it.
        market = owner.get_deployment_address(owner.nonce + 4)
        fixed = (EPOCH_LENGTH, EXIT_DELAY, MINIMUM_STAKE)
        limits = tuple(vars(LIMITS).values())
        self.nodes = owner.deploy(project.NodeRegistry, market, *fixed, self.models, self.quotes, limits)
        self.currencies = owner.deploy(project.Currencies, owner, LISTING_DELAY)
        args = (self.nodes, self.models, self.currencies, tuple(vars(PARAMETERS).values()))
        self.disputes, self.upkeep = owner.deploy(project.Disputes, *args), owner.deploy(project.Upkeep, *args)
        assert owner.deploy(project.JobMarket, *args, self.disputes, self.upkeep).address == market
        # One contract with all calls, whichever part has their code.
        self.market = Contract.from_abi("Market", market, project.build("IJobMarket")["abi"], persist=False)
        self.currencies.announce(self.token, TOKEN_RATE, {"from": owner})
        chain.sleep(LISTING_DELAY)
        self.version = self.publish(owner, b"\x11" * 32, Policy())
        self.sealed = self.publish(owner, b"\x12" * 32, POLICY)
        self.inexact = self.publish(owner, b"\x13" * 32, Policy(), inexact=True)
        self.verifiers.add(self.verifier, {"from": owner})
        self.provable, self.circuit = self.publish_provable(owner, 1)
        self.sealed_provable, self.sealed_circuit = self.publish_provable(owner, 1, POLICY)
        for version in (self.version, self.sealed, self.provable):
            self.models.setTokenPrice(version, self.token, TOKEN_PRICE, {"from": owner})

    def offer(self, *, inexact: bool = False) -> Offer:
        return Offer(PRICE, OWNER_PERCENT, inexact)

    def publish(self, owner, manifest_hash: bytes, policy: Policy, *, inexact: bool = False) -> bytes:
        offer = self.offer(inexact=inexact).tuple()
        self.models.publish(manifest_hash, policy.tuple(), offer, "file:///model", {"from": owner})
        version = commitments.version_id(web3.eth.chain_id, self.models.address, owner.address, manifest_hash)
        assert HexBytes(self.models.versionId(owner, manifest_hash)) == version
        return version

    def publish_provable(self, owner, number: int, policy: Policy = Policy()) -> tuple[bytes, Circuit]:  # noqa: B008
        """A version whose circuit is registered with verifier `number`; other weights for each number and policy."""
        circuit = Circuit(number, keccak(DESCRIPTOR), keccak(text=f"weights {number} {policy.hash().hex()}"))
        names = {"descriptor": circuit.circuit.hex(), "weights": circuit.weights.hex()}
        manifest = json.dumps({"arithmetic": {}, "circuit": names, "format": "x"}, separators=(",", ":")).encode()
        version = self.publish(owner, hashlib.sha256(manifest).digest(), policy)
        context = statements.version_context(web3.eth.chain_id, self.models.address, version)
        proof = mock_weights_proof(circuit.circuit, circuit.weights, context)
        args = (version, number, manifest, manifest.index(b',"circuit"'), circuit.circuit, circuit.weights)
        self.models.registerCircuit(*args, DESCRIPTOR, proof, {"from": owner})
        return version, circuit

    def report(self, worker: str, key: bytes, signer: str, platform: bytes) -> Report:
        """Of a sound enclave, which answers the newest block."""
        return Report(
            measurement=MEASUREMENTS[0],
            platform=platform,
            status=0,
            development=False,
            valid_until=chain.time() + 10 * LIMITS.attestation_period,
            binding=enclaves.binding(web3.eth.chain_id, self.nodes.address, worker, key, signer),
            challenge=bytes(HexBytes(chain[-1].hash)),
        )

    @staticmethod
    def quote(report: Report) -> tuple[bytes, bytes]:
        """(quote, certificate) that contracts/mocks/MockQuoteVerifier.sol takes for this report."""
        return encode(["(bytes32,bytes32,uint8,bool,uint40,bytes32,bytes32)"], [report.tuple()]), report.platform

    @staticmethod
    def pck(platform: bytes) -> bytes:
        """The certificate of a platform."""
        return platform


@pytest.fixture(scope="session", autouse=True)
def mined_before_brownie_looks():
    """anvil counts a transaction's nonce a moment before it serves its receipt; Brownie, when it looks in
    between, takes the transaction for dropped. So it gets the hash only once there is a receipt."""
    send = web3.eth.send_transaction

    def send_and_wait(transaction):
        tx_hash = send(transaction)
        web3.eth.wait_for_transaction_receipt(tx_hash, timeout=30, poll_latency=0.002)
        return tx_hash

    web3.eth.send_transaction = send_and_wait
    yield
    web3.eth.send_transaction = send


class Project:
    """Brownie's containers by name, and what it built of interfaces."""

    def __init__(self):
        self._project = get_loaded_projects()[0]

    def __getattr__(self, name: str):
        return self._project[name]

    def build(self, name: str) -> dict:
        return self._project._build.get(name)


@pytest.fixture(scope="module")
def deployment(accounts):
    return Deployment(accounts[0], Project())


@pytest.fixture(autouse=True)
def isolation(fn_isolation):
    """Every test starts from the chain of its module's fixtures."""


def seed_header(number: int) -> tuple[bytes, bytes]:
    """(header, prevrandao) of block `number`, mined if need be together with the one after it."""
    while chain.height <= number:
        chain.mine()
    block = web3.provider.make_request("eth_getBlockByNumber", [hex(number), False])["result"]
    return header.encode(block), bytes(HexBytes(block["mixHash"]))
