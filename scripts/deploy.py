"""Deploy the contracts, and write the file that names them.

brownie run deploy --network development      # the network that Brownie is connected to
python scripts/deploy.py deployment.json      # the endpoint of the settings; the same as `cloister deploy --out`

On a development chain the first of its funded accounts pays and the windows last seconds; elsewhere it is the account
of the settings (CLOISTER_ACCOUNT, CLOISTER_PASSWORD_FILE), and the parameters are those for a public chain.
"""

import os
import sys

from cloister.cli.scripting import INTERVAL, here


def main(*arguments: str) -> None:
    """`main [FILE]`."""
    place = here()
    file = arguments[0] if arguments else place.flags.get("deployment") or os.environ.get("CLOISTER_DEPLOYMENT")
    if not file:
        raise SystemExit("Name the deployment file to write.")
    if not place.development:
        place.run("deploy", "--out", file)
        return
    place.run("deploy", "--out", file, "--devnet-parameters")
    # Jobs wait for blocks to come, and by itself Brownie's chain mines only when it is sent a transaction.
    place.chain("evm_setIntervalMining", INTERVAL)


if __name__ == "__main__":
    main(*sys.argv[1:])
