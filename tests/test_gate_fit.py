"""Fitting the gate: clusters are pooled as far as the rows tell, and nothing is judged by its own fit."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pinnace.eval.gate_metrics import auroc
from pinnace.router.calibration import expected_calibration_error, sigmoids
from pinnace.router.evidence import LOGPROBS, Evidence
from pinnace.router.gate import Gate, features_of
from pinnace.router.gate_fit import LEEWAYS, GateRows, fit_gates
from pinnace.router.logistic_fit import Leeway, fit_logistic, log_odds_of


def evidence_with(mean: float, agreement: float = 1.0) -> Evidence:
    return Evidence(mean, 2 * mean, mean, mean, 1.0, 0.0, 2.0, 1.0, agreement=agreement)


def rows_of(
    n: int = 600, seed: int = 0, *, offsets: Sequence[float] = (0.0, 0.0), agreement: float = 0.0
) -> GateRows:
    """Rows of two clusters that differ by `offsets` in log-odds; the estimate does not know of it.

    :param agreement: what the agreement of samples is worth in log-odds; 0 leaves it constant.
    """
    random = np.random.default_rng(seed)
    cluster = random.integers(0, 2, n)
    mean = random.normal(-1, 0.4, n)
    agree = random.integers(1, 6, n) / 5 if agreement else np.ones(n)
    odds = 3 * (mean + 1) + np.asarray(offsets)[cluster] + agreement * (agree - 0.6)
    right = (random.random(n) < sigmoids(odds)).astype(float)
    evidence = [evidence_with(float(m), float(a)) for m, a in zip(mean, agree, strict=True)]
    return GateRows(
        models=("small",),
        prompts=tuple(f"prompt {i}" for i in range(n)),
        scores=right[:, None],
        priors=np.full((n, 1), 0.5),
        evidence={"small": {"whole": evidence}},
        clusters=cluster[:, None],
        weights=np.ones((n, 1)),
    )


def test_a_logistic_finds_what_the_rows_were_made_with() -> None:
    random = np.random.default_rng(0)
    features = random.normal(3, 2, (4000, 1))
    chance = 1 / (1 + np.exp(-(features[:, 0] - 3)))
    right = (random.random(4000) < chance).astype(float)
    rows = np.hstack([features, np.zeros((4000, 2))])
    logistic = fit_logistic(rows, right, ("mean",), np.zeros((4000, 0)))
    assert [logistic.probability([x, 0.0, 0.0]) for x in (1.0, 3.0, 5.0)] == pytest.approx(
        [0.119, 0.5, 0.881], abs=0.03
    )
    assert logistic.clusters is None


@pytest.mark.parametrize("leeway", LEEWAYS)
def test_many_rows_are_as_one_by_one(leeway: Leeway) -> None:
    random = np.random.default_rng(0)
    names = LOGPROBS
    features = random.normal(0, 1, (80, 2 * len(names) + 1))
    membership = random.dirichlet(np.ones(3), 80)
    right = (features[:, 0] + membership[:, 1] + random.normal(0, 1, 80) > 0).astype(float)
    logistic = fit_logistic(features, right, names, membership, leeway)
    one_by_one = [
        logistic.log_odds(row, dict(enumerate(weights)))
        for row, weights in zip(features.tolist(), membership.tolist(), strict=True)
    ]
    np.testing.assert_allclose(log_odds_of(logistic, features, membership), one_by_one)


def test_an_estimate_that_never_varies_leaves_the_share_of_right_answers() -> None:
    right = np.array([1.0, 0.0, 0.0, 0.0] * 5)
    features = np.hstack([np.random.default_rng(0).normal(0, 1, (20, 1)), np.full((20, 2), 0.006)])
    logistic = fit_logistic(features, right, ("mean",), np.zeros((20, 0)), Leeway(0.0))
    assert logistic.probability([0.7, 0.006, 0.006]) == pytest.approx(0.25)


def test_clusters_that_differ_get_terms_of_their_own() -> None:
    logistic = fit_gates(rows_of(1500, offsets=(-1.5, 1.5)), k=3).gate.whole["small"]
    assert logistic.clusters is not None
    low, high, unseen = logistic.clusters.intercepts
    assert high - low > 2
    assert unseen == 0


def test_the_cluster_moves_the_judgement_by_its_weight() -> None:
    gate = fit_gates(rows_of(1500, offsets=(-1.5, 1.5)), k=3).gate
    judged = [
        gate.judge("small", evidence_with(-1.0), prior=0.5, is_whole=True, clusters=clusters)
        for clusters in ({0: 1.0}, {0: 0.5, 1: 0.5}, {1: 1.0})
    ]
    assert judged == pytest.approx([0.18, 0.5, 0.82], abs=0.07)
    unseen = gate.judge("small", evidence_with(-1.0), prior=0.5, is_whole=True, clusters={2: 1.0})
    assert unseen == gate.judge("small", evidence_with(-1.0), prior=0.5, is_whole=True)


def test_a_cluster_of_few_answers_is_pooled() -> None:
    rows = rows_of(600)
    clusters, scores = rows.clusters.copy(), rows.scores.copy()
    clusters[:3], scores[:3] = 2, 1.0
    few = fit_logistic(
        np.array([features_of(each, 0.5) for each in rows.evidence["small"]["whole"] if each]),
        scores[:, 0],
        LOGPROBS,
        np.eye(3)[clusters[:, 0]],
        Leeway(1.0, 1.0),
    )
    assert few.clusters is not None
    assert 0 < few.clusters.intercepts[2] < 1.5


def test_confidence_is_held_out_and_calibrated() -> None:
    rows = rows_of(1500, offsets=(-1.0, 1.0))
    found = fit_gates(rows, k=2)
    held_out = found.confidences[:, 0]
    assert expected_calibration_error(held_out, rows.scores[:, 0]) < 0.06
    assert found.metrics["small/whole/auroc"] > found.metrics["small/whole/auroc_mean_logprob"] + 0.03


def with_known_chances(n: int, seed: int, *, worth: float) -> GateRows:
    """Rows whose estimates are the chances themselves, but for `worth` log-odds per unit of the evidence."""
    random = np.random.default_rng(seed)
    odds = random.normal(-1, 1.2, n)
    mean = random.normal(-1, 1, n)
    right = (random.random(n) < sigmoids(odds + worth * (mean + 1))).astype(float)
    evidence = [
        Evidence(float(m), *map(float, row)) for m, row in zip(mean, random.normal(0, 1, (n, 7)), strict=True)
    ]
    return replace(
        rows_of(n, seed),
        scores=right[:, None],
        priors=sigmoids(odds)[:, None],
        evidence={"small": {"whole": evidence}},
    )


def on_fresh_rows(gate: Gate, rows: GateRows) -> tuple[float, float]:
    """AUROC of the gate's confidence and of the estimate."""
    evidence = [each for each in rows.evidence["small"]["whole"] if each is not None]
    pairs = zip(evidence, rows.priors[:, 0].tolist(), rows.clusters[:, 0].tolist(), strict=True)
    judged = [
        gate.judge("small", each, prior=prior, is_whole=True, clusters={cluster: 1.0})
        for each, prior, cluster in pairs
    ]
    return auroc(np.array(judged), rows.scores[:, 0]), auroc(rows.priors[:, 0], rows.scores[:, 0])


