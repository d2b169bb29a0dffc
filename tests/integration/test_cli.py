"""The command against a chain: a market made, used and left with nothing but `cloister`."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from web3 import HTTPProvider, Web3

from cloister.cli.program import main
from cloister.devnet.accounts import key
from cloister.devnet.network import skip_to_next_epoch, start_node
from cloister.enclave.isolation import NAMES as PROTECTIONS
from cloister.fixedpoint import load_heldout
from cloister.storage.keyfile import LIGHT
from cloister.storage.keystore import Keystore

ETHER = 10**18
MODELS = Path(__file__).resolve().parents[2] / "models"
SCRIPTS = MODELS.parent / "scripts"
WORKERS = ("dev:1", "dev:2", "dev:3")
DEAD = "http://127.0.0.1:9"
BLOCK_SECONDS = 0.5


@dataclass
class Market:
    folder: Path
    node: object
    w3: Web3
    workers: list

    def flags(self, who):
        home = self.folder / who.replace(":", "-")
        settings = {
            "rpc-url": self.node.url,
            "deployment": self.folder / "deployment.json",
            "data-dir": home,
            "blob-stores": self.folder / "blobs",
            "keystores": home / "keystore",
            "password-file": self.folder / "password",
            "confirmations": "latest",
            "poll-seconds": "0.2",
        }
        if who.startswith("dev:"):
            settings["account"] = who
        return [part for name, value in settings.items() for part in (f"--{name}", str(value))]

    def call(self, who, *arguments):
        """Exit code and document of a command, run in this process."""
        with contextlib.redirect_stdout(io.StringIO()) as written:
            code = main([*self.flags(who), *arguments, "--json"])
        return code, json.loads(written.getvalue())

    def do(self, who, *arguments):
        code, document = self.call(who, *arguments)
        assert code == 0, document
        return document

    def refuse(self, who, *arguments):
        """The error of a command that fails without a transaction of `who`."""
        address = key(int(who[4:])).address if who.startswith("dev:") else None
        before = self.w3.eth.get_transaction_count(address) if address else None
        code, document = self.call(who, *arguments)
        assert address is None or self.w3.eth.get_transaction_count(address) == before
        return code, document["error"]

    def start(self, who, *arguments):
        """A command in a process of its own."""
        command = [sys.executable, "-m", "cloister", *self.flags(who), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def fund(self, address):
        transaction = {"from": key(0).address, "to": address, "value": 10 * ETHER}
        self.w3.eth.wait_for_transaction_receipt(self.w3.eth.send_transaction(transaction), poll_latency=0.05)


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """A market with a funded requester, a published model and three running workers."""
    folder = tmp_path_factory.mktemp("market")
    clean = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith("CLOISTER_")]:
        clean.delenv(name)
    clean.setenv("HOME", str(folder))
    clean.chdir(folder)
    (folder / "password").write_text("correct horse\n")
    (folder / "password").chmod(0o600)
    processes = []
    with start_node("anvil", block_time=BLOCK_SECONDS) as node:
        made = Market(folder, node, Web3(HTTPProvider(node.url)), processes)
        try:
            made.do("dev:0", "deploy", "--devnet-parameters", "--out", str(folder / "deployment.json"))
            made.fund(made.do("owner", "keys", "new", "--name", "owner")["address"])
            # The requester signs often, and a key file of full strength takes a second to open.
            made.fund(Keystore([folder / "alice" / "keystore"], kdf=LIGHT).create("correct horse").address)
            for worker in WORKERS:
                made.do(worker, "worker", "register", "--stake", "10", "--endpoint", "https://example.org")
            made.do("owner", "model", "publish", str(MODELS / "breast-cancer"), "--price", "0.01")
            skip_to_next_epoch(node, made.w3, made.do("alice", "nodes")["epoch_length"])
            # One with an enclave that nothing makes evidence about, whatever protects it here; the others without.
            inside = ("--unprotected", ",".join(PROTECTIONS), "--evidence-from", "none")
            kinds = [inside, *[("--enclave", "off")] * (len(WORKERS) - 1)]
            processes += [made.start(who, "worker", "--json", *kind) for who, kind in zip(WORKERS, kinds, strict=True)]
            for process in processes:
                read_document(process.stdout)
            yield made
        finally:
            for process in processes:
                process.kill()
                process.communicate()
            clean.undo()


def read_document(stream):
    """The one JSON document that a running process has printed."""
    text = ""
    for line in stream:
        text += line
        if line == "}\n":
            return json.loads(text)
    raise AssertionError(f"no document: {text!r}")


@pytest.fixture(scope="module")
def row(market):
    """A held-out row, as integers, and its label."""
    held_out = load_heldout(MODELS / "breast-cancer")
    path = market.folder / "row.json"
    path.write_text(json.dumps(held_out.rows[:1].tolist()))
    return path, ("malignant", "benign")[int(held_out.labels[0])]


def test_nodes__registered__share_the_draws(market):
    workers = market.do("alice", "nodes")["workers"]
    assert [one["worker"] for one in workers] == [key(index).address for index in (1, 2, 3)]
    assert {one["share"] for one in workers} == {1 / 3}
    assert {one["free_wei"] for one in workers} == {str(10 * ETHER)}


def test_request__from_money_to_answer__and_the_money_out_again(market, row):
    path, label = row
    job = market.do("alice", "request", "breast-cancer", "--input", str(path), "--integers", "--timeout", "30")
    assert job["state"] == "settled"
    assert job["output"]["predictions"] == [label]
    assert job["cost_wei"] == str(3 * ETHER // 100)
    assert all(seat["agreed"] and seat["revealed"] == job["output_commitment"] for seat in job["committee"])

    assert market.do("alice", "result", job["job"])["output"] == job["output"]
    assert market.do("dev:9", "result", job["job"])["output"] is None
    assert [one["job"] for one in market.do("alice", "jobs")["jobs"]] == [job["job"]]
    assert market.do("dev:9", "jobs")["jobs"] == []
    assert market.do("dev:9", "jobs", "--all")["total"] == 1

    # The worker's own process holds its journal; anybody else may pay it out.
    worker = job["committee"][0]["worker"]
    before = market.do("alice", "credit", worker)
    assert before["credit_wei"] == str(ETHER // 100)
    assert market.do("alice", "withdraw", worker)["withdrawn_wei"] == str(ETHER // 100)
    after = market.do("alice", "credit", worker)
    assert (after["credit_wei"], int(after["balance_wei"])) == ("0", int(before["balance_wei"]) + ETHER // 100)


def test_request__proved__is_answered_by_one_worker_whose_proof_the_chain_checked(market, row):
    path, label = row
    (model,) = market.do("alice", "models")["models"]
    assert (model["proved"]["verifier"], model["proved"]["of_deployment"], model["proved"]["removed"]) == (
        1,
        True,
        False,
    )
    flags = ("--input", str(path), "--integers", "--proved", "--timeout", "30")
    job = market.do("alice", "request", "breast-cancer", *flags)
    assert (job["state"], job["level"], job["cost_wei"]) == ("settled", "PROVED", str(ETHER // 100))
    assert job["output"]["predictions"] == [label]
    (seat,) = job["committee"]
    assert seat["agreed"]
    assert len(job["masked_output"]) == 2 + 2 * 2 * 32
    assert market.do("alice", "result", job["job"])["output"] == job["output"]
    seen = market.do("dev:9", "result", job["job"])
    assert (seen["output"], seen["masked_output"]) == (None, job["masked_output"])


def test_verify__on_chain__the_contract_agrees_with_this_machine(market, row, tmp_path):
    (rows, _), proof, package = row, tmp_path / "a.proof", str(MODELS / "breast-cancer")
    market.do("alice", "prove", package, "--input", str(rows), "--integers", "--out", str(proof))
    asked = ("verify", str(proof), "--model", package, "--on-chain")
    found = market.do("alice", *asked)
    assert (found["verdict"], found["on_chain"]["accepted"], found["on_chain"]["number"]) == ("accepted", True, 1)
    code, found = market.call("alice", *asked, "--context", "0x" + "11" * 32)
    assert (code, found["verdict"]) == (1, "refused")


def test_request__proved_without_a_circuit__is_refused_and_agreed_jobs_are_not(market, row):
    path, _ = row
    version = market.do("dev:8", "model", "publish", str(MODELS / "digits-cnn"), "--price", "0.01", "--no-proof")
    assert version["verifier"] is None
    rows = market.folder / "digits-cnn.json"
    rows.write_text(json.dumps(load_heldout(MODELS / "digits-cnn").rows[:1].tolist()))
    flags = ("--input", str(rows), "--integers", "--proved")
    code, error = market.refuse("alice", "request", version["version"], *flags)
    assert (code, error["type"]) == (1, "NoProofs")
    code, error = market.refuse(
        "alice", "request", "breast-cancer", "--input", str(path), "--proved", "--verifier", "2"
    )
    assert (code, error["type"]) == (1, "NoProofs")
    market.do("dev:8", "model", "deprecate", version["version"])


def test_request__interrupted__goes_on_with_the_command_it_names(market, row):
    path, label = row
    process = market.start("alice", "request", "breast-cancer", "--input", str(path), "--integers")
    told = ""
    while not told.startswith("posted: "):
        told = process.stderr.readline()
        assert told, process.communicate()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 130
    arguments = re.search(r"cloister (result 0x[0-9a-f]{64} --wait)", error)[1].split()
    assert market.do("alice", *arguments, "--timeout", "30")["output"]["predictions"] == [label]


def test_request__no_wait__is_taken_up_by_result(market, row):
    path, label = row
    posted = market.do("alice", "request", "breast-cancer", "--input", str(path), "--integers", "--no-wait")
    assert posted["state"] == "open"
    done = market.do("alice", "result", posted["job"], "--wait", "--timeout", "30")
    assert done["output"]["predictions"] == [label]


@pytest.mark.parametrize(
    ("flags", "kind", "says"),
    [
        (["--chain-id", "1"], "WrongChain", "31337"),
        (["--rpc-url", DEAD], "RpcUnavailable", "cannot be reached"),
        (["--deployment", "absent.json"], None, "absent.json"),
        (["--password-file", "absent"], "PasswordUnavailable", "absent"),
        (["--account", "0x" + "11" * 20], "KeyfileMissing", "There is no account"),
        (["--level", "agreed(5,4)"], "NotEnoughWorkers", "3 can be drawn"),
    ],
)
def test_request__wrong_setting__is_one_error_and_no_money(market, row, flags, kind, says):
    balance = market.do("alice", "credit")["balance_wei"]
    code, error = market.refuse("alice", "request", "breast-cancer", "--input", str(row[0]), "--integers", *flags)
    assert code in (1, 2)
    assert kind in (None, error["type"])
    assert says in error["message"]
    assert market.do("alice", "credit")["balance_wei"] == balance


@pytest.mark.parametrize(
    ("model", "rows", "integers", "says"),
    [
        ("absent", [[0] * 30], True, "There is no model named 'absent'"),
        ("0x" + "12" * 32, [[0] * 30], True, "is published"),
        ("breast-cancer", [[0] * 29], True, "shape"),
        ("breast-cancer", [[1.5] * 29], False, "shape"),
        ("breast-cancer", [[2**20] * 30], True, "outside"),
        ("breast-cancer", [[0] * 30] * 200, True, "at most 1024 fit"),
    ],
)
def test_request__wrong_input__is_one_error_and_no_money(market, model, rows, integers, says):
    (market.folder / "wrong.json").write_text(json.dumps(rows))
    arguments = ["request", model, "--input", str(market.folder / "wrong.json")] + ["--integers"] * integers
    balance = market.do("alice", "credit")["balance_wei"]
    code, error = market.refuse("alice", *arguments)
    assert (code, error["type"] in {"InvalidInput", "InvalidModelInput"}) == (1, True)
    assert says in error["message"]
    assert market.do("alice", "credit")["balance_wei"] == balance


def test_request__no_funds__is_refused(market, row):
    Keystore([market.folder / "poor" / "keystore"], kdf=LIGHT).create("correct horse")
    code, error = market.refuse("poor", "request", "breast-cancer", "--input", str(row[0]), "--integers")
    assert (code, error["type"]) == (1, "InsufficientFunds")


def test_worker__no_stake__is_refused(market):
    code, error = market.refuse("dev:9", "worker")
    assert (code, error["type"]) == (1, "NotRegistered")
    assert "cloister worker register" in error["hint"]


def test_worker__stake_below_the_minimum__is_refused(market):
    code, error = market.refuse("dev:8", "worker", "register", "--stake", "1gwei")
    assert (code, error["message"][:27]) == (1, "NodeRegistry_StakeTooSmall:")


def test_worker__second_process__is_refused(market):
    code, error = market.refuse("dev:1", "worker")
    assert (code, error["type"]) == (1, "JournalLocked")


def test_model__price_and_end__are_the_owners(market):
    version = market.do("alice", "model", "publish", str(MODELS / "digits"), "--price", "5gwei")["version"]
    assert market.do("alice", "model", "price", version, "6gwei")["price_wei"] == "6000000000"
    code, error = market.refuse("dev:9", "model", "deprecate", version)
    assert (code, error["type"]) == (1, "ContractError")
    market.do("alice", "model", "deprecate", version)
    assert [one["name"] for one in market.do("alice", "models")["models"]] == ["breast-cancer"]
    offered = market.do("alice", "models", "--all")["models"]
    assert [(one["name"], one["price_wei"], one["deprecated"]) for one in offered][-1] == ("digits", "6000000000", True)


def test_scripts__plain_python__are_the_commands(market):
    jobs = market.do("alice", "jobs")["jobs"]
    flags = market.flags("alice")
    names = [flag.removeprefix("--").replace("-", "_").upper() for flag in flags[::2]]
    settings = {f"CLOISTER_{name}": value for name, value in zip(names, flags[1::2], strict=True)}
    done = subprocess.run(
        [sys.executable, SCRIPTS / "query_result.py"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    assert jobs[0]["job"] in done.stdout
    assert "agreed" in done.stdout


def test_worker__told_to_stop__ends_well_and_can_look_after_its_stake(market):
    """The last test: it takes the workers down (LOG-3: their journals are free then)."""
    for process, number in zip(market.workers, (signal.SIGTERM, signal.SIGINT, signal.SIGTERM), strict=True):
        process.send_signal(number)
    for process in market.workers:
        out, error = process.communicate(timeout=20)
        assert process.returncode == 0, error
        assert out == ""  # after the one document
        assert "worker stopped" in error
        assert "Traceback" not in error
    assert market.do("dev:1", "worker", "top-up", "1")["stake_wei"] == str(11 * ETHER)
    rotated = market.do("dev:1", "worker", "rotate-keys", "--enclave", "off")
    assert (rotated["key_epoch"], rotated["keys_here"]) == (2, [0, 2])  # 1 was its enclave's
    assert market.do("dev:1", "worker", "exit")["exit_at"] > 0
    code, error = market.refuse("dev:1", "worker", "withdraw-stake")
    assert (code, error["message"][:22]) == (1, "NodeRegistry_TooEarly:")
    market.node.skip(601 + 180)  # the exit delay, and the end of the period that the last lock lies in
    assert market.do("dev:1", "worker", "withdraw-stake")["stake_wei"] == "0"
