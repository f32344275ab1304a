"""Rows judged by a gate that did not see them, and by a state as it is."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from test_fit import EMBEDDER, fitted, table_of

from pinnace.errors import TableError
from pinnace.eval.gate_metrics import auroc, ece
from pinnace.eval.gate_rows import EmbeddedTexts, GatedRows, hold_out, judge_by, judged_model
from pinnace.eval.table import OutcomeTable


def embedded(table: OutcomeTable) -> EmbeddedTexts:
    return EmbeddedTexts(EMBEDDER.name, table.prompts, EMBEDDER.embed(table.prompts))


def held_out(table: OutcomeTable, on_fold: Callable[[], None] = lambda: None) -> GatedRows:
    return hold_out(table, embedded(table), "small", clusters=2, on_fold=on_fold)


def test_held_out_rows_are_judged_well() -> None:
    table, folds = table_of(600), []
    rows = held_out(table, lambda: folds.append(1))
    assert len(folds) == 5
    np.testing.assert_array_equal(rows.right, table.scores[:, 0])
    assert auroc(rows.confidence, rows.right) > 0.75
    assert ece(rows.confidence, rows.right) < 0.08
    assert (rows.model, rows.stage, rows.large) == ("small", "whole", "large")
    np.testing.assert_array_equal(rows.large_scores, table.scores[:, 1])


def test_scores_that_mean_nothing_are_not_learnt_by_heart() -> None:
    table = table_of(400)
    scores = table.scores.copy()
    scores[:, 0] = np.random.default_rng(1).permutation(scores[:, 0])
    rows = held_out(replace(table, scores=scores))
    assert auroc(rows.confidence, rows.right) < 0.58


def test_a_state_judges_as_it_serves() -> None:
    table, fresh = table_of(600), table_of(200, seed=1)
    rows = judge_by(fitted(table), fresh, embedded(fresh), "small", stage="prefix")
    assert auroc(rows.confidence, rows.right) > 0.75
    assert auroc(rows.estimate, rows.right) > 0.75
    assert len(rows.evidence) == 200


def test_rows_without_score_or_evidence_are_not_judged() -> None:
    table = table_of(300)
    scores = table.scores.copy()
    scores[:20, 0] = np.nan
    evidence = tuple(None if i % 10 == 9 else e for i, e in enumerate(table.evidence["small"]))
    rows = judge_by(
        fitted(table), replace(table, scores=scores, evidence={"small": evidence}), embedded(table), "small"
    )
    assert len(rows.right) == len(rows.prompts) == len(rows.evidence) == 280 - 28
    assert not np.isnan(rows.right).any()


def test_a_model_that_gains_nothing_is_not_the_large_one() -> None:
    table = table_of(300)
    worse = replace(table, scores=table.scores * [1.0, 0.0])
    assert judge_by(fitted(table), worse, embedded(worse), "small").large is None


def test_the_model_is_the_only_one_with_evidence_or_the_one_that_is_named() -> None:
    table = table_of(60)
    two = replace(table, evidence=dict.fromkeys(table.models, table.evidence["small"]))
    assert judged_model(table, None) == "small"
    assert judged_model(two, "large") == "large"
    with pytest.raises(TableError, match="--model: expected one of the models small, large in the table"):
        judged_model(two, None)
    with pytest.raises(
        TableError, match="--model: expected one of the models small in the table, got 'large'"
    ):
        judged_model(table, "large")
    with pytest.raises(TableError, match="expected a column 'evidence:<model>' in the table"):
        judged_model(table_of(60, evidence=False), None)


def test_too_few_answers_are_refused() -> None:
    with pytest.raises(TableError, match="small: expected answers enough to fit a gate on"):
        held_out(table_of(70))


def test_a_table_without_scores_is_refused() -> None:
    table = table_of(100)
    unscored = replace(table, scores=np.full_like(table.scores, np.nan))
    with pytest.raises(TableError, match="small: expected rows with a score and evidence, got none of 100"):
        judge_by(fitted(table), unscored, embedded(unscored), "small")
