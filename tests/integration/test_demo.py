"""`make demo`, as a stranger runs it, and the checks that it makes of itself."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cloister.devnet.accounting import Books
from cloister.devnet.accounts import key
from cloister.devnet.folders import MARKER
from cloister.devnet.services import WorkerFailed
from cloister.devnet.testnet import Testnet
from cloister.domain.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
Testnet.__test__ = False  # pytest would take the name for a collection of tests


def test_demo__as_a_stranger_runs_it__reports_right_answers_a_slashed_liar_and_whole_books(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "demo.py"), "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=480, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    levels = {"AGREED(3, 2)": {"commit", "reveal"}, "ATTESTED": {"answer"}, "PROVED": {"prove"}}
    for level, steps in levels.items():
        jobs = [job for job in report["jobs"] if job["level"] == level]
        assert len(jobs) >= 3
        assert {job["model"] for job in jobs} == {"breast-cancer", "digits", "digits-cnn"}
        for job in jobs:
            assert job["matches_reference"] is True
            assert job["got"] == job["expected"]
            assert job["gas"].keys() == {"request", "deliver", *steps}
            assert job["gas"]["request"] <= 150_000
            assert (job["proof_seconds"] is not None) == job["proof_checked"] == (level == "PROVED")
    # The target is for honest jobs whose workers have been paid before; slashing and first credits come on top.
    assert min(sum(job["gas"].values()) for job in report["jobs"] if job["level"] == "AGREED(3, 2)") <= 700_000
    assert report["conserved"] is True
    assert {slash["worker"] for slash in report["slashed"]} == {"liar", "breaker"}
    assert {about["worker"] for about in report["attested"]} == {
        "worker-1",
        "worker-2",
        "worker-3",
        "breaker",
    }
    assert all(about["development"] for about in report["attested"])
    # Three enclaves took two shares each of the keys of three models.
    assert len(report["releases"]) == 18
    assert {release["worker"] for release in report["releases"]} == {"worker-1", "worker-2", "worker-3"}
    assert "DEVELOPMENT EVIDENCE" in done.stdout
    assert "settled" in done.stdout
    assert "outvoted" in done.stdout
    # A wrong answer that a stolen enclave signed was challenged, and a proof gave the right one.
    assert "challenged" in done.stdout
    assert "overturned by proof" in re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


@pytest.fixture
def net(tmp_path):
    with Testnet(tmp_path / "net", block_time=0.1, enclaves=False) as net:
        yield net


def test_books__a_wei_from_nowhere__is_found(net):
    net.add_worker()
    books = Books(net)
    assert books.problems() == []
    account = key(17).address
    net.node.control("anvil_setBalance", account, hex(net.w3.eth.get_balance(account) + 1))
    net.next_block()
    assert books.problems() == ["-1 wei are unaccounted for"]


@pytest.mark.parametrize("contract", ["node_registry", "job_market"])
def test_books__a_wei_too_much_in_a_contract__is_found(net, contract):
    net.add_worker()
    books = Books(net)
    address = getattr(net.deployment, contract)
    net.node.control("anvil_setBalance", address, hex(net.w3.eth.get_balance(address) + 1))
    net.next_block()
    assert len(books.problems()) == 2


def test_testnet__a_folder_with_something_else__is_left_alone(tmp_path):
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    with pytest.raises(InvalidInput, match="holds something that is no testnet"):
        Testnet(tmp_path)
    assert precious.read_text() == "years of work"
    assert not (tmp_path / MARKER).exists()


def test_testnet__a_worker_that_dies__is_reported_with_its_last_words(net):
    net.add_worker(module=("cloister", "no-such-command"))
    with pytest.raises(WorkerFailed, match="worker-1 ended with status 2") as caught:
        net.start()
    assert "no-such-command" in str(caught.value)


def test_testnet__stopped__leaves_no_process_and_no_port(tmp_path):
    with Testnet(tmp_path / "net", block_time=0.1) as net:
        (broker,) = net.add_brokers(1)
        net.add_worker()
        net.start()
        process = net.workers[0].process
        assert process.poll() is None
    assert process.returncode == 0
    assert broker.process.returncode == 0
    assert not net.node.running
