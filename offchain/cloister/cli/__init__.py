"""The `cloister` command: one module per capability, each with its own commands.

Modules import what they run with inside their commands, so that `cloister --help` needs neither web3 nor PyTorch.
"""

from cloister.cli.program import main

__all__ = ["main"]
