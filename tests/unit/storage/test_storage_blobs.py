"""Blobs: what is stored comes back whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import fsspec
import pytest
import structlog

from cloister.domain.errors import CloisterError, InvalidInput
from cloister.domain.ids import BlobId
from cloister.storage import atomic
from cloister.storage.atomic import write_atomically
from cloister.storage.blobs import BlobStore, BlobStores
from cloister.storage.errors import (
    BlobCorrupt,
    BlobMissing,
    BlobTooLarge,
    StoreFull,
    StoreNotAllowed,
    StoreReadOnly,
    StoreUnavailable,
)

DATA = b"a package, or a ciphertext"
BLOB = BlobId(hashlib.sha256(DATA).digest())
LIMIT = 1 << 20


def place(folder, blob=BLOB):
    return folder / blob.hex()[:2] / blob.hex()[2:]


def files_below(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def store(tmp_path):
    return BlobStore(str(tmp_path / "blobs"), max_size=LIMIT)


@pytest.fixture
def memory(request):
    root = f"/{request.node.name}"
    yield BlobStore(f"memory:/{root}", max_size=LIMIT)
    files = fsspec.filesystem("memory")
    if files.exists(root):
        files.rm(root, recursive=True)


# ------------------------------------------------------------------ one store


def test_put__local_folder__stores_under_its_hash(store, tmp_path):
    assert store.put(DATA) == BLOB
    assert place(tmp_path / "blobs").read_bytes() == DATA
    assert store.get(BLOB) == DATA
    assert store.exists(BLOB)


def test_put__file_url__is_the_same_folder(store, tmp_path):
    BlobStore(f"file://{tmp_path}/blobs", max_size=LIMIT).put(DATA)
    assert store.get(BLOB) == DATA


def test_put__memory__comes_back(memory):
    assert not memory.exists(BLOB)
    assert memory.get(memory.put(DATA)) == DATA
    assert memory.exists(BLOB)


@pytest.mark.parametrize("size", [0, LIMIT])
def test_put__smallest_and_largest__come_back(store, size):
    assert store.get(store.put(bytes(size))) == bytes(size)


def test_put__above_the_limit__refused_and_nothing_left(store, tmp_path):
    with pytest.raises(BlobTooLarge, match=str(LIMIT)):
        store.put(bytes(LIMIT + 1))
    assert not files_below(tmp_path)


def test_put__again__mends_a_damaged_copy(store, tmp_path):
    store.put(DATA)
    place(tmp_path / "blobs").write_bytes(b"damaged")
    store.put(DATA)
    assert store.get(BLOB) == DATA


def test_put__done__leaves_no_temporary_file(store, tmp_path):
    store.put(DATA)
    assert files_below(tmp_path) == [place(tmp_path / "blobs")]


def test_get__missing__names_blob_and_store(store, tmp_path):
    with pytest.raises(BlobMissing) as caught:
        store.get(BLOB)
    assert BLOB.hex() in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert not store.exists(BLOB)


@pytest.mark.parametrize(
    "stored", [DATA[:-1], DATA + b"\x00", b"", *(DATA[:i] + b"#" + DATA[i + 1 :] for i in range(len(DATA)))]
)
def test_get__altered_on_disk__refused(store, tmp_path, stored):
    store.put(DATA)
    place(tmp_path / "blobs").write_bytes(stored)
    with pytest.raises(BlobCorrupt) as caught:
        store.get(BLOB)
    assert BLOB.hex() in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint


def test_get__exactly_the_limit__accepted(store):
    assert store.get(store.put(DATA), len(DATA)) == DATA


def test_get__one_byte_above_the_limit__refused(store):
    store.put(DATA)
    with pytest.raises(BlobTooLarge):
        store.get(BLOB, len(DATA) - 1)


def test_get__larger_limit_than_the_store__is_that_of_the_store(tmp_path):
    BlobStore(str(tmp_path), max_size=LIMIT).put(DATA)
    with pytest.raises(BlobTooLarge):
        BlobStore(str(tmp_path), max_size=len(DATA) - 1).get(BLOB, LIMIT)


def test_get__huge_file__reads_one_byte_more_than_the_limit(store, tmp_path, monkeypatch):
    path = place(tmp_path / "blobs")
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    asked = []
    real = store._files.open

    def counting(*arguments, **options):
        file = real(*arguments, **options)
        read = file.read
        monkeypatch.setattr(file, "read", lambda count: asked.append(count) or read(count), raising=False)
        return file

    monkeypatch.setattr(store._files, "open", counting)
    with pytest.raises(BlobTooLarge):
        store.get(BLOB, 1000)
    assert sum(asked) == 1001


def test_get__store_that_hands_out_little_at_a_time__is_read_to_the_end(memory, monkeypatch):
    memory.put(DATA)
    real = memory._files.open

    def slow(*arguments, **options):
        file = real(*arguments, **options)
        read = file.read
        monkeypatch.setattr(file, "read", lambda count: read(min(count, 3)), raising=False)
        return file

    monkeypatch.setattr(memory._files, "open", slow)
    assert memory.get(BLOB) == DATA


@pytest.mark.parametrize("length", [0, 31, 33])
def test_get__malformed_id__refused(store, length):
    for use in (store.get, store.exists):
        with pytest.raises(InvalidInput):
            use(BlobId(bytes(length)))


def test_get__folder_in_its_place__unavailable(store, tmp_path):
    place(tmp_path / "blobs").mkdir(parents=True)
    with pytest.raises(StoreUnavailable):
        store.get(BLOB)


def test_put__folder_cannot_be_made__unavailable(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        BlobStore(str(tmp_path / "file/blobs"), max_size=LIMIT).put(DATA)


# ------------------------------------------------------------------ interrupted writes


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("step", ["fsync", "open"])
def test_put__disk_full__says_so_and_leaves_nothing(store, tmp_path, monkeypatch, code, step):
    def full(*_arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(atomic.os, step, full)
    with pytest.raises(StoreFull) as caught:
        store.put(DATA)
    monkeypatch.undo()
    assert os.strerror(code) in caught.value.message
    assert not files_below(tmp_path)
    assert not store.exists(BLOB)


def test_put__disk_full_half_way__keeps_the_older_copy(store, tmp_path, monkeypatch):
    place(tmp_path / "blobs").parent.mkdir(parents=True)
    place(tmp_path / "blobs").write_bytes(b"older")
    real = os.fdopen

    def small_disk(*arguments):
        file = real(*arguments)

        class Small:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def write(self, data):
                file.write(data[: len(data) // 2])
                file.flush()
                raise OSError(errno.ENOSPC, "No space left on device")

        return Small()

    monkeypatch.setattr(atomic.os, "fdopen", small_disk)
    with pytest.raises(StoreFull):
        store.put(DATA)
    assert [path.read_bytes() for path in files_below(tmp_path)] == [b"older"]


def test_put__other_refusal__unavailable_and_nothing_left(store, tmp_path, monkeypatch):
    def broken(*_arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(atomic.os, "fsync", broken)
    with pytest.raises(StoreUnavailable):
        store.put(DATA)
    assert not files_below(tmp_path)


def test_write_atomically__in_order__file_then_name_then_folder(tmp_path, monkeypatch):
    steps = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor):
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_sync(descriptor)

    def replace(*arguments, **options):
        steps.append("name")
        return real_replace(*arguments, **options)

    monkeypatch.setattr(atomic.os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    write_atomically(tmp_path / "file", DATA)
    assert steps == ["file", "name", "folder"]


def test_write_atomically__file_exists_and_must_not__keeps_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"older")
    with pytest.raises(FileExistsError):
        write_atomically(path, DATA, overwrite=False)
    assert [(p.name, p.read_bytes()) for p in files_below(tmp_path)] == [("file", b"older")]


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x",
        "sftp://example.org/x",
        "github://owner:repo@main/x",
        "zip://x::file:///tmp/a.zip",
        "simplecache::https://example.org/x",
        "filecache::file:///x",
        "reference://x",
        "data://text/plain,x",
        "FILE:///x",
        "File:///x",
        " https://example.org/x",
        "jar://x",
        "python://x",
        "gopher://127.0.0.1/x",
        "https://user:password@example.org/x",
        "https://example.org/x?key=1",
        "https://example.org/x#fragment",
        "s3://key:secret@bucket/x",
        "memory://bucket/../other",
        "memory://bucket/x::file:///etc",
        "https://",
        "s3:///",
        "file://",
        "",
    ],
)
def test_store__address_of_another_kind__refused(url):
    with pytest.raises(StoreNotAllowed):
        BlobStore(url, max_size=LIMIT)


def test_store__credentials_in_the_address__not_repeated():
    with pytest.raises(StoreNotAllowed) as caught:
        BlobStore("https://user:hunter2@example.org/x", max_size=LIMIT)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "package"), [("s3://bucket/x", "s3fs"), ("gs://b/x", "gcsfs"), ("ipfs://cid", "ipfsspec")]
)
def test_store__package_not_installed__is_named(url, package, monkeypatch):
    def not_installed(*_arguments, **_options):
        raise ImportError

    monkeypatch.setattr(fsspec, "filesystem", not_installed)
    with pytest.raises(StoreNotAllowed, match=package):
        BlobStore(url, max_size=LIMIT)


# ------------------------------------------------------------------ over HTTP


class Server(BaseHTTPRequestHandler):
    """Serves `answers`: path → (status, headers, pieces of the body)."""

    answers: ClassVar[dict[str, tuple[int, dict[str, str], list[bytes]]]] = {}
    asked: ClassVar[list[str]] = []

    def do_HEAD(self):
        self.reply(body=False)

    def do_GET(self):
        self.asked.append(self.path)
        self.reply(body=True)

    def reply(self, *, body):
        status, headers, pieces = self.answers.get(self.path, (404, {}, []))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for piece in pieces if body else ():
                self.wfile.write(piece)
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setattr(Server, "answers", {})
    monkeypatch.setattr(Server, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/blobs"
    server.shutdown()
    thread.join()
    server.server_close()


PATH = f"/blobs/{BLOB.hex()[:2]}/{BLOB.hex()[2:]}"


def test_http__blob_there__comes_back_in_pieces(web):
    Server.answers[PATH] = (200, {"Content-Length": str(len(DATA))}, [DATA[:3], DATA[3:]])
    store = BlobStore(web, max_size=LIMIT)
    assert store.exists(BLOB)
    assert store.get(BLOB) == DATA


def test_http__blob_not_there__missing(web):
    store = BlobStore(web, max_size=LIMIT)
    assert not store.exists(BLOB)
    with pytest.raises(BlobMissing):
        store.get(BLOB)


def test_http__endless_body_behind_a_small_promise__cut_at_the_limit(web):
    endless = [b"\x00" * (1 << 16)] * 4096  # 256 MiB
    Server.answers[PATH] = (200, {}, endless)
    with pytest.raises(BlobTooLarge):
        BlobStore(web, max_size=1000).get(BLOB)


def test_http__redirect__not_followed(web):
    Server.answers[PATH] = (302, {"Location": "/inside", "Content-Length": "0"}, [])
    Server.answers["/inside"] = (200, {"Content-Length": str(len(DATA))}, [DATA])
    store = BlobStore(web, max_size=LIMIT)
    with pytest.raises((BlobCorrupt, StoreUnavailable)):
        store.get(BLOB)
    assert "/inside" not in Server.asked


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_http__server_refuses__unavailable(web, status):
    Server.answers[PATH] = (status, {"Content-Length": "0"}, [])
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        BlobStore(web, max_size=LIMIT).get(BLOB)


def test_http__nobody_listens__unavailable():
    with pytest.raises(StoreUnavailable):
        BlobStore("http://127.0.0.1:1/blobs", max_size=LIMIT).get(BLOB)


def test_http__put__read_only(web):
    with pytest.raises(StoreReadOnly):
        BlobStore(web, max_size=LIMIT).put(DATA)


# ------------------------------------------------------------------ several stores


@pytest.fixture
def pair(tmp_path):
    first, second = (BlobStore(str(tmp_path / name), max_size=LIMIT) for name in "ab")
    return first, second, BlobStores([first, second])


def test_stores__put__writes_to_the_first_only(pair):
    first, second, both = pair
    both.put(DATA)
    assert first.exists(BLOB)
    assert not second.exists(BLOB)
    assert both.exists(BLOB)


def test_stores__only_the_second_has_it__read_from_there(pair):
    _, second, both = pair
    second.put(DATA)
    assert both.get(BLOB) == DATA


def test_stores__first_copy_bad__passed_over_and_reported(pair, tmp_path):
    first, second, both = pair
    for store in (first, second):
        store.put(DATA)
    place(tmp_path / "a").write_bytes(b"bad")
    with structlog.testing.capture_logs() as logs:
        assert both.get(BLOB) == DATA
    assert [(log["log_level"], log["blob"]) for log in logs] == [("warning", BLOB.hex())]
    assert str(tmp_path / "a") in logs[0]["store"]


def test_stores__nobody_has_it__names_them_all(pair, tmp_path):
    with pytest.raises(BlobMissing) as caught:
        pair[2].get(BLOB)
    assert str(tmp_path / "a") in caught.value.message
    assert str(tmp_path / "b") in caught.value.message


def test_stores__missing_and_bad__is_the_telling_error(pair, tmp_path):
    _, second, both = pair
    second.put(DATA)
    place(tmp_path / "b").write_bytes(b"bad")
    with pytest.raises(BlobCorrupt) as caught:
        both.get(BLOB)
    assert str(tmp_path / "a") in caught.value.message


def test_stores__too_large__says_so(pair):
    pair[2].put(DATA)
    with pytest.raises(BlobTooLarge):
        pair[2].get(BLOB, 3)


def test_stores__none__refused():
    with pytest.raises(StoreNotAllowed):
        BlobStores([])


def test_errors__all__are_cloister_errors():
    for error in (BlobCorrupt, BlobMissing, BlobTooLarge, StoreFull, StoreNotAllowed, StoreReadOnly):
        assert issubclass(error, CloisterError)
