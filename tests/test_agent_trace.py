"""Traces of sessions: what is kept, the tree for people, JSON lines, and OpenTelemetry's own exporter."""

import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pinnace.agents import trace_tree
from pinnace.agents.trace import MOST_TEXT, NOT_FINISHED, Kind, Span, Totals, Trace, totals_of
from pinnace.agents.trace_export import read_jsonl, write_jsonl
from pinnace.errors import StepError, TableError

BEGAN_NS = 1_700_000_000_000_000_000
CALL: dict[str, Any] = {
    "model": "large",
    "rung": 0,
    "rungs": ("small", "large"),
    "why": "the gate gave the first answer 0.31",
    "confidence": 0.93,
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "usd": 0.00012,
    "joules": 1.25,
    "samples": 3,
    "accepted": True,
}


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def new_trace(clock: Clock | None = None, most: int = 1000) -> Trace:
    return Trace(clock or Clock(), lambda: BEGAN_NS, most)


def sample() -> Trace:
    """A run of two steps: one calls a tool and climbs by itself, the other is answered by a route."""
    clock = Clock()
    trace = new_trace(clock)
    run = trace.begin("run", "triage")
    step = trace.begin("step", "classify", run.id)
    first = trace.begin("call", "classify", step.id)
    clock.now += 0.25
    first.end(model="small", rungs=("small",), confidence=0.31, prompt_tokens=100, completion_tokens=10)
    tool = trace.begin("tool", "look_up", step.id)
    clock.now += 0.5
    tool.end(error="ToolTimeoutError")
    second = trace.begin("call", "classify", step.id)
    clock.now += 1
    second.end(model="large", rung=1, rungs=("large",), usd=0.001, accepted=True, samples=1)
    step.end()
    other = trace.begin("step", "answer", run.id)
    call = trace.begin("call", "answer", other.id)
    clock.now += 2
    call.end(**CALL)
    other.end(note="from the route")
    run.end()
    return trace


def test_spans_come_in_order_of_their_beginning_with_their_parents_and_times() -> None:
    spans = sample().spans()
    assert [(span.id, span.parent, span.kind) for span in spans] == [
        (1, None, "run"),
        (2, 1, "step"),
        (3, 2, "call"),
        (4, 2, "tool"),
        (5, 2, "call"),
        (6, 1, "step"),
        (7, 6, "call"),
    ]
    assert [(span.began, span.seconds) for span in spans] == [
        (0, 3.75),
        (0, 1.75),
        (0, 0.25),
        (0.25, 0.5),
        (0.75, 1),
        (1.75, 2),
        (1.75, 2),
    ]
    assert {name: getattr(spans[-1], name) for name in CALL} == CALL


def test_totals_are_the_sums_over_the_calls() -> None:
    assert sample().totals() == Totals(
        calls=3,
        tool_calls=1,
        tokens=260,
        usd=0.001 + 0.00012,
        joules=1.25,
        escalations=2,
        seconds=3.75,
        models={"small": 1, "large": 2},
    )
    assert new_trace().totals() == Totals()


def test_joules_that_no_call_knows_are_none() -> None:
    trace = new_trace()
    trace.begin("call", "answer").end(model="small")
    assert trace.totals().joules is None


def test_an_open_span_shows_as_not_finished_with_its_seconds_so_far() -> None:
    clock = Clock()
    trace = new_trace(clock)
    opened = trace.begin("step", "answer")
    clock.now += 2
    (span,) = trace.spans()
    assert (span.seconds, span.error) == (2, NOT_FINISHED)
    assert "step  answer  not finished  2.00 s" in str(trace)
    clock.now += 1
    opened.end()
    (span,) = trace.spans()
    assert (span.seconds, span.error) == (3, None)


def test_only_the_first_end_holds() -> None:
    clock = Clock()
    trace = new_trace(clock)
    call = trace.begin("call", "answer")
    call.end(model="small")
    clock.now += 1
    call.end(model="large", error="late")
    (span,) = trace.spans()
    assert (span.model, span.error, span.seconds) == ("small", None, 0)


def test_an_answer_can_be_taken_after_its_call_has_ended() -> None:
    trace = new_trace()
    call = trace.begin("call", "answer")
    call.end(model="small")
    call.mark_accepted()
    (span,) = trace.spans()
    assert (span.accepted, span.error) == (True, None)


