"""Proofs as a market uses them: input committed, output masked by a one-time pad, both from the job's secret.

The requester commits to the input and to a pad before it posts a job. The worker publishes output + pad and proves it,
so that it is paid only for an answer which the requester can read, and nobody else learns either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from eth_hash.auto import keccak
from numpy.typing import ArrayLike, NDArray

from cloister.proving.circuit import Circuit
from cloister.proving.errors import InvalidCircuit, InvalidProof, NotProvable
from cloister.proving.inference import check_size, commit_pad_words, commit_rows, prove_inference
from cloister.proving.model import CommittedModel, derive_scalar, pad_rows, scalars_of
from cloister.proving.prover import prove
from cloister.proving.scalars import SCALAR_BYTES, R
from cloister.proving.statement import NOTHING, Kind, Statement, Values, input_digest
from cloister.proving.witness import range_witness


@dataclass(frozen=True, slots=True, eq=False)
class JobProof:
    """What a worker sends: the masked output and the proof file, and what they are about."""

    masked: bytes
    proof: bytes
    input_digest: bytes
    pad_digest: bytes
    outputs: NDArray[np.int64]


def commit_input(circuit: Circuit, rows: NDArray[np.int64], secret: bytes) -> bytes:
    """The digest of input rows (n, *shape), committed and blinded from the job secret.

    It tells how many rows there are, up to the next power of two. Raises NotProvable for too many.
    """
    padded, batch_bits = pad_rows(rows)
    check_size(circuit, batch_bits)
    return input_digest(Values.committed(commit_rows(circuit, padded, secret).encoded), batch_bits)


def commit_pad(circuit: Circuit, rows: int, secret: bytes) -> bytes:
    """Keccak-256 of the commitment to the pad for the outputs of n rows. Raises NotProvable for too many."""
    check_size(circuit, _batch_bits(rows))
    return keccak(commit_pad_words(circuit, _batch_bits(rows), secret)[0].encoded)


def prove_job(model: CommittedModel, rows: ArrayLike, context: bytes, secret: bytes) -> JobProof:
    """Run the model on rows (n, *shape) and prove it. Raises InvalidModelInput, and NotProvable for too many rows."""
    proved = prove_inference(model, rows, context, secret, output_kind=Kind.MASKED)
    outputs = proved.statement.outputs
    return JobProof(
        masked=outputs.public_bytes,
        proof=proved.proof,
        input_digest=proved.statement.inputs_digest,
        pad_digest=keccak(outputs.points),
        outputs=proved.outputs,
    )


def mask(circuit: Circuit, outputs: NDArray[np.int64], secret: bytes) -> bytes:
    """Outputs (n, outputs) plus the pad: the words that a proof of them shows, without the proof.

    Raises NotProvable for too many rows.
    """
    padded, batch_bits = pad_rows(outputs)
    check_size(circuit, batch_bits)
    pad = scalars_of(secret, "output-pad", padded.size)
    words = ((value + word) % R for value, word in zip(padded.reshape(-1).tolist(), pad, strict=True))
    return b"".join(word.to_bytes(SCALAR_BYTES, "big") for word in words)


def unmask(circuit: Circuit, rows: int, masked: bytes, secret: bytes) -> NDArray[np.int64]:
    """Outputs (n, outputs) from masked words. Raises InvalidProof if they are not small integers under this pad."""
    batch_bits = _batch_bits(rows)
    count = circuit.outputs << batch_bits
    if len(masked) != count * SCALAR_BYTES:
        raise InvalidProof(
            f"The masked output has {len(masked)} bytes, not {count * SCALAR_BYTES}.", "It is for another job."
        )
    limit = 1 << circuit.bits - 1 - circuit.shift
    outputs = []
    for index in range(rows * circuit.outputs):
        word = int.from_bytes(masked[index * SCALAR_BYTES : (index + 1) * SCALAR_BYTES], "big")
        value = (word - derive_scalar(secret, f"cloister/1/output-pad/{index}") + limit) % R - limit
        if value >= limit or word >= R:
            raise InvalidProof("The masked output does not open under this job's pad.", "It is for another job.")
        outputs.append(value)
    return np.array(outputs, dtype=np.int64).reshape(rows, circuit.outputs)


def prove_weights(model: CommittedModel, context: bytes) -> bytes:
    """A proof file that all committed weights are 16-bit integers (section 9).

    Raises NotProvable for a model too large to be shown so.
    """
    try:
        circuit, witness = range_witness(model)
    except InvalidCircuit as error:
        raise NotProvable(
            f"The weights fill {model.circuit.chunks} chunks, too many to be proved integers.",
            "The model can still be used for AGREED jobs.",
        ) from error
    statement = Statement(circuit, b"", 0, Values.committed(model.points), NOTHING, context)
    return statement.encode() + prove(statement, witness).encode(statement)


def _batch_bits(rows: int) -> int:
    return (rows - 1).bit_length()
