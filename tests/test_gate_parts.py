"""What the page of a gate shows: reliability before and after calibration, risks, the cascade's curves."""

import json

import numpy as np
import pytest
from test_gate_report import judged

from pinnace.eval.gate_metrics import aurc, ece, risk_coverage
from pinnace.eval.gate_parts import COVERAGES, gate_parts
from pinnace.eval.gate_report import report_gate


@pytest.fixture(scope="module")
def parts() -> dict:
    return gate_parts(report_gate(judged(), draws=100))


def test_calibration_is_shown_before_and_after_beside_the_mean_log_probability(parts: dict) -> None:
    found = {entry["what"]: entry["ece"] for entry in parts["reliability"]}
    rows = judged()
    assert list(found) == ["mean_logprob", "estimate", "uncalibrated", "gate"]
    assert found["gate"] == ece(rows.confidence, rows.right)
    assert found["uncalibrated"] == ece(rows.uncalibrated, rows.right) > found["gate"]
    assert found["mean_logprob"] == ece(np.exp([each.mean for each in rows.evidence]), rows.right)


def test_risks_are_those_of_the_risk_coverage_curve(parts: dict) -> None:
    rows = judged()
    coverage, risk = risk_coverage(rows.confidence, rows.right)
    gate = parts["risks"]["curves"]["gate"]
    np.testing.assert_allclose(gate["risk"], 100 * np.interp(COVERAGES, coverage, risk), atol=1e-9)
    low, high = np.array(gate["low"]), np.array(gate["high"])
    assert ((low <= gate["risk"]) & (gate["risk"] <= high)).mean() > 0.9
    assert np.mean(gate["risk"]) == pytest.approx(100 * aurc(rows.confidence, rows.right), abs=1.0)


def test_no_order_is_flat_and_the_perfect_one_below_all(parts: dict) -> None:
    curves = {name: np.array(curve["risk"]) for name, curve in parts["risks"]["curves"].items()}
    assert np.ptp(curves["random"]) == pytest.approx(0, abs=1e-9)
    assert all((curves["oracle"] <= curve + 1e-9).all() for curve in curves.values())


def test_the_cascades_curve_is_that_of_its_points(parts: dict) -> None:
    report = report_gate(judged(), draws=100)
    assert report.cascade is not None
    (pair,) = parts["pairs"]
    assert (pair["name"], pair["rows"]) == ("small to large", 266)
    at = {round(share, 3): k for k, share in enumerate(pair["share"])}
    for point in report.cascade.points:
        if round(point.share, 3) in at:
            k = at[round(point.share, 3)]
            assert pair["curves"]["gate"]["accuracy"][k] == pytest.approx(100 * point.accuracy)
            assert pair["curves"]["gate"]["over_blind_low"][k] == pytest.approx(100 * point.over_blind.low)


def test_without_a_larger_model_there_is_no_cascade() -> None:
    assert gate_parts(report_gate(judged(large=False), draws=100))["pairs"] == []


def test_everything_that_is_drawn_has_a_label_and_plain_values(parts: dict) -> None:
    assert json.loads(json.dumps(parts))["labels"] == parts["labels"]
    drawn = {*parts["risks"]["curves"], *parts["pairs"][0]["curves"]}
    assert drawn <= set(parts["labels"]) == set(parts["kinds"])
