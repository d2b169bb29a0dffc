"""Random networks, which the tests of `cloister.fixedpoint` keep."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "fixedpoint"))
