"""One step of EZKL in a process of its own, so that its CPU time and its peak of memory are its own.

    python bench/ezkl/step.py NAME FOLDER [OPTIONS as JSON]

Works on the files in FOLDER and prints one line of JSON with what it took; everything else goes to standard error.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ezkl  # type: ignore[import-not-found]  # lives in an environment of its own


def settings(folder: Path, *, run: dict[str, Any]) -> Any:
    """Visibility and the shape of the circuit, before calibration."""
    arguments = ezkl.PyRunArgs()
    for name, value in run.items():
        setattr(arguments, name, value)
    return ezkl.gen_settings(folder / "network.onnx", folder / "settings.json", py_run_args=arguments)


def calibrate(folder: Path, *, search: dict[str, list[int]]) -> Any:
    """Scales, lookup range and rows, from example inputs."""
    files = (str(folder / "calibration.json"), folder / "network.onnx", folder / "settings.json")
    return ezkl.calibrate_settings(*files, "resources", **search)


def compile_network(folder: Path) -> Any:
    """The circuit of the network."""
    return ezkl.compile_circuit(folder / "network.onnx", folder / "circuit", folder / "settings.json")


def srs(folder: Path, *, path: str, logrows: int) -> Any:
    """A reference string made here, whose secret this process knew: for measuring only."""
    return ezkl.gen_srs(path, logrows)


def witness(folder: Path) -> Any:
    """The run that is proved."""
    return ezkl.gen_witness(str(folder / "input.json"), folder / "circuit", folder / "witness.json")


def setup(folder: Path, *, srs_path: str) -> Any:
    """Both keys."""
    return ezkl.setup(folder / "circuit", folder / "vk", folder / "pk", srs_path=srs_path)


def prove(folder: Path, *, srs_path: str) -> Any:
    """The proof."""
    files = (folder / "witness.json", folder / "circuit", folder / "pk", folder / "proof.json")
    return ezkl.prove(*files, srs_path=srs_path)


def verify(folder: Path, *, srs_path: str) -> Any:
    """Fails unless the proof holds."""
    return ezkl.verify(folder / "proof.json", folder / "settings.json", folder / "vk", srs_path=srs_path)


STEPS: dict[str, Callable[..., Any]] = {
    "settings": settings,
    "calibrate": calibrate,
    "compile": compile_network,
    "srs": srs,
    "witness": witness,
    "setup": setup,
    "prove": prove,
    "verify": verify,
}


async def timed(step: Callable[..., Any], folder: Path, options: dict[str, Any]) -> dict[str, float]:
    """Runs a step; most of EZKL's calls are coroutines that want a running loop."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    result = step(folder, **options)
    if inspect.isawaitable(result):
        result = await result
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    if result is False:
        raise SystemExit("EZKL answers false")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall, "cpu_s": cpu, "rss_mb": after.ru_maxrss * 1024 / 1e6}


def main() -> None:
    """Runs the step named on the command line."""
    output = os.dup(1)
    os.dup2(2, 1)
    taken = asyncio.run(timed(STEPS[sys.argv[1]], Path(sys.argv[2]), json.loads((sys.argv[3:] or ["{}"])[0])))
    os.write(output, json.dumps(taken).encode() + b"\n")
    # EZKL's runtime aborts where the interpreter shuts down, so it does not get to.
    os._exit(0)


if __name__ == "__main__":
    main()
