"""The page of a report: one HTML text with all its styles and pictures in it, and no script.

Knows neither files nor what a section is about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from pinnace.eval.report_html import text

STYLE = files("pinnace.eval") / "report.css"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Section:
    """What is said of one table: a heading, foreign text, and pieces of HTML."""

    heading: str
    pieces: Sequence[str]


def page(sections: Sequence[Section], *, heading: str, version: str, command: str | None) -> str:
    """The whole page, the same text for the same sections.

    :param version: of pinnace.
    :param command: what made the report, as it would be typed.
    """
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Pinnace: {text(heading)}</title>",
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body><main>",
        f"<h1>{text(heading)}</h1>",
        _contents(sections) if len(sections) > 1 else "",
        *(_section(number, each) for number, each in enumerate(sections, start=1)),
        f"<footer><p>Made by pinnace {text(version)}</p>",
        f"<p><code>{text(command)}</code></p>" if command else "",
        "</footer></main></body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _section(number: int, section: Section) -> str:
    opening = f'<section id="table-{number}"><h2>{text(section.heading)}</h2>'
    return "\n".join([opening, *(piece for piece in section.pieces if piece), "</section>"])


def _contents(sections: Sequence[Section]) -> str:
    links = (
        f'<li><a href="#table-{number}">{text(section.heading)}</a></li>'
        for number, section in enumerate(sections, start=1)
    )
    return f"<nav><ol>{''.join(links)}</ol></nav>"
