"""Write tests/vectors/proofs: proofs that every verifier must accept, and neighbours that every verifier must refuse.

    python scripts/proof_vectors.py            # write
    python scripts/proof_vectors.py --check    # make them again and compare

The randomness is seeded, so the bytes are reproducible and the proofs hide nothing: their models are public or random.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cloister.fixedpoint import Package, load_heldout, load_package
from cloister.proving import InvalidProof, Kind, Statement, Values, commit_model, prove_inference
from cloister.proving.circuit import bits_for
from cloister.proving.curve import POINT_BYTES
from cloister.proving.inference import commit_pad_words, commit_rows
from cloister.proving.messages import degree_of, messages_size
from cloister.proving.prover import prove
from cloister.proving.scalars import SCALAR_BYTES, R
from cloister.proving.statement import HEADER_BYTES, NOTHING, decode_statement
from cloister.proving.witness import inference_witness, range_witness

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests/vectors/proofs"
sys.path.insert(0, str(ROOT / "tests/unit/fixedpoint"))

BASE_MODULUS = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB


@dataclass(frozen=True)
class Proof:
    """A statement and its proof file; `descriptor` is the model's, for a range statement."""

    name: str
    statement: Statement
    proof: bytes
    descriptor: bytes = b""
    why: str = "honest"
    accepted: bool = True

    def record(self) -> dict[str, Any]:
        """The JSON of one vector."""
        statement = self.statement
        circuit = statement.circuit.digest
        fields = {
            "circuit": circuit,
            "weights": statement.weights_digest,
            "input": statement.inputs_digest,
            "output": statement.outputs_digest,
            "context": statement.context,
        }
        record: dict[str, Any] = {
            "statement": {key: "0x" + value.hex() for key, value in fields.items()},
            "proof": "0x" + self.proof.hex(),
            "accepted": self.accepted,
            "why": self.why,
        }
        if self.descriptor:
            record |= {"kind": "weights", "descriptor": "0x" + self.descriptor.hex()}
        return record


class Seeded:
    """Reproducible field elements."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def __call__(self) -> int:
        return self._random.randrange(R)


def proof_of(name: str, package: Package, rows: NDArray[np.int64], input_kind: Kind, output_kind: Kind) -> Proof:
    """An honest proof of one inference."""
    secret = sha256(name.encode()).digest()
    kinds = {"input_kind": input_kind, "output_kind": output_kind}
    proved = prove_inference(commit_model(package), rows, _context(name), secret, **kinds, draw=Seeded(name))
    return Proof(name, proved.statement, proved.proof)


def range_proof(name: str, package: Package) -> Proof:
    """An honest proof that a model's weights are integers."""
    model = commit_model(package)
    circuit, witness = range_witness(model)
    statement = Statement(circuit, b"", 0, Values.committed(model.points), NOTHING, _context(name))
    proof = statement.encode() + prove(statement, witness, Seeded(name)).encode(statement)
    return Proof(name, statement, proof, model.circuit.descriptor)


