"""docs/serving.md lists every metric, header and log field that the code has, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry

from pinnace.models.completion import Message, Request
from pinnace.router.route import Route
from pinnace.server.metrics import Metrics
from pinnace.server.request_log import fields_of
from pinnace.server.sight import Sight

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs" / "serving.md"
HEADER = re.compile(r"x-[a-z][a-z-]*|retry-after|traceparent|authorization|www-authenticate")
SUFFIX = {"counter": "_total"}


def rows_of(section: str) -> list[list[str]]:
    """The rows of the tables below a heading of docs/serving.md, without their heads."""
    text = DOCS.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def series_of(registry: CollectorRegistry) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every series by its name: its type and labels."""
    found = {}
    for collector in registry._collector_to_names:
        for family in collector.describe():
            labels = getattr(collector, "_labelnames", None) or getattr(family, "_labelnames", ())
            found[family.name + SUFFIX.get(family.type, "")] = (family.type, tuple(labels))
    return found


def headers_in(source: Path) -> Iterator[str]:
    """Header names among a file's literals; one that ends in a field has a star there."""
    tree = ast.parse(source.read_bytes())
    inside = {
        id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            first = node.values[0]
            if isinstance(first, ast.Constant) and HEADER.fullmatch(str(first.value)):
                yield f"{first.value}*"
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            if isinstance(text, str) and HEADER.fullmatch(text):
                yield text


def test_every_metric_is_in_the_docs_with_its_type_and_labels_and_no_other() -> None:
    said = {names_in(row[0])[0]: (row[1], tuple(names_in(row[2]))) for row in rows_of("Metrics")}
    assert said == series_of(Metrics(running=lambda: 0, queued=lambda: 0).registry)


def test_every_header_is_in_the_docs_and_no_other() -> None:
    said = {name for row in rows_of("Headers") for name in names_in(row[0])}
    sources = (ROOT / "pinnace" / "server").glob("*.py")
    assert said == {name for source in sources for name in headers_in(source)}


def test_every_field_of_a_log_line_is_in_the_docs_and_no_other() -> None:
    sight = Sight(request=Request((Message("user", "x"),)), route=Route((), "single", "why"), first_s=0.1)
    said = {name for row in rows_of("Logs") for name in names_in(row[0])}
    assert said == set(fields_of("req-1", sight, "small", 200))


def test_every_metric_that_an_operators_page_names_exists() -> None:
    series = series_of(Metrics(running=lambda: 0, queued=lambda: 0).registry)
    for page in ("serving.md", "configuration.md", "architecture.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert set(re.findall(r"`(pinnace_[a-z_]+)", text)) <= set(series), page