@pytest.mark.parametrize("n", [150, 400])
def test_evidence_that_tells_nothing_leaves_the_estimate_as_it_was(n: int) -> None:
    gate = fit_gates(with_known_chances(n, 0, worth=0.0), k=2).gate
    logistic = gate.whole["small"]
    estimate = len(logistic.features)
    assert [i for i, each in enumerate(logistic.coefficients) if each] == [estimate]
    assert logistic.clusters is None
    ours, estimates = on_fresh_rows(gate, with_known_chances(2000, 1, worth=0.0))
    assert ours == pytest.approx(estimates, abs=0.001)


def test_evidence_that_tells_something_is_used() -> None:
    gate = fit_gates(with_known_chances(600, 0, worth=0.7), k=2).gate
    ours, estimates = on_fresh_rows(gate, with_known_chances(2000, 1, worth=0.7))
    assert ours > estimates + 0.02


def test_the_gate_and_the_estimate_it_starts_from_are_measured_on_the_same_rows() -> None:
    rows = with_known_chances(400, 0, worth=0.7)
    unjudged = [None, *rows.evidence["small"]["whole"][1:]]
    found = fit_gates(replace(rows, evidence={"small": {"whole": unjudged}}), k=2)
    assert found.metrics["small/whole/rows"] == 399
    estimate, right = rows.priors[1:, 0], rows.scores[1:, 0]
    assert found.metrics["small/whole/auroc_estimate"] == pytest.approx(auroc(estimate, right))
    assert found.metrics["small/whole/brier_estimate"] == pytest.approx(np.mean((estimate - right) ** 2))
    assert found.metrics["small/whole/auroc"] > found.metrics["small/whole/auroc_estimate"]


