"""Evidence by the agent of a dstack guest, over its Unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

from cloister.attestation.providers.provider import CollateralSource, ProviderFailed, require_report_data

SOCKET = Path("/var/run/dstack.sock")
_SECONDS = 30
_MAX_ANSWER = 4 << 20
_OK = 200


class DstackProvider:
    """Asks the agent. `source` gives the collateral of its quotes."""

    kind = "tdx-v4"

    def __init__(self, path: Path = SOCKET, *, source: CollateralSource | None = None) -> None:
        self._path = path
        self._source = source
        self._last = b""

    @property
    def name(self) -> str:
        """With the socket."""
        return f"dstack agent at {self._path}"

    def evidence(self, report_data: bytes) -> bytes:
        """A TDX quote. Raises InvalidInput and ProviderFailed."""
        require_report_data(report_data)
        answer = self._ask("/GetQuote", {"report_data": report_data.hex()})
        try:
            quote = bytes.fromhex(str(answer["quote"]).removeprefix("0x"))
        except (KeyError, ValueError) as error:
            raise ProviderFailed("The dstack agent's answer has no quote.", "Update the agent.") from error
        self._last = quote
        return quote

    def collateral(self) -> bytes | None:
        """JSON; None without a source, or before the first evidence."""
        return self._source(self._last) if self._source is not None and self._last else None

    def _ask(self, path: str, question: dict[str, str]) -> dict[str, object]:
        connection = _UnixConnection(self._path)
        try:
            connection.request("POST", path, json.dumps(question), {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read(_MAX_ANSWER)
            if response.status != _OK:
                raise ProviderFailed(f"The dstack agent answers {response.status} {response.reason}.")
            answer = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ProviderFailed(
                f"The dstack agent at {self._path} gives no answer: {error}.",
                "Is its socket mounted in this container?",
            ) from error
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise ProviderFailed("The dstack agent's answer is no JSON object.")
        return answer


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
