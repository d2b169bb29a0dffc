"""Orders to a worker over HTTP. It may be down, slow or hostile: it gets a bounded time and says a bounded amount."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from cloister.sessions.errors import OrderRefused, Reason, WorkerFailed
from cloister.sessions.messages import MAX_ANSWER

SECONDS = 330.0
"""Longest wait for one answer: more than a worker takes before it says that a job takes too long."""
_MAX_TEXT = 300
_REASONS = {str(reason): reason for reason in Reason}


class HttpTransport:
    """A worker's sessions at `url`, as `web` serves them."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        self._url = f"{url.rstrip('/')}/v1/sessions/orders"
        self._seconds = seconds

    def send(self, message: bytes) -> bytes:
        """See Transport."""
        try:
            status, body = asyncio.run(self._post(message))
        except TimeoutError:
            raise WorkerFailed(f"The worker does not answer within {self._seconds:.0f} s.", _AGAIN) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Its text may quote the address, whose path can be a secret.
            raise WorkerFailed(f"The worker cannot be reached: {type(error).__name__}.", _AGAIN) from None
        if status == 200:
            return body
        reason, told = _refusal(body)
        if status == 403 and reason in _REASONS:
            raise OrderRefused(_REASONS[reason], f"The worker refuses: {told}")
        raise WorkerFailed(f"The worker answers with status {status}: {told}", _AGAIN)

    async def _post(self, message: bytes) -> tuple[int, bytes]:
        limit = aiohttp.ClientTimeout(total=self._seconds)
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession(timeout=limit, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session,
            # Redirected, a worker could have this process ask addresses inside its network.
            session.post(self._url, data=message, allow_redirects=False, headers=headers) as response,
        ):
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise ValueError("too long")
            return response.status, bytes(body)


_AGAIN = "The order stays open: send it again, or close the session."


def _refusal(body: bytes) -> tuple[str, str]:
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict):
        return "", "no reason."
    told = " ".join(str(error.get(name, "")) for name in ("message", "hint"))[:_MAX_TEXT]
    return str(error.get("reason")), "".join(c if c.isprintable() else " " for c in told).strip()
