"""`pinnace eval replay`, as a user types it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_fixtures import Run, configure, runner
from replay_worlds import LARGE, QUICK, QUICK_PAIR, SMALL, recorded_of, world

from pinnace.cli import app, eval_replay
from pinnace.eval import protocols, routellm
from pinnace.eval.recorded_rows import hash_split
from pinnace.eval.table_file import write_table
from pinnace.router.embedder import HashingEmbedder

QUICKLY = ("--seeds", "1", "--draws", "20")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `pinnace eval replay` with the arguments that it is given."""
    monkeypatch.chdir(tmp_path)
    configure(tmp_path)
    write_table(world(), Path("world.parquet"))
    return runner(monkeypatch, capsys, "eval", "replay")


@pytest.fixture
def quick(bare: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same with a learner in the place of ours that takes no second."""
    monkeypatch.setattr(eval_replay, "METHODS", QUICK)
    monkeypatch.setattr(eval_replay, "load_embedder", lambda _: HashingEmbedder(64))
    return bare


def test_help_has_an_example(bare: Run) -> None:
    code, out, _ = bare("--help")
    assert code == 0
    assert "pinnace eval replay" in out.partition("Example:")[2]


def test_json_is_one_object_with_the_keys_of_the_issue(bare: Run) -> None:
    found = bare("world.parquet", "--pool", "small:a,small:b,small:c:large", *QUICKLY, "--json").json()
    assert (found["table"], found["rows"], found["small"], found["large"]) == (
        "world.parquet", 300, list(SMALL), LARGE,
    )  # fmt: skip
    for method in found["methods"].values():
        for key in ("small_accuracy", "area"):
            assert 0 <= method[f"{key}_low"] <= method[key] <= method[f"{key}_high"] <= 100
    for key in ("delta_vs_best_peer", "delta_vs_blind"):
        assert found[key]["area_low"] <= found[key]["area"] <= found[key]["area_high"]
    assert found["methods"]["best_single"]["metrics"]["pgr"]["value"] is not None
    assert "apgr" not in found["methods"]["best_single"]["metrics"]


def test_what_is_not_defined_is_null(quick: Run) -> None:
    table = world()
    write_table(replace(table, scores=np.zeros_like(table.scores)), Path("wrong.parquet"))
    found = quick("wrong.parquet", *QUICKLY, "--json").json()
    assert found["methods"]["knn40"]["metrics"]["gap_to_oracle"] == {"value": None, "low": None, "high": None}
    assert found["methods"]["knn40"]["area"] == 0
    code, out, _ = quick("wrong.parquet", *QUICKLY)
    assert (code, "nan" in out) == (0, False)


def test_tables_fit_80_columns_with_a_row_per_method(quick: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.console, "_width", 80)
    code, out, _ = quick("world.parquet", *QUICKLY)
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    for method in QUICK.values():
        rows = [line for line in lines if line.strip().startswith(f"{method.label} ")]
        assert len(rows) == 2, method.label
        assert rows[0].count(" to ") == 2
    ends = {line.index(" to ") for line in lines if line.count(" to ") == 2 and "area" not in line}
    assert len(ends) == 1
    assert "area above the best peer" in out
    assert "area above the content-blind mix" in out


def test_default_pool_takes_the_dearest_as_the_large_model(quick: Run) -> None:
    found = quick("world.parquet", *QUICKLY, "--json").json()
    assert (found["small"], found["large"]) == (list(SMALL), LARGE)


def test_two_tables_are_a_list(quick: Run) -> None:
    write_table(world(200, seed=1), Path("other.csv"))
    found = quick("world.parquet", "other.csv", *QUICKLY, "--json").json()
    assert [one["table"] for one in found["tables"]] == ["world.parquet", "other.csv"]
    assert [one["rows"] for one in found["tables"]] == [300, 200]


def test_a_table_without_costs_and_without_a_large_model(quick: Run) -> None:
    table = world()
    write_table(replace(table, costs=np.full_like(table.costs, np.nan)), Path("free.jsonl"))
    found = quick("free.jsonl", *QUICKLY, "--json").json()
    assert (found["large"], found["cost_low"], found["cost_high"]) == (None, 0, 0)
    assert found["methods"]["oracle"]["area"] == max(m["area"] for m in found["methods"].values())
    assert "large: none" in quick("free.jsonl", *QUICKLY)[1]


def test_one_small_model_and_a_large_one(quick: Run) -> None:
    found = quick("world.parquet", "--pool", "small:b:large", *QUICKLY, "--json").json()
    assert (found["small"], found["large"]) == (["small:b"], "large")


def test_tasks_choose_rows_and_may_have_blanks(quick: Run) -> None:
    found = quick("world.parquet", "--tasks", "poetry, algebra", *QUICKLY, "--json").json()
    assert found["rows"] == sum(task != "capitals" for task in world().tasks)


def test_rows_limit_what_is_learnt(quick: Run) -> None:
    whole, cut = (quick("world.parquet", *QUICKLY, "--json", *more).json() for more in ((), ("--rows", "50")))
    assert cut["test_rows"] == whole["test_rows"]
    assert cut["methods"]["knn40"]["area"] != whole["methods"]["knn40"]["area"]
    assert cut["methods"]["oracle"]["small_accuracy"] == whole["methods"]["oracle"]["small_accuracy"]


def test_shuffled_labels_leave_nothing_to_learn(quick: Run) -> None:
    found = quick("world.parquet", "--shuffle-labels", *QUICKLY, "--json").json()
    plain = quick("world.parquet", *QUICKLY, "--json").json()
    assert found["delta_vs_blind"]["small_accuracy"] < 10 < plain["delta_vs_blind"]["small_accuracy"]


def test_a_foreign_routers_file_is_measured(quick: Run) -> None:
    """It always asks small:b: what it reaches is small:b's own mean on the test rows."""
    lines = [f"{name},small:b" for name in world().ids]
    Path("theirs.csv").write_text("\n".join(["id,model", *lines]) + "\n")
    found = quick("world.parquet", "--predictions", "theirs.csv", *QUICKLY, "--json").json()
    theirs = found["methods"]["theirs"]
    expected = pytest.approx(100 * hash_split(recorded_of(world()), 0).test.scores[:, 1].mean())
    assert theirs["kind"] == "foreign"
    assert theirs["metrics"]["accuracy"]["value"] == theirs["small_accuracy"] == expected


def test_a_foreign_router_need_not_choose_for_rows_that_are_left_out(quick: Run) -> None:
    table = world()
    lines = [f"{i},large" for i, task in zip(table.ids, table.tasks, strict=True) if task != "poetry"]
    Path("theirs.csv").write_text("\n".join(["id,model", *lines]) + "\n")
    given = ("world.parquet", "--predictions", "theirs.csv", *QUICKLY, "--json")
    assert quick(*given, "--tasks", "algebra,capitals").json()["methods"]["theirs"]["area"] > 0
    code, _, err = quick(*given)
    assert code == 2
    assert "expected a choice for each of the table's 300 rows" in err


def test_texts_are_embedded_once(quick: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ("world.parquet", *QUICKLY, "--json")
    first = quick(*given)
    assert Path(".pinnace/embeddings.sqlite").exists()

    class Mute:
        name, dim = "hashing", 64

        def embed(self, texts: object) -> Any:
            pytest.fail(f"embedded again: {texts!r}")

    monkeypatch.setattr(eval_replay, "load_embedder", lambda _: Mute())
    assert quick(*given)[1] == first[1]


def test_a_published_protocol_is_told_beside_what_was_published(
    bare: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routellm, "METHODS", QUICK_PAIR)
    monkeypatch.setattr(routellm, "MIN_ROWS", 100)
    monkeypatch.setattr(app.console, "_width", 80)
    table = world()
    pair = replace(
        table,
        ids=tuple(f"gsm8k/{row}" for row in range(len(table))),
        models=("weak", "strong"),
        scores=table.scores[:, [0, 3]],
        costs=table.costs[:, [0, 3]],
    )
    write_table(pair, Path("pair.parquet"))
    given = ("pair.parquet", "--protocol", "routellm", "--seeds", "1", "--draws", "20")
    found = bare(*given, "--json").json()
    assert found["methods"]["knn40"]["gsm8k_apgr"]["value"] > 0.5
    code, out, _ = bare(*given)
    assert code == 0
    assert "published: RouteLLM, GSM8K APGR: 0.622" in " ".join(out.split())
    rows = [line for line in out.splitlines() if line.strip().startswith("knn40 ")]
    assert [row.count(" to ") for row in rows] == [2, 1]
    monkeypatch.setattr(protocols, "METHODS", QUICK)
    assert bare(*given, "--json", "--report", "page").json() == found
    (told,) = json.loads(Path("page/figures.json").read_text(encoding="utf-8"))["tables"]
    assert told["methods"] == found["methods"]
    assert Path("page/report.html").read_text(encoding="utf-8").count("<svg") == 2


def test_a_report_shows_what_was_replayed_and_does_not_learn_again(
    quick: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pinnace.router.estimators.request import RequestEstimator

    monkeypatch.setattr(RequestEstimator, "fit", lambda *_: pytest.fail("learnt again"))
    found = quick("world.parquet", *QUICKLY, "--report", "page", "--json").json()
    (told,) = json.loads(Path("page/figures.json").read_text(encoding="utf-8"))["tables"]
    assert found.items() <= told.items()
    assert [entry["model"] for entry in told["reliability"]] == [*SMALL, LARGE]
    assert Path("page/report.html").read_text(encoding="utf-8").count("<svg") == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pool", "small:a,smal:b:large"), "got 'smal:b'; did you mean 'small:b'?"),
        (("--pool", "small:a,small:a"), "expected every model once"),
        (("--tasks", "poetry,cooking"), "got ['cooking']; it has algebra, capitals, poetry"),
        (("--rows", "20"), "expected at least 50 rows to learn from and 1 to test on, got 20 and"),
        (("--protocol", "mine"), "--protocol: expected one of routerdc, routellm"),
        (("--protocol", "routerdc"), "expected RouterDC's table"),
        (("--protocol", "routerdc", "--rows", "60"), "expected only --seeds, --draws and --report beside it"),
        (("--predictions", "knn40.csv"), "expected a file name that is no other method's, got 'knn40'"),
        (("--predictions", "lost.csv"), "lost.csv"),
        (("--config", "nowhere.yaml"), "no configuration at 'nowhere.yaml'"),
    ],
)
def test_misuse_is_named_and_exits_with_2(arguments: tuple[str, ...], message: str, quick: Run) -> None:
    Path("knn40.csv").write_text("id,model\nr0,large\n")
    code, out, err = quick("world.parquet", *QUICKLY, *arguments)
    assert (code, out) == (2, "")
    assert message in err
