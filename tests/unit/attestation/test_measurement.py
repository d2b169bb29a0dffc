"""Measurements: one changed byte of anything that runs is another measurement; what cannot run does not count."""

import os
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from cloister.attestation.measurement import DigestCache, MeasurementError, closure, measure, top_levels


@pytest.fixture
def package(tmp_path):
    """A package as `measure` finds it: code, data, something compiled."""
    top = tmp_path / "package"
    for name, content in {
        "__init__.py": "x = 1",
        "inner/code.py": "y = 2",
        "inner/points.bin": "data",
        "artifacts/abi.json": "{}",
        "__pycache__/code.cpython-311.pyc": "compiled",
    }.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(content)
    return top


def installed(top: Path, name: str, *, version="1.0", requires=(), files=None):
    """A distribution on disk."""
    info = top / f"{name}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {requirement}" for requirement in requires)]
    (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
    for file, content in (files or {f"{name}.py": "code"}).items():
        (top / file).parent.mkdir(parents=True, exist_ok=True)
        (top / file).write_text(content)
    record = [*(files or {f"{name}.py": ""}), f"{info.name}/METADATA", f"{info.name}/INSTALLER"]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in record))
    (info / "INSTALLER").write_text("pip")
    return PathDistribution(info)


@pytest.mark.parametrize("name", ["__init__.py", "inner/code.py", "inner/points.bin", "artifacts/abi.json"])
def test_measure__one_byte_of_code_changed__differs_in_mrtd_alone(package, name):
    before = measure(package, [])
    data = bytearray((package / name).read_bytes())
    data[0] ^= 1
    (package / name).write_bytes(bytes(data))
    after = measure(package, [])
    assert after.mrtd != before.mrtd
    assert (after.rtmr0, after.rtmr1) == (before.rtmr0, before.rtmr1)
    assert after.measurement() != before.measurement()


def test_measure__file_added_moved_or_removed__differs(package):
    found = {measure(package, []).mrtd}
    (package / "extra.py").write_text("z = 3")
    found.add(measure(package, []).mrtd)
    (package / "extra.py").rename(package / "other.py")
    found.add(measure(package, []).mrtd)
    (package / "inner" / "code.py").unlink()
    found.add(measure(package, []).mrtd)
    assert len(found) == 4


def test_measure__compiled_files_and_times__do_not_count(package):
    before = measure(package, [])
    (package / "__pycache__" / "code.cpython-311.pyc").write_text("other")
    (package / "inner" / "stray.pyc").write_text("compiled")
    os.utime(package / "__init__.py", (1, 1))
    assert measure(package, []) == before


def test_measure__code_behind_a_link__is_an_error(package, tmp_path):
    (tmp_path / "elsewhere.py").write_text("code")
    (package / "linked.py").symlink_to(tmp_path / "elsewhere.py")
    with pytest.raises(MeasurementError, match="link"):
        measure(package, [])


def test_measure__dependency_changed__differs_in_rtmr0_alone(package, tmp_path):
    site = tmp_path / "site"
    one = installed(site, "one", files={"one/a.py": "a", "one/b.so": "b"})
    before = measure(package, [one])
    (site / "one" / "b.so").write_text("B")
    changed = measure(package, [one])
    assert changed.rtmr0 != before.rtmr0
    assert changed.mrtd == before.mrtd
    (site / "one" / "b.so").write_text("b")
    assert measure(package, [one]) == before
    (site / "one-1.0.dist-info" / "INSTALLER").write_text("another")
    assert measure(package, [one]) == before
    assert measure(package, [installed(tmp_path / "other", "one", version="1.1")]).rtmr0 != before.rtmr0


def test_measure__order_of_distributions__does_not_matter(package, tmp_path):
    one, two = installed(tmp_path / "site", "one"), installed(tmp_path / "site", "two")
    assert measure(package, [one, two]) == measure(package, [two, one])
    assert measure(package, [one]) != measure(package, [one, two])


def test_measure__dependency_with_a_file_missing__is_an_error(package, tmp_path):
    one = installed(tmp_path / "site", "one")
    (tmp_path / "site" / "one.py").unlink()
    with pytest.raises(MeasurementError, match=r"one\.py"):
        measure(package, [one])


