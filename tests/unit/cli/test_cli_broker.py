"""Sealing, publishing and key brokers from the command line, up to a model in an enclave."""

import contextlib
import json
import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from support.brokers import DEVICE, KEY_EPOCH, PKI, POLICY, REGISTERS, Chain, node_of
from support.enclaves import CONTEXT, MODELS, OWNER, WORKER, local, version_of

from cloister.attestation.development import DevelopmentPki
from cloister.attestation.providers.development import DevelopmentProvider
from cloister.chain.sender import Receipt
from cloister.cli.program import main
from cloister.cli.run import Run
from cloister.domain.attested import TcbStatus
from cloister.domain.ids import hexed
from cloister.fixedpoint import load_package
from cloister.release import fetch_key
from cloister.sealing.folder import read_sealed
from cloister.storage import keyfile

RECEIPT = Receipt(bytes(32), 12, 21_000, 10**9, True)
PASSWORD = ["--password-file", "password"]


@pytest.fixture
def market(monkeypatch, tmp_path):
    """An empty current folder, cheap passwords, and a client that notes what it is asked to do."""
    for name in list(os.environ):
        if name.startswith("CLOISTER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    object.__setattr__(keyfile.STANDARD, "work", keyfile.LIGHT.work)
    Path("password").write_text("password\n")
    Path("password").chmod(0o600)
    Path("policy.json").write_text(POLICY.to_json())
    market = Market()
    monkeypatch.setattr(Run, "network", property(lambda run: market.network(run.settings)))
    monkeypatch.setattr(Run, "client", lambda _run: contextlib.nullcontext(market.client()))
    yield market
    object.__setattr__(keyfile.STANDARD, "work", keyfile.Kdf().work)


class Market:
    def __init__(self):
        self.chain = Chain()
        self.sent = []

    def network(self, settings):
        return SimpleNamespace(
            settings=settings,
            connection=SimpleNamespace(chain_id=CONTEXT.chain_id),
            nodes=self.chain,
            models=self.chain,
        )

    def client(self):
        self.chain.circuit_of = lambda _version: None
        self.chain.narrow_policy = lambda version, current, narrower: (version, current, narrower)
        return SimpleNamespace(
            connection=SimpleNamespace(chain_id=CONTEXT.chain_id),
            models=self.chain,
            sender=SimpleNamespace(transact=lambda _intent, call: (self.sent.append(call), RECEIPT)[1]),
            publisher=SimpleNamespace(publish=self.publish, publish_provable=self.publish_provable),
        )

    def publish(self, package, price, uri, policy=None):
        version = version_of(package.manifest_bytes)
        self.chain.publish(package.digest, version, policy or type(POLICY)())
        self.sent.append(("publish", len(list(package.blobs()))))
        return version

    def publish_provable(self, package, price, uri, verifier=None, policy=None, sealed=None):
        self.sent.append(("prove", package.manifest.name))
        return self.publish(sealed or package, price, uri, policy)


def run(*arguments):
    assert main([str(argument) for argument in arguments]) == 0


def ask(capsys, *arguments):
    capsys.readouterr()
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def keys(market):
    """Public keys of three brokers, each with a data folder of its own."""
    for number in (1, 2, 3):
        run("broker", "init", "--data-dir", f"b{number}", *PASSWORD)
    return [Path(f"b{number}/broker/public-key.txt") for number in (1, 2, 3)]


@pytest.fixture
def sealed(keys):
    Path("training.json").write_text('{"epochs": 40}')
    brokers = [part for key in keys for part in ("--broker", key)]
    run("model", "seal", MODELS / "digits", "--out", "sealed", "--threshold", 2, *brokers, "--attach", "training.json",
        *PASSWORD)  # fmt: skip
    return Path("sealed")


def test_seal__then_unseal__gives_package_and_attachment_back(sealed):
    run("model", "unseal", sealed, "--out", "opened", *PASSWORD)
    assert load_package(Path("opened")).manifest_bytes == load_package(MODELS / "digits").manifest_bytes
    assert Path("opened/attachments/training.json").read_text() == '{"epochs": 40}'


def test_seal__existing_folder__is_left_alone(sealed, keys, capsys):
    before = sealed.joinpath("manifest.json").read_bytes()
    arguments = ["model", "seal", MODELS / "digits", "--out", sealed, "--threshold", 1, "--broker", keys[0], *PASSWORD]
    code, document = ask(capsys, *arguments)
    assert (code, document["error"]["type"]) == (1, "FolderExists")
    assert sealed.joinpath("manifest.json").read_bytes() == before


def test_sealed_package__where_an_open_one_is_needed__is_named_as_sealed(sealed, keys, capsys):
    for arguments in (["check", sealed], ["seal", sealed, "--out", "x", "--threshold", 1, "--broker", keys[0]]):
        code, document = ask(capsys, "model", *arguments)
        assert code == 1
        assert "is sealed" in document["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--threshold", 2], "1 shares of which 2"),
        (["--threshold", 1, "--attach", "absent"], "cannot be read"),
        (["--threshold", 1, "--attach", "a/x", "--attach", "b/x"], "Two attachments"),
        (["--threshold", 1, "--broker", "password"], "no broker's public key"),
    ],
)
def test_seal__mistakes__write_nothing(keys, capsys, arguments, told):
    for name in ("a", "b"):
        Path(name).mkdir()
        Path(name, "x").write_text("")
    code, document = ask(
        capsys, "model", "seal", MODELS / "digits", "--out", "new", "--broker", keys[0], *arguments, *PASSWORD
    )
    assert code == 1
    assert told in document["error"]["message"]
    assert not Path("new").exists()


