"""`make bench-gas`: gas of every transaction in the life of a job, by level and size of committee.

Measured on anvil with 32-byte inputs and outputs, as the peers in bench/peers.json were. Gas is exact: two runs differ
only by the zero bytes that random keys happen to have, and by who is drawn. Workers have been paid before, except where
the table says that it is their first job, which opens their credit. What enclaves cost is that of worker processes with
development devices, whose quotes the same contract judges as Intel's. Writes bench/results/gas.json and the tables in
README.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import structlog
import torch

from cloister.appeals import Appeals
from cloister.chain.artifacts import artifact
from cloister.client import Client
from cloister.devnet.accounts import account
from cloister.devnet.testnet import FIRST_WORKER, Testnet
from cloister.domain.attested import Policy
from cloister.domain.commitments import JobContext, masked_output
from cloister.domain.events import JobProved
from cloister.domain.ids import NOBODY, Address, JobId, VersionId
from cloister.domain.request import Assurance
from cloister.fixedpoint import Arithmetic, InputSpec, load_heldout, load_package, package_model
from cloister.worker import Worker

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "gas.json"
README = ROOT / "README.md"
COMMITTEES = ("agreed(2,2)", "agreed(3,2)", "agreed(5,3)", "agreed(9,5)", "agreed(15,8)")
HEADLINE = "AGREED(3, 2)"
WORKERS = 15
PRICE = 10**15
WARM_UP = 3
"""Jobs with all workers before the warm ones, so that every credit account exists."""
REPEATS = 3
MAX_ROUNDS = 40
ROW = [[1, -2, 3, -4, 5, -6, 7, -8]]
ENCLAVES, ANSWERS = 2, 8
PROVED_MODEL = "breast-cancer"
MOST_PROOF_GAS = 2_000_000
ENCLAVE_STEPS = {
    "addPlatform": "register a machine",
    "attest": "attest an enclave for the first time",
    "postPromptKey": "post a prompt key",
    "enrol": "enrol for a version",
}


def main() -> None:
    """Measures, writes the results, and renews the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables-only", action="store_true", help="renew the tables from the committed results")
    if not parser.parse_args().tables_only:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        with tempfile.TemporaryDirectory() as folder:
            results = measure(Path(folder)) | {"enclave": enclave(Path(folder)), "proof": proofs(Path(folder))}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
        print(f"wrote {RESULTS.relative_to(ROOT)}")
    README.write_text(with_tables(README.read_text("utf-8"), json.loads(RESULTS.read_text())), "utf-8")
    print("renewed the gas tables in README.md")


def measure(folder: Path) -> dict[str, Any]:
    """Runs jobs with committees of every size; returns gas by level and step."""
    with Testnet(folder / "net", block_time=0.05, enclaves=False) as net, ExitStack() as stack:
        once: dict[str, int] = {}
        for _ in range(WORKERS):
            net.add_worker()
        # Workers in this process: what they pay for is the same, and fifteen interpreters would take minutes to start.
        net.age_stakes()
        workers = [stack.enter_context(net.worker(index)) for index in range(WORKERS)]
        client = stack.enter_context(net.client())
        once["register a worker"] = gas_of_first(net, account(net.w3, FIRST_WORKER).address)
        version = publish(client)
        once["publish a model"] = last_gas(net, client.account)
        levels: dict[str, Any] = {}
        first = settle(net, client, workers, version, Assurance.parse("agreed(3,2)"))
        for _ in range(WARM_UP):
            settle(net, client, workers, version, Assurance.parse(f"agreed({WORKERS},{WORKERS // 2 + 1})"))
        for text in COMMITTEES:
            level = Assurance.parse(text)
            runs = [settle(net, client, workers, version, level) for _ in range(REPEATS)]
            levels[str(level)] = max(runs, key=lambda run: run["total"])
        levels[f"{HEADLINE}, first job of its workers"] = first
        client.sender.transact("bench:withdraw", client.market.withdraw(account(net.w3, FIRST_WORKER).address))
        once["withdraw a credit"] = last_gas(net, client.account)
    return {"payload": "32-byte input, 32-byte output", "gas_cap": 1 << 24, "jobs": levels, "once": once}


