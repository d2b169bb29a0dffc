"""Enclaves as processes: what really holds inside, who can look in, and what comes out (HOST-1 to HOST-3, PROMPT-2)."""

import importlib.util
import json
import marshal
import os
import pickle
import py_compile
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import typing_extensions
from support.enclaves import (
    CONTEXT,
    MODELS,
    SECRETS,
    WORKER,
    a_job,
    load,
    open_model,
    sealed_model,
)

import cloister
from cloister.domain.answer import CannotServe, RefusalReason
from cloister.domain.commitments import JobContext, circuit_input
from cloister.enclave import installation
from cloister.enclave.answers import Circuit
from cloister.enclave.errors import EnclaveFailed, Unprotected
from cloister.enclave.installation import Installation
from cloister.enclave.isolation import NAMES
from cloister.enclave.launcher import compile_ahead, launch, measured
from cloister.fixedpoint import encode_output, load_heldout
from cloister.proving import circuit_of, commit_input, commit_pad, unmask, verify
from cloister.sealing.hpke import open_sealed

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("bwrap") is None, reason="needs Linux and bubblewrap"
)
NOW = int(time.time())
MISSING = frozenset(os.environ.get("CLOISTER_TEST_UNPROTECTED", "").split())
"""Protections that the machine of the tests is known not to have."""


@pytest.fixture(scope="module")
def log():
    return []


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What makes starts several times as fast."""
    folder = tmp_path_factory.mktemp("ahead") / "compiled"
    compile_ahead(folder)
    return folder


@pytest.fixture(scope="module")
def enclave(log, compiled):
    with launch(CONTEXT, log=log.append, compiled=compiled, unprotected=MISSING) as started:
        yield started


def inside_pid(enclave):
    """The process of the enclave itself, below bubblewrap's."""
    found = enclave._process.pid
    while children := Path(f"/proc/{found}/task/{found}/children").read_text().split():
        found = int(children[0])
    return found


# ------------------------------------------------------------------ what it says of itself


def test_launch__this_machine__has_every_protection(enclave):  # HOST-3
    assert sorted(protection.name for protection in enclave.protections) == sorted(NAMES)
    assert [
        protection for protection in enclave.protections if not protection.held and protection.name not in MISSING
    ] == []
    assert all(protection.detail for protection in enclave.protections)


def test_launch__two_starts__have_different_keys(enclave, compiled):
    with launch(CONTEXT, compiled=compiled, unprotected=MISSING) as other:
        assert other.hpke_key != enclave.hpke_key
        assert other.signer != enclave.signer


def test_launch__without_namespaces__stops_unless_they_are_given_up(monkeypatch, compiled):  # HOST-3
    monkeypatch.setattr(installation.shutil, "which", lambda name: None)
    with pytest.raises(Unprotected, match="namespaces") as refused:
        launch(CONTEXT, compiled=compiled, unprotected=MISSING)
    assert "by name: namespaces" in refused.value.hint
    with launch(CONTEXT, compiled=compiled, unprotected=MISSING | {"namespaces"}) as started:
        assert [protection.name for protection in started.protections if not protection.held] == [
            "namespaces",
            *MISSING,
        ]


def test_launch__protection_that_nobody_knows__is_refused():
    with pytest.raises(Unprotected, match="no protections walls"):
        launch(CONTEXT, unprotected=frozenset({"walls"}))


# ------------------------------------------------------------------ what can be done inside

