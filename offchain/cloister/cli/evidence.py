"""`cloister evidence`: what attestation evidence proves, and what this installation would prove."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloister.cli.command import command, group
from cloister.cli.run import Run
from cloister.cli.screen import Output, facts
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import Address, hexed

if TYPE_CHECKING:
    from cloister.attestation.verification import EvidencePolicy, Verdict

MAX_BYTES = 16 << 20
REFUSED = 1
QUOTE_END, REPORT_END = ".quote.bin", "_report.bin"


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    evidence = group("evidence", summary="Judge attestation evidence.")
    command(evidence, "verify", example="cloister evidence verify worker.quote.bin --now 1760896200")(verify)
    command(evidence, "measure", example="cloister evidence measure --json")(measure)
    command(evidence, "post", example="cloister evidence post platform.collateral.json --account steward")(post)
    app.add_typer(evidence)


def verify(
    run: Run,
    evidence: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="TDX or SGX quote, SEV-SNP report, or Nitro document.",
        ),
    ],
    collateral: Annotated[
        list[Path] | None,
        typer.Option(
            "--collateral",
            metavar="FILE",
            help="Signed documents (JSON), certificates or revocation lists (PEM, DER); as often as needed.",
        ),
    ] = None,
    now: Annotated[
        int | None, typer.Option("--now", metavar="SECOND", min=0, help="Judge as of this Unix second, not of now.")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="Policy of a model version; without it, any code on a platform that is up to date.",
        ),
    ] = None,
    development_root: Annotated[
        list[Path] | None,
        typer.Option(
            "--development-root",
            metavar="FILE",
            help="Root certificate (PEM, DER) of a development authority, whose evidence protects nothing.",
        ),
    ] = None,
    on_chain: Annotated[
        str | None,
        typer.Option("--on-chain", metavar="ADDRESS", help="Ask this TdxQuoteVerifier contract, too."),
    ] = None,
) -> Output:
    """Check evidence down to its vendor's root.

    The exit code is 0 for evidence that is accepted, 1 for evidence that is refused, and 2 when nothing was judged.
    Without --collateral, files beside the evidence that have its name are taken.
    """
    from cloister.attestation.verification import Roots, judge

    given = list(collateral or [])
    found_beside = [] if given else beside(evidence)
    roots = Roots.genuine(tuple(_root(path) for path in development_root or []))
    data = _read(evidence)
    verdict = judge(
        data,
        collateral=[_read(path) for path in given or found_beside],
        now=int(time.time()) if now is None else now,
        policy=_policy(policy, allow_development=bool(development_root)),
        roots=roots,
    )
    document: dict[str, Any] = {"evidence": str(evidence)}
    document["collateral"] = [str(path) for path in given or found_beside]
    if on_chain is not None:
        verdict, document["on_chain"] = _ask_chain(run, on_chain, data, verdict)
    run.screen.show(Output(verdict.to_json() | document, _shown(verdict, document, found_beside)))
    raise typer.Exit(0 if verdict.accepted else REFUSED)


def measure(run: Run) -> Output:
    """Show the measurement of this installation.

    A policy that names it admits development evidence of exactly this code, these dependencies and this Python; and
    of the code compiled ahead, if --enclave-compiled names any. The measurement of a real trust domain is that of its
    image.
    """
    from cloister.enclave.launcher import measured

    with run.screen.waiting("Measuring"):
        registers = measured(compiled=run.settings.enclave_compiled, cache=run.settings.data_dir / "measurement.json")
    document = {
        "measurement": hexed(registers.measurement()),
        "mrtd": hexed(registers.mrtd),
        "rtmr0": hexed(registers.rtmr0),
        "rtmr1": hexed(registers.rtmr1),
        "attributes": hexed(registers.attributes),
        "xfam": hexed(registers.xfam),
    }
    meaning = {"measurement": "", "mrtd": " (code)", "rtmr0": " (dependencies)", "rtmr1": " (interpreter)"}
    return Output(document, [facts({name + meaning.get(name, ""): value for name, value in document.items()})])


def post(
    run: Run,
    collateral: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Collateral of a quote (JSON), with all its documents and lists."),
    ],
) -> Output:
    """Tell the chain what a vendor has signed.

    Certificates and revocation lists may be registered by anybody; TCB info and QE identity are posted by the steward
    of the deployment, whose account this must be if they are new. Everything is checked on chain against the pinned
    roots. What the chain knows already is not sent again. Attestations rest on documents that are current: post new
    ones before `nextUpdate` of the old.
    """
    from cloister.attestation.collateral import transcribe
    from cloister.bootstrap import open_sender
    from cloister.chain.quotes import Quotes
    from cloister.quoting import teach

    found = transcribe(_read(collateral))
    network = run.network
    quotes = Quotes(network.connection, network.nodes.quotes())
    with open_sender(network, run.unlocked.account) as sender:
        sent = teach(quotes, sender, found)
    tcb, qe = quotes.tcb(found.root, found.tcb.fmspc), quotes.qe_identity(found.root)
    document = {
        "chain_id": network.connection.chain_id,
        "verifier": quotes.address,
        "transactions": sent,
        "fmspc": hexed(found.tcb.fmspc),
        "until": min(tcb.until, qe.until),
        "evaluation": tcb.evaluation,
    }
    until = datetime.datetime.fromtimestamp(min(tcb.until, qe.until), datetime.UTC).isoformat(" ", "seconds")
    shown = {"verifier": quotes.address, "kind of machine": document["fmspc"], "current until": until}
    return Output(document, [facts(shown), f"{sent} transactions were sent." if sent else "Nothing was new."])


def beside(evidence: Path) -> list[Path]:
    """Collateral that lies beside evidence under its name.

    For NAME.quote.bin that is NAME.collateral.json, for NAME_report.bin all NAME*.der and NAME*.pem.
    """
    folder, name = evidence.parent, evidence.name
    if name.endswith(QUOTE_END):
        found = folder / f"{name.removesuffix(QUOTE_END)}.collateral.json"
        return [found] if found.is_file() else []
    if name.endswith(REPORT_END):
        stem = name.removesuffix(REPORT_END)
        return sorted(
            path for path in folder.iterdir() if path.name.startswith(stem) and path.suffix in (".der", ".pem")
        )
    return []


def _shown(verdict: Verdict, document: dict[str, Any], found_beside: Sequence[Path]) -> list[Any]:
    parts: list[Any] = []
    if verdict.development:
        parts.append("DEVELOPMENT evidence: NOT A TEE. It protects nothing against whoever has the machine.\n")
    chain = document.get("on_chain", {})
    rows = {
        "verdict": "accepted" if verdict.accepted else "refused",
        "because": verdict.reason or None,
        "kind": verdict.kind,
        "status": verdict.status or None,
        "measurement": hexed(verdict.measurement) if verdict.measurement else None,
        "report data": hexed(verdict.report_data) if verdict.report_data else None,
        "platform": hexed(verdict.platform) if verdict.platform else None,
        "holds until": _date(verdict.valid_until) if verdict.valid_until is not None else None,
        "on chain": chain.get("status") or chain.get("error"),
        "revocation": verdict.details.get("revocation"),
        "collateral": ", ".join(f"{path.name} (found beside it)" for path in found_beside) or None,
    }
    return [*parts, facts(rows)]


def _date(second: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(second))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise typer.BadParameter(f"{path} has more than {MAX_BYTES >> 20} MiB.")
    return data


def _root(path: Path) -> bytes:
    from cloister.attestation.chains import certificate_of, certificates_of, der_of

    data = _read(path)
    try:
        return der_of(certificates_of(data)[0] if b"-----BEGIN" in data else certificate_of(data))
    except CloisterError as error:
        raise typer.BadParameter(f"{path} is no root certificate: {error.message}") from error


def _policy(path: Path | None, *, allow_development: bool) -> EvidencePolicy:
    from cloister.attestation.verification import EvidencePolicy
    from cloister.domain.attested import Policy

    if path is None:
        return EvidencePolicy(allow_development=allow_development)
    try:
        return EvidencePolicy.of_policy(Policy.from_json(_read(path).decode()))
    except (InvalidInput, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: {error}") from error


def _ask_chain(run: Run, address: str, quote: bytes, verdict: Verdict) -> tuple[Verdict, dict[str, Any]]:
    """The verdict, refused if the contract disagrees or cannot be asked; and what the contract says."""
    from eth_utils.address import is_address, to_checksum_address

    from cloister.attestation.collateral import platform_certificate, to_on_chain
    from cloister.chain.connection import Connection
    from cloister.chain.quotes import Quotes

    if not is_address(address):
        raise typer.BadParameter(f"{address} is no address.")
    settings = run.settings
    try:
        connection = Connection(settings.rpc_url, settings.chain_id)
        quotes = Quotes(connection, Address(to_checksum_address(address)))
        report = quotes.verify(to_on_chain(quote), platform_certificate(quote).id)
    except CloisterError as error:
        asked: dict[str, Any] = {"accepted": False, "error": getattr(error, "name", "") or error.message}
        return _refuse(verdict, f"the chain refuses it: {asked['error']}"), asked
    asked = {
        "accepted": True,
        "status": report.status.label,
        "measurement": hexed(report.measurement),
        "platform": hexed(report.platform),
        "development": report.development,
        "valid_until": report.valid_until,
    }
    same = (report.status.label, report.measurement, report.platform, report.development) == (
        verdict.status,
        verdict.measurement,
        verdict.platform,
        verdict.development,
    )
    if verdict.proved and not same:
        return _refuse(verdict, "the chain finds something else in it"), asked
    return verdict, asked


def _refuse(verdict: Verdict, reason: str) -> Verdict:
    return replace(verdict, accepted=False, reason=verdict.reason or reason)
