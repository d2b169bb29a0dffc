"""A worker's sessions over HTTP; `messages` has the bodies.

    POST /v1/sessions/orders   an order  → its receipt, and the same one if it is sent again
    GET  /v1/sessions/status             → {"worker", "chain_id", "contract"}

A refusal is {"error": {"reason", "message", "hint"}} with status 400 or 403, or 503 if the order may be sent again.
Inputs and outputs are sealed, so nothing here is secret; loopback is the default all the same, because a server in
front can bound connections and rates, and this one does not.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread
from typing import Any

import structlog
from aiohttp import web

from cloister.chain.errors import Retryable
from cloister.domain.errors import CloisterError, InvalidInput
from cloister.sessions.errors import LedgerError, OrderRefused, Reason, Unable
from cloister.sessions.messages import MAX_REQUEST, Answered, OrderMessage
from cloister.sessions.service import SessionWorker

log = structlog.get_logger()

HOST, PORT = "127.0.0.1", 8660
READ_SECONDS = 60.0
ANSWER_SECONDS = 300.0
THREADS, MOST_WAITING = 4, 32


class CannotListen(CloisterError):
    """The address cannot be had."""


class Endpoint:
    """The handlers. Jobs are done in threads, because they wait for the chain, the disk and the model."""

    def __init__(self, worker: SessionWorker, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._worker = worker
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sessions")
        self._waiting = 0
        self._answer_seconds = answer_seconds

    def application(self) -> web.Application:
        """For a server; it ends the threads when it is cleaned up."""
        application = web.Application(client_max_size=MAX_REQUEST, middlewares=[_errors])
        application.add_routes(
            [web.post("/v1/sessions/orders", self.order), web.get("/v1/sessions/status", self.status)]
        )
        application.on_cleanup.append(self._end)
        return application

    async def order(self, request: web.Request) -> web.Response:
        """The receipt, or the reason why not."""
        # Counted before the body is read, so that bodies cannot fill the memory.
        if self._waiting >= MOST_WAITING:
            raise Unable("The worker has too much to do.", "Send the order again in a minute.")
        self._waiting += 1
        try:
            message = OrderMessage.decoded(await _body(request))
        except BaseException:
            self._waiting -= 1
            raise
        job = asyncio.get_running_loop().run_in_executor(self._threads, self._worker.take, message)
        job.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self._answer_seconds):
                answered = await asyncio.shield(job)
        except TimeoutError:
            raise Unable("The job takes too long.", "Send the order again: its receipt will be there.") from None
        return web.Response(body=answered.encoded(), content_type="application/json")

    async def status(self, _: web.Request) -> web.Response:
        """Who this is."""
        at = self._worker.at
        return web.json_response({"worker": self._worker.worker, "chain_id": at.chain_id, "contract": at.contract})

    def _done(self, job: asyncio.Future[Answered]) -> None:
        self._waiting -= 1
        if not job.cancelled():
            job.exception()  # seen, even if nobody waits for it any more

    async def _end(self, _: web.Application) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)


@contextmanager
def serving(worker: SessionWorker, host: str = HOST, port: int = PORT) -> Iterator[str]:
    """Serves in a thread for as long as the block runs; gives the URL. Port 0 takes any. Raises CannotListen."""
    started: Future[str] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = Thread(target=lambda: loop.run_until_complete(_serve(worker, host, port, started, stop)), daemon=True)
    thread.start()
    try:
        yield started.result()
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _serve(worker: SessionWorker, host: str, port: int, started: Future[str], stop: asyncio.Event) -> None:
    runner = web.AppRunner(Endpoint(worker).application(), access_log=None, auto_decompress=False, keepalive_timeout=15)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
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
    except OrderRefused as error:
        log.info("order refused", reason=str(error.reason), message=error.message)
        return _problem(403, error.reason, error.message, error.hint)
    except InvalidInput as error:
        return _problem(400, Reason.MALFORMED, error.message, error.hint)
    except (Unable, Retryable, LedgerError) as error:
        log.warning("order not possible", message=error.message, hint=error.hint)
        return _problem(503, "unable", error.message, "Send the order again later.")
    except web.HTTPException as error:
        return _problem(error.status, "http", error.reason, "")
    except Exception as error:  # noqa: BLE001  whatever it is, the requester can send the order again
        # Never its text nor what a traceback shows of variables: an input may be among them.
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.error("sessions failed", kind=type(error).__name__, at=f"{place.filename}:{place.lineno}")  # noqa: TRY400
        return _problem(500, "failed", "The worker failed.", "Send the order again, or tell its operator.")


def _problem(status: int, reason: str, message: str, hint: str) -> web.Response:
    content: dict[str, Any] = {"error": {"reason": str(reason), "message": message, "hint": hint}}
    return web.json_response(content, status=status)


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await request.read()
    except TimeoutError:
        raise InvalidInput("The order came too slowly.") from None
