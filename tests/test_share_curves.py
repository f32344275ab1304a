"""Accuracy over the share of calls: the curves of the pair metrics, beside the blind mix."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.errors import TableError
from pinnace.eval.bootstrap import draw_weights
from pinnace.eval.pair_metrics import accuracy_at, apgr, cpt, share_curve
from pinnace.eval.share_curves import SHARES, Pair, SharePanel, share_panel


def panel_of(seed: int, n: int = 90, draws: int = 40) -> tuple[Pair, SharePanel]:
    random = np.random.default_rng(seed)
    weak, strong = (random.random(n) < 0.4).astype(float), (random.random(n) < 0.8).astype(float)
    needs = {"ours": random.random((2, n)), "oracle": (strong - weak)[None], "none": np.zeros((1, n))}
    pair = Pair("weak to strong", weak, strong, needs)
    return pair, share_panel(pair, draw_weights(n, draws, 0))


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_a_curve_is_the_mean_of_its_seeds_share_curves(seed: int) -> None:
    pair, panel = panel_of(seed)
    curves = [share_curve(pair.weak, pair.strong, need) for need in pair.needs["ours"]]
    expected = [100 * np.mean([accuracy_at(curve, share) for curve in curves]) for share in SHARES]
    found = panel.curves["ours"]
    assert found.accuracy == pytest.approx(expected)
    assert found.apgr == pytest.approx(np.mean([apgr(curve) for curve in curves]), nan_ok=True)
    assert found.cpt50 == pytest.approx(np.mean([cpt(curve, 50) for curve in curves]), nan_ok=True)


def test_who_needs_nothing_is_the_blind_mix_and_no_one_is_above_the_oracle() -> None:
    _, panel = panel_of(0)
    assert panel.curves["none"].over_blind == pytest.approx(np.zeros(len(SHARES)), abs=1e-9)
    best = np.array(panel.curves["oracle"].accuracy)
    assert (best >= np.array(panel.curves["ours"].accuracy) - 1e-9).all()
    assert (panel.curves["ours"].accuracy[0], panel.curves["ours"].accuracy[-1]) == pytest.approx(
        (panel.weak, panel.strong)
    )


def test_intervals_close_at_the_ends_where_nothing_is_chosen() -> None:
    curve = panel_of(3)[1].curves["oracle"]
    for end in (0, -1):
        assert curve.over_blind_low[end] == pytest.approx(curve.over_blind_high[end], abs=1e-9)
    middle = len(SHARES) // 2
    assert 0 < curve.over_blind_low[middle] < curve.over_blind[middle] < curve.over_blind_high[middle]


def test_plain_values_go_into_json() -> None:
    plain = panel_of(1)[1].as_json()
    assert json.loads(json.dumps(plain))["curves"]["ours"]["accuracy"] == list(
        plain["curves"]["ours"]["accuracy"]
    )


def test_a_score_beyond_one_is_refused() -> None:
    pair = Pair("p", np.array([0.0, 2.0]), np.ones(2), {"ours": np.zeros((1, 2))})
    with pytest.raises(TableError, match="2"):
        share_panel(pair, np.ones((1, 2)))
