"""`make demo`: a local testnet on which wallets pay for inference and one worker in four lies.

Each network answers three jobs by agreement and one with a zero-knowledge proof that the chain checks; and once more
with sealed weights, whose key two of three brokers give to attested enclaves only, a job that one such enclave answers.
Then the keys of an enclave are stolen: its worker signs a wrong answer, which is challenged and overturned by a proof.
Prints what happens as the chain tells it, tables at the end, and writes .demo/report.json. Exits with 1 if any answer
differs from the model run locally, if the liar is not slashed or gets a key, or if one wei is unaccounted for.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

from cloister.appeals import Appeals
from cloister.broker.licences import Licence, Tier
from cloister.chain.follower import Follower, Rollback
from cloister.client import Client
from cloister.devnet.accounting import Books
from cloister.devnet.testnet import Testnet
from cloister.domain.answer import RefusalReason
from cloister.domain.attested import Policy
from cloister.domain.commitments import version_id
from cloister.domain.errors import CloisterError
from cloister.domain.events import (
    JobEvent,
    JobProved,
    JobRefunded,
    JobRequested,
    JobSettled,
    KeysDelivered,
    OutputCommitted,
    OutputRevealed,
    ResultChallenged,
    ResultOverturned,
    ResultUpheld,
    RevealsOpened,
    SeatRefused,
)
from cloister.domain.ids import NOBODY, JobId, VersionId, hexed
from cloister.domain.request import Assurance, Level
from cloister.fixedpoint import HeldOut, Package, load_heldout, load_package
from cloister.storage.release_entries import read_log

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("breast-cancer", "digits", "digits-cnn")
ROWS_PER_MODEL = 3
AGREED, ATTESTED, PROVED = (Assurance.parse(text) for text in ("agreed(3,2)", "attested", "proved"))
BROKERS, THRESHOLD, HONEST = 3, 2, 3
DEVELOPMENT = "DEVELOPMENT EVIDENCE: enclaves run, but nobody vouches for this machine. Nothing here is protected."
PRICE = 10**15
"""Wei per agreeing worker."""
MOST_TRIES = 12
"""A proved job is posted again when the liar was drawn: it has no proof of a lie, and refuses."""
EXTRA_JOBS = 12
"""The liar is drawn for three jobs in four; should it be in none of the first nine, so many more are posted for it."""

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Task:
    """One held-out row of one model; `version` is the open one, or the sealed one for attested jobs."""

    model: str
    version: VersionId
    package: Package
    heldout: HeldOut
    row: int
    level: Assurance

    def input(self) -> Any:
        """The row as a batch of one."""
        return self.heldout.rows[self.row : self.row + 1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one job, beside what the model gives when it is run here."""

    job_id: JobId
    model: str
    level: Assurance
    label: str
    expected: str
    got: str | None
    matches_reference: bool
    gas: dict[str, int]
    seconds: float
    proof_seconds: float | None
    proof_checked: bool
    tries: int


