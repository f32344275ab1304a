"""The stack: it believes what holds on rows that it has not seen, and is blind where nothing does."""

from dataclasses import replace

import numpy as np
import pytest
from estimator_worlds import DIM, make_world, mean_square, with_gaps
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnace.router.estimators.clusters import ClusterTable
from pinnace.router.estimators.factors import FactorHeads
from pinnace.router.estimators.learner import Rows
from pinnace.router.estimators.linear import LinearHeads
from pinnace.router.estimators.neighbours import Neighbours
from pinnace.router.estimators.quality import quality_stack
from pinnace.router.estimators.stack import Make, Shares, Stack, weigh
from pinnace.router.types import FloatArray

SEEDS = 8
LOST = 0.3
"""Points that a stack may lose against the blind choice, on average over seeds."""


def every_learner() -> list[Make]:
    """One of each, in the settings that small worlds allow."""
    return [
        lambda: ClusterTable(8),
        lambda: Neighbours(20),
        lambda: LinearHeads(30.0),
        lambda: FactorHeads(2, 30.0),
    ]


def gains(n: int, *, strength: float, is_shuffled: bool = False) -> tuple[list[float], list[float]]:
    """Per seed: points won over the blind choice on fresh rows, and the share of rows that are asked it."""
    won, same = [], []
    for seed in range(SEEDS):
        world, fresh = make_world(n, seed, strength=strength), make_world(2000, 100 + seed, strength=strength)
        rows, judge = (world.shuffled(seed), fresh.blind()) if is_shuffled else (world.rows, fresh)
        stack = quality_stack(DIM, random_state=seed).fit(rows)
        quality, best = stack.predict(fresh.rows.features), int(stack.means_.argmax())
        won.append(judge.gained(quality, best))
        same.append(float((quality.argmax(axis=1) == best).mean()))
    return won, same


@pytest.mark.parametrize("n", [200, 800])
def test_of_scores_that_are_shuffled_only_the_best_mean_is_left(n: int) -> None:
    won, same = gains(n, strength=0.25, is_shuffled=True)
    assert np.mean(won) > -LOST
    assert np.mean(same) > 0.97
    assert np.median(same) == 1


@pytest.mark.parametrize("strength", [0.0, 0.03, 0.06, 0.1])
def test_with_200_rows_it_is_not_worse_than_blind(strength: float) -> None:
    assert np.mean(gains(200, strength=strength)[0]) > -LOST


def test_where_there_is_something_to_learn_it_beats_the_blind_choice() -> None:
    won, same = gains(800, strength=0.25)
    assert min(won) > 5
    assert max(same) < 0.8


@pytest.mark.parametrize("seed", range(2))
def test_every_learner_together_is_blind_on_shuffled_scores_and_not_on_others(seed: int) -> None:
    world, fresh = make_world(400, seed), make_world(1000, 100 + seed)
    stack = Stack(every_learner(), random_state=seed)
    quality = stack.fit(world.rows).predict(fresh.rows.features)
    assert fresh.gained(quality, int(stack.means_.argmax())) > 5
    quality = stack.fit(world.shuffled(seed)).predict(fresh.rows.features)
    assert fresh.blind().gained(quality, int(stack.means_.argmax())) > -0.5


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_the_order_of_the_models_does_not_matter(missing: float) -> None:
    rows = with_gaps(make_world(300, 0).rows, missing, 0)
    order = np.asarray([3, 0, 4, 1, 2])
    turned = rows.with_scores(rows.scores[:, order])
    for makes in (quality_stack(DIM).makes, every_learner()):
        predicted = Stack(makes).fit(rows).predict(rows.features)
        other = Stack(makes).fit(turned).predict(rows.features)
        assert other == pytest.approx(predicted[:, order], abs=1e-6)


def test_a_seed_fixes_the_folds_and_another_draws_others() -> None:
    rows = make_world(300, 0).rows
    first, again, other = (Stack(every_learner(), random_state=s).fit(rows) for s in (0, 0, 1))
    assert (first.held_out_ == again.held_out_).all()
    assert (first.predict(rows.features) == again.predict(rows.features)).all()
    assert (first.held_out_ != other.held_out_).mean() > 0.9


