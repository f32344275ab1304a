"""Ways of routing that are compared on recorded outcomes: ours, the published ones, controls and bounds.

A method learns from a split's train part and makes settings for its test part: each setting chooses a model
per row. All methods see the same embedding. A method never sees the test part's scores, but for the bounds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.cluster import KMeans  # pyright: ignore[reportMissingTypeStubs]
from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingTypeStubs]
from sklearn.metrics import silhouette_score as _silhouette  # pyright: ignore

from pinnace.eval.curve import is_one_cost
from pinnace.eval.recorded_rows import Part, Split
from pinnace.eval.table import FloatArray
from pinnace.router.estimators.clusters import ClusterTable, fit_centroids, membership
from pinnace.router.estimators.committee import Committee
from pinnace.router.estimators.costs import CostHeads
from pinnace.router.estimators.factors import FactorHeads
from pinnace.router.estimators.features import Features
from pinnace.router.estimators.learner import Rows, numbered
from pinnace.router.estimators.neighbours import Neighbours
from pinnace.router.estimators.request import RequestEstimator
from pinnace.router.types import IntArray
from pinnace.router.vectors import normalised

RATES: FloatArray = np.concatenate([[0.0], np.geomspace(1e-3, 30.0, 40)])
"""Quality that the range of the models' mean costs is worth: from cost is no object to cost is all."""
SHARES: FloatArray = np.linspace(0.0, 1.0, 41)
Kind = Literal["ours", "peer", "control", "bound", "foreign"]


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """What a method chose for n test rows.

    `chosen` (p, n) are columns, one setting a row, the one that looks at quality only first; `small` (n,) is
    its choice among the small models alone; `need` (n,) is how much it would rather ask the large one;
    `quality` (n, m) is what it expects of every model, where it expects anything.
    """

    chosen: IntArray
    small: IntArray
    need: FloatArray | None = None
    quality: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Method:
    """A method by its name in JSON, its label for people, and what it is."""

    label: str
    kind: Kind
    settle: Callable[[Split], Settings]


def by_estimates(split: Split, quality: FloatArray, cost: FloatArray) -> Settings:
    """The settings of estimates (n, m): argmax of quality minus rate times cost, for every rate.

    Of models that are expected to be equally good, the cheapest is asked; among the small ones alone, and
    where all cost the same, the one with the best mean.
    """
    means = split.train.costs.mean(axis=0)
    low, high = means.min(keepdims=True), means.max(keepdims=True)
    if is_one_cost(low, high).all():
        chosen = _first_by(quality, split.train.scores.mean(axis=0))[None]
    else:
        scaled = (cost - low) / (high - low)
        chosen = np.stack([np.argmax(quality - rate * scaled, axis=1) for rate in RATES])
        chosen[0] = _first_by(quality, -scaled)
    return Settings(chosen, _best_small(split, quality), _gain_of_large(split, quality), quality)


def pinnace(split: Split) -> Settings:
    """Our estimator: kinds, linear heads on meaning and form, cost by length."""
    train = split.train
    estimator = RequestEstimator(random_state=split.seed)
    estimator.fit(train.seen, train.scores, train.costs, train.tasks, train.prompts)
    estimates = estimator.estimate(split.test.seen)
    return by_estimates(split, estimates.quality, estimates.cost)


def committee(split: Split) -> Settings:
    """Our learners with nearest neighbours among them: what a search for every request would buy."""
    train, test = split.train, split.test
    features = Features(random_state=split.seed).fit(train.seen)
    x, z = features.transform(train.seen), features.transform(test.seen)
    kinds, groups, dim = numbered(train.tasks), numbered(train.prompts), features.dim_
    learner = Committee(features.ngrams, random_state=split.seed)
    quality = learner.fit(Rows(x, train.scores, kinds, groups, dim)).predict(z)
    return by_estimates(split, quality, CostHeads().fit(Rows(x, train.costs, kinds, groups, dim)).predict(z))


