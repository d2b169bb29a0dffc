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
    JobEvent,
    JobProved,
    JobRefunded,
    JobRequested,
    JobSettled,
    KeysDelivered,
    OutputCommitted,
    OutputRevealed,
    RefundReason,
    RevealsOpened,
    SeatRefused,
)
from cloister.domain.ids import NOBODY, Address, BlobId, JobId, VersionId
from cloister.domain.job import State
from cloister.domain.request import Assurance, Level, Request

SEALED_KEY = 80
"""Bytes of one sealed input key."""


STEPS: Mapping[type, str] = {
    JobRequested: "request",
    KeysDelivered: "deliver",
    OutputCommitted: "commit",
    OutputRevealed: "reveal",
    JobProved: "prove",
    SeatRefused: "refuse",
    CiphertextDemanded: "demand",
    CiphertextPublished: "publish",
}
"""What a transaction does, by the first of its events; one that only ends a job closes it."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The market's parameters: windows in seconds, shares in 1/10000, sums in wei (IJobMarket.Parameters)."""

    seed_delay: int
    deliver_window: int
    commit_window: int
    reveal_window: int
    publish_window: int
    stake_ratio: int
    silent_bps: int
    wrong_bps: int
    fault_bps: int
    demand_deposit: int


class Market:
    """One deployed JobMarket."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.address = address
        self._connection = connection
        self._contract: Contract = connection.w3.eth.contract(cast(Any, address), abi=artifact("JobMarket").abi)
        self._decoders = self._event_decoders()

    # Calls

    def request(self, request: Request) -> Call:
        """Posts a job and pays its escrow."""
        return self._call("request", request.as_tuple(), value=request.escrow)

    def deliver(
        self, request: Request, secret: bytes, header: bytes, committee_hash: bytes, keys: Sequence[bytes]
    ) -> Call:
        """Opens the seed secret and hands out the input key; `keys` has 80 bytes per seated worker."""
        return self._call("deliver", request.as_tuple(), secret, header, committee_hash, b"".join(keys))

    def commit(self, job_id: JobId, committee: Sequence[Address], commitment: bytes) -> Call:
        """Commits the sender's seat."""
        # The last commit also opens the reveals: an estimate made before the others are mined falls short.
        gas = 150_000 + 4_000 * len(committee)
        return self._call("commit", job_id, list(committee), commitment, gas=gas)

    def reveal(
        self,
        job_id: JobId,
        committee: Sequence[Address],
        output_commitment: bytes,
        salt: bytes,
        sealed_output: bytes,
        signature: bytes,
    ) -> Call:
        """Opens the sender's commitment; `signature` is its enclave's Result."""
        # Whichever reveal is mined last settles the job, and pays for it.
        gas = 270_000 + 90_000 * len(committee) + 60 * len(sealed_output)
        return self._call("reveal", job_id, list(committee), output_commitment, salt, sealed_output, signature, gas=gas)

    def answer(
        self,
        job_id: JobId,
        committee: Sequence[Address],
        output_commitment: bytes,
        sealed_output: bytes,
        signature: bytes,
    ) -> Call:
        """Answers an attested job, which settles it."""
        return self._call("answer", job_id, list(committee), output_commitment, sealed_output, signature)

    def prove(self, request: Request, requester: Address, committee: Sequence[Address], answer: ProvedAnswer) -> Call:
        """Proves the output of the sender's job, which settles it."""
        opening = (answer.input_binding, answer.input_digest, answer.pad_digest)
        about = (request.as_tuple(), requester, list(committee))
        return self._call("prove", *about, opening, answer.masked, answer.proof, answer.signature)

    def refuse(
        self, job_id: JobId, committee: Sequence[Address], reason: int, sealed_key: bytes, signature: bytes
    ) -> Call:
        """Gives the sender's seat up; `sealed_key` is the Keccak-256 of its sealed input key."""
        gas = 200_000 + 60_000 * len(committee)
        return self._call("refuse", job_id, list(committee), reason, sealed_key, signature, gas=gas)

    def demand(self, job_id: JobId, committee: Sequence[Address], deposit: int) -> Call:
        """Asks for the ciphertext on chain."""
        return self._call("demand", job_id, list(committee), value=deposit)

    def publish(self, request: Request, requester: Address, ciphertext: bytes) -> Call:
        """Answers a demand."""
        return self._call("publish", request.as_tuple(), requester, ciphertext)

    def close(self, job_id: JobId, committee: Sequence[Address]) -> Call:
        """Ends a job whose deadline has passed."""
        return self._call("close", job_id, list(committee))

    def withdraw(self, account: Address) -> Call:
        """Pays an account what the market owes it."""
        return self._call("withdraw", account)

    # Views

    def parameters(self) -> Parameters:
        """The market's parameters, which never change."""
        return Parameters(*self._view("parameters"))

    def credit(self, account: Address) -> int:
        """Wei owed to an account."""
        return int(self._view("credit", account))

    def state(self, job_id: JobId) -> State:
        """Where a job stands by the market's own record; NONE for an unknown id."""
        return State(self._view("job", job_id)[0])

    # Events

    def history(self, job_id: JobId, first_block: int) -> list[JobEvent]:
        """Every event of one job from block `first_block` on."""
        logs = self._connection.logs_of_job(self.address, job_id, first_block)
        return [event for log in logs if (event := self.decode(log))]

    def proved_answer(self, job_id: JobId, first_block: int) -> ProvedAnswer | None:
        """What the worker of a proved job sent; None when a contract sent it, whose calls do not stand in the block."""
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
            if function.fn_name == "prove":
                shown = given["opening"]
                opening = shown["inputBinding"], shown["inputDigest"], shown["padDigest"]
                return ProvedAnswer(*opening, given["masked"], given["proof"], given["signature"])
        return None

    def gas(self, job_id: JobId, first_block: int) -> dict[str, list[int]]:
        """Gas used by each transaction of a job, by what it did: request, deliver, commit, reveal, …"""
        used: dict[bytes, tuple[str, int]] = {}
        committed = False
        for log in self._connection.logs_of_job(self.address, job_id, first_block):
            event = self.decode(log)
            if event is None or bytes(log["transactionHash"]) in used:
                continue
            with translated():
                receipt = self._connection.w3.eth.get_transaction_receipt(log["transactionHash"])
            committed = committed or isinstance(event, OutputCommitted)
            # Of an attested job, which has no commitments, the same event tells the answer.
            step = "answer" if isinstance(event, OutputRevealed) and not committed else STEPS.get(type(event), "close")
            used[bytes(log["transactionHash"])] = (step, receipt["gasUsed"])
        steps: dict[str, list[int]] = {}
        for step, gas in used.values():
            steps.setdefault(step, []).append(gas)
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
            "JobProved": lambda a: JobProved(JobId(a["id"]), a["worker"], a["masked"]),
            "SeatRefused": lambda a: SeatRefused(JobId(a["id"]), a["worker"], a["reason"]),
            "CiphertextDemanded": lambda a: CiphertextDemanded(JobId(a["id"]), a["worker"], a["publishBy"]),
            "CiphertextPublished": lambda a: CiphertextPublished(
                JobId(a["id"]), a["publisher"], a["ciphertext"], a["commitBy"]
            ),
            "JobSettled": lambda a: JobSettled(JobId(a["id"]), a["outputCommitment"], a["agreeing"]),
            "JobRefunded": lambda a: JobRefunded(JobId(a["id"]), RefundReason(a["reason"])),
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
    return JobRequested(
        JobId(arguments["id"]),
        arguments["requester"],
        _request(arguments["request"]),
        arguments["seedBlock"],
        arguments["deliverBy"],
    )


def _request(fields: Mapping[str, Any]) -> Request:
    return Request(
        fields["nonce"],
        VersionId(fields["version"]),
        Assurance(Level(fields["level"]), fields["seats"], fields["quorum"]),
        fields["pricePerSeat"],
        fields["inputCommitment"],
        BlobId(fields["ciphertextHash"]),
        fields["ciphertextSize"],
        fields["responseKey"],
        fields["secretHash"],
    )


def _per_seat(committee: Sequence[Address], sealed_keys: bytes) -> tuple[bytes, ...]:
    keys, at = [], 0
    for worker in committee:
        size = 0 if worker == NOBODY else SEALED_KEY
        keys.append(sealed_keys[at : at + size])
        at += size
    return tuple(keys)
