"""Run workers until SIGTERM or Ctrl-C.

brownie run run_worker --network development     # three workers, registered first if they are not
brownie run run_worker main 5 --network development
python scripts/run_worker.py                     # one, of the account of the settings; the same as `cloister worker`

On a development chain the workers are its second funded account and those after it, and the chain moves on to the next
epoch, from which on new stake is drawn.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from cloister.cli.scripting import Place, here

STAKE = "100"
"""Ether."""


def main(*arguments: str) -> None:
    """`main [COUNT]`; the count is for a development chain."""
    place = here()
    if not place.development:
        place.run("worker")
        return
    accounts = [f"dev:{index + 1}" for index in range(int(arguments[0]) if arguments else 3)]
    register(place, accounts)

    from cloister.cli.worker import stop_on_signals

    with stop_on_signals() as stop, ThreadPoolExecutor(len(accounts)) as pool:
        running = [pool.submit(serve, place, account, stop) for account in accounts]
        print(f"{len(accounts)} workers are running; Ctrl-C stops them.", flush=True)
    for worker in running:
        worker.result()


def register(place: Place, accounts: list[str]) -> None:
    """Registers those that hold no stake, and lets their stake age by an epoch."""
    fresh = [name for name in accounts if place.ask("worker", "status", account=name)["stake_wei"] == "0"]
    for name in fresh:
        place.run("worker", "register", "--stake", STAKE, account=name)
    if fresh:
        now = place.ask("nodes")
        place.chain("anvil_mine", hex(now["epoch_length"] - now["block"] % now["epoch_length"]))


def serve(place: Place, account: str, stop: threading.Event) -> None:
    """Runs one worker. If it fails, all stop."""
    from cloister.bootstrap import open_worker, run_worker
    from cloister.cli.flags import Session
    from cloister.cli.run import Run

    run = Run(Session(flags=place.flags | {"account": account}), service=True)
    try:
        with open_worker(run.network, run.unlocked.account, run.unlocked.password) as worker:
            run_worker(worker, stop, run.settings.poll_seconds)
    finally:
        stop.set()


if __name__ == "__main__":
    main(*sys.argv[1:])