def neighbours(count: int) -> Callable[[Split], Settings]:
    """k nearest neighbours: scores and costs of the `count` most similar rows."""

    def settle(split: Split) -> Settings:
        quality, cost = (
            Neighbours(count).fit(_rows(split.train, values)).predict(split.test.seen.vectors)
            for values in (split.train.scores, split.train.costs)
        )
        return by_estimates(split, quality, cost)

    return settle


def factors(split: Split) -> Settings:
    """Matrix factorisation, as item-response routers have it: five directions in which models differ."""
    quality, cost = (
        FactorHeads(5, 30.0).fit(_rows(split.train, values)).predict(split.test.seen.vectors)
        for values in (split.train.scores, split.train.costs)
    )
    return by_estimates(split, quality, cost)


def avengers_pro(split: Split) -> Settings:
    """Avengers-Pro (arXiv 2508.12631): 64 clusters, the nearest three, alpha x quality + (1 - alpha) x
    cheapness, both scaled to 0..1 within each cluster."""
    vectors = split.train.seen.vectors
    centroids = fit_centroids(vectors, 64, random_state=split.seed)
    quality, cost = (
        ClusterTable(centroids=centroids, is_shrunk=False).fit(_rows(split.train, values)).table_
        for values in (split.train.scores, split.train.costs)
    )
    weights = membership(split.test.seen.vectors, centroids, 3)
    good, cheap = weights @ _within_rows(quality), weights @ (1 - _within_rows(cost))
    chosen = np.stack([np.argmax((1 - share) * good + share * cheap, axis=1) for share in SHARES])
    expected = weights @ quality
    return Settings(chosen, _best_small(split, expected), _gain_of_large(split, expected))


def cre(split: Split) -> Settings:
    """As CRE-Router (arXiv 2606.27457): 2 to 9 clusters by silhouette, error and cost in the nearest."""
    vectors = split.train.seen.vectors
    centroids = _by_silhouette(vectors, split.seed)
    quality, cost = (
        ClusterTable(centroids=centroids, nearest=1, is_shrunk=False)
        .fit(_rows(split.train, values))
        .predict(split.test.seen.vectors)
        for values in (split.train.scores, split.train.costs)
    )
    return by_estimates(split, quality, cost)


def win_probability(split: Split) -> Settings:
    """As RouteLLM (arXiv 2406.18665): the probability that the large model beats the best small one, and a
    threshold on it; logistic regression on the embedding in place of their preference models."""
    assert split.large is not None, "a threshold needs a large model"
    weak = _best(split.train, split.small)
    wins = split.train.scores[:, split.large] > split.train.scores[:, weak]
    if wins.all() or not wins.any():
        need = np.full(len(split.test.rows), float(wins.mean()))
    else:
        model: Any = LogisticRegression(C=10.0, max_iter=500)
        need = model.fit(split.train.seen.vectors, wins).predict_proba(split.test.seen.vectors)[:, 1]
    return _by_need(need, weak, split.large)


def at_random(split: Split) -> Settings:
    """Any model drawn for every row; a small one, and a growing share of rows, drawn too, to the dearest."""
    random = np.random.default_rng(split.seed)
    small = random.choice(split.small, size=len(split.test.rows))
    dearest = split.large if split.large is not None else int(np.argmax(split.train.costs.mean(axis=0)))
    drawn = random.random(len(small))
    anyone = random.choice(split.train.scores.shape[1], size=len(small))
    chosen = np.stack([anyone, *(np.where(drawn < share, dearest, small) for share in SHARES)])
    return Settings(chosen, small, None if split.large is None else drawn)


def content_blind(split: Split) -> Settings:
    """Every model alone: the hull above them is what mixing models by a coin can reach, at best."""
    n = len(split.test.rows)
    order = np.argsort(-split.train.scores.mean(axis=0), kind="stable")
    small = np.full(n, _best(split.train, split.small))
    return Settings(np.tile(order[:, None], (1, n)), small, np.zeros(n))