PROBES = """

import ctypes, json, os, resource, socket, subprocess, sys, threading

def _probe():
    libc = ctypes.CDLL(None, use_errno=True)

    def raw(number, *arguments):
        if libc.syscall(number, *arguments) == -1:
            raise OSError(ctypes.get_errno(), "refused")

    def in_thread(what):
        found = []
        thread = threading.Thread(target=lambda: found.append(tried(what)))
        thread.start(); thread.join()
        if found[0] != "done":
            raise OSError(int(found[0]), "refused")

    def tried(what):
        try:
            what()
            return "done"
        except OSError as error:
            return str(error.errno)
        except ValueError:  # how Python tells EPERM from setrlimit
            return "1"

    attempts = {
        "inet socket": lambda: socket.socket(socket.AF_INET),
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "netlink socket": lambda: socket.socket(socket.AF_NETLINK),
        "socketpair": lambda: socket.socketpair(),
        "open /etc/passwd": lambda: open("/etc/passwd"),
        "open own code": lambda: open(__file__),
        "open /proc/self/mem": lambda: open("/proc/self/mem"),
        "write /tmp": lambda: open("/tmp/x", "w"),
        "list /": lambda: os.listdir("/"),
        "open in a thread": lambda: in_thread(lambda: open(__file__)),
        "exec": lambda: os.execv(sys.executable, [sys.executable]),
        "fork": lambda: os.fork() or os._exit(0),
        "subprocess": lambda: subprocess.run([sys.executable, "-c", ""]),
        "signal the parent": lambda: os.kill(os.getppid(), 0),
        "ptrace the parent": lambda: raw(101, 16, os.getppid(), 0, 0),
        "process_vm_readv": lambda: raw(310, os.getppid(), 0, 0, 0, 0, 0),
        "mount": lambda: raw(165, 0, b"/tmp", b"tmpfs", 0, 0),
        "unshare": lambda: raw(272, 0x10000000),
        "keyctl": lambda: raw(250, 0, -3, 1),
        "add_key": lambda: raw(248, b"user", b"x", b"y", 1, -3),
        "bpf": lambda: raw(321, 0, 0, 0),
        "perf_event_open": lambda: raw(298, 0, 0, -1, -1, 0),
        "io_uring_setup": lambda: raw(425, 1, 0),
        "userfaultfd": lambda: raw(323, 0),
        "open_by_handle_at": lambda: raw(304, -100, 0, 0),
        "kexec_load": lambda: raw(246, 0, 0, 0, 0),
        "memfd_create": lambda: raw(319, b"x", 0),
        "shmget": lambda: raw(29, 0, 4096, 0o1600),
        "setns": lambda: raw(308, 3, 0),
        "chroot": lambda: os.chroot("/"),
        "become dumpable": lambda: raw(157, 4, 1, 0, 0, 0),
        "allow core dumps": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
        "32-bit pointers": lambda: raw(0x40000000 + 39),
        "ioctl": lambda: raw(16, 2, 0x5412, b"x"),
    }
    found = {name: tried(attempt) for name, attempt in attempts.items()}
    sys.stderr.write("PROBES " + json.dumps(found) + chr(10))
    found = {"environment": sorted(os.environ), "pid": os.getpid(), "threads": tried(lambda: in_thread(lambda: None))}
    sys.stderr.write("SEES " + json.dumps(found) + chr(10))
    sys.stderr.flush()


_finish = finish


def finish(pages):
    held = _finish(pages)
    _probe()
    return held
"""


@pytest.fixture(scope="module")
def probed(tmp_path_factory, compiled):
    """What an enclave could do whose code tries everything once it is closed."""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers of the system calls are those of x86_64")
    root, lines = tmp_path_factory.mktemp("code"), []
    package = Path(cloister.__file__).parent
    shutil.copytree(package, root / "cloister", ignore=shutil.ignore_patterns("*.json", "*.pyc"))
    with (root / "cloister" / "enclave" / "process.py").open("a") as file:
        file.write(PROBES)
    with launch(CONTEXT, code=root, compiled=compiled, log=lines.append, unprotected=MISSING) as started:
        assert started.loaded() == frozenset()
    found = {
        line.split(" ", 1)[0]: json.loads(line.split(" ", 1)[1])
        for line in lines
        if line.startswith(("PROBES", "SEES"))
    }
    return found["PROBES"], found["SEES"]


def test_inside__everything_that_is_tried__is_refused(probed):
    tried, _ = probed
    assert len(tried) >= 30
    assert {name: result for name, result in tried.items() if result != "1"} == {}  # EPERM, by the filter


