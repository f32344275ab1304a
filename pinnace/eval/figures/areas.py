"""Every method side by side: the two headlines of a replay, or all figures of a protocol."""

from collections.abc import Mapping
from typing import Any

from pinnace.eval.figures.dots import Panel, draw_dots
from pinnace.eval.report_words import HEADLINES, title, unit

Report = Mapping[str, Any]
AVERAGE = "average"


def draw_areas(report: Report) -> Any:
    """The headlines of a replay, best area on top; None where no method has one."""
    methods = _by(report["methods"], "area", "small_accuracy")
    panels = [
        Panel(key, words, unit(key))
        for key, words in HEADLINES.items()
        if any(m.get(key) is not None for m in methods.values())
    ]
    return draw_dots(methods, panels, len(panels)) if panels else None


def draw_protocol(report: Report) -> Any:
    """All figures of a protocol; best average on top, or best first figure where there is none."""
    names = list(next(iter(report["methods"].values())))
    beside: Mapping[str, Mapping[str, Any]] = report.get("beside") or {}
    methods = {name: _flat(report, name) for name in report["methods"]}
    panels = [
        Panel(name, title(name), unit(name), beside.get(name, {}).get("value"))
        for name in names
        if any(method.get(name) is not None for method in methods.values())
    ]
    if not panels:
        return None
    columns = 4 if len(panels) > 6 else 3 if len(panels) > 4 else 2
    return draw_dots(_by(methods, AVERAGE if AVERAGE in names else names[0]), panels, columns)


def _flat(report: Report, name: str) -> dict[str, Any]:
    """One method of a protocol as a replay has it: figures beside their ends."""
    labels: Mapping[str, str] = report.get("labels") or {}
    kinds: Mapping[str, str] = report.get("kinds") or {}
    flat: dict[str, Any] = {"label": labels.get(name, name), "kind": kinds.get(name, "peer")}
    for figure, found in report["methods"][name].items():
        flat |= {figure: found["value"], f"{figure}_low": found["low"], f"{figure}_high": found["high"]}
    return flat


def _by(methods: Mapping[str, Mapping[str, Any]], *keys: str) -> dict[str, Mapping[str, Any]]:
    """Best first by the first key; those without it by the next, last."""

    def rank(item: tuple[str, Mapping[str, Any]]) -> tuple[int, float]:
        known = [(place, item[1][key]) for place, key in enumerate(keys) if item[1].get(key) is not None]
        place, value = known[0] if known else (len(keys), 0.0)
        return place, -value

    return dict(sorted(methods.items(), key=rank))
