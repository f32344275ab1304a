"""A trace for machines: JSON lines, and OpenTelemetry behind the extra `otel`.

Attributes have the names of OpenTelemetry's GenAI conventions where those have one, else `pinnace.*`, as in
the server's traces. Holds no text of prompts and answers, since spans hold none.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from pinnace.agents.trace import NOT_FINISHED, Span
from pinnace.errors import StepError, TableError

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

_Value = str | bool | int | float | Sequence[str]
_SPAN = TypeAdapter(Span)
_NAMES = tuple(field.name for field in fields(Span))


def write_jsonl(spans: Sequence[Span], path: Path) -> None:
    """Write one JSON object a span, keys sorted, beside `path`, then rename: no half-written file is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(_json(span) + "\n" for span in spans)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_jsonl(path: str | Path) -> tuple[Span, ...]:
    """The spans that `Trace.to_jsonl` wrote, for `trace_tree.show` and `trace.totals_of`.

    :raises TableError: when there is no such file, or a line is no span: names the line and what is wrong.
    """
    try:
        with Path(path).open("rb") as file:
            return tuple(_span(line, f"{path}, line {at}") for at, line in enumerate(file, 1))
    except OSError as error:
        raise TableError(f"{path}: expected a trace, not readable: {error.strerror}") from None


def emit(spans: Sequence[Span], began_ns: int, provider: "TracerProvider | None" = None) -> None:
    """Emit spans to OpenTelemetry; see `Trace.to_otel`.

    :param began_ns: when the trace began, nanoseconds of the Unix epoch.
    :raises StepError: when OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, StatusCode, get_tracer, set_span_in_context
    except ImportError as error:
        raise StepError(f"to_otel needs OpenTelemetry: pip install 'pinnace[otel]' ({error})") from error
    tracer = get_tracer("pinnace", tracer_provider=provider)
    inside: dict[int | None, Context] = {}
    for span in spans:
        told = tracer.start_span(
            _title(span),
            inside.get(span.parent),
            SpanKind.CLIENT if span.kind == "call" else SpanKind.INTERNAL,
            attributes=_attributes(span),
            start_time=_ns(span.began, began_ns),
        )
        inside[span.id] = set_span_in_context(told)
        if span.error not in (None, NOT_FINISHED):
            told.set_status(StatusCode.ERROR, span.error)
        told.end(_ns(span.began + span.seconds, began_ns))


def _json(span: Span) -> str:
    told = {name: getattr(span, name) for name in _NAMES}
    return json.dumps(told, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _span(line: bytes, where: str) -> Span:
    try:
        return _SPAN.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the line"
        raise TableError(f"{where}: {place}: {first['msg']}, got {first['input']!r:.80}") from None


def _title(span: Span) -> str:
    """What the conventions call such a span; they have no name for a step."""
    match span.kind:
        case "run":
            return f"invoke_workflow {span.name}"
        case "step":
            return f"step {span.name}"
        case "call":
            return f"chat {span.model}".rstrip()
        case "tool":
            return f"execute_tool {span.name}"


def _attributes(span: Span) -> dict[str, _Value]:
    match span.kind:
        case "run":
            own = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": span.name}
        case "step":
            own = {"pinnace.step": span.name}
        case "call":
            own = _of_call(span)
        case "tool":
            own = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": span.name}
    found = own | {
        "pinnace.note": span.note or None,
        "pinnace.unfinished": True if span.error == NOT_FINISHED else None,
        "error.type": None if span.error in (None, NOT_FINISHED) else "_OTHER",
    }
    return {name: value for name, value in found.items() if value is not None}


def _of_call(span: Span) -> dict[str, _Value | None]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "pinnace",
        "gen_ai.request.model": span.model or None,
        "gen_ai.response.model": span.model or None,
        "gen_ai.request.choice.count": span.samples if span.samples > 1 else None,
        "gen_ai.usage.input_tokens": span.prompt_tokens,
        "gen_ai.usage.output_tokens": span.completion_tokens,
        "pinnace.step": span.name,
        "pinnace.rung": span.rung,
        "pinnace.rungs": span.rungs,
        "pinnace.why": span.why or None,
        "pinnace.confidence": span.confidence,
        "pinnace.accepted": span.accepted,
        "pinnace.cost_usd": span.usd,
        "pinnace.joules": span.joules,
    }


def _ns(seconds: float, began_ns: int) -> int:
    """A moment of the trace as nanoseconds of the Unix epoch."""
    return began_ns + round(seconds * 1e9)
