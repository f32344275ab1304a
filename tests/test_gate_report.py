"""The gate's figures: those of scikit-learn, beside baselines that are what they say."""

import json

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from pinnace.eval.gate_report import GateReport, report_gate
from pinnace.eval.gate_rows import GatedRows
from pinnace.router.calibration import sigmoids
from pinnace.router.drift import drift, reference_of
from pinnace.router.evidence import Evidence

METRICS = {"auroc", "brier", "ece", "aurc", "excess_aurc", "coverage_80", "coverage_90", "coverage_95"}
METHODS = {"gate", "estimate", "mean_logprob", "minimum_logprob", "random"}


def judged(n: int = 400, *, large: bool = True, knows: float = 2.0) -> GatedRows:
    """Rows whose gate says the chance that they were made with; mean log-probabilities say little."""
    random = np.random.default_rng(0)
    odds = random.normal(0, knows, n) if knows else np.zeros(n)
    right = (random.random(n) < sigmoids(odds)).astype(float)
    means = -np.abs(random.normal(1, 0.5, n)) + 0.1 * right
    return GatedRows(
        model="small",
        stage="whole",
        tasks=tuple("ab"[i % 2] if i < n - 5 else "few" for i in range(n)),
        prompts=tuple(f"prompt {i // 2}" for i in range(n)),
        evidence=tuple(Evidence(min(float(m), 0), min(float(2 * m), 0), -1, -1, 1, 0, 2, 1) for m in means),
        right=right,
        confidence=sigmoids(odds),
        uncalibrated=sigmoids(2 * odds),
        estimate=np.full(n, 0.5),
        large="large" if large else None,
        large_scores=np.where(np.arange(n) % 3 == 0, np.nan, 1.0) if large else np.full(n, np.nan),
    )


@pytest.fixture(scope="module")
def report() -> GateReport:
    rows = judged()
    return report_gate(rows, draws=200, drift=drift(rows.evidence, reference_of(rows.evidence)))


def test_figures_are_those_of_scikit_learn(report: GateReport) -> None:
    rows, gate = judged(), report.figures.methods["gate"]
    assert gate["auroc"].value == pytest.approx(roc_auc_score(rows.right, rows.confidence))
    assert gate["brier"].value == pytest.approx(brier_score_loss(rows.right, rows.confidence))
    assert gate["ece"].value < 0.08


def test_figures_lie_in_their_intervals(report: GateReport) -> None:
    for metric in ("auroc", "brier", "aurc", "excess_aurc"):
        figure = report.figures.methods["gate"][metric]
        assert figure.low < figure.value < figure.high


def test_aurc_less_the_excess_is_that_of_the_perfect_order(report: GateReport) -> None:
    rows, gate = judged(), report.figures.methods["gate"]
    errors = 1 - np.sort(rows.right)[::-1]
    perfect = np.mean(np.cumsum(errors) / np.arange(1, len(errors) + 1))
    assert gate["aurc"].value - gate["excess_aurc"].value == pytest.approx(perfect)


def test_the_random_gate_knows_nothing(report: GateReport) -> None:
    random = report.figures.methods["random"]
    assert random["auroc"].value == 0.5
    assert random["aurc"].value == pytest.approx(1 - report.figures.accuracy)
    assert random["ece"].value == pytest.approx(0, abs=1e-12)


def test_the_gain_in_auroc_is_the_difference_and_paired(report: GateReport) -> None:
    figures = report.figures
    values = [figures.methods[name]["auroc"].value for name in ("gate", "mean_logprob", "estimate")]
    assert figures.over_mean.value == pytest.approx(values[0] - values[1])
    assert figures.over_estimate.value == pytest.approx(values[0] - values[2])
    assert 0 < figures.over_mean.low < figures.over_mean.value < figures.over_mean.high


def test_tasks_of_too_few_rows_have_no_figures_of_their_own(report: GateReport) -> None:
    assert set(report.tasks) == {"a", "b"}
    assert sum(figures.rows for figures in report.tasks.values()) == report.figures.rows - 5


def test_the_cascade_is_measured_where_the_large_model_was_run(report: GateReport) -> None:
    cascade = report.cascade
    assert cascade is not None
    assert (cascade.rows, cascade.accuracy_large) == (266, 1.0)
    assert all(point.over_blind.low > 0 for point in cascade.points)


def test_without_a_larger_model_there_is_no_cascade() -> None:
    found = report_gate(judged(large=False), draws=100).as_json()
    assert (found["large"], found["cascade"], found["drift"]) == (None, None, None)


def test_json_has_the_documented_keys(report: GateReport) -> None:
    found = report.as_json()
    assert set(found) == {
        "model", "stage", "draws", "seed", "large", "rows", "accuracy", "methods", "tasks", "risk_coverage",
        "cascade", "drift", "auroc_over_mean_logprob", "auroc_over_mean_logprob_low",
        "auroc_over_mean_logprob_high", "auroc_over_estimate", "auroc_over_estimate_low",
        "auroc_over_estimate_high",
    }  # fmt: skip
    assert set(found["methods"]) == METHODS
    assert set(found["methods"]["gate"]) == {m + end for m in METRICS for end in ("", "_low", "_high")}
    assert set(found["tasks"]["a"]) < set(found)
    assert set(found["cascade"]) == {"rows", "accuracy_small", "accuracy_large", "points"}
    assert set(found["cascade"]["points"][0]) == {
        "share", "accuracy", "blind_accuracy", "over_blind", "over_blind_low", "over_blind_high",
        "escalation_gain", "regressions", "adverse_selection_tax",
    }  # fmt: skip
    assert set(found["drift"]) == {"live_rows", "fitted_rows", "moved", "features"}
    assert set(found["drift"]["features"]["mean"]) == {
        "distance", "bound", "fitted_median", "live_median",
    }  # fmt: skip
    assert found["risk_coverage"]["coverage"][-1] == 1
    assert found["risk_coverage"]["risk"][-1] == pytest.approx(1 - found["accuracy"])
    assert json.loads(json.dumps(found)) == found


def test_the_same_seed_gives_the_same_report() -> None:
    one, other = (report_gate(judged(120), draws=100, seed=4).as_json() for _ in range(2))
    assert one == other