def test_numbers_that_are_not_finite_are_left_out_and_texts_are_cut() -> None:
    trace = new_trace()
    trace.begin("call", "n" * 10_000).end(
        confidence=math.nan,
        usd=math.inf,
        joules=-math.inf,
        why="w" * 10_000,
        note="\ud800",
        rungs=("r" * 999,),
    )
    (span,) = trace.spans()
    assert (span.confidence, span.usd, span.joules, span.note) == (None, 0, None, "?")
    assert len(span.name) == len(span.why) == len(span.rungs[0]) == MOST_TEXT


def test_spans_beyond_the_most_are_counted_and_said() -> None:
    trace = new_trace(most=2)
    run = trace.begin("run", "long")
    kept = trace.begin("step", "kept", run.id)
    for _ in range(3):
        trace.begin("call", "dropped", kept.id).end(model="small")
    assert [span.name for span in trace.spans()] == ["long", "kept"]
    assert trace.left_out == trace.totals().left_out == 3
    assert str(trace).endswith("3 further spans left out")


def test_a_parent_has_begun() -> None:
    with pytest.raises(AssertionError, match="no span 1 has begun"):
        new_trace().begin("step", "answer", 1)


def test_the_tree_has_one_line_a_span() -> None:
    assert str(sample()) == "\n".join(
        [
            "3 calls (small 1, large 2)  1 tool call  2 escalations  260 tokens  $0.00112  1.25 J  3.75 s",
            "└── triage  3.75 s",
            "    ├── step  classify  1.75 s",
            "    │   ├── small  0.31  climbed  100+10 tokens  $0  0.25 s",
            "    │   ├── tool  look_up  ToolTimeoutError  0.50 s",
            "    │   └── large  accepted  0+0 tokens  $0.001  1.00 s",
            "    └── step  answer  2.00 s  from the route",
            "        └── small > large  0.93  accepted  3 samples  120+30 tokens  $0.00012  1.25 J  2.00 s"
            "  the gate gave the first answer 0.31",
        ]
    )


def test_an_answer_that_nothing_followed_is_not_accepted_and_a_failed_one_says_why() -> None:
    trace = new_trace()
    trace.begin("call", "answer").end(model="small", why="x" * 300)
    trace.begin("call", "answer").end(error="BackendUnavailableError")
    _, first, second = str(trace).split("\n")
    assert "small  not accepted" in first
    assert first.endswith("x" * 77 + "...")
    assert "no model  BackendUnavailableError" in second


def shown_on(console: Console, trace: Trace) -> str:
    trace.show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_all_models_are_counted_on_the_first_line() -> None:
    trace = new_trace()
    for at in range(20):
        trace.begin("call", "answer").end(model=f"model-{at}")
    assert "model-0 1, " in str(trace).split("\n")[0]
    assert "model-19 1)" in str(trace).split("\n")[0]


def test_names_are_no_markup_and_cannot_steer_the_terminal() -> None:
    trace = new_trace()
    evil = "[red]x[/red] :smile: \x1b[2J\x1b]0;owned\x07 a\nb\u202e"
    trace.begin("call", evil).end(model=evil, why=evil, rungs=(evil,))
    trace.begin("tool", evil).end(error=evil, note=evil)
    for terminal in (True, False):
        console = Console(
            file=io.StringIO(), force_terminal=terminal, width=400, color_system=None, legacy_windows=False
        )
        text = shown_on(console, trace)
        assert text.count("[red]x[/red] :smile: [2J ]0;owned a b") == 6, (
            "total, call, its why, tool, error, note"
        )
        assert not set(text) & set("\x1b\x07\u202e")
        assert text.count("\n") == 3


def test_a_narrow_terminal_keeps_a_line_a_span_and_a_file_keeps_all_of_it() -> None:
    narrow = Console(file=io.StringIO(), force_terminal=True, width=40, _environ={})
    text = shown_on(narrow, sample())
    assert text.count("\n") == 8
    assert "\x1b[" in text, "colours"
    bare = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(map(len, bare.split("\n"))) == 40
    piped = Console(file=io.StringIO(), force_terminal=False, width=40)
    assert shown_on(piped, sample()) == str(sample()) + "\n"


def test_show_goes_to_standard_output_by_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    sample().show()
    assert capsys.readouterr().out == str(sample()) + "\n"


def test_jsonl_is_one_sorted_object_a_span_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "trace.jsonl"
    trace = sample()
    trace.to_jsonl(path)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 7
    assert all(list(row) == sorted(row) for row in rows)
    assert rows[-1] | {"rungs": ("small", "large")} == rows[-1] | CALL
    assert read_jsonl(str(path)) == trace.spans()
    assert trace_tree.as_text(read_jsonl(path)) == str(trace)
    assert totals_of(read_jsonl(path)) == trace.totals()


