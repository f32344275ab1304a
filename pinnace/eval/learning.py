"""Learning in service: a candidate state, cross-validated beside the state that serves.

The candidate is fitted once per fold on the other folds, and does on each row what it would do to a
request: its ladder is climbed by the evidence that the row holds. So does the serving state, on rows that
it has not seen. On rows that it was fitted on, the choices are those of a state fitted in the same way on
the seen rows of the other folds, else it would be judged on what it knows by heart.

Only known scores judge (`is_known`); expected ones (`pinnace.eval.ledger_table`) teach, but prove nothing.
Knows states, tables and embedders; writes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pinnace.config import AnyPolicy, Policy, Sampling
from pinnace.eval.fitting import MIN_ROWS, evidence_column
from pinnace.eval.gate_rows import EmbeddedTexts, fold_of
from pinnace.eval.ledger_table import BoolArray
from pinnace.eval.promotion import ServedRows, Verdict, compare_states
from pinnace.eval.table import FloatArray, OutcomeTable
from pinnace.models.card import ModelCard
from pinnace.models.completion import Message, Request, Usage
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.evidence import Evidence
from pinnace.router.policy import exchange_rate
from pinnace.router.route import Route
from pinnace.router.router import Router
from pinnace.router.state import RouterState
from pinnace.router.types import Embedder, IntArray

FOLDS = 3
USUAL = Usage(100, 100)
"""What models are ranked by price with, and how long an answer is where no row says."""
Fit = Callable[[OutcomeTable, Embedder], RouterState]


@dataclass(frozen=True, slots=True, eq=False)
class LearningRows:
    """What is learnt from and judged on: n rows of `table`, their `embedded` prompts, which scores are known
    (n, m), which rows the serving state was fitted on (n,), and the cards of the models that serve.
    """

    table: OutcomeTable
    embedded: EmbeddedTexts
    is_known: BoolArray
    is_seen: BoolArray
    cards: tuple[ModelCard, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Outcomes:
    """The rows as both states are judged on: known scores and costs by card, (n, c), NaN elsewhere, and
    evidence by card, one entry a row.
    """

    scores: FloatArray
    costs: FloatArray
    evidence: tuple[tuple[Evidence | None, ...], ...]


def cross_validate(
    serving: RouterState,
    fit: Fit,
    rows: LearningRows,
    *,
    policy: AnyPolicy,
    folds: int = FOLDS,
    seed: int = 0,
    on_fold: Callable[[], None] = lambda: None,
) -> Verdict:
    """Judge the state that `fit` makes of all rows against `serving`.

    :param on_fold: called when a fold is done.
    :raises StateError: when `serving` was fitted with another embedder.
    """
    found = _outcomes(rows)
    fold = fold_of(rows.table.prompts, folds, seed)
    ours, theirs = _Log(len(fold)), _Log(len(fold))
    for each in range(folds):
        held = fold == each
        theirs.note(np.flatnonzero(held), fit(take(rows.table, ~held), rows.embedded), rows, found, policy)
        seen = rows.is_seen & ~held
        if not (rows.is_seen & held).any() or int(seen.sum()) < MIN_ROWS:
            ours.note(np.flatnonzero(held), serving, rows, found, policy)
        else:
            ours.note(np.flatnonzero(held & ~rows.is_seen), serving, rows, found, policy)
            again = fit(take(rows.table, seen), rows.embedded)
            ours.note(np.flatnonzero(held & rows.is_seen), again, rows, found, policy)
        on_fold()
    rates = _rates(rows, found, policy)
    return compare_states(ours.served(), theirs.served(), rates, groups=rows.table.prompts, seed=seed)


def why_not_comparable(serving: RouterState, candidate: RouterState) -> str:
    """Why the candidate must not replace the serving state however it compares; empty where it may."""
    if lost := sorted(set(serving.models) - set(candidate.models)):
        return f"it knows nothing of {', '.join(lost)}"
    judged = [model for model in serving.models if serving.gate.can_judge(model)]
    if lost := sorted(model for model in judged if not candidate.gate.can_judge(model)):
        return f"it has no gate for {', '.join(lost)}"
    return ""


def take(table: OutcomeTable, chosen: BoolArray) -> OutcomeTable:
    """The table of some of its rows, of the models that have scores on them."""
    taken = table.take(np.flatnonzero(chosen).tolist())
    columns: list[int] = np.flatnonzero(~np.isnan(taken.scores).all(axis=0)).tolist()
    models = tuple(table.models[column] for column in columns)
    return replace(
        taken,
        models=models,
        scores=taken.scores[:, columns],
        costs=taken.costs[:, columns],
        evidence={model: entries for model, entries in taken.evidence.items() if model in models},
        answers={model: texts for model, texts in taken.answers.items() if model in models},
    )


def recorded_card(model: str) -> ModelCard:
    """The card of a model that is known by its outcomes alone: any request, no price."""
    return ModelCard(model, "recorded", 0.0, 0.0, None, True, True, Sampling(), model)


class _Log:
    """What one state does on each row, filled fold by fold."""

    def __init__(self, rows: int) -> None:
        self._paths = [""] * rows
        self._found = np.full((rows, 2), np.nan)

    def note(
        self, at: IntArray, state: RouterState, rows: LearningRows, found: _Outcomes, policy: AnyPolicy
    ) -> None:
        router = Router(state, EmbeddingQueue(rows.embedded), policy)
        numbers: list[int] = at.tolist()
        prompts = [rows.table.prompts[row] for row in numbers]
        for row, prompt, vector in zip(numbers, prompts, rows.embedded.embed(prompts), strict=True):
            route = router.decide(vector, Request((Message("user", prompt),)), rows.cards)
            self._paths[row], *self._found[row] = _serve(router, route, rows.cards, found, row)

    def served(self) -> ServedRows:
        return ServedRows(tuple(self._paths), self._found[:, 0], self._found[:, 1])


def _serve(
    router: Router, route: Route, cards: Sequence[ModelCard], found: _Outcomes, row: int
) -> tuple[str, float, float]:
    """The path of one row, and the quality and USD that came of it."""
    at = {card.name: column for column, card in enumerate(cards)}
    path, usd = "", 0.0
    for rung in route.rungs:
        column = at[rung.model]
        usd += float(found.costs[row, column])
        path += rung.model
        evidence = found.evidence[column][row]
        if rung.bar is None:
            return path, float(found.scores[row, column]), usd
        if evidence is None:  # nobody knows whether it would climb: alike only to the very same ladder
            ladder = " ".join(f"{r.model}/{r.bar or 0:.3f}" for r in route.rungs if not r.is_fallback)
            return f"perhaps {ladder}", np.nan, np.nan
        if router.judge(route, cards[column], [evidence], is_whole=True) >= rung.bar:
            return path, float(found.scores[row, column]), usd
        path += ">"
    raise AssertionError("the last rung of a ladder has no bar")


def _outcomes(rows: LearningRows) -> _Outcomes:
    table = rows.table
    scores = np.where(rows.is_known, table.scores, np.nan)
    n = len(table)
    by_card: list[tuple[FloatArray, FloatArray, tuple[Evidence | None, ...]]] = []
    for card in rows.cards:
        model = card.estimates
        if model not in table.models:
            by_card.append((np.full(n, np.nan), np.full(n, np.nan), (None,) * n))
            continue
        column = table.models.index(model)
        evidence = evidence_column(table, model, "whole") if model in table.evidence else (None,) * n
        by_card.append((scores[:, column], _costs(table, column, card), evidence))
    return _Outcomes(
        scores=np.stack([each[0] for each in by_card], axis=1),
        costs=np.stack([each[1] for each in by_card], axis=1),
        evidence=tuple(each[2] for each in by_card),
    )


def _costs(table: OutcomeTable, column: int, card: ModelCard) -> FloatArray:
    """USD of one model on each row: as recorded, else the price of a prompt and an answer of usual length."""
    entries = table.evidence.get(table.models[column], ())
    lengths = [entry["completion_tokens"] for entry in entries if entry and "completion_tokens" in entry]
    usual = round(float(np.mean(lengths))) if lengths else USUAL.completion_tokens
    guess = [card.cost(Usage(len(prompt) // 4, usual)) for prompt in table.prompts]
    return np.where(np.isnan(table.costs[:, column]), guess, table.costs[:, column])


def _rates(rows: LearningRows, found: _Outcomes, policy: AnyPolicy) -> FloatArray:
    """Lambda of each row, the same for both states: the gap is that of the scores that are known.

    A policy without a dial of its own is judged at the default one.
    """
    known = ~np.isnan(found.scores)
    means = np.where(known, found.scores, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    prices = [card.cost(USUAL) for card in rows.cards]
    gap = float(means[int(np.argmax(prices))] - means[int(np.argmin(prices))])
    alpha = policy.alpha if isinstance(policy, Policy) else Policy().alpha
    dearest = found.costs.max(axis=1).tolist()
    return np.array([exchange_rate(alpha, gap, usd) for usd in dearest])
