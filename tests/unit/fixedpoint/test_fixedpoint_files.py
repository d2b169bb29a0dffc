"""A write that fails leaves what was there."""

import errno
import os
from pathlib import Path

import pytest
from random_networks import make_package

from cloister.fixedpoint import PackageNotWritten, load_package
from cloister.fixedpoint.files import write_files


def full_after(original, calls):
    """A system call that finds the disk full once it has worked `calls` times."""
    count = 0

    def call(*args):
        nonlocal count
        count += 1
        if count > calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*args)

    return call


@pytest.mark.parametrize("system_call", ["write", "fsync"])
@pytest.mark.parametrize("calls", [0, 1])
def test_write__disk_full__keeps_the_old_package(tmp_path, monkeypatch, system_call, calls):
    old, new = make_package("mlp", 1), make_package("mlp", 2)
    old.write(tmp_path)
    monkeypatch.setattr(os, system_call, full_after(getattr(os, system_call), calls))
    with pytest.raises(PackageNotWritten, match="No space left on device") as refusal:
        new.write(tmp_path)
    monkeypatch.undo()
    assert "Free some space" in str(refusal.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "weights.safetensors"]
    assert load_package(tmp_path).digest == old.digest


def test_write__disk_full_in_a_new_folder__leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", full_after(os.write, 0))
    with pytest.raises(PackageNotWritten):
        make_package().write(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_write__short_writes__still_write_everything(tmp_path, monkeypatch):
    original = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: original(handle, bytes(data)[:100]))
    made = make_package()
    made.write(tmp_path)
    monkeypatch.undo()
    assert load_package(tmp_path).digest == made.digest


def test_write__every_file__is_flushed_before_any_is_renamed(tmp_path, monkeypatch):
    events = []
    flush, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("flush"), flush(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda path, to: (events.append(to.name), rename(path, to))[1])
    make_package().write(tmp_path)
    assert events == ["flush", "flush", "weights.safetensors", "manifest.json", "flush"]


def test_write__crash_between_the_renames__is_noticed_on_loading(tmp_path, monkeypatch):
    old, new = make_package("mlp", 1), make_package("mlp", 2)
    old.write(tmp_path)
    monkeypatch.setattr(Path, "replace", full_after(Path.replace, 1))
    with pytest.raises(PackageNotWritten):
        new.write(tmp_path)
    monkeypatch.undo()
    with pytest.raises(Exception, match="SHA-256 in the manifest"):
        load_package(tmp_path)
    new.write(tmp_path)
    assert load_package(tmp_path).digest == new.digest


def test_write__folder_is_a_file__is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(PackageNotWritten, match="File exists"):
        write_files(tmp_path / "file", {"a": b"1"})
    assert (tmp_path / "file").read_text() == "x"
