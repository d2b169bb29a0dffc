"""`make bench-proof`: proofs of the same networks by Cloister and by EZKL, side by side in one run.

A, B and C are the packaged models; M512 and M1792 are random networks of those widths (M1792 needs 20 GB and half an
hour, nearly all of it EZKL's). Ours hides weights and input; EZKL's figures are its fastest setting with a public input
and its default with a hashed one. Each system proves in processes of its own; ours before and after EZKL's. Gas is that
of a transaction to the verifier contract, from its receipt. Writes bench/results/proof.json, the table in README.md and
docs/img/proof.svg.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloister.fixedpoint import Package

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results" / "proof.json"
README = ROOT / "README.md"
PLOT = ROOT / "docs" / "img" / "proof.svg"
EZKL = ROOT / ".toolchain" / "ezkl"
PACKAGED = {"A": "breast-cancer", "B": "digits", "C": "digits-cnn"}
RANDOM = {"M512": 512, "M1792": 1792}
SETTINGS = {"A": ("tuned", "hashed-default"), "B": ("tuned", "hashed-default"), "C": ("tuned", "hashed-default")}
REPEATS = {"M512": 5, "M1792": 3}
CONTEXT = b"bench".ljust(32, b"\0")


def main() -> None:
    """Measures, writes the results, and renews table and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="A,B,C,M512", help="comma-separated; M1792 is left out by default")
    parser.add_argument("--without-ezkl", action="store_true", help="measure ours alone")
    parser.add_argument("--tables-only", action="store_true", help="renew table and plot from the committed results")
    parser.add_argument("--own", metavar="NETWORK", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.own:
        options.out.write_text(json.dumps(own(options.own)))
        return
    if not options.tables_only:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
        names = options.networks.split(",")
        rows = {row["model"]: row for row in kept}
        for name in names:
            rows[name] = measure(name, SETTINGS.get(name, ("default",)) if not options.without_ezkl else ())
            RESULTS.parent.mkdir(exist_ok=True)
            ordered = [rows[key] for key in (*PACKAGED, *RANDOM) if key in rows]
            RESULTS.write_text(json.dumps(ordered, indent=2) + "\n")
            print(json.dumps(rows[name]), flush=True)
    results = json.loads(RESULTS.read_text())
    README.write_text(with_table(README.read_text("utf-8"), results), "utf-8")
    PLOT.write_text(drawn(results), "utf-8")
    print("renewed the proof table in README.md and docs/img/proof.svg")


def measure(name: str, settings: Sequence[str]) -> dict[str, Any]:
    """One network: ours, EZKL's, ours again."""
    before = in_process(name)
    theirs = {setting: ezkl(name, setting) for setting in settings}
    after = in_process(name)
    runs = sorted(before["runs"] + after["runs"])
    prove = statistics.median(runs)
    return {
        "model": name,
        "parameters": after["parameters"],
        "prove_s": round(prove, 4),
        "prove_runs": [round(run, 4) for run in runs],
        "verify_s": round(min(before["verify_s"], after["verify_s"]), 5),
        "proof_bytes": after["proof_bytes"],
        "gas": gas(after) if name in PACKAGED else None,
        "rss_mb": max(before["rss_mb"], after["rss_mb"]),
        "setup_s": after["setup_s"],
        "ezkl": theirs,
        "ratio": {setting: round(figures["prove_s"] / prove, 1) for setting, figures in theirs.items()},
    }


def in_process(name: str) -> dict[str, Any]:
    """`own` in a process whose memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "own.json"
        subprocess.run([sys.executable, __file__, "--own", name, "--out", str(out)], check=True)
        figures: dict[str, Any] = json.loads(out.read_text())
        return figures


def own(name: str) -> dict[str, Any]:
    """Prove one row again and again: hidden weights and input, public output."""
    from cloister.proving import commit_model, prove_inference, verify
    from cloister.proving.layout import real_entries
    from cloister.proving.messages import messages_size

    package, row = network(name)
    started = time.perf_counter()
    model = commit_model(package)
    setup = time.perf_counter() - started
    assert model.digest
    secret = bytes(32)
    proved = prove_inference(model, row, CONTEXT, secret)  # compiles, or loads what was compiled
    runs = []
    for _ in range(REPEATS.get(name, 9)):
        started = time.perf_counter()
        proved = prove_inference(model, row, CONTEXT, secret)
        runs.append(time.perf_counter() - started)
    verifying = []
    for _ in range(5):
        started = time.perf_counter()
        verify(proved.proof, CONTEXT)
        verifying.append(time.perf_counter() - started)
    statement = proved.statement
    digests = (statement.circuit.digest, statement.weights_digest, statement.inputs_digest, statement.outputs_digest)
    return {
        "parameters": real_entries(model.circuit),
        "runs": runs,
        "setup_s": round(setup, 3),
        "verify_s": statistics.median(verifying),
        "proof_bytes": messages_size(statement),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "digests": [digest.hex() for digest in digests],
        "proof": proved.proof.hex(),
    }


def network(name: str) -> tuple[Package, Any]:
    """A package, and one integer row for it."""
    import numpy as np
    import torch

    from cloister.fixedpoint import Arithmetic, InputSpec, load_heldout, load_package, package_model

    if name in PACKAGED:
        folder = ROOT / "models" / PACKAGED[name]
        return load_package(folder), load_heldout(folder).rows[:1]
    width = RANDOM[name]
    torch.manual_seed(0)
    layers = [torch.nn.Linear(64, width), torch.nn.Linear(width, width), torch.nn.Linear(width, 10)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.mul_(0.2)
    relu = torch.nn.ReLU()
    module = torch.nn.Sequential(layers[0], relu, layers[1], relu, layers[2])
    spec = InputSpec(shape=(64,), mean=("0",), scale=("1",), low=(0,), high=(256,))
    package = package_model(
        module,
        name=name.lower(),
        labels=[str(digit) for digit in range(10)],
        input_spec=spec,
        arithmetic=Arithmetic(t=9, f=8, s=12),
    )
    return package, np.random.default_rng(0).integers(0, 257, size=(1, 64))


def ezkl(name: str, setting: str) -> dict[str, Any]:
    """EZKL's figures, from its own environment."""
    python = EZKL / "bin" / "python"
    if not python.exists():
        sys.exit("EZKL is not installed: run this as `make bench-proof`.")
    work = ROOT / ".toolchain" / "ezkl-work"
    work.mkdir(exist_ok=True)
    out = work / f"{name}-{setting}.json"
    command = [python, ROOT / "bench" / "ezkl" / "measure.py", "--network", name, "--setting", setting]
    command += ["--work", work, "--out", out, "--repeats", str(1 if name == "M1792" else 3)]
    command += ["--package", ROOT / "models" / PACKAGED[name]] if name in PACKAGED else []
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    figures: dict[str, Any] = json.loads(out.read_text())
    return {key: figures[key] for key in ("prove_s", "verify_s", "setup_s", "proof_bytes", "rss_mb", "evm_gas")}


def gas(figures: dict[str, Any]) -> int:
    """Gas of a transaction that has the contract verify the proof, under the cap of 2^24."""
    from web3 import HTTPProvider, Web3
    from web3.types import TxParams

    from cloister.chain.artifacts import artifact
    from cloister.devnet.anvil import start_anvil

    found = artifact("MatrixProofVerifier")
    with start_anvil(block_time=0.05) as node:
        w3 = Web3(HTTPProvider(node.url))
        sender: TxParams = {"from": w3.eth.accounts[0], "gas": 1 << 24}
        deployed = w3.eth.contract(abi=found.abi, bytecode=found.bytecode).constructor().transact(sender)
        address = w3.eth.wait_for_transaction_receipt(deployed)["contractAddress"]
        contract = w3.eth.contract(address, abi=found.abi)
        arguments = [bytes.fromhex(digest) for digest in figures["digests"]]
        call = contract.functions.verify(*arguments, CONTEXT, bytes.fromhex(figures["proof"]))
        if call.call(sender) is not True:
            sys.exit("the contract refuses our own proof")
        return int(w3.eth.wait_for_transaction_receipt(call.transact(sender))["gasUsed"])


# ---------------------------------------------------------------- what the README shows


def with_table(text: str, results: list[dict[str, Any]]) -> str:
    """README.md with its table of proofs replaced."""
    begin, end = "<!-- proofs: make bench-proof -->", "<!-- end proofs -->"
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        sys.exit(f"README.md lacks the marks {begin} … {end}")
    return "\n".join([head + begin, *table(results), end + tail])


NAMES = {
    "A": "breast cancer, 30-32-16-2",
    "B": "digits, 64-128-64-10",
    "C": "digits, two convolutions",
    "M512": "64-512-512-10",
    "M1792": "64-1792-1792-10",
}


def table(results: list[dict[str, Any]]) -> list[str]:
    """One row per network."""
    lines = [
        "| network (parameters) | prove | verify | proof | gas | memory | EZKL, public input | EZKL, hashed input |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in results:
        fastest, hashed = fastest_of(row), row["ezkl"].get("hashed-default")
        shown = "not run"
        if fastest:
            cost = f", {fastest['evm_gas'] // 1000:,}k gas" if fastest["evm_gas"] else ""
            shown = f"{fastest['prove_s']:.2f} s{cost}: {fastest['prove_s'] / row['prove_s']:.0f} ×"
        cells = [
            f"{NAMES[row['model']]} ({row['parameters']:,})",
            f"**{row['prove_s']:.2f} s**",
            f"{1000 * row['verify_s']:.0f} ms",
            f"{row['proof_bytes']:,} B",
            f"{row['gas'] // 1000:,}k" if row["gas"] else "off chain",
            f"{row['rss_mb']:,} MB",
            shown,
            f"{hashed['prove_s']:.2f} s: {row['ratio']['hashed-default']:.0f} ×" if hashed else "-",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def fastest_of(row: dict[str, Any]) -> dict[str, Any] | None:
    """EZKL's fastest setting with a public input, if it was run."""
    found: dict[str, Any] | None = row["ezkl"].get("tuned") or row["ezkl"].get("default")
    return found


def drawn(results: list[dict[str, Any]]) -> str:
    """Proving times on a logarithmic scale, as SVG."""
    from math import log10

    low, width, left, bar = 0.03, 640, 190, 14

    def x(seconds: float) -> float:
        return left + (width - left - 70) * log10(seconds / low) / log10(400 / low)

    parts, y = [], 40
    for row in results:
        theirs = fastest_of(row)
        parts.append(f'<text x="{left - 10}" y="{y + bar + 4}" text-anchor="end">{NAMES[row["model"]]}</text>')
        bars = [(row["prove_s"], "#2563eb", 0), *([(theirs["prove_s"], "#9ca3af", bar + 2)] if theirs else [])]
        for seconds, colour, dy in bars:
            size = f'width="{x(seconds) - left:.1f}" height="{bar}"'
            parts.append(f'<rect x="{left}" y="{y + dy}" {size} fill="{colour}"/>')
            parts.append(f'<text x="{x(seconds) + 6:.1f}" y="{y + dy + 11}">{seconds:.2f} s</text>')
        y += 2 * bar + 18
    legend = (
        f'<rect x="{left}" y="12" width="12" height="12" fill="#2563eb"/><text x="{left + 18}" y="22">Cloister, hidden '
        f'input</text><rect x="{left + 160}" y="12" width="12" height="12" fill="#9ca3af"/>'
        f'<text x="{left + 178}" y="22">EZKL, fastest setting, public input</text>'
    )
    style = "text{font:12px system-ui,sans-serif;fill:#374151}"
    body = "\n".join([legend, *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" viewBox="0 0 {width} {y}" role="img" '
        f'aria-label="Seconds to prove, logarithmic">\n<style>{style}</style>\n'
        f'<rect width="{width}" height="{y}" fill="#fff"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
