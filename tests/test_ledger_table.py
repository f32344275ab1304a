"""What a ledger teaches: what is known, what is expected, and that the doubted do not stand for all."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_samples import FEATURES_ZERO, accepted, attempt, escalated, judged, served, write_ledger
from router_fixtures import ROW

from pinnace.errors import ConfigError
from pinnace.eval.ledger_table import LedgerTable, expected_scores, ledger_table, without_evidence
from pinnace.eval.likeness import likeness
from pinnace.router.ledger_row import LedgerRow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def scores_of(found: LedgerTable, model: str) -> list[float]:
    return found.table.scores[:, found.table.models.index(model)].tolist()


def test_what_was_rated_is_known(path: Path) -> None:
    found = ledger_table(write_ledger(path, [accepted("a", 0.9), accepted("b", 0.9)], {"a": 1.0, "b": 0.25}))
    assert (found.table.models, scores_of(found, "small")) == (("small",), [1.0, 0.25])
    assert (found.rated, found.compared, found.expected, found.rows, found.unused) == (2, 0, 0, 2, {})
    assert found.table.prompts == ("Name the capital of Peru",) * 2
    assert found.table.costs.tolist() == [[4e-6], [4e-6]]
    entry = {"whole": FEATURES_ZERO, "completion_tokens": 4}
    assert found.table.evidence == {"small": (entry, entry)}


def test_the_last_rating_counts(path: Path) -> None:
    write_ledger(path, [accepted("a", 0.9)], {"a": 0.0})
    found = ledger_table(write_ledger(path, [], {"a": 1.0}))
    assert scores_of(found, "small") == [1.0]


def test_a_rating_is_of_the_last_request_of_that_name_before_it(path: Path) -> None:
    early, late = replace(accepted("a", 0.9), created=1.0), replace(accepted("a", 0.9), created=2.0)
    future = replace(accepted("a", 0.9), created=1e12)
    found = ledger_table(write_ledger(path, [early, late, future], {"a": 0.0}), is_corrected=False)
    assert (found.table.ids, scores_of(found, "small")) == (("ledger:a:1",), [0.0])
    assert found.created.tolist() == [2.0]


def test_a_draft_is_as_good_as_it_is_like_the_answer_and_the_answer_has_no_score(path: Path) -> None:
    rows = [
        escalated("same", 0.3, "The answer is 12.", "12"),
        escalated("other", 0.3, "The answer is 13.", "12"),
        escalated("partly", 0.3, "red green", "red blue"),
    ]
    found = ledger_table(write_ledger(path, rows))
    assert (found.table.models, scores_of(found, "small")) == (("small",), [1.0, 0.0, 0.5])
    assert found.is_known.all()
    assert (found.rated, found.compared) == (0, 3)


@pytest.mark.parametrize(
    ("draft", "rating", "small"),
    [("12", 1.0, 1.0), ("12", 0.0, 0.0), ("12", 0.4, 0.4), ("13", 1.0, 0.0), ("13", 0.0, None)],
)
def test_of_a_rated_answer_a_like_draft_is_as_good(
    path: Path, draft: str, rating: float, small: float | None
) -> None:
    found = ledger_table(write_ledger(path, [escalated("a", 0.3, draft, "12")], {"a": rating}))
    assert scores_of(found, "large") == [rating]
    assert found.is_known[0, 1] == (small is not None)
    assert scores_of(found, "small") == [pytest.approx(0.3 if small is None else small)]


def test_an_answer_nobody_rated_is_expected_to_be_as_its_confidence_says(path: Path) -> None:
    found = ledger_table(write_ledger(path, [accepted("a", 0.9), escalated("b", 0.35, "13", "12")]))
    assert scores_of(found, "small") == [pytest.approx(0.9), 0.0]
    assert found.is_known.tolist() == [[False], [True]]
    assert found.table.evidence["small"][0] == {"completion_tokens": 4}
    assert (found.compared, found.expected) == (1, 1)


def test_a_draft_that_was_aborted_is_expected_too_and_has_neither_cost_nor_length(path: Path) -> None:
    found = ledger_table(write_ledger(path, [escalated("a", 0.35, "The ans", "12", is_whole=False)]))
    assert scores_of(found, "small") == [pytest.approx(0.35)]
    assert np.isnan(found.table.costs).all()
    assert found.table.evidence["small"] == (None,)


def test_what_cannot_be_used_is_counted_by_the_reason(path: Path) -> None:
    rows = [
        replace(accepted("no prompt", 0.9), prompt=None),
        served("gone", [judged("abandoned", 0.9)], prompt="x", answer="y"),
        served("direct", [attempt("large", "accepted", 0.9)], prompt="x", answer="y"),
        escalated("no gate", 0.3, None, "12", bar=None),
        accepted("used", 0.9),
    ]
    found = ledger_table(write_ledger(path, rows))
    assert (found.rows, len(found.table)) == (5, 1)
    assert found.unused == {
        "no stored prompt": 1,
        "no whole answer": 1,
        "not rated, and nothing to compare with": 1,
        "not rated, and the draft cannot be compared": 1,
    }


def test_rows_of_the_first_version_can_be_rated(path: Path) -> None:
    first = json.dumps(
        [{"model": "large", "usage": {"completion_tokens": 3}, "cost_usd": 1.0, "verdict": "accepted"}]
    )
    found = ledger_table(
        write_ledger(path, [replace(ROW, prompt="x", attempts=first)], {ROW.request_id: 1.0})
    )
    assert (found.table.models, scores_of(found, "large")) == (("large",), [1.0])


def test_a_ledger_that_teaches_nothing_is_an_empty_table(path: Path) -> None:
    found = ledger_table(write_ledger(path, [ROW]))
    assert (len(found.table), found.rows, found.unused) == (0, 1, {"no stored prompt": 1})


def test_a_ledger_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="no ledger at"):
        ledger_table(path)


def test_evidence_can_be_left_out(path: Path) -> None:
    table = ledger_table(write_ledger(path, [accepted("a", 0.9)], {"a": 1.0})).table
    assert without_evidence(table, ["other"]).evidence == table.evidence
    assert without_evidence(table, ["small"]).evidence == {"small": ({"completion_tokens": 4},)}


@pytest.mark.parametrize(
    ("answer", "reference", "alike"),
    [
        ("(b)", "The answer is B.", 1.0),
        ("(b)", "(c)", 0.0),
        ("It costs $1,200.00", "1200 dollars", 1.0),
        ("1200", "1201", 0.0),
        ("The Paris!", "paris", 1.0),
        ("42", "forty two", 0.0),
        ("It is Lima", "Lima", 0.5),
        ("", "Lima", 0.0),
    ],
)
def test_likeness(answer: str, reference: str, alike: float) -> None:
    assert likeness(answer, reference) == pytest.approx(alike)


@given(st.text(max_size=30), st.text(max_size=30))
def test_likeness_is_symmetric_and_a_share(a: str, b: str) -> None:
    assert likeness(a, b) == likeness(b, a)
    assert 0 <= likeness(a, b) <= 1
    assert likeness(a, a) == 1


@given(st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(0, 1)), min_size=1, max_size=40))
def test_expected_scores_keep_what_is_known_and_stay_in_range(
    pairs: list[tuple[float, float | None]],
) -> None:
    confidence = np.array([c for c, _ in pairs])
    scores = np.array([np.nan if s is None else s for _, s in pairs])
    filled = expected_scores(confidence, scores)
    known = ~np.isnan(scores)
    np.testing.assert_array_equal(filled[known], scores[known])
    assert ((filled >= 0) & (filled <= 1)).all()
    if not known.any():
        np.testing.assert_allclose(filled, confidence)


def world(n: int, audited: float, overconfident: float, seed: int) -> tuple[list[LedgerRow], float]:
    """Requests whose drafts are right with a chance that the gate knows but for `overconfident`, a share of
    which is climbed past although confident; `large` is always right. And the share that `small` has right.
    """
    random = np.random.default_rng(seed)
    chance = random.beta(1.5, 1.2, n)
    right = random.random(n) < chance
    confidence = np.clip(chance + overconfident, 0, 1)
    climbs = (confidence < 0.6) | (random.random(n) < audited)
    rows = [
        escalated(f"r{i}", c, "1" if r else "2", "1") if up else accepted(f"r{i}", c)
        for i, (c, r, up) in enumerate(zip(confidence.tolist(), right.tolist(), climbs.tolist(), strict=True))
    ]
    return rows, float(right.mean())


def biases(path: Path, audited: float, overconfident: float) -> tuple[float, float]:
    """How far the mean score of `small` is off over four worlds, without and with correction."""
    found: list[Sequence[float]] = []
    for seed in range(4):
        rows, truth = world(2_000, audited, overconfident, seed)
        ledger = write_ledger(path.with_name(f"{audited}-{overconfident}-{seed}.sqlite"), rows)
        tables = (ledger_table(ledger, is_corrected=False), ledger_table(ledger))
        found.append(
            [float(np.nanmean(t.table.scores[:, t.table.models.index("small")])) - truth for t in tables]
        )
    return tuple(np.mean(found, axis=0).tolist())


def test_escalations_alone_say_too_little_of_a_model_and_expected_scores_set_it_right(path: Path) -> None:
    plain, corrected = biases(path, audited=0.0, overconfident=0.0)
    assert plain < -0.15
    assert abs(corrected) < 0.02


def test_where_the_gate_is_overconfident_exploration_sets_it_right(path: Path) -> None:
    _, believed = biases(path, audited=0.0, overconfident=0.15)
    plain, explored = biases(path, audited=0.1, overconfident=0.15)
    assert believed > 0.05
    assert plain < -0.15
    assert abs(explored) < believed / 3
