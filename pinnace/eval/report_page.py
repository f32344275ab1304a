"""The page of a report: one HTML text with all its styles and pictures in it, and no script.

Names, labels and whatever else comes from a table are foreign text: escaped, always. Knows nothing of files.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any, cast

from pinnace.eval.figures.drawing import Drawing
from pinnace.eval.report_words import HEADLINES, decimals, differences, interval, number, title

Report = Mapping[str, Any]
PER = 1000
Triple = tuple[float | None, float | None, float | None]
NONE: Triple = (None, None, None)
STYLE = files("pinnace.eval") / "report.css"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_ID = re.compile(r'(\bid="|url\(#|href="#)')
_NAMESPACES = re.compile(r'\sxmlns(?::\w+)?="[^"]*"')


def page(
    reports: Sequence[Report], drawings: Sequence[Sequence[Drawing]], *, version: str, command: str | None
) -> str:
    """The whole page, the same text for the same figures.

    :param drawings: the figures of each report, in the order of the reports.
    :param command: what made the report, as it would be typed.
    """
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<title>Pinnace: routing replayed</title>",
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body>",
        "<h1>Routing, replayed on recorded outcomes</h1>",
        _contents(reports) if len(reports) > 1 else "",
        *(
            _section(number, report, drawn, version, command)
            for number, (report, drawn) in enumerate(zip(reports, drawings, strict=True), start=1)
        ),
        "</body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def inlined(svg: str, prefix: str, label: str) -> str:
    """An SVG file's text as part of a page: no prologue, and ids that no other figure has."""
    body = _NAMESPACES.sub("", svg[svg.index("<svg") :]).replace("xlink:href", "href").strip()
    body = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", body, count=2)
    body = _ID.sub(rf"\g<1>{prefix}-", body)
    return body.replace("<svg", f'<svg role="img" aria-label="{_text(label)}"', 1)


def _section(
    number: int, report: Report, drawings: Sequence[Drawing], version: str, command: str | None
) -> str:
    parts = [f'<section id="table-{number}"><h2>{_text(_heading(report))}</h2>']
    if report.get("note"):
        parts.append(f'<p class="lead">{_text(report["note"])}</p>')
    sentences = differences(report)
    if sentences:
        parts.append(f'<p class="lead">{_text(" ".join(sentences))}</p>')
    parts += [_figure(number, drawing) for drawing in drawings]
    parts += [
        _methods(report),
        _published(report),
        _normalisation(report),
        _singles(report),
        _clusters(report),
    ]
    return "\n".join([*parts, _making(report, version, command), "</section>"])


def _contents(reports: Sequence[Report]) -> str:
    links = (
        f'<li><a href="#table-{number}">{_text(_heading(report))}</a></li>'
        for number, report in enumerate(reports, start=1)
    )
    return f"<ol>{''.join(links)}</ol>"


def _heading(report: Report) -> str:
    protocol = report.get("protocol")
    return f"{report['table']}: protocol {protocol}" if protocol else str(report["table"])


def _figure(number: int, drawing: Drawing) -> str:
    picture = inlined(drawing.svg, f"t{number}-{drawing.name}", drawing.title)
    said = f"<figcaption>{_text(drawing.caption)}</figcaption>"
    return f"<h3>{_text(drawing.title)}</h3><figure>{picture}{said}</figure>"


def _methods(report: Report) -> str:
    """Every method and every figure that any of them has."""
    rows = [
        (str(method.get("label", name)), method.get("kind") == "ours", _figures(method))
        for name, method in report["methods"].items()
    ]
    rows.sort(key=lambda row: -(row[2].get("area", NONE)[0] or 0.0))
    every = (name for _, _, figures in rows for name, each in figures.items() if each[0] is not None)
    places = {name: decimals(*(figures.get(name, NONE)[0] for _, _, figures in rows)) for name in every}
    body = (
        ('<tr class="ours">' if is_ours else "<tr>")
        + f"<td>{_text(label)}</td>"
        + "".join(_cell(figures.get(name, NONE), wide) for name, wide in places.items())
        + "</tr>"
        for label, is_ours, figures in rows
    )
    return _table("All figures, with 95 % intervals", ["method", *map(title, places)], body)


