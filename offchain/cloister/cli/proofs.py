"""`cloister prove` and `cloister verify`: proofs as files, with or without a chain."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloister.cli.command import command
from cloister.cli.rows import read_rows, to_input
from cloister.cli.run import Run
from cloister.cli.screen import Output, facts
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import hexed

if TYPE_CHECKING:
    from cloister.fixedpoint import Manifest
    from cloister.proving import Circuit, Statement, Values

MAX_PROOF_BYTES = 64 << 20
WORD_BYTES = 32
REFUSED = 1

ContextText = Annotated[
    str, typer.Option("--context", metavar="HEX", help="32 bytes that the proof is bound to; without it, zeros.")
]


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    command(app, "prove", example="cloister prove models/digits --input rows.csv --out digits.proof")(prove)
    command(app, "verify", example="cloister verify digits.proof --model models/digits/manifest.json")(verify)


def prove(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of manifest.json and weights.safetensors.")],
    rows_from: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="JSON or CSV rows; - reads standard input.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the proof goes.")],
    integers: Annotated[
        bool, typer.Option("--integers", help="The rows are the model's integers, not measured numbers.")
    ] = False,
    show_input: Annotated[
        bool, typer.Option("--show-input", help="Put the input into the proof instead of a commitment to it.")
    ] = False,
    hide_output: Annotated[
        bool, typer.Option("--hide-output", help="Put a commitment to the output into the proof, not the output.")
    ] = False,
    bound_to: ContextText = "",
    blinding_file: Annotated[
        Path | None,
        typer.Option("--blinding-file", metavar="FILE", help="64 hex digits that hide what is committed; else random."),
    ] = None,
) -> Output:
    """Run a model and prove its answer, without showing weights.

    The proof says that the model behind the manifest's commitments gave this output. The input is hidden unless you
    show it; the output is shown unless you hide it. With a blinding file, commitments can be made again and so opened.
    """
    from cloister.fixedpoint import encode_input, load_package
    from cloister.proving import Kind, commit_model, prove_inference
    from cloister.storage.atomic import write_atomically

    bound = _context(bound_to)
    rows = read_rows(rows_from, integers=integers)
    package = load_package(folder)
    encoded = to_input(rows, package.manifest, integers=integers)
    secret = _secret(blinding_file, package.digest + bound + encode_input(encoded, package.manifest))
    with run.screen.waiting("Proving"):
        model = commit_model(package)
        started = time.perf_counter()
        proved = prove_inference(
            model,
            encoded,
            bound,
            secret,
            input_kind=Kind.PUBLIC if show_input else Kind.COMMITTED,
            output_kind=Kind.COMMITTED if hide_output else Kind.PUBLIC,
        )
        seconds = time.perf_counter() - started
    write_atomically(out, proved.proof)
    document = {
        "proof": str(out),
        "bytes": len(proved.proof),
        "seconds": round(seconds, 3),
        "rows": len(encoded),
        "answer": proved.outputs.tolist(),
    }
    shown = {
        "proof": f"{out}, {len(proved.proof):,} bytes, made in {seconds:.2f} s",
        "answer": _labels(package.manifest, proved.outputs.argmax(axis=1).tolist()),
        "input": "in the proof" if show_input else "hidden",
        "output": "hidden" if hide_output else "in the proof",
    }
    if package.manifest.circuit is None:
        shown["note"] = "the manifest names no circuit, so `cloister verify` cannot tie the proof to it"
    return Output(document | _statement_document(proved.statement, package.manifest), [facts(shown)])


def verify(
    run: Run,
    proof: Annotated[Path, typer.Argument(metavar="PROOF", help="Proof file, as `cloister prove` writes it.")],
    model: Annotated[
        Path, typer.Option("--model", metavar="PATH", help="The model's manifest.json, or the folder that holds it.")
    ],
    bound_to: ContextText = "",
    on_chain: Annotated[bool, typer.Option("--on-chain", help="Ask the deployment's verifier contract, too.")] = False,
) -> Output:
    """Check a proof file against a model's manifest.

    Needs no weights. The exit code is 0 for a proof that holds and 1 for any other. What holds is: the model with
    these commitments gave this output. Whose input it was, only the commitment and the context say.
    """
    from cloister.fixedpoint.files import read_capped
    from cloister.fixedpoint.limits import MAX_MANIFEST_BYTES
    from cloister.fixedpoint.manifest import Manifest

    bound = _context(bound_to)
    path = model / "manifest.json" if model.is_dir() else model
    manifest = Manifest.from_bytes(read_capped(path, MAX_MANIFEST_BYTES))
    data = _read(proof)
    document: dict[str, Any] = {"verdict": "accepted", "reason": None, "proof": str(proof), "model": manifest.name}
    document |= {"manifest": hexed(manifest.digest()), "context": hexed(bound)}
    statement: Statement | None = None
    try:
        statement = _checked(data, bound, manifest)
        if on_chain:
            document["on_chain"] = _ask_chain(run, statement, data)
    except _refusals() as refusal:
        document |= {"verdict": "refused", "reason": refusal.message}
    if statement is not None:
        document |= _statement_document(statement, manifest)
    shown = {
        "verdict": document["verdict"],
        "because": document["reason"],
        "model": manifest.name,
        "answer": _public_answer(statement, manifest),
        "on chain": document.get("on_chain", {}).get("verifier"),
    }
    run.screen.show(Output(document, [facts(shown)]))
    raise typer.Exit(0 if document["verdict"] == "accepted" else REFUSED)


def _checked(data: bytes, context: bytes, manifest: Manifest) -> Statement:
    """The statement of a proof that holds for this manifest's model. Raises InvalidProof or NotProvable."""
    from cloister.proving import InvalidProof, NotProvable, circuit_of
    from cloister.proving import verify as verify_proof

    record = manifest.circuit
    if record is None:
        raise NotProvable("This model's manifest names no circuit.", "Package it with one: docs/models.md.")
    circuit: Circuit = circuit_of(manifest)
    if circuit.digest.hex() != record.descriptor:
        raise NotProvable("The manifest's circuit is not that of its stages.", "The owner must package it again.")
    statement = verify_proof(data, context)
    if statement.circuit.digest != circuit.digest:
        raise InvalidProof("The proof is about another circuit.", "Check which model it was made for.")
    if statement.weights_digest.hex() != record.weights:
        raise InvalidProof("The proof is about other weights.", "Check which model it was made for.")
    return statement


