"""JobMarket: its calls, its views, its events as domain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from web3.contract import Contract
from web3.exceptions import Web3Exception
from web3.types import LogReceipt

from cloister.chain.artifacts import artifact
from cloister.chain.call import GAS_CAP, Call
from cloister.chain.connection import Connection
from cloister.chain.errors import translated
from cloister.domain.answer import ProvedAnswer
from cloister.domain.events import (
    CiphertextDemanded,
    CiphertextPublished,
    JobDisputed,
    JobEvent,
    JobProved,
    JobRefunded,
    JobRequested,
    JobSettled,
    KeysDelivered,
    OutputCommitted,
    OutputRevealed,
    RefereeCalled,
    RefundReason,
    ResultChallenged,
    ResultOverturned,
    ResultUpheld,
    RevealsOpened,
    SeatRefused,
)
from cloister.domain.ids import NOBODY, Address, JobId, VersionId
from cloister.domain.job import State
from cloister.domain.request import Level, Request, Ticket

SEALED_KEY = 80
"""Bytes of one sealed input key."""
GWEI = 10**9
"""Wei; stake is locked in whole ones."""

STEPS: Mapping[type, str] = {
    KeysDelivered: "deliver",
    OutputCommitted: "commit",
    OutputRevealed: "reveal",
    SeatRefused: "refuse",
    CiphertextDemanded: "demand",
    CiphertextPublished: "publish",
    ResultUpheld: "resolve",
    ResultOverturned: "resolve",
}
"""What a transaction does, by the first of its events that tells; one that only ends a job closes it."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The market's parameters: windows in seconds, shares in 1/10000, sums in wei (IJobs.Parameters)."""

    seed_delay: int
    deliver_window: int
    commit_window: int
    reveal_window: int
    publish_window: int
    challenge_window: int
    dispute_window: int
    stake_ratio: int
    silent_bps: int
    wrong_bps: int
    fault_bps: int
    check_bps: int
    demand_deposit: int
    proof_gas: int
    max_base_fee: int
    proving_fee: int

    @property
    def life(self) -> int:
        """Seconds from a delivery to the last reveal, at most."""
        return 2 * self.commit_window + self.publish_window + self.reveal_window

    @property
    def longest(self) -> int:
        """Seconds from a delivery to the end of the last dispute, at most."""
        return self.life + self.challenge_window + 2 * self.dispute_window

    def bond_at(self, base_fee: int) -> int:
        """Wei that a challenge costs in a block with this base fee (CHAL-4)."""
        return (min(base_fee, self.max_base_fee) * self.proof_gas + self.proving_fee) * 3 // 2

    def lock_for(self, price: int) -> int:
        """Wei of stake that a seat at this price in wei puts at risk."""
        return -(-price * self.stake_ratio // GWEI) * GWEI


class Market:
    """One deployed JobMarket, with all that it hands on to its other parts."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.address = address
        self._connection = connection
        self._contract: Contract = connection.w3.eth.contract(cast(Any, address), abi=artifact("IJobMarket").abi)
        self._decoders = self._event_decoders()

    # Calls

    def request(self, request: Request) -> Call:
        """Posts a job whose workers will be drawn, and pays its escrow."""
        return self._call("request", request.as_tuple(), value=request.coins)

    def request_with_permit(self, request: Request, deadline: int, v: int, r: bytes, s: bytes) -> Call:
        """As `request` in a token, with the ERC-2612 allowance that it needs, signed by the requester."""
        return self._call("requestWithPermit", request.as_tuple(), deadline, v, r, s)

    def hire(self, request: Request, sealed_key: bytes) -> Call:
        """Posts a job for the worker that it names, and delivers its key of 80 bytes."""
        return self._call("hire", request.as_tuple(), sealed_key, value=request.coins)

    def deliver(
        self, request: Request, secret: bytes, header: bytes, committee_hash: bytes, keys: Sequence[bytes]
    ) -> Call:
        """Opens the seed secret and hands out the input key; `keys` has 80 bytes per seated worker."""
        return self._call("deliver", request.as_tuple(), secret, header, committee_hash, b"".join(keys))

    def commit(self, ticket: Ticket, commitment: bytes) -> Call:
        """Commits the sender's seat."""
        # The last commit also opens the reveals: an estimate made before the others are mined falls short.
        gas = 150_000 + 4_000 * len(ticket.committee)
        return self._call("commit", ticket.as_tuple(), commitment, gas=gas)

    def reveal(
        self, ticket: Ticket, output_commitment: bytes, salt: bytes, sealed_output: bytes, signature: bytes
    ) -> Call:
        """Opens the sender's commitment; `signature` is its enclave's Result, for a version with a policy."""
        # Whichever reveal is mined last settles the job, and pays for it.
        gas = 270_000 + 90_000 * len(ticket.committee) + 60 * len(sealed_output)
        return self._call("reveal", ticket.as_tuple(), output_commitment, salt, sealed_output, signature, gas=gas)

    def answer(self, ticket: Ticket, output_commitment: bytes, sealed_output: bytes, signature: bytes) -> Call:
        """Answers an attested job, which settles it."""
        return self._call("answer", ticket.as_tuple(), output_commitment, sealed_output, signature)

    def prove(self, ticket: Ticket, request: Request, answer: ProvedAnswer) -> Call:
        """Proves the output of the sender's job, which settles it."""
        shown = answer.opening, answer.masked, answer.proof, answer.signature
        return self._call("prove", ticket.as_tuple(), request.brief(), *shown)

    def refuse(self, ticket: Ticket, reason: int, sealed_keys: bytes, signature: bytes) -> Call:
        """Gives the sender's seat up; `sealed_keys` is what the delivery carried, read with a signature alone."""
        gas = 200_000 + 60_000 * len(ticket.committee) + 40 * len(sealed_keys)
        return self._call("refuse", ticket.as_tuple(), reason, sealed_keys, signature, gas=gas)

    def demand(self, ticket: Ticket, deposit: int) -> Call:
        """Asks for the ciphertext on chain."""
        return self._call("demand", ticket.as_tuple(), value=deposit)

    def publish(self, ticket: Ticket, request: Request, ciphertext: bytes) -> Call:
        """Answers a demand."""
        return self._call("publish", ticket.as_tuple(), request.brief(), ciphertext)

    def challenge(self, ticket: Ticket, bond: int) -> Call:
        """Has the result of a job that names a verifier proved, or voided."""
        return self._call("challenge", ticket.as_tuple(), value=bond)

    def judge(self, ticket: Ticket, request: Request, answer: ProvedAnswer) -> Call:
        """Proves the output of a doubted job, which ends the doubts. The proof is made for the sender."""
        return self._call("judge", ticket.as_tuple(), request.brief(), answer.opening, answer.masked, answer.proof)

    def refer(self, ticket: Ticket, request: Request, referee: Request, bond: int) -> Call:
        """Has a larger committee decide; `bond` is 0 in a dispute that a split vote began."""
        return self._call("refer", ticket.as_tuple(), request.brief(), referee.as_tuple(), value=referee.coins + bond)

    def resolve(self, ticket: Ticket) -> Call:
        """Ends a dispute, or takes the stake of outvoted seats."""
        return self._call("resolve", ticket.as_tuple())

    def close(self, ticket: Ticket) -> Call:
        """Ends a job whose deadline has passed before it was settled."""
        return self._call("close", ticket.as_tuple())

    def notify(self, ticket: Ticket, request: Request) -> Call:
        """Tells a final result to the contract that the request names."""
        # EIP-150: the consumer gets at most 63/64 of what there is, and an estimate stops where the call succeeds.
        gas = 150_000 + request.consumer_gas * 64 // 63
        return self._call("notify", ticket.as_tuple(), request.brief(), gas=gas)

    def withdraw(self, account: Address, token: Address = NOBODY) -> Call:
        """Pays an account what the market owes it in one currency."""
        return self._call("withdraw", account, token)

    def collect(self, version: VersionId, token: Address = NOBODY) -> Call:
        """Credits a version's owner with its share of the prices paid since the last time."""
        return self._call("collect", version, token)

    # Views

    def parameters(self) -> Parameters:
        """The market's parameters, which never change."""
        return Parameters(*self._view("parameters"))

    def credit(self, account: Address, token: Address = NOBODY) -> int:
        """Units of a currency, by default wei, owed to an account."""
        return int(self._view("credit", account, token))

    def fees(self, version: VersionId, token: Address = NOBODY) -> int:
        """Units of a currency that `collect` would credit to a version's owner."""
        return int(self._view("fees", version, token))

    def reputation(self, worker: Address) -> int:
        """Share of good in what the market has seen of a worker, in 1/10000; 5000 for a new one (REP-*)."""
        return int(self._view("reputation", worker))

    def bond(self) -> int:
        """Wei that are enough for a challenge in the next three blocks; what is too much is bond all the same."""
        # The contract's own view tells the bond at a base fee of 0, which is what calls are run at.
        with translated():
            base_fee = self._connection.w3.eth.get_block("latest").get("baseFeePerGas", 0)
        return self.parameters().bond_at(base_fee * 3 // 2)

    def lock_for(self, price: int, token: Address = NOBODY) -> int:
        """Wei of stake that a seat at this price puts at risk."""
        return int(self._view("lockFor", price, token))

    def state(self, job_id: JobId) -> State:
        """Where a job stands by the market's own record; NONE for an unknown id."""
        return State(self._view("job", job_id)[0])

    def outvoted(self, job_id: JobId) -> bool:
        """Whether seats of a settled job still have stake to lose for another output than the result."""
        record = self._view("job", job_id)
        return State(record[0]) is State.SETTLED and record[4] != 0

    def is_final(self, job_id: JobId) -> bool:
        """Whether a job is settled and nobody can challenge its result any more."""
        return bool(self._view("isFinal", job_id))

    def referee_of(self, job_id: JobId) -> JobId | None:
        """The job whose result will decide about another one."""
        found = bytes(self._view("refereeOf", job_id))
        return JobId(found) if any(found) else None

    def part(self, name: str) -> Address:
        """A contract that the market works with: nodes, models, verifiers or currencies."""
        return Address(self._view(name))

    # Events

    def history(self, job_id: JobId, first_block: int) -> list[JobEvent]:
        """Every event of one job from block `first_block` on."""
        logs = self._connection.logs_of_job(self.address, job_id, first_block)
        events = [event for log in logs if (event := self.decode(log))]
        if events and isinstance(first := events[0], JobRequested) and _may_be_referee(first.request):
            # The event that makes a referee of it comes in the same transaction, under the other job's id.
            events[1:1] = self._calls_of(job_id, first_block)
        return events

    def _calls_of(self, referee: JobId, first_block: int) -> list[RefereeCalled]:
        with translated():
            event = self._contract.events["RefereeCalled"]()
            logs = event.get_logs(from_block=first_block, argument_filters={"referee": referee})
        return [_referee_called(log["args"]) for log in logs]

    def proved_answer(self, job_id: JobId, first_block: int) -> ProvedAnswer | None:
        """The call that proved a job's output; None when a contract made it: its calls do not stand in the block."""
        for log in self._connection.logs_of_job(self.address, job_id, first_block):
            if not isinstance(self.decode(log), JobProved):
                continue
            with translated():
                sent = self._connection.w3.eth.get_transaction(log["transactionHash"])
            if str(sent.get("to")) != self.address:
                return None
            try:
                function, given = self._contract.decode_function_input(sent["input"])
            except (ValueError, Web3Exception):
                return None
            if function.fn_name in ("prove", "judge"):
                shown = given["opening"]
                opening = shown["inputBinding"], shown["inputDigest"], shown["padDigest"]
                return ProvedAnswer(*opening, given["masked"], given["proof"], given.get("signature", b""))
        return None

    def gas(self, job_id: JobId, first_block: int) -> dict[str, list[int]]:
        """Gas used by each transaction of a job, by what it did: request, deliver, commit, reveal, …"""
        told: dict[bytes, list[JobEvent]] = {}
        for log in self._connection.logs_of_job(self.address, job_id, first_block):
            if event := self.decode(log):
                told.setdefault(bytes(log["transactionHash"]), []).append(event)
        requested = next((e for events in told.values() for e in events if isinstance(e, JobRequested)), None)
        steps: dict[str, list[int]] = {}
        for transaction, events in told.items():
            with translated():
                receipt = self._connection.w3.eth.get_transaction_receipt(cast(Any, transaction))
            steps.setdefault(_step(events, requested), []).append(receipt["gasUsed"])
        return steps

    def jobs(self, first_block: int) -> list[JobRequested]:
        """Every request from block `first_block` on, oldest first."""
        with translated():
            logs = self._contract.events["JobRequested"]().get_logs(from_block=first_block)
        return [_requested(log["args"]) for log in logs]

    def decode(self, log: LogReceipt) -> JobEvent | None:
        """A log as a domain event; None for one that moves money but no job, such as Credited."""
        decoder = self._decoders.get(bytes(log["topics"][0]))
        return decoder(log) if decoder else None

    def _event_decoders(self) -> dict[bytes, Callable[[LogReceipt], JobEvent]]:
        def decoder(name: str, build: Callable[[Mapping[str, Any]], JobEvent]) -> Callable[[LogReceipt], JobEvent]:
            event = self._contract.events[name]()
            return lambda log: build(event.process_log(log)["args"])

        builders: dict[str, Callable[[Mapping[str, Any]], JobEvent]] = {
            "JobRequested": _requested,
            "KeysDelivered": lambda a: KeysDelivered(
                JobId(a["id"]),
                tuple(a["committee"]),
                _per_seat(a["committee"], a["sealedKeys"]),
                a["commitBy"],
            ),
            "OutputCommitted": lambda a: OutputCommitted(JobId(a["id"]), a["worker"], a["commitment"]),
            "RevealsOpened": lambda a: RevealsOpened(JobId(a["id"]), a["revealBy"]),
            "OutputRevealed": lambda a: OutputRevealed(
                JobId(a["id"]), a["worker"], a["outputCommitment"], a["sealedOutput"]
            ),
            "JobProved": lambda a: JobProved(JobId(a["id"]), a["prover"], a["masked"]),
            "SeatRefused": lambda a: SeatRefused(JobId(a["id"]), a["worker"], a["reason"]),
            "CiphertextDemanded": lambda a: CiphertextDemanded(JobId(a["id"]), a["worker"], a["publishBy"]),
            "CiphertextPublished": lambda a: CiphertextPublished(
                JobId(a["id"]), a["publisher"], a["ciphertext"], a["commitBy"]
            ),
            "JobSettled": lambda a: JobSettled(JobId(a["id"]), a["outputCommitment"], a["agreeing"], a["challengeBy"]),
            "JobRefunded": lambda a: JobRefunded(JobId(a["id"]), RefundReason(a["reason"])),
            "JobDisputed": lambda a: JobDisputed(JobId(a["id"]), a["decideBy"]),
            "ResultChallenged": lambda a: ResultChallenged(JobId(a["id"]), a["challenger"], a["bond"], a["decideBy"]),
            "RefereeCalled": _referee_called,
            "ResultUpheld": lambda a: ResultUpheld(JobId(a["id"])),
            "ResultOverturned": lambda a: ResultOverturned(
                JobId(a["id"]), a["outputCommitment"], a["right"], a["wrong"]
            ),
        }
        topics = {name: bytes.fromhex(self._contract.events[name]().topic[2:]) for name in builders}
        return {topics[name]: decoder(name, build) for name, build in builders.items()}

    def _call(self, name: str, *args: object, value: int = 0, gas: int | None = None) -> Call:
        data = self._contract.encode_abi(name, list(args))
        return Call(self.address, bytes.fromhex(data[2:]), value, None if gas is None else min(gas, GAS_CAP))

    def _view(self, name: str, *args: object) -> Any:
        with translated():
            return self._contract.functions[name](*args).call()


def _requested(arguments: Mapping[str, Any]) -> JobRequested:
    request = Request.of_tuple(tuple(tuple(part.values()) for part in arguments["request"].values()))
    return JobRequested(JobId(arguments["id"]), request, arguments["seedBlock"], arguments["deliverBy"])


def _referee_called(arguments: Mapping[str, Any]) -> RefereeCalled:
    return RefereeCalled(JobId(arguments["id"]), JobId(arguments["referee"]), arguments["decideBy"])


def _may_be_referee(request: Request) -> bool:
    return request.assurance.level is Level.AGREED and not request.provable


def _step(events: Sequence[JobEvent], requested: JobRequested | None) -> str:
    """What a transaction with these events of one job did."""
    if any(isinstance(event, RefereeCalled) for event in events):
        return "refer"
    request = None if requested is None else requested.request
    for event in events:
        match event:
            case JobRequested():
                return "hire" if event.request.hired else "request"
            case OutputRevealed() if request and request.assurance.attested:
                return "answer"
            case JobProved():
                return "prove" if request and request.assurance.proved else "judge"
            case ResultChallenged():
                return "challenge"
            case _ if type(event) in STEPS:
                return STEPS[type(event)]
    return "close"


def _per_seat(committee: Sequence[Address], sealed_keys: bytes) -> tuple[bytes, ...]:
    keys, at = [], 0
    for worker in committee:
        size = 0 if worker == NOBODY else SEALED_KEY
        keys.append(sealed_keys[at : at + size])
        at += size
    return tuple(keys)
