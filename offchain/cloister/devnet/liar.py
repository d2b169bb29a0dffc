"""A worker that does everything right but the work: demonstrations and tests show what happens to it.

python -m cloister.devnet.liar --config FILE

It refuses any chain but a development chain.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import structlog
from eth_account.signers.local import LocalAccount

from cloister.bootstrap import (
    EnclosedWorker,
    keystore,
    open_plain_worker,
    plain_inference,
    proved_inference,
    run_worker,
)
from cloister.chain.errors import WrongChain
from cloister.config import load_settings
from cloister.devnet.accounts import CHAIN_ID
from cloister.domain.answer import ProvedAnswer
from cloister.domain.ids import Address
from cloister.domain.job import Job
from cloister.fixedpoint import Package
from cloister.inference import Opened, PlainInference
from cloister.network import Network, open_network
from cloister.proof_system import WORD_BYTES
from cloister.proved import ProvedInference, Registered
from cloister.storage.passwords import password_from
from cloister.worker import Worker


def off_by_one(output: bytes) -> bytes:
    """Encoded output rows with the first entry changed by one unit."""
    first = int.from_bytes(output[:4], signed=True)
    return (first - 1 if first > 0 else first + 1).to_bytes(4, signed=True) + output[4:]


class LyingInference(PlainInference):
    """Commits, well-formed, to the output of the model with its first entry off by one."""

    def run(self, package: Package, plaintext: bytes) -> bytes:
        """A wrong output of the right form."""
        return off_by_one(super().run(package, plaintext))


class LyingProver(ProvedInference):
    """Sends a true proof with another output than the one that it proves."""

    def make(self, job: Job, opened: Opened, registered: Registered) -> ProvedAnswer:
        """A proof of the right form, which no verifier takes."""
        honest = super().make(job, opened, registered)
        first = int.from_bytes(honest.masked[:WORD_BYTES])
        masked = (first ^ 1).to_bytes(WORD_BYTES) + honest.masked[WORD_BYTES:]
        return replace(honest, masked=masked, signature=self.sign(job, opened, honest.pad_digest, masked))


def run_faulty(
    about: str | None,
    opened: Callable[[Network, LocalAccount, str], AbstractContextManager[Worker | EnclosedWorker]],
) -> None:
    """Runs a faulty worker until it is told to stop; `opened` gets network, account and password."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    config = parser.parse_args().config
    settings = load_settings({}, env=os.environ, cwd=Path.cwd(), config_file=config).settings
    network = open_network(settings)
    if network.connection.chain_id != CHAIN_ID:
        raise WrongChain(f"Faulty workers run on chain {CHAIN_ID} only, not on {network.connection.chain_id}.")
    password = password_from(settings.password_file)
    account = keystore(settings).load(settings.account, password)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with opened(network, account, password) as worker:
        log = structlog.get_logger()
        run_worker(
            worker,
            stop,
            settings.poll_seconds,
            lambda: log.info("worker ready", account=account.address, honest=False),
        )


def _open_liar(network: Network, account: LocalAccount, password: str) -> AbstractContextManager[Worker]:
    me = Address(account.address)
    lying = plain_inference(network, me, password, LyingInference)
    # What it proves is honest up to the end: a prover whose model lies would find itself out.
    pretending = proved_inference(network, plain_inference(network, me, password), LyingProver)
    return open_plain_worker(network, account, password, lying, pretending)


def main() -> None:
    """Runs the liar until it is told to stop."""
    run_faulty(__doc__, _open_liar)


if __name__ == "__main__":
    main()
