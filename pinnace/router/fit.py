"""Fitting a router state from scored answers: estimates, clusters, gates, and the metrics they reach.

Values in, values out: reads no file and embeds nothing. Metrics of estimates and of confidence are
cross-validated, so that what `pinnace fit` prints is what rows outside the fit would see.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # pyright: ignore

from pinnace.models.completion import Message, Request
from pinnace.router.calibration_rows import CalibrationRows
from pinnace.router.clusters import Clusters
from pinnace.router.escalation import fit_gains
from pinnace.router.estimators.clusters import fit_centroids
from pinnace.router.estimators.features import look
from pinnace.router.estimators.learner import column_means
from pinnace.router.estimators.tables import group_means, mean_of_groups
from pinnace.router.evidence import Evidence
from pinnace.router.expectation_fit import NGRAMS, fit_expectation
from pinnace.router.gate_fit import GateRows, fit_gates
from pinnace.router.known import TYPICAL
from pinnace.router.labels import label_clusters
from pinnace.router.needs import prompt_tokens
from pinnace.router.routed_text import plain_text
from pinnace.router.state import QUANTILES, Provenance, RouterState, as_loaded
from pinnace.router.types import FloatArray, IntArray

MIN_CLUSTER = 30
"""Judged answers below which a cluster borrows the spread of confidence of all rows."""


@dataclass(frozen=True, slots=True)
class FitRows:
    """What a state is fitted from: n rows, m models.

    `vectors` (n, dim); `scores` (n, m) in 0..1, NaN where not run; `output_tokens` (n, m), NaN where not
    known; `evidence` per model and stage, one entry a row, None where there is none.
    """

    prompts: tuple[str, ...]
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    vectors: FloatArray
    scores: FloatArray
    output_tokens: FloatArray
    evidence: Mapping[str, Mapping[str, Sequence[Evidence | None]]]

    def take(self, chosen: IntArray) -> "FitRows":
        """The rows of these numbers, in this order."""
        at: list[int] = chosen.tolist()
        return FitRows(
            prompts=tuple(self.prompts[i] for i in at),
            tasks=tuple(self.tasks[i] for i in at),
            models=self.models,
            vectors=self.vectors[at],
            scores=self.scores[at],
            output_tokens=self.output_tokens[at],
            evidence={
                model: {stage: tuple(each[i] for i in at) for stage, each in stages.items()}
                for model, stages in self.evidence.items()
            },
        )


Provide = Callable[[Mapping[str, float]], Provenance]
ROWS_A_CLUSTER, MOST_APART = 15, 120
"""Of tasks that have clusters of their own: rows for each cluster, and clusters at most."""


@dataclass(frozen=True, slots=True, eq=False)
class StateFit:
    """A fitted state, and each row's cross-validated confidence in whole answers (n, m), NaN where no gate
    judges."""

    state: RouterState
    confidences: FloatArray


def fit_state(
    rows: FitRows,
    provenance: Provide,
    *,
    k: int,
    hold_tokens: int,
    ngrams: int = NGRAMS,
    seed: int = 0,
    apart: Sequence[str] = (),
) -> StateFit:
    """Fit a router state: the same rows and seed give the same state, to the last bit.

    :param provenance: makes the provenance from the metrics that the fit reached.
    :param k: clusters, at most a tenth of the rows and one per distinct vector.
    :param ngrams: directions of character n-grams among the features.
    :param apart: tasks that get clusters of their own beside those `k`, so that requests like their few rows
        are no strangers.
    """
    with threadpool_limits(1):  # the sums are the same on any number of cores, and no slower on two
        return _fit_state(
            rows, provenance, k=k, hold_tokens=hold_tokens, ngrams=ngrams, seed=seed, apart=apart
        )


def _fit_state(
    rows: FitRows,
    provenance: Provide,
    *,
    k: int,
    hold_tokens: int,
    ngrams: int,
    seed: int,
    apart: Sequence[str],
) -> StateFit:
    centroids = _centroids(rows, k, apart, seed)
    members = np.argmax(rows.vectors @ centroids.T, axis=1)
    labels = label_clusters([plain_text(each) for each in rows.prompts], members, len(centroids))
    clusters = Clusters(centroids, labels, familiar_range(rows.vectors, centroids))
    seen = look(rows.prompts, rows.vectors)
    found = fit_expectation(
        seen, rows.scores, rows.tasks, rows.prompts, rows.models, ngrams=ngrams, seed=seed
    )
    means = mean_of_groups(rows.scores, members, len(centroids))
    familiarity = clusters.familiarity(rows.vectors)
    priors = as_served(found.held_out, familiarity, means)
    judged = GateRows(
        rows.models, rows.prompts, rows.scores, priors, rows.evidence, *clusters.membership(rows.vectors)
    )
    gates = fit_gates(judged, k=len(centroids), seed=seed)
    quality, quality_sd = group_means(rows.scores, members, len(centroids))
    lengths = _filled_tokens(rows.output_tokens, _answer_tokens(rows))
    tokens, _ = group_means(lengths, members, len(centroids))
    state = RouterState(
        models=rows.models,
        clusters=clusters,
        quality=quality,
        quality_sd=quality_sd,
        output_tokens=tokens,
        confidences=spread_of(gates.confidences, members, len(centroids)),
        overall=np.stack([means, column_means(lengths)], axis=1),
        gate=gates.gate,
        hold_tokens=hold_tokens,
        provenance=provenance({**found.metrics, **gates.metrics}),
        expectation=found.expectation,
        gains=fit_gains(rows.scores, members, len(centroids)),
        calibration=_calibration(rows, clusters, found.by_fold, tokens, lengths),
    )
    return StateFit(as_loaded(state), gates.confidences)


def _centroids(rows: FitRows, k: int, apart: Sequence[str], seed: int) -> FloatArray:
    """Clusters of all rows that are not of a task `apart`, then those of each such task."""
    tasks = np.array(rows.tasks)
    rest = rows.vectors[~np.isin(tasks, list(apart))]
    found = [fit_centroids(rest, k, random_state=seed)] if len(rest) else []
    for task in apart:
        own = rows.vectors[tasks == task]
        if len(own):
            found.append(
                fit_centroids(own, min(len(own) // ROWS_A_CLUSTER + 1, MOST_APART), random_state=seed)
            )
    return np.concatenate(found)


def as_served(estimates: FloatArray, familiarity: FloatArray, means: FloatArray) -> FloatArray:
    """Estimates (n, m) as requests get them: the less `familiarity` (n,), the nearer to `means` (m,)."""
    like = familiarity[:, None]
    return like * estimates + (1 - like) * means


def _calibration(
    rows: FitRows, clusters: Clusters, quality: FloatArray, tokens: FloatArray, lengths: FloatArray
) -> CalibrationRows:
    """The rows where two models ran or more, and what was expected of them.

    :param quality: by the heads that have not seen the row's fold, (n, m), as requests get it under a floor.
    :param tokens: expected per cluster, (k, m); `lengths` (n, m) are what was written, NaN where not known.
    """
    both = (~np.isnan(rows.scores)).sum(axis=1) > 1
    nearest, weights = clusters.membership(rows.vectors[both])
    expected = np.einsum("np,npm->nm", weights, tokens[nearest])
    texts = [prompt for prompt, is_kept in zip(rows.prompts, both.tolist(), strict=True) if is_kept]
    return CalibrationRows(
        quality=quality[both],
        scores=rows.scores[both],
        prompt_tokens=asked_tokens(texts),
        expected_tokens=expected,
        output_tokens=np.where(np.isnan(lengths[both]), expected, lengths[both]),
    )


def asked_tokens(texts: Sequence[str]) -> FloatArray:
    """The prompt's tokens of requests with these texts, (n,)."""
    asked = [prompt_tokens(Request((Message("user", text),))) for text in texts]
    return np.array(asked, dtype=np.float64)


