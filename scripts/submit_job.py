"""Pay for a job, wait for its end and print the answer.

brownie run submit_job --network development           # one held-out row of models/breast-cancer
brownie run submit_job main digits rows.csv --network NAME
python scripts/submit_job.py digits rows.csv           # the same as `cloister request digits --input rows.csv`

On a development chain a model of models/ that nobody has published yet is published first, and without a file the job
is the model's first held-out row.
"""

import json
import sys
import tempfile
from pathlib import Path

from cloister.cli.scripting import Place, here

MODELS = Path(__file__).resolve().parents[1] / "models"


def main(*arguments: str) -> None:
    """`main [MODEL [FILE]]`."""
    place = here()
    if not place.development and len(arguments) != 2:
        raise SystemExit("Name a model and a file of rows.")
    model = arguments[0] if arguments else "breast-cancer"
    if place.development:
        publish_if_missing(place, model)
    if len(arguments) > 1:
        place.run("request", model, "--input", arguments[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        rows.write_text(held_out_row(model))
        place.run("request", model, "--input", str(rows), "--integers")


def publish_if_missing(place: Place, model: str) -> None:
    """For 0.01 ether per agreeing worker."""
    offered = {one["name"] for one in place.ask("models")["models"]}
    if model not in offered and (MODELS / model).is_dir():
        place.run("model", "publish", str(MODELS / model), "--price", "0.01")


def held_out_row(model: str) -> str:
    """The first row that travels with a model, as JSON integers."""
    from cloister.fixedpoint import load_heldout

    return json.dumps(load_heldout(MODELS / model).rows[:1].tolist())


if __name__ == "__main__":
    main(*sys.argv[1:])
