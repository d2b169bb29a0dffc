"""What each supported PyTorch layer does to an affine value, or why it cannot be packaged.

Rules raise BadGraph with a reason; `tracing.py` adds the layer's name. Layers are matched by exact type: a
subclass may compute something else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cloister.fixedpoint.graph import BadGraph, Conv2d, Dense, SumPool
from cloister.fixedpoint.symbolic import UNNAMED, Affine

SUPPORTED = (
    "Supported: Linear, Conv2d (stride, zero padding), BatchNorm1d, BatchNorm2d, AvgPool2d, ReLU, Flatten, "
    "Dropout, Identity, Sequential, and in forward(): a + b, torch.flatten(x, 1), relu."
)

Rule = Callable[[Affine, Any, str], Affine]


def number(value: Any, what: str) -> Tensor:
    """A parameter as detached float64. Raises BadGraph if it is absent, complex or not finite."""
    if isinstance(value, nn.UninitializedParameter) or not isinstance(value, Tensor):
        raise BadGraph(f"its {what} is not initialised")
    if value.is_complex() or value.is_quantized or value.layout != torch.strided:
        raise BadGraph(f"its {what} is not a dense real tensor")
    numbers = value.detach().to("cpu", torch.float64)
    if not bool(numbers.isfinite().all()):
        raise BadGraph(f"its {what} holds infinities or NaN")
    return numbers


def _linear(x: Affine, layer: nn.Linear, name: str) -> Affine:
    if len(x.shape) != 1:
        raise BadGraph(f"it is applied to shape {x.shape}; put Flatten before it")
    return x.through(
        Dense(weight=UNNAMED, features=layer.out_features), number(layer.weight, "weight"), _bias(layer), name
    )


def _bias(layer: Any) -> Tensor | None:
    return None if layer.bias is None else number(layer.bias, "bias")


def _conv2d(x: Affine, layer: nn.Conv2d, name: str) -> Affine:
    if layer.groups != 1:
        raise BadGraph(f"groups={layer.groups}; only 1 is supported")
    if tuple(layer.dilation) != (1, 1):
        raise BadGraph(f"dilation={layer.dilation}; only 1 is supported")
    if layer.padding_mode != "zeros":
        raise BadGraph(f"padding_mode={layer.padding_mode!r}; only 'zeros' is supported")
    kernel, stride = pair(layer.kernel_size), pair(layer.stride)
    if not isinstance(layer.padding, str):
        padding = pair(layer.padding)
    elif layer.padding == "valid":
        padding = (0, 0)
    elif any(k % 2 == 0 for k in kernel):
        raise BadGraph(f"padding='same' with the even kernel {kernel} is not symmetric")
    else:
        padding = (kernel[0] // 2, kernel[1] // 2)
    step = Conv2d(weight=UNNAMED, channels=layer.out_channels, kernel=kernel, stride=stride, padding=padding)
    return x.through(step, number(layer.weight, "weight"), _bias(layer), name)


def _batch_norm(x: Affine, layer: nn.BatchNorm1d | nn.BatchNorm2d, name: str) -> Affine:
    rank = 1 if isinstance(layer, nn.BatchNorm1d) else 3
    if len(x.shape) != rank:
        raise BadGraph(f"it is applied to shape {x.shape}, which has not {rank} dimension(s)")
    if layer.running_mean is None or layer.running_var is None:
        raise BadGraph("it keeps no running statistics (track_running_stats=False)")
    factor = 1.0 / torch.sqrt(number(layer.running_var, "running variance") + layer.eps)
    shift = -number(layer.running_mean, "running mean") * factor
    if layer.affine:
        scale = number(layer.weight, "weight")
        factor, shift = factor * scale, shift * scale + number(layer.bias, "bias")
    return x.shifted_and_scaled(factor, shift).named(name)


def _avg_pool(x: Affine, layer: nn.AvgPool2d, name: str) -> Affine:
    if layer.ceil_mode:
        raise BadGraph("ceil_mode=True is not supported")
    kernel, padding = pair(layer.kernel_size), pair(layer.padding)
    if padding != (0, 0) and not layer.count_include_pad and layer.divisor_override is None:
        raise BadGraph("count_include_pad=False with padding divides by a different area at the border")
    pool = SumPool(kernel=kernel, stride=pair(layer.stride or layer.kernel_size), padding=padding)
    return x.pooled(pool, float(layer.divisor_override or kernel[0] * kernel[1])).named(name)


def _flatten(x: Affine, layer: nn.Flatten, name: str) -> Affine:
    return flatten(x, layer.start_dim, layer.end_dim)


def _unchanged(x: Affine, layer: nn.Module, name: str) -> Affine:
    return x


def flatten(x: Affine, start: int, end: int) -> Affine:
    """torch.flatten on a batch. Raises BadGraph unless it keeps the batch dimension and merges all others."""
    rank = len(x.shape) + 1
    if start % rank != 1 or end % rank != rank - 1:
        raise BadGraph(f"it flattens dimensions {start} to {end}; only 1 to -1 is supported")
    return x.flattened()


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """An extent per axis from PyTorch's int-or-tuple."""
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


LINEAR_LAYERS: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.AvgPool2d: _avg_pool,
    nn.Flatten: _flatten,
    nn.Identity: _unchanged,
    nn.Dropout: _unchanged,
    nn.Dropout2d: _unchanged,
}
