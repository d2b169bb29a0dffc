"""One job of a session from sealed key to signed receipt: the part of a worker that sees plaintext.

Nothing here touches the chain, the disk or the network, so that it can live in an enclave as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from cloister.domain.answer import CannotServe, RefusalReason
from cloister.domain.commitments import input_binding, input_commitment, output_commitment
from cloister.domain.ids import Address, VersionId
from cloister.sealing.envelope import decrypt_input
from cloister.sealing.errors import SealError
from cloister.sealing.hpke import OVERHEAD_BYTES, open_sealed, seal
from cloister.sealing.keys import output_secret
from cloister.sessions.messages import Answered, OrderMessage
from cloister.sessions.receipts import MAX_SEALED_OUTPUT, Receipt, SessionsAt, SignedReceipt


class Answering(Protocol):
    """Whoever does the job and signs for it: an enclave, or `PlainAnswering`."""

    def answer(self, message: OrderMessage) -> Answered:
        """Opens the input, checks it against the order, runs the model, seals the output, signs the receipt.

        Raises CannotServe for a job that cannot be done; then nothing is signed.
        """


class PlainAnswering:
    """Answers in this process, which anybody who controls the machine can look into.

    `keys` gives the X25519 private key of each prompt key's epoch; `run` takes a version and encoded input rows and
    gives encoded output rows, or raises CannotServe; `sign` signs a digest with the worker's signer.
    """

    def __init__(
        self,
        at: SessionsAt,
        worker: Address,
        keys: Callable[[], Mapping[int, bytes]],
        run: Callable[[VersionId, bytes], bytes],
        sign: Callable[[bytes], bytes],
    ) -> None:
        self._at = at
        self._worker = worker
        self._keys = keys
        self._run = run
        self._sign = sign

    def answer(self, message: OrderMessage) -> Answered:
        """See Answering."""
        order = message.order
        secret = self._open_key(message)
        try:
            plaintext = decrypt_input(message.ciphertext, secret, message.version)
        except SealError as error:
            raise CannotServe(RefusalReason.COMMITMENT_MISMATCH, error.message) from None
        if input_commitment(input_binding(secret, message.response_key, plaintext)) != order.input_commitment:
            raise CannotServe(RefusalReason.COMMITMENT_MISMATCH, "The input is not the one that the order commits to.")
        # Whoever asks for what cannot be sealed must not get the work for nothing.
        self._seal(b"", message.response_key, b"")
        output = self._run(message.version, plaintext)
        if len(output) + OVERHEAD_BYTES > MAX_SEALED_OUTPUT:
            most = MAX_SEALED_OUTPUT - OVERHEAD_BYTES
            raise CannotServe(RefusalReason.OUTPUT_TOO_LARGE, f"At most {most} bytes of output can be sealed.")
        context = self._at.context(order.session, order.sequence)
        committed = output_commitment(order.input_commitment, output_secret(secret), output)
        sealed = self._seal(output, message.response_key, context.sealed_output_info(self._worker, committed))
        receipt = Receipt.answering(order, committed, sealed)
        return Answered(SignedReceipt(receipt, self._sign(self._at.digest(receipt))), sealed)

    def _open_key(self, message: OrderMessage) -> bytes:
        key = self._keys().get(message.key_epoch)
        if key is None:
            raise CannotServe(
                RefusalReason.SEALED_KEY_DOES_NOT_OPEN, f"The prompt key of epoch {message.key_epoch} is gone."
            )
        fields = (message.version, self._worker, message.key_epoch, message.response_key, message.ciphertext_hash)
        try:
            secret = open_sealed(message.sealed_key, key, self._at.sealed_key_info(message.order, *fields))
        except SealError as error:
            raise CannotServe(RefusalReason.SEALED_KEY_DOES_NOT_OPEN, error.message) from None
        if len(secret) != 32:
            raise CannotServe(RefusalReason.SEALED_KEY_DOES_NOT_OPEN, "What the sealed key holds is no job secret.")
        return secret

    @staticmethod
    def _seal(output: bytes, response_key: bytes, info: bytes) -> bytes:
        try:
            return seal(output, response_key, info)
        except SealError as error:
            raise CannotServe(RefusalReason.OTHER, f"The response key cannot be used: {error.message}") from None
