"""A development chain in pure Python: py-evm behind a JSON-RPC server, for machines without Node.js.

`python -m cloister.devnet.pyevm --port 8545` runs it. It needs the devchain extra and keeps everything in
memory. It mines what real chains mine but never takes a block back, has no peers, and takes no blob
transactions.
"""
