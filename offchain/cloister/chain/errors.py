"""What goes wrong between us and the chain, by type: web3's and the endpoint's exceptions, translated.

Every call to a node is made inside `translated()`. What is not recognised passes unchanged, and so do web3's
TransactionNotFound and BlockNotFound, which are answers rather than failures. No message repeats more of an
endpoint's URL than its host, because a path or query often carries a key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from web3 import exceptions as web3_errors

from ..chain.artifacts import custom_errors
from ..chain.hints import HINTS
from ..domain.errors import CloisterError
from ..domain.job import State
from ..domain.request import Level


class Retryable(CloisterError):
    """The same intent may succeed later, with the nonce and the fees read anew."""


class RpcUnavailable(Retryable):
    """The endpoint does not answer, or declines to for now."""


class NonceConflict(Retryable):
    """Another transaction of the account has, or had, this nonce."""


class Underpriced(Retryable):
    """The fee is below what the chain takes now, or below what replaces a waiting transaction."""


class AlreadyKnown(CloisterError):
    """The endpoint has this very transaction: sending it again achieved what the first time did."""


class InsufficientFunds(CloisterError):
    """The account cannot pay the value and the gas."""


class WrongChain(CloisterError):
    """The endpoint serves another chain than the one meant."""


class RpcError(CloisterError):
    """Any other refusal by the endpoint; `code` is that of JSON-RPC, or None."""

    def __init__(self, message: str, hint: str = "", code: int | None = None) -> None:
        super().__init__(message, hint)
        self.code = code


class ContractError(CloisterError):
    """A contract reverted.

    `name` is the custom error, or "Panic", "Error" (a revert with a text), "Revert" (without) or "Unknown".
    `arguments` has its arguments by name: ints, bytes, checksummed addresses. (`args` is Exception's own.)
    """

    def __init__(self, name: str, arguments: Mapping[str, Any], message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.name = name
        self.arguments = dict(arguments)


@contextmanager
def translated() -> Iterator[None]:
    """Raises what the body raises, translated; the original stays as `__cause__`."""
    try:
        yield
    except Exception as exc:
        translation = translate(exc)
        if translation is exc:
            raise
        raise translation from exc


def translate(exc: Exception) -> Exception:
    """The typed error that `exc` amounts to, or `exc` itself when it is not recognised."""
    if isinstance(exc, CloisterError | web3_errors.TransactionNotFound | web3_errors.BlockNotFound):
        return exc
    if isinstance(exc, web3_errors.ContractLogicError):
        return revert_error(_revert_data(exc.data), exc.message or "")
    if isinstance(exc, web3_errors.TooManyRequests | web3_errors.RequestTimedOut):
        return _unavailable("The RPC endpoint declines requests for now.")
    if isinstance(exc, web3_errors.Web3RPCError):
        return _rpc_error(exc)
    if isinstance(exc, requests.RequestException):
        return _transport_error(exc)
    if isinstance(exc, web3_errors.BadResponseFormat | json.JSONDecodeError):
        return RpcError("The endpoint's answer is not JSON-RPC.", _CHECK_URL)
    if isinstance(exc, web3_errors.ProviderConnectionError | web3_errors.CannotHandleRequest):
        return _unavailable("The RPC endpoint cannot be reached.")
    return exc


def revert_error(data: bytes, text: str = "") -> ContractError:
    """The error in a revert's return data; `text` is what the endpoint said about it, for want of data."""
    selector, payload = data[:4], data[4:]
    try:
        if error := custom_errors().get(selector):
            values = decode(error.types, payload)
            arguments = {
                name: to_checksum_address(value) if kind == "address" else value
                for name, kind, value in zip(error.arguments, error.types, values, strict=True)
            }
            shown = ", ".join(
                f"{name} {_shown(value, kind)}"
                for (name, value), kind in zip(arguments.items(), error.solidity_types, strict=True)
            )
            message = f"{error.name}: {shown}." if shown else f"{error.name}."
            return ContractError(error.name, arguments, message, HINTS.get(error.name, ""))
        if selector == _PANIC:
            (code,) = decode(["uint256"], payload)
            reason = _PANICS.get(code, "unknown reason")
            what = f"The contract panicked: {reason} (0x{code:02x})."
            return ContractError("Panic", {"code": code}, what, _DEFECT)
        if selector == _ERROR:
            (reason,) = decode(["string"], payload)
            return ContractError("Error", {"reason": reason}, f"The contract reverted: {reason}.")
    except (DecodingError, UnicodeDecodeError):
        pass  # a selector of ours before bytes that are not its arguments: shown as they are, below
    if data:
        what = f"The contract reverted with unknown data 0x{data[:68].hex()}."
        return ContractError("Unknown", {"data": data}, what, _OTHER_CONTRACT)
    what = f"The contract reverted without a reason ({text.strip(' .')})." if text else "The contract reverted."
    return ContractError("Revert", {}, what, _OTHER_CONTRACT)


_PANIC = bytes.fromhex("4e487b71")
_ERROR = bytes.fromhex("08c379a0")
_PANICS = {
    0x01: "an assertion failed",
    0x11: "an overflow or underflow",
    0x12: "a division by zero",
    0x21: "a number that is no member of its enum",
    0x31: "pop of an empty array",
    0x32: "an index out of bounds",
    0x41: "out of memory",
}
_ENUMS = {"enum State": State, "enum Level": Level}
_DEFECT = "This is a defect of the contracts: report it with the call that caused it."
_OTHER_CONTRACT = "Check that the deployment file names Cloister's contracts on this chain."
_CHECK_URL = "Check rpc_url: another kind of server may be listening there."
_WAIT = "Check rpc_url and the network; the call is safe to repeat."

# Texts of geth, its relatives, anvil and py-evm, in lower case. The first match decides.
_TEXTS: tuple[tuple[tuple[str, ...], type[CloisterError], str], ...] = (
    (
        ("already known", "already imported", "known transaction"),
        AlreadyKnown,
        "Nothing to do: wait for its receipt.",
    ),
    (
        ("nonce too low", "nonce too high", "nonce is too", "invalid transaction nonce", "oldnonce"),
        NonceConflict,
        "Another process may use this account: stop it, or let the sender read the nonce again.",
    ),
    (
        ("underpriced", "less than block base fee", "lower than block's base fee", "fee too low"),
        Underpriced,
        "Raise the fee, by at least a tenth if a transaction with this nonce is waiting.",
    ),
    (
        ("insufficient funds", "cannot afford", "insufficient balance", "outoffund"),
        InsufficientFunds,
        "Send ether to the account.",
    ),
    (("chain id",), WrongChain, "Set rpc_url and chain_id to the same chain."),
    (
        # Asked by hash for the logs of a block that was taken back, or that an endpoint has not seen yet.
        ("unknown block", "block not found", "header not found"),
        RpcUnavailable,
        "The endpoint is behind, or the block was taken back: follow the chain from its head again.",
    ),
    (
        ("rate limit", "limit exceeded", "too many requests", "timed out", "timeout"),
        RpcUnavailable,
        _WAIT,
    ),
)
# Limit exceeded (EIP-1474), and the code that public gateways give while their node is behind.
_BUSY_CODES = {-32005, -32016}


def _rpc_error(exc: web3_errors.Web3RPCError) -> CloisterError:
    response: Any = exc.rpc_response  # what the endpoint sent, whatever its declared type
    error = response.get("error") if isinstance(response, Mapping) else None
    code: int | None = None
    text = str(exc.message)
    if isinstance(error, Mapping):
        code, text = error.get("code"), str(error.get("message", text))
        # Nodes that answer a revert with a code of their own leave web3 with a plain RPC error.
        data = _revert_data(error.get("data"))
        if data[:4] in (_PANIC, _ERROR) or data[:4] in custom_errors():
            return revert_error(data, text)
    if recognised := _by_text(text):
        return recognised
    if code in _BUSY_CODES:
        return RpcUnavailable(f"The RPC endpoint said: {text}.", _WAIT)
    if code == -32601:
        hint = "It lacks a method that Cloister needs: use another endpoint."
        return RpcError(f"The RPC endpoint said: {text}.", hint, code)
    return RpcError(f"The RPC endpoint said: {text}.", code=code)


def _by_text(text: str) -> CloisterError | None:
    lowered = text.lower()
    for fragments, kind, hint in _TEXTS:
        if any(fragment in lowered for fragment in fragments):
            return kind(f"The RPC endpoint said: {text.strip(' .')}.", hint)
    return None


def _transport_error(exc: requests.RequestException) -> CloisterError:
    host = urlsplit(exc.request.url or "").netloc.rpartition("@")[2] if exc.request is not None else ""
    endpoint = f"The RPC endpoint {host}" if host else "The RPC endpoint"
    if exc.response is not None:
        status = exc.response.status_code
        what = f"{endpoint} answered with HTTP status {status}."
        if status in (408, 425, 429) or status >= 500:
            return _unavailable(what)
        return RpcError(what, "Check rpc_url and the key in it.")
    if isinstance(exc, requests.Timeout):
        return _unavailable(f"{endpoint} did not answer in time.")
    if isinstance(exc, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return _unavailable(f"{endpoint} cannot be reached.")
    if isinstance(exc, ValueError):  # MissingSchema, InvalidURL and their like
        return RpcError("rpc_url is not a URL, or its answer is not JSON.", _CHECK_URL)
    return _unavailable(f"{endpoint} failed: {type(exc).__name__}.")


def _unavailable(message: str) -> RpcUnavailable:
    return RpcUnavailable(message, _WAIT)


def _revert_data(data: Any) -> bytes:
    """Return data as nodes hand it out: hex, "Reverted 0x…", or nested one or two objects deep."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, Mapping):
        nested = [data[key] for key in ("data", "result", "return", "output") if key in data]
        nested += [value for value in data.values() if isinstance(value, Mapping)]
        return next((found for value in nested if (found := _revert_data(value))), b"")
    if isinstance(data, str):
        try:
            return bytes.fromhex(data.removeprefix("Reverted ").removeprefix("0x"))
        except ValueError:
            return b""
    return b""


def _shown(value: Any, solidity_type: str) -> str:
    if solidity_type == "bytes" and value[:4] in custom_errors():
        # A verifier's own error, passed on by the contract that asked it.
        return f"({revert_error(value).message.removesuffix('.')})"
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if solidity_type in _ENUMS:
        kind = _ENUMS[solidity_type]
        return kind(value).name if value in iter(kind) else str(value)
    return str(value)
