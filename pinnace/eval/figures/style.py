"""How every figure looks: sizes, colours, type; from a figure to SVG text that is the same each time.

Here alone matplotlib is imported, late: it is an extra. Letters are drawn as paths, so that a figure looks
alike where the font is not installed. One point of the canvas is one typographic point.
"""

import importlib
import io
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, Literal

from pinnace.errors import PinnaceError

WIDTH = 6.9
"""Inches: the text width of most two-column papers."""
TEXT, SMALL = 8.5, 7.5
"""Points."""
FONT = "DejaVu Sans"
"""It comes with matplotlib."""
INK, MUTED, FAINT = "#1a1a1a", "#5f6368", "#d9dce1"
OURS, FOREIGN, CONTROL, BOUND = "#0060a8", "#a8327d", "#6b7075", "#1a1a1a"
PEERS = ("#d55e00", "#009e73", "#cc79a7", "#b8860b", "#3aa6dd", "#7a4fb5")
"""After Okabe and Ito, darkened where thin lines on white need it."""
DASHES = ("-", (0, (6, 1.5)), (0, (3, 1, 1, 1)))
"""Peers beyond the colours come round again in the next kind of line."""

_RC: Mapping[str, Any] = {
    "font.family": FONT,
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "axes.titlesize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "path",
    "svg.hashsalt": "pinnace",
    "figure.dpi": 72,
    "savefig.dpi": 72,
    "path.simplify": False,
}


def matplotlib_part(name: str) -> Any:
    """A module of matplotlib.

    :raises PinnaceError: when it is not installed; names the extra.
    """
    try:
        return importlib.import_module(f"matplotlib.{name}" if name else "matplotlib")
    except ImportError as error:
        raise PinnaceError(f"a report needs pinnace[report]: {error}") from error


@contextmanager
def styled() -> Generator[None]:
    """Within it all that is drawn and written has the style, whatever the user's own settings."""
    with matplotlib_part("").rc_context():
        matplotlib_part("").rcdefaults()
        matplotlib_part("").rcParams.update(_RC)
        yield


def new_figure(height: float, width: float = WIDTH) -> Any:
    """An empty figure; sizes in inches."""
    return matplotlib_part("figure").Figure(figsize=(width, height))


def add_axes(figure: Any, left: float, bottom: float, width: float, height: float) -> Any:
    """Axes at a place given in inches from the lower left corner."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def svg_text(figure: Any) -> str:
    """The figure as a standalone SVG file: the same text for the same figure, with no date in it."""
    page = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(page, format="svg", metadata=nothing)
    return re.sub(r"<!--.*?-->", "", page.getvalue(), flags=re.DOTALL)


@lru_cache(4096)
def text_width(text: str, size: float = SMALL, weight: Literal["normal", "bold"] = "normal") -> float:
    """Width in points, as the font has it."""
    font = matplotlib_part("font_manager").FontProperties(family=FONT, weight=weight, size=size)
    return float(matplotlib_part("textpath").text_to_path.get_text_width_height_descent(text, font, False)[0])


def is_drawable(text: str) -> bool:
    """Whether the font has every character."""
    return all(ord(character) in _known_characters() for character in text)


@cache
def _known_characters() -> frozenset[int]:
    manager = matplotlib_part("font_manager")
    return frozenset(manager.get_font(manager.findfont(FONT)).get_charmap())


def drawable(text: str, limit: float = 1000.0, size: float = SMALL) -> str:
    """One line of characters that the font has, cut to `limit` points of width with an ellipsis."""
    line = " ".join(text.split())
    line = "".join(
        character if is_drawable(character) else "?" for character in line if character.isprintable()
    )
    if text_width(line, size) <= limit:
        return line
    while line and text_width(line + "…", size) > limit:
        line = line[:-1]
    return line.rstrip(" ,") + "…"


def short_names(models: Sequence[str]) -> dict[str, str]:
    """Each model's name without its organisation, where the names still differ without them."""
    tails = {model: model.rsplit("/", 1)[-1] for model in models}
    return tails if len(set(tails.values())) == len(tails) else {model: model for model in models}
