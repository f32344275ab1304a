"""Replay: routing methods compared on recorded outcomes, over several splits, with bootstrap intervals.

Every draw resamples the rows of the whole table once, and each split's test part with them, so that the
same luck is shared by all methods and all splits, and differences between methods are paired.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore

from pinnace.eval.bootstrap import Interval, Weights, draw_weights, interval, mean_draws, paired_interval
from pinnace.eval.curve import hull_areas, hull_at, is_one_cost
from pinnace.eval.methods import METHODS, NEEDS_LARGE, Method, Settings
from pinnace.eval.recorded_rows import Recorded, Split, hash_split
from pinnace.eval.replay_metrics import metric_draws
from pinnace.eval.table import FloatArray
from pinnace.router.types import IntArray

PERCENT = 100.0
GRID = 41
"""Costs at which a curve is written down."""
RIVALS = ("peer", "foreign")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One figure in every bootstrap draw, (draws,), and on the rows as they are."""

    value: float
    draws: FloatArray

    def interval(self) -> Interval:
        """With its 95 % interval."""
        return interval(self.value, self.draws)


@dataclass(frozen=True, slots=True, eq=False)
class MethodFigures:
    """What a method reached, the mean over the splits: figures by name, and its curve on common costs.

    `curve` (draws + 1, grid) holds the hull's height, 0..1, of the rows as they are first, then of each draw.
    """

    method: Method
    figures: Mapping[str, Drawn]
    curve: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """A finished replay. `grid` (41,) are the costs of the curves, in USD per request.

    `expected` (k, m) are the qualities that our method expected of the first split's test rows, whose places
    among the recorded ones are `first_test` (k,); None where ours was not replayed.
    """

    recorded: Recorded
    methods: Mapping[str, MethodFigures]
    grid: FloatArray
    test_rows: tuple[int, ...]
    seeds: int
    draws: int
    singles: Mapping[str, tuple[float, float]]
    first_test: IntArray
    expected: FloatArray | None


def replay(
    recorded: Recorded,
    *,
    methods: Mapping[str, Method] = METHODS,
    seeds: int = 5,
    draws: int = 1_000,
    rows: int | None = None,
    on_done: Callable[[], None] = lambda: None,
) -> Replay:
    """Replay `methods` over `seeds` splits of the recorded rows.

    :param rows: learn from only so many rows of each split.
    :param on_done: called after each method of each split.
    :raises TableError: when there are too few rows.
    """
    usable = usable_methods(recorded, methods)
    splits = [hash_split(recorded, seed, rows=rows) for seed in range(seeds)]
    weights = np.vstack(
        [np.ones((1, len(recorded)), dtype=np.float32), draw_weights(len(recorded), draws, seed=0)]
    )
    grid = np.linspace(*_reach(recorded.costs.mean(axis=0)), GRID)
    gathered: dict[str, list[tuple[dict[str, FloatArray], FloatArray]]] = {name: [] for name in usable}
    expected: FloatArray | None = None
    with threadpool_limits(1):  # more threads wait for each other on cores that others share
        for split in splits:
            here = _Test(split, weights[:, split.test.rows])
            for name, method in usable.items():
                settings = method.settle(split)
                gathered[name].append(here.measure(settings, grid))
                if method.kind == "ours" and split is splits[0]:
                    expected = settings.quality
                on_done()
    return Replay(
        recorded=recorded,
        methods={name: _mean(usable[name], found) for name, found in gathered.items()},
        grid=grid,
        test_rows=tuple(len(split.test.rows) for split in splits),
        seeds=seeds,
        draws=draws,
        singles=_singles(recorded),
        first_test=splits[0].test.rows,
        expected=expected,
    )


def usable_methods(recorded: Recorded, methods: Mapping[str, Method]) -> dict[str, Method]:
    """Those of `methods` that fit the pool: some need a large model."""
    return {n: m for n, m in methods.items() if recorded.large is not None or n not in NEEDS_LARGE}


def best_peer(found: Replay, figure: str) -> str | None:
    """The name of the published or foreign method with the highest value of `figure`."""
    peers = {name: m.figures[figure].value for name, m in found.methods.items() if m.method.kind in RIVALS}
    return max(peers, key=lambda name: peers[name]) if peers else None


def lead(found: Replay, ours: str, theirs: str, figure: str) -> Interval:
    """By how much one method leads another in `figure`, with a paired 95 % interval."""
    mine, other = found.methods[ours].figures[figure], found.methods[theirs].figures[figure]
    return paired_interval(mine.draws, other.draws, value=mine.value - other.value)


class _Test:
    """A split's test part and the bootstrap's weights on it, (draws + 1, n): the first are all one."""

    def __init__(self, split: Split, weights: Weights) -> None:
        self.split = split
        self.weights = weights
        self.single_costs = mean_draws(split.test.costs, weights)
        self.single_scores = mean_draws(split.test.scores, weights)
        means = split.train.costs.mean(axis=0)
        self.cheapest = int(np.argmin(means))
        self.is_priced = not is_one_cost(*_reach(means))

    def measure(self, settings: Settings, grid: FloatArray) -> tuple[dict[str, FloatArray], FloatArray]:
        """Every figure (draws + 1,) by name, and the curve (draws + 1, grid)."""
        test = self.split.test
        everyone = np.arange(len(test.rows))
        costs, qualities = self._points(settings)
        low, high = _reach(self.single_costs)
        figures = {
            "area": PERCENT * hull_areas(costs, qualities, low, high),
            "small_accuracy": PERCENT * mean_draws(test.scores[everyone, settings.small], self.weights),
        }
        figures |= metric_draws(self.split, settings, self.weights, costs, qualities, low, high)
        return figures, np.stack([hull_at(c, q, grid) for c, q in zip(costs, qualities, strict=True)])

    def _points(self, settings: Settings) -> tuple[FloatArray, FloatArray]:
        """Mean costs and qualities of the settings and of the cheapest model, (draws + 1, p) each.

        Where all models cost the same there is nothing to set: the setting that looks at quality is left.
        """
        test = self.split.test
        chosen = settings.chosen if self.is_priced else settings.chosen[:1]
        everyone = np.arange(len(test.rows))
        costs, qualities = (
            mean_draws(values[everyone, chosen].T, self.weights) for values in (test.costs, test.scores)
        )
        if not self.is_priced:
            return costs, qualities
        cheapest = [self.cheapest]
        return (
            np.hstack([costs, self.single_costs[:, cheapest]]),
            np.hstack([qualities, self.single_scores[:, cheapest]]),
        )


def _reach(costs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean costs of the cheapest and the dearest model."""
    return costs.min(axis=-1), costs.max(axis=-1)


def _mean(method: Method, found: Sequence[tuple[dict[str, FloatArray], FloatArray]]) -> MethodFigures:
    """The mean over splits; a figure that is not defined for one of them is not defined."""
    figures: dict[str, Drawn] = {}
    for name in found[0][0]:
        values = np.mean([each[name] for each, _ in found], axis=0)
        figures[name] = Drawn(float(values[0]), values[1:])
    return MethodFigures(method, figures, np.mean([curve for _, curve in found], axis=0))


def _singles(recorded: Recorded) -> dict[str, tuple[float, float]]:
    """Mean cost in USD and mean quality, 0..100, of each model over all recorded rows."""
    costs, scores = recorded.costs.mean(axis=0), recorded.scores.mean(axis=0)
    return {
        model: (float(cost), PERCENT * float(score))
        for model, cost, score in zip(recorded.pool.models, costs, scores, strict=True)
    }