def enclave(folder: Path) -> dict[str, Any]:
    """What each transaction of a worker's enclave costs, at most, and a job that it answers alone."""
    with Testnet(folder / "enclaves", block_time=0.2) as net:
        workers = [net.add_worker() for _ in range(ENCLAVES)]
        net.start()
        with net.client() as client:
            version = publish(client, net.policy)
            net.await_enrolled(version, ENCLAVES)
            net.age_stakes()
            hired = [answered(net, client, version, workers[n % ENCLAVES].address) for n in range(ANSWERS)]
            jobs = [answered(net, client, version) for _ in range(ANSWERS)]
        once: dict[str, int] = {}
        for worker in workers:
            for name, units in sent_by(net, worker.address):
                once[name] = max(units, once.get(name, 0))
    # The first jobs of their workers open their credit, and their locks.
    first, warm = hired[:ENCLAVES], hired[ENCLAVES:]
    dearest = {"job": dearest_of(jobs), "hired": dearest_of(warm), "hired, first": dearest_of(first)}
    return {**dearest, "once": once}


def proofs(folder: Path) -> dict[str, Any]:
    """What the market adds to a proof: in a job that is settled by one, and in a dispute that is."""
    package, rows = load_package(ROOT / "models" / PROVED_MODEL), load_heldout(ROOT / "models" / PROVED_MODEL).rows[:1]
    with Testnet(folder / "proofs", block_time=0.2) as net:
        honest = net.add_worker()
        broken = net.add_worker("broken", module=("cloister.devnet.broken",))
        net.start()
        with net.client() as client:
            version = client.publisher.publish_provable(package, PRICE, policy=net.policy)
            net.await_enrolled(version, 2)
            net.age_stakes()
            hired: list[dict[str, int]] = []
            for _ in range(REPEATS + 1):
                job_id = client.request(version, rows, Assurance.parse("proved"), worker=honest.address)
                client.wait(job_id, timeout=60)
                hired.append(with_proof(net, job_id))
            attested = Assurance.parse("attested")
            job_id = client.request(version, rows, attested, worker=honest.address)
            client.wait(job_id, timeout=60)
            Appeals(client).challenge(job_id)
            while not client.job(job_id).decided:
                net.next_block()
            upheld = with_proof(net, job_id)
            job_id = client.request(version, rows, attested, worker=broken.address)
            client.wait(job_id, timeout=60)
            Appeals(client).challenge(job_id)
            Appeals(client).judge(job_id)
            overturned = with_proof(net, job_id)
    return {"model": PROVED_MODEL, "PROVED": dearest_of(hired[1:]), "upheld": upheld, "overturned": overturned}


def with_proof(net: Testnet, job_id: JobId) -> dict[str, int]:
    """Gas of a job by step, and of a transaction that does nothing but check the proof in it."""
    network = net.network
    market = network.market
    logs = network.connection.logs_of_job(market.address, job_id, net.deployment.block)
    [proving] = [log["transactionHash"] for log in logs if isinstance(market.decode(log), JobProved)]
    transaction: Any = net.w3.eth.get_transaction(proving)
    market_abi = net.w3.eth.contract(address=transaction["to"], abi=artifact("IJobMarket").abi)
    _, given = market_abi.decode_function_input(transaction["input"])
    registered = network.models.circuit_of(VersionId(given["ticket"]["terms"]["version"]))
    assert registered is not None  # it was proved
    opening = given["opening"]
    output = masked_output(opening["padDigest"], given["masked"])
    context = JobContext(net.deployment.chain_id, market.address, job_id).proof_context(transaction["from"])
    address: Any = network.verifiers.verifier(registered.verifier).address
    verifier = net.w3.eth.contract(address=address, abi=artifact("MatrixProofVerifier").abi)
    about = registered.circuit, registered.weights, opening["inputDigest"], output, context, given["proof"]
    # Not estimated: a verifier that runs out of gas says no, and an estimate is the least that does not revert.
    sent = verifier.functions.verify(*about).transact({"from": net.w3.eth.accounts[0], "gas": MOST_PROOF_GAS})
    alone = net.w3.eth.wait_for_transaction_receipt(sent)["gasUsed"]
    steps = {step: sum(units) for step, units in market.gas(job_id, net.deployment.block).items()}
    return steps | {"total": sum(steps.values()), "proof alone": alone}


