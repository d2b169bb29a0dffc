"""One proved inference, whichever way its input and output are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cloister.fixedpoint import check_input
from cloister.proving import field
from cloister.proving.circuit import MAX_BATCH_BITS, MAX_VARIABLES, Circuit
from cloister.proving.errors import NotProvable
from cloister.proving.model import CommittedModel, block_vector, pad_rows, positions, scalars_of
from cloister.proving.prover import Draw, prove
from cloister.proving.scalars import R, uniform
from cloister.proving.statement import Kind, Statement, Values, value_chunks
from cloister.proving.vectors import EMPTY, CommittedVector, commit_field, commit_small
from cloister.proving.witness import inference_witness


@dataclass(frozen=True, slots=True, eq=False)
class ProvedInference:
    """A statement, its proof file, and the outputs (n, labels) of the rows that were asked for."""

    statement: Statement
    proof: bytes
    outputs: NDArray[np.int64]


def prove_inference(
    model: CommittedModel,
    rows: ArrayLike,
    context: bytes,
    secret: bytes,
    *,
    input_kind: Kind = Kind.COMMITTED,
    output_kind: Kind = Kind.PUBLIC,
    draw: Draw = uniform,
) -> ProvedInference:
    """Run the model on integer rows (n, *input shape) and prove it.

    Commitments to input and output, and the pad, derive from `secret` (32 bytes; docs/spec/commitments.md), which
    must serve one input only: the difference of two commitments under one blinding is no secret.
    Raises InvalidModelInput for rows that the model does not take, NotProvable for too many.
    """
    circuit = model.circuit
    checked = check_input(rows, model.package.manifest)
    padded, batch_bits = pad_rows(checked)
    check_size(circuit, batch_bits)
    y = model.package.run(padded)
    x_vector, y_vector = EMPTY, EMPTY
    inputs, outputs = Values.public(padded), Values.public(y)
    if input_kind == Kind.COMMITTED:
        x_vector = commit_rows(circuit, padded, secret)
        inputs = Values.committed(x_vector.encoded)
    if output_kind == Kind.COMMITTED:
        chunks = block_vector(circuit, circuit.output, y)
        y_vector = commit_small(chunks, scalars_of(secret, "output-blinding", len(chunks)))
        outputs = Values.committed(y_vector.encoded)
    if output_kind == Kind.MASKED:
        y_vector, pad = commit_pad_words(circuit, batch_bits, secret)
        masked = [(int(value) + k) % R for value, k in zip(y.reshape(-1), pad, strict=True)]
        outputs = Values.masked(y_vector.encoded, masked)
    statement = Statement(circuit, model.points, batch_bits, inputs, outputs, context)
    witness = inference_witness(model, padded, x_vector, y_vector)
    proof = statement.encode() + prove(statement, witness, draw).encode(statement)
    return ProvedInference(statement, proof, y[: len(checked)])


def check_size(circuit: Circuit, batch_bits: int) -> None:
    """Raise NotProvable for more rows than one proof carries."""
    if batch_bits > MAX_BATCH_BITS or circuit.position_bits + batch_bits > MAX_VARIABLES:
        raise NotProvable(f"2^{batch_bits} rows are too many for one proof of this model.", "Split the batch.")


def commit_rows(circuit: Circuit, padded: NDArray[np.int64], secret: bytes) -> CommittedVector:
    """C_X of 2^β rows."""
    chunks = block_vector(circuit, circuit.input, padded)
    return commit_small(chunks, scalars_of(secret, "input-blinding", len(chunks)))


def commit_pad_words(circuit: Circuit, batch_bits: int, secret: bytes) -> tuple[CommittedVector, Sequence[int]]:
    """The pad of 2^β rows of outputs: as committed, and its words in the order of the output."""
    block = circuit.output
    words = scalars_of(secret, "output-pad", circuit.outputs << batch_bits)
    count = value_chunks(circuit, block, batch_bits)
    flat = field.zeros(max(count * circuit.chunk, 1 << batch_bits + block.size_bits))
    inside = positions(block) - block.offset
    at = ((np.arange(1 << batch_bits)[:, None] << block.size_bits) + inside).reshape(-1)
    flat[at] = field.vector(words)
    entries = flat[: count * circuit.chunk].reshape(count, circuit.chunk, field.LIMBS)
    return commit_field(entries, scalars_of(secret, "pad-blinding", count)), words
