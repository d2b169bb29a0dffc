"""What becomes of errors: one line, a way out, an exit code; nothing but JSON on standard output with --json."""

import json
import os
import subprocess
import sys

import pytest

from cloister.chain.errors import RpcUnavailable
from cloister.cli.program import main

DEAD = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No settings but the test's own."""
    for name in list(os.environ):
        if name.startswith("CLOISTER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def failing(monkeypatch):
    """Makes `cloister nodes` raise."""

    def fail(error):
        def open_network(_settings):
            raise error

        monkeypatch.setattr("cloister.network.open_network", open_network)

    return fail


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nodes"], 2, "No deployment is configured."),
        (["nodes", "--chain-id", "x"], 2, "chain_id from flag --chain-id"),
        (["--chain-id", "x", "nodes"], 2, "chain_id from flag --chain-id"),
        (["nodes", "--config", "absent.toml"], 2, "absent.toml"),
        (["nodes", "--wat"], 2, "--wat"),
        (["nodse"], 2, "nodse"),
        (["request"], 2, "MODEL"),
        (["worker", "register", "--stake", "many"], 2, "is no amount"),
        (["worker", "register"], 2, "--stake"),
        (["model", "price", "0x00", "-1"], 2, "-1"),
        (["model", "price", "0x00", "1"], 1, "32 bytes"),
        (["result", "0x12"], 1, "32 bytes"),
        (["credit", "0x12"], 1, "is no address"),
        (["request", "m", "--input", "-", "--level", "split(3,2)"], 1, "SPLIT"),
        (["request", "m", "--input", "-", "--level", "proved(3,2)"], 1, "one seat"),
        (["request", "m", "--input", "absent.csv"], 1, "absent.csv cannot be read"),
        (["request", "m", "--input", "absent.csv", "--timeout", "-1"], 2, "--timeout"),
        (["model", "check", "absent"], 1, "absent"),
        (["keys", "new"], 1, "no terminal"),
        (["keys", "import", "--key-file", "absent"], 1, "absent cannot be read"),
        (["devnet", "--chain", "geth"], 2, "--chain"),
        (["deploy", "--out", "d.json", "--rpc-url", DEAD], 1, "cannot be reached"),
        (["deploy", "--out", "d.json", "--rpc-url", "ftp://x"], 2, "rpc_url from flag --rpc-url"),
    ],
)
def test_main__failure__says_why_and_exits(arguments, code, says, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115, PTH123
    assert main(arguments) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert says in shown.err
    assert "Traceback" not in shown.err

    assert main([*arguments, "--json"]) == code
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert error.keys() == {"type", "message", "hint"}
    assert says in error["message"]


def test_main__retryable__is_one_line_and_a_hint(failing, capsys):
    failing(RpcUnavailable("The endpoint is away.", "Wait."))
    assert main(["nodes"]) == 1
    assert capsys.readouterr().err == "error: The endpoint is away.\nWait.\n"


def test_main__debug__adds_the_traceback(failing, capsys):
    failing(RpcUnavailable("The endpoint is away."))
    assert main(["nodes", "--log-level", "debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_main__debug_from_the_environment__adds_the_traceback(failing, capsys, monkeypatch):
    monkeypatch.setenv("CLOISTER_LOG_LEVEL", "debug")
    failing(RpcUnavailable("The endpoint is away."))
    assert main(["nodes"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_main__bug__comes_out_as_it_is(failing):
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["nodes"])


def test_main__interrupt__exits_130(failing, capsys):
    failing(KeyboardInterrupt())
    assert main(["nodes"]) == 130
    assert capsys.readouterr().err == "error: Interrupted.\n"


def test_main__message_from_a_chain__cannot_steer_the_terminal(failing, capsys):
    failing(RpcUnavailable("\x1b[2Jall is well\r\u202e"))
    assert main(["nodes"]) == 1
    assert capsys.readouterr().err == "error: \ufffd[2Jall is well\ufffd\ufffd\n"


def test_deploy__file_exists__nothing_is_sent(tmp_path, capsys):
    (tmp_path / "d.json").write_text("precious")
    assert main(["deploy", "--out", "d.json", "--rpc-url", DEAD]) == 1
    assert "d.json exists" in capsys.readouterr().err
    assert (tmp_path / "d.json").read_text() == "precious"


def test_main__reader_gone__ends_quietly():
    code = "import sys; from cloister.cli import main; sys.exit(main(['config', 'show', '--json']))"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import time; time.sleep(0.3); {code}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(20) == 141
    assert error == b""


def test_secrets__wrong_key_file__is_not_quoted(tmp_path, capsys):
    (tmp_path / "key").write_text("0x" + "ab" * 31 + "zz")
    assert main(["keys", "import", "--key-file", "key"]) == 1
    shown = capsys.readouterr()
    assert "abab" not in shown.err + shown.out


def test_secrets__private_key_as_account__is_not_quoted(capsys):
    assert main(["credit", "--account", "ab" * 32]) == 2
    assert "abab" not in capsys.readouterr().err