def _figures(method: Mapping[str, Any]) -> dict[str, Triple]:
    """Value, low and high of each figure: headlines lie flat in a method, the others under `metrics`.

    In a protocol, which has no `metrics`, all figures stand in the method itself.
    """
    found: dict[str, Triple] = {
        name: (method.get(name), method.get(f"{name}_low"), method.get(f"{name}_high"))
        for name in HEADLINES
        if not isinstance(method.get(name), Mapping)
    }
    nested: Mapping[str, Any] = method.get("metrics", method)
    for name, each in nested.items():
        if isinstance(each, Mapping) and "value" in each:
            known = cast(Mapping[str, Any], each)
            found[name] = (known["value"], known.get("low"), known.get("high"))
    return found


def _cell(figure: Triple, places: int) -> str:
    ends = interval(*figure[1:], places)
    return (
        f"<td>{number(figure[0], places)}"
        + (f'<span class="interval">{ends}</span>' if ends else "")
        + "</td>"
    )


def _published(report: Report) -> str:
    published: Mapping[str, Any] = report.get("published") or {}
    return _pairs("Published", ((name, str(said)) for name, said in published.items()))


def _normalisation(report: Report) -> str:
    meanings: Mapping[str, Any] = report.get("normalisation") or {}
    return _pairs(
        "What each figure means", ((title(name), str(meaning)) for name, meaning in meanings.items())
    )


def _singles(report: Report) -> str:
    singles: Mapping[str, Mapping[str, float | None]] = report.get("singles") or {}
    if not singles:
        return ""
    costs = [None if each["cost"] is None else PER * each["cost"] for each in singles.values()]
    places = decimals(min((cost for cost in costs if cost), default=None))
    body = (
        f"<tr><td>{_text(model)}</td><td>{number(cost, places)}</td><td>{number(each['quality'])}</td></tr>"
        for (model, each), cost in zip(singles.items(), costs, strict=True)
    )
    return _table("Single models", ["model", "USD per 1,000 requests", "quality, points of 100"], body)


def _clusters(report: Report) -> str:
    clusters: Sequence[Mapping[str, Any]] = report.get("clusters") or ()
    if not clusters:
        return ""
    body = (
        f'<tr><td>{n}</td><td class="text">{_text(each["label"])}</td><td>{each["rows"]:,}</td>'
        f'<td>{number(100 * each["share"], 1)} %</td><td class="text">{_text(each["best_small"])}</td>'
        f"<td>{number(each.get('best_small_quality'), 1)}</td><td>{number(each.get('large_quality'), 1)}</td>"
        f"{_cell((each.get('gain'), each.get('gain_low'), each.get('gain_high')), 1)}</tr>"
        for n, each in enumerate(clusters, start=1)
    )
    heads = ["", "cluster", "rows", "share", "best small model", "its quality", "large model's", "gain"]
    return _table("Clusters", heads, body)


def _making(report: Report, version: str, command: str | None) -> str:
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
        "pinnace": version,
    }
    made = _pairs("How it was made", ((name, str(said)) for name, said in facts.items() if said))
    return made + (f"<p><code>{_text(command)}</code></p>" if command else "")


def _table(heading: str, heads: Sequence[str], body: Iterable[str]) -> str:
    row = "".join(f"<th>{_text(head)}</th>" for head in heads)
    return (
        f'<h3>{_text(heading)}</h3><div class="wide"><table><thead><tr>{row}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _pairs(heading: str, pairs: Iterable[tuple[str, str]]) -> str:
    body = "".join(f"<dt>{_text(name)}</dt><dd>{_text(said)}</dd>" for name, said in pairs)
    return f"<h3>{_text(heading)}</h3><dl>{body}</dl>" if body else ""


def _text(text: object) -> str:
    """Foreign text, fit for a page: escaped, and without control characters."""
    return escape("".join(c if c.isprintable() else " " for c in str(text)), quote=True)
