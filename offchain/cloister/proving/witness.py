"""From a run of the model to what the prover needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cloister.proving.circuit import Circuit
from cloister.proving.descriptor import range_circuit
from cloister.proving.model import CommittedModel, positions
from cloister.proving.prover import Witness, bits_of
from cloister.proving.vectors import EMPTY, CommittedVector


def inference_witness(
    model: CommittedModel,
    rows: NDArray[np.int64],
    inputs: CommittedVector = EMPTY,
    outputs: CommittedVector = EMPTY,
) -> Witness:
    """The witness of one inference on 2^β rows (2^β, *input shape).

    Raises InvalidModelInput for rows that the model does not take.
    """
    circuit = model.circuit
    sums = model.package.pre_activations(rows)
    shape = (len(rows), 1 << circuit.position_bits)
    z, x, y = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    x[:, positions(circuit.input)] = np.asarray(rows).reshape(len(rows), -1)
    z[:] = x << circuit.sigma
    for block, values in zip(circuit.blocks[1:], sums, strict=True):
        z[:, positions(block)] = values.reshape(len(rows), -1)
    bits = bits_of(z.reshape(-1), circuit.bits)
    y[:, positions(circuit.output)] = sums[-1].reshape(len(rows), -1) >> circuit.shift
    return Witness(bits, x.reshape(-1), y.reshape(-1), model, model.weights, inputs, outputs)


def range_witness(model: CommittedModel) -> tuple[Circuit, Witness]:
    """The range statement about a model's weights, and its witness. Raises InvalidCircuit if there are too many."""
    circuit = range_circuit(model.circuit.chunk_bits, model.circuit.chunks)
    x = np.zeros(1 << circuit.position_bits, dtype=np.int64)
    entries = model.weights.entries.reshape(-1)
    x[: len(entries)] = entries
    return circuit, Witness(bits_of(x, circuit.bits), x, np.zeros_like(x), None, inputs=model.weights)
