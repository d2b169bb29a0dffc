"""`python -m cloister` is the `cloister` command."""

import sys

from cloister.cli import main

if __name__ == "__main__":
    sys.exit(main())
