"""The host's side of a running enclave."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from threading import Lock
from types import TracebackType
from typing import Final, Self, TypeVar

from cloister.domain.answer import Answer, CannotServe, ProvedAnswer, RefusalReason
from cloister.domain.attested import report_binding
from cloister.domain.ids import Address, VersionId
from cloister.domain.job import Job
from cloister.enclave import messages as m
from cloister.enclave.errors import EnclaveFailed, FrameError, ModelRefused, QuestionRefused
from cloister.enclave.frames import Channel
from cloister.enclave.isolation import Protection
from cloister.enclave.keyring import EnclaveContext
from cloister.proved import Registered

T = TypeVar("T", bound=m.Answer)
ANSWER_SECONDS: Final = 300.0
"""Longest wait for an answer; loading a large model takes longest."""
END_SECONDS: Final = 5.0
KEY_EPOCHS: Final = tuple(range(31, -1, -1))
"""Epochs that a permanent key is tried under when the host does not know its own."""


class Enclave:
    """One enclave process, as its host sees it. Threads may share it; one question is asked at a time.

    Every method raises EnclaveFailed when the process has ended or does not answer: its keys are lost then, and it must
    be launched again.
    """

    def __init__(
        self,
        context: EnclaveContext,
        channel: Channel,
        process: subprocess.Popen[bytes],
        protections: tuple[Protection, ...],
        hpke_key: bytes,
        signer: Address,
    ) -> None:
        self.context = context
        self.protections = protections
        self.hpke_key = hpke_key
        self.signer = signer
        self._channel = channel
        self._process = process
        self._lock = Lock()

    # Keys

    def binding(self) -> bytes:
        """Report data 0 to 31, from what is public."""
        context = self.context
        return report_binding(context.chain_id, context.registry, context.worker, self.hpke_key, self.signer)

    def new_prompt_key(self, epoch: int, expires_at: int, now: int) -> tuple[bytes, bytes]:
        """A new prompt key (32 bytes) and the signature over it; times are Unix seconds. Raises QuestionRefused."""
        made = self._ask(m.NewPromptKey(epoch, expires_at, now), m.PromptKeyMade)
        return made.key, made.signature

    def tick(self, now: int) -> tuple[tuple[int, ...], tuple[VersionId, ...]]:
        """Tell the time; returns the epochs of prompt keys, and the versions, that were wiped."""
        forgotten = self._ask(m.Tick(now), m.Forgotten)
        return forgotten.prompt_epochs, forgotten.versions

    # Models

    def expect(self, version: VersionId, owner: Address, manifest: bytes) -> int:
        """Hand over a version's manifest; returns how many shares of its key are missing, 0 for an open version.

        Raises ModelRefused if it is not that version's.
        """
        with self._lock:
            return self._hand_over(version, owner, manifest)

    def begin_release(self, version: VersionId, nonce: bytes) -> tuple[bytes, bytes]:
        """A release key (1,216 bytes) and 64 bytes of report data for a broker's nonce.

        Raises QuestionRefused unless the version is sealed and its manifest was handed over with `expect`.
        """
        made = self._ask(m.BeginRelease(version, nonce), m.ReleaseKey)
        return made.public_key, made.report_data

    def add_share(self, version: VersionId, evidence: bytes, key_epoch: int, index: int, sealed: bytes) -> int:
        """Pass on what broker `index` answered to `evidence`; returns how many shares are still missing.

        Raises ModelRefused for a share that is not what the manifest says, or was sealed for another release.
        """
        return self._ask(m.AddShare(version, evidence, key_epoch, index, sealed), m.SharesNeeded).count

    def load(self, version: VersionId, owner: Address, manifest: bytes, weights: Iterable[bytes]) -> None:
        """Load a version from its manifest and its weights file as published, in chunks of any size.

        A sealed one needs its shares first. Raises ModelRefused for anything that is not the version's.
        """
        with self._lock:
            self._hand_over(version, owner, manifest)
            for chunk, last in _pieces(weights):
                self._one(m.Weights(version, chunk, last), m.Done)

    def loaded(self) -> frozenset[VersionId]:
        """Versions that can run now."""
        return frozenset(self._ask(m.Loaded(), m.Versions).versions)

    def forget(self, version: VersionId) -> None:
        """Have a version forgotten, and its key if that is here."""
        self._ask(m.Forget(version), m.Done)

    def enrol(self, version: VersionId, key_epoch: int) -> bytes:
        """The enclave's signature that a version is loaded. Raises QuestionRefused if it is not."""
        return self._ask(m.Enrol(version, key_epoch), m.Signed).signature

    # Jobs

    def answer(
        self, job: Job, ciphertext: bytes, *, open_version: bool, key_epochs: tuple[int, ...] = KEY_EPOCHS
    ) -> Answer:
        """Run a job. `open_version` says that it has no policy, so that the permanent key may be tried (PROMPT-1).

        Raises CannotServe with the reason to refuse for, and the enclave's signature where it vouches for the reason.
        """
        with self._lock:
            inline = self._send_input(ciphertext)
            sealed = job.sealed_key_for(self.context.worker)
            question = m.Work(job.request, sealed, open_version, key_epochs, inline)
            found = self._one(question, m.Answered)
        return Answer(found.commitment, found.output_commitment, found.salt, found.sealed_output, found.signature)

    def prove(
        self,
        job: Job,
        ciphertext: bytes,
        circuit: Registered,
        *,
        open_version: bool,
        key_epochs: tuple[int, ...] = KEY_EPOCHS,
    ) -> ProvedAnswer | None:
        """Run and prove a job; None while the proof is being made. Raises CannotServe as `answer`."""
        sealed = job.sealed_key_for(self.context.worker)
        about = job.request, sealed, open_version, key_epochs, circuit.circuit, circuit.weights
        with self._lock:
            found = self._any(m.Prove(*about, False, b""))
            if isinstance(found, m.InputWanted):
                inline = self._send_input(ciphertext)
                found = self._any(m.Prove(*about, True, inline))
        if isinstance(found, m.Proving):
            return None
        proved = self._expected(found, m.Proved)
        opening = proved.input_binding, proved.input_digest, proved.pad_digest
        return ProvedAnswer(*opening, proved.masked, proved.proof, proved.signature)

    # The process

    def close(self) -> None:
        """End the enclave; its keys and models are lost. Twice does nothing."""
        self._channel.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hand_over(self, version: VersionId, owner: Address, manifest: bytes) -> int:
        for chunk, last in _pieces([manifest]):
            question = m.Expect(version, owner, bytes(chunk), last)
            if last:
                return self._one(question, m.SharesNeeded).count
            self._one(question, m.Done)
        raise AssertionError("there is always a last piece")

    def _send_input(self, ciphertext: bytes) -> bytes:
        """What of an input goes into the question itself; the rest is sent before."""
        if len(ciphertext) <= m.CHUNK:
            return ciphertext
        for chunk, last in _pieces([ciphertext]):
            self._one(m.Ciphertext(chunk, last), m.Done)
        return b""

    def _ask(self, question: m.Question, kind: type[T]) -> T:
        with self._lock:
            return self._one(question, kind)

    def _one(self, question: m.Question, kind: type[T]) -> T:
        return self._expected(self._any(question), kind)

    def _any(self, question: m.Question) -> m.Answer:
        data = m.encoded(question)  # before anything is sent: a malformed question must not end the enclave
        try:
            self._channel.send(data, ANSWER_SECONDS)
            answer = m.answer_of(self._channel.receive(ANSWER_SECONDS))
        except FrameError as error:
            self._channel.close()
            raise EnclaveFailed(f"The enclave is gone: {error.message}", "Start the worker again.") from error
        match answer:
            case m.Declined(reason, message, signature):
                raise CannotServe(RefusalReason(reason), message, signature)
            case m.Rejected("model", message, hint):
                raise ModelRefused(message, hint)
            case m.Rejected(_, message, hint):
                raise QuestionRefused(message, hint)
            case _:
                return answer

    def _expected(self, answer: m.Answer, kind: type[T]) -> T:
        if not isinstance(answer, kind):
            self._channel.close()
            raise EnclaveFailed(
                f"The enclave answers {type(answer).__name__} instead of {kind.__name__}, and is ended.",
                "Its log tells where it failed. Start the worker again.",
            )
        return answer


def _pieces(data: Iterable[bytes]) -> Iterator[tuple[bytes | bytearray | memoryview, bool]]:
    """Chunks of any size as chunks that fill a message; the last one is marked. There is always one."""
    waiting: bytearray | memoryview | None = None
    for piece in _filled(data):
        if waiting is not None:
            yield waiting, False
        waiting = piece
    yield b"" if waiting is None else waiting, True


def _filled(data: Iterable[bytes]) -> Iterator[bytearray | memoryview]:
    part = bytearray()
    for whole in data:
        view = memoryview(whole)
        while view:
            if not part and len(view) >= m.CHUNK:
                yield view[: m.CHUNK]
                view = view[m.CHUNK :]
                continue
            taken = view[: m.CHUNK - len(part)]
            part += taken
            view = view[len(taken) :]
            if len(part) == m.CHUNK:
                yield part
                part = bytearray()
    if part:
        yield part
