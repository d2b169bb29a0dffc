"""Every cap that guards packaging, loading and running, in one place.

The caps are far above what the proof system can carry (2^20 positions, a few million weights) and far
below what would hurt a worker, so a hostile package costs a bounded amount of memory and time.
"""

from __future__ import annotations

from typing import Final

ACCUMULATOR_BITS: Final = 32  # every z lies in [-2^31, 2^31): proof-system.md, section 3
WEIGHT_BITS: Final = 16  # section 9
BIAS_BITS: Final = 31  # section 9
EXACT_FLOAT64: Final = 2**53  # integers below this are exact in float64

MAX_MANIFEST_BYTES: Final = 4 << 20
MAX_WEIGHTS_BYTES: Final = 64 << 20
MAX_TENSORS_HEADER_BYTES: Final = 1 << 20
MAX_TENSORS: Final = 4096

MAX_STAGES: Final = 256
MAX_TERMS: Final = 16
MAX_MAPS: Final = 16
MAX_EXTENT: Final = 1 << 16  # any single dimension, kernel, stride or padding
MAX_ENTRIES: Final = 1 << 22  # entries of all activation blocks of one row
MAX_WINDOWS: Final = 1 << 24  # entries of one convolution once its windows are copied out
MAX_PRODUCTS: Final = 1 << 32  # multiplications per row over the whole network

MAX_ROWS: Final = 4096  # rows in one encoded message
MAX_TEXT: Final = 4000
MAX_LABELS: Final = 1 << 16
