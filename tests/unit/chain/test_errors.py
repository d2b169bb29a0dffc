"""Errors: what endpoints and contracts say, as types with values and hints."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from eth_abi.abi import encode
from web3 import HTTPProvider, Web3
from web3.exceptions import BlockNotFound, ContractCustomError, ContractLogicError, TransactionNotFound, Web3RPCError

from cloister.chain.artifacts import CONTRACTS, artifact, custom_errors
from cloister.chain.errors import (
    AlreadyKnown,
    ContractError,
    InsufficientFunds,
    NonceConflict,
    Retryable,
    RpcError,
    RpcUnavailable,
    Underpriced,
    WrongChain,
    revert_error,
    translate,
    translated,
)
from cloister.chain.hints import HINTS
from cloister.domain.errors import CloisterError, InvalidInput

CONTRACT_SOURCES = Path(__file__).parents[3] / "contracts"
SELECTORS = {error.name: selector for selector, error in custom_errors().items()}


def revert_data(name, *values):
    selector = SELECTORS[name]
    return selector + encode(custom_errors()[selector].types, values)


def rpc_error(code, message, data=None):
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return Web3RPCError(repr(error), rpc_response={"jsonrpc": "2.0", "id": 1, "error": error})


@pytest.fixture(scope="module")
def endpoint():
    """An HTTP server that answers everything with `endpoint.reply`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = self.server.reply
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v3/secret-key"
    server.w3 = Web3(HTTPProvider(url, exception_retry_configuration=None))
    yield server
    server.shutdown()
    server.server_close()


def asked(endpoint, status, body):
    endpoint.reply = (status, body)
    with pytest.raises(CloisterError) as caught, translated():
        _ = endpoint.w3.eth.chain_id
    assert "secret-key" not in str(caught.value)
    return caught.value


# The tables


@pytest.mark.parametrize("contract", CONTRACTS)
def test_hints__every_custom_error_of_a_contract__has_one(contract):
    errors = [entry["name"] for entry in artifact(contract).abi if entry["type"] == "error"]
    assert errors
    assert [name for name in errors if not HINTS.get(name, "").endswith(".")] == []


def test_hints__every_hint__belongs_to_an_error_of_the_sources():
    declared = set(SELECTORS)
    for source in CONTRACT_SOURCES.rglob("*.sol"):
        declared |= set(re.findall(r"^\s*error (\w+)\(", source.read_text(), re.MULTILINE))
    assert set(HINTS) - declared == set()


def test_artifact__of_an_unknown_name__is_refused():
    with pytest.raises(InvalidInput, match="no contract"):
        artifact("../errors")


# Reverts


def test_translate__custom_error__has_name_arguments_and_hint():
    data = "0x" + revert_data("JobMarket_PriceChanged", 5, 7).hex()
    error = translate(ContractCustomError(data, data=data))
    assert isinstance(error, ContractError)
    assert (error.name, error.arguments) == ("JobMarket_PriceChanged", {"offered": 5, "price": 7})
    assert error.message == "JobMarket_PriceChanged: offered 5, price 7."
    assert error.hint == "The owner changed the price: request again."


def test_translate__custom_error_with_bytes_enum_and_address__shows_them_readably():
    error = revert_error(revert_data("JobMarket_WrongState", b"\x0a" * 32, 4))
    assert error.message == f"JobMarket_WrongState: id 0x{'0a' * 32}, state COMMITTED."
    assert error.arguments["state"] == 4
    error = revert_error(revert_data("NodeRegistry_NotRegistered", "0x" + "ab" * 20))
    assert error.arguments["worker"] == Web3.to_checksum_address("0x" + "ab" * 20)
    assert error.arguments["worker"] in error.message


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_translate__each_custom_error__is_decoded_by_name(name):
    error = custom_errors()[SELECTORS[name]]
    samples = {"address": "0x" + "11" * 20, "bytes32": b"\x22" * 32, "bytes": b"\x33" * 5, "bool": True}
    samples["string"] = "text"
    words = {f"bytes{size}": b"\x44" * size for size in range(1, 32)}
    values = [(samples | words).get(kind, 3) for kind in error.types]
    decoded = revert_error(revert_data(name, *values))
    assert decoded.name == name
    assert tuple(decoded.arguments) == error.arguments
    assert decoded.hint == HINTS[name]


def test_translate__answer_of_a_verifier__is_decoded_in_its_turn():
    inner = revert_data("JobMarket_NotSeated", "0x" + "11" * 20)  # stands for an error of a verifier
    error = revert_error(revert_data("JobMarket_InvalidProof", b"\x22" * 32, inner))
    assert (
        error.message
        == f"JobMarket_InvalidProof: id 0x{'22' * 32}, answer (JobMarket_NotSeated: caller 0x{'11' * 20})."
    )
    assert error.arguments["answer"] == inner


