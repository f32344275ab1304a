"""What served requests teach: an outcome table from the ledger's stored prompts, ratings and escalations.

A cell is known where a person rated the answer (the last rating counts), or where a draft was climbed past
and both rungs answered: the small one's score is then its likeness to the large one's answer. That is a
proxy: a letter, a number or the same words count as 1 or 0, free text by token F1, which is lower the more
is said around the answer. Nobody said that the large one is right, so unrated it has no score at all.

Which drafts are climbed past is no accident: those of low confidence. Their scores alone are biased low.
So every other draft that was judged gets an expected score: its own confidence, plus how far known scores
of drafts of about the same confidence lay above theirs, shrunk to nothing where few are known. Whether a
draft was climbed past depends on its confidence and on what was known of the request, so within a band
of confidence the known ones stand for the rest: the same as weighting them by the inverse of the observed
share of their band (post-stratification; Horvitz and Thompson 1952). Where nothing was known in a band, as
above the bar of a router that never explores, the gate is taken at its word. Expected scores are for
estimates of means: they carry no evidence, so that no gate learns its own confidence, and `is_known` tells
them from the rest, so that no comparison counts them. Ratings are taken as they come: whether people rate
bad answers more often is not known here.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pinnace.eval.likeness import likeness
from pinnace.eval.table import EvidenceColumn, FloatArray, OutcomeTable
from pinnace.router.ledger import read_ledger
from pinnace.router.ledger_feedback import Feedback, read_feedback
from pinnace.router.ledger_row import LedgerRow

BoolArray = npt.NDArray[np.bool_]

TASK = "served"
BANDS = 5
"""Bands of confidence, all of the same width."""
PRIOR_ROWS = 5
"""Known scores in a band that count as much as the gate's own word. In simulations of 200 and 2,000 requests
with 0, 5 or 10 % explored and a gate that is calibrated or 0.15 overconfident, 1 to 20 rows and 5 to 20
bands were tried; with these the mean is off by 0.02 to 0.065 (root mean square), never far from the best."""


@dataclass(frozen=True, slots=True, eq=False)
class LedgerTable:
    """The outcomes of `len(table)` of `rows` requests; `unused` counts the others by the reason.

    `is_known` (n, m) tells scores that were rated or compared from expected ones; `created` (n,) is when
    each request was served, Unix seconds. `rated`, `compared` and `expected` count cells of the table.
    """

    table: OutcomeTable
    is_known: BoolArray
    created: FloatArray
    rows: int
    rated: int
    compared: int
    expected: int
    unused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Cell:
    """One model's try of one request; `score` is None where it is not known, and `how` says why it is."""

    score: float | None
    how: str
    confidence: float | None
    cost_usd: float
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Served:
    row: LedgerRow
    cells: Mapping[str, _Cell]


def ledger_table(path: Path, *, is_corrected: bool = True) -> LedgerTable:
    """The outcome table of a ledger; models are named as the fleet names them.

    :param is_corrected: whether drafts without a known score get an expected one; without, the scores are
        of a sample selected for low confidence.
    :raises ConfigError: when there is no ledger at `path`.
    """
    rows, feedback = read_ledger(path), read_feedback(path)
    rated = _ratings(rows, feedback)
    served: list[_Served] = []
    unused: Counter[str] = Counter()
    for number, row in enumerate(rows):
        cells = _cells(row, rated.get(number), is_corrected=is_corrected)
        if reason := _why_unused(row, cells):
            unused[reason] += 1
        else:
            served.append(_Served(row, cells))
    return _table(served, len(rows), unused)


def without_evidence(table: OutcomeTable, models: Sequence[str]) -> OutcomeTable:
    """The table with the evidence of `models` left out but for the counts of tokens.

    The known scores of a ledger are mostly those of doubted drafts: beside an unselected sample of a model's
    evidence they would make its confidence look lower than it is.
    """
    kept = {
        model: tuple(_counts(entry) for entry in column) if model in models else column
        for model, column in table.evidence.items()
    }
    return replace(table, evidence=kept)


def expected_scores(confidence: FloatArray, scores: FloatArray) -> FloatArray:
    """Scores with the unknown ones (NaN) filled by what drafts of like confidence got, all (n,)."""
    band = np.clip((confidence * BANDS).astype(np.int64), 0, BANDS - 1)
    known = ~np.isnan(scores)
    above = np.bincount(band[known], (scores - confidence)[known], minlength=BANDS)
    count = np.bincount(band[known], minlength=BANDS)
    guess = np.clip(confidence + (above / (count + PRIOR_ROWS))[band], 0.0, 1.0)
    return np.where(known, scores, guess)


