"""A model that joins a fitted state: nothing of the others changes, and what is told of it is held out."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from server_fixtures import member
from test_fit import EMBEDDER, entry_of, fitted, table_of
from threadpoolctl import threadpool_limits

from pinnace.errors import StateError, TableError
from pinnace.eval.adding import Addition, add_models
from pinnace.eval.fitting import fit_rows
from pinnace.eval.table import OutcomeTable
from pinnace.models.card import card_of
from pinnace.router.calibration_rows import NAMES
from pinnace.router.embedder import HashingEmbedder
from pinnace.router.estimators.learner import folds_of, numbered
from pinnace.router.recognition import Recognised, recognise
from pinnace.router.state import RouterState
from pinnace.router.types import FloatArray

ROWS = 600


def with_middle(table: OutcomeTable, seed: int = 7) -> OutcomeTable:
    """The table with one model more, `middle`: it knows most sums, few capitals, and writes seven tokens."""
    random = np.random.default_rng(seed)
    chance = np.where(np.array(table.tasks) == "sums", random.beta(4, 1, len(table)), 0.2)
    scores = (random.random(len(table)) < chance).astype(float)
    entries = tuple({**entry_of(float(each)), "completion_tokens": 7} for each in chance)
    return replace(
        table,
        models=(*table.models, "middle"),
        scores=np.hstack([table.scores, scores[:, None]]),
        costs=np.full((len(table), 3), np.nan),
        evidence={**table.evidence, "middle": entries},
    )


def alone(table: OutcomeTable, model: str = "middle") -> OutcomeTable:
    """The table with only this model's columns."""
    at = [table.models.index(model)]
    evidence = {name: entries for name, entries in table.evidence.items() if name == model}
    return replace(
        table, models=(model,), scores=table.scores[:, at], costs=table.costs[:, at], evidence=evidence
    )


@cache
def before() -> RouterState:
    with threadpool_limits(1):
        return fitted(table_of(ROWS))


@cache
def joined() -> Addition:
    """`middle` joins by 300 of the rows that the state was fitted on."""
    return add_models(before(), own_rows(), EMBEDDER, sources=["more"])


def own_rows(n: int = 300) -> OutcomeTable:
    return with_middle(table_of(ROWS)).take(range(n))


def quality_of(state: RouterState, prompts: list[str]) -> FloatArray:
    """What `middle` is expected to reach."""
    expectation = state.expectation
    return expectation.quality(expectation.see(prompts, EMBEDDER.embed(prompts)))[:, -1]


def test_all_that_was_known_stays_to_the_last_bit() -> None:
    old, new = before(), joined().state
    assert new.models == ("small", "large", "middle")
    for name in ("quality", "quality_sd", "output_tokens", "confidences"):
        np.testing.assert_array_equal(getattr(new, name)[:, :2], getattr(old, name))
    np.testing.assert_array_equal(new.overall[:2], old.overall)
    for name in ("gain", "half"):
        np.testing.assert_array_equal(getattr(new.gains, name)[:, :2, :2], getattr(old.gains, name))
    for name in NAMES:
        kept = getattr(new.calibration, name)
        np.testing.assert_array_equal(kept[:, :2] if kept.ndim == 2 else kept, getattr(old.calibration, name))
    arrays = new.expectation.arrays()
    for name, array in old.expectation.arrays().items():
        np.testing.assert_array_equal(arrays[name][tuple(slice(n) for n in array.shape)], array, err_msg=name)
    assert {model: gate for model, gate in new.gate.whole.items() if model != "middle"} == old.gate.whole
    assert new.clusters.labels == old.clusters.labels


def test_the_same_rows_and_seed_give_the_same_model() -> None:
    again, first = add_models(before(), own_rows(), EMBEDDER, sources=["more"]).state, joined().state
    arrays = again.expectation.arrays()
    assert all((arrays[name] == array).all() for name, array in first.expectation.arrays().items())
    assert (again.gate, again.provenance) == (first.gate, first.provenance)


def test_a_few_hundred_rows_tell_what_it_is_good_at() -> None:
    sums, capitals = quality_of(joined().state, ["Add 5 and 6 please", "Name the capital of Cuba now"])
    assert sums > 0.65
    assert capitals < 0.35
    (told,) = joined().added
    assert (told.model, told.rows, told.recognised) == ("middle", 300, 300)
    assert 0.15 < told.r2_low < told.r2 < told.r2_high < 0.6
    assert told.mse < 0.85 * told.mse_mean
    assert told.auroc > 0.75
    assert told.mean == pytest.approx(own_rows().scores[:, 2].mean())


