"""The host's part of a key release: takes challenges, evidence and sealed shares between brokers and an enclave.

    fetch_key(enclave, provider, settings.brokers, version, owner, manifest_bytes, me, key_epoch)

The host can read none of the shares (HOST-1). Brokers may be down, slow or hostile: each of them gets a bounded time,
and what it says is read up to a bound.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
import structlog

from cloister.attestation.providers.provider import Provider
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import Address, VersionId, hexed, unhexed
from cloister.enclave.errors import ModelRefused, QuestionRefused
from cloister.fixedpoint.manifest import Manifest
from cloister.sealing import hybrid

log = structlog.get_logger()

NONCE_SECONDS = 10.0
RELEASE_SECONDS = 120.0
"""Longest wait for one broker: it asks its own chain before it answers."""
MAX_ANSWER = 64 << 10
SEALED_SHARE_BYTES = 72 + hybrid.OVERHEAD_BYTES
MAX_TEXT = 300


class BrokerFailed(CloisterError):
    """One broker gave no share, or none that the enclave takes."""


class KeyNotReleased(CloisterError):
    """Too few brokers gave a share. `answers` has each that did not, by its address without path, and its reason."""

    def __init__(self, message: str, answers: Sequence[tuple[str, str]]) -> None:
        told = "; ".join(f"{broker}: {answer}" for broker, answer in answers)
        super().__init__(f"{message} {told}" if told else message, "Name more of its brokers under brokers.")
        self.answers = tuple(answers)


class Releasing(Protocol):
    """What an enclave does with keys of sealed models; see `cloister.enclave.client`."""

    def expect(self, version: VersionId, owner: Address, manifest: bytes) -> int: ...
    def begin_release(self, version: VersionId, nonce: bytes) -> tuple[bytes, bytes]: ...
    def add_share(self, version: VersionId, evidence: bytes, key_epoch: int, index: int, sealed: bytes) -> int: ...


def fetch_key(
    enclave: Releasing,
    provider: Provider,
    brokers: Sequence[str],
    version: VersionId,
    owner: Address,
    manifest: bytes,
    worker: Address,
    key_epoch: int,
    given: set[str] | None = None,
) -> None:
    """Gets the key of a sealed version into the enclave, from as many of the brokers (URLs, in order) as it takes.

    Each release counts, so that no broker is asked for a share before so many of them answer that they could suffice,
    and none a second time: `given` keeps, from one call to the next, those whose share the enclave holds.
    Raises KeyNotReleased, ModelRefused for a manifest that is not the version's, EnclaveFailed, and what the provider
    raises.
    """
    sealing = Manifest.from_bytes(manifest).sealing
    if sealing is None:
        raise InvalidInput(f"Model version {hexed(version)} is not sealed: it needs no key.")
    missing = enclave.expect(version, owner, manifest)
    given = set() if given is None else given
    if sealing.threshold - missing != len(given):
        given.clear()  # it is another enclave, or has used or forgotten the key since
    answers: list[tuple[str, str]] = []
    waiting = [broker for broker in dict.fromkeys(brokers) if broker not in given]
    ready: list[tuple[str, bytes]] = []
    while missing:
        while waiting and len(ready) < missing:
            broker = waiting.pop(0)
            try:
                ready.append((broker, _nonce(broker)))
            except BrokerFailed as error:
                answers.append((_shown(broker), error.message))
        if len(ready) < missing:
            answers += [(_shown(broker), "It was not asked, because others give no share.") for broker, _ in ready]
            raise KeyNotReleased(
                f"{missing} more shares of the key of model version {hexed(version)} are needed.", answers
            )
        broker, nonce = ready.pop(0)
        try:
            missing = _share(enclave, provider, broker, nonce, version, worker, key_epoch)
            given.add(broker)
        except (BrokerFailed, ModelRefused, QuestionRefused) as error:
            answers.append((_shown(broker), error.message))
            log.warning("no share from a broker", broker=_shown(broker), version=hexed(version), error=error.message)
    log.info("key released", version=hexed(version))


def _share(
    enclave: Releasing,
    provider: Provider,
    broker: str,
    nonce: bytes,
    version: VersionId,
    worker: Address,
    key_epoch: int,
) -> int:
    release_key, report_data = enclave.begin_release(version, nonce)
    evidence = provider.evidence(report_data)
    question = {
        "nonce": hexed(nonce),
        "version": hexed(version),
        "worker": worker,
        "release_key": hexed(release_key),
        "evidence": hexed(evidence),
        "collateral": hexed(provider.collateral() or b""),
    }
    given = _ask(broker, "release", question, RELEASE_SECONDS)
    index, epoch = given.get("index"), given.get("key_epoch")
    if type(index) is not int or not 1 <= index <= 255:
        raise BrokerFailed("It answers with no share.")
    if epoch != key_epoch:
        raise BrokerFailed(f"It sees key epoch {str(epoch)[:20]} of this worker, not {key_epoch}.")
    return enclave.add_share(version, evidence, key_epoch, index, _bytes(given, "sealed", SEALED_SHARE_BYTES))


def _nonce(broker: str) -> bytes:
    return _bytes(_ask(broker, "nonce", {}, NONCE_SECONDS), "nonce", 32)


def _bytes(given: Mapping[str, Any], name: str, length: int) -> bytes:
    value = given.get(name)
    try:
        return unhexed(value if isinstance(value, str) else "", name, length)
    except InvalidInput:
        raise BrokerFailed(f"It answers without {name} of {length:,} bytes.") from None


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes


def _ask(broker: str, what: str, question: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """A broker's answer. Raises BrokerFailed with its reason, or with what is wrong about it."""
    try:
        reply = asyncio.run(_post(f"{broker.rstrip('/')}/v1/{what}", question, seconds))
    except TimeoutError:
        raise BrokerFailed(f"It does not answer within {seconds:.0f} s.") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # Its text may quote the address, whose path can be a secret.
        raise BrokerFailed(f"It cannot be reached: {type(error).__name__}.") from None
    try:
        content = json.loads(reply.body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise BrokerFailed(f"It answers with status {reply.status} and no JSON object.")
    if reply.status != 200:
        raise BrokerFailed(_refusal(reply.status, content.get("error")))
    return content


async def _post(url: str, question: Mapping[str, str], seconds: float) -> _Reply:
    limit = aiohttp.ClientTimeout(total=seconds)
    async with (
        aiohttp.ClientSession(timeout=limit, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session,
        # Redirected, a broker could have this process ask addresses inside its network.
        session.post(url, json=question, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as response,
    ):
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ANSWER:
                raise ValueError("too long")
        return _Reply(response.status, bytes(body))


def _refusal(status: int, error: Any) -> str:
    if not isinstance(error, dict):
        return f"It answers with status {status}."
    told = " ".join(str(error.get(name, "")) for name in ("message", "hint"))[:MAX_TEXT]
    return f"{''.join(c if c.isprintable() else ' ' for c in told).strip()} ({str(error.get('reason'))[:30]})"


def _shown(broker: str) -> str:
    parts = urlsplit(broker)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