def test_publish__sealed_package__takes_a_policy_and_the_open_one_for_its_proof(market, sealed, capsys):
    for arguments, told in (
        ([], "needs a policy"),
        (["--policy", "policy.json"], "takes the open package"),
        (["--policy", "policy.json", "--package", MODELS / "breast-cancer"], "not the one"),
        (["--policy", "password", "--no-proof"], "no policy"),
    ):
        code, document = ask(capsys, "model", "publish", sealed, "--price", "0.01", *arguments)
        assert code == 1
        assert told in document["error"]["message"]
    assert market.sent == []
    code, document = ask(
        capsys, "model", "publish", sealed, "--price", "1", "--policy", "policy.json", "--package", MODELS / "digits"
    )
    assert code == 0
    assert (document["sealed"], document["policy"]) == (True, hexed(POLICY.hash()))
    assert document["manifest"] == hexed(read_sealed(sealed).digest)
    assert market.sent == [("prove", "digits"), ("publish", 2)]
    run("model", "publish", sealed, "--price", "1", "--policy", "policy.json", "--no-proof")
    assert market.sent[2:] == [("publish", 2)]


def test_publish__open_package__can_have_a_policy_too(market, capsys):
    code, document = ask(capsys, "model", "publish", MODELS / "digits", "--price", "1", "--policy", "policy.json")
    assert code == 0
    assert (document["sealed"], document["policy"]) == (False, hexed(POLICY.hash()))
    code, document = ask(capsys, "model", "publish", MODELS / "digits", "--price", "1", "--package", MODELS / "digits")
    assert code == 1
    assert "open already" in document["error"]["message"]


def test_policy__shown_and_narrowed__but_never_widened(market, capsys):
    wide = replace(POLICY, statuses=frozenset({TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE}))
    version = version_of(b"x")
    market.chain.publish(bytes(32), version, wide)
    code, document = ask(capsys, "model", "policy", hexed(version))
    assert code == 0
    assert document["statuses"] == ["UpToDate", "OutOfDate"]
    code, document = ask(capsys, "model", "policy", hexed(version), "--narrow", "policy.json")
    assert (code, document["statuses"], document["block"]) == (0, ["UpToDate"], 12)
    assert market.sent == [(version, wide, POLICY)]
    market.chain.publish(bytes(32), version, POLICY)
    Path("wide.json").write_text(wide.to_json())
    Path("open.json").write_text('{"measurements": [], "statuses": [], "development": false}')
    for file in ("wide.json", "open.json"):
        code, document = ask(capsys, "model", "policy", hexed(version), "--narrow", file)
        assert code == 1
        assert "does not narrow" in document["error"]["message"]
    assert len(market.sent) == 1


def test_import__share_of_another_broker__is_refused(sealed, capsys):
    share = [sealed / "shares" / "share-1.json", "--manifest", sealed / "manifest.json", *PASSWORD]
    code, document = ask(capsys, "broker", "import", *share, "--data-dir", "b2")
    assert (code, document["error"]["type"]) == (1, "SealError")
    code, document = ask(capsys, "broker", "import", *share, "--data-dir", "b1")
    assert (code, document["index"]) == (0, 1)


