"""Pipelines over a small suite on the scripted fleet: variants, scores, steps, faults, and going on."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from cli_fixtures import Done, Run, configure, runner
from hypothesis import given
from hypothesis import strategies as st
from printed_keys import is_meant, printed, spelled
from router_fixtures import AxisEmbedder, small_state

from pinnace.agents import Fleet, Say, ScriptedFleet, Step, Text, best_of, single, tool, vote
from pinnace.agents.ablation import AS_WRITTEN, Ablation, variants
from pinnace.agents.reply import Member
from pinnace.agents.scripted_fleet import LARGE, SMALL
from pinnace.cli import eval_pipeline
from pinnace.cli.eval_pipeline import columns_of
from pinnace.config import Policy
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
from pinnace.router.embedding_queue import EmbeddingQueue
from pinnace.router.router import Router

DOCS = (Path(__file__).resolve().parent.parent / "docs" / "evaluation.md").read_text(encoding="utf-8")
SUMS = [("What is 1 + 1?", "2"), ("What is 2 + 2?", "4"), ("What is 3 + 3?", "6")]
FILE = """
import asyncio
from pinnace.agents import Session, Step, vote

PLAN = Step("Plan.", name="plan")
SOLVE = Step("Solve.", name="solve")
COUNT = Step("Count.", output=int, name="count")

async def solve(run: Session, prompt: str) -> str:
    return await run.ask(SOLVE, prompt)

async def planned(run: Session, prompt: str) -> str:
    return await run.ask(SOLVE, prompt + " " + await run.ask(PLAN, prompt))

async def counted(run: Session, prompt: str) -> str:
    return str(await run.ask(COUNT, prompt))

async def doubled(run: Session, prompt: str) -> str:
    async with asyncio.TaskGroup() as group:
        first, second = (group.create_task(run.ask(SOLVE, prompt)) for _ in range(2))
    return first.result() + second.result()

async def picky(run: Session, prompt: str) -> str:
    return str(int(await run.ask(SOLVE, prompt)))

async def no_text(run: Session, prompt: str) -> str:
    return 4

async def takes_one(prompt: str) -> str:
    return prompt

class Maker:
    def __init__(self, planner: str = "on") -> None:
        self.whole = planner == "on"

    async def __call__(self, run: Session, prompt: str) -> str:
        return await (planned if self.whole else solve)(run, prompt)

def maker(planner: str = "on"):
    return planned if planner == "on" else solve

def broken():
    raise ValueError("not today")

def empty():
    return None
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of pipelines."""
    return write(tmp_path / "pipes.py", FILE)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of three sums, compared as numbers."""
    rows = [json.dumps({"prompt": prompt, "answer": answer}) for prompt, answer in SUMS]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    path = tmp_path / "sums.yaml"
    path.write_text(
        "rule: number\nmax_tokens: 8\nrows: [{name: test, split: held, file: rows.jsonl}]\n", encoding="utf-8"
    )
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


async def run_of(
    file: Path,
    name: str,
    fleet: Fleet,
    suite: Path,
    ways: str = "routed",
    *,
    out: Path | None = None,
    concurrency: int = 32,
) -> LiveRun:
    found = read_pipeline(f"{file}:{name}")
    asked = [(each, found.made_with(each.words)) for each in variants(ways)]
    examples = read_suite(str(suite), suite.parent)
    columns = await columns_of(fleet, asked)
    return await run_pipelines(examples, columns, out=out, concurrency=concurrency, keep_answers=True)


def by_prompt(run: LiveRun, column: str, values: Sequence[object]) -> list[object]:
    """In the order of `SUMS`."""
    assert column in run.table.models
    return [values[run.table.prompts.index(prompt)] for prompt, _ in SUMS]


def scores_of(run: LiveRun, column: str) -> list[object]:
    return by_prompt(run, column, run.table.scores[:, run.table.models.index(column)].tolist())


# What an ablation changes.


def test_an_ablation_of_nothing_gives_the_step_itself() -> None:
    step = Step("Add.", strategy=vote(3))
    assert AS_WRITTEN.of(step) is step
    assert Ablation(spare=vote(5)).of(step) is step
    assert Ablation(strategy=single).of(Step("Add.")).strategy is single