def fewer_rows(package: Package, rows: NDArray[np.int64]) -> Proof:
    """Half of a batch proved against the commitments to all of it, which have the same number of chunks."""
    name = "fewer-rows-than-committed"
    draw, secret, model = Seeded(name), sha256(name.encode()).digest(), commit_model(package)
    inputs, batch_bits = commit_rows(model.circuit, rows, secret), bits_for(len(rows))
    pad, words = commit_pad_words(model.circuit, batch_bits, secret)
    half = rows[: len(rows) // 2]
    masked = [(int(y) + k) % R for y, k in zip(package.run(half).reshape(-1), words, strict=False)]
    given, result = Values.committed(inputs.encoded), Values.masked(pad.encoded, masked)
    lie = Statement(model.circuit, model.points, batch_bits - 1, given, result, _context(name))
    proof = lie.encode() + prove(lie, inference_witness(model, half, inputs, pad), draw).encode(lie)
    asked = replace(lie, batch_bits=batch_bits)
    return Proof(name, asked, proof, why="fewer rows than were committed", accepted=False)


def _context(name: str) -> bytes:
    return f"context of {name}".encode().ljust(32, b".")[:32]


# ---------------------------------------------------------------- neighbours


def neighbours(honest: Proof) -> Iterator[Proof]:
    """What each kind of damage to a proof must do: be refused."""
    proof, statement = honest.proof, honest.statement
    start = len(proof) - messages_size(statement)
    scalars = start + (statement.bit_chunks + 1) * POINT_BYTES

    def bad(why: str, data: bytes, context: bytes = statement.context) -> Proof:
        slug = why.replace(" ", "-").replace("'", "").replace("/", "-over-")
        asked = replace(statement, context=context)
        mended = with_true_inverse(data, context)
        return replace(honest, name=f"{honest.name}--{slug}", statement=asked, proof=mended, why=why, accepted=False)

    def patched(at: int, data: bytes) -> bytes:
        return proof[:at] + data + proof[at + len(data) :]

    for why, at in (
        ("flipped batch size", 0),
        ("flipped input kind", 1),
        ("flipped output kind", 2),
        ("flipped reserved byte", 3),
        ("flipped descriptor", HEADER_BYTES + 9),
        ("flipped bit commitment", start + 127),
        ("flipped round", scalars + 31),
        ("flipped opening", len(proof) - 1),
        ("flipped a1", len(proof) - 2 * POINT_BYTES - 1),
    ):
        yield bad(why, patched(at, bytes([proof[at] ^ 1])))
    yield bad("cut short", proof[:-1])
    yield bad("cut by a word", proof[:-32])
    yield bad("one byte longer", proof + b"\0")
    yield bad("empty", b"")
    first, second = proof[start : start + POINT_BYTES], proof[start + POINT_BYTES : start + 2 * POINT_BYTES]
    yield bad("swapped points", patched(start, second + first))
    value = int.from_bytes(proof[scalars : scalars + SCALAR_BYTES], "big")
    if value + R < 2**256:
        yield bad("scalar plus r", patched(scalars, (value + R).to_bytes(SCALAR_BYTES, "big")))
    yield bad("scalar all ones", patched(scalars, b"\xff" * SCALAR_BYTES))
    x = int.from_bytes(first[16:64], "big")
    yield bad("coordinate plus modulus", patched(start, (x + BASE_MODULUS).to_bytes(64, "big")))
    yield bad("coordinate with high bytes", patched(start, b"\1"))
    yield bad("point off the curve", patched(start, (x + 1).to_bytes(64, "big")))
    yield bad("point outside the subgroup", patched(start, _stray_point()))
    yield bad("point at infinity", patched(start, bytes(POINT_BYTES)))
    yield bad("last point at infinity", patched(len(proof) - POINT_BYTES, bytes(POINT_BYTES)))
    yield bad("last point negated", patched(len(proof) - 64, _negated(proof[-64:])))
    other = bytes([statement.context[0] ^ 1]) + statement.context[1:]
    yield bad("other context", proof, other)
    inverse = len(proof) - 2 * POINT_BYTES - 2 * SCALAR_BYTES
    value = int.from_bytes(proof[inverse : inverse + SCALAR_BYTES], "big")
    for why, wrong in (("wrong 1/z", value ^ 1), ("1/z plus r", value + R)):
        data = patched(inverse, wrong.to_bytes(SCALAR_BYTES, "big"))
        yield replace(bad(why, proof), proof=data)


def with_true_inverse(proof: bytes, context: bytes) -> bytes:
    """The file with the 1/z that follows from what it says before: else that check alone would refuse most damage."""
    try:
        statement, messages = decode_statement(proof, context)
    except InvalidProof:
        return proof
    if len(messages) != messages_size(statement):
        return proof
    transcript, at = statement.transcript(), 0
    sizes = [(statement.bit_chunks + 1) * POINT_BYTES]
    sizes += [degree_of(i) * SCALAR_BYTES for i in range(statement.variables)]
    opening = 3 * POINT_BYTES + 2 * SCALAR_BYTES
    sizes += [len(messages) - sum(sizes) - opening, POINT_BYTES]
    for size in sizes:
        transcript.absorb(messages[at : at + size])
        at += size
    at += len(proof) - len(messages)
    return proof[:at] + pow(transcript.challenge(), -1, R).to_bytes(SCALAR_BYTES, "big") + proof[at + SCALAR_BYTES :]


def edges(shown: Proof, masked: Proof) -> Iterator[Proof]:
    """Public values that are out of range, and another pad: the statement says the same as the file."""
    limit = 1 << shown.statement.circuit.input_bits
    for why, value in (("input one too large", limit), ("input one too small", -limit - 1)):
        words = (value, *shown.statement.inputs.words[1:])
        yield _restated(shown, why, inputs=replace(shown.statement.inputs, words=words))
    limit = 1 << shown.statement.circuit.bits - 1 - shown.statement.circuit.shift
    for why, value in (("output one too large", limit), ("output one too small", -limit - 1)):
        words = (value, *shown.statement.outputs.words[1:])
        yield _restated(shown, why, outputs=replace(shown.statement.outputs, words=words))
    outputs = masked.statement.outputs
    yield _restated(
        masked, "masked word plus r", outputs=replace(outputs, words=(outputs.words[0] + R, *outputs.words[1:]))
    )
    other = masked.statement.weights[:POINT_BYTES]
    yield _restated(masked, "another pad", outputs=replace(outputs, points=other + outputs.points[POINT_BYTES:]))


def _restated(honest: Proof, why: str, **values: Values) -> Proof:
    statement = replace(honest.statement, **values)  # type: ignore[arg-type]
    messages = honest.proof[len(honest.statement.encode()) :]
    name = f"{honest.name}--{why.replace(' ', '-')}"
    proof = with_true_inverse(statement.encode() + messages, statement.context)
    return Proof(name, statement, proof, why=why, accepted=False)


def _stray_point() -> bytes:
    """On the curve, outside the subgroup."""
    x = 4
    y = pow(x**3 + 4, (BASE_MODULUS + 1) // 4, BASE_MODULUS)
    assert y * y % BASE_MODULUS == (x**3 + 4) % BASE_MODULUS
    return x.to_bytes(64, "big") + y.to_bytes(64, "big")


def _negated(y: bytes) -> bytes:
    return (BASE_MODULUS - int.from_bytes(y, "big")).to_bytes(64, "big")


def all_proofs() -> Iterator[Proof]:
    """Every vector."""
    from random_networks import make_package, random_rows  # type: ignore[import-not-found]

    for name in ("breast-cancer", "digits", "digits-cnn"):
        package, rows = load_package(ROOT / "models" / name), load_heldout(ROOT / "models" / name).rows
        yield proof_of(name, package, rows[:1].astype(np.int64), Kind.COMMITTED, Kind.MASKED)
        yield range_proof(f"{name}-weights", package)
    small = (
        ("mlp", 1, Kind.PUBLIC, Kind.PUBLIC),
        ("mlp", 3, Kind.COMMITTED, Kind.COMMITTED),
        ("mlp", 2, Kind.PUBLIC, Kind.MASKED),
        ("linear", 4, Kind.COMMITTED, Kind.PUBLIC),
        ("conv_stride_padding", 1, Kind.COMMITTED, Kind.MASKED),
        ("pool_before_linear", 2, Kind.COMMITTED, Kind.COMMITTED),
        ("pool_before_conv", 1, Kind.PUBLIC, Kind.PUBLIC),
        ("pool_overlapping_padded", 1, Kind.COMMITTED, Kind.MASKED),
        ("residual_projection", 1, Kind.COMMITTED, Kind.MASKED),
        ("residual_pooled_shortcut", 1, Kind.COMMITTED, Kind.MASKED),
        ("batch_norm_before_padded_conv", 1, Kind.PUBLIC, Kind.COMMITTED),
        ("conv_flatten_batch_norm", 2, Kind.COMMITTED, Kind.MASKED),
    )
    made = []
    for number, (name, count, input_kind, output_kind) in enumerate(small):
        package = make_package(name, seed=number)
        label = f"{name.replace('_', '-')}-{count}-{input_kind.name}-{output_kind.name}".lower()
        honest = proof_of(label, package, random_rows(package, number, count), input_kind, output_kind)
        made.append(honest)
        yield honest
    yield from neighbours(made[1])
    yield from edges(made[0], made[2])
    package = make_package("mlp", seed=3)
    yield fewer_rows(package, random_rows(package, 3, 2))
    yield from neighbours(range_proof("mlp-weights", make_package("mlp", seed=0)))


def main() -> int:
    """Returns 1 if, with --check, a file differs."""
    parser = argparse.ArgumentParser(description="Write the proof vectors.")
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    options = parser.parse_args()
    files = {f"{proof.name}.json": json.dumps(proof.record(), indent=1) + "\n" for proof in all_proofs()}
    present = {path.name: path.read_text() for path in FOLDER.glob("*.json")} if FOLDER.exists() else {}
    if options.check:
        different = sorted(name for name in files.keys() | present.keys() if files.get(name) != present.get(name))
        for name in different:
            print(f"{name} differs from what scripts/proof_vectors.py makes", file=sys.stderr)
        return 1 if different else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in present.keys() - files.keys():
        (FOLDER / name).unlink()
    for name, text in files.items():
        (FOLDER / name).write_text(text)
    print(f"{len(files)} vectors in {FOLDER.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
