"""TCB info and QE identity of development devices, in the words in which Intel writes its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cloister.attestation.device import MODULE_VERSION, QE_ISVPRODID, QE_ISVSVN, QE_MRSIGNER, TEE_TCB_SVN
from cloister.domain.attested import TcbStatus

FMSPC = bytes.fromhex("DEDEDEDEDEDE")
PCE_SVN = 11
DOCUMENT_LIFETIME = 30 * 86_400
SLACK = 3_600
"""Seconds that documents are dated back, so that a chain whose clock is a little behind takes them."""
_LEVELS = {
    7: TcbStatus.UP_TO_DATE,
    6: TcbStatus.SW_HARDENING_NEEDED,
    5: TcbStatus.CONFIGURATION_NEEDED,
    4: TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    3: TcbStatus.OUT_OF_DATE,
    2: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    1: TcbStatus.REVOKED,
}
"""Status of a device by the version of its components: enough to try every status."""
NEWEST = max(_LEVELS)
_LEVEL_DATE = "2024-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class DocumentShape:
    """What can be chosen about documents: `lifetime` in seconds, and fields by their JSON names in `tcb` and `qe`."""

    lifetime: int = DOCUMENT_LIFETIME
    evaluation: int = 17
    tcb: Mapping[str, Any] = field(default_factory=dict)
    qe: Mapping[str, Any] = field(default_factory=dict)


def svn_of(status: TcbStatus) -> int:
    """Version of the components of a device that is in this state."""
    return next(svn for svn, known in _LEVELS.items() if known == status)


def tcb_info(now: int, shape: DocumentShape) -> str:
    """The JSON text to sign."""
    module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    levels = [{"tcb": {"isvsvn": TEE_TCB_SVN[0]}} | _level(TcbStatus.UP_TO_DATE)]
    levels.append({"tcb": {"isvsvn": 3}} | _level(TcbStatus.OUT_OF_DATE))
    content = {
        "id": "TDX",
        "version": 3,
        **_dates(now, shape),
        "fmspc": FMSPC.hex().upper(),
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": shape.evaluation,
        "tdxModule": module,
        "tdxModuleIdentities": [{"id": f"TDX_{MODULE_VERSION:02X}", **module, "tcbLevels": levels}],
        "tcbLevels": [{"tcb": _components(svn)} | _level(status) for svn, status in _LEVELS.items()],
    }
    return json.dumps(content | dict(shape.tcb), separators=(",", ":"))


def qe_identity(now: int, shape: DocumentShape) -> str:
    """The JSON text to sign."""
    content = {
        "id": "TD_QE",
        "version": 2,
        **_dates(now, shape),
        "tcbEvaluationDataNumber": shape.evaluation,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": QE_MRSIGNER.hex().upper(),
        "isvprodid": QE_ISVPRODID,
        "tcbLevels": [
            {"tcb": {"isvsvn": QE_ISVSVN}} | _level(TcbStatus.UP_TO_DATE),
            {"tcb": {"isvsvn": 4}} | _level(TcbStatus.OUT_OF_DATE),
        ],
    }
    return json.dumps(content | dict(shape.qe), separators=(",", ":"))


def _components(svn: int) -> dict[str, Any]:
    tdx = [TEE_TCB_SVN[0], 0, *TEE_TCB_SVN[2:]]
    return {
        "sgxtcbcomponents": [{"svn": svn}] * 16,
        "pcesvn": PCE_SVN,
        "tdxtcbcomponents": [{"svn": least} for least in tdx],
    }


def _level(status: TcbStatus) -> dict[str, str]:
    return {"tcbDate": _LEVEL_DATE, "tcbStatus": status.label}


def _dates(now: int, shape: DocumentShape) -> dict[str, str]:
    issued = now - SLACK
    return {"issueDate": _date(issued), "nextUpdate": _date(issued + shape.lifetime)}


def _date(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