def test_an_ablation_changes_what_it_names_and_nothing_else() -> None:
    @tool
    def look(word: str) -> str:
        """Look it up.

        :param word: what.
        """
        return word

    step = Step("Add.", output=int, name="add", tools=[look], strategy=vote(3), accept=0.7)
    four = vote(4)
    changed = Ablation(model="large", strategy=single, spare=four).of(step)
    assert changed == replace(step, model="large", strategy=single, tools=step.offered)
    assert changed.offered[0] is step.offered[0]
    assert Ablation(spare=four).of(Step("Add.")).strategy is four


@pytest.mark.parametrize(
    ("way", "model", "n"),
    [
        ("routed", "auto", 1), ("small", SMALL.name, 1), ("large", LARGE.name, 1), ("single", "auto", 1),
        ("vote=4", "auto", 4), ("large+vote=2", LARGE.name, 2), ("routed+planner=off", "auto", 1),
    ],
)  # fmt: skip
async def test_a_session_asks_every_step_as_its_variant_says(way: str, model: str, n: int) -> None:
    fleet = ScriptedFleet(Say("4", model=LARGE.name if model == LARGE.name else SMALL.name))
    (variant,) = variants(way)
    async with fleet.session(ablation=variant.ablation(await fleet.members())) as run:
        assert await run.ask(Step("Add."), "2 + 2") == "4"
    assert (fleet.models, fleet.requests[0].n) == ([model], n)


async def test_only_single_takes_a_steps_own_strategy_away() -> None:
    step = Step("Add.", strategy=best_of(3))
    for way, n in (("vote=2", 3), ("single", 1)):
        fleet = ScriptedFleet(Say("4"))
        (variant,) = variants(way)
        async with fleet.session(ablation=variant.ablation(await fleet.members())) as run:
            await run.ask(step, "2 + 2")
        assert fleet.requests[0].n == n


async def test_a_voted_step_streams_its_text_once_it_is_settled() -> None:
    fleet = ScriptedFleet(Say(["4", "5", "4"]))
    async with fleet.session(ablation=Ablation(spare=vote(3))) as run:
        events = [event async for event in run.stream(Step("Add."), "2 + 2")]
    assert [event.text for event in events if isinstance(event, Text)] == ["4"]


def test_the_cheapest_and_the_dearest_go_by_price_and_then_by_place() -> None:
    members = [Member("b", 1, 1), Member("a", 1, 1), Member("d", 9, 0), Member("c", 4, 5)]
    small, large = variants("small,large")
    assert (small.ablation(members).model, large.ablation(members).model) == ("b", "d")
    assert small.ablation([Member("only")]).model == "only"
    with pytest.raises(ConfigError, match="'small': expected a price of every model, 'x' has none"):
        small.ablation([Member("x"), Member("y", 1, 1)])
    with pytest.raises(ConfigError, match="a fleet that lists its models, got none"):
        large.ablation([])


SIZES = st.sampled_from([(), ("routed",), ("small",), ("large",)])
VOTES = st.one_of(st.just(()), st.just(("single",)), st.integers(2, 99).map(lambda n: (f"vote={n}",)))
OWN = st.dictionaries(st.sampled_from(["planner", "notes", "k"]), st.sampled_from(["on", "off", "", "a=b"]))


@given(SIZES, VOTES, OWN, st.randoms())
def test_every_variant_that_is_written_properly_is_read(size, votes, own, random) -> None:
    words = [*size, *votes, *(f"{name}={value}" for name, value in own.items())] or ["routed"]
    random.shuffle(words)
    (found,) = variants("+".join(words))
    assert found.name == "+".join(words)
    assert found.words == own
    assert found.size == (size[0] if size and size != ("routed",) else None)
    assert found.votes == (None if not votes else 1 if votes == ("single",) else int(votes[0][5:]))


@pytest.mark.parametrize(
    "text",
    [
        "", "smal", "routed,", "small+large", "routed+small", "single+vote=3", "vote=1", "vote=", "vote",
        "vote=x", "single=2", "small=1", "1a=2", "a=1+a=2", "small+small", "small,small",
    ],
)  # fmt: skip
def test_every_other_variant_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        variants(text)


# The file.


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


# Runs.


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


# What goes wrong.


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


# The command.


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
