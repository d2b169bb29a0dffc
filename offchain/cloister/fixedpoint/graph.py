"""The network as integers see it: stages of linear terms between two ReLUs.

Block 0 is the input; block i is what stage i (counted from 1) leaves behind. A stage adds its bias to
its terms; a term reads one earlier block and sends it through a chain of linear maps, of which at most
one is learned:

    z = bias + sum over terms of coefficient * maps(block[source])
    block = max(z >> s, 0)     in every stage but the last
    y     = z >> s             in the last

This is proof-system.md, section 3. A chain without a learned map is public (residual addition, average
pooling) and scaled by `coefficient`; with one, the coefficient is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from cloister.fixedpoint.limits import (
    ACCUMULATOR_BITS,
    MAX_ENTRIES,
    MAX_EXTENT,
    MAX_MAPS,
    MAX_PRODUCTS,
    MAX_STAGES,
    MAX_TERMS,
    MAX_TEXT,
    MAX_WINDOWS,
)

STRICT = ConfigDict(extra="forbid", strict=True)

Extent = Annotated[int, Field(ge=1, le=MAX_EXTENT)]
Margin = Annotated[int, Field(ge=0, le=MAX_EXTENT)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
TensorName = Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,64}$")]
Shape = tuple[int, ...]
BlockShape = Annotated[tuple[Extent, ...], Field(min_length=1, max_length=3)]


class BadGraph(ValueError):
    """The stages do not form a network; callers turn this into an error that names the file or layer."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Inputs lie in [-2^t, 2^t); activations carry f fractional bits, weights s, biases f + s."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    t: Annotated[int, Field(ge=1, le=30)]
    f: Annotated[int, Field(ge=0, le=30)]
    s: Annotated[int, Field(ge=1, le=30)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SumPool:
    """Sums over windows of each channel: average pooling without its division. Padding adds zeros."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kernel: tuple[Extent, Extent]
    stride: tuple[Extent, Extent]
    padding: tuple[Margin, Margin]
    op: Literal["sum_pool"] = "sum_pool"

    def out_shape(self, shape: Shape) -> Shape:
        """(channels, rows, columns) -> the same after pooling. Raises BadGraph."""
        channels, rows, columns = _spatial(shape, "pooling")
        if any(2 * p > k for p, k in zip(self.padding, self.kernel, strict=True)):
            raise BadGraph("pooling padding is more than half the window")
        height, width = (
            _slide(size, k, st, p)
            for size, k, st, p in zip((rows, columns), self.kernel, self.stride, self.padding, strict=True)
        )
        _bounded(channels * height * width * prod(self.kernel), MAX_WINDOWS, "pooling windows")
        return (channels, height, width)

    def products(self, shape: Shape) -> int:
        """Additions that one row of `shape` costs."""
        return prod(self.out_shape(shape)) * prod(self.kernel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv2d:
    """Learned convolution with zero padding; the weight has shape (channels, in channels, *kernel)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    weight: TensorName
    channels: Extent
    kernel: tuple[Extent, Extent]
    stride: tuple[Extent, Extent]
    padding: tuple[Margin, Margin]
    op: Literal["conv2d"] = "conv2d"

    def out_shape(self, shape: Shape) -> Shape:
        """(in channels, rows, columns) -> (channels, rows', columns'). Raises BadGraph."""
        inputs, rows, columns = _spatial(shape, "convolution")
        height, width = (
            _slide(size, k, st, p)
            for size, k, st, p in zip((rows, columns), self.kernel, self.stride, self.padding, strict=True)
        )
        _bounded(inputs * prod(self.kernel) * height * width, MAX_WINDOWS, "convolution windows")
        return (self.channels, height, width)

    def weight_shape(self, shape: Shape) -> Shape:
        """Shape of the weight for an input of `shape`."""
        return (self.channels, shape[0], *self.kernel)

    def products(self, shape: Shape) -> int:
        """Multiplications that one row of `shape` costs."""
        return prod(self.out_shape(shape)) * prod(self.weight_shape(shape)[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """Learned matrix of shape (features, in features)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    weight: TensorName
    features: Extent
    op: Literal["dense"] = "dense"

    def out_shape(self, shape: Shape) -> Shape:
        """(in features,) -> (features,). Raises BadGraph."""
        if len(shape) != 1:
            raise BadGraph(f"a dense map reads a vector, not shape {shape}")
        return (self.features,)

    def weight_shape(self, shape: Shape) -> Shape:
        """Shape of the weight for an input of `shape`."""
        return (self.features, shape[0])

    def products(self, shape: Shape) -> int:
        """Multiplications that one row of `shape` costs."""
        return prod(self.weight_shape(shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten:
    """(channels, rows, columns) read row-major as a vector."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    op: Literal["flatten"] = "flatten"

    def out_shape(self, shape: Shape) -> Shape:
        """(channels, rows, columns) -> (channels * rows * columns,). Raises BadGraph."""
        return (prod(_spatial(shape, "flatten")),)

    def products(self, shape: Shape) -> int:
        """Free."""
        return 0


LearnedMap = Conv2d | Dense
LinearMap = Annotated[SumPool | Conv2d | Dense | Flatten, Field(discriminator="op")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """coefficient * maps(block[source])."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    source: Annotated[int, Field(ge=0, lt=MAX_STAGES)]
    maps: Annotated[tuple[LinearMap, ...], Field(max_length=MAX_MAPS)]
    coefficient: Annotated[int, Field(ge=-(2**30), le=2**30)]

    def learned(self) -> LearnedMap | None:
        """The map that carries a weight, if any."""
        return next((step for step in self.maps if isinstance(step, LearnedMap)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One block of activations. `layers` are the PyTorch names folded into it, for messages.

    `bias` names a tensor with one entry per channel, or one per entry of `shape`; it has f + s
    fractional bits and includes 2^(s-1), which turns the shift into rounding.
    `bits` is the smallest B with every z in [-2^(B-1), 2^(B-1)).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    layers: Annotated[tuple[Text, ...], Field(max_length=MAX_STAGES)]
    shape: BlockShape
    terms: Annotated[tuple[Term, ...], Field(min_length=1, max_length=MAX_TERMS)]
    bias: TensorName
    relu: bool
    bits: Annotated[int, Field(ge=1, le=ACCUMULATOR_BITS)]


def tensor_shapes(input_shape: Shape, stages: Sequence[Stage]) -> dict[str, tuple[Shape, ...]]:
    """Check that the stages form an acyclic network and say which tensors it needs.

    Returns, for every tensor name, the shapes it may have (two for a spatial bias). Costs nothing but
    arithmetic on sizes, so it can run before any tensor is allocated. Raises BadGraph.
    """
    blocks: list[Shape] = [input_shape]
    _bounded(
        sum(prod(shape) for shape in (input_shape, *(stage.shape for stage in stages))),
        MAX_ENTRIES,
        "activations",
    )
    needed: dict[str, tuple[Shape, ...]] = {}
    products = 0

    def need(name: str, *shapes: Shape) -> None:
        if name in needed:
            raise BadGraph(f"tensor {name!r} is used twice")
        needed[name] = shapes

    for index, stage in enumerate(stages, start=1):
        if stage.relu is not (index < len(stages)):
            raise BadGraph(f"stage {index}: every stage but the last, and only those, ends in a ReLU")
        for term in stage.terms:
            if term.source >= index:
                raise BadGraph(f"stage {index} reads block {term.source}, which is not before it")
            shape = blocks[term.source]
            learned = 0
            for step in term.maps:
                if isinstance(step, LearnedMap):
                    learned += 1
                    need(step.weight, step.weight_shape(shape))
                products += step.products(shape)
                shape = step.out_shape(shape)
                _bounded(prod(shape), MAX_ENTRIES, f"entries inside stage {index}")
            if learned > 1 or (learned == 1 and term.coefficient != 1):
                raise BadGraph(f"stage {index}: a term has one learned map, unscaled, or none")
            if shape != stage.shape:
                raise BadGraph(f"stage {index}: a term has shape {shape}, the stage {stage.shape}")
        need(stage.bias, *({stage.shape, stage.shape[:1]}))
        blocks.append(stage.shape)
    if not stages:
        raise BadGraph("there are no stages")
    _bounded(products, MAX_PRODUCTS, "multiplications per row")
    return needed


def _spatial(shape: Shape, what: str) -> Shape:
    if len(shape) != 3:
        raise BadGraph(f"{what} reads (channels, rows, columns), not shape {shape}")
    return shape


def _slide(size: int, kernel: int, stride: int, padding: int) -> int:
    if size + 2 * padding < kernel:
        raise BadGraph(f"a window of {kernel} does not fit in {size} with padding {padding}")
    return (size + 2 * padding - kernel) // stride + 1


def _bounded(value: int, cap: int, what: str) -> None:
    if value > cap:
        raise BadGraph(f"{value:,} {what}; the limit is {cap:,}")
