"""A development chain in pure Python: py-evm behind a JSON-RPC server, for machines without Node.js.

`python -m cloister.devnet.pyevm --port 8545` runs it. It needs the devchain extra and keeps everything in
memory. It mines what real chains mine but never takes a block back, has no peers, and takes no blob
transactions.
"""

import sys as _sys

# Importing py-evm lifts the recursion limit to 100,000, so that calls can nest as deep as the EVM allows.
# Whatever else runs in the process would then overflow the stack where it now gets a RecursionError.
_limit = _sys.getrecursionlimit()
import eth as _eth  # noqa: E402, F401

_sys.setrecursionlimit(_limit)
