"""Powers of Ethereum's KZG ceremony: τ^i·G1 in monomial form, and τ·G2.

`g1_monomial.bin` holds the 4096 points as x ‖ y, 48 bytes each, big-endian; a test checks every one of them against
its predecessor with a pairing. Nobody knows τ unless all of the ceremony's more than 140,000 participants colluded.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from py_arkworks_bls12381 import G1Point, G2Point

from cloister.proving.errors import InvalidProof

POWERS: Final = 4096
DIGEST: Final = "2ab2ea576293ede14f62cc315d49d2f98a54df399546a0e52ca546c2d2f9601f"
TAU_G2: Final = bytes.fromhex(
    "185cbfee53492714734429b7b38608e23926c911cceceac9a36851477ba4c60b087041de621000edc98edada20c1def2"
    "15bfd7dd8cdeb128843bc287230af38926187075cbfbefa81009a2ce615ac53d2914e5870cb452d2afaaab24f3499f72"
    "014353bdb96b626dd7d5ee8599d1fca2131569490e28de18e82451a496a9c9794ce26d105941f383ee689bfbbb832a99"
    "1666c54b0a32529503432fcae0181b4bef79de09fc63671fda5ed1ba9bfa07899495346f3d7ac9cd23048ef30d0a154f"
)
POINT_BYTES: Final = 96


@lru_cache(maxsize=1)
def powers() -> tuple[G1Point, ...]:
    """G_0 … G_4095. Raises InvalidProof if the file is not the one that was pinned."""
    data = files(__package__).joinpath("g1_monomial.bin").read_bytes()
    if sha256(data).hexdigest() != DIGEST:
        raise InvalidProof("The ceremony file of this installation is damaged.", "Install Cloister again.")
    return tuple(
        G1Point.from_xy_bytes_unchecked_be(data[at : at + POINT_BYTES]) for at in range(0, len(data), POINT_BYTES)
    )


@lru_cache(maxsize=1)
def tau_g2() -> G2Point:
    """τ·G2."""
    return G2Point.from_xy_bytes_be(TAU_G2)