def test_licence__bad_file__replaces_nothing(market, capsys):
    version = hexed(bytes(32))
    Path("good.json").write_text('[{"name": "t", "workers": "any", "releases": 1, "from": 0, "until": null}]')
    Path("bad.json").write_text('[{"name": "t"}]')
    code, _ = ask(capsys, "broker", "licence", version)
    assert code == 1
    run("broker", "licence", version, "good.json")
    code, document = ask(capsys, "broker", "licence", version, "bad.json")
    assert (code, document["error"]["type"]) == (1, "BadLicence")
    code, document = ask(capsys, "broker", "licence", version)
    assert document["tiers"] == json.loads(Path("good.json").read_text())


@pytest.mark.parametrize("listen", ["8650", ":8650", "127.0.0.1:x", "127.0.0.1:70000"])
def test_run__address_that_is_none__is_refused(market, capsys, listen):
    code, document = ask(capsys, "broker", "run", "--listen", listen)
    assert code == 1
    assert "no address" in document["error"]["message"]


def test_broker__from_sealing_to_the_loaded_model__by_commands_alone(market, sealed, monkeypatch, capsys):
    """Three brokers as their operators run them; a worker's host asks two of them."""
    run("model", "publish", sealed, "--price", "1", "--policy", "policy.json", "--no-proof")
    (version,) = market.chain.published
    enclave, _ = local()
    market.chain.nodes[WORKER] = node_of(enclave)
    now = int(time.time())
    pki = DevelopmentPki.create(now, seed=PKI.seed)
    Path("root.der").write_bytes(pki.root_der)
    Path("licence.json").write_text('[{"name": "t", "workers": "any", "releases": 1, "from": 0, "until": null}]')
    provider = DevelopmentProvider(pki.new_device("alice"), REGISTERS, lambda: pki.collateral_json(now))
    urls, ends = [], []

    for number in (1, 2):
        place = ["--data-dir", f"b{number}"]
        share = [sealed / "shares" / f"share-{number}.json", "--manifest", sealed / "manifest.json", *PASSWORD]
        run("broker", "import", *share, *place)
        run("broker", "licence", hexed(version), "licence.json", *place)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        urls.append(f"http://127.0.0.1:{port}")
        stop = threading.Event()
        monkeypatch.setattr("cloister.cli.worker.stop_on_signals", lambda stop=stop: contextlib.nullcontext(stop))
        arguments = ["broker", "run", "--listen", f"127.0.0.1:{port}", *place, *PASSWORD]
        arguments += ["--development-authority", "root.der", "--log-format", "json"]
        thread = threading.Thread(target=main, args=(arguments,))
        thread.start()
        ends.append((stop, thread))
        _until_up(urls[-1])

    manifest = (sealed / "manifest.json").read_bytes()
    fetch_key(enclave, provider, urls, version, OWNER, manifest, WORKER, KEY_EPOCH)
    enclave.load(version, OWNER, manifest, [(sealed / "weights.sealed").read_bytes()])
    assert enclave.loaded() == {version}
    heads = [requests.get(f"{url}/v1/status", timeout=5).json()["head"] for url in urls]
    for stop, thread in ends:
        stop.set()
        thread.join()

    code, document = ask(capsys, "broker", "log", "--data-dir", "b1", "--head", heads[0])
    assert code == 0
    (entry,) = document["entries"]
    assert (entry["worker"], entry["tier"], entry["development"]) == (WORKER, "t", True)
    assert entry["platform"] == hexed(DEVICE.platform)
    code, document = ask(capsys, "broker", "log", "--data-dir", "b1", "--head", heads[1])
    assert "no line with the hash" in document["error"]["message"]
    (log,) = Path("b1/broker").glob("releases-*.jsonl")
    Path("handed-over.jsonl").write_bytes(log.read_bytes().replace(b'"tier":"t"', b'"tier":"u"'))
    code, document = ask(capsys, "broker", "log", "handed-over.jsonl", "--head", heads[0])
    assert code == 1
    run("broker", "log", log)


def _until_up(url):
    for _ in range(200):
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{url}/v1/status", timeout=5)
        threading.Event().wait(0.05)
    raise AssertionError("the broker does not come up")


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])
def test_run__development_authority_that_is_none__stops_it(keys, capsys, content):
    if content is not None:
        Path("root.der").write_bytes(content)
    place = ["--data-dir", "b1", "--development-authority", "root.der", *PASSWORD]
    code, document = ask(capsys, "broker", "run", "--listen", "127.0.0.1:0", *place)
    assert (code, document["error"]["type"]) == (2, "ConfigError")
    assert "development_authority" in document["error"]["message"]


def test_log__none_here__says_to_name_one(market, capsys):
    code, document = ask(capsys, "broker", "log")
    assert code == 1
    assert "no log of releases" in document["error"]["message"]
