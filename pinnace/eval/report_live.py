"""The sections of a matrix in a report: all suites in one, then each with its figures."""

from collections.abc import Iterable, Mapping
from typing import Any

from pinnace.eval.figures.drawing import draw_figures
from pinnace.eval.figures.live import MATRIX, SUITE
from pinnace.eval.report_html import cell, figure, flat, lead, pairs, row, table, text
from pinnace.eval.report_page import Section
from pinnace.eval.report_words import decimals, interval, number

Report = Mapping[str, Any]
PLACES = 3
COVERAGES = ("coverage_90", "coverage_95", "coverage_97")


def matrix_section(at: int, report: Report) -> Section:
    """The section of one table.

    :param at: its number on the page.
    """
    return Section(
        str(report["table"]),
        [
            lead(" ".join(_gains(report))),
            *(figure(f"t{at}", drawing) for drawing in draw_figures(report, MATRIX)),
            _overview(report),
            _routes(report),
            *(
                piece
                for number_, (name, suite) in enumerate(report["suites"].items())
                for piece in _suite(f"t{at}s{number_}", name, suite, report)
            ),
            _making(report),
        ],
    )


def _gains(report: Report) -> Iterable[str]:
    """A sentence for each model's gain over the reference, over all suites."""
    for model, figures in report["overall"].items():
        value, low, high = flat(figures, "gain")
        if value is None or low is None or high is None:
            continue
        points = f"{number(100 * abs(value), 1)} points ({interval(100 * low, 100 * high, 1)})"
        if low <= 0 <= high:
            yield f"{model} is not distinguishable from {report['reference']}: the difference is {points}."
        else:
            side = "above" if value > 0 else "below"
            yield f"{model} is {side} {report['reference']} by {points}, the mean of all suites."


def _overview(report: Report) -> str:
    """Accuracies: a row per suite, a column per model."""
    body = [
        row(name, (_accuracy(suite["models"].get(model)) for model in report["models"]))
        for name, suite in report["suites"].items()
    ]
    if len(body) > 1:
        overall = (_accuracy(report["overall"].get(model)) for model in report["models"])
        body.append(row("mean of suites", overall, is_ours=True))
    return table("Accuracy, with 95 % intervals", ["suite", *map(str, report["models"])], body)


def _accuracy(figures: Mapping[str, Any] | None) -> str:
    return cell(flat(figures, "accuracy"), PLACES) if figures else "<td>–</td>"


def _routes(report: Report) -> str:
    body = (
        row(
            name,
            [
                f"<td>{route['rows']:,}</td><td>{number(route['escalated'], PLACES)}</td>",
                f"<td>{_shares(route['shares'])}</td>",
            ],
        )
        for name, route in report["routes"].items()
    )
    return table("Routes", ["asked of auto", "rows", "escalated", "answered by"], body)


def _shares(shares: Mapping[str, float]) -> str:
    return text(", ".join(f"{model} {share:.1%}" for model, share in shares.items()))


def _suite(prefix: str, name: str, suite: Report, report: Report) -> Iterable[str]:
    """The pictures and the table of one suite."""
    shown: dict[str, Any] = {"labels": report["labels"], "kinds": report["kinds"], "methods": {}, **suite}
    has_scope = bool(suite["out_of_scope"])
    heads = ["model", "rows", "accuracy", f"over {report['reference']}", "AUROC"]
    heads += [f"kept at {coverage.rpartition('_')[2]} %" for coverage in COVERAGES]
    heads += (["AUROC of scope"] if has_scope else []) + ["USD per 1,000", "tokens in", "tokens out"]
    usd = decimals(*(figures["usd_per_1k"] for figures in suite["models"].values()))
    names = ["accuracy", "gain", "auroc", *COVERAGES, *(["scope_auroc"] if has_scope else [])]
    body = (
        row(
            model,
            [
                f"<td>{figures['rows']:,}</td>",
                *(cell(flat(figures, figure_), PLACES) for figure_ in names),
                f"<td>{number(figures['usd_per_1k'], usd)}</td>",
                f"<td>{number(figures['prompt_tokens'], 0)}</td>",
                f"<td>{number(figures['completion_tokens'], 1)}</td>",
            ],
            is_ours=report["kinds"].get(model) == "ours",
        )
        for model, figures in suite["models"].items()
    )
    yield table(name, heads, body)
    yield from (figure(prefix, drawing) for drawing in draw_figures(shown, SUITE))


def _making(report: Report) -> str:
    """How the figures came about."""
    facts = {
        "rows": f"{report['rows']:,}",
        "gains over": report["reference"],
        "bootstrap draws": f"{report['draws']:,}, of prompts",
        "seed": report["seed"],
    }
    return pairs("How it was made", ((name, str(said)) for name, said in facts.items()))
