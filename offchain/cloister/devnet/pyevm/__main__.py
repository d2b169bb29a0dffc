"""python -m cloister.devnet.pyevm --port 8545"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from contextlib import suppress
from types import FrameType

from ..accounts import COUNT, key
from .chain import PyEvmChain
from .server import Server


def main() -> int:
    """Serves a new chain until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m cloister.devnet.pyevm", description="A development chain.")
    parser.add_argument("--port", type=int, default=8545, help="0 picks a free one")
    parser.add_argument(
        "--block-time", type=float, default=1.0, help="seconds; 0: mine on evm_mine and anvil_mine only"
    )
    parser.add_argument("--seed", help="64 hexadecimal digits that decide every prevrandao; default: random")
    options = parser.parse_args()
    seed = bytes.fromhex(options.seed) if options.seed else secrets.token_bytes(32)
    server = Server(PyEvmChain(seed), options.port, options.block_time)
    signal.signal(signal.SIGTERM, _interrupt)
    print(f"listening on {server.url}, {COUNT} funded accounts, the first {key(0).address}", flush=True)
    with suppress(KeyboardInterrupt):
        server.serve()
    return 1 if server.broken else 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
