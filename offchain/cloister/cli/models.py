"""`cloister models` and `cloister model`: what is on offer, and a model owner's part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloister.cli.amounts import ether, parse_amount
from cloister.cli.catalogue import entries, version_of
from cloister.cli.command import command, group
from cloister.cli.receipts import receipt_document, receipt_line
from cloister.cli.run import Run
from cloister.cli.screen import Output, Table, facts
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import hexed

if TYPE_CHECKING:
    from cloister.domain.attested import Policy
    from cloister.fixedpoint import Package
    from cloister.sealing.folder import SealedFolder

model = group("model", summary="Publish models and set their prices.")

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of manifest.json and weights.safetensors.")]
VersionText = Annotated[str, typer.Argument(metavar="VERSION", help="Version id, as `cloister models` prints it.")]
Price = Annotated[
    int,
    typer.Option("--price", metavar="ETH", parser=parse_amount, help="Price per agreeing worker: 0.01, 5gwei, 10wei."),
]
VerifierNumber = Annotated[
    int | None,
    typer.Option("--verifier", metavar="N", min=1, help="Trust this verifier of proofs, not the deployment's."),
]


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "models", example="cloister models")(list_models)
    app.add_typer(model)


def list_models(
    run: Run, everything: Annotated[bool, typer.Option("--all", help="Deprecated versions, too.")] = False
) -> Output:
    """List the models on offer.

    Anybody may publish under any name; only the version id says which model it is. Name and accuracy are what the owner
    states, and are known only where a blob store has the manifest. Versions with a verifier take proved jobs; one that
    is not of this deployment may accept any proof. Versions run by enclaves take attested jobs.
    """
    network = run.network
    found = [one for one in entries(network) if everything or not one.version.deprecated]
    document = {
        "chain_id": network.connection.chain_id,
        "registry": network.models.address,
        "models": [one.document() for one in found],
    }
    if not found:
        return Output(document, ["No model is on offer."])
    rows = [
        (
            one.name or "(not known here)",
            hexed(one.version.version_id),
            ether(one.version.price),
            one.version.owner,
            one.run_by(),
            one.proved_by(),
            _accuracy(one.manifest) + (" (deprecated)" if one.version.deprecated else ""),
        )
        for one in found
    ]
    return Output(document, [Table(("name", "version", "price", "owner", "run by", "proofs", "accuracy"), rows)])


@command(model, "publish", example="cloister model publish models/digits --price 0.01")
def publish(
    run: Run,
    folder: Folder,
    price: Price,
    uri: Annotated[str, typer.Option("--uri", help="Where people can read about the model.")] = "",
    no_proof: Annotated[bool, typer.Option("--no-proof", help="Do not make it ready for proved jobs.")] = False,
    verifier: VerifierNumber = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Which enclaves may run it; without, any worker."),
    ] = None,
    opened: Annotated[
        Path | None,
        typer.Option("--package", metavar="FOLDER", help="Open package of a sealed one, for its proof."),
    ] = None,
) -> Output:
    """Publish a package, open or sealed, under this account.

    It is checked first. The files go to the first blob store; workers need to be able to read them from one of
    theirs. If the manifest names a circuit, it is registered with a proof that the weights are what they must be, and
    the version takes proved jobs, too; for a sealed package that takes the open one. Publishing the same package again
    stores it again, and does on chain what was left undone.

    A policy is JSON: {"measurements": ["0x…"], "statuses": ["UpToDate"], "development": false}. A sealed package must
    have one. It can be narrowed later, and never widened.
    """
    package, published_as = _publishable(folder, opened, proof=not no_proof, policy=policy is not None)
    demands = None if policy is None else _policy(policy)
    run.screen.tell(f"{published_as.manifest.name}: {ether(price)} for each agreeing worker")
    with run.client() as client:
        if package is not None and not no_proof and package.manifest.circuit is not None:
            sealed = None if published_as is package else published_as
            with run.screen.waiting("Proving that the weights are integers"):
                version = client.publisher.publish_provable(
                    package, price, uri, verifier, policy=demands, sealed=sealed
                )
        else:
            version = client.publisher.publish(published_as, price, uri, policy=demands)
        circuit = client.models.circuit_of(version)
        published = client.models.version(version)
        document = {
            "chain_id": client.connection.chain_id,
            "version": hexed(version),
            "name": published_as.manifest.name,
            "manifest": hexed(published_as.digest),
            "price_wei": str(published.price),
            "owner": published.owner,
            "sealed": published_as.manifest.sealing is not None,
            "policy": None if published.open else hexed(published.policy_hash),
            "verifier": None if circuit is None else circuit.verifier,
        }
    proofs = "none: it takes no proved jobs" if circuit is None else f"verifier {circuit.verifier}"
    run_by = "every worker" if published.open else f"enclaves that meet the policy {hexed(published.policy_hash)}"
    shown = {"version": hexed(version), "price": ether(published.price), "run by": run_by, "proofs": proofs}
    parts: list[str | Table] = [facts(shown)]
    if published.price != price:
        parts.append("It was published before: its price stays until `cloister model price` changes it.")
    return Output(document, parts)


@command(model, "price", example="cloister model price 0x5f…c1 0.02")
def set_price(
    run: Run,
    version: VersionText,
    price: Annotated[int, typer.Argument(metavar="ETH", parser=parse_amount, help="New price: 0.01, 5gwei, 10wei.")],
) -> Output:
    """Change the price of later jobs.

    Jobs that are posted keep theirs.
    """
    version_id = version_of(version)
    with run.client() as client:
        call = client.models.set_price(version_id, price)
        receipt = client.sender.transact(f"price:{hexed(version_id)}:{client.connection.head().number}", call)
        document = {"chain_id": client.connection.chain_id, "version": hexed(version_id), "price_wei": str(price)}
    return Output(
        document | receipt_document(receipt),
        [f"The price is {ether(price)} per agreeing worker.", receipt_line(receipt)],
    )


@command(model, "deprecate", example="cloister model deprecate 0x5f…c1")
def deprecate(run: Run, version: VersionText) -> Output:
    """End new jobs for a version, for good.

    Jobs that are posted run to their end.
    """
    version_id = version_of(version)
    with run.client() as client:
        receipt = client.sender.transact(f"deprecate:{hexed(version_id)}", client.models.deprecate(version_id))
        document = {"chain_id": client.connection.chain_id, "version": hexed(version_id), "deprecated": True}
    return Output(document | receipt_document(receipt), ["The version takes no more jobs.", receipt_line(receipt)])


@command(model, "check", example="cloister model check models/digits")
def check(run: Run, folder: Folder) -> Output:
    """Check a package, without any chain.

    That is: hashes, shapes, and that no input can overflow any stage.
    """
    package = load_open(folder)
    manifest = package.manifest
    document: dict[str, Any] = {
        "name": manifest.name,
        "manifest": hexed(package.digest),
        "weights": "0x" + manifest.weights.sha256,
        "input_shape": list(manifest.input.shape),
        "labels": list(manifest.labels),
        "circuit": None if manifest.circuit is None else "0x" + manifest.circuit.descriptor,
        "stages": [{"shape": list(stage.shape), "bits": stage.bits} for stage in manifest.stages],
    }
    shown = {
        "name": manifest.name,
        "manifest": hexed(package.digest),
        "input": " × ".join(map(str, manifest.input.shape)),
        "labels": ", ".join(map(str, manifest.labels)),
        "accuracy": _accuracy(manifest),
        "circuit": "none: no proved jobs" if manifest.circuit is None else "0x" + manifest.circuit.descriptor,
    }
    rows = [(i, " × ".join(map(str, stage.shape)), stage.bits) for i, stage in enumerate(manifest.stages, start=1)]
    proved = "The package is whole, and no input can overflow."
    return Output(document, [facts(shown), Table(("stage", "shape", "bits"), rows), proved])


def load_open(folder: Path) -> Package:
    """An open package, checked. Raises InvalidInput for a sealed one, InvalidPackage and RangeExceeded."""
    from cloister.fixedpoint import load_package
    from cloister.sealing.folder import is_sealed

    if is_sealed(folder):
        raise InvalidInput(f"The package in {folder} is sealed.", "Open it with: cloister model unseal")
    return load_package(folder)


def _publishable(
    folder: Path, opened: Path | None, *, proof: bool, policy: bool
) -> tuple[Package | None, Package | SealedFolder]:
    """The open package, if it is at hand, and what is published: the same one or its sealed folder."""
    from cloister.sealing.folder import is_sealed, read_sealed

    if not is_sealed(folder):
        if opened is not None:
            raise InvalidInput(f"The package in {folder} is open already.", "Leave out --package.")
        package = load_open(folder)
        return package, package
    sealed = read_sealed(folder)
    if not policy:
        raise InvalidInput("A sealed package needs a policy: its key is released to enclaves only.", "Give --policy.")
    if not proof or sealed.manifest.circuit is None:
        return None, sealed
    if opened is None:
        raise InvalidInput(
            "Proving what the sealed weights are takes the open package.",
            "Name its folder with --package, or leave proved jobs out with --no-proof.",
        )
    package = load_open(opened)
    if replace(sealed.manifest, sealing=None) != package.manifest:
        raise InvalidInput(f"The package in {opened} is not the one that is sealed in {folder}.")
    return package, sealed


def _policy(path: Path) -> Policy:
    from cloister.cli.sealed_models import read_policy

    return read_policy(path)


def _accuracy(manifest: Any) -> str:
    if manifest is None or manifest.accuracy is None:
        return "-"
    return f"{manifest.accuracy.fixed_accuracy:.1%} of {manifest.accuracy.rows} rows"
