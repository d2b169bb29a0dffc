"""The enclave's loop: one question, one answer, until the host is gone.

What is foreseen is answered. Anything else ends the process, after it has said so: a process that no longer
understands itself must not hold keys.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, MutableMapping
from typing import NoReturn

import structlog

from cloister.domain.answer import CannotServe
from cloister.domain.errors import CloisterError
from cloister.domain.request import MAX_SEALED_OUTPUT
from cloister.enclave import messages as m
from cloister.enclave.answers import Jobs
from cloister.enclave.clock import Clock
from cloister.enclave.errors import ChannelClosed, FrameError, ModelRefused, QuestionRefused
from cloister.enclave.frames import Channel
from cloister.enclave.isolation import Protection, finish
from cloister.enclave.keyring import EnclaveContext, Keyring
from cloister.enclave.models import ModelVault
from cloister.enclave.secret import SecretPages
from cloister.fixedpoint.limits import MAX_WEIGHTS_BYTES
from cloister.proof_system import ProofSystem, proof_system

MAX_INPUT = MAX_WEIGHTS_BYTES
"""Bytes of the largest ciphertext that the enclave takes in."""


class Enclave:
    """Everything that one enclave holds, and how it answers."""

    def __init__(
        self,
        context: EnclaveContext,
        pages: SecretPages,
        clock: Clock,
        proofs: Callable[[], ProofSystem] = proof_system,
    ) -> None:
        self._clock = clock
        self.keyring = Keyring(context, pages, clock)
        self._models = ModelVault(context, pages, clock, proofs)
        self._jobs = Jobs(self.keyring, self._models, proofs)
        self._input = bytearray()

    def reply(self, question: m.Question) -> m.Answer:
        """The answer to a question other than Start. Raises what nobody has foreseen."""
        try:
            # Time passes for keys and licences whatever the host asks or leaves out.
            forgotten = m.Forgotten(self.keyring.wipe_expired(), self._models.forget_expired())
            return self._reply(question, forgotten)
        except CannotServe as error:
            return m.Declined(int(error.reason), error.message, error.signature)
        except ModelRefused as error:
            return m.Rejected("model", error.message[:2000], error.hint[:2000])
        except QuestionRefused as error:
            return m.Rejected("question", error.message[:2000], error.hint[:2000])

    def _reply(self, question: m.Question, forgotten: m.Forgotten) -> m.Answer:
        match question:
            case m.Work():
                return self._work(question)
            case m.Prove():
                return self._prove(question)
            case m.Ciphertext(chunk, last):
                return self._take_input(chunk, last=last)
            case m.NewPromptKey(epoch, expires_at, now):
                return m.PromptKeyMade(*self.keyring.new_prompt_key(epoch, expires_at, now))
            case m.Tick(now):
                self._clock.tell(now)
                later = m.Forgotten(self.keyring.wipe_expired(), self._models.forget_expired())
                return m.Forgotten(forgotten.prompt_epochs + later.prompt_epochs, forgotten.versions + later.versions)
            case m.Loaded():
                return m.Versions(self._models.versions)
            case m.Start():
                raise QuestionRefused("The enclave has started.")
            case _:
                return self._about_models(question)

    def _about_models(
        self, question: m.Expect | m.Weights | m.BeginRelease | m.AddShare | m.Enrol | m.Forget
    ) -> m.Answer:
        match question:
            case m.Expect(version, owner, chunk, last):
                needed = self._models.expect(version, owner, chunk, last=last)
                if needed is not None:
                    return m.SharesNeeded(needed)
            case m.Weights(version, chunk, last):
                self._models.add_weights(version, chunk, last=last)
            case m.Forget(version):
                self._models.forget(version)
            case m.BeginRelease(version, nonce):
                public, challenge = self._models.release(version).begin(nonce)
                return m.ReleaseKey(public, self.keyring.binding() + challenge)
            case m.AddShare(version, evidence, key_epoch, index, sealed):
                return m.SharesNeeded(self._models.release(version).add(evidence, key_epoch, index, sealed))
            case m.Enrol(version, key_epoch):
                if version not in self._models.versions:
                    raise QuestionRefused("Only a version that is loaded can be enrolled for.")
                return m.Signed(self.keyring.sign_enrolment(version, key_epoch))
        return m.Done()

    def _work(self, question: m.Work) -> m.Answer:
        answer = self._jobs.answer(question, self._input_of(question))
        assert len(answer.sealed_output) <= MAX_SEALED_OUTPUT  # the inference checks it
        return m.Answered(
            answer.commitment, answer.output_commitment, answer.salt, answer.sealed_output, answer.signature
        )

    def _prove(self, question: m.Prove) -> m.Answer:
        if not question.begin and not self._jobs.is_begun(question):
            return m.InputWanted()
        proved = self._jobs.prove(question, self._input_of(question))
        if proved is None:
            return m.Proving(self._jobs.job_id(question))
        opening = proved.input_binding, proved.input_digest, proved.pad_digest
        return m.Proved(*opening, proved.masked, proved.proof, proved.signature)

    def _input_of(self, question: m.Work | m.Prove) -> bytes:
        taken, self._input = bytes(self._input), bytearray()
        return question.ciphertext or taken

    def _take_input(self, chunk: bytes | bytearray | memoryview, *, last: bool) -> m.Answer:
        if len(self._input) + len(chunk) > MAX_INPUT:
            self._input = bytearray()
            raise QuestionRefused(f"An input has at most {MAX_INPUT:,} bytes.")
        self._input += chunk
        return m.Done()


def serve(channel: Channel, early: tuple[Protection, ...]) -> int:
    """Answer until the host is gone; returns the exit status. `early` are the protections that hold already."""
    _tell_nothing()
    try:
        start = m.question_of(channel.receive())
        if not isinstance(start, m.Start):
            raise FrameError("The first question must be Start.")
        pages = SecretPages()
        protections = (*early, *finish(pages))
        told = tuple((each.name, each.held, each.detail[:500]) for each in protections)
        if any(not each.held and each.name not in start.unprotected for each in protections):
            channel.send(m.encoded(m.NotProtected(told)))
            return 1
        context = EnclaveContext(start.chain_id, start.market, start.registry, start.models, start.worker)
        enclave = Enclave(context, pages, Clock())
        channel.send(m.encoded(m.Started(told, enclave.keyring.hpke_key, enclave.keyring.signer)))
        while True:
            channel.send(m.encoded(enclave.reply(m.question_of(channel.receive()))))
    except ChannelClosed:
        return 0
    except Exception as error:  # noqa: BLE001  whatever it is, this process ends
        _report(error)
        _say_failed(channel)
        return 70


def _say_failed(channel: Channel) -> None:
    try:
        channel.send(m.encoded(m.Failed()))
    except CloisterError as error:
        _report(error)


def _report(error: BaseException) -> None:
    """Where it happened and of what kind it is, for the log. Never its text, which may quote an input."""
    places = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    sys.stderr.write(f"enclave failed: {type(error).__name__} at {' < '.join(reversed(places[-6:]))}\n")
    sys.stderr.flush()


def _tell_nothing() -> None:
    """Keep what libraries and our own modules log to public words."""

    def only_public(_logger: object, _method: str, event: MutableMapping[str, object]) -> str:
        return " ".join([str(event.get("event")), *(f"{k}={event[k]}" for k in ("job", "seconds") if k in event)])

    structlog.configure(processors=[only_public], logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    sys.excepthook = lambda kind, error, trace: _report(error)
    threading.excepthook = lambda arguments: _exit_from_thread(arguments.exc_value)


def _exit_from_thread(error: BaseException | None) -> NoReturn:
    if error is not None:
        _report(error)
    os._exit(70)
