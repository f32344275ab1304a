"""The published protocols on small tables of their shapes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from replay_worlds import QUICK, QUICK_PAIR, TOPICS, vectors_of, world

from pinnace.errors import TableError
from pinnace.eval import protocols, routellm, routerdc
from pinnace.eval.protocols import PROTOCOLS, protocol_json, protocol_parts, run_protocol
from pinnace.eval.routerdc import TASKS as ROUTERDC_TASKS
from pinnace.eval.table import OutcomeTable

FIGURES = {"value", "low", "high"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours stands in for itself elsewhere; and 100 rows are enough for five folds."""
    for module in (protocols, routerdc):
        monkeypatch.setattr(module, "METHODS", QUICK)
    monkeypatch.setattr(routellm, "METHODS", QUICK_PAIR)
    monkeypatch.setattr(routellm, "MIN_ROWS", 100)


def run(name: str, table: OutcomeTable, seeds: int = 1) -> Mapping[str, Any]:
    done = run_protocol(name, table, vectors_of, seeds=seeds, draws=20)
    found = protocol_json(name, done, "t.parquet", seeds=seeds, draws=20)
    assert (found["table"], found["protocol"], found["seeds"], found["draws"]) == (
        "t.parquet",
        name,
        seeds,
        20,
    )
    for figures in found["methods"].values():
        for figure in figures.values():
            assert set(figure) == FIGURES
    return found["methods"]


def routerdc_table(n: int = 300) -> OutcomeTable:
    """Five tasks of unlike sizes and difficulty, a third of each for testing; no costs."""
    table = world(n)
    shares = [0.35, 0.3, 0.15, 0.15, 0.05]
    tasks = [ROUTERDC_TASKS[k] for k in np.random.default_rng(0).choice(5, size=n, p=shares)]
    return replace(
        table,
        tasks=tuple(tasks),
        splits=tuple("test" if row % 3 == 0 else "train" for row in range(n)),
        costs=np.full_like(table.costs, np.nan),
    )