def familiar_range(vectors: FloatArray, centroids: FloatArray) -> tuple[float, float]:
    """The tenth and the fiftieth percentile of the rows' cosines to their nearest centroid."""
    nearest: FloatArray = (vectors @ centroids.T).max(axis=1)
    return float(np.quantile(nearest, 0.1)), float(np.quantile(nearest, 0.5))


def spread_of(confidences: FloatArray, members: IntArray, k: int) -> FloatArray:
    """Quantiles of confidence per cluster and model, (k, m, QUANTILES)."""
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    spread = np.full((k, confidences.shape[1], QUANTILES), np.nan)
    for model in range(confidences.shape[1]):
        everywhere = _known(confidences[:, model])
        for cluster in range(k):
            here = _known(confidences[members == cluster, model])
            found = here if len(here) >= MIN_CLUSTER else np.concatenate([here, everywhere])
            if len(found):
                spread[cluster, model] = np.quantile(found, levels)
    return spread


def _answer_tokens(rows: FitRows) -> FloatArray:
    """The length of each answer, (n, m): of a model that votes that of one vote, as its evidence has it."""
    found = rows.output_tokens.copy()
    for column, model in enumerate(rows.models):
        for row, evidence in enumerate(rows.evidence.get(model, {}).get("whole", ())):
            if evidence is not None and not np.isnan(found[row, column]):
                found[row, column] = np.expm1(evidence.length)
    return found


def _filled_tokens(output_tokens: FloatArray, answer_tokens: FloatArray) -> FloatArray:
    """Completion tokens with a model's gaps filled by how long the others' answers are on that row.

    Where no length at all is known, every answer is taken to be of typical length.
    """
    known = ~np.isnan(output_tokens)
    if not known.any():
        return np.full_like(output_tokens, TYPICAL.completion_tokens)
    row_sum = np.where(known, answer_tokens, 0.0).sum(axis=1, keepdims=True)
    row_mean = row_sum / np.maximum(known.sum(axis=1, keepdims=True), 1)
    return np.where(known, output_tokens, np.where(known.any(axis=1, keepdims=True), row_mean, np.nan))


def _known(values: FloatArray) -> FloatArray:
    return values[~np.isnan(values)]
