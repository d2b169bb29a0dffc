"""A worker whose enclave is broken: it has the enclave's keys, and signs a wrong output with them.

python -m cloister.devnet.broken --config FILE

DEVELOPMENT evidence says whatever its maker wants, so the chain takes this worker for an honest one: what happens when
somebody extracts the keys of a real enclave. It refuses any chain but a development chain.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from typing import Any, cast

from cloister.bootstrap import open_enclosed_worker
from cloister.devnet.liar import off_by_one, run_faulty
from cloister.enclave import messages as m
from cloister.enclave.answers import EnclosedInference
from cloister.enclave.client import Enclave
from cloister.enclave.clock import Clock
from cloister.enclave.errors import ChannelClosed
from cloister.enclave.frames import Channel
from cloister.enclave.keyring import EnclaveContext
from cloister.enclave.process import Enclave as Inside
from cloister.enclave.secret import SecretPages
from cloister.fixedpoint import Package

_honest_run = EnclosedInference.run


class _NoProcess:
    """Stands for the process that an enclave has to itself; this one lives in its host's."""

    def poll(self) -> None:
        """It runs."""

    def kill(self) -> None:
        """It ends with its host."""

    def wait(self, timeout: float | None = None) -> int:
        """Of its channel, which is closed by then."""
        return 0


def launch(context: EnclaveContext, **_: object) -> Enclave:
    """An enclave that is a thread of this process."""
    ours, theirs = socket.socketpair()
    inside = Inside(context, SecretPages(), Clock())
    threading.Thread(target=_serve, args=(Channel(theirs), inside), daemon=True).start()
    keys = inside.keyring.hpke_key, inside.keyring.signer
    return Enclave(context, Channel(ours), cast("subprocess.Popen[bytes]", _NoProcess()), (), *keys)


def _serve(channel: Channel, inside: Inside) -> None:
    try:
        while True:
            channel.send(m.encoded(inside.reply(m.question_of(channel.receive()))))
    except ChannelClosed:
        return


def _lying_run(self: EnclosedInference, package: Package, plaintext: bytes) -> bytes:
    return off_by_one(_honest_run(self, package, plaintext))


def main() -> None:
    """Runs the worker until it is told to stop."""
    cast(Any, EnclosedInference).run = _lying_run
    run_faulty(__doc__, lambda network, account, _: open_enclosed_worker(network, account, launch))


if __name__ == "__main__":
    main()
