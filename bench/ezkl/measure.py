"""The EZKL half of `make bench-proof`: what it takes EZKL to prove one run of one network.

    python bench/ezkl/measure.py --network B --setting tuned --package models/digits --work DIR --out FILE.json

To be run in the environment of bench/ezkl/requirements.txt. A, B and C are the packaged models; M512 and M1792 are
random networks of those widths. Outputs are public and weights are fixed in the verifying key; inputs are public or
hashed. Every step is a process of its own. Reference strings stay in the work folder, since they take minutes to make;
all else is made again. Gas is measured where npm's solc 0.8.20 is installed, and null elsewhere.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TOOLCHAIN = HERE.parents[1] / ".toolchain"
PACKAGED = ("A", "B", "C")
RANDOM = {"M512": "64,512,512,10", "M1792": "64,1792,1792,10"}
SETTINGS = ("tuned", "default", "hashed-default", "hashed-tuned")
TUNED: dict[str, tuple[dict[str, int], dict[str, list[int]]]] = {
    "A": ({"decomp_base": 1024, "decomp_legs": 3, "num_inner_cols": 4}, {"scales": [8]}),
    "B": (
        {"decomp_base": 4096, "decomp_legs": 3, "num_inner_cols": 4},
        {"scales": [7], "scale_rebase_multiplier": [10]},
    ),
    "C": (
        {"decomp_base": 8192, "decomp_legs": 3, "num_inner_cols": 5},
        {"scales": [8], "scale_rebase_multiplier": [10]},
    ),
}
"""The shape of the circuit and the scales that calibration tries: the fastest found by trial."""
VERSIONS = ("ezkl", "onnx", "torch", "numpy")


def main() -> None:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=[*PACKAGED, *RANDOM], required=True)
    parser.add_argument("--setting", choices=SETTINGS, required=True)
    parser.add_argument("--package", type=Path, help="folder of the packaged model, for A, B and C")
    parser.add_argument("--work", type=Path, required=True, help="keys, proofs and reference strings")
    parser.add_argument("--repeats", type=int, default=3, help="proofs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--solc", type=Path, default=TOOLCHAIN / "ezkl" / "node_modules" / "solc")
    parser.add_argument("--anvil", type=Path, default=TOOLCHAIN / "bin" / "anvil")
    options = parser.parse_args()
    if (options.network in PACKAGED) != (options.package is not None):
        parser.error("--package goes with A, B and C, and with them alone")
    if options.setting.endswith("tuned") and options.network not in TUNED:
        parser.error(f"no tuned settings are known for {options.network}")
    figures = measure(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All steps, in order."""
    folder: Path = (options.work / f"{options.network}-{options.setting}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log").unlink(missing_ok=True)
    source = ["--package", options.package] if options.package else ["--layers", RANDOM[options.network]]
    parameters = run(folder, "network.py", *source, "--out", folder)["parameters"]
    logrows = circuit(folder, options.network, options.setting)
    srs = reference_string(folder, options.work.resolve() / "srs", logrows)
    step(folder, "witness")
    setup = step(folder, "setup", srs_path=str(srs))
    proofs = [step(folder, "prove", srs_path=str(srs)) for _ in range(options.repeats)]
    verify = step(folder, "verify", srs_path=str(srs))
    (folder / "pk").unlink()  # gigabytes for the large networks
    return {
        "network": options.network,
        "setting": options.setting,
        "parameters": parameters,
        "prove_s": round(statistics.median(proof["wall_s"] for proof in proofs), 3),
        "prove_runs": [round(proof["wall_s"], 3) for proof in proofs],
        "prove_cpu_s": round(statistics.median(proof["cpu_s"] for proof in proofs), 3),
        "setup_s": round(setup["wall_s"], 3),
        "verify_s": round(verify["wall_s"], 4),
        "proof_bytes": len(json.loads((folder / "proof.json").read_text())["proof"]),
        "rss_mb": round(max(proof["rss_mb"] for proof in proofs), 1),
        "logrows": logrows,
        **gas(folder, srs, options),
        "versions": {name: version(name) for name in VERSIONS} | {"python": platform.python_version()},
    }


def circuit(folder: Path, network: str, setting: str) -> int:
    """Settings, calibration, compilation; returns the binary logarithm of the number of rows."""
    shape, search = TUNED[network] if setting.endswith("tuned") else ({}, {})
    inputs = "hashed" if setting.startswith("hashed") else "public"
    visibility = {"input_visibility": inputs, "output_visibility": "public", "param_visibility": "fixed"}
    step(folder, "settings", run=visibility | shape)
    step(folder, "calibrate", search=search)
    step(folder, "compile")
    logrows: int = json.loads((folder / "settings.json").read_text())["run_args"]["logrows"]
    return logrows


def reference_string(folder: Path, kept: Path, logrows: int) -> Path:
    """The reference string for so many rows, made unless it is there."""
    path = kept / f"{logrows}.srs"
    if not path.exists():
        kept.mkdir(exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        step(folder, "srs", path=str(unfinished), logrows=logrows)
        unfinished.rename(path)
    return path


def gas(folder: Path, srs: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What the proof costs on chain. A contract too large to deploy is no reason to lose the other figures."""
    if not options.solc.exists():
        return {"evm_gas": None}
    try:
        return run(folder, "evm.py", folder, "--srs", srs, "--solc", options.solc, "--anvil", options.anvil)
    except StepFailed as failure:
        print(f"no gas: {failure}", file=sys.stderr)
        return {"evm_gas": None}


class StepFailed(Exception):
    """A process ended badly."""


def step(folder: Path, name: str, **options: Any) -> dict[str, Any]:
    """One step of EZKL: what it took."""
    return run(folder, "step.py", name, folder, json.dumps(options))


def run(folder: Path, script: str, *arguments: str | Path) -> dict[str, Any]:
    """What a script of this folder prints, as JSON; what else it says is kept in a log."""
    with (folder / "log").open("a") as log:
        log.write(f"== {script} {' '.join(map(str, arguments))}\n")
        log.flush()
        done = subprocess.run(
            [sys.executable, HERE / script, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            check=False,
        )
    if done.returncode:
        last = (folder / "log").read_text().splitlines()[-1]
        raise StepFailed(f"{script} {arguments[0]}: {last} (see {folder / 'log'})")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    try:
        main()
    except StepFailed as failure:
        sys.exit(str(failure))
