"""`pinnace eval replay`: routing methods compared on recorded outcomes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from pinnace.cli.app import (
    DEFAULT_PATH,
    ConfigOption,
    JsonOption,
    print_json,
    read_config,
    stderr,
)
from pinnace.cli.evaluate import COLUMNS, evaluate
from pinnace.cli.replay_tables import print_protocol, print_replay
from pinnace.cli.report_option import ReportOption, give_report
from pinnace.errors import ConfigError, TableError
from pinnace.eval.embedding_cache import embed_cached
from pinnace.eval.foreign import foreign
from pinnace.eval.methods import METHODS, Method
from pinnace.eval.pool import chosen_pool
from pinnace.eval.predictions import chosen_columns, read_predictions
from pinnace.eval.protocols import PROTOCOLS, protocol_json, protocol_parts, run_protocol
from pinnace.eval.recorded_rows import Embed, Recorded, recorded_rows, shuffled
from pinnace.eval.replay import replay as run_replay
from pinnace.eval.replay import usable_methods
from pinnace.eval.replay_json import replay_json
from pinnace.eval.report_parts import report_parts
from pinnace.eval.table import OutcomeTable
from pinnace.eval.table_file import read_table
from pinnace.router.embedder import load_embedder
from pinnace.router.types import Embedder, FloatArray


@evaluate.command()
def replay(
    tables: Annotated[list[Path], typer.Argument(help="Outcome tables.")],
    pool: Annotated[
        str | None, typer.Option(help="SMALL,SMALL,...[:LARGE]; every model, the dearest large, by default.")
    ] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these tasks, commas between.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Splits, each with a seed of its own.")] = 5,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Learn from only so many rows of each split.")
    ] = None,
    draws: Annotated[int, typer.Option(min=10, max=10_000, help="Bootstrap draws.")] = 1_000,
    shuffle_labels: Annotated[
        bool,
        typer.Option("--shuffle-labels", help="Give each row the outcomes of another: nothing to learn."),
    ] = False,
    predictions: Annotated[
        list[Path] | None, typer.Option(help="Choices of a foreign router to compare with.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help=f"A published protocol: {', '.join(PROTOCOLS)}.")
    ] = None,
    report: ReportOption = None,
    config: ConfigOption = DEFAULT_PATH,
    json: JsonOption = False,
) -> None:
    """Compare routing methods on recorded outcomes, with intervals and honest baselines.

    Example: [bold]pinnace eval replay outcomes.parquet --pool small-a,small-b:large[/bold]
    """
    if protocol is not None and protocol not in PROTOCOLS:
        raise ConfigError(f"--protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    if protocol is not None and any((pool, tasks, rows, shuffle_labels, predictions)):
        raise ConfigError(
            "--protocol: expected only --seeds, --draws and --report beside it, for its rows are published"
        )
    embed = _vectors(load_embedder(read_config(config).router.embedder))
    found: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for path in tables:
        table = read_table(path)
        if protocol is not None:
            done = run_protocol(protocol, table, embed, seeds=seeds, draws=draws)
            found.append(protocol_json(protocol, done, path.name, seeds=seeds, draws=draws))
            parts.append(protocol_parts(protocol, done, path.name, draws=draws) if report else {})
            continue
        recorded = recorded_rows(table, chosen_pool(pool, table), embed, _names(tasks))
        if shuffle_labels:
            recorded = shuffled(recorded, seed=0)
        methods = usable_methods(recorded, _methods(predictions or (), table, recorded))
        with Progress(*COLUMNS, console=stderr) as progress:
            task = progress.add_task(f"replay {path.name}", total=seeds * len(methods))
            replayed = run_replay(
                recorded,
                methods=methods,
                seeds=seeds,
                draws=draws,
                rows=rows,
                on_done=lambda progress=progress, task=task: progress.advance(task),
            )
        found.append(replay_json(replayed, path.name))
        parts.append(report_parts(replayed) if report else {})
    if report is not None:
        give_report([one | more for one, more in zip(found, parts, strict=True)], report)
    _print(found, protocol, json=json)


def _names(tasks: str | None) -> list[str]:
    """The tasks that `--tasks` names."""
    return [task.strip() for task in tasks.split(",")] if tasks else []


def _vectors(embedder: Embedder) -> Embed:
    """Embeds texts from the cache, with a progress bar for those that it lacks."""

    def embed(texts: Sequence[str]) -> FloatArray:
        with Progress(*COLUMNS, console=stderr, transient=True) as progress:
            task = progress.add_task("embedding", total=None)
            return embed_cached(
                embedder,
                texts,
                on_done=lambda done, total: progress.update(task, completed=done, total=total),
            )

    return embed


def _methods(predictions: Sequence[Path], table: OutcomeTable, recorded: Recorded) -> dict[str, Method]:
    """Ours and the published ones, and the foreign routers by the names of their files."""
    methods = dict(METHODS)
    for path in predictions:
        if path.stem in methods:
            raise TableError(f"{path}: expected a file name that is no other method's, got {path.stem!r}")
        columns = chosen_columns(read_predictions(path), table.take(recorded.source.tolist()))
        methods[path.stem] = foreign(path.stem, [table.models[int(c)] for c in columns], recorded)
    return methods


def _print(found: list[dict[str, Any]], protocol: str | None, *, json: bool) -> None:
    if json:
        print_json(found[0] if len(found) == 1 else {"tables": found})
        return
    for one in found:
        if protocol is not None:
            print_protocol(one)
        else:
            print_replay(one)
