"""`cloister worker`: run a worker, and look after its stake and keys."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloister.cli.amounts import ether, parse_amount
from cloister.cli.command import command, service_group
from cloister.cli.job_view import time_text
from cloister.cli.nodes import exit_text, node_document
from cloister.cli.receipts import receipt_document, receipt_line
from cloister.cli.run import Run
from cloister.cli.screen import Output, facts
from cloister.domain.errors import InvalidInput
from cloister.domain.ids import hexed

if TYPE_CHECKING:
    from cloister.bootstrap import Operator
    from cloister.chain.sender import Receipt
    from cloister.enclosure import Enclosure

UNENCLOSED = (
    "No enclave: models run in this process, and who controls this machine reads the inputs and outputs of its jobs."
)
UNATTESTED = (
    "NOT ATTESTED: nothing here makes evidence about the enclave, so that it gets no sealed model and no attested job, "
    "and who controls this machine can read the inputs and outputs of its jobs."
)
DEVELOPMENT = "DEVELOPMENT EVIDENCE: it protects nothing. Only deployments made for development take it."


def add_to(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.add_typer(worker)


@service_group("worker", example="cloister worker --account worker --password-file password.txt")
def worker(run: Run) -> None:
    """Run a worker; its subcommands look after it.

    It runs until SIGTERM or Ctrl-C. The account must have registered (`cloister worker register`). What the worker
    does is logged to standard error; it writes down what it is about to send before it sends it, so it can be stopped
    at any time and started again.

    Keys and models live in an enclave process (--enclave off does without). It starts under all of: namespaces,
    seccomp, landlock, no-core-dumps, non-dumpable, secret-memory, locked-memory, no-new-privileges. If one is missing
    on this machine the worker says which, and does not start unless it is named with --unprotected. Where the machine
    makes evidence (--evidence-from), the enclave is attested on chain, gets the keys of sealed models from --brokers,
    and enrols for every version whose policy admits it.
    """
    import structlog

    with stop_on_signals() as stop:
        network, unlocked = run.network, run.unlocked
        from cloister.bootstrap import open_worker, run_worker

        log = structlog.get_logger()
        with open_worker(network, unlocked.account, unlocked.password) as opened:
            run.screen.show(_introduction(run, getattr(opened, "enclosure", None)))
            run_worker(
                opened, stop, run.settings.poll_seconds, lambda: log.info("worker ready", account=unlocked.address)
            )
            log.info("worker stopped", account=unlocked.address)


@command(worker, "register", example="cloister worker register --stake 10 --endpoint https://worker.example.org")
def register(
    run: Run,
    stake: Annotated[int, typer.Option("--stake", metavar="ETH", parser=parse_amount, help="Sum at stake: 10, 5gwei.")],
    endpoint: Annotated[str, typer.Option("--endpoint", help="Where people can read about the worker.")] = "",
) -> Output:
    """Register this account as a worker.

    This makes the worker's first keys and pays the stake; an enclave replaces the keys when it starts. The worker can
    be drawn from the next epoch on. A wrong answer or silence costs part of the stake.
    """
    run.screen.tell(f"stake: {ether(stake)}")
    return _transact(run, lambda operator: operator.register(stake, endpoint))


@command(worker, "compile", example="cloister worker compile /var/lib/cloister/compiled")
def compile_enclave(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to put it; what was there is replaced.")],
) -> Output:
    """Compile the enclave's code, so that it starts sooner.

    Give the folder to the worker as --enclave-compiled. It runs instead of the sources, and is measured with them: a
    policy must name the measurement that is shown here. Compile again after every update.
    """
    from cloister.enclave.launcher import compile_ahead, measured

    with run.screen.waiting("Compiling"):
        compile_ahead(folder)
        measurement = hexed(measured(compiled=folder).measurement())
    document = {"folder": str(folder), "measurement": measurement}
    return Output(document, [facts(document)])


@command(worker, "top-up", example="cloister worker top-up 5")
def top_up(
    run: Run,
    amount: Annotated[int, typer.Argument(metavar="ETH", parser=parse_amount, help="Sum to add: 5, 0.5ether.")],
) -> Output:
    """Add to the stake."""
    return _transact(run, lambda operator: operator.top_up(amount))


@command(worker, "rotate-keys", example="cloister worker rotate-keys")
def rotate_keys(run: Run) -> Output:
    """Replace the keys of a worker without an enclave.

    Stop the worker first and start it again afterwards. The old keys stay on disk for jobs under way. An enclave makes
    keys of its own whenever it starts.
    """
    if run.settings.enclave == "on":
        raise InvalidInput(
            "This worker's keys are made by its enclave, anew with each start.",
            "Start the worker again to replace them, or say --enclave off if it runs without.",
        )
    return _transact(run, lambda operator: operator.rotate_keys())


@command(worker, "exit", example="cloister worker exit")
def announce_exit(run: Run) -> Output:
    """Leave later draws and start the exit delay.

    Keep the worker running until its last job is over.
    """
    return _transact(run, lambda operator: operator.announce_exit())


@command(worker, "withdraw-stake", example="cloister worker withdraw-stake")
def withdraw_stake(run: Run) -> Output:
    """Get the stake back after the exit delay.

    No job may lock any of it any more.
    """
    return _transact(run, lambda operator: operator.withdraw())


@command(worker, "status", example="cloister worker status")
def status(run: Run) -> Output:
    """Show the worker's stake, keys, credit and balance."""
    return _status(run)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second one ends the process as it would have without this."""
    stop = threading.Event()
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def handle(*_: object) -> None:
        stop.set()
        restore()

    for number in usual:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        restore()


def _introduction(run: Run, enclosure: Enclosure | None) -> Output:
    network, account = run.network, run.unlocked.address
    node = network.nodes.node(account)
    from cloister.attestation.providers import DevelopmentProvider

    provider = None if enclosure is None else enclosure.provider
    warning = None
    if enclosure is None:
        warning = UNENCLOSED
    elif provider is None:
        warning = UNATTESTED
    elif isinstance(provider, DevelopmentProvider):
        warning = DEVELOPMENT
    protections = () if enclosure is None else enclosure.enclave.protections
    document = {
        "chain_id": network.connection.chain_id,
        "market": network.market.address,
        "registry": network.nodes.address,
        **node_document(node),
        "evidence": None if provider is None else provider.name,
        "protections": {each.name: each.held for each in protections},
        "warning": warning,
    }
    shown: dict[str, object] = {
        "worker": account,
        "stake": ether(node.stake),
        "chain": network.connection.chain_id,
        "market": network.market.address,
    }
    if enclosure is not None:
        missing = [f"{each.name} ({each.detail})" for each in protections if not each.held]
        shown["enclave"] = "protected by " + ", ".join(each.name for each in protections if each.held)
        shown["missing"] = ", ".join(missing) or "nothing"
        shown["evidence"] = "none" if provider is None else provider.name
    return Output(document, [facts(shown), *([] if warning is None else [warning])])


def _transact(run: Run, act: Callable[[Operator], Receipt]) -> Output:
    with run.operator() as operator:
        receipt = act(operator)
    shown = _status(run)
    return Output(dict(shown.document) | receipt_document(receipt), [*shown.parts, receipt_line(receipt)])


def _status(run: Run) -> Output:
    from cloister.bootstrap import worker_secrets

    network, account = run.network, run.address
    node = network.nodes.node(account)
    credit, balance = network.market.credit(account), network.connection.balance(account)
    attestation, prompt = network.nodes.attestation(account), network.nodes.prompt_key(account)
    stored = [secret.epoch for secret in worker_secrets(run.settings).list() if secret.worker == account]
    document: dict[str, Any] = {
        "chain_id": network.connection.chain_id,
        "registry": network.nodes.address,
        **node_document(node),
        "credit_wei": str(credit),
        "balance_wei": str(balance),
        "keys_here": stored,
        "attested_until": attestation.until or None,
        "prompt_key_until": prompt.expires_at or None,
    }
    keys = "keys on this machine" if node.key_epoch in stored else "keys in an enclave, or on another machine"
    shown = {
        "worker": account,
        "stake": ether(node.stake),
        "free": ether(node.stake - node.locked),
        "key epoch": f"{node.key_epoch}, {keys}",
        "attestation": "none" if not attestation.until else f"until {time_text(attestation.until)}",
        "exit": exit_text(node),
        "credit": ether(credit),
        "balance": ether(balance),
    }
    if not node.registered:
        shown = {"worker": account, "stake": "not registered", "balance": ether(balance)}
    return Output(document, [facts(shown)])
