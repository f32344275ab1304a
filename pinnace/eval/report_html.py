"""Pieces of a report's page as HTML text: tables, pairs, figures, and foreign text made harmless.

Names, labels and whatever else comes from a table are foreign text: escaped, always. Knows no report.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from pinnace.eval.figures.drawing import Drawing
from pinnace.eval.report_words import interval, number

Triple = tuple[float | None, float | None, float | None]
"""A figure and the ends of its interval."""
NONE: Triple = (None, None, None)
_ID = re.compile(r'(\bid="|url\(#|href="#)')
_NAMESPACES = re.compile(r'\sxmlns(?::\w+)?="[^"]*"')


def text(foreign: object) -> str:
    """Foreign text, fit for a page: escaped, and without control characters."""
    return escape("".join(c if c.isprintable() else " " for c in str(foreign)), quote=True)


def lead(sentences: str) -> str:
    """A paragraph that says the most important; nothing where there is nothing to say."""
    return f'<p class="lead">{text(sentences)}</p>' if sentences else ""


def table(heading: str, heads: Sequence[str], body: Iterable[str]) -> str:
    """A table under a heading; nothing where it has no rows.

    :param body: rows of HTML.
    """
    rows = "".join(body)
    if not rows:
        return ""
    row = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    return (
        f'<h3>{text(heading)}</h3><div class="wide"><table><thead><tr>{row}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def row(name: object, cells: Iterable[str], *, is_ours: bool = False) -> str:
    """A row of a table: what it is about, then cells of HTML."""
    opening = '<tr class="ours">' if is_ours else "<tr>"
    return f"{opening}<td>{text(name)}</td>{''.join(cells)}</tr>"


def cell(figure: Triple, places: int) -> str:
    """A cell with a figure, and its interval where it has one."""
    ends = interval(*figure[1:], places)
    return (
        f"<td>{number(figure[0], places)}"
        + (f'<span class="interval">{ends}</span>' if ends else "")
        + "</td>"
    )


def flat(figures: Mapping[str, Any], name: str) -> Triple:
    """A figure that lies beside its ends: `name`, `name_low`, `name_high`."""
    return figures.get(name), figures.get(f"{name}_low"), figures.get(f"{name}_high")


def pairs(heading: str, said: Iterable[tuple[str, str]]) -> str:
    """Names and what is said of each, under a heading; nothing where there are none."""
    body = "".join(f"<dt>{text(name)}</dt><dd>{text(words)}</dd>" for name, words in said)
    return f"<h3>{text(heading)}</h3><dl>{body}</dl>" if body else ""


def figure(prefix: str, drawing: Drawing) -> str:
    """A picture with its title and its caption, which is also what a screen reader is told.

    :param prefix: makes the ids in it unlike those of other pictures.
    """
    name = f"{prefix}-{drawing.name}"
    picture = inlined(drawing.svg, name, drawing.title, f"{name}-caption")
    said = f'<figcaption id="{name}-caption">{text(drawing.caption)}</figcaption>'
    return f"<h3>{text(drawing.title)}</h3><figure>{picture}{said}</figure>"


def inlined(svg: str, prefix: str, label: str, described_by: str) -> str:
    """An SVG file's text as part of a page: no prologue, and ids that no other figure has."""
    body = _NAMESPACES.sub("", svg[svg.index("<svg") :]).replace("xlink:href", "href").strip()
    body = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", body, count=2)
    body = _ID.sub(rf"\g<1>{prefix}-", body)
    told = f'role="img" aria-label="{text(label)}" aria-describedby="{described_by}"'
    return body.replace("<svg", f"<svg {told}", 1)
