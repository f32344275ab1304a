"""`pinnace fit --add-to`: models that join a router state, and how well they are predicted."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pinnace.cli.app import console, print_json
from pinnace.config import Config
from pinnace.eval.adding import Addition, add_models
from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.gate_rows import EmbeddedTexts
from pinnace.eval.join import join_tables
from pinnace.eval.members import only_members
from pinnace.eval.table_file import read_table
from pinnace.router.added_report import AddedModel
from pinnace.router.embedder import load_embedder
from pinnace.router.state import load_state, save_state


def add(paths: Sequence[Path], folder: Path, out: Path, config: Config, *, seed: int, json: bool) -> None:
    """Add the tables' new models to the state in `folder`, and write the grown state to `out`.

    :raises TableError: when there is no new model, or too few scored rows of one.
    :raises StateError: when there is no such state, or it was fitted with another embedder.
    """
    state = load_state(folder)
    table = only_members(join_tables([read_table(path) for path in paths]))
    embedder = load_embedder(config.router.embedder)
    embedded = EmbeddedTexts(embedder.name, table.prompts, embed_cached(embedder, table.prompts))
    found = add_models(state, table, embedded, sources=[path.name for path in paths], seed=seed)
    save_state(found.state, out)
    if json:
        print_json(
            {
                "out": str(out),
                "models": found.state.models,
                "known": found.known,
                "added": [asdict(one) for one in found.added],
            }
        )
        return
    _print(found, out)


def _print(found: Addition, out: Path) -> None:
    for one in found.added:
        for line in _lines(one):
            console.print(line, highlight=False)
    if found.known:
        console.print(f"known before and left as they are: {', '.join(found.known)}", highlight=False)
    console.print(f"router state of {len(found.state.models)} models written to {out}", highlight=False)


def _lines(one: AddedModel) -> list[str]:
    lines = [
        f"{one.model} joins by {one.rows} scored rows, mean {one.mean:.3f}, {one.familiarity:.0%} familiar",
        f"  squared error, held out: {one.mse:.4f}; of its mean: {one.mse_mean:.4f}; "
        f"R2 {one.r2:.3f} ({one.r2_low:.3f} to {one.r2_high:.3f}), AUROC {one.auroc:.3f}",
    ]
    lines.append(_calibration(one))
    lines += [f"  {name:43} {value:.4f}" for name, value in one.gate.items()]
    return lines if one.gate else [*lines, "  no gate: too few of its answers have evidence and a score"]


def _calibration(one: AddedModel) -> str:
    if one.calibrated:
        return f"  quality floors and budgets are calibrated on {one.calibrated} rows with it"
    return (
        f"  {one.recognised} of its rows are recognised as rows that the state was calibrated on, where all "
        "must be (the others' scores in the table tell apart those that look alike); with it in the fleet, "
        "a quality floor always asks the large model and a budget the cheapest, until all is fitted again"
    )
