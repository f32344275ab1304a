"""The command that runs pipelines over suites, and what the docs say of it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_fixtures import Done, Run, configure, runner
from pipeline_fixtures import file_in, run_of, suite_in
from printed_keys import is_meant, printed, spelled
from router_fixtures import AxisEmbedder, small_state

from pinnace.agents import Fleet, Say, ScriptedFleet
from pinnace.agents.scripted_fleet import LARGE
from pinnace.cli import eval_pipeline
from pinnace.config import Policy
from pinnace.eval.pipeline_report import pipeline_figures
from pinnace.eval.table_file import read_table
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.router import Router

DOCS = (Path(__file__).resolve().parent.parent / "docs" / "evaluation.md").read_text(encoding="utf-8")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return file_in(tmp_path)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return suite_in(tmp_path)


@pytest.fixture
def pinnace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path, suite: Path
) -> Run:
    """Runs `pinnace eval pipeline` beside the suite and the file."""
    monkeypatch.chdir(file.parent)
    return runner(monkeypatch, capsys, "eval", "pipeline")


def test_the_command_tells_and_writes_all_of_it(
    pinnace: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[object] = []

    def connect(url: str, api_key: str | None) -> Fleet:
        asked.append((url, api_key))
        return ScriptedFleet(
            Say("2", when="1 + 1", times=None),
            Say("four", times=None),
            Say("6", model=LARGE.name, times=None),
        )

    monkeypatch.setattr(Fleet, "connect", connect)
    monkeypatch.setenv("PINNACE_API_KEY", "sk-1")
    base = [
        "pipes.py:picky",
        "sums.yaml",
        "--variants",
        "routed,large",
        "--url",
        "http://x",
        "-o",
        "o.parquet",
    ]
    done = pinnace(*base, "--report", "page")
    assert done.code == 0, done.err
    assert asked == [("http://x", "sk-1")]
    assert all(
        word in done.out for word in ("picky@routed", "picky@large", "· solve", "scripted-large 100.0%")
    )
    assert "picky@routed: 2 gave no answer, scored 0; the first: ValueError" in done.err
    assert read_table(tmp_path / "o.parquet").models == ("picky@routed", "picky@large")
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert "Step by step" in page
    assert "· solve" in page
    told = pinnace(*base, "--json").json()
    assert (told["models"][0]["asked"], told["pipeline"]["reference"]) == (3, "picky@routed")
    kept = json.loads((tmp_path / "page" / "figures.json").read_text(encoding="utf-8"))["tables"][0]
    assert kept["suites"]["sums"]["models"]["picky@large"]["accuracy"] == pytest.approx(1 / 3)
    assert set(kept["pipeline"]["variants"]) == set(told["pipeline"]["variants"])
    text = DOCS.partition("### `pinnace eval pipeline --json`")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    keys = [k for cell in cells for each in re.findall(r"`([^`]+)`", cell) for k in spelled(each)]
    ways = [way for way, _ in printed(told["pipeline"])]
    split = [tuple(key.split(".")) for key in keys]
    assert [way for way in ways if not any(is_meant(way, key) for key in split)] == []
    assert [key for key in split if not any(is_meant(way, key) for way in ways)] == []


def test_the_command_starts_the_fleet_of_its_configuration_and_writes_no_ledger(
    pinnace: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def routed(config: object) -> Router:
        return Router(small_state(), EmbeddingQueue(AxisEmbedder()), Policy())

    monkeypatch.setattr(eval_pipeline, "make_router", routed)
    configure(tmp_path)
    told = pinnace(
        "pipes.py:solve", "sums.yaml", "--variants", "small,large", "-o", "o.jsonl", "--json"
    ).json()
    small, large = told["pipeline"]["variants"].values()
    assert (small["shares"], large["shares"]) == ({"small": 1.0}, {"large": 1.0})
    assert not (tmp_path / "ledger.sqlite").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pipes.py:solve", "sums.yaml", "-o", "o.xlsx"], "expected a name that ends in"),
        (["pipes.py:nothing", "sums.yaml", "-o", "o.jsonl"], "expected 'nothing' to be"),
        (["pipes.py:solve", "sums.yaml", "-o", "o.jsonl", "--variants", "smal"], "variant 'smal': expected"),
        (["pipes.py:solve", "sums.yaml", "-o", "o.jsonl", "--split", "fit"], "split fit; got none"),
        (["pipes.py:solve", "nope", "-o", "o.jsonl"], "no suite 'nope'"),
    ],
)
def test_bad_usage_is_told_before_a_fleet_is_started(pinnace: Run, arguments: list[str], said: str) -> None:
    done = pinnace(*arguments)
    assert done.code == 2
    assert said in " ".join(done.err.split())


async def test_the_pipeline_of_the_docs_runs(tmp_path: Path, suite: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    path = tmp_path / "docs.py"
    path.write_text(block, encoding="utf-8")
    fleet = ScriptedFleet(Say("6", times=None))
    run = await run_of(path, "answer", fleet, suite, "routed,planner=off")
    np.testing.assert_equal(run.table.scores.sum(axis=0), [1, 1])
    assert len(fleet.requests) == 6 + 3
    figures = pipeline_figures(run.table)["variants"]
    assert [set(each["steps"]) for each in figures.values()] == [{"plan", "solve"}, {"solve"}]


def test_help_has_an_example(pinnace: Run) -> None:
    done: Done = pinnace("--help")
    assert "pinnace eval pipeline p.py:answer" in done.out.partition("Example:")[2]
