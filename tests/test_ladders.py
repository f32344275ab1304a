"""Ladders in arrays are those that `plan_route` makes one by one."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from test_policy import prospects_of, rates

from pinnace.router.ladders import plan_ladders
from pinnace.router.policy import Prospect, plan_route

QUANTILES = 5


def padded(spread: tuple[float, ...]) -> np.ndarray:
    """The spread as `QUANTILES` numbers; NaN where there is none."""
    return np.resize(spread, QUANTILES) if spread else np.full(QUANTILES, np.nan)


def told(prospects: list[Prospect]) -> list[Prospect]:
    """The prospects with spreads of one length."""
    spreads = [tuple(padded(p.confidences).tolist()) if p.confidences else () for p in prospects]
    return [replace(p, confidences=s) for p, s in zip(prospects, spreads, strict=True)]


@given(
    st.lists(prospects_of().map(told), min_size=1, max_size=4),
    st.lists(rates, min_size=4, max_size=4),
    st.lists(st.sampled_from([0.0, 0.0, 0.5, 0.9, 1.0]), min_size=5, max_size=5),
)
def test_many_ladders_are_those_of_each_request_alone(
    requests: list[list[Prospect]], all_rates: list[float], least: list[float]
) -> None:
    requests = [[replace(p, least_bar=least[int(p.model[1:])]) for p in each] for each in requests]
    names = tuple(f"m{i}" for i in range(5))
    n = len(requests)
    quality, usd = np.zeros((n, 5)), np.zeros((n, 5))
    spreads, capable = np.full((n, 5, QUANTILES), np.nan), np.zeros((n, 5), dtype=bool)
    for row, prospects in enumerate(requests):
        for at, prospect in enumerate(prospects):
            quality[row, at], usd[row, at] = prospect.quality, prospect.cost_usd
            spreads[row, at], capable[row, at] = padded(prospect.confidences), True
    found = plan_ladders(names, quality, usd, spreads, capable, np.array(all_rates[:n]), np.array(least))
    for row, prospects in enumerate(requests):
        ladder = [r for r in plan_route(prospects, all_rates[row]).rungs if not r.is_fallback]
        assert names[found.first[row]] == ladder[0].model
        assert {names[i] for i in np.flatnonzero(found.is_rung[row])} == {r.model for r in ladder}
        bars = {names[i]: found.bars[row, i] for i in np.flatnonzero(~np.isnan(found.bars[row]))}
        np.testing.assert_allclose(
            [bars[r.model] for r in ladder if r.bar is not None], [r.bar for r in ladder if r.bar is not None]
        )
        assert len(bars) == len(ladder) - 1
