"""NodeRegistry: its calls and views as domain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, cast

from web3.contract import Contract

from cloister.chain.artifacts import artifact
from cloister.chain.call import Call
from cloister.chain.connection import Connection
from cloister.chain.errors import translated
from cloister.domain.attested import Evidence, Policy, TcbStatus
from cloister.domain.ids import Address, VersionId


@dataclass(frozen=True, slots=True)
class Node:
    """A worker as the registry knows it. Sums in wei; `exit_at` is a Unix second, 0 without an announced exit.

    `locked` comes free by itself, period by period. `operator` is a number, 0 for a worker that joined none.
    """

    worker: Address
    stake: int
    locked: int
    key_epoch: int
    hpke_key: bytes
    signer: Address
    exit_at: int
    endpoint: str
    registered: bool
    operator: int = 0

    @property
    def free(self) -> int:
        """Wei that no job has locked; a slash can leave less stake than is locked."""
        return max(self.stake - self.locked, 0)


@dataclass(frozen=True, slots=True)
class Slash:
    """Stake that a worker lost: wei, and the number of the block."""

    worker: Address
    amount: int
    block: int


@dataclass(frozen=True, slots=True)
class Attestation:
    """What the registry keeps of a worker's attestation; `until` is a Unix second, 0 without one, 1 once revoked.

    `evidence_tag` is the first 24 bytes of the hash of its evidence, zero without one.
    """

    evidence_tag: bytes
    until: int
    challenge_block: int


@dataclass(frozen=True, slots=True)
class PromptKey:
    """The key to which inputs for a worker are sealed; epoch 0 stands for none. `expires_at` is a Unix second."""

    key: bytes
    epoch: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Whether a worker entered the draws of a version with a policy, and under which evidence (ENC-7).

    Seats of one committee have different platforms; `platform_tag` is the platform's first 2 bytes.
    """

    evidence_tag: bytes
    policy_revision: int
    since: int
    lapsed: int
    platform_tag: bytes = bytes(2)

    def holds(self, evidence_tag: bytes, policy_revision: int) -> bool:
        """Whether it was made under this evidence and this revision of the policy."""
        return self.evidence_tag == evidence_tag[:20] and self.policy_revision == policy_revision


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that attestations and prompt keys last at most, and workers per physical machine.

    `lock_period`: stake comes free when the period of so many seconds that its lock ends in is over.
    """

    attestation_period: int
    prompt_lifetime: int
    identities_per_platform: int
    lock_period: int


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Who may take a seat of a job for a version with a policy: field by field IEnclaves.Eligibility."""

    version: VersionId
    policy_revision: int
    requested_at: int
    attested_until: int
    prompt_until: int


