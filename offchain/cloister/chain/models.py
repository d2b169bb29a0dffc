"""ModelRegistry: its calls and views as domain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

from web3.contract import Contract

from cloister.chain.artifacts import artifact
from cloister.chain.call import Call
from cloister.chain.connection import Connection
from cloister.chain.errors import ContractError, translated
from cloister.domain.attested import Policy
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import NOBODY, Address, BlobId, VersionId, hexed


class PolicyUnknown(CloisterError):
    """A version's policy is on chain as a hash, and nothing that the endpoint has hashes to it."""


class Offering(IntEnum):
    """Whether a version takes jobs, and of which kind its arithmetic is. The numbers are the contract's."""

    EXACT = 0
    INEXACT = 1
    WITHDRAWN = 2


@dataclass(frozen=True, slots=True)
class Offer:
    """What an owner asks of a job: units of a currency per agreeing seat, and the owner's share of them in 1/100.

    `inexact`: equal work can give unequal outputs, so nobody loses stake for another one (CHAL-14).
    """

    price: int
    owner_percent: int = 0
    inexact: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """A published model version; `price` is wei per agreeing worker, `owner_percent` the owner's share of it."""

    version_id: VersionId
    owner: Address
    price: int
    owner_percent: int
    offering: Offering
    manifest: BlobId
    uri: str
    policy_hash: bytes
    policy_revision: int
    """0 for a version that is open to every worker."""

    @property
    def deprecated(self) -> bool:
        """True when it takes no more jobs."""
        return self.offering is Offering.WITHDRAWN

    @property
    def inexact(self) -> bool:
        """True when equal work can give unequal outputs. Of one that takes no more jobs that is forgotten."""
        return self.offering is Offering.INEXACT

    @property
    def open(self) -> bool:
        """True when every worker may run it."""
        return self.policy_revision == 0


@dataclass(frozen=True, slots=True)
class RegisteredCircuit:
    """What proofs about a version are checked against, for good: a verifier's number and two digests."""

    verifier: int
    circuit: bytes
    weights: bytes


class Models:
    """One deployed ModelRegistry, published to from block `first_block` on."""

    def __init__(self, connection: Connection, address: Address, first_block: int) -> None:
        self.address = address
        self._connection = connection
        self._first_block = first_block
        self._contract: Contract = connection.w3.eth.contract(cast(Any, address), abi=artifact("ModelRegistry").abi)

    def publish(
        self,
        manifest: BlobId,
        price: int,
        uri: str,
        policy: Policy,
        owner_percent: int = 0,
        *,
        inexact: bool = False,
    ) -> Call:
        """Publishes a version under the sender's name; all but price and policy is for good."""
        return self._call("publish", manifest, policy.as_tuple(), (price, owner_percent, inexact), uri)

    def narrow_policy(self, version: VersionId, current: Policy, narrower: Policy) -> Call:
        """Replaces a version's policy by one that admits less."""
        return self._call("narrowPolicy", version, current.as_tuple(), narrower.as_tuple())

    def policy(self, version: Version) -> Policy:
        """A version's present policy, from the events; the open one for an open version.

        Raises PolicyUnknown when no event has what is stored: logs are missing.
        """
        if version.open:
            return Policy()
        for name in ("PolicyNarrowed", "VersionPublished"):
            with translated():
                event = self._contract.events[name]()
                filters = {"version": version.version_id}
                logs = event.get_logs(from_block=self._first_block, argument_filters=filters)
            for log in reversed(logs):
                given = log["args"]["policy"]
                policy = Policy.of_tuple(tuple(given.values()) if isinstance(given, Mapping) else tuple(given))
                if policy.hash() == version.policy_hash:
                    return policy
        raise PolicyUnknown(
            f"The endpoint has no log of the policy of model version {hexed(version.version_id)}.",
            "Use an endpoint that keeps logs since the deployment.",
        )

    def set_price(self, version: VersionId, price: int) -> Call:
        """Changes the price of later jobs."""
        return self._call("setPrice", version, price)

    def set_token_price(self, version: VersionId, token: Address, price: int) -> Call:
        """Sells a version for a token, too; a price of 0 takes the offer back."""
        return self._call("setTokenPrice", version, token, price)

    def offer_of(self, version: VersionId, token: Address = NOBODY) -> Offer:
        """What a job costs now; nobody is the chain's own coin. Raises ContractError for a version that takes none."""
        with translated():
            (price, owner_percent, inexact), _ = self._contract.functions.offerOf(version, token).call()
        return Offer(price, owner_percent, inexact)

    def deprecate(self, version: VersionId) -> Call:
        """Ends new jobs for a version."""
        return self._call("deprecate", version)

    def register_circuit(
        self, version: VersionId, manifest: bytes, circuit: RegisteredCircuit, descriptor: bytes, proof: bytes
    ) -> Call:
        """Makes a version of the sender's provable; `manifest` names the circuit and the weights.

        Raises InvalidInput when it names others or none.
        """
        member = f',"circuit":{{"descriptor":"{circuit.circuit.hex()}","weights":"{circuit.weights.hex()}"}}'
        offset = manifest.find(member.encode())
        if offset < 0:
            raise InvalidInput("The manifest does not name this circuit and these weights.", "Package the model again.")
        numbers = (circuit.verifier, manifest, offset, circuit.circuit, circuit.weights)
        return self._call("registerCircuit", version, *numbers, descriptor, proof)

    def circuit_of(self, version_id: VersionId) -> RegisteredCircuit | None:
        """What proofs about a version are checked against; None for a version that takes no proved jobs."""
        try:
            with translated():
                found = self._contract.functions.circuitOf(version_id).call()
        except ContractError as error:
            if error.name == "ModelRegistry_NotProvable":
                return None
            raise
        return RegisteredCircuit(*found)

    def verifiers(self) -> Address:
        """Where the numbers of verifiers come from."""
        with translated():
            return Address(self._contract.functions.verifiers().call())

    def version(self, version_id: VersionId) -> Version:
        """One version. Raises InvalidInput when it was never published."""
        with translated():
            found = self._contract.functions.version(version_id).call()
        owner, price, owner_percent, revision, offering, manifest, policy_hash, uri = found
        if int(owner, 16) == 0:
            raise InvalidInput(
                f"No model version {hexed(version_id)} is published.",
                "`cloister models` lists those that are.",
            )
        terms = (price, owner_percent, Offering(offering))
        return Version(version_id, Address(owner), *terms, BlobId(manifest), uri, policy_hash, revision)

    def versions(self) -> list[Version]:
        """Every version ever published, oldest first."""
        event = self._contract.events.VersionPublished()
        with translated():
            logs = event.get_logs(from_block=self._first_block)
        return [self.version(VersionId(log["args"]["version"])) for log in logs]

    def changed(self, first: int, last: int) -> list[VersionId]:
        """Versions that were published, or whose policy was narrowed, in blocks `first` to `last`."""
        found: dict[VersionId, None] = {}
        if first > last:
            return []
        for name in ("VersionPublished", "PolicyNarrowed"):
            with translated():
                logs = self._contract.events[name]().get_logs(from_block=first, to_block=last)
            found |= {VersionId(log["args"]["version"]): None for log in logs}
        return list(found)

    def _call(self, name: str, *args: object) -> Call:
        return Call(self.address, bytes.fromhex(self._contract.encode_abi(name, list(args))[2:]))
