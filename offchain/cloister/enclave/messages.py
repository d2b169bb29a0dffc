"""Everything that host and enclave say to each other: one dataclass per question and answer.

A message travels as a CBOR array, its name and then its fields in order. Whatever is unknown, of another type, longer
than it may be, or left over is refused; nothing is converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar, get_args, get_type_hints

from cloister.domain.ids import Address, JobId, VersionId
from cloister.domain.request import Request
from cloister.enclave import cbor
from cloister.enclave.errors import FrameError
from cloister.enclave.shapes import Account, Flag, Listed, Natural, Octets, Piece, Requested, Row, Shape, Words, exactly
from cloister.sealing.stream import SEGMENT_BYTES, TAG_BYTES

T = TypeVar("T")
CHUNK: Final = SEGMENT_BYTES + TAG_BYTES
"""Bytes of a file in one message, at most: a sealed segment, which is opened where it arrives."""
_HASH: Final = exactly(32)
_SIGNATURE: Final = Octets(0, 65)
_SECOND: Final = Natural(63)
_CHUNK: Final = Octets(0, CHUNK)
_PIECE: Final = Piece(CHUNK)


# Questions


@dataclass(frozen=True, slots=True)
class Start:
    """Whose enclave it is to be, and which protections the operator gives up."""

    chain_id: Annotated[int, Natural(63)]
    market: Annotated[Address, Account()]
    registry: Annotated[Address, Account()]
    models: Annotated[Address, Account()]
    worker: Annotated[Address, Account()]
    unprotected: Annotated[tuple[str, ...], Listed(Words(32), 16)]


@dataclass(frozen=True, slots=True)
class NewPromptKey:
    """A new prompt key; times are Unix seconds."""

    epoch: Annotated[int, Natural(32)]
    expires_at: Annotated[int, Natural(40)]
    now: Annotated[int, Natural(40)]


@dataclass(frozen=True, slots=True)
class Tick:
    """The Unix second, by the chain."""

    now: Annotated[int, Natural(40)]


@dataclass(frozen=True, slots=True)
class Expect:
    """The next piece of the manifest of a version that is to be loaded."""

    version: Annotated[VersionId, _HASH]
    owner: Annotated[Address, Account()]
    chunk: Annotated[bytes, _CHUNK]
    last: Annotated[bool, Flag()]


@dataclass(frozen=True, slots=True)
class BeginRelease:
    """A key to which a broker is to seal its share."""

    version: Annotated[VersionId, _HASH]
    nonce: Annotated[bytes, _HASH]


@dataclass(frozen=True, slots=True)
class AddShare:
    """A broker's share, as it was sealed. `evidence` is all that the broker judged."""

    version: Annotated[VersionId, _HASH]
    evidence: Annotated[bytes, _CHUNK]
    key_epoch: Annotated[int, Natural(32)]
    index: Annotated[int, Natural(8)]
    sealed: Annotated[bytes, Octets(1, 4096)]


@dataclass(frozen=True, slots=True)
class Weights:
    """The next piece of the weights file of a version that is expected, sealed or open."""

    version: Annotated[VersionId, _HASH]
    chunk: Annotated[bytes | bytearray | memoryview, _PIECE]
    last: Annotated[bool, Flag()]


@dataclass(frozen=True, slots=True)
class Enrol:
    """The enclave's word that a version is loaded."""

    version: Annotated[VersionId, _HASH]
    key_epoch: Annotated[int, Natural(32)]


@dataclass(frozen=True, slots=True)
class Ciphertext:
    """The next piece of an input that does not fit into the question about it."""

    chunk: Annotated[bytes | bytearray | memoryview, _PIECE]
    last: Annotated[bool, Flag()]


@dataclass(frozen=True, slots=True)
class Work:
    """A job to answer. `ciphertext` is empty if it was sent before, in pieces."""

    request: Annotated[Request, Requested()]
    sealed_key: Annotated[bytes, Octets(0, 4096)]
    open_version: Annotated[bool, Flag()]
    key_epochs: Annotated[tuple[int, ...], Listed(Natural(32), 64)]
    ciphertext: Annotated[bytes, _CHUNK]


@dataclass(frozen=True, slots=True)
class Prove:
    """A job to prove, or whose proof to ask for: `begin` says that the ciphertext is here or was sent before."""

    request: Annotated[Request, Requested()]
    sealed_key: Annotated[bytes, Octets(0, 4096)]
    open_version: Annotated[bool, Flag()]
    key_epochs: Annotated[tuple[int, ...], Listed(Natural(32), 64)]
    circuit: Annotated[bytes, _HASH]
    weights: Annotated[bytes, _HASH]
    begin: Annotated[bool, Flag()]
    ciphertext: Annotated[bytes, _CHUNK]


@dataclass(frozen=True, slots=True)
class Forget:
    """A version to forget."""

    version: Annotated[VersionId, _HASH]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Which versions are loaded."""


# Answers


@dataclass(frozen=True, slots=True)
class Started:
    """What protects the enclave (name, whether it holds, detail), and its public keys."""

    protections: Annotated[tuple[tuple[str, bool, str], ...], Listed(Row((Words(32), Flag(), Words(500))), 16)]
    hpke_key: Annotated[bytes, _HASH]
    signer: Annotated[Address, Account()]


@dataclass(frozen=True, slots=True)
class NotProtected:
    """The enclave ends: a protection is missing that nobody gave up."""

    protections: Annotated[tuple[tuple[str, bool, str], ...], Listed(Row((Words(32), Flag(), Words(500))), 16)]


@dataclass(frozen=True, slots=True)
class PromptKeyMade:
    """A prompt key and its signature."""

    key: Annotated[bytes, _HASH]
    signature: Annotated[bytes, exactly(65)]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Epochs of prompt keys, and versions, that were wiped."""

    prompt_epochs: Annotated[tuple[int, ...], Listed(Natural(32), 4096)]
    versions: Annotated[tuple[VersionId, ...], Listed(_HASH, 4096)]


