"""`pinnace eval floor`, as a user types it."""

import json
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from replay_worlds import LARGE, SMALL, world

from pinnace.cli import app, eval_floor, main
from pinnace.eval.resplit import FloorFigures
from pinnace.eval.table_file import write_table
from pinnace.router.embedder import HashingEmbedder

Run = Callable[..., tuple[int, str, str]]
POOL = ("--pool", "small:a,small:b,small:c:large")


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `pinnace eval floor` with the arguments that it is given: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eval_floor, "load_embedder", lambda _: HashingEmbedder(64))
    fleet = [{"name": "small", "backend": "scripted", "script": [{"answer": "x"}]}]
    Path("router.yaml").write_text(yaml.safe_dump({"fleet": fleet, "router": {"embedder": "hashing"}}))
    write_table(world(), Path("world.parquet"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pinnace", "eval", "floor", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    return run


def parsed(found: tuple[int, str, str]) -> Any:
    code, out, err = found
    assert code == 0, err
    return json.loads(out, parse_constant=pytest.fail)


def test_help_has_an_example(floor: Run) -> None:
    code, out, _ = floor("--help")
    assert code == 0
    assert "pinnace eval floor" in out.partition("Example:")[2]


def test_json_has_the_documented_keys_and_figures_that_agree(floor: Run) -> None:
    found = parsed(floor("world.parquet", *POOL, "--splits", "4", "--keep", "0.7,0.8", "--json"))
    floors = found.pop("floors")
    assert found == {
        "table": "world.parquet", "rows": 300, "dropped": found["dropped"], "small": list(SMALL),
        "large": LARGE, "splits": 4, "confidence": 0.95, "seed": 0, "calibration_rows": 150, "test_rows": 150,
    }  # fmt: skip
    assert [each["keep"] for each in floors] == [0.7, 0.8]
    for each in floors:
        assert set(each) == {field.name for field in fields(FloorFigures)} | {"holds"}
        assert each["missed_low"] <= each["missed"] <= each["missed_high"]
        assert each["saved_low"] <= each["saved"] <= each["saved_high"]
        assert each["holds"] is (each["missed_low"] <= 0.05)
    assert floors[0]["saved"] > 0.1
    assert floors[0]["kept"] < floors[1]["kept"]


def test_the_seed_draws_the_splits(floor: Run) -> None:
    def run(seed: str) -> Any:
        arguments = ("--splits", "2", "--keep", "0.7", "--seed", seed, "--json")
        return parsed(floor("world.parquet", *POOL, *arguments))["floors"]

    assert run("1") == run("1")
    assert run("1") != run("2")


def test_rows_limit_what_is_calibrated_on(floor: Run) -> None:
    found = parsed(floor("world.parquet", *POOL, "--splits", "2", "--rows", "60", "--json"))
    assert (found["calibration_rows"], found["test_rows"]) == (60, 150)


def test_a_table_per_line_of_floors_fits_80_columns(floor: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.console, "_width", 80)
    write_table(world(200, seed=1), Path("other.csv"))
    code, out, _ = floor("world.parquet", "other.csv", "--splits", "2")
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    named = [line.partition(":")[0] for line in lines if "small models" in line]
    assert named == ["world.parquet", "other.csv"]
    for keep in ("0.95", "0.97", "0.99"):
        rows = [line for line in lines if line.split()[:1] == [keep]]
        assert len(rows) == 2
        assert all(row.count("%") == 8 and row.rstrip().endswith(("holds", "fails")) for row in rows)


def test_several_tables_are_a_list(floor: Run) -> None:
    write_table(world(200, seed=1), Path("other.csv"))
    found = parsed(floor("world.parquet", "other.csv", "--splits", "1", "--json"))
    assert [(one["table"], one["rows"]) for one in found["tables"]] == [
        ("world.parquet", 300), ("other.csv", 200),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("world.parquet", "--keep", "0.9,much"), "--keep: expected shares above 0 and at most 1"),
        (("world.parquet", "--keep", "1.1"), "got '1.1'"),
        (("world.parquet", "--keep", ""), "got ''"),
        (("world.parquet", "--pool", "small:a,small:b"), "expected small models and a large one"),
        (("world.parquet", "--pool", "small:x:large"), "expected models of the table, got 'small:x'"),
        (("few.parquet", *POOL), "few.parquet: expected at least 100 rows that every model ran on, got 99"),
        (("free.parquet", *POOL), "free.parquet: expected a table with costs"),
    ],
)
def test_misuse_is_named_and_exits_with_2(arguments: tuple[str, ...], message: str, floor: Run) -> None:
    table = world()
    write_table(table.take(list(range(99))), Path("few.parquet"))
    write_table(replace(table, costs=np.full_like(table.costs, np.nan)), Path("free.parquet"))
    code, out, err = floor(*arguments)
    assert (code, out) == (2, "")
    assert message in err
