"""`cloister broker`: hold shares of models' keys, and release them to attested enclaves."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloister.cli.catalogue import version_of
from cloister.cli.command import command, group
from cloister.cli.run import Run
from cloister.cli.screen import Output, Table, facts
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import hexed, unhexed

if TYPE_CHECKING:
    from cloister.broker.service import Broker
    from cloister.storage.release_entries import Entry

broker = group("broker", summary="Hold shares of models' keys, and release them.")

LISTEN = "127.0.0.1:8650"
MAX_FILE = 4 << 20
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Version id, as `cloister models` prints it.")]


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.add_typer(broker)


@command(broker, "init", example="cloister broker init --password-file password.txt")
def init(run: Run) -> Output:
    """Make this machine's broker key under a password.

    Give the public key's file to model owners, who seal shares to it. Whoever loses key file or password loses the
    shares.
    """
    from cloister.bootstrap import broker_store
    from cloister.storage.passwords import password_from

    store = broker_store(run.settings)
    key = store.create_key(password_from(run.settings.password_file, label="Password for the broker: ", confirm=True))
    document = {"broker": hexed(key.fingerprint), "public_key": str(store.public_key_file), "folder": str(store.folder)}
    shown = {"broker": document["broker"], "public key": document["public_key"]}
    return Output(document, [facts(shown), "Keep a copy of the folder's key.json and of its password."])


@command(broker, "import", example="cloister broker import share-1.json --manifest manifest.json")
def import_share(
    run: Run,
    share: Annotated[Path, typer.Argument(metavar="SHARE", help="Share file that `cloister model seal` wrote.")],
    manifest: Annotated[Path, typer.Option("--manifest", metavar="FILE", help="The sealed model's manifest.")],
) -> Output:
    """Take a share of a model's key into keeping.

    It is opened and checked against the manifest, and kept as it is: sealed to this broker.
    """
    from cloister.bootstrap import broker_store
    from cloister.sealing.deposits import Deposit

    store, deposit = broker_store(run.settings), Deposit.from_json(_read(share))
    parsed = store.import_share(store.load_key(_password(run)), deposit, _read(manifest))
    document = {"model": parsed.name, "manifest": hexed(deposit.manifest_hash), "index": deposit.index}
    assert parsed.sealing is not None  # a share was checked against it
    needed = f"{parsed.sealing.threshold} of {len(parsed.sealing.shares)}"
    shown = {"model": parsed.name, "manifest": document["manifest"], "share": deposit.index, "needed": needed}
    return Output(document, [facts(shown), "It is released only under a licence: cloister broker licence VERSION FILE"])


@command(broker, "licence", example="cloister broker licence 0x5f…c1 licence.json")
def licence(
    run: Run,
    version: Version,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Tiers (JSON) to replace the licence by.")] = None,
) -> Output:
    """Show or replace the licence of a model version.

    A licence is a list of tiers: {"name", "workers": [addresses] or "any", "releases": most or null, "from": second,
    "until": second or null}. The first tier that names a worker and allows a release counts. A running broker obeys at
    once; what was released stays released until its tier ended.
    """
    from cloister.bootstrap import broker_store
    from cloister.broker.licences import Licence

    store, version_id = broker_store(run.settings), version_of(version)
    if file is not None:
        store.put_licence(version_id, Licence.from_json(_read(file)))
    found = store.licence(version_id)
    if found is None:
        raise InvalidInput(f"This broker has no licence for {hexed(version_id)}.", "Name a file to give it one.")
    document = {"version": hexed(version_id), "tiers": [tier.to_content() for tier in found.tiers]}
    rows = [
        (
            tier.name,
            "any" if tier.workers is None else ", ".join(sorted(tier.workers)),
            "any number" if tier.releases is None else tier.releases,
            _date(tier.start) if tier.start else "-",
            _date(tier.until) if tier.until is not None else "-",
        )
        for tier in found.tiers
    ]
    return Output(document, [Table(("tier", "workers", "releases", "from", "until"), rows)])


@command(broker, "run", example="cloister broker run --listen 127.0.0.1:8650", service=True)
def serve(
    run: Run,
    listen: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen.")] = LISTEN,
) -> None:
    """Release shares to enclaves that may have them.

    It runs until SIGTERM or Ctrl-C. Whatever it cannot check or write down, it does not release. Shares leave sealed
    to the enclave that asked; to be reached from elsewhere, put a server with TLS and limits in front.
    """
    import structlog

    from cloister.cli.worker import stop_on_signals

    host, port = _address(listen)
    with stop_on_signals() as stop:
        network = run.network
        from cloister.bootstrap import open_broker
        from cloister.broker.web import serving

        log = structlog.get_logger()
        with open_broker(network, _password(run)) as opened, serving(opened, host, port) as url:
            run.screen.show(_introduction(opened, url))
            log.info("broker ready", url=url)
            stop.wait()
            log.info("broker stopped", url=url)


@command(broker, "log", example="cloister broker log releases.jsonl --head 0x5f…c1")
def show_log(
    run: Run,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A log that was handed over; without it, this broker's.")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            "--head", metavar="HASH", help="Hash of a line that the log must have, noted from an earlier status."
        ),
    ] = None,
) -> Output:
    """Show every release, and check the log.

    Its hash chain is followed from end to end: a line that was cut, changed or moved is named, and the exit code is 1.
    Lines cut from the end of a log that was handed over show only against a head that was noted before.
    """
    from hashlib import sha256

    from cloister.storage.release_entries import line_of, read_log

    path = file or _own_log(run)
    owner, entries = read_log(path)
    hashes = {sha256(line_of(owner)[:-1]).digest(), *(entry.hash for entry in entries)}
    if head is not None and unhexed(head, "The head") not in hashes:
        raise InvalidInput(f"The log {path} has no line with the hash {head}.", "It was cut, or is another broker's.")
    document = {
        "file": str(path),
        "broker": owner.get("broker"),
        "chain_id": owner.get("chain_id"),
        "registry": owner.get("registry"),
        "entries": [_entry(entry) for entry in entries],
    }
    rows = [
        (
            entry.number,
            _date(entry.release.time),
            hexed(entry.release.version),
            entry.release.worker,
            entry.release.tier,
            _date(entry.release.end) if entry.release.end else "-",
            entry.release.status + (" DEVELOPMENT" if entry.release.development else ""),
        )
        for entry in entries
    ]
    whole = f"The log is whole: {len(entries)} releases."
    if not entries:
        return Output(document, [whole])
    headers = ("entry", "time", "version", "worker", "tier", "until", "platform")
    return Output(document, [Table(headers, rows), f"{whole} Head {hexed(entries[-1].hash)}."])


def _introduction(opened: Broker, url: str) -> Output:
    document = {
        "url": url,
        "broker": hexed(opened.key.fingerprint),
        "chain_id": opened.chain_id,
        "registry": opened.workers.address,
        "entries": opened.log.count,
        "development": bool(opened.roots.development),
    }
    parts: list[str | Table] = [facts({"broker": document["broker"], "url": url, "releases so far": opened.log.count})]
    if opened.roots.development:
        parts.append("It takes DEVELOPMENT evidence, which protects nothing: its shares are as good as public.")
    return Output(document, parts)


def _entry(entry: Entry) -> dict[str, Any]:
    return {"number": entry.number, "hash": hexed(entry.hash), **entry.release.content()}


def _own_log(run: Run) -> Path:
    from cloister.bootstrap import broker_store

    found = sorted(broker_store(run.settings).folder.glob("releases-*.jsonl"))
    if len(found) != 1:
        what = "no log of releases" if not found else f"{len(found)} logs of releases"
        raise InvalidInput(f"There is {what} in {broker_store(run.settings).folder}.", "Name the file.")
    return found[0]


def _password(run: Run) -> str:
    from cloister.storage.passwords import password_from

    return password_from(run.settings.password_file, label="Password of the broker: ")


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InvalidInput(f"{listen!r} is no address to listen at.", "Write it as 127.0.0.1:8650.")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _date(second: int) -> str:
    try:
        return datetime.datetime.fromtimestamp(second, datetime.UTC).isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return str(second)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_FILE:
        raise InvalidInput(f"{path} has more than {MAX_FILE >> 20} MiB.")
    return data
