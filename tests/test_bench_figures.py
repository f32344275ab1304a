"""The arithmetic of the bench: medians, ratios and bars."""

import pytest
from bench_fixtures import WHOLE, runs

from pinnace.bench.figures import BARS, DIRECT, ENDPOINT, STOCK, figures, goodput, is_met, ratio


def test_a_ratio_is_the_median_of_the_ratios_within_repeats() -> None:
    found = runs(direct_32=[1000, 500, 100], endpoint_32=[900, 475, 99])
    assert ratio(found, (ENDPOINT, 32), (DIRECT, 32)) == pytest.approx(0.95)
    assert goodput(found, DIRECT, 32) == 500


def test_a_ratio_needs_both_sides_of_a_repeat() -> None:
    found = runs(direct_32=[1000, 500], endpoint_32=[900])
    assert ratio(found, (ENDPOINT, 32), (DIRECT, 32)) == pytest.approx(0.9)
    assert ratio(found, (STOCK, 32), (DIRECT, 32)) is None
    assert goodput(found, STOCK, 32) is None


def test_the_figures_have_the_names_that_are_promised() -> None:
    found = figures(WHOLE, [0.004, 0.006, 0.020], [0.1])
    assert found["goodput_ratio_c32"] == pytest.approx(0.95)
    assert found["goodput_ratio_c32_stream"] == pytest.approx(0.93)
    assert found["ours_over_stock_c32"] == pytest.approx(1.5)
    assert found["batch32_over_batch1"] == pytest.approx(9.0)
    assert (found["decision_p50_ms"], found["decision_p99_ms"]) == (6.0, 20.0)
    assert found["decision_loaded_p50_ms"] == 100.0
    assert found["goodput_ratio_c1"] is None
    assert set(BARS) <= set(found)


def test_bars_are_met_from_their_own_side() -> None:
    assert is_met("goodput_ratio_c32", 0.95)
    assert not is_met("goodput_ratio_c32", 0.94)
    assert is_met("decision_p50_ms", 15.0)
    assert not is_met("decision_p50_ms", 15.1)
