"""Routing methods on splits whose best choices are known."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from replay_worlds import LARGE, SMALL, recorded_of, world
from threadpoolctl import threadpool_limits

from pinnace.errors import TableError
from pinnace.eval.foreign import foreign
from pinnace.eval.methods import METHODS, NEEDS_LARGE, SHARES, Settings, by_estimates
from pinnace.eval.pool import Pool
from pinnace.eval.recorded_rows import Split, hash_split

LEARNERS = ("pinnace", "knn40", "knn100", "avengers_pro", "cre")


@cache
def the_split() -> Split:
    return hash_split(recorded_of(world()), 0)


@cache
def settled(name: str) -> Settings:
    """What a method settles on the split, learnt once for all tests."""
    with threadpool_limits(1):
        return METHODS[name].settle(the_split())


@pytest.fixture
def split() -> Split:
    return the_split()


def unpriced(split: Split) -> Split:
    parts = (replace(part, costs=np.zeros_like(part.costs)) for part in (split.train, split.test))
    return Split(*parts, small=split.small, large=split.large, seed=split.seed)


@pytest.mark.parametrize("name", METHODS)
def test_settings_have_the_shapes_that_they_promise(name: str, split: Split) -> None:
    settings = settled(name)
    n = len(split.test.rows)
    assert settings.chosen.shape[1:] == settings.small.shape == (n,)
    assert set(np.unique(settings.chosen)) <= {0, 1, 2, 3}
    assert set(np.unique(settings.small)) <= {0, 1, 2}
    assert settings.need is None or (settings.need.shape == (n,) and np.isfinite(settings.need).all())


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].kind != "bound"])
def test_no_method_but_the_bound_sees_the_test_scores(name: str, split: Split) -> None:
    """Nor the test costs; and with one seed it settles alike twice."""
    other = replace(split.test, scores=1 - split.test.scores, costs=split.test.costs[:, ::-1])
    seen, unseen = settled(name), METHODS[name].settle(replace(split, test=other))
    np.testing.assert_array_equal(seen.chosen, unseen.chosen)
    np.testing.assert_array_equal(seen.small, unseen.small)
    np.testing.assert_array_equal(seen.need, unseen.need)


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_find_who_is_good_at_what(name: str, split: Split) -> None:
    settings = settled(name)
    rows = np.arange(len(split.test.rows))
    blind = split.test.scores[:, split.small].mean(axis=0).max()
    assert split.test.scores[rows, settings.small].mean() > blind + 0.15


@pytest.mark.parametrize("name", LEARNERS)
def test_cost_alone_asks_the_cheapest(name: str, split: Split) -> None:
    settings = settled(name)
    assert (settings.chosen[-1] == 0).all()
    spent = split.test.costs[np.arange(len(split.test.rows)), settings.chosen].mean(axis=1)
    assert spent[0] > 3 * spent[-1]


def test_estimates_are_weighed_against_cost(split: Split) -> None:
    n = len(split.test.rows)
    quality, cost = np.tile([0.5, 0.4, 0.3, 0.9], (n, 1)), np.tile(split.train.costs.mean(axis=0), (n, 1))
    settings = by_estimates(split, quality, cost)
    assert (settings.chosen[0] == 3).all()
    assert (settings.chosen[-1] == 0).all()
    assert set(np.unique(settings.chosen)) == {0, 3}
    assert (settings.small == 0).all()


def test_of_equally_good_models_the_cheapest_is_asked(split: Split) -> None:
    n = len(split.test.rows)
    cost = np.tile([4.0, 3.0, 1.0, 2.0], (n, 1)) * 1e-5
    settings = by_estimates(split, np.full((n, 4), 0.5), cost)
    assert (settings.chosen == 2).all()
    best = int(np.argmax(split.train.scores.mean(axis=0)[:3]))
    assert (settings.small == best).all()


def test_where_all_cost_the_same_the_better_mean_breaks_ties(split: Split) -> None:
    free = unpriced(split)
    settings = by_estimates(free, np.full((len(split.test.rows), 4), 0.5), free.test.costs)
    assert settings.chosen.shape[0] == 1
    assert (settings.chosen == 3).all()


def test_costs_that_differ_by_rounding_are_one_cost(split: Split) -> None:
    costs = np.full_like(split.train.costs, 1e-5)
    costs[:, 1] *= 1 + 1e-13
    near = replace(split, train=replace(split.train, costs=costs))
    n = len(split.test.rows)
    settings = by_estimates(near, np.tile([0.2, 0.9, 0.1, 0.3], (n, 1)), np.full((n, 4), 1e-5))
    assert (settings.chosen == 1).all()


def test_the_blind_mix_knows_models_and_no_rows(split: Split) -> None:
    settings = METHODS["content_blind"].settle(split)
    assert sorted(settings.chosen[:, 0].tolist()) == [0, 1, 2, 3]
    assert (settings.chosen == settings.chosen[:, :1]).all()
    means = split.train.scores.mean(axis=0)[settings.chosen[:, 0]]
    assert (np.diff(means) <= 0).all()


def test_random_draws_any_model_first_and_then_ever_more_of_the_large(split: Split) -> None:
    settings = METHODS["random"].settle(split)
    shares = (settings.chosen == 3).mean(axis=1)
    assert 0.05 < shares[0] < 0.5
    assert shares[1] == 0
    assert shares[-1] == 1
    assert (np.diff(shares[1:]) >= 0).all()
    np.testing.assert_allclose(shares[1:], SHARES, atol=0.2)


def test_best_single_and_cheapest_are_one_model_each(split: Split) -> None:
    best, cheap = METHODS["best_single"].settle(split), METHODS["cheapest"].settle(split)
    assert (best.chosen == int(np.argmax(split.train.scores.mean(axis=0)))).all()
    assert (cheap.chosen == 0).all()
    assert (cheap.small == 0).all()


def test_the_oracle_asks_the_cheapest_of_those_that_are_right(split: Split) -> None:
    chosen = METHODS["oracle"].settle(split).chosen[0]
    right = split.test.scores == 1
    known = right.any(axis=1)
    cheapest = np.where(right, split.test.costs, np.inf).argmin(axis=1)
    np.testing.assert_array_equal(chosen[known], cheapest[known])


def test_a_threshold_sends_ever_fewer_to_the_large_model(split: Split) -> None:
    settings = METHODS["routellm"].settle(split)
    shares = (settings.chosen == 3).mean(axis=1)
    assert (shares[0], shares[-1]) == (1.0, 0.0)
    assert (np.diff(shares) <= 0).all()
    assert len(np.unique(settings.chosen)) == 2
    for chosen in settings.chosen:  # who is sent needs it no less than who is not
        if 0 < (chosen == 3).sum() < len(chosen):
            assert settings.need is not None
            assert settings.need[chosen == 3].min() >= settings.need[chosen != 3].max()


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_threshold_without_any_win_is_no_error(score: float, split: Split) -> None:
    scores = np.zeros_like(split.train.scores)
    scores[:, 3] = score
    settings = METHODS["routellm"].settle(replace(split, train=replace(split.train, scores=scores)))
    assert settings.need is not None
    assert (settings.need == score).all()


def test_methods_without_need_of_a_large_model_do_without() -> None:
    split = hash_split(recorded_of(world(), Pool(SMALL)), 0)
    for name in set(METHODS) - {"pinnace"}:
        if name in NEEDS_LARGE:
            with pytest.raises(AssertionError, match="a threshold needs a large model"):
                METHODS[name].settle(split)
        elif name != "content_blind":
            assert METHODS[name].settle(split).need is None


def test_a_foreign_routers_choices_are_taken_as_they_are(split: Split) -> None:
    recorded = recorded_of(world())
    names = [recorded.pool.models[row % 4] for row in range(len(recorded))]
    settings = foreign("theirs", names, recorded).settle(split)
    np.testing.assert_array_equal(settings.chosen, split.test.rows[None, :] % 4)
    best = int(np.argmax(split.train.scores.mean(axis=0)[:3]))
    np.testing.assert_array_equal(
        settings.small, np.where(split.test.rows % 4 == 3, best, split.test.rows % 4)
    )


def test_a_foreign_choice_outside_the_pool_is_refused() -> None:
    recorded = recorded_of(world(), Pool(SMALL))
    with pytest.raises(TableError, match=r"theirs: expected choices among .*, got 'large'"):
        foreign("theirs", [LARGE] * len(recorded), recorded)
