"""Proof by interval arithmetic that no stage can leave its integer range.

For a learned map with weight W and inputs in [low, high], each output row lies in [W⁺·low + W⁻·high,
W⁺·high + W⁻·low], where W⁺ and W⁻ are the positive and negative parts. Rows are bounded one by one and
padding counts as the zero that it is. The bound is sound always; it is tight (some input reaches each
end) where a stage reads the input once, without overlapping windows of a pool.

Beside the interval, the sum of magnitudes of all addends (|W|·max(|low|, |high|) + |bias|) must stay
below 2^53. That float64 sum decides it soundly: no addend is negative and rounding is monotone, so if the
true sum reached 2^53 so would the computed one; if it did not, every partial sum was exact, here and in
`execution.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cloister.fixedpoint.errors import RangeExceeded
from cloister.fixedpoint.execution import Tensors, apply_maps, broadcast_bias
from cloister.fixedpoint.graph import Arithmetic, Dense, LearnedMap, Stage, Term
from cloister.fixedpoint.limits import ACCUMULATOR_BITS, EXACT_FLOAT64

LIMIT = 2 ** (ACCUMULATOR_BITS - 1)
ENTRIES_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class StageBounds:
    """Bounds of z, entry by entry: int64 tensors of the stage's shape."""

    low: Tensor
    high: Tensor

    @property
    def bits(self) -> int:
        """Smallest B with every z in [-2^(B-1), 2^(B-1))."""
        lowest, highest = int(self.low.min()), int(self.high.max())
        return max(highest, -lowest - 1, 0).bit_length() + 1


def prove_ranges(
    low: Tensor, high: Tensor, stages: Sequence[Stage], tensors: Tensors, arithmetic: Arithmetic
) -> tuple[StageBounds, ...]:
    """Bound every z of every stage for all inputs between `low` and `high`.

    `low`, `high`: float64 integers of the input's shape. `tensors`: float64 integers by name.
    Raises RangeExceeded, naming the layers and the bound, if some z could leave [-2^31, 2^31).
    """
    blocks = [(low.unsqueeze(0), high.unsqueeze(0))]
    bounds = []
    for number, stage in enumerate(stages, start=1):
        bias = broadcast_bias(tensors[stage.bias], stage.shape)
        z_low = z_high = bias.expand(1, *stage.shape)
        magnitude = z_low.abs()
        for term in stage.terms:
            below, above, addends = _term_bounds(term, blocks[term.source], tensors)
            z_low, z_high, magnitude = z_low + below, z_high + above, magnitude + addends
        _refuse_outside(number, stage, z_low, z_high, magnitude)
        exact = StageBounds(z_low[0].to(torch.int64), z_high[0].to(torch.int64))
        bounds.append(exact)
        blocks.append(
            (
                (exact.low >> arithmetic.s).clamp(min=0).double().unsqueeze(0),
                (exact.high >> arithmetic.s).clamp(min=0).double().unsqueeze(0),
            )
        )
    return tuple(bounds)


def _term_bounds(term: Term, block: tuple[Tensor, Tensor], tensors: Tensors) -> tuple[Tensor, Tensor, Tensor]:
    low, high = block
    largest = torch.maximum(low.abs(), high.abs())
    learned = term.learned()
    if learned is None:
        low, high, largest = (apply_maps(term.maps, x, None) for x in (low, high, largest))
        ends = (low * term.coefficient, high * term.coefficient)
        if term.coefficient < 0:
            ends = ends[::-1]
        return (*ends, largest * abs(term.coefficient))
    split = term.maps.index(learned)
    before, after = term.maps[:split], term.maps[split + 1 :]
    low, high, largest = (apply_maps(before, x, None) for x in (low, high, largest))
    parts = [_learned_bounds(learned, low, high, largest, weight) for weight in _parts(learned, tensors)]
    below, above, addends = (apply_maps(after, torch.cat(sums, dim=1), None) for sums in zip(*parts, strict=True))
    return below, above, addends


def _parts(learned: LearnedMap, tensors: Tensors) -> Sequence[Tensor]:
    """A matrix in parts that stay in the processor's cache with all that is made of them; a kernel whole."""
    weight = tensors[learned.weight]
    if not isinstance(learned, Dense):
        return (weight,)
    rows = max(1, ENTRIES_AT_ONCE // weight.shape[1])
    return [weight[at : at + rows] for at in range(0, len(weight), rows)]


def _learned_bounds(
    learned: LearnedMap, low: Tensor, high: Tensor, largest: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    positive, negative = weight.clamp(min=0), weight.clamp(max=0)
    here = (learned,)
    below = apply_maps(here, low, positive) + apply_maps(here, high, negative)
    above = apply_maps(here, high, positive) + apply_maps(here, low, negative)
    return below, above, apply_maps(here, largest, weight.abs())


def _refuse_outside(number: int, stage: Stage, low: Tensor, high: Tensor, magnitude: Tensor) -> None:
    where = f"stage {number} (layers: {' + '.join(stage.layers) or 'none'})"
    if bool(magnitude.max() >= EXACT_FLOAT64):
        raise RangeExceeded(
            f"{where}: the magnitudes of one sum add up to {float(magnitude.max()):.3g}, "
            f"beyond 2^53, where integer sums stop being exact.",
            "Narrow the declared input range, or lower f or s.",
        )
    lowest, highest = int(low.min()), int(high.max())
    if lowest >= -LIMIT and highest < LIMIT:
        return
    extreme, entry = (highest, int(high.argmax())) if highest >= LIMIT else (lowest, int(low.argmin()))
    excess = (max(highest, -lowest - 1)).bit_length() + 1 - ACCUMULATOR_BITS
    raise RangeExceeded(
        f"{where}: entry {entry} can reach {extreme:,}, outside [-2^31, 2^31) for the declared input range.",
        f"Lower f or s by {excess} in all, narrow the input range, or train with stronger weight decay.",
    )
