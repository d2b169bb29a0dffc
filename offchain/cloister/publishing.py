"""What a model owner does: stores a package, registers its version, and makes it provable."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from cloister.chain.call import Call
from cloister.chain.errors import ContractError
from cloister.chain.models import Models, RegisteredCircuit
from cloister.chain.sender import Sender
from cloister.domain.attested import Policy
from cloister.domain.commitments import version_id, weights_context
from cloister.domain.ids import VersionId, hexed
from cloister.fixedpoint import Package
from cloister.proof_system import NoProofs, ProofSystem, proof_system
from cloister.storage.blobs import BlobStores


class Publishable(Protocol):
    """A package, open or sealed: its manifest, what the manifest's hash fixes, and what stores must hold."""

    @property
    def digest(self) -> bytes: ...
    @property
    def manifest_bytes(self) -> bytes: ...
    def blobs(self) -> Iterable[bytes]:
        """Everything but the manifest."""


@dataclass(slots=True)
class Publisher:
    """Publishes under the sender's account. Methods raise ContractError, RpcUnavailable and InsufficientFunds."""

    chain_id: int
    models: Models
    sender: Sender
    blobs: BlobStores
    verifier: int | None = None
    """The verifier that proofs are registered with, unless another is named."""
    proofs: Callable[[], ProofSystem] = proof_system

    def publish(self, package: Publishable, price: int, uri: str = "", policy: Policy | None = None) -> VersionId:
        """Stores a package and registers it for `price` wei per agreeing worker; returns the version's id.

        Publishing the same package again stores it again and returns the same id. `policy` says which enclaves may
        run it; without one every worker may.
        """
        version = self._version(package)
        for blob in package.blobs():
            self.blobs.put(blob)
        manifest = self.blobs.put(package.manifest_bytes)
        call = self.models.publish(manifest, price, uri, policy or Policy())
        try:
            self.sender.transact(f"publish:{hexed(version)}", call)
        except ContractError as error:
            if error.name != "ModelRegistry_AlreadyPublished":
                raise
        return version

    def publish_provable(
        self,
        package: Package,
        price: int,
        uri: str = "",
        verifier: int | None = None,
        policy: Policy | None = None,
        sealed: Publishable | None = None,
    ) -> VersionId:
        """Publishes a package whose manifest names a circuit, and registers that, so that outputs can be proved.

        The proof about the weights is made before anything is sent. `verifier` is another one than this publisher's.
        `sealed` is the same package sealed, which is published in its place.

        Raises NoProofs and ProofSystemMissing, and what the proof system raises for a model that it cannot carry. Doing
        it again changes nothing, or does what was left.
        """
        published = sealed or package
        version = self._version(published)
        registration = self._registration(package, published.manifest_bytes, version, verifier)
        self.publish(published, price, uri, policy)
        if registration is not None:
            self.sender.transact(f"register-circuit:{hexed(version)}", registration)
        return version

    def _version(self, package: Publishable) -> VersionId:
        return version_id(self.chain_id, self.models.address, self.sender.address, package.digest)

    def _registration(self, package: Package, manifest: bytes, version: VersionId, verifier: int | None) -> Call | None:
        """Makes a version provable; None when it is."""
        number = self.verifier if verifier is None else verifier
        if package.manifest.circuit is None:
            raise NoProofs(
                f"The manifest of {package.manifest.name} names no circuit.",
                "Package the model again, or publish it without a proof (--no-proof): it still takes agreed jobs.",
            )
        if number is None:
            hint = "Name one with --verifier, or publish without a proof (--no-proof)."
            raise NoProofs("This deployment vouches for no verifier.", hint)
        if self.models.circuit_of(version) is not None:
            return None
        proofs = self.proofs()
        model = proofs.commit_model(package)
        registered = RegisteredCircuit(number, model.circuit.digest, model.digest)
        proof = proofs.prove_weights(model, weights_context(self.chain_id, self.models.address, version))
        return self.models.register_circuit(version, manifest, registered, model.circuit.descriptor, proof)
