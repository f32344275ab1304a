"""A trace for people: a tree with one line for every run, step, call and tool.

What models, tools and users named comes out as plain text: no markup is read, and no control character gets
to the terminal.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from io import StringIO

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pinnace.agents.trace import NOT_FINISHED, Span, Totals, totals_of

WIDE = 2_000
"""Columns of plain text, in which no line has to be cut."""
MOST_SHOWN = 80
"""Characters shown of a name, a reason, an error or a note."""
ASCII_GUIDES = str.maketrans("└├─│", "`+-|")

_Part = tuple[str, str]  # text and style


def show(spans: Sequence[Span], left_out: int = 0, console: Console | None = None) -> None:
    """Print spans as a tree. Lines are cut to a terminal's width, and never where it is none."""
    console = console or Console()
    if console.is_terminal:
        console.print(tree_of(spans, left_out), no_wrap=True, overflow="ellipsis")
    else:
        console.out(_carried(as_text(spans, left_out), console.encoding), highlight=False)


def _carried(text: str, encoding: str) -> str:
    """The text as far as `encoding` can carry it, with guides of ASCII where it has no others."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(ASCII_GUIDES).encode(encoding, "replace").decode(encoding)
    return text


def as_text(spans: Sequence[Span], left_out: int = 0) -> str:
    """The tree as plain text, without a line break at its end."""
    written = StringIO()
    console = Console(file=written, width=WIDE, color_system=None, legacy_windows=False)
    console.print(tree_of(spans, left_out), no_wrap=True)
    return "\n".join(line.rstrip() for line in written.getvalue().rstrip().split("\n"))


def tree_of(spans: Sequence[Span], left_out: int = 0) -> Tree:
    """The spans beneath their parents, in the order given; beneath the top where there is no parent."""
    top = Tree(_line(_of_totals(totals_of(spans, left_out)), most=WIDE // 2))
    nodes: dict[int | None, Tree] = {}
    highest = _highest_rungs(spans)
    for span in spans:
        node = nodes.get(span.parent, top)
        nodes[span.id] = node.add(_line(_of_span(span, climbed=span.rung < highest[span.parent])))
    if left_out:
        top.add(_line([(f"{left_out} further {_plural('span', left_out)} left out", "yellow")]))
    return top


def _highest_rungs(spans: Sequence[Span]) -> dict[int | None, int]:
    """The highest rung called beneath each parent."""
    highest: dict[int | None, int] = defaultdict(int)
    for span in spans:
        if span.kind == "call":
            highest[span.parent] = max(highest[span.parent], span.rung)
    return highest


def _of_span(span: Span, *, climbed: bool) -> list[_Part]:
    if span.kind == "call":
        return _of_call(span, climbed=climbed)
    if span.kind == "run":  # it is looked at while it goes on, more often than not
        fault = [] if span.error == NOT_FINISHED else _fault(span)
        return [(span.name, "bold"), *fault, (_seconds(span.seconds), "dim"), (span.note, "dim")]
    name = [(span.kind, "dim"), (span.name, "")]
    return [*name, *_fault(span), (_seconds(span.seconds), "dim"), (span.note, "dim")]


def _of_call(span: Span, *, climbed: bool) -> list[_Part]:
    tried = span.rungs if span.model in span.rungs else (*span.rungs, span.model)
    return [
        (" > ".join(filter(None, tried)) or "no model", "cyan"),
        ("" if span.confidence is None else f"{span.confidence:.2f}", ""),
        *(_fault(span) or [_verdict(span, climbed=climbed)]),
        (f"{span.samples} samples" if span.samples > 1 else "", ""),
        (f"{span.prompt_tokens}+{span.completion_tokens} tokens", "dim"),
        (_usd(span.usd), "dim"),
        (_joules(span.joules), "dim"),
        (_seconds(span.seconds), "dim"),
        (span.why, ""),
        (span.note, "dim"),
    ]


def _verdict(span: Span, *, climbed: bool) -> _Part:
    if span.accepted:
        return "accepted", "green"
    return ("climbed", "yellow") if climbed else ("not accepted", "yellow")


def _fault(span: Span) -> list[_Part]:
    if span.error is None:
        return []
    return [(span.error, "yellow" if span.error == NOT_FINISHED else "red")]


def _of_totals(totals: Totals) -> list[_Part]:
    models = ", ".join(f"{model} {calls}" for model, calls in totals.models.items())
    parts = [
        _counted(totals.calls, "call") + (f" ({models})" if models else ""),
        _counted(totals.tool_calls, "tool call") if totals.tool_calls else "",
        _counted(totals.escalations, "escalation"),
        _counted(totals.tokens, "token"),
        _usd(totals.usd),
        _joules(totals.joules),
        _seconds(totals.seconds),
    ]
    return [(part, "bold") for part in parts]


def _line(parts: Iterable[_Part], most: int = MOST_SHOWN) -> Text:
    """The parts that say something, two spaces between them, none longer than `most`."""
    said = [(_plain(text, most), style) for text, style in parts if text]
    return Text("  ").join([Text(text, style) for text, style in said])


def _plain(text: str, most: int) -> str:
    """On one line, bounded, and without what a terminal would obey."""
    seen = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return seen if len(seen) <= most else seen[: most - 3] + "..."


def _counted(count: int, noun: str) -> str:
    return f"{count} {_plural(noun, count)}"


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def _usd(usd: float) -> str:
    return "$" + f"{usd:.8f}".rstrip("0").rstrip(".")


def _joules(joules: float | None) -> str:
    return "" if joules is None else f"{joules:.2f} J"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s"
