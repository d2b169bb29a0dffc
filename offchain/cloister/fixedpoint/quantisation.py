"""Rounds affine stages to integers: proof-system.md, section 3.

Weights become rint(w·2^s), biases rint(b·2^(f+s)) + 2^(s-1), public factors rint(g·2^s); rint rounds
halves to even.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cloister.fixedpoint.errors import RangeExceeded, UnsupportedLayer
from cloister.fixedpoint.graph import Arithmetic, BadGraph, LearnedMap, LinearMap, Stage, Term
from cloister.fixedpoint.limits import ACCUMULATOR_BITS, BIAS_BITS, WEIGHT_BITS
from cloister.fixedpoint.symbolic import Affine, Path

IntegerTensors = dict[str, NDArray[np.generic]]


def quantise_stages(affine: Sequence[Affine], arithmetic: Arithmetic) -> tuple[tuple[Stage, ...], IntegerTensors]:
    """Integer stages and their tensors: weights int16, biases int32.

    `bits` of each stage is left at its largest value for the interval proof to fill in. Raises RangeExceeded,
    naming the layers, if a weight leaves [-2^15, 2^15) or a bias [-2^30, 2^30).
    """
    stages: list[Stage] = []
    tensors: IntegerTensors = {}
    for number, value in enumerate(affine, start=1):
        where = " + ".join(value.layers) or f"stage {number}"
        terms = []
        for place, path in enumerate(value.paths):
            name = f"stage{number}.term{place}.weight"
            try:
                closed = path.closed()
            except BadGraph as reason:
                raise UnsupportedLayer(f"layer(s) {where}: {reason}.", "Use fewer entries.") from reason
            if closed.weight is None:
                coefficient = round(float(closed.gain[0]) * 2**arithmetic.s)
                if not 0 < abs(coefficient) <= 2**30:
                    raise RangeExceeded(
                        f"layer(s) {where}: the fixed factor {float(closed.gain[0]):.3g} "
                        f"becomes {coefficient}, outside ±[1, 2^30].",
                        "Choose s so that the factor is at least 2^-s and at most 2^(30-s).",
                    )
            else:
                coefficient = 1
                weights = torch.round(closed.weight * 2**arithmetic.s)
                tensors[name] = _integers(weights, WEIGHT_BITS, f"weights of {path.layer or where}", "s")
            terms.append(Term(source=path.source, maps=_named(closed, name), coefficient=coefficient))
        bias_name = f"stage{number}.bias"
        bias = torch.round(value.bias * 2 ** (arithmetic.f + arithmetic.s)) + 2 ** (arithmetic.s - 1)
        tensors[bias_name] = _integers(_per_channel(bias), BIAS_BITS, f"biases of {where}", "f or s")
        stages.append(
            Stage(
                layers=value.layers,
                shape=value.shape,
                terms=tuple(terms),
                bias=bias_name,
                relu=number < len(affine),
                bits=ACCUMULATOR_BITS,
            )
        )
    return tuple(stages), tensors


def _named(path: Path, name: str) -> tuple[LinearMap, ...]:
    return tuple(replace(step, weight=name) if isinstance(step, LearnedMap) else step for step in path.maps)


def _per_channel(bias: Tensor) -> Tensor:
    """One entry per channel where pixels agree: always, but where padding meets a shifted map."""
    if bias.dim() == 3 and bool((bias == bias[:, :1, :1]).all()):
        return bias[:, 0, 0]
    return bias


def _integers(values: Tensor, bits: int, what: str, lower: str) -> NDArray[np.generic]:
    limit = 2 ** (bits - 1)
    lowest, highest = float(values.min()), float(values.max())
    if lowest < -limit or highest >= limit:
        extreme = highest if highest >= limit else lowest
        raise RangeExceeded(
            f"{what} reach {extreme:,.0f} in fixed point, outside [-2^{bits - 1}, 2^{bits - 1}).",
            f"Lower {lower}, or train with stronger weight decay.",
        )
    return values.numpy().astype(np.int16 if bits == WEIGHT_BITS else np.int32)
