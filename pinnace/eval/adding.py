"""From outcome tables to models that join a fitted state. Those that it knows stay as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pinnace.errors import StateError, TableError
from pinnace.eval.fitting import fit_rows, task_means
from pinnace.eval.table import OutcomeTable
from pinnace.router.added_model import MIN_SCORED, add_model
from pinnace.router.added_report import AddedModel
from pinnace.router.state import Provenance, RouterState
from pinnace.router.types import Embedder


@dataclass(frozen=True, slots=True, eq=False)
class Addition:
    """The grown state, what was `added`, and the table's models that the state had `known` before."""

    state: RouterState
    added: tuple[AddedModel, ...]
    known: tuple[str, ...]


def add_models(
    state: RouterState, table: OutcomeTable, embedder: Embedder, *, sources: Sequence[str] = (), seed: int = 0
) -> Addition:
    """Add the table's models that `state` does not know, in the table's order.

    Scores of models that it knows teach nothing of them; they tell what the new ones win over them.

    :param sources: names of the table's files, kept in the provenance.
    :raises StateError: when the state was fitted with another embedder.
    :raises TableError: when there is no new model, or one has fewer than `MIN_SCORED` scored rows.
    """
    if state.provenance.embedder != embedder.name:
        raise StateError(
            f"expected the embedder that the state was fitted with, {state.provenance.embedder!r}, "
            f"got {embedder.name!r}"
        )
    new = [model for model in table.models if model not in state.models]
    if not new:
        raise TableError(
            f"expected a model that the state does not know, got only {list(table.models)!r}: "
            "'pinnace fit' without --add-to refits those"
        )
    for model in new:
        scored = int((~np.isnan(table.scores[:, table.models.index(model)])).sum())
        if scored < MIN_SCORED:
            raise TableError(f"{model}: expected at least {MIN_SCORED} scored rows to add it, got {scored}")
    rows = fit_rows(table, embedder)
    added: list[AddedModel] = []
    for model in new:
        state, one = add_model(state, rows, model, seed=seed)
        added.append(one)
    provenance = _provenance(state.provenance, table, added, sources)
    known = tuple(model for model in table.models if model not in new)
    return Addition(replace(state, provenance=provenance), tuple(added), known)


def _provenance(
    before: Provenance, table: OutcomeTable, added: Sequence[AddedModel], sources: Sequence[str]
) -> Provenance:
    """What was known before, with metrics and means per task of the new; `rows` stay those of the fit."""
    metrics = dict(before.metrics)
    for one in added:
        metrics |= {name: round(float(value), 4) for name, value in _metrics(one).items()}
    tasks = {task: dict(means) for task, means in before.tasks.items()}
    names = {one.model for one in added}
    for task, means in task_means(table).items():
        found = {model: mean for model, mean in means.items() if model in names}
        if found:
            tasks[task] = tasks.get(task, {"rows": means["rows"]}) | found
    new = tuple(source for source in sources if source not in before.sources)
    return replace(before, metrics=metrics, tasks=tasks, sources=(*before.sources, *new))


def _metrics(one: AddedModel) -> Mapping[str, float]:
    """By their names in the provenance, where a full fit has them too under the same."""
    found = {f"{one.model}/added/{name}": getattr(one, name) for name in ("rows", "mse", "mse_mean")}
    found |= {f"{one.model}/{name}": value for name, value in one.gate.items()}
    return found if np.isnan(one.auroc) else {**found, f"estimates/auroc_{one.model}": one.auroc}
