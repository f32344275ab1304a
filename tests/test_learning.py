"""Learning in service: cross-validated beside what serves, on rows that neither side knows by heart."""

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pytest
from server_fixtures import member
from test_fit import table_of
from threadpoolctl import threadpool_limits

from pinnace.config import Policy
from pinnace.eval.fitting import fit_table
from pinnace.eval.gate_rows import EmbeddedTexts, fold_of
from pinnace.eval.learning import LearningRows, cross_validate, take, why_not_comparable
from pinnace.eval.table import OutcomeTable
from pinnace.models.card import card_of
from pinnace.router.embedder import HashingEmbedder
from pinnace.router.state import RouterState
from pinnace.router.types import Embedder

CARDS = (
    card_of(member("small", {"answer": "x"}, price=1), backend="scripted"),
    card_of(member("large", {"answer": "x"}, price=100), backend="scripted"),
)
POLICY = Policy(alpha=0.5)
EMBEDDER = HashingEmbedder(16)
FITTED: dict[tuple[tuple[str, ...], bytes, bool], RouterState] = {}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Generator[None, None, None]:
    """Small fits are many times quicker where threads of the linear algebra do not wait for each other."""
    with threadpool_limits(1):
        yield


def fit(table: OutcomeTable, embedder: Embedder) -> RouterState:
    """A state of these rows; the same rows are fitted once in all tests."""
    rows = table.prompts, table.scores.tobytes(), bool(table.evidence)
    if rows not in FITTED:
        FITTED[rows] = fit_table(table, embedder, clusters=2, hold_tokens=2)
    return FITTED[rows]


def rows_of(table: OutcomeTable, *, is_seen: bool = False) -> LearningRows:
    embedded = EmbeddedTexts(EMBEDDER.name, table.prompts, EMBEDDER.embed(table.prompts))
    known = np.ones(table.scores.shape, dtype=bool)
    return LearningRows(table, embedded, known, np.full(len(table), is_seen), CARDS)


def upside_down(table: OutcomeTable) -> OutcomeTable:
    """The same rows with the small model right on sums and wrong on capitals, and its evidence so."""
    is_sum = np.array([task == "sums" for task in table.tasks])
    flipped = table.scores.copy()
    flipped[:, 0] = is_sum
    return replace(table, scores=flipped, evidence={})


TABLE = table_of(200)


@pytest.fixture(scope="module")
def good() -> RouterState:
    return fit(table_of(300, seed=5), EMBEDDER)


@pytest.fixture(scope="module")
def bad() -> RouterState:
    return fit(upside_down(table_of(300, seed=5)), EMBEDDER)


def test_what_is_learnt_replaces_a_state_that_is_wrong(bad: RouterState) -> None:
    folds: list[None] = []
    verdict = cross_validate(bad, fit, rows_of(TABLE), policy=POLICY, on_fold=lambda: folds.append(None))
    assert (verdict.is_promoted, len(folds)) == (True, 3)
    assert verdict.gain.low > 0.02
    assert (verdict.rows, verdict.unknown) == (200, 0)


def test_what_is_worse_does_not_replace_a_state_that_is_right(good: RouterState) -> None:
    def worse(table: OutcomeTable, embedder: Embedder) -> RouterState:
        return fit(upside_down(table), embedder)

    verdict = cross_validate(good, worse, rows_of(TABLE), policy=POLICY)
    assert not verdict.is_promoted
    assert verdict.gain.high < 0


def test_a_state_is_not_judged_on_what_it_knows_by_heart() -> None:
    """Where all rows were seen, both sides are fitted on the same rows of the other folds."""
    verdict = cross_validate(fit(TABLE, EMBEDDER), fit, rows_of(TABLE, is_seen=True), policy=POLICY)
    assert (verdict.is_promoted, verdict.differing, verdict.gain.value) == (True, 0, 0.0)


def test_expected_scores_prove_nothing(bad: RouterState) -> None:
    rows = rows_of(TABLE)
    known = rows.is_known.copy()
    known[:, 0] = False
    verdict = cross_validate(bad, fit, replace(rows, is_known=known), policy=POLICY)
    whole = cross_validate(bad, fit, rows, policy=POLICY)
    assert verdict.unknown > 0
    assert verdict.differing < whole.differing


def test_rows_without_evidence_are_alike_only_under_the_very_same_ladder(good: RouterState) -> None:
    bare = rows_of(replace(TABLE, evidence={}))
    verdict = cross_validate(good, lambda table, embedder: good, bare, policy=POLICY)
    assert (verdict.is_promoted, verdict.differing, verdict.unknown) == (True, 0, 0)


def test_the_verdict_is_the_same_every_time(bad: RouterState) -> None:
    found = [cross_validate(bad, fit, rows_of(TABLE), policy=POLICY) for _ in range(2)]
    assert found[0] == found[1]


def test_a_state_that_would_forget_a_model_or_its_gate_is_refused(
    good: RouterState, bad: RouterState
) -> None:
    less = fit(take(replace(TABLE, scores=TABLE.scores * [np.nan, 1]), np.ones(200, dtype=bool)), EMBEDDER)
    assert why_not_comparable(good, good) == ""
    assert why_not_comparable(bad, good) == ""
    assert why_not_comparable(good, bad) == "it has no gate for small"
    assert why_not_comparable(good, less) == "it knows nothing of small"


def test_rows_of_one_prompt_are_in_one_fold_and_folds_are_even() -> None:
    prompts = [f"Prompt {i}" for i in range(90)] * 2 + [f"prompt  {i}" for i in range(90)]
    fold = fold_of(prompts, 3, seed=0)
    assert (fold.reshape(3, 90) == fold[:90]).all()
    assert np.bincount(fold).tolist() == [90, 90, 90]


def test_a_part_of_a_table_has_the_models_that_were_run_on_it() -> None:
    gaps = replace(TABLE, scores=np.where(np.arange(200)[:, None] < [200, 100], TABLE.scores, np.nan))
    part = take(gaps, np.arange(200) >= 160)
    assert (part.models, len(part), part.ids[0], part.splits) == (("small",), 40, TABLE.ids[160], None)
    assert part.evidence["small"] == TABLE.evidence["small"][160:]
