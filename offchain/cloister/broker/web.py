"""A broker over HTTP: JSON in and out, bytes as 0x and hexadecimal digits.

    POST /v1/nonce                                                       → {"nonce"}
    POST /v1/release {"nonce", "version", "worker", "release_key",
                      "evidence", "collateral"}                          → {"index", "key_epoch", "sealed", "entry"}
    GET  /v1/status                            → {"broker", "chain_id", "registry", "entries", "head"}

A refusal is {"error": {"reason", "message", "hint"}} with status 400 or 403, or 503 where the broker cannot tell.
Shares are sealed to the enclave that asked, so nothing here is secret; loopback is the default all the same, because a
server in front can bound connections and rates, and this one does not.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread
from typing import Any, TypeVar

import structlog
from aiohttp import web
from eth_utils.address import to_checksum_address

from cloister.broker.errors import Reason, Refused, Unable
from cloister.broker.nonces import NONCE_BYTES
from cloister.broker.service import Broker, Released, ReleaseRequest
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import Address, VersionId, hexed, unhexed
from cloister.sealing import hybrid

log = structlog.get_logger()

HOST, PORT = "127.0.0.1", 8650
MAX_EVIDENCE, MAX_COLLATERAL = 64 << 10, 1 << 20
MAX_REQUEST = 2 * (MAX_EVIDENCE + MAX_COLLATERAL) + (64 << 10)
READ_SECONDS = 15.0
ANSWER_SECONDS = 90.0
THREADS, MOST_WAITING = 4, 32
_MEMBERS = {"nonce", "version", "worker", "release_key", "evidence", "collateral"}

T = TypeVar("T")


class CannotListen(CloisterError):
    """The broker's address cannot be had."""


class Endpoint:
    """The handlers. Decisions are made in threads, because they wait for the chain and the disk."""

    def __init__(self, broker: Broker, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._broker = broker
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="broker")
        self._waiting = 0
        self._answer_seconds = answer_seconds

    def application(self) -> web.Application:
        """For a server; it ends the threads when it is cleaned up."""
        application = web.Application(client_max_size=MAX_REQUEST, middlewares=[_errors])
        application.add_routes(
            [
                web.post("/v1/nonce", self.nonce),
                web.post("/v1/release", self.release),
                web.get("/v1/status", self.status),
            ]
        )
        application.on_cleanup.append(self._end)
        return application

    async def nonce(self, request: web.Request) -> web.Response:
        """A challenge."""
        return _answer({"nonce": hexed(self._broker.nonces.new())})

    async def release(self, request: web.Request) -> web.Response:
        """The share, or the reason why not."""
        asked = _request(await _body(request))
        released = await self._in_thread(lambda: self._broker.release(asked))
        return _answer(_content(released))

    async def status(self, request: web.Request) -> web.Response:
        """Who this is, and how far its log has come: whoever keeps `head` can tell later whether it is still in it."""
        broker = self._broker
        return _answer(
            {
                "broker": hexed(broker.key.fingerprint),
                "chain_id": broker.chain_id,
                "registry": broker.workers.address,
                "entries": broker.log.count,
                "head": hexed(broker.log.head),
            }
        )

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise Unable("The broker has too much to do.", "Ask again in a minute.")
        self._waiting += 1
        job = asyncio.get_running_loop().run_in_executor(self._threads, work)
        job.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await asyncio.shield(job)
        except TimeoutError:
            raise Unable("The broker takes too long to decide.", "Ask again in a minute.") from None

    def _done(self, job: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not job.cancelled():
            job.exception()  # seen, even if nobody waits for it any more

    async def _end(self, _: web.Application) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)


