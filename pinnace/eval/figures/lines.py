"""The line of each method, the same in every figure of a report; and the letters of panels."""

from collections.abc import Mapping
from typing import Any

from pinnace.eval.figures.style import BOUND, CONTROL, DASHES, FOREIGN, OURS, PEERS

BLIND = "content_blind"
KINDS: Mapping[str, Mapping[str, Any]] = {
    "ours": {"color": OURS, "linestyle": "-", "linewidth": 2.2, "zorder": 5},
    "control": {"color": CONTROL, "linestyle": (0, (4, 2)), "linewidth": 1.3, "zorder": 4},
    "bound": {"color": BOUND, "linestyle": (0, (1, 1.6)), "linewidth": 1.3, "zorder": 2},
    "foreign": {"color": FOREIGN, "linestyle": (0, (5, 1, 1, 1)), "linewidth": 1.5, "zorder": 4},
}


def line_styles(kinds: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The line of each method: by its kind, and peers in the order in which they come."""
    styles: dict[str, dict[str, Any]] = {}
    peers = 0
    for name, kind in kinds.items():
        if kind == "peer":
            color, dash = PEERS[peers % len(PEERS)], DASHES[peers // len(PEERS) % len(DASHES)]
            styles[name] = {"color": color, "linestyle": dash, "linewidth": 1.1, "zorder": 3}
            peers += 1
        else:
            thin = {"linewidth": 0.9} if kind == "control" and name != BLIND else {}
            styles[name] = {**KINDS[kind], **thin}
    return styles


def put_letter(axes: Any, letter: str, what: str) -> None:
    """Write over a panel which one it is, and what it shows."""
    over = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(letter, (0, 1), (0, 6), **over, weight="bold")
    axes.annotate(what, (0, 1), (11, 6), **over)
