"""A sealed model's key on its way in: release keys, shares, and the licence that comes with them (SEAL-1)."""

from __future__ import annotations

from collections import deque

from cloister.domain.attested import key_share_info, release_challenge
from cloister.domain.ids import VersionId
from cloister.enclave.errors import ModelRefused, QuestionRefused
from cloister.enclave.keyring import EnclaveContext
from cloister.enclave.secret import Secret, SecretPages
from cloister.fixedpoint.manifest import Sealing
from cloister.sealing import hybrid
from cloister.sealing.errors import SealError
from cloister.sealing.shares import KeyShare, combine

MOST_OPEN = 16
"""Release keys that wait for their broker, per version."""
SHARE_BYTES = 72
"""share (32) ‖ salt (32) ‖ end (8)"""


class KeyRelease:
    """Gathers the shares of one version's data key."""

    def __init__(self, context: EnclaveContext, version: VersionId, sealing: Sealing, pages: SecretPages) -> None:
        self._context, self._version, self._sealing, self._pages = context, version, sealing, pages
        self._keys: deque[Secret] = deque()
        self._shares: dict[int, tuple[Secret, bytes]] = {}
        self._ends: list[int] = []
        self.data_key: Secret | None = None

    @property
    def licence_end(self) -> int:
        """Unix second at which the first licence ends; 0 for never."""
        return min((end for end in self._ends if end), default=0)

    @property
    def needed(self) -> int:
        """Shares that are still missing."""
        return 0 if self.data_key is not None else self._sealing.threshold - len(self._shares)

    def begin(self, nonce: bytes) -> tuple[bytes, bytes]:
        """A new release key (1,216 bytes) and report data 32 to 63 for a broker's nonce."""
        private, public = hybrid.new_pair()
        if len(self._keys) == MOST_OPEN:
            self._keys.popleft().wipe()
        self._keys.append(self._pages.new(private))
        return public, release_challenge(nonce, self._version, public)

    def add(self, evidence: bytes, key_epoch: int, index: int, sealed: bytes) -> int:
        """Open and check a share; returns how many are still missing.

        Raises ModelRefused for one that is not the manifest's, or that was sealed to another key or under other terms;
        QuestionRefused when no release was begun.
        """
        if not self._keys:
            raise QuestionRefused("No key release of this model version is under way.")
        if not self.needed:
            return 0
        context = self._context
        info = key_share_info(
            context.chain_id, context.registry, self._version, context.worker, key_epoch, index, evidence
        )
        opened = self._opened(sealed, info)
        if len(opened) != SHARE_BYTES:
            raise ModelRefused(f"The key share of broker {index} has {len(opened)} bytes, not {SHARE_BYTES}.")
        share = KeyShare(index, opened[:32], opened[32:64])
        try:
            share.check([bytes.fromhex(commitment) for commitment in self._sealing.shares])
        except SealError as error:
            raise ModelRefused(error.message, error.hint) from None
        if index not in self._shares:
            self._shares[index] = self._pages.new(share.value), share.salt
            self._ends.append(int.from_bytes(opened[64:]))
        if len(self._shares) == self._sealing.threshold:
            self._combine()
        return self.needed

    def wipe(self) -> None:
        """Forget everything: keys, shares and the data key."""
        for secret in (*self._keys, *(value for value, _ in self._shares.values()), self.data_key):
            if secret is not None:
                secret.wipe()
        self._keys.clear()
        self._shares.clear()
        self.data_key = None

    def _opened(self, sealed: bytes, info: bytes) -> bytes:
        for key in list(self._keys):
            try:
                opened = hybrid.open_sealed(sealed, key.use(), info)
            except SealError:
                continue
            # Each release key serves once, so that nothing recorded opens a second time.
            self._keys.remove(key)
            key.wipe()
            return opened
        raise ModelRefused(
            "The key share does not open: it was sealed to another enclave or session, or under other terms.",
            "Ask the broker again, with a new nonce.",
        )

    def _combine(self) -> None:
        shares = [KeyShare(index, value.use(), salt) for index, (value, salt) in self._shares.items()]
        commitments = [bytes.fromhex(commitment) for commitment in self._sealing.shares]
        try:
            key = combine(shares, self._sealing.threshold, commitments, bytes.fromhex(self._sealing.key))
        except SealError as error:
            raise ModelRefused(error.message, error.hint) from None
        finally:
            ends = self._ends
            self.wipe()
            self._ends = ends
        self.data_key = self._pages.new(key)
