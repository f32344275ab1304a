"""The committee: neighbours count where requests are alike, and nothing is believed where nothing holds."""

import numpy as np
from estimator_worlds import make_world, mean_square

from pinnace.router.estimators.committee import Committee
from pinnace.router.estimators.learner import Rows
from pinnace.router.estimators.linear import LinearHeads
from pinnace.router.types import FloatArray


def rings(n: int, seed: int) -> tuple[Rows, FloatArray]:
    """Requests on a circle whose best model changes six times around it: no straight line tells it."""
    random = np.random.default_rng(seed)
    angle = random.uniform(0, 2 * np.pi, n)
    features = np.stack([np.cos(angle), np.sin(angle), random.normal(size=n) * 0.01], axis=1)
    chance = np.stack([0.5 + 0.4 * np.sin(3 * angle), 0.5 - 0.4 * np.sin(3 * angle)], axis=1)
    scores = (random.random((n, 2)) < chance).astype(float)
    return Rows(features, scores, np.zeros(n, dtype=np.int64), np.arange(n), 2), chance


def test_neighbours_see_what_no_line_separates() -> None:
    rows, _ = rings(1200, 0)
    fresh, chance = rings(500, 1)
    found = Committee(1).fit(rows).predict(fresh.features)
    line = LinearHeads(1.0).fit(rows).predict(fresh.features)
    assert mean_square(found, chance) < 0.3 * mean_square(line, chance)


def test_of_scores_that_are_shuffled_the_means_are_left() -> None:
    rows = make_world(400, 0, strength=0.3).shuffled(0)
    committee = Committee(0).fit(rows)
    away = committee.predict(rows.features) - committee.means_
    assert mean_square(away, away.mean(axis=1, keepdims=True)) < 0.02**2


def test_a_single_kind_and_missing_scores_are_no_trouble() -> None:
    rows, _ = rings(300, 2)
    holes = np.where(np.random.default_rng(0).random(rows.scores.shape) < 0.2, np.nan, rows.scores)
    found = Committee(1).fit(rows.with_scores(holes)).predict(rows.features)
    assert np.isfinite(found).all()
