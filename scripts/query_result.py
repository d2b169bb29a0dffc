"""Print a job, and its answer if this account requested it; wait for its end first.

brownie run query_result --network development           # this account's newest job
brownie run query_result main 0x3a…9c --network NAME
python scripts/query_result.py 0x3a…9c                   # the same as `cloister result 0x3a…9c --wait`
"""

import sys

from cloister.cli.scripting import here


def main(*arguments: str) -> None:
    """`main [JOB]`."""
    place = here()
    if arguments:
        job = arguments[0]
    else:
        newest = place.ask("jobs", "--mine", "--limit", "1")["jobs"]
        if not newest:
            raise SystemExit("This account has no job.")
        job = newest[0]["job"]
    place.run("result", job, "--wait")


if __name__ == "__main__":
    main(*sys.argv[1:])