def dearest_of(jobs: list[dict[str, int]]) -> dict[str, int]:
    """The job that cost most in all."""
    return max(jobs, key=lambda job: job["total"])


def answered(net: Testnet, client: Client, version: VersionId, worker: Address = NOBODY) -> dict[str, int]:
    """One attested job from request to settlement, of a drawn worker or a named one; returns gas by step."""
    job_id = client.request(version, ROW, Assurance.parse("attested"), worker=worker)
    if client.wait(job_id, timeout=60).outputs is None:
        sys.exit("an attested job was not answered")
    steps = {step: units for step, (units,) in client.market.gas(job_id, net.deployment.block).items()}
    return steps | {"total": sum(steps.values())}


def sent_by(net: Testnet, sender: str) -> Iterator[tuple[str, int]]:
    """What an account has sent to the registry and to the verifier of quotes, and the gas of each."""
    network = net.network
    contracts = {
        network.nodes.address: artifact("NodeRegistry").abi,
        network.nodes.quotes(): artifact("TdxQuoteVerifier").abi,
    }
    for number in range(1, net.w3.eth.block_number + 1):
        for found in net.w3.eth.get_block(number, full_transactions=True)["transactions"]:
            transaction: Any = found
            if transaction["from"] == sender and transaction["to"] in contracts:
                contract = net.w3.eth.contract(abi=contracts[transaction["to"]])
                function, _ = contract.decode_function_input(transaction["input"])
                if (name := ENCLAVE_STEPS.get(function.fn_name)) is not None:
                    yield name, net.w3.eth.get_transaction_receipt(transaction["hash"])["gasUsed"]


def publish(client: Client, policy: Policy | None = None) -> VersionId:
    """A linear model of 8 inputs and 8 outputs: 32 bytes each."""
    arithmetic = Arithmetic(t=13, f=8, s=12)
    torch.manual_seed(1)
    model = torch.nn.Linear(8, 8, dtype=torch.float64)
    rows = torch.randn(64, 8, dtype=torch.float64).numpy()
    spec = InputSpec.fit(rows, arithmetic)
    labels = [str(i) for i in range(8)]
    package = package_model(model, name="bench", labels=labels, input_spec=spec, arithmetic=arithmetic)
    return client.publisher.publish(package, PRICE, policy=policy)


def settle(net: Testnet, client: Client, workers: list[Worker], version: VersionId, level: Assurance) -> dict[str, Any]:
    """One job, all honest, from request to settlement; returns gas by step."""
    job_id: JobId = client.request(version, ROW, level)
    for _ in range(MAX_ROUNDS):
        job = client.step(job_id)
        if job.answered:
            break
        for worker in workers:
            worker.step()
        net.next_block()
    else:
        sys.exit(f"the job did not settle in {MAX_ROUNDS} rounds")
    steps = client.market.gas(job_id, net.deployment.block)
    reveals = sorted(steps["reveal"])
    return {
        "request": steps["request"][0],
        "deliver": steps["deliver"][0],
        "commit": steps["commit"],
        "reveal": reveals[:-1],
        "reveal and settle": reveals[-1],
        "total": sum(sum(units) for units in steps.values()),
        "dearest": max(max(units) for units in steps.values()),
    }


def last_gas(net: Testnet, sender: str) -> int:
    """Gas of the newest transaction of an account."""
    return _gas(net, sender, range(net.w3.eth.block_number, 0, -1))


def gas_of_first(net: Testnet, sender: str) -> int:
    """Gas of the oldest transaction of an account."""
    return _gas(net, sender, range(1, net.w3.eth.block_number + 1))


