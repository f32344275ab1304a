"""A report's figures as SVG text, with what they show in words; how they look is `style`'s, where they stand
the page's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pinnace.eval.figures.style import styled, svg_text

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sketch:
    """A figure that may be drawn: its name, title, caption, and what draws it, or gives None."""

    name: str
    title: str
    caption: str
    draw: Callable[[Report], Any]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure as a standalone SVG file's text, its name, its title and its caption."""

    name: str
    title: str
    caption: str
    svg: str


def draw_figures(report: Report, sketches: Sequence[Sketch]) -> tuple[Drawing, ...]:
    """Every one of the figures that the report has values for.

    :param report: one table's figures, as plain values.
    :raises PinnaceError: when matplotlib is not installed.
    """
    with styled():
        return tuple(
            Drawing(sketch.name, sketch.title, sketch.caption, svg_text(figure))
            for sketch in sketches
            if (figure := sketch.draw(report)) is not None
        )