def test_its_lengths_are_its_own_and_without_any_those_of_the_others() -> None:
    assert joined().state.output_tokens[:, 2] == pytest.approx(7)
    unsaid = replace(own_rows(), evidence={})
    assert add_models(before(), unsaid, EMBEDDER).state.output_tokens[:, 2] == pytest.approx(4)


def test_where_nothing_can_be_learnt_its_mean_is_left() -> None:
    table = own_rows()
    order = np.random.default_rng(0).permutation(300)
    scores = np.hstack([table.scores[:, :2], table.scores[order][:, 2:]])
    found = add_models(before(), replace(table, scores=scores, evidence={}), EMBEDDER)
    assert found.added[0].r2_low <= 0
    quality = quality_of(found.state, ["Add 5 and 6 please", "Name the capital of Cuba now"])
    assert quality == pytest.approx(scores[:, 2].mean(), abs=0.12)


def test_its_gate_judges_and_its_evidence_is_remembered() -> None:
    state, (told,) = joined().state, joined().added
    assert set(state.gate.whole) == set(state.gate.prefix) == {"small", "middle"}
    assert np.isfinite(state.confidences[:, 2]).all()
    assert set(state.gate.references) == {"small", "middle"}
    assert told.gate["whole/auroc"] > 0.7
    bare = add_models(before(), replace(own_rows(), evidence={}), EMBEDDER)
    assert (bare.added[0].gate, bare.state.gate.can_judge("middle")) == ({}, False)


def test_gains_are_of_the_rows_where_both_ran() -> None:
    table = own_rows()
    expected = float((table.scores[:, 2] - table.scores[:, 0]).mean())
    assert joined().state.gains.gain[-1, 0, 2] == pytest.approx(expected, abs=0.01)


def test_the_others_scores_are_the_states_where_the_table_has_none_and_all_rows_are_recognised() -> None:
    plain = table_of(120)
    longer = tuple(prompt + " and now" * (3 * i) for i, prompt in enumerate(plain.prompts))
    told_apart = replace(plain, prompts=longer)
    with threadpool_limits(1):
        state = fitted(told_apart)
    joining = with_middle(told_apart)
    gains = add_models(state, alone(joining), EMBEDDER).state.gains
    expected = float((joining.scores[:, 2] - joining.scores[:, 0]).mean())
    assert gains.gain[-1, 0, 2] == pytest.approx(expected, abs=0.02)
    table = own_rows()
    for other in (table, with_middle(table_of(300, seed=9))):
        gains = add_models(before(), alone(other), EMBEDDER).state.gains
        assert (gains.gain[-1, 0, 2], gains.half[-1, 0, 2]) == (0, 2)


def recognised(table: OutcomeTable, scores: FloatArray) -> Recognised:
    state, vectors = before(), EMBEDDER.embed(table.prompts)
    features = state.expectation.see(table.prompts, vectors)
    return recognise(state, table.prompts, vectors, features, scores)


def test_rows_that_come_again_are_known_and_so_is_their_fold() -> None:
    table = table_of(ROWS)
    found = recognised(table, table.scores)
    assert found.rows == ROWS
    assert (before().calibration.scores[found.at] == table.scores).all()
    familiarity = before().clusters.familiarity(EMBEDDER.embed(table.prompts))
    folds = folds_of(numbered(table.prompts), 0)
    assert (found.folds == folds)[familiarity > 0.05].all()


def test_other_rows_are_not_known() -> None:
    table = table_of(200, seed=11)
    other = replace(table, prompts=tuple(f"Say {n}, then {prompt}" for n, prompt in enumerate(table.prompts)))
    assert recognised(other, np.full((200, 2), np.nan)).rows == 0


def test_rows_that_look_alike_are_not_paired_without_the_others_scores() -> None:
    """The capitals' prompts come again and again: which of them was right is told by the scores alone."""
    capitals = [i for i, task in enumerate(table_of(ROWS).tasks) if task == "capitals"]
    table = table_of(ROWS).take(capitals)
    assert recognised(table, np.full(table.scores.shape, np.nan)).rows == 0
    assert recognised(table, table.scores).rows == len(capitals)


