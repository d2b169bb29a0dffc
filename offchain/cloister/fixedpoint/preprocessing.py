"""How a row of measured numbers becomes the integers that a model is declared for.

x = clip(round((value - mean) / scale * 2^f), low, high), in exact rational arithmetic with halves rounded
to even, so that every client computes the same integers. `mean` and `scale` are decimal text; a float
counts as the exact binary fraction that it is.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from math import prod
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field

from cloister.fixedpoint.errors import InvalidModelInput
from cloister.fixedpoint.graph import STRICT, Arithmetic, BlockShape
from cloister.fixedpoint.limits import MAX_ENTRIES

DecimalText = Annotated[str, Field(pattern=r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$")]
Integer = Annotated[int, Field(ge=-(2**30), lt=2**30)]
PerEntry = Field(min_length=1, max_length=MAX_ENTRIES)
SIGNIFICANT_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """Shape and range of a model's input, and the client's way to it.

    mean, scale, low and high hold one value for all entries, or one for each in row-major order;
    low and high are inclusive integers inside [-2^t, 2^t).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    shape: BlockShape
    mean: Annotated[tuple[DecimalText, ...], PerEntry]
    scale: Annotated[tuple[DecimalText, ...], PerEntry]
    low: Annotated[tuple[Integer, ...], PerEntry]
    high: Annotated[tuple[Integer, ...], PerEntry]

    @classmethod
    def fit(cls, rows: ArrayLike, arithmetic: Arithmetic, *, margin: float = 0.25) -> InputSpec:
        """Standardise from training rows (n, *shape) to mean 0 and deviation 1.

        The declared range is that of the rows, widened by `margin` of its width each way. Means and
        deviations are computed exactly and kept to nine significant digits, so the result does not depend
        on the machine. Raises InvalidModelInput for rows that are not finite numbers.
        """
        array = _finite(rows)
        columns = array.reshape(len(array), -1).T.tolist()
        deviations = [statistics.pstdev(column) for column in columns]
        bound = 2**arithmetic.t
        unclipped = cls(
            shape=tuple(array.shape[1:]),
            mean=tuple(_decimal(statistics.fmean(column)) for column in columns),
            scale=tuple(_decimal(deviation) if deviation > 0 else "1" for deviation in deviations),
            low=(-bound,),
            high=(bound - 1,),
        )
        integers = unclipped.quantise(array, arithmetic).reshape(len(array), -1)
        lowest, highest = integers.min(axis=0), integers.max(axis=0)
        slack = np.ceil((highest - lowest) * margin).astype(np.int64)
        return cls(
            shape=unclipped.shape,
            mean=unclipped.mean,
            scale=unclipped.scale,
            low=tuple(np.maximum(lowest - slack, -bound).tolist()),
            high=tuple(np.minimum(highest + slack, bound - 1).tolist()),
        )

    def problem(self, arithmetic: Arithmetic) -> str | None:
        """What makes this unusable, if anything."""
        entries = prod(self.shape)
        for name in ("mean", "scale", "low", "high"):
            if len(getattr(self, name)) not in (1, entries):
                return f"input.{name} must have 1 or {entries} values"
        if any(Fraction(value) <= 0 for value in self.scale):
            return "input.scale must be positive"
        low, high = self.bounds()
        if bool((low > high).any()) or low.min() < -(2**arithmetic.t) or high.max() >= 2**arithmetic.t:
            return f"input.low..high must be ordered and inside [-2^{arithmetic.t}, 2^{arithmetic.t})"
        return None

    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Inclusive bounds of every entry, int64 of the input's shape."""
        low, high = (
            np.broadcast_to(np.array(ends, dtype=np.int64), (prod(self.shape),)).reshape(self.shape)
            for ends in (self.low, self.high)
        )
        return low, high

    def standardise(self, rows: ArrayLike) -> NDArray[np.float64]:
        """(rows - mean) / scale in float64, neither rounded nor clipped: what the float model reads."""
        array = self._rows(rows)
        mean, scale = (
            np.broadcast_to(np.array(values, dtype=np.float64), (prod(self.shape),)).reshape(self.shape)
            for values in (self.mean, self.scale)
        )
        return (array - mean) / scale

    def quantise(self, rows: ArrayLike, arithmetic: Arithmetic) -> NDArray[np.int64]:
        """Rows of measured numbers (n, *shape) to integers of the same shape.

        Raises InvalidModelInput for another shape, or for values that are not finite.
        """
        array = self._rows(rows)
        entries = prod(self.shape)
        factor = [2**arithmetic.f / Fraction(value) for value in _spread(self.scale, entries)]
        offset = [Fraction(value) * k for value, k in zip(_spread(self.mean, entries), factor, strict=True)]
        low, high = _spread(self.low, entries), _spread(self.high, entries)
        integers = [
            [min(max(round(Fraction(row[i]) * factor[i] - offset[i]), low[i]), high[i]) for i in range(entries)]
            for row in array.reshape(len(array), -1).tolist()
        ]
        return np.array(integers, dtype=np.int64).reshape(array.shape)

    def _rows(self, rows: ArrayLike) -> NDArray[np.float64]:
        array = _finite(rows)
        if array.shape[1:] != self.shape:
            raise InvalidModelInput(
                f"The rows have shape {array.shape}, expected (n, {', '.join(map(str, self.shape))}).",
                "Give a batch: one row is a batch of one.",
            )
        return array


def _finite(rows: ArrayLike) -> NDArray[np.float64]:
    try:
        array = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidModelInput(
            f"The rows are not an array of numbers ({error}).", "Give equal-length rows."
        ) from error
    if array.ndim < 2 or array.size == 0:
        raise InvalidModelInput(f"The rows have shape {array.shape}.", "Give at least one row, as a batch.")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        index = tuple(bad[0].tolist())
        raise InvalidModelInput(f"Entry {index} is {array[index]}.", "Replace missing values before encoding.")
    return array


def _spread(values: Sequence[Any], entries: int) -> list[Any]:
    return list(values) * (entries if len(values) == 1 else 1)


def _decimal(value: float) -> str:
    rounded = Decimal(value).normalize(Context(prec=SIGNIFICANT_DIGITS))
    text = format(rounded.quantize(Decimal(1).scaleb(-18)) if abs(rounded) < 1 else rounded, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