def best_single(split: Split) -> Settings:
    """The model with the best mean score on the train part, for everything."""
    n = len(split.test.rows)
    best = int(np.argmax(split.train.scores.mean(axis=0)))
    return Settings(np.full((1, n), best), np.full(n, _best(split.train, split.small)))


def cheapest(split: Split) -> Settings:
    """The model with the least mean cost on the train part, for everything."""
    n = len(split.test.rows)
    means = split.train.costs.mean(axis=0)
    small = split.small[int(np.argmin(means[split.small]))]
    return Settings(np.full((1, n), int(np.argmin(means))), np.full(n, small))


def oracle(split: Split) -> Settings:
    """Who knows every outcome beforehand: a bound, not a router."""
    return by_estimates(split, split.test.scores, split.test.costs)


METHODS: Mapping[str, Method] = {
    "pinnace": Method("Pinnace", "ours", pinnace),
    "knn40": Method("kNN-40", "peer", neighbours(40)),
    "knn100": Method("kNN-100", "peer", neighbours(100)),
    "factors": Method("factor heads", "peer", factors),
    "avengers_pro": Method("Avengers-Pro", "peer", avengers_pro),
    "cre": Method("CRE-like", "peer", cre),
    "routellm": Method("RouteLLM-style", "peer", win_probability),
    "content_blind": Method("content-blind mix", "control", content_blind),
    "random": Method("random", "control", at_random),
    "best_single": Method("best single", "control", best_single),
    "cheapest": Method("cheapest", "control", cheapest),
    "oracle": Method("oracle", "bound", oracle),
}
NEEDS_LARGE = frozenset({"routellm"})


def _best(part: Part, columns: IntArray) -> int:
    """The column with the best mean score."""
    return int(columns[int(np.argmax(part.scores.mean(axis=0)[columns]))])


def _best_small(split: Split, quality: FloatArray) -> IntArray:
    """The small model that is expected to be best, of equal ones that with the best mean, (n,)."""
    return split.small[_first_by(quality[:, split.small], split.train.scores.mean(axis=0)[split.small])]


def _gain_of_large(split: Split, quality: FloatArray) -> FloatArray | None:
    """What the large model is expected to gain over the best small one, (n,)."""
    if split.large is None:
        return None
    return quality[:, split.large] - quality[:, _best(split.train, split.small)]


def _first_by(quality: FloatArray, then: FloatArray) -> IntArray:
    """The column of the best quality (n, k) in each row; of equal ones that with the most of `then`."""
    best = quality >= quality.max(axis=1, keepdims=True)
    return np.argmax(np.where(best, then, -np.inf), axis=1)


def _by_need(need: FloatArray, weak: int, large: int) -> Settings:
    """The settings of a threshold: the share of rows with the greatest need goes to the large model."""
    bars = np.quantile(need, 1 - SHARES, method="higher")
    chosen = np.where(need >= bars[:, None], large, weak)
    chosen[0] = weak
    return Settings(chosen[::-1], np.full(len(need), weak), need)


def _rows(part: Part, values: FloatArray) -> Rows:
    vectors = part.seen.vectors
    return Rows(vectors, values, numbered(part.tasks), numbered(part.prompts), vectors.shape[1])


def _within_rows(values: FloatArray) -> FloatArray:
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    return (values - low) / np.maximum(high - low, 1e-12)


def _by_silhouette(vectors: FloatArray, seed: int) -> FloatArray:
    """Centroids of 2 to 9 clusters, as many as separate best by silhouette on 2,000 rows."""
    silhouette: Any = _silhouette  # pyright: ignore
    kmeans: Any = KMeans
    sample = np.random.default_rng(seed).permutation(len(vectors))[:2_000]
    best, found = -2.0, np.zeros((1, vectors.shape[1]))
    for k in range(2, 10):
        fitted: Any = kmeans(n_clusters=k, n_init=1, random_state=seed).fit(vectors)
        labels = fitted.labels_[sample]
        score = float(silhouette(vectors[sample], labels)) if len(set(labels)) > 1 else -1.0
        if score > best:
            best, found = score, fitted.cluster_centers_
    return normalised(found)
