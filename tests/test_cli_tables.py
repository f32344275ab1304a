"""`pinnace eval import` and `pinnace eval tables`, as a user types them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pinnace.cli import main
from pinnace.eval.table_file import read_table

SAMPLES = Path(__file__).parent / "samples"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pinnace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `pinnace eval` with the arguments that it is given: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pinnace", "eval", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    return run


@pytest.mark.parametrize("command", ["import", "tables"])
def test_help_has_an_example(pinnace: Run, command: str) -> None:
    code, out, _ = pinnace(command, "--help")
    assert code == 0
    assert f"pinnace eval {command}" in out.partition("Example:")[2]


def test_import_writes_a_table_and_says_what_is_in_it(pinnace: Run) -> None:
    command = ("import", "llmrouterbench", str(SAMPLES / "llmrouterbench"), "-o", "t.parquet")
    code, out, err = pinnace(*command)
    assert (code, err) == (0, "")
    assert out == "4 rows of 2 tasks, 2 models, 6 scores and 4 costs written to t.parquet\n"
    assert len(read_table(Path("t.parquet"))) == 4


def test_import_as_json(pinnace: Run) -> None:
    code, out, _ = pinnace("import", "routerdc", str(SAMPLES / "routerdc"), "-o", "t.jsonl", "--json")
    assert code == 0
    assert json.loads(out) == {
        "layout": "routerdc",
        "out": "t.jsonl",
        "rows": 5,
        "tasks": {"gsm8k": 1, "mbpp": 1, "mmlu": 3},
        "models": ["org/one-7b", "org/two-8b"],
        "scored": 10,
        "priced": 0,
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "nosuch", "x.json", "-o", "t.csv"], "expected a layout (avengers,"),
        (["import", "routerdc", "x.json", "-o", "t.csv"], "x.json: no such file or folder"),
        (["import", "routerdc", str(SAMPLES / "routerdc"), "-o", "t.xlsx"], "expected a name that ends in"),
        (["tables", "none.parquet"], "none.parquet: no such file"),
        (["tables"], "Missing argument"),
    ],
)
def test_misuse_is_said_and_leaves_nothing(pinnace: Run, arguments: list[str], said: str) -> None:
    code, out, err = pinnace(*arguments)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert list(Path().iterdir()) == []


@pytest.fixture
def table(tmp_path: Path) -> str:
    rows: list[dict[str, Any]] = [
        {"id": "a", "task": "sums", "split": "train", "prompt": "What is 1 + 1?", "score:[small]": 1,
         "score:large": 1, "cost:[small]": 0.001, "cost:large": 0.1},
        {"id": "b", "task": "sums", "split": "test", "prompt": "what is  1 + 1?", "score:[small]": 0,
         "score:large": 1, "cost:[small]": 0.003, "cost:large": 0.1},
        {"id": "c", "task": "talk", "split": "test", "prompt": "Say hello", "score:[small]": None,
         "score:large": None},
    ]  # fmt: skip
    (tmp_path / "made.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return "made.jsonl"


def test_tables_says_what_a_newcomer_has_to_know(pinnace: Run, table: str) -> None:
    code, out, err = pinnace("tables", table)
    assert (code, err) == (0, "")
    said = " ".join(out.split())
    for part in (
        "made.jsonl",
        "│ [small] │ 2 │ 0.5000 │ 2.0000 │",
        "rows 3, 1 without any score; figures that compare models are over 2",
        "oracle 1.0000: a router that always picked the best model would score this",
        "best single large, 1.0000",
        "cheapest [small], 0.5000: USD 2.0000 per 1,000 requests, over 2 rows",
        "one winner 50.0% of rows",
        "leaks 1 of 2 test rows have a prompt that is in train",
        "(such as b = a)",
    ):
        assert part in said


def test_tables_as_json_has_the_documented_keys_and_no_nan(pinnace: Run, table: str) -> None:
    code, out, _ = pinnace("tables", table, table, "--json")
    assert code == 0
    first, second = json.loads(out, parse_constant=pytest.fail)["tables"]
    assert first == second
    assert list(first) == [
        "path", "rows", "unscored_rows", "compared_rows", "tasks", "splits", "models", "oracle",
        "best_single", "cheapest", "correlations", "distinct_winner_share", "leaks", "duplicates",
    ]  # fmt: skip
    assert first["path"] == "made.jsonl"
    assert first["models"][0] == {"model": "[small]", "rows": 2, "mean_score": 0.5, "mean_cost": 0.002}
    assert first["best_single"] == {"model": "large", "mean_score": 1.0}
    assert first["cheapest"] == {
        "model": "[small]", "mean_score": 0.5, "mean_cost": 0.002, "by": "cost", "cost_rows": 2,
    }  # fmt: skip
    assert first["correlations"]["matrix"] == [[1.0, None], [None, None]]
    assert first["leaks"] == {
        "test_rows": 2, "train_rows": 1, "exact": 1, "near": 0, "examples": [["b", "a"]],
    }  # fmt: skip
    assert first["duplicates"] == {"exact": 1, "near": 0, "examples": [["b", "a"]]}


def test_without_costs_or_splits_tables_says_so(pinnace: Run) -> None:
    row = '{"id": "a", "task": "t", "prompt": "x", "score:m": 1}\n'
    Path("bare.jsonl").write_text(row, encoding="utf-8")
    code, out, _ = pinnace("tables", "bare.jsonl")
    assert code == 0
    said = " ".join(out.split())
    assert "m, 1.0000: no costs are known, so the first model of the table is taken" in said
    assert "cannot be told: the table does not have both a train and a test split" in said
    assert "none: fewer than two models whose scores change" in said