def main() -> int:
    """Runs the demonstration; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chain", choices=("anvil", "py-evm"), default="anvil", help="default: anvil")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo", help="made anew; default: .demo")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with Testnet(arguments.folder, arguments.chain) as net:
            return demonstrate(net)
    except CloisterError as error:
        console.print(f"[red]demo failed:[/red] {error}")
        return 1


def demonstrate(net: Testnet) -> int:
    """Registers, publishes, requests, waits, counts the money; returns the exit status."""
    say(f"chain {net.kind} at {net.node.url}, market {net.deployment.job_market}")
    net.add_brokers(BROKERS)
    say(f"{BROKERS} key brokers run; {THRESHOLD} of them are needed for a model's key")
    for _ in range(HONEST):
        net.add_worker()
    net.add_worker("liar", module=("cloister.devnet.liar",))
    for worker in net.workers:
        say(f"{worker.name:9} {worker.address} registered with 100 ether of stake")
    books = Books(net)
    net.start()
    say("stakes have aged by one epoch; four worker processes follow the chain")
    tell_attestations(net)

    tasks = publish(net)
    with watching(net), ThreadPoolExecutor(len(MODELS)) as pool:
        outcomes = [outcome for done in pool.map(lambda args: run(net, *args), enumerate(tasks)) for outcome in done]
        for _ in range(EXTRA_JOBS):
            if any(outvoted(net, outcome) for outcome in outcomes):
                break
            outcomes += run(net, 0, tasks[0][:1])
        problems = overturn(net)
        await_slashes(net, outcomes)
        net.check()
    slashes = net.network.nodes.slashes(net.deployment.block)
    withdraw(net)
    problems += books.problems()
    for level in (AGREED, ATTESTED, PROVED):
        show(level, [outcome for outcome in outcomes if outcome.level == level])

    liar, breaker = net.workers[HONEST:]
    slashed = [{"worker": net.name_of(s.worker), "address": s.worker, "wei": str(s.amount)} for s in slashes]
    if any(slash.worker not in (liar.address, breaker.address) for slash in slashes):
        problems.append("an honest worker was slashed")
    for faulty in (liar, breaker):
        if all(slash.worker != faulty.address for slash in slashes):
            problems.append(f"the {faulty.name} was not slashed")
    unchecked = [o for o in outcomes if o.level == PROVED and not o.proof_checked]
    problems += [f"the proof of job {hexed(o.job_id)} was not checked here" for o in unchecked]
    releases = released(net)
    if any(worker in (liar.address, breaker.address) for _, worker in releases):
        problems.append("a broker released a share to a worker that the licence does not name")
    problems += [f"job {hexed(o.job_id)} differs from the reference" for o in outcomes if not o.matches_reference]
    report = {
        "jobs": [as_json(outcome) for outcome in outcomes],
        "slashed": slashed,
        "attested": attested(net),
        "releases": [{"broker": broker, "worker": net.name_of(worker)} for broker, worker in releases],
        "conserved": not books.problems(),
        "chain": {"kind": net.kind, "id": net.deployment.chain_id, "blocks": net.w3.eth.block_number},
    }
    path = net.folder / "report.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    for problem in problems:
        console.print(f"[red]wrong:[/red] {problem}")
    if not problems:
        lost = sum(slash.amount for slash in slashes if slash.worker == liar.address) / 1e18
        say(f"{len(outcomes)} jobs settled right; the liar was outvoted and lost {lost:.3f} ether")
        say(f"{len(releases)} shares of keys were released, to licensed enclaves only; each broker's log is whole")
        say(books.summary)
    console.print(f"[bold yellow]{DEVELOPMENT}[/bold yellow]")
    say(f"report: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return 1 if problems else 0


def publish(net: Testnet) -> list[list[Task]]:
    """Publishes the three models, open and sealed, and registers their circuits; returns the rows to run, by model."""
    tasks = []
    policy = net.policy
    assert policy is not None  # this testnet has enclaves
    with net.client() as owner:
        for model in MODELS:
            package, heldout = load_package(ROOT / "models" / model), load_heldout(ROOT / "models" / model)
            version = owner.publisher.publish_provable(package, PRICE)
            say(f"model {model}: version {short(version)}, {PRICE / 1e18} ether per agreeing worker")
            registered = owner.journal.find(f"register-circuit:{hexed(version)}")
            receipt = None if registered is None else owner.sender.receipt(registered.hash)
            if receipt is not None:
                say(f"model {model}: weights proved to be integers, circuit registered ({receipt.gas_used:,} gas)")
            sealed = publish_sealed(net, owner, package, policy)
            say(f"model {model}: sealed version {short(sealed)}, for enclaves with one measurement only")
            wanted = [(version, AGREED)] * ROWS_PER_MODEL + [(version, PROVED), (sealed, ATTESTED)]
            tasks.append([Task(model, v, package, heldout, row, level) for row, (v, level) in enumerate(wanted)])
    for of_model in tasks:
        net.await_enrolled(of_model[-1].version, HONEST)
    net.age_stakes()
    say(f"{HONEST} enclaves have the keys and are enrolled for the sealed versions; the liar is not")
    return tasks


def publish_sealed(net: Testnet, owner: Client, package: Package, policy: Policy) -> VersionId:
    """Seals a package, licenses it and publishes it; in this order, so that no enclave asks for the key too early."""
    sealed = net.seal(package, THRESHOLD)
    chain_id, models = net.deployment.chain_id, net.deployment.model_registry
    named = frozenset(worker.address for worker in net.workers[:HONEST])
    licence = Licence((Tier("honest", workers=named, releases=None, start=0, until=None),))
    net.license(version_id(chain_id, models, owner.account, sealed.digest), licence)
    return owner.publisher.publish(sealed, PRICE, policy=policy)


def overturn(net: Testnet) -> list[str]:
    """A worker with stolen enclave keys answers wrongly and is paid; a proof takes it back. Returns what went wrong."""
    package, heldout = load_package(ROOT / "models" / "digits"), load_heldout(ROOT / "models" / "digits")
    breaker = net.add_worker("breaker", module=("cloister.devnet.broken",))
    say("breaker joins: it has the keys of an attested enclave, and signs what it likes with them")
    with net.client(1) as owner:
        version = owner.publisher.publish_provable(package, PRICE, policy=net.policy)
    net.start()
    net.await_enrolled(version, HONEST + 1)
    net.age_stakes()
    rows = heldout.rows[:1]
    with net.client() as client:
        appeals = Appeals(client)
        job_id = client.request(version, rows, ATTESTED, worker=breaker.address)
        wrong = client.wait(job_id, timeout=120)
        if appeals.check(job_id).right or wrong.outputs is None:
            return [f"the broken enclave did not answer job {hexed(job_id)} wrongly"]
        say(f"job {short(job_id)}: the requester runs the model itself, and finds the signed answer wrong")
        bond = client.market.bond()
        challenged, judged = appeals.challenge(job_id), appeals.judge(job_id)
        say(f"job {short(job_id)}: challenged with a bond of {bond / 1e18:.4f} ether, and the right output proved")
        right = client.result(job_id)
        gas = challenged.gas_used + judged.gas_used
    if right.outputs is None or not bool((right.outputs == package.run(rows)).all()):
        return [f"the proof did not give job {hexed(job_id)} the right answer"]
    say(f"job {short(job_id)}: overturned for {gas:,} gas, most of it for the proof")
    return []


def outvoted(net: Testnet, outcome: Outcome) -> bool:
    """Whether a seat of a job revealed another output than the result."""
    with net.client() as client:
        job = client.job(outcome.job_id)
    return bool(job.revealed.keys() - job.agreeing)


def await_slashes(net: Testnet, outcomes: list[Outcome]) -> None:
    """Waits until the outvoted of all jobs have lost their stake: when nobody can challenge the results any more."""
    waiting = [outcome.job_id for outcome in outcomes if outvoted(net, outcome)]
    say(f"{len(waiting)} results with an outvoted seat can still be challenged; then it loses its stake")
    deadline = time.monotonic() + 120
    while waiting and time.monotonic() < deadline:
        waiting = [job_id for job_id in waiting if net.network.market.outvoted(job_id)]
        time.sleep(0.5)


def attested(net: Testnet) -> list[dict[str, object]]:
    """What the chain knows of each worker's enclave; nothing of the liar's, which has none."""
    found: list[dict[str, object]] = []
    nodes = net.network.nodes
    for worker in net.workers:
        evidence = nodes.evidence(worker.address, net.deployment.block)
        if evidence is not None:
            measurement, status = hexed(evidence.measurement), evidence.status.label
            about = {"worker": worker.name, "measurement": measurement, "status": status}
            found.append({**about, "development": evidence.development})
    return found


def tell_attestations(net: Testnet) -> None:
    """One line per enclave."""
    for about in attested(net):
        say(f"{about['worker']:9} enclave attested: {str(about['measurement'])[:10]}… {about['status']}")
    console.print(f"[bold yellow]{DEVELOPMENT}[/bold yellow]")


def released(net: Testnet) -> list[tuple[str, str]]:
    """Broker and worker of every release, from the brokers' logs, whose hash chains are checked. Raises LogBroken."""
    found: list[tuple[str, str]] = []
    for broker in net.brokers:
        for path in broker.folder.glob("broker/releases-*.jsonl"):
            _, entries = read_log(path)
            found += [(broker.name, entry.release.worker) for entry in entries]
    return found


