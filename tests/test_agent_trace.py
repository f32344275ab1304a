"""Traces of sessions: what is kept, and the tree for people."""

import io
import math
import re
import subprocess
import sys

import pytest
from rich.console import Console
from trace_fixtures import CALL, Clock, new_trace, sample

from pinnace.agents.trace import MOST_TEXT, NOT_FINISHED, Totals, Trace


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


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_show_writes_what_the_output_can_carry(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding=encoding, write_through=True))
    sample().show()
    assert b"\n`-- triage" in written.getvalue()


def test_importing_the_trace_loads_neither_rich_nor_opentelemetry() -> None:
    code = "import sys, pinnace.agents.trace; print({'rich', 'opentelemetry'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
