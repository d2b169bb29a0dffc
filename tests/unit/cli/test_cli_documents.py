"""What every command prints with --json, and that its text says the same; against a market made of stubs."""

import contextlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.jobs import ALICE, BOB, CAROL, MARKET, REQUESTER, Story, digest

from cloister.chain.market import Parameters
from cloister.chain.models import Offering, RegisteredCircuit, Version
from cloister.chain.nodes import Node
from cloister.chain.sender import Receipt
from cloister.cli.program import main
from cloister.cli.reference import commands
from cloister.cli.run import Run, Unlocked
from cloister.client import NotYourJob, Result, StillRunning, UnknownJob
from cloister.domain.attested import Evidence, Policy, TcbStatus
from cloister.domain.errors import CloisterError
from cloister.domain.events import RefundReason
from cloister.domain.ids import NOBODY, BlobId, VersionId, hexed
from cloister.domain.job import fold
from cloister.domain.request import Level
from cloister.fixedpoint import Package, load_package
from cloister.proving import commit_model, prove_inference
from cloister.sealing.deposits import BrokerKey
from cloister.sealing.folder import write_sealed
from cloister.sealing.package import seal_package
from cloister.storage.errors import BlobMissing, PasswordUnavailable
from cloister.storage.keyfile import LIGHT, write_keyfile
from cloister.storage.release_entries import LogOwner, Release
from cloister.storage.releases import ReleaseLog

MODELS = Path(__file__).resolve().parents[3] / "models"
QUOTE = MODELS.parent / "tests/vectors/attestation/intel_tdx_v4_uptodate_dcapqvl.quote.bin"
POLICY = Policy((digest("code"),), frozenset({TcbStatus.UP_TO_DATE, TcbStatus.SW_HARDENING_NEEDED}), development=True)
BROKER_KEY = BrokerKey.from_secret(bytes(range(32)))
NOW = 1_790_000_000
ETHER = 10**18
CHAIN = 31337
PARAMETERS = Parameters(
    seed_delay=1,
    deliver_window=60,
    commit_window=30,
    reveal_window=20,
    publish_window=30,
    challenge_window=100,
    dispute_window=200,
    stake_ratio=20,
    silent_bps=1_000,
    wrong_bps=5_000,
    fault_bps=1_000,
    check_bps=2_000,
    demand_deposit=ETHER // 100,
    proof_gas=1,
    max_base_fee=1,
    proving_fee=1,
)
RECEIPT = Receipt(digest("transaction"), 12, 21_000, 10**9, True)
STORY = Story()
JOB = hexed(STORY.job_id)
OPEN = [STORY.requested()]
SETTLED = [
    *OPEN,
    STORY.delivered(),
    STORY.committed(ALICE),
    STORY.committed(BOB),
    STORY.opened(),
    STORY.revealed(ALICE),
    STORY.revealed(BOB),
    STORY.settled(0b011),
]
VERSION = hexed(STORY.request.version)


EVIDENCE = Evidence(digest("measurement"), digest("platform"), TcbStatus.UP_TO_DATE, development=True, key_epoch=1)


