"""Who answered what was asked of `auto`: shares by model, and how much was escalated. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pinnace.eval.table import OutcomeTable


def routes_of(table: OutcomeTable) -> dict[str, Any]:
    """Per task that a route answered `rows`, `shares` by model (the largest first) and `escalated`.

    Of the one column whose evidence says who answered; nothing where there is none.
    """
    columns = [
        column for column in table.evidence.values() if any("answered_by" in (e or {}) for e in column)
    ]
    if not columns:
        return {}
    by_task: dict[str, list[Mapping[str, Any]]] = {}
    for task, evidence in zip(table.tasks, columns[0], strict=True):
        if evidence and "answered_by" in evidence:
            by_task.setdefault(task, []).append(evidence)
    return {task: _route(found) for task, found in by_task.items()}


def _route(found: list[Mapping[str, Any]]) -> dict[str, Any]:
    counts = Counter(str(each["answered_by"]) for each in found)
    return {
        "rows": len(found),
        "shares": {model: count / len(found) for model, count in counts.most_common()},
        "escalated": sum(bool(each.get("escalated")) for each in found) / len(found),
    }