def routellm_table(n: int = 360) -> OutcomeTable:
    """Two data sets of a weak and a strong model, a few rows of each contaminated; MT-Bench is small."""
    table = world(n)
    ids = [f"mmlu/{k}" if k < n // 2 else f"gsm8k/{k}" if k < n - 12 else f"mtbench/{k}" for k in range(n)]
    return replace(
        table,
        ids=tuple(ids),
        models=("weak", "strong"),
        scores=table.scores[:, [0, 3]],
        costs=table.costs[:, [0, 3]],
        splits=tuple("contaminated" if row % 10 == 0 else "test" for row in range(n)),
    )


def test_routerdc_means_tasks_and_not_rows() -> None:
    table = routerdc_table()
    found = run("routerdc", table)
    test, tasks = np.array(table.splits) == "test", np.array(table.tasks)
    best = int(np.argmax(table.scores[~test].mean(axis=0)))
    each = {task: 100 * table.scores[test & (tasks == task), best].mean() for task in ROUTERDC_TASKS}
    for task, expected in each.items():
        assert found["best_single"][task]["value"] == pytest.approx(expected)
    assert found["best_single"]["average"]["value"] == pytest.approx(np.mean(list(each.values())))
    del each["humaneval"]
    assert found["best_single"]["average_without_humaneval"]["value"] == pytest.approx(
        np.mean(list(each.values()))
    )


def test_routerdc_needs_no_price_and_no_large_model() -> None:
    found = run("routerdc", routerdc_table())
    assert set(found) == set(QUICK) - {"routellm", "content_blind", "cheapest"}
    for figures in found.values():
        assert list(figures) == [*ROUTERDC_TASKS, "average", "average_without_humaneval"]
        assert figures["average"]["low"] <= figures["average"]["value"] <= figures["average"]["high"]
    assert found["oracle"]["average"]["value"] == max(f["average"]["value"] for f in found.values())


def test_routerdc_learns_from_the_train_split_alone() -> None:
    table = routerdc_table()
    test = np.array(table.splits) == "test"
    worse = replace(table, scores=np.where(test[:, None], 0.0, table.scores))
    assert all(f["average"]["value"] == 0 for f in run("routerdc", worse).values())
    spoiled = replace(table, scores=np.where(test[:, None], table.scores, 1.0))
    best = run("routerdc", spoiled)["best_single"]
    assert best["average"]["value"] < run("routerdc", table)["best_single"]["average"]["value"]


def test_routerdc_leaves_rows_of_other_tasks_out() -> None:
    table = routerdc_table()
    more = replace(table, tasks=tuple("mbpp" if row % 7 == 1 else t for row, t in enumerate(table.tasks)))
    fewer = np.array([task != "mbpp" for task in more.tasks])
    figures = run("routerdc", more)["oracle"]
    test = fewer & (np.array(table.splits) == "test") & (np.array(table.tasks) == "mmlu")
    assert figures["mmlu"]["value"] == pytest.approx(100 * table.scores[test].max(axis=1).mean())


@pytest.mark.parametrize("splits", [None, ("train",) * 300])
def test_routerdc_refuses_a_table_without_its_splits(splits: tuple[str, ...] | None) -> None:
    with pytest.raises(TableError, match=r"rows of split 'test' of mmlu.*, lacks those of arc_challenge"):
        run("routerdc", replace(routerdc_table(), splits=splits))


def test_routerdc_refuses_another_table() -> None:
    table = replace(world(), splits=("test",) * 300)
    assert set(table.tasks) == set(TOPICS)
    with pytest.raises(TableError, match=r"expected RouterDC's table .* lacks those of arc_challenge, cmmlu"):
        run("routerdc", table)


def test_routellm_cross_validates_each_data_set_that_is_large_enough() -> None:
    found = run("routellm", routellm_table(), seeds=2)
    assert set(found) == set(routellm.WITH_NEED)
    for figures in found.values():
        assert set(figures) == {
            f"{name}_{figure}" for name in ("mmlu", "gsm8k") for figure in ("apgr", "cpt50", "cpt80")
        }
    for name in ("mmlu", "gsm8k"):
        assert found["random"][f"{name}_apgr"]["value"] == pytest.approx(0.5, abs=0.15)
        assert found["knn40"][f"{name}_apgr"]["value"] > 0.6
        cpt50, cpt80 = (found["knn40"][f"{name}_cpt{percent}"]["value"] for percent in (50, 80))
        assert 0 < cpt50 < cpt80 < 1


def test_routellm_leaves_contaminated_rows_out() -> None:
    table = routellm_table()
    known = np.array(table.splits) == "contaminated"
    other = replace(table, scores=np.where(known[:, None], 1 - table.scores, table.scores))
    assert run("routellm", other) == run("routellm", table)


def test_routellm_tests_every_row_on_a_fold_that_did_not_learn_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tested: list[list[int]] = []

    def settle(split: Any) -> Any:
        assert not set(split.train.rows.tolist()) & set(split.test.rows.tolist())
        assert not set(split.train.prompts) & set(split.test.prompts)
        tested.append(split.test.rows.tolist())
        return QUICK["random"].settle(split)

    monkeypatch.setattr(routellm, "WITH_NEED", ("only",))
    monkeypatch.setattr(routellm, "METHODS", {"only": replace(QUICK["random"], settle=settle)})
    table = routellm_table()
    prompts = list(table.prompts)
    prompts[1:180:4] = prompts[2:180:4]  # pairs of rows with one prompt, in one fold
    run("routellm", replace(table, prompts=tuple(prompts)))
    assert len(tested) == 10
    for folds in (tested[:5], tested[5:]):
        rows = sorted(row for fold in folds for row in fold)
        assert rows == list(range(len(rows)))


def test_routellm_without_costs_has_the_better_model_as_the_strong_one() -> None:
    """As RouteLLM publishes none: a table that `pinnace eval import` made."""
    table = routellm_table()
    bare = replace(table, costs=np.full_like(table.costs, np.nan))
    turned = replace(bare, models=("strong", "weak"), scores=bare.scores[:, ::-1])
    expected = run("routellm", table)["routellm"]
    assert run("routellm", bare)["routellm"] == expected
    assert run("routellm", turned)["routellm"] == expected


def test_routellm_refuses_another_table() -> None:
    with pytest.raises(TableError, match=r"expected RouteLLM's pair of models, got \('small:a'"):
        run("routellm", world())


def test_routellm_refuses_tables_that_are_too_small() -> None:
    with pytest.raises(
        TableError, match="at least 100 rows that are not contaminated, got gsm8k, mmlu, mtbench"
    ):
        run("routellm", routellm_table(90))


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("routerbench", ["aiq", "aiq_by_largest", "accuracy", "usd_per_1k"]),
        ("llmrouterbench", ["average_accuracy", "gain_over_best_single", "gap_to_oracle", "usd_per_1k"]),
    ],
)
def test_benches_have_their_figures(name: str, figures: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fast = protocols.replay
    monkeypatch.setattr(protocols, "replay", lambda *a, **k: fast(*a, **k, methods=QUICK))
    found = run(name, world())
    assert all(list(of) == figures for of in found.values())
    assert ("routellm" in found) == (name == "routerbench")
    assert found["oracle"][figures[0]]["value"] == max(of[figures[0]]["value"] for of in found.values())
    assert found["cheapest"]["usd_per_1k"]["value"] == min(of["usd_per_1k"]["value"] for of in found.values())


def test_every_protocol_says_what_it_is_and_what_was_published() -> None:
    assert set(PROTOCOLS) == {"routerdc", "routellm", "routerbench", "llmrouterbench"}
    assert PROTOCOLS["routerdc"].published["RouterDC, average"] == "58.54"
    assert "in-domain supervised" in PROTOCOLS["routellm"].note


def parts(name: str, table: OutcomeTable, seeds: int = 1) -> Mapping[str, Any]:
    done = run_protocol(name, table, vectors_of, seeds=seeds, draws=20)
    return protocol_parts(name, done, "t.parquet", draws=20)


def test_routellm_has_a_panel_for_each_data_set_whose_curves_are_those_of_its_figures() -> None:
    table = routellm_table()
    figures, found = run("routellm", table, seeds=2), parts("routellm", table, seeds=2)
    assert [pair["name"] for pair in found["pairs"]] == ["gsm8k", "mmlu"]
    for pair in found["pairs"]:
        assert set(pair["curves"]) == {*routellm.WITH_NEED, "oracle"}
        for name in routellm.WITH_NEED:
            curve = pair["curves"][name]
            assert curve["apgr"] == pytest.approx(figures[name][f"{pair['name']}_apgr"]["value"])
            assert curve["accuracy"][0] == pytest.approx(pair["weak"])
            assert curve["accuracy"][-1] == pytest.approx(pair["strong"])
    assert found["beside"]["mmlu_apgr"] == {"name": "RouteLLM, MMLU APGR", "value": 0.603}


def test_a_protocol_without_a_pair_or_a_replay_has_labels_alone() -> None:
    found = parts("routerdc", routerdc_table())
    assert (found["pairs"], found["replay"]) == ([], None)
    assert found["labels"]["knn40"] == "kNN-40"
    assert found["beside"]["average"]["value"] == 58.54


def test_a_bench_brings_its_whole_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = protocols.replay
    monkeypatch.setattr(protocols, "replay", lambda *a, **k: fast(*a, **k, methods=QUICK))
    found = parts("routerbench", world())["replay"]
    assert set(found["methods"]) == set(QUICK)
    assert found["clusters"]
    assert [entry["model"] for entry in found["reliability"]] == list(world().models)