def test_floors_are_calibrated_by_heads_that_had_not_seen_the_row() -> None:
    """What the heads of a row's fold say of the new model does not depend on its score there."""
    table = own_rows()
    found = recognised(table, table.scores[:, :2])
    row = 17
    flipped = table.scores.copy()
    flipped[row, 2] = 1 - flipped[row, 2]
    other = add_models(before(), replace(table, scores=flipped), EMBEDDER).state
    for fold, (one, two) in enumerate(
        zip(joined().state.expectation.folds, other.expectation.folds, strict=True)
    ):
        assert (one.weights == two.weights).all() == (fold == found.folds[row])


def test_floors_know_it_where_its_rows_are_the_states_own() -> None:
    state, table = joined().state, own_rows()
    at = recognised(table, table.scores[:, :2]).at
    assert joined().added[0].calibrated == 300
    assert (state.calibration.scores[at, 2] == table.scores[:, 2]).all()
    assert np.isnan(np.delete(state.calibration.scores[:, 2], at)).all()
    cards = [card_of(member(name, {"answer": "x"}), backend="scripted") for name in state.models]
    whole = state.calibration.rate_table(cards, [0, 1, 2], 1)
    assert whole is not None
    assert whole.rows == 300
    pair, as_before = (each.calibration.rate_table(cards[:2], [0, 1], 1) for each in (state, before()))
    assert pair is not None
    assert as_before is not None
    assert (pair.figures == as_before.figures).all()


def test_floors_do_not_know_it_where_some_rows_are_not_the_states() -> None:
    table = own_rows()
    prompts = tuple(f"Now {p}" if i < 30 else p for i, p in enumerate(table.prompts))
    found = add_models(before(), replace(table, prompts=prompts), EMBEDDER)
    assert 270 <= found.added[0].recognised < 290
    assert found.added[0].calibrated == 0
    assert np.isnan(found.state.calibration.scores[:, 2]).all()


def test_two_models_join_at_once_each_by_its_own_rows() -> None:
    table = own_rows(400)
    twin = alone(with_middle(table_of(ROWS), seed=8).take(range(400)))
    scores = np.hstack([table.scores, twin.scores])
    scores[:200, 3] = np.nan
    costs = np.full(scores.shape, np.nan)
    both = replace(table, models=(*table.models, "twin"), scores=scores, costs=costs)
    found = add_models(before(), both, EMBEDDER)
    assert [(one.model, one.rows, one.calibrated) for one in found.added] == [
        ("middle", 400, 400), ("twin", 200, 200),
    ]  # fmt: skip
    assert (found.state.models, found.known) == (("small", "large", "middle", "twin"), ("small", "large"))


def test_it_is_told_where_the_model_came_from() -> None:
    old, new = before().provenance, joined().state.provenance
    assert (new.rows, new.table_sha256, new.sources) == (old.rows, old.table_sha256, ("made up", "more"))
    assert new.metrics.items() >= old.metrics.items()
    assert new.metrics["middle/added/rows"] == 300
    assert new.metrics["estimates/auroc_middle"] == pytest.approx(joined().added[0].auroc, abs=1e-4)
    assert new.tasks["sums"].items() > old.tasks["sums"].items()
    assert new.tasks["sums"]["middle"] > 0.6


def test_too_few_scored_rows_are_refused() -> None:
    table = own_rows()
    scores = table.scores.copy()
    scores[49:, 2] = np.nan
    with pytest.raises(TableError, match="middle: expected at least 50 scored rows to add it, got 49"):
        add_models(before(), replace(table, scores=scores), EMBEDDER)


def test_models_that_are_known_are_not_added() -> None:
    with pytest.raises(
        TableError, match=r"expected a model that the state does not know, got only \['small'"
    ):
        add_models(before(), table_of(100), EMBEDDER)


def test_another_embedder_is_refused() -> None:
    class Other(HashingEmbedder):
        name = "other"

    with pytest.raises(StateError, match="fitted with, 'hashing', got 'other'"):
        add_models(before(), own_rows(), Other(64))


def test_rows_can_be_taken() -> None:
    rows = fit_rows(own_rows(), EMBEDDER)
    taken = rows.take(np.array([5, 2]))
    assert taken.prompts == (rows.prompts[5], rows.prompts[2])
    assert (taken.scores == rows.scores[[5, 2]]).all()
    assert taken.evidence["middle"]["whole"] == tuple(rows.evidence["middle"]["whole"][i] for i in (5, 2))
