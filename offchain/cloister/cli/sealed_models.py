"""`cloister model seal`, `unseal` and `policy`: models that only attested enclaves can open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloister.cli.catalogue import version_of
from cloister.cli.command import command
from cloister.cli.models import Folder, VersionText, load_open, model
from cloister.cli.receipts import receipt_document, receipt_line
from cloister.cli.run import Run
from cloister.cli.screen import Output, Table, facts
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import hexed

if TYPE_CHECKING:
    from cloister.domain.attested import Policy

MAX_POLICY = 1 << 20
Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="New folder to write; it must not exist.")]


def add_to(_app: typer.Typer) -> None:
    """Adds this module's commands, below `cloister model`."""
    command(model, "seal", example="cloister model seal models/digits --out sealed --threshold 1 --broker key.txt")(
        seal
    )
    command(model, "unseal", example="cloister model unseal sealed --out models/again")(unseal)
    command(model, "policy", example="cloister model policy 0x5f…c1 --narrow policy.json")(policy)


def seal(
    run: Run,
    folder: Folder,
    out: Out,
    threshold: Annotated[
        int, typer.Option("--threshold", metavar="T", min=1, max=255, help="How many brokers it takes to open it.")
    ],
    broker: Annotated[
        list[Path],
        typer.Option("--broker", metavar="FILE", help="A broker's public key; once for each broker, in their order."),
    ],
    attach: Annotated[
        list[Path] | None,
        typer.Option("--attach", metavar="FILE", help="Seal this file, too, such as hyperparameters; up to 16 times."),
    ] = None,
) -> Output:
    """Seal a package: weights and attached files under a new key.

    The key is split between the brokers, so that any T of them can release it to an enclave and fewer know nothing.
    The folder has what is published, one share file for each broker, which only that broker can open, and
    recovery.json, with which you alone can open the model again, under a password. Nothing is written unless all of it
    is.
    """
    from cloister.broker.store import read_public_key
    from cloister.sealing.folder import write_sealed
    from cloister.sealing.package import seal_package
    from cloister.storage.passwords import password_from

    package = load_open(folder)
    keys = [read_public_key(path) for path in broker]
    sealed = seal_package(package, threshold, keys, _attachments(attach or []))
    password = password_from(run.settings.password_file, label="Password for the recovery file: ", confirm=True)
    write_sealed(out, sealed, password)
    document = {
        "folder": str(out),
        "name": package.manifest.name,
        "manifest": hexed(sealed.digest),
        "threshold": threshold,
        "shares": [str(out / "shares" / f"share-{deposit.index}.json") for deposit in sealed.deposits],
        "attachments": sorted(sealed.attachments),
        "recovery": str(out / "recovery.json"),
    }
    shown = {"folder": out, "manifest": hexed(sealed.digest), "key": f"{threshold} of {len(keys)} brokers"}
    steps = [
        "Give each broker its share file and manifest.json, and a licence once the version is published.",
        "Keep recovery.json and its password apart from the folder, and nowhere else.",
    ]
    return Output(document, [facts(shown), *steps])


def unseal(run: Run, folder: Folder, out: Out) -> Output:
    """Open your own sealed package with its recovery file.

    All of it is opened and checked before anything is written.
    """
    from cloister.sealing.folder import read_sealed
    from cloister.storage.passwords import password_from

    sealed = read_sealed(folder)
    data_key = sealed.recover(password_from(run.settings.password_file, label="Password of the recovery file: "))
    sealed.unseal(data_key, out)
    names = [attachment.name for attachment in sealed.sealing.attachments]
    document = {"folder": str(out), "name": sealed.manifest.name, "attachments": names}
    return Output(document, [facts({"folder": out, "attachments": ", ".join(names) or None}), "It is open now."])


def policy(
    run: Run,
    version: VersionText,
    narrow: Annotated[
        Path | None, typer.Option("--narrow", metavar="FILE", help="Replace it by this policy, which admits less.")
    ] = None,
) -> Output:
    """Show which enclaves may run a version, or narrow it.

    A policy can never be widened. Workers that were enrolled under the wider one have to enrol again.
    """
    version_id = version_of(version)
    if narrow is None:
        network = run.network
        published = network.models.version(version_id)
        found = network.models.policy(published)
        return _shown(network.connection.chain_id, hexed(version_id), found)
    narrower = read_policy(narrow)
    with run.client() as client:
        current = client.models.policy(client.models.version(version_id))
        if current.open or narrower.open or not narrower.within(current):
            raise InvalidInput(
                f"{narrow} does not narrow the policy of {hexed(version_id)}.",
                "It may only name measurements and statuses that the present one has: see `cloister model policy`.",
            )
        call = client.models.narrow_policy(version_id, current, narrower)
        receipt = client.sender.transact(f"narrow:{hexed(version_id)}:{narrower.hash().hex()}", call)
        shown = _shown(client.connection.chain_id, hexed(version_id), narrower)
    return Output(dict(shown.document) | receipt_document(receipt), [*shown.parts, receipt_line(receipt)])


def read_policy(path: Path) -> Policy:
    """A policy file. Raises InvalidInput."""
    from cloister.domain.attested import Policy

    try:
        with path.open("rb") as file:
            return Policy.from_json(file.read(MAX_POLICY).decode())
    except OSError as error:
        raise InvalidInput(f"The policy {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"The policy {path} is not text.") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}", error.hint) from None


def _shown(chain_id: int, version: str, found: Policy) -> Output:
    labels = [status.label for status in sorted(found.statuses)]
    document = {
        "chain_id": chain_id,
        "version": version,
        "open": found.open,
        "measurements": [hexed(measurement) for measurement in found.measurements],
        "statuses": labels,
        "development": found.development,
        "hash": hexed(found.hash()),
    }
    if found.open:
        return Output(document, ["Every worker may run it, and can read it."])
    rows: list[tuple[str, object]] = [("measurement", hexed(one)) for one in found.measurements]
    rows.append(("platforms", ", ".join(labels)))
    parts: list[str | Table] = [Table((), rows)]
    if found.development:
        parts.append("It admits DEVELOPMENT evidence, which protects nothing.")
    return Output(document, parts)


def _attachments(paths: list[Path]) -> dict[str, bytes]:
    from cloister.fixedpoint.limits import MAX_WEIGHTS_BYTES

    found: dict[str, bytes] = {}
    for path in paths:
        if path.name in found:
            raise InvalidInput(f"Two attachments are named {path.name!r}.", "Rename one of the files.")
        try:
            with path.open("rb") as file:
                found[path.name] = file.read(MAX_WEIGHTS_BYTES + 1)
        except OSError as error:
            raise InvalidInput(f"The attachment {path} cannot be read: {error.strerror}.") from None
    return found