class StubChain:
    """Everything that the commands read and send."""

    def __init__(self):
        self.me = REQUESTER
        self.events = SETTLED
        self.sent = []
        self.package = load_package(MODELS / "breast-cancer")
        self.blobs = {BlobId(self.package.digest): self.package.manifest_bytes}
        self.published = [
            Version(
                STORY.request.version,
                ALICE,
                10**15,
                0,
                Offering.EXACT,
                BlobId(self.package.digest),
                "https://example.org",
                bytes(32),
                0,
            ),
            Version(
                VersionId(digest("other")),
                BOB,
                1,
                0,
                Offering.WITHDRAWN,
                BlobId(digest("unknown")),
                "\x1b[2J",
                digest("policy"),
                1,
            ),
        ]
        self.workers = [
            Node(ALICE, 2 * ETHER, ETHER, 1, bytes(32), BOB, 0, "https://\x1b[2J", True),
            Node(BOB, 2 * ETHER, 0, 0, bytes(32), BOB, 1_800_000_000, "", True),
            Node(CAROL, 0, 0, 0, bytes(32), BOB, 1, "", True),
        ]
        self.credit = ETHER
        self.circuits = {STORY.request.version: RegisteredCircuit(1, digest("circuit"), digest("weights"))}

    @property
    def network(self):
        return SimpleNamespace(
            connection=SimpleNamespace(
                chain_id=CHAIN, head=lambda: SimpleNamespace(number=70), balance=lambda _account: 3 * ETHER
            ),
            deployment=SimpleNamespace(block=1, verifier=1),
            verifiers=SimpleNamespace(is_removed=lambda number: number == 3),
            market=SimpleNamespace(
                address=MARKET,
                parameters=lambda: PARAMETERS,
                credit=lambda _account: self.credit,
                history=lambda job_id, _block: self.events if job_id == STORY.job_id else [],
                jobs=lambda _block: [self.events[0]],
                state=lambda _job_id: fold(self.events).state,
                withdraw=lambda account: f"withdraw {account}",
                bond=lambda: 3 * ETHER,
                resolve=lambda _ticket: "resolve",
            ),
            nodes=SimpleNamespace(
                address=MARKET,
                workers=lambda: self.workers,
                node=lambda account: next((n for n in self.workers if n.worker == account), self.workers[2]),
                epoch_of=lambda block: block // 64,
                epoch_length=lambda: 64,
                weight_at=lambda worker, _epoch: {ALICE: 3, BOB: 1}[worker],
                total_weight_at=lambda _epoch: 4,
                minimum_stake=lambda: ETHER,
                quotes=lambda: ALICE,
                attestation=lambda worker: SimpleNamespace(until=1_800_000_000 if worker == ALICE else 0),
                evidence=lambda worker, _block: EVIDENCE if worker == ALICE else None,
                prompt_key=lambda _worker: SimpleNamespace(expires_at=0),
            ),
            models=SimpleNamespace(
                address=MARKET,
                versions=lambda: self.published,
                version=lambda version: next(one for one in self.published if one.version_id == version),
                set_price=lambda version, price: f"price {hexed(version)} {price}",
                deprecate=lambda version: f"deprecate {hexed(version)}",
                policy=lambda _version: POLICY,
                narrow_policy=lambda version, _current, narrower: f"narrow {hexed(version)} {len(narrower.statuses)}",
                circuit_of=lambda version: self.circuits.get(version),  # noqa: PLW0108  tests replace the dictionary
            ),
            blobs=SimpleNamespace(get=self._blob),
            settings=None,
        )

    def _blob(self, blob, _limit=None):
        if blob not in self.blobs:
            raise BlobMissing("No.")
        return self.blobs[blob]

    def transact(self, _intent, call):
        self.sent.append(call)
        return RECEIPT

    def client(self):
        network = self.network
        return SimpleNamespace(
            account=self.me,
            connection=network.connection,
            market=network.market,
            models=network.models,
            parameters=PARAMETERS,
            sender=SimpleNamespace(transact=self.transact),
            journal=SimpleNamespace(requests=list),
            manifest=lambda _version: self.package.manifest,
            publisher=SimpleNamespace(
                publish=self._publish("publish"), publish_provable=self._publish("publish provable")
            ),
            request=self._request,
            job=lambda _job_id: fold(self.events),
            wait=self._wait,
            result=lambda job_id: self._result(),
        )

    def _publish(self, how):
        def publish(package, price, uri, verifier=None, policy=None, sealed=None):
            words = [how, verifier, policy and "under a policy", sealed and "sealed"]
            self.sent.append(" ".join(str(word) for word in words if word))
            return STORY.request.version

        return publish

    def _request(self, version, rows, assurance, price=None, verifier=None, *, worker=NOBODY, reputation=0):
        assert rows.shape == (1, 30)
        assert price in (None, self.network.models.version(version).price)  # the one that was shown
        said = [f"request {hexed(version)} {assurance}", verifier, worker != NOBODY and worker, reputation]
        self.sent.append(" ".join(str(word) for word in said if word))
        return STORY.job_id

    def _wait(self, _job_id, timeout, progress):
        for end in range(1, len(self.events) + 1):
            progress(fold(self.events[:end]))
        if not fold(self.events).answered:
            raise StillRunning(f"Running after {timeout} s.", "Go on.")
        return self._result()

    def _result(self):
        job = fold(self.events)
        return Result(job) if job.result is None else Result(job, np.array([[256, -128]]), ("benign",))

    def operator(self):
        def act(name):
            def call(*arguments):
                self.sent.append(" ".join(map(str, (name, *arguments))))
                return RECEIPT

            return call

        names = ("register", "top_up", "rotate_keys", "announce_exit", "withdraw")
        return SimpleNamespace(**{name: act(name) for name in names})


class StubAppeals:
    """Appeals that say what they were asked. `wrong` is what the model says when the market is wrong."""

    expected_outputs = np.array([[256, -128]])

    def __init__(self, client):
        self.client = client

    def expected(self, version, rows):
        return self.expected_outputs

    def challenge(self, job_id):
        return self._said("challenge", job_id)

    def judge(self, job_id):
        return self._said("judge", job_id)

    def refer(self, job_id):
        self._said("refer", job_id)
        return STORY.job_id

    def _said(self, what, job_id):
        return self.client.sender.transact("", f"{what} {hexed(job_id)}")