def _gas(net: Testnet, sender: str, blocks: range) -> int:
    for number in blocks:
        for transaction in net.w3.eth.get_block(number, full_transactions=True)["transactions"]:
            if transaction["from"] == sender:  # type: ignore[index]
                return net.w3.eth.get_transaction_receipt(transaction["hash"])["gasUsed"]  # type: ignore[index]
    sys.exit(f"{sender} has sent nothing")


def with_tables(text: str, results: dict[str, Any]) -> str:
    """README.md with its generated tables replaced."""
    for name, table in TABLES.items():
        lines = table(results)
        begin, end = f"<!-- {name}: make bench-gas -->", f"<!-- end {name} -->"
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        if not rest or not _:
            sys.exit(f"README.md lacks the marks {begin} … {end}")
        text = "\n".join([head + begin, *lines, end + tail])
    return text


def per_step(results: dict[str, Any]) -> list[str]:
    """Gas by step, one row per committee."""
    lines = [
        "| job | request | deliver | commit, each | reveal, each | reveal or answer that settles | all transactions |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for level, run in results["jobs"].items():
        commit, reveal = max(run["commit"]), max(run["reveal"])
        cells = [run["request"], run["deliver"], commit, reveal, run["reveal and settle"]]
        lines.append(f"| {level} | " + " | ".join(f"{cell:,}" for cell in cells) + f" | **{run['total']:,}** |")
    for name, run in (("ATTESTED, worker named", "hired"), ("the same, its first job", "hired, first")):
        job = results["enclave"][run]
        lines.append(f"| {name} | {job['hire']:,} | - | - | - | {job['answer']:,} | **{job['total']:,}** |")
    job = results["enclave"]["job"]
    steps = f"{job['request']:,} | {job['deliver']:,} | - | - | {job['answer']:,}"
    lines.append(f"| ATTESTED, worker drawn | {steps} | **{job['total']:,}** |")
    return lines


def beside_proof(results: dict[str, Any]) -> list[str]:
    """What comes on top of checking a proof."""
    found = results["proof"]
    proved, alone = found["PROVED"], found["PROVED"]["proof alone"]
    rows = [("PROVED, worker named: `hire` and `prove`", proved["total"], alone)]
    for name in ("upheld", "overturned"):
        run = found[name]
        what = f"a challenge that a proof ends, result {name}: `challenge` and `judge`"
        rows.append((what, run["challenge"] + run["judge"], run["proof alone"]))
    lines = ["| what | gas | of it the proof alone | the rest |", "| --- | ---: | ---: | ---: |"]
    return lines + [f"| {what} | {all_:,} | {proof:,} | **{all_ - proof:,}** |" for what, all_, proof in rows]


def of_enclaves(results: dict[str, Any]) -> list[str]:
    """What a worker pays to have its enclave drawn."""
    once = results["enclave"]["once"]
    return ["| an enclave's transaction | gas |", "| --- | ---: |", *(f"| {name} | {once[name]:,} |" for name in once)]


def beside_peers(results: dict[str, Any]) -> list[str]:
    """Gas per job, ours among the peers'."""
    peers = json.loads((ROOT / "bench" / "peers.json").read_text("utf-8"))["gas_per_job"]
    rows = [(peer["gas"], f"{peer['system']}: {peer['what']}", False) for peer in peers]
    rows.append(
        (results["jobs"][HEADLINE]["total"], f"**Cloister {HEADLINE}**: three workers, commit and reveal", True)
    )
    rows.append(
        (results["enclave"]["hired"]["total"], "**Cloister ATTESTED**: one attested enclave, open to challenge", True)
    )
    lines = ["| gas per job | system |", "| ---: | --- |"]
    return lines + [f"| {f'**{gas:,}**' if ours else f'{gas:,}'} | {what} |" for gas, what, ours in sorted(rows)]


TABLES = {"gas-per-step": per_step, "gas-proof": beside_proof, "gas-enclave": of_enclaves, "gas-peers": beside_peers}


if __name__ == "__main__":
    main()
