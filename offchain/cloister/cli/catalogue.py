"""The published models as a person looks for them: by version id or by the name in the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloister.cli.amounts import ether
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import VersionId, hexed, unhexed

if TYPE_CHECKING:
    from cloister.chain.models import RegisteredCircuit, Version
    from cloister.domain.attested import Policy
    from cloister.fixedpoint import Manifest
    from cloister.network import Network


@dataclass(frozen=True, slots=True)
class Entry:
    """A published version, and its manifest if a blob store has it.

    `circuit` is what proofs about it are checked against, None if it takes no proved jobs; `trusted` tells whether this
    deployment vouches for the verifier, `removed` whether that is gone. `policy` is None for a version that anybody may
    run, and where the endpoint has no log of it.
    """

    version: Version
    manifest: Manifest | None
    circuit: RegisteredCircuit | None = None
    trusted: bool = False
    removed: bool = False
    policy: Policy | None = None

    @property
    def name(self) -> str | None:
        """The name that the owner gave it. Anybody may give any name; only the version id is unique."""
        return self.manifest.name if self.manifest else None

    def line(self) -> str:
        """Enough to tell it from another of the same name."""
        return f"{hexed(self.version.version_id)}, {ether(self.version.price)} per worker, owner {self.version.owner}"

    def proved_by(self) -> str:
        """The verifier of its proofs, for people."""
        if self.circuit is None:
            return "-"
        doubt = " (removed)" if self.removed else "" if self.trusted else " (not of this deployment)"
        return f"verifier {self.circuit.verifier}{doubt}"

    def run_by(self) -> str:
        """Who may run it, for people."""
        if self.version.open:
            return "anybody"
        development = self.policy is not None and self.policy.development
        return "enclaves, DEVELOPMENT too" if development else "enclaves"

    def document(self) -> dict[str, Any]:
        """For --json."""
        accuracy = self.manifest.accuracy if self.manifest else None
        return {
            "name": self.name,
            "version": hexed(self.version.version_id),
            "price_wei": str(self.version.price),
            "owner": self.version.owner,
            "deprecated": self.version.deprecated,
            "manifest": hexed(self.version.manifest),
            "uri": self.version.uri,
            "input_shape": list(self.manifest.input.shape) if self.manifest else None,
            "labels": list(self.manifest.labels) if self.manifest else None,
            "accuracy": None
            if accuracy is None
            else {
                "rows": accuracy.rows,
                "float_correct": accuracy.float_correct,
                "fixed_correct": accuracy.fixed_correct,
                "agree": accuracy.agree,
            },
            "policy": None if self.version.open else hexed(self.version.policy_hash),
            "development": None if self.policy is None else self.policy.development,
            "proved": None
            if self.circuit is None
            else {
                "verifier": self.circuit.verifier,
                "of_deployment": self.trusted,
                "removed": self.removed,
                "circuit": hexed(self.circuit.circuit),
                "weights": hexed(self.circuit.weights),
            },
        }


def entries(network: Network) -> list[Entry]:
    """Every published version, oldest first."""
    return [entry(network, version) for version in network.models.versions()]


def entry(network: Network, version: Version) -> Entry:
    """A version with its manifest, None when no store has it or it is no manifest."""
    from cloister.chain.models import PolicyUnknown
    from cloister.fixedpoint import InvalidPackage, Manifest
    from cloister.fixedpoint.limits import MAX_MANIFEST_BYTES
    from cloister.storage.errors import StorageError

    try:
        manifest = Manifest.from_bytes(network.blobs.get(version.manifest, MAX_MANIFEST_BYTES))
    except (StorageError, InvalidPackage):
        manifest = None
    try:
        policy = None if version.open else network.models.policy(version)
    except PolicyUnknown:
        policy = None
    circuit = network.models.circuit_of(version.version_id)
    if circuit is None:
        return Entry(version, manifest, policy=policy)
    trusted = circuit.verifier == network.deployment.verifier
    return Entry(version, manifest, circuit, trusted, network.verifiers.is_removed(circuit.verifier), policy)


def version_of(text: str) -> VersionId:
    """A version id. Raises InvalidInput."""
    return VersionId(unhexed(text, "The version id"))


def find_model(network: Network, wanted: str) -> Entry:
    """The version with this id, or the only one on offer with this name.

    Raises InvalidInput when there is none, or when several versions bear the name.
    """
    if wanted.startswith("0x"):
        return entry(network, network.models.version(version_of(wanted)))
    offered = [one for one in entries(network) if not one.version.deprecated]
    found = [one for one in offered if one.name == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        lines = "\n".join(one.line() for one in found)
        raise InvalidInput(
            f"There are {len(found)} models named {wanted!r}:\n{lines}", "Give the version id of the one you mean."
        )
    unknown = sum(one.manifest is None for one in offered)
    hint = "`cloister models` lists what is offered."
    if unknown:
        hint += f" The names of {unknown} versions are not known here: no blob store has their manifests."
    raise InvalidInput(f"There is no model named {wanted!r}.", hint)