class Nodes:
    """One deployed NodeRegistry."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.address = address
        self._connection = connection
        self._contract: Contract = connection.w3.eth.contract(cast(Any, address), abi=artifact("NodeRegistry").abi)

    def register(self, endpoint: str, hpke_key: bytes, signer: Address, stake: int) -> Call:
        """Registers the sender with `stake` wei."""
        return self._call("register", endpoint, hpke_key, signer, value=stake)

    def join(self, operator: Address, signature: bytes) -> Call:
        """Makes the sender one of an operator's workers, before it registers; the operator signs (DRAW-8)."""
        return self._call("join", operator, signature)

    def top_up(self, amount: int) -> Call:
        """Adds `amount` wei to the sender's stake."""
        return self._call("topUp", value=amount)

    def replace_keys(self, hpke_key: bytes, signer: Address) -> Call:
        """Replaces both keys of the sender."""
        return self._call("replaceKeys", hpke_key, signer)

    def announce_exit(self) -> Call:
        """Takes the sender out of later draws."""
        return self._call("announceExit")

    def withdraw(self) -> Call:
        """Pays the sender its stake after the exit delay."""
        return self._call("withdraw")

    def attest(
        self,
        hpke_key: bytes,
        signer: Address,
        quote: bytes,
        pck: bytes,
        challenge_block: int,
        previous: Evidence | None,
    ) -> Call:
        """Attests the sender's enclave with the first 1,252 bytes of a quote; `previous` is its last evidence."""
        before = previous or Evidence(bytes(32), bytes(32), TcbStatus.UP_TO_DATE, False, 0)
        return self._call("attest", hpke_key, signer, quote, pck, challenge_block, before.as_tuple())

    def post_prompt_key(self, key: bytes, expires_at: int, signature: bytes) -> Call:
        """Posts the key to which inputs for the sender are sealed from now on."""
        return self._call("postPromptKey", key, expires_at, signature)

    def enrol(self, version: VersionId, policy: Policy, evidence: Evidence, signature: bytes) -> Call:
        """Enters the sender into the draws of a version with a policy."""
        return self._call("enrol", version, policy.as_tuple(), evidence.as_tuple(), signature)

    def attestation(self, worker: Address) -> Attestation:
        """How a worker is attested."""
        return Attestation(*self._view("attestation", worker))

    def evidence(self, worker: Address, first_block: int) -> Evidence | None:
        """The evidence behind a worker's attestation, from the events; None if none hashes to what is stored."""
        stored = self.attestation(worker).evidence_tag
        with translated():
            event = self._contract.events["WorkerAttested"]()
            logs = event.get_logs(from_block=first_block, argument_filters={"worker": worker})
        for log in reversed(logs):
            measurement, platform, status, development, key_epoch = _values(log["args"]["evidence"])
            found = Evidence(measurement, platform, TcbStatus(status), development, key_epoch)
            if found.hash()[:24] == stored:
                return found
        return None

    def prompt_key(self, worker: Address) -> PromptKey:
        """Where inputs for a worker are sealed to."""
        return PromptKey(*self._view("promptKey", worker))

    def prompt_signature(self, worker: Address, epoch: int, first_block: int) -> bytes | None:
        """The signature with which a prompt key was posted; None if a contract posted it or none of that epoch was."""
        with translated():
            event = self._contract.events["PromptKeyPosted"]()
            logs = event.get_logs(from_block=first_block, argument_filters={"worker": worker})
            for log in reversed(logs):
                if log["args"]["epoch"] != epoch:
                    continue
                sent = self._connection.w3.eth.get_transaction(log["transactionHash"])
                if str(sent.get("to")) != self.address:
                    return None
                function, given = self._contract.decode_function_input(sent["input"])
                return bytes(given["signature"]) if function.fn_name == "postPromptKey" else None
        return None

    def enrolment(self, version: VersionId, worker: Address) -> Enrolment:
        """Whether and how a worker is enrolled for a version."""
        return Enrolment(*self._view("enrolment", version, worker))

    def draw_enrolled(
        self, seed: bytes, seats: int, epoch: int, lock_each: int, eligibility: Eligibility
    ) -> tuple[Address, ...]:
        """As `draw`, among the workers that are eligible for a version with a policy."""
        drawn = self._view("drawEnrolled", seed, seats, epoch, lock_each, astuple(eligibility))
        return tuple(Address(worker) for worker in drawn)

    def limits(self) -> Limits:
        """Lifetimes of attestations and prompt keys, the cap per machine, and the period of locks."""
        return Limits(*self._view("limits"))

    def quotes(self) -> Address:
        """The contract that judges quotes."""
        return Address(self._view("quotes"))

    def node(self, worker: Address) -> Node:
        """One worker's record; `registered` is False for an unknown address."""
        stake, locked, key_epoch, leaf, operator, *keys, exit_at, endpoint = self._view("node", worker)
        hpke_key, signer = keys
        registered = leaf != 0
        return Node(
            worker, stake, locked, key_epoch, hpke_key, Address(signer), exit_at, endpoint, registered, operator
        )

    def operator_number(self, operator: Address) -> int:
        """The number of an operator; 0 for one that no worker ever joined."""
        return int(self._view("operatorNumber", operator))

    def workers(self) -> list[Node]:
        """Every worker that ever registered, in order of registration."""
        count = self._view("workerCount")
        return [self.node(Address(self._view("workerAt", leaf))) for leaf in range(count)]

    def draw(self, seed: bytes, seats: int, epoch: int, lock_each: int) -> tuple[Address, ...]:
        """The committee that the registry draws; address 0 is a vacant seat."""
        return tuple(Address(worker) for worker in self._view("draw", seed, seats, epoch, lock_each))

    def epoch_of(self, block: int) -> int:
        """Epoch of a block number."""
        return int(self._view("epochOf", block))

    def weight_at(self, worker: Address, epoch: int) -> int:
        """Gwei with which a worker enters the draws of an epoch (the present one, or the one before or after)."""
        return int(self._view("weightAt", worker, epoch))

    def total_weight_at(self, epoch: int) -> int:
        """Gwei of all workers in the draws of an epoch."""
        return int(self._view("totalWeightAt", epoch))

    def slashes(self, first_block: int) -> list[Slash]:
        """Every slash from block `first_block` on, oldest first."""
        with translated():
            logs = self._contract.events["StakeSlashed"]().get_logs(from_block=first_block)
        return [Slash(Address(log["args"]["worker"]), log["args"]["amount"], log["blockNumber"]) for log in logs]

    def epoch_length(self) -> int:
        """Blocks per epoch."""
        return int(self._view("epochLength"))

    def exit_delay(self) -> int:
        """Seconds."""
        return int(self._view("exitDelay"))

    def minimum_stake(self) -> int:
        """Wei."""
        return int(self._view("minimumStake"))

    def _call(self, name: str, *args: object, value: int = 0) -> Call:
        return Call(self.address, bytes.fromhex(self._contract.encode_abi(name, list(args))[2:]), value)

    def _view(self, name: str, *args: object) -> Any:
        with translated():
            return self._contract.functions[name](*args).call()


def _values(given: Any) -> tuple[Any, ...]:
    """The members of a decoded struct, which web3 gives as a tuple or by name."""
    return tuple(given.values()) if isinstance(given, Mapping) else tuple(given)
