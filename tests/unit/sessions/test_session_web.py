"""Sessions over HTTP: bounded, and every end has a reason."""

import gzip
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from support.sessions import AT, SESSION, VERSION, WORKER

from cloister.chain.errors import RpcUnavailable
from cloister.sessions import web
from cloister.sessions.errors import OrderRefused, Reason, WorkerFailed
from cloister.sessions.messages import MAX_ANSWER, MAX_REQUEST
from cloister.sessions.transport import HttpTransport
from cloister.sessions.web import CannotListen, serving


@pytest.fixture
def url(pair):
    with serving(pair.worker, port=0) as found:
        yield found


def post(url, data, **how):
    return requests.post(f"{url}/v1/sessions/orders", data=data, timeout=20, **how)


def test_ask__over_http__gives_outputs(pair, url):
    """SESS-19, SESS-22"""
    client = pair.new_client(HttpTransport(url))
    for number in range(5):
        assert client.ask(VERSION, b"input %d" % number) == b"%d tupni" % number
    assert pair.worker.to_settle(SESSION).count == 5


def test_order__sent_many_times_at_once__is_done_once(pair, url):
    """SESS-20: one receipt, whoever asks how often."""
    pair.line.before = lambda: (_ for _ in ()).throw(RuntimeError)
    with pytest.raises(RuntimeError):
        pair.client.ask(VERSION, b"input")
    run = pair.answering._run
    pair.answering._run = lambda *args: (time.sleep(0.05), run(*args))[1]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: post(url, pair.line.sent[0]), range(8)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert len(pair.runs) == 1
    pair.line.before = lambda: None
    assert pair.client.finish() == b"tupni"


def test_order__of_a_session_that_is_busy__holds_up_no_other(pair, url):
    """SESS-22: waiting orders take no thread."""
    pair.line.before = lambda: (_ for _ in ()).throw(RuntimeError)
    with pytest.raises(RuntimeError):
        pair.client.ask(VERSION, b"input")
    go, run = threading.Event(), pair.answering._run
    pair.answering._run = lambda *args: (go.wait(20), run(*args))[1]
    with ThreadPoolExecutor(web.THREADS + 2) as threads:
        waiting = [threads.submit(post, url, pair.line.sent[0]) for _ in range(web.THREADS + 2)]
        deadline = time.monotonic() + 10
        while sum(one.done() for one in waiting) < web.THREADS + 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        busy = [one.result().status_code for one in waiting if one.done()]
        go.set()
    assert busy == [503] * (web.THREADS + 1)


def test_status__tells_whose_it_is(url):
    content = requests.get(f"{url}/v1/sessions/status", timeout=5).json()
    assert content == {"worker": WORKER, "chain_id": AT.chain_id, "contract": AT.contract}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe", b'{"session": "0x00"}'])
def test_order__malformed__is_refused_with_400(pair, url, body):
    """SESS-22"""
    answer = post(url, body)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "malformed")
    assert not pair.runs


def test_order__huge_body__is_cut_off_with_413(url):
    """SESS-22"""
    assert post(url, b" " * (MAX_REQUEST + 1)).status_code == 413


def test_order__compressed_body__is_not_unpacked(url):
    """SESS-22"""
    answer = post(url, gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "malformed")


def test_order__refused__tells_the_client_why(pair, url):
    pair.chain.change(close_at=1)
    with pytest.raises(OrderRefused) as error:
        pair.new_client(HttpTransport(url)).ask(VERSION, b"x")
    assert error.value.reason is Reason.CLOSING
    assert pair.requester_ledger.last(SESSION) is None


def test_order__chain_that_does_not_answer__can_be_sent_again(pair, url, monkeypatch):
    """SESS-20: what cannot be looked up is neither done nor refused."""
    client = pair.new_client(HttpTransport(url))

    def gone(_):
        raise RpcUnavailable("The RPC endpoint does not answer.")

    with monkeypatch.context() as changed:
        changed.setattr(pair.chain, "standing", gone)
        with pytest.raises(WorkerFailed, match="503"):
            client.ask(VERSION, b"input")
    assert client.finish() == b"tupni"


def test_order__defect_of_the_worker__tells_nothing_of_the_input(pair, url):
    secret = "a secret of the input"

    def fail(*_):
        raise ValueError(secret)

    pair.answering._run = fail
    pair.line.before = lambda: (_ for _ in ()).throw(RuntimeError)
    with pytest.raises(RuntimeError):
        pair.client.ask(VERSION, b"input")
    answer = post(url, pair.line.sent[0])
    assert answer.status_code == 500
    assert secret not in answer.text


def test_order__job_that_takes_too_long__is_there_when_it_is_sent_again(pair, monkeypatch):
    """SESS-20"""
    monkeypatch.setattr(web.Endpoint.__init__, "__kwdefaults__", {"answer_seconds": 0.2})
    go = threading.Event()
    run = pair.answering._run
    pair.answering._run = lambda *args: (go.wait(20), run(*args))[1]
    with serving(pair.worker, port=0) as url:
        client = pair.new_client(HttpTransport(url))
        with pytest.raises(WorkerFailed, match="503"):
            client.ask(VERSION, b"input")
        go.set()
        deadline = time.monotonic() + 10
        while pair.worker_ledger.last(SESSION).receipt is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert client.finish() == b"tupni"
    assert len(pair.runs) == 1


def test_order__too_many_at_once__is_put_off(pair, url, monkeypatch):
    """SESS-22"""
    monkeypatch.setattr(web, "MOST_WAITING", 0)
    assert post(url, b"{}").status_code == 503


def test_serving__address_that_is_taken__is_a_typed_error(pair):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(CannotListen), serving(pair.worker, port=taken.getsockname()[1]):
            pass


@pytest.fixture
def hostile():
    """A server that answers every request with the given bytes, and keeps what it was asked."""
    server = socket.create_server(("127.0.0.1", 0))
    answers, asked = [], []

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(1 << 20))
                connection.sendall(answers[0])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", answers, asked
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def response(body, status="200 OK", extra=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{extra}\r\n".encode() + body


@pytest.mark.parametrize(
    "answer",
    [
        response(b"x" * (MAX_ANSWER + 1)),
        response(b"", "302 Found", "Location: /elsewhere\r\n"),
        response(b"nonsense", "403 Forbidden"),
        response(json.dumps({"error": {"reason": "no such", "message": "m"}}).encode(), "403 Forbidden"),
        response(json.dumps({"error": {"reason": "job", "message": "m"}}).encode(), "500 Oops"),
        response(json.dumps({"error": [1]}).encode(), "500 Oops"),
        b"no http at all\r\n\r\n",
        b"",
    ],
    ids=["too long", "redirect", "no json", "unknown reason", "reason with 500", "odd error", "no http", "nothing"],
)
def test_send__hostile_worker__is_a_typed_error(hostile, answer):
    """SESS-22: the order stays open."""
    url, answers, asked = hostile
    answers.append(answer)
    with pytest.raises(WorkerFailed) as error:
        HttpTransport(url, 5).send(b"{}")
    assert len(str(error.value)) < 600
    assert len(asked) == 1


def test_send__nobody_there__is_a_typed_error():
    with pytest.raises(WorkerFailed):
        HttpTransport("http://127.0.0.1:1", 5).send(b"{}")
