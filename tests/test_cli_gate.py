"""`pinnace eval gate`, as a user types it."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from test_fit import table_of

from pinnace.cli import main
from pinnace.eval.fitting import fit_table
from pinnace.eval.table_file import write_table
from pinnace.router.state import save_state

Run = Callable[..., tuple[int, str, str]]
QUICK = ("--clusters", "2", "--draws", "100")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `pinnace eval gate` with the arguments that it is given: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "ERROR")
    fleet = [
        {
            "name": "small",
            "backend": "scripted",
            "script": [{"answer": "x"}],
            "price": {"input": 1, "output": 1},
        }
    ]
    Path("router.yaml").write_text(yaml.safe_dump({"fleet": fleet, "router": {"embedder": "hashing"}}))
    write_table(table_of(200), Path("outcomes.jsonl"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pinnace", "eval", "gate", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def state(gate: Run) -> Path:
    """A state fitted on the table, with the command line's embedder."""
    from pinnace.router.embedder import load_embedder

    save_state(fit_table(table_of(200), load_embedder("hashing"), clusters=2, hold_tokens=2), Path("state"))
    return Path("state")


def test_help_has_an_example(gate: Run) -> None:
    code, out, _ = gate("--help")
    assert code == 0
    assert "pinnace eval gate" in out.partition("Example:")[2]


def test_without_a_state_it_is_cross_validated(gate: Run) -> None:
    code, out, _ = gate("outcomes.jsonl", *QUICK)
    assert code == 0
    for part in (
        "judged by cross-validation: 200 rows",
        "minimum_logprob",
        "coverage_90",
        "capitals",
        "cascade to large",
    ):
        assert part in out
    assert "drift" not in out


def test_json_is_one_object(gate: Run) -> None:
    code, out, _ = gate("outcomes.jsonl", *QUICK, "--folds", "3", "--stage", "prefix", "--json")
    found: Any = json.loads(out)
    assert (code, found["judged_by"], found["stage"], found["rows"]) == (0, "cross-validation", "prefix", 200)
    assert found["auroc_over_mean_logprob_low"] <= found["auroc_over_mean_logprob"]


def test_a_state_judges_and_drift_is_told(gate: Run, state: Path) -> None:
    code, out, err = gate("outcomes.jsonl", "--state", "state", "--draws", "100")
    assert (code, err) == (0, "")
    assert "judged by state: 200 rows" in out
    assert "drift of 200 rows against 200 fitted: moved: none" in out


def test_what_moved_is_told(gate: Run, state: Path) -> None:
    table = table_of(200)
    moved = [{**e, "whole": {**e["whole"], "mean": -9.0}} for e in table.evidence["small"] if e]
    write_table(replace(table, evidence={"small": tuple(moved)}), Path("moved.jsonl"))
    _, out, _ = gate("moved.jsonl", "--state", "state", "--draws", "100", "--json")
    assert json.loads(out)["drift"]["moved"] == ["mean"]


def test_a_table_without_evidence_is_bad_usage(gate: Run) -> None:
    write_table(table_of(100, evidence=False), Path("bare.jsonl"))
    code, out, err = gate("bare.jsonl")
    assert (code, out) == (2, "")
    assert "expected a column 'evidence:<model>'" in err


def test_what_is_not_defined_is_null(gate: Run, state: Path) -> None:
    table = table_of(100)
    scores = np.ones_like(table.scores)
    write_table(replace(table, scores=scores), Path("right.jsonl"))
    _, out, _ = gate("right.jsonl", "--state", "state", "--draws", "100", "--json")
    found = json.loads(out, parse_constant=pytest.fail)
    assert found["methods"]["gate"]["auroc"] is None
    assert found["cascade"] is None