def test_measure__file_that_nobody_installed_in_a_librarys_folder__differs(package, tmp_path):
    site = tmp_path / "site"
    one = installed(site, "one", files={"one/a.py": "a"})
    before = measure(package, [one])
    (site / "one" / "__pycache__").mkdir()
    (site / "one" / "__pycache__" / "a.pyc").write_text("compiled")
    (site / "stranger.py").write_text("in nobody's folder, and so seen by nobody")
    assert measure(package, [one]) == before
    (site / "one" / "local.py").write_text("planted")
    assert measure(package, [one]).rtmr0 != before.rtmr0


def test_measure__code_that_was_compiled_ahead__is_rtmr2(package, tmp_path):
    compiled = tmp_path / "compiled"
    (compiled / "python").mkdir(parents=True)
    (compiled / "python" / "a.pyc").write_bytes(b"compiled")
    found = [measure(package, []), measure(package, [], compiled=compiled)]
    assert not any(found[0].rtmr2)
    (compiled / "python" / "a.pyc").write_bytes(b"Compiled")
    found.append(measure(package, [], compiled=compiled))
    (compiled / "python" / "b.pyc").write_bytes(b"")
    found.append(measure(package, [], compiled=compiled))
    assert len({registers.rtmr2 for registers in found}) == 4
    assert len({registers.measurement() for registers in found}) == 4
    assert len({(registers.mrtd, registers.rtmr0, registers.rtmr1) for registers in found}) == 1


def test_top_levels__of_a_distribution__are_its_folders_modules_and_metadata(tmp_path):
    files = {"one/a.py": "", "one/b/c.py": "", "single.py": "", "one.libs/x.so": "", "start.pth": "import one"}
    found = installed(tmp_path, "one", files=files)
    with (tmp_path / "one-1.0.dist-info" / "RECORD").open("a") as record:
        record.write("../../bin/one,,\n/etc/one,,\n__pycache__/single.pyc,,\n")
    names = [path.name for path in top_levels(found)]
    assert names == ["one", "one-1.0.dist-info", "one.libs", "single.py"]


def test_measure__with_a_cache__is_the_same_and_sees_every_change(package, tmp_path):
    cache = tmp_path / "kept" / "digests.json"
    first = measure(package, [], cache=cache)
    assert measure(package, [], cache=cache) == first == measure(package, [])
    (package / "__init__.py").write_text("x = 2")  # same length
    assert measure(package, [], cache=cache) == measure(package, []) != first
    cache.write_text("nonsense")
    assert measure(package, [], cache=cache) == measure(package, [])
    assert cache.stat().st_mode & 0o077 == 0


def test_digest_cache__known_file__is_not_read_again(tmp_path):
    file, kept = tmp_path / "file", tmp_path / "cache.json"
    file.write_bytes(b"content")
    cache = DigestCache(kept)
    digest = cache.digest(file)
    cache.save()
    again = DigestCache(kept)
    again._known[str(file)][4] = bytes(32).hex()
    assert again.digest(file) == bytes(32)
    file.write_bytes(b"CONTENT")
    assert again.digest(file) not in (bytes(32), digest)


def test_closure__requirements__follow_extras_and_leave_out_what_is_not_installed(tmp_path, monkeypatch):
    site = tmp_path / "site"
    installed(site, "top", requires=["Mid[fast]>=1", "gone; python_version < '3'", "test-only; extra == 'dev'"])
    installed(site, "mid", requires=["leaf; extra == 'fast'", "slow; extra == 'slow'"])
    for name in ("leaf", "slow", "test_only", "unrelated"):
        installed(site, name)
    monkeypatch.syspath_prepend(str(site))
    assert [found.metadata["Name"] for found in closure("top")] == ["leaf", "mid"]
    installed(site, "broken", requires=["not-there>=2"])
    with pytest.raises(MeasurementError, match="not-there"):
        closure("broken")


def test_closure__of_cloister__has_what_it_imports():
    names = {found.metadata["Name"].lower() for found in closure("cloister")}
    assert {"torch", "cryptography", "web3", "pydantic"} <= names
    assert not names & {"pytest", "ruff", "mypy", "cloister"}
