"""What identifies the code of a trust domain."""

from __future__ import annotations

from dataclasses import dataclass

from eth_hash.auto import keccak

from cloister.domain.errors import InvalidInput

REGISTER_BYTES = 48
"""SHA-384."""
SEPT_VE_DISABLE = 1 << 28
DEBUG = 1


@dataclass(frozen=True, slots=True)
class Registers:
    """Bytes 168 to 567 of a TDX quote. `attributes` and `xfam` have 8 bytes, all others 48.

    Raises InvalidInput for other lengths.
    """

    mrtd: bytes
    rtmr0: bytes = bytes(REGISTER_BYTES)
    rtmr1: bytes = bytes(REGISTER_BYTES)
    rtmr2: bytes = bytes(REGISTER_BYTES)
    rtmr3: bytes = bytes(REGISTER_BYTES)
    mr_config_id: bytes = bytes(REGISTER_BYTES)
    mr_owner: bytes = bytes(REGISTER_BYTES)
    mr_owner_config: bytes = bytes(REGISTER_BYTES)
    attributes: bytes = SEPT_VE_DISABLE.to_bytes(8, "little")
    xfam: bytes = bytes.fromhex("e702060000000000")

    def __post_init__(self) -> None:
        for name in self.__slots__:
            wanted = 8 if name in ("attributes", "xfam") else REGISTER_BYTES
            if len(getattr(self, name)) != wanted:
                raise InvalidInput(f"Register {name} has {len(getattr(self, name))} bytes instead of {wanted}.")

    def to_bytes(self) -> bytes:
        """All of them as they stand in a quote, 400 bytes."""
        configuration = self.mr_config_id + self.mr_owner + self.mr_owner_config
        runtime = self.rtmr0 + self.rtmr1 + self.rtmr2 + self.rtmr3
        return self.attributes + self.xfam + self.mrtd + configuration + runtime

    def measurement(self) -> bytes:
        """The 32 bytes that policies name: Keccak-256 of `to_bytes`."""
        return keccak(self.to_bytes())
