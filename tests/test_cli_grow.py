"""`pinnace grow`, as a user types it; what trains is a script, and what answers are scripted members."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cli_fixtures import Run, runner
from grow_fixtures import (
    EMBEDDER,
    SOUNDS,
    ScriptedTrainer,
    place_of,
    rows_of,
    scripted_fleets,
    sure_where_right,
    write_rows,
)
from ledger_samples import write_ledger
from router_fixtures import ROW
from test_fit import table_of
from threadpoolctl import threadpool_limits

from pinnace.cli import grow as command
from pinnace.config import load_config
from pinnace.eval.fitting import fit_table
from pinnace.eval.grow.tools import Tools
from pinnace.eval.table_file import write_table
from pinnace.router.state import save_state

pytest.importorskip("detect_secrets")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted") / "state"
    table = table_of(400)
    with threadpool_limits(1):
        save_state(
            fit_table(table, EMBEDDER, clusters=4, hold_tokens=2), folder, table=partial(write_table, table)
        )
    return folder


@pytest.fixture
def pinnace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, state: Path
) -> Run:
    monkeypatch.chdir(tmp_path)
    place_of(tmp_path, state)
    write_rows(tmp_path / "train.jsonl", rows_of(600))
    write_rows(tmp_path / "test.jsonl", rows_of(60, 5_000))

    def tools(*given: Any) -> Tools:
        return Tools(*given[:2], ScriptedTrainer(), EMBEDDER, scripted_fleets({"sounds": sure_where_right()}))

    monkeypatch.setattr(command, "Tools", tools)
    monkeypatch.setattr(command, "load_embedder", lambda source: EMBEDDER)
    return runner(monkeypatch, capsys, "grow")


NAMED = ("--examples", "train.jsonl", "--name", "sounds")


def test_one_command_grows_and_another_undoes(pinnace: Run, tmp_path: Path) -> None:
    plain = load_config(tmp_path / "router.yaml")
    told = pinnace(*NAMED, "--holdout", "test.jsonl", "--json").json()
    assert told["registered"] is True
    assert told["small_share"] >= 0.7
    assert told["accuracy"] >= 0.97 * told["teacher_accuracy"]
    assert told["before"]["small_share"] <= 0.1
    assert told["seconds"] > 0
    assert told["domains"][0]["rows"] == {"train": 500, "calibration": 100, "holdout": 60}
    assert [member.name for member in load_config(tmp_path / "router.yaml").fleet] == ["small", "sounds"]
    undone = pinnace("--undo", "--json").json()
    assert undone == {"undone": "0001", "removed": ["sounds"], "restored": [], "generation": None}
    assert load_config(tmp_path / "router.yaml") == plain
    again = pinnace("--undo")
    assert (again.code, again.out) == (2, "")
    assert "nothing grown is in use, so there is nothing to undo" in again.err


def test_it_tells_people_what_it_did(pinnace: Run) -> None:
    done = pinnace(*NAMED)
    assert done.code == 0, done.err
    for line in (
        "sounds is registered: gain per USD ",
        "the teacher is large, whose answers were told again as the examples have them",
        "before: ",
        "now: ",
        "registered as generation 0001; 'pinnace grow --undo' takes it back",
    ):
        assert line in done.out
    assert "generation 0001 is undone; gone: sounds; nothing grown is in use" in pinnace("--undo").out


def test_a_dry_run_says_what_it_expects_and_changes_nothing(pinnace: Run, tmp_path: Path) -> None:
    found = pinnace(*NAMED, "--dry-run", "--json").json()
    (domain,) = found["domains"]
    assert domain["rows"] == {"train": 450, "calibration": 100, "holdout": 50}
    assert domain["neighbours_accuracy"] > 0.9
    assert (domain["epochs"], found["rows"], found["refused"]) == (5, 600, 0)
    assert domain["minutes"] == pytest.approx(domain["tokens"] / 500 / 60)
    text = pinnace(*NAMED, "--dry-run").out
    assert "450 rows to train on, 100 to calibrate on, 50 to measure on" in text
    assert "nearest neighbours agree on" in text
    assert not (tmp_path / "grown").exists()


def test_the_ledger_is_what_it_grows_from_where_nothing_else_is_said(pinnace: Run, tmp_path: Path) -> None:
    rows = [
        _served(i, **row)
        for i, row in enumerate([*rows_of(300), {"prompt": "mail a@b.org", "answer": "hoot"}])
    ]
    write_ledger(tmp_path / "ledger.sqlite", [*rows, _served(999, "p", "a", private=True)])
    found = pinnace("--dry-run", "--json").json()
    assert found["unused"] == {"private": 1}
    assert sum(sum(each["rows"].values()) for each in found["domains"]) >= 200
    assert found["refused"] == 0
    assert all(each["clusters"] for each in found["domains"])


def _served(number: int, prompt: str, answer: str, **more: Any) -> Any:
    from dataclasses import replace

    return replace(
        ROW, request_id=f"r{number}", model="large", prompt=prompt, answer=answer, system="", **more
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--holdout", "test.jsonl"), "--holdout: goes with --examples"),
        ((), "no ledger at"),
        (("--examples", "none.jsonl"), "none.jsonl: rows not readable: No such file"),
        (("--examples", "few.jsonl"), "few: expected at least 200 different prompts, got 50"),
        (("--examples", "train.jsonl", "--name", "large"), "expected names of their own, got large"),
        (("--examples", "train.jsonl", "--name", "small"), "expected names of their own, got small"),
        (("--examples", "bad.jsonl"), "expected at most 5% of the rows to be refused, got 30 of 60"),
    ],
)
def test_what_cannot_be_grown_from_is_refused(
    pinnace: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_rows(tmp_path / "few.jsonl", rows_of(50))
    write_rows(tmp_path / "bad.jsonl", [*rows_of(30), *({"prompt": "", "answer": s} for s in SOUNDS * 6)])
    done = pinnace(*arguments)
    assert done.code == 2
    assert said in done.err.replace("\n", " ")


def test_a_base_that_there_is_not_is_refused(pinnace: Run) -> None:
    done = pinnace(*NAMED, "--base", "large")
    assert done.code == 1
    assert "--base: expected one of small, got 'large'" in done.err


def test_a_state_without_its_table_is_refused(pinnace: Run, tmp_path: Path, state: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("state.json", "arrays.safetensors"):
        (bare / name).write_bytes((state / name).read_bytes())
    place_of(tmp_path, bare)
    done = pinnace(*NAMED)
    assert done.code == 2
    assert "expected table.parquet, the outcome table that the state was fitted from" in done.err


def test_a_fleet_without_a_dearer_model_is_refused(pinnace: Run, tmp_path: Path) -> None:
    text = (tmp_path / "router.yaml").read_text()
    (tmp_path / "router.yaml").write_text(
        text.replace("input: 2\n", "input: 0.01\n").replace("output: 8\n", "output: 0.02\n")
    )
    done = pinnace(*NAMED)
    assert done.code == 2
    assert "expected a fleet with a dearer model to learn from" in done.err
