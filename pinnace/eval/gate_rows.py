"""Answers of one model, judged by a gate that did not see them: what `pinnace eval gate` measures.

Either a state is fitted anew for every fold, on the rows of the other folds, or a given state judges all
rows. Both go through `Router`, as a served request does. Knows no metric.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pinnace.config import Policy, Sampling
from pinnace.errors import TableError
from pinnace.eval.fitting import evidence_column, fit_table
from pinnace.eval.table import FloatArray, OutcomeTable
from pinnace.models.card import ModelCard
from pinnace.models.completion import Message, Request
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.estimators.learner import folds_of
from pinnace.router.evidence import Evidence
from pinnace.router.router import Router
from pinnace.router.state import RouterState
from pinnace.router.types import IntArray

MIN_LARGE = 50
"""Rows on which a larger model must have scores for a cascade to it to be measured."""


@dataclass(frozen=True, slots=True, eq=False)
class GatedRows:
    """Judged answers of `model`: n rows that have a score and evidence.

    `right` (n,) are its scores, `confidence` (n,) the gate's, `uncalibrated` (n,) the gate's without its
    curve, and `estimate` (n,) the router's before the answer; `large_scores` (n,) are those of the model
    `large`, NaN where it was not run.
    """

    model: str
    stage: str
    tasks: tuple[str, ...]
    prompts: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    right: FloatArray
    confidence: FloatArray
    uncalibrated: FloatArray
    estimate: FloatArray
    large: str | None
    large_scores: FloatArray


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """An `Embedder` of texts whose `vectors` (n, dim) are known, so that no fold embeds anew."""

    name: str
    texts: tuple[str, ...]
    vectors: FloatArray

    @property
    def dim(self) -> int:
        """The width of a vector."""
        return self.vectors.shape[1]

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """The vectors of known texts, (n, dim)."""
        at = {text: row for row, text in enumerate(self.texts)}
        return self.vectors[[at[text] for text in texts]]


def judged_model(table: OutcomeTable, asked: str | None) -> str:
    """The model whose answers are judged: `asked`, or the only one with evidence.

    :raises TableError: when there is none, or more than one and none is named.
    """
    known = tuple(table.evidence)
    if asked is None and len(known) == 1:
        return known[0]
    if asked not in known:
        expected = "a column 'evidence:<model>'" if not known else f"one of the models {', '.join(known)}"
        raise TableError(f"--model: expected {expected} in the table, got {asked!r}")
    return asked


def hold_out(
    table: OutcomeTable,
    embedded: EmbeddedTexts,
    model: str,
    *,
    stage: str = "whole",
    clusters: int = 40,
    folds: int = 5,
    seed: int = 0,
    on_fold: Callable[[], None] = lambda: None,
) -> GatedRows:
    """Judge each row by a state fitted on the other folds; rows of the same prompt are in one fold.

    :param on_fold: called when a fold is done.
    :raises TableError: when a fold has too few answers to fit a gate on.
    """
    evidence = evidence_column(table, model, stage)
    judged = judged_rows(table, model, evidence)
    fold = fold_of(table.prompts, folds, seed)
    found = np.full((len(table), 3), np.nan)
    only = replace(table, evidence={model: _only(table, model, stage)})
    for each in range(folds):
        held = [row for row in judged if fold[row] == each]
        fit = only.take(np.flatnonzero(fold != each).tolist())
        state = fit_table(fit, embedded, clusters=clusters, hold_tokens=1, seed=seed)
        if held:
            found[held] = _judge(state, embedded, table, model, evidence, held, stage)
        on_fold()
    return _gated(table, model, stage, evidence, judged, found[judged])


def judge_by(
    state: RouterState, table: OutcomeTable, embedded: EmbeddedTexts, model: str, *, stage: str = "whole"
) -> GatedRows:
    """Judge every row by `state` as it is.

    :raises StateError: when it was fitted with another embedder.
    :raises TableError: when it has no gate for `model`, or no row can be judged.
    """
    evidence = evidence_column(table, model, stage)
    judged = judged_rows(table, model, evidence)
    found = _judge(state, embedded, table, model, evidence, judged, stage)
    return _gated(table, model, stage, evidence, judged, found)


def judged_rows(table: OutcomeTable, model: str, evidence: Sequence[Evidence | None]) -> list[int]:
    """The rows with a score and evidence."""
    scores = table.scores[:, table.models.index(model)]
    has_evidence = np.array([each is not None for each in evidence], dtype=bool)
    judged: list[int] = np.flatnonzero(has_evidence & ~np.isnan(scores)).tolist()
    if not judged:
        raise TableError(f"{model}: expected rows with a score and evidence, got none of {len(table)}")
    return judged


def _judge(
    state: RouterState,
    embedded: EmbeddedTexts,
    table: OutcomeTable,
    model: str,
    evidence: Sequence[Evidence | None],
    rows: Sequence[int],
    stage: str,
) -> FloatArray:
    """Confidence, the same without a curve, and estimate of each of `rows`, (n, 3).

    They are decided and judged as a served request is.
    """
    if model not in (state.gate.whole if stage == "whole" else state.gate.prefix):
        raise TableError(f"{model}: expected answers enough to fit a gate on, got a state without one")
    router, bare = (
        Router(each, EmbeddingQueue(embedded), Policy()) for each in (state, _without_curves(state))
    )
    card = ModelCard(model, "recorded", 0.0, 0.0, None, True, True, Sampling(), model)
    vectors = embedded.embed([table.prompts[row] for row in rows])
    found = np.empty((len(rows), 3))
    for at, (row, vector) in enumerate(zip(rows, vectors, strict=True)):
        each = evidence[row]
        assert each is not None, "rows without evidence are not judged"
        request = Request((Message("user", table.prompts[row]),))
        route = router.decide(vector, request, [card])
        calibrated, raw = (
            one.judge(route, card, [each], is_whole=stage == "whole") for one in (router, bare)
        )
        found[at] = calibrated, raw, route.estimates[0].quality
    return found


def _without_curves(state: RouterState) -> RouterState:
    """The state with a gate whose log-odds are taken at their word."""
    whole, prefix = (
        {model: replace(logistic, curve=None) for model, logistic in stage.items()}
        for stage in (state.gate.whole, state.gate.prefix)
    )
    return replace(state, gate=replace(state.gate, whole=whole, prefix=prefix))


def _gated(
    table: OutcomeTable,
    model: str,
    stage: str,
    evidence: Sequence[Evidence | None],
    judged: Sequence[int],
    found: FloatArray,
) -> GatedRows:
    scores = table.scores[judged]
    large = _large(table.models, scores, model)
    column = table.models.index(model)
    return GatedRows(
        model=model,
        stage=stage,
        tasks=tuple(table.tasks[row] for row in judged),
        prompts=tuple(table.prompts[row] for row in judged),
        evidence=tuple(each for row in judged if (each := evidence[row]) is not None),
        right=scores[:, column],
        confidence=found[:, 0],
        uncalibrated=found[:, 1],
        estimate=found[:, 2],
        large=large,
        large_scores=scores[:, table.models.index(large)] if large else np.full(len(scores), np.nan),
    )


def _large(models: Sequence[str], scores: FloatArray, model: str) -> str | None:
    """The model that gains most over `model` on the rows where both have scores; None where none does."""
    gaps = scores - scores[:, [models.index(model)]]
    known = {name: gap[~np.isnan(gap)] for name, gap in zip(models, gaps.T, strict=True)}
    gains = {name: float(gap.mean()) for name, gap in known.items() if len(gap) >= MIN_LARGE}
    best = max(gains, key=lambda name: gains[name], default=None)
    return best if best is not None and gains[best] > 0 else None


def fold_of(prompts: Sequence[str], folds: int, seed: int) -> IntArray:
    """The fold of each row: the same for prompts that differ in case and white space alone."""
    plain = [" ".join(prompt.casefold().split()) for prompt in prompts]
    _, prompt = np.unique(np.asarray(plain), return_inverse=True)
    return folds_of(prompt, seed, folds)


def _only(table: OutcomeTable, model: str, stage: str) -> tuple[dict[str, object] | None, ...]:
    """The evidence of one stage alone, and the token counts: nothing else is fitted that is not judged."""
    stages = {"whole", "prefix"} - {stage}
    entries = table.evidence[model]
    return tuple(e if e is None else {k: v for k, v in e.items() if k not in stages} for e in entries)
