"""Fixed-point models: packaging from PyTorch, verified loading, exact integer inference.

arithmetic = Arithmetic(t=13, f=8, s=12)
spec = InputSpec.fit(training_rows, arithmetic)
package = package_model(model, name="mine", labels=["no", "yes"], input_spec=spec, arithmetic=arithmetic)
package.write(Path("models/mine"))
load_package(Path("models/mine")).run(integer_rows)
"""

from cloister.fixedpoint.encoding import (
    check_input,
    check_output,
    decode_input,
    decode_output,
    encode_input,
    encode_output,
)
from cloister.fixedpoint.errors import (
    InvalidModelInput,
    InvalidPackage,
    PackageNotWritten,
    RangeExceeded,
    UnsupportedLayer,
)
from cloister.fixedpoint.graph import Arithmetic, Conv2d, Dense, Flatten, Stage, SumPool, Term
from cloister.fixedpoint.heldout import HeldOut, load_heldout
from cloister.fixedpoint.intervals import StageBounds
from cloister.fixedpoint.manifest import Accuracy, Manifest
from cloister.fixedpoint.package import Package, load_package
from cloister.fixedpoint.packaging import compare, float_classes, package_model
from cloister.fixedpoint.preprocessing import InputSpec

__all__ = [
    "Accuracy",
    "Arithmetic",
    "Conv2d",
    "Dense",
    "Flatten",
    "HeldOut",
    "InputSpec",
    "InvalidModelInput",
    "InvalidPackage",
    "Manifest",
    "Package",
    "PackageNotWritten",
    "RangeExceeded",
    "Stage",
    "StageBounds",
    "SumPool",
    "Term",
    "UnsupportedLayer",
    "check_input",
    "check_output",
    "compare",
    "decode_input",
    "decode_output",
    "encode_input",
    "encode_output",
    "float_classes",
    "load_heldout",
    "load_package",
    "package_model",
]
