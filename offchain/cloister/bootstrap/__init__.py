"""Puts the parts together: the one package that names both a port and what stands behind it."""

from cloister.bootstrap.accounts import keystore, open_sender, worker_secrets
from cloister.bootstrap.brokers import broker_store, open_broker
from cloister.bootstrap.clients import open_client, recipients
from cloister.bootstrap.operators import Operator, open_operator
from cloister.bootstrap.workers import (
    EnclosedWorker,
    JournalMemory,
    NotRegistered,
    open_enclosed_worker,
    open_plain_worker,
    open_worker,
    plain_inference,
    proved_inference,
    run_worker,
)

__all__ = [
    "EnclosedWorker",
    "JournalMemory",
    "NotRegistered",
    "Operator",
    "broker_store",
    "keystore",
    "open_broker",
    "open_client",
    "open_enclosed_worker",
    "open_operator",
    "open_plain_worker",
    "open_sender",
    "open_worker",
    "plain_inference",
    "proved_inference",
    "recipients",
    "run_worker",
    "worker_secrets",
]
