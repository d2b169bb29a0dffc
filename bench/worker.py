"""`make bench-worker`: what an idle worker uses, and how long a job takes, at one-second blocks.

Three worker processes on anvil. CPU time comes from the kernel's accounting of those processes (Linux). Latency is
counted in the chain's own seconds, from the block of the request to the block that settled it, and as the requester
sees it, from the call to the opened answer. Writes bench/results/worker.json and a
sentence in README.md.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

from cloister.devnet.testnet import Testnet
from cloister.domain.request import Assurance
from cloister.fixedpoint import load_heldout, load_package

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "worker.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- worker: make bench-worker -->", "<!-- end worker -->"
MODEL = ROOT / "models" / "digits"
IDLE_SECONDS = 20.0
JOBS = 8
LEVEL = Assurance.parse("agreed(3,2)")


def main() -> None:
    """Measures and writes the results."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder, Testnet(Path(folder) / "net", block_time=1.0) as net:
        for _ in range(3):
            net.add_worker()
        net.start()
        time.sleep(2)
        results = {"block_seconds": 1.0, "poll_seconds": 0.25, **idle(net), **latency(net)}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))
    README.write_text(with_sentence(README.read_text("utf-8"), results), "utf-8")


def with_sentence(text: str, results: dict[str, Any]) -> str:
    """README.md with its sentence on workers replaced."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    chain = results["seconds_request_block_to_settled_block"]["median"]
    seen = results["seconds_call_to_answer"]["median"]
    sentence = (
        f"At one-second blocks a job is settled {chain:.0f} s after the block of its request, and answered "
        f"{seen:.1f} s after the call. An idle worker that looks at the chain {1 / results['poll_seconds']:.0f} times "
        f"a second uses {max(results['idle_percent_of_a_core']):.2f}% of a core and {max(results['memory_mb'])} MB, "
        "its enclave included."
    )
    return "\n".join([head + BEGIN, sentence, END + tail])


def idle(net: Testnet) -> dict[str, Any]:
    """Share of a core, in percent, that each worker and its enclave use while nothing is asked of it; memory in MB."""
    families = [family(worker.process.pid) for worker in net.workers if worker.process]
    before, began = [sum(map(cpu_seconds, pids)) for pids in families], time.monotonic()
    time.sleep(IDLE_SECONDS)
    passed = time.monotonic() - began
    shares = [100 * (sum(map(cpu_seconds, f)) - start) / passed for f, start in zip(families, before, strict=True)]
    return {
        "idle_percent_of_a_core": [round(share, 2) for share in shares],
        "memory_mb": [round(sum(map(memory_mb, pids))) for pids in families],
    }


def family(pid: int) -> list[int]:
    """A process and all that it has started: of a worker, the sandbox and the enclave in it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def latency(net: Testnet) -> dict[str, Any]:
    """Seconds from request to settlement, median and longest."""
    package, heldout = load_package(MODEL), load_heldout(MODEL)
    chain, seen = [], []
    with net.client() as client:
        version = client.publisher.publish(package, 10**15)
        for row in range(JOBS):
            began = time.monotonic()
            job_id = client.request(version, heldout.rows[row : row + 1], LEVEL)
            client.wait(job_id, timeout=60)
            seen.append(time.monotonic() - began)
            logs = net.network.connection.logs_of_job(net.deployment.job_market, job_id, net.deployment.block)
            first, last = (net.w3.eth.get_block(logs[at]["blockNumber"])["timestamp"] for at in (0, -1))
            chain.append(last - first)
    return {
        "jobs": JOBS,
        "level": str(LEVEL),
        "seconds_request_block_to_settled_block": {"median": statistics.median(chain), "max": max(chain)},
        "seconds_call_to_answer": {"median": round(statistics.median(seen), 2), "max": round(max(seen), 2)},
    }


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
