"""The report of pipelines: the page of a live run, and on it every step of every pipeline.

Writes the two files that `pinnace.eval.report` writes: `report.html` and `figures.json`, the second with the
key `pipeline` (`pinnace.eval.pipeline_figures`) beside those of a matrix.
"""

import json
import os
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from pinnace.eval.matrix import matrix_of
from pinnace.eval.matrix_parts import matrix_parts
from pinnace.eval.report import FIGURES, FORMAT, PAGE
from pinnace.eval.report_html import cell, flat, row, table, text
from pinnace.eval.report_live import matrix_section
from pinnace.eval.report_page import Section, page
from pinnace.eval.report_words import decimals, number
from pinnace.eval.table import OutcomeTable

HEADING, STEPS = "Pipelines, measured live", "Step by step"
PLACES = 3
HEADS = (
    "pipeline and step",
    "runs",
    "asks per run",
    "accuracy",
    "over {}",
    "USD per 1,000",
    "J",
    "seconds",
    "calls",
    "escalations",
    "confidence",
    "answered by",
)
Report = Mapping[str, Any]


def write_pipeline_report(
    outcomes: OutcomeTable, figures: Report, folder: Path, *, name: str, command: str
) -> None:
    """Write the page and the JSON into `folder`, each beside its place and then renamed.

    :param figures: of `outcomes`.
    :param name: what the table is called.
    :param command: what made it, as it would be typed; it is shown.
    :raises PinnaceError: when matplotlib is not installed (the extra `report`).
    :raises TableError: when nothing has a score.
    """
    told = {"table": name, **matrix_parts(matrix_of(outcomes), outcomes), "pipeline": figures}
    report = cast(Report, json.loads(json.dumps(told), parse_constant=_nothing))
    sections = [matrix_section(1, report), steps_section(report["pipeline"])]
    ours = version("pinnace")
    made = {"format": FORMAT, "pinnace": ours, "command": command, "tables": [report]}
    html = page(sections, heading=HEADING, version=ours, command=command)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / FIGURES, json.dumps(made, ensure_ascii=False, indent=1) + "\n")
    _write(folder / PAGE, html)


def steps_section(figures: Report) -> Section:
    """Every pipeline whole, and beneath it its steps; None stands for what is not defined."""
    heads = [head.format(figures["reference"]) for head in HEADS]
    return Section(STEPS, [table("What each took, per run", heads, _rows(figures))])


def _rows(figures: Report) -> Iterable[str]:
    for name, whole in figures["variants"].items():
        usd = decimals(whole["usd_per_1k"])
        yield row(name, _cells(whole, usd), is_ours=True)
        for step, took in whole["steps"].items():
            yield row(f"· {step}", _cells(took, usd))


def _cells(found: Report, usd: int) -> Iterable[str]:
    yield f"<td>{found['runs']:,}</td>"
    yield f"<td>{number(found.get('asks'), 2)}</td>"
    yield cell(flat(found, "accuracy"), PLACES)
    yield cell(flat(found, "gain"), PLACES)
    yield f"<td>{number(found['usd_per_1k'], usd)}</td>"
    for name in ("joules", "seconds", "calls", "escalations", "confidence"):
        yield f"<td>{number(found[name], 2)}</td>"
    shares = ", ".join(f"{model} {share:.1%}" for model, share in found["shares"].items())
    yield f'<td class="text">{text(shares)}</td>'


def _nothing(constant: str) -> None:
    """What stands in JSON for a number that it does not have."""


def _write(path: Path, content: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(content, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
