"""Starting, awaiting and stopping chains, and everything that can be wrong with that."""

from __future__ import annotations

import os
import socket
import sys
from types import SimpleNamespace

import pytest
from web3 import HTTPProvider, Web3

from cloister.chain.errors import RpcUnavailable, WrongChain
from cloister.devnet import anvil, network
from cloister.devnet.accounts import account, key
from cloister.devnet.anvil import AnvilMissing, find_anvil, start_anvil
from cloister.devnet.network import NoBlocks, PyEvmMissing, skip_to_next_epoch, start_node, wait_for_block
from cloister.devnet.process import NodeFailed, NodeProcess, free_port
from cloister.devnet.pyevm.server import running
from cloister.domain.errors import InvalidInput


def python(code, timeout=10.0, log=None):
    return NodeProcess("it", [sys.executable, "-c", code], free_port(), log=log, timeout=timeout)


def test_accounts__on_another_chain__are_refused():
    public = SimpleNamespace(eth=SimpleNamespace(chain_id=1))
    with pytest.raises(WrongChain, match="chain 1") as caught:
        account(public, 0)
    assert "Everybody has their keys" in caught.value.hint


def test_accounts__behind_a_dead_endpoint__are_unavailable():
    with pytest.raises(RpcUnavailable):
        account(Web3(HTTPProvider("http://127.0.0.1:9", exception_retry_configuration=None)), 0)


def test_accounts__are_those_of_the_standard_mnemonic():
    assert key(0).address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    with pytest.raises(InvalidInput, match="0 to 19"):
        key(20)
    with pytest.raises(InvalidInput):
        key(-1)


def test_anvil__missing__names_both_remedies(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(anvil.os, "access", lambda *_: False)
    with pytest.raises(AnvilMissing) as caught:
        start_anvil()
    assert "make install" in caught.value.hint
    assert "py-evm" in caught.value.hint


def test_anvil__on_path_only__is_found(monkeypatch, tmp_path):
    other = tmp_path / "anvil"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    access = os.access
    own = str(tmp_path)
    monkeypatch.setattr(anvil.os, "access", lambda path, mode: str(path).startswith(own) and access(path, mode))
    assert find_anvil() == other


def test_anvil__plain_binary_or_wrapper__gets_the_gas_cap_once(tmp_path):
    plain, wrapper = tmp_path / "plain", tmp_path / "wrapper"
    plain.write_bytes(b"\x7fELF --enable-tx-gas-limit")
    wrapper.write_text('#!/bin/sh\nexec anvil --enable-tx-gas-limit "$@"\n')
    assert not anvil._sets_gas_cap(plain)
    assert anvil._sets_gas_cap(wrapper)


def test_pyevm__without_the_extra__names_both_remedies(monkeypatch):
    monkeypatch.setattr(network, "find_spec", lambda _: None)
    with pytest.raises(PyEvmMissing) as caught:
        start_node("py-evm")
    assert "cloister[devchain]" in caught.value.hint
    assert "anvil" in caught.value.hint


@pytest.mark.parametrize("kind", ["anvil", "py-evm"])
def test_node__on_a_port_that_is_taken__says_so(kind, monkeypatch, tmp_path):
    monkeypatch.setattr(anvil, "find_anvil", lambda: tmp_path / "anvil")
    (tmp_path / "anvil").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidInput, match="Port") as caught:
            start_node(kind, taken.getsockname()[1])
    assert "another port" in caught.value.hint


@pytest.mark.parametrize("port", [-1, 65_536])
def test_node__on_an_impossible_port__says_so(port):
    with pytest.raises(InvalidInput, match="Port"):
        start_node("py-evm", port)


def test_node__of_unknown_kind__is_refused():
    with pytest.raises(InvalidInput, match="anvil or py-evm"):
        start_node("hardhat")


def test_process__that_ends_at_once__tells_what_it_said():
    with pytest.raises(NodeFailed, match="status 3") as caught:
        python("import sys; print('no room left'); sys.exit(3)")
    assert "no room left" in caught.value.hint


def test_process__that_does_not_exist__is_named(tmp_path):
    with pytest.raises(NodeFailed, match="cannot be started"):
        NodeProcess("it", [str(tmp_path / "nothing")], free_port(), timeout=1)


def test_process__that_never_answers__is_stopped(tmp_path):
    pid_file = tmp_path / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(NodeFailed, match="does not answer"):
        python(code, timeout=0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_process__that_ignores_the_request_to_end__is_killed(monkeypatch):
    monkeypatch.setattr("cloister.devnet.process.STOP_TIMEOUT", 0.2)
    code = (
        "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "sys.argv = ['x', '--port', {port!r}, '--block-time', '0']\n"
        "import cloister.devnet.pyevm.__main__ as m; m.signal.signal = lambda *_: None; m.main()"
    )
    port = free_port()
    command = [sys.executable, "-c", code.format(port=str(port))]
    node = NodeProcess("it", command, port, timeout=30)
    node.stop()
    assert not node.running
    node.stop()


def test_process__used_after_its_end__fails_clearly(tmp_path):
    log = tmp_path / "log"
    with start_node("py-evm", block_time=0, log=log) as node:
        node.mine(1)
    assert "listening" in log.read_text()
    with pytest.raises(NodeFailed, match="does not answer"):
        node.mine(1)


def test_wait__for_a_block_that_does_not_come__gives_up():
    with running() as server, pytest.raises(NoBlocks, match="block 0 after 0 s, not at 5"):
        wait_for_block(Web3(HTTPProvider(server.url)), 5, timeout=0.1)


def test_epoch__skipped__ends_at_the_next_ones_first_block():
    with start_node("py-evm", block_time=0) as node:
        w3 = Web3(HTTPProvider(node.url))
        assert skip_to_next_epoch(node, w3, 8) == 8
        assert w3.eth.block_number == 8
        assert skip_to_next_epoch(node, w3, 8) == 16
        before = w3.eth.get_block("latest")["timestamp"]
        node.skip(600)
        assert w3.eth.block_number == 17
        assert w3.eth.get_block("latest")["timestamp"] >= before + 600
