"""What a proof is about: circuit, weights, input, output and context; their digests and their bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Final

import numpy as np
from eth_abi.abi import encode
from eth_hash.auto import keccak
from numpy.typing import NDArray

from cloister.proving.circuit import MAX_BATCH_BITS, MAX_VARIABLES, Block, Circuit, last_index
from cloister.proving.curve import POINT_BYTES
from cloister.proving.descriptor import decode
from cloister.proving.errors import InvalidCircuit, InvalidProof
from cloister.proving.scalars import SCALAR_BYTES, R
from cloister.proving.transcript import Transcript

NO_DIGEST: Final = bytes(32)
NO_WEIGHTS: Final = keccak(b"")
INTEGER_BYTES: Final = 4
HEADER_BYTES: Final = 6
DAMAGED: Final = "The proof is damaged, or for another statement."


class Kind(IntEnum):
    """How an input or output is given."""

    PUBLIC = 0
    COMMITTED = 1
    MASKED = 2


@dataclass(frozen=True)
class Values:
    """An input or an output: `points` of its commitment (or of its pad) and `words`, its public numbers.

    Words are all 2^β instances' real entries, row-major: integers for PUBLIC, elements of F for MASKED.
    """

    kind: Kind
    points: bytes = b""
    words: tuple[int, ...] = ()

    @classmethod
    def public(cls, rows: NDArray[np.int64]) -> Values:
        """Public integers (instances, entries)."""
        return cls(Kind.PUBLIC, words=tuple(int(x) for x in rows.reshape(-1)))

    @classmethod
    def committed(cls, points: bytes) -> Values:
        """Hidden numbers behind a commitment."""
        return cls(Kind.COMMITTED, points)

    @classmethod
    def masked(cls, pad_points: bytes, words: Sequence[int]) -> Values:
        """Numbers plus a committed pad."""
        return cls(Kind.MASKED, pad_points, tuple(words))

    @cached_property
    def public_bytes(self) -> bytes:
        """The public numbers as the digest and the proof file have them."""
        size, signed = (INTEGER_BYTES, True) if self.kind == Kind.PUBLIC else (SCALAR_BYTES, False)
        return b"".join(word.to_bytes(size, "big", signed=signed) for word in self.words)

    @property
    def digests(self) -> tuple[bytes, bytes]:
        """Of the points and of the public numbers: Keccak-256, or zero without any."""
        return keccak(self.points) if self.points else NO_DIGEST, keccak(self.public_bytes) if self.words else NO_DIGEST

    @property
    def data(self) -> bytes:
        """Its part of a proof file."""
        return self.points + self.public_bytes


def input_digest(values: Values, batch_bits: int) -> bytes:
    """The digest of an input of 2^β instances: section 8."""
    words = [int(values.kind), batch_bits, *values.digests]
    return keccak(encode(["uint256", "uint256", "bytes32", "bytes32"], words))


def output_digest(values: Values) -> bytes:
    """The digest of an output: section 8."""
    return keccak(encode(["uint256", "bytes32", "bytes32"], [int(values.kind), *values.digests]))


NOTHING: Final = Values(Kind.PUBLIC)


@dataclass(frozen=True)
class Statement:
    """What is proved. `weights` are the points of C_W, `batch_bits` is β; `outputs` is NOTHING without stages."""

    circuit: Circuit
    weights: bytes
    batch_bits: int
    inputs: Values
    outputs: Values
    context: bytes

    @property
    def variables(self) -> int:
        """n = m + β."""
        return self.circuit.position_bits + self.batch_bits

    @property
    def instances(self) -> int:
        """2^β."""
        return 1 << self.batch_bits

    @property
    def bit_chunks(self) -> int:
        """Chunks of the bits vector."""
        return -(-(self.circuit.bits << self.variables) // self.circuit.chunk)

    @cached_property
    def weights_digest(self) -> bytes:
        """Keccak-256 of the points of C_W."""
        return keccak(self.weights)

    @property
    def inputs_digest(self) -> bytes:
        """The digest of the input and of how many rows it has."""
        return input_digest(self.inputs, self.batch_bits)

    @property
    def outputs_digest(self) -> bytes:
        """The digest of the output; zero without stages."""
        return output_digest(self.outputs) if self.circuit.stages else NO_DIGEST

    def transcript(self) -> Transcript:
        """A transcript that has absorbed every public value (PROOF-4)."""
        return Transcript(
            context=self.context,
            circuit=self.circuit.digest,
            weights=self.weights_digest,
            inputs=self.inputs_digest,
            outputs=self.outputs_digest,
            batch_bits=self.batch_bits,
        )

    def encode(self) -> bytes:
        """All of a proof file before its messages."""
        descriptor = self.circuit.descriptor
        head = bytes((self.batch_bits, self.inputs.kind, self.outputs.kind, 0)) + len(descriptor).to_bytes(2, "big")
        return head + descriptor + self.weights + self.inputs.data + self.outputs.data


def value_chunks(circuit: Circuit, block: Block, batch_bits: int) -> int:
    """Chunks of X, Y or a pad: up to the last real entry of the last instance."""
    last = ((1 << batch_bits) - 1 << block.size_bits) + last_index(block.shape)
    return last // circuit.chunk + 1


def decode_statement(data: bytes, context: bytes) -> tuple[Statement, bytes]:
    """A proof file's statement, under a context, and the bytes of its messages. Raises InvalidProof (PROOF-5)."""
    if len(data) < HEADER_BYTES or data[3]:
        raise InvalidProof("The proof file has no valid header.", DAMAGED)
    batch_bits, at = data[0], HEADER_BYTES + int.from_bytes(data[4:6], "big")
    try:
        circuit = decode(data[HEADER_BYTES:at])
        input_kind, output_kind = Kind(data[1]), Kind(data[2])
    except InvalidCircuit as error:
        raise InvalidProof(error.message, error.hint) from error
    except ValueError:
        raise InvalidProof("The proof file has values of an unknown kind.", DAMAGED) from None
    n = circuit.position_bits + batch_bits
    if batch_bits > MAX_BATCH_BITS or not 1 <= n <= MAX_VARIABLES or input_kind == Kind.MASKED:
        raise InvalidProof(f"The proof file has 2^{batch_bits} instances and an input of kind {input_kind}.", DAMAGED)
    if not circuit.stages and (output_kind != Kind.PUBLIC or batch_bits):
        raise InvalidProof("The proof file has an output, or a batch, of a circuit without stages.", DAMAGED)
    reader = _Reader(data, at)
    weights = reader.take(circuit.chunks * POINT_BYTES)
    limit = 1 << circuit.input_bits
    inputs = reader.values(circuit, circuit.input, batch_bits, input_kind, circuit.inputs, limit)
    outputs = NOTHING
    if circuit.stages:
        limit = 1 << circuit.bits - 1 - circuit.shift
        outputs = reader.values(circuit, circuit.output, batch_bits, output_kind, circuit.outputs, limit)
    return Statement(circuit, weights, batch_bits, inputs, outputs, context), reader.rest()


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise InvalidProof("The proof file is cut short.", DAMAGED)
        self._at += size
        return self._data[self._at - size : self._at]

    def rest(self) -> bytes:
        return self._data[self._at :]

    def values(self, circuit: Circuit, block: Block, batch_bits: int, kind: Kind, entries: int, limit: int) -> Values:
        points = b"" if kind == Kind.PUBLIC else self.take(value_chunks(circuit, block, batch_bits) * POINT_BYTES)
        if kind == Kind.COMMITTED:
            return Values(kind, points)
        count = entries << batch_bits
        size, signed = (INTEGER_BYTES, True) if kind == Kind.PUBLIC else (SCALAR_BYTES, False)
        data = self.take(count * size)
        words = tuple(int.from_bytes(data[i : i + size], "big", signed=signed) for i in range(0, len(data), size))
        low, high = (-limit, limit) if kind == Kind.PUBLIC else (0, R)
        if not all(low <= word < high for word in words):
            raise InvalidProof(f"A public number lies outside [{low}, {high}).", DAMAGED)
        return Values(kind, points, words)
