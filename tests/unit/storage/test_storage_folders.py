"""Folders appear whole or not at all, and never in the place of another."""

import os

import pytest

from cloister.storage.errors import StoreFull, StoreUnavailable
from cloister.storage.folders import FolderExists, new_folder


def test_new_folder__block_ends_well__is_there_with_everything(tmp_path):
    with new_folder(tmp_path / "a" / "b") as staged:
        (staged / "c").mkdir()
        (staged / "c" / "file").write_text("x")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "c" / "file").read_text() == "x"
    assert (tmp_path / "a" / "b").stat().st_mode & 0o077 == 0
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a" / "b"]


def test_new_folder__block_raises__leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "a") as staged:
        (staged / "file").write_text(f"{1 / 0}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_new_folder__something_there__is_left_alone(tmp_path, kind):
    place = tmp_path / "a"
    if kind == "folder":
        place.mkdir()
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FolderExists), new_folder(place):
        pass
    assert len(list(tmp_path.iterdir())) == 1


def test_new_folder__somebody_was_quicker__is_left_alone(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "theirs").write_text("y")
    with pytest.raises(FolderExists), new_folder(tmp_path / "a"):
        (tmp_path / "b").rename(tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["theirs"]
    assert len(list(tmp_path.iterdir())) == 1


def test_new_folder__full_disk__says_so_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreFull), new_folder(tmp_path / "a") as staged:
            (staged / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_new_folder__no_right_to_write__says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((StoreUnavailable, FolderExists)), new_folder(tmp_path / "file" / "a"):
        pass
