"""A broker over HTTP: what is malformed, too much or unforeseen gets an answer, and no share."""

import asyncio
import gzip
import json
import socket
import threading
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import requests
from support.brokers import Town

from cloister.broker import web
from cloister.broker.web import MAX_REQUEST, CannotListen, Endpoint, serving
from cloister.domain.ids import hexed


@pytest.fixture
def town(tmp_path):
    with Town(tmp_path, threshold=1, count=1) as found:
        yield found


def post(town, what, **how):
    return requests.post(f"{town.urls[0]}/v1/{what}", timeout=20, **how)


def question(town, **changes):
    request = town.request(town.brokers[0])
    content = {
        name: value if isinstance(value, str) else hexed(value)
        for name in ("nonce", "version", "worker", "release_key", "evidence", "collateral")
        if (value := getattr(request, name))
    }
    return content | changes


def test_release__well_formed__is_answered_with_share_and_log_entry(town):
    answer = post(town, "release", json=question(town))
    assert answer.status_code == 200
    content = answer.json()
    assert content.keys() == {"index", "key_epoch", "sealed", "entry"}
    assert content["entry"] == {"number": 1, "hash": hexed(town.brokers[0].log.head)}


def test_status__tells_who_it_is_and_how_far_the_log_has_come(town):
    before = requests.get(f"{town.urls[0]}/v1/status", timeout=5).json()
    town.fetch()
    after = requests.get(f"{town.urls[0]}/v1/status", timeout=5).json()
    assert before.keys() == {"broker", "chain_id", "registry", "entries", "head"}
    assert (before["entries"], after["entries"]) == (0, 1)
    assert before["head"] != after["head"] == hexed(town.brokers[0].log.head)


def test_nonce__each_time__is_another(town):
    nonces = {post(town, "nonce").json()["nonce"] for _ in range(5)}
    assert len(nonces) == 5
    assert all(len(nonce) == 66 for nonce in nonces)


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "0x00"},
        {"version": "0x" + "g" * 64},
        {"worker": "0x" + "00" * 19},
        {"worker": "alice"},
        {"release_key": "0x" + "00" * 1215},
        {"evidence": "0x0"},
        {"evidence": "0x" + "00" * (web.MAX_EVIDENCE + 1)},
        {"collateral": "0x" + "00" * (web.MAX_COLLATERAL + 1)},
        {"nonce": 7},
        {"extra": "x"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_release__malformed_member__is_refused_with_400(town, change):
    answer = post(town, "release", json=question(town, **change))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "malformed")
    assert town.released == [0]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"[" * 100_000, b"\xff\xfe", b'{"nonce": "0x00"}'])
def test_release__body_that_is_no_request__is_refused_with_400(town, body):
    answer = post(town, "release", data=body)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "malformed")


def test_release__huge_body__is_cut_off_with_413(town):
    answer = post(town, "release", data=b" " * (MAX_REQUEST + 1))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "http")


def test_release__compressed_body__is_not_unpacked(town):
    body = gzip.compress(json.dumps(question(town)).encode())
    answer = post(town, "release", data=body, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "malformed")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("GET", "/v1/release", 405)])
def test_server__another_path_or_method__is_told_so_in_json(town, method, path, status):
    answer = requests.request(method, town.urls[0] + path, timeout=5)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, "http")


def test_release__refused_and_unable__have_their_own_status(town):
    answer = post(town, "release", json=question(town, nonce="0x" + "00" * 32))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (403, "nonce")
    town.chain.away = web.CannotListen("Away.")
    answer = post(town, "release", json=question(town))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (503, "unable")
    assert "Away" not in answer.text


def test_release__something_unforeseen__tells_nothing_of_it(town, capsys):
    def bug(_):
        raise RuntimeError("the share is 0x1234")

    town.brokers[0].models = SimpleNamespace(version=bug)
    answer = post(town, "release", json=question(town))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (500, "failed")
    assert "1234" not in answer.text + "".join(capsys.readouterr())
    assert town.released == [0]


def test_release__body_that_comes_slowly__is_given_up(town, monkeypatch):
    monkeypatch.setattr(web, "READ_SECONDS", 0.2)
    address = urlsplit(town.urls[0])
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/release HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert b"400" in connection.recv(4096).splitlines()[0]


def test_endpoint__too_many_at_once_or_too_slow__answers_503_and_stays_alive(monkeypatch):
    monkeypatch.setattr(web, "MOST_WAITING", 1)
    go = threading.Event()
    endpoint = Endpoint(SimpleNamespace(), answer_seconds=0.1)

    async def ask():
        first = asyncio.ensure_future(endpoint._in_thread(go.wait))
        await asyncio.sleep(0.01)
        with pytest.raises(web.Unable, match="too much"):
            await endpoint._in_thread(go.wait)
        with pytest.raises(web.Unable, match="too long"):
            await first
        go.set()
        await asyncio.sleep(0.1)
        assert endpoint._waiting == 0
        assert await endpoint._in_thread(lambda: 7) == 7

    asyncio.run(ask())


def test_serving__port_that_is_taken__says_so(town):
    port = urlsplit(town.urls[0]).port
    for host, number in (("127.0.0.1", port), ("127.0.0.1", 70_000), ("no such host", 1)):
        with pytest.raises(CannotListen, match=str(number)), serving(town.brokers[0], host, number):
            pass


def test_serving__after_the_block__nobody_answers(tmp_path):
    with Town(tmp_path, threshold=1, count=1) as found:
        url = found.urls[0]
        assert requests.get(f"{url}/v1/status", timeout=5).ok
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/v1/status", timeout=5)


def test_release__many_at_once__use_a_tier_up_and_no_more(town):
    """REL-1: counting a tier and writing the release down are one step."""
    town.license('[{"name": "few", "workers": "any", "releases": 5, "from": 0, "until": null}]')
    asked = [question(town) for _ in range(12)]
    answers = []

    def ask(one):
        answers.append(post(town, "release", json=one))

    threads = [threading.Thread(target=ask, args=(one,)) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = sorted(answer.json()["entry"]["number"] for answer in answers if answer.ok)
    assert numbers == [1, 2, 3, 4, 5]
    assert {answer.json()["error"]["reason"] for answer in answers if not answer.ok} == {"licence"}
