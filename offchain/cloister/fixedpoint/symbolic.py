"""Affine maps from earlier blocks, in float64: what lies between two ReLUs, before it is rounded.

A `Path` is one linear route from a block. Scale factors (batch normalisation, the 1/area of an average)
wait in `gain`, one per channel, until a learned weight can absorb them, so they cost nothing at run time
and round once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from cloister.fixedpoint.execution import apply_map, apply_maps
from cloister.fixedpoint.graph import BadGraph, Conv2d, Dense, Flatten, LearnedMap, LinearMap, Shape, SumPool
from cloister.fixedpoint.limits import MAX_WINDOWS

UNNAMED = "unnamed"  # the weight's place in a map until quantisation names its tensor


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """gain * maps(block[source]), or maps(block[source]) once there is a weight."""

    source: int
    source_shape: Shape
    shape: Shape
    maps: tuple[LinearMap, ...]
    gain: Tensor
    weight: Tensor | None = None
    layer: str = ""

    @classmethod
    def of_block(cls, source: int, shape: Shape) -> Path:
        """The block itself."""
        return cls(source, shape, shape, (), torch.ones(shape[0], dtype=torch.float64))

    def scaled(self, factor: Tensor) -> Path:
        """Multiply each channel (or entry of a vector) by its factor, shape (channels,)."""
        if self.weight is None:
            return replace(self, gain=self.gain * factor)
        if bool((factor == factor[0]).all()):
            return replace(self, weight=self.weight * factor[0])
        if self.weight.shape[0] != factor.shape[0]:
            return self._as_dense().scaled(factor)
        return replace(self, weight=self.weight * factor.reshape(-1, *[1] * (self.weight.dim() - 1)))

    def pooled(self, pool: SumPool) -> Path:
        """Sum over windows."""
        return replace(self, maps=(*self.maps, pool), shape=pool.out_shape(self.shape))

    def flattened(self) -> Path:
        """Read row-major as a vector."""
        if len(self.shape) == 1:
            return self
        step = Flatten()
        gain = self.gain.repeat_interleave(prod(self.shape[1:]))
        return replace(self, maps=(*self.maps, step), shape=step.out_shape(self.shape), gain=gain)

    def unflattened(self) -> Path | None:
        """The same route without a closing Flatten, or None if there is none to take away."""
        if not self.maps or not isinstance(self.maps[-1], Flatten):
            return None
        maps, shape = self.maps[:-1], self.source_shape
        for step in maps:
            shape = step.out_shape(shape)
        pixels = prod(shape[1:])
        gain = self.gain.reshape(-1, pixels)
        if self.weight is None and not bool((gain == gain[:, :1]).all()):
            return None
        return replace(self, maps=maps, shape=shape, gain=gain[:, 0])

    def through(self, step: LearnedMap, weight: Tensor, layer: str) -> Path:
        """Send through a learned map whose float64 weight is given. Raises BadGraph."""
        shape = step.out_shape(self.shape)
        expected = step.weight_shape(self.shape)
        if tuple(weight.shape) != expected:
            raise BadGraph(f"its weight has shape {tuple(weight.shape)}, its input needs {expected}")
        if self.weight is not None:
            if isinstance(step, Conv2d):
                raise BadGraph(f"it follows {self.layer!r} without a ReLU between them")
            folded = self._as_dense()
            assert folded.weight is not None
            return replace(
                folded,
                maps=(*folded.maps[:-1], step),
                shape=shape,
                weight=weight @ folded.weight,
                layer=f"{self.layer} + {layer}",
            )
        absorbed = weight * self.gain.reshape(1, -1, *[1] * (weight.dim() - 2))
        gain = torch.ones(shape[0], dtype=torch.float64)
        return replace(self, maps=(*self.maps, step), shape=shape, gain=gain, weight=absorbed, layer=layer)

    def closed(self) -> Path:
        """Turn a gain that differs between channels into a learned diagonal map."""
        if self.weight is not None or bool((self.gain == self.gain[0]).all()):
            return self
        size = self.shape[0]
        if size * size > MAX_WINDOWS:
            raise BadGraph(f"a factor for each of {size:,} entries needs too large a matrix")
        diagonal = torch.eye(size, dtype=torch.float64)
        if len(self.shape) == 1:
            return self.through(Dense(weight=UNNAMED, features=size), diagonal, self.layer)
        step = Conv2d(weight=UNNAMED, channels=size, kernel=(1, 1), stride=(1, 1), padding=(0, 0))
        return self.through(step, diagonal[:, :, None, None], self.layer)

    def _as_dense(self) -> Path:
        """The same vector-valued route as one matrix on the flattened block."""
        size = prod(self.source_shape)
        if size * max(size, prod(self.shape)) > MAX_WINDOWS:
            raise BadGraph(f"folding it with {self.layer!r} needs a matrix of {size:,} x {prod(self.shape):,}")
        basis = torch.eye(size, dtype=torch.float64).reshape(size, *self.source_shape)
        matrix = apply_maps(self.maps, basis, self.weight).reshape(size, -1).T.contiguous()
        flatten: tuple[LinearMap, ...] = (Flatten(),) if len(self.source_shape) == 3 else ()
        step = Dense(weight=UNNAMED, features=matrix.shape[0])
        return replace(
            self,
            maps=(*flatten, step),
            weight=matrix,
            gain=torch.ones(matrix.shape[0], dtype=torch.float64),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """bias + sum of paths, all of one shape; `layers` are the PyTorch names met on the way."""

    shape: Shape
    paths: tuple[Path, ...]
    bias: Tensor
    layers: tuple[str, ...] = ()

    @classmethod
    def of_block(cls, source: int, shape: Shape) -> Affine:
        """The block itself, without bias."""
        return cls(shape, (Path.of_block(source, shape),), torch.zeros(shape, dtype=torch.float64))

    def named(self, layer: str) -> Affine:
        """Remember that `layer` is folded in here."""
        return replace(self, layers=(*self.layers, layer))

    def plus(self, other: Affine) -> Affine:
        """Sum of two values of one shape. Raises BadGraph."""
        if self.shape != other.shape:
            raise BadGraph(f"it adds shapes {self.shape} and {other.shape}, and broadcasting is not supported")
        layers = tuple(dict.fromkeys((*self.layers, *other.layers)))
        return Affine(self.shape, (*self.paths, *other.paths), self.bias + other.bias, layers)

    def shifted_and_scaled(self, factor: Tensor, shift: Tensor) -> Affine:
        """Return factor * self + shift, each of shape (channels,)."""
        if factor.shape[0] != self.shape[0]:
            raise BadGraph(f"it has {factor.shape[0]} channels, its input {self.shape[0]}")
        column = (-1, *[1] * (len(self.shape) - 1))
        bias = self.bias * factor.reshape(column) + shift.reshape(column)
        return replace(self, bias=bias, paths=tuple(path.scaled(factor) for path in self.paths))

    def pooled(self, pool: SumPool, divisor: float) -> Affine:
        """Average over windows, the division left to the weights around it."""
        factor = torch.full((self.shape[0],), 1.0 / divisor, dtype=torch.float64)
        bias = apply_map(pool, self.bias.unsqueeze(0), None)[0] / divisor
        return self._each(lambda path: path.pooled(pool).scaled(factor), bias)

    def flattened(self) -> Affine:
        """Read row-major as a vector."""
        return self._each(Path.flattened, self.bias.flatten())

    def unflattened(self) -> Affine:
        """Undo a Flatten that every path ends in, so that the block keeps rows and columns."""
        paths = [path.unflattened() for path in self.paths]
        kept = [path for path in paths if path is not None]
        if len(kept) < len(paths) or len({path.shape for path in kept}) != 1:
            return self
        shape = kept[0].shape
        return replace(self, shape=shape, paths=tuple(kept), bias=self.bias.reshape(shape))

    def through(self, step: LearnedMap, weight: Tensor, bias: Tensor | None, layer: str) -> Affine:
        """Send through a learned map with float64 weight and bias (channels,). Raises BadGraph."""
        paths = tuple(path.through(step, weight, layer) for path in self.paths)
        total = apply_map(step, self.bias.unsqueeze(0), weight)[0]
        if bias is not None:
            total = total + bias.reshape(-1, *[1] * (total.dim() - 1))
        return Affine(paths[0].shape, paths, total, (*self.layers, layer))

    def _each(self, move: Callable[[Path], Path], bias: Tensor) -> Affine:
        return replace(self, shape=tuple(bias.shape), bias=bias, paths=tuple(move(path) for path in self.paths))