def test_inside__environment__has_nothing_of_the_hosts(probed, monkeypatch):
    _, sees = probed
    known = {
        "HOME",
        "LC_ALL",
        "PATH",
        "PWD",
        "PYTHONPATH",
        "NUMBA_CACHE_DIR",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
    }
    assert set(sees["environment"]) <= known | {
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "KMP_INIT_AT_FORK",
        "KMP_DUPLICATE_LIB_OK",
    }
    assert sees["pid"] <= 3
    assert sees["threads"] == "done"


# ------------------------------------------------------------------ which code runs

POISON = "import sys; sys.stderr.write('POISONED by {}\\n')\n"


class Poison:
    """What tells when a cache of kernels is read: it is unpickled, and so runs."""

    def __reduce__(self):
        return exec, (POISON.format("kernel"),)


def plant(source, name):
    """A compiled file that Python takes for its source's, with a line before it that tells."""
    text = source.read_text()
    code = compile(POISON.format(name) + text.replace("from __future__ import annotations", ""), str(source), "exec")
    found = source.stat()
    header = importlib.util.MAGIC_NUMBER + bytes(4) + struct.pack("<II", int(found.st_mtime), found.st_size)
    at = Path(importlib.util.cache_from_source(str(source)))
    at.parent.mkdir(exist_ok=True)
    at.write_bytes(header + marshal.dumps(code))


def plant_kernels(root, compiled):
    """An index for each kernel, beside the sources."""
    names = [path.name for path in (compiled / "kernels").rglob("*.nbi")]
    assert names
    folder = root / "cloister" / "proving" / "__pycache__"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(pickle.dumps(Poison()))


