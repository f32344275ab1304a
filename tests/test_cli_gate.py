"""`pinnace eval gate`, as a user types it."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from cli_fixtures import Run, configure, runner
from test_fit import table_of

from pinnace.eval.fitting import fit_table
from pinnace.eval.table_file import write_table
from pinnace.router.state import RouterState, save_state

QUICK = ("--clusters", "2", "--draws", "100")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `pinnace eval gate` with the arguments that it is given."""
    monkeypatch.chdir(tmp_path)
    configure(tmp_path)
    write_table(table_of(200), Path("outcomes.jsonl"))
    return runner(monkeypatch, capsys, "eval", "gate")


@pytest.fixture
def state(gate: Run) -> Path:
    """A state fitted on the table, with the command line's embedder."""
    save_state(fitted(), Path("state"))
    return Path("state")


@cache
def fitted() -> RouterState:
    """Fitted once for all tests."""
    from pinnace.router.embedder import load_embedder

    return fit_table(table_of(200), load_embedder("hashing"), clusters=2, hold_tokens=2)


def test_help_has_an_example(gate: Run) -> None:
    done = gate("--help")
    assert done.code == 0
    assert "pinnace eval gate" in done.out.partition("Example:")[2]


def test_without_a_state_it_is_cross_validated(gate: Run) -> None:
    done = gate("outcomes.jsonl", *QUICK)
    assert done.code == 0
    for part in (
        "judged by cross-validation: 200 rows",
        "minimum_logprob",
        "coverage_90",
        "capitals",
        "cascade to large",
    ):
        assert part in done.out
    assert "drift" not in done.out


def test_json_is_one_object(gate: Run) -> None:
    found = gate("outcomes.jsonl", *QUICK, "--folds", "3", "--stage", "prefix", "--json").json()
    assert (found["judged_by"], found["stage"], found["rows"]) == ("cross-validation", "prefix", 200)
    assert found["auroc_over_mean_logprob_low"] <= found["auroc_over_mean_logprob"]


def test_a_report_has_the_figures_that_are_printed(gate: Run, state: Path) -> None:
    given = ("--state", str(state), "--draws", "100", "--report", "page", "--json")
    code, out, err = gate("outcomes.jsonl", *given)
    assert code == 0
    assert "report written to page/report.html" in err
    (found,) = json.loads(Path("page/figures.json").read_text(encoding="utf-8"))["tables"]
    assert json.loads(out).items() <= found.items()
    assert [entry["what"] for entry in found["reliability"]] == [
        "mean_logprob", "estimate", "uncalibrated", "gate",
    ]  # fmt: skip
    page = Path("page/report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "outcomes.jsonl: small, whole answers" in page


def test_a_state_judges_and_drift_is_told(gate: Run, state: Path) -> None:
    done = gate("outcomes.jsonl", "--state", "state", "--draws", "100")
    assert (done.code, done.err) == (0, "")
    assert "judged by state: 200 rows" in done.out
    assert "drift of 200 rows against 200 fitted: moved: none" in done.out


def test_what_moved_is_told(gate: Run, state: Path) -> None:
    table = table_of(200)
    moved = [{**e, "whole": {**e["whole"], "mean": -9.0}} for e in table.evidence["small"] if e]
    write_table(replace(table, evidence={"small": tuple(moved)}), Path("moved.jsonl"))
    done = gate("moved.jsonl", "--state", "state", "--draws", "100", "--json")
    assert done.json()["drift"]["moved"] == ["mean"]


def test_a_table_without_evidence_is_bad_usage(gate: Run) -> None:
    write_table(table_of(100, evidence=False), Path("bare.jsonl"))
    done = gate("bare.jsonl")
    assert (done.code, done.out) == (2, "")
    assert "expected a column 'evidence:<model>'" in done.err


def test_what_is_not_defined_is_null(gate: Run, state: Path) -> None:
    table = table_of(100)
    scores = np.ones_like(table.scores)
    write_table(replace(table, scores=scores), Path("right.jsonl"))
    found = gate("right.jsonl", "--state", "state", "--draws", "100", "--json").json()
    assert found["methods"]["gate"]["auroc"] is None
    assert found["cascade"] is None
