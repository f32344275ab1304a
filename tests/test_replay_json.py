"""The JSON of a replay: the keys that the issue names, finite, and null where nothing is defined."""

import json
import math
from typing import Any

import numpy as np
import pytest
from replay_worlds import DRAWS, LARGE, QUICK, SEEDS, SMALL, finished, recorded_of, world

from pinnace.eval.pool import Pool
from pinnace.eval.replay import replay
from pinnace.eval.replay_json import replay_json
from pinnace.eval.replay_metrics import NORMALISATION

NAMED = [
    "pinnace",
    "content_blind",
    "best_single",
    "cheapest",
    "oracle",
    "random",
    "knn40",
    "knn100",
    "avengers_pro",
    "cre",
]
HEADLINES = ("small_accuracy", "area")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return replay_json(finished(), "world.parquet")


@pytest.mark.parametrize("name", NAMED)
def test_each_method_of_the_issue_has_its_figures(name: str, found: dict[str, Any]) -> None:
    method = found["methods"][name]
    for figure in HEADLINES:
        low, value, high = (method[figure + end] for end in ("_low", "", "_high"))
        assert 0 <= low <= high <= 100
        assert 0 <= value <= 100
        assert math.isfinite(value)


@pytest.mark.parametrize("key", ["delta_vs_best_peer", "delta_vs_blind"])
def test_deltas_are_ours_minus_theirs(key: str, found: dict[str, Any]) -> None:
    delta = found[key]
    for figure in HEADLINES:
        other = {
            "delta_vs_blind": "content_blind",
            "delta_vs_best_peer": found["delta_vs_best_peer"][
                "peer" if figure == "area" else "small_accuracy_peer"
            ],
        }[key]
        expected = found["methods"]["pinnace"][figure] - found["methods"][other][figure]
        assert delta[figure] == pytest.approx(expected)
        assert delta[f"{figure}_low"] <= delta[figure] <= delta[f"{figure}_high"]


def test_the_best_peers_are_the_best_of_the_peers(found: dict[str, Any]) -> None:
    peers = {name: m for name, m in found["methods"].items() if m["kind"] == "peer"}
    assert found["delta_vs_best_peer"]["peer"] == max(peers, key=lambda name: peers[name]["area"])
    best = found["delta_vs_best_peer"]["small_accuracy_peer"]
    assert peers[best]["small_accuracy"] == max(peer["small_accuracy"] for peer in peers.values())


def test_what_was_replayed_is_told(found: dict[str, Any]) -> None:
    costs = world().costs.mean(axis=0)
    told = {key: found[key] for key in ("table", "rows", "seeds", "draws", "small", "large", "train_share")}
    assert told == {
        "table": "world.parquet",
        "rows": 300,
        "seeds": SEEDS,
        "draws": DRAWS,
        "small": list(SMALL),
        "large": LARGE,
        "train_share": 0.7,
    }
    assert (found["cost_low"], found["cost_high"]) == pytest.approx((costs.min(), costs.max()))
    assert sum(found["dropped"].values()) == 0
    assert len(found["test_rows"]) == SEEDS
    assert list(found["singles"]) == [*SMALL, LARGE]
    assert found["normalisation"] == NORMALISATION


def test_every_metric_has_a_normalisation_and_an_interval(found: dict[str, Any]) -> None:
    for method in found["methods"].values():
        assert set(method["metrics"]) <= set(NORMALISATION)
        assert all(set(metric) == {"value", "low", "high"} for metric in method["metrics"].values())


def test_curves_are_in_percent_on_one_grid_and_their_bands_hold_them(found: dict[str, Any]) -> None:
    for name, method in found["methods"].items():
        curve = {key: np.array(values) for key, values in method["curve"].items()}
        assert set(curve) == {"cost", "quality", "low", "high"}
        assert len({len(values) for values in curve.values()}) == 1
        assert (curve["low"] <= curve["high"]).all()
        assert 1 < curve["quality"].max() <= 100, name


def test_it_can_be_printed_as_json(found: dict[str, Any]) -> None:
    from pinnace.cli.app import _with_nulls

    text = json.dumps(_with_nulls(found), allow_nan=False)
    assert json.loads(text)["methods"]["best_single"]["metrics"]["qnc"]


def test_without_a_peer_there_is_no_delta_to_it() -> None:
    methods = {name: QUICK[name] for name in ("pinnace", "content_blind")}
    plain = replay_json(replay(recorded_of(world()), methods=methods, seeds=1, draws=10), "t")
    assert plain["delta_vs_best_peer"] is None
    assert plain["delta_vs_blind"]["area"] > 0


def test_without_a_large_model_it_is_null() -> None:
    recorded = recorded_of(world(), Pool(SMALL))
    plain = replay_json(replay(recorded, methods=QUICK, seeds=1, draws=10), "t")
    assert plain["large"] is None
    assert set(plain["methods"]) == set(QUICK) - {"routellm"}