@pytest.fixture
def chain(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("CLOISTER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    stub = StubChain()
    account = SimpleNamespace(address=stub.me)
    monkeypatch.setattr(Run, "network", property(lambda run: (run.settings, stub.network)[1]))
    monkeypatch.setattr(Run, "address", property(lambda _run: stub.me))
    monkeypatch.setattr(Run, "unlocked", property(lambda _run: Unlocked(account, "password")))
    monkeypatch.setattr(Run, "client", lambda _run: contextlib.nullcontext(stub.client()))
    monkeypatch.setattr("cloister.appeals.Appeals", StubAppeals)
    monkeypatch.setattr(Run, "operator", lambda _run: contextlib.nullcontext(stub.operator()))
    (tmp_path / "row.csv").write_text(",".join(["0"] * 30))
    (tmp_path / "password").write_text("password\n")
    (tmp_path / "password").chmod(0o600)
    (tmp_path / "key").write_text("0x" + "11" * 32 + "\n")
    return stub


@pytest.fixture(scope="module")
def proof():
    """A proof file about a row of zeros."""
    package = load_package(MODELS / "breast-cancer")
    return prove_inference(commit_model(package), np.zeros((1, 30), dtype=np.int64), bytes(32), bytes(32)).proof


@pytest.fixture
def services(chain, monkeypatch, proof):
    """Daemons that end at once, and a proof to look at."""
    Path("made.proof").write_bytes(proof)
    monkeypatch.setattr("cloister.bootstrap.open_worker", lambda *_: contextlib.nullcontext("worker"))
    monkeypatch.setattr("cloister.bootstrap.run_worker", lambda _worker, stop, _poll, ready: ready())
    broker = SimpleNamespace(
        key=BROKER_KEY,
        chain_id=CHAIN,
        workers=SimpleNamespace(address=ALICE),
        log=SimpleNamespace(count=2),
        roots=SimpleNamespace(development=()),
    )
    monkeypatch.setattr("cloister.enclave.launcher.compile_ahead", lambda _folder: None)
    monkeypatch.setattr("cloister.bootstrap.open_sender", lambda *_: contextlib.nullcontext("steward"))
    posted = SimpleNamespace(until=1_800_000_000, evaluation=17)
    quotes = SimpleNamespace(address=ALICE, tcb=lambda *_: posted, qe_identity=lambda _root: posted)
    monkeypatch.setattr("cloister.chain.quotes.Quotes", lambda *_: quotes)
    monkeypatch.setattr("cloister.quoting.teach", lambda *_: 3)
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr("cloister.bootstrap.open_broker", lambda *_: contextlib.nullcontext(broker))
    monkeypatch.setattr("cloister.broker.web.serving", lambda *_: contextlib.nullcontext("http://127.0.0.1:8650"))
    monkeypatch.setattr("cloister.cli.worker.stop_on_signals", lambda: contextlib.nullcontext(stop))
    _put_sealed_model(Path(os.environ["HOME"]) / ".local/share/cloister/broker")
    deployed = SimpleNamespace(
        chain_id=CHAIN,
        node_registry=ALICE,
        model_registry=BOB,
        job_market=CAROL,
        block=1,
        verifier=1,
        save=lambda _path: None,
    )
    net = SimpleNamespace(
        folder=Path("/somewhere"),
        deployment=deployed,
        node=SimpleNamespace(url="http://127.0.0.1:8545"),
        workers=[SimpleNamespace(address=ALICE)],
        policy_file=Path("/somewhere/policy.json"),
        brokers=[SimpleNamespace(url="http://127.0.0.1:8650")],
    )
    monkeypatch.setattr("cloister.devnet.testnet.run_devnet", lambda *_a, ready, **_k: ready(net))
    monkeypatch.setattr("cloister.chain.connection.Connection", lambda *_: SimpleNamespace(chain_id=CHAIN, w3=None))
    monkeypatch.setattr("cloister.chain.deploy.deploy", lambda *_a, **_k: deployed)


def _put_sealed_model(folder):
    """A broker's folder, a sealed model with a share for it, a policy and a licence, all in the current folder."""
    write_keyfile(
        folder / "key.json", bytes(range(32)), "password", LIGHT, note={"broker": hexed(BROKER_KEY.fingerprint)}
    )
    Path("broker.txt").write_text(hexed(BROKER_KEY.public) + "\n")
    sealed = seal_package(load_package(MODELS / "digits"), 1, [BROKER_KEY.public], {"training.json": b"{}"})
    write_sealed(Path("sealed"), sealed, "password", LIGHT)
    Path("policy.json").write_text(POLICY.to_json())
    narrower = replace(POLICY, statuses=frozenset({TcbStatus.UP_TO_DATE}))
    Path("narrower.json").write_text(narrower.to_json())
    tier = {"name": "trial", "workers": [ALICE], "releases": 3, "from": 0, "until": 1_800_000_000}
    Path("licence.json").write_text(json.dumps([tier]))
    with ReleaseLog.open(folder / "releases-1-2.jsonl", LogOwner(BROKER_KEY.fingerprint, CHAIN, ALICE)) as log:
        end, hashes = 1_800_000_000, (digest("evidence"), digest("key"), digest("measurement"), digest("platform"))
        log.append(Release(NOW, STORY.request.version, ALICE, 1, 1, "trial", end, *hashes, "UpToDate", True))


JOB_FIELDS = {
    "chain_id", "market", "job", "state", "deadline", "requester", "version", "level", "price_wei", "escrow_wei",
    "cost_wei", "input_commitment", "committee", "masked_output", "output_commitment", "refund_reason", "output",
    "challenge_by", "verifier", "worker", "challenger", "referee",
}  # fmt: skip
NODE_FIELDS = {
    "worker", "registered", "stake_wei", "locked_wei", "free_wei", "key_epoch", "exit_at", "endpoint"
}  # fmt: skip
STATEMENT_FIELDS = {"circuit", "weights", "context", "instances", "input", "output"}
RECEIPT_FIELDS = {"transaction", "block", "gas_used", "fee_wei"}
STATUS_FIELDS = {
    "chain_id", "registry", "credit_wei", "balance_wei", "keys_here", "attested_until", "prompt_key_until"
} | NODE_FIELDS  # fmt: skip

SEALING = [
    f"{MODELS}/digits", "--out", "new", "--threshold", "1", "--broker", "broker.txt", "--password-file", "password"
]  # fmt: skip

DOCUMENTS = {
    "request": (["breast-cancer", "--input", "row.csv"], JOB_FIELDS),
    "result": ([JOB], JOB_FIELDS),
    "challenge": ([JOB], {"job", "bond_wei", "decide_by"} | RECEIPT_FIELDS),
    "judge": ([JOB], {"job", "output_commitment"} | RECEIPT_FIELDS),
    "refer": ([JOB], {"job", "referee", "output_commitment"} | RECEIPT_FIELDS),
    "canary": (["breast-cancer", "--input", "row.csv"], {"job", "answered", "right", "overturned"}),
    "jobs": ([], {"chain_id", "market", "total", "jobs"}),
    "nodes": ([], {"chain_id", "registry", "block", "epoch", "epoch_length", "minimum_stake_wei", "workers"}),
    "models": ([], {"chain_id", "registry", "models"}),
    "prove": (
        [str(MODELS / "breast-cancer"), "--input", "row.csv", "--out", "new.proof"],
        {"proof", "bytes", "seconds", "rows", "answer"} | STATEMENT_FIELDS,
    ),
    "verify": (
        ["made.proof", "--model", str(MODELS / "breast-cancer")],
        {"verdict", "reason", "proof", "model", "manifest"} | STATEMENT_FIELDS,
    ),
    "evidence verify": (
        [str(QUOTE), "--now", QUOTE.with_name("intel_tdx_v4_uptodate_dcapqvl.now").read_text().strip()],
        {"evidence", "collateral", "verdict", "kind", "status", "reason", "measurement", "report_data", "platform"}
        | {"development", "valid_until", "proved", "details"},
    ),
    "evidence measure": ([], {"measurement", "mrtd", "rtmr0", "rtmr1", "attributes", "xfam"}),
    "evidence post": (
        [str(QUOTE).replace("quote.bin", "collateral.json")],
        {"chain_id", "verifier", "transactions", "fmspc", "until", "evaluation"},
    ),
    "credit": ([], {"chain_id", "account", "credit_wei", "balance_wei"}),
    "withdraw": ([], {"chain_id", "account", "withdrawn_wei"} | RECEIPT_FIELDS),
    "deploy": (
        ["--out", "deployment.json"],
        {"chain_id", "node_registry", "model_registry", "job_market", "verifier", "block", "file", "parameters"},
    ),
    "devnet": ([], {"chain_id", "rpc_url", "config", "deployment", "workers", "policy", "brokers"}),
    "version": ([], {"cloister", "protocol", "python"}),
    "model publish": (
        [str(MODELS / "digits"), "--price", "0.01"],
        {"chain_id", "version", "name", "manifest", "price_wei", "owner", "sealed", "policy", "verifier"},
    ),
    "model seal": (
        ["--attach", "row.csv", *SEALING],
        {"folder", "name", "manifest", "threshold", "shares", "attachments", "recovery"},
    ),
    "model unseal": (
        ["sealed", "--out", "opened", "--password-file", "password"],
        {"folder", "name", "attachments"},
    ),
    "model policy": ([VERSION], {"chain_id", "version", "open", "measurements", "statuses", "development", "hash"}),
    "model price": ([VERSION, "0.02"], {"chain_id", "version", "price_wei"} | RECEIPT_FIELDS),
    "model deprecate": ([VERSION], {"chain_id", "version", "deprecated"} | RECEIPT_FIELDS),
    "model check": (
        [str(MODELS / "digits")],
        {"name", "manifest", "weights", "circuit", "input_shape", "labels", "stages"},
    ),
    "worker": ([], {"chain_id", "market", "registry", "evidence", "protections", "warning"} | NODE_FIELDS),
    "worker compile": (["compiled"], {"folder", "measurement"}),
    "worker register": (["--stake", "10"], STATUS_FIELDS | RECEIPT_FIELDS),
    "worker top-up": (["1"], STATUS_FIELDS | RECEIPT_FIELDS),
    "worker rotate-keys": (["--enclave", "off"], STATUS_FIELDS | RECEIPT_FIELDS),
    "worker exit": ([], STATUS_FIELDS | RECEIPT_FIELDS),
    "worker withdraw-stake": ([], STATUS_FIELDS | RECEIPT_FIELDS),
    "worker status": ([], STATUS_FIELDS),
    "broker init": (["--data-dir", "new", "--password-file", "password"], {"broker", "public_key", "folder"}),
    "broker import": (
        ["sealed/shares/share-1.json", "--manifest", "sealed/manifest.json", "--password-file", "password"],
        {"model", "manifest", "index"},
    ),
    "broker licence": ([VERSION, "licence.json"], {"version", "tiers"}),
    "broker run": (
        ["--password-file", "password"],
        {"url", "broker", "chain_id", "registry", "entries", "development"},
    ),
    "broker log": ([], {"file", "broker", "chain_id", "registry", "entries"}),
    "keys new": (["--password-file", "password"], {"address", "name", "file"}),
    "keys import": (["--password-file", "password", "--key-file", "key"], {"address", "name", "file"}),
    "keys list": ([], {"accounts"}),
    "config show": ([], {"settings"}),
}


def members(value):
    """Names and values of all objects in a document."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from members(inner)


def test_documents__every_command__is_covered():
    tree = {c.command_path.removeprefix("cloister "): command for c, command in commands() if c.parent}
    runnable = {path for path, command in tree.items() if path == "worker" or not getattr(command, "commands", None)}
    assert runnable == set(DOCUMENTS)


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize("path", DOCUMENTS)
def test_command__json__is_one_document_with_these_fields(path, chain, capsys):
    arguments, fields = DOCUMENTS[path]
    assert main([*path.split(), *arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == fields
    for name, value in members(document):
        if name.endswith("_wei"):
            assert value is None or (isinstance(value, str) and value.isdigit()), name


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize("path", DOCUMENTS)
def test_command__text__is_printable_and_no_json(path, chain, capsys):
    arguments, _ = DOCUMENTS[path]
    assert main([*path.split(), *arguments]) == 0
    shown = capsys.readouterr()
    assert shown.out.strip()
    assert "\x1b" not in shown.out + shown.err
    assert not shown.out.startswith("{")


def test_rotate_keys__of_an_enclave__is_refused_and_says_how(chain, capsys):
    assert main(["worker", "rotate-keys"]) == 1
    assert "Start the worker again to replace them" in capsys.readouterr().err
    assert chain.sent == []


def test_worker__without_an_enclave__warns_that_its_operator_sees_everything(services, capsys):
    assert main(["worker", "--enclave", "off"]) == 0
    assert "who controls this machine reads the inputs and outputs" in capsys.readouterr().out


def test_worker__ready__is_logged_for_whoever_waits_for_it(services, capsys):
    assert main(["worker", "--log-format", "json"]) == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["worker ready", "worker stopped"]


def test_request__escrow__is_shown_before_it_is_paid(chain, capsys):
    assert main(["request", "breast-cancer", "--input", "row.csv", "--level", "agreed(5,3)"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told.index("escrow: 0.005 ETH = 5 workers × 0.001 ETH") < told.index(f"posted: {JOB}")
    assert f"drawn: {ALICE}, {BOB}, {CAROL}" in told
    assert f"agreed, and paid 0.001 ETH each: {ALICE}, {BOB}" in told
    assert f"not paid: {CAROL}, who did nothing" in told


def test_request__no_wait__says_how_to_go_on_and_what_it_costs_not_to(chain, capsys):
    chain.events = OPEN
    assert main(["request", "breast-cancer", "--input", "row.csv", "--no-wait"]) == 0
    shown = capsys.readouterr().out
    assert f"cloister result {JOB} --wait" in shown
    assert "costs 0.0003 ETH" in shown


def test_request__interrupted__says_how_to_go_on(chain, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(StubChain, "_wait", interrupted)
    assert main(["request", "breast-cancer", "--input", "row.csv"]) == 130
    assert f"cloister result {JOB} --wait" in capsys.readouterr().err
    assert main(["request", "breast-cancer", "--input", "row.csv", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"]["job"] == JOB


def test_request__interrupted_while_it_is_posted__names_the_job_in_the_journal(chain, monkeypatch, capsys):
    requests = []

    def interrupted(*_, **__):
        requests.append(SimpleNamespace(job_id=STORY.job_id))
        raise KeyboardInterrupt

    client = chain.client()
    client.journal.requests = lambda: list(requests)
    client.request = interrupted
    monkeypatch.setattr(Run, "client", lambda _run: contextlib.nullcontext(client))
    assert main(["request", "breast-cancer", "--input", "row.csv"]) == 130
    assert f"cloister result {JOB} --wait" in capsys.readouterr().err


def test_request__still_running__exits_1(chain, capsys):
    chain.events = OPEN
    assert main(["request", "breast-cancer", "--input", "row.csv", "--timeout", "1"]) == 1
    assert f"cloister result {JOB} --wait" in capsys.readouterr().err


PROVED_STORY = Story(single=Level.PROVED)
PROVED = [PROVED_STORY.requested(), PROVED_STORY.delivered(), PROVED_STORY.proved(), PROVED_STORY.settled(0b1)]


@pytest.mark.parametrize("flags", [["--proved"], ["--level", "proved"], ["--proved", "--verifier", "7"]])
def test_request__proved__has_one_seat_and_says_who_checks_the_proof(chain, flags, capsys):
    chain.events = PROVED
    assert main(["request", "breast-cancer", "--input", "row.csv", *flags]) == 0
    told = capsys.readouterr().err.splitlines()
    assert "escrow: 0.001 ETH = 1 worker × 0.001 ETH" in told
    assert "proof: checked on chain by verifier 1" in told
    assert f"proved, and paid 0.001 ETH: {ALICE}" in told
    assert chain.sent == [f"request {VERSION} PROVED" + (" 7" if "7" in flags else "")]


def test_request__proved_and_another_level__is_refused(chain, capsys):
    assert main(["request", "breast-cancer", "--input", "row.csv", "--proved", "--level", "agreed(5,3)"]) == 1
    assert "both proved and agreed(5,3)" in capsys.readouterr().err
    assert chain.sent == []


def test_result__proved__shows_the_masked_output_and_who_proved_it(chain, capsys):
    chain.me = CAROL
    chain.events = PROVED
    assert main(["result", JOB]) == 0
    shown = capsys.readouterr().out
    assert "PROVED" in shown
    assert "proved its output" in shown
    assert main(["result", JOB, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["level"], document["cost_wei"]) == ("PROVED", str(10**15))
    assert document["masked_output"] == hexed(PROVED[2].masked)
    assert [seat["agreed"] for seat in document["committee"]] == [True]


@pytest.mark.parametrize(
    ("number", "shown"),
    [(1, "verifier 1 "), (2, "verifier 2 (not of this deployment)"), (3, "verifier 3 (removed)"), (None, "- ")],
)
def test_models__proofs__are_shown_with_their_verifier(chain, number, shown, capsys):
    version = STORY.request.version
    chain.circuits = {} if number is None else {version: RegisteredCircuit(number, digest("c"), digest("w"))}
    assert main(["models"]) == 0
    assert shown in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    if number is None:
        assert model["proved"] is None
    else:
        assert (model["proved"]["verifier"], model["proved"]["of_deployment"]) == (number, number == 1)
        assert model["proved"]["removed"] == (number == 3)


@pytest.mark.parametrize(
    ("flags", "sent"),
    [([], "publish provable"), (["--verifier", "7"], "publish provable 7"), (["--no-proof"], "publish")],
)
def test_model_publish__manifest_with_a_circuit__is_made_provable_unless_told_otherwise(chain, flags, sent):
    assert main(["model", "publish", str(MODELS / "digits"), "--price", "0.01", *flags]) == 0
    assert chain.sent == [sent]


def test_model_publish__manifest_without_a_circuit__is_published_alone(chain):
    package = load_package(MODELS / "digits")
    bare = Package.from_bytes(replace(package.manifest, circuit=None).to_bytes(), package.weights_bytes)
    bare.write(Path("folder"))
    assert main(["model", "publish", "folder", "--price", "0.01"]) == 0
    assert chain.sent == ["publish"]


# ------------------------------------------------------------------ whom a job is given to, and for how much


WORKER_ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def test_request__worker_named__is_hired(chain):
    chain.events = PROVED
    assert main(["request", "breast-cancer", "--input", "row.csv", "--proved", "--worker", WORKER_ADDRESS]) == 0
    assert chain.sent == [f"request {VERSION} PROVED {WORKER_ADDRESS}"]


def test_request__worker_that_is_no_address__sends_nothing(chain, capsys):
    assert main(["request", "breast-cancer", "--input", "row.csv", "--proved", "--worker", "alice"]) == 1
    assert "alice" in capsys.readouterr().err
    assert chain.sent == []


def test_request__floor_of_reputation__goes_into_the_request(chain):
    assert main(["request", "breast-cancer", "--input", "row.csv", "--min-reputation", "6000"]) == 0
    assert chain.sent == [f"request {VERSION} AGREED(3, 2) 6000"]
    assert main(["request", "breast-cancer", "--input", "row.csv", "--min-reputation", "10001"]) == 2


@pytest.mark.parametrize(("most", "code"), [("0.001", 0), ("0.002", 0), ("0.0009", 1), ("1wei", 1)])
def test_request__dearer_than_said__sends_nothing(chain, most, code, capsys):
    assert main(["request", "breast-cancer", "--input", "row.csv", "--max-price", most]) == code
    assert bool(chain.sent) is (code == 0)
    if code:
        assert "0.001 ETH" in capsys.readouterr().err


# ------------------------------------------------------------------ results that are doubted


SPLIT = [*SETTLED[:5], STORY.revealed(ALICE, "one"), STORY.revealed(BOB, "two"), STORY.disputed()]


def document_of(capsys, *arguments):
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_challenge__bond_and_time__are_those_that_the_market_tells(chain, capsys):
    story = Story(single=Level.ATTESTED, verifier=1)
    before = [story.requested(), story.delivered(), story.revealed(ALICE), story.settled(0b1)]
    chain.events = [*before, story.challenged(CAROL)]
    document = document_of(capsys, "challenge", JOB)
    assert (document["bond_wei"], document["decide_by"]) == (str(10**15), fold(chain.events).deadline)
    assert chain.sent == [f"challenge {JOB}"]
    assert main(["challenge", JOB]) == 0
    assert "bond: 0.001 ETH" in capsys.readouterr().err


def test_judge__own_job__tells_what_was_decided(chain, capsys):
    document = document_of(capsys, "judge", JOB)
    assert document["output_commitment"] == hexed(digest("right"))
    assert chain.sent == [f"judge {JOB}"]


def test_refer__own_job__waits_for_the_committee_and_ends_the_dispute(chain, capsys):
    assert main(["refer", JOB]) == 0
    assert f"referee job: {JOB}" in capsys.readouterr().err
    assert chain.sent == [f"refer {JOB}", "resolve"]


def test_refer__committee_not_done_in_time__says_how_to_go_on(chain, capsys):
    chain.events = OPEN
    assert main(["refer", JOB, "--timeout", "1"]) == 1
    assert f"cloister result {JOB} --wait" in capsys.readouterr().err
    assert chain.sent == [f"refer {JOB}"]


def test_canary__right_answer__is_told_and_nothing_is_proved(chain, capsys):
    document = document_of(capsys, "canary", "breast-cancer", "--input", "row.csv")
    assert document == {"job": JOB, "answered": True, "right": True, "overturned": False}
    assert chain.sent == [f"request {VERSION} AGREED(3, 2)"]


def test_canary__wrong_answer__is_overturned(chain, monkeypatch, capsys):
    monkeypatch.setattr(StubAppeals, "expected_outputs", np.array([[255, -128]]))
    document = document_of(capsys, "canary", "breast-cancer", "--input", "row.csv", "--level", "attested")
    assert document == {"job": JOB, "answered": True, "right": False, "overturned": True}
    assert chain.sent == [f"request {VERSION} ATTESTED", f"judge {JOB}"]


def test_canary__no_answer__is_told(chain, capsys):
    chain.events = [*OPEN, STORY.refunded(RefundReason.COMMITTEE_TOO_SMALL)]
    document = document_of(capsys, "canary", "breast-cancer", "--input", "row.csv")
    assert document == {"job": JOB, "answered": False, "right": False, "overturned": False}


def test_canary__proved__is_refused(chain, capsys):
    assert main(["canary", "breast-cancer", "--input", "row.csv", "--level", "proved"]) == 1
    assert "needs no canary" in capsys.readouterr().err
    assert chain.sent == []


def test_result__within_its_window__tells_until_when_it_can_be_challenged(chain, capsys):
    document = document_of(capsys, "result", JOB)
    assert document["challenge_by"] == fold(SETTLED).final_by
    chain.events = PROVED
    assert document_of(capsys, "result", JOB)["challenge_by"] is None


def test_result__split_vote__says_what_decides(chain, capsys):
    chain.me, chain.events = CAROL, SPLIT
    assert main(["result", JOB]) == 0
    assert "disputed" in capsys.readouterr().out
    document = document_of(capsys, "result", JOB)
    assert (document["state"], document["cost_wei"]) == ("disputed", None)
    assert document["deadline"] == fold(SPLIT).deadline


def test_result__wait_through_a_dispute__tells_the_story(chain, capsys):
    called = [STORY.referred(), STORY.overturned(0b001, 0b010, "one"), STORY.settled(0b001, "one", final=True)]
    chain.events = [*SPLIT, *called]
    assert main(["result", JOB, "--wait"]) == 0
    told = capsys.readouterr().err
    assert "disputed: no output has a quorum" in told
    assert "overturned: another output is right" in told
    assert f"agreed, and paid 0.001 ETH each: {ALICE}" in told


@pytest.mark.parametrize("verdict", ["stands", "overturned"])
def test_result__challenged__tells_by_whom_and_how_it_ended(chain, verdict, capsys):
    story = Story(verifier=1)
    before = [story.requested(), story.delivered(), story.committed(ALICE), story.committed(BOB), story.opened()]
    before += [story.revealed(ALICE), story.revealed(BOB), story.settled(0b011), story.challenged(CAROL)]
    proof = story.proved(CAROL, "right" if verdict == "stands" else "other")
    end = story.upheld() if verdict == "stands" else story.overturned(0, 0b011, "other")
    chain.me, chain.events = CAROL, before
    document = document_of(capsys, "result", JOB)
    assert (document["state"], document["challenger"], document["verifier"]) == ("challenged", CAROL, 1)
    assert document["challenge_by"] is None
    chain.events = [*before, proof, end]
    chain.me = REQUESTER
    assert main(["result", JOB, "--wait"]) == 0
    shown = capsys.readouterr()
    assert f"challenged by {CAROL}" in shown.err
    assert ("the result stands" if verdict == "stands" else "overturned: another output is right") in shown.err


@pytest.mark.parametrize("model", ["absent", "0x" + "12" * 31])
def test_request__unknown_model__sends_nothing(chain, model, capsys):
    assert main(["request", model, "--input", "row.csv"]) == 1
    assert chain.sent == []


def test_request__ambiguous_name__lists_the_versions(chain, capsys):
    other = VersionId(digest("same name"))
    chain.published.append(Version(other, CAROL, 1, 0, Offering.EXACT, BlobId(chain.package.digest), "", bytes(32), 0))
    assert main(["request", "breast-cancer", "--input", "row.csv"]) == 1
    shown = capsys.readouterr().err
    assert VERSION in shown
    assert hexed(other) in shown
    assert chain.sent == []
    assert main(["request", VERSION, "--input", "row.csv"]) == 0


def test_request__deprecated_namesake__does_not_count(chain):
    chain.published.append(
        Version(VersionId(digest("x")), CAROL, 1, 0, Offering.WITHDRAWN, BlobId(chain.package.digest), "", bytes(32), 0)
    )
    assert main(["request", "breast-cancer", "--input", "row.csv"]) == 0


def test_request__manifest_in_no_store__sends_nothing(chain, capsys):
    chain.blobs.clear()
    assert main(["request", VERSION, "--input", "row.csv"]) == 1
    assert "blob_stores" in capsys.readouterr().err
    assert chain.sent == []


def test_result__requester__sees_the_output(chain, capsys):
    assert main(["result", JOB, "--json"]) == 0
    output = json.loads(capsys.readouterr().out)["output"]
    given = {"predictions": ["benign"], "outputs": [[256, -128]], "fractional_bits": 6}
    assert output == given | {"proof_checked": False}


def test_result__anybody__sees_who_agreed_but_no_output(chain, capsys):
    chain.me = CAROL
    assert main(["result", JOB, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["output"] is None
    assert [seat["agreed"] for seat in document["committee"]] == [True, True, False]
    assert document["output_commitment"] == hexed(digest("right"))
    assert document["cost_wei"] == str(2 * 10**15)


@pytest.mark.parametrize("error", [PasswordUnavailable("No password."), NotYourJob("No secret.")])
def test_result__without_the_secret__shows_the_rest_and_says_why(chain, error, monkeypatch, capsys):
    def refuse(_run):
        raise error

    monkeypatch.setattr(Run, "client", refuse)
    assert main(["result", JOB, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["output_missing"] == str(error)
    assert document["state"] == "settled"


def test_result__wait_on_a_request_not_mined_yet__asks_the_journal(chain, monkeypatch, capsys):
    def unknown(_self, *_):
        raise UnknownJob("Not there.")

    monkeypatch.setattr(StubChain, "_wait", unknown)
    absent = "0x" + "77" * 32
    assert main(["result", absent]) == 1
    assert "jobs --all" in capsys.readouterr().err
    assert main(["result", absent, "--wait"]) == 1
    assert "Not there." in capsys.readouterr().err


DELIVERED = [*OPEN, STORY.delivered()]


@pytest.mark.parametrize(
    ("before", "reason", "cost"),
    [
        (OPEN, RefundReason.NOT_DELIVERED, 3 * 10**14),
        (OPEN, RefundReason.COMMITTEE_TOO_SMALL, 0),
        ([*DELIVERED, STORY.demanded(BOB)], RefundReason.UNPUBLISHED, 3 * 10**14),
        ([*DELIVERED, STORY.refused(BOB), STORY.demanded(CAROL)], RefundReason.UNPUBLISHED, 2 * 10**14),
        ([*DELIVERED, STORY.committed(BOB)], RefundReason.TOO_FEW_COMMITS, 0),
        ([*DELIVERED, STORY.committed(BOB), STORY.committed(CAROL), STORY.opened()], RefundReason.NO_QUORUM, 0),
    ],
)
def test_result__refunded__says_why_and_what_it_cost(chain, before, reason, cost, capsys):
    chain.me = CAROL
    chain.events = [*before, STORY.refunded(reason)]
    assert main(["result", JOB, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["refund_reason"], document["cost_wei"]) == (reason.name.lower(), str(cost))


def test_withdraw__nothing_owed__sends_nothing(chain, capsys):
    chain.credit = 0
    assert main(["withdraw"]) == 0
    assert chain.sent == []


def test_withdraw__somebody_else__pays_that_account(chain):
    other = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    assert main(["withdraw", other]) == 0
    assert chain.sent == [f"withdraw {other}"]


def test_worker__amounts__reach_the_registry_in_wei(chain):
    assert main(["worker", "register", "--stake", "10", "--endpoint", "https://example.org"]) == 0
    assert main(["worker", "top-up", "5gwei"]) == 0
    assert chain.sent == [f"register {10 * ETHER} https://example.org", "top_up 5000000000"]


def test_settings__before_and_after_the_command__the_later_one_counts(chain, capsys):
    shown = {}
    for arguments in (
        ["--poll-seconds", "3", "config", "show"],
        ["config", "--poll-seconds", "3", "show"],
        ["--poll-seconds", "5", "config", "show", "--poll-seconds", "3"],
    ):
        assert main([*arguments, "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)["settings"]["poll_seconds"]
        assert shown == {"value": "3.0", "source": "flag --poll-seconds"}
    assert main(["--json", "config", "show"]) == 0
    json.loads(capsys.readouterr().out)


def test_keys__made__are_listed_and_never_shown(chain, capsys):
    assert main(["keys", "new", "--password-file", "password", "--name", "alice", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert main(["keys", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"accounts": [made]}
    assert main(["keys", "new", "--password-file", "password", "--name", "alice"]) == 1
    assert "exists already" in capsys.readouterr().err


def test_error__cloister_error_while_posting__is_reported_once(chain, monkeypatch, capsys):
    def refuse(*_, **__):
        raise CloisterError("No.", "Do something else.")

    monkeypatch.setattr(StubChain, "_request", refuse)
    assert main(["request", "breast-cancer", "--input", "row.csv"]) == 1
    assert capsys.readouterr().err.endswith("error: No.\nDo something else.\n")