def _ask_chain(run: Run, statement: Statement, data: bytes) -> dict[str, Any]:
    """Raises InvalidProof if the contract refuses, DeploymentFailed and the like if there is none."""
    from cloister.proving import InvalidProof

    network = run.network
    number = network.deployment.verifier
    if number is None:
        raise InvalidInput("This deployment names no verifier.", "Give --deployment a file that does.")
    verifier = network.verifiers.verifier(number)
    if verifier.address is None:
        raise InvalidProof(f"Verifier {number} has been removed: no proof counts any more.", "")
    reason = network.verifiers.refusal(
        verifier.address,
        circuit=statement.circuit.digest,
        weights=statement.weights_digest,
        inputs=statement.inputs_digest,
        outputs=statement.outputs_digest,
        context=statement.context,
        proof=data,
    )
    if reason is not None:
        raise InvalidProof(f"The contract refuses the proof: {reason}", "")
    return {"verifier": verifier.address, "number": number, "chain_id": network.connection.chain_id, "accepted": True}


def _refusals() -> tuple[type[CloisterError], ...]:
    from cloister.proving import InvalidProof, NotProvable

    return InvalidProof, NotProvable


def _statement_document(statement: Statement, manifest: Manifest) -> dict[str, Any]:
    return {
        "circuit": hexed(statement.circuit.digest),
        "weights": hexed(statement.weights_digest),
        "context": hexed(statement.context),
        "instances": statement.instances,
        "input": _values_document(statement.inputs, statement.inputs_digest, manifest.input.shape),
        "output": _values_document(statement.outputs, statement.outputs_digest, (manifest.outputs,)),
    }


def _values_document(values: Values, digest: bytes, shape: tuple[int, ...]) -> dict[str, Any]:
    import numpy as np
    from eth_hash.auto import keccak

    from cloister.proving import Kind

    document: dict[str, Any] = {"kind": values.kind.name.lower(), "digest": hexed(digest)}
    if values.points:
        document["commitment"] = hexed(keccak(values.points))
    if values.kind == Kind.PUBLIC:
        document["rows"] = np.array(values.words, dtype=np.int64).reshape(-1, *shape).tolist()
    return document


def _public_answer(statement: Statement | None, manifest: Manifest) -> str | None:
    import numpy as np

    if statement is None or not statement.outputs.words or statement.outputs.points:
        return None
    rows = np.array(statement.outputs.words, dtype=np.int64).reshape(-1, manifest.outputs)
    return _labels(manifest, rows.argmax(axis=1).tolist())


def _labels(manifest: Manifest, classes: list[int]) -> str:
    return ", ".join(manifest.labels[index] for index in classes)


def _context(text: str) -> bytes:
    try:
        data = bytes.fromhex(text.removeprefix("0x")) if text else bytes(WORD_BYTES)
    except ValueError:
        data = b""
    if len(data) != WORD_BYTES:
        raise InvalidInput(f"The context {text!r} is not 32 bytes in hexadecimal.", "Give 64 hex digits.")
    return data


def _secret(path: Path | None, about: bytes) -> bytes:
    """What blinds one statement. Two inputs under one blinding would show their difference, so it depends on both."""
    import secrets
    from hashlib import sha256

    from cloister.sealing.hkdf import derive

    if path is None:
        return secrets.token_bytes(WORD_BYTES)
    try:
        data = bytes.fromhex(path.read_text("ascii").strip().removeprefix("0x"))
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"The secret in {path} cannot be read: {type(error).__name__}.", "Give 64 hex digits."
        ) from None
    if len(data) != WORD_BYTES:
        raise InvalidInput(f"The secret in {path} has {len(data)} bytes, not 32.", "Give 64 hex digits.")
    return derive(data, f"cloister/1/blinding-file/{sha256(about).hexdigest()}")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PROOF_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > MAX_PROOF_BYTES:
        raise InvalidInput(f"{path} is longer than {MAX_PROOF_BYTES >> 20} MiB.", "It is no proof file.")
    return data
