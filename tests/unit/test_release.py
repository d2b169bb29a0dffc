"""The host among brokers that are slow, broken or hostile: each costs a bounded time, and none harms it."""

import contextlib
import json
import socket
import threading

import pytest
from support.brokers import KEY_EPOCH, Town, broker_key
from support.enclaves import OWNER, WORKER, open_model

from cloister import release
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import hexed
from cloister.release import KeyNotReleased, fetch_key

NONCE = json.dumps({"nonce": "0x" + "07" * 32}).encode()


def answer(body, status=b"200 OK", headers=b""):
    return (
        b"HTTP/1.1 " + status + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n" + headers + b"\r\n" + body
    )


@contextlib.contextmanager
def hostile(*answers, drip=None):
    """A server that gives these bytes, one answer per connection; of the only one, bytes from `drip` on come singly."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def serve():
            for data in answers:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(1 << 16)
                    connection.sendall(data[:drip])
                    for byte in b"" if drip is None else data[drip:]:
                        if stop.wait(0.05):
                            return
                        connection.sendall(bytes([byte]))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stop.set()
            server.close()
            thread.join(5)


@pytest.fixture
def town(tmp_path):
    with Town(tmp_path, threshold=1, count=1) as found:
        yield found


def told(town, url):
    with pytest.raises(KeyNotReleased) as refused:
        town.fetch([url])
    ((broker, reason),) = refused.value.answers
    assert broker.split(":")[2] == url.split(":")[-1].split("/")[0]
    return reason if "secret" not in str(refused.value) else "a secret"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cannot be reached: ServerDisconnectedError"),
        (b"garbage\r\n\r\n", "cannot be reached"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n", "cannot be reached"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n", "cannot be reached"),
        (answer(b"<html>"), "status 200 and no JSON object"),
        (answer(b"[1]"), "no JSON object"),
        (answer(b"[" * 50_000), "no JSON object"),
        (answer(b"{}"), "without nonce of 32 bytes"),
        (answer(b'{"nonce": 7}'), "without nonce"),
        (answer(b'{"nonce": "0x00"}'), "without nonce"),
        (answer(b" " * (release.MAX_ANSWER + 1)), "cannot be reached: ValueError"),
        (answer(NONCE, b"302 Found", b"Location: http://127.0.0.1:1/\r\n"), "status 302"),
        (answer(NONCE, b"500 Oops"), "status 500"),
        (answer(b'{"error": 7}', b"403 No"), "status 403"),
        (answer(b'{"error": {"message": "\\u001b[2J' + b"x" * 5000 + b'"}}', b"403 No"), "xxx"),
    ],
    ids=range(15),
)
def test_fetch_key__broker_that_answers_nonsense__is_told_and_bounded(town, data, reason):
    with hostile(data) as url:
        found = told(town, url)
    assert reason in found
    assert len(found) < 400
    assert found.isprintable()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "no share"),
        ({"index": 0, "key_epoch": KEY_EPOCH}, "no share"),
        ({"index": True, "key_epoch": KEY_EPOCH}, "no share"),
        ({"index": 256, "key_epoch": KEY_EPOCH}, "no share"),
        ({"index": 1, "key_epoch": KEY_EPOCH}, "without sealed"),
        ({"index": 1, "key_epoch": KEY_EPOCH, "sealed": "0x00"}, "without sealed"),
        ({"index": 1, "key_epoch": 2, "sealed": "0x00"}, "key epoch 2"),
        ({"index": 1, "key_epoch": KEY_EPOCH, "sealed": hexed(bytes(release.SEALED_SHARE_BYTES))}, "does not open"),
    ],
    ids=range(8),
)
def test_fetch_key__answer_that_is_no_share__is_told(town, content, reason):
    with hostile(answer(NONCE), answer(json.dumps(content).encode())) as url:
        assert reason in told(town, url)


@pytest.mark.parametrize("what", ["head", "body"])
def test_fetch_key__broker_that_drips__is_left_after_its_time(town, monkeypatch, what):
    """Every byte comes in time, and the whole never."""
    monkeypatch.setattr(release, "NONCE_SECONDS", 0.3)
    data = answer(NONCE)
    with hostile(data, drip=0 if what == "head" else len(data) - len(NONCE)) as url:
        assert "does not answer within 0 s" in told(town, url)


def test_fetch_key__silent_broker__is_left_and_the_next_one_taken(town, monkeypatch):
    monkeypatch.setattr(release, "NONCE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = f"http://127.0.0.1:{server.getsockname()[1]}"
        town.fetch([silent, town.urls[0]])
    assert town.released == [1]


def test_fetch_key__address_with_a_secret__is_not_told(town):
    assert "secret" not in told(town, "http://127.0.0.1:1/secret/")
    assert "secret" not in told(town, "http://name:secret@127.0.0.1:1")


def test_fetch_key__no_broker__says_what_to_configure(town):
    with pytest.raises(KeyNotReleased, match="brokers"):
        town.fetch([])


def test_fetch_key__same_broker_twice__is_asked_once(town):
    with pytest.raises(KeyNotReleased) as refused:
        town.fetch(["http://127.0.0.1:1"] * 3)
    assert len(refused.value.answers) == 1


def test_fetch_key__open_model__needs_no_key(town):
    model = open_model()
    with pytest.raises(InvalidInput, match="not sealed"):
        fetch_key(town.enclave, town.provider, town.urls, model.version, OWNER, model.manifest, WORKER, KEY_EPOCH)


def test_fetch_key__host__sees_no_share(town, monkeypatch):
    """HOST-1: of all that passes through its hands."""
    seen = []
    post = release._post

    async def listening(*asked):
        reply = await post(*asked)
        seen.append(repr(asked) + repr(reply.body))
        return reply

    monkeypatch.setattr(release, "_post", listening)
    town.fetch()
    share = town.sealed.deposits[0].open(broker_key(1))
    for secret in (share.value, share.salt, town.sealed.data_key):
        assert secret.hex() not in "".join(seen)
