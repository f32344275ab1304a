"""What the bench says, to machines and to people."""

import json
from dataclasses import replace
from io import StringIO

from bench_fixtures import WHOLE, report
from rich.console import Console

from pinnace.bench.report import Report, as_json, as_text


def test_the_json_has_figures_bars_origin_and_every_raw_run() -> None:
    found = json.loads(json.dumps(as_json(report(WHOLE))))
    assert found["goodput_ratio_c32"] == 0.95
    assert found["bars"]["goodput_ratio_c32"] == {"at least": 0.95, "met": True}
    assert (found["hardware"]["cores"], found["hardware"]["memory_gib"]) == (2, 24.0)
    assert found["command"] == "pinnace bench"
    assert found["versions"]["python"] == "3.11"
    assert len(found["runs"]) == len(WHOLE)
    assert found["runs"][0]["tokens_per_s"] == 100
    assert {"side", "concurrency", "repeat", "seconds", "tokens", "short", "neighbours"} <= set(
        found["runs"][0]
    )
    assert len(found["decisions_s"]) == 3


def text_of(made: Report) -> str:
    console = Console(file=StringIO(), width=120)
    console.print(as_text(made))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_text_shows_both_sides_the_ratio_and_the_bar() -> None:
    text = text_of(report(WHOLE))
    row = next(line for line in text.splitlines() if "endpoint / direct" in line and "32" in line)
    assert "855" in row
    assert "900" in row
    assert "0.95" in row
    assert "met: at least 0.95" in row
    assert "VOID" not in text
    assert "not figures to publish" not in text


def test_the_text_says_when_the_stock_engine_was_not_stock() -> None:
    assert "VOID" in text_of(report(WHOLE, stock_settings={"VLLM_CPU_OMP_THREADS_BIND": "0,1"}))


def test_the_text_says_when_others_used_the_machine() -> None:
    crowded = [replace(run, neighbours=0.7) for run in WHOLE]
    assert "Other processes kept up to 0.7 cores busy" in text_of(report(crowded))


def test_the_text_says_when_answers_were_short() -> None:
    short = [replace(run, measured=replace(run.measured, short=2)) for run in WHOLE[:1]]
    assert "2 answers ended before 64 tokens" in text_of(report(short))
