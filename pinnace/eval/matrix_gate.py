"""The gate's confidence in answers that were asked for directly, as a router state has it. Pure."""

from dataclasses import replace

from pinnace.errors import TableError
from pinnace.eval.fitting import evidence_column
from pinnace.eval.gate_rows import EmbeddedTexts, judge_by, judged_rows
from pinnace.eval.table import OutcomeTable
from pinnace.router.state import RouterState


def judged_table(table: OutcomeTable, state: RouterState, embedded: EmbeddedTexts) -> OutcomeTable:
    """`table` with the gate's `confidence` in the evidence of every model that `state` has a gate for.

    :raises TableError: when it has one for no model of the table.
    :raises StateError: when it was fitted with another embedder.
    """
    models = [model for model in table.evidence if model in state.gate.whole]
    if not models:
        raise TableError(
            f"expected a state with a gate for one of {', '.join(table.models)}, got gates for "
            f"{', '.join(state.gate.whole) or 'none'}"
        )
    evidence = {model: list(entries) for model, entries in table.evidence.items()}
    for model in models:
        rows = judged_rows(table, model, evidence_column(table, model, "whole"))
        for row, sure in zip(rows, judge_by(state, table, embedded, model).confidence.tolist(), strict=True):
            evidence[model][row] = {**(evidence[model][row] or {}), "confidence": sure}
    return replace(table, evidence={model: tuple(entries) for model, entries in evidence.items()})
