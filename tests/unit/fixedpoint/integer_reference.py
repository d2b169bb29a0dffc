"""proof-system.md, section 3, in plain Python integers, one entry at a time.

Shares nothing with the package's executor: it reads the manifest as JSON and the tensors with the safetensors
library. Slow on purpose; use it on small networks.
"""

import itertools
import json

import safetensors.numpy


class IntegerReference:
    """Runs a package from its two files."""

    def __init__(self, manifest, weights):
        self.manifest = json.loads(manifest)
        self.tensors = {name: array.tolist() for name, array in safetensors.numpy.load(weights).items()}
        self.shift = self.manifest["arithmetic"]["s"]

    def run(self, row):
        """Nested lists of integers in; (outputs, every z of every stage as dicts by index) out."""
        blocks = [index_entries(row, self.manifest["input"]["shape"])]
        sums = []
        for stage in self.manifest["stages"]:
            bias = self.tensors[stage["bias"]]
            z = {}
            for index in indices(stage["shape"]):
                value = bias
                for i in index:
                    if isinstance(value, list):
                        value = value[i]
                z[index] = value
            for term in stage["terms"]:
                values, shape = blocks[term["source"]], None
                shape = block_shape(values)
                for step in term["maps"]:
                    values, shape = self.apply(step, values, shape)
                for index in z:
                    z[index] += term["coefficient"] * values[index]
            sums.append(z)
            blocks.append({index: max(value >> self.shift, 0) for index, value in z.items()})
        return [value >> self.shift for value in sums[-1].values()], sums

    def apply(self, step, x, shape):
        match step["op"]:
            case "flatten":
                return {(i,): x[index] for i, index in enumerate(indices(shape))}, (len(x),)
            case "dense":
                weight = self.tensors[step["weight"]]
                return {(o,): sum(w * x[(i,)] for i, w in enumerate(row)) for o, row in enumerate(weight)}, (
                    len(weight),
                )
            case "sum_pool":
                kernel = [[[[1] * step["kernel"][1]] * step["kernel"][0]]]
                planes = [
                    slide(kernel, {(0, y, z): x[c, y, z] for _, y, z in indices((1, *shape[1:]))}, shape, step)
                    for c in range(shape[0])
                ]
                out = {(c, y, z): v for c, plane in enumerate(planes) for (_, y, z), v in plane.items()}
                return out, block_shape(out)
            case "conv2d":
                out = slide(self.tensors[step["weight"]], x, shape, step)
                return out, block_shape(out)


def slide(weight, x, shape, step):
    (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w) = step["kernel"], step["stride"], step["padding"]
    rows = (shape[1] + 2 * pad_h - kernel_h) // stride_h + 1
    columns = (shape[2] + 2 * pad_w - kernel_w) // stride_w + 1
    out = {}
    for o, y, z in indices((len(weight), rows, columns)):
        out[o, y, z] = sum(
            weight[o][c][dy][dz] * x.get((c, y * stride_h + dy - pad_h, z * stride_w + dz - pad_w), 0)
            for c, dy, dz in indices((len(weight[0]), kernel_h, kernel_w))
        )
    return out


def indices(shape):
    return itertools.product(*map(range, shape))


def index_entries(nested, shape):
    entries = {}
    for index in indices(shape):
        value = nested
        for i in index:
            value = value[i]
        entries[index] = int(value)
    return entries


def block_shape(entries):
    return tuple(1 + max(index[axis] for index in entries) for axis in range(len(next(iter(entries)))))
