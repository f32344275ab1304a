"""A floor as it serves: what the known rows teach, and that neither they nor requests tell of themselves."""

from dataclasses import replace

import numpy as np
import pytest
from replay_worlds import TOPICS, recorded_of, world

from pinnace.errors import TableError
from pinnace.eval.floor_service import judge_by_folds, outcomes_of
from pinnace.eval.pool import Pool
from pinnace.eval.resplit import Outcomes
from pinnace.router.types import IntArray

KNOWN, UNKNOWN = np.arange(200), np.arange(200, 300)


def lying(outcomes: Outcomes, rows: IntArray) -> Outcomes:
    """The same with other scores and costs of some rows."""
    scores, costs = outcomes.rows.scores.copy(), outcomes.costs.copy()
    scores[rows], costs[rows] = 1 - scores[rows], 5 * costs[rows]
    return replace(outcomes, rows=outcomes.rows.with_scores(scores), costs=costs)


def test_estimates_tell_the_topics_apart_for_known_rows_and_requests_alike() -> None:
    outcomes = outcomes_of(recorded_of(world()))
    for rows, judged in zip(
        (KNOWN, UNKNOWN),
        judge_by_folds(outcomes.take(KNOWN), outcomes.take(UNKNOWN), 0),
        strict=True,
    ):
        here = outcomes.take(rows)
        tasks = np.array(world().tasks)[rows]
        means = np.stack([judged.quality[tasks == topic].mean(axis=0) for topic in TOPICS])
        assert means[:, :3].argmax(axis=0).tolist() == [0, 1, 2]  # where each small model is at its best
        assert judged.usd.min() > 0
        assert judged.usd.mean(axis=0) == pytest.approx(here.costs.mean(axis=0), rel=0.15)


def test_what_came_of_a_request_changes_no_estimate() -> None:
    outcomes = outcomes_of(recorded_of(world()))
    known, unknown = outcomes.take(KNOWN), outcomes.take(UNKNOWN)
    before = judge_by_folds(known, unknown, 3)
    after = judge_by_folds(known, lying(unknown, np.arange(100)), 3)
    for was, is_now in zip(before, after, strict=True):
        assert np.array_equal(was.quality, is_now.quality)
        assert np.array_equal(was.usd, is_now.usd)


def test_the_folds_of_requests_are_drawn_by_the_seed() -> None:
    outcomes = outcomes_of(recorded_of(world()))
    parts = outcomes.take(KNOWN), outcomes.take(UNKNOWN)
    (_, one), (_, same), (_, other) = (judge_by_folds(*parts, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.quality, same.quality)
    assert not np.array_equal(one.quality, other.quality)


def test_what_no_floor_can_be_about_is_refused() -> None:
    table = world()
    free = replace(table, costs=np.full_like(table.costs, np.nan))
    with pytest.raises(TableError, match="expected a table with costs"):
        outcomes_of(recorded_of(free))
    with pytest.raises(TableError, match="expected at least 100 rows that every model ran on, got 99"):
        outcomes_of(recorded_of(table.take(list(range(99)))))
    with pytest.raises(TableError, match="expected small models and a large one, got small:a"):
        outcomes_of(recorded_of(table, Pool(("small:a",))))
