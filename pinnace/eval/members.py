"""The models of a table that requests can be routed to. Pure."""

from dataclasses import replace

import numpy as np

from pinnace.errors import TableError
from pinnace.eval.table import OutcomeTable
from pinnace.router.dispatch import AUTO


def is_member(name: str) -> bool:
    """Whether a table's model is one that requests can be routed to."""
    return name != AUTO and "@" not in name


def only_members(table: OutcomeTable) -> OutcomeTable:
    """`table` without what a live run measured beside fleet members: `auto`, and models with solved examples
    before their prompts (`NAME@K`). Rows that only those have stay, without a score.

    :raises TableError: when it has no other model.
    """
    kept = [j for j, name in enumerate(table.models) if is_member(name)]
    if not kept:
        raise TableError(f"expected a model that can be routed to, got only {', '.join(table.models)}")
    models = tuple(table.models[j] for j in kept)
    return replace(
        table,
        models=models,
        scores=np.take(table.scores, kept, axis=1),
        costs=np.take(table.costs, kept, axis=1),
        evidence={model: table.evidence[model] for model in models if model in table.evidence},
        answers={model: table.answers[model] for model in models if model in table.answers},
    )
