"""What a broker remembers of vendors' documents: none may be older than one that it has seen (ATT-8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from cloister.attestation.collateral import root_id, transcribe
from cloister.broker.errors import BrokerStateBroken, Reason, Refused, Unable
from cloister.domain.errors import CloisterError
from cloister.storage.atomic import write_atomically
from cloister.storage.errors import StorageError

Age = tuple[int, int]
"""Unix second of issue, and TCB evaluation number: 0 for a revocation list, which has none."""


class DocumentMemory:
    """The newest age of each document, in a file. Threads may share it."""

    def __init__(self, path: Path, newest: Mapping[str, Age]) -> None:
        self._path, self._newest = path, dict(newest)
        self._lock = Lock()

    @classmethod
    def load(cls, path: Path) -> DocumentMemory:
        """Reads the file; without one nothing was seen yet. Raises BrokerStateBroken."""
        try:
            content = json.loads(path.read_bytes())
            return cls(path, {name: (int(issued), int(number)) for name, (issued, number) in content.items()})
        except FileNotFoundError:
            return cls(path, {})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BrokerStateBroken(
                f"What this broker knows of vendors' documents cannot be read from {path}: {error}.",
                "Restore the file from a copy. Without it, documents that are known to be outdated would be taken.",
            ) from error

    def admit(self, collateral: str) -> None:
        """Refuses documents that are older than ones seen before, and remembers them durably otherwise.

        `collateral` was judged already: its signatures hold. Raises Refused, or Unable if they cannot be remembered.
        """
        try:
            ages = _ages(collateral)
        except CloisterError as error:
            raise Refused(Reason.COLLATERAL, f"The collateral cannot be read: {error.message}", error.hint) from error
        with self._lock:
            for name, age in ages.items():
                known = self._newest.get(name, (0, 0))
                if age[0] < known[0] or age[1] < known[1]:
                    raise Refused(
                        Reason.COLLATERAL,
                        f"The collateral is outdated: this broker has seen a newer {name.split('/')[1]}.",
                        "Fetch the collateral again.",
                    )
            newest = self._newest | ages
            if newest != self._newest:
                self._save(newest)
                self._newest = newest

    def _save(self, newest: Mapping[str, Age]) -> None:
        try:
            write_atomically(self._path, json.dumps(newest, indent=2).encode(), mode=0o600)
        except StorageError as error:
            raise Unable("The broker cannot remember the vendor's documents.", error.message) from error


def _ages(collateral: str) -> dict[str, Age]:
    found = transcribe(collateral)
    root = found.root.hex()
    ages = {
        f"{root}/TCB info/{found.tcb.fmspc.hex()}": (found.tcb.issued, found.tcb.evaluation),
        f"{root}/QE identity": (found.qe.issued, found.qe.evaluation),
    }
    # By keys, not by certificates: whoever flips the sign of a signature's s has another certificate of the same CA.
    issuers = (root, root_id(found.authorities[0]).hex())
    lists = zip(issuers, found.lists, strict=True)
    return ages | {f"{root}/revocation list/{issuer}": (one.issued, 0) for issuer, one in lists}
