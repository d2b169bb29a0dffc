"""Passwords: from a terminal or a regular file, and never shown."""

from __future__ import annotations

import getpass
import io
import os
import traceback
import warnings

import pytest
import structlog

from cloister.storage.errors import PasswordUnavailable
from cloister.storage.passwords import MAX_FILE_BYTES, password_from


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "password"
    path.touch(0o600)
    return path


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b"hunter2\nsecond line\n", "hunter2"),
        (b"  spaces count \n", "  spaces count "),
        ("pässwörd".encode(), "pässwörd"),
    ],
)
def test_password_from__file__is_its_first_line(file, content, password):
    file.write_bytes(content)
    assert password_from(file) == password


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\r\n", b"\nsecond", b"\xff\xfe", b"x" * (MAX_FILE_BYTES + 1)],
    ids=["empty", "newline", "carriage return", "second line", "no text", "long"],
)
def test_password_from__unusable_file__refused_without_its_content(file, content):
    file.write_bytes(content)
    with pytest.raises(PasswordUnavailable) as caught:
        password_from(file)
    text = "".join(traceback.format_exception(caught.value))
    assert "xxx" not in text
    assert "\\xff" not in text


def test_password_from__missing_file__refused(tmp_path):
    with pytest.raises(PasswordUnavailable, match="none"):
        password_from(tmp_path / "none")


def test_password_from__folder__refused(tmp_path):
    with pytest.raises(PasswordUnavailable):
        password_from(tmp_path)


def test_password_from__pipe__refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PasswordUnavailable, match="regular"):
        password_from(tmp_path / "pipe")


def test_password_from__device__refused(tmp_path):
    (tmp_path / "link").symlink_to("/dev/zero")
    with pytest.raises(PasswordUnavailable, match="regular"):
        password_from(tmp_path / "link")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)])
def test_password_from__file_open_to_others__warns(file, mode, warned):
    file.write_text("hunter2")
    file.chmod(mode)
    with structlog.testing.capture_logs() as logs:
        password_from(file)
    assert len(logs) == warned
    assert "hunter2" not in repr(logs)


def test_password_from__prompt__returns_the_answer():
    labels = []
    assert password_from(label="Say: ", prompt=lambda label: labels.append(label) or "hunter2") == "hunter2"
    assert labels == ["Say: "]


@pytest.mark.parametrize(("answers", "good"), [(["a", "a"], True), (["a", "b"], False), (["", ""], False)])
def test_password_from__confirm__asks_twice(answers, good):
    pending = iter(answers)
    if good:
        assert password_from(confirm=True, prompt=lambda _: next(pending)) == "a"
    else:
        with pytest.raises(PasswordUnavailable):
            password_from(confirm=True, prompt=lambda _: next(pending))
    assert list(pending) == []


def test_password_from__no_terminal__names_the_setting():
    def ended(_label):
        raise EOFError

    with pytest.raises(PasswordUnavailable) as caught:
        password_from(prompt=ended)
    assert "password_file" in caught.value.hint


def test_password_from__terminal_that_would_echo__refused(monkeypatch):
    def fallback(_label):
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return pytest.fail("it read a password that could be seen")

    monkeypatch.setattr(getpass, "getpass", fallback)
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2\n"))
    with pytest.raises(PasswordUnavailable):
        password_from()


def test_password_from__environment__is_not_looked_at(monkeypatch):
    for name in ("PASSWORD", "CLOISTER_PASSWORD", "ETH_PASSWORD"):
        monkeypatch.setenv(name, "hunter2")

    def ended(_label):
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", ended)
    with pytest.raises(PasswordUnavailable):
        password_from()
