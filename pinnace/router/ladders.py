"""Ladders of many requests at once: the rule of `pinnace.router.policy`, in arrays. Pure.

What `plan_route` decides of one request with words, this decides of n requests without them; a test holds
the two to each other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pinnace.router.policy import EPSILON, NEARLY
from pinnace.router.types import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Ladders:
    """n requests, c models. `first` (n,) is the model that each request tries first; `is_rung` (n, c) are the
    models of its ladder, in the order of price; `bars` (n, c) are their bars, NaN for the last rung.
    """

    first: IntArray
    is_rung: BoolArray
    bars: FloatArray


def plan_ladders(
    names: tuple[str, ...],
    quality: FloatArray,
    usd: FloatArray,
    spreads: FloatArray,
    is_capable: BoolArray,
    rates: FloatArray,
    least_bars: FloatArray | None = None,
) -> Ladders:
    """The best ladder of each request, as `plan_route` has it, fallbacks left out.

    :param quality: expected, (n, c); `usd` (n, c) likewise; `is_capable` (n, c).
    :param spreads: equally likely confidences, (n, c, q); NaN where a model can only be a last rung.
    :param rates: lambda of each request, (n,), in quality per USD.
    :param least_bars: of each model, (c,); 0 where it has none.
    """
    assert is_capable.any(axis=1).all(), "a route needs a capable model"
    rows = np.arange(len(quality))
    least_bars = np.zeros(len(names)) if least_bars is None else least_bars
    is_judged: BoolArray = np.asarray(np.isfinite(spreads).all(axis=2), dtype=np.bool_)
    rank = np.argsort(np.argsort(np.array(names)))
    order = np.lexsort((np.broadcast_to(rank, quality.shape), quality, is_judged, -usd), axis=-1)
    found = _Growing(len(rows), len(names))
    for at in order.T:
        price = rates * usd[rows, at]
        alone = quality[rows, at] - price
        above = np.clip(found.value, 0.0, 1.0)
        is_as_good = found.top > quality[rows, at] - NEARLY
        is_held = is_judged[rows, at] & found.has_any & (least_bars[at] > 0) & is_as_good
        bar = np.where(is_held, np.maximum(above, least_bars[at]), above)
        spread = np.where(is_judged[rows, at][:, None], spreads[rows, at], 1.0)
        is_doubted = is_judged[rows, at] & found.has_any & (spread < bar[:, None]).any(axis=1)
        hoped = np.where(spread >= bar[:, None], spread, above[:, None]).mean(axis=1) - price
        found.extend(
            at,
            is_capable[rows, at],
            np.where(is_held, -np.inf, alone),
            np.where(is_doubted | is_held, hoped, -np.inf),
            bar,
            quality[rows, at],
        )
    return Ladders(found.first, found.is_rung, found.bars)


class _Growing:
    """The best ladders over the models seen so far, the dearest first."""

    def __init__(self, n: int, c: int) -> None:
        self.value = np.zeros(n)
        self.top = np.zeros(n)
        self.has_any = np.zeros(n, dtype=bool)
        self.first = np.full(n, -1, dtype=np.int64)
        self.is_rung = np.zeros((n, c), dtype=bool)
        self.bars = np.full((n, c), np.nan)

    def extend(
        self,
        at: IntArray,
        is_capable: BoolArray,
        alone: FloatArray,
        cascade: FloatArray,
        bar: FloatArray,
        quality: FloatArray,
    ) -> None:
        """Put the models `at` (n,) in front, in place, or nowhere: the simplest of what is worth most."""
        as_it_is = np.where(self.has_any, self.value, -np.inf)
        least = np.maximum(np.maximum(alone, as_it_is), cascade) - EPSILON
        takes = is_capable & ((alone >= least) | ~self.has_any)
        climbs = is_capable & ~takes & (as_it_is < least)
        self.is_rung[takes] = False
        self.bars[takes] = np.nan
        chosen = np.flatnonzero(takes | climbs)
        self.is_rung[chosen, at[chosen]] = True
        self.bars[np.flatnonzero(climbs), at[climbs]] = bar[climbs]
        self.first[chosen] = at[chosen]
        self.value = np.where(takes, alone, np.where(climbs, cascade, self.value))
        self.top = np.where(takes, quality, self.top)
        self.has_any |= takes