def run(net: Testnet, requester: int, tasks: list[Task]) -> list[Outcome]:
    """One wallet posts all its jobs, then sees each of them through."""
    with net.client(requester) as client:
        posted = []
        for task in tasks:
            began = time.monotonic()
            posted.append((task, began, client.request(task.version, task.input(), task.level)))
        return [finish(net, client, task, began, job_id) for task, began, job_id in posted]


def finish(net: Testnet, client: Client, task: Task, began: float, job_id: JobId) -> Outcome:
    """Waits for a job and compares its answer with the model run here."""
    result, tries = client.wait(job_id, timeout=120), 1
    while task.level == PROVED and result.outputs is None and tries < MOST_TRIES:
        began = time.monotonic()
        job_id = client.request(task.version, task.input(), task.level)
        result, tries = client.wait(job_id, timeout=120), tries + 1
    seconds = time.monotonic() - began
    reference = task.package.run(task.input())
    labels = task.package.manifest.labels
    gas = {step: sum(units) for step, units in client.market.gas(job_id, net.deployment.block).items()}
    return Outcome(
        job_id,
        task.model,
        task.level,
        str(labels[task.heldout.labels[task.row]]),
        str(labels[reference[0].argmax()]),
        result.predictions[0] if result.predictions else None,
        result.outputs is not None and bool((result.outputs == reference).all()),
        gas,
        seconds,
        proof_seconds(net, job_id) if task.level == PROVED else None,
        result.proof_checked,
        tries,
    )