def source_tree(root):
    shutil.copytree(Path(cloister.__file__).parent, root / "cloister", ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture
def poisoned(tmp_path, compiled):
    """A source root and a site folder in which everything compiled is somebody else's."""
    root, site = source_tree(tmp_path / "code"), tmp_path / "site"
    site.mkdir()
    shutil.copy(Path(typing_extensions.__file__), site / "typing_extensions.py")
    plant(root / "cloister" / "enclave" / "process.py", "process")
    plant(site / "typing_extensions.py", "library")
    (site / "planted.pth").write_text(POISON.format("path file"))
    # numba imports both of these if they are there
    (site / "yaml.py").write_text(POISON.format("stranger") + "raise ImportError\n")
    (site / "other.py").write_text(POISON.format("file without source") + "raise ImportError\n")
    py_compile.compile(str(site / "other.py"), str(site / "scipy.pyc"))
    plant_kernels(root, compiled)
    return root, site


def test_launch__compiled_files_that_somebody_planted__are_not_read(poisoned, compiled, monkeypatch):  # HOST-4
    root, site = poisoned
    warm = "import site, sys; site.addsitedir(sys.argv[1]); sys.path.insert(0, sys.argv[1])\n"
    warm += "from cloister.enclave import process, warmup; warmup.warm_up()"
    control = subprocess.run(
        [sys.executable, "-B", "-c", warm, str(site)], env={"PYTHONPATH": str(root)}, capture_output=True, check=False
    ).stderr
    for name in (b"process", b"library", b"path file", b"stranger", b"file without source", b"kernel"):
        assert b"POISONED by " + name in control
    plant_kernels(root, compiled)  # numba has put its own in their place

    found, lines = Installation.found(root, None), []
    kept = tuple(path for path in found.libraries if path.name != "typing_extensions.py")
    changed = replace(found, libraries=(*kept, site / "typing_extensions.py"))
    monkeypatch.setattr(Installation, "found", classmethod(lambda cls, code, compiled: changed))
    with launch(CONTEXT, log=lines.append, unprotected=MISSING) as started:
        assert started.loaded() == frozenset()
    assert lines == []


def test_measured__one_byte_of_code_or_of_what_was_compiled_ahead__is_another_measurement(tmp_path, compiled):
    root, ahead, cache = source_tree(tmp_path / "code"), tmp_path / "compiled", tmp_path / "digests"
    shutil.copytree(compiled, ahead)
    honest = measured(cache=cache)
    assert measured(code=root, cache=cache) == honest
    assert not any(honest.rtmr2)
    expected = measured(compiled=compiled, cache=cache)
    assert expected == measured(code=root, compiled=ahead, cache=cache)
    assert expected.measurement() != honest.measurement()
    for top in (root / "cloister", ahead):
        victim = max((path for path in top.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        data = bytearray(victim.read_bytes())
        data[-1] ^= 1
        victim.write_bytes(bytes(data))
        changed = measured(code=root, compiled=ahead, cache=cache)
        assert changed.measurement() != expected.measurement()
        expected = changed


def test_compile_ahead__that_fails__keeps_what_was_there(tmp_path):
    folder, root, lines = tmp_path / "compiled", source_tree(tmp_path / "code"), []
    folder.mkdir()
    (folder / "kept").write_text("x")
    (root / "cloister" / "enclave" / "ahead.py").write_text("raise SystemExit('no room')")
    with pytest.raises(EnclaveFailed, match="compiled ahead"):
        compile_ahead(folder, code=root, log=lines.append)
    assert lines == ["no room"]
    assert [path.name for path in folder.iterdir()] == ["kept"]


# ------------------------------------------------------------------ who can look in

READ_AS_USER = """
import ctypes, os, signal, sys
class Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
libc = ctypes.CDLL(None, use_errno=True)
data = (ctypes.c_uint32 * 6)()
assert libc.capset(ctypes.byref(Header(0x20080522, 0)), data) == 0  # no capability: an ordinary user's process
ordinary = os.fork()
if ordinary == 0:
    signal.pause()
for pid in (sys.argv[1], ordinary):
    try:
        open(f"/proc/{pid}/mem", "rb").close()
        print("open")
    except PermissionError:
        print("refused")
os.kill(ordinary, signal.SIGKILL)
"""


def test_memory__process_of_the_same_user__cannot_read_it(enclave):
    if os.geteuid() != 0:
        pytest.skip("an ordinary user owns the user namespace, and may read")
    told = subprocess.run(
        [sys.executable, "-c", READ_AS_USER, str(inside_pid(enclave))], capture_output=True, text=True, check=True
    ).stdout.split()
    assert told == ["refused", "open"]


def test_memory__of_keys__is_hidden_even_from_root(enclave):
    if os.geteuid() != 0 or "secret-memory" in MISSING:
        pytest.skip("needs root, and memfd_secret")
    pid = inside_pid(enclave)
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    [hidden] = [line for line in maps if "secretmem" in line]
    plain = next(line for line in maps if "[heap]" in line)
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line, readable in ((plain, True), (hidden, False)):
            memory.seek(int(line.split("-")[0], 16))
            if readable:
                assert len(memory.read(16)) == 16
            else:
                with pytest.raises(OSError, match="Input/output"):
                    memory.read(16)


def test_process__running__has_no_core_limit_no_privileges_and_a_filter(enclave):
    pid = inside_pid(enclave)
    limits = {line[:26].strip(): line[26:].split() for line in Path(f"/proc/{pid}/limits").read_text().splitlines()}
    assert limits["Max core file size"][:2] == ["0", "0"]
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Seccomp"].strip() == "2"
        assert int(status["CapEff"], 16) == 0
    spaces = {kind: Path(f"/proc/{pid}/ns/{kind}").readlink() for kind in ("net", "pid", "mnt", "ipc", "uts")}
    assert all(Path(f"/proc/self/ns/{kind}").readlink() != space for kind, space in spaces.items())
    roots = {fields.split()[4] for fields in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()}
    assert not roots & {"/etc", "/home", "/var", "/root", "/sys"}


# ------------------------------------------------------------------ its work


def test_work__from_load_to_answer__is_bit_for_bit_that_of_the_package(enclave, log):
    for number, model in enumerate((open_model("digits"), sealed_model("digits"))):
        load(enclave, model)
        key, _ = enclave.new_prompt_key(number + 1, NOW + 3600, NOW)
        rows = load_heldout(MODELS / "digits").rows[:3]
        job, ciphertext = a_job(model, rows, key, epoch=number + 1)
        answer = enclave.answer(job, ciphertext, open_version=False)
        context = JobContext(CONTEXT.chain_id, CONTEXT.market, job.job_id)
        info = context.sealed_output_info(WORKER, answer.output_commitment)
        output = open_sealed(answer.sealed_output, SECRETS.response_private_key, info)
        assert output == encode_output(model.package.run(rows), model.package.manifest)
        enclave.enrol(model.version, 3)
    assert log == []


@pytest.mark.parametrize(("name", "count"), [("breast-cancer", 1), ("digits-cnn", 2)])
def test_proof__made_inside__verifies_and_unmasks(enclave, name, count):
    model, rows = open_model(name), load_heldout(MODELS / name).rows[:count]
    load(enclave, model)
    circuit = circuit_of(model.package.manifest)
    integers = rows.astype("int64")
    opening = circuit_input(
        commit_input(circuit, integers, SECRETS.job_secret), commit_pad(circuit, count, SECRETS.job_secret)
    )
    job, ciphertext = a_job(model, rows, enclave.hpke_key, epoch=3, prompt=False, level="proved", proofs=opening)
    record = model.package.manifest.circuit
    registered = Circuit(bytes.fromhex(record.descriptor), bytes.fromhex(record.weights), 1)
    answer = None
    while answer is None:
        answer = enclave.prove(job, ciphertext, registered, open_version=True)
        time.sleep(0.02)
    context = JobContext(CONTEXT.chain_id, CONTEXT.market, job.job_id).proof_context(WORKER)
    statement = verify(answer.proof, context)
    assert statement.weights_digest.hex() == record.weights
    outputs = unmask(circuit, count, answer.masked, SECRETS.job_secret)
    assert (outputs == model.package.run(rows)).all()


def test_prompt_key__after_its_end__opens_nothing(enclave):  # PROMPT-2
    model, rows = open_model(), load_heldout(MODELS / "breast-cancer").rows[:1]
    load(enclave, model)
    key, _ = enclave.new_prompt_key(7, NOW + 3600, NOW)
    job, ciphertext = a_job(model, rows, key, epoch=7)
    enclave.answer(job, ciphertext, open_version=False)
    assert 7 in enclave.tick(NOW + 3600)[0]
    with pytest.raises(CannotServe) as refused:
        enclave.answer(job, ciphertext, open_version=False)
    assert refused.value.reason is RefusalReason.SEALED_KEY_DOES_NOT_OPEN


# ------------------------------------------------------------------ its end


def test_malformed_frame__ends_the_enclave_and_the_log_tells_only_where(compiled):
    lines = []
    started = launch(CONTEXT, log=lines.append, compiled=compiled, unprotected=MISSING)
    started._channel.send(b"\x81\x67Explode")
    with pytest.raises(EnclaveFailed):
        started.loaded()
    started.close()
    assert started._process.returncode == 70
    time.sleep(0.1)
    assert any(line.startswith("enclave failed: FrameError at") for line in lines)
    assert "Explode" not in "".join(lines)


def test_close__process__is_gone_and_every_question_says_so(compiled):
    started = launch(CONTEXT, compiled=compiled, unprotected=MISSING)
    pid = inside_pid(started)
    started.close()
    started.close()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(EnclaveFailed, match="Start the worker again"):
        started.loaded()


def test_host__killed__takes_the_enclave_along(compiled):
    script = f"""
import pathlib, sys, time
sys.path[:0] = {[str(Path(__file__).parents[1])]!r}
from support.enclaves import CONTEXT
from cloister.enclave.launcher import launch
compiled = pathlib.Path({str(compiled)!r})
enclave = launch(CONTEXT, compiled=compiled, unprotected=frozenset({sorted(MISSING)!r}))
print(enclave._process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as host:
        outer = int(host.stdout.readline())
        pids = [outer]
        while children := Path(f"/proc/{pids[-1]}/task/{pids[-1]}/children").read_text().split():
            pids.append(int(children[0]))
        host.send_signal(signal.SIGKILL)
        host.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
