"""The section of a replay, or of a published protocol, in a report: pictures, then every figure in tables."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pinnace.eval.figures.drawing import draw_figures
from pinnace.eval.figures.sketches import PROTOCOL, REPLAY
from pinnace.eval.report_html import NONE, Triple, cell, figure, flat, lead, pairs, row, table, text
from pinnace.eval.report_page import Section
from pinnace.eval.report_words import HEADLINES, decimals, differences, number, title

Report = Mapping[str, Any]
PER = 1000


def replay_section(at: int, report: Report) -> Section:
    """The section of one replayed table.

    :param at: its number on the page.
    """
    pictures = [figure(f"t{at}", drawing) for drawing in draw_figures(report, REPLAY)]
    return Section(
        str(report["table"]),
        [
            lead(" ".join(differences(report))),
            *pictures,
            _methods(report),
            *_tables(report),
            _making(report),
        ],
    )


def protocol_section(at: int, report: Report) -> Section:
    """The section of one protocol; with the pictures of the replay where it was read off one."""
    done: Report = report.get("replay") or {}
    drawings = [*draw_figures(report, PROTOCOL), *(draw_figures(done, REPLAY) if done else ())]
    published: Mapping[str, Any] = report.get("published") or {}
    return Section(
        f"{report['table']}: protocol {report['protocol']}",
        [
            lead(str(report.get("note", ""))),
            lead(" ".join(differences(done)) if done else ""),
            *(figure(f"t{at}", drawing) for drawing in drawings),
            _methods(report),
            pairs("Published", ((name, str(said)) for name, said in published.items())),
            *(_tables(done) if done else ()),
            _making({**done, **report}),
        ],
    )


def _tables(report: Report) -> list[str]:
    """What a replay tells beside its methods."""
    meanings: Mapping[str, Any] = report.get("normalisation") or {}
    said = ((title(name), str(meaning)) for name, meaning in meanings.items())
    return [pairs("What each figure means", said), _singles(report), _clusters(report)]


def _methods(report: Report) -> str:
    """Every method and every figure that any of them has."""
    labels: Mapping[str, str] = report.get("labels") or {}
    kinds: Mapping[str, str] = report.get("kinds") or {}
    rows = [
        (
            str(method.get("label", labels.get(name, name))),
            method.get("kind", kinds.get(name)) == "ours",
            _figures(method),
        )
        for name, method in report["methods"].items()
    ]
    rows.sort(key=lambda each: -(each[2].get("area", each[2].get("average", NONE))[0] or 0.0))
    every = (name for _, _, figures in rows for name, each in figures.items() if each[0] is not None)
    places = {name: decimals(*(figures.get(name, NONE)[0] for _, _, figures in rows)) for name in every}
    body = (
        row(label, (cell(figures.get(name, NONE), wide) for name, wide in places.items()), is_ours=is_ours)
        for label, is_ours, figures in rows
    )
    return table("All figures, with 95 % intervals", ["method", *map(title, places)], body)


def _figures(method: Mapping[str, Any]) -> dict[str, Triple]:
    """Value, low and high of each figure: headlines lie flat in a method, the others under `metrics`.

    In a protocol, which has no `metrics`, all figures stand in the method itself.
    """
    found = {name: flat(method, name) for name in HEADLINES if not isinstance(method.get(name), Mapping)}
    nested: Mapping[str, Any] = method.get("metrics", method)
    for name, each in nested.items():
        if isinstance(each, Mapping) and "value" in each:
            known = cast(Mapping[str, Any], each)
            found[name] = (known["value"], known.get("low"), known.get("high"))
    return found


def _singles(report: Report) -> str:
    singles: Mapping[str, Mapping[str, float | None]] = report.get("singles") or {}
    costs = [None if each["cost"] is None else PER * each["cost"] for each in singles.values()]
    places = decimals(min((cost for cost in costs if cost), default=None))
    body = (
        row(model, (f"<td>{number(cost, places)}</td>", f"<td>{number(each['quality'])}</td>"))
        for (model, each), cost in zip(singles.items(), costs, strict=True)
    )
    return table("Single models", ["model", "USD per 1,000 requests", "quality, points of 100"], body)


def _clusters(report: Report) -> str:
    clusters: Sequence[Mapping[str, Any]] = report.get("clusters") or ()
    body = (
        f'<tr><td>{n}</td><td class="text">{text(each["label"])}</td><td>{each["rows"]:,}</td>'
        f'<td>{number(100 * each["share"], 1)} %</td><td class="text">{text(each["best_small"])}</td>'
        f"<td>{number(each.get('best_small_quality'), 1)}</td><td>{number(each.get('large_quality'), 1)}</td>"
        f"{cell(flat(each, 'gain'), 1)}</tr>"
        for n, each in enumerate(clusters, start=1)
    )
    heads = ["", "cluster", "rows", "share", "best small model", "its quality", "large model's", "gain"]
    return table("Clusters", heads, body)


def _making(report: Report) -> str:
    """How the figures came about."""
    dropped: Mapping[str, int] = report.get("dropped") or {}
    facts = {
        "rows": f"{report['rows']:,}" if "rows" in report else None,
        "rows left out": "; ".join(f"{rows:,} {reason}" for reason, rows in dropped.items() if rows),
        "splits": f"{report['seeds']}" if "seeds" in report else None,
        "share learnt from": f"{report['train_share']:.0%}" if "train_share" in report else None,
        "test rows": ", ".join(f"{rows:,}" for rows in report.get("test_rows") or ()),
        "bootstrap draws": f"{report['draws']:,}" if "draws" in report else None,
        "small models": ", ".join(report.get("small") or ()),
        "large model": report.get("large"),
    }
    return pairs("How it was made", ((name, str(said)) for name, said in facts.items() if said))
