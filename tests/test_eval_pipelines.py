"""Pipelines over a small suite on the scripted fleet: scores, steps, faults, and going on."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path

import pytest
from pipeline_fixtures import FILE, SUMS, file_in, run_of, suite_in, write

from pinnace.agents import Say, ScriptedFleet
from pinnace.agents.scripted_fleet import LARGE, SMALL
from pinnace.errors import (
    BackendUnavailableError,
    ConfigError,
    ContextTooLongError,
    RequestError,
    StepError,
    TableError,
)
from pinnace.eval.asking import Asking
from pinnace.eval.live import LiveRun, partial_path
from pinnace.eval.pipeline_file import read_pipeline
from pinnace.eval.pipeline_report import pipeline_figures
from pinnace.eval.pipelines import Column, Part, Ran, prompt_of, run_pipelines
from pinnace.eval.suites import read_suite
from pinnace.eval.table_file import read_table


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return file_in(tmp_path)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return suite_in(tmp_path)


def by_prompt(run: LiveRun, column: str, values: Sequence[object]) -> list[object]:
    """In the order of `SUMS`."""
    assert column in run.table.models
    return [values[run.table.prompts.index(prompt)] for prompt, _ in SUMS]


def scores_of(run: LiveRun, column: str) -> list[object]:
    return by_prompt(run, column, run.table.scores[:, run.table.models.index(column)].tolist())


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("pipes.py", "expected a pipeline as FILE.py:NAME, got 'pipes.py'"),
        ("pipes.txt:x", "expected a pipeline as FILE.py:NAME"),
        ("pipes.py:a b", "expected a pipeline as FILE.py:NAME"),
        ("nowhere.py:x", "nowhere.py: no such file"),
        ("pipes.py:nothing", "expected 'nothing' to be an 'async def' of .run, prompt., .* got None"),
        ("pipes.py:SOLVE", "expected 'SOLVE' to be"),
        ("pipes.py:takes_one", "expected 'takes_one' to be"),
        ("wrong.py:x", "wrong.py: cannot be imported: SyntaxError"),
        ("raises.py:x", "raises.py: cannot be imported: ZeroDivisionError"),
    ],
)
def test_what_is_no_pipeline_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, target: str, said: str
) -> None:
    monkeypatch.chdir(file.parent)
    Path("wrong.py").write_text("def x(:\n", encoding="utf-8")
    Path("raises.py").write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        read_pipeline(target)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("solve", {"planner": "off"}, "pipes.py:solve: takes no words, got planner=off"),
        ("maker", {"plner": "off"}, "pipes.py:maker: cannot be made with plner=off: .*'plner'"),
        ("broken", {}, r"pipes.py:broken: made with no words: ValueError: not today \(line \d+\)"),
        ("empty", {}, "pipes.py:empty: expected an 'async def' .* it returned None"),
    ],
)
def test_words_that_a_pipeline_does_not_take_are_refused(
    file: Path, name: str, words: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read_pipeline(f"{file}:{name}").made_with(words)


async def test_a_file_imports_its_neighbours(tmp_path: Path, suite: Path) -> None:
    (tmp_path / "neighbour_of_it.py").write_text("SAID = '2'\n", encoding="utf-8")
    path = tmp_path / "beside.py"
    path.write_text("async def said(run, prompt):\n    from neighbour_of_it import SAID\n    return SAID\n")
    run = await run_of(path, "said", ScriptedFleet(), suite)
    assert scores_of(run, "said@routed") == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["maker", "Maker"])
async def test_each_variant_is_a_column_scored_by_the_rule_of_the_suite(
    file: Path, suite: Path, name: str
) -> None:
    fleet = ScriptedFleet(
        Say("2", when="1 + 1", times=None),
        Say("5", when="2 + 2", times=None),
        Say("It is 6.", when="3 + 3", times=None),
    )
    run = await run_of(file, name, fleet, suite, "routed,planner=off")
    on, off = run.table.models
    assert (on, off) == (f"{name}@routed", f"{name}@planner=off")
    assert scores_of(run, on) == scores_of(run, off) == [1.0, 0.0, 1.0]
    assert by_prompt(run, off, run.table.answers[off]) == ["2", "5", "It is 6."]
    assert len(fleet.requests) == 3 * 2 + 3
    two = by_prompt(run, off, run.table.costs[:, 1].tolist())[0]
    assert two == pytest.approx((0.01 * 6 + 0.02 * 1) / 1e6)
    assert run.table.splits == ("held",) * 3


async def test_steps_add_up_to_the_whole(file: Path, suite: Path) -> None:
    fleet = ScriptedFleet(Say("2", times=None, confidence=0.6), Say("6", model=LARGE.name, times=None))
    run = await run_of(file, "planned", fleet, suite, "routed,large,vote=3")
    figures = pipeline_figures(run.table)
    assert figures["reference"] == "planned@routed"
    for whole in figures["variants"].values():
        assert set(whole["steps"]) == {"plan", "solve"}
        for name in ("usd_per_1k", "joules", "calls", "prompt_tokens", "completion_tokens", "asks"):
            total = 2 if name == "asks" else whole[name]
            assert sum(step[name] for step in whole["steps"].values()) == pytest.approx(total), name
        assert (whole["calls"], whole["metered"], whole["runs"]) == (2, 1, 3)
    routed, large, voted = figures["variants"].values()
    assert (routed["accuracy"], routed["confidence"], routed["shares"]) == (1 / 3, 0.6, {SMALL.name: 1.0})
    assert (large["shares"], large["gain"]) == ({LARGE.name: 1.0}, 0.0)
    assert isnan(routed["gain"])
    assert routed["accuracy_low"] <= routed["accuracy"] <= routed["accuracy_high"]
    assert (voted["confidence"], voted["steps"]["solve"]["confidence"]) == (1.0, 1.0)
    assert large["usd_per_1k"] > 100 * routed["usd_per_1k"]


async def test_a_step_that_some_runs_ask_has_the_accuracy_of_those(suite: Path) -> None:
    async def said(prompt: str) -> Ran:
        parts = [Part("always", 1, 1, models={"m": 1})]
        parts += [Part("often", 2, 3, escalations=1, seconds=1.0)] if "1 + 1" not in prompt else []
        return Ran("2" if "1 + 1" in prompt else "4", 0.5, parts=tuple(parts))

    run = await run_pipelines(read_suite(str(suite), suite.parent), [Column("it@routed", said)])
    found = pipeline_figures(run.table, draws=100)["variants"]["it@routed"]
    assert (found["accuracy"], found["seconds"]) == (pytest.approx(2 / 3), 0.5)
    often = found["steps"]["often"]
    assert (often["runs"], often["accuracy"], often["seconds"]) == (2, 0.5, 0.5)
    assert (often["asks"], often["calls"]) == (pytest.approx(4 / 3), 2)
    assert isnan(often["joules"])
    assert isnan(often["confidence"])
    assert found["shares"] == {"m": 1.0}
    assert found["escalations"] == pytest.approx(2 / 3)


async def test_climbs_are_escalations_of_their_step(file: Path, suite: Path) -> None:
    fleet = ScriptedFleet(
        Say('{"answer": "?"}', when="1 + 1"),
        Say('{"answer": 2}', when="1 + 1", model=LARGE.name),
        Say('{"answer": 4}', times=None),
    )
    run = await run_of(file, "counted", fleet, suite)
    found = pipeline_figures(run.table)["variants"]["counted@routed"]
    assert (found["accuracy"], found["escalations"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert found["shares"] == {SMALL.name: 0.75, LARGE.name: 0.25}


async def test_a_run_without_an_answer_counts_as_wrong_and_is_paid_for(file: Path, suite: Path) -> None:
    fleet = ScriptedFleet(
        Say('{"answer": 2}', when="1 + 1"),
        Say("no json", when="2 + 2"),
        Say(when="3 + 3", fault=ContextTooLongError("too long")),
    )
    run = await run_of(file, "counted", fleet, suite, "small")
    assert scores_of(run, "counted@small") == [1.0, 0.0, 0.0]
    right, wrong, long = by_prompt(run, "counted@small", run.table.evidence["counted@small"])
    assert "fault" not in right
    assert wrong["fault"].startswith("OutputError: step 'count': no answer of scripted-small is of its type")
    assert long["fault"].startswith("ContextTooLongError: too long")
    assert wrong["parts"][0]["usd"] > 0
    assert pipeline_figures(run.table)["variants"]["counted@small"]["faults"] == 2
    assert run.summaries[0].failures == ()


async def test_what_their_code_raises_counts_as_wrong_with_its_line(file: Path, suite: Path) -> None:
    fleet = ScriptedFleet(Say("2", when="1 + 1"), Say("four", times=None))
    run = await run_of(file, "picky", fleet, suite)
    assert scores_of(run, "picky@routed") == [1.0, 0.0, 0.0]
    fault = by_prompt(run, "picky@routed", run.table.evidence["picky@routed"])[1]["fault"]
    line = 1 + FILE.split("\n").index("    return str(int(await run.ask(SOLVE, prompt)))")
    assert fault == f"ValueError: invalid literal for int() with base 10: 'four' (line {line})"


async def test_text_that_is_none_is_written_as_it_can_be(file: Path, suite: Path, tmp_path: Path) -> None:
    run = await run_of(file, "odd", ScriptedFleet(), suite, out=tmp_path / "o.jsonl")
    assert scores_of(run, "odd@routed") == [0.0, 0.0, 0.0]


async def test_what_their_code_cancels_is_their_fault(file: Path, suite: Path) -> None:
    run = await run_of(file, "impatient", ScriptedFleet(), suite)
    assert scores_of(run, "impatient@routed") == [0.0, 0.0, 0.0]
    assert not run.summaries[0].failures


async def test_code_that_raises_every_time_ends_the_run(tmp_path: Path, file: Path) -> None:
    rows = [json.dumps({"prompt": f"Sum {n}?", "answer": "1"}) + "\n" for n in range(40)]
    (tmp_path / "many.jsonl").write_text("".join(rows), encoding="utf-8")
    fleet = ScriptedFleet(Say("none", times=None))
    with pytest.raises(StepError, match=r"pipes.py:picky: no answer in 10 runs; the last: ValueError"):
        await run_of(file, "picky", fleet, tmp_path / "many.jsonl", concurrency=4)
    assert len(fleet.requests) < 20


async def test_a_step_or_an_answer_that_cannot_be_ends_the_run(file: Path, suite: Path) -> None:
    with pytest.raises(StepError, match=r"pipes.py:no_text: expected it to return text, got 4"):
        await run_of(file, "no_text", ScriptedFleet(), suite)
    with pytest.raises(StepError, match="wrong"):
        await run_of(file, "solve", ScriptedFleet(Say(fault=StepError("wrong"))), suite, concurrency=1)


@pytest.mark.parametrize("name", ["solve", "doubled"])
@pytest.mark.parametrize("fault", [BackendUnavailableError("gone"), RequestError("not yours")])
async def test_what_the_fleet_could_not_serve_has_no_score_and_is_run_again(
    file: Path, suite: Path, tmp_path: Path, name: str, fault: Exception
) -> None:
    out = tmp_path / "o.jsonl"
    once = 1 if name == "solve" else 2
    fleet = ScriptedFleet(
        Say("2", when="1 + 1", times=once),
        Say(when="2 + 2", fault=fault, times=once),
        Say("6", when="3 + 3", times=once),
    )
    first = await run_of(file, name, fleet, suite, out=out)
    assert isnan(scores_of(first, f"{name}@routed")[1])
    ((_, why),) = first.summaries[0].failures
    assert str(fault) in why
    again = ScriptedFleet(Say("4", when="2 + 2", times=once))
    second = await run_of(file, name, again, suite, out=out)
    assert (second.summaries[0].resumed, second.summaries[0].failures) == (2, ())
    assert second.table.evidence[f"{name}@routed"][0] == read_table(out).evidence[f"{name}@routed"][0]
    assert not partial_path(out).exists()
    again.assert_done()


async def test_rows_are_run_again_when_the_file_has_changed(file: Path, suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    ends = Say(when="3 + 3", fault=BackendUnavailableError("gone"))
    first = await run_of(file, "picky", ScriptedFleet(Say("2", when="1 + 1"), Say("?"), ends), suite, out=out)
    assert len(first.summaries[0].failures) == 1
    kept = await run_of(file, "picky", ScriptedFleet(ends), suite, out=out)
    assert (kept.summaries[0].resumed, scores_of(kept, "picky@routed")[1]) == (2, 0.0)
    changed = write(tmp_path / "changed" / "pipes.py", FILE + "\n")
    anew = ScriptedFleet(*(Say(answer, when=prompt) for prompt, answer in SUMS))
    run = await run_of(changed, "picky", anew, suite, out=out)
    assert (run.summaries[0].resumed, scores_of(run, "picky@routed")) == (0, [1.0, 1.0, 1.0])
    anew.assert_done()


async def test_rows_of_another_fleet_are_run_again(file: Path, suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    ends = Say(when="3 + 3", fault=BackendUnavailableError("gone"))
    await run_of(file, "picky", ScriptedFleet(Say("2", when="1 + 1"), Say("?"), ends), suite, out=out)
    other = ScriptedFleet(Say("0", times=None), members=[SMALL])
    run = await run_of(file, "picky", other, suite, out=out)
    assert (run.summaries[0].resumed, scores_of(run, "picky@routed")) == (0, [0.0, 0.0, 0.0])


async def test_the_partial_file_of_a_live_run_is_refused(file: Path, suite: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    partial_path(out).write_text('{"hold_tokens": 16, "seed": 0}\n', encoding="utf-8")
    with pytest.raises(TableError, match="unfinished run with other settings"):
        await run_of(file, "solve", ScriptedFleet(), suite, out=out)


@pytest.mark.parametrize("concurrency", [1, 2, 9])
async def test_no_more_than_so_many_run_at_once(suite: Path, concurrency: int) -> None:
    running: set[str] = set()
    most: list[int] = []

    async def said(prompt: str) -> Ran:
        running.add(prompt)
        await asyncio.sleep(0.001)
        most.append(len(running))
        running.remove(prompt)
        return Ran("2", 0.001)

    examples = read_suite(str(suite), suite.parent)
    await run_pipelines(examples, [Column("it", said)], concurrency=concurrency)
    assert max(most) == min(concurrency, len(examples))


def test_the_system_turn_comes_before_the_prompt_and_tools_are_refused(suite: Path) -> None:
    example = read_suite(str(suite), suite.parent)[0]
    assert prompt_of(replace(example, asking=Asking(system="Be brief."))) == f"Be brief.\n\n{example.prompt}"
    with pytest.raises(TableError, match="sums: expected prompts that stand alone"):
        prompt_of(replace(example, asking=Asking(tools=({"type": "function"},))))


async def test_a_suite_that_is_not_scored_is_run_all_the_same(suite: Path) -> None:
    example = replace(read_suite(str(suite), suite.parent)[0], rule="none")

    async def said(prompt: str) -> Ran:
        return Ran("", 0.1, fault="none")

    run = await run_pipelines([example], [Column("it", said)])
    assert isnan(run.table.scores.item())
    assert isnan(pipeline_figures(run.table)["variants"]["it"]["accuracy"])
    with pytest.raises(TableError, match="got one twice"):
        await run_pipelines([example, example], [])