@dataclass(frozen=True, slots=True)
class ReleaseKey:
    """A release key and the report data for the evidence that goes to the broker."""

    public_key: Annotated[bytes, exactly(1216)]
    report_data: Annotated[bytes, exactly(64)]


@dataclass(frozen=True, slots=True)
class SharesNeeded:
    """How many shares are still missing."""

    count: Annotated[int, Natural(8)]


@dataclass(frozen=True, slots=True)
class Done:
    """It was done."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature."""

    signature: Annotated[bytes, exactly(65)]


@dataclass(frozen=True, slots=True)
class Answered:
    """A `cloister.domain.answer.Answer`."""

    commitment: Annotated[bytes, _HASH]
    output_commitment: Annotated[bytes, _HASH]
    salt: Annotated[bytes, _HASH] = field(repr=False)
    sealed_output: Annotated[bytes, Octets(0, 4096)]
    signature: Annotated[bytes, exactly(65)]


@dataclass(frozen=True, slots=True)
class Proved:
    """A `cloister.domain.answer.ProvedAnswer`."""

    input_binding: Annotated[bytes, _HASH]
    input_digest: Annotated[bytes, _HASH]
    pad_digest: Annotated[bytes, _HASH]
    masked: Annotated[bytes, Octets(0, 1 << 16)]
    proof: Annotated[bytes, Octets(0, 1 << 21)]
    signature: Annotated[bytes, Octets(0, 65)]
    """Empty in a proof that is kept for a dispute."""


@dataclass(frozen=True, slots=True)
class Proving:
    """The proof is being made."""

    job_id: Annotated[JobId, _HASH]


@dataclass(frozen=True, slots=True)
class InputWanted:
    """No proof of this job was begun: the question has to bring the ciphertext."""


@dataclass(frozen=True, slots=True)
class Declined:
    """A job cannot be done: `reason` is a RefusalReason, the signature may be empty."""

    reason: Annotated[int, Natural(8)]
    message: Annotated[str, Words(500)]
    signature: Annotated[bytes, _SIGNATURE]


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions that are loaded."""

    versions: Annotated[tuple[VersionId, ...], Listed(_HASH, 4096)]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The question is refused; `about` is "model" or "question"."""

    about: Annotated[str, Words(16)]
    message: Annotated[str, Words(2000)]
    hint: Annotated[str, Words(2000)]


@dataclass(frozen=True, slots=True)
class Failed:
    """The enclave has met something that it does not know, and ends."""


Question = (
    Start
    | NewPromptKey
    | Tick
    | Expect
    | BeginRelease
    | AddShare
    | Weights
    | Enrol
    | Ciphertext
    | Work
    | Prove
    | Forget
) | Loaded
Answer = (
    Started | NotProtected | PromptKeyMade | Forgotten | ReleaseKey | SharesNeeded | Done | Signed | Answered | Proved
) | (Proving | InputWanted | Declined | Versions | Rejected | Failed)
Message = Question | Answer


def _shapes(kind: type) -> tuple[tuple[str, Shape], ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple((name, get_args(hint)[1]) for name, hint in hints.items())


QUESTIONS: Final[dict[str, type[Question]]] = {kind.__name__: kind for kind in get_args(Question)}
ANSWERS: Final[dict[str, type[Answer]]] = {kind.__name__: kind for kind in get_args(Answer)}
SHAPES: Final = {kind.__name__: _shapes(kind) for kind in (*QUESTIONS.values(), *ANSWERS.values())}
"""Names and shapes of each message's fields, in order."""


def encoded(message: Message) -> bytes:
    """A message as CBOR. Raises FrameError for a field that is not as its shape says."""
    parts: list[object] = [type(message).__name__]
    for name, shape in SHAPES[type(message).__name__]:
        try:
            parts.append(shape.to_wire(getattr(message, name)))
        except (ValueError, TypeError, AttributeError) as error:
            raise _malformed(f"{name} of {type(message).__name__} {error}") from None
    return cbor.encoded(parts)


def question_of(data: bytes | memoryview) -> Question:
    """What the host asks. Raises FrameError."""
    return _decoded(data, QUESTIONS)


def answer_of(data: bytes | memoryview) -> Answer:
    """What the enclave answers. Raises FrameError."""
    return _decoded(data, ANSWERS)


def _decoded(data: bytes | memoryview, kinds: Mapping[str, type[T]]) -> T:
    try:
        parts = cbor.decoded(data)
        if type(parts) is not list or not parts or type(parts[0]) is not str:
            raise ValueError("is no message")
        kind = kinds.get(parts[0])
        if kind is None:
            raise ValueError("is of no kind that is expected here")
        shapes = SHAPES[kind.__name__]
        if len(parts) != len(shapes) + 1:
            raise ValueError(f"has {len(parts) - 1} fields instead of {len(shapes)}")
    except ValueError as error:
        raise _malformed(str(error)) from None
    values: list[Any] = []
    for (name, shape), part in zip(shapes, parts[1:], strict=True):
        try:
            values.append(shape.of_wire(part))
        except ValueError as error:
            raise _malformed(f"{name} of {kind.__name__} {error}") from None
    return kind(*values)


def _malformed(problem: str) -> FrameError:
    return FrameError(f"A message between host and enclave is refused: it {problem}.", "Both must be of one version.")