def proof_seconds(net: Testnet, job_id: JobId) -> float | None:
    """How long its worker took to prove a job, as it says itself."""
    for worker in net.workers:
        if found := re.search(rf"proof made job={hexed(job_id)} seconds=([\d.]+)", worker.said):
            return float(found[1])
    return None


def withdraw(net: Testnet) -> None:
    """Everybody takes what the market owes them, and the burned share is burned."""
    network = net.network
    owed = [*(worker.address for worker in net.workers), Books.BURN]
    with net.client() as client:
        for account in owed:
            if network.market.credit(account):
                client.sender.transact(f"withdraw-for:{account}", network.market.withdraw(account))
        client.withdraw()
    for requester in range(1, len(MODELS)):
        with net.client(requester) as client:
            client.withdraw()


@contextmanager
def watching(net: Testnet) -> Iterator[None]:
    """Prints the market's events as they are mined, until the block ends."""
    stop = threading.Event()
    network = net.network
    follower = Follower(network.connection, network.market, net.deployment.block)

    def watch() -> None:
        last = False
        while not last:
            last = stop.wait(0.2)
            for update in follower.poll():
                if not isinstance(update, Rollback):
                    for number, event in update.events:
                        tell(net, number, event)

    thread = threading.Thread(target=watch, name="watch")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


STEPS = {Level.AGREED: ("commit", "reveal"), Level.ATTESTED: ("answer",), Level.PROVED: ("prove",)}
COMMITTEES: dict[JobId, tuple[str, ...]] = {}


