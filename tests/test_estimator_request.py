"""The estimator of requests end to end: made-up texts, hashed embeddings, quality, doubt and cost."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from pinnace.router.embedder import HashingEmbedder
from pinnace.router.estimators.features import Seen, look
from pinnace.router.estimators.request import Estimates, RequestEstimator
from pinnace.router.types import FloatArray

EMBEDDER = HashingEmbedder(64)
CHANCES = np.asarray([[0.9, 0.3, 0.6], [0.2, 0.9, 0.6]])
"""Of each of three models, on sums and on tales."""
PRICES = np.asarray([1e-4, 4e-4, 6e-3])


@dataclass(frozen=True, slots=True)
class Table:
    """n requests with the scores and costs of three models."""

    texts: tuple[str, ...]
    scores: FloatArray
    costs: FloatArray
    tasks: tuple[str, ...]

    def seen(self) -> Seen:
        """What the estimator sees of the texts."""
        return look(self.texts, EMBEDDER.embed(self.texts))

    def fit(self, scores: FloatArray | None = None, costs: FloatArray | None = None) -> RequestEstimator:
        """An estimator of this table, or of it with other scores or costs."""
        scores, costs = self.scores if scores is None else scores, self.costs if costs is None else costs
        return RequestEstimator(16).fit(self.seen(), scores, costs, self.tasks, self.texts)


def make_table(n: int = 240, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    kinds, sizes = rng.integers(2, size=n), rng.integers(1, 30, size=n)
    wheres = np.asarray(["sea", "shore", "hill", "town"])[rng.integers(4, size=n)]
    texts = tuple(
        f"Tell me a long tale of ships on the {where}" + ", and more" * size
        if kind
        else f"What is {size} plus {rng.integers(1000)}?" + f" And plus {size}?" * size
        for kind, size, where in zip(kinds, sizes, wheres, strict=True)
    )
    scores = (rng.random((n, 3)) < CHANCES[kinds]).astype(np.float64)
    costs = PRICES * (1 + sizes[:, None]) * np.exp(0.2 * rng.normal(size=(n, 3)))
    return Table(texts, scores, costs, tuple(np.asarray(["sums", "tales"])[kinds]))


TABLE, FRESH = make_table(), make_table(seed=1)


@cache
def fitted() -> RequestEstimator:
    """The estimator of the whole table; no test changes it."""
    return TABLE.fit()


def is_sound(estimates: Estimates, n: int, models: int) -> bool:
    arrays = estimates.quality, estimates.sd, estimates.cost
    return all(a.shape == (n, models) and bool(np.isfinite(a).all()) for a in arrays) and bool(
        (estimates.quality >= 0).all()
        and (estimates.quality <= 1).all()
        and (estimates.sd > 0).all()
        and (estimates.cost > 0).all()
    )


def test_it_knows_whom_to_ask_and_what_it_costs() -> None:
    estimates = fitted().estimate(FRESH.seen())
    assert is_sound(estimates, 240, 3)
    best = np.where(np.asarray(FRESH.tasks) == "sums", 0, 1)
    assert (estimates.quality.argmax(axis=1) == best).mean() > 0.95
    truth = CHANCES[(np.asarray(FRESH.tasks) == "tales").astype(int)]
    assert np.abs(estimates.quality - truth).mean() < 0.08
    logs = np.log(estimates.cost), np.log(FRESH.costs)
    assert all(np.corrcoef(logs[0][:, m], logs[1][:, m])[0, 1] > 0.8 for m in range(3))


def test_doubt_is_larger_far_from_what_was_seen() -> None:
    estimator = fitted()
    near = estimator.estimate(FRESH.seen()).sd
    texts = ["SELECT * FROM t WHERE x <> 1;", "两个数的和是多少？", "def f(x): return {x: [x]}"]
    far = estimator.estimate(look(texts, EMBEDDER.embed(texts))).sd
    assert (far.min(axis=0) > near.max(axis=0)).all()
    assert (make_table(60).fit().estimate(FRESH.seen()).sd > near).mean() > 0.95


def test_it_is_the_same_again_and_alone_as_among_others() -> None:
    first, again = (estimator.estimate(FRESH.seen()) for estimator in (fitted(), TABLE.fit()))
    assert (first.quality == again.quality).all()
    assert (first.cost == again.cost).all()
    alone = fitted().estimate(FRESH.seen().take(np.asarray([5])))
    assert alone.quality[0] == pytest.approx(first.quality[5], abs=1e-6)
    assert alone.sd[0] == pytest.approx(first.sd[5], abs=1e-6)


def test_costs_that_are_nowhere_known_are_all_alike() -> None:
    estimates = TABLE.fit(costs=np.full((240, 3), np.nan)).estimate(FRESH.seen())
    assert estimates.cost == pytest.approx(1)


def test_a_model_whose_costs_are_not_known_is_not_free() -> None:
    costs = TABLE.costs.copy()
    costs[:, 1], costs[:100, 0] = np.nan, np.nan
    estimates = TABLE.fit(costs=costs).estimate(FRESH.seen())
    assert is_sound(estimates, 240, 3)
    assert estimates.cost[:, 1].min() > PRICES[0]


def test_a_model_without_a_score_is_expected_to_do_as_all_do() -> None:
    scores = TABLE.scores.copy()
    scores[:, 1] = np.nan
    estimates = TABLE.fit(scores).estimate(FRESH.seen())
    assert is_sound(estimates, 240, 3)
    assert estimates.quality[:, 1].mean() == pytest.approx(np.nanmean(scores), abs=0.1)


def test_one_model_alone_and_one_task_alone_will_do() -> None:
    one = TABLE.fit(TABLE.scores[:, :1], TABLE.costs[:, :1])
    assert is_sound(one.estimate(FRESH.seen()), 240, 1)
    same = RequestEstimator(16).fit(TABLE.seen(), TABLE.scores, TABLE.costs, ["all"] * 240, TABLE.texts)
    estimates = same.estimate(FRESH.seen())
    assert is_sound(estimates, 240, 3)
    best = np.where(np.asarray(FRESH.tasks) == "sums", 0, 1)
    assert (estimates.quality.argmax(axis=1) == best).mean() > 0.9


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_handful_of_requests_will_do(n: int) -> None:
    few = make_table(n)
    estimates = few.fit().estimate(FRESH.seen())
    assert np.isfinite(estimates.quality).all()
    assert np.isfinite(estimates.sd).all()
    assert (estimates.cost > 0).all()


def test_prompts_that_come_again_share_a_fold() -> None:
    twice = RequestEstimator(16).fit(
        look(TABLE.texts * 2, EMBEDDER.embed(TABLE.texts * 2)),
        np.tile(TABLE.scores, (2, 1)),
        np.tile(TABLE.costs, (2, 1)),
        TABLE.tasks * 2,
        TABLE.texts * 2,
    )
    assert twice.stack_.held_out_[:240] == pytest.approx(twice.stack_.held_out_[240:], abs=1e-9)


def test_odd_texts_have_sound_estimates() -> None:
    texts = ["", " ", "x" * 100_000, "\n" * 30_000, "こんにちは"]
    assert is_sound(fitted().estimate(look(texts, EMBEDDER.embed(texts))), 5, 3)
