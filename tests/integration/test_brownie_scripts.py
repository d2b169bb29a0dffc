"""The four scripts under `brownie run`, one after another against one chain that mines by itself."""

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cloister.devnet.anvil import find_anvil
from cloister.devnet.process import NodeProcess, free_port

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "cloister-test"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("brownie") is None, reason="brownie is not installed"),
]


@pytest.fixture
def brownie(tmp_path):
    """Starts `brownie …` with a network on a port of its own."""
    port = free_port()
    command = [str(find_anvil()), "--port", str(port), "--hardfork", "osaka", "--block-base-fee-per-gas", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOISTER_")}
    environment |= {
        "HOME": str(tmp_path),  # where Brownie keeps its networks
        "SOLCX_BINARY_PATH": str(ROOT / ".toolchain" / "solcx"),
        "CLOISTER_DATA_DIR": str(tmp_path / "data"),
        "CLOISTER_DEPLOYMENT": str(tmp_path / "deployment.json"),
    }

    def start(*arguments, program=("-c", "from brownie._cli.__main__ import main; main()")):
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    with NodeProcess("anvil", command, port, timeout=15):
        # The address names the port: the one in brownie-config.yaml would win over a setting of the network.
        url = f"host=http://127.0.0.1:{port}"
        finish(start("networks", "add", "development", NETWORK, "cmd=anvil", f"port={port}", url))
        yield start


def finish(process):
    """What a process has printed, without colours. It must end well."""
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return re.sub(r"\x1b\[[0-9;]*m", "", out)


def test_scripts__one_after_another__deploy_work_ask_and_answer(brownie):
    deployed = finish(brownie("run", "deploy", "--network", NETWORK))
    assert "job_market" in deployed
    workers = brownie("run", "run_worker", "--network", NETWORK)
    try:
        for line in workers.stdout:
            if "3 workers are running" in line:
                break
        submitted = finish(brownie("run", "submit_job", "--network", NETWORK))
        job = re.search(r"posted: (0x[0-9a-f]{64})", submitted)[1]
        assert submitted.count("agreed") >= 3
        assert re.search(r"^1\s+(malignant|benign)\s", submitted, re.MULTILINE)

        asked = finish(brownie("run", "query_result", "--network", NETWORK))
        assert job in asked
        assert re.search(r"^1\s+(malignant|benign)\s", asked, re.MULTILINE)
    finally:
        workers.terminate()
        with contextlib.closing(workers.stdout):
            out, _ = workers.communicate(timeout=30)
    assert workers.returncode == 0, out