def test_a_trace_that_cannot_be_written_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text("old")
    broken = Span(1, None, "call", "answer", 0.0, confidence=math.nan)
    with pytest.raises(ValueError, match="JSON"):
        write_jsonl([broken], path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": 1}', "line 1: parent: Field required"),
        ("{", "line 1: the line: Invalid JSON"),
        ('{"id":1,"parent":null,"kind":"dance","name":"a","began":0}', "line 1: kind: .*'dance'"),
    ],
)
def test_a_line_that_is_no_span_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(TableError, match=said):
        read_jsonl(path)


def test_a_trace_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="not readable: No such file"):
        read_jsonl(tmp_path / "none.jsonl")


kinds: st.SearchStrategy[Kind] = st.sampled_from(["run", "step", "call", "tool"])
texts = st.text(max_size=30)
endings = st.fixed_dictionaries(
    {},
    optional={
        "model": texts,
        "rungs": st.lists(texts, max_size=3).map(tuple),
        "rung": st.integers(0, 3),
        "why": texts,
        "confidence": st.none() | st.floats(),
        "prompt_tokens": st.integers(0, 10**9),
        "usd": st.floats(0, 1e6),
        "joules": st.none() | st.floats(),
        "accepted": st.booleans(),
        "error": st.none() | texts,
        "note": texts,
    },
)


@settings(max_examples=40)
@given(st.lists(st.tuples(kinds, texts, st.integers(0, 5), st.none() | endings), max_size=8))
def test_any_trace_is_written_read_back_and_shown(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[Kind, str, int, Any]]
) -> None:
    trace = new_trace()
    for at, (kind, name, parent, ending) in enumerate(plan):
        span = trace.begin(kind, name, min(parent, at) or None)
        if ending is not None:
            span.end(**ending)
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    trace.to_jsonl(path)
    assert read_jsonl(path) == trace.spans()
    assert len(str(trace).split("\n")) == len(plan) + 1


def test_without_opentelemetry_to_otel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(StepError, match=re.escape("pip install 'pinnace[otel]'")):
        sample().to_otel()


def emitted(trace: Trace) -> list[Any]:
    """What OpenTelemetry's exporter got."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter, provider = memory.InMemorySpanExporter(), sdk.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    trace.to_otel(provider)
    return list(exporter.get_finished_spans())


def test_otel_spans_have_their_own_times_and_parents() -> None:
    trace = sample()
    told = emitted(trace)
    assert [span.name for span in told] == [
        "invoke_workflow triage",
        "step classify",
        "chat small",
        "execute_tool look_up",
        "chat large",
        "step answer",
        "chat large",
    ]
    ids = {span.context.span_id: at for at, span in enumerate(told, 1)}
    assert [span.parent and ids[span.parent.span_id] for span in told] == [s.parent for s in trace.spans()]
    assert len({span.context.trace_id for span in told}) == 1
    for span, kept in zip(told, trace.spans(), strict=True):
        assert (span.start_time - BEGAN_NS) / 1e9 == kept.began
        assert (span.end_time - BEGAN_NS) / 1e9 == kept.began + kept.seconds


def test_otel_attributes_have_the_names_of_the_conventions() -> None:
    run, step, _, tool, _, _, call = emitted(sample())
    assert dict(run.attributes) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "triage",
    }
    assert dict(step.attributes) == {"pinnace.step": "classify"}
    assert dict(tool.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look_up",
        "error.type": "_OTHER",
    }
    assert (tool.status.is_ok, tool.status.description) == (False, "ToolTimeoutError")
    assert call.status.is_ok
    assert dict(call.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "pinnace",
        "gen_ai.request.model": "large",
        "gen_ai.response.model": "large",
        "gen_ai.request.choice.count": 3,
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.output_tokens": 30,
        "pinnace.step": "answer",
        "pinnace.rung": 0,
        "pinnace.rungs": ("small", "large"),
        "pinnace.why": CALL["why"],
        "pinnace.confidence": 0.93,
        "pinnace.accepted": True,
        "pinnace.cost_usd": 0.00012,
        "pinnace.joules": 1.25,
    }


def test_otel_spans_hang_beneath_the_callers_current_span() -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    tracer = sdk.TracerProvider(shutdown_on_exit=False).get_tracer("a caller")
    with tracer.start_as_current_span("request") as request:
        told = emitted(sample())
    assert told[0].parent.span_id == request.get_span_context().span_id


def test_importing_the_trace_loads_neither_rich_nor_opentelemetry() -> None:
    code = "import sys, pinnace.agents.trace; print({'rich', 'opentelemetry'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