def tell(net: Testnet, number: int, event: JobEvent) -> None:
    """One line per event."""
    job = short(event.job_id)
    match event:
        case JobRequested():
            line = f"requested, {event.request.escrow / 1e18} ether in escrow"
        case KeysDelivered():
            COMMITTEES[event.job_id] = tuple(net.name_of(w) if w != NOBODY else "vacant" for w in event.committee)
            line = f"drew {', '.join(COMMITTEES[event.job_id])}"
        case OutputCommitted():
            line = f"{net.name_of(event.worker)} committed"
        case OutputRevealed():
            alone = len(COMMITTEES[event.job_id]) == 1
            what = "answered from its enclave:" if alone else "revealed"
            line = f"{net.name_of(event.worker)} {what} {short(event.output_commitment)}"
        case JobProved():
            line = f"{net.name_of(event.prover)} proved its output"
        case SeatRefused():
            line = f"{net.name_of(event.worker)} refused: {RefusalReason(event.reason).name.lower().replace('_', ' ')}"
        case JobSettled():
            seats = list(enumerate(COMMITTEES[event.job_id]))
            paid = ", ".join(name for seat, name in seats if event.agreeing >> seat & 1)
            wrong = ", ".join(name for seat, name in seats if not event.agreeing >> seat & 1)
            line = f"[green]settled[/green]: {paid} paid" + (f"; [red]{wrong} outvoted[/red]" if wrong else "")
        case ResultChallenged():
            line = f"[yellow]challenged[/yellow] with a bond of {event.bond / 1e18:.4f} ether"
        case ResultUpheld():
            line = "stands for good; [red]the outvoted lose their stake[/red]"
        case ResultOverturned():
            seats = list(enumerate(COMMITTEES[event.job_id]))
            wrong = ", ".join(name for seat, name in seats if event.wrong >> seat & 1)
            line = f"[green]overturned[/green] by proof; [red]{wrong} slashed[/red]"
        case JobRefunded():
            line = f"[red]refunded[/red]: {event.reason.name.lower()}"
        case RevealsOpened():
            return
        case _:
            line = type(event).__name__
    console.print(f"block {number:4}  job {job}  {line}")


def show(level: Assurance, outcomes: list[Outcome]) -> None:
    """A table at the end."""
    table = Table(title=f"{level}: {len(outcomes)} jobs on held-out rows")
    for column in ("job", "model", "truth", "prediction", "reference", "equal"):
        table.add_column(column)
    steps = ["request", "deliver", *STEPS[level.level]]
    for column in (*steps, "gas", *(["to prove"] if level == PROVED else []), "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for o in outcomes:
        gas = [f"{o.gas.get(step, 0):,}" for step in steps]
        equal = "yes" if o.matches_reference else "NO"
        cells = [short(o.job_id), o.model, o.label, o.got or "-", o.expected, equal, *gas]
        proof = [] if level != PROVED else ["-" if o.proof_seconds is None else f"{o.proof_seconds:.2f} s"]
        table.add_row(*cells, f"{sum(o.gas.values()):,}", *proof, f"{o.seconds:.1f}")
    Console(width=max(console.width, 144)).print(table)


def as_json(o: Outcome) -> dict[str, object]:
    """A job in the report."""
    return {
        "id": hexed(o.job_id),
        "model": o.model,
        "level": str(o.level),
        "label": o.label,
        "expected": o.expected,
        "got": o.got,
        "matches_reference": o.matches_reference,
        "gas": o.gas,
        "seconds": round(o.seconds, 3),
        "proof_seconds": o.proof_seconds,
        "proof_checked": o.proof_checked,
        "tries": o.tries,
    }


def short(value: bytes) -> str:
    """Enough of an id to tell it from the others on the screen."""
    return hexed(value)[:10]


def say(text: str) -> None:
    """One line of the story."""
    console.print(f"[bold]·[/bold] {text}")


if __name__ == "__main__":
    sys.exit(main())
