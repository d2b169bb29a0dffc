"""The public description of a packaged model, and its one canonical byte form.

Canonical form: RFC 8785 (JSON Canonicalization Scheme) restricted to objects, arrays, strings, booleans, null
and integers. UTF-8, members sorted by name, no white space, no fractions or exponents, every field present.
A manifest is identified by the SHA-256 of these bytes, and bytes in any other form are refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from cloister.fixedpoint.errors import InvalidPackage
from cloister.fixedpoint.graph import (
    STRICT,
    Arithmetic,
    BadGraph,
    Extent,
    Stage,
    TensorName,
    Text,
    tensor_shapes,
)
from cloister.fixedpoint.limits import (
    MAX_LABELS,
    MAX_MANIFEST_BYTES,
    MAX_STAGES,
    MAX_TENSORS,
    MAX_TEXT,
    MAX_WEIGHTS_BYTES,
)
from cloister.fixedpoint.preprocessing import InputSpec

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"
MAX_ATTACHMENTS = 16
FORMAT: Literal["cloister-model/1"] = "cloister-model/1"
REPACKAGE = "Fetch the manifest again; if that does not help, the owner must package the model again."

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRecord:
    """One tensor of the weights file. `sha256` is over the file's salt followed by the tensor's bytes."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: TensorName
    dtype: Literal["I16", "I32"]
    shape: Annotated[tuple[Extent, ...], Field(min_length=1, max_length=4)]
    sha256: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsRecord:
    """The weights file: its length and the SHA-256 under which stores know it."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    bytes: Annotated[int, Field(ge=8, le=MAX_WEIGHTS_BYTES)]
    sha256: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRecord:
    """What proofs are about: Keccak-256 of circuit descriptor and weight commitments (docs/spec/proofs.md)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    descriptor: Digest
    weights: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Counts on held-out rows: right answers of each model, and rows where both give the same class."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    rows: Annotated[int, Field(ge=1, le=2**53)]
    float_correct: Count
    fixed_correct: Count
    agree: Count

    @property
    def float_accuracy(self) -> float:
        """Share of rows that the PyTorch model gets right."""
        return self.float_correct / self.rows

    @property
    def fixed_accuracy(self) -> float:
        """Share of rows that the packaged model gets right."""
        return self.fixed_correct / self.rows

    @property
    def agreement(self) -> float:
        """Share of rows where both models name the same class."""
        return self.agree / self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """A ciphertext as stores know it."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    bytes: Annotated[int, Field(ge=16, le=2 * MAX_WEIGHTS_BYTES)]
    sha256: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file sealed beside the weights: the ciphertext as stores know it, and the length of what is in it."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    bytes: Annotated[int, Field(ge=16, le=2 * MAX_WEIGHTS_BYTES)]
    sha256: Digest
    plain_bytes: Annotated[int, Field(ge=0, le=MAX_WEIGHTS_BYTES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """How the weights are sealed (docs/spec/enclaves.md): `key` and `shares` are commitments."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    algorithm: Literal["stream-aes-256-gcm"]
    segment: Literal[1048576]
    weights: SealedFile
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=MAX_ATTACHMENTS)]
    key: Digest
    threshold: Annotated[int, Field(ge=1, le=255)]
    shares: Annotated[tuple[Digest, ...], Field(min_length=1, max_length=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything about a packaged model except its weights. Field by field, this is manifest.json.

    `sealing` is a member of a sealed model's manifest only: an open one does not have it at all.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    format: Literal["cloister-model/1"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    description: Annotated[str, Field(max_length=MAX_TEXT)]
    labels: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MAX_LABELS)]
    arithmetic: Arithmetic
    input: InputSpec
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=MAX_STAGES)]
    tensors: Annotated[tuple[TensorRecord, ...], Field(min_length=1, max_length=MAX_TENSORS)]
    weights: WeightsRecord
    circuit: CircuitRecord | None
    accuracy: Accuracy | None
    sealing: Sealing | None = None

    @property
    def outputs(self) -> int:
        """Numbers in one output row."""
        return len(self.labels)

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        members = asdict(self)
        if self.sealing is None:
            del members["sealing"]
        return _canonical(members)

    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes: the identity of the model version."""
        return sha256(self.to_bytes()).digest()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Parse and check everything that needs no tensor. Raises InvalidPackage, naming the field."""
        if len(data) > MAX_MANIFEST_BYTES:
            raise InvalidPackage(
                f"The manifest has {len(data):,} bytes; the limit is {MAX_MANIFEST_BYTES:,}.", REPACKAGE
            )
        try:
            manifest = _ADAPTER.validate_json(data)
            canonical = manifest.to_bytes()
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the document"
            raise InvalidPackage(f"The manifest is refused: {place}: {first['msg']}.", REPACKAGE) from error
        if canonical != data:
            raise InvalidPackage(
                "The manifest is refused: its bytes are not in canonical form "
                "(sorted members, no white space, no repeated or missing member).",
                REPACKAGE,
            )
        problem = manifest.problem()
        if problem:
            raise InvalidPackage(f"The manifest is refused: {problem}.", REPACKAGE)
        return manifest

    def problem(self) -> str | None:
        """What makes the fields contradict each other, if anything."""
        try:
            needed = tensor_shapes(self.input.shape, self.stages)
        except BadGraph as reason:
            return str(reason)
        biases = {stage.bias for stage in self.stages}
        if [record.name for record in self.tensors] != sorted(needed):
            return "tensors must list exactly the tensors that the stages use, sorted by name"
        for record in self.tensors:
            if record.shape not in needed[record.name]:
                expected = " or ".join(map(str, needed[record.name]))
                return f"tensor {record.name!r} has shape {record.shape}, the stages need {expected}"
            if record.dtype != ("I32" if record.name in biases else "I16"):
                return f"tensor {record.name!r} must be I16 for a weight, I32 for a bias"
        outputs = 1
        for extent in self.stages[-1].shape:
            outputs *= extent
        if outputs != len(self.labels):
            return f"there are {len(self.labels)} labels for {outputs} outputs"
        if self.accuracy and self.accuracy.rows < max(
            self.accuracy.float_correct, self.accuracy.fixed_correct, self.accuracy.agree
        ):
            return "accuracy counts more answers than rows"
        if self.sealing and (contradiction := self._sealing_problem(self.sealing)):
            return contradiction
        return self.input.problem(self.arithmetic)

    def _sealing_problem(self, sealing: Sealing) -> str | None:
        names = [attachment.name for attachment in sealing.attachments]
        if sealing.threshold > len(sealing.shares):
            return f"{sealing.threshold} key shares are needed, but there are only {len(sealing.shares)}"
        if names != sorted(set(names)):
            return "attachments must be sorted by name, each name once"
        if WEIGHTS_FILE in names:
            # each name has its own key, and a key must not seal two files
            return f"an attachment has the name of the weights file, {WEIGHTS_FILE!r}"
        if sealing.weights.bytes != sealed_length(self.weights.bytes, sealing.segment):
            return "the sealed weights have another length than their plaintext needs"
        if any(one.bytes != sealed_length(one.plain_bytes, sealing.segment) for one in sealing.attachments):
            return "an attachment has another length than its plaintext needs"
        return None


def sealed_length(plain_bytes: int, segment: int) -> int:
    """Bytes of a sealed file: a tag of 16 bytes after every segment, of which there is at least one."""
    return plain_bytes + 16 * max(1, -(-plain_bytes // segment))


_ADAPTER: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
