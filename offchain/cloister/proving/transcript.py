"""The Fiat-Shamir transcript: docs/spec/proofs.md, section 8."""

from __future__ import annotations

from typing import Final

from eth_abi.abi import encode
from eth_hash.auto import keccak

from cloister.proving.scalars import SCALAR_BYTES, R

PROTOCOL: Final = keccak(b"cloister/matrix-proof/2")


class Transcript:
    """Absorbs what prover and verifier both see, and gives the challenges that follow from it."""

    def __init__(
        self, *, context: bytes, circuit: bytes, weights: bytes, inputs: bytes, outputs: bytes, batch_bits: int
    ) -> None:
        words = [PROTOCOL, context, circuit, weights, inputs, outputs, batch_bits]
        self.state = keccak(encode([*["bytes32"] * 6, "uint256"], words))

    def absorb(self, message: bytes) -> None:
        """Enter one message of the prover."""
        self.state = keccak(self.state + message)

    def challenge(self, index: int = 0) -> int:
        """Challenge number `index` after the last message."""
        return int.from_bytes(keccak(self.state + index.to_bytes(SCALAR_BYTES, "big")), "big") % R

    def challenges(self, count: int) -> tuple[int, ...]:
        """Challenges number 0 to count - 1."""
        return tuple(self.challenge(index) for index in range(count))
