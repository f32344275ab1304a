"""Traces of sessions as JSON lines, and through OpenTelemetry's own exporter."""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_fixtures import BEGAN_NS, CALL, new_trace, sample

from pinnace.agents import trace_tree
from pinnace.agents.trace import Kind, Span, Trace, totals_of
from pinnace.agents.trace_export import read_jsonl, write_jsonl
from pinnace.errors import StepError, TableError


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


def test_an_open_span_is_told_as_unfinished_and_not_as_an_error() -> None:
    trace = new_trace()
    trace.begin("run", "triage")
    (span,) = emitted(trace)
    assert (span.status.is_ok or span.status.is_unset, span.attributes["pinnace.unfinished"]) == (True, True)
    assert "error.type" not in span.attributes
