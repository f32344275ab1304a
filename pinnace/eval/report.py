"""Writes a report: `report.html`, one page that needs nothing beside it, and `figures.json`, every figure in
it.

The page is for people, the JSON for programs: `format`, `pinnace` (the version), `command` and `tables`, one
entry per table: a replay (`pinnace.eval.replay_json`, `report_parts`), a published protocol
(`pinnace.eval.protocols`), a gate (`pinnace.eval.gate_report`, `gate_parts`) or a matrix
(`pinnace.eval.matrix`, `matrix_parts`); what is not defined is null.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np

from pinnace.eval.report_gated import gate_section
from pinnace.eval.report_live import matrix_section
from pinnace.eval.report_page import Section, page
from pinnace.eval.report_replay import protocol_section, replay_section

FORMAT = 1
PAGE, FIGURES = "report.html", "figures.json"
ROUTING, GATE = "Routing, replayed on recorded outcomes", "The gate, measured on recorded answers"
LIVE = "Models and routes, measured live"


def write_report(reports: Sequence[Mapping[str, Any]], folder: Path, *, command: str | None = None) -> None:
    """Write the page and the JSON into `folder`, each beside its place and then renamed.

    The same figures give the same bytes.

    :param reports: one per table; NaN stands for not defined.
    :param command: what made the figures, as it would be typed; it is shown.
    :raises PinnaceError: when matplotlib is not installed (the extra `report`).
    """
    tables = [cast(Mapping[str, Any], _plain(report)) for report in reports]
    sections = [_section(at, table) for at, table in enumerate(tables, start=1)]
    ours = version("pinnace")
    made = {"format": FORMAT, "pinnace": ours, "command": command, "tables": tables}
    figures = json.dumps(made, ensure_ascii=False, allow_nan=False, indent=1)
    html = page(sections, heading=_heading(tables), version=ours, command=command)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / FIGURES, figures + "\n")
    _write(folder / PAGE, html)


def _heading(tables: Sequence[Mapping[str, Any]]) -> str:
    if all(_is_matrix(table) for table in tables):
        return LIVE
    return GATE if all(_is_gate(table) for table in tables) else ROUTING


def _section(at: int, table: Mapping[str, Any]) -> Section:
    if _is_matrix(table):
        return matrix_section(at, table)
    if _is_gate(table):
        return gate_section(at, table)
    return protocol_section(at, table) if "protocol" in table else replay_section(at, table)


def _is_matrix(table: Mapping[str, Any]) -> bool:
    return "suites" in table


def _is_gate(table: Mapping[str, Any]) -> bool:
    return "judged_by" in table


def _plain(value: Any) -> Any:
    """The value with Python's own numbers, and None for what is not a number."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast(Sequence[Any], value)]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
