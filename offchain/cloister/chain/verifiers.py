"""ProofVerifiers: which proof systems there are, by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from web3.contract import Contract

from cloister.chain.artifacts import artifact
from cloister.chain.call import Call
from cloister.chain.connection import Connection
from cloister.chain.errors import ContractError, translated
from cloister.domain.ids import Address


@dataclass(frozen=True, slots=True)
class Verifier:
    """A listed verifier. `address` is None once its steward has removed it: then no proof counts any more."""

    number: int
    address: Address | None
    steward: Address

    @property
    def removed(self) -> bool:
        """True when proofs are not checked any more, for good."""
        return self.address is None


class Verifiers:
    """One deployed ProofVerifiers."""

    def __init__(self, connection: Connection, address: Address) -> None:
        self.address = address
        self._contract: Contract = connection.w3.eth.contract(cast(Any, address), abi=artifact("ProofVerifiers").abi)

    def add(self, verifier: Address) -> Call:
        """Lists a verifier under the next number, with the sender as its steward."""
        return self._call("add", verifier)

    def remove(self, number: int) -> Call:
        """Ends a verifier of which the sender is the steward."""
        return self._call("remove", number)

    def count(self) -> int:
        """How many were ever listed; their numbers begin with 1."""
        return int(self._view("count"))

    def verifier(self, number: int) -> Verifier:
        """One of them. Raises ContractError for a number that was never given."""
        steward = Address(self._view("stewardOf", number))
        removed = self._view("isRemoved", number)
        return Verifier(number, None if removed else Address(self._view("verifierOf", number)), steward)

    def is_removed(self, number: int) -> bool:
        """True when its steward has removed it. Raises ContractError for a number that was never given."""
        return bool(self._view("isRemoved", number))

    def refusal(
        self,
        verifier: Address,
        *,
        circuit: bytes,
        weights: bytes,
        inputs: bytes,
        outputs: bytes,
        context: bytes,
        proof: bytes,
    ) -> str | None:
        """Why a verifier contract refuses a proof file about this statement; None if it accepts it.

        Raises RpcUnavailable and the like when the chain cannot be asked.
        """
        contract = self._contract.w3.eth.contract(cast(Any, verifier), abi=artifact("MatrixProofVerifier").abi)
        try:
            with translated():
                accepted = contract.functions.verify(circuit, weights, inputs, outputs, context, proof).call()
        except ContractError as error:
            return error.message
        return None if accepted else "the last equation does not hold."

    def _call(self, name: str, *args: object) -> Call:
        return Call(self.address, bytes.fromhex(self._contract.encode_abi(name, list(args))[2:]))

    def _view(self, name: str, *args: object) -> Any:
        with translated():
            return self._contract.functions[name](*args).call()