@contextmanager
def serving(broker: Broker, host: str = HOST, port: int = PORT) -> Iterator[str]:
    """Serves in a thread for as long as the block runs; gives the URL. Port 0 takes any. Raises CannotListen."""
    started: Future[str] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = Thread(target=lambda: loop.run_until_complete(_serve(broker, host, port, started, stop)), daemon=True)
    thread.start()
    try:
        yield started.result()
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _serve(broker: Broker, host: str, port: int, started: Future[str], stop: asyncio.Event) -> None:
    application = Endpoint(broker).application()
    runner = web.AppRunner(application, access_log=None, auto_decompress=False, keepalive_timeout=15)
    try:
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        started.set_result(f"http://{f'[{host}]' if ':' in host else host}:{bound}")
        await stop.wait()
    except Exception as error:
        if started.done():
            raise
        problem = error.strerror if isinstance(error, OSError) else error
        started.set_exception(CannotListen(f"Cannot listen at {host}:{port}: {problem}.", "Name another --listen."))
    finally:
        await runner.cleanup()


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as error:
        status = 400 if error.reason is Reason.MALFORMED else 403
        log.info("release refused", reason=str(error.reason), message=error.message)
        return _problem(status, error.reason, error.message, error.hint)
    except Unable as error:
        log.warning("release not possible", message=error.message, hint=error.hint)
        return _problem(503, "unable", error.message, "Ask another broker, or this one later.")
    except web.HTTPException as error:
        return _problem(error.status, "http", error.reason, "")
    except Exception as error:  # noqa: BLE001  whatever it is, no share leaves
        # Never its text nor what a traceback shows of variables: the share may be among them.
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.error("broker failed", kind=type(error).__name__, at=f"{place.filename}:{place.lineno}")  # noqa: TRY400
        return _problem(500, "failed", "The broker failed.", "Tell its operator.")


def _answer(content: dict[str, Any], status: int = 200) -> web.Response:
    return web.json_response(content, status=status)


def _problem(status: int, reason: str, message: str, hint: str) -> web.Response:
    return _answer({"error": {"reason": str(reason), "message": message, "hint": hint}}, status)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        async with asyncio.timeout(READ_SECONDS):
            content = json.loads(await request.read())
    except TimeoutError:
        raise Refused(Reason.MALFORMED, "The request came too slowly.") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise Refused(Reason.MALFORMED, "The request is no JSON object.")
    return content


def _request(content: dict[str, Any]) -> ReleaseRequest:
    if content.keys() != _MEMBERS or not all(isinstance(value, str) for value in content.values()):
        raise Refused(Reason.MALFORMED, f"The request must have exactly the texts {', '.join(sorted(_MEMBERS))}.")
    try:
        return ReleaseRequest(
            nonce=unhexed(content["nonce"], "nonce", NONCE_BYTES),
            version=VersionId(unhexed(content["version"], "version")),
            worker=_address(content["worker"]),
            release_key=unhexed(content["release_key"], "release_key", hybrid.PUBLIC_KEY_BYTES),
            evidence=_bytes(content, "evidence", MAX_EVIDENCE),
            collateral=_bytes(content, "collateral", MAX_COLLATERAL),
        )
    except InvalidInput:
        raise Refused(
            Reason.MALFORMED,
            f"nonce and version have 32 bytes, release_key {hybrid.PUBLIC_KEY_BYTES:,}, evidence up to "
            f"{MAX_EVIDENCE:,} and collateral up to {MAX_COLLATERAL:,}, all in hexadecimal; worker is an address.",
        ) from None


def _bytes(content: dict[str, Any], name: str, most: int) -> bytes:
    text = content[name]
    return unhexed(text, name, min(len(text.removeprefix("0x")) // 2, most))


def _address(text: str) -> Address:
    unhexed(text, "worker", 20)
    return Address(to_checksum_address(text))


def _content(released: Released) -> dict[str, Any]:
    entry = released.entry
    return {
        "index": released.index,
        "key_epoch": released.key_epoch,
        "sealed": hexed(released.sealed),
        "entry": {"number": entry.number, "hash": hexed(entry.hash)},
    }
