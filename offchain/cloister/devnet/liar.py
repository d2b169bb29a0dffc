"""A worker that does everything right but the work: demonstrations and tests show what happens to it.

python -m cloister.devnet.liar --config FILE

It refuses any chain but a development chain.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import structlog

from cloister.bootstrap import keystore, open_plain_worker, plain_inference, proved_inference, run_worker
from cloister.chain.errors import WrongChain
from cloister.config import load_settings
from cloister.devnet.accounts import CHAIN_ID
from cloister.domain.answer import ProvedAnswer
from cloister.domain.ids import Address
from cloister.domain.job import Job
from cloister.fixedpoint import Package
from cloister.inference import Opened, PlainInference
from cloister.network import open_network
from cloister.proved import WORD_BYTES, ProvedInference, Registered
from cloister.storage.passwords import password_from


class LyingInference(PlainInference):
    """Commits, well-formed, to the output of the model with its first entry off by one."""

    def run(self, package: Package, plaintext: bytes) -> bytes:
        """A wrong output of the right form."""
        output = super().run(package, plaintext)
        first = int.from_bytes(output[:4], signed=True)
        return (first - 1 if first > 0 else first + 1).to_bytes(4, signed=True) + output[4:]


class LyingProver(ProvedInference):
    """Sends a true proof with another output than the one that it proves."""

    def make(self, job: Job, opened: Opened, registered: Registered) -> ProvedAnswer:
        """A proof of the right form, which no verifier takes."""
        honest = super().make(job, opened, registered)
        first = int.from_bytes(honest.masked[:WORD_BYTES])
        masked = (first ^ 1).to_bytes(WORD_BYTES) + honest.masked[WORD_BYTES:]
        return replace(honest, masked=masked, signature=self.sign(job, opened, honest.pad_digest, masked))


def main() -> None:
    """Runs the liar until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    config = parser.parse_args().config
    settings = load_settings({}, env=os.environ, cwd=Path.cwd(), config_file=config).settings
    network = open_network(settings)
    if network.connection.chain_id != CHAIN_ID:
        raise WrongChain(f"The liar runs on chain {CHAIN_ID} only, not on {network.connection.chain_id}.")
    password = password_from(settings.password_file)
    account = keystore(settings).load(settings.account, password)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    me = Address(account.address)
    lying = plain_inference(network, me, password, LyingInference)
    # What it proves is honest up to the end: a prover whose model lies would find itself out.
    pretending = proved_inference(network, plain_inference(network, me, password), LyingProver)
    with open_plain_worker(network, account, password, lying, pretending) as worker:
        structlog.get_logger().info("worker ready", account=account.address, honest=False)
        run_worker(worker, stop, settings.poll_seconds)


if __name__ == "__main__":
    main()
