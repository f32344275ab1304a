"""Quality as it is served: the stack as plain arrays, and models that join them later."""

from dataclasses import replace

import numpy as np
import pytest
from estimator_worlds import DIM, FORM, World, make_world, mean_square, with_gaps

from pinnace.router.estimators.kinds import softmax
from pinnace.router.estimators.learner import Rows
from pinnace.router.estimators.linear import LinearHeads
from pinnace.router.estimators.quality import QualityHeads, compiled, quality_stack

WIDTH = DIM + FORM


def heads_of(rows: Rows) -> QualityHeads:
    return compiled(quality_stack(DIM).fit(rows), WIDTH)


def without_last(rows: Rows) -> Rows:
    return rows.with_scores(rows.scores[:, :-1])


def only_last(rows: Rows) -> Rows:
    return rows.with_scores(rows.scores[:, -1:])


def similar_models(seed: int, n: int = 2000) -> World:
    """Eight models that differ between requests in two ways only."""
    return make_world(n, seed, models=8, rank=2)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("models", [1, 2, 5])
def test_the_arrays_predict_what_the_stack_does(missing: float, models: int) -> None:
    rows, fresh = make_world(400, 0, models=models).rows, make_world(400, 1, models=models).rows
    stack = quality_stack(DIM).fit(with_gaps(rows, missing, 0))
    heads, expected = compiled(stack, WIDTH), stack.predict(fresh.features)
    assert expected.std() > 0
    assert heads.predict(fresh.features) == pytest.approx(np.clip(expected, 0, 1), abs=1e-9)
    kept = QualityHeads(**heads.arrays())
    assert (kept.predict(fresh.features) == heads.predict(fresh.features)).all()


def test_estimates_stay_within_0_and_1() -> None:
    quality = heads_of(make_world(400, 0, strength=0.6).rows).predict(5 * make_world(400, 1).rows.features)
    assert quality.min() == 0
    assert quality.max() == 1


def test_300_rows_place_a_new_model_nearly_as_well_as_all_do() -> None:
    errors = []
    for seed in range(4):
        world, fresh = similar_models(seed), similar_models(100 + seed)
        rows, x = world.rows, fresh.rows.features
        few = only_last(rows.take(np.arange(300)))
        joined = heads_of(without_last(rows)).with_model(few).predict(x)[:, -1]
        alone = np.clip(LinearHeads(30.0).fit(few).predict(x)[:, 0], 0, 1)
        estimates = joined, heads_of(rows).predict(x)[:, -1], alone, few.scores.mean(axis=0)
        errors.append([mean_square(estimate, fresh.truth[:, -1]) for estimate in estimates])
    joined, full, alone, blind = np.mean(errors, axis=0)
    assert joined < full + 0.2 * (blind - full)
    assert joined < 0.8 * alone


def test_a_new_model_leaves_the_others_as_they_are() -> None:
    rows = similar_models(0, n=600).rows
    before = heads_of(without_last(rows))
    after = before.with_model(only_last(rows.take(np.arange(300))))
    for name, array in before.arrays().items():
        new = after.arrays()[name]
        shared = new if name in ("kind_weights", "kind_intercepts") else new[..., :-1]
        assert (shared == array).all(), name
    assert after.kind_table.shape[1] == after.weights.shape[1] == len(after.intercepts) == 8


def test_rows_that_the_new_model_did_not_run_on_change_nothing() -> None:
    rows = similar_models(0, n=600).rows
    before, new = heads_of(without_last(rows)), only_last(rows)
    gaps = new.with_scores(np.where(np.arange(600)[:, None] < 200, new.scores, np.nan))
    some, alone = before.with_model(gaps), before.with_model(new.take(np.arange(200)))
    for name, array in some.arrays().items():
        assert (array == alone.arrays()[name]).all(), name


def test_a_new_model_of_a_few_rows_has_about_their_mean() -> None:
    rows = similar_models(0, n=600).rows
    new = only_last(rows.take(np.arange(4)))
    new = new.with_scores(np.asarray([[1.0], [1.0], [0.0], [1.0]]))
    quality = heads_of(without_last(rows)).with_model(new).predict(rows.features)[:, -1]
    assert quality.mean() == pytest.approx(0.75, abs=0.15)
    assert quality.min() > 0.4


def test_before_the_bounds_a_new_model_has_the_mean_of_its_scores() -> None:
    rows = make_world(800, 0, strength=0.8, models=4).rows
    few = only_last(rows.take(np.arange(300)))
    new = heads_of(without_last(rows)).with_model(few)
    kinds = softmax(few.features @ new.kind_weights + new.kind_intercepts)
    free = kinds @ new.kind_table + few.features @ new.weights + new.intercepts
    assert free[:, :-1].max() > 1
    assert free[:, -1].mean() == pytest.approx(few.scores.mean())


def test_a_new_model_unlike_the_others_is_told_by_the_kinds() -> None:
    world = make_world(800, 0).shuffled(0)
    rows = replace(world, features=world.features + np.eye(WIDTH)[world.kinds])
    few = rows.take(np.arange(300))
    truth = np.where(few.kinds == 0, 0.9, 0.2)
    quality = heads_of(rows).with_model(few.with_scores(truth[:, None])).predict(few.features)[:, -1]
    assert mean_square(quality, truth) < 0.3 * truth.var()


def test_models_may_join_one_after_another() -> None:
    rows, fresh = similar_models(0).rows, similar_models(1)
    heads = heads_of(rows.with_scores(rows.scores[:, :6]))
    for model in (6, 7):
        few = rows.take(np.arange(400))
        heads = heads.with_model(few.with_scores(few.scores[:, model : model + 1]))
    quality = heads.predict(fresh.rows.features)
    spread = fresh.truth[:, 6:].var(axis=0).mean()
    assert mean_square(quality[:, 6:], fresh.truth[:, 6:]) < 0.5 * spread


def test_where_nothing_is_learnt_a_new_model_has_its_mean() -> None:
    errors = []
    for seed in range(6):
        world = similar_models(seed)
        few = only_last(world.shuffled(seed).take(np.arange(200)))
        quality = heads_of(without_last(world.rows)).with_model(few).predict(world.rows.features)[:, -1]
        errors.append(mean_square(quality, few.scores.mean()))
    assert np.median(errors) < 0.001
    assert max(errors) < 0.01
