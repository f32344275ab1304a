"""From outcome tables to what a router state is fitted from."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from math import nan
from typing import Any

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.table import FloatArray, OutcomeTable
from pinnace.router.evidence import Evidence, evidence_from
from pinnace.router.fit import FitRows, StateFit, fit_state
from pinnace.router.gate import STAGES
from pinnace.router.state import Provenance, RouterState
from pinnace.router.types import Embedder

MIN_ROWS = 50


def fit_table(
    table: OutcomeTable,
    embedder: Embedder,
    *,
    clusters: int,
    hold_tokens: int,
    seed: int = 0,
    sources: Sequence[str] = (),
) -> RouterState:
    """Embed the table's prompts and fit a router state on its outcomes.

    :raises TableError: when there are fewer than 50 rows.
    """
    return fit_apart(
        table, embedder, clusters=clusters, hold_tokens=hold_tokens, seed=seed, sources=sources
    ).state


def fit_apart(
    table: OutcomeTable,
    embedder: Embedder,
    *,
    clusters: int,
    hold_tokens: int,
    seed: int = 0,
    sources: Sequence[str] = (),
    apart: Sequence[str] = (),
) -> StateFit:
    """The same, with clusters of their own for the tasks `apart`, and the confidence in each row's answers.

    :raises TableError: when there are fewer than 50 rows.
    """
    if len(table) < MIN_ROWS:
        raise TableError(f"expected at least {MIN_ROWS} rows to fit a router state, got {len(table)}")
    rows = fit_rows(table, embedder)

    def provenance(metrics: Mapping[str, float]) -> Provenance:
        return Provenance(
            created=datetime.now(UTC).date().isoformat(),
            pinnace=version("pinnace"),
            embedder=embedder.name,
            rows=len(table),
            table_sha256=_digest(table),
            seed=seed,
            tasks=task_means(table),
            metrics={name: round(value, 4) for name, value in metrics.items()},
            sources=tuple(sources),
        )

    return fit_state(rows, provenance, k=clusters, hold_tokens=hold_tokens, seed=seed, apart=apart)


def fit_rows(table: OutcomeTable, embedder: Embedder) -> FitRows:
    """The table's outcomes with its prompts embedded.

    :raises TableError: when an entry of evidence is none.
    """
    return FitRows(
        prompts=table.prompts,
        tasks=table.tasks,
        models=table.models,
        vectors=embedder.embed(table.prompts),
        scores=table.scores,
        output_tokens=np.stack([_tokens(table, model) for model in table.models], axis=1),
        evidence={
            m: {s: evidence_column(table, m, s) for s in STAGES} for m in table.models if m in table.evidence
        },
    )


def task_means(table: OutcomeTable) -> dict[str, dict[str, float]]:
    """Per task the rows, and the mean score of each model that has scores there."""
    found: dict[str, dict[str, float]] = {}
    tasks = np.asarray(table.tasks)
    for task in sorted(set(table.tasks)):
        scores = table.scores[tasks == task]
        found[task] = {"rows": float(len(scores))}
        for column, model in enumerate(table.models):
            known = scores[~np.isnan(scores[:, column]), column]
            if len(known):
                found[task][model] = round(float(known.mean()), 4)
    return found


def evidence_column(table: OutcomeTable, model: str, stage: str) -> tuple[Evidence | None, ...]:
    """The evidence of `model`'s answers at one stage, one entry a row, None where there is none.

    :raises TableError: when an entry does not have the features, or they are no finite numbers.
    """
    entries = enumerate(table.evidence[model], start=1)
    return tuple(
        _evidence((entry or {}).get(stage), f"row {row}, evidence:{model}") for row, entry in entries
    )


def _evidence(features: Any, where: str) -> Evidence | None:
    if features is None:
        return None
    try:
        return evidence_from(features)
    except (TypeError, ValueError) as error:
        raise TableError(f"{where}: {error}") from None


def _tokens(table: OutcomeTable, model: str) -> FloatArray:
    entries = table.evidence.get(model, (None,) * len(table))
    return np.array([_count((entry or {}).get("completion_tokens")) for entry in entries], dtype=np.float64)


def _count(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value >= 0 else nan


def _digest(table: OutcomeTable) -> str:
    """A hash of the ids, models and scores, whatever file they came in."""
    digest = sha256(repr((table.ids, table.models)).encode())
    digest.update(np.ascontiguousarray(np.nan_to_num(table.scores, nan=-1.0)).tobytes())
    return digest.hexdigest()
