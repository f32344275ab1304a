"""`pinnace eval floor`: how often a quality floor is missed, and what it saves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.progress import Progress
from rich.table import Table

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    console,
    print_json,
    read_config,
    stderr,
)
from pinnace.cli.evaluate import COLUMNS, evaluate
from pinnace.errors import ConfigError, TableError
from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.floor_json import floor_json
from pinnace.eval.floor_service import judge_by_folds, outcomes_of
from pinnace.eval.pool import chosen_pool
from pinnace.eval.recorded_rows import Embed, recorded_rows
from pinnace.eval.resplit import KEEPS, SPLITS, resplit_floors
from pinnace.eval.table_file import read_table
from pinnace.router.embedder import load_embedder
from pinnace.router.types import Embedder, FloatArray


@evaluate.command()
def floor(
    tables: Annotated[list[Path], typer.Argument(help="Outcome tables with a large model and costs.")],
    pool: Annotated[
        str | None, typer.Option(help="SMALL,SMALL,...:LARGE; every model, the dearest large, by default.")
    ] = None,
    keep: Annotated[
        str, typer.Option(help="Shares of the large model's quality to keep, commas between.")
    ] = ",".join(map(str, KEEPS)),
    splits: Annotated[int, typer.Option(min=1, max=10_000, help="Random re-splits of each table.")] = SPLITS,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.9999, help="How sure a floor must be.")] = 0.95,
    rows: Annotated[
        int | None, typer.Option(min=50, help="Calibrate on only so many rows of each split.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the splits.")] = 0,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Count how often a quality floor is missed over random re-splits, and what it saves.

    One half of the rows fits and calibrates as `pinnace fit` does, the other is served.
    Example: [bold]pinnace eval floor outcomes.parquet --pool small-a,small-b:large[/bold]
    """
    keeps = _keeps(keep)
    embed = _told(load_embedder(read_config(config).router.embedder))
    found: list[dict[str, Any]] = []
    for path in tables:
        table = read_table(path)
        recorded = recorded_rows(table, chosen_pool(pool, table), embed)
        try:
            outcomes = outcomes_of(recorded)
        except TableError as error:
            raise TableError(f"{path}: {error}") from None
        with Progress(*COLUMNS, console=stderr) as progress:
            task = progress.add_task(f"re-splits of {path.name}", total=splits)
            figures = resplit_floors(
                outcomes,
                judge_by_folds,
                keeps=keeps,
                splits=splits,
                confidence=confidence,
                rows=rows,
                seed=seed,
                on_done=lambda progress=progress, task=task: progress.advance(task),
            )
        found.append(
            floor_json(recorded, outcomes, figures, path.name, confidence=confidence, rows=rows, seed=seed)
        )
    _give(found, json=json)


def _keeps(text: str) -> tuple[float, ...]:
    """The shares that `--keep` names."""
    try:
        keeps = tuple(float(share) for share in text.split(","))
    except ValueError:
        keeps = ()
    if not keeps or not all(0 < keep <= 1 for keep in keeps):
        raise ConfigError(f"--keep: expected shares above 0 and at most 1, commas between, got {text!r}")
    return keeps


def _told(embedder: Embedder) -> Embed:
    """Embeds prompts from the cache, and says how many while it does."""

    def embed(prompts: Sequence[str]) -> FloatArray:
        with stderr.status(f"embedding {len(prompts)} prompts"):
            return embed_cached(embedder, prompts)

    return embed


def _give(found: Sequence[dict[str, Any]], *, json: bool) -> None:
    if json:
        print_json(found[0] if len(found) == 1 else {"tables": list(found)})
        return
    for one in found:
        _print(one)


def _print(one: dict[str, Any]) -> None:
    console.print(
        f"{one['table']}: {one['rows']:,} rows, {len(one['small'])} small models, large: {one['large']}; "
        f"{one['splits']} splits, calibrated on {one['calibration_rows']:,} rows, tested on "
        f"{one['test_rows']:,}, {one['confidence']:.4g} sure",
        highlight=False,
    )
    shown = Table("keep", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("missed", "95 %", "saved", "in 90 %", "kept", "refused", ""):
        shown.add_column(heading, justify="right")
    for each in one["floors"]:
        shown.add_row(
            f"{each['keep']:g}",
            f"{each['missed']:.1%}",
            f"{each['missed_low']:.1%} to {each['missed_high']:.1%}",
            f"{each['saved']:.1%}",
            f"{each['saved_low']:.0%} to {each['saved_high']:.0%}",
            f"{each['kept']:.1%}",
            f"{each['refused']:.0%}",
            "holds" if each["holds"] else "fails",
        )
    console.print(shown)
