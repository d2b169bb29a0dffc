"""Evidence in the form that the registry takes, about a platform that the chain knows."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Protocol

import structlog

from cloister.attestation.collateral import OnChainCollateral, platform_certificate, to_on_chain, transcribe
from cloister.attestation.providers import Provider
from cloister.chain.call import Call
from cloister.chain.quotes import Quotes
from cloister.domain.errors import CloisterError
from cloister.domain.ids import Address, hexed

log = structlog.get_logger()

ON_CHAIN = "tdx-v4"
"""The kind of evidence that the registry takes."""
MOST_ROUNDS = 4
"""A root's list that revokes something voids documents, which are then posted again."""


class NoQuote(CloisterError):
    """The registry would not take this machine's evidence, as things stand."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """A quote as the registry takes it, and the id of its platform's certificate."""

    quote: bytes
    pck: bytes


def collateral_of(provider: Provider) -> bytes:
    """What a judge of the provider's last evidence needs besides. Raises NoQuote without any."""
    given = provider.collateral()
    if given is None:
        raise NoQuote(
            f"No collateral of {provider.name} is at hand.",
            "Set collateral_url to a provisioning certificate caching service.",
        )
    return given


class Transactions(Protocol):
    """Sends a transaction and waits until it is mined."""

    @property
    def address(self) -> Address: ...
    def transact(self, intent: str, call: Call) -> object:
        """Raises ContractError, TransactionFailed and what reaching the chain raises."""


@dataclass(frozen=True, slots=True)
class Quoting:
    """Makes quotes with `provider`, whose kind is ON_CHAIN, and sees that the chain can judge them."""

    provider: Provider
    quotes: Quotes
    sender: Transactions

    def quote(self, report_data: bytes) -> Quoted:
        """A quote over 64 bytes. What the chain lacks and anybody may register is registered first, once per machine.

        Raises NoQuote without collateral of a new platform; and what providers, `transcribe` and transactions raise.
        """
        evidence = self.provider.evidence(report_data)
        certificate = platform_certificate(evidence)
        if not self.quotes.is_platform(certificate.id):
            collateral = transcribe(collateral_of(self.provider))
            self._teach(collateral)
            call = self.quotes.add_platform(certificate.der, collateral.ca)
            self.sender.transact(f"platform:{certificate.id.hex()}", call)
            log.info("platform registered", certificate=hexed(certificate.id))
        return Quoted(to_on_chain(evidence), certificate.id)

    def _teach(self, collateral: OnChainCollateral) -> None:
        """Registers what the chain does not know of some collateral, as far as the sender may."""
        steward = self.quotes.steward() == self.sender.address
        teach(self.quotes, self.sender, collateral, documents=steward)


def teach(quotes: Quotes, sender: Transactions, collateral: OnChainCollateral, *, documents: bool = True) -> int:
    """Registers all of it that the chain does not know; for `documents` the sender must be the steward.

    Returns how many transactions that took. Raises NoQuote when it comes to no end, and what transactions raise.
    """
    sent = 0
    for _ in range(MOST_ROUNDS):
        missing = quotes.missing(collateral, documents=documents)
        if not missing:
            return sent
        sent += len(missing)
        for call in missing:
            # Anew each time: the same call may be right again, and is refused when it is not.
            sender.transact(f"collateral:{secrets.token_hex(8)}", call)
    raise NoQuote("The chain does not take this collateral.", "Fetch it again: it may be older than what is posted.")
