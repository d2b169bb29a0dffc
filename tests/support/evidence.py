"""Genuine attestation evidence, and a chain at the time of its recording on which it can be judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import dcap_qvl

from cloister.attestation.collateral import OnChainCollateral, platform_certificate, to_on_chain, transcribe
from cloister.chain.artifacts import artifact
from cloister.chain.call import GAS_CAP, Call
from cloister.chain.connection import Connection
from cloister.chain.deploy import INTEL_ROOT
from cloister.chain.errors import translated
from cloister.chain.quotes import Quotes
from cloister.devnet.process import NodeProcess
from cloister.domain.ids import Address

VECTORS = Path(__file__).parents[1] / "vectors" / "attestation"
TDX = ("intel_tdx_v4_uptodate_dcapqvl", "intel_tdx_v4_uptodate_gcp_cos113", "intel_tdx_v4_outofdate_automata")


@dataclass(frozen=True)
class Recorded:
    """One vector: the quote, its collateral (JSON) and the Unix second of both."""

    name: str
    quote: bytes
    collateral: str
    now: int

    def dcap(self, quote: bytes | None = None) -> str | None:
        """The status that dcap-qvl finds at that second; None when it refuses."""
        collateral = dcap_qvl.QuoteCollateralV3.from_json(self.collateral)
        try:
            return str(dcap_qvl.verify(quote or self.quote, collateral, self.now).status)
        except ValueError:
            return None


@cache
def recorded(name: str) -> Recorded:
    """A vector of tests/vectors/attestation."""
    content = [(VECTORS / f"{name}.{end}") for end in ("quote.bin", "collateral.json", "now")]
    return Recorded(name, content[0].read_bytes(), content[1].read_text(), int(content[2].read_text()))


@dataclass
class Court:
    """A TdxQuoteVerifier under Intel's root on a chain of its own. Account 0 is its steward, account 1 its registry."""

    node: NodeProcess
    roots: tuple[tuple[bytes, bytes, bool], ...] = ((*INTEL_ROOT, False),)
    gas: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.connection = Connection(self.node.url)
        self.w3 = self.connection.w3
        self.steward, self.registry = (Address(account) for account in self.w3.eth.accounts[:2])
        found = artifact("TdxQuoteVerifier")
        create = self.w3.eth.contract(abi=found.abi, bytecode=found.bytecode).constructor(
            self.registry, self.steward, list(self.roots)
        )
        receipt = self._mined(create.transact({"from": cast(Any, self.steward), "gas": GAS_CAP}))
        self.address = Address(receipt["contractAddress"])
        self.quotes = Quotes(self.connection, self.address)
        self.contract = self.w3.eth.contract(cast(Any, self.address), abi=found.abi)

    def send(self, call: Call, sender: Address | None = None) -> int:
        """Sends it and mines it; the gas that it used. Raises ContractError when it reverts."""
        fields: Any = {"from": sender or self.steward, "to": call.to, "data": call.data, "gas": GAS_CAP}
        with translated():
            self.w3.eth.call(fields)
            receipt = self._mined(self.w3.eth.send_transaction(fields))
        assert receipt["status"] == 1
        used = int(receipt["gasUsed"])
        name = self.contract.get_function_by_selector(call.data[:4]).fn_name
        self.gas.setdefault(name, []).append(used)
        return used

    def learn(self, collateral: OnChainCollateral) -> None:
        """Registers all of it."""
        while missing := self.quotes.missing(collateral):
            for call in missing:
                self.send(call)

    def admit(self, quote: bytes, collateral: OnChainCollateral) -> bytes:
        """Registers a quote's platform; its certificate's id."""
        certificate = platform_certificate(quote)
        if not self.quotes.is_platform(certificate.id):
            self.send(self.quotes.add_platform(certificate.der, collateral.ca))
        return certificate.id

    def judge(self, evidence: Recorded) -> tuple[bytes, bytes]:
        """Registers all that the evidence needs. What `verify` takes: the quote's first bytes, the certificate's id."""
        collateral = transcribe(evidence.collateral)
        self.learn(collateral)
        return to_on_chain(evidence.quote), self.admit(evidence.quote, collateral)

    def _mined(self, transaction: Any) -> Any:
        self.node.mine(1)
        return self.w3.eth.wait_for_transaction_receipt(transaction, timeout=10, poll_latency=0.01)