def _ratings(rows: Sequence[LedgerRow], feedback: Mapping[str, tuple[Feedback, ...]]) -> dict[int, float]:
    """The last rating of each row: of requests of one id, it is of the last one served before it.

    Where clocks differ so that none was, it is of the first.
    """
    numbers: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if row.request_id in feedback:
            numbers.setdefault(row.request_id, []).append(number)
    found: dict[int, float] = {}
    for name, own in numbers.items():
        for each in feedback[name]:
            before = [number for number in own if rows[number].created <= each.created]
            found[(before or own[:1])[-1]] = each.rating
    return found


def _cells(row: LedgerRow, rating: float | None, *, is_corrected: bool) -> dict[str, _Cell]:
    """What is known of each model that tried `row`, or can be expected; of one that tried twice, the last."""
    cells: dict[str, _Cell] = {}
    attempts: list[dict[str, Any]] = json.loads(row.attempts)
    for attempt in attempts:
        is_answer = attempt["verdict"] == "accepted"
        score, how = (rating, "rated") if is_answer else _compared(attempt, row, rating)
        is_judged = is_corrected and attempt.get("bar") is not None and bool(attempt.get("evidence"))
        if attempt["verdict"] not in ("accepted", "climbed") or (score is None and not is_judged):
            continue
        is_whole = bool(attempt.get("is_whole", is_answer))
        entry = dict(attempt.get("evidence", {})) if score is not None else {}
        if is_whole:
            entry["completion_tokens"] = attempt["usage"]["completion_tokens"]
        cost = float(attempt["cost_usd"]) if is_whole else nan
        confidence = attempt["confidence"] if is_judged else None
        cells[attempt["model"]] = _Cell(score, how, confidence, cost, entry)
    return cells


def _compared(attempt: Mapping[str, Any], row: LedgerRow, rating: float | None) -> tuple[float | None, str]:
    """The score of a draft that was climbed past, by the answer that was given instead.

    Where that was rated: what is like a good answer is as good; nothing is known of what is unlike a bad one.
    """
    text = attempt.get("text")
    is_comparable = attempt["verdict"] == "climbed" and row.outcome == "accepted" and row.escalated
    if not (text and row.answer and attempt.get("is_whole") and is_comparable):
        return None, ""
    alike = likeness(text, row.answer)
    if rating is None:
        return alike, "compared"
    return (alike * rating, "compared") if alike == 1 or rating >= 0.5 else (None, "")


def _why_unused(row: LedgerRow, cells: Mapping[str, _Cell]) -> str:
    """Why nothing can be learnt from a request; empty where something can."""
    if not row.prompt:
        return "no stored prompt"
    if row.outcome != "accepted":
        return "no whole answer"
    if cells:
        return ""
    if row.escalated:
        return "not rated, and the draft cannot be compared"
    return "not rated, and nothing to compare with"


def _table(served: Sequence[_Served], rows: int, unused: Mapping[str, int]) -> LedgerTable:
    models = tuple(sorted({model for each in served for model in each.cells}))
    at = {model: column for column, model in enumerate(models)}
    found = np.full((3, len(served), len(models)), np.nan)
    for number, each in enumerate(served):
        for model, cell in each.cells.items():
            found[:, number, at[model]] = cell.score, cell.cost_usd, cell.confidence  # None becomes NaN
    scores, costs, confidence = found
    is_known = ~np.isnan(scores)
    for column in range(len(models)):
        judged = ~np.isnan(confidence[:, column])
        scores[judged, column] = expected_scores(confidence[judged, column], scores[judged, column])
    how = Counter(cell.how for each in served for cell in each.cells.values() if cell.score is not None)
    return LedgerTable(
        table=OutcomeTable(
            ids=_distinct([each.row.request_id for each in served]),
            tasks=(TASK,) * len(served),
            prompts=tuple(each.row.prompt or "" for each in served),
            models=models,
            scores=scores,
            costs=costs,
            evidence={model: _column(served, model) for model in models},
        ),
        is_known=is_known,
        created=np.array([each.row.created for each in served], dtype=np.float64),
        rows=rows,
        rated=how["rated"],
        compared=how["compared"],
        expected=int((~np.isnan(scores) & ~is_known).sum()),
        unused=dict(unused),
    )


def _column(served: Sequence[_Served], model: str) -> EvidenceColumn:
    return tuple((cell.entry or None) if (cell := each.cells.get(model)) else None for each in served)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Ids of rows: clients may name two requests alike, and other tables may, too."""
    seen: Counter[str] = Counter()
    found: list[str] = []
    for name in names:
        seen[name] += 1
        found.append(f"ledger:{name}:{seen[name]}")
    return tuple(found)


def _counts(entry: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    kept = {key: value for key, value in (entry or {}).items() if key == "completion_tokens"}
    return kept or None