def test_translate__custom_error_under_a_plain_rpc_error__is_decoded_all_the_same():
    data = "0x" + revert_data("JobMarket_NotCommitted", "0x" + "11" * 20).hex()
    for shape in (data, {"data": data}, {"0xaa": {"error": "revert", "return": data}}, f"Reverted {data}"):
        error = translate(rpc_error(-32000, "execution reverted", shape))
        assert isinstance(error, ContractError), shape
        assert error.name == "JobMarket_NotCommitted"


def test_translate__panic_and_plain_reverts__are_told_apart():
    panic = revert_error(bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]))
    assert (panic.name, panic.arguments) == ("Panic", {"code": 0x11})
    assert "overflow" in panic.message
    reason = revert_error(bytes.fromhex("08c379a0") + encode(["string"], ["no more"]))
    assert (reason.name, reason.message) == ("Error", "The contract reverted: no more.")
    silent = translate(ContractLogicError("execution reverted", data="0x"))
    assert (silent.name, silent.arguments) == ("Revert", {})
    foreign = revert_error(bytes.fromhex("deadbeef00"))
    assert foreign.name == "Unknown"
    assert "0xdeadbeef00" in foreign.message


def test_translate__known_selector_before_garbage__is_shown_and_not_decoded():
    error = revert_error(SELECTORS["JobMarket_PriceChanged"] + b"\x01")
    assert error.name == "Unknown"


# What endpoints say


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        # anvil 1.7.1
        ("Insufficient funds for gas * price + value", InsufficientFunds),
        ("transaction already imported", AlreadyKnown),
        ("replacement transaction underpriced", Underpriced),
        ("nonce too low", NonceConflict),
        ("max fee per gas less than block base fee", Underpriced),
        ("invalid chain id for signer", WrongChain),
        ("intrinsic gas too high -- tx.gas_limit > env.cfg.tx_gas_limit_cap", RpcError),
        ("intrinsic gas too low", RpcError),
        # geth
        ("insufficient funds for gas * price + value: balance 0, tx cost 21000", InsufficientFunds),
        ("already known", AlreadyKnown),
        ("transaction underpriced: tip needed 1, tip permitted 0", Underpriced),
        ("nonce too low: next nonce 1, tx nonce 0", NonceConflict),
        ("max fee per gas less than block base fee: address 0x0, maxFeePerGas: 1, baseFee: 7", Underpriced),
        ("header not found", RpcUnavailable),
        ("unknown block", RpcUnavailable),
    ],
)
def test_translate__message_of_a_node__becomes_its_type(message, kind):
    error = translate(rpc_error(-32000, message))
    assert type(error) is kind
    assert message in error.message


def test_translate__busy_and_missing_methods__are_told_apart():
    assert isinstance(translate(rpc_error(-32005, "daily request count exceeded")), RpcUnavailable)
    missing = translate(rpc_error(-32601, "Method not found"))
    assert isinstance(missing, RpcError)
    assert missing.code == -32601
    assert "another endpoint" in missing.hint


def test_retryable__is_a_matter_of_type():
    assert issubclass(RpcUnavailable, Retryable)
    assert issubclass(NonceConflict, Retryable)
    assert issubclass(Underpriced, Retryable)
    for kind in (ContractError, InsufficientFunds, WrongChain, RpcError, AlreadyKnown):
        assert not issubclass(kind, Retryable)


@pytest.mark.parametrize(("status", "kind"), [(500, RpcUnavailable), (429, RpcUnavailable), (401, RpcError)])
def test_translate__http_status__is_named_with_the_host_only(endpoint, status, kind):
    error = asked(endpoint, status, b"")
    assert type(error) is kind
    assert str(status) in error.message
    assert "127.0.0.1" in error.message


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"jsonrpc": "2.0", "id": 0, "error": "no object"}'])
def test_translate__answer_that_is_not_json_rpc__says_so(endpoint, body):
    error = asked(endpoint, 200, body)
    assert type(error) is RpcError
    assert "not JSON-RPC" in error.message


def test_translate__dead_endpoint__is_unavailable():
    w3 = Web3(HTTPProvider("http://127.0.0.1:9/v3/secret-key", exception_retry_configuration=None))
    with pytest.raises(RpcUnavailable, match=r"127\.0\.0\.1:9 cannot be reached") as caught, translated():
        _ = w3.eth.chain_id
    assert "secret-key" not in str(caught.value)
    assert isinstance(caught.value.__cause__, requests.ConnectionError)


def test_translate__nonsense_url__is_no_reason_to_retry():
    w3 = Web3(HTTPProvider("nonsense", exception_retry_configuration=None))
    with pytest.raises(RpcError, match="not a URL"), translated():
        _ = w3.eth.chain_id


def test_translate__unknown_exceptions_and_answers__pass_unchanged():
    for exc in (KeyError("x"), TransactionNotFound("x"), BlockNotFound("x"), InvalidInput("x"), OSError("x")):
        assert translate(exc) is exc
        with pytest.raises(type(exc)) as caught, translated():
            raise exc
        assert caught.value is exc
