"""The JSON-RPC methods: what web3 clients of Cloister call, and nothing more."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from eth.abc import BlockHeaderAPI, ComputationAPI
from eth.exceptions import Revert
from eth_typing import Address

from ..accounts import CHAIN_ID
from . import logs
from .chain import Message, Mined, PyEvmChain
from .pool import Fault
from .views import Json, header_view, octets, quantity, transaction_view

TIP = 10**9
"""Wei per gas that eth_maxPriorityFeePerGas proposes, as anvil does."""
MAX_MINED = 10_000
"""Blocks per call of evm_mine or anvil_mine."""
MAX_BATCH = 1_000

_INVALID = -32602


class Rpc:
    """Answers requests one at a time, whichever thread they come from."""

    def __init__(self, chain: PyEvmChain) -> None:
        self._chain = chain
        self.lock = Lock()
        self._methods: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: "cloister-pyevm/1",
            "net_version": lambda: str(CHAIN_ID),
            "eth_chainId": lambda: quantity(CHAIN_ID),
            "eth_syncing": lambda: False,
            "eth_accounts": list,
            "eth_blockNumber": lambda: quantity(chain.head.block_number),
            "eth_gasPrice": lambda: quantity((chain.pending_header().base_fee_per_gas or 0) + TIP),
            "eth_maxPriorityFeePerGas": lambda: quantity(TIP),
            "eth_feeHistory": self._fee_history,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getLogs": lambda query: logs.find(chain, query, self._number),
            "eth_getBalance": lambda who, at="latest": quantity(self._state(at).get_balance(_address(who))),
            "eth_getCode": lambda who, at="latest": octets(self._state(at).get_code(_address(who))),
            "eth_getStorageAt": self._storage,
            "eth_getTransactionCount": self._nonce,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_sendRawTransaction": lambda raw: octets(chain.submit(_octets(raw))),
            "evm_mine": lambda options=None: self._mine((options or {"blocks": 1})["blocks"]),
            "anvil_mine": self._mine,
            "evm_increaseTime": self._increase_time,
        }

    def answer(self, request: Any) -> Any:
        """The answer to a decoded request or batch; None when none is due."""
        if not isinstance(request, list):
            return self._answer_one(request)
        if not request or len(request) > MAX_BATCH:
            return _failure(None, Fault(-32600, f"a batch has 1 to {MAX_BATCH} requests"))
        answers = [answer for one in request if (answer := self._answer_one(one)) is not None]
        return answers or None

    def _answer_one(self, request: Any) -> Json | None:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _failure(None, Fault(-32600, "not a request of JSON-RPC 2.0"))
        request_id = request.get("id")
        parameters = request.get("params") or []
        try:
            method = self._methods.get(request["method"])
            if method is None:
                raise Fault(-32601, f"the method {request['method']} does not exist")
            if not isinstance(parameters, list):
                raise Fault(_INVALID, "parameters must be a list")
            with self.lock:
                result = method(*parameters)
        except Fault as fault:
            return _failure(request_id, fault)
        except (TypeError, ValueError, KeyError, AttributeError) as exc:
            # Mostly parameters of the wrong shape, which every method would otherwise have to look for.
            return _failure(request_id, Fault(_INVALID, f"invalid parameters: {exc!r}"))
        except Exception:  # noqa: BLE001  a defect of this chain: told here, and to the caller
            traceback.print_exc()
            return _failure(request_id, Fault(-32603, "internal error; see the log of the chain"))
        return {"jsonrpc": "2.0", "id": request_id, "result": result} if "id" in request else None

    def _number(self, at: Any) -> int:
        """Number of the mined block that a tag, a number, or an object of EIP-1898 names."""
        if isinstance(at, dict):
            if "blockHash" in at:
                return self._number_of(at["blockHash"])
            at = at["blockNumber"]
        head = self._chain.head.block_number
        # This chain never takes a block back, so all of it is final.
        if at in ("latest", "safe", "finalized", "pending", None):
            return head
        number = 0 if at == "earliest" else int(at, 16)
        if not 0 <= number <= head:
            raise Fault(-32001, f"block not found: {at}")
        return number

    def _number_of(self, block_hash: str) -> int:
        number = self._chain.by_hash.get(_octets(block_hash))
        if number is None:
            raise Fault(-32000, "unknown block")
        return number

    def _state(self, at: Any) -> Any:
        return self._chain.state(self._chain.blocks[self._number(at)].header)

    def _header(self, at: Any) -> BlockHeaderAPI:
        return self._chain.pending_header() if at == "pending" else self._chain.blocks[self._number(at)].header

    def _block_by_number(self, at: Any, full: bool = False) -> Json | None:
        if at == "pending":
            view = header_view(self._chain.pending_header())
            return view | {"hash": None, "nonce": None, "logsBloom": None, "transactions": []}
        try:
            return _block(self._chain.blocks[self._number(at)], full)
        except Fault:
            return None

    def _block_by_hash(self, block_hash: str, full: bool = False) -> Json | None:
        number = self._chain.by_hash.get(_octets(block_hash))
        return None if number is None else _block(self._chain.blocks[number], full)

    def _transaction(self, hash_: str) -> Json | None:
        if place := self._chain.places.get(_octets(hash_)):
            return self._chain.blocks[place[0]].transactions[place[1]]
        waiting = self._chain.pool.find(_octets(hash_))
        base_fee = self._chain.head.base_fee_per_gas or 0
        return None if waiting is None else transaction_view(waiting, None, None, base_fee)

    def _receipt(self, hash_: str) -> Json | None:
        place = self._chain.places.get(_octets(hash_))
        return None if place is None else self._chain.blocks[place[0]].receipts[place[1]]

    def _storage(self, who: str, slot: str, at: Any = "latest") -> str:
        value: int = self._state(at).get_storage(_address(who), int(slot, 16))
        return octets(value.to_bytes(32, "big"))

    def _nonce(self, who: str, at: Any = "latest") -> str:
        nonce: int = self._state(at).get_nonce(_address(who))
        return quantity(self._chain.pool.next_nonce(_address(who), nonce) if at == "pending" else nonce)

    def _call(self, fields: Json, at: Any = "latest") -> str:
        return octets(_succeeded(self._chain.execute(_message(fields), self._header(at))).output)

    def _estimate(self, fields: Json, at: Any = "latest") -> str:
        limit, run = self._chain.estimate(_message(fields), self._header(at))
        _succeeded(run)
        return quantity(limit)

    def _fee_history(self, blocks: Any, newest: Any, percentiles: Sequence[float] = ()) -> Json:
        last = self._number(newest)
        wanted = min(int(blocks, 16) if isinstance(blocks, str) else int(blocks), last + 1, 1024)
        chosen = [mined.header for mined in self._chain.blocks[last + 1 - wanted : last + 1]]
        following = self._chain.blocks[last + 1 : last + 2]
        next_header = following[0].header if following else self._chain.pending_header()
        history: Json = {
            "oldestBlock": quantity(last + 1 - wanted),
            "baseFeePerGas": [quantity(header.base_fee_per_gas or 0) for header in (*chosen, next_header)],
            "gasUsedRatio": [header.gas_used / header.gas_limit for header in chosen],
        }
        if percentiles:
            # Nobody competes for space here: the usual tip is as good as any other.
            history["reward"] = [[quantity(TIP)] * len(percentiles) for _ in chosen]
        return history

    def _mine(self, blocks: Any = 1) -> str:
        wanted = int(blocks, 16) if isinstance(blocks, str) else int(blocks)
        if not 0 <= wanted <= MAX_MINED:
            raise Fault(_INVALID, f"between 0 and {MAX_MINED} blocks can be mined at once")
        for _ in range(wanted):
            self._chain.mine()
        return quantity(0)

    def _increase_time(self, seconds: Any) -> str:
        self._chain.increase_time(int(seconds, 16) if isinstance(seconds, str) else int(seconds))
        return quantity(0)


def _block(mined: Mined, full: bool) -> Json:
    return mined.view | {"transactions": list(mined.transactions)} if full else mined.view


def _message(fields: Json) -> Message:
    gas = fields.get("gas")
    return Message(
        sender=_address(fields.get("from") or "0x" + "00" * 20),
        to=_address(fields["to"]) if fields.get("to") else Address(b""),
        value=int(fields.get("value") or "0x0", 16),
        data=_octets(fields.get("data") or fields.get("input") or "0x"),
        gas=None if gas is None else int(gas, 16),
    )


def _succeeded(run: ComputationAPI) -> ComputationAPI:
    if not run.is_error:
        return run
    if isinstance(run.error, Revert):
        raise Fault(3, "execution reverted", bytes(run.output))
    raise Fault(-32603, f"EVM error {type(run.error).__name__}")


def _failure(request_id: Any, fault: Fault) -> Json:
    error: Json = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        error["data"] = fault.data
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def _address(text: str) -> Address:
    value = _octets(text)
    if len(value) != 20:
        raise Fault(_INVALID, f"{text} is no address")
    return Address(value)


def _octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
