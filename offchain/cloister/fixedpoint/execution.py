"""Linear maps on tensors, exact for integers.

Integers travel as float64. Every map here only copies, multiplies and adds (convolution copies its windows
out and is one matrix product), so if the sum of magnitudes of all addends stays below 2^53 then every partial
sum is an exact integer in any order: thread count, batch size and machine cannot change a bit.
`intervals.py` proves that bound for the actual weights before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import assert_never

from torch import Tensor
from torch.nn import functional

from cloister.fixedpoint.graph import Conv2d, Dense, Flatten, LinearMap, SumPool


def apply_map(step: LinearMap, x: Tensor, weight: Tensor | None) -> Tensor:
    """Send float64 rows x of shape (n, *in) through one map; returns (n, *out)."""
    match step:
        case SumPool():
            return functional.avg_pool2d(x, step.kernel, step.stride, step.padding, divisor_override=1)
        case Flatten():
            return x.flatten(1)
        case Dense():
            assert weight is not None
            return x @ weight.T
        case Conv2d():
            assert weight is not None
            _, height, width = step.out_shape(tuple(x.shape[1:]))
            windows = functional.unfold(x, step.kernel, padding=step.padding, stride=step.stride)
            return (weight.flatten(1) @ windows).reshape(len(x), -1, height, width)


def apply_maps(steps: Iterable[LinearMap], x: Tensor, weight: Tensor | None) -> Tensor:
    """Send rows through a chain that holds at most one learned map, whose weight is given."""
    for step in steps:
        x = apply_map(step, x, weight)
    return x


def transposed_maps(steps: Sequence[LinearMap], shape: Sequence[int], weight: Tensor | None, y: Tensor) -> Tensor:
    """Send float64 rows y of shape (n, *out) back through a chain that reads rows of `shape`: the transpose, as exact.

    A sum has one addend for every entry of `y` that a source entry reaches.
    """
    shapes = [tuple(shape)]
    for step in steps:
        shapes.append(step.out_shape(shapes[-1]))
    for step, source in zip(reversed(steps), reversed(shapes[:-1]), strict=True):
        y = _transposed_map(step, source, weight, y)
    return y


def _transposed_map(step: LinearMap, shape: Sequence[int], weight: Tensor | None, y: Tensor) -> Tensor:
    # By hand: to be differentiated, PyTorch loads a computer algebra system.
    match step:
        case Flatten():
            return y.reshape(len(y), *shape)
        case Dense():
            assert weight is not None
            return y @ weight
        case SumPool():
            entries = y.reshape(len(y) * shape[0], 1, -1).expand(-1, prod(step.kernel), -1)
        case Conv2d():
            assert weight is not None
            entries = weight.flatten(1).T @ y.flatten(2)
        case _:
            assert_never(step)
    sums = functional.fold(entries, tuple(shape[1:]), step.kernel, padding=step.padding, stride=step.stride)
    return sums.reshape(len(y), *shape)


def broadcast_bias(bias: Tensor, shape: Sequence[int]) -> Tensor:
    """A bias per channel or per entry, made to add to rows of `shape`."""
    return bias if bias.dim() == len(shape) else bias.reshape(-1, *[1] * (len(shape) - 1))


Tensors = Mapping[str, Tensor]
