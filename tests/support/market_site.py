"""A market on a py-evm chain in this process: calls are made as the package makes them, jobs folded and compared."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace

from eth_abi.abi import encode
from eth_hash.auto import keccak
from support.proofs import mock_verifier
from web3 import HTTPProvider, Web3

from cloister.chain.connection import Connection
from cloister.chain.deploy import deploy
from cloister.chain.deployment import DeployParameters
from cloister.chain.errors import translated
from cloister.chain.market import Market
from cloister.chain.models import Models, RegisteredCircuit
from cloister.chain.nodes import Nodes
from cloister.devnet.accounts import account
from cloister.domain.answer import ProvedAnswer
from cloister.domain.attested import Policy
from cloister.domain.commitments import (
    JobContext,
    circuit_input,
    committee_hash,
    input_commitment,
    masked_output,
    secret_hash,
    seed,
    version_id,
    weights_context,
)
from cloister.domain.ids import NOBODY, BlobId, JobId
from cloister.domain.job import Job, State, fold
from cloister.domain.request import Assurance, Level, Request

PRICE = 10**15
OWNER_PERCENT = 10
SECRET = b"\x05" * 32
PARAMETERS = replace(DeployParameters.devnet(), epoch_length=32)
SALT = b"\x07" * 32
DESCRIPTOR = b"a circuit"
CIRCUIT, WEIGHTS = keccak(DESCRIPTOR), keccak(b"weights")
BINDING, INPUT, PAD = keccak(b"binding"), keccak(b"input"), keccak(b"pad")


@dataclass
class Posted:
    """A job on the chain."""

    request: Request
    job_id: JobId
    block: int


class Site:
    """Account 0 deploys, 1 owns the version, 2 requests, 3 to 9 work."""

    def __init__(self, url: str) -> None:
        self.w3 = Web3(HTTPProvider(url))
        self.connection = Connection(url)
        with self._blocks():
            deployment = deploy(self.w3, account(self.w3, 0), PARAMETERS, verifier=mock_verifier())
        self.market = Market(self.connection, deployment.job_market)
        self.nodes = Nodes(self.connection, deployment.node_registry)
        self.models = Models(self.connection, deployment.model_registry, 0)
        self.deployment = deployment
        self.owner, self.requester = account(self.w3, 1), account(self.w3, 2)
        self.workers = {one.address: one for one in (account(self.w3, i) for i in range(3, 10))}
        for worker in self.workers.values():
            call = self.nodes.register("http://127.0.0.1:1/", keccak(worker.address.encode()), worker.address, 10**19)
            self.send(worker, call)
        self.version = self._publish()
        self.mine(PARAMETERS.epoch_length)
        self._nonce = 0

    @contextmanager
    def _blocks(self):
        """Blocks come by themselves, for who waits for receipts; else with every transaction that is sent here."""
        done = threading.Event()

        def run():
            while not done.wait(0.005):
                self.mine()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _publish(self):
        manifest = f',"circuit":{{"descriptor":"{CIRCUIT.hex()}","weights":"{WEIGHTS.hex()}"}}'.encode()
        digest = BlobId(hashlib.sha256(manifest).digest())
        self.send(self.owner, self.models.publish(digest, PRICE, "file:model", Policy(), OWNER_PERCENT))
        chain_id = self.connection.chain_id
        version = version_id(chain_id, self.models.address, self.owner.address, digest)
        context = weights_context(chain_id, self.models.address, version)
        proof = _hashed("weights", CIRCUIT, WEIGHTS, context)
        circuit = RegisteredCircuit(1, CIRCUIT, WEIGHTS)
        self.send(self.owner, self.models.register_circuit(version, manifest, circuit, DESCRIPTOR, proof))
        return version

    def mine(self, blocks: int = 1) -> None:
        self.w3.provider.make_request("anvil_mine", [blocks])

    def skip(self, seconds: int) -> None:
        self.w3.provider.make_request("evm_increaseTime", [seconds])
        self.mine()

    @property
    def now(self) -> int:
        return self.connection.head().timestamp

    def send(self, sender, call):
        """Mines a call, as a sender of the package would send it; raises what the contract says."""
        fields = {"from": sender.address, "to": call.to, "data": call.data, "value": call.value}
        with translated():
            gas = self.w3.eth.estimate_gas(fields)
            head = self.w3.eth.get_block("latest")
            fields |= {"gas": call.gas or int(gas * 1.2), "nonce": self.w3.eth.get_transaction_count(sender.address)}
            fields |= {"chainId": self.connection.chain_id, "maxPriorityFeePerGas": 1, "type": 2}
            fields |= {"maxFeePerGas": 2 * head["baseFeePerGas"] + 1}
            del fields["from"]
            hash_ = self.w3.eth.send_raw_transaction(sender.sign_transaction(fields).raw_transaction)
        self.mine()
        receipt = self.w3.eth.get_transaction_receipt(hash_)
        assert receipt["status"] == 1, "out of gas"
        return receipt

    # Jobs

    def request(self, assurance="agreed(3,2)", *, verifier=0, **changes) -> Request:
        self._nonce += 1
        level = Assurance.parse(assurance)
        on_chain = circuit_input(INPUT, PAD) if verifier or level.proved else bytes(32)
        fields = {
            "requester": self.requester.address,
            "nonce": self._nonce,
            "version": self.version,
            "assurance": level,
            "verifier": 1 if level.proved else verifier,
            "owner_percent": OWNER_PERCENT,
            "price_per_seat": PRICE,
            "lock_each": PARAMETERS.market.lock_for(PRICE),
            "input_commitment": input_commitment(BINDING, on_chain),
            "ciphertext_hash": BlobId(hashlib.sha256(b"ciphertext").digest()),
            "ciphertext_size": 10,
            "response_key": keccak(b"response"),
            "secret_hash": secret_hash(SECRET),
        }
        return Request(**fields | changes)

    def post(self, request: Request, call=None) -> Posted:
        receipt = self.send(self.requester, call or self.market.request(request))
        job_id = request.job_id(self.connection.chain_id, self.market.address)
        return Posted(request, job_id, receipt["blockNumber"])

    def deliver(self, posted: Posted) -> Job:
        job = self.job(posted)
        self.mine(max(0, job.seed_block + 1 - self.w3.eth.block_number))
        header, prevrandao = self.connection.header(job.seed_block)
        drawn = seed(posted.job_id, prevrandao, SECRET)
        epoch = self.nodes.epoch_of(job.seed_block - PARAMETERS.market.seed_delay)
        request = posted.request
        committee = self.nodes.draw(drawn, request.assurance.seats, epoch, request.lock_each)
        keys = [hashlib.sha512(worker.encode()).digest() + bytes(16) for worker in committee if worker != NOBODY]
        self.send(self.requester, self.market.deliver(request, SECRET, header, committee_hash(committee), keys))
        return self.job(posted)

    def delivered(self, *arguments, **options) -> tuple[Posted, Job]:
        posted = self.post(self.request(*arguments, **options))
        return posted, self.deliver(posted)

    def vote(
        self, posted: Posted, outputs: list[bytes | None], *, commits: int | None = None, watch: bool = False
    ) -> Job:
        """Every seat commits, or the first ones, and those with an output reveal it; `watch` compares after each."""
        job, context = self.job(posted), self.context(posted)
        for worker, output in list(zip(job.committee, outputs, strict=True))[:commits]:
            commitment = context.commitment(worker, output or bytes(32), SALT)
            self.send(self.workers[worker], self.market.commit(job.ticket(), commitment))
            if watch:
                self.job(posted)
        for worker, output in zip(job.committee, outputs, strict=True):
            if output:
                call = self.market.reveal(job.ticket(), output, SALT, b"sealed " + output, b"")
                self.send(self.workers[worker], call)
                if watch:
                    self.job(posted)
        return self.job(posted)

    def context(self, posted: Posted) -> JobContext:
        return JobContext(self.connection.chain_id, self.market.address, posted.job_id)

    def proof(self, posted: Posted, prover, words: bytes) -> ProvedAnswer:
        """Of the output that `words` mask."""
        about = (CIRCUIT, WEIGHTS, INPUT, masked_output(PAD, words), self.context(posted).proof_context(prover))
        return ProvedAnswer(BINDING, INPUT, PAD, words, _hashed("run", *about))

    def job(self, posted: Posted) -> Job:
        """The job as its events tell it, which is what the market has stored."""
        job = fold(self.market.history(posted.job_id, posted.block))
        self.compare(job)
        return job

    def compare(self, job: Job) -> None:
        state, _, committed, revealed, dissenting, *_, deadline, _, tag = self.market._view("job", job.job_id)
        assert job.state == State(state) == self.market.state(job.job_id)
        assert self.market.is_final(job.job_id) == job.final(self.now)
        assert (self.market.referee_of(job.job_id) or None) == job.referee
        assert self.market.outvoted(job.job_id) == bool(job.dissenting and job.state is State.SETTLED)
        if job.state is State.REFUNDED:
            return
        assert deadline == job.deadline or job.decided
        if job.request.assurance.level is Level.AGREED:
            assert mask(job, job.committed) & ~committed == 0
        if job.state in (State.SETTLED, State.CHALLENGED):
            assert (revealed & ~dissenting, dissenting) == (mask(job, job.agreeing), mask(job, job.dissenting))
        if job.state is State.SETTLED:
            assert self.market._view("result", job.job_id) == job.result
        assert (tag == bytes(12)) == (not job.committee)


def mask(job: Job, workers) -> int:
    return sum(1 << i for i, worker in enumerate(job.committee) if worker in workers)


def _hashed(what: str, *words: bytes) -> bytes:
    """The one proof that MockVerifier takes."""
    return encode(["bytes32"], [keccak(encode(["string", *["bytes32"] * len(words)], [what, *words]))])
