"""What rules ATT-1 to ATT-7 say about a quote's first 1,252 bytes, once more: slow, plain, without the package's code.

Certificates are judged by the caller: this takes the key of a platform certificate and what it says about its platform.
"""

import json
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

STATUSES = (
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Refused(Exception):
    """The rule that does not hold."""


@dataclass(frozen=True)
class Machine:
    """What a platform certificate says, and its key (x ‖ y)."""

    key: bytes
    cpu_svn: bytes
    pce_svn: int


def judge(quote: bytes, machine: Machine, tcb: str, identity: str) -> str:
    """The status. Raises Refused."""

    def need(holds: bool, rule: str) -> None:
        if not holds:
            raise Refused(rule)

    def number(at: int, size: int) -> int:
        return int.from_bytes(quote[at : at + size], "little")

    need(len(quote) == 1252, "ATT-1 length")
    need((number(0, 2), number(2, 2), number(4, 4)) == (4, 2, 0x81), "ATT-1 header")
    need(quote[12:28].hex() == "939a7233f79c4ca9940a0db3957f0607", "ATT-1 vendor")
    need(number(764, 2) == 6 and number(1218, 2) == 32, "ATT-1 types")
    need(number(632, 4) == 64 + 64 + 2 + 4 + number(766, 4), "ATT-1 lengths")

    need(_verifies(quote[700:764], quote[636:700], quote[:632]), "ATT-2 quote")
    need(_verifies(machine.key, quote[1154:1218], quote[770:1154]), "ATT-2 report")
    need(quote[1090:1154] == sha256(quote[700:764] + quote[1220:1252]).digest() + bytes(32), "ATT-3")

    attributes = number(168, 8)
    permitted = 1 << 28 | 1 << 30 | 1 << 31 | 1 << 63
    need(attributes & ~permitted == 0 and attributes >> 28 & 1 == 1, "ATT-5 attributes")
    need(not any(quote[112:168]), "ATT-5 module")

    enclave = json.loads(identity)
    fields = {"attributes": (818, 16), "miscselect": (786, 4)}
    for field, (at, size) in fields.items():
        mask = int(enclave[field + "Mask"], 16)
        found = int.from_bytes(quote[at : at + size])
        need(found & mask == int(enclave[field], 16) & mask, f"ATT-6 {field}")
    need(quote[898:930].hex() == enclave["mrsigner"].lower(), "ATT-6 signer")
    need(number(1026, 2) == enclave["isvprodid"], "ATT-6 product")
    statuses = [_first(enclave["tcbLevels"], number(1028, 2), "ATT-6 level")]

    info = json.loads(tcb)
    tee = quote[48:64]
    statuses.append(_platform(info, machine, tee))
    if tee[1]:
        found = [entry for entry in info["tdxModuleIdentities"] if entry["id"] == f"TDX_{tee[1]:02X}"]
        need(bool(found), "ATT-7 module")
        statuses.append(_first(found[0]["tcbLevels"], tee[0], "ATT-7 module level"))
    need("Revoked" not in statuses, "ATT-7 revoked")
    worst = max(statuses, key=STATUSES.index)
    if worst == "OutOfDate" and any("Configuration" in status for status in statuses):
        return "OutOfDateConfigurationNeeded"
    return worst


def _platform(info: dict, machine: Machine, tee: bytes) -> str:
    def sort_key(level: dict) -> list[int]:
        tcb = level["tcb"]
        return (
            [c["svn"] for c in tcb["sgxtcbcomponents"]] + [tcb["pcesvn"]] + [c["svn"] for c in tcb["tdxtcbcomponents"]]
        )

    for level in sorted(info["tcbLevels"], key=sort_key, reverse=True):
        tcb = level["tcb"]
        sgx = [component["svn"] for component in tcb["sgxtcbcomponents"]]
        tdx = [component["svn"] for component in tcb["tdxtcbcomponents"]]
        first = 2 if tee[1] else 0
        if (
            all(have >= least for have, least in zip(machine.cpu_svn, sgx, strict=True))
            and machine.pce_svn >= tcb["pcesvn"]
            and all(have >= least for have, least in list(zip(tee, tdx, strict=True))[first:])
        ):
            return level["tcbStatus"]
    raise Refused("ATT-7 level")


def _first(levels: list[dict], svn: int, rule: str) -> str:
    for level in levels:
        if svn >= level["tcb"]["isvsvn"]:
            return level["tcbStatus"]
    raise Refused(rule)


def _verifies(key: bytes, signature: bytes, message: bytes) -> bool:
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if not (0 < r < ORDER and 0 < s < ORDER):
        return False
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + key)
        public.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
