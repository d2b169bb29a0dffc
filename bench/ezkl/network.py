"""Exports one network for EZKL: network.onnx, input.json (one row) and calibration.json (more rows).

    python bench/ezkl/network.py --package models/digits --out FOLDER      a packaged model, its held-out rows
    python bench/ezkl/network.py --layers 64,512,512,10 --out FOLDER       random small weights, random rows

Weights and biases of a package are integers; divided by their powers of two they are the network that was packaged,
and rounded as little as float32 allows. Prints the number of parameters as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor, nn

Rows = NDArray[np.float64]
CALIBRATION_ROWS = 20
OPSET = 14
SEED = 0
AGREEMENT = 0.99
"""Least share of held-out rows on which the rebuilt network must say what the packaged one said."""


def main() -> None:
    """Builds, checks and exports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--package", type=Path)
    source.add_argument("--layers", type=lambda text: [int(width) for width in text.split(",")])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    network, rows = packaged(options.package) if options.package else random_layers(options.layers)
    export(network, rows, options.out)
    print(json.dumps({"parameters": sum(parameter.numel() for parameter in network.parameters())}))


def packaged(folder: Path) -> tuple[nn.Sequential, Rows]:
    """The network of a package in floating point, and its held-out rows as it wants them."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    tensors = load_file(folder / "weights.safetensors")
    heldout = load_file(folder / "heldout.safetensors")
    s, f = (manifest["arithmetic"][name] for name in ("s", "f"))
    layers: list[nn.Module] = []
    for number, stage in enumerate(manifest["stages"]):
        if [(term["source"], term["coefficient"]) for term in stage["terms"]] != [(number, 1)]:
            raise SystemExit(f"{folder}: stage {number + 1} is more than a chain of layers")
        # Packaging added half a unit of the result to the bias: that makes rounding of its shift.
        bias = (tensors[stage["bias"]] - 2.0 ** (s - 1)) / 2.0 ** (s + f)
        layers += stage_layers(stage["terms"][0]["maps"], tensors, bias, 2.0**s)
        layers += [nn.ReLU()] if stage["relu"] else []
    network = nn.Sequential(*layers)
    rows = heldout["rows"] / 2.0**f
    with torch.no_grad():
        classes = network(torch.from_numpy(rows).float()).argmax(dim=1).numpy()
    if (classes == heldout["float_classes"]).mean() < AGREEMENT:
        raise SystemExit(f"{folder}: the rebuilt network does not classify as the packaged one")
    return network, rows


def stage_layers(maps: list[dict[str, Any]], tensors: dict[str, Any], bias: Rows, unit: float) -> list[nn.Module]:
    """The layers of one stage. A sum over a window is an average, its size moved into the weights that follow."""
    layers: list[nn.Module] = []
    size = 1
    for step in maps:
        match step["op"]:
            case "dense":
                weight = tensors[step["weight"]] / unit * size
                layers.append(loaded(nn.Linear(weight.shape[1], weight.shape[0]), weight, bias))
            case "conv2d":
                weight = tensors[step["weight"]] / unit * size
                outer, inner = weight.shape[:2]
                window = (tuple(step["kernel"]), tuple(step["stride"]), tuple(step["padding"]))
                layers.append(loaded(nn.Conv2d(inner, outer, *window), weight, bias))
            case "sum_pool":
                size *= math.prod(step["kernel"])
                layers.append(nn.AvgPool2d(tuple(step["kernel"]), tuple(step["stride"]), tuple(step["padding"])))
            case "flatten":
                layers.append(nn.Flatten())
            case other:
                raise SystemExit(f"no layer for {other!r}")
    return layers


def loaded(layer: nn.Module, weight: Rows, bias: Rows) -> nn.Module:
    """The layer with these parameters."""
    values: dict[str, Tensor] = {"weight": torch.from_numpy(weight).float(), "bias": torch.from_numpy(bias).float()}
    layer.load_state_dict(values)
    return layer


def random_layers(widths: list[int]) -> tuple[nn.Sequential, Rows]:
    """Fully connected layers as PyTorch initialises them (within 1/sqrt of the inputs), and rows within [0, 1)."""
    torch.manual_seed(SEED)
    layers: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        layers += [nn.Linear(inner, outer), nn.ReLU()]
    return nn.Sequential(*layers[:-1]), torch.rand(CALIBRATION_ROWS, widths[0], dtype=torch.float64).numpy()


def export(network: nn.Sequential, rows: Rows, folder: Path) -> None:
    """Writes the three files."""
    example = torch.from_numpy(rows[:1]).float()
    torch.onnx.export(network.eval(), (example,), folder / "network.onnx", opset_version=OPSET, dynamo=False)
    for name, part in (("input", rows[:1]), ("calibration", rows[:CALIBRATION_ROWS])):
        (folder / f"{name}.json").write_text(json.dumps({"input_data": [part.flatten().tolist()]}))


if __name__ == "__main__":
    main()