def test_labels_that_mean_nothing_are_not_learnt_by_heart() -> None:
    rows = rows_of(400)
    shuffled = replace(rows, scores=np.random.default_rng(1).permutation(rows.scores))
    assert fit_gates(shuffled, k=2).metrics["small/whole/auroc"] < 0.58


def test_answers_to_the_same_prompt_are_held_out_together() -> None:
    """Each prompt five times in a cluster of its own: only a leak could tell which prompts are answered."""
    prompts, copies = 40, 5
    which = np.arange(prompts * copies) % prompts
    rows = rows_of(prompts * copies)
    repeated = replace(
        rows,
        prompts=tuple(f"prompt {prompt}" for prompt in which),
        scores=np.random.default_rng(0).integers(0, 2, prompts).astype(float)[which][:, None],
        clusters=which[:, None],
    )
    assert fit_gates(repeated, k=prompts).metrics["small/whole/auroc"] < 0.7
    apart = replace(repeated, prompts=rows.prompts)
    assert fit_gates(apart, k=prompts).metrics["small/whole/auroc"] > 0.9


def test_a_feature_that_no_row_varies_in_has_no_part() -> None:
    logistic = fit_gates(rows_of(), k=2).gate.whole["small"]
    assert logistic.features == ("mean", "minimum", "lowest_window", "first")


def test_samples_that_agree_count_where_rows_have_them() -> None:
    gate = fit_gates(rows_of(1500, agreement=5.0), k=2).gate
    split, united = (
        gate.judge("small", evidence_with(-1.0, agreement=share), prior=0.5, is_whole=True)
        for share in (0.2, 1.0)
    )
    assert united > split + 0.4


def test_the_evidence_that_it_was_fitted_on_is_remembered() -> None:
    reference = fit_gates(rows_of(), k=2).gate.references["small"]["whole"]
    assert reference.rows == 600
    assert reference.quantiles["mean"][25] == pytest.approx(-1.0, abs=0.05)


def test_the_same_seed_gives_the_same_gate() -> None:
    one, other = fit_gates(rows_of(), k=2, seed=3), fit_gates(rows_of(), k=2, seed=3)
    assert one.gate == other.gate
    np.testing.assert_array_equal(one.confidences, other.confidences)


@pytest.mark.parametrize("case", ["few rows", "one class", "one prompt", "none"])
def test_without_answers_enough_there_is_no_gate(case: str) -> None:
    rows = rows_of(59 if case == "few rows" else 200)
    changes: dict[str, Any] = {
        "few rows": {},
        "one class": {"scores": np.ones((200, 1))},
        "one prompt": {"prompts": ("same",) * 200},
        "none": {"evidence": {"small": {"whole": [None] * 200}}},
    }
    found = fit_gates(replace(rows, **changes[case]), k=2)
    assert not found.gate.can_judge("small")
    assert np.isnan(found.confidences).all()
    assert dict(found.metrics) == {}
