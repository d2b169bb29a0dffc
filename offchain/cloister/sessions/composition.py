"""Puts the parts of a session together over a chain: what a command, or a program of one's own, calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cloister.chain.nodes import Nodes
from cloister.chain.sessions import Sessions as Contract
from cloister.domain.ids import Address, VersionId, hexed
from cloister.recipients import InputKey
from cloister.sessions.answering import Answering
from cloister.sessions.client import PromptKey, SessionClient, SessionKey, Transport
from cloister.sessions.errors import SessionUnusable
from cloister.sessions.ledger import Ledger
from cloister.sessions.receipts import SessionId, SessionsAt, Terms
from cloister.sessions.service import SessionWorker, Standing

ATTESTED_SECONDS = 600
"""How much longer the worker must be attested for a requester to sign an order: longer than a job takes."""


@dataclass(frozen=True, slots=True)
class ChainSessions:
    """Sessions as a contract has them; see `service.Sessions`."""

    contract: Contract

    def standing(self, session: SessionId) -> Standing | None:
        """A session, None if there is none."""
        found = self.contract.session(session)
        if found is None:
            return None
        terms = Terms(session, found.worker, found.signer, found.key, found.price)
        return Standing(terms, found.token, found.reserved, found.settled, found.close_at)


def session_worker(
    at: SessionsAt,
    contract: Contract,
    nodes: Nodes,
    worker: Address,
    ledger: Ledger,
    answering: Answering,
    lowest_price: Callable[[VersionId, Address], int | None],
) -> SessionWorker:
    """A worker's service, for `web.serving`; see SessionWorker for its parts."""
    sessions = ChainSessions(contract)
    return SessionWorker(at, worker, lambda: nodes.node(worker).signer, sessions, ledger, answering, lowest_price)


def session_client(
    at: SessionsAt,
    contract: Contract,
    nodes: Nodes,
    session: SessionId,
    key: SessionKey,
    ledger: Ledger,
    transport: Transport,
    key_for: Callable[[Address, VersionId], InputKey],
    now: Callable[[], int],
) -> SessionClient:
    """A requester's client for a session that is open.

    `key_for` judges the worker by the requester's pins and gives what inputs for it are sealed to, as
    `recipients.Recipients.key_for` does; `now` gives Unix seconds. Raises SessionUnusable if there is no such session.
    """
    sessions = ChainSessions(contract)
    opened = sessions.standing(session)
    if opened is None:
        raise SessionUnusable(f"There is no session {hexed(session)}.", "Open it, and wait for the block.")
    terms = opened.terms

    def good(sequence: int) -> None:
        standing = sessions.standing(session)
        if standing is None or standing.close_at:
            raise SessionUnusable(f"Session {hexed(session)} is being closed.", "Open another one.")
        if not standing.covers(terms.order(sequence, bytes(32))):
            raise SessionUnusable(
                f"The deposit does not cover order {sequence}.", "Top it up, or open another session."
            )
        if nodes.attestation(terms.worker).until < now() + ATTESTED_SECONDS:
            raise SessionUnusable(f"Worker {terms.worker} is not attested any more.", "Close the session.")
        if nodes.node(terms.worker).signer != terms.signer:
            raise SessionUnusable(
                f"Worker {terms.worker} has other keys now.", "Close the session and open another one."
            )

    def prompt_key(version: VersionId) -> PromptKey:
        found = key_for(terms.worker, version)
        if not found.prompt:
            raise SessionUnusable(
                f"Worker {terms.worker} has no prompt key that its enclave vouches for.",
                "Try again when it has posted one, or close the session.",
            )
        return PromptKey(found.key, found.epoch)

    return SessionClient(at, terms, key, ledger, transport, good, prompt_key)
