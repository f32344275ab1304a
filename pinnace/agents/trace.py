"""The trace of a session: a span for every run, step, model call and tool call.

Spans are told their parent by its id, so that steps side by side cannot be confused. Holds figures, names and
reasons, not the text of prompts and answers; an error may quote a bounded piece of what was wrong. For one
event loop. Knows neither terminals nor files: see `trace_tree` and `trace_export`.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, cast

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider
    from rich.console import Console

Kind = Literal["run", "step", "call", "tool"]
MOST_SPANS = 100_000
"""How many spans a trace keeps: about 100 MB."""
MOST_TEXT = 500
"""Characters kept of a name, a reason, an error or a note."""
NOT_FINISHED = "not finished"


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work. `name` is the step or the tool, `began` is in seconds since the trace began.

    Of calls: `model` answered, and `rung` counts the tries of the step before it, 0 for the first; `rungs`
    are the models that the call's own route tried, in order; `confidence` is the probability that the answer
    is right, `accepted` whether it was taken; `samples` answers were drawn. `joules` is None where nobody
    knows them.
    """

    id: int
    parent: int | None
    kind: Kind
    name: str
    began: float
    seconds: float = 0.0
    model: str = ""
    rung: int = 0
    rungs: tuple[str, ...] = ()
    why: str = ""
    confidence: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0
    joules: float | None = None
    samples: int = 0
    accepted: bool = False
    error: str | None = None
    note: str = ""


class Found(TypedDict, total=False):
    """What is known of a span when it ends; fields as in `Span`."""

    model: str
    rung: int
    rungs: tuple[str, ...]
    why: str
    confidence: float | None
    prompt_tokens: int
    completion_tokens: int
    usd: float
    joules: float | None
    samples: int
    accepted: bool
    error: str | None
    note: str


class OpenSpan:
    """A span that goes on until `end`. `now` gives the seconds since the trace began."""

    def __init__(self, span: Span, now: Callable[[], float]) -> None:
        self._span = span
        self._now = now
        self._is_ended = False

    @property
    def id(self) -> int:
        """What its children give as their parent."""
        return self._span.id

    def end(self, **found: Unpack[Found]) -> None:
        """Close it with what was found; only the first end holds.

        Numbers that are not finite are left out, long texts are cut.
        """
        if not self._is_ended:
            self._is_ended = True
            self._span = replace(self._span, seconds=self._now() - self._span.began, **_fit(found))

    def mark_accepted(self) -> None:
        """Say that its answer was taken, which may be known only after its end."""
        self._span = replace(self._span, accepted=True)

    def mark_climbed(self, why: str) -> None:
        """Say why its answer was not taken, which may be known only after its end."""
        self._span = replace(self._span, note=_cut(why))

    def read(self) -> Span:
        """The span as it stands: while it goes on, with its seconds so far and the error `NOT_FINISHED`."""
        if self._is_ended:
            return self._span
        return replace(self._span, seconds=self._now() - self._span.began, error=NOT_FINISHED)


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over a trace.

    `tokens` are those read and written; `joules` is the sum over the calls that know theirs, None where none
    does; `escalations` counts the calls that climbed: tries after a step's first, and routes that tried more
    than one model; `seconds` go from the first beginning to the last end; `models` counts the calls by who
    answered. `left_out` spans are in no sum.
    """

    calls: int = 0
    tool_calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    joules: float | None = None
    escalations: int = 0
    seconds: float = 0.0
    models: Mapping[str, int] = field(default_factory=dict[str, int])
    left_out: int = 0


class Trace:
    """The spans of one session, in order of their beginning.

    :param clock: seconds, for the times within the trace.
    :param wall: nanoseconds of the Unix epoch, read once, for when it began.
    :param most: spans to keep; those beyond are counted alone.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = time.time_ns,
        most: int = MOST_SPANS,
    ) -> None:
        self.began_ns = wall()
        self._clock = clock
        self._began = clock()
        self._most = most
        self._begun = 0
        self._spans: list[OpenSpan] = []

    @property
    def left_out(self) -> int:
        """How many spans were begun beyond the most that are kept."""
        return self._begun - len(self._spans)

    def begin(self, kind: Kind, name: str, parent: int | None = None) -> OpenSpan:
        """Open a span beneath the span whose id is `parent`, or at the top."""
        assert parent is None or 0 < parent <= self._begun, f"no span {parent!r} has begun"
        self._begun += 1
        opened = OpenSpan(Span(self._begun, parent, kind, _cut(name), self._now()), self._now)
        if len(self._spans) < self._most:
            self._spans.append(opened)
        return opened

    def spans(self) -> tuple[Span, ...]:
        """All that are kept, as they stand."""
        return tuple(each.read() for each in self._spans)

    def totals(self) -> Totals:
        """The sums over what is kept."""
        return totals_of(self.spans(), self.left_out)

    def show(self, console: "Console | None" = None) -> None:
        """Print it as a tree, one line a span, on the terminal where no console is given."""
        from pinnace.agents.trace_tree import show  # not at import: rich is for people only

        show(self.spans(), self.left_out, console)

    def to_jsonl(self, path: str | Path) -> None:
        """Write one JSON object a span, whole or not at all. See `trace_export.read_jsonl`."""
        from pinnace.agents.trace_export import write_jsonl

        write_jsonl(self.spans(), Path(path))

    def to_otel(self, tracer_provider: "TracerProvider | None" = None) -> None:
        """Emit the spans to OpenTelemetry, with their own times and parents, beneath its current span if any.

        None takes the provider that the process has set; where it has set none, nothing happens.

        :raises StepError: when OpenTelemetry is not installed.
        """
        from pinnace.agents.trace_export import emit

        emit(self.spans(), self.began_ns, tracer_provider)

    def __str__(self) -> str:
        from pinnace.agents.trace_tree import as_text

        return as_text(self.spans(), self.left_out)

    def _now(self) -> float:
        return self._clock() - self._began


def totals_of(spans: Sequence[Span], left_out: int = 0) -> Totals:
    """The sums over `spans`."""
    calls = [span for span in spans if span.kind == "call"]
    joules = [call.joules for call in calls if call.joules is not None]
    ended = max((span.began + span.seconds for span in spans), default=0.0)
    return Totals(
        calls=len(calls),
        tool_calls=sum(span.kind == "tool" for span in spans),
        tokens=sum(call.prompt_tokens + call.completion_tokens for call in calls),
        usd=math.fsum(call.usd for call in calls),
        joules=math.fsum(joules) if joules else None,
        escalations=sum(call.rung > 0 or len(call.rungs) > 1 for call in calls),
        seconds=ended - min((span.began for span in spans), default=0.0),
        models=dict(Counter(call.model for call in calls if call.model)),
        left_out=left_out,
    )


def _fit(found: Found) -> dict[str, Any]:
    """What was found, fit to be kept and written."""
    given = {**found}
    return {name: _fitted(value) for name, value in given.items() if not _is_endless(value)}


def _fitted(value: object) -> object:
    if isinstance(value, str):
        return _cut(value)
    return tuple(map(_cut, cast("tuple[str, ...]", value))) if isinstance(value, tuple) else value


def _is_endless(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _cut(text: str) -> str:
    """At most `MOST_TEXT` characters, all of them of valid Unicode."""
    short = text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 3] + "..."
    return short.encode("utf-8", "replace").decode()
