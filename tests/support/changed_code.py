"""The installed code with one byte changed, for a host that does not care what its enclave runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import cloister

MODULE = Path("enclave") / "answers.py"
BYTES, CHANGED = b"# Otherwise a host could pass rubbish", b"# otherwise a host could pass rubbish"
"""A comment in a module that the enclave runs."""
CARELESS_HOST = """
import sys
from cloister.domain.attested import Policy

Policy.admits = lambda self, evidence: True

from cloister.cli import main

if __name__ == "__main__":
    sys.argv[:1] = ["cloister", "worker"]
    sys.exit(main())
"""
"""A worker that asks brokers for keys whatever the model's policy says. It is beside the code, and not measured."""


def write_changed_code(root: Path) -> None:
    """Fills a source root: `cloister` with one byte changed, and the module `careless_host`."""
    shutil.copytree(Path(cloister.__file__).parent, root / "cloister", ignore=shutil.ignore_patterns("__pycache__"))
    module = root / "cloister" / MODULE
    code = module.read_bytes()
    assert code.count(BYTES) == 1, f"{MODULE} says something else now: choose another byte"
    module.write_bytes(code.replace(BYTES, CHANGED))
    assert sum(before != after for before, after in zip(code, module.read_bytes(), strict=True)) == 1
    (root / "careless_host.py").write_text(CARELESS_HOST)
