"""The enclave process: `python -m cloister.enclave --fd N`, started by its host (`cloister.enclave.launcher`).

The order matters: what can be given up is given up before anything is loaded, and files and sockets once all is.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys

from cloister.enclave import imports, isolation
from cloister.enclave.frames import Channel


def main() -> int:
    """Protect the process, load everything, serve; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="number of the socket to the host")
    channel = Channel(socket.socket(fileno=parser.parse_args().fd))
    early = isolation.begin()
    imports.from_sources_only()
    # Slow, and better done under the first protections.
    from cloister.enclave import kernels  # noqa: PLC0415

    kernels.write_no_cache()
    if "NUMBA_CACHE_DIR" not in os.environ:
        kernels.read_no_cache()  # there would be one beside the sources, which nobody has measured
    from cloister.enclave import process, warmup  # noqa: PLC0415

    warmup.warm_up()
    kernels.read_no_cache()
    return process.serve(channel, early)


if __name__ == "__main__":
    sys.exit(main())