def test_rows_of_one_prompt_are_never_learnt_from_to_predict_each_other() -> None:
    once = make_world(150, 0).shuffled(0)
    twice = once.take(np.tile(np.arange(150), 2))
    leaking = replace(twice, groups=np.arange(300))
    kept = Stack([lambda: Neighbours(1)]).fit(twice)
    leaked = Stack([lambda: Neighbours(1)]).fit(leaking)
    assert kept.shares_[0].difference < 0.1
    assert leaked.shares_[0].difference > 0.5


def test_held_out_predictions_are_worse_than_those_of_rows_that_were_seen() -> None:
    world = make_world(300, 0)
    stack = quality_stack(DIM).fit(world.rows)
    errors = [
        mean_square(p, world.rows.scores) for p in (stack.predict(world.rows.features), stack.held_out_)
    ]
    assert errors[0] < errors[1] < mean_square(world.rows.scores.mean(axis=0), world.rows.scores)


def test_only_the_level_of_a_request_is_believed_where_models_do_not_differ() -> None:
    world = make_world(1000, 0, rank=1)
    hard = world.rows.with_scores(np.tile(world.rows.scores[:, :1], (1, 5)))
    noise = 0.05 * np.random.default_rng(0).normal(size=hard.scores.shape)
    stack = quality_stack(DIM).fit(hard.with_scores(hard.scores + noise))
    assert stack.kind_shares_.level + stack.shares_[0].level > 0.5
    predicted = stack.predict(hard.features)
    assert predicted.mean(axis=1).std() > 0.05
    assert (predicted - predicted.mean(axis=1, keepdims=True)).std() < 0.005


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=30)
def test_shares_split_a_prediction_into_level_and_difference(
    seed: int, difference: float, level: float
) -> None:
    predicted = np.random.default_rng(seed).normal(size=(6, 3))
    believed = Shares(difference, level).of(predicted)
    assert believed.mean(axis=1) == pytest.approx(level * predicted.mean(axis=1))
    assert believed[:, 0] - believed[:, 1] == pytest.approx(difference * (predicted[:, 0] - predicted[:, 1]))


def test_what_is_always_right_is_believed_and_what_is_wrong_or_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    target: FloatArray = np.tile([[0.5, -0.5], [-0.5, 0.5]], (50, 1))
    right, wrong, noise = weigh([target, -target, 0.1 * rng.normal(size=target.shape)], target)
    assert right.difference == pytest.approx(1)
    assert wrong == Shares(0.0, 0.0)
    assert noise.difference == pytest.approx(0, abs=0.05)
    assert weigh([np.zeros((30, 2))], rng.normal(size=(30, 2))) == (Shares(0.0, 0.0),)


def test_scores_that_are_not_known_weigh_nothing() -> None:
    rng = np.random.default_rng(0)
    target, predicted = rng.normal(size=(2, 80, 3))
    predicted += target
    target[:40, 1], target[60:] = np.nan, np.nan
    changed = np.where(np.isnan(target), 1e6, predicted)
    assert weigh([changed], target) == weigh([predicted], target)


@pytest.mark.parametrize("n", [1, 2, 5, 12])
@pytest.mark.parametrize("models", [1, 3])
def test_a_handful_of_rows_has_finite_predictions(n: int, models: int) -> None:
    rows: Rows = make_world(n, 0, models=models).rows
    assert np.isfinite(Stack(every_learner()).fit(rows).predict(make_world(50, 1).rows.features)).all()


@pytest.mark.parametrize("is_shuffled", [True, False])
def test_from_50_rows_on_predictions_are_not_worse_than_the_means(is_shuffled: bool) -> None:
    errors = []
    for seed in range(12):
        world, fresh = make_world(50, seed, models=3), make_world(500, 100 + seed, models=3)
        rows, judge = (world.shuffled(seed), fresh.blind()) if is_shuffled else (world.rows, fresh)
        stack = quality_stack(DIM, random_state=seed).fit(rows)
        estimates = stack.predict(fresh.rows.features), stack.means_
        errors.append([mean_square(estimate, judge.truth) for estimate in estimates])
    stacked, blind = np.mean(errors, axis=0)
    assert stacked < (1.2 if is_shuffled else 0.9) * blind


def test_one_model_alone_has_levels_and_no_differences() -> None:
    world, fresh = make_world(800, 0, models=1), make_world(800, 1, models=1)
    stack = quality_stack(DIM).fit(world.rows)
    assert all(share.difference == 0 for share in (stack.kind_shares_, *stack.shares_))
    assert mean_square(stack.predict(fresh.rows.features), fresh.truth) < 0.6 * fresh.truth.var()
