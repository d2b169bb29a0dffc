"""Where a script runs: under Brownie or not, on a development chain or not."""

import json
import sys
from types import SimpleNamespace

import pytest

from cloister.cli.scripting import here


def brownie(chain_id, connected=True):
    answers = {"eth_chainId": hex(chain_id), "eth_getBlockByNumber": {"hash": "0x12345678" + "00" * 28}}

    def make_request(method, _parameters):
        return {"result": answers[method]} if method in answers else {"error": {"message": "no such method"}}

    provider = SimpleNamespace(endpoint_uri="http://127.0.0.1:7777", make_request=make_request)
    network = SimpleNamespace(is_connected=lambda: connected)
    return SimpleNamespace(network=network, web3=SimpleNamespace(provider=provider))


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("ACCOUNT", "DATA_DIR", "DEPLOYMENT", "CONFIRMATIONS", "POLL_SECONDS", "RPC_URL"):
        monkeypatch.delenv(f"CLOISTER_{name}", raising=False)


@pytest.mark.parametrize("module", [None, brownie(31337, connected=False)])
def test_here__without_brownie__is_what_the_settings_say(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "brownie", module)
    place = here()
    assert (place.flags, place.development) == ({}, False)


def test_here__live_network__takes_the_endpoint_and_nothing_else(monkeypatch):
    monkeypatch.setitem(sys.modules, "brownie", brownie(1))
    place = here()
    assert (place.flags, place.development) == ({"rpc_url": "http://127.0.0.1:7777"}, False)


def test_here__development_chain__is_a_folder_and_accounts_of_its_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "brownie", brownie(31337))
    place = here()
    assert place.development
    assert place.flags["account"] == "dev:0"
    assert place.flags["deployment"] == ".devnet/brownie-12345678/deployment.json"


def test_here__environment__beats_the_development_defaults(monkeypatch):
    monkeypatch.setitem(sys.modules, "brownie", brownie(31337))
    monkeypatch.setenv("CLOISTER_ACCOUNT", "me")
    assert "account" not in here().flags


def test_place__failure__ends_the_script(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "brownie", brownie(31337))
    place = here()
    with pytest.raises(SystemExit, match="no such method"):
        place.chain("anvil_mine")
    with pytest.raises(SystemExit, match="is no amount"):
        place.ask("worker", "top-up", "no")
    with pytest.raises(SystemExit) as ended:
        place.run("worker", "top-up", "no")
    assert ended.value.code == 2


def test_place__ask__returns_the_document(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "brownie", None)
    assert here().ask("version")["protocol"] == 1
    assert capsys.readouterr().out == ""


def test_place__run__adds_the_flags(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "brownie", brownie(31337))
    here().run("config", "show", "--json", account="dev:3")
    shown = json.loads(capsys.readouterr().out)["settings"]
    assert shown["account"]["value"] == "dev:3"
    assert shown["rpc_url"]["value"] == "http://127.0.0.1:7777"
