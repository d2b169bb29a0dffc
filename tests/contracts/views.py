"""Many views of the contracts in one request to the node, which is most of what a comparison costs."""

from typing import Any

import requests
from brownie import web3
from hexbytes import HexBytes


class Views:
    """`ask` gives the answers to (function, arguments) in their order; a contract alone stands for its balance."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._encoded: dict[tuple, dict] = {}
        self._decoded: dict[tuple, Any] = {}

    def ask(self, questions: list[tuple]) -> list[Any]:
        batch = [{"jsonrpc": "2.0", "id": number} | self._encode(*one) for number, one in enumerate(questions)]
        answers = self._session.post(web3.provider.endpoint_uri, json=batch, timeout=30).json()
        by_number = {answer["id"]: answer["result"] for answer in answers}
        return [self._decode(one[0], by_number[number]) for number, one in enumerate(questions)]

    def _encode(self, what: Any, *args: Any) -> dict:
        if not args and not hasattr(what, "encode_input"):
            return {"method": "eth_getBalance", "params": [what.address, "latest"]}
        key = (what._address, what.signature, args)
        if key not in self._encoded:
            call = {"to": what._address, "data": what.encode_input(*args)}
            self._encoded[key] = {"method": "eth_call", "params": [call, "latest"]}
        return self._encoded[key]

    def _decode(self, what: Any, answer: str) -> Any:
        if not hasattr(what, "decode_output"):
            return int(answer, 16)
        key = (what.signature, answer)
        if key not in self._decoded:
            self._decoded[key] = plain(what.decode_output(answer))
        return self._decoded[key]


def plain(value: Any) -> Any:
    """Structs as dictionaries, and bytes as bytes."""
    if hasattr(value, "dict"):
        return {name: plain(part) for name, part in value.dict().items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return bytes(HexBytes(value)) if isinstance(value, bytes) or type(value).__name__ == "HexString" else value
