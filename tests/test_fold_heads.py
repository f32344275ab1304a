"""Heads without each fold: the numbers of the estimator that serves, by a shorter way."""

from dataclasses import replace

import numpy as np
import pytest
from estimator_worlds import make_world

from pinnace.eval.fold_heads import fit_fold_heads
from pinnace.router.estimators.costs import CostHeads
from pinnace.router.estimators.learner import FOLDS, folds_of
from pinnace.router.estimators.quality import compiled, quality_stack


@pytest.mark.parametrize("kinds", [1, 2, 4])
def test_the_numbers_are_those_of_the_stack_and_of_the_cost_heads(kinds: int) -> None:
    rows = make_world(400, 0).rows
    rows = replace(rows, kinds=rows.kinds % kinds)
    costs = np.random.default_rng(1).lognormal(size=rows.scores.shape) * 1e-4
    folds = folds_of(rows.groups, 3)
    found = fit_fold_heads(rows, costs, folds)
    alike = [fold for fold in range(FOLDS) if fold != folds[-1]]  # without the last group a stack draws anew
    for fold in alike:
        rest = rows.take(folds != fold)
        stack = quality_stack(rows.dim, random_state=3).fit(rest)
        expected = compiled(stack, rows.features.shape[1]).predict(rows.features)
        assert np.ptp(expected, axis=0).min() > 0.05
        assert np.allclose(found[fold].quality.predict(rows.features), expected, atol=1e-9)
        priced = CostHeads().fit(rest.with_scores(costs[folds != fold])).predict(rows.features)
        assert np.allclose(found[fold].costs.predict(rows.features), priced, rtol=1e-9)


def test_no_fold_tells_its_own_heads_anything() -> None:
    rows = make_world(300, 1).rows
    costs = np.ones_like(rows.scores)
    folds = folds_of(rows.groups, 0)
    before = fit_fold_heads(rows, costs, folds)
    held = (folds == 2)[:, None]
    lies = rows.with_scores(np.where(held, 1 - rows.scores, rows.scores))
    after = fit_fold_heads(lies, np.where(held, 7.0, costs), folds)
    for fold, (then, now) in enumerate(zip(before, after, strict=True)):
        for was, is_now in ((then.quality, now.quality), (then.costs, now.costs)):
            same = np.array_equal(was.predict(rows.features), is_now.predict(rows.features))
            assert same is (fold == 2)


def test_an_empty_fold_is_no_obstacle() -> None:
    rows = make_world(60, 2).rows
    folds = np.arange(60) % 4
    for heads in fit_fold_heads(rows, np.ones_like(rows.scores), folds):
        quality = heads.quality.predict(rows.features)
        assert quality.min() >= 0
        assert quality.max() <= 1
        assert heads.costs.predict(rows.features) == pytest.approx(1)
