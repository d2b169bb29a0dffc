"""Transactions and views over one connection to the node: what a step of the lockstep costs is mostly waiting."""

import json
import socket
from typing import Any
from urllib.parse import urlparse

from eth_abi import decode, encode
from eth_utils import keccak, to_checksum_address


def _type(part: dict) -> str:
    if not part["type"].startswith("tuple"):
        return part["type"]
    return f"({','.join(_type(inner) for inner in part['components'])}){part['type'][5:]}"


def _plain(value: Any, part: dict) -> Any:
    """Structs as dictionaries, addresses with their checksum."""
    if part["type"].endswith("[]"):
        return [_plain(item, part | {"type": part["type"][:-2]}) for item in value]
    if part["type"] == "tuple":
        inner = part["components"]
        return {one["name"]: _plain(item, one) for one, item in zip(inner, value, strict=True)}
    return to_checksum_address(value) if part["type"] == "address" else value


class Interface:
    """Calls and events of one contract."""

    def __init__(self, address: str, abi: list[dict]):
        self.address = address
        self._functions = {entry["name"]: entry for entry in abi if entry["type"] == "function"}
        self._selectors = {name: self._selector(entry)[:4] for name, entry in self._functions.items()}
        self._types = {name: [_type(part) for part in entry["inputs"]] for name, entry in self._functions.items()}
        self.events = {self._selector(entry): entry for entry in abi if entry["type"] == "event"}
        self.errors = {self._selector(entry)[:4]: entry["name"] for entry in abi if entry["type"] == "error"}

    def __getattr__(self, name: str) -> tuple["Interface", str]:
        """A function, to be called by somebody else."""
        if name.startswith("_") or name not in self._functions:
            raise AttributeError(name)
        return self, name

    @staticmethod
    def _selector(entry: dict) -> bytes:
        return keccak(text=f"{entry['name']}({','.join(_type(part) for part in entry['inputs'])})")

    def encoded(self, name: str, *args: Any) -> str:
        return "0x" + (self._selectors[name] + encode(self._types[name], args)).hex()

    def decoded(self, name: str, data: str) -> Any:
        outputs = self._functions[name]["outputs"]
        values = decode([_type(part) for part in outputs], bytes.fromhex(data[2:]))
        plain = [_plain(value, part) for value, part in zip(values, outputs, strict=True)]
        return plain[0] if len(plain) == 1 else plain

    def event(self, log: dict) -> tuple[str, dict]:
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        entry = self.events[topics[0]]
        indexed = [part for part in entry["inputs"] if part["indexed"]]
        others = [part for part in entry["inputs"] if not part["indexed"]]
        values = decode([_type(part) for part in others], bytes.fromhex(log["data"][2:]))
        found = {part["name"]: _plain(value, part) for part, value in zip(others, values, strict=True)}
        for part, topic in zip(indexed, topics[1:], strict=True):
            found[part["name"]] = _plain(decode([_type(part)], topic)[0], part)
        return entry["name"], found


class Wire:
    """A node's JSON-RPC over one connection."""

    def __init__(self, endpoint: str):
        self._host, port = urlparse(endpoint).netloc.split(":")
        self._socket = socket.create_connection((self._host, int(port)), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = self._socket.makefile("rb")
        self._views: dict[tuple, str] = {}
        self._answers: dict[tuple, Any] = {}

    def ask(self, method: str, *params: Any) -> Any:
        return self._result(self._exchange(self._request(method, *params)))

    def transact(self, sender: str, to: str, data: str, value: int, now: int) -> tuple[dict, bytes]:
        """The receipt of a transaction mined at second `now`, and what it reverted with."""
        call = {"from": sender, "to": to, "value": hex(value), "data": data, "gas": hex(6_000_000)}
        self.ask("evm_setNextBlockTimestamp", now)
        receipt = self.ask("eth_sendTransactionSync", call)
        if int(receipt["status"], 16) == 1:
            return receipt, b""
        again = self._exchange(self._request("eth_call", call, "latest"))
        return receipt, bytes.fromhex((again["error"].get("data") or "0x")[2:])

    def views(self, questions: list[tuple]) -> list[Any]:
        """Answers to (interface, function, arguments…) in their order; an address alone stands for its balance."""
        batch = [{"jsonrpc": "2.0", "id": place} | self._question(*one) for place, one in enumerate(questions)]
        answers = {answer["id"]: answer["result"] for answer in self._exchange(batch)}
        return [self._answer(answers[place], *one) for place, one in enumerate(questions)]

    def _question(self, of: Any, *asked: Any) -> dict:
        if isinstance(of, str):
            return {"method": "eth_getBalance", "params": [of, "latest"]}
        key = (of.address, *asked)
        if key not in self._views:
            self._views[key] = of.encoded(*asked)
        return {"method": "eth_call", "params": [{"to": of.address, "data": self._views[key]}, "latest"]}

    def _answer(self, answer: str, of: Any, *asked: Any) -> Any:
        if isinstance(of, str):
            return int(answer, 16)
        key = (of.address, asked[0], answer)
        if key not in self._answers:
            self._answers[key] = of.decoded(asked[0], answer)
        return self._answers[key]

    @staticmethod
    def _request(method: str, *params: Any) -> dict:
        return {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}

    @staticmethod
    def _result(answer: dict) -> Any:
        if "error" in answer:
            raise RuntimeError(str(answer["error"]))
        return answer["result"]

    def _exchange(self, body: Any) -> Any:
        written = json.dumps(body).encode()
        head = f"POST / HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        self._socket.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % len(written) + written)
        return json.loads(self._read())

    def _read(self) -> bytes:
        length = 0
        while (line := self._input.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return self._input.read(length)
