"""The section of a gate in a report: pictures, then its figures, its tasks, its cascade and its drift."""

from collections.abc import Mapping, Sequence
from typing import Any

from pinnace.eval.figures.drawing import draw_figures
from pinnace.eval.figures.sketches import GATE
from pinnace.eval.report_html import cell, figure, flat, lead, pairs, row, table
from pinnace.eval.report_page import Section
from pinnace.eval.report_words import interval, number, title

Report = Mapping[str, Any]
METRICS = ("auroc", "brier", "ece", "aurc", "excess_aurc", "coverage_80", "coverage_90", "coverage_95")
AGAINST: Mapping[str, str] = {
    "auroc_over_mean_logprob": "the mean log-probability",
    "auroc_over_estimate": "the router's estimate before the answer",
}
PLACES = 3


def gate_section(at: int, report: Report) -> Section:
    """The section of one judged model.

    :param at: its number on the page.
    """
    return Section(
        f"{report['table']}: {report['model']}, {report['stage']} answers",
        [
            lead(" ".join(_differences(report))),
            *(figure(f"t{at}", drawing) for drawing in draw_figures(report, GATE)),
            _methods(report),
            _tasks(report),
            _cascade(report),
            _drift(report),
            _making(report),
        ],
    )


def _differences(report: Report) -> list[str]:
    """A sentence for the gate's AUROC beside each of the others."""
    sentences: list[str] = []
    for key, against in AGAINST.items():
        value, low, high = flat(report, key)
        if value is None or low is None or high is None:
            continue
        if low <= 0 <= high:
            said = f"not distinguishable from that of {against}: the difference is {number(value, PLACES)}"
        else:
            said = f"{'above' if value > 0 else 'below'} that of {against} by {number(abs(value), PLACES)}"
        ends = (low, high) if value > 0 or low <= 0 <= high else (-high, -low)
        sentences.append(f"The gate's AUROC is {said} ({interval(*ends, PLACES)}).")
    return sentences


def _methods(report: Report) -> str:
    body = (
        row(
            report["labels"].get(name, name),
            (cell(flat(figures, metric), PLACES) for metric in METRICS),
            is_ours=report["kinds"].get(name) == "ours",
        )
        for name, figures in report["methods"].items()
    )
    return table("All figures, with 95 % intervals", ["confidence", *map(title, METRICS)], body)


def _tasks(report: Report) -> str:
    heads = ["task", "rows", "right", "AUROC", *(f"over {each}" for each in AGAINST.values()), "Brier", "ECE"]
    body = (
        row(
            task,
            [
                f"<td>{each['rows']:,}</td><td>{number(each['accuracy'], PLACES)}</td>",
                cell(flat(each["methods"]["gate"], "auroc"), PLACES),
                *(cell(flat(each, key), PLACES) for key in AGAINST),
                *(cell(flat(each["methods"]["gate"], metric), PLACES) for metric in ("brier", "ece")),
            ],
        )
        for task, each in report["tasks"].items()
    )
    return table("The gate, task by task", heads, body)


def _cascade(report: Report) -> str:
    cascade: Mapping[str, Any] = report.get("cascade") or {}
    points: Sequence[Mapping[str, Any]] = cascade.get("points") or ()
    keys = ("escalation_gain", "regressions", "adverse_selection_tax")
    body = (
        row(
            f"{each['share']:.0%}",
            [
                *(f"<td>{number(each[key], PLACES)}</td>" for key in ("accuracy", "blind_accuracy")),
                cell(flat(each, "over_blind"), PLACES),
                *(f"<td>{number(each[key], PLACES)}</td>" for key in keys),
            ],
        )
        for each in points
    )
    heads = ["escalated", "accuracy", "content-blind", "over blind", *map(title, keys)]
    return table("The cascade", heads, body)


def _drift(report: Report) -> str:
    drift: Mapping[str, Any] = report.get("drift") or {}
    keys = ("distance", "bound", "fitted_median", "live_median")
    features: Mapping[str, Any] = drift.get("features") or {}
    body = (
        row(name, (f"<td>{number(each[key], PLACES)}</td>" for key in keys))
        for name, each in features.items()
    )
    return table("Drift from what was fitted", ["evidence", *map(title, keys)], body)


def _making(report: Report) -> str:
    """How the figures came about."""
    cascade: Mapping[str, Any] = report.get("cascade") or {}
    facts = {
        "judged by": report["judged_by"],
        "rows": f"{report['rows']:,}",
        "right": f"{report['accuracy']:.3f}",
        "escalated to": f"{report['large']}, on {cascade['rows']:,} rows" if cascade else None,
        "bootstrap draws": f"{report['draws']:,}, of prompts",
        "seed": str(report["seed"]),
    }
    return pairs("How it was made", ((name, str(said)) for name, said in facts.items() if said))
