"""Fitting a router state: the same rows give the same state, and its confidence means what it says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server_fixtures import member
from test_state import assert_same

from pinnace.config import Policy
from pinnace.errors import TableError
from pinnace.eval.fitting import fit_apart, fit_table, task_means
from pinnace.eval.table import OutcomeTable
from pinnace.models.card import card_of
from pinnace.models.completion import Message, Request, TokenLogprob
from pinnace.router.calibration import expected_calibration_error
from pinnace.router.embedder import HashingEmbedder
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.estimators.tables import group_means
from pinnace.router.evidence import Evidence, evidence_of
from pinnace.router.router import Router
from pinnace.router.state import RouterState, load_state, save_state

COUNTRIES = ("France", "Italy", "Spain", "Peru", "Japan", "Kenya", "Chile", "Egypt", "Nepal", "Cuba")
EMBEDDER = HashingEmbedder(64)


def table_of(n: int = 300, seed: int = 0, *, evidence: bool = True) -> OutcomeTable:
    """Capitals, of which `small` knows most, and sums, of which it knows few; `large` knows all but few.

    `small` claims of each of its four tokens the probability with which it is indeed right.
    """
    random = np.random.default_rng(seed)
    is_sum = random.random(n) < 0.5
    chance = np.where(is_sum, random.beta(1, 4, n), random.beta(4, 1, n))
    right = (random.random(n) < chance).astype(float)
    large = (random.random(n) < 0.95).astype(float)
    prompts = [
        f"Add {random.integers(99)} and {random.integers(99)} please"
        if s
        else f"Name the capital of {random.choice(COUNTRIES)} now"
        for s in is_sum
    ]
    return OutcomeTable(
        ids=tuple(f"r{i}" for i in range(n)),
        tasks=tuple("sums" if s else "capitals" for s in is_sum),
        prompts=tuple(prompts),
        models=("small", "large"),
        scores=np.stack([right, large], axis=1),
        costs=np.full((n, 2), np.nan),
        evidence={"small": tuple(entry_of(float(c)) for c in chance)} if evidence else {},
    )


def entry_of(chance: float) -> dict[str, Any]:
    """What the evidence column of a table holds for an answer of four tokens that claim `chance`."""
    tokens = [TokenLogprob("x", float(np.log(chance)), (("x", -0.1), ("y", -1.1)))] * 4
    whole, prefix = evidence_of(tokens, "stop"), evidence_of(tokens[:2], None)
    assert whole is not None
    assert prefix is not None
    return {"whole": whole.as_dict(), "prefix": prefix.as_dict(), "completion_tokens": 4}


def fitted(table: OutcomeTable, *, clusters: int = 2, seed: int = 0) -> RouterState:
    return fit_table(table, EMBEDDER, clusters=clusters, hold_tokens=2, seed=seed, sources=["made up"])


def test_a_task_apart_has_clusters_of_its_own() -> None:
    table = table_of(300)
    found = fit_apart(table, EMBEDDER, clusters=2, hold_tokens=2, apart=["sums"])
    plain = fit_table(
        table.take([i for i, t in enumerate(table.tasks) if t != "sums"]), EMBEDDER, clusters=2, hold_tokens=2
    )
    kept = len(plain.clusters.centroids)
    np.testing.assert_array_equal(found.state.clusters.centroids[:kept], plain.clusters.centroids)
    assert len(found.state.clusters.centroids) > kept
    members = np.argmax(EMBEDDER.embed(table.prompts) @ found.state.clusters.centroids.T, axis=1)
    is_sum = np.array(table.tasks) == "sums"
    assert ((members >= kept) == is_sum).mean() > 0.95
    assert np.isnan(found.confidences[:, 1]).all()
    assert not np.isnan(found.confidences[:, 0]).any()


@pytest.fixture(scope="module")
def state() -> RouterState:
    return fitted(table_of(600))


def test_the_same_rows_and_seed_give_the_same_state(state: RouterState) -> None:
    again = fitted(table_of(600))
    assert_same(state, again)
    np.testing.assert_array_equal(state.confidences, again.confidences)


def test_the_same_rows_and_seed_give_the_same_files(state: RouterState, tmp_path: Path) -> None:
    save_state(state, tmp_path / "one")
    save_state(fitted(table_of(600)), tmp_path / "other")
    for name in ("state.json", "arrays.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_the_report_is_of_rows_that_the_heads_have_not_seen(state: RouterState) -> None:
    metrics = state.provenance.metrics
    assert 0.1 < metrics["estimates/mse"] < 0.8 * metrics["estimates/mse_means"]
    assert metrics["estimates/auroc_small"] > 0.75
    assert 0.3 < metrics["estimates/auroc_large"] < 0.7
    assert metrics["estimates/kinds"] == 2
    shares = {
        f"estimates/share_{part}_{of}"
        for part in ("kinds", "meaning", "form")
        for of in ("difference", "level")
    }
    assert shares <= set(metrics)


def test_shuffled_scores_teach_nothing() -> None:
    table = table_of(400)
    order = np.random.default_rng(3).permutation(400)
    metrics = fitted(replace(table, scores=table.scores[order], evidence={})).provenance.metrics
    assert metrics["estimates/mse"] < 1.02 * metrics["estimates/mse_means"]
    assert 0.4 < metrics["estimates/auroc_small"] < 0.6


def test_climbing_wins_where_the_small_model_fails(state: RouterState) -> None:
    vectors = EMBEDDER.embed(["Add 5 and 6 please", "Name the capital of Cuba now"])
    (sums,), (capitals,) = state.clusters.membership(vectors)[0][:, :1]
    gain, half = state.gains.gain[:, 0, 1], state.gains.half[:, 0, 1]
    assert gain[sums] - half[sums] > 0.5
    assert 0 < gain[capitals] < 0.4
    assert gain[-1] == pytest.approx(float((table_of(600).scores @ [-1, 1]).mean()), abs=0.01)


def test_floors_are_calibrated_on_what_each_fold_had_not_seen(state: RouterState) -> None:
    rows = state.calibration
    assert rows.quality.shape == rows.scores.shape == (600, 2)
    error = np.mean((rows.quality - rows.scores) ** 2)
    metrics = state.provenance.metrics
    assert metrics["estimates/mse"] * 0.95 < error < 0.85 * metrics["estimates/mse_means"]
    assert (rows.output_tokens == 4).all()


def test_rows_that_one_model_ran_calibrate_nothing() -> None:
    table = table_of()
    scores = table.scores.copy()
    scores[::2, 1] = np.nan
    assert len(fitted(replace(table, scores=scores)).calibration.quality) == 150


def test_where_no_length_is_known_answers_are_of_typical_length() -> None:
    state = fitted(table_of(evidence=False))
    assert (state.output_tokens == 100).all()
    assert (state.overall[:, 1] == 100).all()


def test_where_a_model_votes_others_are_taken_to_write_as_much_as_one_of_its_answers() -> None:
    table = table_of()
    voted = tuple({**(entry or {}), "completion_tokens": 32} for entry in table.evidence["small"])
    state = fitted(replace(table, evidence={"small": voted}))
    assert state.overall[:, 1] == pytest.approx([32, 4])


def test_it_knows_where_it_came_from(state: RouterState) -> None:
    found = state.provenance
    assert (found.embedder, found.rows, found.seed, found.sources) == ("hashing", 600, 0, ("made up",))
    assert set(found.tasks) == {"sums", "capitals"}
    other = fitted(replace(table_of(), scores=1 - table_of().scores))
    assert other.provenance.table_sha256 != found.table_sha256


def test_clusters_are_the_kinds_of_requests_and_quality_is_theirs(state: RouterState) -> None:
    vectors = EMBEDDER.embed(["Add 5 and 6 please", "Name the capital of Cuba now"])
    (sums, capitals), _ = np.split(state.clusters.membership(vectors)[0], [1], axis=1)
    small, large = state.quality[:, 0], state.quality[:, 1]
    assert sums != capitals
    assert small[sums[0]] < 0.35
    assert small[capitals[0]] > 0.65
    assert (large > 0.85).all()
    assert (state.quality_sd < 0.1).all()


def test_the_gate_is_calibrated_on_rows_that_it_has_not_seen(state: RouterState) -> None:
    fresh = table_of(2000, seed=1)
    router = Router(state, EmbeddingQueue(EMBEDDER), Policy())
    card = card_of(member("small", {"answer": "x"}), backend="scripted")
    confidence: list[float] = []
    rows = zip(fresh.prompts, EMBEDDER.embed(fresh.prompts), fresh.evidence["small"], strict=True)
    for prompt, vector, entry in rows:
        assert entry is not None
        route = router.decide(vector, Request((Message("user", prompt),)), [card])
        confidence.append(router.judge(route, card, [evidence_of_entry(entry)], is_whole=True))
    assert expected_calibration_error(np.array(confidence), fresh.scores[:, 0]) < 0.08
    metrics = state.provenance.metrics
    assert metrics["small/whole/auroc"] > 0.8
    assert metrics["small/whole/ece"] < 0.1
    assert metrics["small/whole/rows"] == 600


def evidence_of_entry(entry: Mapping[str, Any]) -> Evidence:
    return Evidence(**entry["whole"])


def test_only_models_with_evidence_have_a_gate(state: RouterState) -> None:
    assert set(state.gate.whole) == set(state.gate.prefix) == {"small"}
    assert np.isfinite(state.confidences[:, 0]).all()
    assert np.isnan(state.confidences[:, 1]).all()
    assert (np.diff(state.confidences[:, 0], axis=1) >= 0).all()


def test_without_evidence_there_is_no_gate_at_all() -> None:
    state = fitted(table_of(evidence=False))
    assert (dict(state.gate.whole), dict(state.gate.prefix)) == ({}, {})
    assert np.isnan(state.confidences).all()
    assert not any("/whole/" in name for name in state.provenance.metrics)


def test_what_was_not_run_is_passed_over() -> None:
    table = table_of()
    scores = table.scores.copy()
    scores[::2, 1] = np.nan
    state = fitted(replace(table, scores=scores))
    assert np.isfinite(state.quality).all()
    members = np.argmax(EMBEDDER.embed(table.prompts) @ state.clusters.centroids.T, axis=1)
    means = [np.nanmean(scores[members == each, 1]) for each in set(members.tolist())]
    assert state.overall[1, 0] == pytest.approx(np.mean(means))


def test_it_comes_back_from_disk_and_judges_the_same(state: RouterState, tmp_path: Path) -> None:
    save_state(state, tmp_path / "state")
    assert_same(load_state(tmp_path / "state"), state)


def test_there_are_at_most_a_tenth_as_many_clusters_as_rows() -> None:
    assert len(fitted(table_of(60), clusters=50).clusters.labels) == 6


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(TableError, match="expected at least 50 rows to fit a router state, got 49"):
        fitted(table_of(49))


def test_task_means_are_of_what_was_run() -> None:
    table = table_of(60)
    scores = table.scores.copy()
    scores[:, 1] = np.nan
    means = task_means(replace(table, scores=scores))
    assert sum(found["rows"] for found in means.values()) == 60
    assert all("large" not in found for found in means.values())


def test_a_cluster_that_tells_nothing_has_the_models_mean() -> None:
    random = np.random.default_rng(0)
    values = random.random((400, 1))
    members = random.integers(0, 4, 400)
    means, sds = group_means(values, members, 5)
    np.testing.assert_allclose(means, values.mean(), atol=0.05)
    assert means[4, 0] == pytest.approx(values.mean())
    assert (sds > 0).all()


def test_clusters_that_differ_keep_their_means() -> None:
    members = np.repeat([0, 1], 200)
    values = np.where(members == 0, 0.1, 0.9)[:, None] + np.random.default_rng(0).normal(0, 0.05, (400, 1))
    means, _ = group_means(values, members, 2)
    np.testing.assert_allclose(means[:, 0], [0.1, 0.9], atol=0.02)
